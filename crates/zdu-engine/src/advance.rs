//! What is begun next.

use crate::decide::Decision;
use crate::failure::still_runs;
use crate::state::{Course, Rollout, StepStatus, is_engines_own};
use alloc::collections::BTreeSet;
use alloc::vec;
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, HoldCause, UnwindScope};
use zdu_model::ids::{GroupName, StepNo};
use zdu_model::plan::{PlannedStep, Work};
use zdu_model::report::{End, Report};
use zdu_model::time::Timestamp;
use zdu_model::verdict::{Verdict, exit};

/// How many lanes that have not begun are looked at in one round for some that can.
const LOOK_AHEAD: usize = 64;

/// Collects what one turn begins, with what it takes already.
struct Turn {
    decision: Decision,
    entering: BTreeSet<GroupName>,
    held: bool,
}

impl Rollout {
    /// One round: the first of these that has something to say, says it.
    pub(crate) fn advance(&self, now: Timestamp) -> Decision {
        if !self.started || self.epoch.is_none() || self.ended.is_some() {
            return Decision::nothing();
        }
        let attended = self.attention.iter().map(|step| self.attend(now, *step));
        if let Some(decision) = attended.into_iter().find(|decision| !decision.is_nothing()) {
            return decision;
        }
        let decision = self.expire(now);
        if !decision.is_nothing() {
            return decision;
        }
        let decision = self.begin(now);
        if !decision.is_nothing() {
            return decision;
        }
        self.end(now)
    }

    /// Steps that end by the clock alone.
    fn expire(&self, now: Timestamp) -> Decision {
        let mut events = vec![];
        for step in &self.active {
            let (StepStatus::Running { since } | StepStatus::Unknown { since, .. }) =
                self.state(*step).status
            else {
                continue;
            };
            let planned = self.plan.step(*step);
            if now < since.after(self.patience(planned)) {
                continue;
            }
            let (class, end) = if matches!(planned.work, Work::Soak(_)) {
                (Class::Succeeded, End::Done)
            } else if is_engines_own(planned) {
                (Class::TimedOut, End::TimedOut)
            } else {
                (Class::Unknown, End::Unreachable("no driver answered within its deadline".into()))
            };
            let (step, attempt) = (*step, self.state(*step).attempt);
            events.push(Event::StepEnded { step, attempt, class, report: Report::bare(end) });
        }
        Decision::events(events)
    }

    /// Everything that may begin now.
    fn begin(&self, now: Timestamp) -> Decision {
        if let Some(event) = self.begin_unwind() {
            return Decision::events(vec![event]);
        }
        let entering = self.entering.keys().cloned().collect();
        let mut turn = Turn { decision: Decision::nothing(), entering, held: false };
        if !matches!(self.course, Course::Quieting { .. }) {
            self.begin_scheduled(now, &mut turn);
            self.continue_unwinds(&mut turn);
            self.continue_lanes(&mut turn);
        }
        let clear = self.going_ahead().next().is_none();
        if self.course == Course::Forward && self.holds.is_empty() && clear {
            self.begin_lanes(&mut turn);
            self.continue_gate(&mut turn);
        }
        turn.decision
    }

    fn begin_scheduled(&self, now: Timestamp, turn: &mut Turn) {
        for step in &self.active {
            if matches!(self.state(*step).status, StepStatus::Scheduled { at, .. } if at <= now) {
                self.start(*step, turn);
            }
        }
    }

    fn continue_unwinds(&self, turn: &mut Turn) {
        for unwind in &self.unwinds {
            if unwind.stuck || unwind.busy.is_some() {
                continue;
            }
            match unwind.steps.get(unwind.next) {
                Some(step) => self.compensate(*step, turn),
                None => {
                    let scope = unwind.scope.clone();
                    turn.decision.events.push(Event::UnwindEnded { scope });
                }
            }
        }
    }

    /// Law 6: nothing is undone on a node beside what may still run there. That is asked for first,
    /// and where the node does not answer a person must act.
    fn compensate(&self, undo: StepNo, turn: &mut Turn) {
        let subject = &self.plan.step(undo).subject;
        let mut beside = self.places.own(subject).steps.iter().copied();
        let Some(open) = beside.find(|step| self.is_open(*step) || self.may_still_run(*step))
        else {
            self.start(undo, turn);
            return;
        };
        if self.is_open(open) {
            return;
        }
        let decision = match self.ask_once_more(open) {
            Some(asked) => asked,
            None => {
                let node = subject.node().cloned();
                let reason = still_runs(self.plan.step(open));
                Decision::events(vec![Event::NodeStuck { node, step: undo, reason }])
            }
        };
        turn.decision.events.extend(decision.events);
        turn.decision.effects.extend(decision.effects);
    }

    /// Whether a driver is awaited for this step.
    fn is_open(&self, step: StepNo) -> bool {
        matches!(self.state(step).status, StepStatus::Running { .. } | StepStatus::Unknown { .. })
    }

    fn continue_lanes(&self, turn: &mut Turn) {
        let Some((wave, state)) = self.current_wave() else {
            return;
        };
        if matches!(self.course, Course::Unwinding { .. }) {
            return;
        }
        for lane in &self.ripe {
            let next = state.lanes[*lane].next;
            if let Some(step) = wave.lanes[*lane].steps.get(next) {
                self.start(*step, turn);
            }
        }
        for (at, state) in self.going_ahead().filter(|(_, state)| state.busy.is_none()) {
            if let Some(step) = self.lane(at.0, at.1, at.2).steps.get(state.next) {
                self.start(*step, turn);
            }
        }
    }

    fn begin_lanes(&self, turn: &mut Turn) {
        let Some((wave, state)) = self.current_wave() else {
            return;
        };
        let mut free = wave.parallel.max(1).saturating_sub(state.in_flight);
        for lane in self.waiting.iter().take(LOOK_AHEAD) {
            if free == 0 {
                break;
            }
            let Some(first) = wave.lanes[*lane].steps.first() else {
                continue;
            };
            let before = turn.decision.events.len();
            self.start(*first, turn);
            if turn.decision.events.len() > before {
                free -= 1;
            }
        }
    }

    fn continue_gate(&self, turn: &mut Turn) {
        let Some((wave, state)) = self.current_wave() else {
            return;
        };
        if state.settled < state.lanes.len() || !self.unwinds.is_empty() {
            return;
        }
        // One that has an ending and is the next again is of an earlier round.
        if let Some(step) = wave.gate.get(state.gate_next)
            && !self.active.contains(step)
        {
            self.start(*step, turn);
        }
    }

    /// Begins a step, unless a law forbids it now.
    fn start(&self, step: StepNo, turn: &mut Turn) {
        let planned = self.plan.step(step);
        if self.waits_at_point_of_no_return(planned) {
            if self.holds.is_empty() && !turn.held {
                turn.held = true;
                let cause = HoldCause::PointOfNoReturn(step);
                turn.decision.events.push(Event::HoldStarted { cause });
            }
            return;
        }
        let step = match self.asked_before(planned) {
            None => step,
            Some(before) if self.may_ask_again(before) => before,
            // It is being asked for again already.
            Some(_) => return,
        };
        let planned = self.plan.step(step);
        if let Work::Guard { group } = &planned.work
            && self.entering.get(group) != planned.subject.node()
            && !turn.entering.insert(group.clone())
        {
            return;
        }
        self.assert_laws(planned);
        let attempt = self.state(step).attempt + 1;
        turn.decision.events.push(Event::StepStarted { step, attempt });
        if !is_engines_own(planned) {
            turn.decision.effects.push(Effect::Run { step, attempt });
        }
    }

    fn waits_at_point_of_no_return(&self, planned: &PlannedStep) -> bool {
        // One that was begun is crossed: trying it again asks nobody.
        planned.point_of_no_return
            && !self.state(planned.no).begun
            && !self.plan.policy.cross_point_of_no_return
            && !self.approvals.contains(&planned.no)
    }

    /// What has to be known now and is known from another time only.
    fn asked_before(&self, planned: &PlannedStep) -> Option<StepNo> {
        self.read_first(planned).or_else(|| self.certify_first(planned))
    }

    /// Laws 1 and 3: capacity before a drain and readiness before the way back are read again when
    /// nobody watched since.
    fn read_first(&self, planned: &PlannedStep) -> Option<StepNo> {
        let readings = if matches!(planned.work, Work::Drain) {
            &self.guarded
        } else if matches!(planned.work, Work::Undrain) {
            &self.proved
        } else {
            return None;
        };
        let (reading, stands) = readings.get(planned.subject.node()?)?;
        (!stands).then_some(*reading)
    }

    /// Law 2: a lost certificate is had again before the step that needs it.
    fn certify_first(&self, planned: &PlannedStep) -> Option<StepNo> {
        let node = planned.subject.node().filter(|_| planned.needs_drain)?;
        let lost = self.certified.get(node) == Some(&false);
        if lost { self.certify_step.get(node).copied() } else { None }
    }

    /// A guard or a certificate that could not be had again is for the rules; only a compensation
    /// asks once more, and is stuck when it is refused again.
    fn may_ask_again(&self, step: StepNo) -> bool {
        match self.state(step).status {
            StepStatus::Pending => true,
            StepStatus::Ended(class) => {
                class.passes() || (self.is_compensating(step) && !self.attention.contains(&step))
            }
            StepStatus::Scheduled { .. }
            | StepStatus::Running { .. }
            | StepStatus::Unknown { .. } => false,
        }
    }

    /// Laws 2 and 3, as assertions: a plan that passed the linter cannot break them, so breaking
    /// them is a defect of this crate and must not reach a node.
    fn assert_laws(&self, planned: &PlannedStep) {
        let Some(node) = planned.subject.node() else {
            return;
        };
        let declared = self.places.node(&self.plan, node);
        let has_members = declared.is_some_and(|node| !node.members.is_empty());
        if planned.needs_drain && has_members {
            let certified = self.certified.get(node) == Some(&true);
            assert!(certified, "step {} needs node {node} drained and certified", planned.no);
        }
        if matches!(planned.work, Work::Undrain) {
            let proved =
                matches!(self.proved.get(node), Some((_, true))) || !self.proves_readiness(planned);
            assert!(proved, "step {} returns node {node} before it proved ready", planned.no);
        }
    }

    /// Whether the plan asks this node for a proof of readiness at all.
    fn proves_readiness(&self, planned: &PlannedStep) -> bool {
        let own = self.places.own(&planned.subject).steps.iter().map(|no| self.plan.step(*no));
        own.filter(|step| step.phase == planned.phase)
            .any(|step| matches!(step.work, Work::Ready(_)))
    }

    /// The end, when nothing runs and nothing can begin.
    fn end(&self, now: Timestamp) -> Decision {
        let expired = self.hold_expires().is_some_and(|at| now >= at);
        // A step that is due and was not begun waits for what a hold or a failure keeps from it.
        let comes = |step: &StepNo| match self.state(*step).status {
            StepStatus::Running { .. } | StepStatus::Unknown { .. } => true,
            StepStatus::Scheduled { at, .. } => at > now,
            StepStatus::Pending | StepStatus::Ended(_) => false,
        };
        if self.active.iter().any(comes) {
            return Decision::nothing();
        }
        let unwinding = self.unwinds.iter().any(|unwind| !unwind.stuck);
        let held = expired || self.is_held_for(&HoldCause::Person);
        let verdict = match &self.course {
            _ if unwinding => None,
            _ if !self.holds.is_empty() => held.then_some(Verdict::Held),
            Course::Forward => self.current_wave().is_none().then(|| self.final_verdict()),
            Course::Finishing | Course::Unwinding { .. } => Some(self.final_verdict()),
            Course::Quieting { .. } => None,
        };
        match verdict {
            Some(verdict) => Decision::events(vec![Event::RolloutEnded { verdict }]),
            None => Decision::nothing(),
        }
    }

    fn final_verdict(&self) -> Verdict {
        // Law 4: what was to be put back and stands out of traffic is named.
        let left = matches!(self.course, Course::Unwinding { .. }) && !self.out.is_empty();
        if !self.stuck.is_empty() || self.stuck_fleet || left {
            return Verdict::Stuck { nodes: self.stuck.union(&self.out).cloned().collect() };
        }
        match (&self.course, &self.first_failure) {
            (Course::Unwinding { scope: UnwindScope::InFlight, .. }, _) => Verdict::Aborted,
            (Course::Unwinding { asked: true, .. }, _) => Verdict::RolledBack,
            (_, Some(phase)) => {
                let exit = self.plan.phase_exit(phase);
                let rolled_back = self.rolled_back.iter().cloned().collect();
                Verdict::Failed { phase: phase.clone(), exit, rolled_back }
            }
            (Course::Forward, None) => Verdict::Succeeded,
            (Course::Finishing | Course::Quieting { .. } | Course::Unwinding { .. }, None) => {
                let phase = self.plan.rollback_phase.clone();
                Verdict::Failed { phase, exit: exit::FATAL_ERROR, rolled_back: vec![] }
            }
        }
    }
}
