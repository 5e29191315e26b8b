//! The record of every tool invocation: what shows that a step ran once, with its arguments
//! unchanged. Secrets read from stdin appear by digest only; argv is kept as it came, so that a
//! test can show that no secret was in it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::install::DoubleError;
use super::layout::Layout;
use super::process;
use super::spec::{InstallSpec, sha256_hex};

/// One invocation of a tool, folded from the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// `nodemanager`, `startinstance` or `sysupgrade`.
    pub tool: String,
    /// The arguments after the tool's name.
    pub argv: Vec<String>,
    /// The secrets it read from stdin, in order.
    pub secrets: Vec<SecretSeen>,
    /// Exit code; absent while it runs or when it was killed.
    pub exit: Option<i32>,
}

/// A secret that was read from stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSeen {
    /// Which one was asked for: `domain_passphrase`, `username`, `password`, `instance_passphrase`.
    pub name: String,
    /// SHA-256 of the value, lower-case hex.
    pub sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// Process id and start time: unique on a host between two boots.
    run: String,
    what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What {
    Begin { tool: String, argv: Vec<String> },
    Secret { name: String, sha256: String },
    End { exit: i32 },
}

/// Writes the record of one invocation.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    layout: Layout,
    run: String,
}

impl Recorder {
    pub(crate) fn begin(spec: &InstallSpec, tool: &str, argv: &[String]) -> Self {
        let own = process::own_identity();
        let run = format!("{}:{}", own.pid, own.start_ticks);
        let recorder = Self { layout: spec.layout(), run };
        recorder.write(What::Begin { tool: tool.to_owned(), argv: argv.to_vec() });
        recorder
    }

    pub(crate) fn secret(&self, name: &str, value: &str) {
        self.write(What::Secret { name: name.to_owned(), sha256: sha256_hex(value) });
    }

    pub(crate) fn end(&self, exit: i32) {
        self.write(What::End { exit });
    }

    fn write(&self, what: What) {
        let line = Line { run: self.run.clone(), what };
        let Ok(mut text) = serde_json::to_string(&line) else {
            return;
        };
        text.push('\n');
        // One write in append mode: lines of tools that run at once do not mix.
        if let Ok(mut file) =
            OpenOptions::new().append(true).create(true).open(self.layout.invocations_file())
        {
            drop(file.write_all(text.as_bytes()));
        }
    }
}

/// Every invocation of the tools of an installation, oldest first.
///
/// # Errors
/// When the record exists and cannot be read or understood; no record is an empty list.
pub fn invocations(dir: &Path) -> Result<Vec<Invocation>, DoubleError> {
    let path = Layout::new(dir).invocations_file();
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).map_err(DoubleError::io("read", &path))?;
    let mut runs: Vec<(String, Invocation)> = Vec::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).map_err(DoubleError::json(&path))?;
        let at = runs.iter().rposition(|(run, _)| *run == line.run);
        match (line.what, at) {
            (What::Begin { tool, argv }, _) => {
                runs.push((line.run, Invocation { tool, argv, secrets: Vec::new(), exit: None }));
            }
            (What::Secret { name, sha256 }, Some(at)) => {
                runs[at].1.secrets.push(SecretSeen { name, sha256 });
            }
            (What::End { exit }, Some(at)) => runs[at].1.exit = Some(exit),
            // The record was removed under a running tool; its rest tells nothing.
            (What::Secret { .. } | What::End { .. }, None) => {}
        }
    }
    Ok(runs.into_iter().map(|(_, invocation)| invocation).collect())
}
