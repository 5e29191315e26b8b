//! Every command line of the machine for as long as something runs, those of processes that end at
//! once too.
//!
//! A look at all of `/proc` now and then sees what lives for milliseconds; a program that a shell
//! starts and that ends is gone by then. The kernel tells the number it gave out last: each number
//! that is new is read again and again from its fork on, past its exec, until it has ended or the
//! looks at everything have had their turn. Who does that goes before all others on the machine,
//! where it may: without it, and beside a build, not half of such programs are seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a new process is followed; by then a look at everything has seen it.
const YOUNG: Duration = Duration::from_millis(60);
/// The pause between two looks at what is new.
const PAUSE: Duration = Duration::from_micros(20);
/// The pause between two looks at all of `/proc`.
const LOOK: Duration = Duration::from_millis(20);
/// The most new numbers followed at once; a wrapped counter would look like millions.
const NEW_MAX: u32 = 4096;

/// Runs `act` and gives every command line there was meanwhile, words parted by spaces.
///
/// # Panics
/// When `act` does, after the watching has ended; where `/proc` cannot be read.
pub fn command_lines_during<T>(act: impl FnOnce() -> T) -> (BTreeSet<String>, T) {
    let done = AtomicBool::new(false);
    let ready = Barrier::new(3);
    std::thread::scope(|scope| {
        // Apart, because a look at everything takes longer than many a program lives.
        let follower = scope.spawn(|| follow(&done, &ready));
        let looker = scope.spawn(|| look(&done, &ready));
        ready.wait();
        // The watchers have to end also when the test fails.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        done.store(true, Ordering::Relaxed);
        let mut seen = follower.join().expect("the watcher does not panic");
        seen.extend(looker.join().expect("the watcher does not panic"));
        match ended {
            Ok(value) => (seen, value),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Reads what is new, for as long as it is.
fn follow(done: &AtomicBool, ready: &Barrier) -> BTreeSet<String> {
    before_all_others();
    let counter = File::open("/proc/loadavg").expect("/proc is there");
    let mut seen = BTreeSet::new();
    let mut young: BTreeMap<u32, (Instant, Vec<u8>)> = BTreeMap::new();
    let mut last = newest(&counter);
    ready.wait();
    while !done.load(Ordering::Relaxed) {
        let now = Instant::now();
        let newest = newest(&counter);
        if newest > last && newest - last <= NEW_MAX {
            young.extend((last + 1..=newest).map(|pid| (pid, (now, Vec::new()))));
        }
        last = newest;
        young.retain(|pid, (born, line)| {
            read(*pid, line, &mut seen) && now.duration_since(*born) < YOUNG
        });
        std::thread::sleep(PAUSE);
    }
    seen
}

/// Reads everything now and then, and once more at the end.
fn look(done: &AtomicBool, ready: &Barrier) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    ready.wait();
    loop {
        let ends = done.load(Ordering::Relaxed);
        for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
            if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                read(pid, &mut Vec::new(), &mut seen);
            }
        }
        if ends {
            return seen;
        }
        std::thread::sleep(LOOK);
    }
}

/// Has this thread run as soon as it is due, whatever else the machine does.
fn before_all_others() {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let _asked = Command::new("chrt").args(["--fifo", "--pid", "1", &thread]).status();
}

/// The number the kernel gave out last.
fn newest(counter: &File) -> u32 {
    let mut text = [0; 64];
    let length = counter.read_at(&mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..length]);
    text.split_whitespace().last().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Notes the command line of a process where it is another than `before`; false when the process
/// is gone.
fn read(pid: u32, before: &mut Vec<u8>, seen: &mut BTreeSet<String>) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    // A zombie has none any more, and a process between fork and exec has its parent's.
    if !line.is_empty() && line != *before {
        seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
        *before = line;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_at_once_is_seen() {
        let runs = 200;
        let (seen, ()) = command_lines_during(|| {
            for run in 0..runs {
                let ended = Command::new("true").arg(format!("planted-{run}-here")).status();
                assert!(ended.expect("it starts").success());
            }
        });
        let found = (0..runs).filter(|run| {
            let word = format!("planted-{run}-here");
            seen.iter().any(|line| line.contains(&word))
        });
        let found = found.count();
        eprintln!("seen {found} of {runs}");
        // Who may not go before the others still sees some beside a build.
        let at_least = if rustix::process::getuid().is_root() { runs / 2 } else { runs / 20 };
        assert!(found > at_least, "{found} of {runs} were seen");
    }
}
