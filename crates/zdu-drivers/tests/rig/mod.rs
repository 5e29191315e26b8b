//! A real HAProxy and two small HTTP nodes on loopback, gone when dropped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use zdu_drivers::balancer::BoxFuture;
use zdu_drivers::balancer::certify::{NodeSockets, PeerCount};
use zdu_drivers::balancer::haproxy::{Endpoint, Instance};
use zdu_drivers::balancer::member::BalancerInstance;

/// Upper bound of every wait in the tests; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whether HAProxy is installed; says so loudly if not.
pub(crate) fn haproxy_is_there() -> bool {
    let found = Command::new("haproxy").arg("-v").stdout(Stdio::null()).status();
    if found.is_err() {
        eprintln!("SKIPPED, NOTHING WAS TESTED: there is no `haproxy` in PATH");
    }
    found.is_ok()
}

/// An HTTP node: answers its name; `/hold` answers once released.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) healthy: Arc<AtomicBool>,
    release: Arc<watch::Sender<bool>>,
    peers: Arc<Mutex<BTreeMap<IpAddr, u64>>>,
}

impl Node {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = Self {
            address: listener.local_addr().unwrap(),
            healthy: Arc::new(AtomicBool::new(true)),
            release: Arc::new(watch::channel(false).0),
            peers: Arc::default(),
        };
        let serve = node.clone();
        // Ends with the test's runtime.
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let node = serve.clone();
                tokio::spawn(async move {
                    *node.peers.lock().unwrap().entry(peer.ip()).or_insert(0) += 1;
                    drop(node.answer(stream, name).await);
                    *node.peers.lock().unwrap().entry(peer.ip()).or_insert(1) -= 1;
                });
            }
        });
        node
    }

    /// Lets held requests, and all later ones, be answered.
    pub(crate) fn release(&self) {
        self.release.send_replace(true);
    }

    /// Holds requests to `/hold` again.
    pub(crate) fn hold_again(&self) {
        self.release.send_replace(false);
    }

    async fn answer(&self, mut stream: TcpStream, name: &str) -> std::io::Result<()> {
        let mut request = Vec::new();
        loop {
            let mut byte = [0_u8; 512];
            let read = stream.read(&mut byte).await?;
            if read == 0 {
                return Ok(());
            }
            request.extend_from_slice(byte.get(..read).unwrap_or_default());
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            if request.starts_with(b"GET /hold") {
                let mut released = self.release.subscribe();
                // A client that gives up is seen as the end of its stream.
                tokio::select! {
                    _ = released.wait_for(|released| *released) => {}
                    _ = stream.readable() => return Ok(()),
                }
            }
            request.clear();
            let status = if self.healthy.load(Ordering::SeqCst) { "200 OK" } else { "503 Sick" };
            let length = name.len();
            let reply = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{name}");
            stream.write_all(reply.as_bytes()).await?;
        }
    }
}

impl NodeSockets for Node {
    fn sample(&self) -> BoxFuture<'_, Result<Vec<PeerCount>, String>> {
        let peers = self.peers.lock().unwrap().clone();
        let counts = peers.into_iter().map(|(peer, established)| PeerCount { peer, established });
        let counts = counts.collect();
        Box::pin(async move { Ok(counts) })
    }
}

/// A port nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// One HAProxy in master-worker mode with a directory of its own.
pub(crate) struct Balancer {
    pub(crate) name: &'static str,
    pub(crate) front: SocketAddr,
    pub(crate) api: SocketAddr,
    directory: tempfile::TempDir,
    child: Option<Child>,
}

impl Balancer {
    /// Starts HAProxy before both nodes and waits until all checks are settled.
    pub(crate) async fn start(name: &'static str, n1: &Node, n2: &Node) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut balancer = Self {
            name,
            front: local(free_port()),
            api: local(free_port()),
            directory,
            child: None,
        };
        let dir = balancer.directory.path().display();
        let (front, api, one, two) = (balancer.front, balancer.api, n1.address, n2.address);
        let mut config = format!(
            "global\n  stats socket {dir}/admin.sock mode 600 level admin expose-fd listeners\n\
             \x20 stats socket {dir}/user.sock mode 600 level user\n\
             \x20 stats socket ipv4@{api} level admin\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n\
             \x20 timeout server 60s\n  option redispatch\n\
             frontend front\n  bind {front}\n  default_backend b\n"
        );
        for (backend, more, check) in [
            ("b", "", "check inter 100 rise 2 fall 2"),
            ("static", "balance source\n  hash-type map-based", "check inter 100"),
            ("bare", "", ""),
            // Disabled: a check that is held would be a connection to the node in every test.
            ("held", "timeout check 30s", "check inter 100 rise 2 fall 2 disabled"),
        ] {
            let path = if backend == "held" { "/hold" } else { "/health" };
            write!(
                config,
                "backend {backend}\n  {more}\n  option httpchk GET {path}\n\
                 \x20 server n1 {one} weight 10 {check}\n  server n2 {two} weight 10 {check}\n"
            )
            .unwrap();
        }
        std::fs::write(balancer.directory.path().join("haproxy.cfg"), config).unwrap();
        balancer.run().await;
        balancer
    }

    /// Starts the process (again), not waiting for anything.
    pub(crate) fn run_unsettled(&mut self) {
        let mut command = Command::new("haproxy");
        command.arg("-W").arg("-f").arg(self.directory.path().join("haproxy.cfg"));
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// Starts the process and waits until its checks are settled.
    async fn run(&mut self) {
        self.run_unsettled();
        let instance = self.instance();
        let settled = async {
            loop {
                if let Ok(view) = instance.observe_all("b").await
                    && view
                        .servers
                        .iter()
                        .all(|server| server.status.to_string() == "UP" && server.check_passed())
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("HAProxy came up");
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn instance(&self) -> Instance {
        let endpoint = Endpoint::Unix(self.socket("admin.sock"));
        Instance::new(self.name, endpoint, Duration::from_secs(5))
    }

    pub(crate) fn shared(&self) -> Arc<dyn BalancerInstance> {
        Arc::new(self.instance())
    }

    /// One command by another hand.
    pub(crate) fn by_hand(&self, command: &str) -> String {
        self.ask("admin.sock", command)
    }

    fn ask(&self, socket: &str, command: &str) -> String {
        let mut stream = UnixStream::connect(self.socket(socket)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // A process that is gone already is what a stop wants.
            let _gone = kill_process(pid, signal);
        }
    }

    /// Reloads: a new worker takes over, the old one finishes its requests. Returns when the new
    /// one answers. Asks again after some seconds, because a signal can be lost while the master is
    /// still starting.
    pub(crate) async fn reload(&self) {
        let instance = self.instance();
        let old = instance.identity().await.unwrap().pid;
        let new_worker = async {
            let mut polls = 0_u32;
            loop {
                if polls.is_multiple_of(600) {
                    self.signal(Signal::USR2);
                }
                polls += 1;
                if instance.identity().await.is_ok_and(|identity| identity.pid != old) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, new_worker).await.expect("a new worker after the reload");
    }

    /// Stops master and workers at once.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        if let Some(mut child) = self.child.take() {
            for _ in 0..300 {
                if matches!(child.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One request over a connection of its own: the whole reply, or what came of it.
pub(crate) async fn get(front: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(front).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}

/// Asks by `/hold` until one request is held by n1, and gives back its task.
pub(crate) async fn hold_one_on_n1(balancer: &Balancer) -> tokio::task::JoinHandle<String> {
    let instance = balancer.instance();
    balancer.by_hand("set server b/n2 state drain");
    let front = balancer.front;
    let task = tokio::spawn(async move { get(front, "/hold").await.unwrap_or_default() });
    let held = async {
        loop {
            let (_, server) = instance.observe("b", "n1").await.unwrap();
            if server.scur == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, held).await.expect("the request is held");
    balancer.by_hand("set server b/n2 state ready");
    task
}
