//! A procedure as it is written. `docs/decisions/0002-procedure-format.md` has the reasons.

use crate::decode::{At, Entries};
use crate::raw::{Class, Rule, Word};
use schemars::JsonSchema;
use serde::Deserialize;

/// What an upgrade does, as data.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Procedure {
    /// Its name.
    pub(crate) name: At<String>,
    /// One sentence.
    pub(crate) summary: String,
    /// The document its facts come from.
    #[serde(default)]
    pub(crate) source: String,
    /// The columns of a node's life, in order, with the exit code of a failure in each.
    pub(crate) phases: Vec<Phase>,
    /// The phase compensations are shown in.
    pub(crate) rollback_phase: At<String>,
    /// Variables.
    #[serde(default)]
    pub(crate) vars: Entries<Var>,
    /// Secrets, by the reason each is needed.
    #[serde(default)]
    pub(crate) secrets: Entries<String>,
    /// Roles the procedure orders by or speaks to.
    #[serde(default)]
    pub(crate) roles: Entries<Role>,
    /// Checks made before the plan, on every node, that change nothing.
    #[serde(default)]
    pub(crate) preflight: Vec<Check>,
    /// The stages, in order.
    pub(crate) stages: Vec<Stage>,
    /// What is done about failures.
    #[serde(default)]
    pub(crate) on_failure: Vec<Rule>,
}

/// A phase.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phase {
    /// Its name.
    pub(crate) name: At<String>,
    /// The exit code of a failure in it; one of its own.
    pub(crate) exit: At<u8>,
}

/// A variable.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Var {
    /// What it is for.
    pub(crate) help: String,
    /// What its value must be: `text` or `span`; `text` when absent.
    #[serde(default, rename = "type")]
    pub(crate) kind: VarKind,
    /// Its value when nobody gives one; may be a template. Absent: it must be given.
    pub(crate) default: Option<At<Word>>,
}

/// What the value of a variable must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VarKind {
    /// Any text.
    #[default]
    Text,
    /// A span of time, such as `30s`.
    Span,
}

/// A role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Role {
    /// What it means.
    pub(crate) help: String,
    /// A probe run on every node at preflight; nodes where it holds have the role.
    pub(crate) lookup: Option<At<Probe>>,
    /// Only nodes with this role are asked.
    pub(crate) among: Option<At<String>>,
    /// How many nodes must have it.
    pub(crate) exactly: Option<u32>,
}

/// A check that changes nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// What must be true, as a sentence.
    pub(crate) name: String,
    /// How it is asked.
    pub(crate) probe: At<Probe>,
    /// What to do when it is not true.
    pub(crate) hint: String,
}

/// A part with one way of going over the fleet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stage {
    /// Its name.
    pub(crate) name: At<String>,
    /// The way: `once`, `nodes` or `rolling`.
    pub(crate) over: Over,
    /// Only nodes with one of these roles; all when absent.
    #[serde(default)]
    pub(crate) only: Vec<At<String>>,
    /// Nodes with the first role go first, then those with the second, then the rest.
    #[serde(default)]
    pub(crate) first: Vec<At<String>>,
    /// Nodes with one of these roles go last.
    #[serde(default)]
    pub(crate) last: Vec<At<String>>,
    /// The most nodes under way at once.
    pub(crate) parallel: Option<u32>,
    /// When a finished lane of it is put back: `with_node` or `with_rollout`.
    #[serde(default)]
    pub(crate) goes_back: GoesBack,
    /// The phase the drain is shown in; a rolling stage needs it.
    pub(crate) drain_phase: Option<At<String>>,
    /// The phase readiness, undrain and soak are shown in; a rolling stage needs it.
    pub(crate) return_phase: Option<At<String>>,
    /// Readiness of the new release, asked directly on the node.
    #[serde(default)]
    pub(crate) ready: Vec<At<Probe>>,
    /// Readiness of the old release after a rollback.
    #[serde(default)]
    pub(crate) ready_old: Vec<At<Probe>>,
    /// The steps.
    pub(crate) steps: Vec<At<Step>>,
}

/// A stage's way of going over the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Over {
    /// Once.
    Once,
    /// Every node, while it serves.
    Nodes,
    /// Wave by wave, each node drained while its steps run.
    Rolling,
}

/// When a finished lane of a stage is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GoesBack {
    /// Whenever its node is.
    #[default]
    WithNode,
    /// Only with the whole rollout.
    WithRollout,
}

/// One action on one node, or once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Its name, unique in the procedure.
    pub(crate) id: At<String>,
    /// The phase it is shown in; compensations are shown in `rollback_phase` when absent.
    pub(crate) phase: Option<At<String>>,
    /// A condition (an expression without braces); the step is planned only where it holds.
    pub(crate) when: Option<At<String>>,
    /// Where it runs: `node`, `controller` or `{ role: R }`.
    pub(crate) on: Option<At<Site>>,
    /// A command.
    pub(crate) run: Option<At<Run>>,
    /// A script for `/bin/sh`.
    pub(crate) shell: Option<At<String>>,
    /// An HTTP request from the controller.
    pub(crate) http: Option<At<Http>>,
    /// A file from the controller to the node.
    pub(crate) upload: Option<At<Upload>>,
    /// A copy of a file on the node.
    pub(crate) backup: Option<At<Backup>>,
    /// Waits until the probe holds.
    pub(crate) wait: Option<At<Probe>>,
    /// A person does it.
    pub(crate) manual: Option<At<Manual>>,
    /// What its ending means: rules tried in order.
    #[serde(default)]
    pub(crate) outcome: Vec<OutcomeRule>,
    /// How often and how fast `again` may repeat it.
    pub(crate) again: Option<Again>,
    /// How long one attempt may take; 5 minutes when absent, an hour where a person does it. A
    /// template may use variables of the type `span` only:
    /// `"{{ vars.startup_time | plus('5m') }}"`.
    pub(crate) deadline: Option<At<String>>,
    /// How long one attempt usually takes; only a rehearsal reads it.
    pub(crate) takes: Option<At<String>>,
    /// How often it may be tried in all; once when absent.
    pub(crate) attempts: Option<u32>,
    /// Whether it disturbs traffic; true in a rolling stage when absent.
    pub(crate) disruptive: Option<At<bool>>,
    /// What is done when nobody knows whether it happened; `hold` when absent.
    pub(crate) unknown: Option<At<Unknown>>,
    /// Values taken from its output.
    #[serde(default)]
    pub(crate) capture: Vec<Capture>,
    /// What undoes it; must succeed when there is nothing to undo.
    #[serde(default)]
    pub(crate) undo: Vec<At<Step>>,
    /// How it is undone; `none` without an undo, else `redo`.
    pub(crate) rollback: Option<At<RollbackClass>>,
    /// Whether nothing after it can be undone.
    #[serde(default)]
    pub(crate) point_of_no_return: bool,
}

/// Where a step runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Site {
    /// On the node.
    Node,
    /// On the controller.
    Controller,
    /// On the first node with this role.
    Role(At<String>),
}

/// A command.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Program and arguments.
    #[serde(default)]
    pub(crate) argv: Vec<At<Word>>,
    /// A script for `/bin/sh`, in place of `argv`.
    pub(crate) shell: Option<At<String>>,
    /// Working directory.
    pub(crate) cwd: Option<At<String>>,
    /// Environment, over the login's own.
    #[serde(default)]
    pub(crate) env: Entries<At<Word>>,
    /// What is given on standard input; the only way for a secret.
    pub(crate) stdin: Option<At<String>>,
    /// The user it runs as.
    pub(crate) user: Option<At<String>>,
}

/// An HTTP request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// Method; `GET` when absent.
    pub(crate) method: Option<At<String>>,
    /// URL.
    pub(crate) url: At<String>,
    /// Headers.
    #[serde(default)]
    pub(crate) headers: Entries<At<Word>>,
    /// Body.
    pub(crate) body: Option<At<String>>,
    /// Basic authentication.
    pub(crate) basic: Option<Basic>,
    /// A PEM file with the authority to trust; the system's when absent or empty.
    pub(crate) ca_file: Option<At<String>>,
    /// Authorities in PEM to trust beside those of `ca_file`; may be a captured value.
    pub(crate) ca: Option<At<String>>,
    /// Accept any certificate.
    #[serde(default)]
    pub(crate) insecure: bool,
}

/// Basic authentication.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Basic {
    /// User name.
    pub(crate) user: At<String>,
    /// Password, by the name of the secret.
    pub(crate) password: At<String>,
}

/// A file from the controller to the node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upload {
    /// The file on the controller.
    pub(crate) from: At<String>,
    /// The path on the node.
    pub(crate) to: At<String>,
    /// Permission bits in octal; `0644` when absent.
    pub(crate) mode: Option<At<Word>>,
}

/// A copy of a file on the node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backup {
    /// The file.
    pub(crate) path: At<String>,
    /// Where the copy goes.
    pub(crate) to: At<String>,
}

/// A person does it and says so.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manual {
    /// What to do.
    pub(crate) instruction: At<String>,
}

/// One measurement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// An HTTP request from the controller.
    pub(crate) http: Option<At<Http>>,
    /// A TCP connection from the controller, `host:port`.
    pub(crate) tcp: Option<At<String>>,
    /// A command on the node.
    pub(crate) run: Option<At<Run>>,
    /// A script for `/bin/sh` on the node.
    pub(crate) shell: Option<At<String>>,
    /// What must be true of the answer; all conditions given must hold.
    pub(crate) want: Option<Want>,
    /// Consecutive times it must hold; once when absent.
    pub(crate) times: Option<u32>,
    /// The pause between two askings; `1s` when absent.
    pub(crate) every: Option<At<String>>,
}

/// What must be true of a probe's answer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Want {
    /// Any of these exit codes.
    #[serde(default)]
    pub(crate) exit: Vec<i32>,
    /// Any of these HTTP statuses.
    #[serde(default)]
    pub(crate) status: Vec<u16>,
    /// A text the body or output contains.
    pub(crate) contains: Option<At<Word>>,
    /// A regular expression the body or output matches.
    pub(crate) matches: Option<At<String>>,
    /// Values in the body or output read as JSON.
    #[serde(default)]
    pub(crate) json: Vec<JsonWant>,
}

/// What must be true of a value in a JSON document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonWant {
    /// An RFC 6901 pointer, such as `/result/0`.
    pub(crate) pointer: At<String>,
    /// The comparison; `equals` when absent.
    pub(crate) is: Option<Comparison>,
    /// What it is compared with.
    pub(crate) value: At<Word>,
}

/// A comparison.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Comparison {
    /// The same text.
    Equals,
    /// The same version.
    VersionEquals,
    /// At least this version.
    VersionAtLeast,
    /// An array with this many entries.
    Length,
    /// A map of maps, in each of which every entry has the same at this pointer.
    EqualInEach,
}

/// A rule of an outcome contract.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutcomeRule {
    /// Any of these exit codes.
    #[serde(default)]
    pub(crate) exit: Vec<i32>,
    /// Any of these HTTP statuses.
    #[serde(default)]
    pub(crate) status: Vec<u16>,
    /// A regular expression that matches somewhere in the output.
    pub(crate) output: Option<At<String>>,
    /// A place in the output read as JSON, and the text its value must have.
    pub(crate) json: Option<JsonIs>,
    /// What it is then called.
    #[serde(rename = "as")]
    pub(crate) class: At<Class>,
}

/// A value in a JSON document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonIs {
    /// An RFC 6901 pointer, such as `/result`.
    pub(crate) pointer: At<String>,
    /// The value as text.
    pub(crate) equals: Word,
}

/// The bound on a step that asks to be run again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Again {
    /// The pause between runs.
    pub(crate) pause: At<String>,
    /// The most runs.
    pub(crate) max: u32,
}

/// What is done when nobody knows whether a step happened.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Unknown {
    /// Wait for a person.
    Hold,
    /// Run it again: it is harmless to do so.
    Rerun,
    /// Ask the node.
    Observe(Box<Observe>),
}

/// How it is found out whether a step happened.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Observe {
    /// It happened when this holds.
    pub(crate) done: At<Probe>,
    /// It certainly did not happen when this holds; then it is run again.
    pub(crate) not_done: Option<At<Probe>>,
}

/// A value taken from output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capture {
    /// Its name.
    pub(crate) name: At<String>,
    /// Where it stands: `output`, `{ pattern: REGEX }` or `{ json: POINTER }`.
    pub(crate) from: CaptureFrom,
    /// Whether it is secret.
    #[serde(default)]
    pub(crate) secret: bool,
}

/// Where a captured value stands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum CaptureFrom {
    /// The output without its trailing newline.
    Output,
    /// The first group of a regular expression.
    Pattern(At<String>),
    /// An RFC 6901 pointer into the output read as JSON.
    Json(At<String>),
}

/// How a step is undone, from cheap to impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RollbackClass {
    /// The old state is still there: switch back.
    Instant,
    /// Do it again with the old release.
    Redo,
    /// Bring back a backup.
    Restore,
    /// It cannot be undone.
    None,
}
