//! Records that cannot follow the records before them are refused, each by itself.
#![allow(missing_docs, reason = "tests")]

mod script;
mod world;

use script::{plan_of, until_begun};
use world::{Builder, World, node, rule};
use zdu_engine::{Input, Rollout};
use zdu_model::contract::Class;
use zdu_model::event::*;
use zdu_model::fleet::Front;
use zdu_model::front::FrontSeen;
use zdu_model::ids::*;
use zdu_model::plan::Subject;
use zdu_model::policy::FailureAction;
use zdu_model::report::{End, Report};
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

fn follows(world: &World, event: Event) -> bool {
    let seq = Seq(world.records.len() as u64 + 1);
    let record = Record { seq, at: world.now, epoch: world.epoch, event };
    world.replay().evolve(&record).is_ok()
}

fn started(step: StepNo, attempt: Attempt) -> Event {
    Event::StepStarted { step, attempt }
}

fn ended(step: StepNo, attempt: Attempt, end: End) -> Event {
    let class = if end == End::Done { Class::Succeeded } else { Class::Failed };
    Event::StepEnded { step, attempt, class, report: Report::bare(end) }
}

fn unknown(step: StepNo, attempt: Attempt) -> Event {
    Event::StepUnknown { step, attempt, cause: String::new(), how: Inquiry::Recover }
}

/// Two nodes one after another; the drain of the first runs.
fn draining() -> (Builder, World) {
    let b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    let mut world = World::new(b.plan.clone());
    until_begun(&mut world, "drain", "a", 1);
    (b, world)
}

#[test]
fn a_step_begins_when_it_is_the_next_with_its_next_attempt() {
    let (mut b, mut world) = draining();
    let drain = b.find("drain", "a").no;
    assert!(!follows(&world, started(drain, 2)), "it runs");
    world.turn();
    let certify = b.find("certify", "a").no;
    for attempt in [0, 2, 3] {
        assert!(!follows(&world, started(certify, attempt)), "attempt {attempt}");
    }
    assert!(follows(&world, started(certify, 1)));
    let gate = b.plan.stages[0].waves[1].gate[0];
    let others = [("stop-old", "a"), ("guard", "b"), ("apply", "a")];
    let others = others.map(|(key, on)| b.find(key, on).no);
    let undo = b.find("start-old", "a").no;
    for step in others.into_iter().chain([gate, undo, StepNo(9_999)]) {
        assert!(!follows(&world, started(step, 1)), "step {step}");
    }
    assert_eq!(world.run(), Verdict::Succeeded);
    assert!(!follows(&world, started(gate, 2)), "it has ended");
}

#[test]
fn a_step_ends_when_that_attempt_of_it_runs() {
    let (mut b, world) = draining();
    let (guard, drain) = (b.find("guard", "a").no, b.find("drain", "a").no);
    assert!(follows(&world, ended(drain, 1, End::Done)));
    assert!(!follows(&world, ended(drain, 2, End::Done)));
    assert!(!follows(&world, ended(guard, 1, End::Done)), "it has ended");
    assert!(!follows(&world, ended(StepNo(9_999), 1, End::Done)));
    assert!(follows(&world, unknown(drain, 1)));
    for (step, attempt) in [(drain, 2), (b.find("apply", "a").no, 0), (StepNo(9_999), 1)] {
        assert!(!follows(&world, unknown(step, attempt)), "step {step}");
    }
}

#[test]
fn what_nobody_asked_for_is_refused() {
    let (mut b, world) = draining();
    let drain = b.find("drain", "a").no;
    let action = FailureAction::Stop;
    assert!(!follows(&world, Event::FailureDecided { step: drain, rule: 0, action }));
    assert!(!follows(&world, Event::UnwindEnded { scope: UnwindScope::Rollout }));
    let (step, reason) = (b.find("stop-new", "a").no, String::new());
    assert!(!follows(&world, Event::NodeStuck { node: Some(node("a")), step, reason }));
    let (at, cause) = (world.now, ScheduleCause::Retry);
    assert!(!follows(&world, Event::StepScheduled { step: StepNo(9_999), at, cause }));
    let bare = Rollout::new(world.rollout.plan().clone()).evolve(&world.records[1]);
    let told = bare.expect_err("it has not started").to_string();
    assert!(told.starts_with("record 2 cannot follow the records before it"), "{told}");
}

#[test]
fn an_undrain_that_did_not_pass_may_have_returned_the_node_on_some_instances_only() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules = vec![rule("POST-APPLY", FailureAction::Stop)];
    let half = End::NotMet("half".into());
    let mut world = script::always(World::new(b.plan), "undrain", "a", half);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert!(world.rollout.nodes_out().contains(&node("a")));
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert!(world.rollout.nodes_out().is_empty());
}

#[test]
fn only_a_certificate_is_had_beside_the_step_that_waits_for_it() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let (certify, apply) = (b.find("certify", "a").no, b.find("apply", "a").no);
    let mut world = World::new(b.plan);
    until_begun(&mut world, "apply", "a", 1);
    assert!(!follows(&world, started(certify, 2)), "apply runs");

    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "stop-old", "a", 1);
    script::drift(&mut world, "a");
    let busy = End::Waiting("busy".into());
    let mut world = script::always(world, "certify", "a", busy);
    until_begun(&mut world, "certify", "a", 2);
    world.turn();
    world.turn();
    assert!(!follows(&world, started(apply, 1)), "its certificate is waited for");
}

#[test]
fn a_journal_that_passes_over_a_part_of_a_gate_goes_on_behind_it() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    let announce = b.step(&Subject::Fleet, "announce", "POST-APPLY", world::run());
    b.plan.stages[0].waves[0].gate.push(announce);
    let guard = b.find("guard", "b").no;
    let mut world = World::new(b.plan);
    until_begun(&mut world, "serving", "a", 1);
    world.turn();
    let mut rollout = world.replay();
    for event in [started(announce, 1), ended(announce, 1, End::Done), started(guard, 1)] {
        let record = Record { seq: Seq(99), at: world.now, epoch: world.epoch, event };
        assert_eq!(rollout.evolve(&record), Ok(()));
    }
}

#[test]
fn a_journal_that_begins_a_step_again_for_a_person_gives_it_all_its_attempts() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let drain = b.find("drain", "a");
    drain.attempts = 2;
    let drain = drain.no;
    let mut world = World::new(b.plan);
    until_begun(&mut world, "drain", "a", 1);
    let mut rollout = world.replay();
    let refused = || End::NotMet("refused".into());
    let again = Event::StepScheduled { step: drain, at: world.now, cause: ScheduleCause::Resumed };
    for event in [ended(drain, 1, refused()), again, started(drain, 2), ended(drain, 2, refused())]
    {
        let record = Record { seq: Seq(99), at: world.now, epoch: world.epoch, event };
        assert_eq!(rollout.evolve(&record), Ok(()));
    }
    let next = rollout.decide(world.now, &Input::Advance).events;
    let retry = |event: &Event| {
        matches!(event, Event::StepScheduled { step, cause: ScheduleCause::Retry, .. }
            if *step == drain)
    };
    assert!(next.iter().any(retry), "{next:?}");
}

#[test]
fn the_first_step_beyond_the_plan_is_refused_like_any_other() {
    let (b, world) = draining();
    let step = StepNo(u32::try_from(b.plan.steps.len()).expect("small"));
    let (at, cause) = (world.now, ScheduleCause::Retry);
    for event in [
        started(step, 1),
        ended(step, 0, End::Done),
        unknown(step, 0),
        Event::StepScheduled { step, at, cause },
    ] {
        assert!(!follows(&world, event.clone()), "{event:?}");
    }
}

fn seen(at: Timestamp) -> Box<FrontSeen> {
    Box::new(FrontSeen {
        since: at,
        until: at,
        ways: vec![],
        failures: vec![],
        more_failures: 0,
        versions: vec![],
        went_back: 0,
    })
}

#[test]
fn what_is_seen_of_a_front_is_kept_also_behind_the_end_and_changes_nothing() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let (http, timeout) = ("http://x/".to_owned(), Millis::from_secs(5));
    b.plan.fleet.front = vec![Front { http, timeout, watch: None }];
    let mut world = World::new(b.plan);
    for at in ["under way", "behind the end"] {
        let (before, records) = (world.rollout.clone(), world.records.len());
        world.input(&Input::FrontSeen { front: 1, seen: seen(world.now) });
        assert_eq!(world.records.len(), records, "{at}: there is no such front");
        world.input(&Input::FrontSeen { front: 0, seen: seen(world.now) });
        assert!(matches!(world.records[records].event, Event::FrontSeen { front: 0, .. }));
        assert_eq!(world.rollout, before, "{at}");
        assert_eq!(world.run(), Verdict::Succeeded);
    }
}
