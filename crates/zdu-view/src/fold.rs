//! The fold: plan and records in, a view of the rollout out.
//!
//! The view tolerates what an engine must not: a step number that is not in the plan, an end
//! without a begin, a record kind a newer zdu wrote. It keeps what it understands and never
//! panics, because it is what a person looks at when something is wrong.

use crate::call::Call;
use crate::front::{FrontView, JOINT};
use crate::history::{
    ControllerView, DecisionView, EndingView, History, HoldView, InstanceView, Opening,
    RequestView, ScheduleView, StillView, UnknownView, UnwindView,
};
use crate::node::{Drift, Ending, NodeView, Stuck, Unwound};
use crate::step::{AttemptEnd, StepState, StepView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zdu_model::contract::Class;
use zdu_model::event::{Event, Record, Request, UnwindScope};
use zdu_model::front::FrontSeen;
use zdu_model::ids::{Attempt, NodeName, PhaseName, Seq, StepNo};
use zdu_model::plan::{Plan, Subject};
use zdu_model::policy::FailureAction;
use zdu_model::procedure::GoesBack;
use zdu_model::time::Timestamp;
use zdu_model::verdict::Verdict;

/// A rollout as its records tell it.
#[derive(Debug, Clone)]
pub struct RolloutView {
    pub(crate) plan: Arc<Plan>,
    pub(crate) undo: BTreeSet<StepNo>,
    /// Forward steps by subject and phase, in plan order, each with its stage.
    pub(crate) columns: BTreeMap<(Subject, PhaseName), Vec<(usize, StepNo)>>,
    pub(crate) steps: Vec<StepView>,
    pub(crate) active: BTreeSet<StepNo>,
    pub(crate) unwinding: BTreeMap<Subject, BTreeSet<StepNo>>,
    pub(crate) nodes: BTreeMap<NodeName, NodeView>,
    pub(crate) fronts: Vec<FrontView>,
    /// When the first step that changes something was begun, and when one last was or ended.
    changed: Option<(Timestamp, Timestamp)>,
    pub(crate) history: History,
    pub(crate) last: Option<(Seq, Timestamp)>,
    pub(crate) skipped: u64,
    pub(crate) call: Call,
}

impl RolloutView {
    /// A view of a rollout of `plan` of which nothing is known yet.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let undo = plan.undo_steps();
        let mut columns: BTreeMap<(Subject, PhaseName), Vec<(usize, StepNo)>> = BTreeMap::new();
        for (stage, no) in forward_steps(&plan) {
            let step = plan.step(no);
            let key = (step.subject.clone(), step.phase.clone());
            columns.entry(key).or_default().push((stage, no));
        }
        let mut nodes = BTreeMap::new();
        for group in &plan.fleet.groups {
            for node in &group.nodes {
                let name = node.name.clone();
                let view = NodeView::new(name.clone(), group.name.clone(), node.members.clone());
                nodes.insert(name, view);
            }
        }
        let fronts = plan.fleet.front.len();
        Self {
            steps: vec![StepView::default(); plan.steps.len()],
            plan,
            undo,
            columns,
            active: BTreeSet::new(),
            unwinding: BTreeMap::new(),
            nodes,
            fronts: vec![FrontView::default(); fronts],
            changed: None,
            history: History::default(),
            last: None,
            skipped: 0,
            call: Call::default(),
        }
    }

    /// The same view, whose commands are written for whoever calls zdu so.
    #[must_use]
    pub fn called(self, call: Call) -> Self {
        Self { call, ..self }
    }

    /// Folds a record in.
    pub fn apply(&mut self, record: &Record) {
        let Record { seq, at, epoch: _, event } = record;
        self.last = Some((*seq, *at));
        self.apply_event(*at, event);
    }

    /// Folds a record written as JSON in. One this build cannot read (a newer zdu wrote it) is
    /// counted and skipped; `false` says so. Views may do that, engines never.
    pub fn apply_json(&mut self, record: &str) -> bool {
        match serde_json::from_str::<Record>(record) {
            Ok(record) => {
                self.apply(&record);
                true
            }
            Err(_) => {
                self.skipped += 1;
                false
            }
        }
    }

    fn apply_event(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::RolloutStarted { .. } => self.opened(at, event),
            Event::ControllerStarted { epoch, owner } => {
                self.history.controllers.push(ControllerView {
                    at,
                    epoch: *epoch,
                    owner: owner.clone(),
                });
            }
            Event::StepStarted { step, attempt } => self.step_started(at, *step, *attempt),
            Event::StepEnded { step, attempt, class, report } => {
                let end = AttemptEnd { at, class: *class, report: report.clone() };
                self.step_ended(*step, *attempt, end);
            }
            Event::StepUnknown { step, attempt, cause, how } => self.step_unknown(UnknownView {
                at,
                step: *step,
                attempt: *attempt,
                cause: cause.clone(),
                how: *how,
                resolved: None,
            }),
            Event::StepScheduled { step, at: due, cause } => self.step_scheduled(ScheduleView {
                decided: at,
                step: *step,
                at: *due,
                cause: *cause,
            }),
            Event::FailureDecided { .. }
            | Event::UnwindStarted { .. }
            | Event::UnwindEnded { .. }
            | Event::NodeStuck { .. }
            | Event::Drifted { .. }
            | Event::InstanceChanged { .. }
            | Event::ControllerStoodStill { .. }
            | Event::FrontSeen { .. }
            | Event::Requested { .. }
            | Event::HoldStarted { .. }
            | Event::RolloutEnded { .. } => self.apply_course(at, event),
        }
    }

    /// The events that are about the course of the rollout and not about one attempt.
    fn apply_course(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::FailureDecided { step, rule, action } => {
                self.failure_decided(at, *step, *rule, *action);
            }
            Event::UnwindStarted { scope, steps, cause } => {
                self.unwind_started(at, scope, steps, cause)
            }
            Event::UnwindEnded { scope } => self.unwind_ended(at, scope),
            Event::NodeStuck { .. }
            | Event::Drifted { .. }
            | Event::InstanceChanged { .. }
            | Event::ControllerStoodStill { .. }
            | Event::FrontSeen { .. } => self.apply_mishap(at, event),
            Event::Requested { request, by, reason } => self.requested(at, request, by, reason),
            Event::HoldStarted { cause } => {
                self.history.holds.push(HoldView { since: at, cause: cause.clone(), ended: None })
            }
            Event::RolloutEnded { verdict } => self.history.endings.push(EndingView {
                at,
                verdict: verdict.clone(),
                reopened: None,
            }),
            Event::RolloutStarted { .. }
            | Event::ControllerStarted { .. }
            | Event::StepStarted { .. }
            | Event::StepEnded { .. }
            | Event::StepUnknown { .. }
            | Event::StepScheduled { .. } => {}
        }
    }

    fn opened(&mut self, at: Timestamp, event: &Event) {
        if let Event::RolloutStarted { rollout, plan, fleet, procedure, release, by } = event {
            self.history.opening = Some(Opening {
                at,
                rollout: rollout.clone(),
                plan: plan.clone(),
                fleet: fleet.clone(),
                procedure: procedure.clone(),
                release: release.clone(),
                by: by.clone(),
            });
        }
    }

    /// What went against us: failed compensations, drifts, instances that do not answer, a machine
    /// that slept.
    fn apply_mishap(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::NodeStuck { node, step, reason } => {
                let stuck = Stuck { at, step: *step, reason: reason.clone() };
                match node.as_ref().and_then(|node| self.nodes.get_mut(node)) {
                    Some(node) => node.stuck = Some(stuck),
                    None => self.history.stuck.push(stuck),
                }
            }
            Event::Drifted { node, instance, member, seen, reasserted } => {
                if let Some(node) = self.nodes.get_mut(node) {
                    node.drifted(Drift {
                        at,
                        instance: instance.clone(),
                        member: member.clone(),
                        seen: seen.clone(),
                        reasserted: *reasserted,
                    });
                }
            }
            Event::InstanceChanged { instance, up, reason } => {
                self.history.instances.push(InstanceView {
                    at,
                    instance: instance.clone(),
                    up: *up,
                    reason: reason.clone(),
                })
            }
            Event::FrontSeen { front, seen } => self.front_seen(*front, seen),
            Event::ControllerStoodStill { span } => {
                self.history.stood_still.push(StillView { at, span: *span });
            }
            Event::RolloutStarted { .. }
            | Event::ControllerStarted { .. }
            | Event::StepStarted { .. }
            | Event::StepEnded { .. }
            | Event::StepUnknown { .. }
            | Event::StepScheduled { .. }
            | Event::FailureDecided { .. }
            | Event::UnwindStarted { .. }
            | Event::UnwindEnded { .. }
            | Event::Requested { .. }
            | Event::HoldStarted { .. }
            | Event::RolloutEnded { .. } => {}
        }
    }

    fn step_started(&mut self, at: Timestamp, no: StepNo, attempt: Attempt) {
        let Some(index) = self.index(no) else { return };
        self.steps[index].begin(attempt, at);
        self.active.insert(no);
        self.change(at, no, true);
        self.history.stuck.retain(|stuck| stuck.step != no);
        let plan = self.plan.clone();
        let step = &plan.steps[index];
        let is_undo = self.undo.contains(&no);
        let Some(name) = step.subject.node() else { return };
        let Some(node) = self.nodes.get_mut(name) else { return };
        let anew = !is_undo && node.unwound == Unwound::Done;
        node.step_started(step, is_undo);
        if anew {
            self.begin_anew(name, no);
        }
    }

    /// A node that was put back begins again: what was done and undone is not done. Not undone was
    /// what a crossed point of no return keeps, and what goes back with the whole rollout only.
    fn begin_anew(&mut self, name: &NodeName, begun: StepNo) {
        let plan = self.plan.clone();
        let steps = || plan.steps.iter().zip(0..);
        let crossed = steps()
            .filter(|(step, at)| step.point_of_no_return && self.steps[*at].may_have_begun());
        let kept = crossed.map(|(step, _)| step.no).max();
        let prepared = self.prepared(name, begun);
        for (step, at) in steps() {
            let mine = step.subject.node() == Some(name) && step.no != begun;
            let mine = mine && !prepared.contains(&step.no);
            if mine && !self.undo.contains(&step.no) && kept.is_none_or(|kept| step.no > kept) {
                self.steps[at].state = StepState::NotBegun;
                self.steps[at].went_on = false;
            }
        }
    }

    /// The steps of a node that it kept when it was last put back: what prepared it, where it had
    /// begun anything behind that and not the whole rollout went back.
    fn prepared(&self, name: &NodeName, begun: StepNo) -> BTreeSet<StepNo> {
        let of_node =
            |no: &StepNo| self.planned(*no).is_some_and(|step| step.subject.node() == Some(name));
        let of_unwind = |unwind: &&UnwindView| {
            unwind.scope == UnwindScope::Node(name.clone()) || unwind.steps.iter().any(of_node)
        };
        let last = self.history.unwinds.iter().rev().find(of_unwind);
        if last.is_none_or(|last| last.scope == UnwindScope::Rollout) {
            return BTreeSet::new();
        }
        let steps = |keeps: bool| {
            let stages = self.plan.stages.iter();
            let stages =
                stages.filter(move |stage| (stage.goes_back == GoesBack::WithRollout) == keeps);
            let lanes = stages.flat_map(|stage| &stage.waves).flat_map(|wave| &wave.lanes);
            let lanes = lanes.filter(|lane| lane.subject.node() == Some(name));
            lanes.flat_map(|lane| lane.steps.iter().copied())
        };
        let was_begun = |no: &StepNo| {
            let state = self.index(*no).map(|index| &self.steps[index].state);
            *no != begun && state.is_some_and(|state| *state != StepState::NotBegun)
        };
        let behind = steps(false).any(|no| was_begun(&no));
        if behind { steps(true).collect() } else { BTreeSet::new() }
    }

    /// Takes in what was seen of a front, as before, during or after the changes.
    fn front_seen(&mut self, front: u32, seen: &FrontSeen) {
        let changing = |no: &StepNo| self.changes_something(*no);
        let changes = self.active.iter().any(changing);
        let part = match self.changed {
            None => 0,
            // A span is cut when a change begins or the last ends, which is a moment behind the
            // record of the begin and before that of the end.
            Some((first, _)) if seen.until <= first.after(JOINT) => 0,
            Some((_, last)) if changes || seen.since.after(JOINT) < last => 1,
            Some(_) => 2,
        };
        if let Some(view) = self.fronts.get_mut(front as usize) {
            view.add(seen, part);
        }
    }

    fn changes_something(&self, no: StepNo) -> bool {
        self.planned(no).is_some_and(|step| step.work.changes())
    }

    /// A change begins or ends.
    fn change(&mut self, at: Timestamp, no: StepNo, begins: bool) {
        if !self.changes_something(no) {
            return;
        }
        let first = self.changed.map_or(at, |(first, _)| first);
        self.changed = Some((first, at));
        if begins {
            self.fronts.iter_mut().for_each(FrontView::changes);
        }
    }

    fn step_ended(&mut self, no: StepNo, attempt: Attempt, end: AttemptEnd) {
        let Some(index) = self.index(no) else { return };
        for unknown in self.history.unknowns.iter_mut().rev() {
            if unknown.step == no && unknown.attempt == attempt {
                // An answer that is still "unknown" leaves the question open for a later one.
                match unknown.resolved {
                    None | Some((_, Class::Unknown)) => {
                        unknown.resolved = Some((end.at, end.class));
                    }
                    Some(_) => {}
                }
            }
        }
        self.change(end.at, no, false);
        if end.class.passes() && self.undo.contains(&no) {
            self.put_back(no);
        }
        let step = &self.plan.steps[index];
        if let Some(node) = step.subject.node().and_then(|name| self.nodes.get_mut(name)) {
            let ending = Ending { class: end.class, report: &end.report };
            node.step_ended(step, end.at, ending);
        }
        self.steps[index].end(attempt, end);
        self.active.remove(&no);
    }

    fn step_unknown(&mut self, unknown: UnknownView) {
        let Some(index) = self.index(unknown.step) else {
            return;
        };
        self.steps[index].state = StepState::Inquiring { since: unknown.at, how: unknown.how };
        self.active.insert(unknown.step);
        self.history.unknowns.push(unknown);
    }

    fn step_scheduled(&mut self, schedule: ScheduleView) {
        let Some(index) = self.index(schedule.step) else {
            return;
        };
        self.steps[index].state = StepState::Scheduled {
            since: schedule.decided,
            at: schedule.at,
            cause: schedule.cause,
        };
        self.active.insert(schedule.step);
        self.history.schedules.push(schedule);
    }

    fn failure_decided(&mut self, at: Timestamp, no: StepNo, rule: u32, action: FailureAction) {
        self.history.decisions.push(DecisionView { at, step: no, rule, action });
        if action == FailureAction::GoOn
            && let Some(index) = self.index(no)
        {
            self.steps[index].went_on = true;
        }
    }

    fn unwind_started(&mut self, at: Timestamp, scope: &UnwindScope, list: &[StepNo], why: &str) {
        if let UnwindScope::Node(name) = scope {
            self.mark_unwound(name, Unwound::Running);
        }
        for no in list {
            let Some(index) = self.index(*no) else {
                continue;
            };
            let subject = self.plan.steps[index].subject.clone();
            if let Subject::Node(name) = &subject {
                self.mark_unwound(name, Unwound::Running);
            }
            self.unwinding.entry(subject).or_default().insert(*no);
        }
        self.history.unwinds.push(UnwindView {
            started: at,
            scope: scope.clone(),
            steps: list.to_vec(),
            cause: why.to_owned(),
            ended: None,
        });
    }

    fn unwind_ended(&mut self, at: Timestamp, scope: &UnwindScope) {
        let open = self.history.unwinds.iter_mut().rev();
        let Some(unwind) =
            open.into_iter().find(|unwind| unwind.scope == *scope && unwind.ended.is_none())
        else {
            return;
        };
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
    fn put_back(&mut self, no: StepNo) {
        let mut open = self.history.unwinds.iter().rev().filter(|unwind| unwind.ended.is_none());
        let Some(unwind) = open.find(|unwind| unwind.steps.contains(&no)) else { return };
        let mut behind = unwind.steps.iter().skip_while(|step| **step != no).skip(1);
        let subject = self.planned(no).map(|step| step.subject.clone());
        let more =
            behind.any(|step| self.planned(*step).map(|step| &step.subject) == subject.as_ref());
        if let (false, Some(Subject::Node(name))) = (more, subject) {
            self.mark_unwound(&name, Unwound::Done);
        }
    }

    fn mark_unwound(&mut self, name: &NodeName, unwound: Unwound) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.unwound = unwound;
        }
    }

    fn requested(&mut self, at: Timestamp, request: &Request, by: &str, reason: &str) {
        self.history.requests.push(RequestView {
            at,
            request: request.clone(),
            by: by.to_owned(),
            reason: reason.to_owned(),
        });
        let (ends_holds, reopens) = match request {
            Request::Hold => (false, false),
            Request::Approve(step) => {
                let open = self.history.holds.iter_mut();
                for hold in open.filter(|hold| hold.step() == Some(*step)) {
                    hold.ended.get_or_insert(at);
                }
                (false, false)
            }
            Request::Resume | Request::Rollback => (true, true),
            // Only a rollout that stands still can still be aborted; another end is final.
            Request::Abort => (true, self.verdict() == Some(&Verdict::Held)),
        };
        if ends_holds {
            for hold in &mut self.history.holds {
                hold.ended.get_or_insert(at);
            }
        }
        if reopens && let Some(ending) = self.history.endings.last_mut() {
            ending.reopened.get_or_insert(at);
        }
    }

    fn index(&self, no: StepNo) -> Option<usize> {
        let index = usize::try_from(no.0).ok()?;
        (index < self.steps.len()).then_some(index)
    }
}

/// Forward steps with the index of their stage, in plan order.
fn forward_steps(plan: &Plan) -> Vec<(usize, StepNo)> {
    let mut steps = Vec::new();
    for (stage, planned) in plan.stages.iter().enumerate() {
        for wave in &planned.waves {
            let lanes = wave.lanes.iter().flat_map(|lane| &lane.steps);
            steps.extend(lanes.chain(&wave.gate).map(|no| (stage, *no)));
        }
    }
    steps
}
