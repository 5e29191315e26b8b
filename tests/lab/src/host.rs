//! One host: its power, its network, its services and its files.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::net::{self, Cable};
use crate::process::{self, COMMAND_DEADLINE};
use crate::{LabError, sweep};

/// Where a host's private directory is seen inside it: the same path on every host, with
/// different content. `bin/` has the programs, `services/` the service scripts, `log/` their
/// output, `host/` sshd's configuration.
pub(crate) const INSIDE: &str = "/opt/zdu-lab";

/// sshd and a handful of services start in well under a second on an idle machine.
const BOOT_DEADLINE: Duration = Duration::from_secs(30);

/// `PATH` on a host and for the lab's clients.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A host of a [`Lab`](crate::Lab).
///
/// What survives [`reboot`](Self::reboot): `/opt/zdu-lab`, `/root`, `/var/lib`, `/var/tmp`. What
/// does not: `/run`, `/tmp`, every process, every network rule. The rest of the file system is
/// the machine's own: do not write to it.
#[derive(Debug)]
pub struct Host {
    name: String,
    lab: String,
    directory: PathBuf,
    cable: Cable,
    power: Mutex<Option<Powered>>,
}

/// A host that is on.
#[derive(Debug)]
struct Powered {
    /// The `unshare` that waits for the host's PID 1. Its stdin is the pipe that keeps the host
    /// alive, so it is held here and never written to.
    unshare: Child,
    /// The host's PID 1 as the machine numbers it.
    init: u32,
    /// Whether the bridge's end of the cable is still there.
    plugged: bool,
}

impl Host {
    pub(crate) fn new(name: String, lab: String, directory: PathBuf, cable: Cable) -> Self {
        Self {
            name,
            lab,
            directory,
            cable,
            power: Mutex::new(None),
        }
    }

    /// The host's name, also its hostname and its name for ssh.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's only address besides loopback.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.cable.address
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn power(&self) -> MutexGuard<'_, Option<Powered>> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn init(&self) -> Result<u32, LabError> {
        let power = self.power();
        let on = power.as_ref().map(|on| on.init);
        on.ok_or_else(|| LabError::new(format!("use {}: its power is off", self.name)))
    }

    // --- power ---

    /// Gives power: a new network namespace, a new boot id, sshd and the declared services.
    /// Returns when sshd listens and the services were started.
    ///
    /// # Errors
    /// When it is on already, or does not come up in 30 seconds (with what it printed).
    pub fn power_on(&self) -> Result<(), LabError> {
        let mut power = self.power();
        if power.is_some() {
            return Err(LabError::new(format!("power on {}: it is on", self.name)));
        }
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .map_err(LabError::because("read a random uuid"))?;
        fs::write(self.directory.join("boot_id"), boot_id)
            .map_err(LabError::because("write the boot id"))?;
        net::add_namespace(&self.cable.namespace)?;
        net::plug(&self.cable)?;
        *power = Some(self.boot()?);
        Ok(())
    }

    fn boot(&self) -> Result<Powered, LabError> {
        let log_path = self.directory.join("boot.log");
        let log = fs::File::create(&log_path).map_err(LabError::because("create boot.log"))?;
        let mut command = net::within(&self.cable.namespace, "unshare");
        command
            .args([
                "--mount",
                "--uts",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args([
                "/bin/sh".as_ref(),
                self.directory.join("init.sh").as_os_str(),
            ])
            .args([self.directory.as_os_str(), self.name.as_ref()])
            .env_clear()
            .envs([("PATH", PATH), ("HOME", "/root"), ("ZDU_LAB", &self.lab)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut unshare = command.spawn().map_err(LabError::because(format!(
            "start the first process of {}",
            self.name
        )))?;
        let stdout = unshare.stdout.take().expect("stdout was piped above");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // An error reads like an end: either way the host did not say that it is up.
            let _ = BufReader::new(stdout).read_line(&mut line);
            sender.send(line)
        });
        let said = receiver.recv_timeout(BOOT_DEADLINE).unwrap_or_default();
        let init = process::children(unshare.id()).first().copied();
        if let (Some(init), "up") = (init, said.trim()) {
            return Ok(Powered {
                unshare,
                init,
                plugged: true,
            });
        }
        let _ = unshare.kill();
        let _ = unshare.wait();
        let printed = fs::read_to_string(log_path).unwrap_or_default();
        Err(LabError::new(format!(
            "boot {}: {}",
            self.name,
            printed.trim()
        )))
    }

    /// Takes the power away: the network is silent first, then everything on the host dies at
    /// once. Peers of its connections learn nothing, as with a real power cut.
    ///
    /// # Errors
    /// When it is off already or something of it does not go away.
    pub fn power_off(&self) -> Result<(), LabError> {
        let mut power = self.power();
        let Some(Powered {
            mut unshare,
            init,
            plugged,
        }) = power.take()
        else {
            return Err(LabError::new(format!("power off {}: it is off", self.name)));
        };
        if plugged {
            net::unplug(&self.cable)?;
        }
        // `unshare` has not been waited for, and it waits for PID 1: both pids are theirs.
        let _ = kill_process(process::pid_of(init), Signal::KILL);
        unshare
            .wait()
            .map_err(LabError::because("wait for a host's PID 1"))?;
        sweep::end_processes(&self.cable.namespace)?;
        net::delete_namespace(&self.cable.namespace)
    }

    /// Takes the power away and gives it back: a new boot id, files as they were, network faults
    /// gone.
    ///
    /// # Errors
    /// Those of [`power_off`](Self::power_off) and [`power_on`](Self::power_on).
    pub fn reboot(&self) -> Result<(), LabError> {
        self.power_off()?;
        self.power_on()
    }

    /// Whether the host has power.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.power().is_some()
    }

    // --- network faults ---

    /// From now on every packet from and to the host is lost without a word.
    ///
    /// # Errors
    /// When the host is off or `nft` fails.
    pub fn cut(&self) -> Result<(), LabError> {
        self.init()?;
        net::lose(&self.cable.namespace, &[])
    }

    /// Like [`cut`](Self::cut), for packets from and to these peers only: a partition. The
    /// controller's address is [`Lab::control_address`](crate::Lab::control_address).
    ///
    /// # Errors
    /// When the host is off or `nft` fails.
    pub fn cut_from(&self, peers: &[Ipv4Addr]) -> Result<(), LabError> {
        self.init()?;
        if peers.is_empty() {
            return Ok(());
        }
        net::lose(&self.cable.namespace, peers)
    }

    /// Ends [`cut`](Self::cut) and [`cut_from`](Self::cut_from). What TCP still wants to send
    /// arrives with its next retransmission.
    ///
    /// # Errors
    /// When the host is off or `nft` fails.
    pub fn heal(&self) -> Result<(), LabError> {
        self.init()?;
        net::heal(&self.cable.namespace)
    }

    /// Sets the switch's end of the cable down: silent loss, and unlike with
    /// [`cut`](Self::cut) address resolution fails as well after a while.
    ///
    /// # Errors
    /// When the host is off or `ip` fails.
    pub fn link_down(&self) -> Result<(), LabError> {
        self.init()?;
        net::set_link(&self.cable, false)
    }

    /// Ends [`link_down`](Self::link_down).
    ///
    /// # Errors
    /// When the host is off or `ip` fails.
    pub fn link_up(&self) -> Result<(), LabError> {
        self.init()?;
        net::set_link(&self.cable, true)
    }

    // --- what runs on it ---

    /// A command that runs on the host, as root, without ssh: for looking from outside.
    ///
    /// # Errors
    /// When the host is off.
    pub fn command(&self, program: &str) -> Result<Command, LabError> {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.init()?.to_string()])
            .args(["--mount", "--uts", "--net", "--pid", "--", program])
            .env_clear()
            .envs([("PATH", PATH), ("HOME", "/root"), ("ZDU_LAB", &self.lab)]);
        Ok(command)
    }

    /// Runs a shell script on the host, without ssh. Any exit status is a result.
    ///
    /// # Errors
    /// When the host is off or the script does not end within 20 seconds.
    pub fn sh(&self, script: &str) -> Result<Output, LabError> {
        let mut command = self.command("/bin/sh")?;
        command.args(["-c", script]);
        process::output(command, "", COMMAND_DEADLINE)
    }

    /// Declares a service: a shell script that ends in `exec PROGRAM ..`. It is started now and
    /// at every boot. On the host it is driven by `/opt/zdu-lab/bin/svc ACTION NAME`, which a
    /// procedure's steps may use over ssh.
    ///
    /// # Errors
    /// When the file cannot be written or the service not started.
    pub fn declare_service(&self, name: &str, script: &str) -> Result<(), LabError> {
        sweep::check_word(name)?;
        self.write(&format!("{INSIDE}/services/{name}"), script)?;
        self.service("start", name).map(drop)
    }

    /// `svc ACTION NAME` on the host: `start`, `stop` (TERM, KILL after 30 s), `restart`, `kill`
    /// (KILL at once), `reload` (USR2), `status` (`running PID` or `stopped`). Returns what it
    /// printed; `stopped` is a result too.
    ///
    /// # Errors
    /// When the host is off or the action fails.
    pub fn service(&self, action: &str, name: &str) -> Result<String, LabError> {
        let mut command = self.command(&format!("{INSIDE}/bin/svc"))?;
        command.args([action, name]);
        // `stop` waits up to 30 s before it kills.
        let ended = process::output(command, "", Duration::from_secs(45))?;
        let printed = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
        if ended.status.success() || (action == "status" && ended.status.code() == Some(3)) {
            return Ok(printed);
        }
        let complaint = String::from_utf8_lossy(&ended.stderr);
        Err(LabError::new(format!(
            "{action} {name} on {}: {complaint}",
            self.name
        )))
    }

    /// Kills sshd and every session that is open, and starts sshd. A command that ran in a
    /// session without a terminal runs on, as it does on a real machine.
    ///
    /// # Errors
    /// When the host is off or sshd does not come back.
    pub fn restart_sshd(&self) -> Result<(), LabError> {
        self.service("restart", "sshd").map(drop)
    }

    /// Boot id as processes on the host read it.
    ///
    /// # Errors
    /// When the host is off.
    pub fn boot_id(&self) -> Result<String, LabError> {
        let boot_id = self.read("/proc/sys/kernel/random/boot_id")?;
        Ok(boot_id.trim().to_owned())
    }

    // --- files ---

    /// Where the machine sees a path of the host while the host is on, for reading, writing and
    /// connecting to sockets. Symbolic links with absolute targets lead astray.
    ///
    /// # Errors
    /// When the host is off.
    pub fn path(&self, inside: &str) -> Result<PathBuf, LabError> {
        Ok(PathBuf::from(format!(
            "/proc/{}/root{inside}",
            self.init()?
        )))
    }

    /// Writes a file on the host, with the directories above it.
    ///
    /// # Errors
    /// When the host is off or the file cannot be written.
    pub fn write(&self, inside: &str, contents: &str) -> Result<(), LabError> {
        let path = self.path(inside)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .map_err(LabError::because(format!("make {inside}'s dir")))?;
        }
        fs::write(path, contents).map_err(LabError::because(format!(
            "write {inside} on {}",
            self.name
        )))
    }

    /// Removes a file of the host; fine when there is none.
    ///
    /// # Errors
    /// When the host is off or the file stays.
    pub fn remove(&self, inside: &str) -> Result<(), LabError> {
        match fs::remove_file(self.path(inside)?) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(LabError::because(
                format!("remove {inside} on {}", self.name),
            )(cause)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Reads a file of the host.
    ///
    /// # Errors
    /// When the host is off or the file cannot be read as text.
    pub fn read(&self, inside: &str) -> Result<String, LabError> {
        fs::read_to_string(self.path(inside)?)
            .map_err(LabError::because(format!("read {inside} on {}", self.name)))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.is_on() {
            // The lab removes by name whatever this leaves.
            let _ = self.power_off();
        }
    }
}
