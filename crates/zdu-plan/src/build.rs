//! The growing plan: steps get their numbers here, and the acts zdu adds get their shape.

use crate::captures::Captures;
use crate::input::Input;
use crate::order::Roster;
use crate::refusal::{Refusal, Refusals};
use crate::scope;
use crate::warning::Warning;
use crate::work::Rendering;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use zdu_model::contract::{AgainLimit, Contract};
use zdu_model::fleet::Front;
use zdu_model::ids::{GroupName, NodeName, PhaseName, StepKey, StepNo};
use zdu_model::plan::{Ask, HttpCall, PlannedStep, Probe, Subject, Target, Unknown, Want, Work};
use zdu_model::procedure::RollbackClass;
use zdu_model::render::{Render, Scope};
use zdu_model::time::Millis;

/// Names of the steps zdu adds; a procedure may not use them.
pub(crate) const OWN_KEYS: [&str; 8] =
    ["guard", "drain", "certify", "ready", "undrain", "serving", "soak", "front"];

/// How long one command to every instance of every balancer of a node may take. A runtime socket
/// answers in milliseconds; half a minute leaves room for a slow SSH login in front of it.
const COMMAND_DEADLINE: Millis = Millis::from_secs(30);

/// How often a drain may be tried. It reads before it changes, so another try is harmless, and a
/// login that failed once is no reason to ask the failure rules. It is not tried for longer: it
/// goes by a reading of its group that grows old meanwhile (law 1), and what it has begun is undone
/// when it fails, so that the instances that took it have the node back soon.
const COMMAND_ATTEMPTS: u32 = 3;

/// How often a front may be asked before the gate counts as failed, for the same reason.
const FRONT_ATTEMPTS: u32 = 3;

/// The pause between two readings of a guard that waits for capacity.
const GUARD_PAUSE: Millis = Millis::from_secs(2);

/// The most steps of a plan: what a step's number can hold. The last number stays free, so that a
/// count of steps fits where a number does.
const STEPS_MAX: u32 = u32::MAX;

/// The number after `taken` steps; none when all below `max` are taken.
fn next_number(taken: usize, max: u32) -> Option<StepNo> {
    u32::try_from(taken).ok().filter(|no| *no < max).map(StepNo)
}

/// A plan under construction.
pub(crate) struct Builder<'a> {
    pub(crate) input: &'a Input,
    pub(crate) render: &'a dyn Render,
    pub(crate) roster: &'a Roster<'a>,
    pub(crate) scope: Scope,
    pub(crate) captures: Captures,
    pub(crate) steps: Vec<PlannedStep>,
    pub(crate) refusals: Refusals,
    pub(crate) warnings: Vec<Warning>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(input: &'a Input, render: &'a dyn Render, roster: &'a Roster<'a>) -> Self {
        Self {
            input,
            render,
            roster,
            scope: scope::base(input, roster),
            captures: Captures::of(&input.procedure),
            steps: Vec::new(),
            refusals: Refusals::default(),
            warnings: Vec::new(),
        }
    }

    /// Everything rendered from here on is for this node (by index), or for the fleet.
    pub(crate) fn enter(&mut self, node: Option<usize>) {
        scope::enter(&mut self.scope, node, self.input, self.render, &mut self.refusals);
    }

    pub(crate) fn rendering<'b>(
        &'b mut self,
        subject: &'b Subject,
        stage: usize,
        at: String,
    ) -> Rendering<'b> {
        Rendering {
            render: self.render,
            scope: &self.scope,
            refusals: &mut self.refusals,
            captures: &self.captures,
            secrets: &self.input.procedure.secrets,
            subject,
            stage,
            at,
        }
    }

    /// Gives a step its number. `None`, and a refusal, when there is no number left.
    pub(crate) fn push(&mut self, mut step: PlannedStep) -> Option<StepNo> {
        let Some(no) = next_number(self.steps.len(), STEPS_MAX) else {
            self.refusals.push(Refusal::TooManySteps { max: STEPS_MAX });
            return None;
        };
        step.no = no;
        self.steps.push(step);
        Some(no)
    }

    pub(crate) fn set_undo(&mut self, no: StepNo, undo: Vec<StepNo>) {
        let step = usize::try_from(no.0).ok().and_then(|index| self.steps.get_mut(index));
        step.expect("the number was given by push").undo = undo;
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// The acts zdu adds around the steps of a node, in one phase.
pub(crate) struct Acts<'a> {
    pub(crate) input: &'a Input,
    pub(crate) node: &'a NodeName,
    pub(crate) phase: PhaseName,
}

impl Acts<'_> {
    pub(crate) fn guard(&self, group: &GroupName) -> PlannedStep {
        let deadline = self.input.policy.capacity_deadline;
        let max = deadline.0.div_ceil(GUARD_PAUSE.0).max(1);
        let contract = Contract {
            rules: Vec::new(),
            again: AgainLimit { pause: GUARD_PAUSE, max: u32::try_from(max).unwrap_or(u32::MAX) },
        };
        let work = Work::Guard { group: group.clone() };
        PlannedStep { contract, ..self.act("guard", work, Target::Controller, deadline) }
    }

    pub(crate) fn drain(&self) -> PlannedStep {
        let act = self.act("drain", Work::Drain, Target::Controller, COMMAND_DEADLINE);
        PlannedStep { attempts: COMMAND_ATTEMPTS, ..act }
    }

    pub(crate) fn certify(&self) -> PlannedStep {
        let target = Target::Node(self.node.clone());
        self.act("certify", Work::Certify, target, self.input.policy.drain_deadline)
    }

    pub(crate) fn ready(&self, probes: Vec<Probe>) -> PlannedStep {
        let target = Target::Node(self.node.clone());
        self.act("ready", Work::Ready(probes), target, self.input.policy.ready_deadline)
    }

    /// Nothing but the instance that does not answer mends a failure of this one: each takes it as
    /// soon as it can, and one that is silent is waited for as long as the operator says. In so
    /// many attempts, because the node proves itself ready again before each (law 3): a proof is no
    /// older than one attempt when an instance takes the node.
    pub(crate) fn undrain(&self) -> PlannedStep {
        let attempts = self.input.policy.capacity_deadline.0.div_ceil(COMMAND_DEADLINE.0);
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX).max(COMMAND_ATTEMPTS);
        let act = self.act("undrain", Work::Undrain, Target::Controller, COMMAND_DEADLINE);
        PlannedStep { attempts, ..act }
    }

    pub(crate) fn serving(&self) -> PlannedStep {
        let deadline = self.input.policy.serving_deadline;
        self.act("serving", Work::Serving, Target::Controller, deadline)
    }

    /// Behind the undrain of an undo. Nothing comes behind it that could still put the node back,
    /// so it waits for an instance that is silent as long as the undrain before it did.
    pub(crate) fn serving_again(&self) -> PlannedStep {
        let serving = self.serving();
        let deadline = serving.deadline.max(self.input.policy.capacity_deadline);
        PlannedStep { deadline, ..serving }
    }

    fn act(&self, key: &str, work: Work, target: Target, deadline: Millis) -> PlannedStep {
        let subject = Subject::Node(self.node.clone());
        own(key, self.phase.clone(), subject, target, work, deadline)
    }
}

/// The wait behind a wave.
pub(crate) fn soak(span: Millis, phase: PhaseName) -> PlannedStep {
    own("soak", phase, Subject::Fleet, Target::Controller, Work::Soak(span), span)
}

/// The question to where users come in.
pub(crate) fn front(front: &Front, phase: PhaseName) -> PlannedStep {
    let call = HttpCall { method: "GET".into(), url: front.http.clone(), ..HttpCall::default() };
    let probe = Probe {
        ask: Ask::Http(call),
        want: Want::default(),
        times: 1,
        every: Millis::from_secs(1),
    };
    let work = Work::Ready(vec![probe]);
    let step = own("front", phase, Subject::Fleet, Target::Controller, work, front.timeout);
    PlannedStep { attempts: FRONT_ATTEMPTS, ..step }
}

/// A step of our own: it reads before it changes, so an unknown ending is asked again.
fn own(
    key: &str,
    phase: PhaseName,
    subject: Subject,
    target: Target,
    work: Work,
    deadline: Millis,
) -> PlannedStep {
    PlannedStep {
        no: StepNo(0),
        key: StepKey::new(key).expect("our own names are valid"),
        phase,
        subject,
        target,
        work,
        contract: Contract::default(),
        deadline,
        takes: None,
        attempts: 1,
        needs_drain: false,
        unknown: Unknown::Rerun,
        capture: Vec::new(),
        undo: Vec::new(),
        rollback: RollbackClass::Instant,
        point_of_no_return: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_before_they_would_begin_again() {
        assert_eq!(next_number(0, 2), Some(StepNo(0)));
        assert_eq!(next_number(1, 2), Some(StepNo(1)));
        assert_eq!(next_number(2, 2), None);
        assert_eq!(next_number(usize::MAX, STEPS_MAX), None);
    }
}
