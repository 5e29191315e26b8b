//! What the drivers say to whoever drives them.

use zdu_model::fleet::Member;
use zdu_model::front::FrontSeen;
use zdu_model::ids::{Attempt, InstanceName, NodeName, StepNo};
use zdu_model::report::Report;

/// A fact the engine must hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An effect was answered.
    Report {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
        /// What came of it.
        report: Report,
    },
    /// A member was in traffic while it had to be out.
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
    /// What was seen of a front in a span of time.
    FrontSeen {
        /// Which front, as the fleet lists them.
        front: u32,
        /// What was seen.
        seen: Box<FrontSeen>,
    },
    /// A balancer instance stopped or began to answer.
    InstanceChanged {
        /// The instance.
        instance: InstanceName,
        /// Whether it answers.
        up: bool,
        /// What it said.
        reason: String,
    },
}

/// What a step waits on right now. Droppable: the next one says it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub step: StepNo,
    /// What it waits on.
    pub on: String,
}
