//! The operator's limits.

use crate::contract::Class;
use crate::ids::{PhaseName, SecretName, StageName};
use crate::time::Millis;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The operator's limits, with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Sizes of the waves of a rolling stage, in order; the last repeats.
    pub wave: Vec<WaveSize>,
    /// How many nodes of a wave may be under way at once, as far as capacity allows.
    pub concurrency: u32,
    /// How long a wave is watched before the next begins.
    pub soak: Millis,
    /// How long a drain may take.
    pub drain_deadline: Millis,
    /// What happens when it takes longer.
    pub on_drain_deadline: DrainExpiry,
    /// How the drain certificate is sampled.
    pub certify: CertifyPolicy,
    /// How long a node may take to prove that it is ready.
    pub ready_deadline: Millis,
    /// How long every balancer instance may take to show a node serving.
    pub serving_deadline: Millis,
    /// How long to wait for capacity, or for a balancer instance to be reachable again.
    pub capacity_deadline: Millis,
    /// How long to wait for a person before the controller leaves (the rollout stays held).
    pub hold_deadline: Millis,
    /// How long a node may be unreachable in the middle of a step before its outcome is unknown.
    pub reconnect_deadline: Millis,
    /// How many nodes may fail and be rolled back before the rollout stops.
    pub failures_allowed: u32,
    /// The operator's rules, tried before those of the procedure.
    pub on_failure: Vec<FailureRule>,
    /// Whether points of no return may be crossed without asking.
    pub cross_point_of_no_return: bool,
    /// Steps whose missing undo the operator accepts.
    pub accept_no_undo: Vec<String>,
    /// Where the values of secrets come from.
    pub secrets: BTreeMap<SecretName, SecretSource>,
}

/// The size of a wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaveSize {
    /// This many nodes.
    Count(u32),
    /// This share of the stage's nodes, rounded down, at least one.
    Percent(u8),
}

/// What happens when a drain's deadline passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainExpiry {
    /// The step fails; the rules decide.
    Fail,
    /// Go on and count what is left.
    Proceed,
    /// End the sessions, count them, certify again.
    Kill,
}

/// How the drain certificate is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifyPolicy {
    /// Consecutive samples in which every count must be zero.
    pub samples: u32,
    /// From the beginning of one sample to that of the next.
    pub interval: Millis,
}

/// Where the value of a secret comes from. The value itself is never in a file of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// An environment variable of the controller.
    Env(String),
    /// The first line of a file.
    File(String),
    /// The first line a command prints.
    Command(Vec<String>),
}

/// A rule for a step that did not pass. All conditions given must hold; the first fit decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureRule {
    /// The stage of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageName>,
    /// The phase of the step.
    pub phase: Option<PhaseName>,
    /// Any of these exit codes.
    pub exit: Vec<i32>,
    /// Any of these classes; empty means failed, timed out and unknown alike.
    pub class: Vec<Class>,
    /// A text the last lines of output contain.
    pub output: Option<String>,
    /// At least this many nodes have failed already (history).
    pub failed_nodes: Option<u32>,
    /// What is done.
    pub action: FailureAction,
}

/// What is done about a step that did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureAction {
    /// Run it again, at most this often in all.
    Retry {
        /// The most attempts.
        max: u32,
        /// The pause before the next.
        pause: Millis,
    },
    /// Put the node back to what it was; then stop, or go on within `failures_allowed`.
    RollbackNode,
    /// Put every node of the wave back.
    RollbackWave,
    /// Put everything back.
    RollbackRollout,
    /// Wait for a person.
    Hold,
    /// Count it as a warning and go on with the node.
    GoOn,
    /// Begin nothing more, leave everything as it is, end the rollout.
    Stop,
}
