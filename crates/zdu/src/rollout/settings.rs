//! What a rollout was started with that its plan does not hold, kept for whoever resumes it.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use zdu_conductor::directory::RolloutDir;

/// What was given at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// The directory for records on nodes: a resumed rollout must look where the first one wrote.
    pub(super) node_base: Option<String>,
}

impl Settings {
    pub(super) fn write(&self, directory: &RolloutDir) -> Result<(), Failure> {
        let text = serde_json::to_string(self)
            .map_err(|error| Failure::fatal("keep the rollout's settings", &error))?;
        let path = directory.path().join("settings.json");
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| Failure::fatal("keep the rollout's settings", &error))
    }

    pub(super) fn read(directory: &RolloutDir) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(directory.path().join("settings.json"))
            .map_err(|error| Failure::fatal("read the rollout's settings", &error))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::fatal("read the rollout's settings", &error))
    }
}
