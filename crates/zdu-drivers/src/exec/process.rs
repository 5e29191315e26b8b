//! What every local process of ours begins with: the signals a login would have given it, and none
//! of the variables a secret was read from.
//!
//! A local step is to run as the same step does over `ssh`. There a login shell stands at its
//! beginning; here it is whatever started zdu, and two things of that would reach the step. Neither
//! can be mended in the step's own shell: POSIX lets none unset what was ignored when it began, and
//! what is exported can be read by every process the step starts.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// The environment belongs to the process, and so does what of it is not handed on.
static WITHHELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// From now on no process is started with this variable.
pub(crate) fn withhold(variable: &str) {
    WITHHELD.lock().unwrap_or_else(PoisonError::into_inner).insert(variable.to_owned());
}

/// Gives a process its surroundings. To be called within the runtime, right before it is started.
pub(super) fn surround(command: &mut Command) {
    for variable in WITHHELD.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        command.env_remove(variable);
    }
    // Without /proc nobody can say what is ignored; the process then begins as we did.
    let _as_we_are = catch_ignored();
}

/// Catches INT and QUIT where they are ignored, as a shell without job control leaves them for what
/// it starts in the background. An ignored signal stays ignored in every process started from here,
/// a caught one begins as it should; to us it means the same, since nobody listens. PIPE needs
/// nothing: the standard library, which ignores it, gives it back to those it starts.
fn catch_ignored() -> std::io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ignored = ignored(&status);
    for kind in [SignalKind::interrupt(), SignalKind::quit()] {
        if ignored >> (kind.as_raw_value() - 1) & 1 == 1 {
            // The handler stays for as long as the process lives.
            drop(signal(kind)?);
        }
    }
    Ok(())
}

/// The ignored signals of a process, one bit each, the lowest for signal 1.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
