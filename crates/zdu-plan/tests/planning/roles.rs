//! Why no plan is made for want of a role, or of too many.

use crate::fixture::*;
use zdu_model::procedure::{RoleDecl, Site};
use zdu_plan::Input;

/// The sentences of the refusals of an input that was changed in one way.
fn said(change: impl FnOnce(&mut Input)) -> Vec<String> {
    let mut input = input();
    change(&mut input);
    refused(&input).iter().map(ToString::to_string).collect()
}

pub(crate) fn lookup(exactly: Option<u32>) -> RoleDecl {
    RoleDecl { help: String::new(), lookup: Some(probe("ask")), among: None, exactly }
}

#[test]
fn a_role_nobody_looked_up_is_refused_when_it_orders_something() {
    let said = said(|input| {
        input.procedure.roles.insert(role("leader"), lookup(Some(1)));
        input.procedure.roles.insert(role("unused"), lookup(None));
        input.procedure.stages[0].first = vec![role("leader")];
    });
    assert_eq!(said, ["nobody knows yet which node has the role leader, and it orders the plan"]);
}

#[test]
fn a_role_without_bearer_and_lookup_is_refused() {
    let said = said(|input| input.procedure.stages[0].last = vec![role("leader")]);
    assert_eq!(said, ["procedure.stages.apply.last needs the role leader, which no node has"]);
}

#[test]
fn a_step_on_a_role_nobody_was_found_to_have_is_refused() {
    let said = said(|input| {
        input.procedure.roles.insert(role("leader"), lookup(None));
        input.observed.consulted = true;
        first_step(input).on = Site::Role(role("leader"));
    });
    assert_eq!(
        said,
        ["procedure.stages.apply.steps.switch needs the role leader, which no node has"]
    );
}

#[test]
fn a_role_has_exactly_as_many_bearers_as_it_must() {
    let said = said(|input| {
        input.procedure.roles.insert(role("leader"), lookup(Some(1)));
        for node in &mut input.fleet.groups[0].nodes[..2] {
            node.roles.insert(role("leader"));
        }
    });
    assert_eq!(said, ["exactly 1 must have the role leader, but 2 do: node-a, node-b"]);
}

#[test]
fn a_role_that_orders_nothing_and_nobody_has_is_counted_all_the_same() {
    let nobody = ["exactly 1 must have the role leader, but 0 do"];
    let looked_for = said(|input| {
        input.procedure.roles.insert(role("leader"), lookup(Some(1)));
        input.observed.consulted = true;
    });
    assert_eq!(looked_for, nobody);
    let declared = said(|input| {
        let decl = RoleDecl { help: String::new(), lookup: None, among: None, exactly: Some(1) };
        input.procedure.roles.insert(role("leader"), decl);
    });
    assert_eq!(declared, nobody);
}

#[test]
fn a_lookup_the_procedure_never_asked_is_refused() {
    let said = said(|input| {
        input.observed.roles.insert(name("node-a"), [role("leader")].into());
    });
    assert!(said[0].starts_with("preflight found the role leader on node node-a"));
}
