//! A remote unix socket (a balancer's admin socket) as a local one, through one `ssh` process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::channel::{random_word, tail};
use super::process::surround;
use super::target::{ConnectFailure, Target, ssh_arguments};

/// Most bytes of ssh's messages kept.
const MESSAGES_LIMIT: usize = 16 * 1024;
/// The local socket appears without an event to wait for; this is the pause between looks.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// What is run beside the forward, to the end of the connection. `sshd` sends small packets at once
/// (`TCP_NODELAY`) only on connections with a session: without one the end of a balancer's answer
/// waited up to 40 ms, now and then, for our side to confirm the answer. It ends with us, too.
const SESSION: &str = "echo zdu-session; exec cat";
/// What that says first.
const SESSION_IS_UP: &[u8] = b"zdu-session\n";
/// How long it may take. A forced command says something else, or nothing; the forward stands.
const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a forward does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// `ssh` ended or did not get there in time.
    #[error("could not forward {remote}: {} ({})", failure.describe(), stderr.join("; "))]
    Connect {
        /// The remote socket.
        remote: String,
        /// The recognised kind.
        failure: ConnectFailure,
        /// Last lines of ssh's messages.
        stderr: Vec<String>,
    },
    /// The private directory for the local socket could not be made.
    #[error("could not make a private directory in {}: {reason}", parent.display())]
    Directory {
        /// Where.
        parent: PathBuf,
        /// The system's reason.
        reason: String,
    },
}

/// A forwarded unix socket. Dropping it ends the `ssh` process and removes the local socket.
#[derive(Debug)]
pub struct StreamForward {
    target: Target,
    remote: String,
    connect_timeout: Duration,
    directory: PathBuf,
    child: Option<Child>,
    messages: Arc<Mutex<Vec<u8>>>,
    /// Not for an account that may forward and nothing else.
    with_session: bool,
}

impl StreamForward {
    /// Opens a forward to the unix socket `remote` on `target`. The local socket lies in a new
    /// 0700 directory in `parent`, whose path should be short: a socket's path has 107 bytes at
    /// most. That the remote socket exists shows only when a connection through it is used.
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn open(
        target: &Target,
        remote: &str,
        parent: &Path,
        connect_timeout: Duration,
    ) -> Result<Self, ForwardError> {
        let failed = |error: std::io::Error| ForwardError::Directory {
            parent: parent.to_owned(),
            reason: error.to_string(),
        };
        let word = random_word().map_err(failed)?;
        let directory = parent.join(format!("zdu-{}", &word[..12]));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&directory).map_err(failed)?;
        let mut forward = Self {
            target: target.clone(),
            remote: remote.to_owned(),
            connect_timeout,
            directory,
            child: None,
            messages: Arc::default(),
            with_session: true,
        };
        forward.restart().await?;
        Ok(forward)
    }

    /// Path of the local socket; the same after a restart.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join("s.sock")
    }

    /// Whether the `ssh` process runs. It ends by itself 6 to 8 seconds after a silent loss.
    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Last lines of ssh's messages, for a diagnosis.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        tail(&self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the process if it runs, starts another, and returns when the local socket is there.
    ///
    /// # Errors
    /// [`ForwardError::Connect`].
    pub async fn restart(&mut self) -> Result<(), ForwardError> {
        match self.start().await {
            Err(ForwardError::Connect {
                failure: ConnectFailure::NoShell | ConnectFailure::Other,
                ..
            }) if self.with_session => {
                self.with_session = false;
                self.start().await
            }
            started => started,
        }
    }

    async fn start(&mut self) -> Result<(), ForwardError> {
        if let Some(mut child) = self.child.take() {
            // Reaped here, so that two never share the local path.
            let _ = child.kill().await;
        }
        let _ = std::fs::remove_file(self.path());
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut child = self.spawn()?;
        if let Some(stderr) = child.stderr.take() {
            let messages = Arc::clone(&self.messages);
            // Ends with the process, whose end of the pipe it reads.
            tokio::spawn(collect(stderr, messages));
        }
        self.child = Some(child);
        self.wait_for_socket().await?;
        if self.with_session { self.wait_for_session().await } else { Ok(()) }
    }

    fn spawn(&self) -> Result<Child, ForwardError> {
        let Target::Ssh { host, .. } = &self.target else {
            let text = "a local socket needs no forward".to_owned();
            return Err(self.error(ConnectFailure::BadTarget, vec![text]));
        };
        let arguments = ssh_arguments(&self.target, self.connect_timeout)
            .ok_or_else(|| self.error(ConnectFailure::BadTarget, Vec::new()))?;
        let mut command = Command::new("ssh");
        command.args(arguments).args(["-o", "ExitOnForwardFailure=yes"]);
        command.args(["-o", "StreamLocalBindUnlink=yes", "-o", "StreamLocalBindMask=0177"]);
        // Through a user's own master the forward would outlive this process.
        command.args(["-o", "ControlMaster=no", "-o", "ControlPath=none", "-L"]);
        command.arg(format!("{}:{}", self.path().display(), self.remote));
        if self.with_session {
            command.arg("--").arg(host).arg(SESSION);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.args(["-N", "--"]).arg(host);
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }
        command.process_group(0).kill_on_drop(true).stderr(Stdio::piped());
        surround(&mut command);
        command.spawn().map_err(|error| self.error(ConnectFailure::Spawn, vec![error.to_string()]))
    }

    async fn wait_for_socket(&mut self) -> Result<(), ForwardError> {
        let until = Instant::now() + self.connect_timeout + Duration::from_secs(2);
        // The path appears with bind, connections are taken only after listen.
        while UnixStream::connect(self.path()).await.is_err() {
            if !self.is_alive() {
                // Its messages may be a moment behind its end.
                let empty = || self.last_lines().is_empty();
                let _ = timeout(Duration::from_millis(200), async {
                    while empty() {
                        sleep(LOOK_PAUSE).await;
                    }
                })
                .await;
                let lines = self.last_lines();
                return Err(self.error(ConnectFailure::recognise(&lines.join("\n")), lines));
            }
            if Instant::now() >= until {
                return Err(self.error(ConnectFailure::TimedOut, self.last_lines()));
            }
            sleep(LOOK_PAUSE).await;
        }
        Ok(())
    }

    /// Until the session says that it is there. An error when it has ended: the forward ends with
    /// it.
    async fn wait_for_session(&mut self) -> Result<(), ForwardError> {
        let stdout = self.child.as_mut().and_then(|child| child.stdout.as_mut());
        let Some(stdout) = stdout else { return Ok(()) };
        let mut said = Vec::new();
        let is_up = timeout(SESSION_TIMEOUT, async {
            // Whatever a login says before it.
            while !said.windows(SESSION_IS_UP.len()).any(|part| part == SESSION_IS_UP) {
                if !matches!(stdout.read_buf(&mut said).await, Ok(1..)) {
                    return false;
                }
            }
            true
        });
        match is_up.await {
            Ok(true) | Err(_) => Ok(()),
            Ok(false) => Err(self.error(ConnectFailure::NoShell, self.last_lines())),
        }
    }

    fn error(&self, failure: ConnectFailure, stderr: Vec<String>) -> ForwardError {
        ForwardError::Connect { remote: self.remote.clone(), failure, stderr }
    }
}

async fn collect(mut stderr: tokio::process::ChildStderr, messages: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = [0_u8; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
        let mut held = messages.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend_from_slice(&chunk[..length]);
        let excess = held.len().saturating_sub(MESSAGES_LIMIT);
        held.drain(..excess);
    }
}

impl Drop for StreamForward {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
