//! A failure in each phase on each node: table, exit code, what serves afterwards, and no request
//! lost on the way.
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks at some events only")]

use std::time::Instant;

use zdu_doubles::axway::Phase;
use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{Case, NODES, Ran, Rig, RigSpec, Side, tell, tell_load};

/// Where a phase of the rollout is made to fail, its exit code, and whether nodes before it in the
/// order stay on the new release.
const PHASES: [(&str, Side, Phase, u8); 5] = [
    ("EXPORT", Side::New, Phase::Export, 70),
    ("UPGRADE", Side::New, Phase::Upgrade, 71),
    ("PRE-APPLY", Side::Old, Phase::InstanceStop, 72),
    ("APPLY", Side::New, Phase::Apply, 73),
    ("POST-APPLY", Side::New, Phase::Health, 74),
];

#[test]
fn a_failure_on_the_first_node_ends_with_the_old_release_everywhere() {
    need_lab!();
    fail_each_phase("node-a");
}

#[test]
fn a_failure_on_the_second_node_leaves_the_first_upgraded() {
    need_lab!();
    fail_each_phase("node-b");
}

#[test]
fn a_failure_on_the_last_node_leaves_the_others_upgraded() {
    need_lab!();
    fail_each_phase("node-c");
}

fn fail_each_phase(node: &str) {
    let rig = Rig::up(&format!("fail-{node}"), RigSpec::default()).expect("the rig comes up");
    let mut wrong = Vec::new();
    for (index, (column, side, phase, exit)) in PHASES.into_iter().enumerate() {
        if index > 0 {
            rig.relay().expect("the fleet is laid out anew");
        }
        rig.plant(node, side, phase).expect("it is planted");
        let found = rig.servers_state().expect("both balancers answer");
        let case = rig.case("failing").expect("files can be written");
        // POST-APPLY fails by never becoming ready.
        case.reconfigure("ready_deadline: 12s", "ready_deadline: 6s").expect("it is there");
        let began = Instant::now();
        let load = rig.load(|_| {}).expect("load flows");
        let ran = case.run().expect("zdu ends");
        let ran = ran.ended(exit);
        checks::after(&case, Expected { exit, found: &found, left_out: &[] });
        let rolling = exit >= 72;
        let failed_at = NODES.iter().position(|name| *name == node).unwrap_or(0);
        let expected: [&str; 3] =
            std::array::from_fn(|at| if rolling && at < failed_at { "7.7" } else { "7.5.3" });
        if rig.releases() != expected {
            wrong.push(format!("{column}: {:?} serve, wanted {expected:?}", rig.releases()));
        }
        wrong.extend(table(&ran, node, column, rolling));
        if rolling {
            goes_on(&rig, &case, node);
            checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
        }
        let load = load.stop().expect("the load ends");
        tell_load(&format!("{column} fails on {node}"), began, &load);
        if load.failed > 0 {
            wrong.push(format!("{column}: {load}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The cause is repaired and the rollout resumed. A node that was put back keeps its export, which
/// it could not have again: others are new.
fn goes_on(rig: &Rig, case: &Case<'_>, node: &str) {
    rig.unplant(node).expect("it is taken back");
    case.resume("the cause is repaired").expect("zdu ends").ended(0);
    assert_eq!(rig.releases(), ["7.7"; 3]);
    let exports = rig.count(node, Side::New, "sysupgrade", "export").expect("it is counted");
    assert_eq!(exports, 1, "exports on {node}");
}

/// The row of the node in the summary table: passed before the column, failed in it, and in a
/// rolling stage put back.
fn table(ran: &Ran, node: &str, column: &str, rolling: bool) -> Option<String> {
    let columns = ["EXPORT", "UPGRADE", "PRE-APPLY", "APPLY", "POST-APPLY", "ROLLBACK"];
    let begins = format!("| {node} ");
    let row = ran.stdout.lines().find(|line| line.trim_start().starts_with(&begins));
    let Some(row) = row else {
        return Some(format!("{column}: no row of {node} in {}", ran.stdout));
    };
    let cells = cells(row);
    let failed = columns.iter().position(|name| *name == column).unwrap_or(0);
    let right = |(at, cell): (usize, &String)| match at {
        5 => cell.as_str() == if rolling { "PASSED (0)" } else { "*" },
        _ if at < failed => cell == "PASSED (0)",
        _ if at == failed => cell.starts_with("FAILED ("),
        _ => cell == "*",
    };
    let fits = cells.len() == 6 && cells.iter().enumerate().all(right);
    (!fits).then(|| format!("{column}: {cells:?} in\n{}", ran.stdout))
}

/// The cells behind the node's name: `PASSED (0)`, `FAILED (100)`, `*`.
fn cells(row: &str) -> Vec<String> {
    row.trim().trim_matches('|').split('|').skip(1).map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn a_failed_rollback_leaves_the_node_out_says_stuck_and_names_the_next_command() {
    need_lab!();
    let rig = Rig::up("stuck", RigSpec::default()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    rig.plant("node-b", Side::New, Phase::Apply).expect("it is planted");
    rig.plant("node-b", Side::Old, Phase::InstanceStart).expect("it is planted");
    let case = rig.case("stuck").expect("files can be written");
    let began = Instant::now();
    let load = rig.load(|_| {}).expect("load flows");
    let ran = case.run().expect("zdu ends");
    let ran = ran.ended(75);
    checks::after(&case, Expected { exit: 75, found: &found, left_out: &["node-b"] });
    assert_eq!(rig.releases(), ["7.7", "-", "7.5.3"]);
    let id = case.rollout().expect("it ran");
    assert!(ran.said().contains("node-b"), "{}", ran.said());
    assert!(ran.said().contains(&format!("zdu resume {id}")), "{}", ran.said());
    let status = case.status().expect("it is told");
    assert_eq!(status["status"], "ROLLBACK_FAILED");
    assert!(status["next"].to_string().contains("repair node-b"), "{status}");

    // A person repairs the node; what was left undone is undone.
    rig.unplant("node-b").expect("it is taken back");
    let resumed = case.resume("node-b is repaired").expect("zdu ends");
    let load = load.stop().expect("the load ends");
    tell_load("stuck and repaired", began, &load);
    assert_eq!(load.failed, 0, "{load}");
    tell(format_args!("resume after the repair ended with {}", resumed.code));
    assert_eq!(rig.releases(), ["7.7", "7.5.3", "7.5.3"], "{}", resumed.said());
    assert_eq!(rig.servers_state().expect("both balancers answer"), found);
}
