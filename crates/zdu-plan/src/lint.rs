//! The check of a finished plan, independent of how it was made: it trusts nothing, not even
//! that a number names a step, because it also judges plans that were read from a file.

use crate::build::OWN_KEYS;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use zdu_model::fleet::Node;
use zdu_model::ids::{CaptureName, NodeName, PhaseName, StepNo};
use zdu_model::plan::{
    Ask, Lane, PLAN_FORMAT, Plan, PlannedStage, PlannedStep, Probe, Run, Subject, Target, Unknown,
    Wave, Work,
};
use zdu_model::procedure::{GoesBack, Over};

/// Something that must not be in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The step it was found at; absent when it is about the plan as a whole.
    pub step: Option<StepNo>,
    /// What is broken.
    pub rule: LintRule,
    /// How, as a sentence without its full stop.
    pub detail: String,
}

/// What a plan must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LintRule {
    /// The format is one this build knows.
    Format,
    /// A step's number is its index.
    Numbers,
    /// Every step stands in exactly one lane, gate or undo list; so nothing can go in circles.
    OnePlace,
    /// A compensation has none of its own and is no point of no return; a step under drain has
    /// one, or somebody's word.
    Undo,
    /// Guard, drain and certify stand in this order before every step that needs them (law 2), and
    /// a drain is undone by readiness, undrain and serving (law 4).
    Drain,
    /// Nothing changes a node between the proof of its readiness and its undrain (law 3).
    Return,
    /// Waves cover each node at most once, in the shape the stage's way has.
    Waves,
    /// Steps are about the subject of their lane, and about nodes of the fleet.
    Subjects,
    /// No secret stands where others can read it (law 10).
    Secrets,
    /// Every step has a deadline and at least one attempt (law 13).
    Limits,
    /// The last failure rule always fits.
    Rules,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, rule, detail } = self;
        match step {
            Some(step) => write!(f, "step {step}: {detail} ({rule:?})"),
            None => write!(f, "{detail} ({rule:?})"),
        }
    }
}

/// Checks a plan; nothing found means that it may be run.
#[must_use]
pub fn lint(plan: &Plan) -> Vec<Finding> {
    let nodes = plan.fleet.nodes().map(|node| (&node.name, node)).collect();
    let captures = plan.steps.iter().flat_map(|step| &step.capture);
    let secret = captures.filter(|capture| capture.secret).map(|capture| &capture.name).collect();
    let mut lint = Lint { plan, nodes, secret, findings: Vec::new() };
    lint.whole();
    lint.places();
    for step in &plan.steps {
        lint.step(step);
    }
    for stage in &plan.stages {
        lint.stage(stage);
    }
    lint.findings
}

struct Lint<'a> {
    plan: &'a Plan,
    nodes: BTreeMap<&'a NodeName, &'a Node>,
    /// Captured values that are secret.
    secret: BTreeSet<&'a CaptureName>,
    findings: Vec<Finding>,
}

impl<'a> Lint<'a> {
    fn find(&mut self, step: Option<StepNo>, rule: LintRule, detail: impl Into<String>) {
        self.findings.push(Finding { step, rule, detail: detail.into() });
    }

    fn get(&self, no: &StepNo) -> Option<&'a PlannedStep> {
        self.plan.steps.get(usize::try_from(no.0).ok()?)
    }

    /// The steps of these numbers; a number without a step is found elsewhere.
    fn get_all(&self, numbers: &[StepNo]) -> Vec<&'a PlannedStep> {
        numbers.iter().filter_map(|no| self.get(no)).collect()
    }

    fn whole(&mut self) {
        let plan = self.plan;
        if plan.format != PLAN_FORMAT {
            let detail = format!("the plan has format {}, not {PLAN_FORMAT}", plan.format);
            self.find(None, LintRule::Format, detail);
        }
        for (index, step) in plan.steps.iter().enumerate() {
            if usize::try_from(step.no.0) != Ok(index) {
                let detail = format!("the step at index {index} has the number {}", step.no);
                self.find(Some(step.no), LintRule::Numbers, detail);
            }
        }
        let always = plan.rules.last().is_some_and(|rule| {
            rule.phase.is_none()
                && rule.stage.is_none()
                && rule.exit.is_empty()
                && rule.class.is_empty()
                && rule.output.is_none()
                && rule.failed_nodes.is_none()
        });
        if !always {
            self.find(None, LintRule::Rules, "the last failure rule does not always fit");
        }
    }

    /// Where each number stands. One place each, and no undo of an undo, leave no way for a walk
    /// over the plan to come back to a step.
    fn places(&mut self) {
        let plan = self.plan;
        let mut seen: BTreeMap<StepNo, u32> = BTreeMap::new();
        let waves = || plan.stages.iter().flat_map(|stage| &stage.waves);
        let lanes = waves().flat_map(|wave| &wave.lanes).flat_map(|lane| &lane.steps);
        let gates = waves().flat_map(|wave| &wave.gate);
        let undo = plan.steps.iter().flat_map(|step| &step.undo);
        for no in lanes.chain(gates).chain(undo) {
            *seen.entry(*no).or_default() += 1;
        }
        for step in &plan.steps {
            match seen.remove(&step.no) {
                Some(1) => {}
                count => {
                    let detail = format!("it stands in {} places", count.unwrap_or(0));
                    self.find(Some(step.no), LintRule::OnePlace, detail);
                }
            }
        }
        for no in seen.keys() {
            self.find(Some(*no), LintRule::OnePlace, "the plan names it and has no such step");
        }
    }

    fn step(&mut self, step: &'a PlannedStep) {
        let no = Some(step.no);
        let phase = |name: &PhaseName| self.plan.phases.iter().any(|phase| phase.name == *name);
        if !phase(&step.phase) {
            self.find(no, LintRule::Subjects, format!("no phase is called {}", step.phase));
        }
        let target = match &step.target {
            Target::Controller => None,
            Target::Node(node) => Some(node),
        };
        for node in step.subject.node().into_iter().chain(target) {
            if !self.nodes.contains_key(node) {
                self.find(no, LintRule::Subjects, format!("no node is called {node}"));
            }
        }
        let soak = matches!(step.work, Work::Soak(_));
        if step.attempts == 0 || (step.deadline.0 == 0 && !soak) {
            self.find(no, LintRule::Limits, "it has no attempt or no time");
        }
        for back in self.get_all(&step.undo) {
            self.undo(step, back);
        }
        self.secrets(step);
    }

    fn undo(&mut self, step: &PlannedStep, back: &PlannedStep) {
        if !back.undo.is_empty() || back.point_of_no_return {
            self.find(Some(back.no), LintRule::Undo, "a compensation must be the end of the way");
        }
        if back.subject != step.subject {
            let detail = format!("it undoes step {} of another subject", step.no);
            self.find(Some(back.no), LintRule::Subjects, detail);
        }
    }

    fn secrets(&mut self, step: &PlannedStep) {
        for run in runs(step) {
            let exposed = run.argv.iter().chain(run.env.values()).chain(&run.cwd);
            for text in exposed {
                if let Some(secret) = text.secrets().next() {
                    let detail = format!("the secret {secret} stands where others can read it");
                    self.find(Some(step.no), LintRule::Secrets, detail);
                }
                if let Some(name) = text.captures().find(|name| self.secret.contains(name)) {
                    let detail = format!("the secret value {name} stands where others can read it");
                    self.find(Some(step.no), LintRule::Secrets, detail);
                }
            }
        }
    }

    fn stage(&mut self, stage: &'a PlannedStage) {
        let name = &stage.name;
        if stage.waves.is_empty() || (stage.over != Over::Rolling && stage.waves.len() != 1) {
            let detail = format!("stage {name} has {} waves", stage.waves.len());
            self.find(None, LintRule::Waves, detail);
        }
        let mut before = self.plan.stages.iter().take_while(|other| other.name != *name);
        let late = before.any(|stage| stage.over == Over::Rolling);
        if stage.goes_back == GoesBack::WithRollout && (stage.over != Over::Nodes || late) {
            let detail = format!("stage {name} prepares nothing that a node could keep");
            self.find(None, LintRule::Waves, detail);
        }
        let mut subjects = BTreeSet::new();
        for wave in &stage.waves {
            let wide = stage.over == Over::Rolling && wave.parallel > self.plan.policy.concurrency;
            if wave.parallel == 0 || wave.lanes.is_empty() || wide {
                let detail = format!("a wave of stage {name} has no lane, or a bad width");
                self.find(None, LintRule::Waves, detail);
            }
            for lane in &wave.lanes {
                if !subjects.insert(&lane.subject) {
                    let detail = format!("stage {name} goes over {:?} twice", lane.subject);
                    self.find(None, LintRule::Waves, detail);
                }
                let fleet = lane.subject == Subject::Fleet;
                if fleet != (stage.over == Over::Once) {
                    let detail = format!("a lane of stage {name} is about {:?}", lane.subject);
                    self.find(None, LintRule::Subjects, detail);
                }
                self.lane(stage, lane);
            }
            self.gate(wave);
        }
    }

    fn gate(&mut self, wave: &Wave) {
        for step in self.get_all(&wave.gate) {
            if step.subject != Subject::Fleet {
                self.find(Some(step.no), LintRule::Subjects, "a gate is about the fleet");
            }
            if !matches!(step.work, Work::Soak(_) | Work::Ready(_)) || step.needs_drain {
                self.find(Some(step.no), LintRule::Waves, "a gate only watches and asks");
            }
        }
    }

    fn lane(&mut self, stage: &PlannedStage, lane: &Lane) {
        let mut state = LaneState::default();
        for no in &lane.steps {
            let Some(step) = self.get(no) else {
                continue;
            };
            if step.subject != lane.subject {
                self.find(Some(*no), LintRule::Subjects, "its lane is about another subject");
            }
            if let Some((rule, detail)) = state.take(step) {
                self.find(Some(*no), rule, detail);
            }
            if stage.over != Over::Rolling && (state.guarded || step.needs_drain) {
                self.find(Some(*no), LintRule::Drain, "only a rolling stage drains");
            }
            self.built_in_undo(step);
            let accepted = &self.plan.policy.accept_no_undo;
            let word = step.point_of_no_return || accepted.iter().any(|id| id == step.key.as_str());
            if step.needs_drain && step.undo.is_empty() && !word {
                self.find(Some(*no), LintRule::Undo, "it disturbs its node and cannot be undone");
            }
        }
        let last = lane.steps.last().copied();
        if lane.steps.is_empty() || state.drained != state.served {
            self.find(last, LintRule::Return, "the lane is empty or leaves its node out");
        }
        let node = lane.subject.node().and_then(|name| self.nodes.get(name).copied());
        let must = stage.over == Over::Rolling && node.is_some_and(|n| !n.members.is_empty());
        if must && !state.drained {
            self.find(last, LintRule::Drain, "its node stands in a balancer and is not drained");
        }
    }

    /// The way back of a drain leads through readiness, and that of an undrain through a guard
    /// and a new certificate.
    fn built_in_undo(&mut self, step: &PlannedStep) {
        let kinds: Vec<&str> =
            self.get_all(&step.undo).iter().map(|back| own_kind(&back.work)).collect();
        let wanted: &[&str] = match &step.work {
            Work::Drain => &["ready", "undrain", "serving"],
            Work::Undrain => &["guard", "drain", "certify"],
            Work::Guard { .. } | Work::Certify | Work::Serving | Work::Soak(_) => &[],
            Work::Ready(_)
            | Work::Run(_)
            | Work::Http(_)
            | Work::Upload { .. }
            | Work::Backup { .. }
            | Work::Wait(_)
            | Work::Manual { .. } => return,
        };
        if kinds != wanted {
            let detail = format!("it is undone by [{}]", kinds.join(", "));
            self.find(Some(step.no), LintRule::Drain, detail);
        }
    }
}

/// What a lane has been through; each act may come once and only in its order.
#[derive(Default)]
struct LaneState {
    guarded: bool,
    drained: bool,
    certified: bool,
    ready: bool,
    returned: bool,
    served: bool,
}

impl LaneState {
    /// Goes over one step; what is wrong with it standing here.
    fn take(&mut self, step: &PlannedStep) -> Option<(LintRule, &'static str)> {
        if step.needs_drain && (!self.certified || self.returned) {
            return Some((LintRule::Drain, "it needs a drain certificate and its node has none"));
        }
        match &step.work {
            Work::Guard { .. } if self.guarded => Some((LintRule::Drain, "a second guard")),
            Work::Guard { .. } => {
                self.guarded = true;
                None
            }
            Work::Drain => {
                let good = self.guarded && !self.drained;
                self.drained = true;
                (!good).then_some((LintRule::Drain, "a drain without a guard before it"))
            }
            Work::Certify => {
                let good = self.drained && !self.certified;
                self.certified = true;
                (!good).then_some((LintRule::Drain, "a certificate without a drain before it"))
            }
            Work::Ready(_) => {
                self.ready = true;
                None
            }
            Work::Undrain => {
                let good = self.certified && self.ready && !self.returned;
                self.returned = true;
                (!good).then_some((LintRule::Return, "an undrain without readiness before it"))
            }
            Work::Serving => {
                let good = self.returned && !self.served;
                self.served = true;
                (!good).then_some((LintRule::Return, "serving without an undrain before it"))
            }
            Work::Soak(_) => Some((LintRule::Waves, "a soak stands behind a wave, not in a lane")),
            Work::Run(_)
            | Work::Http(_)
            | Work::Upload { .. }
            | Work::Backup { .. }
            | Work::Wait(_)
            | Work::Manual { .. } => {
                self.ready = false;
                let late = self.returned.then_some("a change after the node has returned");
                late.map(|detail| (LintRule::Return, detail))
            }
        }
    }
}

fn own_kind(work: &Work) -> &'static str {
    let index = match work {
        Work::Guard { .. } => 0,
        Work::Drain => 1,
        Work::Certify => 2,
        Work::Ready(_) => 3,
        Work::Undrain => 4,
        Work::Serving => 5,
        Work::Soak(_) => 6,
        Work::Run(_)
        | Work::Http(_)
        | Work::Upload { .. }
        | Work::Backup { .. }
        | Work::Wait(_)
        | Work::Manual { .. } => return "other",
    };
    OWN_KEYS.get(index).copied().unwrap_or("other")
}

/// Every command of a step, those of its probes too.
fn runs(step: &PlannedStep) -> Vec<&Run> {
    let mut probes: Vec<&Probe> = Vec::new();
    let mut runs = Vec::new();
    match &step.work {
        Work::Run(run) => runs.push(run),
        Work::Ready(all) => probes.extend(all),
        Work::Wait(probe) => probes.push(probe),
        Work::Guard { .. }
        | Work::Drain
        | Work::Certify
        | Work::Undrain
        | Work::Serving
        | Work::Soak(_)
        | Work::Http(_)
        | Work::Upload { .. }
        | Work::Backup { .. }
        | Work::Manual { .. } => {}
    }
    if let Unknown::Observe { done, not_done } = &step.unknown {
        probes.push(done);
        probes.extend(not_done.as_deref());
    }
    runs.extend(probes.into_iter().filter_map(|probe| match &probe.ask {
        Ask::Run(run) => Some(run),
        Ask::Http(_) | Ask::Tcp(_) => None,
    }));
    runs
}
