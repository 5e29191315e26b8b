//! Each test is the shortest way found to one broken law. Deterministic; no seed needed.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{
    a_is_not_drained_and_b_not_served, begun_after, count, drift, failing, plan_of, set_aside,
    until_begun,
};
use world::{Builder, World, node, rule};
use zdu_engine::Input;
use zdu_model::effect::Effect;
use zdu_model::event::*;
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::policy::FailureAction;
use zdu_model::report::*;
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

/// What the runtime does with a wake: a wake that is due and leads to nothing is a spinning loop,
/// and `drive` looks for requests of people only when no wake is due.
fn is_spinning(world: &mut World) -> Option<String> {
    while {
        let before = world.records.len();
        world.input(&Input::Advance);
        world.records.len() > before
    } {}
    let wake = world.rollout.decide(world.now, &Input::Advance).wake?;
    (wake.at <= world.now).then(|| format!("{:?}", wake.reason))
}

#[test]
fn a_drift_while_a_drained_step_waits_for_its_retry_is_survived() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    for step in &mut b.plan.steps {
        if step.key.as_str() == "apply" {
            step.attempts = 2;
        }
    }
    let mut world = World::new(b.plan);
    until_begun(&mut world, "apply", "a", 1);
    let effect = world.queue.pop_front().expect("apply runs");
    let Effect::Run { step, attempt } = effect else { panic!("{effect:?}") };
    world.input(&Input::Report { step, attempt, report: Report::bare(End::Exited(1)) });
    world.input(&Input::Advance);
    drift(&mut world, "a");
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_drift_while_a_compensation_waits_for_its_retry_is_survived() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    for step in &mut b.plan.steps {
        if step.key.as_str() == "stop-new" {
            // As the planner makes it.
            (step.attempts, step.needs_drain) = (2, true);
        }
    }
    let mut world = failing(World::new(b.plan), "apply", "a", 1, End::Exited(1));
    until_begun(&mut world, "stop-new", "a", 1);
    let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
    world.input(&Input::Report { step, attempt, report: Report::bare(End::Exited(1)) });
    world.input(&Input::Advance);
    drift(&mut world, "a");
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
}

#[test]
fn after_a_crash_the_certificate_of_the_dead_controller_is_not_trusted() {
    let mut world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    until_begun(&mut world, "stop-old", "a", 1);
    // The node ended `stop-old`, the controller wrote it down and died. Nobody held the node out
    // until the next one came, an hour later; the balancer may have been reloaded since.
    let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
    let plan = world.rollout.plan().clone();
    let stop = plan.step(step);
    let report = Report::bare(End::Exited(0));
    let class = stop.contract.classify(&report.end, &[]);
    let seq = Seq(world.records.len() as u64 + 1);
    let event = Event::StepEnded { step, attempt, class, report };
    world.records.push(Record { seq, at: world.now, epoch: world.epoch, event });
    world.now = world.now.after(Millis(3_600_000));
    let before = world.records.len();
    world.crash();
    world.input(&Input::Advance);
    let begun = begun_after(&world, before);
    assert_eq!(begun.first().map(String::as_str), Some("certify@a"), "begun: {begun:?}");
}

#[test]
fn a_resumed_rollout_certifies_again_and_holds_out_what_it_left_out() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules = vec![rule("APPLY", FailureAction::Stop)];
    let mut world = failing(World::new(b.plan), "apply", "a", 1, End::Exited(1));
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
    assert!(world.rollout.nodes_out().contains(&node("a")));
    // The controller has left. Hours later another one is opened by a person's `resume`.
    world.now = world.now.after(Millis(7_200_000));
    let before = world.records.len();
    world.crash();
    world.request(Request::Resume);
    world.input(&Input::Advance);
    let kept = world.queue.iter().any(|e| matches!(e, Effect::KeepOut { .. }));
    let begun = begun_after(&world, before);
    assert!(
        kept && begun.first().map(String::as_str) == Some("certify@a"),
        "kept out: {kept}, begun: {begun:?}"
    );
}

#[test]
fn a_drain_that_is_tried_again_does_not_race_the_guard_of_another_node() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 1);
    for step in &mut b.plan.steps {
        if step.key.as_str() == "drain" {
            step.contract.again.pause = Millis(15);
        }
    }
    let mut world = failing(World::new(b.plan), "drain", "a", 1, End::Unreachable("net".into()));
    let _verdict = world.run();
    assert!(world.least_serving >= 1, "nobody served; log {:?}", world.log);
}

#[test]
fn a_drain_is_not_resumed_on_a_guard_of_the_day_before() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 1, 1);
    b.plan.rules = vec![rule("PRE-APPLY", FailureAction::Stop)];
    let end = End::TimedOut;
    let mut world = failing(World::new(b.plan), "drain", "a", 1, end);
    let _verdict = world.run();
    world.now = world.now.after(Millis(86_400_000));
    // Another hand has taken b out since.
    world.serving.insert(node("b"), MemberState::Maintenance);
    let before = world.records.len();
    world.request(Request::Resume);
    world.input(&Input::Advance);
    let begun = begun_after(&world, before);
    assert_ne!(begun.first().map(String::as_str), Some("drain@a"), "no guard: {begun:?}");
}

#[test]
fn one_nodes_unwind_does_not_open_the_entrance_another_node_stands_in() {
    let mut b = plan_of(&["a", "b", "c"], &[&["a", "b", "c"]], 3, 1);
    b.plan.policy.failures_allowed = 2;
    let mut world = World::new(b.plan);
    // a is past its drain and runs apply; b has passed its guard and its drain runs.
    until_begun(&mut world, "drain", "b", 1);
    let drain_b = |e: &Effect, plan: &Plan| {
        matches!(e, Effect::Run { step, .. }
        if plan.step(*step).key.as_str() == "drain")
    };
    let plan = world.rollout.plan().clone();
    let at = world.queue.iter().position(|e| drain_b(e, &plan)).expect("drain of b runs");
    let slow = world.queue.remove(at).expect("there");
    // a fails and is put back while b's drain has not landed.
    let at = world.queue.iter().position(|_| true).expect("something of a runs");
    let Some(Effect::Run { step, attempt }) = world.queue.remove(at) else { panic!("runs") };
    assert_eq!(plan.step(step).subject.node(), Some(&node("a")));
    world.input(&Input::Report { step, attempt, report: Report::bare(End::TimedOut) });
    let before = world.records.len();
    world.input(&Input::Advance);
    world.input(&Input::Advance);
    let begun = begun_after(&world, before);
    world.queue.push_back(slow);
    assert!(!begun.contains(&"guard@c".to_owned()), "c's guard while b drains: {begun:?}");
}

#[test]
fn going_on_is_no_answer_to_a_guard_that_found_no_capacity() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1);
    b.plan.rules = vec![rule("PRE-APPLY", FailureAction::GoOn)];
    let mut world = World::new(b.plan);
    world.serving.insert(node("b"), MemberState::Down);
    for _ in 0..400 {
        if world.rollout.verdict().is_some() || !world.turn() {
            break;
        }
    }
    assert!(world.least_serving >= 1, "log {:?}", world.log);
}

#[test]
fn an_abort_during_a_rollback_leaves_no_node_out() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1).plan);
    until_begun(&mut world, "guard", "b", 1);
    world.request(Request::Rollback);
    until_begun(&mut world, "stop-new", "a", 1);
    world.request(Request::Abort);
    let verdict = world.run();
    assert!(
        world.rollout.nodes_out().is_empty(),
        "{verdict:?}, out {:?}",
        world.rollout.nodes_out()
    );
}

#[test]
fn a_rollout_that_was_rolled_back_can_be_resumed_to_its_end() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1).plan);
    until_begun(&mut world, "guard", "b", 1);
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn what_was_stuck_and_is_rolled_back_is_not_called_stuck() {
    let b = plan_of(&["a"], &[&["a"]], 1, 0);
    let mut left = 1;
    let mut world = World::new(b.plan).answering(move |planned, _| {
        let key = planned.key.as_str();
        if key == "apply" {
            return Some(Report::bare(End::Exited(1)));
        }
        (key == "stop-new" && left > 0).then(|| {
            left -= 1;
            Report::bare(End::Exited(1))
        })
    });
    assert!(matches!(world.run(), Verdict::Stuck { .. }));
    world.request(Request::Rollback);
    let verdict = world.run();
    assert_eq!(verdict, Verdict::RolledBack, "log {:?}", world.log);
}

#[test]
fn stuck_names_every_node_that_is_out() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    b.plan.rules = vec![rule("APPLY", FailureAction::RollbackWave)];
    let mut world = World::new(b.plan).answering(move |planned, _| {
        let on = planned.subject.node().map(NodeName::as_str);
        match (planned.key.as_str(), on, planned.phase.as_str()) {
            ("apply", Some("a"), _) => Some(Report::bare(End::Exited(1))),
            ("ready", Some("b"), "ROLLBACK") => Some(Report::bare(End::NotMet("down".into()))),
            _ => None,
        }
    });
    let verdict = world.run();
    let Verdict::Stuck { nodes } = &verdict else { panic!("{verdict:?}") };
    let out: Vec<NodeName> = world.rollout.nodes_out().iter().cloned().collect();
    assert!(out.iter().all(|n| nodes.contains(n)), "out {out:?}, named {nodes:?}");
}

#[test]
fn hold_and_resume_do_not_cancel_a_rollback_that_was_asked_for() {
    let mut world = World::new(plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1).plan);
    until_begun(&mut world, "apply", "b", 1);
    world.request(Request::Rollback);
    world.request(Request::Hold);
    world.request(Request::Resume);
    let verdict = world.run();
    assert_eq!(verdict, Verdict::RolledBack);
}

#[test]
fn an_abort_in_a_retry_pause_does_not_spin_until_the_other_lane_ends() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    for step in &mut b.plan.steps {
        step.attempts = 2;
    }
    let mut world = World::new(b.plan);
    // Both run `apply`; a's fails and waits two seconds, b's takes an hour.
    until_begun(&mut world, "apply", "a", 1);
    for _ in 0..50 {
        let plan = world.rollout.plan().clone();
        let applies = |e: &Effect| {
            matches!(e, Effect::Run { step, .. }
            if plan.step(*step).key.as_str() == "apply")
        };
        if world.queue.iter().filter(|e| applies(e)).count() == 2 {
            break;
        }
        let at = world.queue.iter().position(|e| !applies(e));
        match at {
            Some(at) => {
                let effect = world.queue.remove(at).expect("there");
                world.queue.push_front(effect);
                world.turn();
            }
            None => world.input(&Input::Advance),
        }
    }
    let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
    world.input(&Input::Report { step, attempt, report: Report::bare(End::Exited(1)) });
    world.input(&Input::Advance);
    world.request(Request::Abort);
    world.now = world.now.after(Millis(3_000));
    assert_eq!(is_spinning(&mut world), None);
}

#[test]
fn a_hold_past_its_deadline_does_not_spin_while_a_step_runs() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.policy.hold_deadline = Millis(1_000);
    let mut world = World::new(b.plan);
    until_begun(&mut world, "apply", "a", 1);
    world.request(Request::Hold);
    world.now = world.now.after(Millis(2_000));
    assert_eq!(is_spinning(&mut world), None);
}

#[test]
fn an_abort_behind_a_point_of_no_return_names_the_node_it_leaves_out() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.policy.cross_point_of_no_return = true;
    for step in &mut b.plan.steps {
        if step.key.as_str() == "apply" {
            step.point_of_no_return = true;
            step.undo.clear();
        }
    }
    let mut world = World::new(b.plan);
    until_begun(&mut world, "apply", "a", 1);
    world.request(Request::Abort);
    let verdict = world.run();
    let named = matches!(&verdict, Verdict::Stuck { nodes } if nodes.contains(&node("a")));
    assert!(world.rollout.nodes_out().is_empty() || named, "{verdict:?}, a is out");
}

#[test]
fn a_failure_behind_a_point_of_no_return_does_not_take_the_node_out_and_call_it_rolled_back() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.policy.cross_point_of_no_return = true;
    for step in &mut b.plan.steps {
        if step.key.as_str() == "apply" {
            step.point_of_no_return = true;
            step.undo.clear();
        }
    }
    let mut world = failing(World::new(b.plan), "serving", "a", 1, End::NotMet("slow".into()));
    for _ in 0..400 {
        if world.rollout.verdict().is_some() || !world.turn() {
            break;
        }
    }
    let verdict = world.rollout.verdict().cloned();
    let lied =
        matches!(&verdict, Some(Verdict::Failed { rolled_back, .. }) if !rolled_back.is_empty());
    assert!(!lied && world.rollout.nodes_out().is_empty(), "{verdict:?} {:?}", world.log);
}

#[test]
fn a_node_whose_upgrade_was_rolled_back_is_not_applied() {
    let mut b = Builder::new(&["a", "b"], 0);
    b.plan.policy.failures_allowed = 1;
    b.nodes_stage();
    b.rolling_stage(&[&["a"], &["b"]], 1);
    b.plan.rules.insert(0, rule("UPGRADE", FailureAction::RollbackNode));
    let mut world = failing(World::new(b.plan), "upgrade", "a", 1, End::Exited(1));
    let verdict = world.run();
    assert!(!world.log.contains(&"apply@a".to_owned()), "{verdict:?} {:?}", world.log);
}

#[test]
fn an_abort_does_not_wait_for_the_end_of_a_manual_step() {
    let mut b = Builder::new(&["a"], 0);
    b.rolling_stage(&[&["a"]], 1);
    for step in &mut b.plan.steps {
        if step.key.as_str() == "apply" {
            step.work = Work::Manual { instruction: "press it".into() };
            step.deadline = Millis(86_400_000);
        }
    }
    let mut world = World::new(b.plan);
    until_begun(&mut world, "apply", "a", 1);
    let asked = world.now;
    world.request(Request::Abort);
    let _verdict = world.run();
    let waited = world.now.0 - asked.0;
    assert!(waited < 3_600_000, "waited {waited} ms for a person who was told to stop");
}

#[test]
fn a_resume_while_a_node_goes_back_does_not_leave_the_wave_it_is_at() {
    let mut b = Builder::new(&["a", "b"], 1);
    b.plan.policy.failures_allowed = 1;
    b.nodes_stage();
    b.rolling_stage(&[&["a", "b"]], 2);
    b.find("stop-new", "a").attempts = 2;
    let mut left = 1;
    let mut world = World::new(b.plan).answering(move |planned, _| {
        let on = planned.subject.node().map(NodeName::as_str);
        let fails = match (planned.key.as_str(), on) {
            ("apply", Some("a")) => true,
            ("stop-new", Some("a")) => core::mem::take(&mut left) == 1,
            _ => false,
        };
        fails.then(|| Report::bare(End::Exited(1)))
    });
    until_begun(&mut world, "stop-new", "a", 1);
    world.request(Request::Hold);
    world.request(Request::Resume);
    let verdict = world.run();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
    assert_eq!(count(&world, "serving@b"), 1, "{:?}", world.log);
}

#[test]
fn a_node_that_is_out_in_a_later_wave_comes_home_before_an_earlier_wave_begins_again() {
    let mut b = plan_of(&["a", "b"], &[&["a"], &["b"]], 1, 1);
    b.plan.policy.failures_allowed = 2;
    let mut second = rule("APPLY", FailureAction::Stop);
    second.failed_nodes = Some(1);
    b.plan.rules.insert(0, second);
    let mut world = World::new(b.plan)
        .answering(|step, _| (step.key.as_str() == "apply").then(|| Report::bare(End::Exited(1))));
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    assert!(world.rollout.nodes_out().contains(&node("b")));
    let before = world.log.len();
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    let again = &world.log[before..];
    let home = again.iter().position(|l| l == "serving@b").expect("b comes home");
    let next = again.iter().position(|l| l == "guard@a").expect("a begins again");
    assert!(home < next, "{again:?}");
}

#[test]
fn a_second_answer_to_an_attempt_that_waits_for_its_retry_says_nothing_new() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.find("drain", "a").attempts = 2;
    let mut world = World::new(b.plan);
    until_begun(&mut world, "drain", "a", 1);
    let Some(Effect::Run { step, attempt }) = world.queue.pop_front() else { panic!("runs") };
    let report = Report::bare(End::NotMet("half".into()));
    world.input(&Input::Report { step, attempt, report: report.clone() });
    world.input(&Input::Advance);
    world.input(&Input::Report { step, attempt, report });
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_stuck_node_does_not_keep_the_entrance_from_another_that_goes_back() {
    let mut b = plan_of(&["a", "b"], &[&["a", "b"]], 2, 0);
    b.plan.policy.failures_allowed = 2;
    let mut world = World::new(b.plan).answering(|planned, _| {
        let on = planned.subject.node().map(NodeName::as_str);
        let forward = planned.phase.as_str() != "ROLLBACK";
        let fails = match planned.key.as_str() {
            "serving" => forward,
            "drain" => !forward && on == Some("a"),
            _ => false,
        };
        fails.then(|| Report::bare(End::NotMet("no".into())))
    });
    // Both have returned when the balancer shows neither.
    let first = set_aside(&mut world, "serving", "a");
    until_begun(&mut world, "serving", "b", 1);
    world.queue.push_front(first);
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("a")] });
    assert_eq!(count(&world, "undrain@b"), 2, "b is put back: {:?}", world.log);
}

#[test]
fn a_drain_that_waits_for_a_person_does_not_keep_another_node_from_going_back() {
    let mut b = plan_of(&["a", "b"], &[&["b", "a"]], 2, 0);
    b.plan.rules =
        vec![rule("PRE-APPLY", FailureAction::Hold), rule("APPLY", FailureAction::RollbackNode)];
    b.plan.rules.push(rule("POST-APPLY", FailureAction::RollbackNode));
    let mut world = a_is_not_drained_and_b_not_served(World::new(b.plan));
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!(count(&world, "undrain@b"), 2, "b is put back: {:?}", world.log);
}

#[test]
fn a_balancer_a_node_does_not_stand_in_has_no_say_about_it() {
    let mut b = plan_of(&["a", "b"], &[&["a"]], 1, 1);
    b.plan.fleet.groups[0].nodes[0].members = vec![world::member_of("inner", "a")];
    let mut world = World::new(b.plan);
    world.serving.insert(node("b"), MemberState::Down);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_record_about_a_step_the_plan_does_not_have_is_refused() {
    let world = World::new(plan_of(&["a"], &[&["a"]], 1, 0).plan);
    let step = StepNo(9_999);
    let (scope, cause) = (UnwindScope::Rollout, String::new());
    for event in [
        Event::UnwindStarted { scope, steps: vec![step], cause },
        Event::NodeStuck { node: None, step, reason: String::new() },
        Event::StepStarted { step, attempt: 1 },
    ] {
        let record = Record { seq: Seq(9), at: world.now, epoch: world.epoch, event };
        assert!(world.replay().evolve(&record).is_err(), "{record:?}");
    }
}
