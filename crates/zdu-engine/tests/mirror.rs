//! What an undrain mirrors: the reading of the group from before the drain, and no other.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{count, plan_of, until_begun};
use std::collections::BTreeMap;
use world::{World, node};
use zdu_engine::readings_before_drains;
use zdu_model::event::Request;
use zdu_model::report::{Evidence, MemberState, Report};
use zdu_model::verdict::Verdict;

fn one_node() -> World {
    World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan)
}

/// What was there of each node, and whether it is out.
fn mirrors(world: &World) -> BTreeMap<String, (Vec<MemberState>, bool)> {
    let seen = readings_before_drains(world.rollout.plan(), &world.records);
    let told = seen.into_iter().map(|(node, mirror)| {
        let members = mirror.readings.iter().flat_map(|reading| &reading.members);
        let own = members.filter(|member| member.node == node).map(|member| member.state);
        (node.to_string(), (own.collect(), mirror.out))
    });
    told.collect()
}

fn of_a(state: MemberState, out: bool) -> BTreeMap<String, (Vec<MemberState>, bool)> {
    BTreeMap::from([("a".into(), (vec![state], out))])
}

#[test]
fn a_node_is_mirrored_by_what_its_guard_read_and_out_until_its_undrain_has_passed() {
    let mut world = one_node();
    until_begun(&mut world, "guard", "a", 1);
    assert_eq!(mirrors(&world), BTreeMap::new(), "it was not read yet");
    world.turn();
    assert_eq!(mirrors(&world), of_a(MemberState::Serving, false));
    until_begun(&mut world, "drain", "a", 1);
    assert_eq!(mirrors(&world), of_a(MemberState::Serving, true));
    until_begun(&mut world, "undrain", "a", 1);
    assert_eq!(mirrors(&world), of_a(MemberState::Serving, true), "it may not have landed");
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(mirrors(&world), of_a(MemberState::Serving, false));
}

#[test]
fn what_another_guard_reads_of_a_node_that_is_out_is_our_own_drain_and_no_mirror() {
    let mut world = one_node();
    until_begun(&mut world, "drain", "a", 1);
    // It landed, and the controller died before it heard of that.
    world.queue.clear();
    world.serving.insert(node("a"), MemberState::Draining);
    world.crash();
    until_begun(&mut world, "certify", "a", 1);
    assert_eq!(count(&world, "guard@a"), 2);
    assert_eq!(mirrors(&world), of_a(MemberState::Serving, true));
}

#[test]
fn a_node_that_returned_is_mirrored_by_what_the_next_guard_reads() {
    let mut world = one_node();
    assert_eq!(world.run(), Verdict::Succeeded);
    world.serving.insert(node("a"), MemberState::Maintenance);
    world.request(Request::Rollback);
    until_begun(&mut world, "certify", "a", 2);
    assert_eq!(mirrors(&world), of_a(MemberState::Maintenance, true));
}

#[test]
fn a_guard_that_let_nobody_out_is_no_mirror() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a"]], 1, 1).plan);
    world.serving.insert(node("b"), MemberState::Down);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!(mirrors(&world), BTreeMap::new());
}

#[test]
fn what_another_step_read_of_the_balancers_is_no_mirror() {
    let mut world = one_node().answering(|planned, _| {
        let reading = Evidence::Balancers(vec![]);
        let serves = planned.key.as_str() == "serving";
        serves.then(|| Report::with(zdu_model::report::End::Done, reading))
    });
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(mirrors(&world), of_a(MemberState::Serving, false));
}
