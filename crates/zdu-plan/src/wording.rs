//! How lists and acts are said to people, in one place.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use zdu_model::fleet::Fleet;
use zdu_model::ids::NodeName;
use zdu_model::plan::{Ask, HttpCall, Probe, Run, Want, Work};
use zdu_model::procedure::{Comparison, GoesBack, RollbackClass};

/// The most names a list spells out: more do not fit a line beside anything else.
const NAMES_MAX: usize = 6;

/// `a, b, c`, or `a, b, c and 7 more` when there are many.
pub(crate) fn list<T: Display>(items: &[T]) -> String {
    let shown = if items.len() > NAMES_MAX + 1 { NAMES_MAX } else { items.len() };
    let names: Vec<String> = items.iter().take(shown).map(ToString::to_string).collect();
    let text = names.join(", ");
    match items.len() - shown {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// `node a`, `nodes a, b`.
pub(crate) fn nodes(items: &[NodeName]) -> String {
    let plural = if items.len() == 1 { "" } else { "s" };
    format!("node{plural} {}", list(items))
}

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A rollback class as procedures write it.
pub(crate) fn rollback_class(class: RollbackClass) -> &'static str {
    match class {
        RollbackClass::Instant => "instant",
        RollbackClass::Redo => "redo",
        RollbackClass::Restore => "restore",
        RollbackClass::None => "none",
    }
}

/// When a stage is put back, as procedures write it.
pub(crate) fn goes_back(when: GoesBack) -> &'static str {
    match when {
        GoesBack::WithNode => "with_node",
        GoesBack::WithRollout => "with_rollout",
    }
}

/// What a step does, exactly; secrets and captured values by name.
pub(crate) fn act(work: &Work, fleet: &Fleet) -> String {
    match work {
        Work::Guard { group } => {
            let min = fleet.groups.iter().find(|g| g.name == *group).map_or(0, |g| g.min_available);
            format!("see that {min} of group {group} still serve without it")
        }
        Work::Drain => "take every member out of new traffic, and keep it out".into(),
        Work::Certify => "prove that it carries no traffic".into(),
        Work::Ready(probes) if probes.is_empty() => "nothing is asked".into(),
        Work::Ready(probes) => {
            let asked: Vec<String> = probes.iter().map(probe).collect();
            asked.join("; ")
        }
        Work::Undrain => "put every member back to what it was".into(),
        Work::Serving => "see it serving on every balancer instance".into(),
        Work::Soak(span) => format!("watch for {span}"),
        Work::Run(call) => run(call),
        Work::Http(call) => http(call),
        Work::Upload { from, to, mode } => format!("upload {from} to {to}, mode {mode:04o}"),
        Work::Backup { path, to } => format!("back up {path} to {to}"),
        Work::Wait(wanted) => format!("wait until {}", probe(wanted)),
        Work::Manual { instruction } => format!("a person: {instruction}"),
    }
}

fn probe(probe: &Probe) -> String {
    let Probe { ask, want, times, every } = probe;
    let asked = match ask {
        Ask::Http(call) => http(call),
        Ask::Tcp(place) => format!("connect to {place}"),
        Ask::Run(call) => run(call),
    };
    let repeat = if *times > 1 { format!(", {times} times, every {every}") } else { String::new() };
    format!("{asked}{}{repeat}", wanted(want))
}

fn wanted(want: &Want) -> String {
    let Want { exit, status, contains, matches, json } = want;
    let mut parts = Vec::new();
    if !exit.is_empty() {
        parts.push(format!("exit {}", list(exit)));
    }
    if !status.is_empty() {
        parts.push(format!("status {}", list(status)));
    }
    if let Some(text) = contains {
        parts.push(format!("contains {text:?}"));
    }
    if let Some(pattern) = matches {
        parts.push(format!("matches /{pattern}/"));
    }
    for (pointer, is, value) in json {
        let is = match is {
            Comparison::Equals => "is",
            Comparison::VersionEquals => "is version",
            Comparison::VersionAtLeast => "is at least version",
            Comparison::Length => "has length",
            Comparison::EqualInEach => "has in each entry equal",
        };
        parts.push(format!("{pointer} {is} {value}"));
    }
    if parts.is_empty() { String::new() } else { format!(" -> {}", parts.join(", ")) }
}

fn http(call: &HttpCall) -> String {
    let HttpCall { method, url, headers, body, basic, ca_file: _, ca, insecure } = call;
    let mut text = format!("{method} {url}");
    for (name, value) in headers {
        text = format!("{text} {name}: {value}");
    }
    if let Some((user, secret)) = basic {
        text = format!("{text} as {user} with <secret {secret}>");
    }
    if let Some(body) = body {
        text = format!("{text} body {:?}", body.to_string());
    }
    if let Some(captured) = ca.as_ref().and_then(|ca| ca.captures().next()) {
        text = format!("{text} (trusts <captured {captured}>)");
    }
    if *insecure {
        text.push_str(" (any certificate)");
    }
    text
}

fn run(call: &Run) -> String {
    let Run { argv, shell, cwd, env, stdin, user } = call;
    let words: Vec<String> = argv
        .iter()
        .map(|word| if *shell { word.to_string() } else { shown(&word.to_string()) })
        .collect();
    let mut text = words.join(" ");
    if *shell {
        text = format!("sh: {text}");
    }
    for (name, value) in env.iter().rev() {
        text = format!("{name}={} {text}", shown(&value.to_string()));
    }
    if let Some(cwd) = cwd {
        text = format!("{text} (in {cwd})");
    }
    if let Some(user) = user {
        text = format!("{text} (as {user})");
    }
    if let Some(stdin) = stdin {
        text = format!("{text} (stdin {:?})", stdin.to_string());
    }
    text
}

/// An argument with its borders visible. For the eye only: nothing here reaches a shell.
fn shown(word: &str) -> String {
    let plain = !word.is_empty() && !word.chars().any(|c| c.is_whitespace() || c == '\'');
    if plain { word.to_string() } else { format!("{word:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use zdu_model::text::Text;
    use zdu_model::time::Millis;

    #[test]
    fn a_list_spells_out_what_fits_and_counts_the_rest() {
        let names = |count: u32| list(&(1..=count).collect::<Vec<_>>());
        assert_eq!(names(2), "1, 2");
        assert_eq!(names(7), "1, 2, 3, 4, 5, 6, 7", "`and 1 more` would be no shorter");
        assert_eq!(names(8), "1, 2, 3, 4, 5, 6 and 2 more");
    }

    fn asks(ask: Ask, want: Want, times: u32) -> String {
        probe(&Probe { ask, want, times, every: Millis::from_secs(2) })
    }

    fn call() -> HttpCall {
        HttpCall { method: "GET".into(), url: "http://a/".into(), ..HttpCall::default() }
    }

    #[test]
    fn a_probe_says_what_it_asks_what_it_wants_and_how_often() {
        assert_eq!(asks(Ask::Tcp("a:80".into()), Want::default(), 1), "connect to a:80");
        let want = Want {
            exit: alloc::vec![0, 1],
            status: alloc::vec![200],
            contains: Some("up".into()),
            matches: Some("^ok".into()),
            json: alloc::vec![
                ("/a".into(), Comparison::Equals, "x".into()),
                ("/b".into(), Comparison::VersionEquals, "1".into()),
                ("/c".into(), Comparison::VersionAtLeast, "2".into()),
                ("/d".into(), Comparison::Length, "3".into()),
                ("/e".into(), Comparison::EqualInEach, "/n".into()),
            ],
        };
        assert_eq!(
            asks(Ask::Http(call()), want, 3),
            "GET http://a/ -> exit 0, 1, status 200, contains \"up\", matches /^ok/, /a is x, \
             /b is version 1, /c is at least version 2, /d has length 3, \
             /e has in each entry equal /n, 3 times, every 2s"
        );
    }

    #[test]
    fn a_request_says_everything_but_its_secret() {
        let mut call = call();
        call.headers.insert("Accept".into(), Text::literal("json"));
        let secret = zdu_model::ids::SecretName::new("key").expect("a name");
        call.basic = Some(("ann".into(), secret));
        call.body = Some(Text::literal("{}"));
        call.insecure = true;
        assert_eq!(
            http(&call),
            "GET http://a/ Accept: json as ann with <secret key> body \"{}\" (any certificate)"
        );
    }

    #[test]
    fn a_command_shows_the_borders_of_its_words_and_all_that_is_around_it() {
        let word = Text::literal;
        let mut call = Run {
            argv: alloc::vec![word("stop"), word("a b"), word(""), word("it's")],
            shell: false,
            cwd: Some(word("/srv")),
            env: [("A".into(), word("1 2")), ("B".into(), word("3"))].into(),
            stdin: Some(word("yes\n")),
            user: Some("axway".into()),
        };
        let around = "(in /srv) (as axway) (stdin \"yes\\n\")";
        assert_eq!(run(&call), alloc::format!("A=\"1 2\" B=3 stop \"a b\" \"\" \"it's\" {around}"));
        call.shell = true;
        call.argv.truncate(2);
        assert_eq!(run(&call), alloc::format!("A=\"1 2\" B=3 sh: stop a b {around}"));
    }

    #[test]
    fn readiness_without_probes_says_that_nothing_is_asked() {
        let fleet = Fleet {
            name: zdu_model::ids::FleetName::new("shop").expect("a name"),
            groups: alloc::vec![],
            balancers: BTreeMap::new(),
            hosts: BTreeMap::new(),
            front: alloc::vec![],
        };
        assert_eq!(act(&Work::Ready(alloc::vec![]), &fleet), "nothing is asked");
    }
}
