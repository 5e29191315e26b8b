//! What is done about an ending that does not pass: run again, find out, compensate, or ask.

use crate::decide::Decision;
use crate::places::Home;
use crate::standing::had_again;
use crate::state::{Course, LaneCourse, Rollout, StepStatus};
use alloc::string::String;
use alloc::vec;
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, HoldCause, Inquiry, ScheduleCause, UnwindScope};
use zdu_model::ids::{NodeName, StepNo};
use zdu_model::plan::{PlannedStep, Unknown, Work};
use zdu_model::policy::{FailureAction, FailureRule};
use zdu_model::time::Timestamp;

/// How often an unreachable node is asked for a record before a rule decides. Each asking already
/// lasts the policy's `reconnect_deadline`.
const INQUIRIES_MAX: u32 = 3;

/// How often work that is safe to repeat is repeated when its answers get lost.
const REPEATS_MAX: u32 = 3;

/// How often a step may be begun anew that never began: each time a balancer or a stillness came
/// before its node was asked, and one that does so again and again is for a rule. And how often a
/// reading is had again that a balancer overtook or a stillness interrupted.
pub(crate) const NEVERS_MAX: u32 = 10;

impl Rollout {
    /// The decision about one step whose ending did not pass.
    pub(crate) fn attend(&self, now: Timestamp, step: StepNo) -> Decision {
        let planned = self.plan.step(step);
        let state = self.state(step);
        let StepStatus::Ended(class) = state.status else {
            return Decision::nothing();
        };
        if self.is_put_back(planned) || self.is_judged_later(step) {
            return Decision::nothing();
        }
        let quieting = matches!(self.course, Course::Quieting { .. });
        let again = planned.contract.again;
        let repeats = planned.attempts.max(REPEATS_MAX);
        let schedule = |at, cause| Decision::events(vec![Event::StepScheduled { step, at, cause }]);
        match class {
            Class::Unknown => self.inquire(now, planned),
            // What is about to be put back is not tried again.
            _ if quieting => Decision::nothing(),
            Class::NotRun if state.tries <= repeats && state.nevers <= NEVERS_MAX => {
                schedule(now, ScheduleCause::NeverBegan)
            }
            Class::Again if state.overtaken && state.agains <= again.max.max(NEVERS_MAX) => {
                schedule(now, had_again(&planned.work).unwrap_or(ScheduleCause::Again))
            }
            Class::Again if state.agains <= again.max => {
                schedule(now.after(again.pause), ScheduleCause::Again)
            }
            Class::Failed | Class::TimedOut if state.tries < planned.attempts => {
                schedule(now.after(again.pause), ScheduleCause::Retry)
            }
            Class::Again | Class::Failed | Class::NotRun => {
                self.give_up(now, planned, Class::Failed)
            }
            Class::TimedOut => self.give_up(now, planned, Class::TimedOut),
            Class::Succeeded | Class::Warned => Decision::nothing(),
        }
    }

    /// Law 6: an unknown outcome is found out before anything is repeated or undone.
    fn inquire(&self, now: Timestamp, planned: &PlannedStep) -> Decision {
        let state = self.state(planned.no);
        let step = planned.no;
        let attempt = state.attempt;
        let repeat = || {
            let at = now.after(planned.contract.again.pause);
            let cause = ScheduleCause::Retry;
            Decision::events(vec![Event::StepScheduled { step, at, cause }])
        };
        let repeats = planned.attempts.max(REPEATS_MAX);
        let quieting = matches!(self.course, Course::Quieting { .. });
        if planned.work.is_level_triggered() {
            return match state.tries < repeats && !quieting {
                true => repeat(),
                false => self.give_up(now, planned, Class::Unknown),
            };
        }
        if let Some(asked) = self.ask_node(step) {
            return asked;
        }
        match &planned.unknown {
            Unknown::Rerun if state.lost && state.tries < repeats && !quieting => repeat(),
            Unknown::Observe { .. } if state.lost && !state.observed => {
                let (cause, how) = ("the node's record has no end".into(), Inquiry::Observe);
                Decision {
                    events: vec![Event::StepUnknown { step, attempt, cause, how }],
                    effects: vec![Effect::Observe { step, attempt }],
                    wake: None,
                }
            }
            Unknown::Hold | Unknown::Rerun | Unknown::Observe { .. } => {
                self.give_up(now, planned, Class::Unknown)
            }
        }
    }

    /// Asks the node for its record of the last attempt, as long as that was not done too often.
    fn ask_node(&self, step: StepNo) -> Option<Decision> {
        self.ask_at_most(INQUIRIES_MAX, step)
    }

    /// Right before a node is put back it is asked again, however often that was in vain.
    pub(crate) fn ask_once_more(&self, step: StepNo) -> Option<Decision> {
        self.ask_at_most(INQUIRIES_MAX + 1, step)
    }

    fn ask_at_most(&self, times: u32, step: StepNo) -> Option<Decision> {
        let state = self.state(step);
        (!state.lost && state.inquiries < times).then(|| self.inquiry(step))
    }

    fn inquiry(&self, step: StepNo) -> Decision {
        let attempt = self.state(step).attempt;
        let (cause, how) = ("the node could not be reached".into(), Inquiry::Recover);
        Decision {
            events: vec![Event::StepUnknown { step, attempt, cause, how }],
            effects: vec![Effect::Recover { step, attempt }],
            wake: None,
        }
    }

    /// Nothing is left to try: a compensation is stuck, anything else is for the rules.
    fn give_up(&self, now: Timestamp, planned: &PlannedStep, class: Class) -> Decision {
        // What is about to be put back is judged when its turn has come.
        if matches!(self.course, Course::Quieting { .. }) {
            return Decision::nothing();
        }
        if self.is_compensating(planned.no) {
            let reason = match class {
                Class::TimedOut => "it did not end within its deadline".into(),
                Class::Unknown if self.may_still_run(planned.no) => still_runs(planned),
                Class::Unknown => "nobody knows whether it happened".into(),
                Class::Succeeded | Class::Warned | Class::Again | Class::Failed | Class::NotRun => {
                    "it failed".into()
                }
            };
            let node = planned.subject.node().cloned();
            return Decision::events(vec![Event::NodeStuck { node, step: planned.no, reason }]);
        }
        self.by_rule(now, planned, class)
    }

    /// A forward step of a lane that is being put back: how it ended changes nothing but whether
    /// its undoing may begin, and who undoes it asks for that.
    fn is_put_back(&self, planned: &PlannedStep) -> bool {
        self.home(planned.no) != Home::Undo
            && self.is_compensating(planned.no)
            && !self.is_asked_before_an_undo(planned)
    }

    /// A certificate or a proof of readiness is had again before the compensation that needs it.
    fn is_asked_before_an_undo(&self, planned: &PlannedStep) -> bool {
        let proof = |node| self.proved.get(node).is_some_and(|(step, _)| *step == planned.no);
        matches!(planned.work, Work::Certify) || planned.subject.node().is_some_and(proof)
    }

    pub(crate) fn is_compensating(&self, step: StepNo) -> bool {
        match self.home(step) {
            Home::Undo => true,
            Home::Gate { .. } => false,
            Home::Lane { stage, wave, lane, .. } => {
                self.waves[stage][wave].lanes[lane].course == LaneCourse::Unwinding
            }
        }
    }

    fn by_rule(&self, now: Timestamp, planned: &PlannedStep, class: Class) -> Decision {
        let step = planned.no;
        let rules = self.plan.rules.iter().enumerate();
        let fit = rules.into_iter().find(|(_, rule)| self.fits(rule, planned, class));
        let (rule, action) = match fit {
            Some((at, rule)) => (u32::try_from(at).unwrap_or(u32::MAX), rule.action),
            None => (u32::MAX, FailureAction::Hold),
        };
        let action = self.possible(planned, action);
        let mut events = vec![Event::FailureDecided { step, rule, action }];
        let mut effects = vec![];
        match action {
            // Law 6: trying again what may still run is asking the node again.
            FailureAction::Retry { .. } if self.may_still_run(step) => {
                let asked = self.inquiry(step);
                events.extend(asked.events);
                effects = asked.effects;
            }
            FailureAction::Retry { pause, max: _ } => {
                let at = now.after(pause);
                events.push(Event::StepScheduled { step, at, cause: ScheduleCause::Retry });
            }
            FailureAction::RollbackNode => {
                if let Some(node) = planned.subject.node() {
                    let cause = alloc::format!("{} did not pass", planned.key);
                    events.push(self.unwind_event(UnwindScope::Node(node.clone()), cause));
                }
            }
            FailureAction::Hold => {
                let unknown = class == Class::Unknown && !planned.work.is_level_triggered();
                let cause = if unknown { HoldCause::Unknown(step) } else { HoldCause::Rule(step) };
                events.push(Event::HoldStarted { cause });
            }
            FailureAction::RollbackWave
            | FailureAction::RollbackRollout
            | FailureAction::GoOn
            | FailureAction::Stop => {}
        }
        Decision { events, effects, wake: None }
    }

    fn fits(&self, rule: &FailureRule, planned: &PlannedStep, class: Class) -> bool {
        let FailureRule { stage, phase, exit, class: classes, output, failed_nodes, action } = rule;
        let here = match self.home(planned.no) {
            Home::Lane { stage, .. } | Home::Gate { stage, .. } => {
                Some(&self.plan.stages[stage].name)
            }
            Home::Undo => None,
        };
        let state = self.state(planned.no);
        let tail = state.tail.as_deref().unwrap_or_default();
        let failed = u32::try_from(self.failed_nodes.len()).unwrap_or(u32::MAX);
        // An unknown outcome is repeated, passed over, or undone while it may still run, only
        // where a rule names it (law 6).
        let guesses = match action {
            FailureAction::Retry { .. } | FailureAction::GoOn => true,
            FailureAction::RollbackNode
            | FailureAction::RollbackWave
            | FailureAction::RollbackRollout => !state.lost,
            FailureAction::Hold | FailureAction::Stop => false,
        };
        let by_guess = class == Class::Unknown && guesses && !classes.contains(&Class::Unknown);
        let spent = matches!(action, FailureAction::Retry { max, .. } if state.tries >= *max);
        !by_guess
            && !spent
            && (stage.is_none() || stage.as_ref() == here)
            && phase.as_ref().is_none_or(|phase| *phase == planned.phase)
            && (exit.is_empty() || state.exit.is_some_and(|code| exit.contains(&code)))
            && (classes.is_empty() || classes.contains(&class))
            && output.as_ref().is_none_or(|text| tail.contains(text.as_str()))
            && failed_nodes.is_none_or(|least| failed >= least)
    }

    /// A rule speaks of nodes; some steps have none, and some nodes cannot go back.
    fn possible(&self, planned: &PlannedStep, action: FailureAction) -> FailureAction {
        let gate = matches!(self.home(planned.no), Home::Gate { .. });
        match action {
            FailureAction::RollbackNode if gate => FailureAction::RollbackWave,
            FailureAction::RollbackNode if planned.subject.node().is_none() => FailureAction::Stop,
            FailureAction::RollbackNode
            | FailureAction::RollbackWave
            | FailureAction::RollbackRollout
                if planned.subject.node().is_some_and(|node| self.cannot_go_back(node)) =>
            {
                FailureAction::Hold
            }
            FailureAction::GoOn if proves(&planned.work) => FailureAction::Hold,
            FailureAction::Retry { .. }
            | FailureAction::RollbackNode
            | FailureAction::RollbackWave
            | FailureAction::RollbackRollout
            | FailureAction::Hold
            | FailureAction::GoOn
            | FailureAction::Stop => action,
        }
    }
}

/// What the events of failing come to.
impl Rollout {
    pub(crate) fn failure_decided(
        &mut self,
        step: StepNo,
        action: FailureAction,
    ) -> Result<(), String> {
        self.known(step)?;
        if !self.attention.remove(&step) {
            return Err(alloc::format!("nothing was to be decided about step {step}"));
        }
        let plan = self.plan.clone();
        let planned = plan.step(step);
        match action {
            FailureAction::Retry { .. } => {
                // The contract's own repetitions do not count as tries; a rule's do.
                let state = self.state_mut(step);
                let again = state.status == StepStatus::Ended(Class::Again);
                state.tries += u32::from(again);
                return Ok(());
            }
            FailureAction::GoOn => {
                self.state_mut(step).status = StepStatus::Ended(Class::Warned);
                self.move_on(step);
                return Ok(());
            }
            // The event behind this one says what is held for. Whoever goes in meanwhile reads what
            // a drain left behind, and the drain begins again behind its guard.
            FailureAction::Hold => {
                if let (Work::Drain, Some(node)) = (&planned.work, planned.subject.node()) {
                    self.entering.retain(|_, holder| holder != node);
                }
                return Ok(());
            }
            FailureAction::Stop => self.course = Course::Finishing,
            FailureAction::RollbackNode => self.count_failed_node(planned.subject.node()),
            FailureAction::RollbackWave => self.quiet(UnwindScope::Wave, false),
            FailureAction::RollbackRollout => self.quiet(UnwindScope::Rollout, false),
        }
        if self.first_failure.is_none() {
            self.first_failure = Some(planned.phase.clone());
        }
        if let Some(node) = planned.subject.node() {
            self.failed_nodes.insert(node.clone());
        }
        self.give_up_lane(step);
        Ok(())
    }

    fn count_failed_node(&mut self, node: Option<&NodeName>) {
        let new = node.is_some_and(|node| !self.failed_nodes.contains(node));
        let failed = self.failed_nodes.len() + usize::from(new);
        let allowed = usize::try_from(self.plan.policy.failures_allowed).unwrap_or(usize::MAX);
        if failed > allowed && self.course == Course::Forward {
            self.course = Course::Finishing;
        }
    }

    pub(crate) fn quiet(&mut self, scope: UnwindScope, asked: bool) {
        self.holds.clear();
        self.course = Course::Quieting { scope, asked };
    }

    fn give_up_lane(&mut self, step: StepNo) {
        if let Home::Lane { stage, wave, lane, .. } = self.home(step) {
            self.waves[stage][wave].lanes[lane].busy = None;
            self.set_lane((stage, wave, lane), LaneCourse::Failed);
            let plan = self.plan.clone();
            let lane = &plan.stages[stage].waves[wave].lanes[lane];
            if let Some(node) = lane.subject.node() {
                self.entering.retain(|_, holder| holder != node);
            }
            lane.steps.iter().for_each(|step| self.unschedule(*step));
        }
    }
}

/// Why nothing is undone beside this step.
pub(crate) fn still_runs(step: &PlannedStep) -> String {
    alloc::format!("nobody knows whether {} still runs", step.key)
}

/// Laws 1 to 3: what these acts make true or prove cannot be assumed.
fn proves(work: &Work) -> bool {
    matches!(
        work,
        Work::Guard { .. } | Work::Drain | Work::Certify | Work::Ready(_) | Work::Undrain
    )
}
