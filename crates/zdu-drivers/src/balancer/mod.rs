//! Balancers: taking a member out of traffic, proving that it carries none, bringing it back.
//!
//! Start reading at [`member`]: it holds the trait that every driver answers and the operations
//! over all instances of a balancer. [`certify`] is the drain certificate, [`serve`] the way back,
//! [`keeper`] holds a drain against reloads. [`haproxy`] and [`hook`] are drivers.
//!
//! # The rules, and why
//!
//! *Measured* means read on HAProxy 2.6.12; *source* means HAProxy's management guide or code.
//!
//! 1. **Every instance is its own balancer.** Runtime state is per process: a drain on one of two
//!    HAProxies is undone by the next VIP move. Every operation goes to all instances, and the
//!    answer is per instance; an instance that cannot be read is data, never a guess.
//! 2. **Drain, not maintenance.** In drain the health checks go on, so the way back is
//!    DOWN, `DOWN 1/2`, UP with no traffic before the checks passed. Leaving maintenance makes a
//!    server `UP 1/2` at once with its stale check result and gives it traffic (measured: 12
//!    redispatches from a dead server).
//! 3. **Undo by the mirror of what was done.** `state ready` clears forced drain and forced
//!    maintenance, never a weight (source). What was found is kept in a [`Before`], and the undo
//!    goes back to exactly that: a member that was drained or in maintenance before stays so; a
//!    weight is written only where it differs from what was found. A member found `UP` at weight 0
//!    was drained by weight by somebody: it is reported ([`Finding::ZeroWeight`]), not repaired.
//! 4. **Look, record, then act.** [`member::look_all`] gives the [`Before`]s without a change, so
//!    that a caller can make them durable before [`member::hold_all`]. After a crash between the
//!    drain and its record a second look would find "drained before us" and never undo it.
//! 5. **Read the administrative bits, not the status.** A drained server whose process is stopped
//!    reads `DOWN`, not `DRAIN` (measured). Forced drain is bit 0x08.
//! 6. **Drained means no session, no queue, and no unexplained socket.** `scur` and `qcur` are zero
//!    on every instance in k samples in a row from the same process. The node's own sockets must
//!    agree; see [`certify::SocketRule`] for what a leftover connection may be.
//! 7. **A reload forgets** (measured: DRAIN to UP), and its old worker keeps requests that no
//!    counter of the new process shows (measured: `scur` 0 with a request running). So each reading
//!    names its process ([`Identity`]), a change of process restarts the count of clean samples,
//!    and the [`keeper`] drains again.
//! 8. **Serving is exactly `UP`**: not `UP 1/2`, with a passed check, no administrative bit, the
//!    weight as found. A member without a check can only be reported as such.
//! 9. **One line, one connection, one process.** During a reload any process may pick up a
//!    connection; commands joined by `;` are executed by one of them, and each line begins with
//!    `show info`, which names it. It also tells HAProxy from anything else that listens there.
//! 10. **Replies are text.** Success of a change is an empty line; all else is an error that keeps
//!     HAProxy's sentence.
//!
//! # What is not covered
//!
//! * A node's other doors: a backend that is not among the members given still pools connections to
//!   the node and checks it (seen in the tests here). Such connections are unexplained, so give
//!   *all* members of a node to one certification.
//! * A command written to a balancer that hangs may be executed after its deadline, when the
//!   process wakes up. Every change is followed by a reading, and [`serve::wait_serving`] names a
//!   member that is drained again.
//! * HAProxy does not say when a check last ran. With a check interval longer than the node's
//!   restart, `UP L7OK` can be older than the restart: readiness is proved on the node first.
//! * Persistence (cookies, stick tables) sends known clients to a drained server, so the drain may
//!   never end; the deadline's policy then decides ([`certify::kill_sessions`]).

use std::fmt;
use std::future::Future;
use std::pin::Pin;

pub mod certify;
pub mod haproxy;
pub mod hook;
pub mod keeper;
pub mod member;
#[cfg(test)]
pub(crate) mod scripted;
pub mod serve;

/// A boxed future: what lets drivers of different kinds stand in one list.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One entry in a balancer: a server of a backend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct MemberName {
    /// Backend, pool or upstream.
    pub backend: String,
    /// Server in it.
    pub server: String,
}

impl MemberName {
    /// `backend/server`.
    #[must_use]
    pub fn new(backend: impl Into<String>, server: impl Into<String>) -> Self {
        Self { backend: backend.into(), server: server.into() }
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.backend, self.server)
    }
}

/// The process that answered.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// When it started, seconds since 1970.
    pub started_unix_s: u64,
    /// Version text.
    pub version: String,
}

impl Identity {
    /// Whether two readings come from one process. In a container the pid alone is often the same
    /// after a restart; the start time alone can be computed from an uptime in whole seconds, so a
    /// difference of up to two seconds is rounding.
    #[must_use]
    pub fn same_process(&self, other: &Self) -> bool {
        self.pid == other.pid && self.started_unix_s.abs_diff(other.started_unix_s) <= 2
    }
}

/// How a member was held out, or not, by somebody's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// In rotation.
    Ready,
    /// Drained.
    Drain,
    /// In maintenance.
    Maint,
}

/// A weight as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FoundWeight {
    /// The weight in force, 0 to 256.
    pub current: u32,
    /// The weight of the balancer's configuration.
    pub initial: u32,
}

/// Something about a member, as found, that an operator should know. Never changed by a driver.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It was drained before we came and stays so.
    AlreadyDrained,
    /// It was in maintenance before we came and stays so.
    AlreadyInMaintenance,
    /// In rotation by state, but at weight 0: somebody drained it by weight.
    ZeroWeight,
    /// Out because the server it tracks is out, or its name does not resolve; bits as reported.
    OutByInheritance(u32),
    /// It was not serving for another reason: the balancer's status text.
    NotServing(String),
}

/// One member on one instance as it was before we touched it. Keep it durable before acting.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Before {
    /// Name of the instance.
    pub instance: String,
    /// The member.
    pub member: MemberName,
    /// Forced state as it was.
    pub hold: Hold,
    /// Weight as it was, where the balancer has weights.
    pub weight: Option<FoundWeight>,
    /// The process that said so.
    pub identity: Option<Identity>,
    /// What an operator should know.
    pub findings: Vec<Finding>,
}

impl Before {
    /// How the member is to be held while it is out: maintenance stays maintenance, because
    /// `state drain` would end it and start the checks again.
    #[must_use]
    pub fn hold_while_out(&self) -> Hold {
        match self.hold {
            Hold::Ready | Hold::Drain => Hold::Drain,
            Hold::Maint => Hold::Maint,
        }
    }
}

/// What an undo changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Undone {
    /// Name of the instance.
    pub instance: String,
    /// The member.
    pub member: MemberName,
    /// The forced state it was brought to, if it was not there already.
    pub state_set: Option<Hold>,
    /// The weight found now and the one written, if they differed.
    pub weight_set: Option<(u32, u32)>,
    /// The forced state afterwards.
    pub now: Hold,
}

/// Sessions cut by force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cut {
    /// Name of the instance.
    pub instance: String,
    /// The member.
    pub member: MemberName,
    /// Live sessions in the same process right before the cut.
    pub sessions: u64,
}

/// Why an instance could not do or say what was asked. Data for reports: clonable, serialisable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceError {
    /// No connection: nothing listens, no such socket, no route.
    #[error("{endpoint} cannot be reached: {detail}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// The system's sentence.
        detail: String,
    },
    /// No whole answer within the command's deadline. Whether a change was executed is not known.
    #[error("{endpoint} did not answer within {after_ms} ms")]
    TimedOut {
        /// Where.
        endpoint: String,
        /// The deadline, milliseconds.
        after_ms: u64,
    },
    /// The connection broke or the answer was beyond all measure.
    #[error("connection to {endpoint} failed: {detail}")]
    Connection {
        /// Where.
        endpoint: String,
        /// The system's sentence.
        detail: String,
    },
    /// HAProxy refused, or what answered is not HAProxy.
    #[error("{0}")]
    Reply(haproxy::reply::ReplyError),
    /// A user's command failed or printed what is no state.
    #[error("{0}")]
    Hook(hook::HookError),
    /// A name that cannot be sent.
    #[error("{0}")]
    Name(String),
    /// It could not be read before a change, so the change was not sent; why.
    #[error("{0}")]
    Unread(Box<InstanceError>),
    /// The change was accepted, and a reading right after it shows another state.
    #[error("{member} is {seen:?} right after it was set to {wanted:?}")]
    NotTaken {
        /// The member.
        member: MemberName,
        /// What was asked.
        wanted: Hold,
        /// What was read.
        seen: Hold,
    },
}
