//! A storage without files, for simulations and tests: the same rules, and clones of it are the
//! same store, as two processes see one directory.

use crate::lease::LeaseState;
use crate::storage::{
    AppendError, Batch, Claim, History, Lease, LeaseError, ReadError, Receipt, Storage,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zdu_model::event::Record;
use zdu_model::ids::{Epoch, RolloutId, Seq};
use zdu_model::time::Timestamp;

#[derive(Debug, Default)]
struct Shared {
    records: Vec<Record>,
    lease: LeaseState,
}

/// A store in memory.
#[derive(Debug, Clone)]
pub struct MemoryStorage {
    rollout: RolloutId,
    shared: Arc<Mutex<Shared>>,
}

impl MemoryStorage {
    /// An empty store for this rollout.
    #[must_use]
    pub fn new(rollout: RolloutId) -> Self {
        Self { rollout, shared: Arc::default() }
    }

    /// A store that already holds these records; nobody has its lease.
    #[must_use]
    pub fn holding(rollout: RolloutId, records: Vec<Record>) -> Self {
        let shared = Shared { records, lease: LeaseState::default() };
        Self { rollout, shared: Arc::new(Mutex::new(shared)) }
    }

    /// Everything that is durable.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.lock().records.clone()
    }

    /// Forgets every record behind this number, as if the crash had come before it.
    pub fn cut_after(&self, last: Seq) {
        self.lock().records.retain(|record| record.seq <= last);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn append(&mut self, batch: Batch<'_>) -> Result<Receipt, AppendError> {
        let mut shared = self.lock();
        shared.lease.check(batch.epoch())?;
        let expected = batch.expected();
        let found = shared.records.last().map_or(Seq(0), |last| last.seq);
        if found != expected {
            return Err(AppendError::Conflict { expected, found });
        }
        shared.records.extend_from_slice(batch.records());
        Ok(batch.durable())
    }

    fn read(&mut self, from: Seq) -> Result<History, ReadError> {
        let mut records = self.records();
        records.retain(|record| record.seq >= from);
        Ok(History { records, repaired: None })
    }

    fn take_lease(&mut self, claim: &Claim) -> Result<Lease, LeaseError> {
        let rollout = self.rollout.clone();
        let mut shared = self.lock();
        let newest = shared.records.last().map_or(Epoch(0), |last| last.epoch);
        shared.lease.take(claim, &rollout, newest)
    }

    fn renew(&mut self, lease: &Lease, now: Timestamp) -> Result<Lease, LeaseError> {
        Ok(self.lock().lease.renew(lease, now)?)
    }

    fn release(&mut self, lease: &Lease) -> Result<(), LeaseError> {
        Ok(self.lock().lease.release(lease)?)
    }

    fn note_seen(&mut self, seen: Epoch) -> Result<(), LeaseError> {
        self.lock().lease.note(seen);
        Ok(())
    }
}
