//! What must hold whatever happens. Each checker watches the world and the durable journal, guards
//! one law of the design, and is proved able to fail by a planted fault (`tests/plants.rs`).

mod bounds;
mod capacity;
mod certificate;
mod fencing;
mod limits;
mod lost;
mod monotonic;
mod never;
mod order;
mod readiness;
mod refused;
mod replay;
mod report;
mod restored;
mod secrets;
mod unknown;
mod waits;
mod write_ahead;

use crate::seen::{Scene, Seen};

/// Watches one law.
pub(crate) trait Checker {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Something happened; answers what is wrong, when something is.
    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String>;
}

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(capacity::Capacity::default()),
        Box::new(certificate::Certificate::default()),
        Box::new(readiness::Readiness::default()),
        Box::new(restored::Restored::default()),
        Box::new(lost::Lost::default()),
        Box::new(limits::Limits::default()),
        Box::new(write_ahead::WriteAhead::default()),
        Box::new(unknown::Unknown::default()),
        Box::new(never::Never::default()),
        Box::new(fencing::Fencing::default()),
        Box::new(order::Order::default()),
        Box::new(replay::Replay::default()),
        Box::new(secrets::Secrets),
        Box::new(monotonic::Monotonic::default()),
        Box::new(refused::Refused::default()),
        Box::new(waits::Waits::default()),
        Box::new(bounds::Bounds::default()),
        Box::new(report::Report::default()),
    ]
}
