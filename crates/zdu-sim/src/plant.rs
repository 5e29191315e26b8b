//! Planted faults: one way each to break a law, so that every checker is seen to catch what it is
//! for. Nothing of this is in the program; it sits between the real parts and the simulated world.

use zdu_conductor::turn::{Decision, Machine};
use zdu_conductor::{Illegal, Input, Rollout, WakeReason};
use zdu_model::contract::Class;
use zdu_model::event::{Event, Record, ScheduleCause};
use zdu_model::plan::Work;
use zdu_model::report::{End, Evidence, MemberState};
use zdu_model::time::{Millis, Timestamp};

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plant {
    /// The engine is told that every member serves.
    CapacityIsInvented,
    /// The engine is told that a drain is certified when it is not.
    CertificateIsInvented,
    /// The engine is told that a node is ready when it is not.
    ReadinessIsInvented,
    /// The engine is told that a node serves when nobody looked.
    ServingIsInvented,
    /// Unknown outcomes are called failures.
    UnknownIsFailure,
    /// What is put back is put back in the order it was done.
    UnwindsForward,
    /// The list of an unwind lacks its last compensation.
    UnwindForgets,
    /// Points of no return are crossed without a word.
    CrossesWithoutAsking,
    /// Nobody wakes the engine when time has passed.
    NobodyWakes,
    /// The store says durable and keeps nothing.
    ReceiptBeforeDisk,
    /// The store takes appends and renewals of a controller that lost its lease.
    OldControllerWrites,
    /// Force gives the lease to whoever asks, although the other one may still act on balancers.
    ForceDoesNotWait,
    /// Nodes take commands of an older epoch.
    NodesForgetEpochs,
    /// An undrain leaves the weight as it is.
    UndrainForgetsWeight,
    /// An undrain makes everything ready, whatever it was.
    UndrainMakesReady,
    /// The drain lands on the first instance only, and only that one is asked.
    OneInstanceIsEnough,
    /// Nobody looks whether a drain holds.
    KeeperSleeps,
    /// A recovery begins the step anew and looks at nothing.
    RecoveryRepeats,
    /// A captured secret is reported with its value.
    CaptureLeaks,
    /// The view does not hear of nodes that are stuck.
    ViewIsDeaf,
    /// The view shows nothing of what is under way.
    ViewSaysNothing,
    /// The live state forgets that a member drifted.
    StateForgets,
    /// A node falls back to the old release as it returns to traffic.
    NodeFallsBack,
    /// A controller that stood still goes on as if it had looked all the time.
    StillnessIsNotTold,
    /// An act whose reply was lost is said never to have begun.
    LostReplyIsNever,
    /// What is stuck is tried again by itself.
    StuckIsTriedAgain,
    /// Nobody remembers which releases were rolled back.
    RefusalsAreForgotten,
}

/// The production machine, with what is planted around it.
pub(crate) struct Watched {
    pub(crate) rollout: Rollout,
    pub(crate) plant: Option<Plant>,
}

impl AsRef<Rollout> for Watched {
    fn as_ref(&self) -> &Rollout {
        &self.rollout
    }
}

impl Machine for Watched {
    type Input = Input;
    type Reason = WakeReason;
    type Illegal = Illegal;

    fn decide(&self, now: Timestamp, input: &Input) -> Decision<WakeReason> {
        let Some(plant) = self.plant else {
            return Machine::decide(&self.rollout, now, input);
        };
        let input = self.bend_input(plant, input.clone());
        let mut decision = Machine::decide(&self.rollout, now, &input);
        for event in &mut decision.events {
            bend_event(plant, event);
        }
        if plant == Plant::CrossesWithoutAsking {
            decision.events = crossed(decision.events);
        }
        if plant == Plant::StuckIsTriedAgain {
            let again = tried_again(now, &decision.events);
            decision.events.extend(again);
        }
        if plant == Plant::NobodyWakes {
            decision.wake = None;
        }
        decision
    }

    fn evolve(&mut self, record: &Record) -> Result<(), Illegal> {
        let drifted = matches!(record.event, Event::Drifted { .. });
        if self.plant == Some(Plant::StateForgets) && drifted {
            return Ok(());
        }
        self.rollout.evolve(record)
    }

    fn advance() -> Input {
        Input::Advance
    }

    fn recovered() -> Input {
        Input::Recovered
    }
}

impl Watched {
    fn bend_input(&self, plant: Plant, mut input: Input) -> Input {
        if let Input::Report { step, report, .. } = &mut input {
            let work = &self.rollout.plan().step(*step).work;
            let certified = plant == Plant::CertificateIsInvented && matches!(work, Work::Certify);
            let ready = plant == Plant::ReadinessIsInvented && matches!(work, Work::Ready(_));
            let serves = plant == Plant::ServingIsInvented && matches!(work, Work::Serving);
            if certified || ready || serves {
                report.end = End::Done;
            }
            if let (Plant::CapacityIsInvented, Evidence::Balancers(readings)) =
                (plant, &mut report.evidence)
            {
                for member in readings.iter_mut().flat_map(|reading| &mut reading.members) {
                    member.state = MemberState::Serving;
                }
            }
        }
        input
    }
}

/// What the views are not told.
pub(crate) fn unheard(plant: Option<Plant>, event: &Event) -> bool {
    let stuck = matches!(event, Event::NodeStuck { .. });
    let begun = matches!(event, Event::StepStarted { .. } | Event::StepScheduled { .. });
    (plant == Some(Plant::ViewIsDeaf) && stuck) || (plant == Some(Plant::ViewSaysNothing) && begun)
}

fn bend_event(plant: Plant, event: &mut Event) {
    if plant == Plant::UnknownIsFailure
        && let Event::StepEnded { class, .. } = event
        && *class == Class::Unknown
    {
        *class = Class::Failed;
    }
    if plant == Plant::UnwindsForward
        && let Event::UnwindStarted { steps, .. } = event
    {
        steps.reverse();
    }
    if plant == Plant::UnwindForgets
        && let Event::UnwindStarted { steps, .. } = event
    {
        steps.pop();
    }
}

/// A step that is stuck, scheduled for another time.
fn tried_again(now: Timestamp, events: &[Event]) -> Option<Event> {
    events.iter().find_map(|event| {
        let Event::NodeStuck { step, .. } = event else { return None };
        let (at, cause) = (now.after(Millis::from_secs(60)), ScheduleCause::Retry);
        Some(Event::StepScheduled { step: *step, at, cause })
    })
}

/// A hold at a point of no return becomes the word of a person nobody asked.
fn crossed(events: Vec<Event>) -> Vec<Event> {
    use zdu_model::event::{HoldCause, Request};
    let cross = |event| {
        let Event::HoldStarted { cause: HoldCause::PointOfNoReturn(step) } = event else {
            return event;
        };
        let request = Request::Approve(step);
        Event::Requested { request, by: "nobody".into(), reason: String::new() }
    };
    events.into_iter().map(cross).collect()
}
