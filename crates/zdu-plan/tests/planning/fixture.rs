//! A small fleet and a small procedure, each a function away from what a test needs, and a
//! renderer that knows just enough: `{{name}}`, `{{secret:x}}`, `{{capture:x}}`.

use std::collections::{BTreeMap, BTreeSet};
use zdu_model::contract::Contract;
use zdu_model::fleet::{
    Balancer, BalancerDriver, Fleet, Front, Group, Instance, Member, Node, Reach,
};
use zdu_model::ids::{Digest, NodeName, PhaseName, RoleName, StepNo};
use zdu_model::plan::{Plan, Release, Run, Subject, Work};
use zdu_model::policy::{CertifyPolicy, DrainExpiry, Policy, WaveSize};
use zdu_model::procedure::{
    Action, AskTemplate, Deadline, GoesBack, Over, Phase, ProbeTemplate, Procedure, RollbackClass,
    RunTemplate, Site, Stage, Step, UnknownRule, WantTemplate,
};
use zdu_model::render::{Render, RenderError, Scope};
use zdu_model::text::{Piece, Template, Text};
use zdu_model::time::Millis;
use zdu_plan::{Input, Observed, Planned, Refusal, lint, plan};

pub(crate) struct Braces;

fn look_up(name: &str, scope: &Scope) -> Option<String> {
    let node = scope.node.as_ref();
    match name {
        "node" => node.map(|node| node.name.clone()),
        "address" => node.map(|node| node.address.clone()),
        "from" => Some(scope.release.from.clone()),
        "to" => Some(scope.release.to.clone()),
        other => scope.vars.get(other).cloned(),
    }
}

fn open_place(kind: &str, name: &str) -> Piece {
    if kind == "secret" {
        Piece::Secret(name.to_string().try_into().expect("valid"))
    } else {
        Piece::Capture(name.to_string().try_into().expect("valid"))
    }
}

/// The command of a step; absent for every other kind of work.
pub(crate) fn command(work: &mut Work) -> Option<&mut Run> {
    if let Work::Run(run) = work { Some(run) } else { None }
}

impl Render for Braces {
    fn text(&self, template: &Template, scope: &Scope) -> Result<Text, RenderError> {
        let mut pieces = Vec::new();
        let mut rest = template.0.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").unwrap_or((after, ""));
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.into()));
            }
            pieces.push(match name.split_once(':') {
                Some((kind, name)) => open_place(kind, name),
                None => Piece::Literal(look_up(name, scope).ok_or_else(|| RenderError {
                    template: template.0.clone(),
                    why: format!("{name} is not defined"),
                })?),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.into()));
        }
        Ok(Text(pieces))
    }

    fn condition(&self, template: &Template, scope: &Scope) -> Result<bool, RenderError> {
        let why = || format!("{} is no condition", template.0);
        let wanted = match template.0.as_str() {
            "always" => return Ok(true),
            "never" => return Ok(false),
            text => text
                .strip_prefix("node=")
                .ok_or_else(|| RenderError { template: template.0.clone(), why: why() })?,
        };
        Ok(scope.node.as_ref().is_some_and(|node| node.name == wanted))
    }
}

pub(crate) fn phase(name: &str) -> PhaseName {
    PhaseName::new(name).expect("valid")
}

pub(crate) fn role(name: &str) -> RoleName {
    RoleName::new(name).expect("valid")
}

pub(crate) fn name(name: &str) -> NodeName {
    NodeName::new(name).expect("valid")
}

pub(crate) fn node(called: &str) -> Node {
    Node {
        name: name(called),
        address: format!("{called}.example"),
        reach: Reach::Local,
        zone: None,
        roles: BTreeSet::new(),
        members: vec![Member {
            balancer: "edge".to_string().try_into().expect("valid"),
            backend: "api".into(),
            server: called.into(),
        }],
        service_ports: vec![8080],
        vars: BTreeMap::new(),
    }
}

pub(crate) fn group(called: &str, min_available: u32, nodes: &[&str]) -> Group {
    Group {
        name: called.to_string().try_into().expect("valid"),
        min_available,
        nodes: nodes.iter().map(|name| node(name)).collect(),
    }
}

pub(crate) fn fleet(groups: Vec<Group>) -> Fleet {
    let instance = |name: &str| Instance {
        name: name.to_string().try_into().expect("valid"),
        socket: None,
        via: None,
    };
    let edge = Balancer {
        driver: BalancerDriver::Haproxy,
        instances: vec![instance("lb-a"), instance("lb-b")],
    };
    Fleet {
        name: "shop".to_string().try_into().expect("valid"),
        groups,
        balancers: [("edge".to_string().try_into().expect("valid"), edge)].into(),
        hosts: BTreeMap::new(),
        front: vec![Front {
            http: "https://shop.example/".into(),
            timeout: Millis::from_secs(5),
            watch: None,
        }],
    }
}

pub(crate) fn run(words: &str) -> Action {
    Action::Run(RunTemplate {
        argv: words.split(' ').map(|word| Template(word.into())).collect(),
        ..RunTemplate::default()
    })
}

pub(crate) fn step(id: &str, in_phase: &str, words: &str) -> Step {
    Step {
        id: id.to_string().try_into().expect("valid"),
        phase: phase(in_phase),
        when: None,
        on: Site::Node,
        action: run(words),
        outcome: Contract::default(),
        deadline: Deadline::Span(Millis::from_secs(60)),
        takes: None,
        attempts: 1,
        disruptive: false,
        unknown: UnknownRule::Hold,
        capture: vec![],
        undo: vec![],
        rollback: RollbackClass::Instant,
        point_of_no_return: false,
    }
}

/// A disruptive step with its undo.
pub(crate) fn disruptive(id: &str, words: &str, undo: &str) -> Step {
    Step {
        disruptive: true,
        undo: vec![step(&format!("un{id}"), "APPLY", undo)],
        ..step(id, "APPLY", words)
    }
}

pub(crate) fn probe(words: &str) -> ProbeTemplate {
    let Action::Run(run) = run(words) else { unreachable!("run makes a command") };
    ProbeTemplate {
        ask: AskTemplate::Run(run),
        want: WantTemplate::default(),
        times: 1,
        every: Millis::from_secs(1),
    }
}

pub(crate) fn stage(called: &str, over: Over, steps: Vec<Step>) -> Stage {
    Stage {
        name: called.to_string().try_into().expect("valid"),
        over,
        only: vec![],
        first: vec![],
        last: vec![],
        parallel: None,
        goes_back: GoesBack::WithNode,
        drain_phase: Some(phase("PRE-APPLY")),
        return_phase: Some(phase("POST-APPLY")),
        ready: vec![probe("version {{to}}")],
        ready_old: vec![probe("version {{from}}")],
        steps,
    }
}

pub(crate) fn procedure(stages: Vec<Stage>) -> Procedure {
    let phases =
        [("EXPORT", 70), ("PRE-APPLY", 72), ("APPLY", 73), ("POST-APPLY", 74), ("ROLLBACK", 75)];
    Procedure {
        name: "restart".to_string().try_into().expect("valid"),
        summary: "restarts".into(),
        source: "this test".into(),
        phases: phases.map(|(name, exit)| Phase { name: phase(name), exit }).to_vec(),
        rollback_phase: phase("ROLLBACK"),
        vars: BTreeMap::new(),
        secrets: BTreeMap::new(),
        roles: BTreeMap::new(),
        preflight: vec![],
        stages,
        on_failure: vec![],
    }
}

pub(crate) fn policy() -> Policy {
    let minutes = |minutes: u64| Millis::from_secs(60 * minutes);
    Policy {
        wave: vec![WaveSize::Count(1)],
        concurrency: 1,
        soak: minutes(2),
        drain_deadline: minutes(5),
        on_drain_deadline: DrainExpiry::Fail,
        certify: CertifyPolicy { samples: 3, interval: Millis::from_secs(1) },
        ready_deadline: minutes(3),
        serving_deadline: minutes(1),
        capacity_deadline: minutes(10),
        hold_deadline: minutes(60),
        reconnect_deadline: minutes(1),
        failures_allowed: 0,
        on_failure: vec![],
        cross_point_of_no_return: false,
        accept_no_undo: vec![],
        secrets: BTreeMap::new(),
    }
}

/// Three nodes, two of which must serve, and one rolling stage that stops and starts each.
pub(crate) fn input() -> Input {
    let steps = vec![disruptive("switch", "switch {{node}} {{to}}", "switch {{node}} {{from}}")];
    Input {
        fleet: fleet(vec![group("api", 2, &["node-a", "node-b", "node-c"])]),
        procedure: procedure(vec![stage("apply", Over::Rolling, steps)]),
        procedure_digest: Digest("0123456789abcdef".into()),
        policy: policy(),
        release: Release { from: "1.0".into(), to: "2.0".into() },
        vars: BTreeMap::new(),
        tool: "test".into(),
        observed: Observed::default(),
    }
}

/// The first step of the first stage.
pub(crate) fn first_step(input: &mut Input) -> &mut Step {
    &mut input.procedure.stages[0].steps[0]
}

/// Plans, and holds the plan against the lint.
pub(crate) fn planned(input: &Input) -> Planned {
    let planned = plan(input, &Braces).unwrap_or_else(|refusals| panic!("refused: {refusals}"));
    assert_eq!(lint(&planned.plan), vec![], "the plan is clean");
    planned
}

pub(crate) fn refused(input: &Input) -> Vec<Refusal> {
    match plan(input, &Braces) {
        Ok(planned) => panic!("planned: {:?}", planned.plan.stages),
        Err(refusals) => refusals.0,
    }
}

/// One line for each step: `12 node-a guard PRE-APPLY`.
pub(crate) fn line(plan: &Plan, no: StepNo) -> String {
    let step = plan.step(no);
    let subject = match &step.subject {
        Subject::Fleet => "fleet",
        Subject::Node(node) => node.as_str(),
    };
    let drained = if step.needs_drain { " drained" } else { "" };
    format!("{no} {subject} {} {}{drained}", step.key, step.phase)
}

/// The plan as text: waves, lanes, gates and the undo of each step.
pub(crate) fn outline(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for stage in &plan.stages {
        for (index, wave) in stage.waves.iter().enumerate() {
            lines.push(format!("{} wave {}, parallel {}", stage.name, index + 1, wave.parallel));
            for no in wave.lanes.iter().flat_map(|lane| &lane.steps) {
                lines.push(format!("  {}", line(plan, *no)));
                for back in &plan.step(*no).undo {
                    lines.push(format!("    undo {}", line(plan, *back)));
                }
            }
            for no in &wave.gate {
                lines.push(format!("  gate {}", line(plan, *no)));
            }
        }
    }
    lines.join("\n")
}
