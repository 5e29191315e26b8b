//! What a lab is called, and how everything that bears its name goes away.
//!
//! The name carries the pid of the process that made the lab, so a lab whose maker is gone can be
//! told from a living one and removed by the next.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::process::{self, pid_of};
use crate::{LabError, net};

const FIRST: &str = "zdul";

/// `zdul.<prefix>.<pid>.<number>`; namespaces add `.<host>`, the directory has the bare name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabName {
    pub(crate) text: String,
    maker: u32,
}

impl LabName {
    pub(crate) fn next(prefix: &str) -> Result<Self, LabError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        check_word(prefix)?;
        let maker = std::process::id();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            text: format!("{FIRST}.{prefix}.{maker}.{number}"),
            maker,
        })
    }

    /// Reads the lab's name from that of one of its namespaces or of its directory.
    fn read(name: &str) -> Option<Self> {
        let mut words = name.split('.');
        let (first, prefix, maker, number) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        (first == FIRST).then_some(())?;
        Some(Self {
            text: format!("{first}.{prefix}.{maker}.{number}"),
            maker: maker.parse().ok()?,
        })
    }

    pub(crate) fn namespace(&self, host: &str) -> String {
        format!("{}.{host}", self.text)
    }

    pub(crate) fn directory(&self) -> PathBuf {
        std::env::temp_dir().join(&self.text)
    }

    /// The maker's start time stands in the directory: a pid alone may have been given again.
    fn maker_lives(&self) -> bool {
        let Some((state, started)) = process::stat(self.maker) else {
            return false;
        };
        let noted = fs::read_to_string(maker_file(&self.directory()));
        let same = noted.map_or(true, |noted| noted.trim() == started.to_string());
        state != 'Z' && same
    }
}

fn maker_file(directory: &Path) -> PathBuf {
    directory.join("maker-start-time")
}

/// Notes in the lab's directory which process, exactly, made it.
pub(crate) fn note_maker(directory: &Path) -> Result<(), LabError> {
    let (_, started) = process::stat(std::process::id())
        .ok_or_else(|| LabError::new("read the start time of this process from /proc"))?;
    fs::write(maker_file(directory), started.to_string())
        .map_err(LabError::because("write the lab's maker file"))
}

/// Refuses names that could not stand in a namespace name, a path or a config unquoted.
pub(crate) fn check_word(word: &str) -> Result<(), LabError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if word.is_empty() || word.len() > 40 || !word.chars().all(fits) {
        return Err(LabError::new(format!(
            "use {word:?} as a name: want a-z, 0-9 and -, up to 40"
        )));
    }
    Ok(())
}

/// `ip netns add` is not safe to run twice at once while `/run/netns` is not a mount yet, and two
/// sweeps would get in each other's way: labs of all processes take turns. The lock is on the
/// directory `/run` itself, so it leaves no file.
pub(crate) fn take_turn() -> Result<File, LabError> {
    let run = File::open("/run").map_err(LabError::because("open /run"))?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match run.try_lock() {
            Ok(()) => return Ok(run),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(cause) => return Err(LabError::because("lock /run within 30 s")(cause)),
        }
    }
}

/// Removes every lab whose maker is gone and returns their names.
///
/// # Errors
/// When one of them could not be removed completely.
pub fn sweep() -> Result<Vec<String>, LabError> {
    let _turn = take_turn()?;
    let mut dead: Vec<LabName> = Vec::new();
    for name in net::namespaces().into_iter().chain(directories()) {
        let Some(lab) = LabName::read(&name) else {
            continue;
        };
        if !lab.maker_lives() && !dead.contains(&lab) {
            dead.push(lab);
        }
    }
    for lab in &dead {
        remove(lab)?;
    }
    Ok(dead.into_iter().map(|lab| lab.text).collect())
}

fn directories() -> Vec<String> {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Removes processes, namespaces and files of one lab.
pub(crate) fn remove(lab: &LabName) -> Result<(), LabError> {
    let with_dot = format!("{}.", lab.text);
    let ours = net::namespaces()
        .into_iter()
        .filter(|name| name.starts_with(&with_dot));
    for namespace in ours.collect::<Vec<_>>() {
        end_processes(&namespace)?;
        net::delete_namespace(&namespace)?;
    }
    match fs::remove_dir_all(lab.directory()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(LabError::because(
            format!("remove {}", lab.directory().display()),
        )(cause)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Kills what runs in a namespace and waits until it is gone. A process that ended but was not
/// taken in yet by its parent has no namespace any more and is not seen here.
pub(crate) fn end_processes(namespace: &str) -> Result<(), LabError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let pids = net::namespace_pids(namespace);
        if pids.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(LabError::new(format!(
                "end processes {pids:?} of {namespace} in 10 s"
            )));
        }
        for pid in pids {
            // Gone in between is fine.
            let _ = kill_process(pid_of(pid), Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What still bears this lab's name: namespaces, mounts, directories, living processes. Empty
/// after a lab went away. One line each, for people.
#[must_use]
pub fn leftovers(lab: &str) -> Vec<String> {
    let mut found = Vec::new();
    let ours = |name: &String| LabName::read(name).is_some_and(|read| read.text == lab);
    found.extend(
        net::namespaces()
            .into_iter()
            .filter(ours)
            .map(|n| format!("namespace {n}")),
    );
    found.extend(
        directories()
            .into_iter()
            .filter(ours)
            .map(|d| format!("directory {d}")),
    );
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of_lab = mounts.lines().filter(|line| line.contains(lab));
    found.extend(of_lab.map(|line| format!("mount {line}")));
    for pid in process::all()
        .into_iter()
        .filter(|pid| *pid != std::process::id())
    {
        let named = ["cmdline", "environ"].iter().any(|file| {
            fs::read(format!("/proc/{pid}/{file}"))
                .is_ok_and(|text| String::from_utf8_lossy(&text).contains(lab))
        });
        if named {
            found.push(format!("process {pid}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_is_known_by_its_namespace_and_by_its_directory() {
        let lab = LabName::next("rollout").expect("the prefix is a word");
        assert_eq!(LabName::read(&lab.namespace("node-a")), Some(lab.clone()));
        assert_eq!(LabName::read(&lab.text), Some(lab));
        assert_eq!(LabName::read("someone-elses-namespace"), None);
        assert_eq!(LabName::read("zdul.x.y.1"), None, "a maker is a number");
    }

    #[test]
    fn a_name_that_would_need_quoting_is_refused() {
        for word in ["", "a b", "a.b", "../a", "A", "x'"] {
            assert!(LabName::next(word).is_err(), "{word:?} was taken");
        }
    }
}
