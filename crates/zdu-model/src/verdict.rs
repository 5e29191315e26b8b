//! How a rollout ended, and the documented exit codes.

use crate::ids::{NodeName, PhaseName};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every step of the plan passed.
    Succeeded,
    /// A step of this phase failed; what the rules said was done.
    Failed {
        /// The phase of the step that failed first.
        phase: PhaseName,
        /// The exit code that phase declares.
        exit: u8,
        /// Nodes that were put back to the old release.
        rolled_back: Vec<NodeName>,
    },
    /// The whole rollout was put back, because a person or a rule said so.
    RolledBack,
    /// A compensation failed: a person must act.
    Stuck {
        /// The nodes left as they are, out of traffic where they were out.
        nodes: Vec<NodeName>,
    },
    /// A person stopped it; nodes in flight were put back.
    Aborted,
    /// It stands still until a person resumes it.
    Held,
}

/// Exit codes of the `zdu` binary. 0 and 70 to 80 are those of the Axway source document; others
/// are as `sysexits.h` has them where it does not collide, or below 64.
pub mod exit {
    /// All is well.
    pub const SUCCESS: u8 = 0;
    /// The rollout stands still and waits for a person: `zdu resume`.
    pub const HELD: u8 = 10;
    /// A person aborted the rollout.
    pub const ABORTED: u8 = 11;
    /// Another controller holds the lease.
    pub const LEASE_HELD: u8 = 12;
    /// This controller lost the lease and stopped, or nodes have seen a newer one.
    pub const LEASE_LOST: u8 = 13;
    /// The journal cannot be written (disk full, permissions); nothing more was begun.
    pub const JOURNAL_UNWRITABLE: u8 = 14;
    /// The plan is refused because it cannot be safe.
    pub const PLAN_REFUSED: u8 = 15;
    /// The whole rollout was rolled back.
    pub const ROLLED_BACK: u8 = 16;
    /// Left at once on the third Ctrl-C; the rollout can be resumed.
    pub const INTERRUPTED: u8 = 17;
    /// A rehearsal found a failure that leaves a node stuck or loses requests.
    pub const REHEARSAL_FOUND: u8 = 18;
    /// The command line is wrong (`EX_USAGE`).
    pub const USAGE: u8 = 64;
    /// Data is damaged or altered: journal, plan file (`EX_DATAERR`).
    pub const DATA: u8 = 65;
    /// A file that was named is not there (`EX_NOINPUT`).
    pub const NO_INPUT: u8 = 66;
    /// Preflight found the fleet not fit (`EX_UNAVAILABLE`).
    pub const UNAVAILABLE: u8 = 69;
    /// `EXPORT_FAILED`.
    pub const EXPORT_FAILED: u8 = 70;
    /// `UPGRADE_FAILED`.
    pub const UPGRADE_FAILED: u8 = 71;
    /// `PRE_APPLY_FAILED`.
    pub const PRE_APPLY_FAILED: u8 = 72;
    /// `APPLY_FAILED`.
    pub const APPLY_FAILED: u8 = 73;
    /// `POST_APPLY_FAILED`.
    pub const POST_APPLY_FAILED: u8 = 74;
    /// `ROLLBACK_FAILED`: a node is stuck.
    pub const ROLLBACK_FAILED: u8 = 75;
    /// The configuration is wrong (`EX_CONFIG`).
    pub const CONFIG: u8 = 78;
    /// `FATAL_ERROR`: zdu could not do its own job.
    pub const FATAL_ERROR: u8 = 80;
}

impl Verdict {
    /// The process exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Succeeded => exit::SUCCESS,
            Self::Failed { exit, .. } => *exit,
            Self::RolledBack => exit::ROLLED_BACK,
            Self::Stuck { .. } => exit::ROLLBACK_FAILED,
            Self::Aborted => exit::ABORTED,
            Self::Held => exit::HELD,
        }
    }
}
