//! The journal and the lease in memory: the production format, chain and rules, on a disk that can
//! be full, fail a sync, or keep half a line because the controller died in the middle of it.

use crate::plant::Plant;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zdu_conductor::journal::{Journal, JournalFile};
use zdu_conductor::lease::LeaseState;
use zdu_conductor::storage::{
    AppendError, Batch, Claim, History, Lease, LeaseError, ReadError, Receipt, Storage,
};
use zdu_model::event::Record;
use zdu_model::ids::{Epoch, RolloutId, Seq};
use zdu_model::time::Timestamp;

/// How a controller dies while it writes a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// So many bytes of the line are there.
    Torn(usize),
    /// The line is there and durable, and nothing was released for it.
    Durable,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    lease: LeaseState,
    /// Everything that is durable, as the checkers know it.
    log: Vec<Record>,
    full: bool,
    sync_fails: bool,
    /// The controller that wrote died; until another opens the journal nothing works.
    dead: bool,
    tear: Option<usize>,
    deaths: BTreeMap<u64, Death>,
}

/// One store; clones are the same store, as processes see one directory.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    pub(crate) fn fail_next_sync(&self) {
        self.state().sync_fails = true;
    }

    /// The controller that writes this record dies in the middle of the line or right behind it.
    pub(crate) fn die_at(&self, record: u64, death: Death) {
        self.state().deaths.insert(record, death);
    }

    /// Whether the last writer died in an append; asked once.
    pub(crate) fn take_death(&self) -> bool {
        std::mem::take(&mut self.state().dead)
    }

    /// The durable records behind this many.
    pub(crate) fn log_from(&self, known: usize) -> Vec<Record> {
        self.state().log.get(known..).unwrap_or_default().to_vec()
    }

    /// Everything in the file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().bytes.clone()
    }

    pub(crate) fn lease(&self) -> LeaseState {
        self.state().lease.clone()
    }
}

impl JournalFile for Disk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let most = state.tear.take();
        let kept = bytes.get(..most.unwrap_or(bytes.len()).min(bytes.len())).unwrap_or(bytes);
        state.bytes.extend_from_slice(kept);
        if most.is_some() {
            state.dead = true;
            return Err(io::Error::other("killed"));
        }
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state();
        if std::mem::take(&mut state.sync_fails) {
            return Err(io::Error::other("input/output error"));
        }
        Ok(())
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        if state.dead {
            // A dead process cuts nothing.
            return Err(io::Error::other("killed"));
        }
        state.bytes.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(())
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }
}

/// One controller's way to the store.
pub(crate) struct Store {
    rollout: RolloutId,
    disk: Disk,
    journal: Option<Journal>,
    plant: Option<Plant>,
}

impl Store {
    pub(crate) fn new(rollout: RolloutId, disk: Disk, plant: Option<Plant>) -> Self {
        Self { rollout, disk, journal: None, plant }
    }

    fn journal(&mut self) -> Result<&mut Journal, AppendError> {
        if self.journal.is_none() {
            let opened = Journal::open(Box::new(self.disk.clone()));
            self.journal = Some(opened.map_err(|e| AppendError::Unreadable(Box::new(e)))?.0);
        }
        Ok(self.journal.as_mut().expect("just opened"))
    }
}

impl Storage for Store {
    fn append(&mut self, batch: Batch<'_>) -> Result<Receipt, AppendError> {
        let held = self.disk.state().lease.check(batch.epoch());
        if let Err(lost) = held {
            if self.plant != Some(Plant::OldControllerWrites) {
                return Err(lost.into());
            }
            // The journal would still notice that its file has grown; this store does not.
            self.disk.state().log.extend_from_slice(batch.records());
            return Ok(batch.durable());
        }
        let expected = batch.expected();
        let records = batch.records();
        let forgets = self.plant == Some(Plant::ReceiptBeforeDisk) && expected.0 % 7 == 6;
        let death = records.iter().find_map(|r| self.disk.state().deaths.remove(&r.seq.0));
        if let Some(Death::Torn(bytes)) = death {
            self.disk.state().tear = Some(bytes);
        }
        let found = self.journal()?.chain().last();
        if found != expected && self.plant.is_none() {
            return Err(AppendError::Conflict { expected, found });
        }
        if forgets || found != expected {
            return Ok(batch.durable());
        }
        self.journal()?.append(records)?;
        self.disk.state().log.extend_from_slice(records);
        if death == Some(Death::Durable) {
            self.disk.state().dead = true;
            let source = io::Error::other("killed").into();
            return Err(AppendError::Unwritable { expected, source });
        }
        Ok(batch.durable())
    }

    fn read(&mut self, from: Seq) -> Result<History, ReadError> {
        let (journal, mut history) = Journal::open(Box::new(self.disk.clone()))?;
        self.journal = Some(journal);
        // What was there and never confirmed is as good as what was.
        let known = self.disk.state().log.len();
        let rest = history.records.get(known..).unwrap_or_default().to_vec();
        self.disk.state().log.extend(rest);
        history.records.retain(|record| record.seq >= from);
        Ok(history)
    }

    fn take_lease(&mut self, claim: &Claim) -> Result<Lease, LeaseError> {
        let mut state = self.disk.state();
        let newest = state.log.last().map_or(Epoch(0), |last| last.epoch);
        let hasty = self.plant == Some(Plant::ForceDoesNotWait) && claim.force.is_some();
        let holder = state.lease.held.as_ref().filter(|_| hasty).map(|held| held.epoch);
        let claim = Claim { gone: claim.gone.or(holder), ..claim.clone() };
        state.lease.take(&claim, &self.rollout, newest)
    }

    fn renew(&mut self, lease: &Lease, now: Timestamp) -> Result<Lease, LeaseError> {
        match self.disk.state().lease.renew(lease, now) {
            Err(_) if self.plant == Some(Plant::OldControllerWrites) => Ok(lease.clone()),
            renewed => Ok(renewed?),
        }
    }

    fn release(&mut self, lease: &Lease) -> Result<(), LeaseError> {
        Ok(self.disk.state().lease.release(lease)?)
    }
}
