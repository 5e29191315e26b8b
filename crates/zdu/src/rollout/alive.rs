//! Is the process that holds a lease gone? A lease of a dead process is taken over at once, so the
//! answer may only be yes when it is certain: the same boot of the same machine, the same process
//! namespace, and no such process any more. A host name and a number prove nothing of that.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zdu_conductor::directory::RolloutDir;
use zdu_conductor::storage::Owner;

fn file(directory: &RolloutDir, pid: u32) -> PathBuf {
    directory.path().join("controllers").join(pid.to_string())
}

/// Where process numbers mean the same: the boot and the namespace.
fn space() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// When a process of this namespace started, in ticks since the boot: `/proc/PID/stat`, field 22.
fn started(pid: u32) -> Option<String> {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

/// Leaves a mark by which others can tell when this process is gone. Without it they wait until
/// the lease expires, so a mark that cannot be written stops nothing. It is never taken away: a
/// controller that cannot give its lease back (a full disk) is told gone by it, and a later process
/// of the same number started at another time.
pub(super) fn mark(directory: &RolloutDir) {
    let pid = std::process::id();
    let (Some(space), Some(started)) = (space(), started(pid)) else { return };
    let path = file(directory, pid);
    let write = || -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        file.write_all(format!("{space} {started}").as_bytes())
    };
    let _unmarked = write();
}

/// Whether the owner of a lease on this rollout is certainly gone.
pub(super) fn is_gone(directory: &RolloutDir, owner: &Owner) -> bool {
    let Ok(marked) = std::fs::read_to_string(file(directory, owner.pid)) else { return false };
    let Some(space) = space() else { return false };
    let Some(then) = marked.strip_prefix(&format!("{space} ")) else { return false };
    started(owner.pid).is_none_or(|now| now != then)
}
