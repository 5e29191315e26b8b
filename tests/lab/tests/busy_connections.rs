//! A client that keeps a node busy past the drain deadline, under each policy.

use std::time::{Duration, Instant};

use zdu_lab::load::{Habit, LoadReport};
use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{Ran, Rig, RigSpec, tell, tell_load};
use zdu_model::event::Event;
use zdu_model::report::{DrainEvidence, Evidence};

/// Longer than the way to the first drain and its deadline together.
const HOLD_MS: u64 = 20_000;

#[test]
fn an_expired_drain_deadline_fails_proceeds_or_kills_as_the_policy_says() {
    need_lab!();
    let rig = Rig::up("busy", RigSpec::default()).expect("the rig comes up");

    let (ran, load, evidence) = busy(&rig, "fail", 72, ["7.5.3"; 3]);
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    assert!(load.holds.iter().all(|hold| hold.completed), "{:?}", load.holds);
    assert!(evidence.iter().all(|seen| seen.cut == 0), "{evidence:?}");

    rig.relay().expect("the fleet is laid out anew");
    let (ran, load, evidence) = busy(&rig, "proceed", 0, ["7.7"; 3]);
    // The old release answers what it has begun before it ends, so even these are not lost.
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    let left: u64 = evidence.iter().map(|seen| seen.left).sum();
    assert!(left > 0, "{evidence:?}");
    tell(format_args!("proceed left {left} sessions"));

    rig.relay().expect("the fleet is laid out anew");
    let (ran, load, evidence) = busy(&rig, "kill", 0, ["7.7"; 3]);
    let cut: u64 = evidence.iter().map(|seen| seen.cut).sum();
    let lost = load.holds.iter().filter(|hold| !hold.completed).count();
    assert!(cut > 0, "{evidence:?}");
    assert_eq!((load.failed, lost as u64), (cut, cut), "{load}\n{}", ran.stderr);
    assert_eq!(load.habit(Habit::Hold).failed, cut, "only those who kept it busy were cut");
    tell(format_args!("kill cut {cut} sessions"));
}

/// One rollout under the policy. The evidence of every certificate that was asked for, with or
/// without success.
fn busy(
    rig: &Rig,
    policy: &str,
    exit: u8,
    releases: [&str; 3],
) -> (Ran, LoadReport, Vec<DrainEvidence>) {
    let found = rig.servers_state().expect("both balancers answer");
    let case = rig.case(policy).expect("files can be written");
    case.reconfigure(
        "drain_deadline: 30s",
        &format!("drain_deadline: 2s\n  on_drain_deadline: {policy}"),
    )
    .expect("the policy is there");
    let began = Instant::now();
    let load = rig.load(|spec| {
        (spec.hold, spec.hold_ms, spec.slow) = (8, HOLD_MS, 0);
        spec.timeout_ms = 5_000;
    });
    let load = load.expect("load flows");
    let ran = case.start_run().expect("zdu starts").wait(Duration::from_secs(240));
    let load = load.stop().expect("the load ends");
    tell_load(&format!("busy, policy {policy}"), began, &load);
    let ran = ran.expect("zdu ends").ended(exit);
    assert_eq!(rig.releases(), releases);
    let records = checks::after(&case, Expected { exit, found: &found, left_out: &[] });
    let mut evidence = Vec::new();
    for record in records {
        if let Event::StepEnded { report, .. } = record.event
            && let Evidence::Drain(seen) = report.evidence
        {
            evidence.push(seen);
        }
    }
    (ran, load, evidence)
}
