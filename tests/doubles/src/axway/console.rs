//! What a tool says and asks: standard output and error, the phase's log, prompts on stdin.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::invocations::Recorder;

/// Where one tool run says things. A broken pipe is no reason to stop: the product's tools do not
/// stop either when their reader goes away.
#[derive(Default)]
pub(crate) struct Console {
    log: Option<File>,
    recorder: Option<Recorder>,
}

impl Console {
    pub(crate) fn plain() -> Self {
        Self::default()
    }

    /// From now on everything said is also appended to this log.
    pub(crate) fn also_log_to(&mut self, path: &Path) {
        if let Some(parent) = path.parent() {
            drop(std::fs::create_dir_all(parent));
        }
        self.log = OpenOptions::new().append(true).create(true).open(path).ok();
    }

    pub(crate) fn record_secrets_with(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    pub(crate) fn say(&mut self, text: &str) {
        drop(writeln!(io::stdout().lock(), "{text}"));
        self.log_line(text);
    }

    pub(crate) fn warn(&mut self, text: &str) {
        self.complain(&format!("WARN: {text}"));
    }

    pub(crate) fn error(&mut self, text: &str) {
        self.complain(&format!("ERROR: {text}"));
    }

    fn complain(&mut self, line: &str) {
        drop(writeln!(io::stderr().lock(), "{line}"));
        self.log_line(line);
    }

    fn log_line(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            drop(writeln!(log, "{line}"));
        }
    }

    /// Asks for a secret and reads one line of stdin; `None` when stdin ends. The value goes to the
    /// caller only; its digest to the invocation record.
    pub(crate) fn ask_secret(&mut self, name: &str, prompt: &str) -> Option<String> {
        drop(write!(io::stderr().lock(), "{prompt}: "));
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).unwrap_or(0);
        drop(writeln!(io::stderr().lock()));
        if read == 0 {
            return None;
        }
        let value = line.trim_end_matches(['\n', '\r']).to_owned();
        if let Some(recorder) = &self.recorder {
            recorder.secret(name, &value);
        }
        Some(value)
    }
}
