//! The lab: hosts that are real enough to upgrade, on one machine, in about a second.
//!
//! A host is a network namespace with its own mount, UTS and PID namespaces and a real `sshd`.
//! It has a name, an address, a boot id, private directories and services, and it can lose its
//! network, its sshd or its power. HAProxy runs inside hosts; a load client counts every lost
//! request.
//!
//! The lab never touches the machine's own network: all addresses exist in namespaces only, and
//! the machine has no route to them. Every client therefore has to run through
//! [`Lab::command`] or [`Lab::in_control`].
//!
//! Start reading at [`Lab`], then [`Host`], [`haproxy`], [`load`]. `tests/lab_itself.rs` shows
//! each of them at work. [`rig`] puts three gateways and the real `zdu` into a lab.
#![allow(
    clippy::format_push_string,
    clippy::wildcard_enum_match_arm,
    clippy::collapsible_match,
    reason = "a rig builds texts piece by piece and looks at some events only"
)]

/// Ends a test loudly, with success, on a machine that cannot have a lab.
#[macro_export]
macro_rules! need_lab {
    () => {
        if let Err(reason) = $crate::available() {
            $crate::rig::tell(format_args!("SKIPPED, THE LAB IS NOT AVAILABLE: {reason}"));
            return;
        }
    };
}

pub mod app;
mod error;
pub mod haproxy;
mod host;
mod lab;
pub mod load;
mod net;
mod process;
pub mod rig;
mod sweep;
pub mod watch;

pub use error::LabError;
pub use host::Host;
pub use lab::{HostSpec, Lab, available, program};
pub use sweep::{leftovers, sweep};
