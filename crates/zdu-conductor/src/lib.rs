//! Journal, lease, the write-ahead turn and recovery.
//!
//! The conductor stands between a machine that decides and a world that acts. It makes every
//! event durable before it applies it, and hands an effect out only against the receipt for that
//! (law 5). It never reads a clock, never talks to a node, and knows nothing about what the events
//! mean: that is the machine's.
//!
//! Start reading at [`turn`], then [`storage`], which says what a store must promise; [`files`] is
//! the store that needs nothing but a directory. `docs/decisions/0003-journal.md` has the reasons.

pub mod chain;
pub mod directory;
pub mod files;
pub mod journal;
pub mod lease;
pub mod memory;
pub mod plan_file;
pub mod refused;
pub mod requests;
mod rollout;
pub mod storage;
pub mod turn;
pub mod verify;

pub use rollout::{Heard, Prospect, foresee};
pub use zdu_engine::{
    Illegal, Input, Mirror, Refusal, Rollout, STILLNESS, WakeReason, readings_before_drains,
};
