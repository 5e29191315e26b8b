//! What a rollout does, told by what it begins.

mod world;

use world::{Builder, World, node, rule};
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, HoldCause, Request};
use zdu_model::ids::PhaseName;
use zdu_model::plan::{Plan, Unknown};
use zdu_model::policy::FailureAction;
use zdu_model::report::{End, Evidence, MemberState, Report};
use zdu_model::verdict::Verdict;

fn reference() -> Plan {
    let mut builder = Builder::new(&["a", "b", "c"], 2);
    builder.nodes_stage();
    builder.rolling_stage(&[&["a"], &["b", "c"]], 1);
    builder.plan
}

fn failed(phase: &str, exit: u8, rolled_back: &[&str]) -> Verdict {
    let phase = PhaseName::new(phase).expect("a name");
    Verdict::Failed { phase, exit, rolled_back: rolled_back.iter().map(|n| node(n)).collect() }
}

fn exit(code: i32) -> Option<Report> {
    Some(Report::bare(End::Exited(code)))
}

/// Answers one key on one node, once.
fn once(
    key: &'static str,
    on: &'static str,
    end: End,
) -> impl FnMut(&zdu_model::plan::PlannedStep, &Effect) -> Option<Report> {
    let mut left = 1;
    move |step, _| {
        let here = step.key.as_str() == key && step.subject.node() == Some(&node(on));
        if here && left > 0 {
            left -= 1;
            return Some(Report::bare(end.clone()));
        }
        None
    }
}

#[test]
fn a_rollout_without_faults_goes_node_by_node_and_succeeds() {
    let mut world = World::new(reference());
    assert_eq!(world.run(), Verdict::Succeeded);
    let lane = |n: &str| {
        let keys =
            ["guard", "drain", "certify", "stop-old", "apply", "ready", "undrain", "serving"];
        keys.map(|key| format!("{key}@{n}"))
    };
    let mut want: Vec<String> = ["a", "b", "c"].iter().map(|n| format!("upgrade@{n}")).collect();
    for n in ["a", "b", "c"] {
        want.extend(lane(n));
    }
    assert_eq!(world.log, want);
    assert_eq!(world.least_serving, 2);
}

#[test]
fn a_failure_before_anything_disruptive_stops_and_lets_the_others_end_their_lane() {
    let mut world = World::new(reference()).answering(once("upgrade", "c", End::Exited(100)));
    assert_eq!(world.run(), failed("UPGRADE", 71, &[]));
    assert_eq!(world.log, ["upgrade@a", "upgrade@b", "upgrade@c"]);
}

#[test]
fn a_failed_apply_puts_the_node_back_newest_first_and_begins_no_other() {
    let mut world = World::new(reference()).answering(once("apply", "b", End::Exited(100)));
    assert_eq!(world.run(), failed("APPLY", 73, &["b"]));
    let at = world.log.iter().position(|l| l == "apply@b").expect("it ran");
    let after = &world.log[at + 1..];
    let want = ["stop-new@b", "start-old@b", "ready@b", "undrain@b", "serving@b", "clean@b"];
    assert_eq!(after, want);
    assert_eq!(world.serving[&node("b")], MemberState::Serving);
}

#[test]
fn a_failed_compensation_is_stuck_and_nothing_further_is_undone() {
    let mut world = World::new(reference()).answering(|step, _| match step.key.as_str() {
        "apply" | "start-old" if step.subject.node() == Some(&node("b")) => exit(1),
        _ => None,
    });
    assert_eq!(world.run(), Verdict::Stuck { nodes: vec![node("b")] });
    assert_eq!(world.log.last().map(String::as_str), Some("start-old@b"));
    assert_eq!(world.serving[&node("b")], MemberState::Draining);
    assert!(world.rollout.nodes_out().contains(&node("b")));
    // Repaired by a person: the compensation is completed, the failure stays the verdict.
    world.answer = Box::new(|_, _| None);
    world.request(Request::Resume);
    assert_eq!(world.run(), failed("APPLY", 73, &["b"]));
    assert_eq!(world.serving[&node("b")], MemberState::Serving);
}

#[test]
fn resume_after_a_failure_tries_what_failed_and_what_was_put_back_again() {
    let mut world = World::new(reference()).answering(once("apply", "b", End::Exited(100)));
    world.run();
    let before = world.log.len();
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    let again = &world.log[before..];
    assert_eq!(again[0], "upgrade@b", "its clean undid the upgrade");
    assert!(again.contains(&"apply@b".to_string()) && again.contains(&"apply@c".to_string()));
    assert!(!again.contains(&"apply@a".to_string()), "a is on the new release already");
}

#[test]
fn the_guard_waits_while_capacity_is_missing_and_goes_on_when_it_is_back() {
    let mut world = World::new(reference());
    world.serving.insert(node("c"), MemberState::Down);
    for _ in 0..40 {
        world.turn();
    }
    assert!(!world.log.iter().any(|l| l.starts_with("drain")), "{:?}", world.log);
    world.serving.insert(node("c"), MemberState::Serving);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn a_guard_that_never_sees_capacity_gives_up_by_its_rule() {
    let mut world = World::new(reference());
    world.serving.insert(node("c"), MemberState::Down);
    assert_eq!(world.run(), failed("PRE-APPLY", 72, &["a"]));
    assert!(!world.log.iter().any(|l| l == "drain@a"));
}

#[test]
fn two_nodes_of_a_group_never_stand_between_guard_and_drain_together() {
    let mut builder = Builder::new(&["a", "b", "c", "d"], 2);
    builder.rolling_stage(&[&["a", "b", "c", "d"]], 4);
    let mut world = World::new(builder.plan);
    assert_eq!(world.run(), Verdict::Succeeded);
    assert_eq!(world.least_serving, 2);
}

#[test]
fn drift_costs_the_certificate_and_it_is_had_again_before_the_next_step() {
    let mut world = World::new(reference());
    while world.log.last().map(String::as_str) != Some("stop-old@a") {
        world.turn();
    }
    world.input(&zdu_engine::Input::Drift {
        node: node("a"),
        instance: zdu_model::ids::InstanceName::new("lb-a").expect("a name"),
        member: world::member("a"),
        seen: "UP".into(),
        reasserted: true,
    });
    assert_eq!(world.run(), Verdict::Succeeded);
    let at = world.log.iter().position(|l| l == "stop-old@a").expect("it ran");
    assert_eq!(world.log[at + 1..at + 3], ["certify@a", "apply@a"]);
}

#[test]
fn a_restart_asks_the_node_about_every_begun_step_and_runs_none_twice() {
    let mut world = World::new(reference());
    for turns in 0..300 {
        if world.rollout.verdict().is_some() {
            break;
        }
        world.turn();
        if turns % 3 == 0 {
            world.crash();
        }
    }
    assert_eq!(world.run(), Verdict::Succeeded);
    let applies = world.log.iter().filter(|l| l.starts_with("apply")).count();
    assert!(applies <= 3, "{:?}", world.log);
}

#[test]
fn a_lost_step_is_observed_when_its_author_says_how_and_held_otherwise() {
    let mut world = World::new(reference()).answering(once(
        "apply",
        "a",
        End::Lost("the node was rebooted".into()),
    ));
    let end = world.run();
    assert_eq!(end, failed("APPLY", 73, &["a"]), "the rule of the phase covers unknown");

    let mut plan = reference();
    plan.rules.clear();
    let mut world = World::new(plan).answering(once("apply", "a", End::Lost("reboot".into())));
    assert_eq!(world.run(), Verdict::Held);
    assert!(world.has(|e| matches!(e, Event::FailureDecided { action: FailureAction::Hold, .. })));
    assert!(matches!(world.rollout.hold(), Some(HoldCause::Unknown(_))));

    let Some(HoldCause::Unknown(step)) = world.rollout.hold().cloned() else { panic!("unknown") };
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded, "a person's resume runs it again");
    assert_eq!(world.log.iter().filter(|l| *l == "apply@a").count(), 2);

    let mut plan = reference();
    plan.rules.clear();
    let mut world = World::new(plan).answering(once("apply", "a", End::Lost("reboot".into())));
    while world.rollout.hold().is_none() {
        world.turn();
    }
    world.request(Request::Approve(step));
    assert_eq!(world.run(), Verdict::Succeeded, "a person's approve says that it happened");
    assert_eq!(world.log.iter().filter(|l| *l == "apply@a").count(), 1);

    let mut plan = reference();
    let probe = zdu_model::plan::Probe {
        ask: zdu_model::plan::Ask::Tcp("x:1".into()),
        want: zdu_model::plan::Want::default(),
        times: 1,
        every: zdu_model::time::Millis(1),
    };
    for step in &mut plan.steps {
        step.unknown = Unknown::Observe { done: Box::new(probe.clone()), not_done: None };
    }
    let mut world = World::new(plan).answering(once("apply", "a", End::Lost("reboot".into())));
    assert_eq!(world.run(), Verdict::Succeeded);
    assert!(world.has(|e| matches!(e, Event::StepUnknown { .. })));
}

#[test]
fn an_unknown_outcome_is_never_retried_by_a_rule_that_does_not_name_it() {
    let mut plan = reference();
    let retry = FailureAction::Retry { max: 9, pause: zdu_model::time::Millis(1) };
    plan.rules = vec![rule("APPLY", retry)];
    let mut world = World::new(plan.clone()).answering(once("apply", "a", End::Lost("x".into())));
    assert_eq!(world.run(), Verdict::Held);
    plan.rules[0].class = vec![Class::Unknown];
    let mut world = World::new(plan).answering(once("apply", "a", End::Lost("x".into())));
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn hold_lets_the_node_in_flight_return_and_begins_no_other() {
    let mut world = World::new(reference());
    while world.log.last().map(String::as_str) != Some("apply@a") {
        world.turn();
    }
    world.request(Request::Hold);
    assert_eq!(world.run(), Verdict::Held);
    assert_eq!(world.log.last().map(String::as_str), Some("serving@a"));
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
}

#[test]
fn abort_puts_the_node_in_flight_back_and_leaves_the_finished_ones() {
    let mut world = World::new(reference());
    while world.log.last().map(String::as_str) != Some("apply@b") {
        world.turn();
    }
    world.request(Request::Abort);
    assert_eq!(world.run(), Verdict::Aborted);
    assert!(world.log.contains(&"start-old@b".to_string()));
    assert!(!world.log.contains(&"start-old@a".to_string()));
    assert!(world.serving.values().all(|state| *state == MemberState::Serving));
}

#[test]
fn rollback_of_everything_drains_each_finished_node_again_and_keeps_capacity() {
    let mut world = World::new(reference());
    while world.log.last().map(String::as_str) != Some("apply@c") {
        world.turn();
    }
    let before = world.log.len();
    world.request(Request::Rollback);
    assert_eq!(world.run(), Verdict::RolledBack);
    let b: Vec<_> = world.log[before..].iter().filter(|l| l.ends_with("@b")).cloned().collect();
    let want = "guard drain certify stop-new start-old ready undrain serving clean";
    let want: Vec<_> = want.split(' ').map(|key| format!("{key}@b")).collect();
    assert_eq!(b, want);
    assert_eq!(world.least_serving, 2);
    assert!(world.rollout.refuses(&Request::Rollback).is_some());
}

#[test]
fn a_point_of_no_return_waits_for_a_person_and_is_never_crossed_back() {
    let mut plan = reference();
    let at = plan.steps.iter().position(|step| step.key.as_str() == "apply").expect("there");
    plan.steps[at].point_of_no_return = true;
    let point = plan.steps[at].no;
    let mut world = World::new(plan);
    while world.rollout.hold().is_none() {
        world.turn();
    }
    assert_eq!(world.rollout.hold(), Some(&HoldCause::PointOfNoReturn(point)));
    world.request(Request::Approve(point));
    assert_eq!(world.run(), Verdict::Succeeded);
    assert!(world.rollout.refuses(&Request::Rollback).is_some());
}

#[test]
fn failures_within_the_allowance_are_put_back_and_the_rollout_goes_on() {
    let mut plan = reference();
    plan.policy.failures_allowed = 1;
    let mut world = World::new(plan).answering(once("apply", "b", End::Exited(100)));
    assert_eq!(world.run(), failed("APPLY", 73, &["b"]));
    assert!(world.log.contains(&"serving@c".to_string()), "{:?}", world.log);
}

#[test]
fn retries_are_bounded_and_then_the_rule_decides() {
    let mut plan = reference();
    for step in &mut plan.steps {
        step.attempts = 3;
    }
    let mut world = World::new(plan).answering(|step, _| match step.key.as_str() {
        "apply" => exit(1),
        _ => None,
    });
    assert_eq!(world.run(), failed("APPLY", 73, &["a"]));
    assert_eq!(world.log.iter().filter(|l| *l == "apply@a").count(), 3);
}

#[test]
fn an_illegal_record_is_noticed() {
    let mut world = World::new(reference());
    world.run();
    let mut records = world.records.clone();
    let at = records.iter().position(|r| matches!(r.event, Event::StepEnded { .. })).expect("one");
    records.remove(at);
    let mut rollout = zdu_engine::Rollout::new(world.rollout.plan().clone());
    let refused = records.iter().find_map(|record| rollout.evolve(record).err());
    assert!(refused.is_some(), "a missing end was not noticed");
}

#[test]
fn the_journal_keeps_of_a_guard_its_own_node_and_who_did_not_serve() {
    let mut builder = Builder::new(&["a", "b", "c", "d"], 2);
    builder.rolling_stage(&[&["a"]], 1);
    let mut world = World::new(builder.plan);
    world.serving.insert(node("d"), MemberState::Down);
    assert_eq!(world.run(), Verdict::Succeeded);
    let listed: Vec<String> = world
        .records
        .iter()
        .find_map(|record| match &record.event {
            Event::StepEnded { report, .. } => match &report.evidence {
                Evidence::Balancers(readings) => Some(readings),
                Evidence::None | Evidence::Drain(_) | Evidence::Version(_) | Evidence::File(_) => {
                    None
                }
            },
            _ => None,
        })
        .expect("a guard")
        .iter()
        .flat_map(|reading| reading.members.iter().map(|member| member.node.to_string()))
        .collect();
    assert_eq!(listed, ["a", "d"]);
}
