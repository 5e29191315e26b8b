//! What can be asked of a view.

use crate::call::Call;
use crate::cell::PhaseCell;
use crate::fold::RolloutView;
use crate::front::FrontView;
use crate::history::{EndingView, History, HoldView};
use crate::node::NodeView;
use crate::step::{StepState, StepView};
use std::collections::BTreeSet;
use zdu_model::ids::{Attempt, NodeName, PhaseName, RolloutId, Seq, StepNo};
use zdu_model::plan::{Plan, PlannedStep, Subject};
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

/// The step a subject is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// The step.
    pub step: StepNo,
    /// The newest attempt; 0 when none was begun.
    pub attempt: Attempt,
    /// Since when it stands as it does.
    pub since: Timestamp,
    /// Until when it may; for a step that will be begun again, when that is.
    pub deadline: Timestamp,
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Index of the stage that is not complete yet; the number of stages when all are.
    pub stage: usize,
    /// Index of the wave in that stage.
    pub wave: usize,
    /// Forward steps that passed.
    pub passed: usize,
    /// All forward steps.
    pub steps: usize,
}

impl RolloutView {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What happened besides the steps.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What was seen of each front, as the fleet lists them.
    #[must_use]
    pub fn fronts(&self) -> &[FrontView] {
        &self.fronts
    }

    /// The rollout's id, when its first record is known.
    #[must_use]
    pub fn rollout(&self) -> Option<&RolloutId> {
        self.history.opening.as_ref().map(|opening| &opening.rollout)
    }

    /// The id for a command line; `ID` before the first record.
    #[must_use]
    pub fn id_text(&self) -> &str {
        self.rollout().map_or("ID", RolloutId::as_str)
    }

    /// A command about this rollout: the verb, its id, and what stands behind it.
    #[must_use]
    pub fn command(&self, verb: &str, rest: &str) -> String {
        let gap = if rest.is_empty() { "" } else { " " };
        self.call.command(&format!("{verb} {}{gap}{rest}", self.id_text()))
    }

    /// How zdu is called where this is read.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The newest record's number and time.
    #[must_use]
    pub fn last(&self) -> Option<(Seq, Timestamp)> {
        self.last
    }

    /// How many records this build could not read.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The planned step of that number, when the plan has one.
    #[must_use]
    pub fn planned(&self, no: StepNo) -> Option<&PlannedStep> {
        self.plan.steps.get(usize::try_from(no.0).ok()?)
    }

    /// What is known about the step of that number, when the plan has one.
    #[must_use]
    pub fn step(&self, no: StepNo) -> Option<&StepView> {
        self.steps.get(usize::try_from(no.0).ok()?)
    }

    /// Every planned step and what is known about it, in plan order.
    pub fn steps(&self) -> impl Iterator<Item = (&PlannedStep, &StepView)> {
        self.plan.steps.iter().zip(&self.steps)
    }

    /// The last point of no return that was begun: nothing up to it can be put back.
    #[must_use]
    pub fn crossed(&self) -> Option<&PlannedStep> {
        let crossed = self.steps().filter(|(planned, step)| {
            planned.point_of_no_return && step.may_have_begun() && !self.is_undo(planned.no)
        });
        crossed.map(|(planned, _)| planned).max_by_key(|planned| planned.no)
    }

    /// Whether the step compensates another.
    #[must_use]
    pub fn is_undo(&self, no: StepNo) -> bool {
        self.undo.contains(&no)
    }

    /// The phase a step is shown in: compensations stand in the plan's rollback phase.
    #[must_use]
    pub fn shown_phase<'a>(&'a self, step: &'a PlannedStep) -> &'a PhaseName {
        if self.is_undo(step.no) { &self.plan.rollback_phase } else { &step.phase }
    }

    /// The nodes, in the fleet's declared order.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.all()
    }

    /// Those of them whose compensation failed.
    pub fn stuck_nodes(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.stuck()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&NodeView> {
        self.nodes.get(name)
    }

    /// The columns of a node's life: the plan's phases, with the rollback phase among them.
    #[must_use]
    pub fn phases(&self) -> Vec<&PhaseName> {
        let mut phases: Vec<&PhaseName> = self.plan.phases.iter().map(|p| &p.name).collect();
        if !phases.contains(&&self.plan.rollback_phase) {
            phases.push(&self.plan.rollback_phase);
        }
        phases
    }

    /// How a phase of a subject went.
    #[must_use]
    pub fn cell(&self, subject: &Subject, phase: &PhaseName) -> PhaseCell {
        let mut steps: Vec<&StepView> = Vec::new();
        let key = (subject.clone(), phase.clone());
        let column = self.columns.get(&key).map_or(&[][..], Vec::as_slice);
        let begun: BTreeSet<usize> = column
            .iter()
            .filter(|(_, no)| self.step(*no).is_some_and(|step| step.attempt() > 0))
            .map(|(stage, _)| *stage)
            .collect();
        for (stage, no) in column {
            // A phase may have steps in a later stage too; until that stage is begun, what was
            // done in the earlier one speaks for the phase.
            if begun.is_empty() || begun.contains(stage) {
                steps.extend(self.step(*no));
            }
        }
        if *phase == self.plan.rollback_phase {
            for no in self.unwinding.get(subject).into_iter().flatten() {
                steps.extend(self.step(*no));
            }
        }
        PhaseCell::of(&steps, self.ended().is_some())
    }

    /// Whether a forward step of the subject failed and no rule said to go on.
    #[must_use]
    pub fn failed(&self, subject: &Subject) -> bool {
        let phases = self.phases();
        let forward = phases.iter().filter(|p| ***p != self.plan.rollback_phase);
        forward.map(|phase| self.cell(subject, phase)).any(|cell| cell.is_failed())
    }

    /// Steps that run, are asked about, or will be begun again.
    pub fn active(&self) -> impl Iterator<Item = (&PlannedStep, &StepView)> {
        let numbers = self.active.iter();
        numbers.filter_map(|no| Some((self.planned(*no)?, self.step(*no)?)))
    }

    /// The step a subject is at, when it is at one.
    #[must_use]
    pub fn current(&self, subject: &Subject) -> Option<Current> {
        let (planned, step) = self.active().find(|(planned, _)| planned.subject == *subject)?;
        let (since, deadline) = span(planned, step)?;
        Some(Current { step: planned.no, attempt: step.attempt(), since, deadline })
    }

    /// The holds no person has ended yet.
    pub fn open_holds(&self) -> impl Iterator<Item = &HoldView> {
        self.history.holds.iter().filter(|hold| hold.ended.is_none())
    }

    /// The ending that stands: the last one, unless a person reopened the rollout.
    #[must_use]
    pub fn ended(&self) -> Option<&EndingView> {
        let last = self.history.endings.last();
        last.filter(|ending| ending.reopened.is_none())
    }

    /// How the rollout ended, when it did.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.ended().map(|ending| &ending.verdict)
    }

    /// How long the rollout took, or takes as of `now`.
    #[must_use]
    pub fn duration(&self, now: Timestamp) -> Millis {
        let until = self.ended().map_or(now, |ending| ending.at);
        let opening = self.history.opening.as_ref();
        opening.map_or(Millis(0), |opening| until.since(opening.at))
    }

    /// How far it is, counting forward steps.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let passed = |no: &StepNo| self.step(*no).is_some_and(StepView::passed);
        let mut progress = Progress { stage: self.plan.stages.len(), wave: 0, passed: 0, steps: 0 };
        for (stage_index, stage) in self.plan.stages.iter().enumerate() {
            for (wave_index, wave) in stage.waves.iter().enumerate() {
                let lanes = wave.lanes.iter().flat_map(|lane| &lane.steps);
                let steps: Vec<&StepNo> = lanes.chain(&wave.gate).collect();
                let done = steps.iter().filter(|no| passed(no)).count();
                progress.passed += done;
                progress.steps += steps.len();
                if done < steps.len() && progress.stage == self.plan.stages.len() {
                    progress.stage = stage_index;
                    progress.wave = wave_index;
                }
            }
        }
        progress
    }
}

/// Since when an active step stands as it does, and until when it may.
pub(crate) fn span(planned: &PlannedStep, step: &StepView) -> Option<(Timestamp, Timestamp)> {
    match step.state {
        StepState::Running { since } | StepState::Inquiring { since, .. } => {
            Some((since, since.after(planned.deadline)))
        }
        StepState::Scheduled { since, at, .. } => Some((since, at)),
        StepState::NotBegun | StepState::Ended { .. } => None,
    }
}
