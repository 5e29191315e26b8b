//! A balancer driven by the user's own commands.
//!
//! Three argument vectors, run without a shell by a runner the caller supplies. The words
//! `{backend}` and `{server}` in an argument are replaced by the member's names.
//!
//! * `enable`: put the member into traffic. Exit status 0 is success.
//! * `disable`: take it out of new traffic, let running requests finish. Exit status 0 is success.
//! * `state`: print the member's state on stdout, as one JSON object or as `key=value` words on any
//!   number of lines, and exit 0:
//!
//! | key | value |
//! |---|---|
//! | `state` | `serving`, `draining` (out, requests may run), `out` or `down`; required |
//! | `sessions` | running requests or connections; absent where it cannot be known |
//! | `queued` | requests waiting for the member; absent is not known |
//! | `idle` | pooled idle connections to the member; absent is not known |
//! | `pid`, `started` | process id and start, seconds since 1970, of the balancer; both or none |
//!
//! ```text
//! state=draining sessions=3
//! {"state": "draining", "sessions": 3}
//! ```
//!
//! Keys not in the table are ignored. Without `sessions` a drain can only be certified with the
//! node's own sockets. A `state` that is not in the table is an error, not a guess.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::member::{BalancerInstance, MemberReading, MemberState, Observation};
use super::{Before, BoxFuture, Cut, Finding, Hold, Identity, InstanceError, MemberName, Undone};

/// Longest excerpt of a command's output kept in an error, in characters.
const EXCERPT: usize = 160;

/// How a user's command failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum HookError {
    /// It could not be run, or not to its end within the deadline.
    #[error("command `{command}` of the balancer hook could not be run: {detail}")]
    NotRun {
        /// `enable`, `disable` or `state`.
        command: String,
        /// Why.
        detail: String,
    },
    /// It ended with another status than 0.
    #[error("command `{command}` of the balancer hook ended with {exit}: {stderr:?}")]
    Failed {
        /// `enable`, `disable` or `state`.
        command: String,
        /// Exit status.
        exit: i32,
        /// Beginning of its stderr.
        stderr: String,
    },
    /// Its output is no state.
    #[error("command `state` of the balancer hook printed {output:?}: {why}")]
    NoState {
        /// Beginning of the output.
        output: String,
        /// What is wrong with it.
        why: String,
    },
    /// The hook has no such command.
    #[error("the balancer hook cannot {what}")]
    Unsupported {
        /// What was asked.
        what: String,
    },
}

/// A command that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Exit status.
    pub exit: i32,
    /// Its stdout.
    pub stdout: Vec<u8>,
    /// Its stderr.
    pub stderr: Vec<u8>,
}

/// Runs an argument vector somewhere: on this machine, over SSH. The error is a sentence for
/// people; the deadline is the runner's to keep.
pub trait Runner: Send + Sync {
    /// Runs `argv` without a shell.
    fn run<'a>(
        &'a self,
        argv: &'a [String],
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Ran, String>>;
}

/// The user's commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// Puts the member into traffic.
    pub enable: Vec<String>,
    /// Takes it out.
    pub disable: Vec<String>,
    /// Prints its state.
    pub state: Vec<String>,
}

/// One balancer instance behind user's commands.
#[derive(Clone)]
pub struct Hook {
    name: String,
    commands: Commands,
    runner: Arc<dyn Runner>,
    deadline: Duration,
}

/// What `state` printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The state.
    pub state: PrintedState,
    /// Running requests, if known.
    pub sessions: Option<u64>,
    /// Waiting requests, if known.
    pub queued: Option<u64>,
    /// Idle connections, if known.
    pub idle: Option<u64>,
    /// The balancer's process, if known.
    pub identity: Option<Identity>,
}

/// The states a hook can print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrintedState {
    /// In traffic.
    Serving,
    /// Out of new traffic.
    Draining,
    /// Out.
    Out,
    /// In rotation, and failing.
    Down,
}

/// Reads the output of `state`; total over all bytes.
pub fn parse_state(output: &[u8]) -> Result<Printed, HookError> {
    let refuse = |why: &str| HookError::NoState { output: excerpt(output), why: why.to_owned() };
    let text = std::str::from_utf8(output).map_err(|_| refuse("it is not UTF-8"))?.trim();
    let fields = if text.starts_with('{') { json_fields(text) } else { word_fields(text) };
    let fields = fields.map_err(|why| refuse(&why))?;
    let number = |key: &str| -> Result<Option<u64>, HookError> {
        let parse = |value: &String| {
            value.parse().map_err(|_| refuse(&format!("`{key}` is not a number: {value:?}")))
        };
        fields.get(key).map(parse).transpose()
    };
    let state = match fields.get("state").map(String::as_str) {
        Some("serving") => PrintedState::Serving,
        Some("draining") => PrintedState::Draining,
        Some("out") => PrintedState::Out,
        Some("down") => PrintedState::Down,
        Some(other) => return Err(refuse(&format!("state {other:?} is not known"))),
        None => return Err(refuse("`state` is missing")),
    };
    let pid = number("pid")?.and_then(|pid| u32::try_from(pid).ok());
    let identity = match (pid, number("started")?) {
        (Some(pid), Some(started_unix_s)) => {
            Some(Identity { pid, started_unix_s, version: String::new() })
        }
        (Some(_), None) | (None, Some(_)) | (None, None) => None,
    };
    let (sessions, queued, idle) = (number("sessions")?, number("queued")?, number("idle")?);
    Ok(Printed { state, sessions, queued, idle, identity })
}

fn json_fields(text: &str) -> Result<BTreeMap<String, String>, String> {
    let object: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| format!("it is not a JSON object: {error}"))?;
    let mut fields = BTreeMap::new();
    for (key, value) in object {
        match value {
            serde_json::Value::String(text) => fields.insert(key, text),
            serde_json::Value::Number(number) => fields.insert(key, number.to_string()),
            // A null is a key that was not given; the rest are keys of the user's own.
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => None,
        };
    }
    Ok(fields)
}

fn word_fields(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut fields = BTreeMap::new();
    for word in text.split_whitespace() {
        let Some((key, value)) = word.split_once('=') else {
            return Err(format!("{word:?} is not key=value"));
        };
        fields.insert(key.to_owned(), value.to_owned());
    }
    Ok(fields)
}

fn excerpt(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().chars().take(EXCERPT).collect()
}

impl Hook {
    /// A hook; `deadline` holds for each command.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        commands: Commands,
        runner: Arc<dyn Runner>,
        deadline: Duration,
    ) -> Self {
        Self { name: name.into(), commands, runner, deadline }
    }

    async fn run(
        &self,
        command: &str,
        argv: &[String],
        member: &MemberName,
    ) -> Result<Vec<u8>, InstanceError> {
        // One pass per argument, so that a name with braces in it is not replaced again.
        let argv: Vec<String> = argv.iter().map(|word| fill(word, member)).collect();
        let ran = self.runner.run(&argv, self.deadline).await.map_err(|detail| {
            InstanceError::Hook(HookError::NotRun { command: command.to_owned(), detail })
        })?;
        if ran.exit != 0 {
            return Err(InstanceError::Hook(HookError::Failed {
                command: command.to_owned(),
                exit: ran.exit,
                stderr: excerpt(&ran.stderr),
            }));
        }
        Ok(ran.stdout)
    }

    async fn read(&self, member: &MemberName) -> Result<Printed, InstanceError> {
        let output = self.run("state", &self.commands.state, member).await?;
        parse_state(&output).map_err(InstanceError::Hook)
    }

    async fn look_at(&self, member: &MemberName) -> Result<Before, InstanceError> {
        let printed = self.read(member).await?;
        let findings = match printed.state {
            PrintedState::Serving => Vec::new(),
            PrintedState::Draining | PrintedState::Out => vec![Finding::AlreadyDrained],
            PrintedState::Down => vec![Finding::NotServing("down".to_owned())],
        };
        Ok(Before {
            instance: self.name.clone(),
            member: member.clone(),
            hold: hold_of(printed.state),
            weight: None,
            identity: printed.identity,
            findings,
        })
    }

    /// Enables or disables, unless it is there already, and reads it back.
    async fn bring(&self, member: &MemberName, wanted: Hold) -> Result<bool, InstanceError> {
        if hold_of(self.read(member).await?.state) == wanted {
            return Ok(false);
        }
        match wanted {
            Hold::Ready => self.run("enable", &self.commands.enable, member).await?,
            Hold::Drain | Hold::Maint => {
                self.run("disable", &self.commands.disable, member).await?
            }
        };
        let seen = hold_of(self.read(member).await?.state);
        if seen == wanted {
            Ok(true)
        } else {
            Err(InstanceError::NotTaken { member: member.clone(), wanted, seen })
        }
    }
}

fn fill(word: &str, member: &MemberName) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('{') {
        let (head, tail) = rest.split_at(at);
        filled.push_str(head);
        if let Some(after) = tail.strip_prefix("{backend}") {
            filled.push_str(&member.backend);
            rest = after;
        } else if let Some(after) = tail.strip_prefix("{server}") {
            filled.push_str(&member.server);
            rest = after;
        } else {
            filled.push('{');
            rest = tail.get(1..).unwrap_or("");
        }
    }
    filled.push_str(rest);
    filled
}

/// A hook has one way out of traffic: `draining` becomes `out` by itself when requests end, so both
/// are one hold.
fn hold_of(state: PrintedState) -> Hold {
    match state {
        PrintedState::Serving | PrintedState::Down => Hold::Ready,
        PrintedState::Draining | PrintedState::Out => Hold::Drain,
    }
}

async fn observe_members(
    hook: &Hook,
    members: &[MemberName],
) -> Result<Observation, InstanceError> {
    let mut observation = Observation { identity: None, members: Vec::new() };
    for member in members {
        let answer = match hook.read(member).await {
            Ok(printed) => {
                let reading = reading(member, &printed);
                observation.identity = printed.identity.or(observation.identity);
                Ok(reading)
            }
            // A runner that cannot run is the instance's trouble, not the member's.
            Err(error @ InstanceError::Hook(HookError::NotRun { .. })) => return Err(error),
            Err(error) => Err(error),
        };
        observation.members.push((member.clone(), answer));
    }
    Ok(observation)
}

fn reading(member: &MemberName, printed: &Printed) -> MemberReading {
    let (state, word) = match printed.state {
        // The hook's word is all the evidence there is; nobody said that a check passed.
        PrintedState::Serving => (MemberState::Unchecked, "serving"),
        PrintedState::Draining => (MemberState::Draining, "draining"),
        PrintedState::Out => (MemberState::Out, "out"),
        PrintedState::Down => (MemberState::Down, "down"),
    };
    MemberReading {
        member: member.clone(),
        state,
        hold: hold_of(printed.state),
        sessions: printed.sessions,
        queued: printed.queued,
        idle: printed.idle,
        checking: false,
        check_passed: None,
        weight: None,
        detail: word.to_owned(),
    }
}

impl BalancerInstance for Hook {
    fn name(&self) -> &str {
        &self.name
    }

    fn observe<'a>(
        &'a self,
        members: &'a [MemberName],
    ) -> BoxFuture<'a, Result<Observation, InstanceError>> {
        Box::pin(observe_members(self, members))
    }

    fn look<'a>(&'a self, member: &'a MemberName) -> BoxFuture<'a, Result<Before, InstanceError>> {
        Box::pin(self.look_at(member))
    }

    fn hold<'a>(
        &'a self,
        member: &'a MemberName,
        wanted: Hold,
    ) -> BoxFuture<'a, Result<(), InstanceError>> {
        Box::pin(async move { self.bring(member, wanted).await.map(drop) })
    }

    fn undrain<'a>(&'a self, before: &'a Before) -> BoxFuture<'a, Result<Undone, InstanceError>> {
        Box::pin(async move {
            let changed = self.bring(&before.member, before.hold).await?;
            Ok(Undone {
                instance: self.name.clone(),
                member: before.member.clone(),
                state_set: changed.then_some(before.hold),
                weight_set: None,
                now: before.hold,
            })
        })
    }

    fn kill_sessions<'a>(
        &'a self,
        _member: &'a MemberName,
    ) -> BoxFuture<'a, Result<Cut, InstanceError>> {
        let what = "kill sessions".to_owned();
        Box::pin(async move { Err(InstanceError::Hook(HookError::Unsupported { what })) })
    }
}

#[cfg(test)]
#[path = "hook_tests.rs"]
mod tests;
