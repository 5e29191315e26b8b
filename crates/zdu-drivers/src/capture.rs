//! Captured values: taken from output, kept beside the rollout in files only we can read, put back
//! into text at the last moment, destroyed when nothing can need them.

use crate::secret::Secrets;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use zdu_model::ids::{CaptureName, Digest};
use zdu_model::plan::Subject;
use zdu_model::procedure::{Capture, CaptureFrom};
use zdu_model::report::Captured;
use zdu_model::text::{Piece, Text};

/// The values captured in one rollout.
#[derive(Debug, Clone)]
pub struct Captures {
    directory: PathBuf,
}

impl Captures {
    /// Kept in this directory, which exists and is 0700.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Of whom a value is: `@fleet` can be no node's name.
    fn owner(subject: &Subject) -> &str {
        subject.node().map_or("@fleet", |node| node.as_str())
    }

    fn path(&self, owner: &str, name: &CaptureName) -> PathBuf {
        self.directory.join(owner).join(name.as_str())
    }

    /// A value captured before, as the plan resolves it: the subject's own, then the fleet's, then
    /// that of the one node that has it.
    ///
    /// # Errors
    /// A sentence: it was never captured, or cannot be read.
    pub fn read(&self, subject: &Subject, name: &CaptureName) -> Result<String, String> {
        let mut owners = vec![Self::owner(subject).to_owned(), Self::owner(&Subject::Fleet).into()];
        if let Ok(entries) = std::fs::read_dir(&self.directory) {
            let mut others: Vec<String> = entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect();
            others.sort();
            owners.extend(others);
        }
        let found = owners.iter().map(|owner| self.path(owner, name)).find(|path| path.is_file());
        let path = found.ok_or_else(|| format!("captured value {name} is not there"))?;
        std::fs::read_to_string(path)
            .map_err(|error| format!("captured value {name} cannot be read: {error}"))
    }

    /// Takes the value out of `output` and keeps it.
    ///
    /// # Errors
    /// A sentence that never holds the value: nothing matched, it is empty, it cannot be kept.
    pub fn take(
        &self,
        subject: &Subject,
        capture: &Capture,
        output: &str,
    ) -> Result<Captured, String> {
        let Capture { name, from, secret } = capture;
        let value = extract(from, output).unwrap_or_default();
        if value.is_empty() {
            return Err(format!("captured value {name} is empty"));
        }
        let path = self.path(Self::owner(subject), name);
        let keep = || -> std::io::Result<()> {
            if let Some(directory) = path.parent() {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            }
            let mut options = std::fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(value.as_bytes())?;
            file.sync_all()
        };
        keep().map_err(|error| format!("captured value {name} cannot be kept: {error}"))?;
        let digest = Digest(hex(&Sha256::digest(value.as_bytes())));
        let value = (!secret).then_some(value);
        Ok(Captured { name: name.clone(), digest, value })
    }

    /// Overwrites and removes every value: the rollout is over.
    pub fn destroy(&self) {
        let Ok(owners) = std::fs::read_dir(&self.directory) else { return };
        for owner in owners.flatten() {
            let Ok(entries) = std::fs::read_dir(owner.path()) else { continue };
            for entry in entries.flatten() {
                let length = entry.metadata().map_or(0, |data| data.len());
                let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
                // Best effort: a journaling file system may keep old blocks whatever we write.
                let _overwritten = std::fs::write(entry.path(), zeros);
                let _removed = std::fs::remove_file(entry.path());
            }
            let _removed = std::fs::remove_dir(owner.path());
        }
    }

    /// Puts secrets and captured values into a text.
    ///
    /// # Errors
    /// A sentence naming what has no value.
    pub fn fill(
        &self,
        subject: &Subject,
        text: &Text,
        secrets: &Secrets,
    ) -> Result<String, String> {
        let mut filled = String::new();
        for piece in &text.0 {
            match piece {
                Piece::Literal(text) => filled.push_str(text),
                Piece::Capture(name) => filled.push_str(&self.read(subject, name)?),
                Piece::Secret(name) => {
                    let value = secrets.expose(name);
                    filled.push_str(value.ok_or_else(|| format!("secret {name} has no value"))?);
                }
            }
        }
        Ok(filled)
    }
}

fn extract(from: &CaptureFrom, output: &str) -> Option<String> {
    match from {
        CaptureFrom::Output => Some(output.trim_end_matches(['\n', '\r']).to_owned()),
        CaptureFrom::Pattern(pattern) => {
            let found = regex::Regex::new(pattern).ok()?.captures(output)?;
            found.get(1).or_else(|| found.get(0)).map(|found| found.as_str().to_owned())
        }
        CaptureFrom::Json(pointer) => {
            let value: serde_json::Value = serde_json::from_str(output).ok()?;
            Some(plain(value.pointer(pointer)?))
        }
    }
}

/// A JSON value as text: a string without its quotes, anything else as JSON writes it.
pub(crate) fn plain(value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(from: CaptureFrom, secret: bool) -> Capture {
        Capture { name: CaptureName::new("v").expect("a name"), from, secret }
    }

    #[test]
    fn a_secret_capture_is_reported_by_digest_only_and_survives_for_later_steps() {
        let directory = tempfile::tempdir().expect("a directory");
        let captures = Captures::new(directory.path().to_owned());
        let capture = capture(CaptureFrom::Json("/a/0".into()), true);
        let taken =
            captures.take(&Subject::Fleet, &capture, r#"{"a":["hunter22"]}"#).expect("there");
        assert_eq!(taken.value, None);
        assert_eq!(captures.read(&Subject::Fleet, &taken.name).as_deref(), Ok("hunter22"));
        captures.destroy();
        assert!(captures.read(&Subject::Fleet, &taken.name).is_err());
    }

    #[test]
    fn an_empty_capture_is_a_failure() {
        let directory = tempfile::tempdir().expect("a directory");
        let captures = Captures::new(directory.path().to_owned());
        for from in [CaptureFrom::Output, CaptureFrom::Pattern("x(.*)y".into())] {
            assert!(captures.take(&Subject::Fleet, &capture(from, false), "\n").is_err());
        }
    }
}
