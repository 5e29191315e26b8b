//! What never began, what began before it, and what was read while a balancer changed.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{begun_after, count, failing, plan_of, set_aside, until_begun};
use world::{Builder, World, node};
use zdu_engine::Input;
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Request};
use zdu_model::ids::InstanceName;
use zdu_model::plan::{PlannedStep, Work};
use zdu_model::report::{End, Report};
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

fn answer(world: &mut World, effect: &Effect, end: End) {
    let Effect::Run { step, attempt } = *effect else { panic!("{effect:?} runs nothing") };
    world.input(&Input::Report { step, attempt, report: Report::bare(end) });
}

const STILL: Input = Input::StoodStill { span: Millis::from_secs(30) };

/// Everything that is begun before anybody answers.
fn go_on(world: &mut World) {
    for _ in 0..4 {
        world.input(&Input::Advance);
    }
}

/// The first attempt of a step fails, the second is withdrawn before it began.
fn withdrawn_the_second_time(mut b: Builder, key: &'static str) -> World {
    b.find(key, "a").attempts = 2;
    let mut world = failing(World::new(b.plan), key, "a", 1, End::NotMet("half".into()));
    until_begun(&mut world, key, "a", 2);
    let second = world.queue.pop_front().expect("it runs");
    answer(&mut world, &second, End::Never);
    world
}

#[test]
fn a_step_whose_last_attempt_never_began_is_undone_for_the_one_before() {
    let mut world = withdrawn_the_second_time(plan_of(&["a"], &[&["a"]], 1, 0), "apply");
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!(count(&world, "stop-new@a"), 1, "log {:?}", world.log);
}

#[test]
fn a_step_that_never_began_is_not_undone() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let apply = set_aside(&mut world, "apply", "a");
    answer(&mut world, &apply, End::Never);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!((count(&world, "stop-new@a"), count(&world, "start-old@a")), (0, 1));
}

#[test]
fn a_drain_that_may_have_landed_in_part_leaves_its_node_out_though_it_was_withdrawn_since() {
    let world = withdrawn_the_second_time(plan_of(&["a"], &[&["a"]], 1, 0), "drain");
    assert!(world.rollout.nodes_out().contains(&node("a")));
}

#[test]
fn a_point_of_no_return_stays_crossed_when_trying_it_again_never_began() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.policy.cross_point_of_no_return = true;
    let apply = b.find("apply", "a");
    apply.point_of_no_return = true;
    apply.undo.clear();
    let world = withdrawn_the_second_time(b, "apply");
    assert!(world.rollout.refuses(&Request::Rollback).is_some());
}

#[test]
fn a_node_whose_return_was_withdrawn_is_out() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let undrain = set_aside(&mut world, "undrain", "a");
    assert!(world.rollout.nodes_out().is_empty());
    answer(&mut world, &undrain, End::Never);
    assert!(world.rollout.nodes_out().contains(&node("a")));
    assert_eq!(world.run(), Verdict::Succeeded);
    assert!(world.rollout.nodes_out().is_empty());
}

#[test]
fn a_node_whose_return_was_withdrawn_is_certified_again_before_it_is_put_back() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("stop-new", "a").needs_drain = true;
    let mut world = World::new(b.plan);
    let undrain = set_aside(&mut world, "undrain", "a");
    answer(&mut world, &undrain, End::Never);
    let before = world.log.len();
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!(world.log[before..][..2], ["certify@a", "stop-new@a"]);
}

#[test]
fn a_node_that_was_returning_when_its_controller_died_may_still_be_out() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "undrain", "a", 1);
    assert!(world.rollout.nodes_out().is_empty());
    world.crash();
    assert!(world.rollout.nodes_out().contains(&node("a")));
    assert_eq!(world.run(), Verdict::Succeeded);
    assert!(world.rollout.nodes_out().is_empty());
}

#[test]
fn what_a_reading_answers_that_an_instance_overtook_begins_nothing() {
    for (key, next) in [("guard", "drain@a"), ("certify", "stop-old@a")] {
        let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
        let reading = set_aside(&mut world, key, "a");
        let before = world.records.len();
        let instance = InstanceName::new("lb-a").expect("a name");
        world.input(&Input::InstanceChanged { instance, up: true, reason: String::new() });
        world.play(&reading);
        let told = world.records.last().map(|record| &record.event);
        let Some(Event::StepEnded { class, report, .. }) = told else { panic!("{told:?}") };
        let why = End::Waiting("a balancer changed while it was read".into());
        assert_eq!((*class, &report.end), (Class::Again, &why));
        go_on(&mut world);
        assert_eq!(begun_after(&world, before), [format!("{key}@a")]);
        assert_eq!(world.run(), Verdict::Succeeded);
        assert_eq!(count(&world, next), 1);
    }
}

#[test]
fn readiness_on_its_way_while_the_controller_stood_still_returns_no_node() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let ready = set_aside(&mut world, "ready", "a");
    let before = world.records.len();
    world.input(&STILL);
    world.play(&ready);
    go_on(&mut world);
    assert_eq!(begun_after(&world, before), ["ready@a"]);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(count(&world, "undrain@a"), 1);
}

#[test]
fn a_reading_that_a_new_controller_looks_up_is_given_up_too_when_it_stands_still() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "certify", "a", 1);
    world.crash();
    let asked = |effect: &Effect| matches!(effect, Effect::Recover { .. });
    let at = world.queue.iter().position(asked).expect("it is looked up");
    let asked = world.queue.remove(at).expect("there");
    let before = world.records.len();
    world.input(&STILL);
    world.play(&asked);
    go_on(&mut world);
    assert_eq!(begun_after(&world, before), ["certify@a"]);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_drift_takes_nothing_from_a_command_that_runs_nor_from_the_certificate_of_another_node() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a", "b"]], 2, 0).plan);
    let apply = set_aside(&mut world, "apply", "a");
    let certify = set_aside(&mut world, "certify", "b");
    let before = world.records.len();
    script::drift(&mut world, "a");
    world.play(&apply);
    world.play(&certify);
    go_on(&mut world);
    assert_eq!(begun_after(&world, before), ["ready@a", "stop-old@b"]);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!((count(&world, "apply@a"), count(&world, "certify@b")), (1, 1));
}

fn is_held_out(world: &World) -> bool {
    world.queue.contains(&Effect::KeepOut { node: node("a") })
}

#[test]
fn a_node_whose_return_has_begun_is_not_held_out_by_the_next_controller() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "undrain", "a", 1);
    world.crash();
    assert!(!is_held_out(&world), "it may serve already: {:?}", world.queue);
    until_begun(&mut world, "serving", "a", 1);
    world.crash();
    assert!(!is_held_out(&world), "it serves: {:?}", world.queue);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_withdrawn_return_holds_no_node_out_whose_last_drain_did_not_pass() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.rolling_stage(&[&["a"]], 1);
    // In the second stage the drain lands in part; in the first it had passed.
    let second = b.plan.stages[1].waves[0].lanes[0].steps[1];
    let undrain = b.get(second).undo[1];
    let mut world = World::new(b.plan).answering(move |planned, _| {
        (planned.no == second).then(|| Report::bare(End::NotMet("half".into())))
    });
    until_begun(&mut world, "undrain", "a", 2);
    let back = world.queue.pop_front().expect("it runs");
    assert_eq!(back, Effect::Run { step: undrain, attempt: 1 });
    answer(&mut world, &back, End::Never);
    world.crash();
    assert!(!is_held_out(&world), "nobody read the group for it: {:?}", world.queue);
}

#[test]
fn a_node_that_is_drained_anew_is_held_out_by_the_next_controller_only_when_that_has_passed() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    // Nothing returns it when it is put back.
    b.find("drain", "a").undo.clear();
    let mut world = failing(World::new(b.plan), "apply", "a", 1, End::Exited(1));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert!(world.rollout.nodes_out().contains(&node("a")));
    world.request(Request::Resume);
    until_begun(&mut world, "drain", "a", 2);
    world.crash();
    assert!(!is_held_out(&world), "queue {:?}", world.queue);
    until_begun(&mut world, "certify", "a", 2);
    world.crash();
    assert!(is_held_out(&world), "queue {:?}", world.queue);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn the_certificate_from_before_a_node_served_again_is_worth_nothing_on_the_way_back() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    // Its way back drains it again and has no certificate of its own.
    let undrain = b.plan.stages[0].waves[0].lanes[0].steps[6];
    assert_eq!(b.get(undrain).undo.len(), 3);
    b.get(undrain).undo.pop();
    b.find("stop-new", "a").needs_drain = true;
    let mut world = World::new(b.plan);
    until_begun(&mut world, "serving", "a", 1);
    let before = world.log.len();
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    let back = ["serving@a", "guard@a", "drain@a", "certify@a", "stop-new@a"];
    assert_eq!(world.log[before..][..5], back);
}

/// A plan whose way back is this, by the keys of its acts.
fn way_back(keys: &[&str]) -> Builder {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let steps = b.plan.steps.clone();
    let of = |key: &&str| {
        let here = |s: &&PlannedStep| s.key.as_str() == *key && s.phase.as_str() == "ROLLBACK";
        steps.iter().find(here).expect("the plan has it").no
    };
    b.find("drain", "a").undo = keys.iter().map(of).collect();
    b
}

#[test]
#[should_panic(expected = "returns node a before it proved ready")]
fn a_plan_that_returns_a_node_on_what_it_proved_before_its_last_drain_stops_the_engine() {
    let mut world = World::new(way_back(&["undrain", "ready", "serving"]).plan);
    until_begun(&mut world, "serving", "a", 1);
    world.request(Request::Rollback);
    let _verdict = world.run();
}

#[test]
#[should_panic(expected = "needs node a drained and certified")]
fn a_plan_that_disturbs_a_node_that_has_returned_stops_the_engine() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let apply = b.find("apply", "a").no;
    let lane = &mut b.plan.stages[0].waves[0].lanes[0].steps;
    lane.retain(|step| *step != apply);
    lane.push(apply);
    let _verdict = World::new(b.plan).run();
}

#[test]
#[should_panic(expected = "needs node a drained and certified")]
fn a_drain_that_never_began_is_no_reason_to_certify_a_node_in_traffic() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.rolling_stage(&[&["a"]], 1);
    let undrain = b.plan.stages[0].waves[0].lanes[0].steps[6];
    // The way back of the first stage disturbs the node and drains it nowhere.
    assert_eq!(b.get(undrain).undo.len(), 3);
    b.get(undrain).undo.clear();
    b.find("stop-new", "a").needs_drain = true;
    let mut world = World::new(b.plan);
    until_begun(&mut world, "drain", "a", 2);
    let drain = world.queue.pop_front().expect("it runs");
    answer(&mut world, &drain, End::Never);
    world.request(Request::Rollback);
    let _verdict = world.run();
}

#[test]
#[should_panic(expected = "returns node a before it proved ready")]
fn a_plan_that_returns_a_node_on_what_it_proved_before_it_was_disturbed_stops_the_engine() {
    let mut b = way_back(&["undrain", "ready", "serving"]);
    b.find("start-old", "a").needs_drain = true;
    let mut world = World::new(b.plan);
    let undrain = set_aside(&mut world, "undrain", "a");
    answer(&mut world, &undrain, End::Never);
    world.request(Request::Rollback);
    let _verdict = world.run();
}

/// A plan that asks for readiness before a node returns, and on its way back for none.
fn way_back_without_readiness() -> Builder {
    let mut b = way_back(&["undrain", "serving"]);
    let back = |step: &&mut PlannedStep| step.phase.as_str() == "ROLLBACK";
    for step in b.plan.steps.iter_mut().filter(back) {
        if matches!(step.work, Work::Ready(_)) {
            step.work = Work::Serving;
        }
    }
    b
}

#[test]
fn a_plan_that_asks_for_no_readiness_on_the_way_back_returns_a_node_without() {
    let b = way_back_without_readiness();
    let mut world = failing(World::new(b.plan), "apply", "a", 1, End::Exited(1));
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
    assert_eq!((count(&world, "ready@a"), count(&world, "undrain@a")), (0, 1));
}

#[test]
fn readiness_that_is_proved_again_for_the_way_back_is_tried_again_and_then_stuck() {
    let mut b = way_back_without_readiness();
    let lane = b.plan.stages[0].waves[0].lanes[0].steps.clone();
    let ready = b.get(lane[5]);
    assert!(matches!(ready.work, Work::Ready(_)));
    ready.attempts = 2;
    let mut world = World::new(b.plan);
    let undrain = set_aside(&mut world, "undrain", "a");
    // It never began, so that only what came before it is undone.
    world.input(&STILL);
    answer(&mut world, &undrain, End::Never);
    let mut world = script::always(world, "ready", "a", End::NotMet("down".into()));
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!(count(&world, "ready@a"), 3, "once before, twice now: {:?}", world.log);
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!(count(&world, "undrain@a"), 1);
}

/// Rolled out, put back, rolled out again, and to be put back once more.
fn to_go_back_again() -> World {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    assert_eq!(world.run(), Verdict::Succeeded);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    world.request(Request::Rollback);
    world
}

#[test]
fn a_drain_of_a_second_rollback_that_was_withdrawn_leaves_no_node_out() {
    let mut world = to_go_back_again();
    until_begun(&mut world, "drain", "a", 4);
    let drain = world.queue.pop_front().expect("it runs");
    answer(&mut world, &drain, End::Never);
    assert!(world.rollout.nodes_out().is_empty());
}

#[test]
fn a_return_of_a_second_rollback_that_was_withdrawn_is_held_out() {
    let mut world = to_go_back_again();
    until_begun(&mut world, "undrain", "a", 4);
    let effect = world.queue.pop_front().expect("it runs");
    answer(&mut world, &effect, End::Never);
    world.crash();
    let held = Effect::KeepOut { node: node("a") };
    assert!(world.queue.contains(&held), "queue {:?}", world.queue);
}

#[test]
fn a_node_that_returned_in_part_is_out_though_the_drain_on_its_way_back_was_withdrawn() {
    let half = End::NotMet("half".into());
    let b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut world = failing(World::new(b.plan), "undrain", "a", 1, half);
    until_begun(&mut world, "drain", "a", 2);
    let drain = world.queue.pop_front().expect("it runs");
    answer(&mut world, &drain, End::Never);
    assert!(world.rollout.nodes_out().contains(&node("a")));
}

#[test]
fn a_return_on_a_second_way_back_that_was_withdrawn_is_held_out_too() {
    let b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut world = failing(World::new(b.plan), "apply", "a", 2, End::Exited(1));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    world.request(Request::Resume);
    until_begun(&mut world, "undrain", "a", 2);
    let effect = world.queue.pop_front().expect("it runs");
    answer(&mut world, &effect, End::Never);
    world.crash();
    assert!(is_held_out(&world), "queue {:?}", world.queue);
}
