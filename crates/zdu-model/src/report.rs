//! What a driver says about an effect it answered. Facts only: what they mean is decided by the
//! step's contract and the engine.

use crate::fleet::Member;
use crate::ids::{BalancerName, CaptureName, Digest, InstanceName, NodeName};
use crate::time::Millis;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The answer to one effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub end: End,
    /// Indexes of the contract's rules whose output conditions were found true.
    pub matched: Vec<u16>,
    /// The last lines of output, secrets masked; at most [`TAIL_LINES_MAX`].
    pub tail: Vec<String>,
    /// How much output there was, in bytes.
    pub output_bytes: u64,
    /// Values taken from the output.
    pub captured: Vec<Captured>,
    /// What was seen, for the kinds of work that are judged by more than an exit code.
    pub evidence: Evidence,
}

/// The most lines of output a report carries: what fits a screen; the node's log has all.
pub const TAIL_LINES_MAX: usize = 20;

impl Report {
    /// A report that holds only an ending.
    #[must_use]
    pub fn bare(end: End) -> Self {
        Self {
            end,
            matched: Vec::new(),
            tail: Vec::new(),
            output_bytes: 0,
            captured: Vec::new(),
            evidence: Evidence::None,
        }
    }

    /// A report with an ending and what was seen.
    #[must_use]
    pub fn with(end: End, evidence: Evidence) -> Self {
        Self { evidence, ..Self::bare(end) }
    }
}

/// How an effect ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// A command exited with this code.
    Exited(i32),
    /// A command was ended by this signal.
    Signaled(i32),
    /// An HTTP request was answered with this status.
    Http(u16),
    /// The work was done (drain, probe, upload, ...).
    Done,
    /// The work was tried and what it wanted did not become true; why.
    NotMet(String),
    /// What it wants is not true yet and nothing was changed; why. Asked again after a pause.
    Waiting(String),
    /// The deadline passed and what ran was ended.
    TimedOut,
    /// The node could not be reached within the deadline, so nobody knows; why.
    Unreachable(String),
    /// Nothing of it ran: the node, asked after a restart, has no record that it was ever begun; or
    /// it was withdrawn before the node was asked, because what it was released under (a drain
    /// certificate) was lost.
    Never,
    /// Asked after a restart: it was begun and its end was never recorded; why (reboot, killed).
    Lost(String),
    /// The node has seen a newer controller.
    EpochRefused {
        /// The newest epoch the node has seen.
        seen: u64,
    },
    /// We could not even try; why (a file that is missing here, a secret without a value).
    Refused(String),
}

/// A value captured from output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Its name.
    pub name: CaptureName,
    /// Digest of the value.
    pub digest: Digest,
    /// The value itself, unless it was declared secret.
    pub value: Option<String>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Nothing beyond the ending.
    None,
    /// What every balancer instance shows, read live. The journal keeps of a guard the members of
    /// its own node and those of others that did not serve.
    Balancers(Vec<InstanceReading>),
    /// A drain certificate, or the reason there is none.
    Drain(DrainEvidence),
    /// Which release the node said it runs.
    Version(String),
    /// A digest of a file that was written or saved.
    File(Digest),
}

/// One balancer instance, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReading {
    /// The balancer.
    pub balancer: BalancerName,
    /// Which of its instances.
    pub instance: InstanceName,
    /// Why it could not be read, when it could not.
    pub error: Option<String>,
    /// The members asked for, in the order asked.
    pub members: Vec<MemberReading>,
}

/// One member on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberReading {
    /// The node it belongs to.
    pub node: NodeName,
    /// Which member.
    pub member: Member,
    /// What it is.
    pub state: MemberState,
    /// How it is held by command, which is what an undo goes back to.
    pub held: Held,
    /// Sessions in progress; absent where the balancer cannot say.
    pub sessions: Option<u64>,
    /// Requests waiting for it; absent where the balancer cannot say.
    pub queued: Option<u64>,
    /// The weight in force and the configured one; absent where the balancer has none.
    pub weight: Option<(u32, u32)>,
    /// The product's own words, such as `UP 1/2` or `MAINT (via x/y)`.
    pub detail: String,
}

/// How a member is held by command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// In rotation.
    Ready,
    /// Drained.
    Drain,
    /// In maintenance.
    Maint,
}

/// What a member is, in one word for every driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Takes new requests and its check has passed (or there is none to pass).
    Serving,
    /// Configured to serve, but weight 0: it takes no new requests though it says it is up.
    ZeroWeight,
    /// Takes no new requests; existing ones go on.
    Draining,
    /// Taken out by hand or by us.
    Maintenance,
    /// Its check has failed, or has not passed often enough yet.
    Down,
    /// The balancer has no such member.
    Absent,
    /// The balancer's words were not understood.
    Unclear,
}

/// A drain certificate: the evidence that a node carries no traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainEvidence {
    /// The last sample of every instance.
    pub instances: Vec<InstanceReading>,
    /// Established connections on the node's service ports that are not idle ones of a balancer;
    /// absent when the node's sockets could not be read or it declares no port.
    pub node_connections: Option<u64>,
    /// Consecutive samples in which everything was at zero.
    pub quiet_samples: u32,
    /// How long it took.
    pub took: Millis,
    /// Sessions that were cut, by the policy for an expired deadline.
    pub cut: u64,
    /// Sessions that were left in place, by the policy for an expired deadline.
    pub left: u64,
}
