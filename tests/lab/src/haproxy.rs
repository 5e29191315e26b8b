//! A real HAProxy on a host, in master-worker mode, as service `haproxy`.
//!
//! The configuration is generated from [`HaproxyConfig`], started at every boot of the host, and
//! driven from outside over its runtime socket. What the runtime socket answers is described in
//! HAProxy's management guide, chapter 9.3; columns of `show stat` are read by their names.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::{Host, Lab, LabError};

/// Runtime socket on the host, level admin: what a fleet's configuration names.
pub const ADMIN_SOCKET: &str = "/run/haproxy/admin.sock";
/// Socket of the master process.
pub const MASTER_SOCKET: &str = "/run/haproxy/master.sock";
/// Runtime socket over TCP, level admin.
pub const STATS_PORT: u16 = 9999;
/// Configuration on the host.
pub const CONFIG: &str = "/opt/zdu-lab/haproxy/haproxy.cfg";
/// Server state file on the host, where Debian has it.
pub const STATE_FILE: &str = "/var/lib/haproxy/state";

const SERVICE: &str = "haproxy";
/// A start or a reload takes 50 to 300 ms; more only on a machine that is very busy.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// What a proxy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Requests and answers.
    Http,
    /// Bytes: nothing but `shutdown sessions` ends a connection.
    Tcp,
}

/// How a backend finds out whether its servers live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Not at all: `show stat` says `no check`.
    None,
    /// By connecting.
    Tcp {
        /// Time between two checks.
        inter_ms: u32,
    },
    /// By a GET that has to answer 2xx or 3xx.
    Http {
        /// Path to ask.
        path: String,
        /// Time between two checks.
        inter_ms: u32,
    },
}

/// A port users come in by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// Its name.
    pub name: String,
    /// Port, on all addresses of the host.
    pub port: u16,
    /// What it looks at; that of its backend.
    pub mode: Mode,
    /// Name of its backend.
    pub backend: String,
}

/// Servers that share the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// What it looks at.
    pub mode: Mode,
    /// How servers are checked; up and down after two checks each.
    pub check: Check,
    /// Names and addresses of the servers.
    pub servers: Vec<(String, SocketAddr)>,
    /// More lines, verbatim: `cookie SRV insert`, `stick on src`, `balance leastconn`.
    pub lines: Vec<String>,
}

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaproxyConfig {
    /// Ports.
    pub frontends: Vec<Frontend>,
    /// Servers.
    pub backends: Vec<Backend>,
    /// Load [`STATE_FILE`] at each start: with it a reload can keep what was set at run time.
    pub server_state_file: bool,
    /// End idle kept connections by `Connection: close` instead of at once: without it a reload
    /// loses requests.
    pub idle_close_on_response: bool,
    /// Try another server when the chosen one cannot be reached.
    pub redispatch: bool,
}

impl HaproxyConfig {
    /// Frontend `front` on port 80, backend `app` of [`HostSpec::app`](crate::HostSpec::app) hosts
    /// with an HTTP check of `/health` every 200 ms, and all options on.
    #[must_use]
    pub fn for_app(hosts: &[&Host]) -> Self {
        let server = |host: &&Host| (host.name().to_owned(), (host.address(), 8080).into());
        let servers = hosts.iter().map(server).collect();
        Self {
            frontends: vec![Frontend {
                name: "front".to_owned(),
                port: 80,
                mode: Mode::Http,
                backend: "app".to_owned(),
            }],
            backends: vec![Backend {
                name: "app".to_owned(),
                mode: Mode::Http,
                check: Check::Http { path: "/health".to_owned(), inter_ms: 200 },
                servers,
                lines: Vec::new(),
            }],
            server_state_file: true,
            idle_close_on_response: true,
            redispatch: true,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        })
    }
}

/// The file HAProxy reads.
impl fmt::Display for HaproxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frontends, backends, server_state_file, idle_close_on_response, redispatch } =
            self;
        writeln!(f, "global")?;
        writeln!(f, "    stats socket {ADMIN_SOCKET} mode 660 level admin expose-fd listeners")?;
        writeln!(f, "    stats socket ipv4@0.0.0.0:{STATS_PORT} level admin")?;
        writeln!(f, "    stats timeout 30s\n    hard-stop-after 60s")?;
        if *server_state_file {
            writeln!(f, "    server-state-file {STATE_FILE}")?;
        }
        writeln!(f, "defaults\n    timeout connect 2s\n    timeout client 30s")?;
        writeln!(f, "    timeout server 30s\n    timeout http-keep-alive 10s\n    retries 3")?;
        if *server_state_file {
            writeln!(f, "    load-server-state-from-file global")?;
        }
        if *redispatch {
            writeln!(f, "    option redispatch")?;
        }
        for Frontend { name, port, mode, backend } in frontends {
            writeln!(f, "frontend {name}\n    mode {mode}\n    bind *:{port}")?;
            if *idle_close_on_response && *mode == Mode::Http {
                writeln!(f, "    option idle-close-on-response")?;
            }
            writeln!(f, "    default_backend {backend}")?;
        }
        for Backend { name, mode, check, servers, lines } in backends {
            writeln!(f, "backend {name}\n    mode {mode}")?;
            for line in lines {
                writeln!(f, "    {line}")?;
            }
            let options = match check {
                Check::None => String::new(),
                Check::Tcp { inter_ms } => format!(" check inter {inter_ms}ms fall 2 rise 2"),
                Check::Http { path, inter_ms } => {
                    writeln!(f, "    option httpchk GET {path}")?;
                    format!(" check inter {inter_ms}ms fall 2 rise 2")
                }
            };
            for (server, address) in servers {
                writeln!(f, "    server {server} {address}{options}")?;
            }
        }
        Ok(())
    }
}

/// One line of `show stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Column `pxname`.
    pub proxy: String,
    /// Column `svname`: a server, `FRONTEND` or `BACKEND`.
    pub server: String,
    /// Every column that is not empty, by name: `status`, `scur`, `qcur`, `weight`,
    /// `check_status`, `check_desc` and the rest.
    pub columns: BTreeMap<String, String>,
}

impl Stat {
    /// A column, empty when HAProxy left it empty.
    #[must_use]
    pub fn column(&self, name: &str) -> &str {
        self.columns.get(name).map_or("", String::as_str)
    }

    /// A column as a number; 0 when it is empty or none.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.column(name).parse().unwrap_or(0)
    }

    /// Whether it takes new traffic and its checks are complete: exactly `UP`, not `UP 1/2`.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.column("status") == "UP"
    }
}

/// What an operator or a program set on a server, from `show servers state`: the part that has to
/// be the same again after a rollout. Health is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerState {
    /// `srv_admin_state`, a set of bits: 0 ready, 1 maintenance, 8 drain.
    pub admin: u32,
    /// `srv_uweight`: the weight as it is set now.
    pub weight: u32,
}

/// HAProxy on a host of the lab.
#[derive(Debug, Clone, Copy)]
pub struct Haproxy<'lab> {
    host: &'lab Host,
    state_file: bool,
}

impl Lab {
    /// Installs and starts HAProxy on a host.
    ///
    /// # Errors
    /// When HAProxy does not start with this configuration (with what it printed).
    pub fn haproxy(&self, host: &str, config: &HaproxyConfig) -> Result<Haproxy<'_>, LabError> {
        let host = self.host(host);
        host.write(CONFIG, &config.to_string())?;
        let started = Haproxy { host, state_file: config.server_state_file };
        host.declare_service(
            SERVICE,
            &format!("exec /usr/sbin/haproxy -W -S {MASTER_SOCKET} -f {CONFIG}\n"),
        )?;
        started.await_worker(None)?;
        Ok(started)
    }
}

impl<'lab> Haproxy<'lab> {
    /// The HAProxy that [`Lab::haproxy`] started on a host before.
    #[must_use]
    pub fn on(host: &'lab Host, config: &HaproxyConfig) -> Self {
        Self { host, state_file: config.server_state_file }
    }

    /// The host it runs on.
    #[must_use]
    pub fn host(&self) -> &'lab Host {
        self.host
    }

    /// Where users come in.
    #[must_use]
    pub fn front(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.host.address(), port))
    }

    /// Answer of the runtime socket. `set server` and the like answer with nothing when they
    /// succeeded.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn ask(&self, command: &str) -> Result<String, LabError> {
        self.converse(ADMIN_SOCKET, command)
            .map_err(LabError::because(format!("ask HAProxy on {}: {command}", self.host.name())))
    }

    fn converse(&self, socket: &str, command: &str) -> std::io::Result<String> {
        let path = self.host.path(socket).map_err(std::io::Error::other)?;
        let mut socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(format!("{command}\n").as_bytes())?;
        // The master keeps the connection open after its answer unless ours has ended.
        socket.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer.trim().to_owned())
    }

    /// `set server SERVER state STATE`: `ready`, `drain` or `maint`; SERVER is `backend/server`.
    ///
    /// # Errors
    /// When HAProxy answers with anything: what it answered.
    pub fn set_state(&self, server: &str, state: &str) -> Result<(), LabError> {
        let command = format!("set server {server} state {state}");
        let answer = self.ask(&command)?;
        if answer.is_empty() {
            return Ok(());
        }
        Err(LabError::new(format!("{command}: {answer}")))
    }

    /// `show stat`, every line.
    ///
    /// # Errors
    /// When nobody answers or the answer has no header.
    pub fn show_stat(&self) -> Result<Vec<Stat>, LabError> {
        let answer = self.ask("show stat")?;
        let mut lines = answer.lines();
        let header = lines.next().and_then(|line| line.strip_prefix("# "));
        let header = header.ok_or_else(|| LabError::new(format!("read show stat: {answer}")))?;
        let stat = |line: &str| {
            let columns: BTreeMap<String, String> = header
                .split(',')
                .zip(line.split(','))
                .filter(|(name, value)| !name.is_empty() && !value.is_empty())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let column = |name: &str| columns.get(name).cloned().unwrap_or_default();
            Stat { proxy: column("pxname"), server: column("svname"), columns }
        };
        Ok(lines.filter(|line| !line.is_empty()).map(stat).collect())
    }

    /// The line of `show stat` for `backend/server`.
    ///
    /// # Errors
    /// When nobody answers or there is no such server.
    pub fn stat(&self, server: &str) -> Result<Stat, LabError> {
        let all = self.show_stat()?;
        all.into_iter()
            .find(|stat| format!("{}/{}", stat.proxy, stat.server) == server)
            .ok_or_else(|| LabError::new(format!("find {server} in show stat")))
    }

    /// State of every server, by `backend/server`: to compare before and after.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn servers_state(&self) -> Result<BTreeMap<String, ServerState>, LabError> {
        let answer = self.ask("show servers state")?;
        let header = answer.lines().find_map(|line| line.strip_prefix("# "));
        let header = header.ok_or_else(|| LabError::new(format!("read states: {answer}")))?;
        let header: Vec<&str> = header.split(' ').collect();
        let lines = answer.lines().skip(1).filter(|line| !line.starts_with('#'));
        let state = |line: &str| {
            let row: BTreeMap<&str, &str> = header.iter().copied().zip(line.split(' ')).collect();
            let number = |name| row.get(name)?.parse().ok();
            Some((
                format!("{}/{}", row.get("be_name")?, row.get("srv_name")?),
                ServerState { admin: number("srv_admin_state")?, weight: number("srv_uweight")? },
            ))
        };
        lines
            .filter(|line| !line.is_empty())
            .map(|line| state(line).ok_or_else(|| LabError::new(format!("read state {line}"))))
            .collect()
    }

    /// Waits until `backend/server` satisfies `wanted`.
    ///
    /// # Errors
    /// When it does not within `deadline`: its last line.
    pub fn await_stat(
        &self,
        server: &str,
        deadline: Duration,
        wanted: impl Fn(&Stat) -> bool,
    ) -> Result<Stat, LabError> {
        let until = Instant::now() + deadline;
        loop {
            let stat = self.stat(server)?;
            if wanted(&stat) {
                return Ok(stat);
            }
            if Instant::now() > until {
                return Err(LabError::new(format!(
                    "see {server} change in {deadline:?}: {stat:?}"
                )));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Reads the configuration anew, as `systemctl reload haproxy` does. With the state file what
    /// was set at run time is kept: it is written first, which no package does by itself. Without,
    /// the state file is removed and every drain is forgotten.
    ///
    /// # Errors
    /// When the configuration has no state file and one is wanted, or no new worker answers.
    pub fn reload(&self, with_state_file: bool) -> Result<(), LabError> {
        if with_state_file && !self.state_file {
            return Err(LabError::new("reload with a state file: the configuration has none"));
        }
        if with_state_file {
            let states = self.ask("show servers state")?;
            self.host.write(STATE_FILE, &format!("{states}\n"))?;
        } else {
            self.host.remove(STATE_FILE)?;
        }
        let old = self.worker()?;
        self.host.service("reload", SERVICE)?;
        self.await_worker(Some(&old))
    }

    /// Ends HAProxy at once: every connection is lost.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<(), LabError> {
        self.host.service("stop", SERVICE).map(drop)
    }

    /// Starts HAProxy after [`stop`](Self::stop). A state file that is there is loaded.
    ///
    /// # Errors
    /// When it does not answer in 10 seconds.
    pub fn start(&self) -> Result<(), LabError> {
        self.host.service("start", SERVICE)?;
        self.await_worker(None)
    }

    /// Pid of the worker that answers, as the host numbers it.
    fn worker(&self) -> Result<String, LabError> {
        let info = self.ask("show info")?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid: "));
        pid.map(str::to_owned).ok_or_else(|| LabError::new(format!("read show info: {info}")))
    }

    /// Waits for a worker other than `old`, and then for the master: until the master has come
    /// to its loop again, a signal that asks it to reload is lost.
    fn await_worker(&self, old: Option<&str>) -> Result<(), LabError> {
        let until = Instant::now() + START_DEADLINE;
        loop {
            // While it starts there is no socket, or one that nobody listens to.
            let answered = self.worker();
            let new = answered.as_ref().is_ok_and(|pid| Some(pid.as_str()) != old);
            if new && self.converse(MASTER_SOCKET, "show proc").is_ok() {
                return Ok(());
            }
            if Instant::now() > until {
                let log = self.host.read("/opt/zdu-lab/log/haproxy.log").unwrap_or_default();
                let answered = answered.unwrap_or_else(|cause| cause.to_string());
                return Err(LabError::new(format!("see a new worker: {answered}; log: {log}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
