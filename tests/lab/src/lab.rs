//! The whole lab: making it, looking into it, running clients in it, taking it away.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::host::{INSIDE, PATH};
use crate::net::{self, Cable};
use crate::process::{self, succeed};
use crate::sweep::{self, LabName};
use crate::{Host, LabError};

/// What a host is made of before its first boot.
#[derive(Debug, Clone)]
pub struct HostSpec {
    name: String,
    programs: BTreeMap<String, PathBuf>,
    services: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
}

impl HostSpec {
    /// A host with sshd and nothing else. The name is its hostname and its name for ssh: a-z,
    /// 0-9 and `-`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            programs: BTreeMap::new(),
            services: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    /// A program of the machine that the host sees as `/opt/zdu-lab/bin/NAME`.
    #[must_use]
    pub fn with_program(mut self, name: &str, path: &Path) -> Self {
        self.programs.insert(name.to_owned(), path.to_owned());
        self
    }

    /// A service that starts at every boot: see [`Host::declare_service`].
    #[must_use]
    pub fn with_service(mut self, name: &str, script: &str) -> Self {
        self.services.insert(name.to_owned(), script.to_owned());
        self
    }

    /// A file below `/opt/zdu-lab`, by its relative path.
    #[must_use]
    pub fn with_file(mut self, relative: &str, contents: &str) -> Self {
        self.files.insert(relative.to_owned(), contents.to_owned());
        self
    }

    /// A host that runs `zdu-lab-app` on port 8080 as service `app`. Its version is what stands
    /// in `/opt/zdu-lab/release/version` when it starts: writing that file and `svc restart app`
    /// is an upgrade.
    ///
    /// # Errors
    /// When `zdu-lab-app` was not built.
    pub fn app(name: &str, version: &str) -> Result<Self, LabError> {
        Ok(Self::new(name)
            .with_program("zdu-lab-app", &program("zdu-lab-app")?)
            .with_file("release/version", version)
            .with_service(
                "app",
                &format!(
                    "exec {INSIDE}/bin/zdu-lab-app --port 8080 --host {name} \
                     --version-file {INSIDE}/release/version\n"
                ),
            ))
    }
}

/// Hosts on a bridge, with one client identity that all of them accept.
///
/// Everything goes away when this is dropped, also in a panic. When the process is killed, the
/// hosts die with it, and the rest is removed by the next [`Lab::up`] on the machine.
#[derive(Debug)]
pub struct Lab {
    // Before `_remains`: the hosts end first.
    hosts: BTreeMap<String, Host>,
    name: LabName,
    directory: PathBuf,
    control: String,
    _remains: Remains,
}

/// Removes by name whatever is there when it is dropped.
#[derive(Debug)]
struct Remains(LabName);

impl Drop for Remains {
    fn drop(&mut self) {
        let Self(name) = self;
        let removed = sweep::remove(name);
        // A second panic during one would abort the test without its message.
        if let (Err(cause), false) = (removed, std::thread::panicking()) {
            panic!("failed to take down lab {}: {cause}", name.text);
        }
    }
}

/// Whether this machine can have a lab: root, the programs, and a kernel that gives namespaces.
///
/// # Errors
/// The reason why not, for a test that skips loudly.
pub fn available() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("the lab needs root (network and mount namespaces)".to_owned());
    }
    let needed =
        ["ip", "nft", "unshare", "nsenter", "ssh", "ssh-keygen", "sshd", "haproxy", "openssl"];
    for program in needed {
        if !PATH.split(':').any(|directory| Path::new(directory).join(program).exists()) {
            return Err(format!("{program} is not installed"));
        }
    }
    let trial = LabName::next("trial").map_err(|cause| cause.to_string())?;
    let _turn = sweep::take_turn().map_err(|cause| cause.to_string())?;
    let namespace = trial.namespace("x");
    let tried = net::add_namespace(&namespace).and_then(|()| {
        let mut unshare = net::within(&namespace, "unshare");
        unshare.args(["--mount", "--uts", "--pid", "--fork", "--mount-proc", "true"]);
        let tried = succeed(unshare, "");
        net::delete_namespace(&namespace)?;
        tried
    });
    tried.map(drop).map_err(|cause| format!("namespaces are unusable: failed to {cause}"))
}

/// Path of a program of this build, by the place of the running test: beside it or one above.
///
/// # Errors
/// When it is in neither place: it was not built.
pub fn program(name: &str) -> Result<PathBuf, LabError> {
    let running = std::env::current_exe().map_err(LabError::because("find the running test"))?;
    let beside = running.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    beside
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| LabError::new(format!("find {name} near {}", running.display())))
}

impl Lab {
    /// Removes labs of dead processes, then makes this one and boots all hosts side by side.
    /// `prefix` says in process lists and namespace names whose lab it is.
    ///
    /// # Errors
    /// When a name does not fit, or the machine refuses: ask [`available`] first.
    pub fn up(prefix: &str, specs: &[HostSpec]) -> Result<Self, LabError> {
        sweep::sweep()?;
        if specs.len() > 200 {
            return Err(LabError::new("make a lab of more than 200 hosts"));
        }
        let name = LabName::next(prefix)?;
        let directory = name.directory();
        let control = name.namespace("ctl");
        let remains = Remains(name.clone());
        fs::create_dir(&directory)
            .and_then(|()| fs::set_permissions(&directory, Permissions::from_mode(0o700)))
            .map_err(LabError::because("make the lab's directory"))?;
        sweep::note_maker(&directory)?;
        {
            let _turn = sweep::take_turn()?;
            net::add_namespace(&control)?;
        }
        net::add_bridge(&control)?;
        let mut lab = Self { hosts: BTreeMap::new(), name, directory, control, _remains: remains };
        lab.install(specs)?;
        let booted: Vec<Result<(), LabError>> = std::thread::scope(|scope| {
            let boots: Vec<_> =
                lab.hosts.values().map(|host| scope.spawn(|| host.power_on())).collect();
            boots.into_iter().map(|boot| boot.join().expect("power_on does not panic")).collect()
        });
        booted.into_iter().collect::<Result<(), LabError>>()?;
        Ok(lab)
    }

    /// Files of the client and of every host, before anything runs.
    fn install(&mut self, specs: &[HostSpec]) -> Result<(), LabError> {
        keygen(&self.identity())?;
        let mut known_hosts = Vec::new();
        let mut ssh_config = Vec::new();
        let mut etc_hosts = vec!["127.0.0.1 localhost\n".to_owned()];
        for (index, spec) in specs.iter().enumerate() {
            let host = self.install_host(index, spec)?;
            let (name, address) = (host.name(), host.address());
            let public = read(&host.directory().join("files/host/hostkey.pub"))?;
            let key = public.split(' ').take(2).collect::<Vec<_>>().join(" ");
            known_hosts.push(format!("{name},{address} {key}\n"));
            ssh_config.push(format!("Host {name}\n  HostName {address}\n"));
            etc_hosts.push(format!("{address} {name}\n"));
            self.hosts.insert(spec.name.clone(), host);
        }
        for host in self.hosts.values() {
            write(&host.directory().join("etc-hosts"), &etc_hosts.concat())?;
        }
        write(&self.known_hosts(), &known_hosts.concat())?;
        ssh_config.push(self.ssh_defaults());
        write(&self.ssh_config(), &ssh_config.concat())?;
        self.install_client()
    }

    fn install_host(&self, index: usize, spec: &HostSpec) -> Result<Host, LabError> {
        let name = &spec.name;
        sweep::check_word(name)?;
        if name == "ctl" || self.hosts.contains_key(name) {
            return Err(LabError::new(format!("name a host {name}: it is taken")));
        }
        let directory = self.directory.join(format!("host-{name}"));
        lay_out(&directory, spec, &self.identity().with_extension("pub"))?;
        keygen(&directory.join("files/host/hostkey"))?;
        let cable = Cable {
            control: self.control.clone(),
            port: format!("v{index}"),
            namespace: self.name.namespace(name),
            address: net::host_address(index),
        };
        Ok(Host::new(name.clone(), self.name.text.clone(), directory, cable))
    }

    /// No ControlMaster: whoever wants one connection for many commands says so.
    fn ssh_defaults(&self) -> String {
        format!(
            "Host *\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  \
             StrictHostKeyChecking yes\n  BatchMode yes\n",
            self.identity().display(),
            self.known_hosts().display()
        )
    }

    /// ssh takes its configuration from the home of the password file, not from `$HOME`. So the
    /// clients of the lab find an `ssh` first in their `PATH` that knows the lab's; an `-F` of
    /// their own still wins, being the later one.
    fn install_client(&self) -> Result<(), LabError> {
        make_dirs(&self.directory, &["client/bin", "client/home"])?;
        for program in ["ssh", "scp", "sftp"] {
            let script = format!(
                "#!/bin/sh\nexec /usr/bin/{program} -F '{}' \"$@\"\n",
                self.ssh_config().display()
            );
            write_program(&self.directory.join("client/bin").join(program), &script)?;
        }
        Ok(())
    }

    // --- looking into it ---

    /// A host by its name.
    ///
    /// # Panics
    /// When the lab has no such host: the test is wrong.
    #[must_use]
    pub fn host(&self, name: &str) -> &Host {
        self.hosts.get(name).unwrap_or_else(|| panic!("no host {name} in {:?}", self.hosts.keys()))
    }

    /// All hosts, by name.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// The name that all namespaces, directories and processes of this lab bear: for
    /// [`leftovers`](crate::leftovers).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name.text
    }

    /// The lab's own directory on the machine: for files of the test that go away with the lab.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Address of the clients on the bridge.
    #[must_use]
    pub fn control_address(&self) -> Ipv4Addr {
        net::CONTROL
    }

    /// ssh configuration with every host by name: host keys are checked, nothing is asked.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.directory.join("ssh_config")
    }

    /// Host keys of all hosts, by name and address.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }

    /// The private key that all hosts accept for root.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.directory.join("id")
    }

    /// Network namespace of the clients.
    #[must_use]
    pub fn control_namespace(&self) -> &str {
        &self.control
    }

    // --- clients ---

    /// A command that runs in the control namespace, where the hosts are reachable. `HOME` is
    /// empty and the lab's own; `ssh`, `scp` and `sftp` know the lab's hosts. Use
    /// `tokio::process::Command::from` for an asynchronous one.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let client = self.directory.join("client");
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.control])
            .arg(program)
            .env("PATH", format!("{}:{PATH}", client.join("bin").display()))
            .env("HOME", client.join("home"))
            .env("ZDU_LAB", self.name())
            .env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs a shell script on a host over ssh, on a connection of its own.
    ///
    /// # Errors
    /// When ssh does not end within `deadline`. Any exit status is a result; 255 is ssh's own.
    pub fn ssh(&self, host: &str, script: &str, deadline: Duration) -> Result<Output, LabError> {
        let mut command = self.command("ssh");
        command.args([host, "--", script]);
        process::output(command, "", deadline)
    }

    /// Runs `look` on a thread of its own inside the control namespace: sockets it opens reach
    /// the hosts.
    ///
    /// # Errors
    /// When the thread cannot enter the namespace.
    pub fn in_control<T: Send>(&self, look: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let namespace = File::open(Path::new("/run/netns").join(&self.control))
            .map_err(LabError::because("open the control namespace"))?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(LabError::because("enter the control namespace"))?;
                Ok(look())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// One GET on a connection of its own: status and body, within 3 seconds for each wait.
    ///
    /// # Errors
    /// When there is no connection or no answer.
    pub fn http_get(&self, to: SocketAddr, path: &str) -> Result<(u16, String), LabError> {
        self.in_control(|| get(to, path))?.map_err(LabError::because(format!("get {to}{path}")))
    }
}

fn get(to: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let patience = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other(format!("no HTTP answer: {answer:?}")))
}

/// A host's directory before its first boot; `host_files/init.sh` says what is bound where.
fn lay_out(directory: &Path, spec: &HostSpec, client_key: &Path) -> Result<(), LabError> {
    let below = ["files/bin", "files/services", "files/log", "files/host", "root", "var-tmp"];
    make_dirs(directory, &below)?;
    make_dirs(directory, &["var-lib/haproxy"])?;
    let files = directory.join("files");
    write(&directory.join("init.sh"), include_str!("host_files/init.sh"))?;
    write_program(&files.join("bin/svc"), include_str!("host_files/svc.sh"))?;
    let sshd = include_str!("host_files/sshd_config");
    write(&files.join("host/sshd_config"), sshd)?;
    write(&files.join("host/authorized_keys"), &read(client_key)?)?;
    write(&directory.join("etc-hostname"), &format!("{}\n", spec.name))?;
    let machine_id = read(Path::new("/proc/sys/kernel/random/uuid"))?.replace('-', "");
    write(&directory.join("etc-machine-id"), &machine_id)?;
    // The machine's own root may have a shell set-up that costs 200 ms in every ssh command.
    write(&directory.join("root/.profile"), &format!("PATH={PATH}\n"))?;
    let line = |(name, path): (&String, &PathBuf)| format!("{name} {}\n", path.display());
    let programs: String = spec.programs.iter().map(line).collect();
    write(&directory.join("programs"), &programs)?;
    for (name, script) in &spec.services {
        sweep::check_word(name)?;
        write(&files.join("services").join(name), script)?;
    }
    for (relative, contents) in &spec.files {
        let path = files.join(relative);
        if let Some(parent) = path.parent() {
            make_dirs(parent, &[""])?;
        }
        write(&path, contents)?;
    }
    Ok(())
}

fn keygen(path: &Path) -> Result<(), LabError> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "zdu-lab", "-f"]).arg(path);
    succeed(command, "").map(drop)
}

fn make_dirs(below: &Path, relative: &[&str]) -> Result<(), LabError> {
    for path in relative.iter().map(|relative| below.join(relative)) {
        fs::create_dir_all(&path)
            .map_err(LabError::because(format!("make directory {}", path.display())))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, LabError> {
    fs::read_to_string(path).map_err(LabError::because(format!("read {}", path.display())))
}

fn write(path: &Path, contents: &str) -> Result<(), LabError> {
    fs::write(path, contents).map_err(LabError::because(format!("write {}", path.display())))
}

fn write_program(path: &Path, contents: &str) -> Result<(), LabError> {
    write(path, contents)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
        .map_err(LabError::because(format!("make {} a program", path.display())))
}
