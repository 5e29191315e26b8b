//! The write-ahead turn: decide, append, evolve, release.
//!
//! 1. The machine decides about one input, looking only at state that is durable.
//! 2. The events are appended. If that fails, nothing more happens: no effect leaves, the machine
//!    does not move, the conductor stops.
//! 3. The machine evolves by the records that are now durable.
//! 4. The effects are released against the receipt. [`Released`] has no other maker, so whoever
//!    carries effects out and takes only `Released` cannot be early (law 5).
//! 5. The machine is asked to advance until it has nothing more to say.
//!
//! A turn that fails after some rounds releases nothing at all, also not the effects of its good
//! rounds: their steps stand in the journal as begun, and recovery finds out that they never were.

use crate::storage::{
    AppendError, Batch, Claim, Lease, LeaseError, Outrun, ReadError, Receipt, Repaired, Storage,
    Why,
};
use core::fmt;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Record};
use zdu_model::ids::{Digest, Epoch, Seq};
use zdu_model::time::Timestamp;

/// How many rounds one turn may take. A machine decides everything it can in a round, so even a
/// large fleet needs a handful; more means that two of its rules undo each other for ever.
pub const ROUNDS_MAX: u32 = 1_000;

/// A state machine that decides without acting and evolves without deciding.
pub trait Machine {
    /// What it is told.
    type Input;
    /// Why it wants to be woken.
    type Reason: Clone + fmt::Debug;
    /// Why a record cannot follow.
    type Illegal: std::error::Error + Send + Sync + 'static;

    /// Decides about one input. Must not depend on anything but state and arguments.
    fn decide(&self, now: Timestamp, input: &Self::Input) -> Decision<Self::Reason>;

    /// Applies a durable record.
    ///
    /// # Errors
    /// When the record cannot follow what came before it.
    fn evolve(&mut self, record: &Record) -> Result<(), Self::Illegal>;

    /// The input that says: go on from where you are.
    fn advance() -> Self::Input;

    /// The input that says: a new controller has read the journal, find out what is unknown.
    fn recovered() -> Self::Input;
}

/// What a machine decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<R> {
    /// To be made durable, in order.
    pub events: Vec<Event>,
    /// To be released when the events are durable. Without events: their reason is durable
    /// already.
    pub effects: Vec<Effect>,
    /// When to ask again if nothing else happens.
    pub wake: Option<Wake<R>>,
}

/// When to ask again, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake<R> {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: R,
}

/// An effect whose reason is durable. It is not `Clone`: one permission, one act.
///
/// ```compile_fail,E0451
/// use zdu_conductor::turn::Released;
/// use zdu_model::{effect::Effect, ids::{Epoch, Seq, StepNo}};
/// let effect = Effect::Run { step: StepNo(0), attempt: 1 };
/// let early = Released { effect, through: Seq(1), epoch: Epoch(1) };
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an effect that is dropped is never carried out, though its step is journaled as \
              begun"]
pub struct Released {
    effect: Effect,
    through: Seq,
    epoch: Epoch,
}

impl Released {
    fn new(receipt: &Receipt, effect: Effect) -> Self {
        Self { effect, through: receipt.through(), epoch: receipt.epoch() }
    }

    /// What to do.
    #[must_use]
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// What to do, to be handed on.
    #[must_use]
    pub fn into_effect(self) -> Effect {
        self.effect
    }

    /// The number up to which the journal is durable.
    #[must_use]
    pub fn through(&self) -> Seq {
        self.through
    }

    /// The epoch to show to the node.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// What a turn brought.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Turn<R> {
    /// The records that are now durable, for the views.
    pub records: Vec<Record>,
    /// The effects to carry out, in order.
    pub effects: Vec<Released>,
    /// The earliest moment to ask again; one at or before `now` is given only by the last round,
    /// since the rounds after any other have already looked.
    pub wake: Option<Wake<R>>,
}

/// Why a turn failed. The conductor is stopped by each of them.
#[derive(Debug, thiserror::Error)]
pub enum TurnError<I: std::error::Error + 'static> {
    /// The events could not be made durable, or the lease is lost.
    #[error("make a decision durable")]
    Append(#[from] AppendError),
    /// The lease could not be kept.
    #[error("keep the lease")]
    Lease(#[from] LeaseError),
    /// The machine refuses what it decided itself: a defect.
    #[error("apply record {}, which was just decided", seq.0)]
    Illegal {
        /// The record.
        seq: Seq,
        /// What the machine says.
        source: I,
    },
    /// The machine never came to rest: a defect.
    #[error("come to rest within {max} rounds of one turn")]
    Rounds {
        /// How many were allowed.
        max: u32,
    },
    /// An earlier turn failed.
    #[error("take a turn: an earlier one failed and the journal was not opened anew since")]
    Stopped,
}

/// Why a rollout could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<I: std::error::Error + 'static> {
    /// The lease was not to be had.
    #[error(transparent)]
    Lease(LeaseError),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(ReadError),
    /// The journal holds nothing: the rollout was never begun and can be started as a new one.
    #[error("resume: the journal is empty, nothing was begun")]
    Empty,
    /// The journal already holds a rollout.
    #[error("start: the journal already holds records up to {}", last.0)]
    Exists {
        /// The last record's number.
        last: Seq,
    },
    /// A new rollout must begin with `rollout_started`.
    #[error("start: the first event does not start a rollout")]
    FirstEvent,
    /// The journal has a record the machine refuses.
    #[error("replay record {}", seq.0)]
    Illegal {
        /// The record.
        seq: Seq,
        /// What the machine says.
        source: I,
    },
    /// The first turn failed.
    #[error("take the first turn")]
    Turn(#[source] TurnError<I>),
}

/// A rollout that was opened.
pub struct Opened<M: Machine, S> {
    /// Drives it from here.
    pub conductor: Conductor<M, S>,
    /// What the journal held before, for the views; empty for a new rollout.
    pub history: Vec<Record>,
    /// What a crash had left at its end.
    pub repaired: Option<Repaired>,
    /// What the first turn brought.
    pub turn: Turn<M::Reason>,
}

/// Drives one rollout.
pub struct Conductor<M, S> {
    machine: M,
    storage: S,
    lease: Lease,
    last: Seq,
    /// For everything up to `last`, once this controller appended.
    receipt: Option<Receipt>,
    stopped: bool,
}

impl<M: Machine, S: Storage> Conductor<M, S> {
    /// Starts a rollout: takes the lease, makes its first records durable, takes the first turn.
    /// The plan must be stored before. `started` is [`Event::RolloutStarted`], which binds the
    /// journal to the plan's digest.
    ///
    /// # Errors
    /// [`OpenError`]; the lease is given back.
    pub fn open_new(
        machine: M,
        storage: S,
        claim: &Claim,
        started: Event,
    ) -> Result<Opened<M, S>, OpenError<M::Illegal>> {
        if !matches!(started, Event::RolloutStarted { .. }) {
            return Err(OpenError::FirstEvent);
        }
        Self::open(machine, storage, claim, |conductor| {
            let history = conductor.storage.read(Seq(1)).map_err(OpenError::Read)?;
            if let Some(record) = history.records.last() {
                return Err(OpenError::Exists { last: record.seq });
            }
            let events = vec![started, conductor.controller_started()];
            let turn = conductor.first_turn(claim.now, events, M::advance());
            Ok((Vec::new(), history.repaired, turn.map_err(OpenError::Turn)?))
        })
    }

    /// Goes on with a rollout: takes the lease, replays the journal, and tells the machine that it
    /// was recovered.
    ///
    /// # Errors
    /// [`OpenError`]; the lease is given back.
    pub fn resume(
        machine: M,
        storage: S,
        claim: &Claim,
        plan: &Digest,
    ) -> Result<Opened<M, S>, OpenError<M::Illegal>> {
        Self::open(machine, storage, claim, |conductor| {
            let history = conductor.storage.read(Seq(1)).map_err(OpenError::Read)?;
            check_plan(&history.records, plan)?;
            for record in &history.records {
                let seq = record.seq;
                let done = conductor.machine.evolve(record);
                done.map_err(|source| OpenError::Illegal { seq, source })?;
                conductor.last = seq;
            }
            let events = vec![conductor.controller_started()];
            let turn = conductor.first_turn(claim.now, events, M::recovered());
            let turn = turn.map_err(OpenError::Turn)?;
            Ok((history.records, history.repaired, turn))
        })
    }

    fn open(
        machine: M,
        mut storage: S,
        claim: &Claim,
        begin: impl FnOnce(
            &mut Self,
        ) -> Result<
            (Vec<Record>, Option<Repaired>, Turn<M::Reason>),
            OpenError<M::Illegal>,
        >,
    ) -> Result<Opened<M, S>, OpenError<M::Illegal>> {
        let lease = storage.take_lease(claim).map_err(OpenError::Lease)?;
        let mut conductor =
            Self { machine, storage, lease, last: Seq(0), receipt: None, stopped: false };
        match begin(&mut conductor) {
            Ok((history, repaired, turn)) => Ok(Opened { conductor, history, repaired, turn }),
            Err(error) => {
                // So that the next try need not wait for it to expire. If this fails too, it
                // does expire, and the first error is the one to be told.
                let _expires = conductor.storage.release(&conductor.lease);
                Err(error)
            }
        }
    }

    /// The journal keeps who took the lease from whom; the event has one field for it.
    fn controller_started(&self) -> Event {
        let mut owner = self.lease.owner.to_string();
        if let Some(takeover) = &self.lease.takeover {
            let from = &takeover.from;
            owner = match &takeover.forced {
                Some(reason) => format!("{owner}, by force from {from}: {reason}"),
                None => format!("{owner}, from {from}, gone without giving it back"),
            };
        }
        if let Some(Outrun { seen, reason }) = &self.lease.outrun {
            let over = format!("over epoch {}, which a node had seen", seen.0);
            owner = format!("{owner}, by force {over}: {reason}");
        }
        Event::ControllerStarted { epoch: self.lease.epoch, owner }
    }

    fn first_turn(
        &mut self,
        now: Timestamp,
        events: Vec<Event>,
        input: M::Input,
    ) -> Result<Turn<M::Reason>, TurnError<M::Illegal>> {
        let records = self.commit(now, events)?;
        let mut turn = self.rounds(now, input)?;
        turn.records.splice(0..0, records);
        Ok(turn)
    }

    /// Takes one turn.
    ///
    /// # Errors
    /// [`TurnError`]; nothing of the turn is released and no other turn is taken.
    pub fn turn(
        &mut self,
        now: Timestamp,
        input: M::Input,
    ) -> Result<Turn<M::Reason>, TurnError<M::Illegal>> {
        if self.stopped {
            return Err(TurnError::Stopped);
        }
        self.renew(now)?;
        let turn = self.rounds(now, input);
        self.stopped = turn.is_err();
        turn
    }

    /// Extends the lease when that is due ([`Lease::renew_due`]); every turn does so too. A store
    /// that does not answer is no reason to stop before the lease has expired.
    ///
    /// # Errors
    /// [`TurnError::Lease`]; no other turn is taken.
    pub fn renew(&mut self, now: Timestamp) -> Result<(), TurnError<M::Illegal>> {
        if !self.lease.is_renewal_due(now) {
            return Ok(());
        }
        match self.storage.renew(&self.lease, now) {
            Ok(lease) => self.lease = lease,
            Err(LeaseError::Unavailable { .. }) if now < self.lease.expires => {}
            Err(error) => {
                self.stopped = true;
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn rounds(
        &mut self,
        now: Timestamp,
        first: M::Input,
    ) -> Result<Turn<M::Reason>, TurnError<M::Illegal>> {
        let mut turn = Turn { records: Vec::new(), effects: Vec::new(), wake: None };
        let mut input = first;
        for round in 0..ROUNDS_MAX {
            let decision = self.machine.decide(now, &input);
            let quiet = decision.events.is_empty();
            if !quiet {
                turn.records.extend(self.commit(now, decision.events)?);
            }
            let receipt = self.receipt.as_ref();
            let receipt = receipt.expect("a controller's own start is durable before any round");
            let effects = decision.effects.into_iter();
            turn.effects.extend(effects.map(|effect| Released::new(receipt, effect)));
            let before = turn.wake.take().filter(|wake| wake.at > now);
            turn.wake = earlier(before, decision.wake);
            // The first input may say nothing by itself and still let time pass.
            if quiet && round > 0 {
                return Ok(turn);
            }
            input = M::advance();
        }
        Err(TurnError::Rounds { max: ROUNDS_MAX })
    }

    /// Makes events durable and applies them.
    fn commit(
        &mut self,
        now: Timestamp,
        events: Vec<Event>,
    ) -> Result<Vec<Record>, TurnError<M::Illegal>> {
        let numbers = self.last.0.saturating_add(1)..;
        let records: Vec<Record> = numbers
            .zip(events)
            .map(|(seq, event)| Record { seq: Seq(seq), at: now, epoch: self.lease.epoch, event })
            .collect();
        let batch = Batch::new(self.last, self.lease.epoch, &records);
        self.receipt = Some(self.storage.append(batch)?);
        for record in &records {
            let seq = record.seq;
            let done = self.machine.evolve(record);
            done.map_err(|source| TurnError::Illegal { seq, source })?;
            self.last = seq;
        }
        Ok(records)
    }

    /// The machine, to look at.
    #[must_use]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The lease it acts under.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The last record's number.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.last
    }

    /// The storage, to look at.
    #[must_use]
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Keeps in mind, beside the journal that is no longer ours, which epoch a node has seen.
    pub(crate) fn note_seen(&mut self, seen: Epoch) -> Result<(), LeaseError> {
        self.storage.note_seen(seen)
    }

    /// Gives the lease back and ends. A conductor that is only dropped leaves the lease to expire,
    /// as a crash does.
    ///
    /// # Errors
    /// [`LeaseError`]; the lease then expires.
    pub fn close(mut self) -> Result<(), LeaseError> {
        self.storage.release(&self.lease)
    }
}

fn earlier<R>(one: Option<Wake<R>>, other: Option<Wake<R>>) -> Option<Wake<R>> {
    match (one, other) {
        (Some(one), Some(other)) if one.at <= other.at => Some(one),
        (Some(one), None) => Some(one),
        (_, other) => other,
    }
}

/// Whether the journal is there and bound to this plan.
fn check_plan<I: std::error::Error>(records: &[Record], plan: &Digest) -> Result<(), OpenError<I>> {
    let first = records.first().ok_or(OpenError::Empty)?;
    let altered = |why| OpenError::Read(ReadError::Altered { line: 1, why });
    match crate::chain::plan_of(first) {
        None => Err(altered(Why::FirstRecord)),
        Some(found) if found == plan => Ok(()),
        Some(found) => Err(altered(Why::Plan {
            expected: plan.short().to_owned(),
            found: found.short().to_owned(),
        })),
    }
}
