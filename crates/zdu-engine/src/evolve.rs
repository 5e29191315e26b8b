//! Applying one durable event. The same code runs live and at recovery; an event that cannot
//! follow what is known is refused, so a wrong journal is noticed and not lived with.

use crate::places::Home;
use crate::state::{LaneCourse, Rollout, StepStatus, UnwindState, index};
use alloc::string::String;
use core::fmt;
use zdu_model::contract::Class;
use zdu_model::event::{Event, Inquiry, Record, ScheduleCause};
use zdu_model::ids::{Attempt, Epoch, StepNo};
use zdu_model::plan::Work;
use zdu_model::report::{End, Report};
use zdu_model::time::Timestamp;

/// An event that cannot follow what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Illegal {
    /// The record's number.
    pub seq: u64,
    /// Why it cannot be.
    pub why: String,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, why } = self;
        write!(f, "record {seq} cannot follow the records before it: {why}")
    }
}

impl core::error::Error for Illegal {}

impl Rollout {
    /// Applies one event.
    ///
    /// # Errors
    /// [`Illegal`] when the event cannot follow; the rollout must then not be used any further.
    pub fn evolve(&mut self, record: &Record) -> Result<(), Illegal> {
        let Record { seq, at, epoch, event } = record;
        self.apply(*at, *epoch, event).map_err(|why| Illegal { seq: seq.0, why })
    }

    fn apply(&mut self, at: Timestamp, epoch: Epoch, event: &Event) -> Result<(), String> {
        let first = matches!(event, Event::RolloutStarted { .. });
        if first == self.started {
            return Err("a rollout starts exactly once, with its first record".into());
        }
        match event {
            Event::RolloutStarted { .. } => self.started = true,
            Event::ControllerStarted { epoch: taken, owner: _ } => self.take(epoch, *taken)?,
            Event::StepStarted { step, attempt } => self.step_started(at, *step, *attempt)?,
            Event::StepEnded { step, attempt, class, report } => {
                self.step_ended(*step, *attempt, *class, report)?;
            }
            Event::StepUnknown { step, attempt, cause: _, how } => {
                self.step_unknown(at, *step, *attempt, *how)?;
            }
            Event::StepScheduled { step, at, cause } => self.step_scheduled(*step, *at, *cause)?,
            Event::FailureDecided { step, rule: _, action } => {
                self.failure_decided(*step, *action)?;
            }
            Event::UnwindStarted { scope, steps, cause: _ } => self.unwind_started(scope, steps)?,
            Event::UnwindEnded { scope } => self.unwind_ended(scope)?,
            Event::NodeStuck { node, step, reason: _ } => self.node_stuck(node.as_ref(), *step)?,
            Event::Drifted { node, .. } => self.drifted(node),
            Event::InstanceChanged { .. } => self.instance_changed(),
            // Evidence: nothing is decided by it.
            Event::FrontSeen { .. } => {}
            Event::ControllerStoodStill { span: _ } => self.controller_stood_still(),
            Event::Requested { request, .. } => self.requested(at, request),
            Event::HoldStarted { cause } => {
                self.holds.retain(|(held, _)| held != cause);
                self.holds.push((cause.clone(), at));
            }
            Event::RolloutEnded { verdict } => {
                self.ended = Some(verdict.clone());
                self.active.clear();
            }
        }
        self.settle();
        Ok(())
    }

    pub(crate) fn known(&self, step: StepNo) -> Result<(), String> {
        if index(step) < self.steps.len() {
            Ok(())
        } else {
            Err(alloc::format!("the plan has no step {step}"))
        }
    }

    fn step_started(
        &mut self,
        at: Timestamp,
        step: StepNo,
        attempt: Attempt,
    ) -> Result<(), String> {
        self.known(step)?;
        if self.ended.is_some() {
            return Err("the rollout has ended".into());
        }
        let state = self.state_mut(step);
        match state.status {
            StepStatus::Pending | StepStatus::Scheduled { .. } | StepStatus::Ended(_) => {}
            StepStatus::Running { .. } | StepStatus::Unknown { .. } => {
                return Err(alloc::format!("step {step} runs already"));
            }
        }
        let last = state.attempt;
        if attempt != last + 1 {
            return Err(alloc::format!("step {step}: attempt {attempt} after {last}"));
        }
        self.in_order(step)?;
        let state = self.state_mut(step);
        state.attempt = attempt;
        (state.begun_before, state.begun) = (state.begun, true);
        state.overtaken = false;
        (state.inquiries, state.lost, state.observed) = (0, false, false);
        state.status = StepStatus::Running { since: at };
        self.active.insert(step);
        self.occupy(step);
        self.begin_effects_on_node(step);
        Ok(())
    }

    /// A lane's steps begin one after another; only what one needs to be known now is asked for
    /// again in between.
    fn in_order(&mut self, step: StepNo) -> Result<(), String> {
        if self.unwind_with(step).is_some() {
            return Ok(());
        }
        let fits = match self.home(step) {
            Home::Undo => false,
            Home::Gate { stage, wave } => {
                // Older journals can pass over one that had passed in an earlier round.
                let gate = &self.plan.stages[stage].waves[wave].gate;
                let at = gate.iter().position(|no| *no == step);
                let comes = at.is_some_and(|at| at >= self.waves[stage][wave].gate_next);
                comes && self.cursor == (stage, wave)
            }
            Home::Lane { stage, wave, lane, index } => {
                let state = &self.waves[stage][wave].lanes[lane];
                let waits = |busy| matches!(self.state(busy).status, StepStatus::Scheduled { .. });
                let next = self.lane(stage, wave, lane).steps.get(state.next);
                let aside = next.is_some_and(|next| self.is_asked_aside(step, *next));
                let free = state.busy.is_none_or(|busy| busy == step || aside && waits(busy));
                let under_way = state.course == LaneCourse::Going;
                let here = self.cursor == (stage, wave) || under_way && self.cursor < (stage, wave);
                here && free && (state.next == index || aside)
            }
        };
        if fits { Ok(()) } else { Err(alloc::format!("step {step} is not the next of its lane")) }
    }

    /// Whether a step may be asked for again right before another of its node: a certificate before
    /// any, a guard before a drain, a proof of readiness before the way back.
    fn is_asked_aside(&self, step: StepNo, before: StepNo) -> bool {
        let (planned, next) = (self.plan.step(step), self.plan.step(before));
        let same = planned.subject.node().is_some() && planned.subject == next.subject;
        let guards = matches!((&planned.work, &next.work), (Work::Guard { .. }, Work::Drain));
        let proves = matches!((&planned.work, &next.work), (Work::Ready(_), Work::Undrain));
        same && (guards || proves || matches!(planned.work, Work::Certify))
    }

    /// The lane or unwind of a step is busy with it from its begin until it passes or is given up.
    fn occupy(&mut self, step: StepNo) {
        if let Home::Gate { stage, wave } = self.home(step) {
            let mut gate = self.plan.stages[stage].waves[wave].gate.iter();
            let at = gate.position(|no| *no == step);
            self.waves[stage][wave].gate_next = at.unwrap_or_default();
            return;
        }
        if let Some(unwind) = self.unwind_with(step) {
            unwind.busy = Some(step);
            return;
        }
        if let Home::Lane { stage, wave, lane, .. } = self.home(step) {
            if self.waves[stage][wave].lanes[lane].course == LaneCourse::Waiting {
                self.set_lane((stage, wave, lane), LaneCourse::Going);
            }
            self.waves[stage][wave].lanes[lane].busy = Some(step);
            if (stage, wave) == self.cursor {
                self.ripe.remove(&lane);
                self.waiting.remove(&lane);
            }
        }
    }

    /// An unwind that is under way and holds the step, or whose next step it is asked again for.
    pub(crate) fn unwind_with(&mut self, step: StepNo) -> Option<&mut UnwindState> {
        let holds = |unwind: &UnwindState| {
            let next = unwind.steps.get(unwind.next).copied();
            next.is_some_and(|next| next == step || self.is_asked_aside(step, next))
        };
        let at = self.unwinds.iter().rposition(holds)?;
        self.unwinds.get_mut(at)
    }

    fn begin_effects_on_node(&mut self, step: StepNo) {
        let plan = self.plan.clone();
        let planned = plan.step(step);
        let Some(node) = planned.subject.node() else {
            return;
        };
        if planned.needs_drain {
            self.proved.remove(node);
        }
        if let Work::Guard { group } = &planned.work {
            self.entering.insert(group.clone(), node.clone());
        } else if matches!(planned.work, Work::Drain) {
            if self.out.insert(node.clone()) {
                self.leaving.insert(node.clone());
            }
            self.drained.remove(node);
            self.certified.insert(node.clone(), false);
            self.proved.remove(node);
        } else if matches!(planned.work, Work::Undrain) {
            self.out.remove(node);
            self.returning.remove(node);
            self.returning.extend(self.drained.take(node));
            self.certified.remove(node);
        }
    }

    fn step_ended(
        &mut self,
        step: StepNo,
        attempt: Attempt,
        class: Class,
        report: &Report,
    ) -> Result<(), String> {
        self.known(step)?;
        let state = self.state_mut(step);
        let open = matches!(state.status, StepStatus::Running { .. } | StepStatus::Unknown { .. });
        if !open || state.attempt != attempt {
            return Err(alloc::format!("step {step}: attempt {attempt} does not run"));
        }
        state.status = StepStatus::Ended(class);
        state.interrupted = 0;
        self.active.remove(&step);
        self.leave_entrance(step);
        if class != Class::NotRun {
            self.may_have_left(step);
        }
        if class.passes() {
            self.passed(step);
            return Ok(());
        }
        self.half_returned(step);
        if class == Class::NotRun {
            self.never_began(step);
        }
        let state = self.state_mut(step);
        state.lost = matches!(report.end, End::Lost(_));
        state.exit = if let End::Exited(code) = report.end { Some(code) } else { None };
        state.tail = (!class.passes()).then(|| report.tail.join("\n"));
        match class {
            Class::Again => state.agains += 1,
            Class::Failed | Class::TimedOut | Class::Unknown => state.tries += 1,
            Class::NotRun => state.nevers += 1,
            Class::Succeeded | Class::Warned => {}
        }
        self.attention.insert(step);
        Ok(())
    }

    /// What never began changed nothing: where no attempt before it did, all is as if it had not
    /// been asked for. `not_done` of a procedure is its word that nothing was changed.
    fn never_began(&mut self, step: StepNo) {
        let plan = self.plan.clone();
        let planned = plan.step(step);
        let state = self.state_mut(step);
        state.begun = state.begun_before;
        let Some(node) = planned.subject.node().filter(|_| !self.state(step).begun) else {
            return;
        };
        if matches!(planned.work, Work::Drain) {
            if self.leaving.remove(node) {
                self.out.remove(node);
                self.certified.remove(node);
            }
        } else if matches!(planned.work, Work::Undrain) {
            self.drained.extend(self.returning.take(node));
        }
    }

    /// A drain that has ended may have taken its node out, unless it never began.
    fn may_have_left(&mut self, step: StepNo) {
        let plan = self.plan.clone();
        let planned = plan.step(step);
        if let (Work::Drain, Some(node)) = (&planned.work, planned.subject.node()) {
            self.leaving.remove(node);
        }
    }

    /// An undrain without an end that passes may have returned the node on some instances only. The
    /// proof it went by is of the moment before it: it is had again before the node is returned on
    /// another (law 3).
    fn half_returned(&mut self, step: StepNo) {
        let plan = self.plan.clone();
        let planned = plan.step(step);
        if let (Work::Undrain, Some(node)) = (&planned.work, planned.subject.node()) {
            self.out.insert(node.clone());
            self.certified.insert(node.clone(), false);
            if let Some((_, stands)) = self.proved.get_mut(node) {
                *stands = false;
            }
        }
    }

    /// A group's entrance is free again when its node is drained or did not get in.
    fn leave_entrance(&mut self, step: StepNo) {
        let plan = self.plan.clone();
        let planned = plan.step(step);
        let Some(node) = planned.subject.node() else {
            return;
        };
        let passed = matches!(self.state(step).status, StepStatus::Ended(class) if class.passes());
        // A drain that did not pass may still land: nobody else goes in before it is settled.
        let refused = matches!(planned.work, Work::Guard { .. }) && !passed;
        if refused || (matches!(planned.work, Work::Drain) && passed) {
            self.entering.retain(|_, holder| holder != node);
        }
    }

    fn passed(&mut self, step: StepNo) {
        self.attention.remove(&step);
        let plan = self.plan.clone();
        let planned = plan.step(step);
        if let Some(node) = planned.subject.node() {
            if matches!(planned.work, Work::Certify) {
                self.certified.insert(node.clone(), true);
                self.certify_step.insert(node.clone(), step);
            } else if matches!(planned.work, Work::Ready(_)) {
                self.proved.insert(node.clone(), (step, true));
            } else if matches!(planned.work, Work::Guard { .. }) {
                self.guarded.insert(node.clone(), (step, true));
            } else if matches!(planned.work, Work::Drain) {
                self.drained.insert(node.clone());
            }
        }
        self.move_on(step);
    }

    fn next_of(&self, stage: usize, wave: usize, lane: usize) -> usize {
        self.waves[stage][wave].lanes[lane].next
    }

    /// An unwind whose next step is scheduled, or still to be judged, is busy with it.
    pub(crate) fn wait_for_next(&mut self) {
        let (active, attention) = (&self.active, &self.attention);
        for unwind in &mut self.unwinds {
            let next = unwind.steps.get(unwind.next).copied();
            if unwind.busy.is_none() {
                unwind.busy = next.filter(|no| active.contains(no) || attention.contains(no));
            }
        }
    }

    pub(crate) fn move_on(&mut self, step: StepNo) {
        if let Some(unwind) = self.unwind_with(step) {
            if unwind.steps.get(unwind.next) == Some(&step) {
                unwind.next += 1;
            }
            unwind.busy = None;
            self.wait_for_next();
            return;
        }
        match self.home(step) {
            Home::Undo => {}
            Home::Gate { stage, wave } => {
                // An answer about an earlier round of the gate moves nothing.
                let gate = &self.plan.stages[stage].waves[wave].gate;
                let next = &mut self.waves[stage][wave].gate_next;
                if gate.get(*next) == Some(&step) {
                    *next += 1;
                }
            }
            Home::Lane { stage, wave, lane, index: at } => {
                let count = self.lane(stage, wave, lane).steps.len();
                let state = &mut self.waves[stage][wave].lanes[lane];
                state.busy = None;
                if state.next == at {
                    state.next += 1;
                }
                let next = self.lane(stage, wave, lane).steps.get(self.next_of(stage, wave, lane));
                let next = next.copied().filter(|next| self.active.contains(next));
                if next.is_some() {
                    // It waited for its certificate and is begun by its schedule.
                    self.waves[stage][wave].lanes[lane].busy = next;
                    return;
                }
                let state = &self.waves[stage][wave].lanes[lane];
                let done = state.next == count && state.course == LaneCourse::Going;
                if done {
                    self.set_lane((stage, wave, lane), LaneCourse::Done);
                } else if (stage, wave) == self.cursor && state.course == LaneCourse::Going {
                    self.ripe.insert(lane);
                }
            }
        }
    }

    fn step_unknown(
        &mut self,
        at: Timestamp,
        step: StepNo,
        attempt: Attempt,
        how: Inquiry,
    ) -> Result<(), String> {
        self.known(step)?;
        let state = self.state_mut(step);
        if state.attempt != attempt || attempt == 0 {
            return Err(alloc::format!("step {step}: attempt {attempt} was never begun"));
        }
        state.inquiries += 1;
        state.observed |= how == Inquiry::Observe;
        state.status = StepStatus::Unknown { since: at, how };
        self.attention.remove(&step);
        self.active.insert(step);
        // A compensation that is asked about is the one its unwind is busy with.
        let next = |unwind: &&mut UnwindState| unwind.steps.get(unwind.next) == Some(&step);
        if let Some(unwind) = self.unwinds.iter_mut().find(next) {
            unwind.busy = Some(step);
        }
        Ok(())
    }

    fn step_scheduled(
        &mut self,
        step: StepNo,
        at: Timestamp,
        cause: ScheduleCause,
    ) -> Result<(), String> {
        self.known(step)?;
        self.attention.remove(&step);
        self.active.insert(step);
        let state = self.state_mut(step);
        if cause == ScheduleCause::Resumed {
            state.freshen();
        }
        state.status = StepStatus::Scheduled { at, cause };
        if cause == ScheduleCause::Reprove {
            self.half_returned(step);
        }
        Ok(())
    }
}
