//! The lanes of a stage: the steps of the procedure for one subject, and around them what zdu adds
//! for a node that stands in a balancer.

use crate::build::{Acts, Builder, front, soak};
use crate::refusal::Refusal;
use crate::warning::Warning;
use crate::waves::split;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use zdu_model::ids::{PhaseName, StepNo};
use zdu_model::plan::{Lane, PlannedStage, PlannedStep, Probe, Subject, Target, Wave};
use zdu_model::procedure::{Over, ProbeTemplate, Site, Stage, Step};

/// What the steps of one lane have in common.
struct LaneOf<'s> {
    stage: &'s Stage,
    /// The index of the stage.
    index: usize,
    subject: Subject,
    /// The node's index; absent for the fleet.
    node: Option<usize>,
    /// Whether the node is drained while the steps run.
    drained: bool,
}

impl<'a> Builder<'a> {
    /// Plans a stage; `None` when no condition of its steps holds anywhere.
    pub(crate) fn stage(&mut self, index: usize, stage: &'a Stage) -> Option<PlannedStage> {
        let waves = match stage.over {
            Over::Once => self.once(index, stage),
            Over::Nodes | Over::Rolling => self.over_nodes(index, stage),
        };
        if waves.is_empty() {
            let nodes = Vec::new();
            self.warn(Warning::NothingToDo { stage: stage.name.clone(), nodes });
            return None;
        }
        Some(PlannedStage {
            name: stage.name.clone(),
            over: stage.over,
            goes_back: stage.goes_back,
            waves,
        })
    }

    fn once(&mut self, index: usize, stage: &'a Stage) -> Vec<Wave> {
        let subject = Subject::Fleet;
        let lane = LaneOf { stage, index, subject, node: None, drained: false };
        let mut steps = Vec::new();
        for step in &stage.steps {
            self.enter(self.seat(&lane, &step.on));
            if self.holds(&lane, step) {
                steps.extend(self.step(&lane, step));
            }
        }
        if steps.is_empty() {
            return Vec::new();
        }
        let lanes = vec![Lane { subject: Subject::Fleet, steps }];
        vec![Wave { lanes, parallel: 1, gate: Vec::new() }]
    }

    fn over_nodes(&mut self, index: usize, stage: &'a Stage) -> Vec<Wave> {
        let all = self.roster.of_stage(stage);
        if all.is_empty() {
            let (name, only) = (stage.name.clone(), stage.only.clone());
            self.refusals.push(Refusal::StageWithoutNodes { stage: name, only });
        }
        let nodes = self.with_work(index, stage, all);
        if stage.over == Over::Nodes {
            let wide = u32::try_from(nodes.len()).unwrap_or(u32::MAX).max(1);
            let parallel = stage.parallel.unwrap_or(wide).min(wide);
            let lanes: Vec<Lane> =
                nodes.iter().map(|node| self.plain_lane(index, stage, *node)).collect();
            if lanes.is_empty() {
                return Vec::new();
            }
            return vec![Wave { lanes, parallel, gate: Vec::new() }];
        }
        let concurrency = self.input.policy.concurrency;
        let parallel = stage.parallel.map_or(concurrency, |most| most.min(concurrency));
        let mut waves = Vec::new();
        for nodes in split(&nodes, &self.input.policy.wave) {
            let lanes = nodes.iter().map(|node| self.rolling_lane(index, stage, *node)).collect();
            let gate = self.gate(stage);
            waves.push(Wave { lanes, parallel, gate });
        }
        waves
    }

    /// The nodes on which some step of the stage is to be done: a node without work is neither
    /// drained nor counted into a wave.
    fn with_work(&mut self, index: usize, stage: &'a Stage, all: Vec<usize>) -> Vec<usize> {
        if stage.steps.iter().any(|step| step.when.is_none()) {
            return all;
        }
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for node in all {
            let lane = self.lane_of(index, stage, node, false);
            self.enter(Some(node));
            // Every condition is asked, so that every fault is found.
            let asked: Vec<bool> = stage.steps.iter().map(|step| self.holds(&lane, step)).collect();
            if asked.contains(&true) {
                with.push(node);
            } else {
                without.extend(self.roster.places.get(node).map(|place| place.node.name.clone()));
            }
        }
        if !without.is_empty() && !with.is_empty() {
            self.warn(Warning::NothingToDo { stage: stage.name.clone(), nodes: without });
        }
        with
    }

    fn lane_of(&self, index: usize, stage: &'a Stage, node: usize, drained: bool) -> LaneOf<'a> {
        let place = self.roster.places.get(node).expect("the index is of this roster");
        let subject = Subject::Node(place.node.name.clone());
        LaneOf { stage, index, subject, node: Some(node), drained }
    }

    fn plain_lane(&mut self, index: usize, stage: &'a Stage, node: usize) -> Lane {
        let lane = self.lane_of(index, stage, node, false);
        self.enter(Some(node));
        let steps = self.procedure_steps(&lane);
        Lane { subject: lane.subject, steps }
    }

    fn procedure_steps(&mut self, lane: &LaneOf<'a>) -> Vec<StepNo> {
        let mut steps = Vec::new();
        for step in &lane.stage.steps {
            if self.holds(lane, step) {
                steps.extend(self.step(lane, step));
            }
        }
        steps
    }

    fn rolling_lane(&mut self, index: usize, stage: &'a Stage, node: usize) -> Lane {
        let place = self.roster.places.get(node).expect("the index is of this roster");
        let lane = self.lane_of(index, stage, node, !place.node.members.is_empty());
        self.enter(Some(node));
        let (input, name, group) = (self.input, &place.node.name, &place.group.name);
        let acts = |phase| Acts { input, node: name, phase };
        let (out, back) = (acts(drain_phase(stage)), acts(return_phase(stage)));
        let undo = acts(input.procedure.rollback_phase.clone());

        let mut steps = Vec::new();
        if lane.drained {
            let old = self.probes(&lane, &stage.ready_old, "ready_old");
            steps.extend(self.push(out.guard(group)));
            let mirror = [undo.ready(old), undo.undrain(), undo.serving_again()];
            steps.extend(self.undoable(out.drain(), mirror));
            steps.extend(self.push(out.certify()));
        }
        steps.extend(self.procedure_steps(&lane));
        let new = self.probes(&lane, &stage.ready, "ready");
        steps.extend(self.push(back.ready(new)));
        if lane.drained {
            let mirror = [undo.guard(group), undo.drain(), undo.certify()];
            steps.extend(self.undoable(back.undrain(), mirror));
            steps.extend(self.push(back.serving()));
        }
        Lane { subject: lane.subject, steps }
    }

    fn undoable(&mut self, step: PlannedStep, undo: [PlannedStep; 3]) -> Option<StepNo> {
        let no = self.push(step)?;
        let undo = undo.into_iter().filter_map(|step| self.push(step)).collect();
        self.set_undo(no, undo);
        Some(no)
    }

    fn probes(
        &mut self,
        lane: &LaneOf<'_>,
        templates: &[ProbeTemplate],
        field: &str,
    ) -> Vec<Probe> {
        let at = format!("procedure.stages.{}", lane.stage.name);
        let mut rendering = self.rendering(&lane.subject, lane.index, at);
        let numbered = templates.iter().enumerate();
        numbered
            .filter_map(|(index, probe)| rendering.probe(probe, &format!("{field}[{index}]")))
            .collect()
    }

    fn gate(&mut self, stage: &Stage) -> Vec<StepNo> {
        let phase = return_phase(stage);
        let span = self.input.policy.soak;
        let mut gate = Vec::new();
        if span.0 > 0 {
            gate.extend(self.push(soak(span, phase.clone())));
        }
        let input = self.input;
        for place in &input.fleet.front {
            gate.extend(self.push(front(place, phase.clone())));
        }
        gate
    }

    /// The node a step is rendered for.
    fn seat(&self, lane: &LaneOf<'_>, on: &Site) -> Option<usize> {
        match on {
            Site::Role(role) => lane.node.or_else(|| self.roster.bearers(role).first().copied()),
            Site::Node | Site::Controller => lane.node,
        }
    }

    fn holds(&mut self, lane: &LaneOf<'_>, step: &Step) -> bool {
        let Some(when) = &step.when else {
            return true;
        };
        let at = step_path(lane.stage, step, None);
        let mut rendering = self.rendering(&lane.subject, lane.index, at);
        // A condition that cannot be evaluated is a refusal already; the step is planned so that
        // its own faults are found in the same go.
        rendering.condition(when).unwrap_or(true)
    }

    fn step(&mut self, lane: &LaneOf<'_>, step: &Step) -> Option<StepNo> {
        let needs_drain = lane.drained && step.disruptive;
        let at = step_path(lane.stage, step, None);
        let planned = self.planned(lane, step, at, needs_drain)?;
        let no = self.push(planned)?;
        for capture in &step.capture {
            self.captures.make(&capture.name, &lane.subject, lane.index);
        }
        let mut undo = Vec::new();
        for back in &step.undo {
            if lane.node.is_none() {
                self.enter(self.seat(lane, &back.on));
            }
            let at = step_path(lane.stage, step, Some(back));
            let mut rendering = self.rendering(&lane.subject, lane.index, at.clone());
            if !back.when.as_ref().is_none_or(|when| rendering.condition(when).unwrap_or(true)) {
                continue;
            }
            // What puts a disruptive step back disturbs as much as the step did.
            let needs_drain = lane.drained && (step.disruptive || back.disruptive);
            if let Some(mut planned) = self.planned(lane, back, at, needs_drain) {
                planned.phase = self.input.procedure.rollback_phase.clone();
                undo.extend(self.push(planned));
            }
        }
        self.accepted(lane, step, undo.is_empty());
        self.set_undo(no, undo);
        Some(no)
    }

    /// A disruptive step without a way back needs somebody's word: the policy's, or that of the
    /// person who is asked before a point of no return is crossed.
    fn accepted(&mut self, lane: &LaneOf<'_>, step: &Step, no_undo: bool) {
        if !(step.disruptive && no_undo) || step.point_of_no_return {
            return;
        }
        if self.input.policy.accept_no_undo.iter().any(|id| id == step.id.as_str()) {
            self.warn(Warning::NoUndoAccepted(step.id.clone()));
        } else {
            let (stage, step) = (lane.stage.name.clone(), step.id.clone());
            self.refusals.push(Refusal::NoUndo { stage, step });
        }
    }

    fn planned(
        &mut self,
        lane: &LaneOf<'_>,
        step: &Step,
        at: String,
        needs_drain: bool,
    ) -> Option<PlannedStep> {
        let target = self.target(lane, step, &at);
        let mut rendering = self.rendering(&lane.subject, lane.index, at);
        let work = rendering.work(&step.action);
        let unknown = rendering.unknown(&step.unknown);
        let deadline = rendering.deadline(&step.deadline);
        Some(PlannedStep {
            no: StepNo(0),
            key: step.id.clone(),
            phase: step.phase.clone(),
            subject: lane.subject.clone(),
            target: target?,
            work: work?,
            contract: step.outcome.clone(),
            deadline: deadline?,
            takes: step.takes,
            attempts: step.attempts,
            needs_drain,
            unknown: unknown?,
            capture: step.capture.clone(),
            undo: Vec::new(),
            rollback: step.rollback,
            point_of_no_return: step.point_of_no_return,
        })
    }

    /// Where the step runs. `None` is refused here or by the checks of the procedure.
    fn target(&mut self, lane: &LaneOf<'_>, step: &Step, at: &str) -> Option<Target> {
        match &step.on {
            Site::Controller => Some(Target::Controller),
            Site::Node => lane.subject.node().cloned().map(Target::Node),
            Site::Role(role) => {
                let first = self.roster.bearers(role).first();
                let place = first.and_then(|index| self.roster.places.get(*index));
                if place.is_none() {
                    let (role, at) = (role.clone(), String::from(at));
                    self.refusals.push(Refusal::RoleWithoutBearer { role, at });
                }
                let name = place?.node.name.clone();
                if step.disruptive && lane.node.is_some() && lane.subject.node() != Some(&name) {
                    self.refusals.push(Refusal::DisruptiveElsewhere {
                        stage: lane.stage.name.clone(),
                        step: step.id.clone(),
                        role: role.clone(),
                    });
                }
                Some(Target::Node(name))
            }
        }
    }
}

fn step_path(stage: &Stage, step: &Step, undo: Option<&Step>) -> String {
    let (stage, id) = (&stage.name, &step.id);
    match undo {
        None => format!("procedure.stages.{stage}.steps.{id}"),
        Some(back) => format!("procedure.stages.{stage}.steps.{id}.undo.{}", back.id),
    }
}

/// The phase the drain is shown in; that of the first step when the stage names none.
fn drain_phase(stage: &Stage) -> PhaseName {
    let first = || stage.steps.first().map(|step| step.phase.clone());
    stage.drain_phase.clone().or_else(first).expect("a stage without steps has no lane")
}

/// The phase the return is shown in; that of the last step when the stage names none.
fn return_phase(stage: &Stage) -> PhaseName {
    let last = || stage.steps.last().map(|step| step.phase.clone());
    stage.return_phase.clone().or_else(last).expect("a stage without steps has no lane")
}
