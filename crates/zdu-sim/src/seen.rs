//! What happens in a run, as checkers and traces are told. It comes from the world and the store,
//! never from what the controller believes.

use crate::fault::What;
use crate::layout::{Layout, Place};
use crate::world::World;
use zdu_conductor::Rollout;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Record};
use zdu_model::ids::{Attempt, Epoch, StepNo};
use zdu_model::plan::PlannedStep;
use zdu_model::time::Timestamp;
use zdu_model::verdict::Verdict;
use zdu_view::fold::RolloutView;

/// What a controller's hand did to an entry of a balancer instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hand {
    /// Took it out.
    Drain,
    /// Put it back.
    Undrain,
    /// Took it out again, because it was seen in traffic.
    Reassert,
    /// Cut its sessions.
    Cut,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Seen<'a> {
    /// A controller began to drive the rollout.
    Started {
        /// Which process.
        process: usize,
        /// Its epoch.
        epoch: Epoch,
    },
    /// A controller is gone: killed, stopped, or at the end.
    Gone {
        /// Which process.
        process: usize,
        /// Why.
        why: &'a str,
    },
    /// Records are durable.
    Durable(&'a [Record]),
    /// An effect was handed to the drivers.
    Released {
        /// By which process.
        process: usize,
        /// The effect.
        effect: &'a Effect,
    },
    /// A guard read the balancers.
    Read {
        /// The node that is to go out.
        node: Place,
        /// The epoch of the controller.
        epoch: Epoch,
    },
    /// The work of a step begins at its place.
    Began {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
        /// The epoch the node was told.
        epoch: Epoch,
    },
    /// The work of a step ended at its place.
    Ended {
        /// The step.
        step: StepNo,
        /// Which attempt.
        attempt: Attempt,
    },
    /// A hand landed on an entry.
    Landed {
        /// The entry.
        slot: usize,
        /// What it did.
        hand: Hand,
        /// The epoch of the controller.
        epoch: Epoch,
    },
    /// Traffic is about to flow otherwise by itself, or has just begun to: a health check takes a
    /// node out of it, something came to a balancer.
    Traffic,
    /// A fault came.
    Trouble(&'a What),
    /// A controller has nothing more to do at this moment.
    Rests {
        /// Its machine.
        rollout: &'a Rollout,
        /// Whether something will move it again: an answer on its way, a wake, a person.
        moves: bool,
    },
    /// Somebody asked whether a rollout of the release may begin or go on (law 12).
    Asked {
        /// Whether it may.
        admitted: bool,
        /// The reason that was given.
        reason: Option<&'a str>,
    },
    /// A controller came to an end of the rollout.
    Verdict(&'a Verdict),
    /// Nothing more happens.
    Over,
}

/// What a checker may look at.
pub(crate) struct Scene<'a> {
    /// The fleet as it is.
    pub(crate) world: &'a World,
    /// The plan with everything looked up.
    pub(crate) layout: &'a Layout,
    /// Every durable record.
    pub(crate) journal: &'a [Record],
    /// What the views show of them.
    pub(crate) view: &'a RolloutView,
    /// Every byte of the journal.
    pub(crate) bytes: &'a dyn Fn() -> Vec<u8>,
    /// The time.
    pub(crate) now: Timestamp,
}

impl Scene<'_> {
    /// The step of a node that began or ended with this event, and the node.
    pub(crate) fn on_a_node(&self, event: &Event) -> Option<(&PlannedStep, Place)> {
        let (Event::StepStarted { step, .. } | Event::StepEnded { step, .. }) = event else {
            return None;
        };
        Some((self.layout.plan.step(*step), self.layout.step(*step).node?))
    }
}

/// A law that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The checker that saw it.
    pub checker: &'static str,
    /// What it saw.
    pub what: String,
    /// When.
    pub at: Timestamp,
}
