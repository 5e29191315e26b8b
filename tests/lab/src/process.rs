//! Running a program to its end, with a deadline.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::LabError;

/// Enough for any of the lab's own commands on a loaded machine; they take milliseconds.
pub(crate) const COMMAND_DEADLINE: Duration = Duration::from_secs(20);

/// Runs `command` with `input` on its stdin and returns what it printed and how it ended.
///
/// # Errors
/// When it cannot be started or does not end within `deadline` (it is killed then). Any exit
/// status is a result, not an error.
pub(crate) fn output(
    mut command: Command,
    input: &str,
    deadline: Duration,
) -> Result<Output, LabError> {
    let shown = format!("{command:?}");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(LabError::because(format!("start {shown}")))?;
    let pid = pid_of(child.id());
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input is fine: its status tells.
        let _ = stdin.write_all(input.as_bytes());
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(deadline) {
        Ok(ended) => ended.map_err(LabError::because(format!("wait for {shown}"))),
        Err(_) => {
            // Not reaped yet, since its waiter has not answered: the pid is still its own.
            let _ = kill_process(pid, Signal::KILL);
            Err(LabError::new(format!(
                "see the end of {shown} within {deadline:?}"
            )))
        }
    }
}

/// Like [`output`], with success demanded; returns stdout.
pub(crate) fn succeed(command: Command, input: &str) -> Result<String, LabError> {
    let shown = format!("{command:?}");
    let ended = output(command, input, COMMAND_DEADLINE)?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    Err(LabError::new(format!(
        "run {shown}: {}: {}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr).trim()
    )))
}

/// Process id as the system calls take it.
pub(crate) fn pid_of(id: u32) -> Pid {
    i32::try_from(id)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id is a positive i32")
}

/// State letter and start time of a process from `/proc/PID/stat`; `None` when it is gone.
pub(crate) fn stat(pid: u32) -> Option<(char, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain anything, also ") ": fields count from the last one.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    // proc(5): state is field 3, starttime field 22.
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

/// Children of a process, as `/proc` shows them now.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let of_parent = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| {
                let ppid = stat
                    .rsplit_once(") ")?
                    .1
                    .split(' ')
                    .nth(1)?
                    .parse::<u32>()
                    .ok()?;
                Some(ppid == parent)
            })
            .unwrap_or(false)
    };
    all().into_iter().filter(of_parent).collect()
}

/// Every process id of the machine, also zombies.
pub(crate) fn all() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
