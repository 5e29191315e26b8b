//! What a local step begins with, whatever started the controller.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use zdu_drivers::exec::{Exit, Spec, StepFate, Supervisor, run_step};
use zdu_drivers::secret::Secrets;
use zdu_model::ids::SecretName;
use zdu_model::policy::SecretSource;

use crate::LONG;
use crate::steps::{local, shell, within};

/// Set for the test binary's second life as a controller that a shell left in the background.
const ROLE: &str = "ZDU_TEST_BACKGROUND_BASE";
/// What its secret is read from.
const VARIABLE: &str = "ZDU_TEST_PLANTED";

/// Does nothing in an ordinary run.
#[tokio::test]
async fn the_controller_in_the_background() {
    let Ok(base) = std::env::var(ROLE) else {
        return;
    };
    let name = SecretName::new("planted").expect("a name");
    let sources = BTreeMap::from([(name, SecretSource::Env(VARIABLE.into()))]);
    Secrets::fetch(&sources).expect("it is there");
    let supervisor = Supervisor::new(Some(&base)).expect("absolute");
    let told = format!("cat /proc/self/status >'{base}.status'; env >'{base}.environment'");
    let declared = Spec {
        env: vec![(VARIABLE.into(), "its own".into())],
        ..shell("b", "echo $ZDU_TEST_PLANTED")
    };
    let node = local();
    for (step, printed) in [(shell("a", &told), ""), (declared, "its own\n")] {
        let end = run_step(&|| true, &node, &supervisor, &step, within(LONG), &mut |_| {}).await;
        let end = end.expect("it runs");
        assert_eq!(end.fate, StepFate::Ended(Exit::Exited(0)));
        assert_eq!(String::from_utf8_lossy(&end.stdout), printed);
    }
}

/// The files the step of a controller left that was started by these words of a shell.
fn step_of(before: &str) -> (String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let base = directory.path().join("b");
    let base = base.to_str().expect("text");
    let script =
        format!("{before} exec \"$0\" --exact surroundings::the_controller_in_the_background");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]).arg(std::env::current_exe().expect("this test"));
    command.env(ROLE, base).env(VARIABLE, "hunter2-planted").stdout(Stdio::null());
    assert!(command.status().expect("starts").success());
    let read = |name: &str| std::fs::read_to_string(format!("{base}.{name}")).expect("it ran");
    (read("status"), read("environment"))
}

#[test]
fn a_step_of_a_controller_in_the_background_can_be_interrupted() {
    // What a shell without job control does to what it starts with `&`.
    let (status, _) = step_of("trap '' INT QUIT PIPE;");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("hexadecimal");
    for (signal, number) in [("INT", 2), ("QUIT", 3), ("PIPE", 13)] {
        assert_eq!(ignored >> (number - 1) & 1, 0, "{signal} is ignored");
    }
}

#[test]
fn a_variable_a_secret_was_read_from_is_in_no_process_of_a_step() {
    let (_, environment) = step_of("");
    // Whoever runs the tests may have secrets of their own there: none of it is printed.
    assert!(environment.lines().any(|line| line.starts_with("PATH=")), "it has an environment");
    assert!(!environment.contains(VARIABLE), "the variable is there");
    assert!(!environment.contains("hunter2"), "the value is there");
}
