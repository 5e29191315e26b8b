//! The two kinds of log of a rollout: its own, and one per node with every command and its output
//! between markers.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zdu_drivers::output::OutputSink;
use zdu_model::ids::{Attempt, StepNo};
use zdu_model::plan::{Plan, Work};
use zdu_model::report::Report;
use zdu_view::{describe, log};

/// The logs of one rollout, in its `logs` directory.
pub(super) struct Logs {
    plan: Arc<Plan>,
    directory: PathBuf,
    /// One writer at a time: lines of two steps must not mix inside a line.
    writing: Mutex<()>,
}

impl Logs {
    /// Logs in this directory, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(plan: Arc<Plan>, directory: PathBuf) -> std::io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { plan, directory, writing: Mutex::new(()) })
    }

    /// Where they are.
    #[must_use]
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Appends to the rollout's own log.
    pub(super) fn rollout(&self, text: &str) {
        self.append("rollout.log", text);
    }

    fn append(&self, file: &str, text: &str) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.directory.join(file);
        let opened: std::io::Result<File> =
            OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        // A log that cannot be written (a full disk) must not stop a rollout; the journal, which
        // must be whole, stops it by itself.
        let _written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    }

    fn file_of(&self, step: StepNo) -> Option<String> {
        let planned = self.plan.step(step);
        let shown = match &planned.work {
            Work::Run(_) | Work::Http(_) | Work::Upload { .. } | Work::Backup { .. } => true,
            Work::Guard { .. }
            | Work::Drain
            | Work::Certify
            | Work::Ready(_)
            | Work::Undrain
            | Work::Serving
            | Work::Soak(_)
            | Work::Wait(_)
            | Work::Manual { .. } => false,
        };
        let subject = planned.subject.node().map_or("fleet".into(), ToString::to_string);
        shown.then(|| format!("{subject}.log"))
    }
}

impl OutputSink for Logs {
    fn begin(&self, step: StepNo, _attempt: Attempt) {
        if let Some(file) = self.file_of(step) {
            self.append(&file, &log::block_start(self.plan.step(step)));
        }
    }

    fn line(&self, step: StepNo, line: &str) {
        if let Some(file) = self.file_of(step) {
            self.append(&file, &format!("{line}\n"));
        }
    }

    fn end(&self, step: StepNo, _attempt: Attempt, report: &Report) {
        if let Some(file) = self.file_of(step) {
            let end = format!("[{}]\n", describe::end(&report.end));
            self.append(&file, &(end + &log::block_end(self.plan.step(step))));
        }
    }
}
