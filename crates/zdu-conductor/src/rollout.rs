//! The production machine: the engine's rollout, driven by the conductor's turn.

use crate::turn::{Decision, Machine, Wake};
use zdu_engine::{Illegal, Input, Rollout, WakeReason};
use zdu_model::event::Record;
use zdu_model::time::Timestamp;

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
