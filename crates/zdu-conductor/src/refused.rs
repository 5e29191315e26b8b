//! Releases that were rolled back and are refused until a person clears them with a reason
//! (law 12). One list for a fleet, so that every entry point sees the same.
//!
//! [`Refusals`] is the rule without any store; [`RefusedReleases`] keeps it in a file.

use crate::directory::{FileError, FleetDir, at, read, replace};
use crate::files::parse;
use serde::{Deserialize, Serialize};
use std::io;
use zdu_model::ids::RolloutId;
use zdu_model::time::Timestamp;
use zdu_model::verdict::Verdict;

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
    cleared: Vec<Clearing>,
}

/// The refused releases of a fleet, and the rule about them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusals {
    /// The releases that are refused now, oldest first.
    pub refused: Vec<Refusal>,
    /// Kept as evidence; nothing is decided from it.
    pub cleared: Vec<Clearing>,
}

/// Why a rollout that ended like that makes its release a refused one; none when it does not.
#[must_use]
pub fn why_refused(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Failed { phase, rolled_back, .. } if !rolled_back.is_empty() => {
            let nodes: Vec<_> = rolled_back.iter().map(ToString::to_string).collect();
            Some(format!("{phase} failed and {} went back", nodes.join(", ")))
        }
        Verdict::RolledBack => Some("the whole rollout was rolled back".into()),
        Verdict::Stuck { .. } => Some("a rollback got stuck".into()),
        Verdict::Succeeded | Verdict::Failed { .. } | Verdict::Aborted | Verdict::Held => None,
    }
}

impl Refusals {
    /// Refuses a release; `false` says that nothing was added. One that is refused already keeps
    /// its first reason, and one that was cleared since that end is not refused for it again.
    pub fn refuse(&mut self, refusal: Refusal) -> bool {
        let Refusal { release, at, .. } = &refusal;
        let answers = |known: &Clearing| known.release == *release && known.at > *at;
        let lifted = self.cleared.iter().any(answers);
        let fresh = self.refusal_of(release).is_none() && !lifted;
        if fresh {
            self.refused.push(refusal);
        }
        fresh
    }

    /// The refusal of this release, if it is refused.
    #[must_use]
    pub fn refusal_of(&self, release: &str) -> Option<&Refusal> {
        self.refused.iter().find(|refusal| refusal.release == release)
    }

    /// Lifts the refusal of a release.
    ///
    /// # Errors
    /// [`NotCleared`].
    pub fn clear(&mut self, clearing: Clearing) -> Result<(), NotCleared> {
        if clearing.reason.trim().is_empty() {
            return Err(NotCleared::NoReason);
        }
        if self.refusal_of(&clearing.release).is_none() {
            return Err(NotCleared::NotRefused);
        }
        self.refused.retain(|refusal| refusal.release != clearing.release);
        self.cleared.push(clearing);
        Ok(())
    }

    /// Lets a release pass that is not refused, or that is cleared here with a reason; the refusal
    /// that stands otherwise. `true` when one was lifted.
    ///
    /// # Errors
    /// The refusal, when no reason to lift it is given.
    pub fn admit(&mut self, asking: Clearing) -> Result<bool, Refusal> {
        let Some(refusal) = self.refusal_of(&asking.release).cloned() else { return Ok(false) };
        match self.clear(asking) {
            Ok(()) => Ok(true),
            Err(NotCleared::NoReason | NotCleared::NotRefused) => Err(refusal),
        }
    }
}

/// Why the rule lifts no refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCleared {
    /// No reason was given.
    NoReason,
    /// It is not refused.
    NotRefused,
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
        let mut known = self.load()?;
        if known.refuse(refusal) {
            self.store(known)?;
        }
        Ok(())
    }

    /// Lifts the refusal of a release.
    ///
    /// # Errors
    /// [`ClearError`].
    pub fn clear(&self, clearing: Clearing) -> Result<(), ClearError> {
        let release = clearing.release.clone();
        let _lock = self.0.lock()?;
        let mut known = self.load()?;
        match known.clear(clearing) {
            Ok(()) => Ok(self.store(known)?),
            Err(NotCleared::NoReason) => Err(ClearError::NoReason { release }),
            Err(NotCleared::NotRefused) => Err(ClearError::NotRefused { release }),
        }
    }

    /// Lets a release pass, or lifts its refusal where the asking has a reason; the refusal that
    /// stands otherwise.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn admit(&self, asking: Clearing) -> Result<Option<Refusal>, FileError> {
        let _lock = self.0.lock()?;
        let mut known = self.load()?;
        match known.admit(asking) {
            Ok(false) => Ok(None),
            Ok(true) => self.store(known).map(|()| None),
            Err(refusal) => Ok(Some(refusal)),
        }
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
        Ok(self.load()?.refusal_of(release).cloned())
    }

    fn load(&self) -> Result<Refusals, FileError> {
        let path = self.0.refused();
        let Some(bytes) = read(&path)? else { return Ok(Refusals::default()) };
        let RefusedFile { v: _, refused, cleared } = parse(&path, &bytes, REFUSED_FORMAT)?;
        Ok(Refusals { refused, cleared })
    }

    fn store(&self, known: Refusals) -> Result<(), FileError> {
        let path = self.0.refused();
        let Refusals { refused, cleared } = known;
        let file = RefusedFile { v: REFUSED_FORMAT, refused, cleared };
        let mut bytes = serde_json::to_vec_pretty(&file)
            .map_err(|e| at("write", &path)(io::Error::other(e)))?;
        bytes.push(b'\n');
        replace(&path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zdu_model::ids::{NodeName, PhaseName};

    fn asking(reason: &str) -> Clearing {
        Clearing { release: "7.7".into(), by: "op".into(), reason: reason.into(), at: Timestamp(2) }
    }

    #[test]
    fn a_refused_release_passes_only_with_a_reason_and_only_once() {
        let mut known = Refusals::default();
        assert_eq!(known.admit(asking("")), Ok(false), "nothing is refused yet");
        let refusal = Refusal {
            release: "7.7".into(),
            rollout: RolloutId::new("r1").expect("a name"),
            reason: "a rollback got stuck".into(),
            at: Timestamp(1),
        };
        assert!(known.refuse(refusal.clone()));
        assert!(!known.refuse(refusal.clone()), "it keeps its first reason");
        assert_eq!(known.admit(asking(" ")), Err(refusal.clone()));
        assert_eq!(known.admit(asking("patched")), Ok(true));
        assert_eq!(known.admit(asking("")), Ok(false));
        assert_eq!(known.cleared, [asking("patched")]);
        assert!(!known.refuse(refusal.clone()), "that end was answered for");
        assert!(known.refuse(Refusal { at: Timestamp(3), ..refusal }), "another end was not");
    }

    #[test]
    fn a_release_is_refused_when_something_of_it_went_back_or_could_not() {
        let failed = |rolled_back| Verdict::Failed {
            phase: PhaseName::new("APPLY").expect("a name"),
            exit: 73,
            rolled_back,
        };
        let node = NodeName::new("node-a").expect("a name");
        let back =
            [failed(vec![node.clone()]), Verdict::RolledBack, Verdict::Stuck { nodes: vec![node] }];
        assert!(back.iter().all(|verdict| why_refused(verdict).is_some()));
        let kept = [failed(vec![]), Verdict::Succeeded, Verdict::Aborted, Verdict::Held];
        assert!(kept.iter().all(|verdict| why_refused(verdict).is_none()));
    }
}
