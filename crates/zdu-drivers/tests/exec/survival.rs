//! A controller that is killed, and one that comes after it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zdu_drivers::exec::{Exit, StepFate, Supervisor, run_step};

use crate::LONG;
use crate::steps::{base, local, shell, within};

/// Set for the test binary's second life as the controller that is to be killed.
const ROLE: &str = "ZDU_TEST_DOOMED_BASE";

fn step(base: &str) -> zdu_drivers::exec::Spec {
    let script = format!(
        "echo x >>'{base}.count'; echo one; while [ ! -e '{base}.gate' ]; do sleep 0.02; done; \
         cat; exit 42"
    );
    let mut step = shell("survivor", &script);
    step.stdin = b"typed\n".to_vec();
    step
}

/// Does nothing in an ordinary run.
#[tokio::test]
async fn the_doomed_controller() {
    let Ok(base) = std::env::var(ROLE) else {
        return;
    };
    let supervisor = Supervisor::new(Some(&base)).expect("absolute");
    let _ =
        run_step(&|| true, &local(), &supervisor, &step(&base), within(LONG), &mut |_| {}).await;
}

#[tokio::test]
async fn a_killed_controller_leaves_the_step_to_the_next_one() {
    let (_directory, _) = base();
    let path = _directory.path().join("b");
    let path = path.to_str().expect("text");
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "survival::the_doomed_controller"]).env(ROLE, path);
    let mut doomed = command.stdout(Stdio::null()).spawn().expect("starts");
    let until = Instant::now() + LONG;
    while std::fs::read(format!("{path}.count")).unwrap_or_default().is_empty() {
        assert!(Instant::now() < until, "the step begins");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    doomed.kill().expect("kills");
    doomed.wait().expect("reaps");
    std::fs::write(format!("{path}.gate"), "").expect("writes");
    let supervisor = Supervisor::new(Some(path)).expect("absolute");
    let end =
        run_step(&|| true, &local(), &supervisor, &step(path), within(LONG), &mut |_| {}).await;
    let end = end.expect("attaches");
    assert_eq!(end.fate, StepFate::Ended(Exit::Exited(42)));
    assert_eq!(end.stdout, b"one\ntyped\n");
    assert_eq!(std::fs::read_to_string(format!("{path}.count")).expect("it ran"), "x\n");
}
