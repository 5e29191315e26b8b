//! A private `sshd` on a loopback port, with its own keys, for tests. Ended when dropped.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use zdu_drivers::exec::Target;

pub(crate) struct Sshd {
    pub(crate) directory: TempDir,
    child: Child,
    port: u16,
}

impl Sshd {
    /// None where no `sshd` is installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// With more lines of configuration.
    pub(crate) fn start_with(lines: &str) -> Option<Self> {
        let program = Path::new("/usr/sbin/sshd");
        if !program.exists() {
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        keygen(&at("host"));
        keygen(&at("id"));
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {id}.pub\n\
             StrictModes no\nUsePAM no\nUseDNS no\nPidFile none\nPermitRootLogin yes\n\
             AllowStreamLocalForwarding yes\nPrintMotd no\n{lines}\n",
            host = at("host").display(),
            id = at("id").display(),
        );
        std::fs::write(at("sshd_config"), config).expect("writes");
        write_known_hosts(directory.path(), port, &at("host.pub"));
        // Its privilege separation directory; a no-op when the machine's own sshd has made it.
        let _ = std::fs::create_dir_all("/run/sshd");
        let log = std::fs::File::create(at("log")).expect("a log");
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f"]).arg(at("sshd_config"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("sshd starts");
        let sshd = Self { directory, child, port };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "{}", sshd.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(sshd)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn target(&self) -> Target {
        let at = |name: &str| self.directory.path().join(name);
        Target::Ssh {
            host: "127.0.0.1".to_owned(),
            port: Some(self.port),
            user: None,
            identity: Some(at("id")),
            config: Some(PathBuf::from("/dev/null")),
            options: vec![
                format!("UserKnownHostsFile={}", at("known_hosts").display()),
                "GlobalKnownHostsFile=/dev/null".to_owned(),
                "IdentitiesOnly=yes".to_owned(),
                // Must not help anyone.
                "StrictHostKeyChecking=no".to_owned(),
            ],
        }
    }

    /// Makes the client know another key for this host.
    pub(crate) fn change_known_key(&self) {
        let other = self.directory.path().join("other");
        keygen(&other);
        write_known_hosts(self.directory.path(), self.port, &other.with_extension("pub"));
    }

    pub(crate) fn forget_known_key(&self) {
        std::fs::write(self.directory.path().join("known_hosts"), "").expect("writes");
    }

    /// Kills the processes that serve open connections, not the listener.
    pub(crate) fn cut_connections(&self) -> usize {
        let children = children_of(self.child.id());
        for child in &children {
            let pid = i32::try_from(*child).ok().and_then(rustix::process::Pid::from_raw);
            let _ =
                rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::KILL);
        }
        children.len()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.cut_connections();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("an address").port()
}

fn keygen(path: &Path) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path);
    assert!(command.status().expect("ssh-keygen runs").success());
}

fn write_known_hosts(directory: &Path, port: u16, key: &Path) {
    let key = std::fs::read_to_string(key).expect("a public key");
    let line = format!("[127.0.0.1]:{port} {key}");
    std::fs::write(directory.join("known_hosts"), line).expect("writes");
}

/// Direct children of a process, from /proc.
fn children_of(parent: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
        if after.split(' ').nth(1) == Some(parent.to_string().as_str()) {
            children.push(number);
        }
    }
    children
}
