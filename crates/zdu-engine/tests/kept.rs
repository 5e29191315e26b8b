//! What a node keeps that is put back alone: what goes back with the whole rollout only.
#![allow(missing_docs, reason = "a test")]

mod script;
mod world;

use script::{begun_after, count, failing, set_aside, until_begun};
use world::{Builder, World, node, rule};
use zdu_engine::StepStatus;
use zdu_model::event::Request;
use zdu_model::ids::StepKey;
use zdu_model::policy::FailureAction;
use zdu_model::procedure::GoesBack;
use zdu_model::report::End;
use zdu_model::verdict::Verdict;

/// Two nodes, prepared first and then changed one after the other.
fn prepared(rules: &[(&str, FailureAction)]) -> Builder {
    let mut b = Builder::new(&["a", "b"], 1);
    b.nodes_stage();
    b.plan.stages[0].goes_back = GoesBack::WithRollout;
    b.rolling_stage(&[&["a"], &["b"]], 1);
    for (phase, action) in rules {
        b.plan.rules.insert(0, rule(phase, *action));
    }
    b
}

/// `apply` fails on b once.
fn b_fails(b: Builder) -> World {
    failing(World::new(b.plan), "apply", "b", 1, End::Exited(1))
}

#[test]
fn a_node_that_is_put_back_alone_keeps_what_was_prepared_and_goes_on_behind_it() {
    let mut world = b_fails(prepared(&[]));
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { exit: 73, .. }), "{verdict:?}");
    assert_eq!((count(&world, "start-old@b"), count(&world, "clean@b")), (1, 0));
    let before = world.records.len();
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    let begun = begun_after(&world, before);
    assert_eq!(begun[..4], ["guard@b", "drain@b", "certify@b", "stop-old@b"], "{begun:?}");
    assert_eq!((count(&world, "upgrade@a"), count(&world, "upgrade@b")), (1, 1));
}

#[test]
fn the_whole_rollout_takes_back_what_nodes_had_kept() {
    let mut world = b_fails(prepared(&[]));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    let before = world.records.len();
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    let begun = begun_after(&world, before);
    assert_eq!(begun[begun.len() - 2..], ["clean@b", "clean@a"], "{begun:?}");
    for on in ["a", "b"] {
        let upgrade = world.rollout.plan().steps.iter();
        let mut upgrade = upgrade.filter(|step| step.key.as_str() == "upgrade");
        let step = upgrade.find(|step| step.subject.node() == Some(&node(on))).expect("planned");
        assert_eq!(world.rollout.step_status(step.no).0, StepStatus::Pending, "{on}");
    }
}

#[test]
fn the_nodes_of_a_wave_and_those_in_flight_keep_it_too() {
    let mut world = b_fails(prepared(&[("APPLY", FailureAction::RollbackWave)]));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!((count(&world, "start-old@b"), count(&world, "clean@b")), (1, 0));

    let mut world = World::new(prepared(&[]).plan);
    until_begun(&mut world, "apply", "b", 1);
    world.request(Request::Abort);
    assert_eq!(world.run(), Verdict::Aborted);
    assert_eq!((count(&world, "start-old@b"), count(&world, "clean@b")), (1, 0));
}

/// The undo of one part may have undone another: `sysupgrade clean` of an upgrade takes the export.
#[test]
fn a_node_that_is_still_being_prepared_gives_back_all_that_prepared_it() {
    let mut b = Builder::new(&["a", "b"], 1);
    for key in ["export", "upgrade"] {
        b.nodes_stage();
        let stage = b.plan.stages.last_mut().expect("just added");
        stage.goes_back = GoesBack::WithRollout;
        let lanes = stage.waves[0].lanes.clone();
        for step in lanes.iter().flat_map(|lane| lane.steps.clone()) {
            let undo = b.get(step).undo[0];
            b.get(step).key = StepKey::new(key).expect("a name");
            b.get(undo).key = StepKey::new(format!("clean-{key}")).expect("a name");
        }
    }
    b.rolling_stage(&[&["a"], &["b"]], 1);
    b.plan.rules.insert(0, rule("UPGRADE", FailureAction::RollbackNode));
    let mut world = failing(World::new(b.plan), "upgrade", "b", 1, End::Exited(1));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    let undone = ["clean-upgrade@b", "clean-export@b", "clean-export@a"];
    assert_eq!(undone.map(|key| count(&world, key)), [1, 1, 0], "{:?}", world.log);
    let before = world.records.len();
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(begun_after(&world, before)[..2], ["export@b", "upgrade@b"]);
}

#[test]
fn what_is_being_prepared_when_it_fails_goes_back_with_its_node() {
    let b = prepared(&[("UPGRADE", FailureAction::RollbackNode)]);
    let mut world = failing(World::new(b.plan), "upgrade", "b", 1, End::Exited(1));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!((count(&world, "clean@a"), count(&world, "clean@b")), (0, 1));
}

#[test]
fn a_wave_that_prepares_goes_back_whole_and_a_finished_node_of_it_stays_when_the_rest_is_aborted() {
    let b = prepared(&[("UPGRADE", FailureAction::RollbackWave)]);
    let mut world = failing(World::new(b.plan), "upgrade", "b", 1, End::Exited(1));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!((count(&world, "clean@a"), count(&world, "clean@b")), (1, 1));

    let mut world = failing(World::new(prepared(&[]).plan), "upgrade", "b", 1, End::Exited(1));
    let upgrade = set_aside(&mut world, "upgrade", "b");
    world.turn();
    world.request(Request::Abort);
    world.play(&upgrade);
    assert_eq!(world.run(), Verdict::Aborted);
    assert_eq!((count(&world, "clean@a"), count(&world, "clean@b")), (0, 1), "{:?}", world.log);
}

#[test]
fn a_node_that_rolled_and_is_only_looked_at_is_not_put_back_by_an_abort() {
    let mut b = prepared(&[]);
    b.nodes_stage();
    let looked: Vec<_> = b.plan.stages[2].waves[0].lanes.iter().map(|l| l.steps[0]).collect();
    for step in looked {
        b.get(step).key = StepKey::new("look").expect("a name");
        b.get(step).undo.clear();
    }
    let mut world = failing(World::new(b.plan), "look", "a", 1, End::Exited(1));
    let look = set_aside(&mut world, "look", "a");
    world.request(Request::Abort);
    world.play(&look);
    assert_eq!(world.run(), Verdict::Aborted);
    for undo in ["stop-new@a", "start-old@a", "clean@a", "stop-new@b"] {
        assert_eq!(count(&world, undo), 0, "{undo}: {:?}", world.log);
    }
}
