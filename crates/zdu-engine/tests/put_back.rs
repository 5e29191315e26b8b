//! Putting back more than once, in which order, and with which attempts.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{begun_after, count, failing, plan_of, set_aside, until_begun};
use world::{Builder, World, node, rule};
use zdu_engine::{Input, StepStatus};
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Record, Request};
use zdu_model::ids::{NodeName, StepNo};
use zdu_model::plan::Unknown;
use zdu_model::policy::{FailureAction, FailureRule};
use zdu_model::report::{End, Report};
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

fn one_node() -> Builder {
    plan_of(&["a"], &[&["a"]], 1, 0)
}

fn rolled_back(world: &mut World) -> Vec<NodeName> {
    let verdict = world.run();
    let Verdict::Failed { rolled_back, .. } = verdict else { panic!("{verdict:?}") };
    rolled_back
}

/// Answers these steps with a failure as often as it says, the key and the node of each.
fn fails(b: Builder, mut steps: Vec<(&'static str, &'static str, u32)>) -> World {
    World::new(b.plan).answering(move |planned, _| {
        let on = planned.subject.node().map_or("fleet", NodeName::as_str);
        let here = steps
            .iter_mut()
            .find(|(key, node, left)| planned.key.as_str() == *key && on == *node && *left > 0)?;
        here.2 -= 1;
        Some(Report::bare(End::Exited(1)))
    })
}

#[test]
fn of_one_wave_a_node_that_is_out_goes_back_before_one_that_had_returned() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a", "b"]], 2, 0).plan);
    let apply = set_aside(&mut world, "apply", "a");
    until_begun(&mut world, "serving", "b", 1);
    world.turn();
    let before = world.records.len();
    world.request(Request::Rollback);
    world.play(&apply);
    assert_eq!(world.run(), Verdict::RolledBack);
    let begun = begun_after(&world, before);
    let at = |entry: &str| begun.iter().position(|line| line == entry).expect("it is begun");
    assert!(at("serving@a") < at("guard@b"), "{begun:?}");
}

#[test]
fn a_wave_that_goes_back_takes_the_nodes_of_later_waves_along_that_are_out() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1);
    b.plan.policy.failures_allowed = 2;
    for (code, action) in [(9, FailureAction::Stop), (8, FailureAction::RollbackWave)] {
        let exits = rule("APPLY", action);
        b.plan.rules.insert(0, FailureRule { exit: vec![code], ..exits });
    }
    let mut codes = vec![8, 9];
    let mut world = World::new(b.plan).answering(move |planned, _| {
        let a = planned.subject.node() == Some(&node("a"));
        let apply = planned.key.as_str() == "apply";
        let code = if a { 1 } else { codes.last().copied().unwrap_or_default() };
        if apply && !a {
            codes.pop();
        }
        apply.then(|| Report::bare(End::Exited(code)))
    });
    assert_eq!(rolled_back(&mut world), [node("a")]);
    assert!(world.rollout.nodes_out().contains(&node("b")));
    world.request(Request::Resume);
    assert_eq!(rolled_back(&mut world), [node("b")]);
    assert!(world.rollout.nodes_out().is_empty());
}

#[test]
fn what_was_put_back_once_is_put_back_whole_the_second_time_though_a_wider_unwind_comes() {
    let mut world = fails(one_node(), vec![("apply", "a", 2)]);
    assert_eq!(rolled_back(&mut world), [node("a")]);
    world.request(Request::Resume);
    until_begun(&mut world, "stop-new", "a", 2);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    for undo in ["stop-new@a", "start-old@a", "undrain@a", "serving@a"] {
        assert_eq!(count(&world, undo), 2, "{undo}: {:?}", world.log);
    }
}

#[test]
fn what_was_put_back_has_all_its_attempts_again_and_so_have_its_compensations() {
    let mut b = one_node();
    b.find("apply", "a").attempts = 2;
    b.find("stop-new", "a").attempts = 2;
    let mut world = fails(b, vec![("apply", "a", 2), ("stop-new", "a", 1)]);
    assert_eq!(rolled_back(&mut world), [node("a")]);
    assert_eq!((count(&world, "apply@a"), count(&world, "stop-new@a")), (2, 2));
    let lane = world.rollout.plan().stages[0].waves[0].lanes[0].steps.clone();
    for step in lane {
        assert_eq!(world.rollout.step_status(step).0, StepStatus::Pending, "step {step}");
    }
    let mut left = 2;
    world.answer = Box::new(move |planned, _| {
        let again = planned.key.as_str() == "apply" && left > 0;
        left -= i32::from(again);
        again.then(|| Report::bare(End::Exited(1)))
    });
    world.request(Request::Resume);
    until_begun(&mut world, "stop-new", "a", 3);
    assert_eq!(count(&world, "apply@a"), 4);
    let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
    world.input(&Input::Report { step, attempt, report: Report::bare(End::Exited(1)) });
    assert_eq!(rolled_back(&mut world), [node("a")]);
}

#[test]
fn a_certificate_that_was_to_be_had_again_is_had_for_the_way_back() {
    let mut b = one_node();
    b.find("start-old", "a").needs_drain = true;
    let mut world = World::new(b.plan);
    until_begun(&mut world, "stop-old", "a", 1);
    script::drift(&mut world, "a");
    until_begun(&mut world, "certify", "a", 2);
    let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
    let busy = Report::bare(End::Waiting("busy".into()));
    world.input(&Input::Report { step, attempt, report: busy });
    world.input(&Input::Advance);
    let scheduled = matches!(world.rollout.step_status(step).0, StepStatus::Scheduled { .. });
    assert!(scheduled, "it is had again");
    let before = world.records.len();
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!(begun_after(&world, before)[..2], ["certify@a", "start-old@a"]);
}

#[test]
fn a_lost_compensation_that_may_be_run_again_waits_out_its_pause_under_a_wider_unwind_too() {
    let mut b = one_node();
    b.find("stop-new", "a").unknown = Unknown::Rerun;
    let mut world = fails(b, vec![("apply", "a", 1)]);
    let Effect::Run { step, attempt } = set_aside(&mut world, "stop-new", "a") else {
        panic!("it runs")
    };
    world.request(Request::Rollback);
    let report = Report::bare(End::Lost("the node has booted since".into()));
    world.input(&Input::Report { step, attempt, report });
    let lost = world.now;
    assert_eq!(world.run(), Verdict::RolledBack);
    let second = Event::StepStarted { step, attempt: 2 };
    let begun = world.records.iter().find(|r| r.event == second).expect("it is run again");
    assert_eq!(begun.at.since(lost), Millis(2_000));
}

#[test]
fn a_stuck_node_that_a_wider_unwind_puts_back_after_all_is_not_called_stuck() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    b.plan.policy.failures_allowed = 2;
    b.plan.rules.insert(0, rule("APPLY", FailureAction::RollbackRollout));
    b.plan.rules[0].failed_nodes = Some(1);
    let mut world = fails(b, vec![("apply", "a", 1), ("stop-new", "a", 1), ("apply", "b", 1)]);
    let apply = set_aside(&mut world, "apply", "b");
    for _ in 0..100 {
        if world.has(|event| matches!(event, Event::NodeStuck { .. })) {
            break;
        }
        world.turn();
    }
    assert!(world.has(|event| matches!(event, Event::NodeStuck { .. })));
    world.play(&apply);
    assert_eq!(rolled_back(&mut world), [node("a"), node("b")]);
}

#[test]
fn a_record_that_says_stuck_about_a_step_the_plan_does_not_have_is_refused() {
    let mut world = failing(World::new(one_node().plan), "apply", "a", 1, End::Exited(1));
    until_begun(&mut world, "stop-new", "a", 1);
    let (step, reason) = (StepNo(9_999), String::new());
    let event = Event::NodeStuck { node: Some(node("a")), step, reason };
    let record = Record { event, ..world.records[0].clone() };
    assert!(world.replay().evolve(&record).is_err());
}

#[test]
fn a_lane_with_a_point_of_no_return_in_its_middle_is_not_half_put_back() {
    let mut b = one_node();
    b.plan.policy.cross_point_of_no_return = true;
    let stop = b.find("stop-old", "a");
    stop.point_of_no_return = true;
    stop.undo.clear();
    let mut world = World::new(b.plan);
    until_begun(&mut world, "apply", "a", 1);
    world.request(Request::Abort);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!(count(&world, "stop-new@a"), 0, "log {:?}", world.log);
}

#[test]
fn a_node_that_goes_back_with_an_earlier_lane_does_not_stop_another_lane() {
    let mut b = Builder::new(&["a", "b"], 0);
    b.nodes_stage();
    b.rolling_stage(&[&["b", "a"]], 2);
    b.plan.policy.failures_allowed = 1;
    let mut world = fails(b, vec![("apply", "b", 1)]);
    let both = ["b", "a"].map(|on| set_aside(&mut world, "apply", on));
    // Both answers are there before anything is begun behind them.
    for apply in &both {
        world.play(apply);
    }
    assert_eq!(rolled_back(&mut world), [node("b")]);
    assert_eq!((count(&world, "clean@b"), count(&world, "serving@a")), (1, 1));
}

/// `apply` of a fails and a goes back; while its compensation runs a person wants everything back,
/// and only then the compensation ends like this. Node b runs `apply` meanwhile.
fn ended_while_all_was_to_go_back(end: End) -> World {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    b.plan.policy.failures_allowed = 1;
    let mut world = fails(b, vec![("apply", "a", 1)]);
    let of_a = set_aside(&mut world, "apply", "a");
    let of_b = set_aside(&mut world, "apply", "b");
    world.play(&of_a);
    let compensation = set_aside(&mut world, "stop-new", "a");
    world.request(Request::Rollback);
    world.play(&of_b);
    let mut world = script::always(world, "stop-new", "a", end);
    world.play(&compensation);
    world
}

#[test]
fn a_lost_compensation_is_judged_when_its_turn_in_the_wider_unwind_has_come() {
    let mut world = ended_while_all_was_to_go_back(End::Lost("the node has booted since".into()));
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!((count(&world, "serving@b"), count(&world, "stop-new@a")), (1, 1));
    let stuck = |event: &Event| {
        matches!(event, Event::NodeStuck { reason, .. }
            if reason == "nobody knows whether it happened")
    };
    assert!(world.has(stuck));
}

#[test]
fn a_compensation_that_may_still_run_is_called_that_in_the_wider_unwind() {
    let mut world = ended_while_all_was_to_go_back(End::Unreachable("cut".into()));
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!((count(&world, "serving@b"), count(&world, "stop-new@a")), (1, 1));
    let stuck = |event: &Event| {
        matches!(event, Event::NodeStuck { reason, .. }
            if reason == "nobody knows whether stop-new still runs")
    };
    assert!(world.has(stuck));
}

#[test]
fn a_step_that_is_found_to_have_failed_on_a_node_that_goes_back_is_only_undone() {
    let mut b = one_node();
    b.find("apply", "a").attempts = 2;
    let cut = End::Unreachable("cut".into());
    let mut world = script::always(World::new(b.plan), "apply", "a", cut);
    script::until_held(&mut world);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    let mut world = script::always(world, "apply", "a", End::Exited(1));
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!((count(&world, "apply@a"), count(&world, "stop-new@a")), (1, 1));
}

#[test]
fn a_step_that_is_found_to_have_passed_on_a_node_that_goes_back_is_followed_by_no_other() {
    let mut b = one_node();
    let mut back = rule("APPLY", FailureAction::RollbackNode);
    back.class = vec![Class::Unknown];
    b.plan.rules = vec![back];
    let cut = End::Unreachable("cut".into());
    let mut world = script::always(World::new(b.plan), "apply", "a", cut);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    world.answer = Box::new(|_, _| None);
    let before = world.records.len();
    world.request(Request::Resume);
    assert_eq!(rolled_back(&mut world), [node("a")]);
    let back = ["stop-new@a", "start-old@a", "ready@a", "undrain@a", "serving@a"];
    assert_eq!(begun_after(&world, before), back);
}

#[test]
fn a_lane_whose_last_step_is_found_to_have_passed_goes_back_and_is_not_done() {
    let mut b = Builder::new(&["a"], 0);
    b.nodes_stage();
    let cut = End::Unreachable("cut".into());
    let mut world = script::always(World::new(b.plan), "upgrade", "a", cut);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::RolledBack);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(world.log, ["upgrade@a", "clean@a", "upgrade@a"]);
}

#[test]
fn a_certificate_that_was_refused_before_is_asked_for_again_on_the_way_back() {
    let mut b = one_node();
    b.plan.rules = vec![rule("PRE-APPLY", FailureAction::Stop)];
    b.find("start-old", "a").needs_drain = true;
    let mut world = World::new(b.plan);
    until_begun(&mut world, "stop-old", "a", 1);
    script::drift(&mut world, "a");
    let mut world = script::always(world, "certify", "a", End::NotMet("busy".into()));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    world.answer = Box::new(|_, _| None);
    let before = world.records.len();
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    assert_eq!(begun_after(&world, before)[..2], ["certify@a", "start-old@a"]);
}

#[test]
fn the_gate_of_a_wave_waits_for_a_node_of_a_later_wave_that_goes_back() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 0);
    b.plan.policy.failures_allowed = 2;
    let mut stop = rule("APPLY", FailureAction::Stop);
    stop.exit = vec![9];
    b.plan.rules.insert(0, stop);
    // In the first round b is left out of traffic and a goes back; in the second b goes back.
    let mut codes = vec![1, 9, 1];
    let mut world = World::new(b.plan).answering(move |planned, _| {
        let code = (planned.key.as_str() == "apply").then(|| codes.pop())??;
        Some(Report::bare(End::Exited(code)))
    });
    assert_eq!(rolled_back(&mut world), [node("a")]);
    world.request(Request::Resume);
    let back = set_aside(&mut world, "stop-new", "b");
    until_begun(&mut world, "serving", "a", 2);
    world.turn();
    let before = world.records.len();
    world.input(&Input::Advance);
    assert_eq!(begun_after(&world, before), [""; 0]);
    world.queue.push_front(back);
    assert_eq!(rolled_back(&mut world), [node("b")]);
    assert!(begun_after(&world, before).contains(&"soak@fleet".to_owned()));
}

#[test]
fn a_node_that_answers_again_is_asked_before_it_is_put_back_with_its_wave() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    b.plan.rules.insert(0, rule("APPLY", FailureAction::RollbackWave));
    let world = World::new(b.plan);
    let mut world = script::always(world, "apply", "b", End::Unreachable("cut".into()));
    let of_a = set_aside(&mut world, "apply", "a");
    script::until_held(&mut world);
    // Its node answers again, and then the other one fails.
    let mut world = failing(world, "apply", "a", 1, End::Exited(1));
    world.play(&of_a);
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?} {:?}", world.log);
    let stuck = |event: &Event| matches!(event, Event::NodeStuck { .. });
    assert!(!world.has(stuck));
}
