//! Why no plan is made for want of a role, or of too many.

use crate::fixture::*;
use zdu_model::ids::CaptureName;
use zdu_model::procedure::{Capture, CaptureFrom, Over, RoleDecl, Site};
use zdu_plan::{Assumed, Input};

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
    let which = "nobody knows yet which of node-a, node-b, node-c has the role leader";
    assert_eq!(said, [format!("{which}, and it orders the plan")]);
}

#[test]
fn a_role_that_exactly_one_must_have_and_only_one_may_have_is_assumed_and_no_other_is() {
    let assumed = |exactly, candidates: usize| {
        let mut input = input();
        for node in &mut input.fleet.groups[0].nodes[..candidates] {
            node.roles.insert(role("odd"));
        }
        let decl = RoleDecl { among: Some(role("odd")), ..lookup(exactly) };
        input.procedure.roles.insert(role("leader"), decl);
        input.procedure.stages[0].first = vec![role("leader")];
        let assumed = input.assume_only_candidates();
        (assumed, zdu_plan::plan(&input, &Braces).is_ok())
    };
    let sure = Assumed { role: role("leader"), nodes: vec![name("node-a")] };
    assert_eq!(assumed(Some(1), 1), (vec![sure], true));
    for (exactly, candidates) in [(Some(1), 2), (Some(1), 0), (Some(2), 1), (None, 1)] {
        let unsure = (Vec::new(), false);
        assert_eq!(assumed(exactly, candidates), unsure, "{exactly:?} of {candidates}");
    }
}

#[test]
fn what_follows_from_a_role_nobody_looked_up_is_no_second_reason_and_another_cause_is() {
    let change = |input: &mut Input| {
        for node in &mut input.fleet.groups[0].nodes[1..] {
            node.roles.insert(role("odd"));
        }
        let decl = RoleDecl { among: Some(role("odd")), ..lookup(Some(1)) };
        input.procedure.roles.insert(role("leader"), decl);
        let mut learn = step("learn", "APPLY", "learn");
        learn.on = Site::Role(role("leader"));
        let name = CaptureName::new("id").expect("valid");
        learn.capture = vec![Capture { name, from: CaptureFrom::Output, secret: false }];
        let mut verify = step("verify", "APPLY", "look {{capture:id}}");
        verify.disruptive = false;
        input.procedure.stages[0].steps.push(learn);
        input.procedure.stages.push(stage("verify", Over::Nodes, vec![verify]));
    };
    let unknown = "nobody knows yet which of node-b, node-c has the role leader, and it orders the \
                   plan";
    assert_eq!(said(change), [unknown]);
    let with_another = said(|input| {
        change(input);
        input.policy.accept_no_undo = vec!["swich".into()];
    });
    let typing = "accept_no_undo names swich, which is no step of the procedure";
    assert_eq!(with_another, [unknown, typing]);
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
