//! A channel: one long-lived `/bin/sh` on a target, driven by requests over its standard input.
//!
//! One process per channel (`sh`, or `ssh … exec /bin/sh`), one request at a time, strictly request
//! and reply: nothing is sent before the last reply is whole, so neither a shell that reads its
//! script in blocks (dash) nor a `head` that reads ahead (busybox) can swallow the next request.
//! The end of each stream of a reply is marked by a random word that no output can know.
//!
//! A script that leaves a background process behind must redirect that process's output: what it
//! prints later would appear in a later reply. Steps that start daemons belong under the
//! supervisor ([`super::supervisor`]), which gives them files.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::process::surround;
use super::quote::has_nul;
use super::target::{ConnectFailure, Target, ssh_arguments};

/// The loop that serves requests on the target.
const BOOTSTRAP: &str = include_str!("bootstrap.sh");
/// Most bytes of one stream of one reply. Replies are facts and chunks, not transfers.
pub const REPLY_LIMIT: usize = 8 * 1024 * 1024;
/// How long the last lines of a dead connection may take to arrive. A `ControlPersist` master
/// keeps the stream open, so its end cannot be waited for.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Most bytes between the mark and the end of its line: they may come in a later read than the
/// mark. What is longer is no exit status, and the mark no mark, however the reads are cut.
const STATUS_MAX: usize = 8;
/// Last lines kept for a diagnosis: enough for ssh's changed-host-key block (15 lines).
const TAIL_LINES: usize = 20;

/// What a script did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Exit status as the shell reports it: 128 and the number when a signal ended the script.
    pub exit: i32,
    /// Standard output, every byte.
    pub stdout: Vec<u8>,
    /// Standard error, every byte.
    pub stderr: Vec<u8>,
}

/// Why a request got no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// There is no connection, so nothing was run.
    #[error("could not connect: {}{}", failure.describe(), shown(stderr))]
    Connect {
        /// The recognised kind.
        failure: ConnectFailure,
        /// Last lines of standard error.
        stderr: Vec<String>,
    },
    /// The connection ended while a request was under way; whether it ran is unknown.
    #[error("connection lost during a request{}", shown(stderr))]
    Lost {
        /// Last lines of standard error.
        stderr: Vec<String>,
    },
    /// The connection ended since the last request; nothing was run.
    #[error("connection lost since the last request{}", shown(stderr))]
    Gone {
        /// Last lines of standard error.
        stderr: Vec<String>,
    },
    /// No reply before the deadline; whether the script still runs is unknown. The channel is
    /// closed, because a late reply could be taken for that of the next request.
    #[error("no reply within {} ms", deadline.as_millis())]
    Deadline {
        /// The deadline that was given.
        deadline: Duration,
    },
    /// The script ran and ended, with more output than a reply carries. The channel stays usable.
    #[error("reply is longer than {limit} bytes")]
    TooLong {
        /// The limit per stream.
        limit: usize,
    },
    /// An earlier request was given up half-way, so this channel cannot be used; nothing was run.
    #[error("channel was left in the middle of an earlier request")]
    Abandoned,
    /// The script holds a NUL byte, which a shell cannot read; nothing was run.
    #[error("script holds a NUL byte")]
    Nul,
}

impl ChannelError {
    /// Whether the script certainly did not run.
    #[must_use]
    pub fn was_not_run(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Gone { .. } | Self::Abandoned | Self::Nul => true,
            Self::Lost { .. } | Self::Deadline { .. } | Self::TooLong { .. } => false,
        }
    }
}

fn shown(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!(" ({})", lines.join("; ")) }
}

/// The last lines of a text of any encoding, control characters made harmless.
pub(super) fn tail(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let clean = |line: &str| -> String {
        line.chars().filter(|character| !character.is_control()).take(400).collect()
    };
    let lines: Vec<String> =
        text.lines().map(clean).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec()
}

/// 128 random bits in two halves. Both halves travel apart, so that no echo of a request (a
/// shell's `set -x`, a login script's `cat`) can be taken for the mark.
struct Mark {
    first: String,
    second: String,
}

impl Mark {
    fn new() -> std::io::Result<Self> {
        let mut random = [0_u8; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { first: hex(&random[..8]), second: hex(&random[8..]) })
    }

    fn whole(&self) -> String {
        format!("{}{}", self.first, self.second)
    }
}

/// A fresh random word of 32 hexadecimal digits.
pub(super) fn random_word() -> std::io::Result<String> {
    Ok(Mark::new()?.whole())
}

/// One long-lived shell. Dropping it ends the local process and everything in its process group;
/// what runs on a remote target and had begun runs on there.
#[derive(Debug)]
pub struct Channel {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// A request is under way, or was when its future was dropped.
    busy: bool,
    /// Names of what was already loaded by [`Channel::define`].
    defined: BTreeSet<String>,
}

impl Channel {
    /// Opens a channel, and returns when the shell on the target answers.
    ///
    /// # Errors
    /// [`ChannelError::Connect`] with the kind; a target that says nothing within
    /// `connect_timeout` and two seconds (login scripts) is [`ConnectFailure::TimedOut`].
    pub async fn open(target: &Target, connect_timeout: Duration) -> Result<Self, ChannelError> {
        let command = match target {
            Target::Local => Command::new("/bin/sh"),
            Target::Ssh { host, .. } => {
                let refused = || ChannelError::Connect {
                    failure: ConnectFailure::BadTarget,
                    stderr: Vec::new(),
                };
                let arguments = ssh_arguments(target, connect_timeout).ok_or_else(refused)?;
                let mut command = Command::new("ssh");
                // A forwarding of the user's own sessions would fail on the second channel.
                command.args(arguments).args(["-o", "ClearAllForwardings=yes"]);
                // `exec /bin/sh` means the same in sh, csh, fish and zsh, and skips the rest of
                // what a login shell would do.
                command.arg("--").arg(host).arg("exec /bin/sh");
                command
            }
        };
        Self::open_command(command, connect_timeout.saturating_add(Duration::from_secs(2))).await
    }

    /// Opens a local channel to the given shell instead of `/bin/sh` (`["busybox", "sh"]`).
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn open_shell(shell: &[&str], within: Duration) -> Result<Self, ChannelError> {
        let (program, arguments) = shell.split_first().unwrap_or((&"/bin/sh", &[]));
        let mut command = Command::new(program);
        command.args(arguments);
        Self::open_command(command, within).await
    }

    async fn open_command(mut command: Command, within: Duration) -> Result<Self, ChannelError> {
        let spawn = |error: std::io::Error| ChannelError::Connect {
            failure: ConnectFailure::Spawn,
            stderr: vec![error.to_string()],
        };
        // A group of its own: a Ctrl-C at the controller's terminal is an input of the rollout
        // and must not cut the connection.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        surround(&mut command);
        let mut child = command.spawn().map_err(spawn)?;
        let missing = || spawn(std::io::Error::other("a pipe is missing"));
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let defined = BTreeSet::new();
        let mut channel = Self { child, stdin, stdout, stderr, busy: false, defined };
        let mark = Mark::new().map_err(spawn)?;
        let hello = format!(
            "{BOOTSTRAP}printf '\\n%s%s 0\\n' {a} {b}; printf '\\n%s%s 0\\n' {a} {b} >&2; \
             zdu_serve && exit\n",
            a = mark.first,
            b = mark.second,
        );
        let greeted = channel.exchange(&[hello.as_bytes()], &mark, within).await;
        match greeted {
            Ok(_) | Err(ChannelError::TooLong { .. }) => Ok(channel),
            Err(ChannelError::Deadline { .. }) => Err(ChannelError::Connect {
                failure: ConnectFailure::TimedOut,
                stderr: vec![format!("no shell answered within {} ms", within.as_millis())],
            }),
            Err(ChannelError::Lost { stderr }) => {
                let status = channel.child.try_wait().ok().flatten();
                let recognised = ConnectFailure::recognise(&stderr.join("\n"));
                // 255 is ssh's own failure; anything else is the remote login shell's.
                let ended_remotely = status.and_then(|s| s.code()).is_some_and(|code| code != 255);
                let failure = if recognised == ConnectFailure::Other && ended_remotely {
                    ConnectFailure::NoShell
                } else {
                    recognised
                };
                Err(ChannelError::Connect { failure, stderr })
            }
            Err(error) => Err(error),
        }
    }

    /// Runs `script` in a subshell of the channel's shell (its `exit`, `cd` and variables do not
    /// outlive it) and returns when it ended. `stdin` is what the script reads; it travels over
    /// the pipe only, and what the script leaves unread is thrown away. None is `/dev/null`.
    ///
    /// # Errors
    /// See [`ChannelError`]; an exit status other than 0 is no error. Dropping the future leaves
    /// the channel unusable ([`ChannelError::Abandoned`]).
    pub async fn run(
        &mut self,
        script: &str,
        stdin: Option<&[u8]>,
        deadline: Duration,
    ) -> Result<Reply, ChannelError> {
        if has_nul(script) {
            return Err(ChannelError::Nul);
        }
        let lines = script.split('\n').count();
        let data = stdin.unwrap_or_default();
        let mode = if data.is_empty() { "plain" } else { "piped" };
        self.request(mode, lines, script, data, deadline).await
    }

    /// Loads functions or variables into the channel's shell itself, once per `name`: later calls
    /// with the same name do nothing and return None. The script must not read its standard input,
    /// which is the channel.
    ///
    /// # Errors
    /// See [`ChannelError`]. An exit status other than 0 means not loaded: the next call tries
    /// again.
    pub async fn define(
        &mut self,
        name: &str,
        script: &str,
        deadline: Duration,
    ) -> Result<Option<Reply>, ChannelError> {
        if self.has(name) {
            return Ok(None);
        }
        if has_nul(script) {
            return Err(ChannelError::Nul);
        }
        // Read by the shell as it reads any script, which then goes back to serving.
        let script = format!("{script}\nzdu_told $?\nzdu_serve && exit\n");
        let reply = self.request("define", 0, "", script.as_bytes(), deadline).await?;
        if reply.exit == 0 {
            self.defined.insert(name.to_owned());
        }
        Ok(Some(reply))
    }

    /// Whether [`Channel::define`] has loaded this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.defined.contains(name)
    }

    /// Whether a request can be made: no earlier one was abandoned and the process lives.
    pub fn is_usable(&mut self) -> bool {
        !self.busy && matches!(self.child.try_wait(), Ok(None))
    }

    /// [`ChannelError::Gone`] when the process has ended between two requests.
    pub(super) async fn loss(&mut self) -> Option<ChannelError> {
        if self.busy || matches!(self.child.try_wait(), Ok(None)) {
            return None;
        }
        let mut last = Vec::new();
        // What was read stays in `last` also when the stream does not end in time.
        let read = async { while matches!(self.stderr.read_buf(&mut last).await, Ok(1..)) {} };
        let _ = timeout(LAST_WORDS, read).await;
        Some(ChannelError::Gone { stderr: tail(&last) })
    }

    /// Process id of the local `sh` or `ssh`, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends the channel in order: the shell is asked to go.
    pub async fn close(mut self) {
        if !self.busy && self.stdin.write_all(b"bye 0 0\n").await.is_ok() {
            // The shell only waits for a request, so this is short; dropping self does the rest.
            let _ = timeout(LAST_WORDS, self.child.wait()).await;
        }
    }

    async fn request(
        &mut self,
        mode: &str,
        lines: usize,
        script: &str,
        data: &[u8],
        deadline: Duration,
    ) -> Result<Reply, ChannelError> {
        let lost = |error: std::io::Error| ChannelError::Lost { stderr: vec![error.to_string()] };
        let mark = Mark::new().map_err(lost)?;
        let (first, second) = (&mark.first, &mark.second);
        let mut head = format!("{mode} {lines} {} {first} {second}\n", data.len());
        if lines > 0 {
            head.push_str(script);
            head.push('\n');
        }
        self.exchange(&[head.as_bytes(), data], &mark, deadline).await
    }

    /// Sends the parts and reads both streams up to the mark.
    async fn exchange(
        &mut self,
        parts: &[&[u8]],
        mark: &Mark,
        deadline: Duration,
    ) -> Result<Reply, ChannelError> {
        if self.busy {
            return Err(ChannelError::Abandoned);
        }
        self.busy = true;
        let word = mark.whole();
        let (mut out, mut err) = (Collector::new(&word), Collector::new(&word));
        let Self { stdin, stdout, stderr, .. } = self;
        let talk = async {
            let write = async {
                for part in parts {
                    stdin.write_all(part).await?;
                }
                stdin.flush().await
            };
            // A write error shows up as the end of the streams, which also carry the reason.
            let main = async { tokio::join!(write, out.read(stdout)).1 };
            let side = err.read(stderr);
            tokio::pin!(main, side);
            tokio::select! {
                biased;
                ended = &mut main => match ended {
                    true => side.await,
                    false => {
                        let _ = timeout(LAST_WORDS, side).await;
                        false
                    }
                },
                ended = &mut side => main.await && ended,
            }
        };
        let whole = timeout(deadline, talk).await;
        match whole {
            Err(_) => {
                self.end_process();
                Err(ChannelError::Deadline { deadline })
            }
            Ok(false) => {
                // Reaps, so that the exit status is there for the caller's diagnosis.
                let _ = timeout(LAST_WORDS, self.child.wait()).await;
                self.end_process();
                Err(ChannelError::Lost { stderr: tail(&err.bytes) })
            }
            Ok(true) => {
                self.busy = false;
                if out.overflowed || err.overflowed {
                    return Err(ChannelError::TooLong { limit: REPLY_LIMIT });
                }
                Ok(Reply { exit: out.exit, stdout: out.bytes, stderr: err.bytes })
            }
        }
    }

    fn end_process(&mut self) {
        // The id is gone once the child was reaped, so this never hits a stranger.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.end_process();
    }
}

/// Bytes of one stream up to its mark.
struct Collector {
    mark: Vec<u8>,
    bytes: Vec<u8>,
    exit: i32,
    overflowed: bool,
}

impl Collector {
    fn new(word: &str) -> Self {
        let mark = format!("\n{word} ").into_bytes();
        Self { mark, bytes: Vec::new(), exit: 0, overflowed: false }
    }

    /// Reads to the mark (true) or to the end of the stream (false).
    async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> bool {
        loop {
            let before = self.bytes.len();
            match stream.read_buf(&mut self.bytes).await {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            }
            if self.look(before) {
                return true;
            }
        }
    }

    /// Whether the mark is there now; `before` as in [`Self::finish`].
    fn look(&mut self, before: usize) -> bool {
        if self.finish(before) {
            return true;
        }
        if self.bytes.len() > REPLY_LIMIT {
            self.overflowed = true;
            let keep = self.mark.len() + 16;
            self.bytes.drain(..self.bytes.len() - keep);
        }
        false
    }

    /// Takes the mark and the exit status off the end when they are there. `before` is how many
    /// bytes an earlier look has seen.
    fn finish(&mut self, before: usize) -> bool {
        let from = before.saturating_sub(self.mark.len() + STATUS_MAX);
        let window = &self.bytes[from..];
        let marks = window.windows(self.mark.len()).enumerate();
        let mut statuses = marks.filter(|(_, part)| *part == self.mark).filter_map(|(at, part)| {
            let rest = &window[at + part.len()..];
            let line = &rest[..rest.len().min(STATUS_MAX + 1)];
            let end = line.iter().position(|byte| *byte == b'\n')?;
            Some((at, &line[..end]))
        });
        let Some((at, digits)) = statuses.next() else { return false };
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        self.exit = digits.parse().unwrap_or(-1);
        self.bytes.truncate(from + at);
        true
    }
}

/// What a stream in these pieces is read as, up to the mark of `word`: status and bytes.
pub(crate) fn framed(word: &str, pieces: &[&[u8]]) -> Option<(i32, Vec<u8>)> {
    let mut collector = Collector::new(word);
    for piece in pieces {
        let before = collector.bytes.len();
        collector.bytes.extend_from_slice(piece);
        if collector.look(before) {
            return Some((collector.exit, collector.bytes));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_found_wherever_reads_are_cut() {
        let whole = b"a\nb\x00\n\nword 17\n";
        for cut in 1..whole.len() {
            let mut collector = Collector::new("word");
            collector.bytes.extend_from_slice(&whole[..cut]);
            assert!(!collector.finish(0), "cut at {cut}");
            collector.bytes.extend_from_slice(&whole[cut..]);
            assert!(collector.finish(cut), "cut at {cut}");
            assert_eq!((collector.exit, collector.bytes.as_slice()), (17, &b"a\nb\x00\n"[..]));
        }
    }

    #[test]
    fn a_line_too_long_for_a_status_is_no_mark_wherever_reads_are_cut() {
        let whole = b"a\nword 123456789\nb\nword 12345678\n";
        for cut in 0..whole.len() {
            let read = framed("word", &[&whole[..cut], &whole[cut..]]);
            assert_eq!(read, Some((12_345_678, b"a\nword 123456789\nb".to_vec())), "cut at {cut}");
        }
    }

    #[test]
    fn the_tail_is_short_and_free_of_control_characters() {
        let text: String = (0..100).map(|line| format!("line {line}\x1b[31m\n")).collect();
        let lines = tail(text.as_bytes());
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("line 99[31m"));
    }
}
