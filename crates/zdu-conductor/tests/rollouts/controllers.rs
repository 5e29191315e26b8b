//! Laws 5 and 7: who may act, and when an effect may leave.

use crate::toy::{
    Input, Toy, World, claim, drive, fleet, open_new, plan, resume, rollout, started, state,
    storage,
};
use std::os::unix::fs::PermissionsExt;
use zdu_conductor::files::read_lease;
use zdu_conductor::memory::MemoryStorage;
use zdu_conductor::storage::{AppendError, LeaseError, ReadError, Storage, Why};
use zdu_conductor::turn::{Conductor, OpenError, Opened, ROUNDS_MAX, TurnError};
use zdu_conductor::verify::verify;
use zdu_model::event::Event;
use zdu_model::ids::{Digest, Epoch, Seq, StepNo};
use zdu_model::report::End;
use zdu_model::time::Timestamp;

fn two_controllers<S: Storage>(first: S, second: impl Fn() -> S) {
    let Opened { conductor: mut old, .. } = open_new(2, first).expect("new");
    let refused = Conductor::resume(Toy::new(2), second(), &claim(2, 20, None), &plan()).err();
    let Some(OpenError::Lease(LeaseError::Held { owner, .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(owner.pid, 1);

    let force = claim(2, 20, Some("host a hangs"));
    let ousted = Conductor::resume(Toy::new(2), second(), &force, &plan()).err();
    let Some(OpenError::Lease(LeaseError::Ousted { owner, until, .. })) = ousted else {
        panic!("{ousted:?}");
    };
    assert_eq!(owner.pid, 1);
    let later = claim(2, until.0, None);
    let Opened { conductor: new, history, turn, .. } =
        Conductor::resume(Toy::new(2), second(), &later, &plan()).expect("free by now");
    assert_eq!((history.len(), new.lease().epoch), (3, Epoch(2)));
    let Some(Event::ControllerStarted { epoch: Epoch(2), owner }) =
        turn.records.first().map(|record| record.event.clone())
    else {
        panic!("{:?}", turn.records);
    };
    assert_eq!(owner, "op@a pid 2, by force from op@a pid 1: host a hangs");

    let report = Input::Report(StepNo(0), 1, End::Done);
    let lost = old.turn(Timestamp(21), report).expect_err("the lease is lost");
    let TurnError::Append(AppendError::Lost(lost)) = lost else {
        panic!("{lost:?}");
    };
    assert_eq!((lost.ours, lost.newest), (Epoch(1), Epoch(2)));
    assert!(matches!(old.turn(Timestamp(22), Input::Advance), Err(TurnError::Stopped)));
    old.close().expect_err("not ours to give back");
    new.close().expect("ours");
}

#[test]
fn a_controller_whose_lease_was_taken_releases_nothing_more() {
    let (_dir, state, path) = state();
    two_controllers(storage(&state), || storage(&state));
    let report = verify(&path, Some(&plan())).expect("whole");
    assert_eq!((report.epoch, report.torn), (Epoch(2), None));

    let store = MemoryStorage::new(rollout());
    two_controllers(store.clone(), || store.clone());
}

#[test]
fn a_paused_controller_finds_out_when_it_renews() {
    let (_dir, state, _) = state();
    let Opened { conductor: mut old, .. } = open_new(2, storage(&state)).expect("new");
    resume(2, storage(&state)).expect("the lease expired");
    let lost = old.renew(Timestamp(9_100)).expect_err("lost");
    assert!(matches!(lost, TurnError::Lease(LeaseError::Lost(_))), "{lost:?}");
    assert!(matches!(old.turn(Timestamp(9_101), Input::Advance), Err(TurnError::Stopped)));
}

#[test]
fn a_turn_renews_a_lease_that_is_due() {
    let (_dir, state, _) = state();
    let Opened { mut conductor, .. } = open_new(1, storage(&state)).expect("new");
    let before = conductor.lease().expires;
    let _turn = conductor.turn(Timestamp(500), Input::Advance).expect("fine");
    assert_eq!(conductor.lease().expires, before, "not due yet");
    let _turn = conductor.turn(Timestamp(2_000), Input::Advance).expect("fine");
    assert_eq!(conductor.lease().expires, Timestamp(5_000));
    let kept = read_lease(&state.fleet(&fleet())).expect("readable");
    assert_eq!(kept.held.as_ref(), Some(conductor.lease()));
}

#[test]
fn a_lease_file_that_was_removed_stops_the_controller_and_no_epoch_comes_twice() {
    let (_dir, state, _) = state();
    let Opened { mut conductor, .. } = open_new(1, storage(&state)).expect("new");
    std::fs::remove_file(state.fleet(&fleet()).lease()).expect("there");
    let report = Input::Report(StepNo(0), 1, End::Done);
    let lost = conductor.turn(Timestamp(11), report).expect_err("no lease");
    assert!(matches!(lost, TurnError::Append(AppendError::Lost(_))), "{lost:?}");
    let next = resume(1, storage(&state)).expect("nobody holds it");
    assert_eq!(next.conductor.lease().epoch, Epoch(2));
}

#[test]
fn a_journal_that_was_removed_stops_the_controller() {
    let (_dir, state, path) = state();
    let Opened { mut conductor, .. } = open_new(1, storage(&state)).expect("new");
    std::fs::remove_file(path).expect("there");
    let report = Input::Report(StepNo(0), 1, End::Done);
    let failed = conductor.turn(Timestamp(11), report).expect_err("no journal");
    assert!(matches!(failed, TurnError::Append(AppendError::Unwritable { .. })), "{failed:?}");
}

#[test]
fn an_effect_names_the_record_and_epoch_that_allow_it() {
    let Opened { turn, .. } = open_new(1, MemoryStorage::new(rollout())).expect("new");
    let told: Vec<_> = turn.effects.iter().map(|e| (e.through(), e.epoch())).collect();
    assert_eq!(told, [(Seq(3), Epoch(1))]);
    assert_eq!(turn.records.len(), 3);
    assert_eq!(turn.wake.map(|wake| wake.at), Some(Timestamp(110)));
}

#[test]
fn a_machine_that_never_rests_is_stopped() {
    let mut machine = Toy::new(1);
    machine.restless = true;
    let store = MemoryStorage::new(rollout());
    let stopped = Conductor::open_new(machine, store, &claim(1, 10, None), started()).err();
    let Some(OpenError::Turn(TurnError::Rounds { max })) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!(max, ROUNDS_MAX);
}

#[test]
fn a_record_the_machine_refuses_is_noticed_at_resume() {
    let store = MemoryStorage::new(rollout());
    let Opened { mut conductor, turn, .. } = open_new(3, store.clone()).expect("new");
    drive(&mut conductor, turn.effects, &mut World::default()).expect("fine");
    conductor.close().expect("ours");
    let refused = resume(1, store.clone()).err();
    let Some(OpenError::Illegal { seq, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(seq, Seq(5), "the start of the second step");
    resume(3, store).expect("the failed resume gave the lease back");
}

#[test]
fn a_rollout_is_neither_started_twice_nor_resumed_under_another_plan() {
    let (_dir, state, _) = state();
    let Opened { conductor, .. } = open_new(1, storage(&state)).expect("new");
    conductor.close().expect("ours");
    let twice = open_new(1, storage(&state)).err();
    assert!(matches!(twice, Some(OpenError::Exists { last: Seq(3) })), "{twice:?}");
    let other = Digest("cd".repeat(32));
    let claim = claim(2, 20, None);
    let refused = Conductor::resume(Toy::new(1), storage(&state), &claim, &other).err();
    let Some(OpenError::Read(ReadError::Altered { why: Why::Plan { .. }, .. })) = refused else {
        panic!("{refused:?}");
    };
}

#[test]
fn nobody_else_can_read_what_is_kept() {
    let (dir, state, _) = state();
    let Opened { conductor, .. } = open_new(1, storage(&state)).expect("new");
    conductor.close().expect("ours");
    let mut seen = 0;
    let mut todo = vec![dir.path().join("rollouts"), dir.path().join("fleets")];
    while let Some(path) = todo.pop() {
        let data = std::fs::metadata(&path).expect("there");
        let mode = data.permissions().mode() & 0o777;
        assert_eq!(mode, if data.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        seen += 1;
        if data.is_dir() {
            let entries = std::fs::read_dir(&path).expect("readable");
            todo.extend(entries.map(|entry| entry.expect("readable").path()));
        }
    }
    assert_eq!(seen, 7, "two roots, two directories, journal, lease and lock");
}
