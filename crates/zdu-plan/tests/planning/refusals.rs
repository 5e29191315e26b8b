//! Every reason why no plan is made, each with a test.

use crate::fixture::*;
use crate::roles::lookup;
use zdu_model::ids::{BalancerName, CaptureName, SecretName};
use zdu_model::policy::{FailureAction, FailureRule, WaveSize};
use zdu_model::procedure::{
    Action, Capture, CaptureFrom, Deadline, GoesBack, HttpTemplate, Over, RunTemplate, Site,
    VarDecl, VarKind,
};
use zdu_model::text::Template;
use zdu_model::time::Millis;
use zdu_plan::{Input, Refusal, Refusals};

/// The sentences of the refusals of an input that was changed in one way.
fn said(change: impl FnOnce(&mut Input)) -> Vec<String> {
    let mut input = input();
    change(&mut input);
    refused(&input).iter().map(ToString::to_string).collect()
}

fn secret() -> SecretName {
    SecretName::new("key").expect("valid")
}

fn captured(name: &str, secret: bool) -> Capture {
    Capture { name: CaptureName::new(name).expect("valid"), from: CaptureFrom::Output, secret }
}

fn http(url: &str) -> Action {
    Action::Http(HttpTemplate {
        method: "GET".into(),
        url: Template(url.into()),
        ..HttpTemplate::default()
    })
}

#[test]
fn a_group_that_can_spare_nobody_is_refused_with_its_place_and_a_hint() {
    let mut input = input();
    input.fleet.groups[0].min_available = 3;
    let refusals = refused(&input);
    assert_eq!(refusals.len(), 1, "said once for the group: {refusals:?}");
    assert_eq!(refusals[0].path().as_deref(), Some("fleet.groups.api.min_available"));
    assert_eq!(
        Refusals(refusals).to_string(),
        "stage apply takes nodes of group api out of traffic, but 3 of its 3 must serve at every \
         moment: no node can ever leave\n  hint: add a node to the group, or lower min_available \
         to 2 or less"
    );
}

#[test]
fn two_nodes_may_not_share_a_member() {
    let said = said(|input| {
        let member = input.fleet.groups[0].nodes[0].members[0].clone();
        input.fleet.groups[0].nodes[1].members.push(member);
    });
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("the nodes node-a and node-b share the member edge/api/node-a"));
}

#[test]
fn a_member_needs_a_balancer_with_instances() {
    let undeclared = said(|input| input.fleet.balancers.clear());
    let all = "nodes node-a, node-b, node-c have members in balancer edge, which is not declared";
    assert_eq!(undeclared, [all], "one cause, one reason");
    let of_one = said(|input| {
        input.fleet.groups[0].nodes[1].members[0].balancer =
            BalancerName::new("edgee").expect("valid");
    });
    let one = "node node-b has a member in balancer edgee, which is not declared";
    assert_eq!(of_one, [one]);
    let empty = said(|input| {
        for balancer in input.fleet.balancers.values_mut() {
            balancer.instances.clear();
        }
    });
    assert!(empty[0].ends_with("balancer edge, which has no instance"));
}

#[test]
fn a_disruptive_step_without_undo_needs_the_operators_word() {
    let mut input = input();
    first_step(&mut input).undo.clear();
    let refusals = refused(&input);
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].path().as_deref(), Some("procedure.stages.apply.steps.switch"));
    assert!(refusals[0].hint().contains("accept_no_undo: [switch]"));
    input.policy.accept_no_undo = vec!["switch".into()];
    planned(&input);
}

#[test]
fn a_word_for_a_step_that_is_not_there_is_a_typing_error() {
    let said = said(|input| input.policy.accept_no_undo = vec!["swich".into()]);
    assert_eq!(said, ["accept_no_undo names swich, which is no step of the procedure"]);
}

#[test]
fn a_disruptive_step_stands_in_a_rolling_stage_only() {
    let said = said(|input| input.procedure.stages[0].over = Over::Nodes);
    assert_eq!(
        said,
        ["step switch is disruptive, but stage apply is not rolling: its nodes serve"]
    );
}

#[test]
fn a_disruptive_undo_stands_in_a_rolling_stage_only() {
    let said = said(|input| {
        input.procedure.stages[0].over = Over::Nodes;
        first_step(input).disruptive = false;
        first_step(input).undo[0].disruptive = true;
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("step unswitch is disruptive"));
}

#[test]
fn a_lane_may_not_disturb_a_node_that_is_not_its_own() {
    let said = said(|input| {
        input.fleet.groups[0].nodes[0].roles.insert(role("leader"));
        first_step(input).on = Site::Role(role("leader"));
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("is disruptive and runs on the node with role leader"));
}

#[test]
fn a_node_that_must_serve_and_stands_in_no_balancer_cannot_be_disturbed() {
    let said = said(|input| {
        input.fleet.groups[0].min_available = 1;
        input.fleet.groups[0].nodes[1].members.clear();
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("step switch disturbs node node-b, which stands in no balancer"));
    let several = self::said(|input| {
        input.fleet.groups[0].min_available = 1;
        input.fleet.groups[0].nodes.iter_mut().for_each(|node| node.members.clear());
    });
    let disturbed = "step switch disturbs nodes node-a, node-b, node-c, which stand in no balancer";
    assert!(several[0].starts_with(disturbed) && several.len() == 1, "{several:?}");
}

#[test]
fn a_secret_in_argv_env_cwd_user_or_url_is_refused() {
    let text = || Template("x{{secret:key}}".into());
    let base = || RunTemplate { argv: vec![Template("a".into())], ..RunTemplate::default() };
    let actions = [
        (run("login {{secret:key}}"), "run.argv[1]"),
        (Action::Run(RunTemplate { env: [("K".into(), text())].into(), ..base() }), "run.env.K"),
        (Action::Run(RunTemplate { cwd: Some(text()), ..base() }), "run.cwd"),
        (Action::Run(RunTemplate { user: Some(text()), ..base() }), "run.user"),
        (http("http://x/{{secret:key}}"), "http.url"),
        (Action::Backup { path: text(), to: Template("b".into()) }, "backup.path"),
    ];
    for (action, field) in actions {
        let said = said(|input| {
            input.procedure.secrets.insert(secret(), "a test".into());
            first_step(input).action = action;
        });
        let wanted = format!(
            "procedure.stages.apply.steps.switch.{field} holds the secret key where others can \
             read it"
        );
        assert_eq!(said, [wanted]);
    }
}

#[test]
fn a_secret_on_standard_input_is_planned_by_name() {
    let mut input = input();
    input.procedure.secrets.insert(secret(), "a test".into());
    first_step(&mut input).action = Action::Run(RunTemplate {
        argv: vec![Template("login".into())],
        stdin: Some(Template("{{secret:key}}".into())),
        ..RunTemplate::default()
    });
    let text = zdu_plan::render_text(&planned(&input).report);
    assert!(text.contains("login (stdin \"<secret key>\")"), "{text}");
}

#[test]
fn a_secret_must_be_declared() {
    let said = said(|input| {
        first_step(input).action = Action::Run(RunTemplate {
            argv: vec![Template("login".into())],
            stdin: Some(Template("{{secret:key}}".into())),
            ..RunTemplate::default()
        });
    });
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("uses the secret key, which the procedure does not declare"));
}

#[test]
fn a_captured_secret_is_a_secret() {
    let said = said(|input| {
        let mut make = step("make", "APPLY", "make");
        make.capture = vec![captured("token", true)];
        input.procedure.stages[0].steps.insert(0, make);
        input.procedure.stages[0].steps[1].action = run("use {{capture:token}}");
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("holds the secret token"));
}

#[test]
fn a_captured_value_is_not_known_in_a_url() {
    let said = said(|input| {
        let mut make = step("make", "APPLY", "make");
        make.capture = vec![captured("id", false)];
        input.procedure.stages[0].steps.insert(0, make);
        input.procedure.stages[0].steps[1].action = http("http://x/{{capture:id}}");
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("must be known in the plan"));
}

#[test]
fn a_captured_value_must_be_made_before_it_is_used() {
    let use_it = |input: &mut Input| first_step(input).action = run("use {{capture:id}}");
    let never = said(use_it);
    assert!(never[0].ends_with("the captured value id, which no step makes"), "{never:?}");

    let late = said(|input| {
        use_it(input);
        let mut make = step("make", "APPLY", "make");
        make.capture = vec![captured("id", false)];
        input.procedure.stages[0].steps.push(make);
    });
    assert!(late[0].ends_with("before a step that makes it has run there"), "{late:?}");

    let several = said(|input| {
        let mut make = step("make", "EXPORT", "make");
        make.capture = vec![captured("id", false)];
        let mut once = step("once", "EXPORT", "use {{capture:id}}");
        once.on = Site::Controller;
        input.procedure.stages =
            vec![stage("many", Over::Nodes, vec![make]), stage("one", Over::Once, vec![once])];
    });
    assert!(several[0].ends_with("which several other nodes make"), "{several:?}");
}

#[test]
fn an_authority_may_be_captured_before_but_is_no_secret() {
    let asking = |secret: bool| {
        let mut input = input();
        let mut learn = step("learn", "APPLY", "cat authority");
        learn.capture = vec![captured("authority", secret)];
        let mut look = step("look", "APPLY", "look");
        let Action::Http(call) = http("https://{{address}}/") else { unreachable!("it is one") };
        let ca = Some(Template("{{capture:authority}}".into()));
        look.action = Action::Http(HttpTemplate { ca, ..call });
        input.procedure.stages[0].steps.extend([learn, look]);
        input
    };
    planned(&asking(false));
    let said: Vec<String> = refused(&asking(true)).iter().map(ToString::to_string).collect();
    let expected = "procedure.stages.apply.steps.look.http.ca holds the secret authority where \
                    others can read it";
    assert_eq!(said, [expected]);
}

#[test]
fn an_undo_may_use_what_its_own_step_captured() {
    let mut input = input();
    first_step(&mut input).capture = vec![captured("id", false)];
    first_step(&mut input).undo[0].action = run("restore {{capture:id}}");
    planned(&input);
}

#[test]
fn a_variable_without_a_value_is_refused_by_name() {
    let said = said(|input| {
        let decl = VarDecl { help: "where it is".into(), kind: VarKind::Text, default: None };
        input.procedure.vars.insert("dir".to_string().try_into().expect("valid"), decl);
    });
    assert_eq!(said, ["the variable dir has no value (where it is)"]);
}

#[test]
fn a_variable_is_given_by_the_operator_or_by_a_node() {
    let declared = || {
        let mut input = input();
        let decl = VarDecl { help: String::new(), kind: VarKind::Text, default: None };
        input.procedure.vars.insert("dir".to_string().try_into().expect("valid"), decl);
        input
    };
    let mut by_operator = declared();
    by_operator.vars.insert("dir".into(), "/srv".into());
    planned(&by_operator);
    let mut by_node = declared();
    by_node.fleet.groups[0].nodes[1].vars.insert("dir".into(), "/srv".into());
    planned(&by_node);
}

#[test]
fn a_default_may_use_others_in_any_order_and_is_refused_where_it_cannot_be_had() {
    let with = |defaults: &[(&str, &str)]| {
        let mut input = input();
        for (name, default) in defaults {
            let default = Some(Template((*default).into()));
            let decl = VarDecl { help: String::new(), kind: VarKind::Text, default };
            input.procedure.vars.insert(name.to_string().try_into().expect("valid"), decl);
        }
        first_step(&mut input).action = run("start {{a}}");
        input
    };
    let mut plan = planned(&with(&[("a", "{{b}}/bin"), ("b", "{{c}}/{{to}}"), ("c", "/srv")])).plan;
    let first = plan.steps.iter_mut().find_map(|step| command(&mut step.work)).expect("one");
    assert_eq!(first.argv[1].to_string(), "/srv/2.0/bin");
    let refused = refused(&with(&[("a", "{{b}}"), ("b", "{{nowhere}}")]));
    let said: Vec<String> = refused.iter().map(ToString::to_string).collect();
    assert!(
        said.iter().any(|line| line.contains("procedure.vars.b.default")
            && line.contains("nowhere is not defined")
            && line.contains("node-a")),
        "{said:#?}"
    );
}

#[test]
fn a_deadline_is_rendered_for_each_node_and_refused_where_it_gives_no_span() {
    let mut input = input();
    first_step(&mut input).deadline = Deadline::Template(Template("{{wait}}".into()));
    input.vars.insert("wait".into(), "90s".into());
    input.fleet.groups[0].nodes[1].vars.insert("wait".into(), "2m".into());
    let plan = planned(&input).plan;
    let switches = plan.steps.iter().filter(|step| step.key.as_str() == "switch");
    let deadlines: Vec<u64> = switches.map(|step| step.deadline.0 / 1000).collect();
    assert_eq!(deadlines, [90, 120, 90]);

    input.fleet.groups[0].nodes[1].vars.insert("wait".into(), "30".into());
    input.fleet.groups[0].nodes[2].vars.insert("wait".into(), "0s".into());
    let said: Vec<String> = refused(&input).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "procedure.stages.apply.steps.switch.deadline cannot be rendered for node-b: `30` is \
             not a span of time in \"{{wait}}\"",
            "procedure.stages.apply.steps.switch.deadline must be longer than nothing",
        ]
    );
}

#[test]
fn a_template_that_fails_is_refused_once_for_all_nodes() {
    let mut input = input();
    first_step(&mut input).action = run("go {{nowhere}}");
    let refusals = refused(&input);
    assert_eq!(refusals.len(), 1);
    assert_eq!(
        refusals[0].to_string(),
        "procedure.stages.apply.steps.switch.run.argv[1] cannot be rendered for node-a and 2 \
         more: nowhere is not defined in \"{{nowhere}}\""
    );
    first_step(&mut input).when = Some(Template("what".into()));
    let paths: Vec<_> = refused(&input).iter().filter_map(Refusal::path).collect();
    assert_eq!(
        paths,
        [
            "procedure.stages.apply.steps.switch.when",
            "procedure.stages.apply.steps.switch.run.argv[1]"
        ]
    );
}

#[test]
fn a_node_on_another_release_is_refused() {
    let mut input = input();
    input.observed.releases.insert(name("node-a"), "1.0".into());
    input.observed.releases.insert(name("node-b"), "0.9".into());
    input.observed.releases.insert(name("node-c"), "2.0".into());
    let refusals = refused(&input);
    let said: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["node node-b runs 0.9, not 1.0", "node node-c runs 2.0, not 1.0"]);
    assert!(refusals[1].hint().starts_with("it already runs the new release"));
    input.observed.releases.insert(name("node-c"), "0.9".into());
    let said: Vec<String> = refused(&input).iter().map(ToString::to_string).collect();
    assert_eq!(said, ["nodes node-b, node-c run 0.9, not 1.0"]);
}

#[test]
fn a_release_that_was_rolled_back_is_refused() {
    let said = said(|input| {
        input.observed.refused_releases.insert("2.0".into(), "it lost requests".into());
    });
    assert_eq!(said, ["release 2.0 was rolled back and is refused: it lost requests"]);
}

#[test]
fn the_way_back_has_no_point_of_no_return_and_no_undo_of_its_own() {
    let point = said(|input| first_step(input).undo[0].point_of_no_return = true);
    assert!(point[0].starts_with("step unswitch, which undoes switch, is marked as a point"));
    let nested = said(|input| {
        first_step(input).undo[0].undo = vec![step("more", "APPLY", "more")];
    });
    assert_eq!(nested, ["step unswitch, which undoes switch, has an undo of its own"]);
}

#[test]
fn a_fleet_or_a_stage_without_nodes_is_refused() {
    let empty = said(|input| input.fleet.groups.clear());
    assert_eq!(empty[0], "the fleet has no node");
    let stage = said(|input| {
        input.procedure.roles.insert(role("leader"), lookup(None));
        input.observed.consulted = true;
        input.procedure.stages[0].only = vec![role("leader")];
    });
    assert_eq!(stage, ["stage apply goes over no node: none has the role leader"]);
}

#[test]
fn a_plan_with_nothing_to_do_is_refused() {
    let said = said(|input| first_step(input).when = Some(Template("never".into())));
    assert_eq!(said, ["nothing is left to do: the plan would have no step"]);
}

#[test]
fn a_step_done_once_has_no_node() {
    let said = said(|input| {
        let steps = vec![step("look", "EXPORT", "look")];
        input.procedure.stages = vec![stage("once", Over::Once, steps)];
    });
    assert_eq!(said, ["step look runs on the node, but stage once goes over the fleet once"]);
}

#[test]
fn names_of_nodes_and_steps_stand_once() {
    let node = said(|input| {
        let mut twin = input.fleet.groups[0].nodes[0].clone();
        twin.members[0].server = "other".into();
        input.fleet.groups[0].nodes.push(twin);
    });
    assert_eq!(node, ["two nodes are called node-a"]);
    let twice = said(|input| {
        input.procedure.stages[0].steps.push(step("switch", "APPLY", "x"));
    });
    assert_eq!(twice, ["two steps are called switch"]);
    let reserved = said(|input| {
        input.procedure.stages[0].steps.push(step("drain", "APPLY", "x"));
    });
    assert!(reserved[0].contains("the name of a step zdu adds itself"));
}

#[test]
fn a_rolling_stage_that_goes_back_with_the_rollout_alone_is_refused() {
    let said = said(|input| input.procedure.stages[0].goes_back = GoesBack::WithRollout);
    assert_eq!(
        said,
        ["procedure.stages.apply.goes_back must be with_node: only what a stage over nodes \
          prepares, before any rolls, can stay with one"]
    );
}

#[test]
fn a_stage_behind_a_rolling_one_that_goes_back_with_the_rollout_alone_is_refused() {
    let keep = |input: &mut Input| {
        let mut late = stage("late", Over::Nodes, vec![input.procedure.stages[0].steps[0].clone()]);
        late.steps[0].id = "late-step".to_string().try_into().expect("valid");
        late.steps[0].disruptive = false;
        late.steps[0].undo.clear();
        late.goes_back = GoesBack::WithRollout;
        input.procedure.stages.push(late);
    };
    let said = said(keep);
    assert!(said.iter().any(|line| line.contains("stages.late.goes_back must be")), "{said:#?}");
}

#[test]
fn a_phase_needs_an_exit_code_that_is_not_success_and_not_that_of_another() {
    let said = said(|input| {
        input.procedure.phases[0].exit = 0;
        input.procedure.phases[2].exit = 72;
    });
    assert_eq!(
        said,
        [
            "procedure.phases.EXPORT.exit must not be 0: a rollout that failed would end as one \
             that succeeded",
            "procedure.phases.APPLY.exit must be a code that no other phase has"
        ]
    );
}

#[test]
fn a_phase_must_be_declared() {
    let said = said(|input| input.procedure.stages[0].drain_phase = Some(phase("NOWHERE")));
    assert_eq!(
        said,
        ["procedure.stages.apply.drain_phase names the phase NOWHERE, which the procedure does \
          not declare"]
    );
}

#[test]
fn a_failure_rule_names_a_declared_phase() {
    let rule = |named: &str| FailureRule {
        phase: Some(phase(named)),
        exit: vec![],
        class: vec![],
        output: None,
        stage: None,
        failed_nodes: None,
        action: FailureAction::Hold,
    };
    let said = said(|input| {
        input.policy.on_failure = vec![rule("APPLY"), rule("NOWHERE")];
        input.procedure.on_failure = vec![rule("ELSEWHERE")];
    });
    let of = |place, phase| {
        format!("{place} names the phase {phase}, which the procedure does not declare")
    };
    let own = of("policy.on_failure[1].phase", "NOWHERE");
    let built_in = of("procedure.on_failure[0].phase", "ELSEWHERE");
    assert!(said.len() == 2 && said.contains(&own) && said.contains(&built_in), "{said:?}");
}

#[test]
fn permission_bits_are_octal() {
    let said = said(|input| {
        let (from, to) = (Template("a".into()), Template("b".into()));
        first_step(input).action = Action::Upload { from, to, mode: "9".into() };
    });
    assert!(said[0].ends_with("upload.mode is \"9\", which are no permission bits"), "{said:?}");
}

#[test]
fn limits_that_cannot_be_kept_are_refused_with_their_place() {
    let mut input = input();
    input.policy.wave = vec![WaveSize::Count(0), WaveSize::Percent(101)];
    input.policy.concurrency = 0;
    input.policy.drain_deadline = Millis(0);
    input.fleet.front[0].timeout = Millis(0);
    first_step(&mut input).attempts = 0;
    let paths: Vec<_> = refused(&input).iter().filter_map(Refusal::path).collect();
    assert_eq!(
        paths,
        [
            "procedure.stages.apply.steps.switch.attempts",
            "policy.wave[0]",
            "policy.wave[1]",
            "policy.concurrency",
            "policy.drain_deadline",
            "front[0].timeout"
        ]
    );
    input.policy.wave.clear();
    let none = refused(&input).iter().filter_map(Refusal::path).any(|path| path == "policy.wave");
    assert!(none);
}

#[test]
fn what_to_do_is_said_beside_what_is_wrong() {
    let hint = |change: fn(&mut Input)| {
        let mut input = input();
        change(&mut input);
        let refusal = refused(&input).remove(0);
        (refusal.to_string(), refusal.hint())
    };
    let (why, hints) = hint(|input| first_step(input).undo.clear());
    assert_eq!(
        why,
        "no undo behind the disruptive step switch of stage apply without the operator's word"
    );
    assert!(hints.contains("accept_no_undo: [switch]"), "{hints}");
    let uses = |input: &mut Input| first_step(input).action = run("use {{capture:id}}");
    let (_, never) = hint(uses);
    assert_eq!(never, "give a step before it capture: [ { name: ... } ]");
    let (_, point) = hint(|input| first_step(input).undo[0].point_of_no_return = true);
    assert_eq!(point, "an undo may be no point of no return");
    let (_, nested) = hint(|input| {
        first_step(input).undo[0].undo = vec![step("more", "APPLY", "more")];
    });
    assert_eq!(nested, "put it as a further entry of the undo list");
}

#[test]
fn all_reasons_are_said_at_once() {
    let said = said(|input| {
        input.fleet.groups[0].min_available = 3;
        first_step(input).undo.clear();
        input.observed.refused_releases.insert("2.0".into(), "why".into());
    });
    assert_eq!(said.len(), 3, "{said:?}");
}
