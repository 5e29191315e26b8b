//! Each hint follows from what was played, and what it says to change does what it says.

use super::super::tests::{Shape, plan_of, rehearsed};
use super::*;
use crate::fault::{Ask, BalancerTrouble, Fault, NodeTrouble, What, When};
use crate::run::{Setup, run};
use std::sync::Arc;
use zdu_model::event::Request;
use zdu_model::ids::InstanceName;
use zdu_model::verdict::Verdict;

fn hints(shape: Shape) -> Vec<String> {
    rehearsed(&plan_of(&shape), 12).hints
}

#[track_caller]
fn names(hints: &[String], text: &str) {
    assert!(hints.iter().any(|hint| hint.contains(text)), "{text:?} is not in {hints:#?}");
}

#[test]
fn an_undo_that_is_missing_is_named() {
    let shape = Shape { undo: false, ..Shape::default() };
    names(&hints(shape), "change disturbs its node and has no undo");
}

/// The end of a single failure that lasts so long, and of the rollout resumed after it.
fn lasting(plan: &Arc<Plan>, fault: What, at: Millis, asks: Vec<Ask>) -> Option<Verdict> {
    let faults = vec![Fault { when: When::At(Millis(at.0 + 2)), what: fault }];
    let quiet = Setup::quiet(plan.clone(), 1);
    let times = super::super::forecast::times(plan, &BTreeMap::new());
    run(&Setup { faults, times, reboots_halve: true, afterwards: asks, ..quiet }).verdict
}

fn is_stuck(verdict: Option<&Verdict>) -> bool {
    matches!(verdict, Some(Verdict::Stuck { .. }) | None)
}

/// The failure for which there is the least time.
fn urgent(found: &Rehearsal, trouble: Trouble) -> Mishap {
    let stuck = found.failures.iter().filter(|one| one.ending.mark() == Mark::Stuck);
    let stuck = stuck.filter(|one| one.mishaps[0].trouble == trouble);
    let least = stuck.min_by_key(|one| one.ending.took.0 - one.mishaps[0].at.0);
    least.expect("one leaves a node stuck").mishaps[0].clone()
}

#[test]
fn a_stopped_instance_that_leaves_a_node_stuck_is_named_with_the_time_to_start_it() {
    let plan = plan_of(&Shape { patience: 100, ..Shape::default() });
    let found = rehearsed(&plan, 0);
    let (by, time) = stuck_by(&found, Trouble::Stopped).expect("it leaves a node stuck");
    names(&found.hints, &format!("is down at {by} leaves the node stuck"));
    names(&found.hints, &format!("back within {time} leaves no node stuck"));
    names(&found.hints, "or raise capacity_deadline (1m40s)");
    let at = urgent(&found, Trouble::Stopped).at;
    let stopped = |span| {
        let edge = InstanceName::new("edge-1").expect("a name");
        What::Balancer(edge, BalancerTrouble::Stopped(span))
    };
    assert!(!is_stuck(lasting(&plan, stopped(time), at, Vec::new()).as_ref()));
    let longer = Millis(time.0 + 20_000);
    assert!(is_stuck(lasting(&plan, stopped(longer), at, Vec::new()).as_ref()));
    let resume = vec![Ask::For(Request::Resume)];
    assert!(!is_stuck(lasting(&plan, stopped(longer), at, resume).as_ref()));
    // And what the hint says to raise does it.
    let patient = plan_of(&Shape::default());
    assert!(!is_stuck(lasting(&patient, stopped(longer), at, Vec::new()).as_ref()));
    assert_eq!(stuck_by(&rehearsed(&patient, 0), Trouble::Stopped), None);
}

#[test]
fn a_node_that_stays_sick_and_is_stuck_is_named_with_the_time_to_repair_it() {
    let plan = plan_of(&Shape::default());
    let found = rehearsed(&plan, 0);
    let (by, time) = stuck_by(&found, Trouble::Sick).expect("it leaves a node stuck");
    names(&found.hints, &format!("a node that is sick at {by}"));
    names(&found.hints, &format!("repair it within {time}, or raise ready_deadline (2m)"));
    let Mishap { at, node, key, .. } = urgent(&found, Trouble::Sick);
    assert_eq!(key.as_str(), "serving");
    let sick = |span| What::Node(node.clone().expect("a node"), NodeTrouble::Sick, span);
    assert!(!is_stuck(lasting(&plan, sick(time), at, Vec::new()).as_ref()));
    let longer = Millis(time.0 + 20_000);
    assert!(is_stuck(lasting(&plan, sick(longer), at, Vec::new()).as_ref()));
    let resume = vec![Ask::For(Request::Resume)];
    assert!(!is_stuck(lasting(&plan, sick(longer), at, resume).as_ref()));
    let mut patient = (*plan).clone();
    let ready = patient.steps.iter_mut().filter(|step| matches!(step.work, Work::Ready(_)));
    ready.for_each(|step| step.deadline = Millis::from_secs(300));
    assert!(!is_stuck(lasting(&Arc::new(patient), sick(longer), at, Vec::new()).as_ref()));
}

#[test]
fn another_single_failure_that_gets_stuck_is_named() {
    let plan = plan_of(&Shape::default());
    let mut found = rehearsed(&plan, 0);
    let verdict = found.failures.iter().find(|one| one.ending.mark() == Mark::Stuck);
    let verdict = verdict.expect("one is stuck").ending.verdict.clone();
    let halves = found.failures.iter_mut();
    let mut halves = halves.filter(|one| one.mishaps[0].trouble == Trouble::Half);
    halves.next().expect("it is played").ending.verdict = verdict;
    names(&super::hints(&plan, &found).all, "change half leaves something stuck");
}

#[test]
fn a_budget_that_lets_nobody_out_when_one_is_sick_is_named() {
    let shape = Shape { groups: vec![2], ..Shape::default() };
    names(&hints(shape), "group g0: min_available is 1 of 2: with one node sick");
    let roomy = Shape { groups: vec![3], ..Shape::default() };
    assert!(!hints(roomy).iter().any(|hint| hint.contains("with one node sick")));
}

#[test]
fn what_waits_for_a_person_gets_stuck_or_is_not_known_is_named() {
    let hints = hints(Shape::default());
    names(&hints, "change says `unknown: hold`, so lost");
    names(&hints, "hold_deadline");
    names(&hints, "stuck by one failure: `attempts: 3` at change-back");
    names(&hints, "write `takes:` at change,");
    assert!(!hints.iter().any(|hint| hint.contains("has no undo")), "{hints:#?}");
}

#[test]
fn a_step_that_may_be_repeated_and_is_tried_once_is_named() {
    names(&hints(Shape { rerun: true, ..Shape::default() }), "`attempts: 2` at change");
}

#[test]
fn a_group_nobody_of_which_serves_is_named() {
    let shape = Shape { groups: vec![1], least: 0, ..Shape::default() };
    names(&hints(shape), "group g0: nobody serves for a while");
}

#[test]
fn a_group_whose_nodes_go_out_together_is_told_to_keep_one_in() {
    let shape = Shape { groups: vec![2], least: 0, wave: 2, ..Shape::default() };
    let told = hints(shape.clone());
    names(&told, "since min_available is 0 of 2");
    names(&told, "`min_available: 1` would keep one node serving");
    assert!(!told.iter().any(|hint| hint.contains("a second node")), "{told:#?}");
    let mended = rehearsed(&plan_of(&Shape { least: 1, ..shape }), 0);
    assert_eq!(mended.rooms[0].least_serving, 1);
    assert_eq!(mended.quiet.verdict, Some(Verdict::Succeeded));
}

#[test]
fn a_sick_node_that_nothing_asks_again_is_named() {
    let plan = plan_of(&Shape { groups: vec![1], least: 0, ..Shape::default() });
    let mut found = rehearsed(&plan, 0);
    // Whether the balancers find out before the rollout ends is a matter of their checks.
    let sick = found.failures.iter_mut().find(|played| {
        let mishap = &played.mishaps[0];
        mishap.trouble == Trouble::Sick && mishap.key.as_str() == "serving"
    });
    sick.expect("it is played").ending.verdict = Some(Verdict::Succeeded);
    names(&super::hints(&plan, &found).all, "g0-n0 falls sick right behind `serving`");
}

#[test]
fn sessions_that_the_policy_cuts_are_named() {
    names(&hints(Shape { kill: true, ..Shape::default() }), "cut at drain_deadline");
}

#[test]
fn whether_a_hint_asks_for_another_procedure_is_known() {
    let plan = plan_of(&Shape::default());
    let mut found = rehearsed(&plan, 0);
    assert!(found.changes_procedure, "{:#?}", found.hints);
    found.failures.clear();
    found.pairs.clear();
    found.forecast.steps.clear();
    let Hints { all, of_procedure } = super::hints(&plan, &found);
    assert!(!of_procedure, "{all:#?}");
}
