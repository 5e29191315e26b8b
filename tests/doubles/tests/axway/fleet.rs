//! Three nodes on one loopback address with ports of their own, as `zdu demo` has them; installed
//! in directories with spaces and quotes; torn down also when a test fails.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use zdu_doubles::axway::{
    InstallSpec, InstanceSpec, Invocation, Launcher, Layout, NodeSpec, Topology, install,
    invocations, start_old, stop_everything,
};

/// The node names of the source document's reference configuration, which are host names too.
pub(crate) const NODES: [&str; 3] = ["Node-A", "Node-B", "Node-C"];
/// What `apply` asks for when nothing is checked.
pub(crate) const ANSWERS: &str = "passphrase\nadmin\nchangeme\n";

/// A fleet with an old installation that runs and a new one beside it, on each node.
pub(crate) struct Fleet {
    /// Removed when the fleet is dropped.
    root: tempfile::TempDir,
    pub(crate) address: String,
    pub(crate) topology: Topology,
}

/// What one run of a tool gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.exit, 0, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn failed(self, exit: i32, text: &str) -> Self {
        assert_eq!(self.exit, exit, "{self:?}");
        assert!(self.stderr.contains(text), "no {text:?} in {self:?}");
        self
    }
}

/// One HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Lower-case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        drop(stop_everything(self.root.path()));
    }
}

impl Fleet {
    /// The reference topology, old domain running, new installations untouched.
    pub(crate) fn running() -> Self {
        Self::with(|_| {})
    }

    /// The same with every spec changed before it is laid out.
    pub(crate) fn with(change: impl Fn(&mut InstallSpec)) -> Self {
        let fleet = Self::laid_out(change);
        for node in &fleet.topology.nodes {
            start_old(&fleet.old_dir(&node.name)).expect("the old installation starts");
        }
        fleet
    }

    /// Laid out and nothing started.
    pub(crate) fn laid_out(change: impl Fn(&mut InstallSpec)) -> Self {
        let address = own_address();
        let mut fleet = Self {
            root: tempfile::Builder::new()
                .prefix("zdu 'double' \"")
                .tempdir()
                .expect("a directory"),
            topology: reference(&address),
            address,
        };
        for node in NODES {
            for (dir, version) in [(fleet.old_dir(node), "7.5.3"), (fleet.new_dir(node), "7.7")] {
                let topology = fleet.topology.clone();
                let mut spec = InstallSpec::new(dir, launcher(), node, version, topology);
                spec.existing_domain = version == "7.5.3";
                // A test that is killed leaves nothing behind for longer than this.
                spec.life_ms_max = 120_000;
                change(&mut spec);
                if spec.topology.node(node).is_some() {
                    install(&spec).expect("laid out");
                }
            }
        }
        fleet.topology = topology_of(&fleet.old_dir("Node-A"));
        fleet
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn old_dir(&self, node: &str) -> PathBuf {
        self.root.path().join(node).join("Axway-7.5.3")
    }

    pub(crate) fn new_dir(&self, node: &str) -> PathBuf {
        self.root.path().join(node).join("Axway-7.7")
    }

    pub(crate) fn new_layout(&self, node: &str) -> Layout {
        Layout::new(&self.new_dir(node))
    }

    pub(crate) fn node(&self, node: &str) -> &NodeSpec {
        self.topology.node(node).expect("a node of the fleet")
    }

    pub(crate) fn sysupgrade(&self, node: &str, words: &[&str], stdin: &str) -> Ran {
        run(&self.new_layout(node).sysupgrade(), words, stdin)
    }

    pub(crate) fn export(&self, node: &str, more: &[&str]) -> Ran {
        let old = self.old_dir(node).join("apigateway");
        let old = old.to_str().expect("UTF-8");
        self.sysupgrade(node, &[&["export", "--old_install_dir", old], more].concat(), "")
    }

    pub(crate) fn upgrade(&self, node: &str, more: &[&str]) -> Ran {
        self.sysupgrade(node, &[&["upgrade", "--no_cassandra"], more].concat(), "")
    }

    pub(crate) fn apply(&self, node: &str, anm: &str, more: &[&str]) -> Ran {
        self.sysupgrade(node, &[&["apply", "--anm_host", anm], more].concat(), ANSWERS)
    }

    /// Exports and upgrades every node.
    pub(crate) fn prepared(self) -> Self {
        for node in NODES {
            self.export(node, &["--anm_host", "Node-A"]).succeeded();
        }
        for node in NODES {
            self.upgrade(node, &[]).succeeded();
        }
        self
    }

    /// Brings the nodes into the domain of Node-A, the way the ZDU scripts do: one after another.
    pub(crate) fn applied(self, nodes: &[&str]) -> Self {
        for node in nodes {
            self.stop(&self.old_dir(node), node);
            self.apply(node, "Node-A", &[]).succeeded();
        }
        self
    }

    /// `-k` for every process of an installation.
    pub(crate) fn stop(&self, install: &Path, node: &str) {
        let layout = Layout::new(install);
        for instance in &self.node(node).instances {
            let words = ["-n", &instance.name, "-g", &instance.group, "-k"];
            run(&layout.startinstance(), &words, "").succeeded();
        }
        run(&layout.nodemanager(), &["-k"], "").succeeded();
    }

    pub(crate) fn status(&self, node: &str) -> String {
        self.sysupgrade(node, &["status"], "").succeeded().stdout
    }

    pub(crate) fn management(&self, node: &str, path: &str) -> Answer {
        // admin:changeme
        let credentials = "authorization: Basic YWRtaW46Y2hhbmdlbWU=\r\n";
        get(&self.address, self.node(node).management_port, path, credentials).expect("an answer")
    }

    pub(crate) fn traffic(&self, node: &str, path: &str) -> Option<Answer> {
        get(&self.address, self.node(node).instances[0].traffic_port, path, "")
    }

    /// Host names in the topology the Node Manager of `node` shows.
    pub(crate) fn hosts_seen_by(&self, node: &str) -> Vec<String> {
        let document = self.management(node, "/api/topology").json();
        let hosts = document["result"]["hosts"].as_array().expect("hosts").clone();
        hosts.iter().map(|host| host["name"].as_str().expect("a name").to_owned()).collect()
    }

    pub(crate) fn invocations(&self, install: &Path) -> Vec<Invocation> {
        invocations(install).expect("a readable record")
    }
}

pub(crate) fn launcher() -> Launcher {
    Launcher { program: PathBuf::from(env!("CARGO_BIN_EXE_zdu-double")), leading: Vec::new() }
}

fn reference(address: &str) -> Topology {
    let node = |index: u16, group: &str| {
        let instance = InstanceSpec::new(&format!("Gateway {index}"), group, 18080 + index);
        NodeSpec::new(NODES[usize::from(index)], address, 18090 + index, instance)
    };
    let mut with_manager = node(2, "GatewayManager Group").admin();
    with_manager.instances[0].api_manager = true;
    Topology {
        nodes: vec![node(0, "Gateway Group").admin(), node(1, "Gateway Group"), with_manager],
    }
}

/// What the laid-out installation says its topology is: a test may have changed it.
fn topology_of(install: &Path) -> Topology {
    let text = std::fs::read_to_string(Layout::new(install).spec_file()).expect("double.json");
    let spec: InstallSpec = serde_json::from_str(&text).expect("a spec");
    spec.topology
}

/// A loopback address no other fleet has: tests run at once in this process and in others.
fn own_address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    let last = NEXT.fetch_add(1, Ordering::SeqCst);
    format!("127.{}.{}.{last}", 1 + process / 250 % 250, 1 + process % 250)
}

/// Starts a tool with its output piped.
pub(crate) fn spawn(tool: &Path, words: &[&str]) -> Child {
    Command::new(tool)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts")
}

/// Runs a tool to its end with these lines on stdin.
pub(crate) fn run(tool: &Path, words: &[&str], stdin: &str) -> Ran {
    let mut child = spawn(tool, words);
    let mut input = child.stdin.take().expect("stdin was asked to be piped");
    // A tool that asks for nothing may be gone before it reads.
    drop(input.write_all(stdin.as_bytes()));
    drop(input);
    let output = child.wait_with_output().expect("the tool ends");
    Ran {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// One GET on a connection of its own; `None` when nobody listens or the answer is cut.
pub(crate) fn get(address: &str, port: u16, path: &str, headers: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect((address, port)).ok()?;
    send(&mut stream, path, &format!("connection: close\r\n{headers}"))?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    parse(&text)
}

/// Writes one GET request.
pub(crate) fn send(stream: &mut TcpStream, path: &str, headers: &str) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: double\r\n{headers}\r\n").ok()
}

/// Reads one answer with a `content-length` from a connection that may stay open.
pub(crate) fn receive(stream: &mut TcpStream) -> Option<Answer> {
    let mut text = Vec::new();
    let mut byte = [0];
    loop {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        text.push(byte[0]);
        if text.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(text).ok()?.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.trim().parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    parse(&format!("{head}{}", String::from_utf8(body).ok()?))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}
