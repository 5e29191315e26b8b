//! What the fold makes of putting back: unwinds under way, nodes that were put back, and those that
//! begin again behind that.

use crate::fold::{RolloutView, forward_steps};
use crate::history::UnwindView;
use crate::node::Unwound;
use crate::step::StepState;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::event::UnwindScope;
use zdu_model::ids::{NodeName, StepNo};
use zdu_model::plan::{Plan, Subject};
use zdu_model::procedure::GoesBack;
use zdu_model::time::Timestamp;

/// What is looked up for putting back, so that a compensation costs no more because the list it
/// stands in, or the plan, is long.
#[derive(Debug, Clone)]
pub(crate) struct Back {
    /// The steps of each subject in the order of the plan; those that go forward with their stage.
    own: BTreeMap<Subject, Vec<(Option<usize>, StepNo)>>,
    /// Steps that are points of no return.
    points: Vec<StepNo>,
    /// By their places in the history, the unwinds that have not ended: the compensations each
    /// lists, with whether another of the same subject stands behind it.
    open: BTreeMap<usize, BTreeMap<StepNo, bool>>,
    /// The last unwind in the history that is about each subject.
    last: BTreeMap<Subject, usize>,
}

impl Back {
    pub(crate) fn of(plan: &Plan) -> Self {
        let stages: BTreeMap<StepNo, usize> =
            forward_steps(plan).into_iter().map(|(stage, no)| (no, stage)).collect();
        let mut own: BTreeMap<Subject, Vec<(Option<usize>, StepNo)>> = BTreeMap::new();
        for step in &plan.steps {
            let stage = stages.get(&step.no).copied();
            own.entry(step.subject.clone()).or_default().push((stage, step.no));
        }
        let points = plan.steps.iter().filter(|step| step.point_of_no_return);
        let points = points.map(|step| step.no).collect();
        Self { own, points, open: BTreeMap::new(), last: BTreeMap::new() }
    }
}

impl RolloutView {
    pub(crate) fn unwind_started(
        &mut self,
        at: Timestamp,
        scope: &UnwindScope,
        list: &[StepNo],
        why: &str,
    ) {
        let place = self.history.unwinds.len();
        if let UnwindScope::Node(name) = scope {
            self.mark_unwound(name, Unwound::Running);
            self.back.last.insert(Subject::Node(name.clone()), place);
        }
        let (mut listed, mut behind) = (BTreeMap::new(), BTreeSet::new());
        for no in list.iter().rev() {
            let Some(subject) = self.planned(*no).map(|step| step.subject.clone()) else {
                continue;
            };
            if let Subject::Node(name) = &subject {
                self.mark_unwound(name, Unwound::Running);
            }
            self.unwinding.entry(subject.clone()).or_default().insert(*no);
            self.back.last.insert(subject.clone(), place);
            listed.insert(*no, !behind.insert(subject));
        }
        self.back.open.insert(place, listed);
        self.history.unwinds.push(UnwindView {
            started: at,
            scope: scope.clone(),
            steps: list.to_vec(),
            cause: why.to_owned(),
            ended: None,
        });
    }

    pub(crate) fn unwind_ended(&mut self, at: Timestamp, scope: &UnwindScope) {
        let mut open = self.back.open.keys().rev().copied();
        let unwinds = &self.history.unwinds;
        let Some(place) = open.find(|place| unwinds[*place].scope == *scope) else { return };
        self.back.open.remove(&place);
        let unwind = &mut self.history.unwinds[place];
        unwind.ended = Some(at);
        let list = unwind.steps.clone();
        if let UnwindScope::Node(name) = scope {
            self.mark_unwound(name, Unwound::Done);
        }
        for no in list {
            if let Some(Subject::Node(name)) = self.planned(no).map(|step| step.subject.clone()) {
                self.mark_unwound(&name, Unwound::Done);
            }
        }
    }

    /// A node is put back with the last of its compensations, whatever the rest of the unwind
    /// comes to.
    pub(crate) fn put_back(&mut self, no: StepNo) {
        let more = self.back.open.values().rev().find_map(|listed| listed.get(&no));
        if more != Some(&false) {
            return;
        }
        if let Some(Subject::Node(name)) = self.planned(no).map(|step| step.subject.clone()) {
            self.mark_unwound(&name, Unwound::Done);
        }
    }

    fn mark_unwound(&mut self, name: &NodeName, unwound: Unwound) {
        self.change_node(name, |node| node.unwound = unwound);
    }

    /// A node that was put back begins again: what was done and undone is not done. Not undone was
    /// what a crossed point of no return keeps, and what goes back with the whole rollout only.
    pub(crate) fn begin_anew(&mut self, name: &NodeName, begun: StepNo) {
        let may = |no: &&StepNo| self.step(**no).is_some_and(|step| step.may_have_begun());
        let kept = self.back.points.iter().filter(may).max().copied();
        let prepared = self.prepared(name, begun);
        let own = self.back.own.get(&Subject::Node(name.clone())).into_iter().flatten();
        let undone: Vec<StepNo> = own
            .map(|(_, no)| *no)
            .filter(|no| *no != begun && !prepared.contains(no) && !self.undo.contains(no))
            .filter(|no| kept.is_none_or(|kept| *no > kept))
            .collect();
        for no in undone {
            if let Some(index) = self.index(no) {
                self.steps[index].state = StepState::NotBegun;
                self.steps[index].went_on = false;
            }
        }
    }

    /// The steps of a node that it kept when it was last put back: what prepared it, where it had
    /// begun anything behind that and not the whole rollout went back.
    fn prepared(&self, name: &NodeName, begun: StepNo) -> BTreeSet<StepNo> {
        let subject = Subject::Node(name.clone());
        let last = self.back.last.get(&subject).and_then(|at| self.history.unwinds.get(*at));
        if last.is_none_or(|last| last.scope == UnwindScope::Rollout) {
            return BTreeSet::new();
        }
        let steps = |keeps: bool| {
            let own = self.back.own.get(&subject).into_iter().flatten();
            own.filter_map(move |(stage, no)| {
                let stage = self.plan.stages.get((*stage)?)?;
                ((stage.goes_back == GoesBack::WithRollout) == keeps).then_some(*no)
            })
        };
        let was_begun = |no: &StepNo| {
            let state = self.index(*no).map(|index| &self.steps[index].state);
            *no != begun && state.is_some_and(|state| *state != StepState::NotBegun)
        };
        let behind = steps(false).any(|no| was_begun(&no));
        if behind { steps(true).collect() } else { BTreeSet::new() }
    }
}
