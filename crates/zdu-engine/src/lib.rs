//! The rollout state machine.
//!
//! [`Rollout::decide`] looks at the durable state, the time and one input and answers with events
//! and effects; [`Rollout::evolve`] applies one durable event. Nothing else happens here: no clock,
//! no IO, no randomness, no plan making. Whoever drives it (the conductor, live or simulated) makes
//! the events durable, evolves, releases the effects, and asks again with [`Input::Advance`] until
//! nothing comes back.
//!
//! Start with `state.rs` (what is known), then `advance.rs` (what is begun next), `failure.rs`
//! (what is done about endings that do not pass) and `unwind.rs` (how things are put back).
#![no_std]
extern crate alloc;

mod advance;
mod capacity;
mod decide;
mod evolve;
mod failure;
mod mirror;
mod places;
mod request;
mod standing;
mod state;
mod unwind;
mod wake;

pub use decide::{Decision, Input, Refusal};
pub use evolve::Illegal;
pub use mirror::{Mirror, readings_before_drains};
pub use standing::STILLNESS;
pub use state::{Course, Rollout, StepStatus};
pub use wake::{Wake, WakeReason};
