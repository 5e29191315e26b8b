//! Each hint follows from what was played, and what it says to change does what it says.

use super::super::asked;
use super::super::play::STOPPED;
use super::super::stuck::{lasting as time_for, led};
use super::super::tests::{Shape, ground, plan_of, rehearsed};
use super::*;
use crate::fault::{Ask, BalancerTrouble, Fault, NodeTrouble, What, When};
use crate::run::{Setup, run};
use std::sync::Arc;
use zdu_model::event::Request;
use zdu_model::ids::InstanceName;
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

fn hints(shape: Shape) -> Vec<Hint> {
    rehearsed(&plan_of(&shape), 12).hints
}

#[track_caller]
fn names(hints: &[Hint], text: &str) {
    assert!(has(hints, text), "{text:?} is not in {hints:#?}");
}

fn has(hints: &[Hint], text: &str) -> bool {
    hints.iter().any(|hint| hint.text.contains(text))
}

/// Single failures of this kind that leave something stuck.
fn stuck_by(found: &Rehearsal, trouble: Trouble) -> Vec<(&Mishap, &Ending)> {
    let stuck = found.failures.iter().filter(|one| one.ending.mark() == Mark::Stuck);
    let stuck = stuck.filter(|one| one.mishaps[0].trouble == trouble);
    stuck.map(|one| (&one.mishaps[0], &one.ending)).collect()
}

#[test]
fn an_undo_that_is_missing_is_named() {
    let shape = Shape { undo: false, ..Shape::default() };
    let found = rehearsed(&plan_of(&shape), 0);
    let counting: Vec<&Hint> = found.hints.iter().filter(|hint| hint.counts).collect();
    let [one] = counting.as_slice() else { panic!("{:#?}", found.hints) };
    assert!(one.text.starts_with("change disturbs its node and has no undo"), "{one:?}");
    assert!(found.found_something(), "what is left half done is stuck");
    assert!(!rehearsed(&plan_of(&Shape::default()), 0).found_something());
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
    let stuck = stuck_by(&found, Trouble::Stopped);
    let (by, time) = time_for(&stuck).expect("it leaves a node stuck");
    names(&found.hints, &format!("is down at {by} leaves the node stuck"));
    names(&found.hints, &format!("back within {time} leaves no node stuck"));
    names(&found.hints, "raise capacity_deadline (1m40s)");
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
    assert_eq!(stuck_by(&rehearsed(&patient, 0), Trouble::Stopped), []);
}

#[test]
fn a_node_that_stays_sick_and_is_stuck_is_named_with_the_time_to_repair_it() {
    let plan = plan_of(&Shape::default());
    let found = rehearsed(&plan, 0);
    let (by, time) = time_for(&stuck_by(&found, Trouble::Sick)).expect("it leaves a node stuck");
    names(&found.hints, &format!("no plan can repair a node: one that is sick at {by}"));
    names(&found.hints, &format!("repair it within {time}, or raise ready_deadline (2m)"));
    let Mishap { at, node, key, .. } = urgent(&found, Trouble::Sick);
    assert_eq!(key.as_str(), "serving");
    let node = node.expect("a node");
    let sick = |span| What::Node(node.clone(), NodeTrouble::KnownSick, span);
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
    found.failures.iter_mut().for_each(|one| one.ending.only_sick = false);
    names(&super::hints(&plan, &found).all, "change half");
    names(&super::hints(&plan, &found).all, "leaves something stuck");
}

#[test]
fn a_budget_that_lets_nobody_out_when_one_is_sick_is_named() {
    let shape = Shape { groups: vec![2], ..Shape::default() };
    names(&hints(shape), "group g0: min_available is 1 of 2: with one node sick");
    // Where that leaves something stuck it is what counts.
    let plan = plan_of(&Shape { groups: vec![2], ..Shape::default() });
    let mut found = rehearsed(&plan, 0);
    let about = |found: &Rehearsal| {
        let mut all = super::hints(&plan, found).all.into_iter();
        all.find(|hint| hint.text.contains("with one node sick")).expect("it is named").counts
    };
    assert!(!about(&found));
    let mut guards = found.failures.iter_mut().filter(|one| {
        (one.mishaps[0].trouble, one.mishaps[0].key.as_str()) == (Trouble::Sick, "guard")
    });
    guards.next().expect("it is played").ending.verdict =
        Some(Verdict::Stuck { nodes: Vec::new() });
    assert!(about(&found));
    let roomy = Shape { groups: vec![3], ..Shape::default() };
    assert!(!has(&hints(roomy), "with one node sick"));
}

#[test]
fn what_waits_for_a_person_gets_stuck_or_is_not_known_is_named() {
    let hints = hints(Shape::default());
    names(&hints, "change says `unknown: hold`, so lost");
    names(&hints, "hold_deadline");
    names(&hints, "stuck by one failure: `attempts: 3` at change-back");
    names(&hints, "write `takes:` at change,");
    assert!(!has(&hints, "no undo") && !has(&hints, "has no `ready`"), "{hints:#?}");
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
    assert!(!has(&told, "a second node"), "{told:#?}");
    let mended = rehearsed(&plan_of(&Shape { least: 1, ..shape }), 0);
    assert_eq!(mended.rooms[0].least_serving, 1);
    assert_eq!(mended.quiet.verdict, Some(Verdict::Succeeded));
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

#[test]
fn an_instance_that_is_down_while_a_node_is_seen_back_is_named_with_the_deadline_to_raise() {
    let plan = plan_of(&Shape { patience: 100, ..Shape::default() });
    let mut found = rehearsed(&plan, 0);
    let faults = ["g0-n1:change=fail", "g0-n1:ROLLBACK/serving=lbstop"];
    let ends = |plan: &Arc<Plan>| {
        let ground = ground(plan);
        let play = asked(&ground, &faults).expect("known");
        let ending = ground.play(&play);
        Played { mishaps: play.into_mishaps(), ending }
    };
    found.failures.clear();
    found.pairs = vec![ends(&plan)];
    assert_eq!(led(&found).count(), 1);
    let told = super::hints(&plan, &found).all;
    names(&told, "down at ROLLBACK/serving leaves the node stuck");
    names(&told, "raise capacity_deadline (1m40s) above the 5m it is down here; or have");
    // What it says is all there is to do.
    let patient = plan_of(&Shape { patience: STOPPED.0 / 1_000 + 60, ..Shape::default() });
    assert!(!ends(&patient).ending.is_bad());
}

#[test]
fn hints_that_mend_what_counts_come_first_and_are_marked() {
    let found = rehearsed(&plan_of(&Shape::default()), 12);
    assert!(found.found_something());
    let counts: Vec<bool> = found.hints.iter().map(|hint| hint.counts).collect();
    assert!(counts.is_sorted_by(|one, next| one >= next), "{:#?}", found.hints);
    let counting: Vec<&Hint> = found.hints.iter().filter(|hint| hint.counts).collect();
    let [one] = counting.as_slice() else { panic!("{counting:#?}") };
    assert!(one.text.contains("`attempts: 3` at change-back"), "{one:?}");
    // What it says is all there is to do.
    let mut mended = (*plan_of(&Shape::default())).clone();
    let back = mended.steps.iter_mut().filter(|step| step.key.as_str() == "change-back");
    back.for_each(|step| step.attempts = 3);
    let found = rehearsed(&Arc::new(mended), 12);
    assert!(!found.found_something() && found.hints.iter().all(|hint| !hint.counts));
}

#[test]
fn a_step_without_undo_that_disturbs_nobody_is_named_too() {
    let shape = Shape { asks: true, ..Shape::default() };
    let told = hints(shape);
    names(&told, "look has no undo: what is changed there stays when its node is put back");
    // Of the change somebody said that nothing is put back up to it.
    assert!(!has(&told, "change disturbs its node"), "{told:#?}");
}

#[test]
fn a_rolling_stage_in_which_nothing_proves_the_new_release_is_named() {
    let told = hints(Shape { proves: false, ..Shape::default() });
    names(&told, "stage switch has no `ready`: nothing proves that a node runs the new release");
}

#[test]
fn nodes_that_a_rule_leaves_as_they_are_are_named_with_what_leaves_them() {
    let stops = "`do: stop` puts nothing back: a node stays out of traffic or half changed";
    let plan = plan_of(&Shape::default());
    assert!(!has(&rehearsed(&plan, 0).hints, stops));
    let mut stopping = (*plan).clone();
    stopping.rules.iter_mut().for_each(|rule| rule.action = FailureAction::Stop);
    let found = rehearsed(&Arc::new(stopping), 0);
    names(&found.hints, stops);
    assert!(found.failures.iter().any(|one| !one.ending.rest.out.is_empty()));
}

#[test]
fn a_certificate_that_an_instance_keeps_waiting_names_the_deadline_it_goes_by() {
    let plan = plan_of(&Shape { patience: STOPPED.0 / 1_000 + 60, ..Shape::default() });
    let serves = plan.steps.iter().find(|step| matches!(step.work, Work::Serving));
    let serves = &serves.expect("a rolling stage").work;
    assert_eq!(stuck::patience(&plan, serves), None, "it waits for longer than that already");
    let mut hasty = (*plan).clone();
    hasty.policy.drain_deadline = Millis::from_secs(120);
    let told = stuck::patience(&hasty, &Work::Certify);
    assert_eq!(told, Some(("drain_deadline", Millis::from_secs(120))));
    assert_eq!(stuck::patience(&hasty, &Work::Drain), None, "no deadline of the policy");
}
