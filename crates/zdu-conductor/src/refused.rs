//! Releases that were rolled back and are refused until a person clears them with a reason
//! (law 12). One list for a fleet, so that every entry point sees the same.

use crate::directory::{FileError, FleetDir, at, read, replace};
use crate::files::parse;
use serde::{Deserialize, Serialize};
use std::io;
use zdu_model::ids::RolloutId;
use zdu_model::time::Timestamp;

/// The format of the file.
const REFUSED_FORMAT: u32 = 1;

/// A release that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The release.
    pub release: String,
    /// The rollout that was rolled back.
    pub rollout: RolloutId,
    /// Why it was.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A refusal that a person lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clearing {
    /// The release.
    pub release: String,
    /// Who lifted it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct RefusedFile {
    v: u32,
    refused: Vec<Refusal>,
    /// Kept as evidence; nothing is decided from it.
    cleared: Vec<Clearing>,
}

/// Why a refusal could not be lifted.
#[derive(Debug, thiserror::Error)]
pub enum ClearError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A refusal is lifted only with a reason.
    #[error("clear release {release}: no reason was given")]
    NoReason {
        /// The release.
        release: String,
    },
    /// It is not refused.
    #[error("clear release {release}: it is not refused")]
    NotRefused {
        /// The release.
        release: String,
    },
}

/// The refused releases of a fleet.
#[derive(Debug, Clone)]
pub struct RefusedReleases(FleetDir);

impl RefusedReleases {
    /// Those of this fleet.
    #[must_use]
    pub fn new(fleet: FleetDir) -> Self {
        Self(fleet)
    }

    /// Refuses a release. One that is refused already keeps its first reason.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn refuse(&self, refusal: Refusal) -> Result<(), FileError> {
        let _lock = self.0.lock()?;
        let mut file = self.load()?;
        if file.refused.iter().all(|r| r.release != refusal.release) {
            file.refused.push(refusal);
            self.store(&file)?;
        }
        Ok(())
    }

    /// Lifts the refusal of a release.
    ///
    /// # Errors
    /// [`ClearError`].
    pub fn clear(&self, clearing: Clearing) -> Result<(), ClearError> {
        let release = clearing.release.clone();
        if clearing.reason.trim().is_empty() {
            return Err(ClearError::NoReason { release });
        }
        let _lock = self.0.lock()?;
        let mut file = self.load()?;
        let before = file.refused.len();
        file.refused.retain(|r| r.release != release);
        if file.refused.len() == before {
            return Err(ClearError::NotRefused { release });
        }
        file.cleared.push(clearing);
        Ok(self.store(&file)?)
    }

    /// The releases that are refused now, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn refused(&self) -> Result<Vec<Refusal>, FileError> {
        Ok(self.load()?.refused)
    }

    /// The refusal of this release, if it is refused.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn refusal_of(&self, release: &str) -> Result<Option<Refusal>, FileError> {
        let mut all = self.refused()?;
        all.retain(|refusal| refusal.release == release);
        Ok(all.pop())
    }

    fn load(&self) -> Result<RefusedFile, FileError> {
        let path = self.0.refused();
        match read(&path)? {
            Some(bytes) => parse(&path, &bytes, REFUSED_FORMAT),
            None => Ok(RefusedFile { v: REFUSED_FORMAT, refused: Vec::new(), cleared: Vec::new() }),
        }
    }

    fn store(&self, file: &RefusedFile) -> Result<(), FileError> {
        let path = self.0.refused();
        let mut bytes =
            serde_json::to_vec_pretty(file).map_err(|e| at("write", &path)(io::Error::other(e)))?;
        bytes.push(b'\n');
        replace(&path, &bytes)
    }
}
