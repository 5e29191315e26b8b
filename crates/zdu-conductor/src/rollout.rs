//! The production machine: the engine's rollout, driven by the conductor's turn, and how it is told
//! what drivers and people say.

use crate::memory::MemoryStorage;
use crate::storage::{Claim, Storage};
use crate::turn::{Conductor, Decision, Machine, OpenError, Turn, TurnError, Wake};
use std::sync::Arc;
use zdu_engine::{Illegal, Input, Refusal, Rollout, WakeReason};
use zdu_model::event::{Record, Request};
use zdu_model::ids::{Digest, Epoch, RolloutId};
use zdu_model::plan::Plan;
use zdu_model::report::End;
use zdu_model::time::Timestamp;
use zdu_model::verdict::Verdict;

/// What came of telling a rollout something.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Heard {
    /// A turn was taken.
    Turn(Turn<WakeReason>),
    /// The request cannot be granted now; nothing was changed.
    Refused(Refusal),
    /// A node has seen a newer controller: not even the ending it reports is ours to record, and
    /// whoever drives this conductor must stop (law 7).
    Fenced {
        /// The newest epoch the node has seen.
        seen: u64,
    },
}

impl<M, S> Conductor<M, S>
where
    M: Machine<Input = Input, Reason = WakeReason> + AsRef<Rollout>,
    S: Storage,
{
    /// Takes what a driver or a person says: a turn, unless a law or the state forbids it.
    ///
    /// # Errors
    /// [`TurnError`], as [`Conductor::turn`].
    pub fn hear(&mut self, now: Timestamp, input: Input) -> Result<Heard, TurnError<M::Illegal>> {
        match &input {
            Input::Report { report, .. } => {
                if let End::EpochRefused { seen } = report.end {
                    // Best effort: the next controller would hear it again.
                    let _noted = self.note_seen(Epoch(seen));
                    return Ok(Heard::Fenced { seen });
                }
            }
            Input::Request { request, .. } => {
                if let Some(refusal) = self.machine().as_ref().refuses(request) {
                    return Ok(Heard::Refused(refusal));
                }
            }
            Input::Recovered
            | Input::Advance
            | Input::Drift { .. }
            | Input::InstanceChanged { .. }
            | Input::FrontSeen { .. }
            | Input::StoodStill { .. } => {}
        }
        self.turn(now, input).map(Heard::Turn)
    }
}

/// What a request would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prospect {
    /// It would be granted.
    Granted,
    /// A `resume` of a rollout that nothing holds: it goes on as soon as a controller drives it.
    GoesOn,
    /// The rollout has ended as it asks: nothing is left to decide.
    Over,
    /// It would be refused.
    Refused(Refusal),
}

/// What a request would come to if a controller took the rollout over now. It takes that
/// controller's first turn in memory: no lease is taken, no epoch opened, no record written, so a
/// request that is refused leaves nothing behind. A controller that comes in between is no danger:
/// whoever is told `Granted` must still take the lease, and is refused then.
///
/// # Errors
/// [`OpenError`] where the journal is not to be believed or not of this plan.
pub fn foresee(
    plan: &Arc<Plan>,
    digest: &Digest,
    journal: Vec<Record>,
    claim: &Claim,
    (rollout, request): (&RolloutId, &Request),
) -> Result<Prospect, OpenError<Illegal>> {
    let storage = MemoryStorage::holding(rollout.clone(), journal);
    let opened = Conductor::resume(Rollout::new(Arc::clone(plan)), storage, claim, digest)?;
    let machine = opened.conductor.machine();
    let Some(refusal) = machine.refuses(request) else { return Ok(Prospect::Granted) };
    Ok(match (request, machine.verdict()) {
        (Request::Resume, None) => Prospect::GoesOn,
        (Request::Resume, Some(Verdict::Succeeded))
        | (Request::Rollback, Some(Verdict::RolledBack))
        | (Request::Abort, Some(Verdict::Aborted)) => Prospect::Over,
        _ => Prospect::Refused(refusal),
    })
}

impl Machine for Rollout {
    type Input = Input;
    type Reason = WakeReason;
    type Illegal = Illegal;

    fn decide(&self, now: Timestamp, input: &Input) -> Decision<WakeReason> {
        let zdu_engine::Decision { events, effects, wake } = Self::decide(self, now, input);
        let wake = wake.map(|wake| Wake { at: wake.at, reason: wake.reason });
        Decision { events, effects, wake }
    }

    fn evolve(&mut self, record: &Record) -> Result<(), Illegal> {
        Self::evolve(self, record)
    }

    fn advance() -> Input {
        Input::Advance
    }

    fn recovered() -> Input {
        Input::Recovered
    }
}
