//! What becomes of a lane that a rule gives up, and of a step that a rule passes over.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{a_is_not_drained_and_b_not_served, count, drift, plan_of, set_aside, until_begun};
use world::{World, node, rule};
use zdu_engine::{Input, StepStatus};
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, HoldCause, Request};
use zdu_model::policy::FailureAction;
use zdu_model::report::{End, Report};
use zdu_model::verdict::Verdict;

#[test]
fn a_drain_that_stopped_the_rollout_does_not_keep_another_node_from_going_back() {
    let mut b = plan_of(&["a", "b"], &[&["b", "a"]], 2, 0);
    b.plan.rules = vec![
        rule("PRE-APPLY", FailureAction::Stop),
        rule("POST-APPLY", FailureAction::RollbackNode),
    ];
    let mut world = a_is_not_drained_and_b_not_served(World::new(b.plan));
    let verdict = world.run();
    let Verdict::Failed { rolled_back, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(rolled_back, [node("b")]);
    assert_eq!(count(&world, "undrain@b"), 2, "b is put back: {:?}", world.log);
}

#[test]
fn a_node_that_is_out_in_a_later_wave_and_fails_again_is_left_to_its_rule() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1);
    b.plan.policy.failures_allowed = 2;
    let mut stop = rule("APPLY", FailureAction::Stop);
    stop.exit = vec![9];
    b.plan.rules.insert(0, stop);
    let mut world = World::new(b.plan).answering(|planned, _| {
        let code = if planned.subject.node() == Some(&node("a")) { 1 } else { 9 };
        (planned.key.as_str() == "apply").then(|| Report::bare(End::Exited(code)))
    });
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!(count(&world, "apply@b"), 1);
    world.request(Request::Resume);
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
    assert_eq!(count(&world, "apply@b"), 2, "log {:?}", world.log);
}

fn answer(world: &mut World, effect: &Effect, end: End) {
    let Effect::Run { step, attempt } = *effect else { panic!("{effect:?} runs nothing") };
    world.input(&Input::Report { step, attempt, report: Report::bare(end) });
}

#[test]
fn what_waited_for_a_refused_certificate_is_given_up_with_its_lane() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    b.plan.rules = ["PRE-APPLY", "APPLY"].map(|phase| rule(phase, FailureAction::Stop)).to_vec();
    b.find("apply", "a").attempts = 2;
    let mut world = World::new(b.plan).answering(|planned, _| {
        let a = planned.subject.node() == Some(&node("a"));
        (a && planned.key.as_str() == "apply").then(|| Report::bare(End::Exited(1)))
    });
    let apply = set_aside(&mut world, "apply", "a");
    let other = set_aside(&mut world, "apply", "b");
    world.play(&apply);
    world.input(&Input::Advance);
    drift(&mut world, "a");
    until_begun(&mut world, "certify", "a", 2);
    let certify = world.queue.pop_front().expect("it runs");
    answer(&mut world, &certify, End::NotMet("busy".into()));
    for _ in 0..4 {
        world.input(&Input::Advance);
    }
    let Effect::Run { step, .. } = apply else { panic!("it runs") };
    assert_eq!(world.rollout.step_status(step).0, StepStatus::Pending);
    let before = world.records.len();
    answer(&mut world, &apply, End::Exited(1));
    assert_eq!(world.records.len(), before, "an answer that comes twice is no news");
    world.play(&other);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!((count(&world, "apply@a"), count(&world, "serving@b")), (1, 1));
}

#[test]
fn a_step_of_unknown_outcome_that_a_rule_passes_over_is_asked_about_no_more() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut unknown = rule("APPLY", FailureAction::GoOn);
    unknown.class = vec![Class::Unknown];
    b.plan.rules = vec![unknown];
    let apply = b.find("apply", "a").no;
    let cut = End::Unreachable("cut".into());
    let mut world = script::always(World::new(b.plan), "apply", "a", cut);
    until_begun(&mut world, "serving", "a", 1);
    assert_eq!(world.rollout.step_status(apply).0, StepStatus::Ended(Class::Warned));
    world.request(Request::Hold);
    let before = world.records.len();
    world.request(Request::Resume);
    assert_eq!(world.records.len(), before + 1, "{:?}", world.records.last());
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_hold_does_not_wait_for_a_step_that_is_due_and_cannot_begin() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules = vec![rule("PRE-APPLY", FailureAction::Hold)];
    let mut world = World::new(b.plan);
    let apply = set_aside(&mut world, "apply", "a");
    drift(&mut world, "a");
    answer(&mut world, &apply, End::Never);
    world.input(&Input::Advance);
    world.input(&Input::Advance);
    // All in one millisecond: `apply` is due now, and its certificate was refused.
    let certify = world.queue.pop_front().expect("it runs");
    answer(&mut world, &certify, End::NotMet("busy".into()));
    world.input(&Input::Advance);
    assert!(world.rollout.hold().is_some());
    world.request(Request::Hold);
    world.input(&Input::Advance);
    assert_eq!(world.rollout.verdict(), Some(&Verdict::Held));
}

#[test]
fn of_two_points_of_no_return_that_are_reached_at_once_one_is_asked_about_first() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    for on in ["a", "b"] {
        b.find("apply", on).point_of_no_return = true;
    }
    let mut world = World::new(b.plan);
    let both = ["a", "b"].map(|on| set_aside(&mut world, "stop-old", on));
    for stop in &both {
        world.play(stop);
    }
    let asked = |world: &World| {
        let holds = world.records.iter().filter(|r| matches!(r.event, Event::HoldStarted { .. }));
        holds.count()
    };
    world.input(&Input::Advance);
    world.input(&Input::Advance);
    assert_eq!(asked(&world), 1);
    for (nth, on) in [(1, "a"), (2, "b")] {
        let Some(HoldCause::PointOfNoReturn(step)) = world.rollout.hold().cloned() else {
            panic!("{on} is asked about")
        };
        assert_eq!(asked(&world), nth);
        world.request(Request::Approve(step));
        world.input(&Input::Advance);
    }
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_hold_waits_for_a_step_that_is_being_found_out() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let apply = set_aside(&mut world, "apply", "a");
    answer(&mut world, &apply, End::Unreachable("cut".into()));
    world.input(&Input::Advance);
    world.request(Request::Hold);
    world.input(&Input::Advance);
    world.input(&Input::Advance);
    assert_eq!(world.rollout.verdict(), None);
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!(count(&world, "serving@a"), 1, "its node is home");
}
