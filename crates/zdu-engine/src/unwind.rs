//! Putting things back: which compensations, in which order.

use crate::state::{Course, Home, LaneCourse, Rollout, StepStatus, index};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use zdu_model::event::{Event, UnwindScope};
use zdu_model::ids::{NodeName, StepNo};
use zdu_model::plan::Subject;

type At = (usize, usize, usize);

impl Rollout {
    /// The compensations of a scope, newest first: stages and waves backwards, in each wave the
    /// lanes in flight before those that had ended (their nodes are out, and capacity for the
    /// others is had only when they are back), each lane's begun steps backwards.
    pub(crate) fn unwind_steps(&self, scope: &UnwindScope) -> Vec<StepNo> {
        let mut list = Vec::new();
        for at in self.lanes_of(scope) {
            let lane = self.lane(at.0, at.1, at.2);
            for step in lane.steps.iter().rev() {
                if self.state(*step).begun && !self.is_behind_point_of_no_return(*step) {
                    let undo = &self.plan.step(*step).undo;
                    list.extend(undo.iter().copied().filter(|undo| !self.is_undone(at, *undo)));
                }
            }
        }
        list
    }

    /// A compensation that already passed in an unwind that a wider one replaces.
    fn is_undone(&self, at: At, undo: StepNo) -> bool {
        let unwinding = self.waves[at.0][at.1].lanes[at.2].course == LaneCourse::Unwinding;
        let passed = matches!(self.state(undo).status, StepStatus::Ended(class) if class.passes());
        unwinding && passed
    }

    /// The lanes a scope puts back, in the order they are put back.
    pub(crate) fn lanes_of(&self, scope: &UnwindScope) -> Vec<At> {
        let nodes = self.nodes_of(scope);
        let mut lanes = Vec::new();
        for stage in (0..self.waves.len()).rev() {
            for wave in (0..self.waves[stage].len()).rev() {
                let mut here = Vec::new();
                for lane in (0..self.waves[stage][wave].lanes.len()).rev() {
                    let course = self.waves[stage][wave].lanes[lane].course;
                    let begun = !matches!(course, LaneCourse::Waiting | LaneCourse::Unwound);
                    let whole = !self.is_cut_by_point_of_no_return((stage, wave, lane));
                    if begun && whole && self.in_scope(&nodes, stage, wave, lane) {
                        here.push((course == LaneCourse::Done, (stage, wave, lane)));
                    }
                }
                here.sort_by_key(|(done, _)| *done);
                lanes.extend(here.into_iter().map(|(_, at)| at));
            }
        }
        lanes
    }

    fn in_scope(&self, nodes: &Option<BTreeSet<NodeName>>, s: usize, w: usize, l: usize) -> bool {
        match (nodes, &self.lane(s, w, l).subject) {
            (None, _) => true,
            (Some(nodes), Subject::Node(node)) => nodes.contains(node),
            (Some(_), Subject::Fleet) => false,
        }
    }

    /// The nodes of a scope; none means everything.
    fn nodes_of(&self, scope: &UnwindScope) -> Option<BTreeSet<NodeName>> {
        let of_wave = || {
            let (planned, state) = self.current_wave()?;
            let lanes = planned.lanes.iter().zip(&state.lanes);
            let begun = lanes.filter(|(_, state)| flies(state.course, LaneCourse::Done));
            Some(begun.filter_map(|(lane, _)| lane.subject.node().cloned()).collect())
        };
        match scope {
            UnwindScope::Node(node) => Some(BTreeSet::from([node.clone()])),
            UnwindScope::Wave => Some(of_wave().unwrap_or_default()),
            UnwindScope::InFlight => Some(self.nodes_in_flight()),
            UnwindScope::Rollout => None,
        }
    }

    fn nodes_in_flight(&self) -> BTreeSet<NodeName> {
        let mut nodes = BTreeSet::new();
        for (planned, states) in self.plan.stages.iter().zip(&self.waves) {
            for (planned, state) in planned.waves.iter().zip(states) {
                let lanes = planned.lanes.iter().zip(&state.lanes);
                let flying = lanes.filter(|(_, state)| flies(state.course, LaneCourse::Going));
                nodes.extend(flying.filter_map(|(lane, _)| lane.subject.node().cloned()));
            }
        }
        nodes
    }

    /// Whether a point of no return stands in the middle of what was begun in this lane or after
    /// it: then undoing the rest would leave the node between two releases.
    fn is_cut_by_point_of_no_return(&self, at: At) -> bool {
        let lane = self.lane(at.0, at.1, at.2);
        let mut begun = lane.steps.iter().filter(|step| self.state(**step).begun);
        begun.any(|step| self.is_behind_point_of_no_return(*step))
    }

    /// Whether a node has begun something that a point of no return keeps.
    pub(crate) fn cannot_go_back(&self, node: &NodeName) -> bool {
        let mine = |step: &&zdu_model::plan::PlannedStep| step.subject.node() == Some(node);
        let Some(_) = self.last_point_of_no_return() else { return false };
        self.plan.steps.iter().filter(mine).any(|step| {
            self.state(step.no).begun
                && self.home(step.no) != Home::Undo
                && self.is_behind_point_of_no_return(step.no)
        })
    }

    /// The lanes that are being put back under this scope.
    pub(crate) fn unwinding_lanes(&self, scope: &UnwindScope) -> Vec<At> {
        let mine = |at: &At| match scope {
            UnwindScope::Node(node) => self.lane(at.0, at.1, at.2).subject.node() == Some(node),
            UnwindScope::Wave | UnwindScope::Rollout | UnwindScope::InFlight => true,
        };
        let mut lanes = Vec::new();
        for (stage, waves) in self.waves.iter().enumerate() {
            for (wave, state) in waves.iter().enumerate() {
                let all = (0..state.lanes.len()).map(|lane| (stage, wave, lane));
                let unwinding = |at: &At| state.lanes[at.2].course == LaneCourse::Unwinding;
                lanes.extend(all.filter(|at| unwinding(at) && mine(at)));
            }
        }
        lanes
    }

    /// Whether a begun point of no return forbids undoing this step: it stands at or before one
    /// in the order of the plan.
    pub(crate) fn is_behind_point_of_no_return(&self, step: StepNo) -> bool {
        self.last_point_of_no_return().is_some_and(|point| self.rank(step) <= self.rank(point))
    }

    /// The last point of no return that was begun.
    pub(crate) fn last_point_of_no_return(&self) -> Option<StepNo> {
        let crossed = |step: &&zdu_model::plan::PlannedStep| {
            step.point_of_no_return && self.steps[index(step.no)].begun
        };
        let steps = self.plan.steps.iter().filter(crossed).map(|step| step.no);
        steps.max_by_key(|step| self.rank(*step))
    }

    fn rank(&self, step: StepNo) -> (usize, usize, usize, usize) {
        match self.home(step) {
            Home::Lane { stage, wave, lane, index } => (stage, wave, lane, index),
            Home::Gate { stage, wave } => (stage, wave, usize::MAX, 0),
            Home::Undo => (usize::MAX, 0, 0, 0),
        }
    }

    /// Begins what a quiet `Quieting` course promised.
    pub(crate) fn begin_unwind(&self) -> Option<Event> {
        let Course::Quieting { scope, cause } = &self.course else {
            return None;
        };
        self.is_quiet().then(|| self.unwind_event(scope.clone(), cause.clone()))
    }

    pub(crate) fn unwind_event(&self, scope: UnwindScope, cause: String) -> Event {
        let steps = self.unwind_steps(&scope);
        Event::UnwindStarted { scope, steps, cause }
    }
}

/// Whether a lane has begun and is not settled, or is at `also`.
fn flies(course: LaneCourse, also: LaneCourse) -> bool {
    match course {
        LaneCourse::Going | LaneCourse::Failed | LaneCourse::Unwinding => true,
        LaneCourse::Done | LaneCourse::Waiting | LaneCourse::Unwound => course == also,
    }
}
