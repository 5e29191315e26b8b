//! What the engine asks of the world.

use crate::ids::{Attempt, NodeName, StepNo};
use serde::{Deserialize, Serialize};

/// An effect. It is released only after the event that caused it is durable (law 5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Do the step's work.
    Run {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
    },
    /// A controller before us began this attempt and its end is not in the journal: find it out
    /// from the node's record, attaching to it when it still runs. Level-triggered work is done
    /// again in place of it.
    Recover {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
    },
    /// The record did not tell: ask the node by the step's `observe` probes. Answered with
    /// `Done`, `Never` or `Lost`.
    Observe {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
    },
    /// End the running attempt (abort, third party). Its own report still comes.
    Cancel {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
    },
    /// Hold the node out of traffic: watch every instance and re-assert the drain when one forgot
    /// it (a reload, another hand). Comes with a resume; `Drain` begins it otherwise.
    KeepOut {
        /// The node.
        node: NodeName,
    },
}
