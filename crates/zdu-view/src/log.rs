//! The two kinds of log of the Axway source document: one for the rollout with a time on every
//! line and the summary table at its end, and one per node with every command and its output
//! between markers. Pure text; the binary writes the files.

use crate::fold::RolloutView;
use crate::lines::{Lines, Palette};
use crate::moment::moment;
use crate::table::{summary_table, upper_snake};
use jiff::tz::Offset;
use zdu_model::event::{Event, Record};
use zdu_model::plan::{Ask, HttpCall, PlannedStep, Probe, Run, Work};

/// The document's markers fill forty columns.
const MARKER_WIDTH: usize = 40;
/// The fewest marks on each side of a name too long for that.
const MARKS_MIN: usize = 3;

/// The rollout log's text for a record the view has already applied, with newlines.
#[must_use]
pub fn rollout_log(view: &RolloutView, record: &Record, offset: Offset) -> String {
    let lines = Lines { offset, palette: Palette::Plain };
    let mut text = String::new();
    for line in lines.of(view, record) {
        text.push_str(&line);
        text.push('\n');
    }
    if matches!(record.event, Event::RolloutEnded { .. }) {
        text.push_str(&moment(record.at, offset));
        text.push(' ');
        text.push_str(&summary_table(view));
    }
    text
}

/// What a node's log says before a step's output.
#[must_use]
pub fn block_start(step: &PlannedStep) -> String {
    let name = marker('#', &upper_snake(step.key.as_str()));
    let kind = marker('-', kind(&step.work));
    let mut text = format!("{name}\n{kind}\ncommand [\n");
    for line in command(&step.work) {
        text.push_str("    ");
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str("]\n");
    text
}

/// What a node's log says after a step's output, which ends with a newline or is empty.
#[must_use]
pub fn block_end(step: &PlannedStep) -> String {
    let name = marker('#', &upper_snake(step.key.as_str()));
    let kind = marker('-', kind(&step.work));
    format!("\n{kind}\n{name}\n")
}

fn marker(mark: char, name: &str) -> String {
    let marks = MARKER_WIDTH.saturating_sub(name.len() + 2);
    let side = |count: usize| mark.to_string().repeat(count.max(MARKS_MIN));
    format!("{} {name} {}", side(marks / 2), side(marks - marks / 2))
}

/// The document knows only commands; zdu's other acts have their own word.
fn kind(work: &Work) -> &'static str {
    match work {
        Work::Run(_) => "ZDU_EXEC_CMD",
        Work::Http(_) => "ZDU_HTTP",
        Work::Guard { .. } | Work::Drain | Work::Certify | Work::Undrain | Work::Serving => {
            "ZDU_BALANCER"
        }
        Work::Ready(_) | Work::Wait(_) => "ZDU_PROBE",
        Work::Upload { .. } | Work::Backup { .. } => "ZDU_FILE",
        Work::Soak(_) | Work::Manual { .. } => "ZDU_WAIT",
    }
}

/// What a step does, as lines for a person. Secrets stand by name.
#[must_use]
pub fn command(work: &Work) -> Vec<String> {
    match work {
        Work::Guard { group } => vec![format!("read the capacity of group {group}")],
        Work::Drain => vec!["take the node out of new traffic on every instance".into()],
        Work::Certify => vec!["wait for the drain certificate".into()],
        Work::Ready(probes) => probes.iter().flat_map(probe).collect(),
        Work::Undrain => vec!["put the node into traffic again on every instance".into()],
        Work::Serving => vec!["wait until every instance shows the node serving".into()],
        Work::Soak(span) => vec![format!("watch for {span}")],
        Work::Run(run) => shell_lines(run),
        Work::Http(call) => http(call),
        Work::Upload { from, to, mode } => {
            vec![format!("upload {} {} mode {mode:04o}", quoted(from), quoted(to))]
        }
        Work::Backup { path, to } => vec![format!("copy {} {}", quoted(path), quoted(to))],
        Work::Wait(ask) => probe(ask),
        Work::Manual { instruction } => instruction.lines().map(str::to_owned).collect(),
    }
}

fn shell_lines(run: &Run) -> Vec<String> {
    let Run { argv, shell, cwd, env, stdin, user } = run;
    let mut lines = Vec::new();
    if let Some(user) = user {
        lines.push(format!("# as user {user}"));
    }
    if let Some(stdin) = stdin {
        lines.push(format!("# standard input: {}", one_line(&stdin.to_string())));
    }
    if let Some(cwd) = cwd {
        lines.push(format!("cd {}", quoted(&cwd.to_string())));
    }
    for (name, value) in env {
        lines.push(format!("export {name}={}", quoted(&value.to_string())));
    }
    if *shell {
        for script in argv {
            lines.extend(script.to_string().lines().map(str::to_owned));
        }
    } else {
        let words: Vec<String> = argv.iter().map(|arg| quoted(&arg.to_string())).collect();
        lines.push(words.join(" "));
    }
    lines
}

fn http(call: &HttpCall) -> Vec<String> {
    let HttpCall { method, url, headers, body, basic, ca_file, ca, insecure } = call;
    let mut lines = vec![format!("{method} {url}")];
    for (name, value) in headers {
        lines.push(format!("{name}: {}", one_line(&value.to_string())));
    }
    if let Some((user, secret)) = basic {
        lines.push(format!("# user {user}, password <secret {secret}>"));
    }
    if let Some(file) = ca_file {
        lines.push(format!("# trusts {file}"));
    }
    if let Some(ca) = ca {
        lines.push(format!("# trusts {}", one_line(&ca.to_string())));
    }
    if *insecure {
        lines.push("# accepts any certificate".into());
    }
    if let Some(body) = body {
        lines.extend(body.to_string().lines().map(str::to_owned));
    }
    lines
}

fn probe(probe: &Probe) -> Vec<String> {
    match &probe.ask {
        Ask::Http(call) => http(call),
        Ask::Tcp(address) => vec![format!("connect {address}")],
        Ask::Run(run) => shell_lines(run),
    }
}

fn one_line(text: &str) -> String {
    text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

/// A word as a shell reader expects it. For reading only: what runs is quoted by the driver.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Story, name, plan};
    use zdu_model::text::{Piece, Text};
    use zdu_model::verdict::Verdict;

    #[test]
    fn the_block_of_a_command_is_that_of_the_source_document() {
        let plan = plan(&["Node-C"]);
        let step = &plan.steps[1];
        let output = "ERROR: This is a multi-node upgrade and a localhost Cassandra server: \
localhost:9160 has been specified.\n";
        let text = format!("{}{output}{}", block_start(step), block_end(step));
        let expected = "\
########## SYSUPGRADE_UPGRADE ##########
------------- ZDU_EXEC_CMD -------------
command [
    cd /opt/Axway-7.5.3/apigateway/upgrade/bin
    /opt/Axway-7.5.3/apigateway/upgrade/bin/sysupgrade upgrade --cass_host localhost \
--cass_port 9160
]
ERROR: This is a multi-node upgrade and a localhost Cassandra server: \
localhost:9160 has been specified.

------------- ZDU_EXEC_CMD -------------
########## SYSUPGRADE_UPGRADE ##########
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_secret_stands_in_a_log_by_its_name() {
        let secret =
            Text(vec![Piece::Literal("it's ".into()), Piece::Secret(name("anm_password"))]);
        let run = Run {
            argv: vec![Text::literal("login"), secret.clone()],
            shell: false,
            cwd: None,
            env: [("TOKEN".to_owned(), Text(vec![Piece::Secret(name("token"))]))].into(),
            stdin: Some(secret),
            user: Some("gateway".into()),
        };
        let lines = command(&Work::Run(run));
        let expected = [
            "# as user gateway",
            "# standard input: it's <secret anm_password>",
            "export TOKEN='<secret token>'",
            "login 'it'\\''s <secret anm_password>'",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_long_step_name_keeps_its_marks() {
        assert_eq!(marker('#', &"X".repeat(50)), format!("### {} ###", "X".repeat(50)));
        assert_eq!(marker('-', "ODD").len(), MARKER_WIDTH);
    }

    #[test]
    fn the_rollout_log_ends_with_the_summary_table() {
        let mut story = Story::begin(&["Node-A"]);
        story.pass_until(None);
        story.tell(Event::RolloutEnded { verdict: Verdict::Succeeded });
        let view = story.view();
        let last = story.records.last().expect("it ended");
        let text = rollout_log(&view, last, Offset::UTC);
        let mut lines = text.lines();
        let time = "2026-01-31T09:00:22Z";
        let first = lines.next().expect("a line");
        assert!(first.starts_with(time) && first.contains("succeeded"), "{first}");
        let head = format!("{time} Summary table (Status.SUCCESS):");
        assert_eq!(lines.next(), Some(head.as_str()));
        assert!(text.ends_with("+\n"));
    }
}
