//! `zdu.yaml` as it is written. The doc comments become the descriptions of the published schema
//! and the hints of error messages, so each begins with a sentence for the reader of a file.

use crate::decode::{At, Entries};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

/// A single value kept as it was written: `7.10` stays `7.10`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Word(pub(crate) String);

impl JsonSchema for Word {
    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// What to upgrade, with which procedure, within which limits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// The nodes, how they are reached and the balancers before them.
    pub(crate) fleet: Fleet,
    /// A built-in procedure by name, or the path of your own.
    pub(crate) procedure: At<String>,
    /// From which release to which.
    pub(crate) release: Release,
    /// Values of the procedure's variables.
    #[serde(default)]
    pub(crate) vars: Entries<At<Word>>,
    /// Where the procedure's secrets come from: `env:NAME`, `file:PATH` or `command:PROGRAM ARGS`.
    #[serde(default)]
    pub(crate) secrets: Entries<At<String>>,
    /// Where users come in; asked at every gate.
    #[serde(default)]
    pub(crate) front: Vec<Front>,
    /// Your limits.
    #[serde(default)]
    pub(crate) policy: Policy,
    /// More files, relative to this one, merged into it; a key given twice is an error.
    #[serde(default)]
    #[expect(dead_code, reason = "includes are merged before; here the key is only known")]
    pub(crate) include: Vec<String>,
}

/// From which release to which.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    /// The release the nodes run now.
    pub(crate) from: Word,
    /// The release they shall run.
    pub(crate) to: Word,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fleet {
    /// What one rollout locks; the file's name when absent.
    pub(crate) name: Option<At<Word>>,
    /// How nodes are reached; what is absent is left to your `~/.ssh/config`.
    #[serde(default)]
    pub(crate) ssh: Ssh,
    /// Machines that are no nodes but are reached by SSH, such as those of the balancers.
    #[serde(default)]
    pub(crate) hosts: Entries<Host>,
    /// The load balancers, by name.
    #[serde(default)]
    pub(crate) balancers: Entries<Balancer>,
    /// Groups of nodes that serve the same traffic and share one disruption budget.
    pub(crate) groups: Entries<Group>,
}

/// How SSH reaches a machine. Host keys are always checked.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ssh {
    /// Login user.
    pub(crate) user: Option<String>,
    /// Private key file on this machine.
    pub(crate) identity: Option<String>,
    /// Port.
    pub(crate) port: Option<u16>,
    /// An `ssh_config` to use in place of your own.
    pub(crate) config: Option<String>,
    /// Host name, address or `Host` alias of one machine, where it is not its address; refused for
    /// the whole fleet.
    pub(crate) host: Option<At<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    /// Host name or address; its own name when absent.
    pub(crate) address: Option<Word>,
    /// Whether it is the machine zdu runs on.
    #[serde(default)]
    pub(crate) local: bool,
    /// Over the fleet's `ssh`.
    #[serde(default)]
    pub(crate) ssh: Ssh,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Balancer {
    /// What speaks to it.
    pub(crate) driver: Driver,
    /// All its instances; a drain holds only when every one agrees.
    #[serde(default)]
    pub(crate) instances: Vec<At<Instance>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Driver {
    /// HAProxy's runtime API.
    Haproxy,
    /// Your own commands, run here, with `{backend}` and `{server}` replaced.
    Hook(Hook),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hook {
    /// Puts the member into traffic.
    pub(crate) enable: Vec<String>,
    /// Takes the member out of new traffic.
    pub(crate) disable: Vec<String>,
    /// Prints the member's state.
    pub(crate) state: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instance {
    /// Its name; made from `via` or its place in the list when absent.
    pub(crate) name: Option<At<Word>>,
    /// Its runtime interface: `unix:/path` or `tcp:host:port`.
    pub(crate) socket: Option<At<String>>,
    /// The host the socket lives on: one of `fleet.hosts`, a node, or a host name.
    pub(crate) via: Option<At<Word>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// How many of its nodes must serve at every moment.
    pub(crate) min_available: At<u32>,
    /// Its nodes, in the order they are upgraded unless the procedure orders by role.
    pub(crate) nodes: Entries<Node>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    /// Host name or address, without user or port; its own name when absent.
    pub(crate) address: Option<Word>,
    /// Its failure domain.
    pub(crate) zone: Option<At<Word>>,
    /// Its roles.
    #[serde(default)]
    pub(crate) roles: Vec<At<Word>>,
    /// Its entries in balancers, each `BALANCER/BACKEND/SERVER`.
    #[serde(default)]
    pub(crate) members: Vec<At<String>>,
    /// Ports whose established connections are the node's own traffic.
    #[serde(default)]
    pub(crate) service_ports: Vec<u16>,
    /// Variables for this node only.
    #[serde(default)]
    pub(crate) vars: Entries<At<Word>>,
    /// Whether it is the machine zdu runs on.
    #[serde(default)]
    pub(crate) local: bool,
    /// Over the fleet's `ssh`.
    #[serde(default)]
    pub(crate) ssh: Ssh,
}

/// A place where users come in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Front {
    /// The URL.
    pub(crate) http: At<String>,
    /// How long an answer may take, such as `2s`.
    pub(crate) timeout: Option<At<String>>,
    /// Requests a second, of each way of connecting, while the rollout runs; absent: it is asked
    /// once behind each wave.
    pub(crate) rate: Option<At<u32>>,
    /// How many kept connections are asked in turn; 0: none is kept.
    pub(crate) keep: Option<At<u32>>,
    /// A request that takes long, beside the others.
    pub(crate) long: Option<At<FrontLong>>,
    /// What an answer must be like.
    pub(crate) want: Option<At<FrontWant>>,
    /// Where an answer says which release gave it.
    pub(crate) version: Option<At<FrontVersion>>,
}

/// A request that takes long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FrontLong {
    /// Its URL.
    pub(crate) http: At<String>,
    /// From the end of one to the next, such as `5s`.
    pub(crate) pause: Option<At<String>>,
    /// How long an answer may take, such as `30s`.
    pub(crate) timeout: Option<At<String>>,
}

/// What an answer of a front must be like.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FrontWant {
    /// Any of these statuses; any below 400 when empty.
    #[serde(default)]
    pub(crate) status: Vec<u16>,
    /// A text the body contains.
    pub(crate) contains: Option<String>,
    /// A regular expression the body matches.
    pub(crate) matches: Option<At<String>>,
}

/// Where an answer says which release gave it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FrontVersion {
    /// An RFC 6901 pointer into a JSON body.
    pub(crate) pointer: Option<At<String>>,
    /// The name of a header.
    pub(crate) header: Option<String>,
}

/// The operator's limits. The defaults and their reasons stand in `policy.rs`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// Sizes of the waves, in order; the last repeats: `[1, "25%", "100%"]`.
    pub(crate) wave: Option<Vec<At<Word>>>,
    /// How many nodes may be under way at once, as far as capacity allows.
    pub(crate) concurrency: Option<At<u32>>,
    /// How long a wave is watched before the next begins.
    pub(crate) soak: Option<At<String>>,
    /// How long a drain may take.
    pub(crate) drain_deadline: Option<At<String>>,
    /// What happens when it takes longer.
    pub(crate) on_drain_deadline: Option<DrainExpiry>,
    /// How the drain certificate is sampled.
    #[serde(default)]
    pub(crate) certify: Certify,
    /// How long a node may take to prove that it is ready.
    pub(crate) ready_deadline: Option<At<String>>,
    /// How long every balancer instance may take to show a node serving.
    pub(crate) serving_deadline: Option<At<String>>,
    /// How long to wait for capacity.
    pub(crate) capacity_deadline: Option<At<String>>,
    /// How long to wait for a person before the controller leaves.
    pub(crate) hold_deadline: Option<At<String>>,
    /// How long a node may be unreachable in the middle of a step.
    pub(crate) reconnect_deadline: Option<At<String>>,
    /// How many nodes may fail and be rolled back before the rollout stops.
    pub(crate) failures_allowed: Option<u32>,
    /// Rules tried before those of the procedure.
    #[serde(default)]
    pub(crate) on_failure: Vec<Rule>,
    /// Whether points of no return may be crossed without asking.
    #[serde(default)]
    pub(crate) cross_point_of_no_return: bool,
    /// Steps whose missing undo you accept.
    #[serde(default)]
    pub(crate) accept_no_undo: Vec<At<String>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certify {
    /// Consecutive samples in which every count must be zero.
    pub(crate) samples: Option<At<u32>>,
    /// From the beginning of one sample to that of the next.
    pub(crate) interval: Option<At<String>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DrainExpiry {
    /// The step fails; the rules decide.
    Fail,
    /// Go on and count what is left.
    Proceed,
    /// End the sessions, count them, certify again.
    Kill,
}

/// A rule for a step that did not pass; all conditions given must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The stage of the step.
    pub(crate) stage: Option<At<String>>,
    /// The phase of the step.
    pub(crate) phase: Option<At<String>>,
    /// Any of these exit codes.
    #[serde(default)]
    pub(crate) exit: Vec<i32>,
    /// Any of these endings.
    #[serde(default)]
    pub(crate) class: Vec<Class>,
    /// A text the last lines of output contain.
    pub(crate) output: Option<String>,
    /// At least this many nodes have failed already.
    pub(crate) failed_nodes: Option<u32>,
    /// What is done.
    #[serde(rename = "do")]
    pub(crate) action: RuleAction,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// As wanted.
    Succeeded,
    /// As wanted, with something to read.
    Warned,
    /// Wants to be run again after a pause.
    Again,
    /// Not as wanted.
    Failed,
    /// The deadline passed.
    TimedOut,
    /// It may or may not have happened.
    Unknown,
    /// It was never begun.
    NotRun,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum RuleAction {
    /// Run it again.
    Retry(Retry),
    /// Put the node back.
    RollbackNode,
    /// Put every node of the wave back.
    RollbackWave,
    /// Put everything back.
    RollbackRollout,
    /// Wait for a person.
    Hold,
    /// Count it as a warning and go on.
    GoOn,
    /// Begin nothing more and end.
    Stop,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// The most attempts.
    pub(crate) max: u32,
    /// The pause before the next, such as `10s`.
    pub(crate) pause: At<String>,
}
