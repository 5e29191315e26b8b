//! Failures planted into an installation: what, in which phase, once, always or until mended.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::console::Console;
use super::install::DoubleError;
use super::spec::{self, InstallSpec};

/// One planted failure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// Where it strikes.
    pub phase: Phase,
    /// What happens.
    pub fault: Fault,
    /// How often.
    pub times: Times,
}

/// Where a failure strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// `sysupgrade export`.
    Export,
    /// `sysupgrade upgrade`.
    Upgrade,
    /// `sysupgrade apply`.
    Apply,
    /// `sysupgrade clean`.
    Clean,
    /// `sysupgrade import-kps`.
    ImportKps,
    /// `nodemanager -d`; not the start that `apply` makes itself.
    NodeManagerStart,
    /// `nodemanager -k`.
    NodeManagerStop,
    /// `startinstance -d`; not the start that `apply` makes itself.
    InstanceStart,
    /// `startinstance -k`.
    InstanceStop,
    /// An instance that starts and answers, but whose health checks answer 500 for its whole life,
    /// whatever the fault. `Once` is the life of one process.
    Health,
}

/// What happens in a planted failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Ends without having done anything.
    Fail {
        /// Exit code.
        exit_code: i32,
        /// Text after `ERROR: `.
        text: String,
    },
    /// Does everything, then ends as if it had failed: the outcome a caller must observe.
    FailLate {
        /// Exit code.
        exit_code: i32,
        /// Text after `ERROR: `.
        text: String,
    },
    /// Succeeds with a line of `WARN: `.
    Warn {
        /// Text after `WARN: `.
        text: String,
    },
    /// Does nothing and does not end by itself, until killed, the installation's directory
    /// disappears or the longest life of a process is over (then exit 100).
    Hang,
}

/// How often a planted failure strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// The first time only.
    Once,
    /// Every time.
    Always,
    /// As long as this file is there: who removes it has repaired the cause.
    While(PathBuf),
}

/// Plants one more failure into a laid-out installation.
///
/// # Errors
/// When the directory holds no installation or cannot be written.
pub fn plan_failure(dir: &Path, failure: Failure) -> Result<(), DoubleError> {
    let mut spec = spec::load(dir)?;
    spec.failures.push(failure);
    spec::save(&spec)
}

/// Takes every planted failure back and forgets which have happened.
///
/// # Errors
/// When the directory holds no installation or cannot be written.
pub fn clear_failures(dir: &Path) -> Result<(), DoubleError> {
    let mut spec = spec::load(dir)?;
    spec.failures.clear();
    spec::save(&spec)?;
    let spent = spec.layout().spent();
    std::fs::remove_dir_all(&spent).map_err(DoubleError::io("remove", &spent))?;
    std::fs::create_dir_all(&spent).map_err(DoubleError::io("create", &spent))
}

/// The failure that strikes now in `phase`, if any; a one-shot one is spent by asking.
pub(crate) fn take(spec: &InstallSpec, phase: Phase) -> Option<Fault> {
    spec.failures
        .iter()
        .enumerate()
        .filter(|(_, failure)| failure.phase == phase)
        .find(|(index, failure)| match &failure.times {
            Times::Always => true,
            Times::While(file) => file.exists(),
            // Creating the mark decides, so that two tools at once cannot both spend it.
            Times::Once => OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(spec.layout().spent().join(index.to_string()))
                .is_ok(),
        })
        .map(|(_, failure)| failure.fault.clone())
}

/// Runs `work` unless a planted failure of `phase` says otherwise.
pub(crate) fn under(
    spec: &InstallSpec,
    phase: Phase,
    console: &mut Console,
    work: impl FnOnce(&mut Console) -> i32,
) -> i32 {
    match take(spec, phase) {
        None => work(console),
        Some(Fault::Fail { exit_code, text }) => {
            console.error(&text);
            exit_code
        }
        Some(Fault::FailLate { exit_code, text }) => {
            let code = work(console);
            if code != 0 {
                return code;
            }
            console.error(&text);
            exit_code
        }
        Some(Fault::Warn { text }) => {
            console.warn(&text);
            work(console)
        }
        Some(Fault::Hang) => hang(spec),
    }
}

fn hang(spec: &InstallSpec) -> i32 {
    let started = Instant::now();
    let life = Duration::from_millis(spec.life_ms_max);
    while started.elapsed() < life && spec.layout().spec_file().exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    100
}
