//! Three stand-ins of Axway API Gateway behind two real HAProxy, and the real `zdu` to upgrade
//! them: what the end-to-end tests have in common.
//!
//! A [`Rig`] is the lab with its gateways. A [`Case`] is one state directory and one `zdu.yaml` in
//! it: the commands of `zdu` and the reading of what they leave. [`checks`] holds what must be true
//! after every rollout, whatever it went through.

mod case;
pub mod checks;
mod gateways;
mod running;
mod spec;
mod tls;
mod yaml;

pub use case::{Case, Ran};
pub use gateways::{NODES, Side};
pub use running::Running;
pub use spec::RigSpec;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::haproxy::{Backend, Check, Frontend, Haproxy, HaproxyConfig, Mode, ServerState};
use crate::load::{LoadReport, LoadSpec, RunningLoad};
use crate::{HostSpec, Lab, LabError, program};

/// The balancer hosts: `zdu` reaches the first over ssh and its socket, the second over TCP.
pub const BALANCERS: [&str; 2] = ["lb-a", "lb-b"];

/// Weights of the three members as they are configured: what a rollout must leave behind.
pub const WEIGHTS: [u32; 3] = [100, 50, 7];

/// Set at run time on the second balancer before a rollout, so that it differs from the
/// configured one.
pub const WEIGHT_BY_HAND: u32 = 31;

/// Three nodes, two balancers, all in one lab.
#[derive(Debug)]
pub struct Rig {
    lab: Lab,
    spec: RigSpec,
    haproxy: HaproxyConfig,
    tls: Option<tls::Domains>,
    cases: AtomicU32,
}

/// State of every server of each balancer.
pub type States = Vec<BTreeMap<String, ServerState>>;

impl Rig {
    /// Boots the hosts, lays out both releases, starts the old one and both balancers, and waits
    /// until every member is up everywhere.
    ///
    /// # Errors
    /// When a program of the build is missing or the lab does not come up.
    pub fn up(prefix: &str, spec: RigSpec) -> Result<Self, LabError> {
        // A test that needs the binary should say so before it boots five hosts.
        program("zdu")?;
        let double = program("zdu-double")?;
        let node = |name: &str| HostSpec::new(name).with_program("zdu-double", &double);
        let mut hosts: Vec<HostSpec> = NODES.iter().map(|name| node(name)).collect();
        hosts.extend(BALANCERS.iter().map(|name| HostSpec::new(name)));
        let lab = Lab::up(prefix, &hosts)?;
        let haproxy = haproxy_config(&lab);
        let tls = if spec.https { Some(tls::Domains::make(&lab)?) } else { None };
        let rig = Self { lab, spec, haproxy, tls, cases: AtomicU32::new(0) };
        for host in rig.each_node(|host| rig.lay_out(host)) {
            host?;
        }
        for name in BALANCERS {
            rig.lab.haproxy(name, &rig.haproxy)?;
        }
        rig.await_members_up()?;
        rig.set_weight_by_hand()?;
        Ok(rig)
    }

    /// The lab below.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &RigSpec {
        &self.spec
    }

    /// The authority of a release's domain, in PEM; none where the management API is plain HTTP.
    #[must_use]
    pub fn authority(&self, side: Side) -> Option<&str> {
        self.tls.as_ref().map(|domains| domains.of(side).authority.as_str())
    }

    /// Both balancers.
    #[must_use]
    pub fn balancers(&self) -> [Haproxy<'_>; 2] {
        BALANCERS.map(|name| Haproxy::on(self.lab.host(name), &self.haproxy))
    }

    /// What operators and programs have set on every server of both balancers.
    ///
    /// # Errors
    /// When one does not answer.
    pub fn servers_state(&self) -> Result<States, LabError> {
        self.balancers().iter().map(Haproxy::servers_state).collect()
    }

    /// Ends both releases on every node, lays them out anew and starts the old one: the fleet as
    /// it was before any rollout. Without load only, as nothing serves in between.
    ///
    /// # Errors
    /// When a node does not come back.
    pub fn relay(&self) -> Result<(), LabError> {
        for host in self.each_node(|host| self.wipe(host).and_then(|()| self.lay_out(host))) {
            host?;
        }
        for balancer in self.balancers() {
            for name in NODES {
                balancer.set_state(&format!("gateway/{name}"), "ready")?;
            }
        }
        self.await_members_up()
    }

    /// A state directory and a `zdu.yaml` of their own; the fleet has a name of its own, too, so
    /// that neither epochs on nodes nor refused releases of another case show.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn case(&self, name: &str) -> Result<Case<'_>, LabError> {
        let number = self.cases.fetch_add(1, Ordering::Relaxed);
        Case::new(self, &format!("{name}-{number}"))
    }

    /// Clients on both balancers.
    ///
    /// # Errors
    /// Those of [`Lab::load`].
    pub fn load(&self, change: impl FnOnce(&mut LoadSpec)) -> Result<RunningLoad, LabError> {
        let targets: Vec<SocketAddr> = self.balancers().iter().map(|b| b.front(80)).collect();
        let mut spec = LoadSpec::on(&targets);
        // Moderate: two processors carry several rigs at once.
        (spec.close, spec.keepalive, spec.slow, spec.rate) = (2, 2, 2, 15);
        spec.duration_ms = 600_000;
        change(&mut spec);
        self.lab.load(&spec)
    }

    /// Waits until every member is exactly `UP` on both balancers.
    ///
    /// # Errors
    /// When one is not within 20 seconds.
    pub fn await_members_up(&self) -> Result<(), LabError> {
        for balancer in self.balancers() {
            for name in NODES {
                let server = format!("gateway/{name}");
                balancer.await_stat(&server, Duration::from_secs(20), |stat| stat.is_up())?;
            }
        }
        Ok(())
    }

    fn set_weight_by_hand(&self) -> Result<(), LabError> {
        let [_, second] = self.balancers();
        let answer = second.ask(&format!("set server gateway/node-a weight {WEIGHT_BY_HAND}"))?;
        if answer.is_empty() {
            return Ok(());
        }
        Err(LabError::new(format!("set a weight by hand: {answer}")))
    }

    /// Both balancers' host keys, node files outside the installations and server states: what a
    /// command that promises to change nothing must leave alone. One line each.
    ///
    /// # Errors
    /// When a host or balancer does not answer.
    pub fn snapshot(&self) -> Result<String, LabError> {
        let mut text = String::new();
        for host in self.lab.hosts() {
            // Invocations of `-s` are looks; output of a running process is its own.
            let found = host.sh("cd /root && find . -type f ! -name double-invocations.jsonl \
                 ! -path '*/double-run/*' ! -path './.zdu/lib/*' -exec sha256sum {} + | sort -k2; \
                 ps -eo args= | grep -E 'zdu-double|haproxy' | grep -v grep | sort")?;
            text.push_str(&format!("{}\n", host.name()));
            text.push_str(&String::from_utf8_lossy(&found.stdout));
        }
        for states in self.servers_state()? {
            for (server, state) in states {
                text.push_str(&format!("{server} {state:?}\n"));
            }
        }
        Ok(text)
    }
}

fn haproxy_config(lab: &Lab) -> HaproxyConfig {
    let server = |(name, weight): (&&str, &u32)| {
        let address = lab.host(name).address();
        format!("server {name} {address}:8080 check inter 200ms fall 2 rise 2 weight {weight}")
    };
    HaproxyConfig {
        frontends: vec![Frontend {
            name: "front".to_owned(),
            port: 80,
            mode: Mode::Http,
            backend: "gateway".to_owned(),
        }],
        backends: vec![Backend {
            name: "gateway".to_owned(),
            mode: Mode::Http,
            check: Check::Http { path: "/healthcheck".to_owned(), inter_ms: 200 },
            servers: Vec::new(),
            // Verbatim, for their weights.
            lines: NODES.iter().zip(&WEIGHTS).map(server).collect(),
        }],
        server_state_file: true,
        idle_close_on_response: true,
        redispatch: true,
    }
}

/// Says a line on stderr at once, also when the test passes: figures are part of the result.
pub fn tell(text: impl Display) {
    // Nothing is left to do when stderr is closed.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// The figures of one run in one line. A gap that ended with the load itself is its tail.
pub fn tell_load(what: &str, began: Instant, load: &LoadReport) {
    tell(format_args!(
        "{what}: {} requests, {} failed, longest gap {} ms, ended {} ms before the load, {:.1} s",
        load.ok + load.failed,
        load.failed,
        load.longest_gap_ms,
        load.duration_ms.saturating_sub(load.longest_gap_end_ms),
        began.elapsed().as_secs_f64()
    ));
}

/// Looks every 20 ms until there is something, for things of other processes that announce
/// themselves only in files.
///
/// # Errors
/// When there is nothing within `deadline`; `what` says what was awaited.
pub fn await_some<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, LabError> {
    let until = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > until {
            return Err(LabError::new(format!("see {what} within {deadline:?}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A file that only its owner reads, as a secret's should be.
pub(crate) fn write_private(path: &std::path::Path, text: &str) -> Result<(), LabError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .map_err(LabError::because(format!("write {}", path.display())))
}
