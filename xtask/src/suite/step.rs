//! One step: a cargo command whose output is passed on and read at the same time.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

use super::count::Counts;
use crate::say;

/// What is run.
#[derive(Debug)]
pub(super) enum Step {
    /// The rules of the repository.
    Tidy,
    /// cargo with these arguments and environment.
    Cargo { args: Vec<String>, env: Vec<(&'static str, &'static str)> },
}

impl Step {
    /// What a person would type.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Tidy => "cargo xtask tidy".to_owned(),
            Self::Cargo { args, env } => {
                let env: String =
                    env.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
                format!("{env}cargo {}", args.join(" "))
            }
        }
    }
}

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed(String),
}

enum Said {
    Out(String),
    Err(String),
}

/// Runs cargo to its end, or kills it at the deadline. Results of tests are added to `counts`.
pub(super) fn cargo(
    root: &Path,
    args: &[String],
    env: &[(&'static str, &'static str)],
    deadline: Instant,
    counts: &mut Counts,
) -> Verdict {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args).envs(env.iter().copied()).current_dir(root);
    follow(command, deadline, |said| {
        match &said {
            Said::Out(line) => say::line(line),
            Said::Err(line) => say::error(line),
        }
        let (Said::Out(line) | Said::Err(line)) = said;
        counts.read(&line);
    })
}

fn follow(mut command: Command, deadline: Instant, mut heard: impl FnMut(Said)) -> Verdict {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(cause) => return Verdict::Failed(format!("it could not be started: {cause}")),
    };
    // Bounded, so that a slow terminal slows the tests down instead of filling the memory.
    let (sender, said) = mpsc::sync_channel(1024);
    let out = child.stdout.take().map(|pipe| pass_on(pipe, sender.clone(), Said::Out));
    let err = child.stderr.take().map(|pipe| pass_on(pipe, sender.clone(), Said::Err));
    drop((sender, out, err));
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match said.recv_timeout(left) {
            Ok(line) => heard(line),
            Err(RecvTimeoutError::Disconnected) => return ended(&mut child),
            Err(RecvTimeoutError::Timeout) => {
                // Ended in between is fine. What it started ends with its closed pipes.
                let _ = child.kill();
                let _ = child.wait();
                return Verdict::Failed("the time for the whole run is over".to_owned());
            }
        }
    }
}

fn ended(child: &mut Child) -> Verdict {
    match child.wait() {
        Ok(status) if status.success() => Verdict::Passed,
        Ok(status) => Verdict::Failed(status.to_string()),
        Err(cause) => Verdict::Failed(format!("its end could not be seen: {cause}")),
    }
}

fn pass_on(
    pipe: impl Read + Send + 'static,
    sender: mpsc::SyncSender<Said>,
    wrap: fn(String) -> Said,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe).split(b'\n');
        while let Some(Ok(bytes)) = lines.next() {
            // Nobody listens after the deadline.
            if sender.send(wrap(String::from_utf8_lossy(&bytes).into_owned())).is_err() {
                return;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Does not pass the lines on: whoever counts these tests would count them too.
    fn sh(script: &str, limit: Duration) -> (Verdict, Counts) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut counts = Counts::default();
        let verdict = follow(command, Instant::now() + limit, |said| {
            let (Said::Out(line) | Said::Err(line)) = said;
            counts.read(&line);
        });
        (verdict, counts)
    }

    #[test]
    fn a_step_is_what_its_exit_status_says_and_both_outputs_are_read() {
        let long = Duration::from_secs(60);
        let script = "echo 'test result: ok. 2 passed; 0 failed; 1 ignored'; \
                      echo 'SKIPPED: no root' >&2";
        let (verdict, counts) = sh(script, long);
        assert_eq!(
            (verdict, counts.sum()),
            (Verdict::Passed, "1 passed, 0 failed, 2 skipped".into())
        );
        assert_eq!(sh("exit 3", long).0, Verdict::Failed("exit status: 3".into()));
    }

    #[test]
    fn a_step_that_hangs_is_ended_at_the_deadline() {
        let (verdict, _) = sh("exec sleep 600", Duration::from_millis(50));
        assert_eq!(verdict, Verdict::Failed("the time for the whole run is over".into()));
    }
}
