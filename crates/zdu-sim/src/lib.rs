//! A simulated fleet for the real conductor and engine: the same plan, the same journal bytes, the
//! same lease, the same decisions; only the drivers and what they reach are made up.
//!
//! Everything follows from a [`Setup`]: a plan, a seed and a list of faults. Time is virtual and
//! moves only to the next thing that happens. Checkers watch the world, not the controller, and
//! say which law was broken.
//!
//! Start reading at [`run`], then `process.rs` (a controller's loop), `hands/` (its drivers),
//! `world/` (what a fleet does) and `checkers/` (one file for each law). A run can be written down
//! ([`script`]), made smaller ([`shrink`]) and cut at every record ([`crash`]). Nothing here
//! reads a clock, opens a file or a socket, or starts a thread.

mod agenda;
mod checkers;
pub mod crash;
mod dice;
mod door;
pub mod fault;
mod hands;
mod layout;
mod plant;
mod process;
pub mod rehearse;
mod run;
pub mod script;
mod seen;
pub mod shrink;
mod store;
mod story;
pub mod swarm;
mod trace;
mod trouble;
mod world;

pub use dice::Dice;
pub use plant::Plant;
pub use run::{Counts, Found, Outcome, Setup, run, run_told, run_traced};
pub use seen::Violation;
