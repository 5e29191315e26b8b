//! What preflight asks of which node.

use crate::fixture::*;
use zdu_model::plan::{Ask, Probe};
use zdu_model::procedure::{Check, RoleDecl};
use zdu_plan::{Input, node_checks, role_questions};

fn words(probe: &Probe) -> String {
    let Ask::Run(run) = &probe.ask else { panic!("{probe:?} is no command") };
    run.argv.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn looked_up(among: Option<&str>) -> RoleDecl {
    let lookup = Some(probe("leads {{node}} {{from}}"));
    RoleDecl { help: String::new(), lookup, among: among.map(role), exactly: None }
}

fn asked(input: &Input) -> Vec<String> {
    let questions = role_questions(input, &Braces).expect("they can be rendered");
    let said = |q: &zdu_plan::RoleQuestion| format!("{} {}: {}", q.node, q.role, words(&q.probe));
    questions.iter().map(said).collect()
}

#[test]
fn every_node_is_asked_whether_it_has_a_role_that_is_looked_up() {
    let mut input = input();
    input.procedure.roles.insert(role("leader"), looked_up(None));
    input.procedure.roles.insert(role("plain"), RoleDecl { lookup: None, ..looked_up(None) });
    assert_eq!(
        asked(&input),
        [
            "node-a leader: leads node-a 1.0",
            "node-b leader: leads node-b 1.0",
            "node-c leader: leads node-c 1.0"
        ]
    );
}

#[test]
fn nobody_is_asked_about_a_role_that_is_declared_and_only_candidates_about_another() {
    let mut input = input();
    input.procedure.roles.insert(role("leader"), looked_up(None));
    input.procedure.roles.insert(role("writer"), looked_up(Some("database")));
    input.fleet.groups[0].nodes[0].roles.insert(role("leader"));
    input.fleet.groups[0].nodes[1].roles.insert(role("database"));
    assert_eq!(asked(&input), ["node-b writer: leads node-b 1.0"]);
}

#[test]
fn every_check_is_made_on_every_node_with_its_hint() {
    let mut input = input();
    input.fleet.groups[0].nodes.truncate(2);
    input.procedure.preflight = vec![Check {
        name: "there is room".into(),
        probe: probe("room on {{node}}"),
        hint: "make some".into(),
    }];
    let checks = node_checks(&input, &Braces).expect("they can be rendered");
    let said = checks.iter().map(|check| {
        format!("{} {}: {} ({})", check.node, check.name, words(&check.probe), check.hint)
    });
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            "node-a there is room: room on node-a (make some)",
            "node-b there is room: room on node-b (make some)"
        ]
    );
}

#[test]
fn a_question_that_cannot_be_rendered_is_refused_with_its_place() {
    let mut input = input();
    input.procedure.preflight =
        vec![Check { name: "odd".into(), probe: probe("look {{nowhere}}"), hint: String::new() }];
    let refused = node_checks(&input, &Braces).expect_err("it is refused").to_string();
    assert!(refused.contains("procedure.preflight.odd"), "{refused}");
    let lookup = Some(probe("look {{nowhere}}"));
    input.procedure.roles.insert(role("leader"), RoleDecl { lookup, ..looked_up(None) });
    let refused = role_questions(&input, &Braces).expect_err("it is refused").to_string();
    assert!(refused.contains("procedure.roles.leader"), "{refused}");
}
