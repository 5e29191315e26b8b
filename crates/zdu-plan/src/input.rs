//! What a plan is made from.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use zdu_model::fleet::Fleet;
use zdu_model::ids::{Digest, NodeName, RoleName};
use zdu_model::plan::Release;
use zdu_model::policy::Policy;
use zdu_model::procedure::Procedure;
use zdu_model::report::InstanceReading;

/// What a plan is made from. The same input gives the same plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The fleet, as declared.
    pub fleet: Fleet,
    /// The procedure.
    pub procedure: Procedure,
    /// Digest of the procedure's canonical JSON; copied into the plan.
    pub procedure_digest: Digest,
    /// The operator's limits.
    pub policy: Policy,
    /// The releases.
    pub release: Release,
    /// The operator's variables, over the procedure's defaults and under those of a node.
    pub vars: BTreeMap<String, String>,
    /// The version of zdu; copied into the plan.
    pub tool: String,
    /// What preflight saw.
    pub observed: Observed,
}

/// What preflight saw. The default is a plan made offline: nothing was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Roles whose lookup held, by node.
    pub roles: BTreeMap<NodeName, BTreeSet<RoleName>>,
    /// Whether the lookups were made at all: an absent role then means that nobody has it.
    pub consulted: bool,
    /// Balancer instances as they were read; empty when they were not.
    pub readings: Vec<InstanceReading>,
    /// The release each node said it runs; a node that was not asked is absent.
    pub releases: BTreeMap<NodeName, String>,
    /// Releases that were rolled back and that nobody cleared since, with the reason (law 12).
    pub refused_releases: BTreeMap<String, String>,
}
