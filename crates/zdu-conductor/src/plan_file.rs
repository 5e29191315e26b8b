//! The plan's digest and the file it travels in.

use crate::chain::sha256;
use crate::directory::{FileError, at, read, replace};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use zdu_model::ids::Digest;
use zdu_model::plan::{PLAN_FORMAT, Plan};

/// The digest of a plan: SHA-256 over its JSON as `serde_json` writes the model's types. That is
/// canonical, since they hold no map or set without an order and no floating point number. The
/// layout of a file is not part of it: a plan that was reformatted is the same plan.
///
/// # Panics
/// Never for the model's types: none of them can fail to be written as JSON.
#[must_use]
pub fn plan_digest(plan: &Plan) -> Digest {
    let json = serde_json::to_vec(plan).expect("a plan has only string keys and plain values");
    sha256(&json)
}

/// Why a plan file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not a plan file.
    #[error("read {}: it is no plan file", path.display())]
    NotAPlan {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A newer build made it.
    #[error(
        "read {}: it has plan format {found}, this build knows format {known}",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// An older build made it, in a format that is no longer read.
    #[error(
        "read {}: it has plan format {found}, this build reads format {known} only",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// It was changed after it was made.
    #[error(
        "read {}: it says its digest is {}, and what it holds has {}",
        path.display(), stated.short(), found.short()
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// The digest it states.
        stated: Digest,
        /// The digest of what it holds.
        found: Digest,
    },
}

impl PlanFileError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File(_) => "check that the path is right and that this user may use it",
            Self::NotAPlan { .. } => "make one with `zdu plan --out FILE`",
            Self::Newer { .. } => "use the version of zdu that made it, or make the plan again",
            Self::Older { .. } => "make the plan again with `zdu plan --out FILE`",
            Self::Altered { .. } => {
                "a plan is never edited: change the configuration, make it again and review it"
            }
        }
    }
}

#[derive(Serialize)]
struct PlanFileOut<'a> {
    format: u32,
    digest: &'a Digest,
    plan: &'a Plan,
}

#[derive(Deserialize)]
struct PlanFile {
    digest: Digest,
    plan: Plan,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Writes a plan file, whole or not at all, and gives the plan's digest.
///
/// # Errors
/// [`PlanFileError::File`].
pub fn write_plan(path: &Path, plan: &Plan) -> Result<Digest, PlanFileError> {
    let digest = plan_digest(plan);
    let file = PlanFileOut { format: PLAN_FORMAT, digest: &digest, plan };
    let mut bytes =
        serde_json::to_vec_pretty(&file).map_err(|e| at("write", path)(io::Error::other(e)))?;
    bytes.push(b'\n');
    replace(path, &bytes)?;
    Ok(digest)
}

/// Reads a plan file and checks that it holds what it says.
///
/// # Errors
/// [`PlanFileError`].
pub fn read_plan(path: &Path) -> Result<(Plan, Digest), PlanFileError> {
    let missing = || at("read", path)(io::ErrorKind::NotFound.into());
    parse_plan(path, &read(path)?.ok_or_else(missing)?)
}

/// The plan in the bytes of a plan file; `path` is for what is said about them.
///
/// # Errors
/// Every [`PlanFileError`] but [`PlanFileError::File`].
pub fn parse_plan(path: &Path, bytes: &[u8]) -> Result<(Plan, Digest), PlanFileError> {
    let not_a_plan = |source| PlanFileError::NotAPlan { path: path.to_owned(), source };
    // The format is looked at alone first: the rest of a newer file may not be readable at all.
    let Format { format: found } = serde_json::from_slice(bytes).map_err(not_a_plan)?;
    let (path, known) = (path.to_owned(), PLAN_FORMAT);
    if found > known {
        return Err(PlanFileError::Newer { path, found, known });
    }
    if found < known {
        return Err(PlanFileError::Older { path, found, known });
    }
    let file: PlanFile = serde_json::from_slice(bytes).map_err(not_a_plan)?;
    let found = plan_digest(&file.plan);
    if found != file.digest {
        return Err(PlanFileError::Altered { path, stated: file.digest, found });
    }
    Ok((file.plan, found))
}
