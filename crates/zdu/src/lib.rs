//! The `zdu` command line: one file per command, the wiring, the exit codes and the terminal.
//!
//! What it never does: decide anything about a node (that is `zdu-engine`'s), or print outside
//! [`printer`]. Start reading at [`cli`] (what can be typed), then [`commands`] (which file answers
//! it), then [`failure`] (how a failure becomes an exit code, a message and a hint).

pub mod cli;
pub mod commands;
pub mod context;
mod demo;
mod epochs;
mod excerpt;
pub mod failure;
pub mod prepare;
pub mod printer;
mod refused;
mod rehearsal;
pub mod rollout;
pub mod rollouts;
pub mod zdupgrade;
