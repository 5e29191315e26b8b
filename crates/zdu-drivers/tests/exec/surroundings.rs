//! What a local step begins with, whatever started the controller.

use std::process::{Command, Stdio};

use zdu_drivers::exec::{Exit, StepFate, Supervisor, run_step};

use crate::LONG;
use crate::steps::{local, shell, within};

/// Set for the test binary's second life as a controller that a shell left in the background.
const ROLE: &str = "ZDU_TEST_BACKGROUND_BASE";

/// Does nothing in an ordinary run.
#[tokio::test]
async fn the_controller_in_the_background() {
    let Ok(base) = std::env::var(ROLE) else {
        return;
    };
    let supervisor = Supervisor::new(Some(&base)).expect("absolute");
    let step = shell("a", &format!("cat /proc/self/status >'{base}.status'"));
    let end = run_step(&|| true, &local(), &supervisor, &step, within(LONG), &mut |_| {}).await;
    assert_eq!(end.expect("it runs").fate, StepFate::Ended(Exit::Exited(0)));
}

/// What the kernel says of a step whose controller was started behind these words of a shell.
fn step_of(before: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let base = directory.path().join("b");
    let base = base.to_str().expect("text");
    let script =
        format!("{before} exec \"$0\" --exact surroundings::the_controller_in_the_background");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]).arg(std::env::current_exe().expect("this test"));
    command.env(ROLE, base).stdout(Stdio::null());
    assert!(command.status().expect("starts").success());
    std::fs::read_to_string(format!("{base}.status")).expect("it ran")
}

#[test]
fn a_step_of_a_controller_in_the_background_can_be_interrupted() {
    // What a shell without job control does to what it starts with `&`.
    let status = step_of("trap '' INT QUIT PIPE;");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("hexadecimal");
    for (signal, number) in [("INT", 2), ("QUIT", 3), ("PIPE", 13)] {
        assert_eq!(ignored >> (number - 1) & 1, 0, "{signal} is ignored");
    }
}
