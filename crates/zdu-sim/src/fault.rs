//! What can go wrong, as data: a fault names when it comes and what it is, so that a run that broke
//! a law can be written down, shrunk and read.

use zdu_conductor::STILLNESS;
use zdu_model::event::Request;
use zdu_model::ids::{InstanceName, NodeName, StepNo};
use zdu_model::report::Held;
use zdu_model::time::Millis;

/// A fault: it comes once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub when: When,
    /// What.
    pub what: What,
}

/// When a fault comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// When the work of this step begins in the world for the `nth` time, counted from 1.
    Step {
        /// The step.
        step: StepNo,
        /// Which beginning.
        nth: u32,
    },
    /// So long after the start of the rollout.
    At(Millis),
    /// While the journal line that holds this record is being written.
    Record(u64),
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Work of the step.
    Work(Work),
    /// A node, for a while.
    Node(NodeName, NodeTrouble, Millis),
    /// A balancer instance.
    Balancer(InstanceName, BalancerTrouble),
    /// The controller.
    Controller(ControllerTrouble),
    /// The disk of the journal.
    Disk(DiskTrouble),
    /// A person asks for something; a request is no fault, but comes like one.
    Person(Ask),
}

impl What {
    /// Whether the controller stands still for so long that nothing it read stands any longer.
    pub(crate) fn stills(&self) -> bool {
        matches!(self, Self::Controller(ControllerTrouble::Paused(span)) if *span >= STILLNESS)
    }
}

/// How the work of a step goes wrong; only with [`When::Step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It ends with this code and has changed nothing.
    Fails(i32),
    /// It ends with this code and has done half of it.
    Half(i32),
    /// It never ends by itself.
    Hangs,
    /// It takes so many times as long.
    Slow(u32),
    /// It does all of it, and its supervisor is killed before the end is written down.
    Silent,
    /// It does all of it and its end is never what it should be: a probe that does not hold, a
    /// command that reports failure.
    Unproved,
}

/// What happens to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeTrouble {
    /// It reboots: what runs is lost, and it is away so long.
    Reboots,
    /// Its service is down; commands still run.
    Sick,
    /// The same, and every balancer instance has found out already.
    KnownSick,
    /// Nothing reaches it by SSH; its traffic goes on.
    Cut,
    /// Requests on it last so long when it is taken out.
    Lingers,
}

/// What happens to a balancer instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BalancerTrouble {
    /// A reload; state set by command is forgotten unless a state file keeps it.
    Reload {
        /// Whether a state file keeps it.
        keeps: bool,
    },
    /// It is down for so long.
    Stopped(Millis),
    /// Its runtime interface refuses commands for so long; traffic flows.
    Refuses(Millis),
    /// It carries the next change out and its reply is lost.
    LosesReply,
    /// Another hand sets a node's members.
    OtherHand(NodeName, Held),
}

/// What happens to the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControllerTrouble {
    /// Killed, and started again by somebody after so long.
    Killed(Millis),
    /// Stands still for so long, and goes on as if nothing had been.
    Paused(Millis),
    /// Another is started and takes the lease by force.
    Second,
}

/// What happens to the journal's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskTrouble {
    /// Full for so long.
    Full(Millis),
    /// A sync fails; the line may be there.
    SyncFails,
    /// The controller dies in the middle of the line.
    Torn,
}

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Exactly this.
    For(Request),
    /// Yes to whatever a person is asked about at that moment.
    ApproveWhatIsAsked,
}
