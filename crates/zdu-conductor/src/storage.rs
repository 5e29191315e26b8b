//! What the conductor needs of a store: an append at an expected number under an epoch, a read
//! from a number, and a lease. Shaped for compare-and-swap, so that a table or a key-value store
//! can stand in for the files.
//!
//! A [`Receipt`] is the only proof of durability. It is made from the [`Batch`] a conductor handed
//! in, and only a conductor makes batches, so nobody can claim to have stored what nobody decided.

use core::fmt;
use serde::{Deserialize, Serialize};
use zdu_model::event::Record;
use zdu_model::ids::{Epoch, RolloutId, Seq};
use zdu_model::time::{Millis, Timestamp};

/// A failure underneath, whatever the store is made of.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// The journal of one rollout and the lease of its fleet.
pub trait Storage {
    /// Adds the batch, whole or not at all. Durable when it returns.
    ///
    /// # Errors
    /// [`AppendError`]. Whatever it is, nothing may be released; the batch can still turn out to
    /// be there at the next read, when its durability could not be confirmed.
    fn append(&mut self, batch: Batch<'_>) -> Result<Receipt, AppendError>;

    /// Every record from this number on, checked. Repairs what a cut write left behind.
    ///
    /// # Errors
    /// [`ReadError`].
    fn read(&mut self, from: Seq) -> Result<History, ReadError>;

    /// Takes the lease: when nobody has it, when it expired, or by force. The new epoch is higher
    /// than any the lease or the journal ever had.
    ///
    /// # Errors
    /// [`LeaseError::Held`] when somebody else has it; [`LeaseError::Ousted`], which is kept, when
    /// somebody lost it by force and may still act.
    fn take_lease(&mut self, claim: &Claim) -> Result<Lease, LeaseError>;

    /// Extends the lease from `now` by its span.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when another epoch is there: this controller must stop.
    fn renew(&mut self, lease: &Lease, now: Timestamp) -> Result<Lease, LeaseError>;

    /// Gives the lease back. Its epoch stays remembered.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when it is no longer ours to give back.
    fn release(&mut self, lease: &Lease) -> Result<(), LeaseError>;

    /// Keeps in mind that a node has seen this epoch, whoever holds the lease: the next to take it
    /// by force gets a newer one. Stores that live and die with their fleet need not.
    ///
    /// # Errors
    /// [`LeaseError::Unavailable`].
    fn note_seen(&mut self, _seen: Epoch) -> Result<(), LeaseError> {
        Ok(())
    }
}

/// Records to be made durable together.
#[derive(Debug)]
pub struct Batch<'a> {
    expected: Seq,
    epoch: Epoch,
    records: &'a [Record],
}

impl<'a> Batch<'a> {
    pub(crate) fn new(expected: Seq, epoch: Epoch, records: &'a [Record]) -> Self {
        Self { expected, epoch, records }
    }

    /// The last number the journal must have for this batch to follow.
    #[must_use]
    pub fn expected(&self) -> Seq {
        self.expected
    }

    /// The epoch of the lease it is written under.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The records, in order.
    #[must_use]
    pub fn records(&self) -> &'a [Record] {
        self.records
    }

    /// The receipt. To be called by a [`Storage`] when the batch is durable, and by nobody else.
    #[must_use]
    pub fn durable(self) -> Receipt {
        let last = self.records.last().map_or(self.expected, |last| last.seq);
        Receipt { through: last, epoch: self.epoch }
    }
}

/// Proof that everything up to a number is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    through: Seq,
    epoch: Epoch,
}

impl Receipt {
    /// The last number that is durable.
    #[must_use]
    pub fn through(&self) -> Seq {
        self.through
    }

    /// The epoch it was written under.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The records asked for, in order.
    pub records: Vec<Record>,
    /// What had to be cut off the end, when a crash left something there.
    pub repaired: Option<Repaired>,
}

/// The rest of a cut write was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// How many bytes.
    pub bytes: u64,
    /// What was wrong with them. For [`Why::Cut`] no effect had been released. Anything else can
    /// also be later damage to a line that had been durable, and is worth a person's look.
    pub why: Why,
}

/// Who a controller is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// The user it runs as.
    pub user: String,
    /// The machine it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, pid } = self;
        write!(f, "{user}@{host} pid {pid}")
    }
}

/// The wish to hold a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who wants it.
    pub owner: Owner,
    /// When.
    pub now: Timestamp,
    /// For how long, unless renewed.
    pub ttl: Millis,
    /// The reason for taking it even from a holder whose lease has not expired.
    pub force: Option<String>,
    /// The epoch of the holder that `force` is meant for; whoever holds the lease when absent.
    pub against: Option<Epoch>,
    /// The epoch of a holder whose process has certainly ended, or that was ousted a whole span
    /// ago: nothing acts for it any more, and its lease counts as expired.
    pub gone: Option<Epoch>,
}

impl Claim {
    /// The wish to hold a lease that nobody holds, or that has expired.
    #[must_use]
    pub fn new(owner: Owner, now: Timestamp, ttl: Millis) -> Self {
        Self { owner, now, ttl, force: None, against: None, gone: None }
    }
}

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The number nodes use to refuse an older controller.
    pub epoch: Epoch,
    /// Who holds it.
    pub owner: Owner,
    /// The rollout it is held for.
    pub rollout: RolloutId,
    /// Since when.
    pub taken_at: Timestamp,
    /// When it was last extended.
    pub renewed_at: Timestamp,
    /// When another may take it, unless it is extended.
    pub expires: Timestamp,
    /// For how long each renewal holds.
    pub ttl: Millis,
    /// From whom it was taken, when nobody had given it back.
    pub takeover: Option<Takeover>,
    /// What nodes had seen of a controller that this store knows nothing of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outrun: Option<Outrun>,
}

/// A lease taken by force over a newer epoch that nodes had seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outrun {
    /// The newest they had seen.
    pub seen: Epoch,
    /// The reason given for the use of force.
    pub reason: String,
}

/// A lease taken from somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// From whom.
    pub from: Owner,
    /// Their epoch.
    pub epoch: Epoch,
    /// The reason given for the use of force; absent when the lease had expired or its holder had
    /// ended.
    pub forced: Option<String>,
}

impl Lease {
    /// When it should be renewed: after a third of its span, so that two renewals can fail before
    /// it expires.
    #[must_use]
    pub fn renew_due(&self) -> Timestamp {
        self.renewed_at.after(Millis(self.ttl.0 / 3))
    }

    /// Whether it should be renewed now. A clock that went back since the last renewal is a
    /// reason too: what stands in the lease was said by the clock as it was.
    #[must_use]
    pub fn is_renewal_due(&self, now: Timestamp) -> bool {
        now >= self.renew_due() || now < self.renewed_at
    }
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The journal is not where the writer thought.
    #[error("append after record {}: the journal ends at record {}", expected.0, found.0)]
    Conflict {
        /// Where the writer thought it ended.
        expected: Seq,
        /// Where it ends.
        found: Seq,
    },
    /// The lease was lost.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The records may not follow what is there: a defect of the writer.
    #[error("append record {}: {why}", expected.0 + 1)]
    Refused {
        /// Where the journal ends.
        expected: Seq,
        /// What is wrong.
        why: Why,
    },
    /// The store could not make it durable.
    #[error("make the record after {} durable", expected.0)]
    Unwritable {
        /// Where the journal ends.
        expected: Seq,
        /// What the store said.
        source: Source,
    },
    /// An earlier append failed; nothing is written until the journal is opened anew.
    #[error("append: an earlier append failed ({why}) and the journal was not opened anew since")]
    Poisoned {
        /// What failed.
        why: String,
    },
    /// The journal could not be read to append to it.
    #[error("append: the journal cannot be read")]
    Unreadable(#[source] Box<ReadError>),
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What stands there is not what was written.
    #[error("read the journal: line {line} {why}")]
    Altered {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        why: Why,
    },
    /// A newer build wrote it.
    #[error("read the journal: line {line} has format {found}, this build knows up to {known}")]
    Newer {
        /// The line, counted from 1.
        line: u64,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The store does not answer.
    #[error("read the journal")]
    Unavailable {
        /// What it said.
        source: Source,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It has no end.
    #[error("has no end")]
    Cut,
    /// It does not look like a line of a journal.
    #[error("is no line of a journal")]
    Shape,
    /// The checksum is another.
    #[error("is damaged: its checksum does not match")]
    Crc,
    /// It does not follow the line before, or the plan.
    #[error("does not follow what stands before it: its chain digest does not match")]
    Chain,
    /// It has no record.
    #[error("has no record")]
    NoRecord,
    /// A number is missing or repeated.
    #[error("has record {} where record {} belongs", found.0, expected.0)]
    Sequence {
        /// The number that belongs there.
        expected: Seq,
        /// The number that is there.
        found: Seq,
    },
    /// A record of an older controller stands behind one of a newer.
    #[error("has epoch {} behind epoch {}", found.0, newest.0)]
    Epoch {
        /// The newest epoch before.
        newest: Epoch,
        /// The epoch of the record.
        found: Epoch,
    },
    /// The journal does not begin with the start of a rollout.
    #[error("does not begin with the start of a rollout")]
    FirstRecord,
    /// The bytes are whole and this build does not understand them.
    #[error("is whole, but this build does not understand it ({0})")]
    Unknown(String),
    /// The journal is bound to another plan.
    #[error("is bound to another plan ({found}) than the one given ({expected})")]
    Plan {
        /// The plan given.
        expected: String,
        /// The plan it is bound to.
        found: String,
    },
}

/// The lease is no longer ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("act under epoch {}: {}", ours.0, describe(*newest, by.as_ref()))]
pub struct Lost {
    /// Our epoch.
    pub ours: Epoch,
    /// The newest epoch.
    pub newest: Epoch,
    /// Who holds the lease now; absent when nobody does.
    pub by: Option<Owner>,
}

fn describe(newest: Epoch, by: Option<&Owner>) -> String {
    match by {
        Some(owner) => format!("{owner} holds the lease with epoch {}", newest.0),
        None => format!("nobody holds the lease, it was ended; the last epoch was {}", newest.0),
    }
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else has it.
    #[error("take the lease: {owner} holds it for rollout {rollout}")]
    Held {
        /// Who.
        owner: Owner,
        /// For which rollout.
        rollout: RolloutId,
        /// Since when.
        since: Timestamp,
        /// When it expires unless it is renewed.
        expires: Timestamp,
    },
    /// Somebody lost it by force and may act on balancers for a little longer.
    #[error("take the lease: {owner} lost it by force and may act on balancers for a moment")]
    Ousted {
        /// Who.
        owner: Owner,
        /// Under which epoch.
        epoch: Epoch,
        /// Until when; then the lease is free.
        until: Timestamp,
    },
    /// A node has seen a newer epoch than any this store ever gave out.
    #[error("take the lease: a node has seen epoch {}, and this state directory knows none newer \
             than {}", seen.0, ours.0)]
    Outrun {
        /// The newest of ours.
        ours: Epoch,
        /// The newest seen.
        seen: Epoch,
    },
    /// We had it and no longer have it.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// Force was asked for without a reason.
    #[error("take the lease by force: no reason was given")]
    NoReason,
    /// The store does not answer.
    #[error("reach the lease")]
    Unavailable {
        /// What it said.
        source: Source,
    },
}
