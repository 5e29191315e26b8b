//! The step supervisor: requests to its shell functions on a node, and what they answer.
//!
//! On the node a base directory (`$HOME/.zdu` unless given; 0700) holds `epoch/FLEET.NUMBER` (each
//! epoch seen; clean removes all but the newest) and `r.ROLLOUT/STEP.ATTEMPT/` (the records). A
//! record is a directory; who makes the file `starter` in it (the kernel gives it to one only)
//! starts the step, anyone else finds it. That file becomes the script that is run. There are also
//! `pid`, `waiter`, `out`, `err` and at the end `exit`; the step's input is in none of them.
//!
//! The step is a session of its own below a small waiting shell that is a session of its own, so
//! neither a lost connection nor a killed controller reaches it. What may end it from outside is a
//! reboot, and a login manager that kills a user's processes at logout (`KillUserProcesses=yes`).

use std::time::Duration;

use super::channel::{Channel, ChannelError, Reply, random_word, tail};
use super::quote::{has_nul, quote, quote_all};
use super::spec::{
    PROLOGUE, Spec, SpecError, command_text, file_name, name_of_file, shell_epoch, step_file_name,
};

const FUNCTIONS: &str = include_str!("supervisor.sh");
const WAITER: &str = include_str!("waiter.sh");
/// The channel's name for the functions.
const LIBRARY: &str = "supervisor";
/// What a request may take beyond the wait it asks for: a node that swaps needs seconds for a
/// `fork`, and a base directory on a slow disk for a sync.
const REQUEST_MARGIN: Duration = Duration::from_secs(20);
/// How long the record of the end may take after KILL: a loaded node needs a second or two.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// How often a signalled step that lost its waiter is looked at.
const ORPHAN_LOOK: Duration = Duration::from_millis(20);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It exited with this status, 0 to 255.
    ///
    /// Exact where the node has util-linux' `setsid --wait`. Elsewhere (busybox) a step ended by
    /// INT or PIPE reads as 130 or 141; other signals are told apart there too.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

/// Why a record has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LostReason {
    /// The node has booted since.
    Rebooted,
    /// The waiting shell was killed, so the exit status is gone.
    SupervisorGone,
    /// The start was cut between making the record and recording the waiting shell.
    Unstarted,
}

/// What a node says of one attempt of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepState {
    /// The command ended.
    Ended(Exit),
    /// The command runs.
    Running,
    /// There is no record: never started on this node.
    Never,
    /// There is a record without an end, and none will come.
    Lost {
        /// Which way it was lost.
        reason: LostReason,
        /// The command itself still runs, unwatched.
        alive: bool,
    },
    /// The node has seen a newer epoch of this fleet; nothing was done.
    RefusedEpoch {
        /// The newest epoch seen.
        seen: u64,
    },
}

/// Names one attempt of a step on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepKey {
    /// The rollout.
    pub rollout: String,
    /// The step.
    pub step: String,
    /// The attempt.
    pub attempt: u32,
}

impl StepKey {
    pub(crate) fn path(&self) -> Result<String, SpecError> {
        Ok(format!("{}/{}", file_name(&self.rollout)?, step_file_name(&self.step, self.attempt)?))
    }
}

impl Spec {
    /// The name of this attempt.
    #[must_use]
    pub fn key(&self) -> StepKey {
        StepKey { rollout: self.rollout.clone(), step: self.step.clone(), attempt: self.attempt }
    }
}

/// What to fetch of one stream: bytes `offset` to `offset + maximum`; nothing when `maximum` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Bytes already fetched.
    pub offset: usize,
    /// Most bytes to fetch now.
    pub maximum: usize,
}

/// The state, and output that was new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// The state, read before the output: with [`StepState::Ended`] the output that is there is
    /// all the command has written (less only what the ranges cut off).
    pub state: StepState,
    /// Bytes of standard output from the asked offset.
    pub stdout: Vec<u8>,
    /// Bytes of standard error from the asked offset.
    pub stderr: Vec<u8>,
}

/// Why a request to the supervisor got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The channel failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The request cannot be expressed; nothing was sent.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The node cannot do it: a full disk, a missing tool, a foreign base directory.
    #[error("node cannot supervise steps (exit {exit}): {}", lines.join("; "))]
    Node {
        /// Exit status of the function.
        exit: i32,
        /// What it said.
        lines: Vec<String>,
    },
}

/// The supervisor of one base directory; `$HOME/.zdu` of the login by default. It holds no
/// connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supervisor {
    base: Option<String>,
}

impl Supervisor {
    /// With the given base directory, an absolute path; None is `$HOME/.zdu` of the login.
    ///
    /// # Errors
    /// [`SpecError::Base`].
    pub fn new(base: Option<&str>) -> Result<Self, SpecError> {
        match base {
            Some(path) if !path.starts_with('/') || path.len() < 2 || has_nul(path) => {
                Err(SpecError::Base { path: path.to_owned() })
            }
            Some(path) => Ok(Self { base: Some(path.trim_end_matches('/').to_owned()) }),
            None => Ok(Self { base: None }),
        }
    }

    /// Starts the step unless its record exists already, then waits on the node up to `wait` for
    /// its end, however much it writes: a short step costs one round trip. The output comes from
    /// offset 0.
    ///
    /// # Errors
    /// See [`SupervisorError`]. After a lost channel it is unknown whether the step began; calling
    /// `start` again finds out and never runs it twice.
    pub async fn start(
        &self,
        channel: &mut Channel,
        spec: &Spec,
        wait: Duration,
        maximum: usize,
    ) -> Result<Poll, SupervisorError> {
        let mark = new_mark()?;
        let rollout = file_name(&spec.rollout)?;
        let step = step_file_name(&spec.step, spec.attempt)?;
        let fleet = file_name(&spec.fleet)?;
        let epoch = shell_epoch(spec.epoch)?.to_string();
        let text = command_text(spec)?;
        let (wait_ms, maximum) = (wait.as_millis().to_string(), maximum.to_string());
        let user = spec.user.as_deref().unwrap_or_default();
        let input = if spec.stdin.is_empty() { "none" } else { "piped" };
        let words =
            [&rollout, &step, &fleet, &epoch, user, &text, input, &wait_ms, &maximum, &mark];
        let script = format!("zdu_begin {}", quote_all(words));
        let reply = self.request(channel, &script, Some(&spec.stdin), wait).await?;
        read_poll(&reply, &mark)
    }

    /// Waits on the node up to `wait` until the step ends or writes output beyond the ranges'
    /// offsets, and returns both.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn poll(
        &self,
        channel: &mut Channel,
        key: &StepKey,
        stdout: Range,
        stderr: Range,
        wait: Duration,
    ) -> Result<Poll, SupervisorError> {
        let mark = new_mark()?;
        let offset = |range: Range| match range.maximum {
            0 => "-".to_owned(),
            _ => range.offset.to_string(),
        };
        let words = [
            key.path()?,
            wait.as_millis().to_string(),
            offset(stdout),
            offset(stderr),
            stdout.maximum.to_string(),
            stderr.maximum.to_string(),
            mark.clone(),
        ];
        let script = format!("zdu_poll {}", quote_all(words));
        let reply = self.request(channel, &script, None, wait).await?;
        read_poll(&reply, &mark)
    }

    /// Takes the step's record if nobody has: then no request to start it, also one that is still
    /// on its way, begins it any more. Returns whether that is so; false when it has begun.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn withdraw(
        &self,
        channel: &mut Channel,
        key: &StepKey,
    ) -> Result<bool, SupervisorError> {
        let script = format!("zdu_withdraw {}", quote(&key.path()?));
        let reply = self.request(channel, &script, None, Duration::ZERO).await?;
        match first_line(&reply)?.0.as_str() {
            "withdrawn" => Ok(true),
            "begun" => Ok(false),
            _ => Err(unreadable(&reply)),
        }
    }

    /// Ends a step: TERM to its process group, and after `grace` KILL to what is left of it.
    /// Returns the state at last. A step that has ended is left alone, with the daemons it started.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn kill(
        &self,
        channel: &mut Channel,
        spec: &Spec,
        grace: Duration,
    ) -> Result<StepState, SupervisorError> {
        let state = self.signal(channel, spec, "TERM", "now").await?;
        let orphan = matches!(state, StepState::Lost { alive: true, .. });
        if state != StepState::Running && !orphan {
            return Ok(state);
        }
        let state = self.settle(channel, spec, grace).await?;
        if let StepState::RefusedEpoch { .. } = self.signal(channel, spec, "KILL", "rest").await? {
            return Ok(state);
        }
        if state == StepState::Running || orphan {
            return self.settle(channel, spec, AFTER_KILL).await;
        }
        Ok(state)
    }

    /// The state of every record under the base, in the order of their file names.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn list(
        &self,
        channel: &mut Channel,
    ) -> Result<Vec<(StepKey, StepState)>, SupervisorError> {
        let reply = self.request(channel, "zdu_list", None, Duration::ZERO).await?;
        read_list(&reply)
    }

    /// Removes the records of a rollout. Returns the step that still runs, if one does; then
    /// nothing was removed.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn clean(
        &self,
        channel: &mut Channel,
        rollout: &str,
    ) -> Result<Option<String>, SupervisorError> {
        let script = format!("zdu_clean {}", quote(&file_name(rollout)?));
        let reply = self.request(channel, &script, None, Duration::ZERO).await?;
        let (line, _) = first_line(&reply)?;
        match line.strip_prefix("busy ") {
            Some(name) => Ok(Some(name_of_file(name).unwrap_or_else(|| name.to_owned()))),
            None if line == "cleaned" => Ok(None),
            None => Err(unreadable(&reply)),
        }
    }

    /// Removes the whole base directory when no records are left in it, with the epochs it has
    /// seen. Returns whether it did.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn remove_base(&self, channel: &mut Channel) -> Result<bool, SupervisorError> {
        let reply = self.request(channel, "zdu_remove", None, Duration::ZERO).await?;
        Ok(first_line(&reply)?.0 == "cleaned")
    }

    async fn signal(
        &self,
        channel: &mut Channel,
        spec: &Spec,
        signal: &str,
        when: &str,
    ) -> Result<StepState, SupervisorError> {
        let (path, fleet) = (spec.key().path()?, file_name(&spec.fleet)?);
        let epoch = shell_epoch(spec.epoch)?.to_string();
        let script = format!("zdu_signal {}", quote_all([&path, &fleet, &epoch, signal, when]));
        let reply = self.request(channel, &script, None, Duration::from_secs(1)).await?;
        let (line, _) = first_line(&reply)?;
        read_state(&line).ok_or_else(|| unreadable(&reply))
    }

    /// Polls until the step no longer runs, watched or not, or `within` is over. The channel stays
    /// free for others between the requests only as far as its owner lets go of it.
    async fn settle(
        &self,
        channel: &mut Channel,
        spec: &Spec,
        within: Duration,
    ) -> Result<StepState, SupervisorError> {
        let nothing = Range { offset: 0, maximum: 0 };
        let until = tokio::time::Instant::now() + within;
        loop {
            let wait = until.saturating_duration_since(tokio::time::Instant::now());
            let wait = wait.min(Duration::from_millis(500));
            let poll = self.poll(channel, &spec.key(), nothing, nothing, wait).await?;
            let orphan = matches!(poll.state, StepState::Lost { alive: true, .. });
            if wait.is_zero() || (poll.state != StepState::Running && !orphan) {
                return Ok(poll.state);
            }
            if orphan {
                // The node waits only for steps that have a waiter.
                tokio::time::sleep(wait.min(ORPHAN_LOOK)).await;
            }
        }
    }

    /// Loads the functions into the channel, unless that is done. Every request does so first; to
    /// do it while there is time to spare makes the first step begin sooner. Changes nothing on
    /// the node.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn load(&self, channel: &mut Channel) -> Result<(), SupervisorError> {
        self.load_and(channel, "").await.map(drop)
    }

    /// Loads the functions and calls one of them in the same exchange, in the channel's shell
    /// itself: it must not exit. None when they are loaded already, and then nothing is called.
    pub(super) async fn load_and(
        &self,
        channel: &mut Channel,
        call: &str,
    ) -> Result<Option<Reply>, SupervisorError> {
        if channel.has(LIBRARY) {
            return Ok(None);
        }
        let mut script = library(&self.shell_base())?;
        if !call.is_empty() {
            script.extend(["\n[ $? = 0 ] && ", call]);
        }
        let loaded = channel.define(LIBRARY, &script, REQUEST_MARGIN).await?;
        match loaded {
            Some(reply) if reply.exit != 0 => Err(unreadable(&reply)),
            loaded => Ok(loaded),
        }
    }

    fn shell_base(&self) -> String {
        self.base.as_deref().map_or("${HOME:+$HOME/.zdu}".to_owned(), quote)
    }

    /// One request, after loading the functions into the channel if that is still to do.
    pub(super) async fn request(
        &self,
        channel: &mut Channel,
        script: &str,
        stdin: Option<&[u8]>,
        wait: Duration,
    ) -> Result<Reply, SupervisorError> {
        let base = self.shell_base();
        self.load(channel).await?;
        // The functions are the same for every base; which one this request means, it says itself.
        let script = format!("zdu_base={base}\n{script}");
        let within = wait.saturating_add(REQUEST_MARGIN);
        let reply = channel.run(&script, stdin, within).await?;
        if reply.exit != 0 {
            return Err(unreadable(&reply));
        }
        Ok(reply)
    }
}

/// The script that makes the functions.
fn library(base: &str) -> Result<String, SupervisorError> {
    Ok(format!(
        "zdu_base={base}\nzdu_word={}\nzdu_waiter={}\nzdu_prologue={}\n{FUNCTIONS}",
        new_mark()?,
        quote(WAITER.trim_end()),
        quote(PROLOGUE),
    ))
}

fn new_mark() -> Result<String, SupervisorError> {
    let lost = |error: std::io::Error| ChannelError::Connect {
        failure: super::target::ConnectFailure::Spawn,
        stderr: vec![error.to_string()],
    };
    Ok(random_word().map_err(lost)?)
}

pub(super) fn unreadable(reply: &Reply) -> SupervisorError {
    SupervisorError::Node { exit: reply.exit, lines: tail(&reply.stderr) }
}

/// The first line after `zdu1 `, and what follows it.
pub(super) fn first_line(reply: &Reply) -> Result<(String, &[u8]), SupervisorError> {
    let rest = reply.stdout.strip_prefix(b"zdu1 ").ok_or_else(|| unreadable(reply))?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| unreadable(reply))?;
    let line = std::str::from_utf8(&rest[..end]).map_err(|_| unreadable(reply))?;
    Ok((line.to_owned(), &rest[end + 1..]))
}

pub(crate) fn read_poll(reply: &Reply, mark: &str) -> Result<Poll, SupervisorError> {
    let (line, rest) = first_line(reply)?;
    let state = read_state(&line).ok_or_else(|| unreadable(reply))?;
    let at = rest.windows(mark.len()).position(|part| part == mark.as_bytes());
    let at = at.ok_or_else(|| unreadable(reply))?;
    let (stdout, stderr) = (rest[..at].to_vec(), rest[at + mark.len()..].to_vec());
    Ok(Poll { state, stdout, stderr })
}

pub(super) fn read_state(line: &str) -> Option<StepState> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["running"] => Some(StepState::Running),
        ["never"] => Some(StepState::Never),
        ["ended", "exited", code] => Some(StepState::Ended(Exit::Exited(code.parse().ok()?))),
        ["ended", "signaled", code] => Some(StepState::Ended(Exit::Signaled(code.parse().ok()?))),
        ["refused", seen] => Some(StepState::RefusedEpoch { seen: seen.parse().ok()? }),
        ["lost", reason, alive] => {
            let reason = match *reason {
                "rebooted" => LostReason::Rebooted,
                "supervisor" => LostReason::SupervisorGone,
                "unstarted" => LostReason::Unstarted,
                _ => return None,
            };
            Some(StepState::Lost { reason, alive: *alive == "alive" })
        }
        _ => None,
    }
}

pub(crate) fn read_list(reply: &Reply) -> Result<Vec<(StepKey, StepState)>, SupervisorError> {
    let (_, rest) = first_line(reply)?;
    let text = String::from_utf8_lossy(rest);
    text.lines().map(|line| read_entry(line).ok_or_else(|| unreadable(reply))).collect()
}

/// A line of `zdu_list`.
fn read_entry(line: &str) -> Option<(StepKey, StepState)> {
    let (rollout, rest) = line.split_once(' ')?;
    let (name, state) = rest.split_once(' ')?;
    let (step, attempt) = name.rsplit_once('.')?;
    let key = StepKey {
        rollout: name_of_file(rollout)?,
        step: name_of_file(step)?,
        attempt: attempt.parse().ok()?,
    };
    Some((key, read_state(state)?))
}
