//! Answers effects: what the engine asks is done here, and what came of it is told as facts.
//!
//! Nothing here decides about a node. [`Drivers`] takes effects and sends answers; [`Access`] is
//! the ways out (channels, HTTP, secrets); [`exec`] runs commands that survive us, [`balancer`]
//! takes members out of traffic and proves it, [`probe`] measures, [`front`] asks where users
//! come in, all the time.

pub mod access;
mod answer;
pub mod balancer;
pub mod capture;
mod command;
mod drivers;
pub mod exec;
#[doc(hidden)]
pub mod foreign;
mod forms;
pub mod front;
mod fronts;
mod instance;
pub mod mandate;
pub mod output;
pub mod probe;
mod pulse;
pub mod secret;
mod settled;
pub mod traffic;
mod transfer;

pub use access::Access;
pub use answer::{Answer, Progress};
pub use drivers::{Drivers, Setup};
pub use fronts::Fronts;
pub use pulse::{Pulse, clocks};
