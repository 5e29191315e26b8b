//! Whose captured values a step may use.

use crate::fixture::*;
use zdu_model::ids::CaptureName;
use zdu_model::procedure::{Capture, CaptureFrom, Over, Site, Step};
use zdu_model::text::Template;
use zdu_plan::{Input, lint, plan};

fn makes(of: Step) -> Step {
    let name = CaptureName::new("id").expect("valid");
    Step { capture: vec![Capture { name, from: CaptureFrom::Output, secret: false }], ..of }
}

fn on_controller(id: &str, words: &str) -> Step {
    Step { on: Site::Controller, ..step(id, "EXPORT", words) }
}

/// A stage over the nodes that come for `when`, and behind it one rolling stage over all.
fn over_nodes(when: &str) -> Input {
    let mut input = input();
    let make = Step { when: Some(Template(when.into())), ..makes(step("make", "EXPORT", "make")) };
    input.procedure.stages.insert(0, stage("learn", Over::Nodes, vec![make]));
    first_of_rolling(&mut input).action = run("use {{capture:id}}");
    input
}

fn first_of_rolling(input: &mut Input) -> &mut Step {
    let stage = input.procedure.stages.last_mut().expect("a stage");
    &mut stage.steps[0]
}

fn why(input: &Input) -> Option<String> {
    match plan(input, &Braces) {
        Ok(planned) => {
            assert_eq!(lint(&planned.plan), vec![], "the plan is clean");
            None
        }
        Err(refusals) => Some(refusals.to_string()),
    }
}

#[test]
fn every_node_may_use_its_own() {
    assert_eq!(why(&over_nodes("always")), None);
}

#[test]
fn all_may_use_what_one_node_alone_made_in_a_stage_before() {
    assert_eq!(why(&over_nodes("node=node-b")), None);
}

#[test]
fn nobody_may_use_what_another_node_made_in_the_same_stage() {
    let mut input = over_nodes("node=node-a");
    let make = input.procedure.stages.remove(0).steps.remove(0);
    input.procedure.stages[0].steps.insert(0, make);
    let why = why(&input).expect("it is refused");
    assert!(why.contains("before a step that makes it has run there"), "{why}");
}

#[test]
fn all_may_use_what_the_fleet_made_in_a_stage_before() {
    let mut input = over_nodes("always");
    input.procedure.stages[0] = stage("learn", Over::Once, vec![makes(on_controller("make", "x"))]);
    assert_eq!(why(&input), None);
}

#[test]
fn a_node_that_made_none_may_not_choose_between_those_of_two_others() {
    let mut input = over_nodes("node=node-a");
    let second = Step {
        when: Some(Template("node=node-b".into())),
        ..makes(step("again", "EXPORT", "make"))
    };
    input.procedure.stages[0].steps.push(second);
    let why = why(&input).expect("it is refused");
    assert!(why.contains("which several other nodes make"), "{why}");
}

#[test]
fn what_the_fleet_made_before_goes_before_what_other_nodes_made() {
    let mut input = over_nodes("node=node-a");
    let once = stage("before", Over::Once, vec![makes(on_controller("first", "make"))]);
    input.procedure.stages.insert(0, once);
    assert_eq!(why(&input), None);
}
