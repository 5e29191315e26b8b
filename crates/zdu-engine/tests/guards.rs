//! Laws 1 and 2 at a takeover: the capacity a drain goes by and the certificate a step needs were
//! read by the controller that asks for it.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{begun_after, count, plan_of, until_begun};
use world::{World, node};
use zdu_engine::Input;
use zdu_model::effect::Effect;
use zdu_model::plan::Work;
use zdu_model::report::*;
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
