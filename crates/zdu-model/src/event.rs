//! Durable, numbered facts: what the journal keeps. `docs/decisions/0001-events-and-plan.md` has
//! the reasons; `docs/decisions/0003-journal.md` the bytes.

use crate::contract::Class;
use crate::fleet::Member;
use crate::front::FrontSeen;
use crate::ids::{
    Attempt, Digest, Epoch, FleetName, InstanceName, NodeName, ProcedureName, RolloutId, Seq,
    StepNo,
};
use crate::plan::Release;
use crate::policy::FailureAction;
use crate::report::Report;
use crate::time::{Millis, Timestamp};
use crate::verdict::Verdict;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// An event as the journal numbers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its position, from 1 without gaps.
    pub seq: Seq,
    /// When the controller decided it.
    pub at: Timestamp,
    /// The epoch of the controller that wrote it.
    pub epoch: Epoch,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The rollout exists. Always the first record.
    RolloutStarted {
        /// Its id.
        rollout: RolloutId,
        /// Digest of the plan it runs.
        plan: Digest,
        /// The fleet it holds the lease of.
        fleet: FleetName,
        /// The procedure.
        procedure: ProcedureName,
        /// The releases.
        release: Release,
        /// Who started it.
        by: String,
    },
    /// A controller took the lease and drives the rollout from here.
    ControllerStarted {
        /// Its epoch, higher than any before.
        epoch: Epoch,
        /// Who it is: user, host and process id.
        owner: String,
    },
    /// An attempt is about to begin; its effect is released when this is durable.
    StepStarted {
        /// The step.
        step: StepNo,
        /// Which attempt, from 1.
        attempt: Attempt,
    },
    /// An attempt ended.
    StepEnded {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
        /// What the ending is called.
        class: Class,
        /// What the driver said.
        report: Report,
    },
    /// An attempt was begun and nobody knows its end (law 6).
    StepUnknown {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
        /// Why.
        cause: String,
        /// How it is found out.
        how: Inquiry,
    },
    /// The step will be begun again.
    StepScheduled {
        /// The step.
        step: StepNo,
        /// Not before.
        at: Timestamp,
        /// Why.
        cause: ScheduleCause,
    },
    /// A failure rule decided.
    FailureDecided {
        /// The step that did not pass.
        step: StepNo,
        /// The index of the rule in the plan.
        rule: u32,
        /// What is done.
        action: FailureAction,
    },
    /// Compensation begins. The list is complete: what it holds is what will run.
    UnwindStarted {
        /// What is put back.
        scope: UnwindScope,
        /// The compensating steps, in the order they run.
        steps: Vec<StepNo>,
        /// Why.
        cause: String,
    },
    /// Compensation of the scope is complete.
    UnwindEnded {
        /// What was put back.
        scope: UnwindScope,
    },
    /// A compensation failed: the node is left as it is and a person must act.
    NodeStuck {
        /// The node; absent when the step belongs to no node.
        node: Option<NodeName>,
        /// The compensation that failed.
        step: StepNo,
        /// Why.
        reason: String,
    },
    /// A member was seen in traffic while it had to be out (a reload, another hand).
    Drifted {
        /// The node.
        node: NodeName,
        /// The instance.
        instance: InstanceName,
        /// The member.
        member: Member,
        /// What was seen, in the product's words.
        seen: String,
        /// Whether the drain was put back at once.
        reasserted: bool,
    },
    /// An instance stopped or began to answer while a node was out.
    InstanceChanged {
        /// The instance.
        instance: InstanceName,
        /// Whether it answers now.
        up: bool,
        /// What it said.
        reason: String,
    },
    /// The controller's whole process stood still (it was stopped, or its machine slept): nothing
    /// of what it watches was looked at meanwhile, so no certificate and no reading of a group
    /// stands any longer (laws 1 and 2).
    ControllerStoodStill {
        /// For how long.
        span: Millis,
    },
    /// What was seen of a front in a span of time.
    FrontSeen {
        /// Which front, as the fleet lists them, from 0.
        front: u32,
        /// What was seen.
        seen: Box<FrontSeen>,
    },
    /// A person, or a signal, asked for something.
    Requested {
        /// What.
        request: Request,
        /// Who.
        by: String,
        /// Why; may be empty.
        reason: String,
    },
    /// Nothing new is begun until a person says so.
    HoldStarted {
        /// Why.
        cause: HoldCause,
    },
    /// The rollout ended. More can follow only after a person's `resume` or `rollback`.
    RolloutEnded {
        /// How.
        verdict: Verdict,
    },
}

/// How an unknown outcome is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inquiry {
    /// From the record the supervisor keeps on the node.
    Recover,
    /// By the step's own probes.
    Observe,
}

/// Why a step will be begun again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleCause {
    /// Its contract asked for it.
    Again,
    /// It did not pass and may be tried again.
    Retry,
    /// It was found out that it never began.
    NeverBegan,
    /// A person resumed.
    Resumed,
    /// The drain certificate was lost and must be had again.
    Recertify,
    /// A drain's reading of the group is from another time and is had again before it.
    Reguard,
    /// A proof of readiness is from another time and is had again before the way back.
    Reprove,
}

/// What is put back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnwindScope {
    /// One node.
    Node(NodeName),
    /// Every node of the wave.
    Wave,
    /// Everything up to the last point of no return.
    Rollout,
    /// The nodes in flight, at an abort.
    InFlight,
}

/// What a person can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Finish the nodes in flight, begin no other, stand still.
    Hold,
    /// Go on; what failed is tried again.
    Resume,
    /// Put the nodes in flight back and end.
    Abort,
    /// Put everything back and end.
    Rollback,
    /// The step a person was asked for is done, or the point of no return may be crossed.
    Approve(StepNo),
}

/// Why nothing new is begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCause {
    /// A person asked.
    Person,
    /// A rule said so about this step.
    Rule(StepNo),
    /// Nobody knows whether this step happened and it may not be run again by guess.
    Unknown(StepNo),
    /// This step is a point of no return.
    PointOfNoReturn(StepNo),
}
