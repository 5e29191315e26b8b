//! The nouns of zdu: fleet, procedure, policy, plan, effect, report, event.
//!
//! This crate holds data and the few pure functions that give the data its meaning (what an exit
//! status means under a contract, which state a member is in). It never reads a clock, a file or
//! a socket, and it is `no_std`, so nothing in it can.
//!
//! Start reading at [`plan`], which everything before produces and everything after obeys, then
//! [`event`], which is what the journal keeps.
#![no_std]
extern crate alloc;

pub mod contract;
pub mod effect;
pub mod event;
pub mod fleet;
pub mod front;
pub mod ids;
pub mod news;
pub mod plan;
pub mod policy;
pub mod procedure;
pub mod reach;
pub mod render;
pub mod report;
pub mod text;
pub mod time;
pub mod verdict;
