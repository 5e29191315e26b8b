//! Where things lie in the state directory, and the few ways files are written there.
//!
//! ```text
//! <state>/rollouts/<id>/journal.jsonl  plan.json  requests/
//! <state>/fleets/<fleet>/lease.json  refused.json  lock
//! ```
//! Files are 0600 and directories 0700: journals hold addresses and output of an operator's fleet.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;
use zdu_model::ids::{FleetName, RolloutId};

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{act} {}", path.display())]
pub struct FileError {
    /// What was tried, as a verb.
    pub act: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Names the act and the file of a failure.
pub(crate) fn at(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { act, path, source }
}

/// The directory everything is kept in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The state directory at this path. Nothing is created yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory of a rollout.
    #[must_use]
    pub fn rollout(&self, id: &RolloutId) -> RolloutDir {
        RolloutDir(self.0.join("rollouts").join(id.as_str()))
    }

    /// The directory of a fleet.
    #[must_use]
    pub fn fleet(&self, name: &FleetName) -> FleetDir {
        FleetDir(self.0.join("fleets").join(name.as_str()))
    }

    /// The rollouts that have a directory here, by name.
    ///
    /// # Errors
    /// When the directory cannot be read; one that is not there holds none.
    pub fn rollouts(&self) -> Result<Vec<RolloutId>, FileError> {
        let path = self.0.join("rollouts");
        let mut found: Vec<RolloutId> =
            names(&path)?.into_iter().filter_map(|name| RolloutId::new(name).ok()).collect();
        found.sort();
        Ok(found)
    }
}

/// The directory of one rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutDir(PathBuf);

impl RolloutDir {
    /// The directory itself, for what others keep there (logs, captured secrets).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// The operator's requests.
    #[must_use]
    pub fn requests(&self) -> PathBuf {
        self.0.join("requests")
    }
}

/// The directory of one fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetDir(PathBuf);

impl FleetDir {
    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The lease.
    #[must_use]
    pub fn lease(&self) -> PathBuf {
        self.0.join("lease.json")
    }

    /// The refused releases.
    #[must_use]
    pub fn refused(&self) -> PathBuf {
        self.0.join("refused.json")
    }

    /// Locks the fleet's files against other processes.
    ///
    /// # Errors
    /// When the lock cannot be had in [`LOCK_TRIES_MAX`] tries.
    pub(crate) fn lock(&self) -> Result<Lock, FileError> {
        create_dir(&self.0)?;
        Lock::take(&self.0.join("lock"))
    }
}

/// How often a lock is tried, [`LOCK_PAUSE_MS`] apart: about five seconds. A lock is held for one
/// append (a few milliseconds, more on a busy disk); who holds it longer is stopped or hung, and
/// waiting for it would hang the rollout with it.
pub const LOCK_TRIES_MAX: u32 = 1_000;
/// The pause between two tries.
pub const LOCK_PAUSE_MS: u64 = 5;

/// An operating system's lock; ends when dropped, or with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    /// The lock lives as long as the open file.
    _file: File,
}

impl Lock {
    pub(crate) fn take(path: &Path) -> Result<Self, FileError> {
        let open =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = open.map_err(at("open", path))?;
        for _ in 0..LOCK_TRIES_MAX {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(LOCK_PAUSE_MS)),
                Err(TryLockError::Error(source)) => return Err(at("lock", path)(source)),
            }
        }
        Err(at("lock", path)(io::Error::new(
            io::ErrorKind::WouldBlock,
            "another process has held it for seconds; it is stopped or hung",
        )))
    }
}

/// Creates a directory and its parents, 0700, and makes their names durable.
pub(crate) fn create_dir(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(at("create", path))?;
    // Every level may be new: a directory whose own name is lost in a power cut takes the journal
    // in it along.
    for level in path.ancestors().skip(1).take(3) {
        sync_dir(level)?;
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), FileError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|dir| dir.sync_all()).map_err(at("sync", path))
}

/// Replaces a file as one act: readers see the old bytes or the new, never a mixture, also after a
/// power cut. Writers of the same file must hold its lock, since they share the temporary name.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_dir(dir)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.new"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(at("write", path))?;
    sync_dir(dir)
}

/// A file's bytes; none when it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(at("read", path)(e)),
    }
}

/// The names in a directory, sorted; none when it is not there.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, FileError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(at("read", path)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at("read", path))?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}
