//! What an installation is told at layout time, kept as `double.json` in its directory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::install::DoubleError;
use super::layout::Layout;
use super::tls::Tls;

/// One installation of one release on one node. Serialised as `double.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstallSpec {
    /// The installation directory (`OLDINSTALLDIR` or `NEWINSTALLDIR`); absolute, UTF-8.
    pub dir: PathBuf,
    /// How the wrapper scripts and the tools start this program again.
    pub launcher: Launcher,
    /// Name of the node it is installed on; must be in `topology`.
    pub node: String,
    /// The release, `7.5.3` or `7.7`.
    pub version: String,
    /// True for the old installation: its Node Manager and instances exist from the start.
    pub existing_domain: bool,
    /// Every node of the domain.
    pub topology: Topology,
    /// How long things take.
    #[serde(default)]
    pub delays: Delays,
    /// Failures to come.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// Digests of the secrets the tools accept.
    #[serde(default)]
    pub secrets: SecretDigests,
    /// HTTPS on the management port; absent means plain HTTP.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Longest life of a process in milliseconds: nothing outlives a crashed test for long.
    #[serde(default = "life_ms_max_default")]
    pub life_ms_max: u64,
}

fn life_ms_max_default() -> u64 {
    // Half an hour: longer than any test or demo, short enough not to litter a machine for a day.
    30 * 60 * 1000
}

impl InstallSpec {
    /// A spec with default delays, no failures, no checked secrets and the default life.
    #[must_use]
    pub fn new(
        dir: impl Into<PathBuf>,
        launcher: Launcher,
        node: &str,
        version: &str,
        topology: Topology,
    ) -> Self {
        Self {
            dir: dir.into(),
            launcher,
            node: node.to_owned(),
            version: version.to_owned(),
            existing_domain: false,
            topology,
            delays: Delays::default(),
            failures: Vec::new(),
            secrets: SecretDigests::default(),
            tls: None,
            life_ms_max: life_ms_max_default(),
        }
    }

    /// The same spec for an installation whose domain exists from the start (the old release).
    #[must_use]
    pub fn with_existing_domain(mut self) -> Self {
        self.existing_domain = true;
        self
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::new(&self.dir)
    }

    /// The node this installation is on. `install` refuses a spec whose node is not in its
    /// topology, so a laid-out installation always has one.
    pub(crate) fn own_node(&self) -> &NodeSpec {
        self.topology.node(&self.node).expect("install() checked that the node is in the topology")
    }
}

/// The program and leading words after which `TOOL INSTALL_DIR ARGS..` follow: `zdu-double` alone,
/// or `zdu` with the leading word of its hidden command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Launcher {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Words before the tool's name.
    pub leading: Vec<String>,
}

impl Launcher {
    /// The running program with these leading words: how a program that links this crate offers
    /// itself.
    ///
    /// # Errors
    /// When the system does not tell the program's path.
    pub fn this_program(leading: &[&str]) -> std::io::Result<Self> {
        let leading = leading.iter().map(|word| (*word).to_owned()).collect();
        Ok(Self { program: std::env::current_exe()?, leading })
    }
}

/// All nodes of a domain. Ids (`host-1`, `instance-2`) follow the order here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Topology {
    /// The nodes.
    pub nodes: Vec<NodeSpec>,
}

/// One node: its host name in the topology, where it listens, what runs on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Name of the node; sent as `X-Host`.
    pub name: String,
    /// Exact host name in the topology, what `--anm_host` must say.
    pub host: String,
    /// Address its processes bind and others connect to.
    pub address: String,
    /// True when its Node Manager is an Admin Node Manager.
    pub admin: bool,
    /// Port of its Node Manager.
    pub management_port: u16,
    /// Its API Gateway instances.
    pub instances: Vec<InstanceSpec>,
}

impl NodeSpec {
    /// A node whose host name is its name, with one instance.
    #[must_use]
    pub fn new(name: &str, address: &str, management_port: u16, instance: InstanceSpec) -> Self {
        Self {
            name: name.to_owned(),
            host: name.to_owned(),
            address: address.to_owned(),
            admin: false,
            management_port,
            instances: vec![instance],
        }
    }

    /// The same node with an Admin Node Manager.
    #[must_use]
    pub fn admin(mut self) -> Self {
        self.admin = true;
        self
    }
}

/// One API Gateway instance of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// Name, as `startinstance -n` takes it.
    pub name: String,
    /// Group, as `startinstance -g` takes it.
    pub group: String,
    /// Port of its HTTP traffic.
    pub traffic_port: u16,
    /// Runs API Manager: a missing API Manager licence is then warned about.
    #[serde(default)]
    pub api_manager: bool,
    /// Id of the deployed archive; equal ids within a group make the group consistent. Absent means
    /// the group's common one.
    #[serde(default)]
    pub deployment: Option<String>,
}

impl InstanceSpec {
    /// An instance without API Manager and with the group's deployment.
    #[must_use]
    pub fn new(name: &str, group: &str, traffic_port: u16) -> Self {
        Self {
            name: name.to_owned(),
            group: group.to_owned(),
            traffic_port,
            api_manager: false,
            deployment: None,
        }
    }
}

impl Topology {
    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeSpec> {
        self.nodes.iter().find(|node| node.name == name)
    }

    pub(crate) fn host(&self, host: &str) -> Option<&NodeSpec> {
        self.nodes.iter().find(|node| node.host == host)
    }

    pub(crate) fn admins(&self) -> Vec<&NodeSpec> {
        self.nodes.iter().filter(|node| node.admin).collect()
    }
}

/// How long things take, in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Delays {
    /// `sysupgrade export`.
    pub export_ms: u64,
    /// `sysupgrade upgrade`.
    pub upgrade_ms: u64,
    /// `sysupgrade apply`, without the starts it makes.
    pub apply_ms: u64,
    /// From start of a process until its port is bound.
    pub start_ms: u64,
    /// From the last finished request of a stopping process until it is gone.
    pub stop_ms: u64,
    /// Zero-downtime shutdown: how long a stopping instance still accepts requests while
    /// `/healthchecklb` answers 503. The product: disabled by default, 1-20 s when enabled.
    pub health_lb_ms: u64,
}

impl Default for Delays {
    fn default() -> Self {
        // Tens of milliseconds: visible in a log, and a rollout of three nodes stays in seconds.
        Self {
            export_ms: 30,
            upgrade_ms: 30,
            apply_ms: 30,
            start_ms: 20,
            stop_ms: 10,
            health_lb_ms: 0,
        }
    }
}

/// SHA-256 (lower-case hex) of the secrets the tools accept; absent means anything is accepted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretDigests {
    /// The administrator's name.
    pub username: Option<String>,
    /// The administrator's password.
    pub password: Option<String>,
    /// The domain passphrase `apply` asks for.
    pub domain_passphrase: Option<String>,
    /// The entity-store passphrase; when present `startinstance -d` prompts for it.
    pub instance_passphrase: Option<String>,
}

/// SHA-256 of a text as lower-case hex: what [`SecretDigests`] and the invocation record hold.
#[must_use]
pub fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads `double.json` of an installation directory.
pub(crate) fn load(dir: &Path) -> Result<InstallSpec, DoubleError> {
    let path = Layout::new(dir).spec_file();
    let text = std::fs::read_to_string(&path).map_err(DoubleError::io("read", &path))?;
    serde_json::from_str(&text).map_err(DoubleError::json(&path))
}

/// Writes `double.json`; a reader sees the old or the new one whole.
pub(crate) fn save(spec: &InstallSpec) -> Result<(), DoubleError> {
    write_json(&spec.layout().spec_file(), spec)
}

/// Writes a JSON file, and the directories above it, by renaming a finished one into place.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), DoubleError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(DoubleError::io("create", parent))?;
    }
    replace_json(path, value)
}

/// Writes a JSON file into an existing directory by renaming a finished one into place.
pub(crate) fn replace_json(path: &Path, value: &impl Serialize) -> Result<(), DoubleError> {
    let text = serde_json::to_string_pretty(value).map_err(DoubleError::json(path))?;
    let part = path.with_extension(format!("part-{}", std::process::id()));
    std::fs::write(&part, text).map_err(DoubleError::io("write", &part))?;
    std::fs::rename(&part, path).map_err(DoubleError::io("replace", path))
}
