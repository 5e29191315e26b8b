//! What happened besides the steps: the lists a report is written from.

use crate::node::Stuck;
use zdu_model::contract::Class;
use zdu_model::event::{HoldCause, Inquiry, Request, ScheduleCause, UnwindScope};
use zdu_model::ids::{
    Attempt, Digest, Epoch, FleetName, InstanceName, ProcedureName, RolloutId, StepNo,
};
use zdu_model::plan::Release;
use zdu_model::policy::FailureAction;
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

/// What happened besides the steps, each list oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The first record.
    pub opening: Option<Opening>,
    /// The controllers that drove it.
    pub controllers: Vec<ControllerView>,
    /// Attempts whose end nobody knew.
    pub unknowns: Vec<UnknownView>,
    /// Steps that were to be begun again.
    pub schedules: Vec<ScheduleView>,
    /// What failure rules decided.
    pub decisions: Vec<DecisionView>,
    /// Compensations.
    pub unwinds: Vec<UnwindView>,
    /// What persons asked for.
    pub requests: Vec<RequestView>,
    /// Holds.
    pub holds: Vec<HoldView>,
    /// Instances that stopped or began to answer.
    pub instances: Vec<InstanceView>,
    /// When the controller's whole process stood still.
    pub stood_still: Vec<StillView>,
    /// Compensations of no node that failed.
    pub stuck: Vec<Stuck>,
    /// Every ending; more than one when a person reopened the rollout.
    pub endings: Vec<EndingView>,
}

/// How a rollout began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// When.
    pub at: Timestamp,
    /// Its id.
    pub rollout: RolloutId,
    /// Digest of the plan it runs.
    pub plan: Digest,
    /// The fleet.
    pub fleet: FleetName,
    /// The procedure.
    pub procedure: ProcedureName,
    /// The releases.
    pub release: Release,
    /// Who started it.
    pub by: String,
}

/// A controller that drove the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerView {
    /// Since when.
    pub at: Timestamp,
    /// Its epoch.
    pub epoch: Epoch,
    /// Who it is.
    pub owner: String,
}

/// An attempt whose end nobody knew, and how that was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownView {
    /// When it was noticed.
    pub at: Timestamp,
    /// The step.
    pub step: StepNo,
    /// The attempt.
    pub attempt: Attempt,
    /// Why nobody knew.
    pub cause: String,
    /// How it is found out.
    pub how: Inquiry,
    /// When it was answered and by what ending.
    pub resolved: Option<(Timestamp, Class)>,
}

/// A step that was to be begun again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleView {
    /// When that was decided.
    pub decided: Timestamp,
    /// The step.
    pub step: StepNo,
    /// Not before.
    pub at: Timestamp,
    /// Why.
    pub cause: ScheduleCause,
}

/// What a failure rule decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionView {
    /// When.
    pub at: Timestamp,
    /// The step that did not pass.
    pub step: StepNo,
    /// Index of the rule in the plan.
    pub rule: u32,
    /// What is done.
    pub action: FailureAction,
}

/// A compensation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnwindView {
    /// When it began.
    pub started: Timestamp,
    /// What is put back.
    pub scope: UnwindScope,
    /// The steps, in the order they run.
    pub steps: Vec<StepNo>,
    /// Why.
    pub cause: String,
    /// When it was complete.
    pub ended: Option<Timestamp>,
}

/// What a person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestView {
    /// When.
    pub at: Timestamp,
    /// What.
    pub request: Request,
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldView {
    /// When it began.
    pub since: Timestamp,
    /// Why.
    pub cause: HoldCause,
    /// When a person ended it.
    pub ended: Option<Timestamp>,
}

/// An instance that stopped or began to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub instance: InstanceName,
    /// Whether it answers now.
    pub up: bool,
    /// What it said.
    pub reason: String,
}

/// A time in which the controller's whole process stood still and watched nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillView {
    /// When it went on.
    pub at: Timestamp,
    /// How long it had stood still.
    pub span: Millis,
}

/// An ending of the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingView {
    /// When.
    pub at: Timestamp,
    /// How.
    pub verdict: Verdict,
    /// When a person reopened the rollout.
    pub reopened: Option<Timestamp>,
}

impl HoldView {
    /// The step the hold is about, when it is about one.
    #[must_use]
    pub fn step(&self) -> Option<StepNo> {
        match &self.cause {
            HoldCause::Person => None,
            HoldCause::Rule(step) | HoldCause::Unknown(step) | HoldCause::PointOfNoReturn(step) => {
                Some(*step)
            }
        }
    }
}
