//! The production machine: the engine's rollout, driven by the conductor's turn, and how it is told
//! what drivers and people say.

use crate::storage::Storage;
use crate::turn::{Conductor, Decision, Machine, Turn, TurnError, Wake};
use zdu_engine::{Illegal, Input, Refusal, Rollout, WakeReason};
use zdu_model::event::Record;
use zdu_model::report::End;
use zdu_model::time::Timestamp;

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
            | Input::StoodStill { .. } => {}
        }
        self.turn(now, input).map(Heard::Turn)
    }
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
