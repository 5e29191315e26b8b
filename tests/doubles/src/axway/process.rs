//! The processes: starting detached ones, pid files that cannot name a stranger, stopping.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::install::DoubleError;
use super::spec::{self, InstallSpec};

/// How long a start may take beyond its configured delay: a loaded machine, not the stand-in.
const START_MS_MAX: u64 = 20_000;
/// How long open requests of a stopping process may take; the process itself ends then.
pub(crate) const REQUESTS_MS_MAX: u64 = 30_000;

/// A process that cannot be confused with a later one of the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// Start time in clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub(crate) start_ticks: u64,
}

impl Identity {
    /// True while this very process runs; one that is dead but not reaped does not.
    pub(crate) fn runs(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// Signals this very process; does nothing when it is gone. The descriptor is opened before the
    /// identity is compared, so the id cannot change owners in between.
    fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        if self.runs() {
            // Gone in this very moment is what the signal was for.
            let _ = pidfd_send_signal(&descriptor, signal);
        }
    }

    fn wait_until_gone(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.runs() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        true
    }
}

pub(crate) fn own_identity() -> Identity {
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    Identity { pid, start_ticks: start_ticks(pid).unwrap_or(0) }
}

fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold anything, so fields are counted after its closing parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A detached process of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Service {
    NodeManager,
    Instance { name: String, group: String },
}

impl Service {
    /// The words after `serve INSTALL_DIR`.
    fn words(&self) -> Vec<String> {
        match self {
            Self::NodeManager => vec!["nodemanager".to_owned()],
            Self::Instance { name, group } => {
                vec!["instance".to_owned(), name.clone(), group.clone()]
            }
        }
    }

    pub(crate) fn from_words(words: &[String]) -> Option<Self> {
        match words {
            [kind] if kind == "nodemanager" => Some(Self::NodeManager),
            [kind, name, group] if kind == "instance" => {
                Some(Self::Instance { name: name.clone(), group: group.clone() })
            }
            _ => None,
        }
    }

    /// What people call it.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::NodeManager => "Node Manager".to_owned(),
            Self::Instance { name, group } => format!("API Gateway '{name}' of group '{group}'"),
        }
    }

    fn file_stem(&self) -> String {
        match self {
            Self::NodeManager => "nodemanager".to_owned(),
            // Names may hold slashes and quotes; their digest does not.
            Self::Instance { name, group } => {
                format!("instance-{}", &spec::sha256_hex(&format!("{group}\0{name}"))[..16])
            }
        }
    }

    fn pid_path(&self, spec: &InstallSpec) -> PathBuf {
        spec.layout().run().join(format!("{}.pid", self.file_stem()))
    }

    /// The running process of this service, if any.
    pub(crate) fn running(&self, spec: &InstallSpec) -> Option<Identity> {
        read_pid_file(&self.pid_path(spec)).filter(Identity::runs)
    }

    /// Starts it detached and returns when it serves. The error is the text for the user.
    pub(crate) fn start(&self, spec: &InstallSpec) -> Result<(), String> {
        let log_dir = spec.layout().process_logs();
        let log = fs::create_dir_all(&log_dir)
            .and_then(|()| {
                let path = log_dir.join(format!("{}.log", self.file_stem()));
                OpenOptions::new().append(true).create(true).open(path)
            })
            .map_err(|error| format!("{} cannot log: {error}", self.title()))?;
        // Standard output is the pipe of the one line that says how the start ended. The caller's
        // own output is not inherited: a remote shell would wait for it to close.
        let mut child = Command::new(&spec.launcher.program)
            .args(&spec.launcher.leading)
            .arg("serve")
            .arg(&spec.dir)
            .args(self.words())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log))
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", self.title()))?;
        let output = child.stdout.take().expect("stdout was asked to be piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            drop(BufReader::new(output).read_line(&mut line));
            drop(sender.send(line));
        });
        let limit = Duration::from_millis(spec.delays.start_ms + START_MS_MAX);
        let failed = match receiver.recv_timeout(limit) {
            Ok(line) if line.trim_end() == "ready" => return Ok(()),
            Ok(line) if line.trim().is_empty() => "it ended while starting".to_owned(),
            Ok(line) => line.trim_end().to_owned(),
            Err(_) => format!("it was not ready within {} ms", limit.as_millis()),
        };
        drop(child.kill());
        drop(child.wait());
        Err(format!("{} did not start: {failed}", self.title()))
    }

    /// Asks it to stop and waits until it is gone. True when it ran. The error is the text for the
    /// user.
    pub(crate) fn stop(&self, spec: &InstallSpec) -> Result<bool, String> {
        let Some(process) = self.running(spec) else {
            return Ok(false);
        };
        process.signal(Signal::TERM);
        let delays = &spec.delays;
        let slack = REQUESTS_MS_MAX + 5_000;
        let limit = Duration::from_millis(delays.health_lb_ms + delays.stop_ms + slack);
        if process.wait_until_gone(limit) {
            Ok(true)
        } else {
            Err(format!("{} (pid {}) did not terminate", self.title(), process.pid))
        }
    }
}

/// The services of this installation's node, Node Manager first.
pub(crate) fn own_services(spec: &InstallSpec) -> Vec<Service> {
    let instances = spec.own_node().instances.iter().map(|instance| Service::Instance {
        name: instance.name.clone(),
        group: instance.group.clone(),
    });
    std::iter::once(Service::NodeManager).chain(instances).collect()
}

fn read_pid_file(path: &Path) -> Option<Identity> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

/// The pid file of the process that made it; removed when dropped.
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Of a tool, so that teardown also ends one that hangs.
    pub(crate) fn of_tool(spec: &InstallSpec, tool: &str) -> Self {
        let path = spec.layout().run().join(format!("tool-{tool}-{}.pid", std::process::id()));
        Self::write(path)
    }

    /// Of a detached service.
    pub(crate) fn of_service(spec: &InstallSpec, service: &Service) -> Self {
        Self::write(service.pid_path(spec))
    }

    fn write(path: PathBuf) -> Self {
        // Without making directories: an installation that was removed meanwhile stays removed.
        drop(spec::replace_json(&path, &own_identity()));
        Self { path }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A successor may have written its own file meanwhile; that one stays.
        if read_pid_file(&self.path) == Some(own_identity()) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// How deep below a directory installations are looked for: `root/node/release` and some more.
const INSTALL_DEPTH_MAX: usize = 4;

/// Ends every process of every installation at or below `dir`, without grace, and waits until they
/// are gone. Only processes whose pid file matches their start time are signalled. Returns how many
/// were ended.
///
/// # Errors
/// When a directory cannot be read. A missing `dir` is no error.
pub fn stop_everything(dir: &Path) -> Result<usize, DoubleError> {
    let mut ended = Vec::new();
    for install in installs_below(dir, INSTALL_DEPTH_MAX)? {
        let run = super::layout::Layout::new(&install).run();
        for path in entries(&run)? {
            if let Some(process) = read_pid_file(&path).filter(Identity::runs)
                && process != own_identity()
            {
                process.signal(Signal::KILL);
                ended.push(process);
            }
        }
    }
    for process in &ended {
        // A killed process can stay for as long as the kernel needs; five seconds is not normal.
        process.wait_until_gone(Duration::from_secs(5));
    }
    Ok(ended.len())
}

fn installs_below(dir: &Path, depth: usize) -> Result<Vec<PathBuf>, DoubleError> {
    if super::layout::Layout::new(dir).spec_file().exists() {
        return Ok(vec![dir.to_owned()]);
    }
    let mut found = Vec::new();
    if depth > 0 {
        for path in entries(dir)? {
            if path.is_dir() && !path.is_symlink() {
                found.extend(installs_below(&path, depth - 1)?);
            }
        }
    }
    Ok(found)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, DoubleError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(DoubleError::io("list", dir))? {
        paths.push(entry.map_err(DoubleError::io("list", dir))?.path());
    }
    paths.sort();
    Ok(paths)
}
