//! Whole plans, as text.

use crate::fixture::*;
use zdu_model::plan::{Subject, Target};
use zdu_model::policy::{FailureAction, WaveSize};
use zdu_model::procedure::{Over, RoleDecl, Site};
use zdu_model::text::Template;
use zdu_model::time::Millis;
use zdu_plan::Assumed;

#[test]
fn a_rolling_lane_guards_drains_certifies_works_proves_and_returns() {
    let planned = planned(&input());
    let wave = outline(&planned.plan);
    let first = wave.split("apply wave 2").next().expect("a first wave");
    assert_eq!(
        first,
        "apply wave 1, parallel 1
  0 node-a guard PRE-APPLY
  1 node-a drain PRE-APPLY
    undo 2 node-a ready ROLLBACK
    undo 3 node-a undrain ROLLBACK
    undo 4 node-a serving ROLLBACK
  5 node-a certify PRE-APPLY
  6 node-a switch APPLY drained
    undo 7 node-a unswitch ROLLBACK drained
  8 node-a ready POST-APPLY
  9 node-a undrain POST-APPLY
    undo 10 node-a guard ROLLBACK
    undo 11 node-a drain ROLLBACK
    undo 12 node-a certify ROLLBACK
  13 node-a serving POST-APPLY
  gate 14 fleet soak POST-APPLY
  gate 15 fleet front POST-APPLY
"
    );
    assert_eq!(wave.matches("gate").count(), 6, "a gate behind each of three waves");
}

#[test]
fn the_commands_are_rendered_for_each_node() {
    let mut plan = planned(&input()).plan;
    let works = plan.steps.iter_mut().map(|step| &mut step.work);
    let acts: Vec<String> = works
        .filter_map(command)
        .map(|run| run.argv.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(acts.len(), 6);
    assert_eq!(acts[..2], ["switch node-a 2.0", "switch node-a 1.0"]);
    assert_eq!(acts[4], "switch node-c 2.0");
}

#[test]
fn a_guard_asks_again_for_as_long_as_the_capacity_deadline() {
    let plan = planned(&input()).plan;
    let again = plan.steps[0].contract.again;
    assert_eq!(again.pause.0 * u64::from(again.max), plan.policy.capacity_deadline.0);
}

#[test]
fn a_drain_and_a_front_may_fail_twice() {
    let plan = planned(&input()).plan;
    let tries = |key: &str| {
        let of: Vec<_> = plan.steps.iter().filter(|step| step.key.as_str() == key).collect();
        assert!(!of.is_empty() && of.iter().all(|step| step.attempts == of[0].attempts));
        of[0].attempts
    };
    let keys = ["drain", "undrain", "front", "certify", "switch"];
    assert_eq!(keys.map(tries), [3, 20, 3, 1, 1]);
}

#[test]
fn an_undrain_waits_for_a_silent_instance_as_long_as_the_policy_says_and_a_drain_does_not() {
    let patience = |capacity_deadline: Millis, key: &str| {
        let mut input = input();
        input.policy.capacity_deadline = capacity_deadline;
        let plan = planned(&input).plan;
        let of = plan.steps.iter().filter(|step| step.key.as_str() == key);
        let mut of: Vec<_> = of.map(|step| (step.attempts, step.deadline)).collect();
        of.dedup();
        of
    };
    let (long, short) = (Millis::from_secs(20 * 60), Millis::from_secs(1));
    let each = Millis::from_secs(30);
    // Those that return a node, and those that put one back.
    assert_eq!(patience(long, "undrain"), [(40, each)]);
    assert_eq!(patience(short, "undrain"), [(3, each)]);
    // A drain goes by a reading, which must not grow old.
    assert_eq!(patience(long, "drain"), [(3, each)]);
}

#[test]
fn a_node_outside_every_balancer_only_works_and_proves() {
    let mut input = input();
    input.fleet.groups[0].min_available = 0;
    input.fleet.groups[0].nodes.truncate(1);
    input.fleet.groups[0].nodes[0].members.clear();
    input.fleet.front.clear();
    input.policy.soak = Millis(0);
    assert_eq!(
        outline(&planned(&input).plan),
        "apply wave 1, parallel 1
  0 node-a switch APPLY
    undo 1 node-a unswitch ROLLBACK
  2 node-a ready POST-APPLY"
    );
}

#[test]
fn stages_once_and_over_nodes_have_one_wave_and_no_gate() {
    let mut input = input();
    let mut check = step("check", "EXPORT", "check {{node}}");
    check.on = Site::Role(role("leader"));
    let export = step("export", "EXPORT", "export {{node}}");
    input.procedure.stages =
        vec![stage("look", Over::Once, vec![check]), stage("save", Over::Nodes, vec![export])];
    input.fleet.groups[0].nodes[2].roles.insert(role("leader"));
    input.procedure.stages[1].last = vec![role("leader")];
    input.procedure.stages[1].parallel = Some(2);
    let plan = planned(&input).plan;
    assert_eq!(
        outline(&plan),
        "look wave 1, parallel 1
  0 fleet check EXPORT
save wave 1, parallel 2
  1 node-a export EXPORT
  2 node-b export EXPORT
  3 node-c export EXPORT"
    );
    assert_eq!(plan.steps[0].target, Target::Node(name("node-c")));
    assert_eq!(plan.steps[0].subject, Subject::Fleet);
}

#[test]
fn a_step_done_once_on_a_role_and_its_undo_are_said_for_the_node_that_has_it() {
    let mut input = input();
    let mut expand = step("expand", "EXPORT", "expand {{node}}");
    expand.on = Site::Role(role("leader"));
    expand.undo = vec![step("shrink", "EXPORT", "shrink {{node}}")];
    expand.undo[0].on = Site::Role(role("leader"));
    input.procedure.stages.insert(0, stage("once", Over::Once, vec![expand]));
    input.fleet.groups[0].nodes[2].roles.insert(role("leader"));
    let mut plan = planned(&input).plan;
    let of = |step: &mut zdu_model::plan::PlannedStep| {
        let words = command(&mut step.work)?.argv.iter().map(ToString::to_string);
        Some((words.collect::<Vec<_>>().join(" "), step.target.clone()))
    };
    let said: Vec<_> = plan.steps.iter_mut().filter_map(of).take(2).collect();
    let there = Target::Node(name("node-c"));
    assert_eq!(
        said,
        [("expand node-c".to_owned(), there.clone()), ("shrink node-c".to_owned(), there)]
    );
}

#[test]
fn a_lane_may_use_the_node_of_a_role_and_disturb_it_when_it_is_its_own() {
    let mut input = input();
    let mut asks = step("ask", "APPLY", "ask");
    asks.on = Site::Role(role("leader"));
    input.procedure.stages[0].steps.push(asks);
    input.fleet.groups[0].nodes[2].roles.insert(role("leader"));
    planned(&input);
    input.procedure.stages[0].only = vec![role("leader")];
    input.procedure.stages[0].steps[0].on = Site::Role(role("leader"));
    planned(&input);
}

#[test]
fn the_role_found_at_preflight_goes_first_and_stands_in_the_plan() {
    let mut input = input();
    input.procedure.stages[0].first = vec![role("leader")];
    let decl = RoleDecl {
        help: String::new(),
        lookup: Some(probe("am-i-leader")),
        among: None,
        exactly: Some(1),
    };
    input.procedure.roles.insert(role("leader"), decl);
    input.observed.consulted = true;
    input.observed.roles.insert(name("node-c"), [role("leader")].into());
    let plan = planned(&input).plan;
    let order: Vec<_> = plan.stages[0]
        .waves
        .iter()
        .map(|wave| wave.lanes[0].subject.node().expect("a node").to_string())
        .collect();
    assert_eq!(order, ["node-c", "node-a", "node-b"]);
    assert!(plan.fleet.groups[0].nodes[2].roles.contains(&role("leader")));
}

#[test]
fn a_role_nobody_was_asked_about_is_assumed_on_the_first_nodes_that_may_have_it() {
    let mut input = input();
    let decl = |among| RoleDecl {
        help: String::new(),
        lookup: Some(probe("am-i-leader")),
        among,
        exactly: None,
    };
    for node in &mut input.fleet.groups[0].nodes[1..] {
        node.roles.insert(role("odd"));
    }
    input.fleet.groups[0].nodes[0].roles.insert(role("declared"));
    input.procedure.roles.insert(role("leader"), decl(Some(role("odd"))));
    input.procedure.roles.insert(role("declared"), decl(None));
    let assumed = Assumed { role: role("leader"), nodes: vec![name("node-b")] };
    assert_eq!(input.assume_roles(), [assumed]);
    let found: Vec<_> = input.observed.roles.into_iter().collect();
    assert_eq!(found, [(name("node-b"), [role("leader")].into())]);
    assert!(input.observed.consulted);
}

#[test]
fn a_condition_leaves_a_node_without_work_in_traffic() {
    let mut input = input();
    first_step(&mut input).when = Some(Template("node=node-b".into()));
    input.policy.wave = vec![WaveSize::Count(3)];
    let planned = planned(&input);
    assert_eq!(planned.plan.stages[0].waves.len(), 1);
    assert_eq!(planned.plan.stages[0].waves[0].lanes.len(), 1);
    let said: Vec<String> = planned.report.warnings.iter().map(ToString::to_string).collect();
    let wanted = "stage apply does nothing on node-a, node-c: no condition holds";
    assert!(said.iter().any(|text| text == wanted), "{said:?}");
}

#[test]
fn a_stage_is_as_parallel_as_both_it_and_the_policy_allow() {
    let mut input = input();
    input.policy.wave = vec![WaveSize::Percent(100)];
    input.policy.concurrency = 3;
    input.procedure.stages[0].parallel = Some(2);
    assert_eq!(planned(&input).plan.stages[0].waves[0].parallel, 2);
    input.policy.concurrency = 1;
    assert_eq!(planned(&input).plan.stages[0].waves[0].parallel, 1);
}

#[test]
fn a_default_may_use_another_variable_and_a_node_has_the_last_word() {
    let mut input = input();
    for (name, default) in [("a", "{{b}}/a"), ("b", "{{root}}/b"), ("root", "/opt")] {
        let decl = zdu_model::procedure::VarDecl {
            help: String::new(),
            kind: zdu_model::procedure::VarKind::Text,
            default: Some(Template(default.into())),
        };
        input.procedure.vars.insert(name.to_string().try_into().expect("valid"), decl);
    }
    first_step(&mut input).action = run("switch {{a}}");
    input.vars.insert("root".into(), "/srv".into());
    input.fleet.groups[0].nodes[1].vars.insert("root".into(), "/mnt".into());
    let planned = planned(&input);
    let acts: Vec<&str> = planned.report.stages[0]
        .waves
        .iter()
        .flat_map(|wave| &wave.steps)
        .filter(|step| !step.own)
        .map(|step| step.act.as_str())
        .collect();
    assert_eq!(acts, ["switch /srv/b/a", "switch /mnt/b/a", "switch /srv/b/a"]);
}

#[test]
fn where_nobody_said_what_to_do_a_person_decides() {
    let plan = planned(&input()).plan;
    assert_eq!(plan.rules.last().expect("a rule").action, FailureAction::Hold);
}

#[test]
fn roles_order_the_nodes_first_by_first_and_declaration_by_default() {
    let mut input = input();
    let names = ["node-a", "node-b", "node-c", "node-d", "node-e", "node-f"];
    input.fleet.groups = vec![group("api", 2, &names)];
    for (at, roles) in [
        (0, &["late"][..]),
        (2, &["second"]),
        (3, &["late", "second"]),
        (4, &["first"]),
        (5, &["first", "second"]),
    ] {
        let all = roles.iter().map(|name| role(name));
        input.fleet.groups[0].nodes[at].roles.extend(all);
    }
    input.procedure.stages[0].first = vec![role("first"), role("second")];
    input.procedure.stages[0].last = vec![role("late")];
    input.policy.wave = vec![WaveSize::Count(6)];
    let order = |input: &zdu_plan::Input| -> Vec<String> {
        let plan = planned(input).plan;
        let lanes = plan.stages[0].waves[0].lanes.iter();
        lanes.map(|lane| lane.subject.node().expect("a node").to_string()).collect()
    };
    assert_eq!(order(&input), ["node-e", "node-f", "node-c", "node-d", "node-b", "node-a"]);
    input.procedure.stages[0].only = vec![role("late"), role("first")];
    assert_eq!(order(&input), ["node-e", "node-f", "node-d", "node-a"]);
}
