//! Planted failures.

use zdu_doubles::axway::{
    Failure, Fault, Layout, Phase, Times, clear_failures, plan_failure, stop_everything,
};

use crate::fleet::{Fleet, run, spawn};

const AT_A: [&str; 2] = ["--anm_host", "Node-A"];

fn plant(fleet: &Fleet, phase: Phase, fault: Fault, times: Times) {
    plan_failure(&fleet.new_dir("Node-A"), Failure { phase, fault, times }).expect("planted");
}

fn fail(exit_code: i32) -> Fault {
    Fault::Fail { exit_code, text: "java.lang.OutOfMemoryError".to_owned() }
}

#[test]
fn a_one_shot_failure_strikes_once_and_changes_nothing() {
    let fleet = Fleet::running();
    plant(&fleet, Phase::Export, fail(100), Times::Once);
    fleet.export("Node-A", &AT_A).failed(100, "ERROR: java.lang.OutOfMemoryError");
    assert!(fleet.status("Node-A").starts_with("Current status: not started\n"));
    fleet.export("Node-A", &AT_A).succeeded();
}

#[test]
fn a_permanent_failure_strikes_until_it_is_cleared() {
    let fleet = Fleet::running();
    plant(&fleet, Phase::Export, fail(7), Times::Always);
    for _ in 0..2 {
        fleet.export("Node-A", &AT_A).failed(7, "OutOfMemoryError");
    }
    clear_failures(&fleet.new_dir("Node-A")).expect("cleared");
    fleet.export("Node-A", &AT_A).succeeded();
}

#[test]
fn a_failure_with_a_cause_strikes_while_its_file_is_there() {
    let fleet = Fleet::running();
    let cause = fleet.new_dir("Node-A").join("cause");
    std::fs::write(&cause, "").expect("written");
    plant(&fleet, Phase::Export, fail(7), Times::While(cause.clone()));
    for _ in 0..2 {
        fleet.export("Node-A", &AT_A).failed(7, "OutOfMemoryError");
    }
    std::fs::remove_file(cause).expect("it is there");
    fleet.export("Node-A", &AT_A).succeeded();
}

#[test]
fn a_late_failure_has_done_its_work() {
    let fleet = Fleet::running().prepared();
    let late = Fault::FailLate { exit_code: 100, text: "lost".to_owned() };
    plant(&fleet, Phase::Apply, late, Times::Once);
    fleet.stop(&fleet.old_dir("Node-A"), "Node-A");
    fleet.apply("Node-A", "Node-A", &[]).failed(100, "ERROR: lost");
    assert_eq!(fleet.status("Node-A"), "Current status: system upgrade complete\n");
    assert_eq!(fleet.traffic("Node-A", "/version").expect("an answer").body, "7.7");
}

#[test]
fn a_planted_warning_lets_the_phase_succeed_and_is_in_its_log() {
    let fleet = Fleet::running();
    let warning = Fault::Warn { text: "something is odd".to_owned() };
    plant(&fleet, Phase::Export, warning, Times::Once);
    let ran = fleet.export("Node-A", &AT_A).succeeded();
    assert!(ran.stderr.contains("WARN: something is odd\n"), "{ran:?}");
    let log = fleet.new_layout("Node-A").upgrade_logs().join("export.log");
    assert!(std::fs::read_to_string(log).expect("a log").contains("WARN: something is odd"));
}

#[test]
fn a_hanging_tool_is_ended_by_teardown() {
    let fleet = Fleet::laid_out(|_| {});
    plant(&fleet, Phase::Upgrade, Fault::Hang, Times::Always);
    let mut hanging = spawn(&fleet.new_layout("Node-A").sysupgrade(), &["upgrade"]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while stop_everything(fleet.root()).expect("readable") == 0 {
        assert!(std::time::Instant::now() < deadline, "the tool never showed up");
        std::thread::yield_now();
    }
    assert_eq!(hanging.wait().expect("a child").code(), None, "a signal ended it");
    let seen = fleet.invocations(&fleet.new_dir("Node-A"));
    assert_eq!((seen.len(), seen[0].exit), (1, None));
}

#[test]
fn an_unhealthy_instance_starts_and_answers_but_not_well() {
    let fleet = Fleet::running().prepared();
    plant(&fleet, Phase::Health, fail(1), Times::Once);
    let fleet = fleet.applied(&["Node-A"]);
    assert_eq!(fleet.traffic("Node-A", "/healthcheck").expect("an answer").status, 500);
    assert_eq!(fleet.traffic("Node-A", "/").expect("an answer").status, 200);
    let tool = fleet.new_layout("Node-A").startinstance();
    for switch in ["-k", "-d"] {
        run(&tool, &["-n", "Gateway 0", "-g", "Gateway Group", switch], "").succeeded();
    }
    assert_eq!(fleet.traffic("Node-A", "/healthcheck").expect("an answer").status, 200);
}

#[test]
fn starts_and_stops_can_be_made_to_fail() {
    let fleet = Fleet::running();
    let old = fleet.old_dir("Node-A");
    for phase in
        [Phase::NodeManagerStart, Phase::NodeManagerStop, Phase::InstanceStart, Phase::InstanceStop]
    {
        let failure = Failure { phase, fault: fail(3), times: Times::Always };
        plan_failure(&old, failure).expect("planted");
    }
    for switch in ["-k", "-d"] {
        let layout = Layout::new(&old);
        run(&layout.nodemanager(), &[switch], "").failed(3, "OutOfMemoryError");
        let words = ["-n", "Gateway 0", "-g", "Gateway Group", switch];
        run(&layout.startinstance(), &words, "").failed(3, "OutOfMemoryError");
    }
    assert!(fleet.traffic("Node-A", "/").is_some(), "the failed stop stopped nothing");
}

#[test]
fn a_plan_of_failures_survives_its_text_form() {
    let failure = Failure { phase: Phase::ImportKps, fault: fail(100), times: Times::Once };
    let text = serde_json::to_string(&failure).expect("written");
    assert_eq!(
        text,
        "{\"phase\":\"import-kps\",\"fault\":{\"fail\":{\"exit_code\":100,\
         \"text\":\"java.lang.OutOfMemoryError\"}},\"times\":\"once\"}"
    );
    let read: Failure = serde_json::from_str(&text).expect("read");
    assert_eq!(read.fault, failure.fault);
}
