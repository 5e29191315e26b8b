//! Short ways to say what happens in a test.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::wildcard_enum_match_arm,
    reason = "shared by the test files beside it"
)]

use crate::world::{Builder, World, member, node};
use zdu_engine::Input;
use zdu_model::effect::Effect;
use zdu_model::event::Event;
use zdu_model::ids::{InstanceName, NodeName};
use zdu_model::plan::Plan;
use zdu_model::report::{End, Report};

fn is(event: &Event, plan: &Plan, key: &str, on: &str) -> bool {
    let Event::StepStarted { step, .. } = event else { return false };
    let planned = plan.step(*step);
    planned.key.as_str() == key && planned.subject.node() == Some(&node(on))
}

/// Turns until the step has begun and its effect waits in the queue.
pub fn until_begun(world: &mut World, key: &str, on: &str, times: usize) {
    let plan = world.rollout.plan().clone();
    for _ in 0..2000 {
        if world.records.iter().filter(|r| is(&r.event, &plan, key, on)).count() >= times {
            return;
        }
        assert!(world.turn(), "nothing to do before {key}@{on}; log {:?}", world.log);
    }
    panic!("{key}@{on} never begins; log {:?}", world.log);
}

/// The keys begun after a record, with their nodes.
pub fn begun_after(world: &World, seq: usize) -> Vec<String> {
    let plan = world.rollout.plan().clone();
    world.records[seq..]
        .iter()
        .filter_map(|r| match &r.event {
            Event::StepStarted { step, .. } => {
                let p = plan.step(*step);
                Some(format!("{}@{}", p.key, p.subject.node().map_or("fleet", |n| n.as_str())))
            }
            _ => None,
        })
        .collect()
}

pub fn drift(world: &mut World, on: &str) {
    let instance = InstanceName::new("lb-a").expect("a name");
    world.input(&Input::Drift {
        node: node(on),
        instance,
        member: member(on),
        seen: "UP".into(),
        reasserted: true,
    });
}

pub fn plan_of(nodes: &[&str], waves: &[&[&str]], parallel: u32, min: u32) -> Builder {
    let mut b = Builder::new(nodes, min);
    b.rolling_stage(waves, parallel);
    b
}

/// Answers the first `times` runs of a step with this ending.
pub fn failing(
    mut world: World,
    key: &'static str,
    on: &'static str,
    times: u32,
    end: End,
) -> World {
    let mut left = times;
    world = world.answering(move |planned, effect| {
        let here = planned.key.as_str() == key && planned.subject.node() == Some(&node(on));
        if here && left > 0 && matches!(effect, Effect::Run { .. }) {
            left -= 1;
            return Some(Report::bare(end.clone()));
        }
        None
    });
    world
}

/// On its way forward a's drain is not taken, and b does not serve when it has returned.
pub fn a_is_not_drained_and_b_not_served(world: World) -> World {
    world.answering(|planned, _| {
        let on = planned.subject.node().map(NodeName::as_str);
        let forward = planned.phase.as_str() != "ROLLBACK";
        let fails =
            matches!((planned.key.as_str(), on), ("drain", Some("a")) | ("serving", Some("b")));
        (forward && fails).then(|| Report::bare(End::NotMet("no".into())))
    })
}

/// Answers every asking about a step with this ending.
pub fn always(world: World, key: &'static str, on: &'static str, end: End) -> World {
    world.answering(move |planned, _| {
        let here = planned.key.as_str() == key && planned.subject.node() == Some(&node(on));
        here.then(|| Report::bare(end.clone()))
    })
}

/// Turns until a person is waited for.
pub fn until_held(world: &mut World) {
    for _ in 0..2000 {
        if world.rollout.hold().is_some() {
            return;
        }
        assert!(world.turn(), "nobody is asked; log {:?}", world.log);
    }
    panic!("nobody is asked; log {:?}", world.log);
}

pub fn count(world: &World, entry: &str) -> usize {
    world.log.iter().filter(|line| *line == entry).count()
}

/// Takes what has begun from the queue, so that its answer can come after others.
pub fn set_aside(world: &mut World, key: &str, on: &str) -> Effect {
    until_begun(world, key, on, 1);
    let plan = world.rollout.plan().clone();
    let here = |effect: &Effect| match effect {
        Effect::Run { step, .. } => {
            let planned = plan.step(*step);
            planned.key.as_str() == key && planned.subject.node() == Some(&node(on))
        }
        _ => false,
    };
    let at = world.queue.iter().position(here).expect("it runs");
    world.queue.remove(at).expect("there")
}
