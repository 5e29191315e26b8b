//! Stand-ins for vendor products that cannot be had.
//!
//! What it is: [`axway`] lays out installations of a stand-in for Axway API Gateway (`nodemanager`,
//! `startinstance`, `sysupgrade`) whose tools enforce the documented preconditions and answer with
//! the documented texts and exit codes, and whose processes serve real HTTP.
//!
//! What it never does: it proves nothing about the vendor's product. Where the public documents are
//! silent the stand-in takes the strict choice and says so in [`axway`]. It touches nothing outside
//! the directories it was told to lay out, and signals only processes it started itself.
//!
//! Start reading at [`axway::install`] (what is laid out), then `axway/sysupgrade/`.

use std::ffi::OsString;

pub mod axway;

/// Runs one stand-in tool. `args` are the words after the leading words of the
/// [launcher](axway::Launcher): `TOOL INSTALL_DIR ARGS..`, as the laid-out wrapper scripts pass
/// them. Returns the tool's exit code, always within 0..=255.
///
/// Both `zdu-double` and a hidden command of the `zdu` binary are thin callers of this function, so
/// that `zdu demo` needs nothing installed.
#[must_use]
pub fn main(args: Vec<OsString>) -> i32 {
    axway::run_tool(args)
}
