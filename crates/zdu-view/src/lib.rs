//! Folds events into a view of the rollout and renders it as text.
//!
//! Everything here is a pure function of the plan, the records and the `now` its caller gives: a
//! live, a resumed, a replayed and a simulated rollout render through the same code. It never
//! reads a clock, a file or a socket, never writes to a terminal and never decides anything.
//!
//! Start reading at [`fold`], then [`waiting`] (law 13), then whichever renderer is of interest:
//! [`table`] is the summary of the Axway source document, [`lines`] one line per event, [`live`]
//! the small live view, [`report`] what is kept, [`log`] the two kinds of log, [`status`] the
//! answer to `zdu status`. [`describe`] holds every sentence that more than one of them says.

mod back;
pub mod call;
pub mod cell;
pub mod describe;
pub mod durations;
pub mod fold;
pub mod front;
pub mod history;
pub mod lines;
pub mod live;
pub mod log;
pub mod markdown;
pub mod moment;
pub mod next;
pub mod node;
pub mod query;
pub mod report;
mod report_lists;
mod roster;
pub mod status;
pub mod step;
pub mod table;
pub mod trouble;
pub mod waiting;

#[cfg(test)]
mod front_stories;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod stories;
