//! What a person's `resume` begins again, and where.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{
    a_is_not_drained_and_b_not_served, always, begun_after, count, failing, plan_of, until_begun,
    until_held,
};
use world::{World, node, rule};
use zdu_engine::{Input, StepStatus};
use zdu_model::effect::Effect;
use zdu_model::event::Request;
use zdu_model::policy::FailureAction;
use zdu_model::report::{End, Report};
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

#[test]
fn a_drain_that_did_not_pass_is_begun_again_behind_its_guard() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules = vec![rule("PRE-APPLY", FailureAction::Stop)];
    let mut world = failing(World::new(b.plan), "drain", "a", 1, End::TimedOut);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    let before = world.records.len();
    world.request(Request::Resume);
    let guard = world.rollout.plan().stages[0].waves[0].lanes[0].steps[0];
    assert_eq!(world.rollout.step_status(guard).0, StepStatus::Pending);
    assert_eq!(world.run(), Verdict::Succeeded);
    let begun = begun_after(&world, before);
    assert_eq!(begun[..4], ["guard@a", "drain@a", "certify@a", "stop-old@a"]);
}

#[test]
fn what_was_held_is_tried_as_often_again_as_a_fresh_step() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules = vec![rule("APPLY", FailureAction::Hold)];
    b.find("apply", "a").attempts = 2;
    let mut world = always(World::new(b.plan), "apply", "a", End::Exited(1));
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!(count(&world, "apply@a"), 2);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!(count(&world, "apply@a"), 4);
}

#[test]
fn what_waited_for_a_certificate_that_was_refused_is_fresh_too_when_the_controller_had_left() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules = ["PRE-APPLY", "APPLY"].map(|phase| rule(phase, FailureAction::Hold)).to_vec();
    b.find("apply", "a").attempts = 2;
    let mut world = failing(World::new(b.plan), "apply", "a", 1, End::Exited(1));
    until_begun(&mut world, "apply", "a", 1);
    world.turn();
    world.turn();
    script::drift(&mut world, "a");
    let mut world = always(world, "certify", "a", End::NotMet("busy".into()));
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!(count(&world, "apply@a"), 1);
    let mut world = always(world, "apply", "a", End::Exited(1));
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!(count(&world, "apply@a"), 1 + 2);
}

#[test]
fn a_node_that_is_to_be_drained_again_waits_for_another_that_stands_in_the_entrance() {
    let mut b = plan_of(&["a", "b"], &[&["b", "a"]], 2, 0);
    b.plan.rules = vec![
        rule("PRE-APPLY", FailureAction::Hold),
        rule("POST-APPLY", FailureAction::RollbackNode),
    ];
    b.plan.policy.failures_allowed = 2;
    let mut world = a_is_not_drained_and_b_not_served(World::new(b.plan));
    until_held(&mut world);
    // While a person is asked about a, b goes back and stands between its guard and its drain.
    until_begun(&mut world, "drain", "b", 2);
    let drain = world.queue.pop_front().expect("it runs");
    world.answer = Box::new(|_, _| None);
    let before = world.records.len();
    world.request(Request::Resume);
    for _ in 0..4 {
        world.input(&Input::Advance);
    }
    assert_eq!(begun_after(&world, before), [""; 0]);
    world.play(&drain);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    let begun = begun_after(&world, before);
    assert!(begun.contains(&"guard@a".to_owned()), "begun: {begun:?}");
    assert_eq!(count(&world, "serving@a"), 1);
}

#[test]
fn what_comes_home_first_is_tried_again_behind_a_new_certificate_and_once() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1);
    b.plan.policy.failures_allowed = 2;
    let mut second = rule("APPLY", FailureAction::Stop);
    second.failed_nodes = Some(1);
    b.plan.rules.insert(0, second);
    b.find("apply", "b").attempts = 2;
    let mut left = 4;
    let mut world = World::new(b.plan).answering(move |planned, _| {
        let fails = planned.key.as_str() == "apply" && left > 0;
        left -= i32::from(fails);
        fails.then(|| Report::bare(End::Exited(1)))
    });
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert!(world.rollout.nodes_out().contains(&node("b")));
    world.request(Request::Resume);
    until_begun(&mut world, "apply", "b", 3);
    world.turn();
    script::drift(&mut world, "b");
    let before = world.records.len();
    assert_eq!(world.run(), Verdict::Succeeded);
    let begun = begun_after(&world, before);
    assert_eq!(begun[..4], ["certify@b", "apply@b", "ready@b", "undrain@b"]);
}

/// `apply` failed and the node goes back; a compensation fails, and before that is judged a person
/// says hold and resume.
fn resumed_before_it_was_judged(drifts: bool) -> World {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("stop-new", "a").needs_drain = true;
    let mut world = failing(World::new(b.plan), "apply", "a", 1, End::Exited(1));
    until_begun(&mut world, "stop-new", "a", 1);
    let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
    world.input(&Input::Report { step, attempt, report: Report::bare(End::Exited(1)) });
    if drifts {
        script::drift(&mut world, "a");
    }
    world.request(Request::Hold);
    world.request(Request::Resume);
    world
}

#[test]
fn a_compensation_that_failed_right_before_a_resume_is_begun_again() {
    for drifts in [false, true] {
        let mut world = resumed_before_it_was_judged(drifts);
        let before = world.records.len();
        let verdict = world.run();
        assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
        let begun = begun_after(&world, before);
        assert!(begun.contains(&"stop-new@a".to_owned()), "begun: {begun:?}");
        assert_eq!(begun[0] == "certify@a", drifts, "begun: {begun:?}");
        assert!(world.rollout.nodes_out().is_empty());
    }
}

#[test]
fn failures_and_nodes_from_before_a_resume_count_no_more() {
    let mut b = plan_of(&["a", "b", "c"], &[&["a"], &["b"], &["c"]], 1, 0);
    b.plan.policy.failures_allowed = 1;
    let mut left = 3;
    let mut world = World::new(b.plan).answering(move |planned, _| {
        let fails = planned.key.as_str() == "apply" && left > 0;
        left -= i32::from(fails);
        fails.then(|| Report::bare(End::Exited(1)))
    });
    let back = |world: &mut World| match world.run() {
        Verdict::Failed { rolled_back, .. } => rolled_back,
        other => panic!("{other:?}"),
    };
    assert_eq!(back(&mut world), [node("a"), node("b")]);
    assert_eq!(count(&world, "guard@c"), 0);
    world.request(Request::Resume);
    assert_eq!(back(&mut world), [node("a")]);
    assert_eq!((count(&world, "serving@b"), count(&world, "serving@c")), (2, 1));
}

#[test]
fn a_step_that_was_stopped_about_is_looked_up_and_not_begun_beside_itself() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules = vec![rule("APPLY", FailureAction::Stop)];
    let cut = End::Unreachable("cut".into());
    let mut world = always(World::new(b.plan), "apply", "a", cut);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    world.answer = Box::new(|_, _| None);
    let before = world.records.len();
    world.request(Request::Resume);
    world.input(&Input::Advance);
    assert_eq!(begun_after(&world, before), [""; 0]);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(count(&world, "apply@a"), 1);
}

#[test]
fn what_a_point_of_no_return_kept_comes_home_before_an_earlier_wave_begins_again() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    b.plan.policy.failures_allowed = 1;
    b.plan.policy.cross_point_of_no_return = true;
    let apply = b.find("apply", "b");
    apply.point_of_no_return = true;
    apply.undo.clear();
    let mut world = failing(World::new(b.plan), "apply", "a", 1, End::Exited(1));
    until_begun(&mut world, "apply", "b", 1);
    world.request(Request::Abort);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("b")] });
    let before = world.records.len();
    world.request(Request::Resume);
    world.input(&Input::Advance);
    assert_eq!(begun_after(&world, before), ["ready@b"]);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_node_whose_drain_failed_in_a_later_wave_comes_home_before_an_earlier_wave_begins_again() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    b.plan.policy.failures_allowed = 1;
    b.plan.rules.insert(0, rule("PRE-APPLY", FailureAction::Stop));
    let mut world = World::new(b.plan).answering(|planned, _| {
        let on = planned.subject.node().map(|node| node.as_str());
        let fails =
            matches!((planned.key.as_str(), on), ("apply", Some("a")) | ("drain", Some("b")));
        fails.then(|| Report::bare(End::NotMet("half".into())))
    });
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert!(world.rollout.nodes_out().contains(&node("b")));
    world.answer = Box::new(|_, _| None);
    let before = world.records.len();
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(begun_after(&world, before)[..2], ["guard@b", "drain@b"]);
}

#[test]
fn a_step_that_failed_without_a_drain_is_tried_again_before_an_earlier_stage_begins_again() {
    let mut b = plan_of(&["a", "b"], &[&["a"]], 1, 0);
    b.nodes_stage();
    b.plan.policy.failures_allowed = 1;
    let mut world = World::new(b.plan).answering(|planned, _| {
        let fails = matches!(planned.key.as_str(), "apply" | "upgrade");
        fails.then(|| Report::bare(End::Exited(1)))
    });
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!((count(&world, "upgrade@a"), count(&world, "upgrade@b")), (0, 1));
    world.answer = Box::new(|_, _| None);
    let before = world.records.len();
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(begun_after(&world, before)[..2], ["upgrade@b", "guard@a"]);
}

#[test]
fn a_reading_that_is_had_again_for_a_drain_is_waited_for_by_a_resume() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let guard = script::set_aside(&mut world, "guard", "a");
    world.play(&guard);
    world.input(&Input::StoodStill { span: Millis::from_secs(30) });
    until_begun(&mut world, "guard", "a", 2);
    world.request(Request::Hold);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!((count(&world, "guard@a"), count(&world, "drain@a")), (2, 1));
}
