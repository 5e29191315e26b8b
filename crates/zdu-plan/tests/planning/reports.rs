//! What people read about a plan.

use crate::fixture::*;
use zdu_model::policy::WaveSize;
use zdu_model::procedure::{Action, HttpTemplate, Over};
use zdu_model::report::{InstanceReading, MemberReading, MemberState};
use zdu_model::text::Template;
use zdu_plan::{Input, render_text};

const TEXT: &str = "\
fleet shop: 1.0 to 2.0 with restart
2 nodes, 18 steps forward, 14 to undo, procedure 0123456789ab
can be rolled back from every step

stage 1 of 1: apply (rolling, 2 nodes in 2 waves, 18 steps)
  wave 1: node-a
    drains edge/api/node-a on lb-a, lb-b
    PRE-APPLY    guard      see that 1 of group api still serve without it
    PRE-APPLY    drain      take every member out of new traffic, and keep it out
    PRE-APPLY    certify    prove that it carries no traffic
    APPLY        switch [drained, undo: instant]
      switch node-a 2.0
      undo unswitch: switch node-a 1.0
    POST-APPLY   ready      version 2.0
    POST-APPLY   undrain    put every member back to what it was
    POST-APPLY   serving    see it serving on every balancer instance
    POST-APPLY   soak       watch for 2m
    POST-APPLY   front      GET https://shop.example/
    waits for 1 of group api to serve without it, at most 10m
    waits for no traffic on the node, at most 5m, then it fails
    waits for the node's readiness, at most 3m
    waits for every instance to show it serving, at most 1m
    waits for 2m of watching
    waits for an answer of https://shop.example/, at most 5s
  wave 2: node-b
    drains edge/api/node-b on lb-a, lb-b
    APPLY        switch [drained, undo: instant]
      switch node-b 2.0
      undo unswitch: switch node-b 1.0
    otherwise as in wave 1

no warnings
";

#[test]
fn the_text_says_what_where_how_and_how_back() {
    let mut input = input();
    input.fleet.groups[0].nodes.truncate(2);
    input.fleet.groups[0].min_available = 1;
    assert_eq!(render_text(&planned(&input).report), TEXT);
}

fn warnings(change: impl FnOnce(&mut Input)) -> Vec<String> {
    let mut input = input();
    change(&mut input);
    planned(&input).report.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_plan_has_no_warning() {
    assert_eq!(warnings(|_| ()), Vec::<String>::new());
}

#[test]
fn a_group_of_one_says_that_nobody_serves_meanwhile() {
    let said = warnings(|input| {
        input.fleet.groups.push(group("manager", 0, &["node-m"]));
    });
    assert_eq!(said, ["while node-m is out, group manager serves nothing of its own"]);
}

#[test]
fn a_wave_wider_than_the_room_is_told_and_planned() {
    let said = warnings(|input| {
        input.policy.wave = vec![WaveSize::Count(3)];
        input.policy.concurrency = 3;
    });
    assert_eq!(
        said,
        ["stage apply, wave 1: 3 nodes of group api at once, but only 1 may be out; the others \
          wait"]
    );
}

#[test]
fn a_return_without_proof_is_told() {
    let said = warnings(|input| {
        input.procedure.stages[0].ready.clear();
        input.procedure.stages[0].ready_old.clear();
    });
    assert_eq!(
        said,
        [
            "stage apply: no readiness is proved before a node returns",
            "stage apply: no readiness is proved before a rolled-back node returns"
        ]
    );
}

#[test]
fn a_plan_that_takes_nobody_out_needs_no_front_and_no_ports() {
    let said = warnings(|input| {
        let steps = vec![step("look", "EXPORT", "look")];
        input.procedure.stages = vec![stage("look", Over::Nodes, steps)];
        input.fleet.front.clear();
        input.fleet.groups[0].nodes[0].service_ports.clear();
    });
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn nodes_without_work_are_named_beside_those_that_have_some() {
    let condition = |when: &'static str| {
        warnings(move |input| first_step(input).when = Some(Template(when.into())))
    };
    assert_eq!(condition("always"), Vec::<String>::new());
    let said = condition("node=node-b");
    assert_eq!(said, ["stage apply does nothing on node-a, node-c: no condition holds"]);
    let beside = warnings(|input| {
        let mut never = step("never", "EXPORT", "never");
        never.when = Some(Template("never".into()));
        input.procedure.stages.insert(0, stage("empty", Over::Nodes, vec![never]));
    });
    assert_eq!(beside, ["stage empty is left out: no condition of its steps holds"]);
}

#[test]
fn an_undrained_node_an_accepted_risk_and_a_blind_probe_are_told() {
    let said = warnings(|input| {
        let group = &mut input.fleet.groups[0];
        group.min_available = 0;
        group.nodes[1].members.clear();
        first_step(input).undo.clear();
        input.policy.accept_no_undo = vec!["switch".into()];
        let mut look = step("look", "APPLY", "look");
        look.action = Action::Http(HttpTemplate {
            method: "GET".into(),
            url: Template("https://{{address}}/".into()),
            insecure: true,
            ..HttpTemplate::default()
        });
        input.procedure.stages[0].steps.push(look);
    });
    assert_eq!(
        said,
        [
            "stage apply changes node-b without a drain: no balancer knows them",
            "step look accepts any certificate",
            "step switch is disruptive and has no undo, as the policy accepts"
        ]
    );
}

#[test]
fn an_instance_that_could_not_be_read_is_told() {
    let said = warnings(|input| {
        let instance: zdu_model::ids::InstanceName = "lb-a".to_string().try_into().expect("valid");
        let error = Some("refused".into());
        input.observed.readings.push(InstanceReading {
            balancer: "edge".to_string().try_into().expect("valid"),
            instance,
            error,
            members: vec![],
        });
    });
    assert_eq!(said, ["the instance lb-a could not be read: refused"]);
}

#[test]
fn a_missing_front_missing_ports_and_a_strange_variable_are_told() {
    let said = warnings(|input| {
        input.fleet.front.clear();
        input.fleet.groups[0].nodes[1].service_ports.clear();
        input.vars.insert("typo".into(), "x".into());
    });
    assert_eq!(
        said,
        [
            "no front is declared: nobody asks where users come in",
            "no service_ports for node-b: the balancers alone say that it is drained",
            "the variable typo is set, but the procedure does not declare it"
        ]
    );
}

fn reading(node: &zdu_model::fleet::Node, state: MemberState) -> MemberReading {
    MemberReading {
        node: node.name.clone(),
        member: node.members[0].clone(),
        state,
        held: zdu_model::report::Held::Ready,
        sessions: Some(0),
        queued: Some(0),
        weight: Some((1, 1)),
        detail: String::new(),
    }
}

fn on_lb_a(members: Vec<MemberReading>) -> InstanceReading {
    let named = "lb-a".to_string();
    InstanceReading {
        balancer: "edge".to_string().try_into().expect("valid"),
        instance: named.try_into().expect("valid"),
        error: None,
        members,
    }
}

#[test]
fn a_fleet_without_room_at_this_moment_is_told() {
    let said = warnings(|input| {
        let nodes = &input.fleet.groups[0].nodes;
        let states = [MemberState::Serving, MemberState::Serving, MemberState::Down];
        let members = nodes.iter().zip(states).map(|(node, state)| reading(node, state)).collect();
        input.observed.readings.push(on_lb_a(members));
    });
    assert_eq!(said, ["now 2 of group api serve on lb-a and 2 must: the guard would wait"]);
}

#[test]
fn a_fleet_with_just_enough_room_is_told_nothing() {
    let said = warnings(|input| {
        let nodes = &input.fleet.groups[0].nodes;
        let members = nodes.iter().map(|node| reading(node, MemberState::Serving)).collect();
        input.observed.readings.push(on_lb_a(members));
    });
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn the_first_point_of_no_return_bounds_the_way_back() {
    let mut input = input();
    first_step(&mut input).point_of_no_return = true;
    let report = planned(&input).report;
    let point = report.point_of_no_return.as_ref().expect("a point");
    assert_eq!(point.no.0, 6);
    assert!(
        render_text(&report).contains("can be rolled back up to step 6, switch of stage apply")
    );
}

#[test]
fn equal_commands_on_many_nodes_are_said_once() {
    let mut input = input();
    first_step(&mut input).action = run("switch {{to}}");
    first_step(&mut input).undo[0].action = run("switch {{from}}");
    let text = render_text(&planned(&input).report);
    assert_eq!(text.matches("switch 2.0").count(), 1, "{text}");
    assert_eq!(text.matches("steps and waits as in wave 1").count(), 2, "{text}");
}

#[test]
fn steps_that_cannot_be_undone_are_listed_once() {
    let mut input = input();
    let steps = vec![step("save", "EXPORT", "save"), step("send", "EXPORT", "send")];
    input.procedure.stages.insert(0, stage("before", Over::Nodes, steps));
    let keys = planned(&input).report.without_undo;
    assert_eq!(keys.iter().map(|key| key.as_str()).collect::<Vec<_>>(), ["save", "send"]);
}

#[test]
fn steps_of_some_nodes_stand_between_those_of_all() {
    let mut input = input();
    let only = |id: &str, on: &'static str| {
        let mut step = step(id, "EXPORT", id);
        step.when = Some(Template(format!("node={on}")));
        step
    };
    let steps = vec![
        step("first", "EXPORT", "first"),
        step("second", "EXPORT", "second"),
        only("of-c", "node-c"),
        only("of-b", "node-b"),
        step("third", "EXPORT", "third"),
        only("last-of-a", "node-a"),
    ];
    input.procedure.stages = vec![stage("all", Over::Nodes, steps)];
    let report = planned(&input).report;
    let wave = &report.stages[0].waves[0];
    let said: Vec<_> = wave.steps.iter().map(|s| (s.key.as_str(), s.nodes.len())).collect();
    let expected =
        [("first", 3), ("second", 3), ("of-c", 1), ("of-b", 1), ("third", 3), ("last-of-a", 1)];
    assert_eq!(said, expected);
}

#[test]
fn the_text_names_nodes_where_a_step_is_not_for_all_and_how_often_it_is_tried() {
    let mut input = input();
    let mut export = step("export", "EXPORT", "export");
    export.attempts = 3;
    let mut only_b = step("only-b", "EXPORT", "only");
    only_b.when = Some(Template("node=node-b".into()));
    input.procedure.stages = vec![stage("before", Over::Nodes, vec![export, only_b])];
    let text = render_text(&planned(&input).report);
    let told = text.split("\n\n").nth(1).expect("a stage");
    assert_eq!(
        told,
        "stage 1 of 1: before (3 nodes, 4 steps)
  node-a, node-b, node-c, 3 at a time
    EXPORT       export [up to 3 attempts, nothing to undo]
      export
    EXPORT       only-b [nothing to undo] on node-b
      only"
    );
}

#[test]
fn what_is_done_once_names_no_nodes() {
    let mut input = input();
    let mut once = step("expand", "EXPORT", "expand");
    once.on = zdu_model::procedure::Site::Controller;
    input.procedure.stages = vec![stage("once", Over::Once, vec![once])];
    let text = render_text(&planned(&input).report);
    let told = text.split("\n\n").nth(1).expect("a stage");
    assert_eq!(
        told,
        "stage 1 of 1: once (once, 1 step)
    EXPORT       expand [nothing to undo]
      expand"
    );
}

#[test]
fn a_wave_with_other_steps_or_waits_is_told_whole() {
    let mut input = input();
    let mut extra = step("extra", "APPLY", "extra");
    extra.when = Some(Template("node=node-c".into()));
    input.procedure.stages[0].steps.push(extra);
    input.fleet.groups.push(group("other", 0, &["node-x"]));
    let text = render_text(&planned(&input).report);
    let waves: Vec<&str> = text.split("\n  wave ").skip(1).collect();
    let told_whole = |wave: &str| wave.contains("    waits for ");
    let whole: Vec<bool> = waves.iter().map(|wave| told_whole(wave)).collect();
    assert_eq!(whole, [true, false, true, true], "{text}");
}
