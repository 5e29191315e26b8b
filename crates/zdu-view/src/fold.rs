//! The fold: plan and records in, a view of the rollout out.
//!
//! The view tolerates what an engine must not: a step number that is not in the plan, an end
//! without a begin, a record kind a newer zdu wrote. It keeps what it understands and never
//! panics, because it is what a person looks at when something is wrong.

use crate::back::Back;
use crate::call::Call;
use crate::front::{FrontView, JOINT};
use crate::history::{
    ControllerView, DecisionView, EndingView, History, HoldView, InstanceView, Opening,
    RequestView, ScheduleView, StillView, UnknownView,
};
use crate::node::{Drift, Ending, NodeView, Stuck, Unwound};
use crate::roster::Roster;
use crate::step::{AttemptEnd, StepState, StepView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zdu_model::contract::Class;
use zdu_model::event::{Event, Record, Request};
use zdu_model::front::FrontSeen;
use zdu_model::ids::{Attempt, NodeName, PhaseName, Seq, StepNo};
use zdu_model::plan::{Plan, Subject};
use zdu_model::policy::FailureAction;
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
    pub(crate) nodes: Roster,
    pub(crate) back: Back,
    /// Where in the history each step's unknown outcomes stand.
    unknowns: BTreeMap<StepNo, Vec<usize>>,
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
        let fronts = plan.fleet.front.len();
        Self {
            steps: vec![StepView::default(); plan.steps.len()],
            nodes: Roster::of(&plan),
            back: Back::of(&plan),
            unknowns: BTreeMap::new(),
            plan,
            undo,
            columns,
            active: BTreeSet::new(),
            unwinding: BTreeMap::new(),
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
                match node.as_ref().filter(|node| self.nodes.get(node).is_some()) {
                    Some(node) => self.change_node(node, |node| node.stuck = Some(stuck)),
                    None => self.history.stuck.push(stuck),
                }
            }
            Event::Drifted { node, instance, member, seen, reasserted } => {
                let drift = Drift {
                    at,
                    instance: instance.clone(),
                    member: member.clone(),
                    seen: seen.clone(),
                    reasserted: *reasserted,
                };
                self.change_node(node, |node| node.drifted(drift));
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
        let anew = self.nodes.change(name, |node| {
            let anew = !is_undo && node.unwound == Unwound::Done;
            node.step_started(step, is_undo);
            anew
        });
        if anew == Some(true) {
            self.begin_anew(name, no);
        }
    }

    /// Changes a node, where the fleet has it.
    pub(crate) fn change_node(&mut self, name: &NodeName, change: impl FnOnce(&mut NodeView)) {
        let _known = self.nodes.change(name, change);
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
        for place in self.unknowns.get(&no).into_iter().flatten() {
            let unknown = &mut self.history.unknowns[*place];
            // An answer that is still "unknown" leaves the question open for a later one.
            let open = matches!(unknown.resolved, None | Some((_, Class::Unknown)));
            if unknown.attempt == attempt && open {
                unknown.resolved = Some((end.at, end.class));
            }
        }
        self.change(end.at, no, false);
        if end.class.passes() && self.undo.contains(&no) {
            self.put_back(no);
        }
        let step = &self.plan.steps[index];
        if let Some(name) = step.subject.node() {
            let ending = Ending { class: end.class, report: &end.report };
            let _known = self.nodes.change(name, |node| node.step_ended(step, end.at, ending));
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
        self.unknowns.entry(unknown.step).or_default().push(self.history.unknowns.len());
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

    pub(crate) fn index(&self, no: StepNo) -> Option<usize> {
        let index = usize::try_from(no.0).ok()?;
        (index < self.steps.len()).then_some(index)
    }
}

/// Forward steps with the index of their stage, in plan order.
pub(crate) fn forward_steps(plan: &Plan) -> Vec<(usize, StepNo)> {
    let mut steps = Vec::new();
    for (stage, planned) in plan.stages.iter().enumerate() {
        for wave in &planned.waves {
            let lanes = wave.lanes.iter().flat_map(|lane| &lane.steps);
            steps.extend(lanes.chain(&wave.gate).map(|no| (stage, *no)));
        }
    }
    steps
}
