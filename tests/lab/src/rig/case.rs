//! One state directory, one `zdu.yaml`, the commands of `zdu` on them, and what they leave.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use zdu_conductor::plan_file::read_plan;
use zdu_model::event::{Event, Record};
use zdu_model::plan::Plan;

use super::{Rig, Running, await_some, write_private, yaml};
use crate::{LabError, process, program};

/// Longest run of a command that does not roll out; they take a second or two.
const COMMAND: Duration = Duration::from_secs(60);

/// Longest rollout of a test on two busy processors.
const ROLLOUT: Duration = Duration::from_secs(240);

/// A `zdu` that ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// Standard output: data.
    pub stdout: String,
    /// Standard error: for people.
    pub stderr: String,
}

impl Ran {
    /// Both outputs.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Demands an exit code.
    ///
    /// # Panics
    /// When it was another: with everything that was said.
    #[track_caller]
    pub fn ended(self, code: u8) -> Self {
        assert_eq!(self.code, i32::from(code), "stdout:\n{}stderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A state directory with its configuration.
#[derive(Debug)]
pub struct Case<'rig> {
    rig: &'rig Rig,
    name: String,
    directory: PathBuf,
    started: AtomicU32,
}

impl<'rig> Case<'rig> {
    pub(super) fn new(rig: &'rig Rig, name: &str) -> Result<Self, LabError> {
        let directory = rig.lab().directory().join(name);
        fs::create_dir(&directory).map_err(LabError::because(format!("make case {name}")))?;
        write_private(&directory.join("anm_password"), &format!("{}\n", rig.spec().password))?;
        write_private(&directory.join("domain_passphrase"), &rig.spec().passphrase)?;
        let case = Self { rig, name: name.to_owned(), directory, started: AtomicU32::new(0) };
        case.configure(&yaml::axway(rig, name, &case.directory))?;
        Ok(case)
    }

    /// The rig it belongs to.
    #[must_use]
    pub fn rig(&self) -> &'rig Rig {
        self.rig
    }

    /// Its directory on the machine.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// `zdu.yaml`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.join("zdu.yaml")
    }

    /// The state directory: `state`, which a test may make a link to elsewhere.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The text of `zdu.yaml`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn yaml(&self) -> Result<String, LabError> {
        fs::read_to_string(self.config()).map_err(LabError::because("read zdu.yaml"))
    }

    /// Writes `zdu.yaml`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, text: &str) -> Result<(), LabError> {
        fs::write(self.config(), text).map_err(LabError::because("write zdu.yaml"))
    }

    /// Replaces a text that stands exactly once in `zdu.yaml`.
    ///
    /// # Errors
    /// When it stands there not once: the test would change nothing.
    pub fn reconfigure(&self, from: &str, to: &str) -> Result<(), LabError> {
        let text = self.yaml()?;
        if text.matches(from).count() != 1 {
            return Err(LabError::new(format!("find {from:?} exactly once in zdu.yaml")));
        }
        self.configure(&text.replacen(from, to, 1))
    }

    /// Writes a procedure of the test's own and a `zdu.yaml` that uses it on the same fleet, with
    /// these variables and secrets (of those the rig has).
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn use_procedure(
        &self,
        procedure: &str,
        vars: &[(&str, &str)],
        secrets: &[&str],
    ) -> Result<(), LabError> {
        write_private(&self.directory.join("own.yaml"), procedure)?;
        let text = yaml::whole(self.rig, &self.name, &self.directory, "./own.yaml", vars, secrets);
        self.configure(&text)
    }

    // --- commands ---

    /// `zdu --state-dir ..` in the control namespace.
    ///
    /// # Errors
    /// When `zdu` was not built.
    pub fn command(&self, words: &[&str]) -> Result<Command, LabError> {
        let mut command = self.rig.lab().command(program("zdu")?);
        command.arg("--state-dir").arg(self.state()).args(words);
        Ok(command)
    }

    /// Runs a command that takes no configuration to its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn zdu(&self, words: &[&str]) -> Result<Ran, LabError> {
        let ended = process::output(self.command(words)?, "", COMMAND)?;
        Ok(Ran {
            code: ended.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
        })
    }

    /// Runs a command with `--config zdu.yaml` to its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn zdu_on_config(&self, words: &[&str]) -> Result<Ran, LabError> {
        let config = self.config().to_string_lossy().into_owned();
        self.zdu(&[words, &["--config", &config]].concat())
    }

    /// Starts any command.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, words: &[&str]) -> Result<Running, LabError> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        Running::start(self.command(words)?, self.directory.join(format!("zdu-{number}")))
    }

    /// Starts `zdu run --config zdu.yaml --yes`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_run(&self) -> Result<Running, LabError> {
        let config = self.config().to_string_lossy().into_owned();
        self.start(&["run", "--yes", "--config", &config])
    }

    /// A whole rollout.
    ///
    /// # Errors
    /// When it does not end in four minutes.
    pub fn run(&self) -> Result<Ran, LabError> {
        self.start_run()?.wait(ROLLOUT)
    }

    /// `zdu resume` of the newest rollout, to its end.
    ///
    /// # Errors
    /// When there is no rollout, or it does not end in four minutes.
    pub fn resume(&self, reason: &str) -> Result<Ran, LabError> {
        self.start(&["resume", &self.rollout()?, "--reason", reason])?.wait(ROLLOUT)
    }

    // --- what they leave ---

    /// The id of the newest rollout.
    ///
    /// # Errors
    /// When there is none.
    pub fn rollout(&self) -> Result<String, LabError> {
        self.newest().ok_or_else(|| LabError::new("find a rollout in the state directory"))
    }

    fn newest(&self) -> Option<String> {
        let entries = fs::read_dir(self.state().join("rollouts")).ok()?;
        let made = |entry: fs::DirEntry| {
            let at = entry.metadata().ok()?.created().ok()?;
            Some((at, entry.file_name().into_string().ok()?))
        };
        entries.flatten().filter_map(made).max().map(|(_, name)| name)
    }

    /// The directory of the newest rollout.
    ///
    /// # Errors
    /// When there is none.
    pub fn rollout_dir(&self) -> Result<PathBuf, LabError> {
        Ok(self.state().join("rollouts").join(self.rollout()?))
    }

    /// What `zdu status --json` says of the newest rollout.
    ///
    /// # Errors
    /// When it does not succeed or says no JSON.
    pub fn status(&self) -> Result<Value, LabError> {
        let ran = self.zdu(&["status", "--json", &self.rollout()?])?;
        serde_json::from_str(&ran.stdout)
            .map_err(LabError::because(format!("read the status {ran:?}")))
    }

    /// The plan of the newest rollout.
    ///
    /// # Errors
    /// When its file is not what was written.
    pub fn plan(&self) -> Result<Plan, LabError> {
        let path = self.rollout_dir()?.join("plan.json");
        read_plan(&path).map(|(plan, _)| plan).map_err(LabError::because("read plan.json"))
    }

    /// The records of the newest rollout as `zdu log --json` prints them.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, LabError> {
        let ran = self.zdu(&["log", &self.rollout()?, "--json"])?;
        let read = |line: &str| {
            serde_json::from_str(line).map_err(LabError::because(format!("read record {line}")))
        };
        ran.stdout.lines().map(read).collect()
    }

    /// The records that are in the journal at this moment, without starting a process: none before
    /// there is a rollout, and without a line that is being written.
    #[must_use]
    pub fn records_now(&self) -> Vec<Record> {
        let Ok(directory) = self.rollout_dir() else {
            return Vec::new();
        };
        let text = fs::read_to_string(directory.join("journal.jsonl")).unwrap_or_default();
        let line = |line: &str| -> Option<Vec<Record>> {
            let mut line: Value = serde_json::from_str(line).ok()?;
            serde_json::from_value(line.get_mut("recs")?.take()).ok()
        };
        text.lines().filter_map(line).flatten().collect()
    }

    /// Waits for an event, also one that is there already.
    ///
    /// # Errors
    /// When it does not come within `deadline`.
    pub fn await_event(
        &self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Record, LabError> {
        await_some(what, deadline, || self.records_now().into_iter().find(|r| wanted(&r.event)))
    }

    /// Waits until a step of a node was begun.
    ///
    /// # Errors
    /// When it is not within `deadline`.
    pub fn await_step(
        &self,
        node: &str,
        key: &str,
        deadline: Duration,
    ) -> Result<Record, LabError> {
        await_some("a plan", deadline, || self.plan().ok())?;
        let plan = self.plan()?;
        self.await_event(&format!("{key} of {node} begin"), deadline, |event| {
            let Event::StepStarted { step, .. } = event else {
                return false;
            };
            let step = plan.step(*step);
            let of_node = step.subject.node().is_some_and(|of| of.as_str() == node);
            of_node && step.key.as_str() == key
        })
    }
}
