//! Execution on nodes: channels (one shell per node, local or over the system's `ssh`), supervised
//! steps that survive their controller, file transfer, socket counts and forwarded unix sockets.
//!
//! It never decides anything about a node, never puts a secret into an argument, and never accepts
//! a host key. It depends on no crate of the project. Start reading at [`channel`], then
//! [`supervisor`] and [`run_step()`].

pub mod channel;
mod epochs;
pub mod forward;
pub mod pool;
pub(crate) mod process;
pub mod quote;
pub mod run_step;
pub mod sockets;
pub mod spec;
pub mod supervisor;
pub mod target;
pub mod upload;

pub use channel::{Channel, ChannelError, Reply};
pub use forward::{ForwardError, StreamForward};
pub use pool::{Lease, Pool};
pub use quote::{quote, quote_all};
pub use run_step::{Begun, Limits, Node, StepEnd, StepFate, StepNews, Stream, run_step};
pub use sockets::{Connections, SocketsError, established};
pub use spec::{Command, Spec, SpecError};
pub use supervisor::{
    Exit, LostReason, Poll, Range, StepKey, StepState, Supervisor, SupervisorError,
};
pub use target::{ConnectFailure, Target};
pub use upload::{TransferError, backup_file, upload};
