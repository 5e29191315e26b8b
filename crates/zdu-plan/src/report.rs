//! What a plan will do, folded for people and for `--json`: nodes on which the same is done stand
//! together.

use crate::capacity::{Width, size, widths};
use crate::warning::Warning;
use crate::wording::act;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;
use zdu_model::fleet::Fleet;
use zdu_model::ids::{
    Digest, FleetName, GroupName, NodeName, PhaseName, ProcedureName, StageName, StepKey, StepNo,
};
use zdu_model::plan::{
    Ask, HttpCall, Lane, Plan, PlannedStage, PlannedStep, Probe, Release, Wave, Work,
};
use zdu_model::policy::DrainExpiry;
use zdu_model::procedure::{GoesBack, Over, RollbackClass};
use zdu_model::time::Millis;

/// What a plan will do. Data for `--json`; [`crate::render_text`] renders it for people.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// The fleet.
    pub fleet: FleetName,
    /// The procedure.
    pub procedure: ProcedureName,
    /// Digest of the procedure.
    pub procedure_digest: Digest,
    /// The releases.
    pub release: Release,
    /// How many nodes the fleet has.
    pub nodes: usize,
    /// How many steps go forward.
    pub forward: usize,
    /// How many compensate.
    pub undo: usize,
    /// The first point of no return; absent: the rollout can be put back from everywhere.
    pub point_of_no_return: Option<PointReport>,
    /// Forward steps that change something and have no undo: a rollback leaves what they did.
    pub without_undo: Vec<StepKey>,
    /// The stages, in order.
    pub stages: Vec<StageReport>,
    /// What a reader must know although the plan is allowed.
    pub warnings: Vec<Warning>,
}

/// The step behind which nothing can be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PointReport {
    /// The stage.
    pub stage: StageName,
    /// The step.
    pub step: StepKey,
    /// Its number.
    pub no: StepNo,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageReport {
    /// Its name.
    pub name: StageName,
    /// Its way of going over the fleet.
    pub over: Over,
    /// When a finished lane of it is put back.
    pub goes_back: GoesBack,
    /// How many nodes it touches; 0 for what is done once.
    pub nodes: usize,
    /// How many forward steps it has.
    pub steps: usize,
    /// Its waves.
    pub waves: Vec<WaveReport>,
}

/// A wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaveReport {
    /// Its nodes, in the order they are begun.
    pub nodes: Vec<NodeName>,
    /// The most of them under way at once.
    pub parallel: u32,
    /// What is taken out of traffic.
    pub drained: Vec<DrainReport>,
    /// The steps of its lanes, then those of its gate.
    pub steps: Vec<StepReport>,
    /// What it can wait for, and how long.
    pub waits: Vec<Waiting>,
}

/// What is taken out of traffic for one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrainReport {
    /// The node.
    pub node: NodeName,
    /// `balancer/backend/server`.
    pub member: String,
    /// The instances it is taken out on.
    pub instances: Vec<String>,
}

/// The same step for one or more subjects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Its key.
    pub key: StepKey,
    /// Its phase.
    pub phase: PhaseName,
    /// The nodes it is for; empty for the fleet.
    pub nodes: Vec<NodeName>,
    /// Its numbers, one for each node.
    pub numbers: Vec<StepNo>,
    /// What it does, exactly; secrets and captured values by name.
    pub act: String,
    /// How long one attempt may take.
    pub deadline: Millis,
    /// How often it may be tried.
    pub attempts: u32,
    /// Whether it runs only under a drain certificate.
    pub needs_drain: bool,
    /// How it is undone.
    pub rollback: RollbackClass,
    /// The compensating steps, in order: name, and what each does.
    pub undo: Vec<(StepKey, String)>,
    /// Whether nothing up to it can be put back once it was begun.
    pub point_of_no_return: bool,
    /// Whether zdu adds it (else: the procedure has it).
    pub own: bool,
}

/// A wait and how long it lasts at most (law 13).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Waiting {
    /// What for.
    pub on: WaitingOn,
    /// How long at most.
    pub deadline: Millis,
}

/// What a wave can wait for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingOn {
    /// Enough of the group serve.
    Capacity {
        /// The group.
        group: GroupName,
        /// How many must serve.
        min_available: u32,
    },
    /// A node carries no traffic; and what happens when it does not come to that.
    Drain {
        /// `fail`, `proceed` or `kill`, in words.
        otherwise: String,
    },
    /// A node proves that it is ready.
    Readiness,
    /// Every instance shows a node serving.
    Serving,
    /// Nothing: the wave is watched.
    Soak,
    /// Users are answered.
    Front {
        /// Where they come in.
        url: String,
    },
    /// A probe of the procedure holds.
    Probe {
        /// The step.
        step: StepKey,
    },
    /// A person does something and says so.
    Person {
        /// The step.
        step: StepKey,
    },
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { on, deadline } = self;
        match on {
            WaitingOn::Capacity { group, min_available } => {
                write!(
                    f,
                    "{min_available} of group {group} to serve without it, at most {deadline}"
                )
            }
            WaitingOn::Drain { otherwise } => {
                write!(f, "no traffic on the node, at most {deadline}, then {otherwise}")
            }
            WaitingOn::Readiness => write!(f, "the node's readiness, at most {deadline}"),
            WaitingOn::Serving => {
                write!(f, "every instance to show it serving, at most {deadline}")
            }
            WaitingOn::Soak => write!(f, "{deadline} of watching"),
            WaitingOn::Front { url } => write!(f, "an answer of {url}, at most {deadline}"),
            WaitingOn::Probe { step } => write!(f, "what {step} asks for, at most {deadline}"),
            WaitingOn::Person { step } => write!(f, "a person, for {step}, at most {deadline}"),
        }
    }
}

impl PlanReport {
    /// The report about a plan that passed [`crate::lint`]. Also for plans read from a file; it
    /// then lacks the warnings that only planning can know.
    pub fn of(plan: &Plan) -> Self {
        let undo = plan.undo_steps();
        let index = Index::of(&plan.fleet);
        let mut warnings = BTreeSet::new();
        let stages: Vec<StageReport> = plan
            .stages
            .iter()
            .map(|stage| stage_report(plan, stage, &index, &mut warnings))
            .collect();
        for step in plan.steps.iter().filter(|step| calls(&step.work).any(|call| call.insecure)) {
            warnings.insert(Warning::Insecure { step: step.key.clone() });
        }
        Self {
            fleet: plan.fleet.name.clone(),
            procedure: plan.procedure.clone(),
            procedure_digest: plan.procedure_digest.clone(),
            release: plan.release.clone(),
            nodes: plan.fleet.nodes().count(),
            forward: plan.steps.len().saturating_sub(undo.len()),
            undo: undo.len(),
            point_of_no_return: point_of_no_return(plan),
            without_undo: without_undo(plan, &undo),
            stages,
            warnings: warnings.into_iter().collect(),
        }
    }
}

/// Look-ups that would be linear in the fleet for every node.
struct Index<'a> {
    /// The group of every node that stands in a balancer.
    drained: BTreeMap<&'a NodeName, &'a GroupName>,
    members: BTreeMap<&'a NodeName, &'a [zdu_model::fleet::Member]>,
}

impl<'a> Index<'a> {
    fn of(fleet: &'a Fleet) -> Self {
        let pairs = || fleet.groups.iter().flat_map(|g| g.nodes.iter().map(move |n| (g, n)));
        Self {
            drained: pairs()
                .filter(|(_, node)| !node.members.is_empty())
                .map(|(group, node)| (&node.name, &group.name))
                .collect(),
            members: pairs().map(|(_, node)| (&node.name, node.members.as_slice())).collect(),
        }
    }
}

/// Every forward step in the order a reader meets it.
fn forward(plan: &Plan) -> impl Iterator<Item = (&PlannedStage, &PlannedStep)> {
    plan.stages.iter().flat_map(move |stage| {
        let waves = stage.waves.iter();
        let numbers = waves.flat_map(|wave| {
            let lanes = wave.lanes.iter().flat_map(|lane| lane.steps.iter());
            lanes.chain(wave.gate.iter())
        });
        numbers.map(move |no| (stage, plan.step(*no)))
    })
}

fn point_of_no_return(plan: &Plan) -> Option<PointReport> {
    let (stage, step) = forward(plan).find(|(_, step)| step.point_of_no_return)?;
    Some(PointReport { stage: stage.name.clone(), step: step.key.clone(), no: step.no })
}

fn without_undo(plan: &Plan, undo: &BTreeSet<StepNo>) -> Vec<StepKey> {
    let mut keys: Vec<StepKey> = Vec::new();
    for step in plan.steps.iter().filter(|step| !undo.contains(&step.no)) {
        let changes = matches!(step.work, Work::Run(_) | Work::Http(_) | Work::Upload { .. });
        if changes && step.undo.is_empty() && !keys.contains(&step.key) {
            keys.push(step.key.clone());
        }
    }
    keys
}

fn stage_report(
    plan: &Plan,
    stage: &PlannedStage,
    index: &Index<'_>,
    warnings: &mut BTreeSet<Warning>,
) -> StageReport {
    let mut waves = Vec::new();
    for (at, wave) in stage.waves.iter().enumerate() {
        let lanes = &wave.lanes;
        let nodes: Vec<NodeName> =
            lanes.iter().filter_map(|lane| lane.subject.node().cloned()).collect();
        if stage.over == Over::Rolling {
            not_drained(plan, stage, lanes, warnings);
            let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
            room(plan, &stage.name, number, wave, index, warnings);
        }
        let mut steps = fold(plan, lanes);
        let gate = Lane { subject: zdu_model::plan::Subject::Fleet, steps: wave.gate.clone() };
        steps.extend(fold(plan, &[gate]));
        let numbers = lanes.iter().flat_map(|lane| &lane.steps).chain(&wave.gate);
        let mut waits: Vec<Waiting> = Vec::new();
        let mut seen = BTreeSet::new();
        for wait in numbers.filter_map(|no| waiting(plan, plan.step(*no))) {
            if seen.insert(wait.clone()) {
                waits.push(wait);
            }
        }
        let drained =
            if stage.over == Over::Rolling { drains(plan, &nodes, index) } else { Vec::new() };
        waves.push(WaveReport { nodes, parallel: wave.parallel, drained, steps, waits });
    }
    StageReport {
        name: stage.name.clone(),
        over: stage.over,
        goes_back: stage.goes_back,
        nodes: waves.iter().map(|wave| wave.nodes.len()).sum(),
        steps: waves.iter().flat_map(|w| &w.steps).map(|step| step.numbers.len()).sum(),
        waves,
    }
}

/// What a wave means for the groups it touches.
fn room(
    plan: &Plan,
    stage: &StageName,
    number: u32,
    wave: &Wave,
    index: &Index<'_>,
    warnings: &mut BTreeSet<Warning>,
) {
    for width in widths(&plan.fleet, &index.drained, wave) {
        let Width { group, nodes, wide, room } = width;
        let name = group.name.clone();
        if wide > room {
            let (stage, wave, group) = (stage.clone(), number, name.clone());
            warnings.insert(Warning::WiderThanRoom { stage, wave, group, wide, room });
        }
        if group.min_available == 0 && wide >= size(group) {
            warnings.insert(Warning::ServesNothing { group: name, nodes });
        }
    }
}

/// Nodes of a rolling stage that are changed while they may carry traffic.
fn not_drained(
    plan: &Plan,
    stage: &PlannedStage,
    lanes: &[Lane],
    warnings: &mut BTreeSet<Warning>,
) {
    let drains =
        |lane: &Lane| lane.steps.iter().any(|no| matches!(plan.step(*no).work, Work::Drain));
    let nodes: Vec<NodeName> = lanes
        .iter()
        .filter(|lane| !drains(lane))
        .filter_map(|lane| lane.subject.node().cloned())
        .collect();
    if !nodes.is_empty() {
        warnings.insert(Warning::NotDrained { stage: stage.name.clone(), nodes });
    }
}

fn drains(plan: &Plan, nodes: &[NodeName], index: &Index<'_>) -> Vec<DrainReport> {
    let mut drained = Vec::new();
    for node in nodes {
        for member in index.members.get(node).copied().unwrap_or_default() {
            let balancer = plan.fleet.balancers.get(&member.balancer);
            let instances = balancer.map(|b| b.instances.as_slice()).unwrap_or_default();
            drained.push(DrainReport {
                node: node.clone(),
                member: member.to_string(),
                instances: instances.iter().map(|instance| instance.name.to_string()).collect(),
            });
        }
    }
    drained
}

/// Folds the steps of lanes: one entry for all nodes on which the same is done, in the order of
/// the lanes, with a step that only some lanes have between the steps it stands between there.
fn fold(plan: &Plan, lanes: &[Lane]) -> Vec<StepReport> {
    let mut order: Vec<StepKey> = Vec::new();
    for lane in lanes {
        let mut after = 0;
        for no in &lane.steps {
            let key = &plan.step(*no).key;
            match order.iter().position(|known| known == key) {
                Some(at) => after = after.max(at + 1),
                None => {
                    order.insert(after, key.clone());
                    after += 1;
                }
            }
        }
    }
    let mut places: BTreeMap<(usize, String), usize> = BTreeMap::new();
    let mut folded: Vec<(usize, StepReport)> = Vec::new();
    for no in lanes.iter().flat_map(|lane| &lane.steps) {
        let step = plan.step(*no);
        let rank = order.iter().position(|key| *key == step.key).unwrap_or(order.len());
        let entry = step_report(plan, step);
        let place = (rank, format!("{} {:?}", entry.act, entry.undo));
        if let Some((_, same)) = places.get(&place).and_then(|at| folded.get_mut(*at)) {
            same.numbers.push(step.no);
            same.nodes.extend(step.subject.node().cloned());
        } else {
            places.insert(place, folded.len());
            folded.push((rank, entry));
        }
    }
    // Stable: entries of one key stay in the order of the lanes.
    folded.sort_by_key(|(rank, _)| *rank);
    folded.into_iter().map(|(_, entry)| entry).collect()
}

fn step_report(plan: &Plan, step: &PlannedStep) -> StepReport {
    let undo = step.undo.iter().map(|no| {
        let back = plan.step(*no);
        (back.key.clone(), act(&back.work, &plan.fleet))
    });
    StepReport {
        key: step.key.clone(),
        phase: step.phase.clone(),
        nodes: step.subject.node().cloned().into_iter().collect(),
        numbers: [step.no].into(),
        act: act(&step.work, &plan.fleet),
        deadline: step.deadline,
        attempts: step.attempts,
        needs_drain: step.needs_drain,
        rollback: step.rollback,
        undo: undo.collect(),
        point_of_no_return: step.point_of_no_return,
        own: crate::build::OWN_KEYS.contains(&step.key.as_str()),
    }
}

fn waiting(plan: &Plan, step: &PlannedStep) -> Option<Waiting> {
    let on = match &step.work {
        Work::Guard { group } => {
            let declared = plan.fleet.groups.iter().find(|g| g.name == *group);
            let min_available = declared.map_or(0, |group| group.min_available);
            WaitingOn::Capacity { group: group.clone(), min_available }
        }
        Work::Certify => WaitingOn::Drain {
            otherwise: match plan.policy.on_drain_deadline {
                DrainExpiry::Fail => "it fails".into(),
                DrainExpiry::Proceed => "what is left is counted and the node goes on".into(),
                DrainExpiry::Kill => "the sessions are ended and counted".into(),
            },
        },
        Work::Ready(probes) => match (step.subject.node(), probes.as_slice()) {
            (None, [Probe { ask: Ask::Http(call), .. }, ..]) => {
                WaitingOn::Front { url: call.url.clone() }
            }
            _ => WaitingOn::Readiness,
        },
        Work::Serving => WaitingOn::Serving,
        Work::Soak(_) => WaitingOn::Soak,
        Work::Wait(_) => WaitingOn::Probe { step: step.key.clone() },
        Work::Manual { .. } => WaitingOn::Person { step: step.key.clone() },
        Work::Drain
        | Work::Undrain
        | Work::Run(_)
        | Work::Http(_)
        | Work::Upload { .. }
        | Work::Backup { .. } => return None,
    };
    Some(Waiting { on, deadline: step.deadline })
}

/// The HTTP requests of a step.
fn calls(work: &Work) -> impl Iterator<Item = &HttpCall> {
    let mut calls: Vec<&HttpCall> = Vec::new();
    let probes: &[Probe] = match work {
        Work::Ready(probes) => probes,
        Work::Wait(probe) => core::slice::from_ref(probe),
        Work::Http(call) => {
            calls.push(call);
            &[]
        }
        Work::Guard { .. }
        | Work::Drain
        | Work::Certify
        | Work::Undrain
        | Work::Serving
        | Work::Soak(_)
        | Work::Run(_)
        | Work::Upload { .. }
        | Work::Backup { .. }
        | Work::Manual { .. } => &[],
    };
    for probe in probes {
        if let Ask::Http(call) = &probe.ask {
            calls.push(call);
        }
    }
    calls.into_iter()
}
