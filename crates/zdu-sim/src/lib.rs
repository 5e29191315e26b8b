//! A simulated fleet for the real conductor and engine: the same plan, the same journal bytes, the
//! same lease, the same decisions; only the drivers and what they reach are made up.
//!
//! Everything follows from a [`Setup`]: a plan, a seed and a list of faults. Time is virtual and
//! moves only to the next thing that happens. Checkers watch the world, not the controller, and
//! say which law was broken.
//!
//! Start reading at [`run`], then `process.rs` (a controller's loop), `hands/` (its drivers),
//! `world/` (what a fleet does) and `checkers/` (one file for each law). Nothing here reads a
//! clock, opens a file or a socket, or starts a thread.

mod agenda;
mod checkers;
mod dice;
mod door;
pub mod fault;
mod hands;
mod layout;
mod plant;
mod process;
mod run;
mod seen;
mod store;
pub mod swarm;
mod trace;
mod trouble;
mod world;

pub use dice::Dice;
pub use plant::Plant;
pub use run::{Counts, Outcome, Setup, run, run_traced};
pub use seen::Violation;
