//! What people read about two plans.

use crate::fixture::*;
use zdu_model::fleet::Front;
use zdu_model::ids::{Digest, SecretName};
use zdu_model::policy::{CertifyPolicy, DrainExpiry, FailureAction, FailureRule, WaveSize};
use zdu_model::procedure::{GoesBack, Over, RollbackClass, Site, UnknownRule};
use zdu_model::time::Millis;
use zdu_plan::{Input, diff};

fn said(change: impl FnOnce(&mut Input)) -> Vec<String> {
    let old = planned(&input()).plan;
    let mut input = input();
    change(&mut input);
    diff(&old, &planned(&input).plan)
}

#[test]
fn a_plan_does_not_differ_from_itself() {
    let plan = planned(&input()).plan;
    assert_eq!(diff(&plan, &plan), Vec::<String>::new());
}

#[test]
fn a_plan_that_names_steps_it_does_not_have_can_be_compared() {
    let good = planned(&input()).plan;
    let mut odd = good.clone();
    odd.steps.truncate(odd.steps.len() / 2);
    assert_eq!(diff(&odd, &odd), Vec::<String>::new());
    assert!(!diff(&odd, &good).is_empty() && !diff(&good, &odd).is_empty());
}

#[test]
fn a_difference_is_said_in_words_and_not_in_numbers() {
    let old = planned(&input()).plan;
    let mut input = input();
    input.fleet.groups[0].nodes.push(node("node-d"));
    input.policy.soak = Millis::from_secs(60);
    first_step(&mut input).action = run("switch hard");
    input.procedure.stages[0].steps.insert(0, step("save", "APPLY", "save"));
    let said = diff(&old, &planned(&input).plan);
    assert!(said.contains(&"1 node added: node-d".to_string()), "{said:#?}");
    assert!(said.contains(&"policy.soak changed from 2m to 1m".to_string()), "{said:#?}");
    let saved = "stage apply: save added on node-a, node-b, node-c, node-d";
    assert!(said.contains(&saved.to_string()), "{said:#?}");
    let hard = "stage apply: switch does `switch hard` in place of `switch node-a 2.0` on node-a";
    assert!(said.contains(&hard.to_string()), "{said:#?}");
}

#[test]
fn who_is_upgraded_from_what_to_what_is_said_first() {
    let said = said(|input| {
        input.fleet.name = "store".to_string().try_into().expect("valid");
        input.procedure.name = "swap".to_string().try_into().expect("valid");
        input.procedure_digest = Digest("fedcba9876543210".into());
        input.release.from = "1.1".into();
        input.release.to = "2.1".into();
        first_step(input).action = run("switch");
        first_step(input).undo[0].action = run("switch back");
        input.procedure.stages[0].ready = vec![probe("version")];
        input.procedure.stages[0].ready_old = vec![probe("version")];
    });
    assert_eq!(
        said[..5],
        [
            "the fleet changed from \"shop\" to \"store\"",
            "the procedure changed from \"restart\" to \"swap\"",
            "the text of the procedure changed: 0123456789ab to fedcba987654",
            "release.from changed from \"1.0\" to \"1.1\"",
            "release.to changed from \"2.0\" to \"2.1\""
        ]
    );
}

#[test]
fn nodes_groups_balancers_and_fronts_that_changed_are_named() {
    let said = said(|input| {
        let mut moved = input.fleet.groups[0].nodes.remove(2);
        moved.address = "elsewhere.example".into();
        input.fleet.groups[0].nodes.remove(1);
        input.fleet.groups[0].min_available = 0;
        input.fleet.groups.push(group("other", 0, &[]));
        input.fleet.groups[1].nodes.push(moved);
        let edge = input.fleet.balancers.values_mut().next().expect("a balancer");
        edge.instances.pop();
        let timeout = Millis::from_secs(9);
        input.fleet.front =
            vec![Front { http: "https://shop.example/".into(), timeout, watch: None }];
    });
    assert_eq!(
        said[..7],
        [
            "1 node removed: node-b",
            "the group of node-c changed from \"api\" to \"other\"",
            "the declaration of node node-c changed",
            "min_available of api changed from 2 to 0",
            "the balancers changed",
            "the fronts changed",
            "the waves of stage apply changed"
        ]
    );
    assert!(!said.iter().any(|line| line.contains("node-a changed")), "{said:#?}");
}

#[test]
fn when_a_stage_goes_back_is_said() {
    let plan = |goes_back| {
        let mut input = input();
        input.procedure.stages[0].over = Over::Nodes;
        input.procedure.stages[0].steps.iter_mut().for_each(|step| step.disruptive = false);
        input.procedure.stages[0].goes_back = goes_back;
        planned(&input).plan
    };
    let said = diff(&plan(GoesBack::WithNode), &plan(GoesBack::WithRollout));
    let changed = "when stage apply is put back changed from with_node to with_rollout";
    assert!(said.iter().any(|line| line == changed), "{said:#?}");
}

#[test]
fn every_limit_of_the_policy_that_changed_is_said() {
    let secret: SecretName = "token".to_string().try_into().expect("valid");
    let said = said(|input| {
        let policy = &mut input.policy;
        policy.wave = vec![WaveSize::Count(2), WaveSize::Percent(50)];
        policy.concurrency = 2;
        policy.drain_deadline = Millis::from_secs(1);
        policy.on_drain_deadline = DrainExpiry::Proceed;
        policy.certify = CertifyPolicy { samples: 9, ..policy.certify };
        policy.hold_deadline = Millis::from_secs(2);
        policy.failures_allowed = 4;
        policy.cross_point_of_no_return = true;
        policy.secrets.insert(secret, zdu_model::policy::SecretSource::Env("TOKEN".into()));
        policy.on_failure.push(FailureRule {
            phase: None,
            exit: vec![],
            class: vec![],
            output: None,
            stage: None,
            failed_nodes: None,
            action: FailureAction::Hold,
        });
    });
    let of_policy: Vec<_> = said.iter().filter(|line| line.starts_with("policy.")).collect();
    assert_eq!(
        of_policy,
        [
            "policy.wave changed from [1] to [2, 50%]",
            "policy.concurrency changed from 1 to 2",
            "policy.drain_deadline changed from 5m to 1s",
            "policy.hold_deadline changed from 1h to 2s",
            "policy.on_drain_deadline changed from fail to proceed",
            "policy.certify changed from 3 samples 1s apart to 9 samples 1s apart",
            "policy.failures_allowed changed from 0 to 4",
            "policy.cross_point_of_no_return changed from false to true"
        ]
    );
    for line in ["the sources of secrets changed", "the failure rules changed"] {
        assert!(said.contains(&line.to_owned()), "{line} is not in {said:#?}");
    }
}

#[test]
fn what_changed_of_a_step_is_said_once_for_all_its_nodes() {
    let said = said(|input| {
        let switch = first_step(input);
        switch.phase = phase("EXPORT");
        switch.on = Site::Controller;
        switch.deadline = zdu_model::procedure::Deadline::Span(Millis::from_secs(61));
        switch.attempts = 2;
        switch.rollback = RollbackClass::Redo;
        switch.unknown = UnknownRule::Rerun;
        switch.undo.push(step("tidy", "APPLY", "tidy"));
    });
    let on = "on node-a, node-b, node-c";
    let moved =
        |node: &str| format!("switch place changed from {node} to the controller on {node}");
    let expected = [
        format!("switch attempts changed from 1 to 2 {on}"),
        format!("switch deadline changed from 1m to 1m1s {on}"),
        format!("switch outcome, unknown or capture changed {on}"),
        format!("switch phase changed from APPLY to EXPORT {on}"),
        moved("node-a"),
        moved("node-b"),
        moved("node-c"),
        format!("switch rollback changed from instant to redo {on}"),
        format!("tidy (undo of switch) added {on}"),
    ];
    assert_eq!(said, expected.map(|line| format!("stage apply: {line}")));
}

#[test]
fn a_stage_that_is_gone_and_one_that_came_are_an_order_and_their_steps() {
    let old = {
        let mut input = input();
        let steps = vec![step("save", "EXPORT", "save")];
        let before = stage("export", Over::Nodes, steps);
        input.procedure.stages.insert(0, before);
        planned(&input).plan
    };
    let said = diff(&old, &planned(&input()).plan);
    assert_eq!(
        said,
        [
            "the order of stages changed from [\"export\", \"apply\"] to [\"apply\"]",
            "stage export: save removed on node-a, node-b, node-c"
        ]
    );
}

#[test]
fn groups_are_compared_by_their_names() {
    let with = |min_available| {
        let mut input = input();
        input.fleet.groups[0].min_available = min_available;
        input.fleet.groups.insert(0, group("other", 0, &["node-x"]));
        planned(&input).plan
    };
    assert_eq!(diff(&with(2), &with(1))[0], "min_available of api changed from 2 to 1");
    assert_eq!(diff(&with(2), &with(2)), Vec::<String>::new());
}
