//! Small plans for the tests of this module, and what a whole rehearsal of one says.

use super::*;
use zdu_model::contract::Contract;
use zdu_model::event::Event;
use zdu_model::fleet::{Balancer, BalancerDriver, Fleet, Group, Instance, Member, Node, Reach};
use zdu_model::ids::{
    BalancerName, Digest, FleetName, GroupName, InstanceName, NodeName, PhaseName, ProcedureName,
    StageName, StepNo,
};
use zdu_model::plan::Release;
use zdu_model::policy::{CertifyPolicy, DrainExpiry, FailureAction, FailureRule, Policy, WaveSize};
use zdu_model::procedure::{
    Action, AskTemplate, GoesBack, Over, Phase, ProbeTemplate, Procedure, RollbackClass,
    RunTemplate, Site, Stage, Step, UnknownRule, WantTemplate,
};
use zdu_model::render::{Render, RenderError, Scope};
use zdu_model::text::{Template, Text};
use zdu_plan::{Input, Observed, plan};

/// What a small plan is made from.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) groups: Vec<usize>,
    pub(super) least: u32,
    pub(super) undo: bool,
    pub(super) rerun: bool,
    pub(super) kill: bool,
    pub(super) wave: u32,
    /// Whether a step that is undone stands behind the change.
    pub(super) then: bool,
    /// Whether readiness is proved by a probe.
    pub(super) proves: bool,
    /// Whether the change is a point of no return with a manual step behind it.
    pub(super) asks: bool,
    /// `policy.capacity_deadline`, in seconds.
    pub(super) patience: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            groups: vec![3],
            least: 1,
            undo: true,
            rerun: false,
            kill: false,
            wave: 1,
            then: false,
            proves: true,
            asks: false,
            patience: 600,
        }
    }
}

pub(super) fn fleet_of(groups: &[usize]) -> Arc<Plan> {
    let least = u32::from(groups.iter().all(|nodes| *nodes > 1));
    plan_of(&Shape { groups: groups.to_vec(), least, ..Shape::default() })
}

pub(super) fn plan_of(shape: &Shape) -> Arc<Plan> {
    let input = Input {
        fleet: fleet(shape),
        procedure: procedure(shape),
        procedure_digest: Digest("0".repeat(64)),
        policy: policy(shape),
        release: Release { from: "1".into(), to: "2".into() },
        vars: BTreeMap::new(),
        tool: "rehearsed".into(),
        observed: Observed::default(),
    };
    Arc::new(plan(&input, &Literal).expect("a plan").plan)
}

pub(super) fn ground(plan: &Arc<Plan>) -> Ground {
    ground_with(plan, BTreeMap::new())
}

pub(super) fn ground_with(
    plan: &Arc<Plan>,
    measured: BTreeMap<StepKey, (Millis, usize)>,
) -> Ground {
    Ground::new(plan.clone(), &Order { seed: 1, measured, ..Order::default() })
}

pub(super) fn rehearsed(plan: &Arc<Plan>, pairs: usize) -> Rehearsal {
    let order = Order { seed: 1, pairs, ..Order::default() };
    rehearse(plan, &order, &mut |_, plays, play| plays.iter().map(play).collect())
}

fn fleet(shape: &Shape) -> Fleet {
    let edge = BalancerName::new("edge").expect("a name");
    let instance = |number: usize| Instance {
        name: InstanceName::new(format!("edge-{number}")).expect("a name"),
        socket: None,
        via: None,
    };
    let group = |(at, nodes): (usize, &usize)| Group {
        name: GroupName::new(format!("g{at}")).expect("a name"),
        min_available: shape.least,
        nodes: (0..*nodes).map(|node| a_node(&edge, &format!("g{at}-n{node}"))).collect(),
    };
    let balancer =
        Balancer { driver: BalancerDriver::Haproxy, instances: vec![instance(1), instance(2)] };
    Fleet {
        name: FleetName::new("small").expect("a name"),
        groups: shape.groups.iter().enumerate().map(group).collect(),
        balancers: BTreeMap::from([(edge.clone(), balancer)]),
        hosts: BTreeMap::new(),
        front: Vec::new(),
    }
}

fn a_node(edge: &BalancerName, name: &str) -> Node {
    let member = Member { balancer: edge.clone(), backend: "api".into(), server: name.into() };
    Node {
        name: NodeName::new(name).expect("a name"),
        address: name.into(),
        reach: Reach::Local,
        zone: None,
        roles: std::collections::BTreeSet::new(),
        members: vec![member],
        service_ports: vec![8080],
        vars: BTreeMap::new(),
    }
}

fn phase(name: &str) -> PhaseName {
    PhaseName::new(name).expect("a name")
}

fn procedure(shape: &Shape) -> Procedure {
    let mut change = step("change", "APPLY");
    if shape.rerun {
        change.unknown = UnknownRule::Rerun;
    }
    if shape.undo {
        let mut back = step("change-back", "ROLLBACK");
        back.unknown = UnknownRule::Rerun;
        change.undo.push(back);
    } else {
        change.rollback = RollbackClass::None;
    }
    if shape.asks {
        (change.undo, change.rollback) = (Vec::new(), RollbackClass::None);
        change.point_of_no_return = true;
    }
    let stage = Stage {
        name: StageName::new("switch").expect("a name"),
        over: Over::Rolling,
        only: Vec::new(),
        first: Vec::new(),
        last: Vec::new(),
        parallel: None,
        goes_back: GoesBack::WithNode,
        drain_phase: Some(phase("APPLY")),
        return_phase: Some(phase("POST-APPLY")),
        ready: shape.proves.then(answers).into_iter().collect(),
        ready_old: shape.proves.then(answers).into_iter().collect(),
        steps: [Some(change), shape.then.then(then), shape.asks.then(look)]
            .into_iter()
            .flatten()
            .collect(),
    };
    let phases = [("APPLY", 73), ("POST-APPLY", 74), ("ROLLBACK", 75)];
    let phases = phases.map(|(name, exit)| Phase { name: phase(name), exit });
    let rule = |class, action| FailureRule {
        phase: None,
        exit: Vec::new(),
        class,
        output: None,
        stage: None,
        failed_nodes: None,
        action,
    };
    Procedure {
        name: ProcedureName::new("switch").expect("a name"),
        summary: "switches".into(),
        source: "a test".into(),
        phases: phases.to_vec(),
        rollback_phase: phase("ROLLBACK"),
        vars: BTreeMap::new(),
        secrets: BTreeMap::new(),
        roles: BTreeMap::new(),
        preflight: Vec::new(),
        stages: vec![stage],
        on_failure: vec![
            rule(vec![zdu_model::contract::Class::Unknown], FailureAction::Hold),
            rule(Vec::new(), FailureAction::RollbackNode),
        ],
    }
}

fn then() -> Step {
    let mut then = step("then", "APPLY");
    then.undo.push(step("then-back", "ROLLBACK"));
    then
}

fn answers() -> ProbeTemplate {
    let ask = AskTemplate::Tcp(Template("node:8080".into()));
    ProbeTemplate { ask, want: WantTemplate::default(), times: 1, every: Millis::from_secs(1) }
}

fn look() -> Step {
    let action = Action::Manual { instruction: Template("look at it".into()) };
    let deadline = zdu_model::procedure::Deadline::Span(Millis::from_secs(300));
    Step { action, deadline, disruptive: false, ..step("look", "POST-APPLY") }
}

fn step(id: &str, shown: &str) -> Step {
    let run = RunTemplate { argv: vec![Template("true".into())], ..RunTemplate::default() };
    Step {
        id: StepKey::new(id).expect("a name"),
        phase: phase(shown),
        when: None,
        on: Site::Node,
        action: Action::Run(run),
        outcome: Contract::default(),
        deadline: zdu_model::procedure::Deadline::Span(Millis::from_secs(60)),
        takes: None,
        attempts: 1,
        disruptive: true,
        unknown: UnknownRule::Hold,
        capture: Vec::new(),
        undo: Vec::new(),
        rollback: RollbackClass::Instant,
        point_of_no_return: false,
    }
}

fn policy(shape: &Shape) -> Policy {
    Policy {
        wave: vec![WaveSize::Count(shape.wave)],
        concurrency: shape.wave,
        soak: Millis::from_secs(5),
        drain_deadline: Millis::from_secs(60),
        on_drain_deadline: if shape.kill { DrainExpiry::Kill } else { DrainExpiry::Fail },
        certify: CertifyPolicy { samples: 3, interval: Millis(20) },
        ready_deadline: Millis::from_secs(120),
        serving_deadline: Millis::from_secs(30),
        capacity_deadline: Millis::from_secs(shape.patience),
        hold_deadline: Millis::from_secs(600),
        reconnect_deadline: Millis::from_secs(30),
        failures_allowed: 0,
        on_failure: Vec::new(),
        cross_point_of_no_return: false,
        accept_no_undo: vec!["change".into()],
        secrets: BTreeMap::new(),
    }
}

struct Literal;

impl Render for Literal {
    fn text(&self, template: &Template, _: &Scope) -> Result<Text, RenderError> {
        Ok(Text::literal(template.0.clone()))
    }

    fn condition(&self, _: &Template, _: &Scope) -> Result<bool, RenderError> {
        Ok(true)
    }
}

#[test]
fn a_rehearsal_is_the_same_each_time() {
    let plan = fleet_of(&[2]);
    assert_eq!(rehearsed(&plan, 8), rehearsed(&plan, 8));
}

#[test]
fn an_undisturbed_rollout_keeps_what_must_serve() {
    let rehearsal = rehearsed(&fleet_of(&[3]), 0);
    assert_eq!(rehearsal.quiet.mark(), Mark::Done, "{:?}", rehearsal.quiet);
    assert_eq!(rehearsal.quiet.rest, Rest { new: 3, ..Rest::default() });
    let room = &rehearsal.rooms[0];
    assert_eq!((room.most_out, room.least_serving), (1, 2));
    assert_eq!(rehearsal.defects(), Vec::<String>::new());
}

#[test]
fn a_killed_controller_changes_no_end() {
    let rehearsal = rehearsed(&fleet_of(&[2]), 0);
    let Kills { records, played, same, others } = &rehearsal.kills;
    assert_eq!(*played as u64, *records);
    assert_eq!(played, same, "{others:?}");
}

#[test]
fn a_failure_ends_with_the_exit_code_of_its_phase_and_the_node_put_back() {
    let ground = ground(&fleet_of(&[3]));
    let ending = ground.play(&asked(&ground, &["g0-n1:change=half"]).expect("known"));
    assert_eq!((ending.mark(), ending.exit), (Mark::Failed(73), 73));
    assert_eq!((ending.rest.new, ending.rest.old), (1, 2));
    assert_eq!(ending.rest.out, Vec::<NodeName>::new());
    assert!(ending.next.iter().any(|line| line.starts_with("zdu resume ID")), "{:?}", ending.next);
}

#[test]
fn a_silent_instance_is_waited_for_by_what_returns_a_node_and_by_no_drain() {
    let ground = ground(&fleet_of(&[3]));
    let ends = |asked_for: &[&str]| {
        let ending = ground.play(&asked(&ground, asked_for).expect("known"));
        assert_eq!(ending.rest.out, Vec::<NodeName>::new(), "{asked_for:?}");
        (ending.mark(), ending.rest.new)
    };
    // The drain is given up and its node put back; the instances that answer have it at once.
    assert_eq!(ends(&["g0-n1:drain=lbstop"]), (Mark::Failed(73), 1));
    let story = ground.story(&asked(&ground, &["g0-n1:drain=lbstop"]).expect("known"));
    let node = NodeName::new("g0-n1").expect("a name");
    let tries = |key: &str| {
        let begun = story.records.iter().filter(|record| {
            let Event::StepStarted { step, .. } = &record.event else { return false };
            let step = ground.plan.step(*step);
            step.key.as_str() == key && step.subject.node() == Some(&node)
        });
        begun.count()
    };
    let (drains, undrains) = (tries("drain"), tries("undrain"));
    assert!(drains == 3 && undrains > drains, "{drains} and {undrains}");
    // What is on the new release and ready waits too, and goes on.
    assert_eq!(ends(&["g0-n1:undrain=lbstop"]), (Mark::Done, 3));
}

#[test]
fn every_trouble_does_something_to_the_rollout() {
    let ground = ground(&fleet_of(&[3]));
    let (plays, _) = choose::singles(&ground, true);
    for play in plays {
        // A reload that comes before the drain lands has nothing to forget.
        let told = format!("{play:?}");
        if told.contains("StepKey(\"drain\")") && told.contains("trouble: Reload") {
            continue;
        }
        let story = ground.story(&play);
        assert_ne!(story.records, ground.story(&Play::Quiet).records, "{play:?} changes nothing");
    }
}

#[test]
fn a_node_that_zdu_names_as_out_is_never_told_to_be_in_traffic() {
    let ground = ground(&fleet_of(&[3]));
    let (plays, _) = choose::singles(&ground, true);
    let mut named = 0;
    for play in plays {
        let ending = ground.play(&play);
        for line in ending.next.iter().filter(|line| line.contains("it is out of ")) {
            named += 1;
            let is_out = ending.rest.out.iter().any(|node| line.contains(node.as_str()));
            assert!(is_out, "{play:?}: {line}, yet out are {:?}", ending.rest.out);
        }
    }
    assert!(named > 0, "no play ends with a node out of traffic");
}

#[test]
fn a_node_that_keeps_what_no_step_undoes_is_not_said_to_be_as_before() {
    let kept = |undo| {
        let plan = plan_of(&Shape { groups: vec![2], undo, then: true, ..Shape::default() });
        let failures = rehearsed(&plan, 0).failures;
        failures.iter().filter(|played| !played.ending.rest.kept.is_empty()).count()
    };
    assert_eq!(kept(true), 0);
    assert!(kept(false) > 0, "a step behind the change fails, and nothing changes it back");
}

#[test]
fn a_failure_that_is_repaired_and_resumed_ends_with_every_node_new() {
    let found = rehearsed(&plan_of(&Shape::default()), 0);
    let ended = found.failures.iter().filter(|one| matches!(one.ending.mark(), Mark::Failed(_)));
    assert_eq!((found.resumes.played, &found.resumes.others), (ended.count(), &Vec::new()));
    assert!(found.resumes.played > 5, "{}", found.resumes.played);
}

#[test]
fn a_node_that_is_sick_at_serving_is_so_before_it_is_looked_at_however_long_other_steps_take() {
    for takes in [500, 2_000, 7_100, 13_900] {
        let mut plan = (*plan_of(&Shape::default())).clone();
        let changes = plan.steps.iter_mut().filter(|step| step.key.as_str() == "change");
        changes.for_each(|step| step.takes = Some(Millis(takes)));
        let ground = ground(&Arc::new(plan));
        for node in ["g0-n0", "g0-n1", "g0-n2"] {
            let sick = asked(&ground, &[&format!("{node}:serving=sick")]).expect("known");
            let ending = ground.play(&sick);
            let out = vec![NodeName::new(node).expect("a name")];
            assert_eq!((ending.mark(), ending.rest.out), (Mark::Stuck, out), "{node} {takes}");
        }
    }
}

#[test]
fn where_nobody_does_a_manual_step_the_points_and_other_manual_steps_are_still_answered() {
    let ground = ground(&plan_of(&Shape { asks: true, ..Shape::default() }));
    let story = ground.story(&asked(&ground, &["g0-n1:look=nobody"]).expect("known"));
    let nodes_of = |key: &str, has: fn(&Event) -> Option<StepNo>| -> Vec<String> {
        let steps = story.records.iter().filter_map(|record| has(&record.event));
        let steps = steps.map(|step| ground.plan.step(step)).filter(|it| it.key.as_str() == key);
        steps.filter_map(|step| Some(step.subject.node()?.to_string())).collect()
    };
    let begun = |event: &Event| {
        let Event::StepStarted { step, .. } = event else { return None };
        Some(*step)
    };
    let passed = |event: &Event| {
        let Event::StepEnded { step, class, .. } = event else { return None };
        class.passes().then_some(*step)
    };
    // Each node crosses its point, and the manual step of the first is done.
    assert_eq!(nodes_of("change", passed), ["g0-n0", "g0-n1"], "{:#?}", story.ending);
    assert_eq!(nodes_of("look", begun), ["g0-n0", "g0-n1"]);
    assert_eq!(nodes_of("look", passed), ["g0-n0"]);
}

#[test]
fn a_node_that_stays_sick_is_stuck_and_does_not_count() {
    let found = rehearsed(&plan_of(&Shape::default()), 0);
    let stuck = found.failures.iter().filter(|one| one.ending.mark() == Mark::Stuck);
    let stuck: Vec<&Played> = stuck.collect();
    assert!(!stuck.is_empty());
    for Played { mishaps, ending } in stuck {
        assert_eq!((mishaps[0].trouble, ending.only_sick), (Trouble::Sick, true), "{mishaps:?}");
        assert!(ending.is_bad() && !ending.counts(), "{ending:?}");
    }
    assert!(!found.found_something(), "{:#?}", found.hints);
}

#[test]
fn what_is_stuck_for_another_reason_beside_a_sick_node_counts() {
    let ground = ground(&plan_of(&Shape::default()));
    let ends = |faults: &[&str]| ground.play(&asked(&ground, faults).expect("known"));
    let back = ends(&["g0-n1:change=fail", "g0-n1:ROLLBACK/serving=sick"]);
    assert_eq!((back.mark(), back.only_sick, back.counts()), (Mark::Stuck, true, false));
    let undo = ends(&["g0-n1:serving=sick", "g0-n1:ROLLBACK/change-back=fail"]);
    assert_eq!((undo.mark(), undo.only_sick, undo.counts()), (Mark::Stuck, false, true));
}
