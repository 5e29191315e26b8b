//! Execution on nodes, tried on real shells and a real `sshd`.

mod channel;
mod files;
mod ssh;
mod sshd;
mod steps;
mod surroundings;
mod survival;
mod users;

use std::process::Command;
use std::time::Duration;

/// Long enough for a machine that builds something else meanwhile.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The shells of this machine that must serve channels.
pub(crate) fn shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["/bin/sh"], vec!["dash"], vec!["bash"], vec!["busybox", "sh"]];
    let present = |shell: &Vec<&str>| Command::new(shell[0]).args(["-c", ":"]).output().is_ok();
    all.into_iter().filter(present).collect()
}
