//! Running a command to its end while a clock runs.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// No measured command needs a tenth of this on a machine that can be measured on.
const LIMIT: Duration = Duration::from_secs(300);
/// How often a running process is looked at: peak memory is missed by what it grows in its last
/// milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long the command takes from its start to its successful end. What it prints goes to `log`.
///
/// # Errors
/// A fragment that fits "failed to ..", with the end of the log.
pub(super) fn seconds(command: Command, log: &Path) -> Result<f64, String> {
    let begun = Instant::now();
    follow(command, log, LIMIT, |_| {})?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Peak resident memory of the process called `name`, in KiB; that of its children is not in it.
///
/// # Errors
/// Those of [`seconds`], and when the process was never seen.
pub(super) fn peak_kib(command: Command, name: &str, log: &Path) -> Result<f64, String> {
    let mut peak = None;
    follow(command, log, LIMIT, |pid| peak = peak.max(high_water_kib(pid, name)))?;
    let peak = peak.ok_or_else(|| format!("see the memory of {name}: it ended too soon"))?;
    Ok(f64::from(peak))
}

/// `VmHWM`, proc(5); `None` while the process is still its starter or is gone already.
fn high_water_kib(pid: u32, name: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    // The kernel keeps 15 bytes of a name.
    let shown: String = name.chars().take(15).collect();
    (value("Name:")? == shown).then_some(())?;
    value("VmHWM:")?.split(' ').next()?.parse().ok()
}

fn follow(
    mut command: Command,
    log: &Path,
    limit: Duration,
    mut look: impl FnMut(u32),
) -> Result<(), String> {
    let shown = format!("{:?}", command.get_program());
    let because = |what: &str, cause: std::io::Error| format!("{what} {shown}: {cause}");
    // Not a pipe: a connection that ssh leaves open would keep it open too.
    let out = File::create(log).map_err(|cause| because("make the log of", cause))?;
    let err = out.try_clone().map_err(|cause| because("share the log of", cause))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = command.spawn().map_err(|cause| because("start", cause))?;
    let id = child.id();
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait()));
    let deadline = Instant::now() + limit;
    loop {
        match ended.recv_timeout(LOOK_EVERY) {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => return Err(format!("run {shown}: {status}\n{}", tail(log))),
            Ok(Err(cause)) => return Err(because("wait for", cause)),
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => look(id),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                // Not reaped yet, since its waiter has not answered: the pid is still its own.
                let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
                let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
                return Err(format!("see the end of {shown} in {limit:?}\n{}", tail(log)));
            }
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_that_fails_is_an_error_with_what_it_printed() {
        let log = tempfile::NamedTempFile::new().expect("a file can be made");
        let cause = seconds(sh("echo out; echo err >&2; exit 3"), log.path());
        let cause = cause.expect_err("it failed");
        assert!(cause.contains("exit status: 3\nout\nerr"), "{cause}");
        assert!(seconds(sh("exit 0"), log.path()).is_ok());
    }

    #[test]
    fn a_command_that_hangs_is_killed_at_the_limit() {
        let log = tempfile::NamedTempFile::new().expect("a file can be made");
        let ended = follow(sh("exec sleep 600"), log.path(), Duration::from_millis(20), |_| {});
        assert!(ended.expect_err("it hangs").contains("see the end of"));
    }

    #[test]
    fn the_memory_of_a_process_is_seen_under_its_own_name_only() {
        let status = fs::read_to_string("/proc/self/status").expect("this process has one");
        let name = status.lines().next().and_then(|line| line.strip_prefix("Name:\t"));
        let own = std::process::id();
        assert!(high_water_kib(own, name.expect("it is the first line")) > Some(0));
        assert_eq!(high_water_kib(own, "somebody-else"), None);
    }
}
