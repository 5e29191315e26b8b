//! What is done about an ending that does not pass: repetitions, failure rules, who is stuck.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{always, count, failing, plan_of, set_aside, until_held};
use world::{Builder, World, node, rule};
use zdu_engine::Input;
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::*;
use zdu_model::ids::{StageName, StepNo};
use zdu_model::plan::*;
use zdu_model::policy::{FailureAction, FailureRule};
use zdu_model::report::*;
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

/// `apply` on the only node ends like this, once; the rule stops, and where it does not fit the
/// rollout holds.
fn stops(change: impl Fn(&mut FailureRule), report: &Report) -> bool {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut only = rule("APPLY", FailureAction::Stop);
    change(&mut only);
    b.plan.rules = vec![only];
    let report = report.clone();
    let mut world = World::new(b.plan)
        .answering(move |planned, _| (planned.key.as_str() == "apply").then(|| report.clone()));
    match world.run() {
        Verdict::Failed { .. } => true,
        Verdict::Held => false,
        other => panic!("{other:?}"),
    }
}

fn exited(code: i32, tail: &[&str]) -> Report {
    let tail = tail.iter().map(|line| (*line).to_owned()).collect();
    Report { tail, ..Report::bare(End::Exited(code)) }
}

#[test]
fn a_rule_fits_only_where_every_condition_holds() {
    let failed = exited(7, &["first", "no space left"]);
    assert!(stops(|_| (), &failed));
    assert!(stops(|r| r.exit = vec![6, 7], &failed));
    assert!(!stops(|r| r.exit = vec![6], &failed));
    assert!(!stops(|r| r.exit = vec![7], &Report::bare(End::TimedOut)));
    assert!(stops(|r| r.output = Some("no space".into()), &failed));
    assert!(!stops(|r| r.output = Some("denied".into()), &failed));
    assert!(stops(|r| r.class = vec![Class::Failed], &failed));
    assert!(!stops(|r| r.class = vec![Class::TimedOut], &failed));
    assert!(stops(|r| r.class = vec![Class::TimedOut], &Report::bare(End::TimedOut)));
    assert!(!stops(|r| r.failed_nodes = Some(1), &failed));
    assert!(stops(|r| r.failed_nodes = Some(0), &failed));
    assert!(!stops(|r| r.phase = Some(world::phase("UPGRADE")), &failed));
    assert!(stops(|r| r.phase = None, &failed));
    let both = |r: &mut FailureRule| (r.exit, r.output) = (vec![7], Some("denied".into()));
    assert!(!stops(both, &failed));
}

#[test]
fn a_rule_may_speak_of_how_many_nodes_have_failed_already() {
    let mut b = plan_of(&["a", "b", "c"], &[&["a"], &["b"], &["c"]], 1, 0);
    b.plan.policy.failures_allowed = 3;
    let mut second = rule("APPLY", FailureAction::Stop);
    second.failed_nodes = Some(1);
    b.plan.rules.insert(0, second);
    let mut world = World::new(b.plan)
        .answering(|step, _| (step.key.as_str() == "apply").then(|| exited(1, &[])));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!((count(&world, "stop-new@a"), count(&world, "stop-new@b")), (1, 0));
    assert_eq!(count(&world, "guard@c"), 0);
}

#[test]
fn a_rule_retries_as_often_as_it_says_in_all() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    let retry = FailureAction::Retry { max: 3, pause: Millis(700) };
    b.plan.rules.insert(0, rule("APPLY", retry));
    let mut world = always(World::new(b.plan), "apply", "a", End::Exited(1));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!(count(&world, "apply@a"), 3);
    let paused = |r: &Record| match r.event {
        Event::StepScheduled { at, cause: ScheduleCause::Retry, .. } => Some(at.since(r.at)),
        _ => None,
    };
    let pauses: Vec<Millis> = world.records.iter().filter_map(paused).collect();
    assert_eq!(pauses, [Millis(700), Millis(700)]);
}

#[test]
fn a_contracts_repetitions_are_bounded_and_a_rules_retries_of_them_too() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("certify", "a").contract.again.max = 3;
    let retry = FailureAction::Retry { max: 2, pause: Millis(1) };
    b.plan.rules.insert(0, rule("PRE-APPLY", retry));
    let mut world = always(World::new(b.plan), "certify", "a", End::Waiting("busy".into()));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    // Once and three times again by the contract; then two retries of the rule.
    assert_eq!(count(&world, "certify@a"), 4 + 2);
}

#[test]
fn lost_answers_of_what_is_safe_to_repeat_are_repeated_and_not_for_ever() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules.clear();
    let cut = End::Unreachable("cut".into());
    let mut world = always(World::new(b.plan.clone()), "certify", "a", cut.clone());
    until_held(&mut world);
    assert_eq!(count(&world, "certify@a"), 3);
    b.find("certify", "a").attempts = 5;
    let mut world = always(World::new(b.plan), "certify", "a", cut);
    until_held(&mut world);
    assert_eq!(count(&world, "certify@a"), 5);
}

#[test]
fn a_silent_node_is_asked_three_times_before_a_rule_decides() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules.clear();
    let cut = End::Unreachable("cut".into());
    let mut world = always(World::new(b.plan), "apply", "a", cut);
    until_held(&mut world);
    let asked = |r: &&Record| matches!(r.event, Event::StepUnknown { how: Inquiry::Recover, .. });
    assert_eq!(world.records.iter().filter(asked).count(), 3);
    assert_eq!(count(&world, "apply@a"), 1);
}

#[test]
fn a_lost_step_that_may_be_run_again_is_run_again_and_not_for_ever() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules.clear();
    b.find("apply", "a").unknown = Unknown::Rerun;
    let mut world = always(World::new(b.plan), "apply", "a", End::Lost("reboot".into()));
    until_held(&mut world);
    assert_eq!(count(&world, "apply@a"), 3);
}

#[test]
fn a_lost_step_is_observed_once_and_then_a_rule_decides() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules.clear();
    let (ask, want) = (Ask::Tcp("x:1".into()), Want::default());
    let done = Box::new(Probe { ask, want, times: 1, every: Millis(1) });
    b.find("apply", "a").unknown = Unknown::Observe { done, not_done: None };
    let mut world = always(World::new(b.plan), "apply", "a", End::Lost("reboot".into()));
    until_held(&mut world);
    let asked = |r: &&Record| matches!(r.event, Event::StepUnknown { how: Inquiry::Observe, .. });
    assert_eq!(world.records.iter().filter(asked).count(), 1);
}

#[test]
fn a_stuck_node_says_why() {
    let cut = End::Unreachable("cut".into());
    for (end, why) in [
        (End::Exited(1), "it failed"),
        (End::TimedOut, "it did not end within its deadline"),
        (cut, "nobody knows whether stop-new still runs"),
        (End::Lost("rebooted".into()), "nobody knows whether it happened"),
    ] {
        let mut world =
            World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan).answering(move |planned, _| {
                match planned.key.as_str() {
                    "apply" => Some(exited(1, &[])),
                    "stop-new" => Some(Report::bare(end.clone())),
                    _ => None,
                }
            });
        assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
        let said = |e: &Event| matches!(e, Event::NodeStuck { reason, .. } if reason == why);
        assert!(world.has(said), "{why}");
    }
}

#[test]
fn going_on_is_an_answer_to_what_proves_nothing_and_a_hold_to_what_does() {
    let held = ["guard", "drain", "certify", "ready", "undrain"].map(|key| (key, true));
    let goes = ["stop-old", "apply", "serving"].map(|key| (key, false));
    for (key, holds) in held.into_iter().chain(goes) {
        let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
        let go_on = |phase| rule(phase, FailureAction::GoOn);
        b.plan.rules = ["PRE-APPLY", "APPLY", "POST-APPLY"].map(go_on).to_vec();
        let mut world = always(World::new(b.plan), key, "a", End::NotMet("no".into()));
        let verdict = world.run();
        assert_eq!(verdict, if holds { Verdict::Held } else { Verdict::Succeeded }, "{key}");
    }
}

#[test]
fn a_gate_that_fails_puts_its_wave_back_and_a_step_of_no_node_stops() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    let gate = b.plan.stages[0].waves[1].gate[0];
    b.get(gate).work = Work::Wait(Probe {
        ask: Ask::Tcp("x:1".into()),
        want: Want::default(),
        times: 1,
        every: Millis(1),
    });
    let not_met = |planned: &PlannedStep, _: &Effect| match planned.work {
        Work::Wait(_) => Some(Report::bare(End::NotMet("no".into()))),
        _ => None,
    };
    let mut world = World::new(b.plan).answering(not_met);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!((count(&world, "stop-new@a"), count(&world, "stop-new@b")), (0, 1));

    let mut b = Builder::new(&["a"], 0);
    b.fleet_stage(&["migrate"]);
    let mut world = World::new(b.plan)
        .answering(|step, _| (step.key.as_str() == "migrate").then(|| exited(1, &[])));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!(world.log, ["migrate@fleet"]);
}

#[test]
fn more_failed_nodes_than_allowed_begin_no_other() {
    for (allowed, begun) in [(0, 1), (1, 2), (2, 3), (9, 3)] {
        let mut b = plan_of(&["a", "b", "c"], &[&["a"], &["b"], &["c"]], 1, 0);
        b.plan.policy.failures_allowed = allowed;
        let mut world = World::new(b.plan)
            .answering(|step, _| (step.key.as_str() == "apply").then(|| exited(1, &[])));
        let verdict = world.run();
        let Verdict::Failed { rolled_back, .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!(rolled_back.len(), begun);
        assert_eq!(world.log.iter().filter(|l| l.starts_with("guard")).count(), begun);
    }
}

/// What becomes of a node whose guard reads this.
fn guarded(reading: impl Fn() -> Report + 'static) -> (Option<Class>, String) {
    let mut b = plan_of(&["a", "b"], &[&["a"]], 1, 1);
    b.find("guard", "a").contract.again.max = 0;
    let mut world =
        World::new(b.plan).answering(move |step, _| (step.key.as_str() == "guard").then(&reading));
    let _verdict = world.run();
    let end = world.records.iter().find_map(|r| match &r.event {
        Event::StepEnded { class, report, .. } => Some((*class, format!("{:?}", report.end))),
        _ => None,
    });
    end.map_or((None, String::new()), |(class, text)| (Some(class), text))
}

fn reads(a: MemberState, b: MemberState, error: Option<&str>) -> Report {
    let of = |name: &str, state| MemberReading {
        node: node(name),
        member: world::member(name),
        state,
        held: Held::Ready,
        sessions: None,
        queued: None,
        weight: None,
        detail: format!("{state:?}"),
    };
    let reading = InstanceReading {
        balancer: zdu_model::ids::BalancerName::new("edge").expect("a name"),
        instance: zdu_model::ids::InstanceName::new("lb-a").expect("a name"),
        error: error.map(Into::into),
        members: vec![of("a", a), of("b", b)],
    };
    Report::with(End::Done, Evidence::Balancers(vec![reading]))
}

#[test]
fn a_guard_lets_a_node_out_only_on_a_reading_that_leaves_enough() {
    use MemberState::{Absent, Down, Draining, Serving, ZeroWeight};
    let class = |a, b| guarded(move || reads(a, b, None)).0;
    assert_eq!(class(Serving, Serving), Some(Class::Succeeded));
    assert_eq!(class(Down, Serving), Some(Class::Succeeded), "what is down takes nothing away");
    for other in [Down, Draining, ZeroWeight, Absent] {
        assert_eq!(class(Serving, other), Some(Class::Again), "{other:?}");
    }
    assert_eq!(class(Absent, Serving), Some(Class::Failed), "it could not be put back");
    let (class, why) = guarded(|| reads(Serving, Serving, Some("refused")));
    assert_eq!(class, Some(Class::Again));
    assert!(why.contains("lb-a cannot be read: refused"), "{why}");
    let (class, why) = guarded(|| Report::bare(End::Done));
    assert_eq!(class, Some(Class::Failed));
    assert!(why.contains("the guard read no balancer"), "{why}");
    assert_eq!(guarded(|| Report::bare(End::TimedOut)).0, Some(Class::TimedOut));
    let (_, why) = guarded(|| reads(Draining, Down, None));
    let wanted =
        "without a only 0 of group gateway would serve on lb-a, min_available is 1; b is Down";
    assert!(why.contains(wanted), "{why}");
}

#[test]
fn a_node_of_no_balancer_is_let_out_and_counts_for_nobody() {
    let mut b = plan_of(&["a", "b"], &[&["a"]], 1, 1);
    b.plan.fleet.groups[0].nodes[0].members.clear();
    let mut world = World::new(b.plan);
    world.serving.insert(node("b"), MemberState::Down);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_node_that_is_left_out_takes_no_other_with_it() {
    let mut b = Builder::new(&["a", "b"], 0);
    b.nodes_stage();
    b.plan.stages[0].waves[0].parallel = 1;
    b.rolling_stage(&[&["b", "a"]], 1);
    b.plan.policy.failures_allowed = 1;
    b.plan.rules = vec![rule("UPGRADE", FailureAction::RollbackNode)];
    let mut world = always(World::new(b.plan), "upgrade", "a", End::Exited(1));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert_eq!((count(&world, "upgrade@b"), count(&world, "serving@b")), (1, 1));
    assert_eq!(count(&world, "guard@a"), 0);
}

#[test]
fn what_is_about_to_be_put_back_is_not_tried_again() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    for on in ["a", "b"] {
        b.find("apply", on).attempts = 2;
    }
    let everything = FailureRule { exit: vec![9], ..rule("APPLY", FailureAction::RollbackRollout) };
    b.plan.rules.insert(0, everything);
    let mut world = World::new(b.plan);
    let of_a = set_aside(&mut world, "apply", "a");
    let of_b = set_aside(&mut world, "apply", "b");
    let end = |world: &mut World, effect: &Effect, code| {
        let Effect::Run { step, attempt } = *effect else { panic!("{effect:?} runs nothing") };
        let report = Report::bare(End::Exited(code));
        world.input(&Input::Report { step, attempt, report });
        world.input(&Input::Advance);
        world.input(&Input::Advance);
        step
    };
    let step = end(&mut world, &of_b, 9);
    let retry = world.has(|event| matches!(event, Event::StepScheduled { .. }));
    assert!(retry, "the first attempt is tried again");
    let second = set_aside_again(&mut world, step);
    end(&mut world, &second, 9);
    let before = world.records.len();
    end(&mut world, &of_a, 1);
    let behind = &world.records[before..];
    let again = |record: &Record| matches!(record.event, Event::StepScheduled { .. });
    assert!(!behind.iter().any(again), "{behind:?}");
    let verdict = world.run();
    let Verdict::Failed { rolled_back, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(rolled_back, [node("a"), node("b")]);
}

fn set_aside_again(world: &mut World, wanted: StepNo) -> Effect {
    for _ in 0..100 {
        let here = |effect: &Effect| matches!(effect, Effect::Run { step, .. } if *step == wanted);
        if let Some(at) = world.queue.iter().position(here) {
            return world.queue.remove(at).expect("there");
        }
        assert!(world.turn(), "nothing is left to do");
    }
    panic!("{wanted} is not begun again");
}

#[test]
fn a_node_that_is_given_up_at_the_entrance_of_its_group_lets_the_next_one_in() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    b.plan.policy.failures_allowed = 1;
    b.find("drain", "a").attempts = 1;
    let refused = End::NotMet("refused".into());
    let mut world = failing(World::new(b.plan), "drain", "a", 1, refused);
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
    assert_eq!(count(&world, "apply@b"), 1, "log {:?}", world.log);
}

#[test]
fn a_rule_of_a_stage_fits_the_steps_of_that_stage_alone() {
    for (stage, undone) in [("apply", 0), ("elsewhere", 1)] {
        let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
        let stage = Some(StageName::new(stage).expect("a name"));
        let stop = FailureRule { stage, ..rule("APPLY", FailureAction::Stop) };
        b.plan.rules.insert(0, stop);
        let mut world = failing(World::new(b.plan), "apply", "a", 1, End::Exited(1));
        assert!(matches!(world.run(), Verdict::Failed { .. }));
        assert_eq!(count(&world, "stop-new@a"), undone, "{:?}", world.log);
    }
}
