//! What people ask for, alone and one after another.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{always, begun_after, count, plan_of, until_begun, until_held};
use world::{Builder, World, node, rule};
use zdu_engine::{Course, Refusal, StepStatus};
use zdu_model::event::*;
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::policy::FailureAction;
use zdu_model::report::*;
use zdu_model::verdict::Verdict;

fn step_of(world: &World, key: &str, on: &str) -> StepNo {
    let plan = world.rollout.plan();
    let mut steps = plan.steps.iter();
    let here = |s: &&PlannedStep| s.key.as_str() == key && s.subject.node() == Some(&node(on));
    steps.find(here).expect("the plan has it").no
}

/// Two nodes whose `apply` nobody knows the end of.
fn two_silent_nodes() -> World {
    let b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    let mut world = World::new(b.plan).answering(|planned, _| {
        let cut = End::Unreachable("cut".into());
        (planned.key.as_str() == "apply").then(|| Report::bare(cut))
    });
    let asked = |world: &World| {
        let holds = world.records.iter().filter(|r| matches!(r.event, Event::HoldStarted { .. }));
        holds.count()
    };
    for _ in 0..400 {
        if asked(&world) == 2 {
            break;
        }
        world.turn();
    }
    assert_eq!(asked(&world), 2);
    world
}

#[test]
fn two_questions_at_once_are_answered_one_by_one_and_the_rollout_goes_on() {
    for order in [["a", "b"], ["b", "a"]] {
        let mut world = two_silent_nodes();
        for on in order {
            assert!(world.rollout.hold().is_some(), "somebody is still waited for");
            let step = step_of(&world, "apply", on);
            assert_eq!(world.rollout.refuses(&Request::Approve(step)), None);
            world.request(Request::Approve(step));
        }
        assert_eq!(world.run(), Verdict::Succeeded);
    }
}

#[test]
fn one_resume_answers_every_question() {
    let mut world = two_silent_nodes();
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.rollout.hold(), None);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_hold_stands_when_another_question_is_answered() {
    let b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    let cut = End::Unreachable("cut".into());
    let mut world = always(World::new(b.plan), "apply", "a", cut);
    until_held(&mut world);
    let step = step_of(&world, "apply", "a");
    world.request(Request::Hold);
    world.request(Request::Approve(step));
    assert_eq!(world.rollout.hold(), Some(&HoldCause::Person));
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!((count(&world, "serving@a"), count(&world, "guard@b")), (1, 0));
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn nobodys_word_stands_for_a_certificate() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules.clear();
    let cut = End::Unreachable("cut".into());
    let mut world = always(World::new(b.plan), "certify", "a", cut);
    until_held(&mut world);
    let step = step_of(&world, "certify", "a");
    assert_eq!(world.rollout.hold(), Some(&HoldCause::Rule(step)));
    let refused = world.rollout.refuses(&Request::Approve(step));
    assert_eq!(refused, Some(Refusal::NotWaitingFor(step)));
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn an_approval_does_not_outlive_a_rollback() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("apply", "a").point_of_no_return = true;
    let mut world = World::new(b.plan);
    let point = HoldCause::PointOfNoReturn(step_of(&world, "apply", "a"));
    assert_eq!(world.run(), Verdict::Held);
    world.request(Request::Approve(step_of(&world, "apply", "a")));
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    world.request(Request::Resume);
    until_held(&mut world);
    assert_eq!(world.rollout.hold(), Some(&point));
    assert_eq!(count(&world, "apply@a"), 0);
}

#[test]
fn a_point_of_no_return_that_was_begun_is_tried_again_without_asking_again() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let point = b.find("apply", "a");
    (point.point_of_no_return, point.attempts) = (true, 1);
    b.plan.rules = vec![rule("APPLY", FailureAction::Stop)];
    let mut world = always(World::new(b.plan), "apply", "a", End::Exited(1));
    until_held(&mut world);
    world.request(Request::Approve(step_of(&world, "apply", "a")));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn an_abort_puts_back_the_fleets_own_lane_in_flight() {
    let mut b = Builder::new(&["a"], 0);
    b.fleet_stage(&["prepare", "migrate"]);
    let mut world = World::new(b.plan);
    let begun = |w: &World| w.log.contains(&"prepare@fleet".to_owned());
    while !begun(&world) {
        assert!(world.turn());
    }
    world.request(Request::Abort);
    assert_eq!(world.run(), Verdict::Aborted);
    assert_eq!(world.log, ["prepare@fleet", "undo-prepare@fleet"]);
}

#[test]
fn a_wave_that_is_put_back_takes_the_fleets_own_lane_with_it_and_no_other() {
    let mut b = Builder::new(&["a"], 0);
    b.fleet_stage(&["prepare"]);
    b.fleet_stage(&["migrate"]);
    b.plan.rules = vec![rule("APPLY", FailureAction::RollbackWave)];
    let mut world = World::new(b.plan).answering(|planned, _| {
        (planned.key.as_str() == "migrate").then(|| Report::bare(End::Exited(1)))
    });
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!(world.log, ["prepare@fleet", "migrate@fleet", "undo-migrate@fleet"]);
}

#[test]
fn a_rollback_widens_an_abort_and_an_abort_does_not_narrow_a_rollback() {
    let start = || {
        let mut world = World::new(plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1).plan);
        until_begun(&mut world, "apply", "b", 1);
        world
    };
    let mut world = start();
    world.request(Request::Abort);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    let mut world = start();
    world.request(Request::Rollback);
    assert!(world.rollout.refuses(&Request::Abort).is_some());
    assert!(world.rollout.refuses(&Request::Hold).is_some());
    assert_eq!(world.run(), Verdict::RolledBack);
}

#[test]
fn a_rollback_asked_for_twice_undoes_nothing_twice() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1).plan);
    until_begun(&mut world, "apply", "b", 1);
    world.request(Request::Rollback);
    until_begun(&mut world, "start-old", "b", 1);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    for undo in ["stop-new@b", "start-old@b", "stop-new@a", "start-old@a"] {
        assert_eq!(count(&world, undo), 1, "{:?}", world.log);
    }
}

#[test]
fn what_has_ended_refuses_what_makes_no_sense_and_says_why() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    assert!(world.rollout.refuses(&Request::Resume).is_some(), "it is not held");
    assert_eq!(world.run(), Verdict::Succeeded);
    let refuse = |world: &World, request| world.rollout.refuses(&request).map(|r| r.to_string());
    for (request, why) in [
        (Request::Hold, "the rollout has ended"),
        (Request::Abort, "the rollout has ended"),
        (Request::Resume, "the rollout succeeded"),
        (Request::Approve(StepNo(0)), "nobody was asked about step 0"),
        (Request::Approve(StepNo(999)), "nobody was asked about step 999"),
    ] {
        assert_eq!(refuse(&world, request).as_deref(), Some(why));
    }
    let before = world.records.len();
    world.request(Request::Hold);
    assert_eq!(world.records.len(), before, "a refused request leaves no record");
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
}

#[test]
fn a_rollout_that_stands_still_can_be_held_aborted_and_rolled_back() {
    for request in [Request::Abort, Request::Rollback] {
        let mut world = World::new(plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0).plan);
        until_begun(&mut world, "apply", "a", 1);
        world.request(Request::Hold);
        assert_eq!(world.run(), Verdict::Held);
        assert_eq!(world.rollout.refuses(&Request::Hold), None);
        let aborts = request == Request::Abort;
        world.request(request);
        let verdict = world.run();
        assert_eq!(verdict, if aborts { Verdict::Aborted } else { Verdict::RolledBack });
        assert_eq!(count(&world, "stop-new@a"), usize::from(!aborts), "a had finished");
    }
}

#[test]
fn a_manual_step_ends_with_a_persons_word_and_with_no_other_steps() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("apply", "a").work = Work::Manual { instruction: "press it".into() };
    let mut world = World::new(b.plan);
    until_begun(&mut world, "apply", "a", 1);
    let before = world.records.len();
    world.request(Request::Approve(step_of(&world, "stop-old", "a")));
    assert_eq!(world.records.len(), before);
    world.request(Request::Approve(step_of(&world, "apply", "a")));
    assert_eq!(world.run(), Verdict::Succeeded);
    assert!(begun_after(&world, before).contains(&"ready@a".to_owned()));
    assert_eq!(*world.rollout.course(), Course::Forward);
}

#[test]
fn an_answer_after_the_controller_left_lets_the_rollout_go_on_when_it_was_the_only_question() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("apply", "a").point_of_no_return = true;
    let mut world = World::new(b.plan);
    assert_eq!(world.run(), Verdict::Held);
    world.crash();
    world.request(Request::Approve(step_of(&world, "apply", "a")));
    assert_eq!(world.run(), Verdict::Succeeded);

    let mut world = two_silent_nodes();
    assert_eq!(world.run(), Verdict::Held);
    world.request(Request::Approve(step_of(&world, "apply", "a")));
    assert_eq!(world.run(), Verdict::Held, "b is still asked about");
    world.request(Request::Approve(step_of(&world, "apply", "b")));
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn an_answer_after_a_failure_does_not_try_the_failure_again() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    b.plan.rules = vec![rule("PRE-APPLY", FailureAction::Stop)];
    b.find("apply", "a").point_of_no_return = true;
    let mut world = always(World::new(b.plan), "stop-old", "b", End::Exited(1));
    assert_eq!(world.run(), Verdict::Held);
    world.request(Request::Approve(step_of(&world, "apply", "a")));
    assert_eq!(world.run(), Verdict::Held);
    world.request(Request::Resume);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
}

#[test]
fn what_is_found_out_about_a_gate_after_a_rollback_does_not_stand_for_its_soak() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules.clear();
    let announce = b.step(&Subject::Fleet, "announce", "POST-APPLY", world::run());
    b.plan.stages[0].waves[0].gate.push(announce);
    let mut world = World::new(b.plan).answering(|planned, _| {
        let cut = End::Unreachable("cut".into());
        (planned.key.as_str() == "announce").then(|| Report::bare(cut))
    });
    until_held(&mut world);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    world.answer = Box::new(|_, _| None);
    let before = world.records.len();
    world.request(Request::Resume);
    let soak = world.rollout.plan().stages[0].waves[0].gate[0];
    assert_eq!(world.rollout.step_status(soak).0, StepStatus::Pending);
    assert_eq!(world.run(), Verdict::Succeeded);
    let begun = begun_after(&world, before);
    let soaks = begun.iter().filter(|l| *l == "soak@fleet").count();
    assert_eq!((soaks, begun.last().map(String::as_str)), (1, Some("announce@fleet")));
}

#[test]
fn a_resume_begins_a_node_that_never_left_traffic_in_the_order_of_the_plan() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    b.plan.policy.failures_allowed = 1;
    b.plan.rules.insert(0, rule("PRE-APPLY", FailureAction::Stop));
    let mut world = World::new(b.plan).answering(|planned, _| {
        let on = planned.subject.node().map(NodeName::as_str);
        let fails =
            matches!((planned.key.as_str(), on), ("apply", Some("a")) | ("guard", Some("b")));
        fails.then(|| Report::bare(End::NotMet("no".into())))
    });
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    world.answer = Box::new(|_, _| None);
    let before = world.records.len();
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(begun_after(&world, before).first().map(String::as_str), Some("guard@a"));
}
