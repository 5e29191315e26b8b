//! How lists and acts are said to people, in one place.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use zdu_model::fleet::Fleet;
use zdu_model::plan::{Ask, HttpCall, Probe, Run, Want, Work};
use zdu_model::procedure::Comparison;

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

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
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
