//! The stand-ins on the nodes: laying out, starting, planting failures, asking what they did.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use zdu_doubles::axway::{
    Failure, Fault, InstallSpec, InstanceSpec, Invocation, Launcher, Layout, NodeSpec, Phase,
    SecretDigests, Times, Topology, invocations, sha256_hex,
};

use super::Rig;
use crate::host::INSIDE;
use crate::process::{self, succeed};
use crate::{Host, LabError};

/// The gateways, in the order of the fleet; the first and the third have an Admin Node Manager.
pub const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];

/// Port of an instance's traffic.
pub(super) const TRAFFIC: u16 = 8080;
const MANAGEMENT: u16 = 8090;
/// Names with blanks and quotes, as the product allows them.
pub(super) const INSTANCE: &str = "Instance 'One'";
pub(super) const GROUP: &str = "Gateway \"Group\"";

/// One of the two installations of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// 7.5.3.
    Old,
    /// 7.7.
    New,
}

impl Side {
    /// The release as `X-Version` says it.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Old => "7.5.3",
            Self::New => "7.7",
        }
    }
}

impl Rig {
    /// Does something on every node, side by side.
    pub(super) fn each_node<T: Send>(&self, act: impl Fn(&Host) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let act = &act;
            let threads: Vec<_> =
                NODES.iter().map(|name| scope.spawn(move || act(self.lab.host(name)))).collect();
            let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.map(|ended| ended.expect("the act does not panic")).collect()
        })
    }

    /// The directory of an installation as the node sees it.
    #[must_use]
    pub fn install_dir(&self, side: Side) -> &str {
        match side {
            Side::Old => &self.spec.old_dir,
            Side::New => &self.spec.new_dir,
        }
    }

    /// The same as the machine sees it while the node is on.
    ///
    /// # Errors
    /// When the node is off.
    pub fn install_path(&self, node: &str, side: Side) -> Result<PathBuf, LabError> {
        self.lab.host(node).path(self.install_dir(side))
    }

    fn install_spec(&self, node: &str, side: Side) -> InstallSpec {
        let nodes = NODES.iter().map(|name| {
            let address = self.lab.host(name).address().to_string();
            let instance = InstanceSpec::new(INSTANCE, GROUP, TRAFFIC);
            let mut node = NodeSpec::new(name, &address, MANAGEMENT, instance);
            // What the management API calls a host is what `zdu` must pass as --anm_host.
            node.host = address;
            if *name == "node-b" { node } else { node.admin() }
        });
        let topology = Topology { nodes: nodes.collect() };
        let program = PathBuf::from(format!("{INSIDE}/bin/zdu-double"));
        let launcher = Launcher { program, leading: Vec::new() };
        let dir = self.install_dir(side);
        let mut spec = InstallSpec::new(dir, launcher, node, side.version(), topology);
        spec.existing_domain = side == Side::Old;
        spec.delays = self.spec.delays.clone();
        spec.tls = self.tls.as_ref().map(|domains| domains.of(side).clone());
        spec.secrets = SecretDigests {
            password: Some(sha256_hex(&self.spec.password)),
            domain_passphrase: Some(sha256_hex(&self.spec.passphrase)),
            ..SecretDigests::default()
        };
        spec
    }

    /// Both installations on a node, the old one running.
    pub(super) fn lay_out(&self, host: &Host) -> Result<(), LabError> {
        for side in [Side::Old, Side::New] {
            let spec = self.install_spec(host.name(), side);
            let json = serde_json::to_string(&spec).map_err(LabError::because("write JSON"))?;
            host.write("/root/install.json", &json)?;
            double(host, &["lay-out", "/root/install.json"])?;
        }
        host.remove("/root/install.json")?;
        self.start(host.name(), Side::Old)
    }

    /// Starts the Node Manager and the instance of an installation.
    ///
    /// # Errors
    /// When a tool fails.
    pub fn start(&self, node: &str, side: Side) -> Result<(), LabError> {
        let host = self.lab.host(node);
        let bin = format!("{}/apigateway/posix/bin", self.install_dir(side));
        succeed_on(host, &format!("{bin}/nodemanager"), &["-d"])?;
        let words = ["-n", INSTANCE, "-g", GROUP, "-d"];
        succeed_on(host, &format!("{bin}/startinstance"), &words)
    }

    /// Stops and starts the Node Manager of an installation.
    ///
    /// # Errors
    /// When a tool fails.
    pub fn restart_manager(&self, node: &str, side: Side) -> Result<(), LabError> {
        let manager = format!("{}/apigateway/posix/bin/nodemanager", self.install_dir(side));
        let host = self.lab.host(node);
        succeed_on(host, &manager, &["-k"])?;
        succeed_on(host, &manager, &["-d"])
    }

    /// Ends everything of both installations and removes them.
    pub(super) fn wipe(&self, host: &Host) -> Result<(), LabError> {
        for side in [Side::Old, Side::New] {
            let dir = self.install_dir(side);
            double(host, &["stop-everything", dir])?;
            succeed_on(host, "rm", &["-rf", "--", dir])?;
        }
        Ok(())
    }

    /// Changes what an installation was told; tools see it when they start next.
    ///
    /// # Errors
    /// When its file cannot be read or written.
    pub fn edit_install(
        &self,
        node: &str,
        side: Side,
        change: impl FnOnce(&mut InstallSpec),
    ) -> Result<(), LabError> {
        let host = self.lab.host(node);
        let file = format!("{}/double.json", self.install_dir(side));
        let mut spec: InstallSpec = serde_json::from_str(&host.read(&file)?)
            .map_err(LabError::because(format!("read {file} on {node}")))?;
        change(&mut spec);
        let json = serde_json::to_string(&spec).map_err(LabError::because("write JSON"))?;
        host.write(&file, &json)
    }

    /// Plants a failure with exit code 100 that strikes every time.
    ///
    /// # Errors
    /// Those of [`edit_install`](Self::edit_install).
    pub fn plant(&self, node: &str, side: Side, phase: Phase) -> Result<(), LabError> {
        let fault = Fault::Fail { exit_code: 100, text: format!("planted in {phase:?}") };
        let failure = Failure { phase, fault, times: Times::Always };
        self.edit_install(node, side, |spec| spec.failures.push(failure))
    }

    /// Takes every planted failure of a node back.
    ///
    /// # Errors
    /// Those of [`edit_install`](Self::edit_install).
    pub fn unplant(&self, node: &str) -> Result<(), LabError> {
        for side in [Side::Old, Side::New] {
            self.edit_install(node, side, |spec| spec.failures.clear())?;
        }
        Ok(())
    }

    /// Everything the tools of an installation were asked to do.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn invocations(&self, node: &str, side: Side) -> Result<Vec<Invocation>, LabError> {
        invocations(&self.install_path(node, side)?)
            .map_err(LabError::because(format!("read invocations on {node}")))
    }

    /// How often a tool was called with this word among its arguments.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn count(&self, node: &str, side: Side, tool: &str, word: &str) -> Result<usize, LabError> {
        let all = self.invocations(node, side)?;
        let fits =
            |call: &&Invocation| call.tool == tool && call.argv.iter().any(|arg| arg == word);
        Ok(all.iter().filter(fits).count())
    }

    /// The release that answers on a node, asked there directly; none when nobody does.
    #[must_use]
    pub fn serving(&self, node: &str) -> Option<String> {
        let to = SocketAddr::from((self.lab.host(node).address(), TRAFFIC));
        let (status, body) = self.lab.http_get(to, "/version").ok()?;
        (status == 200).then(|| body.trim().to_owned())
    }

    /// The releases all nodes serve, in the order of [`NODES`]; `-` where nobody answers.
    #[must_use]
    pub fn releases(&self) -> [String; 3] {
        NODES.map(|node| self.serving(node).unwrap_or_else(|| "-".to_owned()))
    }

    /// The log a phase of `sysupgrade` left on a node.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn upgrade_log(&self, node: &str, phase: &str) -> Result<String, LabError> {
        let layout = Layout::new(&self.install_path(node, Side::New)?);
        let path = layout.upgrade_logs().join(format!("{phase}.log"));
        std::fs::read_to_string(&path)
            .map_err(LabError::because(format!("read {}", path.display())))
    }
}

fn double(host: &Host, words: &[&str]) -> Result<(), LabError> {
    succeed_on(host, &format!("{INSIDE}/bin/zdu-double"), words)
}

fn succeed_on(host: &Host, program: &str, words: &[&str]) -> Result<(), LabError> {
    let mut command = host.command(program)?;
    command.args(words);
    if words.contains(&"-d") {
        // A service starts within milliseconds; twenty of them at once on two processors do not.
        let ended = process::output(command, "", Duration::from_secs(40))?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        return if ended.status.success() { Ok(()) } else { Err(LabError::new(said)) };
    }
    succeed(command, "").map(drop)
}
