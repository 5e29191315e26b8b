//! The one loop: conductor, drivers, signals, clock, operator requests.
//!
//! Everything that can happen comes together in one `select!` and becomes an input of the engine;
//! everything that follows is durable before it leaves. Nothing here decides about a node, and
//! nothing here draws: whoever watches is told records and progress.
//!
//! Start at [`drive`].

mod clock;
mod drive;

pub use clock::Clock;
pub use drive::{Driven, Rig, RuntimeError, Watch, drive};
