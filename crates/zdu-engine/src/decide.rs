//! The one entry: an input, and what follows from it.

use crate::state::{Course, Rollout, StepStatus, is_engines_own};
use crate::wake::Wake;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, HoldCause, Inquiry, Request, ScheduleCause};
use zdu_model::fleet::Member;
use zdu_model::front::FrontSeen;
use zdu_model::ids::{Attempt, InstanceName, NodeName, StepNo};
use zdu_model::plan::{PlannedStep, Work};
use zdu_model::report::{End, Report};
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

/// What can happen to a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A controller took the lease and read the journal to its end; both facts are recorded.
    Recovered,
    /// Nothing in particular: time passed, or a turn goes on.
    Advance,
    /// A driver answered.
    Report {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
        /// What it says.
        report: Report,
    },
    /// A person asked.
    Request {
        /// For what.
        request: Request,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A member of a node that is out was seen in traffic.
    Drift {
        /// The node.
        node: NodeName,
        /// The instance.
        instance: InstanceName,
        /// The member.
        member: Member,
        /// What was seen.
        seen: String,
        /// Whether the drain was put back.
        reasserted: bool,
    },
    /// An instance stopped or began to answer while a node was out.
    InstanceChanged {
        /// The instance.
        instance: InstanceName,
        /// Whether it answers.
        up: bool,
        /// What it said.
        reason: String,
    },
    /// What was seen of a front in a span of time.
    FrontSeen {
        /// Which front, as the fleet lists them.
        front: u32,
        /// What was seen.
        seen: Box<FrontSeen>,
    },
    /// The whole process stood still for [`STILLNESS`](crate::STILLNESS) or longer. Told before
    /// whatever is heard next.
    StoodStill {
        /// For how long.
        span: Millis,
    },
}

/// What follows from an input. The effects may be released only when the events are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Facts to make durable, in order.
    pub events: Vec<Event>,
    /// What the world is asked, afterwards.
    pub effects: Vec<Effect>,
    /// When to ask again although nothing happened.
    pub wake: Option<Wake>,
}

impl Decision {
    pub(crate) fn nothing() -> Self {
        Self { events: vec![], effects: vec![], wake: None }
    }

    pub(crate) fn events(events: Vec<Event>) -> Self {
        Self { events, ..Self::nothing() }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.events.is_empty() && self.effects.is_empty()
    }
}

/// Why a request is not accepted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is over, or was never anything else.
    NothingToDo(&'static str),
    /// Begun steps stand behind a point of no return.
    PointOfNoReturn(StepNo),
    /// No person is asked about this step.
    NotWaitingFor(StepNo),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToDo(why) => f.write_str(why),
            Self::PointOfNoReturn(step) => {
                write!(f, "step {step} is a point of no return and was begun: it cannot be undone")
            }
            Self::NotWaitingFor(step) => write!(f, "nobody was asked about step {step}"),
        }
    }
}

impl core::error::Error for Refusal {}

impl Rollout {
    /// What follows from `input` at `now`. Pure: asks nothing but this state.
    #[must_use]
    pub fn decide(&self, now: Timestamp, input: &Input) -> Decision {
        let mut decision = match input {
            Input::Recovered => self.recovered(now),
            Input::Advance => self.advance(now),
            Input::Report { step, attempt, report } => self.reported(*step, *attempt, report),
            Input::Request { request, by, reason } => self.asked(request, by, reason),
            Input::Drift { node, instance, member, seen, reasserted } => {
                if self.ended.is_some() || !self.out.contains(node) {
                    Decision::nothing()
                } else {
                    let (node, instance, member) = (node.clone(), instance.clone(), member.clone());
                    let (seen, reasserted) = (seen.clone(), *reasserted);
                    let event = Event::Drifted { node, instance, member, seen, reasserted };
                    Decision::events(vec![event])
                }
            }
            Input::InstanceChanged { instance, up, reason } => {
                if self.ended.is_some() {
                    Decision::nothing()
                } else {
                    let (instance, up, reason) = (instance.clone(), *up, reason.clone());
                    Decision::events(vec![Event::InstanceChanged { instance, up, reason }])
                }
            }
            Input::FrontSeen { front, seen } => {
                // Also behind the end: users are there, and the last change is to be covered too.
                let (known, front) = (self.plan.fleet.front.len() > *front as usize, *front);
                let event = || Event::FrontSeen { front, seen: seen.clone() };
                Decision::events(known.then(event).into_iter().collect())
            }
            Input::StoodStill { span } => self.stood_still(now, *span),
        };
        decision.wake = self.next_wake(decision.is_nothing().then_some(now));
        decision
    }

    /// Why a request would not be accepted now.
    #[must_use]
    pub fn refuses(&self, request: &Request) -> Option<Refusal> {
        // Held is an end only for the controller that left; the rollout can still be aborted.
        let ended = self.ended.as_ref().is_some_and(|verdict| *verdict != Verdict::Held);
        match request {
            Request::Hold | Request::Abort if ended => {
                Some(Refusal::NothingToDo("the rollout has ended"))
            }
            Request::Hold | Request::Abort if self.is_going_back() => {
                Some(Refusal::NothingToDo("it is being put back already, and ends with that"))
            }
            Request::Hold | Request::Abort => None,
            Request::Resume => match (&self.ended, self.hold()) {
                (Some(Verdict::Succeeded), _) => {
                    Some(Refusal::NothingToDo("the rollout succeeded"))
                }
                (None, None) => Some(Refusal::NothingToDo("the rollout is not held")),
                (Some(_), _) | (None, Some(_)) => None,
            },
            Request::Rollback => match self.last_point_of_no_return() {
                Some(step) => Some(Refusal::PointOfNoReturn(step)),
                None if self.ended == Some(Verdict::RolledBack) => {
                    Some(Refusal::NothingToDo("the rollout was rolled back"))
                }
                None => None,
            },
            Request::Approve(step) => {
                (!self.asks_person(*step)).then_some(Refusal::NotWaitingFor(*step))
            }
        }
    }

    fn asks_person(&self, step: StepNo) -> bool {
        self.is_held_for(&HoldCause::PointOfNoReturn(step))
            || self.asks_whether(step)
            || self.runs_manual(step)
    }

    /// Whether a person is asked if a step of unknown outcome happened; approving says it did. What
    /// reads before it changes is read again by `resume`, and nobody's word stands for it.
    fn asks_whether(&self, step: StepNo) -> bool {
        self.is_held_for(&HoldCause::Unknown(step))
            && !self.plan.step(step).work.is_level_triggered()
    }

    /// Whether the controller has left and only the answer about this step keeps the rollout from
    /// going on: then the answer is a resume too. After a failure a person says that himself.
    fn waits_only_for(&self, step: StepNo) -> bool {
        let about = |cause: &HoldCause| match cause {
            HoldCause::Unknown(no) | HoldCause::PointOfNoReturn(no) => *no == step,
            HoldCause::Person | HoldCause::Rule(_) => false,
        };
        self.ended == Some(Verdict::Held)
            && self.course == Course::Forward
            && self.holds.iter().all(|(cause, _)| about(cause))
    }

    fn runs_manual(&self, step: StepNo) -> bool {
        self.active.contains(&step)
            && matches!(self.state(step).status, StepStatus::Running { .. })
            && matches!(self.plan.step(step).work, Work::Manual { .. })
    }

    /// A new controller: every begun attempt without an end is unknown until it is found out, and
    /// every node that was drained is held out again.
    fn recovered(&self, now: Timestamp) -> Decision {
        let mut events = vec![];
        let mut effects: Vec<Effect> = vec![];
        if self.ended.is_none() {
            for node in &self.drained {
                effects.push(Effect::KeepOut { node: node.clone() });
            }
            for step in &self.active {
                let planned = self.plan.step(*step);
                let state = self.state(*step);
                let how = match state.status {
                    StepStatus::Running { .. } => Inquiry::Recover,
                    StepStatus::Unknown { how, .. } => how,
                    StepStatus::Pending | StepStatus::Scheduled { .. } | StepStatus::Ended(_) => {
                        continue;
                    }
                };
                if is_engines_own(planned) {
                    continue;
                }
                let (step, attempt) = (*step, state.attempt);
                let cause = "a controller took over and the journal has no end".into();
                events.push(Event::StepUnknown { step, attempt, cause, how });
                if let Some(cause) = asked_first(planned) {
                    events.push(Event::StepScheduled { step, at: now, cause });
                    continue;
                }
                effects.push(match how {
                    Inquiry::Recover => Effect::Recover { step, attempt },
                    Inquiry::Observe => Effect::Observe { step, attempt },
                });
            }
        }
        Decision { events, effects, wake: None }
    }

    fn reported(&self, step: StepNo, attempt: Attempt, report: &Report) -> Decision {
        let awaited = self.active.contains(&step)
            && self.state(step).attempt == attempt
            && !matches!(self.state(step).status, StepStatus::Scheduled { .. });
        if !awaited {
            // An answer to an attempt that is no longer awaited says nothing new.
            return Decision::nothing();
        }
        let planned = self.plan.step(step);
        // A guard's report holds the whole group: it is not copied to be cut down.
        let mut report = match (&planned.work, planned.subject.node()) {
            (Work::Guard { group }, Some(node)) => {
                let group = self.plan.fleet.groups.iter().find(|known| known.name == *group);
                group.map_or_else(|| report.clone(), |group| self.judge(group, node, report))
            }
            _ => report.clone(),
        };
        let mut class = planned.contract.classify(&report.end, &report.matched);
        if self.overtaken(step, class) {
            class = Class::Again;
            report.end = End::Waiting("a balancer changed while it was read".into());
        }
        Decision::events(vec![Event::StepEnded { step, attempt, class, report }])
    }

    fn asked(&self, request: &Request, by: &str, reason: &str) -> Decision {
        if self.refuses(request).is_some() {
            return Decision::nothing();
        }
        let record = |request: Request| {
            let (by, reason) = (by.into(), reason.into());
            Event::Requested { request, by, reason }
        };
        let mut events = vec![record(request.clone())];
        let mut effects = vec![];
        match request {
            Request::Approve(step) => {
                if self.runs_manual(*step) || self.asks_whether(*step) {
                    let (step, attempt) = (*step, self.state(*step).attempt);
                    let (class, report) = (Class::Succeeded, Report::bare(End::Done));
                    events.push(Event::StepEnded { step, attempt, class, report });
                }
                if self.waits_only_for(*step) {
                    events.push(record(Request::Resume));
                }
            }
            Request::Abort | Request::Rollback => {
                events.extend(self.ends_of_own_waits());
                effects = self.cancellations();
                let (asked, inquiries) = self.ask_again();
                events.extend(asked);
                effects.extend(inquiries);
            }
            Request::Resume => {
                let (asked, inquiries) = self.ask_again();
                events.extend(asked);
                effects = inquiries;
            }
            Request::Hold => {}
        }
        if self.ended.is_some() {
            // The controller that ended it no longer holds anything out.
            effects.extend(self.drained.iter().map(|node| Effect::KeepOut { node: node.clone() }));
        }
        Decision { events, effects, wake: None }
    }

    fn is_going_back(&self) -> bool {
        matches!(self.course, Course::Quieting { .. } | Course::Unwinding { .. })
    }

    /// Steps that only wait for the clock or a person end with the request that ends the rollout.
    fn ends_of_own_waits(&self) -> Vec<Event> {
        let own = self.active.iter().filter(|step| is_engines_own(self.plan.step(**step)));
        let running =
            own.filter(|step| matches!(self.state(**step).status, StepStatus::Running { .. }));
        let end = |step: &StepNo| Event::StepEnded {
            step: *step,
            attempt: self.state(*step).attempt,
            class: Class::Failed,
            report: Report::bare(End::NotMet("no longer waited for".into())),
        };
        running.map(end).collect()
    }

    /// Law 6: a step whose node could not be reached may still run; a person's request asks the
    /// node again before anything is begun or undone.
    fn ask_again(&self) -> (Vec<Event>, Vec<Effect>) {
        let mut asked = (vec![], vec![]);
        for planned in self.plan.steps.iter().filter(|step| self.may_still_run(step.no)) {
            let (step, attempt) = (planned.no, self.state(planned.no).attempt);
            let cause = "the node could not be reached before a person asked to go on".into();
            let how = Inquiry::Recover;
            asked.0.push(Event::StepUnknown { step, attempt, cause, how });
            asked.1.push(Effect::Recover { step, attempt });
        }
        asked
    }

    /// Waits of our own are cut short by an abort; a command on a node is let to its end, because
    /// ending it half-way leaves what nobody can name.
    fn cancellations(&self) -> Vec<Effect> {
        let waits = |step: &&StepNo| {
            let work = &self.plan.step(**step).work;
            work.is_level_triggered() && !is_engines_own(self.plan.step(**step))
        };
        let running = self.active.iter().filter(waits).copied();
        running
            .filter(|step| !matches!(self.state(*step).status, StepStatus::Scheduled { .. }))
            .map(|step| Effect::Cancel { step, attempt: self.state(step).attempt })
            .collect()
    }
}

/// What a step that is simply asked again waits for behind a takeover: whatever of it was done, it
/// changes what it finds, and nobody held the node out or read the group until now (laws 1 and 2).
fn asked_first(planned: &PlannedStep) -> Option<ScheduleCause> {
    let again = planned.work.is_level_triggered() && planned.needs_drain;
    if matches!(planned.work, Work::Drain) {
        Some(ScheduleCause::Reguard)
    } else if matches!(planned.work, Work::Undrain) {
        Some(ScheduleCause::Reprove)
    } else {
        again.then_some(ScheduleCause::Recertify)
    }
}
