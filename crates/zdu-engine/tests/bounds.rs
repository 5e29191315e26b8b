//! Law 13: what is tried again has a maximum, and what is stuck waits for a person.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{begun_after, count, failing, plan_of, set_aside, until_begun};
use world::{World, node, rule};
use zdu_engine::{Input, readings_before_drains};
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Request};
use zdu_model::ids::NodeName;
use zdu_model::policy::{FailureAction, FailureRule};
use zdu_model::report::{End, Report};
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

const STILL: Input = Input::StoodStill { span: Millis::from_secs(2) };

fn end(world: &mut World, effect: &Effect, end: End) {
    let Effect::Run { step, attempt } = *effect else { panic!("{effect:?} runs nothing") };
    world.input(&Input::Report { step, attempt, report: Report::bare(end) });
}

fn stuck(world: &World) -> usize {
    world.records.iter().filter(|r| matches!(r.event, Event::NodeStuck { .. })).count()
}

#[test]
fn a_reading_that_stillness_interrupts_again_and_again_is_for_a_rule() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    set_aside(&mut world, "ready", "a");
    let before = world.records.len();
    let decided = |world: &World| {
        world.records[before..].iter().any(|r| matches!(r.event, Event::FailureDecided { .. }))
    };
    let mut times = 0;
    while !decided(&world) {
        times += 1;
        assert!(times < 100, "it has no bound");
        world.input(&STILL);
        world.queue.clear();
        world.input(&Input::Advance);
        world.queue.clear();
    }
    assert_eq!(begun_after(&world, before).len(), 10);
}

#[test]
fn a_reading_that_passed_in_between_may_be_interrupted_as_often_again() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    for round in 1..=3 {
        until_begun(&mut world, "ready", "a", (round - 1) * 9 + 1);
        for _ in 0..8 {
            world.input(&STILL);
            world.queue.clear();
            world.input(&Input::Advance);
        }
        while !world.queue.is_empty() {
            let next = world.queue.pop_front().expect("there");
            world.play(&next);
        }
        // What was proved stands no longer, and is asked for again before the way back.
        world.input(&STILL);
    }
    assert_eq!(world.run(), Verdict::Succeeded);
}

/// A node is put back, and readiness cannot be proved again before its return.
fn stuck_before_its_return() -> World {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "ready", "a", 1);
    world.request(Request::Rollback);
    let undrain = set_aside(&mut world, "undrain", "a");
    world.input(&STILL);
    end(&mut world, &undrain, End::Never);
    world.answering(|step, _| {
        let proves = step.key.as_str() == "ready";
        proves.then(|| Report::bare(End::NotMet("HTTP 500".into())))
    })
}

#[test]
fn what_waits_behind_a_reading_that_is_stuck_is_begun_by_nobody_but_a_person() {
    let mut world = stuck_before_its_return();
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!((stuck(&world), count(&world, "undrain@a")), (1, 0));
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!(count(&world, "undrain@a"), 1);
}

#[test]
fn a_wider_putting_back_reads_again_what_its_next_step_goes_by() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules.push(FailureRule { phase: None, ..rule("APPLY", FailureAction::RollbackNode) });
    let down = End::NotMet("DOWN".into());
    let mut world = failing(World::new(b.plan), "serving", "a", 1, down);
    until_begun(&mut world, "guard", "a", 2);
    let guard = world.queue.pop_back().expect("it runs");
    world.request(Request::Rollback);
    world.play(&guard);
    let before = world.records.len();
    assert_eq!(world.run(), Verdict::RolledBack);
    let begun = begun_after(&world, before);
    assert_eq!(begun[..2], ["guard@a", "drain@a"]);
}

fn out_for_the_mirror(world: &World) -> Option<bool> {
    let node: NodeName = node("a");
    readings_before_drains(world.rollout.plan(), &world.records).get(&node).map(|before| before.out)
}

#[test]
fn a_drain_that_never_began_leaves_nothing_to_mirror() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let drain = set_aside(&mut world, "drain", "a");
    assert_eq!(out_for_the_mirror(&world), Some(true));
    world.input(&STILL);
    end(&mut world, &drain, End::Never);
    assert_eq!(out_for_the_mirror(&world), Some(false));
    // One that failed before may have taken the node out.
    let again = set_aside_again(&mut world);
    end(&mut world, &again, End::Unreachable("lb-a: no reply".into()));
    let third = set_aside_again(&mut world);
    world.input(&STILL);
    end(&mut world, &third, End::Never);
    assert_eq!(out_for_the_mirror(&world), Some(true));
}

fn set_aside_again(world: &mut World) -> Effect {
    let drains = |world: &World| begun_after(world, 0).iter().filter(|s| *s == "drain@a").count();
    let before = drains(world);
    until_begun(world, "drain", "a", before + 1);
    world.queue.pop_back().expect("it runs")
}
