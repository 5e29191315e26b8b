//! `zdu demo` by the built binary: what it tells to do next can be done, from the shell it was
//! started in.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use zdu_model::verdict::exit;

/// A shell of a user: a home of its own and the usual search path, on which no zdu is.
struct Shell(TempDir);

impl Shell {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        command
    }

    /// The exit code of a line as a person pastes it, and what it printed.
    fn paste(&self, line: &str) -> (Option<i32>, String) {
        let output = self.command("/bin/sh").args(["-c", line]).output().expect("a shell");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("UTF-8"))
    }

    fn demo(&self, words: &[&str]) -> Child {
        let mut command = self.command(env!("CARGO_BIN_EXE_zdu"));
        command.arg("demo").args(words).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary was built")
    }
}

/// What stands behind `next:`.
fn next(said: &[String]) -> Vec<&str> {
    said.iter().filter_map(|line| line.trim_start().strip_prefix("next: ")).collect()
}

#[test]
fn what_a_demo_tells_to_do_next_works_from_the_shell_it_was_started_in() {
    let shell = Shell::new();
    let mut demo = shell.demo(&["--fail", "node-b:EXPORT", "--dir", "it's here"]);
    let stderr = BufReader::new(demo.stderr.take().expect("piped"));
    let said: Vec<String> = stderr.lines().map(|line| line.expect("UTF-8")).collect();
    assert_eq!(demo.wait().expect("ended").code(), Some(i32::from(exit::EXPORT_FAILED)));
    let next = next(&said);
    let (again, others): (Vec<&str>, Vec<&str>) =
        next.iter().partition(|line| line.contains("zdu demo --keep --fail node-b:EXPORT "));
    assert!(!again.is_empty() && !others.is_empty(), "{said:#?}");
    let once: BTreeSet<&str> = next.iter().copied().collect();
    assert_eq!(once.len(), next.len(), "each command is told once: {next:#?}");
    for line in others {
        let (code, printed) = shell.paste(line);
        assert_eq!(code, Some(0), "{line}\n{printed}");
        assert!(printed.contains("This failure was planted by zdu demo"), "{line}\n{printed}");
    }
    // Where the search path leads to zdu its name is enough.
    let bin = Path::new(env!("CARGO_BIN_EXE_zdu")).parent().expect("a directory");
    let mut status = shell.command("zdu");
    status.env("PATH", bin).args(["status", "last", "--state-dir", "it's here/state"]);
    let told = String::from_utf8(status.output().expect("found").stdout).expect("UTF-8");
    assert!(told.contains("next:     zdu log "), "{told}");
}

#[test]
fn a_demo_that_is_kept_can_be_rolled_back_from_another_shell() {
    let shell = Shell::new();
    let mut demo = shell.demo(&["--fail", "node-b:APPLY", "--keep"]);
    let mut stderr = BufReader::new(demo.stderr.take().expect("piped")).lines();
    let mut said: Vec<String> = Vec::new();
    while !said.last().is_some_and(|line| line.contains("Enter ends them")) {
        said.push(stderr.next().expect("it goes on").expect("UTF-8"));
    }
    let next = next(&said);
    let line = next.iter().rfind(|line| line.contains("zdu rollback ")).expect("it is told");
    let (code, printed) = shell.paste(line);
    assert_eq!(code, Some(i32::from(exit::ROLLED_BACK)), "{line}\n{printed}");
    // The end of standard input ends what was kept.
    drop(demo.stdin.take());
    let rest: Vec<String> = stderr.map(|line| line.expect("UTF-8")).collect();
    let code = demo.wait().expect("ended").code();
    assert_eq!(code, Some(i32::from(exit::APPLY_FAILED)), "{rest:#?}");
}

/// Fails there, before and after the cause is repaired as the demo says.
fn repaired_and_resumed(fail: &str, failed: u8) {
    let shell = Shell::new();
    let words = ["--fail", fail, "--keep", "--dir", "it's here"];
    let mut demo = shell.demo(&words);
    let mut stderr = BufReader::new(demo.stderr.take().expect("piped")).lines();
    let mut said: Vec<String> = Vec::new();
    while !said.last().is_some_and(|line| line.contains("Enter ends them")) {
        said.push(stderr.next().expect("it goes on").expect("UTF-8"));
    }
    let resume = next(&said).into_iter().find(|line| line.contains("zdu resume "));
    let resume = resume.expect("it is told");
    let (code, printed) = shell.paste(resume);
    assert_eq!(code, Some(i32::from(failed)), "not repaired yet: {printed}");
    let told = "the failure was planted; this repairs its cause: ";
    let repair = said.iter().find_map(|line| line.strip_prefix(told)).expect("it is told");
    let (code, printed) = shell.paste(repair);
    assert_eq!((code, printed.as_str()), (Some(0), ""), "{repair}");
    let (code, printed) = shell.paste(resume);
    assert_eq!(code, Some(i32::from(exit::SUCCESS)), "{printed}");
    drop(demo.stdin.take());
    let rest: Vec<String> = stderr.map(|line| line.expect("UTF-8")).collect();
    let code = demo.wait().expect("ended").code();
    assert_eq!(code, Some(i32::from(failed)), "{rest:#?}");
}

#[test]
fn the_cause_of_a_planted_failure_is_repaired_by_the_line_that_is_printed_and_a_resume_goes_on() {
    repaired_and_resumed("node-b:EXPORT", exit::EXPORT_FAILED);
}

/// What it exported is of a time when no node was new, and is not had again.
#[test]
fn a_node_that_was_put_back_goes_on_when_it_is_resumed_though_another_is_new() {
    repaired_and_resumed("node-b:APPLY", exit::APPLY_FAILED);
}

#[test]
fn the_help_says_where_a_demo_lies_and_what_stays_of_it() {
    let shell = Shell::new();
    let help = shell.command(env!("CARGO_BIN_EXE_zdu")).args(["demo", "--help"]).output();
    let help = String::from_utf8(help.expect("the binary was built").stdout).expect("UTF-8");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "EXPORT, UPGRADE, PRE-APPLY, APPLY or POST-APPLY",
        "a new one in $XDG_STATE_HOME/zdu/demo, else ~/.local/state/zdu/demo",
        "its zdu.yaml and secrets, the state directory with journal, report and logs",
        "until Enter, the end of standard input or Ctrl-C",
    ] {
        assert!(help.contains(told), "{told:?} is not in: {help}");
    }
    // It is so: nothing fails, nothing is kept, and no directory is named.
    let status = shell.demo(&["--quiet"]).wait().expect("ended");
    assert!(status.success(), "{status}");
    let made: Vec<_> = std::fs::read_dir(shell.0.path().join(".local/state/zdu/demo"))
        .expect("it is there")
        .map(|entry| entry.expect("one").path())
        .collect();
    let [demo] = made.as_slice() else { panic!("{made:?}") };
    // It is over: a resume, as of a script that does not know, tells so and begins nothing.
    let state = demo.join("state");
    let journal = std::fs::read_dir(state.join("rollouts")).expect("it is there").next();
    let journal = journal.expect("one").expect("one").path().join("journal.jsonl");
    let fleet = state.join("fleets/demo/lease.json");
    let read = || [&journal, &fleet].map(|path| std::fs::read(path).expect("it is there"));
    let before = read();
    let zdu = env!("CARGO_BIN_EXE_zdu");
    let (code, said) = shell.paste(&format!("{zdu} resume last --state-dir {}", state.display()));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Status.SUCCESS"), "{said}");
    assert!(read() == before, "an epoch or a record came");
    for (name, stays) in
        [("zdu.yaml", true), ("secrets", true), ("state/rollouts", true), ("node-a", false)]
    {
        assert_eq!(demo.join(name).exists(), stays, "{name}");
    }
}

#[test]
fn the_table_of_the_readme_is_that_of_a_demo_whose_apply_fails() {
    let shell = Shell::new();
    let mut command = shell.command(env!("CARGO_BIN_EXE_zdu"));
    let output = command.args(["demo", "--fail", "node-b:APPLY"]).output().expect("it was built");
    assert_eq!(output.status.code(), Some(i32::from(exit::APPLY_FAILED)));
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).expect("it is there");
    let begins = readme.find("Summary table").expect("a table");
    let table = readme[begins..].split("next: ").next().expect("some").trim_end();
    assert!(printed.contains(table), "{table}\n{printed}");
}

#[test]
fn the_answer_of_a_demo_is_one_document_where_json_is_asked_for() {
    let shell = Shell::new();
    let mut command = shell.command(env!("CARGO_BIN_EXE_zdu"));
    command.args(["demo", "--json", "--fail", "node-b:EXPORT"]);
    let output = command.output().expect("the binary was built");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let answer: serde_json::Value = serde_json::from_str(&printed).expect("one document");
    assert!(answer["report"]["rollout"]["id"].is_string(), "{printed}");
    assert!(answer["traffic"].is_object(), "{printed}");
}

#[test]
fn a_demo_takes_no_state_directory_and_says_where_its_own_is() {
    let shell = Shell::new();
    let mut command = shell.command(env!("CARGO_BIN_EXE_zdu"));
    let output = command.args(["demo", "--state-dir", "kept"]).output().expect("it was built");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(i32::from(exit::USAGE)), "{said}");
    assert!(said.contains("hint: `--dir DIR`") && said.contains("DIR/state"), "{said}");
}

#[test]
fn a_demo_in_a_directory_that_is_used_is_a_wrong_command() {
    let shell = Shell::new();
    std::fs::create_dir(shell.0.path().join("used")).expect("made");
    std::fs::write(shell.0.path().join("used/mine"), "").expect("written");
    let mut command = shell.command(env!("CARGO_BIN_EXE_zdu"));
    let output = command.args(["demo", "--dir", "used"]).output().expect("the binary was built");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(i32::from(exit::USAGE)), "{said}");
    assert!(said.contains("is not empty") && said.contains("hint:"), "{said}");
}
