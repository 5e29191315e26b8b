//! What a new controller asks about, and how.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{plan_of, until_begun};
use world::World;
use zdu_engine::StepStatus;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Inquiry};
use zdu_model::plan::{Ask, Probe, Unknown, Want, Work};
use zdu_model::report::{End, Report};
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

#[test]
fn a_step_that_its_probes_were_asked_about_is_asked_about_by_its_probes_again() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let (ask, want) = (Ask::Tcp("x:1".into()), Want::default());
    let done = Box::new(Probe { ask, want, times: 1, every: Millis(1) });
    let apply = b.find("apply", "a");
    apply.unknown = Unknown::Observe { done, not_done: None };
    let (step, attempt) = (apply.no, 1);
    let mut world = World::new(b.plan).answering(|planned, effect| {
        let lost = End::Lost("the node has booted since".into());
        let runs = planned.key.as_str() == "apply" && matches!(effect, Effect::Run { .. });
        runs.then(|| Report::bare(lost))
    });
    until_begun(&mut world, "apply", "a", 1);
    let observe = Effect::Observe { step, attempt };
    while !world.queue.contains(&observe) {
        assert!(world.turn(), "log {:?}", world.log);
    }
    world.crash();
    assert!(world.queue.contains(&observe), "queue {:?}", world.queue);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn nobody_is_asked_about_what_only_waits_for_the_clock_or_for_a_person() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("apply", "a").work = Work::Manual { instruction: "press it".into() };
    let mut world = World::new(b.plan.clone());
    until_begun(&mut world, "apply", "a", 1);
    let unknown = |event: &Event| matches!(event, Event::StepUnknown { .. });
    world.crash();
    assert!(!world.has(unknown));

    b.find("apply", "a").work = world::run();
    let soak = b.plan.stages[0].waves[0].gate[0];
    let mut world = World::new(b.plan);
    while !matches!(world.rollout.step_status(soak).0, StepStatus::Running { .. }) {
        assert!(world.turn(), "log {:?}", world.log);
    }
    world.crash();
    assert!(!world.has(unknown) && world.queue.is_empty(), "queue {:?}", world.queue);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_step_whose_node_is_being_asked_is_asked_about_again() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "apply", "a", 1);
    for _ in 0..2 {
        world.crash();
        let asked = |effect: &Effect| matches!(effect, Effect::Recover { .. });
        assert_eq!(world.queue.iter().filter(|effect| asked(effect)).count(), 1);
    }
    let asked = |event: &Event| matches!(event, Event::StepUnknown { how: Inquiry::Recover, .. });
    assert!(world.has(asked));
    assert_eq!(world.run(), Verdict::Succeeded);
}
