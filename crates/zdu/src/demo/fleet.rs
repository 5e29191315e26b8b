//! The reference configuration as stand-ins on this machine: three gateways, two Admin Node
//! Managers, each node with the old installation running and the new one beside it.
//!
//! Every node has a loopback address of its own, because the procedure asks `anm_host` both as a
//! host name of the topology and over HTTP. Their traffic ports differ too: the node's own sockets
//! are counted by port, and all nodes share this machine's one socket table. Ports come from below
//! the range that outgoing connections take theirs from, so that no connection can be mistaken for
//! a node's traffic.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zdu_doubles::axway::{
    self, DoubleError, Failure, Fault, InstallSpec, InstanceSpec, Launcher, NodeSpec,
    SecretDigests, Times, Topology, sha256_hex,
};

use ports::Ports;

mod ports;
#[cfg(test)]
mod tests;

/// The release that runs and the one the nodes shall run.
const RELEASES: (&str, &str) = ("7.5.3", "7.7");
/// The administrator's name; the procedure's default.
const USERNAME: &str = "admin";
/// The nodes: name, group of the API Gateway instance, Admin Node Manager, API Manager.
const NODES: [(&str, &str, bool, bool); 3] = [
    ("node-a", "Gateway Group", true, false),
    ("node-b", "Gateway Group", false, false),
    ("node-c", "GatewayManager Group", true, true),
];
/// The balancer's one backend.
pub(crate) const BACKEND: &str = "gateway";
/// What every gateway answers when it is healthy.
pub(crate) const CHECK_PATH: &str = "/healthcheck";

/// The file that makes a planted failure happen.
const CAUSE: &str = "planted-failure";
/// What a person finds in it.
const CAUSE_TEXT: &str = "The failure of `zdu demo --fail` happens as long as this file is here.\n";

/// Why the fleet could not be laid out, started or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    /// The file system refused.
    #[error("cannot {verb} {path}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No free addresses and ports.
    #[error("cannot find free ports on loopback addresses")]
    Ports(#[source] io::Error),
    /// The stand-ins refused.
    #[error("the stand-in gateways cannot {0}")]
    Double(#[from] DoubleError),
    /// A thread that started a node ended without an answer.
    #[error("starting {0} ended without an answer")]
    Lost(String),
    /// There is no such node.
    #[error("the demo has no node {0}: it has node-a, node-b and node-c")]
    NoSuchNode(String),
}

fn io_error(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FleetError {
    let path = path.to_owned();
    move |source| FleetError::Io { verb, path, source }
}

/// The phase of a node's upgrade that `--fail NODE:PHASE` lets fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailPhase {
    /// `sysupgrade export` exits with 100.
    Export,
    /// `sysupgrade upgrade` exits with 100.
    Upgrade,
    /// The old instance does not stop: `startinstance -k` exits with 1.
    PreApply,
    /// `sysupgrade apply` exits with 100.
    Apply,
    /// The new instance starts, and its health check answers 500.
    PostApply,
}

/// `NODE:PHASE`, for example `node-b:APPLY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailAt {
    /// The node's name; [`DemoFleet::plant`] says whether there is one.
    pub(crate) node: String,
    /// The phase.
    pub(crate) phase: FailPhase,
}

impl FromStr for FailAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "write NODE:PHASE, with EXPORT, UPGRADE, PRE-APPLY, APPLY or POST-APPLY";
        let (node, phase) = text.split_once(':').ok_or(wanted)?;
        let phase = match phase.to_ascii_uppercase().as_str() {
            "EXPORT" => FailPhase::Export,
            "UPGRADE" => FailPhase::Upgrade,
            "PRE-APPLY" => FailPhase::PreApply,
            "APPLY" => FailPhase::Apply,
            "POST-APPLY" => FailPhase::PostApply,
            _ => return Err(format!("{phase} is no phase: {wanted}")),
        };
        Ok(Self { node: node.to_owned(), phase })
    }
}

/// One node of the fleet.
#[derive(Debug, Clone)]
pub(crate) struct DemoNode {
    /// Its name, which `X-Host` repeats.
    pub(crate) name: String,
    /// Its loopback address, which is also its host name in the topology.
    pub(crate) address: IpAddr,
    /// Port of its API Gateway instance.
    pub(crate) traffic_port: u16,
    /// Name of its instance.
    pub(crate) instance: String,
    /// Group of its instance.
    pub(crate) group: String,
    /// Whether its Node Manager is an Admin Node Manager.
    pub(crate) admin: bool,
    /// The old installation.
    pub(crate) old_dir: PathBuf,
    /// The new installation.
    pub(crate) new_dir: PathBuf,
}

impl DemoNode {
    /// Where its API Gateway instance serves.
    pub(crate) fn traffic(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.traffic_port)
    }
}

/// The fleet; dropping it ends every process it started, also those the upgrade started.
pub(crate) struct DemoFleet {
    dir: PathBuf,
    nodes: Vec<DemoNode>,
    management_port: u16,
    /// Name and file of each secret.
    secrets: [(&'static str, PathBuf); 2],
}

/// Lays out all installations below `dir/NODE/` and starts the old ones. Blocks for as long as that
/// takes, some tenths of a second.
///
/// # Errors
/// See [`FleetError`]; what was started by then is ended.
pub(crate) fn lay_out(dir: &Path, launcher: &Launcher) -> Result<DemoFleet, FleetError> {
    let ports = Ports::pick(NODES.len()).map_err(FleetError::Ports)?;
    let [password, passphrase] = [random_secret()?, random_secret()?];
    let digests = SecretDigests {
        username: Some(sha256_hex(USERNAME)),
        password: Some(sha256_hex(&password)),
        domain_passphrase: Some(sha256_hex(&passphrase)),
        instance_passphrase: None,
    };
    let nodes: Vec<DemoNode> =
        NODES.iter().zip(&ports.nodes).map(|(node, at)| demo_node(dir, *node, *at)).collect();
    let fleet = DemoFleet {
        dir: dir.to_owned(),
        nodes,
        management_port: ports.management,
        secrets: [
            ("anm_password", write_secret(dir, "anm_password", &password)?),
            ("domain_passphrase", write_secret(dir, "domain_passphrase", &passphrase)?),
        ],
    };
    let topology = fleet.topology();
    // The ports are free again from here on, for the gateways.
    drop(ports);
    for node in &fleet.nodes {
        for (install, version) in [(&node.old_dir, RELEASES.0), (&node.new_dir, RELEASES.1)] {
            let launcher = launcher.clone();
            let mut spec =
                InstallSpec::new(install, launcher, &node.name, version, topology.clone());
            spec.existing_domain = version == RELEASES.0;
            spec.secrets = digests.clone();
            axway::install(&spec)?;
        }
    }
    fleet.start()?;
    Ok(fleet)
}

fn demo_node(
    dir: &Path,
    (name, group, admin, _): (&str, &str, bool, bool),
    (address, traffic_port): (Ipv4Addr, u16),
) -> DemoNode {
    let letter = name.trim_start_matches("node-").to_uppercase();
    DemoNode {
        name: name.to_owned(),
        address: address.into(),
        traffic_port,
        instance: format!("Instance-{letter}"),
        group: group.to_owned(),
        admin,
        old_dir: dir.join(name).join(format!("Axway-{}", RELEASES.0)),
        new_dir: dir.join(name).join(format!("Axway-{}", RELEASES.1)),
    }
}

impl DemoFleet {
    /// The nodes: node-a, node-b, node-c.
    #[cfg(test)]
    pub(crate) fn nodes(&self) -> &[DemoNode] {
        &self.nodes
    }

    /// The servers of the balancer's backend.
    pub(crate) fn servers(&self) -> Vec<(String, SocketAddr)> {
        self.nodes.iter().map(|node| (node.name.clone(), node.traffic())).collect()
    }

    /// Lets a phase fail on a node, each time it is tried, until the file that is answered is
    /// removed. To be called before that phase begins.
    ///
    /// # Errors
    /// When there is no such node, or its installation cannot be written.
    pub(crate) fn plant(&self, at: &FailAt) -> Result<PathBuf, FleetError> {
        let found = self.nodes.iter().find(|node| node.name == at.node);
        let node = found.ok_or_else(|| FleetError::NoSuchNode(at.node.clone()))?;
        let (install, phase, exit_code) = match at.phase {
            FailPhase::Export => (&node.new_dir, axway::Phase::Export, 100),
            FailPhase::Upgrade => (&node.new_dir, axway::Phase::Upgrade, 100),
            FailPhase::PreApply => (&node.old_dir, axway::Phase::InstanceStop, 1),
            FailPhase::Apply => (&node.new_dir, axway::Phase::Apply, 100),
            FailPhase::PostApply => (&node.new_dir, axway::Phase::Health, 100),
        };
        let cause = self.dir.join(CAUSE);
        fs::write(&cause, CAUSE_TEXT).map_err(io_error("write", &cause))?;
        let text = "This failure was planted by zdu demo --fail.".to_owned();
        let fault = Fault::Fail { exit_code, text };
        let times = Times::While(cause.clone());
        axway::plan_failure(install, Failure { phase, fault, times })?;
        Ok(cause)
    }

    /// The text of `zdu.yaml` for this fleet behind a balancer with this frontend and this runtime
    /// socket. The deadlines are those of a machine where everything takes milliseconds.
    pub(crate) fn configuration(&self, front: SocketAddr, socket: &Path) -> String {
        let group = |wanted: &str| -> String {
            let nodes = self.nodes.iter().filter(|node| node.group == wanted);
            nodes.map(node_entry).collect()
        };
        let [secret_a, secret_b] = self.secrets.each_ref().map(|(name, path)| {
            format!("  {name}: {}\n", quoted(&format!("file:{}", path.display())))
        });
        format!(
            "# The reference configuration, made by `zdu demo`.\n\
             fleet:\n  name: demo\n  balancers:\n    edge:\n      driver: haproxy\n      \
             instances:\n        - {{ name: edge, socket: {socket} }}\n  groups:\n    \
             gateway:\n      min_available: 1\n      nodes:\n{gateway}    \
             manager:\n      min_available: 0\n      nodes:\n{manager}\
             procedure: axway-apigateway\n\
             release: {{ from: \"{from}\", to: \"{to}\" }}\n\
             vars:\n  no_cassandra: \"true\"\n  username: {USERNAME}\n  \
             management_port: \"{management}\"\n  management_scheme: http\n\
             secrets:\n{secret_a}{secret_b}\
             front: [{{ http: \"http://{front}{CHECK_PATH}\" }}]\n\
             policy:\n  wave: [1]\n  soak: 300ms\n  drain_deadline: 10s\n  \
             on_drain_deadline: fail\n  ready_deadline: 15s\n  serving_deadline: 10s\n  \
             capacity_deadline: 10s\n",
            socket = quoted(&format!("unix:{}", socket.display())),
            gateway = group(NODES[0].1),
            manager = group(NODES[2].1),
            from = RELEASES.0,
            to = RELEASES.1,
            management = self.management_port,
        )
    }

    /// Ends every process of every installation, and says how many there were. The directory stays.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn tear_down(self) -> Result<usize, FleetError> {
        Ok(axway::stop_everything(&self.dir)?)
    }

    fn topology(&self) -> Topology {
        let node = |(node, (_, _, _, api_manager)): (&DemoNode, &(&str, &str, bool, bool))| {
            let mut instance = InstanceSpec::new(&node.instance, &node.group, node.traffic_port);
            instance.api_manager = *api_manager;
            let address = node.address.to_string();
            let mut spec = NodeSpec::new(&node.name, &address, self.management_port, instance);
            spec.host = address;
            spec.admin = node.admin;
            spec
        };
        Topology { nodes: self.nodes.iter().zip(&NODES).map(node).collect() }
    }

    /// All nodes at once: each start waits for a process that takes its time.
    fn start(&self) -> Result<(), FleetError> {
        std::thread::scope(|scope| {
            let starts: Vec<_> = self
                .nodes
                .iter()
                .map(|node| (node, scope.spawn(|| axway::start_old(&node.old_dir))))
                .collect();
            // Every thread is waited for, also after a failure.
            let ends: Vec<_> = starts
                .into_iter()
                .map(|(node, start)| match start.join() {
                    Ok(started) => started.map_err(FleetError::from),
                    Err(_) => Err(FleetError::Lost(node.name.clone())),
                })
                .collect();
            ends.into_iter().collect()
        })
    }
}

impl Drop for DemoFleet {
    fn drop(&mut self) {
        // After `tear_down` there is nothing left to end; otherwise nobody is left to tell.
        drop(axway::stop_everything(&self.dir));
    }
}

fn node_entry(node: &DemoNode) -> String {
    let text = |path: &Path| quoted(&path.display().to_string());
    let roles = if node.admin { "          roles: [anm]\n" } else { "" };
    format!(
        "        {name}:\n          address: {address}\n          local: true\n{roles}          \
         members: [edge/{BACKEND}/{name}]\n          \
         service_ports: [{port}]\n          vars:\n            \
         old_install_dir: {old}\n            new_install_dir: {new}\n            \
         instance: {instance}\n            group: {group}\n            traffic_port: \"{port}\"\n",
        name = node.name,
        address = node.address,
        port = node.traffic_port,
        old = text(&node.old_dir),
        new = text(&node.new_dir),
        instance = quoted(&node.instance),
        group = quoted(&node.group),
    )
}

/// A JSON string, which is a YAML string that means the same.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// 128 random bits as text.
fn random_secret() -> Result<String, FleetError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let read = fs::File::open(source).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(io_error("read", source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a secret for its owner only, into a file that did not exist.
fn write_secret(dir: &Path, name: &str, value: &str) -> Result<PathBuf, FleetError> {
    let folder = dir.join("secrets");
    fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
    let path = folder.join(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .map_err(io_error("write", &path))?;
    Ok(path)
}
