//! Law 6: what was begun and has no known end is asked about before it is repeated or undone.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{always, begun_after, count, plan_of, set_aside, until_begun, until_held};
use world::{World, node, rule};
use zdu_engine::Input;
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::*;
use zdu_model::ids::*;
use zdu_model::plan::{PlannedStep, Unknown};
use zdu_model::policy::FailureAction;
use zdu_model::report::*;
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

#[test]
fn a_step_that_may_still_run_on_an_unreachable_node_is_not_undone_by_guess() {
    let b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut world = World::new(b.plan).answering(|planned, _| {
        (planned.key.as_str() == "apply").then(|| Report::bare(End::Unreachable("cut".into())))
    });
    for _ in 0..400 {
        if world.rollout.verdict().is_some() || !world.turn() {
            break;
        }
    }
    assert!(!world.log.contains(&"stop-new@a".to_owned()), "log {:?}", world.log);
}

#[test]
fn resume_finds_out_about_a_step_of_unknown_outcome_before_it_begins_it_again() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut unknown = rule("APPLY", FailureAction::Hold);
    unknown.class = vec![Class::Unknown];
    b.plan.rules.insert(0, unknown);
    let mut world = World::new(b.plan).answering(|planned, _| {
        (planned.key.as_str() == "apply").then(|| Report::bare(End::Unreachable("cut".into())))
    });
    while world.rollout.hold().is_none() {
        assert!(world.turn());
    }
    // The first attempt was never answered for: it may run at this moment.
    let before = world.records.len();
    world.request(Request::Resume);
    world.input(&Input::Advance);
    let begun = begun_after(&world, before);
    assert!(!begun.contains(&"apply@a".to_owned()), "begun by guess: {begun:?}");
}

#[test]
fn a_rollback_asks_a_silent_node_what_runs_there_before_it_undoes_anything() {
    let cut = End::Unreachable("cut".into());
    let b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut world = always(World::new(b.plan), "apply", "a", cut);
    until_held(&mut world);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!(count(&world, "stop-new@a"), 0, "undone by guess: {:?}", world.log);
    // The node answers again: the step had ended. Until then nothing is begun beside it.
    world.answer = Box::new(|_, _| None);
    let before = world.records.len();
    world.request(Request::Resume);
    world.input(&Input::Advance);
    assert_eq!(begun_after(&world, before), [""; 0]);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!((count(&world, "apply@a"), count(&world, "stop-new@a")), (1, 1));
}

#[test]
fn a_rule_that_puts_a_wave_back_leaves_a_silent_node_as_it_is_and_names_it() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    b.plan.rules = vec![rule("APPLY", FailureAction::RollbackWave)];
    let mut world = World::new(b.plan).answering(|planned, _| {
        let on = planned.subject.node().map(NodeName::as_str);
        match (planned.key.as_str(), on) {
            ("apply", Some("a")) => Some(Report::bare(End::Exited(1))),
            ("apply", Some("b")) => Some(Report::bare(End::Unreachable("cut".into()))),
            _ => None,
        }
    });
    // Both run `apply` when the one fails.
    let first = set_aside(&mut world, "apply", "a");
    until_begun(&mut world, "apply", "b", 1);
    world.queue.push_front(first);
    let verdict = world.run();
    assert!(matches!(&verdict, Verdict::Stuck { nodes } if nodes.contains(&node("b"))));
    assert_eq!(count(&world, "stop-new@b"), 0, "undone by guess: {:?}", world.log);
}

#[test]
fn a_compensation_that_may_still_run_is_not_begun_again_by_a_rollback() {
    let b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut world = World::new(b.plan).answering(|planned, _| match planned.key.as_str() {
        "apply" => Some(Report::bare(End::Exited(1))),
        "stop-new" => Some(Report::bare(End::Unreachable("cut".into()))),
        _ => None,
    });
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!(count(&world, "stop-new@a"), 1, "{:?}", world.log);
    world.answer = Box::new(|_, _| None);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!(count(&world, "stop-new@a"), 1, "it had ended: {:?}", world.log);
}

/// A node goes back by a rule; while its compensation runs a person wants everything back, and only
/// then it is lost.
fn lost_while_all_was_to_go_back(unknown: Unknown) -> World {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("stop-new", "a").unknown = unknown;
    let apply_fails = |planned: &PlannedStep, _: &Effect| {
        (planned.key.as_str() == "apply").then(|| Report::bare(End::Exited(1)))
    };
    let mut world = World::new(b.plan).answering(apply_fails);
    let Effect::Run { step, attempt } = set_aside(&mut world, "stop-new", "a") else {
        panic!("it runs")
    };
    world.request(Request::Rollback);
    let report = Report::bare(End::Lost("the node has booted since".into()));
    world.input(&Input::Report { step, attempt, report });
    world
}

#[test]
fn a_compensation_lost_while_a_wider_unwind_was_to_begin_is_not_run_again_by_guess() {
    let mut world = lost_while_all_was_to_go_back(Unknown::Hold);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!(count(&world, "stop-new@a"), 0, "{:?}", world.log);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack, "a person said so, knowing that");
    assert_eq!(count(&world, "stop-new@a"), 1, "{:?}", world.log);
}

#[test]
fn a_compensation_lost_while_a_wider_unwind_was_to_begin_is_run_again_where_that_is_harmless() {
    let mut world = lost_while_all_was_to_go_back(Unknown::Rerun);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!(count(&world, "stop-new@a"), 1, "{:?}", world.log);
}

#[test]
fn a_step_that_is_never_begun_is_not_begun_for_ever() {
    let b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut world = World::new(b.plan).answering(|planned, effect| {
        let end = match effect {
            Effect::Recover { .. } => End::Never,
            _ => End::Unreachable("cut".into()),
        };
        (planned.key.as_str() == "apply").then(|| Report::bare(end))
    });
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
}

#[test]
fn a_retry_of_an_unknown_outcome_asks_the_node_again_and_begins_nothing_beside_it() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut retry = rule("APPLY", FailureAction::Retry { max: 6, pause: Millis(1) });
    retry.class = vec![Class::Unknown];
    b.plan.rules.insert(0, retry);
    let mut askings = 0;
    let mut world = World::new(b.plan).answering(move |planned, _| {
        askings += u32::from(planned.key.as_str() == "apply");
        let silent = planned.key.as_str() == "apply" && askings < 6;
        silent.then(|| Report::bare(End::Unreachable("cut".into())))
    });
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(count(&world, "apply@a"), 1, "{:?}", world.log);
}

#[test]
fn a_step_that_is_withdrawn_each_time_is_for_a_rule_in_the_end() {
    let b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut world = always(World::new(b.plan), "apply", "a", End::Never);
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
    assert_eq!(count(&world, "apply@a"), 11, "{:?}", world.log);
}

#[test]
fn a_step_that_is_found_never_to_have_begun_is_begun() {
    let mut left = 1;
    let mut world =
        World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan).answering(move |planned, effect| {
            match effect {
                Effect::Run { .. } if planned.key.as_str() == "apply" && left > 0 => {
                    left -= 1;
                    Some(Report::bare(End::Unreachable("cut".into())))
                }
                Effect::Recover { .. } => Some(Report::bare(End::Never)),
                _ => None,
            }
        });
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(count(&world, "apply@a"), 2);
}
