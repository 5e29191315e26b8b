//! The plan file, the refused releases, the requests: what other processes write and read.

use proptest::prelude::*;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use zdu_conductor::directory::StateDir;
use zdu_conductor::files::{FileStorage, read_lease};
use zdu_conductor::plan_file::{PlanFileError, plan_digest, read_plan, write_plan};
use zdu_conductor::refused::{ClearError, Clearing, Refusal, RefusedReleases};
use zdu_conductor::requests::Requests;
use zdu_conductor::storage::{Claim, LeaseError, Owner};
use zdu_conductor::turn::{Conductor, OpenError, Opened};
use zdu_conductor::{Heard, Illegal, Input, Rollout};
use zdu_model::event::{Event, Request};
use zdu_model::ids::{Epoch, FleetName, RolloutId, StepNo};
use zdu_model::plan::Plan;
use zdu_model::report::{End, Report};
use zdu_model::time::{Millis, Timestamp};

fn plan(to: &str) -> Plan {
    let plan = json!({
        "format": 1, "tool": "0.1.0", "procedure": "toy", "procedure_digest": "ab",
        "fleet": { "name": "edge", "groups": [], "balancers": {}, "hosts": {}, "front": [] },
        "release": { "from": "1", "to": to },
        "policy": {
            "wave": [{ "count": 1 }], "concurrency": 1, "soak": 0, "drain_deadline": 1,
            "on_drain_deadline": "fail", "certify": { "samples": 1, "interval": 1 },
            "ready_deadline": 1, "serving_deadline": 1, "capacity_deadline": 1,
            "hold_deadline": 1, "reconnect_deadline": 1, "failures_allowed": 0,
            "on_failure": [], "cross_point_of_no_return": false, "accept_no_undo": [],
            "secrets": {}
        },
        "phases": [], "rollback_phase": "ROLLBACK", "stages": [], "steps": [], "rules": []
    });
    serde_json::from_value(plan).expect("a plan")
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).expect("there");
    assert!(text.contains(from), "{from} is in {text}");
    std::fs::write(path, text.replace(from, to)).expect("written");
}

#[test]
fn a_plan_comes_back_as_it_was_written_with_the_same_digest() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("plan.json");
    let digest = write_plan(&path, &plan("2")).expect("written");
    let (back, found) = read_plan(&path).expect("read");
    assert_eq!((back, &found), (plan("2"), &digest));
    assert_eq!(digest.0.len(), 64);
    assert_ne!(plan_digest(&plan("3")), digest);
}

#[test]
fn a_plan_that_was_edited_or_is_newer_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("plan.json");
    let missing = read_plan(&path).expect_err("nothing there");
    assert!(matches!(missing, PlanFileError::File(_)), "{missing:?}");
    write_plan(&path, &plan("2")).expect("written");
    edit(&path, "\"failures_allowed\": 0", "\"failures_allowed\": 9");
    let altered = read_plan(&path).expect_err("edited");
    assert!(matches!(altered, PlanFileError::Altered { .. }), "{altered:?}");
    assert!(altered.hint().contains("make it again"));
    edit(&path, "{\n  \"format\": 1,", "{\n  \"format\": 2,");
    let newer = read_plan(&path).expect_err("newer");
    assert!(matches!(newer, PlanFileError::Newer { found: 2, known: 1, .. }), "{newer:?}");
    std::fs::write(&path, "fleet: {}").expect("written");
    let other = read_plan(&path).expect_err("no plan");
    assert!(matches!(other, PlanFileError::NotAPlan { .. }), "{other:?}");
}

fn refusal(release: &str, reason: &str) -> Refusal {
    Refusal {
        release: release.into(),
        rollout: RolloutId::new("r1").expect("valid"),
        reason: reason.into(),
        at: Timestamp(1),
    }
}

fn clearing(release: &str, reason: &str) -> Clearing {
    Clearing { release: release.into(), by: "op".into(), reason: reason.into(), at: Timestamp(2) }
}

#[test]
fn a_refused_release_stays_refused_until_it_is_cleared_with_a_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let fleet = StateDir::new(dir.path()).fleet(&FleetName::new("edge").expect("valid"));
    let releases = RefusedReleases::new(fleet.clone());
    assert_eq!(releases.refused().expect("none yet"), []);
    releases.refuse(refusal("7.7", "APPLY failed")).expect("kept");
    releases.refuse(refusal("7.7", "again")).expect("kept once");
    releases.refuse(refusal("7.8", "slow")).expect("kept");
    let found = releases.refusal_of("7.7").expect("readable").expect("refused");
    assert_eq!(found.reason, "APPLY failed");
    let refused = releases.clear(clearing("7.7", " "));
    assert!(matches!(refused, Err(ClearError::NoReason { .. })), "{refused:?}");
    releases.clear(clearing("7.7", "patched")).expect("cleared");
    let refused = releases.clear(clearing("7.7", "patched"));
    assert!(matches!(refused, Err(ClearError::NotRefused { .. })), "{refused:?}");
    assert_eq!(RefusedReleases::new(fleet.clone()).refused().expect("readable").len(), 1);
    let text = std::fs::read_to_string(fleet.refused()).expect("there");
    assert!(text.contains("patched"), "who cleared it and why is kept: {text}");
}

#[test]
fn requests_come_in_order_and_stay_until_they_are_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let rollout = StateDir::new(dir.path()).rollout(&RolloutId::new("r1").expect("valid"));
    let requests = Requests::new(&rollout);
    assert!(requests.pending().expect("nothing yet").pending.is_empty());
    let asked = [Request::Hold, Request::Approve(StepNo(4)), Request::Resume];
    for request in asked.clone() {
        requests.submit(request, "op", "why", Timestamp(5)).expect("left");
    }
    std::fs::write(rollout.requests().join("00000000000000000002.json"), "{").expect("broken");
    let inbox = requests.pending().expect("readable");
    let found: Vec<_> = inbox.pending.iter().map(|p| (p.number, p.request.clone())).collect();
    assert_eq!(found, [(1, Request::Hold), (3, Request::Resume)]);
    assert_eq!(inbox.unreadable.len(), 1);
    requests.done(1).expect("removed");
    requests.done(1).expect("removed twice is fine");
    let left = Requests::new(&rollout).pending().expect("readable").pending;
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].by.as_str(), left[0].reason.as_str()), ("op", "why"));
}

#[test]
fn two_processes_that_ask_at_once_both_are_heard() {
    let dir = tempfile::tempdir().expect("a directory");
    let rollout = StateDir::new(dir.path()).rollout(&RolloutId::new("r1").expect("valid"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let requests = Requests::new(&rollout);
                    requests.submit(Request::Hold, "op", "", Timestamp(5)).expect("left");
                }
            });
        }
    });
    let inbox = Requests::new(&rollout).pending().expect("readable");
    assert_eq!((inbox.pending.len(), inbox.unreadable.len()), (20, 0));
}

fn rollout(id: &str) -> RolloutId {
    RolloutId::new(id).expect("valid")
}

/// A controller of a new rollout, by force where there is a reason.
fn opened(
    state: &StateDir,
    id: &str,
    force: Option<&str>,
) -> Result<Opened<Rollout, FileStorage>, OpenError<Illegal>> {
    let (plan, id) = (Arc::new(plan("2")), rollout(id));
    let started = Event::RolloutStarted {
        rollout: id.clone(),
        plan: plan_digest(&plan),
        fleet: plan.fleet.name.clone(),
        procedure: plan.procedure.clone(),
        release: plan.release.clone(),
        by: "op".into(),
    };
    let owner = Owner { user: "op".into(), host: "a".into(), pid: 1 };
    let force = force.map(str::to_owned);
    let claim = Claim { force, ..Claim::new(owner, Timestamp(10), Millis(3_000)) };
    let storage = FileStorage::new(state, &plan.fleet.name, &id);
    Conductor::open_new(Rollout::new(plan), storage, &claim, started)
}

/// What became of an older or another state directory, nobody here can know.
#[test]
fn a_controller_that_a_node_refused_leaves_the_epoch_that_a_person_outruns_by_force() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = StateDir::new(dir.path());
    let mut conductor = opened(&state, "r1", None).expect("new").conductor;
    let journal = std::fs::read(state.rollout(&rollout("r1")).journal());
    let report = Report::bare(End::EpochRefused { seen: 40 });
    let report = Input::Report { step: StepNo(0), attempt: 1, report };
    let heard = conductor.hear(Timestamp(11), report).expect("heard");
    assert_eq!(heard, Heard::Fenced { seen: 40 });
    conductor.close().expect("given back");
    let after = std::fs::read(state.rollout(&rollout("r1")).journal());
    assert_eq!(journal.expect("there"), after.expect("there"), "nothing more is recorded");

    let refused = opened(&state, "r2", None).err();
    let Some(OpenError::Lease(LeaseError::Outrun { ours, seen })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((ours, seen), (Epoch(1), Epoch(40)));
    let Opened { conductor, turn, .. } = opened(&state, "r2", Some("lost disk")).expect("forced");
    assert_eq!(conductor.lease().epoch, Epoch(41));
    let owners = turn.records.iter().filter_map(|record| {
        let Event::ControllerStarted { owner, .. } = &record.event else { return None };
        Some(owner.as_str())
    });
    let told = "op@a pid 1, by force over epoch 40, which a node had seen: lost disk";
    assert_eq!(owners.collect::<Vec<_>>(), [told]);
    conductor.close().expect("given back");
    let lease = read_lease(&state.fleet(&FleetName::new("edge").expect("valid"))).expect("kept");
    assert_eq!((lease.epoch, lease.held), (Epoch(41), None));
    let next = opened(&state, "r3", None).expect("nobody is newer now");
    assert_eq!(next.conductor.lease().epoch, Epoch(42));
}

proptest! {
    #[test]
    fn plans_that_differ_have_digests_that_differ(one in ".{0,8}", other in ".{0,8}") {
        let same = plan_digest(&plan(&one)) == plan_digest(&plan(&other));
        prop_assert_eq!(same, one == other);
    }
}
