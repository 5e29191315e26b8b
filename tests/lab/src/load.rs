//! The load client: many clients with different habits, side by side, none of which ever retries.
//!
//! What it counts is what users would have noticed. Each habit loses other requests when a
//! balancer or an application is treated badly: new connections are refused, kept ones are closed
//! under a request, long requests are cut.
//!
//! A client on a kept connection does not look whether the server has closed it before it sends
//! the next request, as a client that pipelines or one that is quick would not: a server that
//! wants to end a connection has to say `Connection: close` in an answer. That answer is obeyed
//! by a new connection and is no failure.

mod client;
mod command;
mod report;
mod running;
mod spec;

pub use command::main;
pub use report::{Failure, FailureKind, HabitReport, Hold, LoadReport, VersionSeen};
pub use running::RunningLoad;
pub use spec::{Habit, LoadSpec};
