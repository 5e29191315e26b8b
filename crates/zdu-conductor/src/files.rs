//! The storage in files: a journal for each rollout, a lease for each fleet.
//!
//! Every append and every change of the lease happens under one lock of the fleet. So a takeover
//! waits for an append under way, and an append that comes after it sees the newer epoch: between
//! the two there is no moment in which both could write. Controllers on different machines must
//! share the directory by a file system whose locks reach across machines, or use another store.

use crate::chain::Chain;
use crate::directory::{FileError, FleetDir, Lock, RolloutDir, StateDir, at, read, replace};
use crate::journal::{Journal, JournalFile, OsFile, read_only};
use crate::lease::LeaseState;
use crate::storage::{
    AppendError, Batch, Claim, History, Lease, LeaseError, ReadError, Receipt, Source, Storage,
};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use zdu_model::ids::{Epoch, FleetName, RolloutId, Seq};
use zdu_model::time::Timestamp;

/// The format of the lease file.
const LEASE_FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct LeaseFile {
    v: u32,
    lease: LeaseState,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// Parses a small versioned file; a newer format is refused before anything else is looked at.
pub(crate) fn parse<T: for<'a> Deserialize<'a>>(
    path: &Path,
    bytes: &[u8],
    known: u32,
) -> Result<T, FileError> {
    let invalid = |why: String| at("read", path)(io::Error::new(io::ErrorKind::InvalidData, why));
    let Version { v } = serde_json::from_slice(bytes).map_err(|e| invalid(e.to_string()))?;
    if v > known {
        return Err(invalid(format!("it has format {v}, this build knows up to {known}")));
    }
    serde_json::from_slice(bytes).map_err(|e| invalid(e.to_string()))
}

/// The lease of a fleet as it stands, without taking anything: for views.
///
/// # Errors
/// When the file cannot be read or understood; one that is not there was never held.
pub fn read_lease(fleet: &FleetDir) -> Result<LeaseState, FileError> {
    let path = fleet.lease();
    match read(&path)? {
        Some(bytes) => Ok(parse::<LeaseFile>(&path, &bytes, LEASE_FORMAT)?.lease),
        None => Ok(LeaseState::default()),
    }
}

/// Keeps in mind that a node of the fleet has seen this epoch ([`LeaseState::note`]).
///
/// # Errors
/// When the lease's file cannot be locked, read or written.
pub fn note_seen(fleet: &FleetDir, seen: Epoch) -> Result<(), FileError> {
    let _lock = fleet.lock()?;
    let mut state = read_lease(fleet)?;
    state.note(seen);
    write_lease(fleet, state)
}

fn write_lease(fleet: &FleetDir, lease: LeaseState) -> Result<(), FileError> {
    let path = fleet.lease();
    let file = LeaseFile { v: LEASE_FORMAT, lease };
    let mut bytes =
        serde_json::to_vec_pretty(&file).map_err(|e| at("write", &path)(io::Error::other(e)))?;
    bytes.push(b'\n');
    replace(&path, &bytes)
}

/// Opens a journal's file; tests put one in that fails.
pub type Opener = Box<dyn FnMut(&Path) -> io::Result<Box<dyn JournalFile>> + Send>;

/// The storage of one rollout.
pub struct FileStorage {
    rollout: RolloutId,
    dir: RolloutDir,
    fleet: FleetDir,
    open: Opener,
    journal: Option<Journal>,
}

impl FileStorage {
    /// The storage of this rollout of this fleet. Nothing is read or created yet.
    #[must_use]
    pub fn new(state: &StateDir, fleet: &FleetName, rollout: &RolloutId) -> Self {
        let open: Opener = Box::new(|path| Ok(Box::new(OsFile::open(path)?)));
        Self::with_opener(state, fleet, rollout, open)
    }

    /// The same, with another way to open the journal's file.
    #[must_use]
    pub fn with_opener(
        state: &StateDir,
        fleet: &FleetName,
        rollout: &RolloutId,
        open: Opener,
    ) -> Self {
        Self {
            rollout: rollout.clone(),
            dir: state.rollout(rollout),
            fleet: state.fleet(fleet),
            open,
            journal: None,
        }
    }

    /// Where the journal ends, once it was read or written.
    #[must_use]
    pub fn chain(&self) -> Option<&Chain> {
        self.journal.as_ref().map(Journal::chain)
    }

    fn lock(&self) -> Result<Lock, FileError> {
        self.fleet.lock()
    }

    /// Opens the journal. The caller holds the lock: a rest at the end is then nobody's append
    /// under way.
    fn open(&mut self) -> Result<(Journal, History), ReadError> {
        let path = self.dir.journal();
        let file = (self.open)(&path)
            .map_err(|e| ReadError::Unavailable { source: at("open", &path)(e).into() })?;
        Journal::open(file)
    }

    /// The newest epoch in the journal. One that cannot be read says nothing here; the read that
    /// follows every taking says why.
    fn journal_epoch(&self) -> Epoch {
        read_only(&self.dir.journal()).map_or(Epoch(0), |scan| scan.chain.epoch())
    }

    fn change_lease<T>(
        &self,
        change: impl FnOnce(&mut LeaseState) -> Result<T, LeaseError>,
    ) -> Result<T, LeaseError> {
        let unavailable = |e: FileError| LeaseError::Unavailable { source: e.into() };
        let _lock = self.lock().map_err(unavailable)?;
        let before = read_lease(&self.fleet).map_err(unavailable)?;
        let mut state = before.clone();
        let changed = change(&mut state);
        // Also what is refused may have changed it: who was ousted stays so.
        if state != before {
            write_lease(&self.fleet, state).map_err(unavailable)?;
        }
        changed
    }
}

impl Storage for FileStorage {
    fn append(&mut self, batch: Batch<'_>) -> Result<Receipt, AppendError> {
        let expected = batch.expected();
        let unwritable = |source: Source| AppendError::Unwritable { expected, source };
        let _lock = self.lock().map_err(|e| unwritable(e.into()))?;
        let lease = read_lease(&self.fleet).map_err(|e| unwritable(e.into()))?;
        lease.check(batch.epoch())?;
        let mut journal = match self.journal.take() {
            Some(journal) => journal,
            None => {
                let opened = self.open();
                opened.map_err(|e| AppendError::Unreadable(Box::new(e)))?.0
            }
        };
        let found = journal.chain().last();
        let done = if found == expected {
            journal.append(batch.records())
        } else {
            Err(AppendError::Conflict { expected, found })
        };
        self.journal = Some(journal);
        done.map(|()| batch.durable())
    }

    fn read(&mut self, from: Seq) -> Result<History, ReadError> {
        let unavailable = |e: FileError| ReadError::Unavailable { source: e.into() };
        let _lock = self.lock().map_err(unavailable)?;
        let (journal, mut history) = self.open()?;
        self.journal = Some(journal);
        history.records.retain(|record| record.seq >= from);
        Ok(history)
    }

    fn take_lease(&mut self, claim: &Claim) -> Result<Lease, LeaseError> {
        let rollout = self.rollout.clone();
        self.change_lease(|state| state.take(claim, &rollout, self.journal_epoch()))
    }

    fn renew(&mut self, lease: &Lease, now: Timestamp) -> Result<Lease, LeaseError> {
        self.change_lease(|state| Ok(state.renew(lease, now)?))
    }

    fn release(&mut self, lease: &Lease) -> Result<(), LeaseError> {
        self.change_lease(|state| Ok(state.release(lease)?))
    }

    fn note_seen(&mut self, seen: Epoch) -> Result<(), LeaseError> {
        note_seen(&self.fleet, seen).map_err(|e| LeaseError::Unavailable { source: e.into() })
    }
}
