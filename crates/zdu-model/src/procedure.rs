//! What an upgrade does, as data. `docs/decisions/0002-procedure-format.md` has the reasons and a
//! worked sketch for each of the four systems the format was designed against.

use crate::contract::Contract;
use crate::ids::{
    CaptureName, PhaseName, ProcedureName, RoleName, SecretName, StageName, StepKey, VarName,
};
use crate::policy::FailureRule;
use crate::text::Template;
use crate::time::Millis;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Procedure {
    /// Its name.
    pub name: ProcedureName,
    /// One sentence.
    pub summary: String,
    /// The document its facts come from.
    pub source: String,
    /// The columns of a node's life, in order, with the exit code of a failure in each.
    pub phases: Vec<Phase>,
    /// The phase compensations are shown in.
    pub rollback_phase: PhaseName,
    /// Variables.
    pub vars: BTreeMap<VarName, VarDecl>,
    /// Secrets, by the reason each is needed.
    pub secrets: BTreeMap<SecretName, String>,
    /// Roles the procedure orders by.
    pub roles: BTreeMap<RoleName, RoleDecl>,
    /// Checks made before the plan, on every node, that change nothing.
    pub preflight: Vec<Check>,
    /// The stages, in order; a barrier stands between them.
    pub stages: Vec<Stage>,
    /// What is done about failures, after the operator's own rules.
    pub on_failure: Vec<FailureRule>,
}

/// A phase and the exit code of a failure in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its name.
    pub name: PhaseName,
    /// The exit code.
    pub exit: u8,
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VarDecl {
    /// What it is for.
    pub help: String,
    /// What its value must be.
    pub kind: VarKind,
    /// Its value when nobody gives one; may itself be a template. Absent: it must be given.
    pub default: Option<Template>,
}

/// What the value of a variable must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VarKind {
    /// Any text.
    #[default]
    Text,
    /// A span of time, such as `30s`. Only these may be used in a deadline.
    Span,
}

/// A role and how its bearer is found when it is not declared on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleDecl {
    /// What it means.
    pub help: String,
    /// A probe run on every node at preflight; nodes where it holds have the role.
    pub lookup: Option<ProbeTemplate>,
    /// Only nodes with this role are asked.
    pub among: Option<RoleName>,
    /// How many nodes must have it.
    pub exactly: Option<u32>,
}

/// A check that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What must be true, as a sentence.
    pub name: String,
    /// How it is asked.
    pub probe: ProbeTemplate,
    /// What to do when it is not true.
    pub hint: String,
}

/// A part of a procedure with one way of going over the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its name.
    pub name: StageName,
    /// The way.
    pub over: Over,
    /// Only nodes with one of these roles; empty means all.
    pub only: Vec<RoleName>,
    /// Nodes with the first role go first, then those with the second, then the rest.
    pub first: Vec<RoleName>,
    /// Nodes with one of these roles go last.
    pub last: Vec<RoleName>,
    /// The most nodes under way at once; absent: all (`nodes`), or the policy's (`rolling`).
    pub parallel: Option<u32>,
    /// The phase the drain is shown in (`rolling`).
    pub drain_phase: Option<PhaseName>,
    /// The phase readiness, undrain and soak are shown in (`rolling`).
    pub return_phase: Option<PhaseName>,
    /// When what it did is put back. Not in the digest of a procedure that does not say it.
    #[serde(default, skip_serializing_if = "GoesBack::is_default")]
    pub goes_back: GoesBack,
    /// Readiness of the new release, proved directly on the node (`rolling`).
    pub ready: Vec<ProbeTemplate>,
    /// Readiness of the old release, proved before a rolled-back node returns (`rolling`).
    pub ready_old: Vec<ProbeTemplate>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// A stage's way of going over the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Once, on the controller or on the node a step names by role.
    Once,
    /// Every node, in parallel, while it serves.
    Nodes,
    /// Wave by wave, each node drained while its steps run.
    Rolling,
}

/// When a finished lane of a stage is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoesBack {
    /// Whenever its node is.
    #[default]
    WithNode,
    /// Only when the whole rollout is. A node that is put back alone keeps what the stage
    /// prepared, and goes on behind it when the rollout is resumed: what could not be prepared a
    /// second time once other nodes run the new release.
    WithRollout,
}

impl GoesBack {
    /// Whether it is what a stage that says nothing does.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A step of a procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, unique in the procedure.
    pub id: StepKey,
    /// The phase it is shown in.
    pub phase: PhaseName,
    /// A condition; the step is planned only where it holds.
    pub when: Option<Template>,
    /// Where it runs.
    pub on: Site,
    /// What it does.
    pub action: Action,
    /// What its ending means.
    pub outcome: Contract,
    /// How long one attempt may take.
    pub deadline: Deadline,
    /// How long one attempt usually takes; only forecasts read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<Millis>,
    /// How often it may be tried in all.
    pub attempts: u32,
    /// Whether it disturbs traffic, so that the node must be drained first.
    pub disruptive: bool,
    /// What is done when nobody knows whether it happened.
    pub unknown: UnknownRule,
    /// Values taken from its output.
    pub capture: Vec<Capture>,
    /// What undoes it. Runs for every step that was begun, whatever its outcome, so it must
    /// succeed when there is nothing to undo.
    pub undo: Vec<Step>,
    /// How it is undone.
    pub rollback: RollbackClass,
    /// Whether nothing after it can be undone.
    pub point_of_no_return: bool,
}

/// How long one attempt of a step may take. A plan always holds a span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// This long.
    Span(Millis),
    /// A template that gives a span; it may use variables of [`VarKind::Span`] only.
    Template(Template),
}

/// Where a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// On the node the lane belongs to.
    Node,
    /// On the controller.
    Controller,
    /// On the first node with this role.
    Role(RoleName),
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A command.
    Run(RunTemplate),
    /// An HTTP request from the controller.
    Http(HttpTemplate),
    /// A file from the controller to the node, atomic and verified.
    Upload {
        /// The file on the controller.
        from: Template,
        /// The path on the node.
        to: Template,
        /// Permission bits in octal, such as `0644`.
        mode: String,
    },
    /// A copy of a file on the node, verified; refuses an empty source.
    Backup {
        /// The file.
        path: Template,
        /// Where the copy goes.
        to: Template,
    },
    /// Waits until the probe holds.
    Wait(ProbeTemplate),
    /// A person does it and says so with `zdu approve`.
    Manual {
        /// What to do.
        instruction: Template,
    },
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunTemplate {
    /// Program and arguments; or the script when `shell` is set (then exactly one entry).
    pub argv: Vec<Template>,
    /// Whether the one entry of `argv` is a script for `/bin/sh`.
    pub shell: bool,
    /// Working directory.
    pub cwd: Option<Template>,
    /// Environment, over the login's own.
    pub env: BTreeMap<String, Template>,
    /// What is given on standard input; the only way for a secret.
    pub stdin: Option<Template>,
    /// The user it runs as; absent: the login user.
    pub user: Option<Template>,
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTemplate {
    /// Method.
    pub method: String,
    /// URL.
    pub url: Template,
    /// Headers.
    pub headers: BTreeMap<String, Template>,
    /// Body.
    pub body: Option<Template>,
    /// Basic authentication.
    pub basic: Option<BasicAuth>,
    /// A PEM file with the authority to trust, over the system's.
    pub ca_file: Option<Template>,
    /// Authorities in PEM to trust beside those of `ca_file`, such as one a step has captured.
    pub ca: Option<Template>,
    /// Accept any certificate; the plan prints a warning for it.
    pub insecure: bool,
}

/// Basic authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User name.
    pub user: Template,
    /// Password, by the name of the secret.
    pub password: SecretName,
}

/// One measurement, before planning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeTemplate {
    /// What is asked.
    pub ask: AskTemplate,
    /// What must be true of the answer.
    pub want: WantTemplate,
    /// Consecutive times it must hold.
    pub times: u32,
    /// The pause between two askings.
    pub every: Millis,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskTemplate {
    /// An HTTP request from the controller, directly to the node.
    Http(HttpTemplate),
    /// A TCP connection from the controller.
    Tcp(Template),
    /// A command on the node.
    Run(RunTemplate),
}

/// What must be true of a probe's answer. All conditions given must hold; none given means exit 0,
/// a status below 400 or an accepted connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantTemplate {
    /// Any of these exit codes.
    pub exit: Vec<i32>,
    /// Any of these HTTP statuses.
    pub status: Vec<u16>,
    /// A text the body or output contains.
    pub contains: Option<Template>,
    /// A regular expression the body or output matches.
    pub matches: Option<Template>,
    /// Values in the body or output read as JSON.
    pub json: Vec<JsonWant>,
}

/// What must be true of a value in a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonWant {
    /// An RFC 6901 pointer.
    pub pointer: String,
    /// The comparison.
    pub is: Comparison,
    /// What it is compared with.
    pub value: Template,
}

/// A comparison. The version kinds compare dotted numbers part by part, so 2.9 is below 2.104.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The same text.
    Equals,
    /// The same version.
    VersionEquals,
    /// At least this version.
    VersionAtLeast,
    /// An array with this many entries.
    Length,
    /// A map of maps: within each inner one, what stands at this pointer in every entry is the
    /// same. Nothing to compare, and an entry without the value, is not the same.
    EqualInEach,
}

/// What is done when nobody knows whether a step happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownRule {
    /// Wait for a person.
    Hold,
    /// Run it again: its author says that it is harmless to do so.
    Rerun,
    /// Ask the node.
    Observe {
        /// It happened when this holds.
        done: Box<ProbeTemplate>,
        /// It certainly did not happen when this holds; then it is run again.
        not_done: Option<Box<ProbeTemplate>>,
    },
}

/// A value taken from output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// Its name.
    pub name: CaptureName,
    /// Where it stands.
    pub from: CaptureFrom,
    /// Whether it is secret.
    pub secret: bool,
}

/// Where a captured value stands in the output. An empty value fails the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureFrom {
    /// The output without its trailing newline.
    Output,
    /// The first group of a regular expression.
    Pattern(String),
    /// An RFC 6901 pointer into the output read as JSON.
    Json(String),
}

/// How a step is undone, from cheap to impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackClass {
    /// The old state is still there: switch back.
    Instant,
    /// Do it again with the old release.
    Redo,
    /// Bring back a backup.
    Restore,
    /// It cannot be undone.
    None,
}
