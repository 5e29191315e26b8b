//! Points of no return: crossed only by the policy or a person, never crossed back.
#![allow(missing_docs, reason = "tests")]

mod script;
mod world;

use script::{count, plan_of, set_aside};
use world::{Builder, World, node, rule};
use zdu_engine::{Input, Refusal};
use zdu_model::effect::Effect;
use zdu_model::event::Request;
use zdu_model::ids::StepNo;
use zdu_model::plan::Subject;
use zdu_model::policy::FailureAction;
use zdu_model::report::{End, Report};
use zdu_model::verdict::Verdict;

/// `apply` fails on this node.
fn fails_on(b: Builder, on: &'static str) -> World {
    World::new(b.plan).answering(move |planned, _| {
        let here = planned.key.as_str() == "apply" && planned.subject.node() == Some(&node(on));
        here.then(|| Report::bare(End::Exited(1)))
    })
}

fn point(b: &mut Builder, step: StepNo) {
    b.plan.policy.cross_point_of_no_return = true;
    b.get(step).point_of_no_return = true;
    b.get(step).undo.clear();
}

#[test]
fn what_comes_behind_a_point_of_no_return_can_go_back_to_it() {
    let mut b = Builder::new(&["a"], 0);
    b.fleet_stage(&["migrate"]);
    point(&mut b, StepNo(0));
    b.rolling_stage(&[&["a"]], 1);
    let mut world = fails_on(b, "a");
    let verdict = world.run();
    assert!(matches!(&verdict, Verdict::Failed { rolled_back, .. } if rolled_back == &[node("a")]));
    assert_eq!(count(&world, "stop-new@a"), 1);
    let refused = world.rollout.refuses(&Request::Rollback);
    assert_eq!(refused, Some(Refusal::PointOfNoReturn(StepNo(0))));
}

#[test]
fn a_node_with_something_before_a_point_of_no_return_is_held_and_not_half_put_back() {
    let mut b = Builder::new(&["a"], 0);
    b.nodes_stage();
    b.fleet_stage(&["migrate"]);
    let migrate = b.plan.stages[1].waves[0].lanes[0].steps[0];
    point(&mut b, migrate);
    b.rolling_stage(&[&["a"]], 1);
    let mut world = fails_on(b, "a");
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!((count(&world, "stop-new@a"), count(&world, "clean@a")), (0, 0));
}

#[test]
fn a_point_of_no_return_at_a_gate_keeps_the_waves_before_it() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    let announce = b.step(&Subject::Fleet, "announce", "POST-APPLY", world::run());
    b.plan.stages[0].waves[0].gate.push(announce);
    point(&mut b, announce);
    b.plan.rules = vec![rule("APPLY", FailureAction::RollbackRollout)];
    let mut world = fails_on(b, "b");
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!((count(&world, "stop-new@a"), count(&world, "stop-new@b")), (0, 1));
}

#[test]
fn of_several_points_the_last_is_named() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    for on in ["a", "b"] {
        let apply = b.find("apply", on).no;
        point(&mut b, apply);
    }
    let last = b.find("apply", "b").no;
    let mut world = World::new(b.plan);
    assert_eq!(world.run(), Verdict::Succeeded);
    let refusal = world.rollout.refuses(&Request::Rollback).expect("it cannot go back");
    let text = format!("step {last} is a point of no return and was begun: it cannot be undone");
    assert_eq!(refusal.to_string(), text);
}

#[test]
fn an_abort_leaves_what_a_point_of_no_return_keeps_and_puts_the_others_back() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    let apply = b.find("apply", "a").no;
    point(&mut b, apply);
    let mut world = World::new(b.plan);
    let aside = set_aside(&mut world, "apply", "a");
    script::until_begun(&mut world, "apply", "b", 1);
    world.queue.push_front(aside);
    world.request(Request::Abort);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!((count(&world, "undrain@a"), count(&world, "undrain@b")), (0, 1));
    // A person goes on: what could not go back goes forward.
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_point_of_no_return_that_never_began_is_not_crossed() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let apply = b.find("apply", "a").no;
    point(&mut b, apply);
    let mut world = World::new(b.plan);
    let effect = set_aside(&mut world, "apply", "a");
    let Effect::Run { step, attempt } = effect else { panic!("{effect:?} runs nothing") };
    assert!(world.rollout.refuses(&Request::Rollback).is_some(), "it may have begun");
    world.input(&Input::Report { step, attempt, report: Report::bare(End::Never) });
    assert_eq!(world.rollout.refuses(&Request::Rollback), None);
}
