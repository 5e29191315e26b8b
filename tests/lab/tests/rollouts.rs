//! `zdu run` upgrades three gateways behind two balancers under load, again and again.

use std::time::{Duration, Instant};

use zdu_lab::load::Habit;
use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{Case, NODES, Rig, RigSpec, Side, tell_load};

#[test]
fn five_rollouts_in_a_row_lose_no_request_and_leave_both_balancers_as_they_were() {
    need_lab!();
    let rig = Rig::up("five", RigSpec::default()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    for round in 1..=5 {
        if round > 1 {
            rig.relay().expect("the fleet is laid out anew");
        }
        let case = rig.case("round").expect("files can be written");
        let began = Instant::now();
        let load = rig.load(|spec| spec.slow_ms = 3_000).expect("load flows");
        let ran = case.run().expect("zdu ends");
        let load = load.stop().expect("the load ends");
        tell_load(&format!("rollout {round}"), began, &load);
        let ran = ran.ended(0);
        assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
        assert!(load.habit(Habit::Slow).ok > 0, "no slow request was made: {load}");
        assert_eq!(rig.releases(), ["7.7"; 3]);
        assert_eq!(ran.stdout.matches("PASSED (0)").count(), 15, "{}", ran.stdout);
        checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
        every_tool_ran_once(&case);
    }
}

#[test]
fn a_reviewed_plan_runs_as_it_is_with_install_directories_full_of_blanks_and_quotes() {
    need_lab!();
    let rig = Rig::up("odd", RigSpec::odd_directories()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    let case = rig.case("reviewed").expect("files can be written");
    let before = rig.snapshot().expect("hosts answer");
    case.zdu_on_config(&["check"]).expect("zdu ends").ended(0);
    case.zdu_on_config(&["preflight"]).expect("zdu ends").ended(0);
    let plan = case.directory().join("plan.json");
    let plan = plan.to_str().expect("a lab's path is text");
    case.zdu_on_config(&["plan", "--out", plan]).expect("zdu ends").ended(0);
    assert_eq!(rig.snapshot().expect("hosts answer"), before, "looking changed something");

    let began = Instant::now();
    let load = rig.load(|spec| spec.slow_ms = 1_000).expect("load flows");
    let words = ["run", "--plan", plan, "--yes", "--node-dir", "/var/tmp/zdu records"];
    let ran = case.start(&words).expect("zdu starts").wait(Duration::from_secs(240));
    let load = load.stop().expect("the load ends");
    tell_load("odd directories", began, &load);
    let ran = ran.expect("zdu ends").ended(0);
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    assert_eq!(rig.releases(), ["7.7"; 3]);
    checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
    every_tool_ran_once(&case);
    let reviewed = std::fs::read(plan).expect("it was written");
    let ran = std::fs::read(case.rollout_dir().expect("it ran").join("plan.json"));
    assert_eq!(ran.expect("it is kept"), reviewed, "another plan ran");
}

fn every_tool_ran_once(case: &Case<'_>) {
    let count = |node: &str, side, tool: &str, word: &str| {
        case.rig().count(node, side, tool, word).expect("invocations can be read")
    };
    for node in NODES {
        for command in ["export", "upgrade", "apply"] {
            assert_eq!(count(node, Side::New, "sysupgrade", command), 1, "{command} on {node}");
        }
        assert_eq!(count(node, Side::Old, "startinstance", "-k"), 1, "stop on {node}");
        assert_eq!(count(node, Side::Old, "nodemanager", "-k"), 1, "stop on {node}");
    }
}
