//! A `zdu` that runs while the test does something else.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Ran, await_some};
use crate::LabError;

/// A started `zdu`. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Its output goes to `stem.out` and `stem.err`.
    pub(super) fn start(mut command: Command, stem: PathBuf) -> Result<Self, LabError> {
        let (stdout, stderr) = (stem.with_extension("out"), stem.with_extension("err"));
        let file = |path: &PathBuf| {
            fs::File::create(path).map_err(LabError::because(format!("make {}", path.display())))
        };
        command.stdin(Stdio::null()).stdout(file(&stdout)?).stderr(file(&stderr)?);
        let child = command.spawn().map_err(LabError::because("start zdu"))?;
        Ok(Self { child, stdout, stderr })
    }

    /// Its process id: `ip netns exec` becomes the program it starts.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has said on stderr until now.
    #[must_use]
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end within `deadline`: what it has said until now.
    pub fn wait(mut self, deadline: Duration) -> Result<Ran, LabError> {
        let ended = await_some("zdu end", deadline, || self.child.try_wait().ok().flatten());
        let Ok(status) = ended else {
            return Err(LabError::new(format!(
                "see zdu end within {deadline:?}; it said: {}",
                self.stderr()
            )));
        };
        let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Ok(Ran { code, stdout: read(&self.stdout), stderr: read(&self.stderr) })
    }

    /// SIGSTOP: the whole process stands still, as on a machine that sleeps, until it is woken.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn put_to_sleep(&self) -> Result<(), LabError> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn wake(&self) -> Result<(), LabError> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).map_err(LabError::because(format!("send zdu {signal:?}")))
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(mut self) -> Result<(), LabError> {
        self.child.kill().map_err(LabError::because("kill zdu"))?;
        self.child.wait().map(drop).map_err(LabError::because("wait for zdu"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already is fine; the wait leaves no zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
