//! Law 1: who counts as serving when a guard reads a group.
#![allow(missing_docs, reason = "tests")]

mod script;
mod world;

use script::{begun_after, plan_of, set_aside};
use world::{World, member, node};
use zdu_engine::Input;
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::Event;
use zdu_model::ids::{BalancerName, InstanceName};
use zdu_model::report::*;

fn reads(members: &[(&str, &str, MemberState)]) -> Report {
    let of = |(on, server, state): &(&str, &str, MemberState)| MemberReading {
        node: node(on),
        member: member(server),
        state: *state,
        held: Held::Ready,
        sessions: None,
        queued: None,
        weight: None,
        detail: String::new(),
    };
    let reading = InstanceReading {
        balancer: BalancerName::new("edge").expect("a name"),
        instance: InstanceName::new("lb-a").expect("a name"),
        error: None,
        members: members.iter().map(of).collect(),
    };
    Report::with(End::Done, Evidence::Balancers(vec![reading]))
}

/// How the first guard ends when it reads this and one other node must serve.
fn guarded(members: &'static [(&'static str, &'static str, MemberState)]) -> Option<Class> {
    let mut b = plan_of(&["a", "b"], &[&["a"]], 1, 1);
    b.find("guard", "a").contract.again.max = 0;
    let mut world = World::new(b.plan)
        .answering(move |step, _| (step.key.as_str() == "guard").then(|| reads(members)));
    let _verdict = world.run();
    world.records.iter().find_map(|record| {
        let Event::StepEnded { class, .. } = record.event else { return None };
        Some(class)
    })
}

#[test]
fn a_node_serves_only_where_all_its_members_do() {
    use MemberState::{Down, Serving};
    let both = &[("a", "a", Serving), ("b", "b1", Serving), ("b", "b2", Serving)];
    assert_eq!(guarded(both), Some(Class::Succeeded));
    let half = &[("a", "a", Serving), ("b", "b1", Serving), ("b", "b2", Down)];
    assert_eq!(guarded(half), Some(Class::Again));
}

#[test]
fn a_node_we_hold_out_does_not_serve_though_a_reload_has_forgotten_that() {
    use MemberState::Serving;
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 1);
    b.find("guard", "b").contract.again.max = 0;
    let plan = b.plan.clone();
    let shows = &[("a", "a", Serving), ("b", "b", Serving)];
    let mut world = World::new(b.plan)
        .answering(|step, _| (step.key.as_str() == "guard").then(|| reads(shows)));
    let _verdict = world.run();
    let guards = world.records.iter().filter_map(|record| {
        let Event::StepEnded { step, class, report, .. } = &record.event else { return None };
        let guard = plan.step(*step);
        (guard.key.as_str() == "guard").then(|| (guard.subject.node().cloned(), *class, report))
    });
    let guards: Vec<_> = guards.take(2).collect();
    assert_eq!((&guards[0].0, guards[0].1), (&Some(node("a")), Class::Succeeded));
    assert_eq!((&guards[1].0, guards[1].1), (&Some(node("b")), Class::Again));
    let End::Waiting(why) = &guards[1].2.end else { panic!("{:?}", guards[1]) };
    assert!(why.contains("; a is to be out and shows "), "{why}");
}

#[test]
fn a_node_that_is_not_let_out_yet_keeps_the_entrance_from_nobody() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a", "b"]], 2, 0).plan);
    let guard = set_aside(&mut world, "guard", "a");
    let Effect::Run { step, attempt } = guard else { panic!("it runs") };
    let before = world.records.len();
    world.input(&Input::Advance);
    assert_eq!(begun_after(&world, before), [""; 0]);
    let report = Report::bare(End::Waiting("busy".into()));
    world.input(&Input::Report { step, attempt, report });
    for _ in 0..4 {
        world.input(&Input::Advance);
    }
    assert_eq!(begun_after(&world, before), ["guard@b"]);
}
