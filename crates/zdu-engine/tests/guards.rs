//! Laws 1 and 2 when nobody watched, at a takeover or because the controller stood still: the
//! capacity a drain goes by and the certificate a step needs are read again.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{begun_after, count, drift, plan_of, set_aside, until_begun};
use world::{World, node};
use zdu_engine::Input;
use zdu_model::effect::Effect;
use zdu_model::plan::Work;
use zdu_model::report::*;
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

#[test]
fn a_drain_found_begun_is_asked_for_again_behind_a_guard_and_not_held_out_before() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a", "b"]], 1, 1).plan);
    until_begun(&mut world, "drain", "a", 1);
    // The beginning is durable, the drain was never sent, and another hand takes b out meanwhile.
    world.queue.clear();
    world.serving.insert(node("b"), MemberState::Maintenance);
    let before = world.records.len();
    world.crash();
    world.input(&Input::Advance);
    let begun = begun_after(&world, before);
    assert_eq!(begun.first().map(String::as_str), Some("guard@a"), "begun: {begun:?}");
    let acts = |effect: &Effect| matches!(effect, Effect::KeepOut { .. } | Effect::Recover { .. });
    assert!(!world.queue.iter().any(acts), "queue: {:?}", world.queue);
    world.serving.insert(node("b"), MemberState::Serving);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!((count(&world, "guard@a"), count(&world, "drain@a")), (2, 1));
}

#[test]
fn a_controller_that_comes_between_guard_and_drain_reads_again() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "guard", "a", 1);
    assert!(world.turn());
    let drains = world.log.contains(&"drain@a".to_owned());
    assert!(!drains, "log {:?}", world.log);
    let before = world.records.len();
    world.crash();
    world.input(&Input::Advance);
    let begun = begun_after(&world, before);
    assert_eq!(begun.first().map(String::as_str), Some("guard@a"), "begun: {begun:?}");
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn what_is_simply_asked_again_on_a_drained_node_waits_for_its_certificate_at_a_takeover() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    for step in b.plan.steps.iter_mut().filter(|step| step.key.as_str() == "apply") {
        step.work = Work::Backup { path: "/srv/app".into(), to: "/srv/app.old".into() };
    }
    let mut world = World::new(b.plan);
    until_begun(&mut world, "apply", "a", 1);
    world.queue.clear();
    let before = world.records.len();
    world.crash();
    world.input(&Input::Advance);
    let begun = begun_after(&world, before);
    assert_eq!(begun, ["certify@a"]);
    assert!(!world.queue.iter().any(|effect| matches!(effect, Effect::Recover { .. })));
    assert_eq!(world.run(), Verdict::Succeeded);
}

const STILL: Input = Input::StoodStill { span: Millis::from_secs(30) };

/// What a reading that was under way answers once the controller goes on, and has begun behind it.
fn answered_from_before(key: &str) -> (World, Vec<String>) {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let asked = set_aside(&mut world, key, "a");
    let Effect::Run { step, attempt } = asked else { panic!("{asked:?} runs nothing") };
    let before = world.records.len();
    world.input(&STILL);
    assert!(world.queue.contains(&Effect::Cancel { step, attempt }), "queue {:?}", world.queue);
    world.play(&asked);
    world.input(&Input::Advance);
    let begun = begun_after(&world, before);
    (world, begun)
}

#[test]
fn a_certificate_on_its_way_while_the_controller_stood_still_begins_nothing() {
    let (mut world, begun) = answered_from_before("certify");
    assert_eq!(begun, ["certify@a"]);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(count(&world, "apply@a"), 1);
}

#[test]
fn a_reading_of_the_group_from_before_the_controller_stood_still_drains_nothing() {
    let (mut world, begun) = answered_from_before("guard");
    assert_eq!(begun, ["guard@a"]);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(count(&world, "drain@a"), 1);
}

#[test]
fn a_step_that_ran_while_the_controller_stood_still_is_followed_by_a_new_certificate() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "stop-old", "a", 1);
    let before = world.records.len();
    world.input(&STILL);
    assert_eq!(world.run(), Verdict::Succeeded);
    let begun = begun_after(&world, before);
    assert_eq!(begun[..2], ["certify@a", "apply@a"], "begun: {begun:?}");
    assert_eq!(count(&world, "stop-old@a"), 1);
}

#[test]
fn what_waits_behind_its_guard_is_guarded_again_after_the_controller_stood_still() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("drain", "a").attempts = 2;
    let refused = End::NotMet("refused".into());
    let mut world = script::failing(World::new(b.plan), "drain", "a", 1, refused);
    until_begun(&mut world, "drain", "a", 1);
    let before = world.records.len();
    world.input(&STILL);
    assert_eq!(world.run(), Verdict::Succeeded);
    let begun = begun_after(&world, before);
    assert_eq!(begun[..2], ["guard@a", "drain@a"], "begun: {begun:?}");
}

#[test]
fn a_rollout_that_has_ended_does_not_note_that_its_controller_stood_still() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    assert_eq!(world.run(), Verdict::Succeeded);
    let before = world.records.len();
    world.input(&STILL);
    assert_eq!(world.records.len(), before);
}

/// The rounds of one turn.
fn go_on(world: &mut World) {
    for _ in 0..4 {
        world.input(&Input::Advance);
    }
}

/// The controller stood still before it reached anything, and its driver has withdrawn it.
fn withdraw(world: &mut World, effect: &Effect) {
    let Effect::Run { step, attempt } = *effect else { panic!("{effect:?} runs nothing") };
    world.input(&STILL);
    world.input(&Input::Report { step, attempt, report: Report::bare(End::Never) });
}

#[test]
fn a_certificate_that_a_drift_overtook_begins_nothing() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let certify = set_aside(&mut world, "certify", "a");
    let before = world.records.len();
    drift(&mut world, "a");
    // Its last sample was taken before the balancer was seen to send traffic again.
    world.play(&certify);
    go_on(&mut world);
    assert_eq!(begun_after(&world, before), ["certify@a"]);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(count(&world, "apply@a"), 1);
}

#[test]
fn a_certificate_that_is_overtaken_again_and_again_is_for_a_rule() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let mut asked = set_aside(&mut world, "certify", "a");
    let mut times = 0;
    loop {
        times += 1;
        assert!(times < 100, "it has no bound");
        drift(&mut world, "a");
        world.play(&asked);
        go_on(&mut world);
        match world.queue.pop_front() {
            Some(next) => asked = next,
            None => break,
        }
    }
    assert!(times > 1, "it is had again");
    assert_eq!(count(&world, "apply@a"), 0);
}

#[test]
fn readiness_proved_before_the_controller_stood_still_returns_no_node() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let undrain = set_aside(&mut world, "undrain", "a");
    let before = world.records.len();
    withdraw(&mut world, &undrain);
    go_on(&mut world);
    assert_eq!(begun_after(&world, before), ["ready@a"]);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(count(&world, "undrain@a"), 1);
}

#[test]
fn a_node_whose_drain_was_withdrawn_is_not_said_to_be_out() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let drain = set_aside(&mut world, "drain", "a");
    assert!(world.rollout.nodes_out().contains(&node("a")));
    withdraw(&mut world, &drain);
    assert!(world.rollout.nodes_out().is_empty());
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_node_whose_return_was_withdrawn_is_held_out_by_the_next_controller() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let undrain = set_aside(&mut world, "undrain", "a");
    withdraw(&mut world, &undrain);
    world.crash();
    let held = Effect::KeepOut { node: node("a") };
    assert!(world.queue.contains(&held), "queue {:?}", world.queue);
    assert_eq!(world.run(), Verdict::Succeeded);
}
