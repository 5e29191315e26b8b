//! The lint finds what a hand, or a damaged file, could do to a plan.

use crate::fixture::*;
use zdu_model::ids::{SecretName, StepNo};
use zdu_model::plan::{Plan, Subject};
use zdu_model::text::{Piece, Text};
use zdu_model::time::Millis;
use zdu_plan::{LintRule, lint};

fn found(change: impl FnOnce(&mut Plan)) -> Vec<LintRule> {
    let mut plan = planned(&input()).plan;
    change(&mut plan);
    let mut rules: Vec<LintRule> = lint(&plan).into_iter().map(|finding| finding.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

fn lane(plan: &mut Plan) -> &mut Vec<StepNo> {
    &mut plan.stages[0].waves[0].lanes[0].steps
}

#[test]
fn a_number_that_is_not_its_index_is_found() {
    assert_eq!(found(|plan| plan.steps[3].no = StepNo(4)), [LintRule::Numbers, LintRule::OnePlace]);
}

#[test]
fn a_step_that_stands_twice_or_nowhere_is_found() {
    assert!(found(|plan| lane(plan).push(StepNo(7))).contains(&LintRule::OnePlace));
    assert_eq!(found(|plan| plan.stages[0].waves[0].gate.truncate(1)), [LintRule::OnePlace]);
    assert_eq!(found(|plan| plan.stages[0].waves[0].gate.push(StepNo(9999))), [LintRule::OnePlace]);
}

#[test]
fn a_step_that_undoes_itself_is_found() {
    assert!(found(|plan| plan.steps[7].undo.push(StepNo(7))).contains(&LintRule::Undo));
}

#[test]
fn a_disruptive_step_before_its_certificate_is_found() {
    assert!(found(|plan| lane(plan).swap(2, 3)).contains(&LintRule::Drain));
}

#[test]
fn a_disruptive_step_without_undo_is_found() {
    let rules = found(|plan| plan.steps[6].undo.clear());
    assert!(rules.contains(&LintRule::Undo), "{rules:?}");
}

#[test]
fn a_drain_without_its_way_back_is_found() {
    assert!(found(|plan| plan.steps[1].undo.clear()).contains(&LintRule::Drain));
    assert_eq!(found(|plan| plan.steps[1].undo.swap(0, 1)), [LintRule::Drain]);
}

#[test]
fn an_undrain_before_readiness_is_found() {
    assert!(found(|plan| lane(plan).swap(4, 5)).contains(&LintRule::Return));
}

#[test]
fn a_change_after_readiness_is_found() {
    assert!(found(|plan| lane(plan).swap(3, 4)).contains(&LintRule::Return));
}

#[test]
fn a_node_that_never_returns_is_found() {
    assert!(found(|plan| lane(plan).truncate(4)).contains(&LintRule::Return));
}

#[test]
fn a_node_that_stands_in_two_waves_is_found() {
    let rules = found(|plan| {
        let lane = plan.stages[0].waves[0].lanes[0].clone();
        plan.stages[0].waves[1].lanes.push(lane);
    });
    assert_eq!(rules, [LintRule::OnePlace, LintRule::Waves]);
}

#[test]
fn a_step_of_another_subject_is_found() {
    let rules = found(|plan| plan.steps[6].subject = Subject::Node(name("node-b")));
    assert_eq!(rules, [LintRule::Subjects]);
    let rules = found(|plan| plan.steps[7].subject = Subject::Fleet);
    assert_eq!(rules, [LintRule::Subjects]);
}

#[test]
fn a_secret_in_argv_is_found() {
    let rules = found(|plan| {
        let secret = Text(vec![Piece::Secret(SecretName::new("key").expect("valid"))]);
        command(&mut plan.steps[6].work).expect("a command").argv.push(secret);
    });
    assert_eq!(rules, [LintRule::Secrets]);
}

#[test]
fn a_wait_without_a_deadline_is_found() {
    assert_eq!(found(|plan| plan.steps[0].deadline = Millis(0)), [LintRule::Limits]);
}

#[test]
fn a_newer_format_and_a_missing_last_rule_are_found() {
    assert_eq!(found(|plan| plan.format += 1), [LintRule::Format]);
    assert_eq!(found(|plan| plan.rules.clear()), [LintRule::Rules]);
}
