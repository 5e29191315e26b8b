//! What one turn begins, what it waits for and when it wants to be asked again.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{begun_after, plan_of, until_begun};
use std::sync::Arc;
use world::{Builder, World, node};
use zdu_engine::{Input, Rollout, Wake, WakeReason};
use zdu_model::effect::Effect;
use zdu_model::event::*;
use zdu_model::fleet::Group;
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::report::*;
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

#[test]
fn nothing_is_begun_before_a_controller_has_the_rollout() {
    let plan = Arc::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let mut rollout = Rollout::new(plan);
    assert!(rollout.decide(Timestamp(1), &Input::Advance).is_nothing());
    let started = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan).records[0].clone();
    rollout.evolve(&started).expect("the first record");
    assert!(rollout.decide(Timestamp(1), &Input::Advance).is_nothing());
    assert!(rollout.evolve(&started).is_err(), "a rollout starts once");
}

#[test]
fn no_more_lanes_are_under_way_than_the_wave_allows() {
    let mut b = Builder::new(&["a", "b", "c", "d", "e"], 0);
    b.nodes_stage();
    b.plan.stages[0].waves[0].parallel = 2;
    let mut world = World::new(b.plan);
    let before = world.records.len();
    world.input(&Input::Advance);
    world.input(&Input::Advance);
    assert_eq!(begun_after(&world, before), ["upgrade@a", "upgrade@b"]);
    let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
    let before = world.records.len();
    world.input(&Input::Report { step, attempt, report: Report::bare(End::Exited(0)) });
    world.input(&Input::Advance);
    world.input(&Input::Advance);
    assert_eq!(begun_after(&world, before), ["upgrade@c"]);
}

#[test]
fn a_lane_that_waits_for_the_entrance_takes_no_place_from_one_of_another_group() {
    let mut b = plan_of(&["a", "b", "c"], &[&["a", "b", "c"]], 2, 0);
    let groups = &mut b.plan.fleet.groups;
    let c = groups[0].nodes.pop().expect("three");
    let name = GroupName::new("other").expect("a name");
    groups.push(Group { name: name.clone(), min_available: 0, nodes: vec![c] });
    b.find("guard", "c").work = Work::Guard { group: name };
    let mut world = World::new(b.plan);
    let before = world.records.len();
    world.input(&Input::Advance);
    assert_eq!(begun_after(&world, before), ["guard@a", "guard@c"]);
}

#[test]
fn a_wide_wave_begins_all_that_it_may() {
    let names: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut b = Builder::new(&names, 0);
    b.nodes_stage();
    let mut world = World::new(b.plan);
    let before = world.records.len();
    for _ in 0..3 {
        world.input(&Input::Advance);
    }
    assert_eq!(begun_after(&world, before).len(), 100);
}

fn wake(world: &World) -> Option<Wake> {
    world.rollout.decide(world.now, &Input::Advance).wake
}

#[test]
fn every_wait_names_its_end_and_its_reason() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.policy.soak = Millis(1000);
    b.find("drain", "a").attempts = 2;
    let mut world = World::new(b.plan);
    until_begun(&mut world, "drain", "a", 1);
    let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
    // 30 s for the step, 10 s to reach the node again, 60 s of grace for the driver.
    let overdue =
        Wake { at: world.now.after(Millis(100_000)), reason: WakeReason::DriverOverdue(step) };
    assert_eq!(wake(&world), Some(overdue));
    world.input(&Input::Report { step, attempt, report: Report::bare(End::TimedOut) });
    world.input(&Input::Advance);
    let again = Wake { at: world.now.after(Millis(2_000)), reason: WakeReason::Scheduled(step) };
    assert_eq!(wake(&world), Some(again));
    world.now = world.now.after(Millis(1_999));
    assert!(world.rollout.decide(world.now, &Input::Advance).is_nothing());
    until_begun(&mut world, "serving", "a", 1);
    world.turn();
    world.turn();
    let soak = world.rollout.plan().stages[0].waves[0].gate[0];
    let ends = Wake { at: world.now.after(Millis(1_000)), reason: WakeReason::SoakEnds(soak) };
    assert_eq!(wake(&world), Some(ends));
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(wake(&world), None);
}

#[test]
fn a_person_is_waited_for_until_the_newest_question_is_old_enough() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("apply", "a").point_of_no_return = true;
    let mut world = World::new(b.plan);
    script::until_held(&mut world);
    let asked = world.now;
    let expires = Wake { at: asked.after(Millis(3_600_000)), reason: WakeReason::HoldExpires };
    assert_eq!(wake(&world), Some(expires));
    world.now = Timestamp(expires.at.0 - 1);
    assert!(world.rollout.decide(world.now, &Input::Advance).is_nothing());
    world.now = expires.at;
    world.input(&Input::Advance);
    assert_eq!(world.rollout.verdict(), Some(&Verdict::Held));
}

#[test]
fn a_driver_that_never_answers_costs_its_deadline_and_the_node_is_asked() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "apply", "a", 1);
    world.queue.clear();
    let before = world.now;
    assert_eq!(world.run(), Verdict::Succeeded);
    assert!(world.now.since(before) >= Millis(100_000));
    let asked = |e: &Event| matches!(e, Event::StepUnknown { how: Inquiry::Recover, .. });
    assert!(world.has(asked));
}

#[test]
fn a_manual_step_nobody_does_times_out_at_its_own_deadline() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("apply", "a").work = Work::Manual { instruction: "press it".into() };
    let mut world = World::new(b.plan);
    until_begun(&mut world, "apply", "a", 1);
    let before = world.now;
    assert!(world.queue.is_empty(), "nobody but a person is asked");
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    let timed_out =
        |e: &Event| matches!(e, Event::StepEnded { report, .. } if report.end == End::TimedOut);
    let end = world.records.iter().find(|r| timed_out(&r.event)).expect("it timed out");
    assert_eq!(end.at.since(before), Millis(30_000));
}

#[test]
fn drift_is_told_only_of_a_node_that_is_out() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0).plan);
    until_begun(&mut world, "apply", "a", 1);
    let before = world.records.len();
    script::drift(&mut world, "b");
    assert_eq!(world.records.len(), before);
    script::drift(&mut world, "a");
    assert_eq!(world.records.len(), before + 1);
    let instance = InstanceName::new("lb-a").expect("a name");
    let change = Input::InstanceChanged { instance, up: false, reason: String::new() };
    world.input(&change);
    assert_eq!(world.records.len(), before + 2);
    assert_eq!(world.run(), Verdict::Succeeded);
    let end = world.records.len();
    world.input(&change);
    script::drift(&mut world, "a");
    assert_eq!(world.records.len(), end, "what has ended watches nothing");
}

#[test]
fn a_new_controller_holds_out_what_is_out_and_asks_about_what_was_begun() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0).plan);
    until_begun(&mut world, "apply", "a", 1);
    let Some(Effect::Run { step, attempt }) = world.queue.front().cloned() else { panic!("runs") };
    world.crash();
    let keep = Effect::KeepOut { node: node("a") };
    assert_eq!(world.queue, [keep, Effect::Recover { step, attempt }]);
    assert_eq!(world.run(), Verdict::Succeeded);
    world.queue.clear();
    world.crash();
    assert!(world.queue.is_empty(), "what has ended is left alone");
}

#[test]
fn a_hold_waits_for_a_step_that_will_be_tried_again() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    b.find("drain", "a").attempts = 2;
    let not_met = End::NotMet("half".into());
    let mut world = script::failing(World::new(b.plan), "drain", "a", 1, not_met);
    until_begun(&mut world, "drain", "a", 1);
    world.turn();
    world.request(Request::Hold);
    world.input(&Input::Advance);
    world.input(&Input::Advance);
    assert_eq!(world.rollout.verdict(), None, "its node is out");
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!(world.log.last().map(String::as_str), Some("serving@a"));
}

#[test]
fn a_certificate_that_was_refused_is_asked_for_again_by_nobody_but_a_person() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules = vec![world::rule("PRE-APPLY", zdu_model::policy::FailureAction::Hold)];
    b.find("apply", "a").attempts = 2;
    let mut world = script::failing(World::new(b.plan), "apply", "a", 1, End::Exited(1));
    until_begun(&mut world, "apply", "a", 1);
    world.turn();
    world.turn();
    script::drift(&mut world, "a");
    let mut world = script::always(world, "certify", "a", End::NotMet("busy".into()));
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!(script::count(&world, "certify@a"), 2);
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_plan_that_asks_a_node_for_no_readiness_returns_it_without() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    let mine = |step: &&mut PlannedStep| step.subject.node() == Some(&node("a"));
    for step in b.plan.steps.iter_mut().filter(mine) {
        if matches!(step.work, Work::Ready(_)) {
            step.work = world::run();
        }
    }
    assert_eq!(World::new(b.plan).run(), Verdict::Succeeded);
}

#[test]
fn an_abort_cuts_short_the_waits_of_drivers_and_no_command() {
    for (key, cut) in [("certify", true), ("apply", false)] {
        let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
        until_begun(&mut world, key, "a", 1);
        let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
        world.request(Request::Abort);
        let cancels = world.queue.contains(&Effect::Cancel { step, attempt });
        assert_eq!(cancels, cut, "{key}");
    }
    // The soak is nobody's but the engine's: it ends with the request.
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "serving", "a", 1);
    world.turn();
    world.turn();
    world.request(Request::Abort);
    assert!(world.queue.is_empty());
    let asked = world.now;
    assert_eq!(world.run(), Verdict::Aborted);
    assert_eq!(world.now, asked);
}

#[test]
fn a_controller_is_newer_than_the_last_and_signs_with_its_own_epoch() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    world.crash();
    for (epoch, taken) in [(2, 2), (1, 1), (3, 4), (4, 3)] {
        let (epoch, owner) = (Epoch(epoch), String::new());
        let event = Event::ControllerStarted { epoch: Epoch(taken), owner };
        let record = Record { seq: Seq(99), at: world.now, epoch, event };
        assert!(world.replay().evolve(&record).is_err(), "{record:?}");
    }
}

fn lane_without(keys: &[&str]) -> World {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let steps = b.plan.steps.clone();
    let kept = |no: &StepNo| !keys.contains(&steps[no.0 as usize].key.as_str());
    b.plan.stages[0].waves[0].lanes[0].steps.retain(kept);
    World::new(b.plan)
}

#[test]
#[should_panic(expected = "needs node a drained and certified")]
fn a_plan_that_disturbs_a_node_in_traffic_stops_the_engine_and_not_the_node() {
    let _verdict = lane_without(&["guard", "drain", "certify"]).run();
}

#[test]
#[should_panic(expected = "returns node a before it proved ready")]
fn a_plan_that_returns_a_node_before_it_proved_ready_stops_the_engine() {
    let mut world = lane_without(&["ready"]);
    until_begun(&mut world, "undrain", "a", 1);
}
