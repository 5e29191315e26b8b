//! The plan: immutable and total. Every step that may ever run, forward or back, is in it with a
//! number; execution chooses only to proceed, to hold or to roll back.

use crate::contract::Contract;
use crate::fleet::Fleet;
use crate::ids::{
    CaptureName, Digest, GroupName, NodeName, PhaseName, ProcedureName, SecretName, StageName,
    StepKey, StepNo,
};
use crate::policy::{FailureRule, Policy};
use crate::procedure::{Capture, Comparison, GoesBack, Over, Phase, RollbackClass};
use crate::text::Text;
use crate::time::Millis;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The plan format this build writes and reads.
pub const PLAN_FORMAT: u32 = 1;

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_FORMAT`] when it was made.
    pub format: u32,
    /// The version of zdu that made it.
    pub tool: String,
    /// The fleet as it was declared, with roles found at preflight filled in.
    pub fleet: Fleet,
    /// The procedure it was made from.
    pub procedure: ProcedureName,
    /// Digest of the procedure's canonical JSON.
    pub procedure_digest: Digest,
    /// The releases.
    pub release: Release,
    /// The operator's limits.
    pub policy: Policy,
    /// The columns of a node's life, in order.
    pub phases: Vec<Phase>,
    /// The phase compensations are shown in.
    pub rollback_phase: PhaseName,
    /// The stages, in order.
    pub stages: Vec<PlannedStage>,
    /// Every step; a step's number is its index.
    pub steps: Vec<PlannedStep>,
    /// Failure rules in the order they are tried: the operator's, the procedure's, and last the
    /// rule that always fits.
    pub rules: Vec<FailureRule>,
}

/// From which release to which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The release the nodes run now.
    pub from: String,
    /// The release they shall run.
    pub to: String,
}

/// A stage of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStage {
    /// Its name.
    pub name: StageName,
    /// Its way of going over the fleet.
    pub over: Over,
    /// When a finished lane of it is put back. Plans from before it was there have the default.
    #[serde(default, skip_serializing_if = "GoesBack::is_default")]
    pub goes_back: GoesBack,
    /// Its waves, in order; `once` and `nodes` stages have one.
    pub waves: Vec<Wave>,
}

/// Nodes changed together, and the gate behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// The lanes, in the order they are begun.
    pub lanes: Vec<Lane>,
    /// The most lanes under way at once.
    pub parallel: u32,
    /// Steps run one after another when every lane has ended: soak, front probes.
    pub gate: Vec<StepNo>,
}

/// Steps that run one after another for one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The subject.
    pub subject: Subject,
    /// Its forward steps, in order.
    pub steps: Vec<StepNo>,
}

/// What a lane or a step is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The fleet as a whole.
    Fleet,
    /// One node.
    Node(NodeName),
}

impl Subject {
    /// The node, when it is one.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Fleet => None,
            Self::Node(node) => Some(node),
        }
    }
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its number: its index in [`Plan::steps`].
    pub no: StepNo,
    /// What the procedure calls it; the acts zdu adds are called `guard`, `drain`, `certify`,
    /// `ready`, `undrain`, `serving`, `soak` and `front`.
    pub key: StepKey,
    /// The phase it is shown in.
    pub phase: PhaseName,
    /// What it is about.
    pub subject: Subject,
    /// Where it runs.
    pub target: Target,
    /// What it does.
    pub work: Work,
    /// What its ending means.
    pub contract: Contract,
    /// How long one attempt may take.
    pub deadline: Millis,
    /// How long one attempt usually takes, where its author says so. Nothing is decided by it: it
    /// is for forecasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<Millis>,
    /// How often it may be tried in all, before failure rules are asked.
    pub attempts: u32,
    /// Whether its node must hold a drain certificate while it runs (law 2).
    pub needs_drain: bool,
    /// What is done when nobody knows whether it happened.
    pub unknown: Unknown,
    /// Values taken from its output.
    pub capture: Vec<Capture>,
    /// The steps that undo it, in the order they run.
    pub undo: Vec<StepNo>,
    /// How it is undone.
    pub rollback: RollbackClass,
    /// Whether nothing up to and including it can be undone once it was begun.
    pub point_of_no_return: bool,
}

/// Where a step runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// On the controller.
    Controller,
    /// On this node.
    Node(NodeName),
}

/// What a planned step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Reads every member of the group on every instance. The engine compares what serves with
    /// `min_available` (law 1); the reading is also what the undrain mirrors.
    Guard {
        /// The group whose capacity counts.
        group: GroupName,
    },
    /// Takes every member of the node out of new traffic, on every instance, and keeps it out.
    Drain,
    /// Waits for the drain certificate (law 2).
    Certify,
    /// Proves readiness directly on the node (law 3).
    Ready(Vec<Probe>),
    /// Puts the node's members back to what the guard's reading said they were.
    Undrain,
    /// Waits until every instance shows every member of the node serving.
    Serving,
    /// Watches for this long. The engine's own; no driver is asked.
    Soak(Millis),
    /// A command, under the supervisor.
    Run(Run),
    /// An HTTP request from the controller.
    Http(HttpCall),
    /// A file from the controller to the node.
    Upload {
        /// The file on the controller.
        from: String,
        /// The path on the node.
        to: String,
        /// Permission bits.
        mode: u32,
    },
    /// A verified copy of a file on the node.
    Backup {
        /// The file.
        path: String,
        /// Where the copy goes.
        to: String,
    },
    /// Waits until the probe holds.
    Wait(Probe),
    /// A person does it. The engine's own; no driver is asked.
    Manual {
        /// What to do.
        instruction: String,
    },
}

impl Work {
    /// Whether asking again after a lost answer is harmless, because the work reads first and
    /// only then makes true what is not true yet.
    #[must_use]
    pub fn is_level_triggered(&self) -> bool {
        match self {
            Self::Guard { .. }
            | Self::Drain
            | Self::Certify
            | Self::Ready(_)
            | Self::Undrain
            | Self::Serving
            | Self::Soak(_)
            | Self::Upload { .. }
            | Self::Backup { .. }
            | Self::Wait(_)
            | Self::Manual { .. } => true,
            Self::Run(_) | Self::Http(_) => false,
        }
    }

    /// Whether it changes something that users could feel; the others look and wait.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Http(_)
            | Self::Drain
            | Self::Undrain
            | Self::Upload { .. }
            | Self::Backup { .. }
            | Self::Manual { .. } => true,
            Self::Guard { .. }
            | Self::Certify
            | Self::Ready(_)
            | Self::Serving
            | Self::Soak(_)
            | Self::Wait(_) => false,
        }
    }
}

/// A command, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Program and arguments, or one script when `shell`.
    pub argv: Vec<Text>,
    /// Whether the one entry is a script for `/bin/sh`.
    pub shell: bool,
    /// Working directory.
    pub cwd: Option<Text>,
    /// Environment.
    pub env: BTreeMap<String, Text>,
    /// Standard input; may name secrets.
    pub stdin: Option<Text>,
    /// The user it runs as.
    pub user: Option<String>,
}

/// An HTTP request, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HttpCall {
    /// Method.
    pub method: String,
    /// URL; never holds a secret.
    pub url: String,
    /// Headers.
    pub headers: BTreeMap<String, Text>,
    /// Body.
    pub body: Option<Text>,
    /// User name and the secret that is the password.
    pub basic: Option<(String, SecretName)>,
    /// A PEM file with the authority to trust.
    pub ca_file: Option<String>,
    /// Authorities in PEM to trust beside those of `ca_file`; may be a captured value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Text>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// One measurement, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub ask: Ask,
    /// What must be true of the answer.
    pub want: Want,
    /// Consecutive times it must hold.
    pub times: u32,
    /// The pause between two askings.
    pub every: Millis,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// An HTTP request from the controller.
    Http(HttpCall),
    /// A TCP connection from the controller to `host:port`.
    Tcp(String),
    /// A command on the step's target, not supervised: it must change nothing.
    Run(Run),
}

/// What must be true of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Want {
    /// Any of these exit codes.
    pub exit: Vec<i32>,
    /// Any of these HTTP statuses.
    pub status: Vec<u16>,
    /// A text the body or output contains.
    pub contains: Option<String>,
    /// A regular expression the body or output matches.
    pub matches: Option<String>,
    /// Values in the body or output read as JSON: pointer, comparison, value.
    pub json: Vec<(String, Comparison, String)>,
}

/// What is done when nobody knows whether a step happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Wait for a person.
    Hold,
    /// Run it again.
    Rerun,
    /// Ask the node.
    Observe {
        /// It happened when this holds.
        done: Box<Probe>,
        /// It certainly did not happen when this holds; then it is run again.
        not_done: Option<Box<Probe>>,
    },
}

impl PlannedStep {
    /// Whether it may still begin on what it was decided by: what needs a drained node as long as
    /// that drain is `settled`, a drain behind its reading of the group and the way back behind the
    /// proof of readiness as long as the controller `watched`; or not at all (laws 1 to 3).
    #[must_use]
    pub fn may_begin(&self, watched: bool, settled: bool) -> bool {
        if matches!(self.work, Work::Drain | Work::Undrain) {
            return watched;
        }
        !self.needs_drain || settled
    }
}

impl Plan {
    /// The step with that number.
    ///
    /// # Panics
    /// When the number is not of this plan: numbers only come from the plan itself, and a journal
    /// is checked against the plan's digest before it is read.
    #[must_use]
    pub fn step(&self, no: StepNo) -> &PlannedStep {
        let index = usize::try_from(no.0).unwrap_or(usize::MAX);
        match self.steps.get(index) {
            Some(step) => step,
            None => panic!("step {no} is not in a plan of {} steps", self.steps.len()),
        }
    }

    /// The exit code a phase declares; 80 for a phase that declares none.
    #[must_use]
    pub fn phase_exit(&self, name: &PhaseName) -> u8 {
        self.phases
            .iter()
            .find(|phase| phase.name == *name)
            .map_or(crate::verdict::exit::FATAL_ERROR, |phase| phase.exit)
    }

    /// The steps that compensate others; every other step goes forward.
    #[must_use]
    pub fn undo_steps(&self) -> BTreeSet<StepNo> {
        self.steps.iter().flat_map(|step| step.undo.iter().copied()).collect()
    }

    /// The values some step captures.
    #[must_use]
    pub fn captures(&self) -> BTreeSet<&CaptureName> {
        self.steps.iter().flat_map(|step| &step.capture).map(|capture| &capture.name).collect()
    }
}
