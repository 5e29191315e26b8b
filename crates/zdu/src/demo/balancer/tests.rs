//! The balancer under the real HAProxy driver.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;

use tokio::net::{TcpStream, UnixStream};
use zdu_drivers::balancer::certify::{
    Certification, CertifyRule, Entry, Evidence, Left, NodeSockets, PeerCount, SocketRule,
    Unexplained, certify,
};
use zdu_drivers::balancer::haproxy::reply::ReplyError;
use zdu_drivers::balancer::haproxy::view::Status;
use zdu_drivers::balancer::haproxy::{Endpoint, Instance};
use zdu_drivers::balancer::member::BalancerInstance;
use zdu_drivers::balancer::serve::{ServeRule, Served, Serving, wait_serving};
use zdu_drivers::balancer::{BoxFuture, Hold, InstanceError, MemberName};

use super::*;
use crate::demo::directory::tests::Scratch;

/// Upper bound of every wait; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
const RULE: CertifyRule = CertifyRule { consecutive: 3, interval: PAUSE, deadline: PATIENCE };

/// A node that answers its name; `/hold` once released. It is gone when dropped.
struct Node {
    address: SocketAddr,
    healthy: Arc<AtomicBool>,
    release: Arc<watch::Sender<bool>>,
    peers: Arc<Mutex<BTreeMap<IpAddr, u64>>>,
    _task: JoinSet<()>,
}

impl Node {
    async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let healthy = Arc::new(AtomicBool::new(true));
        let release = Arc::new(watch::channel(false).0);
        let peers: Arc<Mutex<BTreeMap<IpAddr, u64>>> = Arc::default();
        let shared = (Arc::clone(&healthy), Arc::clone(&release), Arc::clone(&peers));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, peer)) = listener.accept().await {
                let (healthy, release, peers) = shared.clone();
                open.spawn(async move {
                    *peers.lock().unwrap().entry(peer.ip()).or_insert(0) += 1;
                    drop(answer(stream, name, &healthy, &release).await);
                    *peers.lock().unwrap().entry(peer.ip()).or_insert(1) -= 1;
                });
            }
        });
        Self { address, healthy, release, peers, _task: task }
    }
}

async fn answer(
    mut stream: TcpStream,
    name: &str,
    healthy: &AtomicBool,
    release: &watch::Sender<bool>,
) -> io::Result<()> {
    let head = read_head(&mut stream).await?;
    if head.starts_with("GET /hold ") {
        let mut released = release.subscribe();
        tokio::select! {
            _ = released.wait_for(|released| *released) => {}
            // The end of the stream: nobody waits for the answer any more.
            _ = stream.read_u8() => return Ok(()),
        }
    }
    let status = if healthy.load(Ordering::SeqCst) { "200 OK" } else { "503 Sick" };
    let length = name.len();
    // `connection: close` is about this connection; it must not reach the client.
    let text =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{name}");
    stream.write_all(text.as_bytes()).await
}

async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

impl NodeSockets for Node {
    fn sample(&self) -> BoxFuture<'_, Result<Vec<PeerCount>, String>> {
        let peers = self.peers.lock().unwrap().clone();
        let counts = peers.into_iter().map(|(peer, established)| PeerCount { peer, established });
        let counts = counts.collect();
        Box::pin(async move { Ok(counts) })
    }
}

struct Rig {
    a: Node,
    b: Node,
    balancer: Balancer,
    instance: Instance,
    scratch: Scratch,
}

impl Rig {
    async fn up() -> Self {
        let (a, b) = (Node::start("node-a").await, Node::start("node-b").await);
        let scratch = Scratch::new();
        let balancer = Balancer::start(BalancerSpec {
            backend: "gateway".to_owned(),
            servers: vec![("node-a".to_owned(), a.address), ("node-b".to_owned(), b.address)],
            check_path: "/healthcheck".to_owned(),
            front: "127.0.0.1:0".parse().unwrap(),
            socket: scratch.0.join("admin.sock"),
            api: Some("127.0.0.1:0".parse().unwrap()),
        })
        .await
        .unwrap();
        balancer.all_serve(PATIENCE).await.unwrap();
        let endpoint = Endpoint::Unix(balancer.socket().to_owned());
        let instance = Instance::new("edge", endpoint, PATIENCE);
        Self { a, b, balancer, instance, scratch }
    }

    /// Waits until the driver sees the server as wanted.
    async fn until(&self, server: &str, wanted: impl Fn(&Status, u64) -> bool) {
        let seen = async {
            loop {
                let (_, view) = self.instance.observe("gateway", server).await.unwrap();
                if wanted(&view.status, view.scur) {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the server gets there");
    }

    /// A request to `/hold` that runs on node-a.
    async fn hold_on_a(&self) -> tokio::task::JoinHandle<String> {
        let b = MemberName::new("gateway", "node-b");
        self.instance.hold(&b, Hold::Drain).await.unwrap();
        let front = self.balancer.front();
        let request = tokio::spawn(async move { Client::new(front).await.get("/hold").await });
        self.until("node-a", |_, sessions| sessions == 1).await;
        self.instance.hold(&b, Hold::Ready).await.unwrap();
        request
    }

    async fn raw(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(self.balancer.socket()).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }
}

/// One client connection.
struct Client(TcpStream);

impl Client {
    async fn new(front: SocketAddr) -> Self {
        Self(TcpStream::connect(front).await.unwrap())
    }

    /// Head and body of one answer; the empty text when the connection ended.
    async fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: front\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
        let Ok(head) = read_head(&mut self.0).await else {
            return String::new();
        };
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        head + &String::from_utf8(body).unwrap()
    }
}

#[tokio::test]
async fn a_drain_waits_for_the_running_request_and_is_undone_under_the_real_driver() {
    let rig = Rig::up().await;
    let request = rig.hold_on_a().await;
    let before = rig.instance.drain("gateway", "node-a").await.unwrap();
    assert_eq!((before.hold, before.findings.as_slice()), (Hold::Ready, &[][..]));

    let instances: [Arc<dyn BalancerInstance>; 1] = [Arc::new(rig.instance.clone())];
    let members = [MemberName::new("gateway", "node-a")];
    let strict = SocketRule {
        balancers: BTreeSet::from([IpAddr::from([127, 0, 0, 1])]),
        exempt: BTreeSet::new(),
        unexplained: Unexplained::Refuse,
    };
    let entries = [Entry { instances: &instances, members: &members }];
    let evidence = Evidence { entries: &entries, sockets: Some((&rig.a, &strict)) };
    let mut seen_running = 0;
    let certification = certify(evidence, RULE, &mut |sample| {
        let running = |left: &Left| matches!(left, Left::Sessions { sessions: 1, .. });
        if sample.left.iter().any(running) {
            seen_running += 1;
            rig.a.release.send_replace(true);
        }
    })
    .await;
    let Certification::Drained(certificate) = certification else { panic!("{certification:?}") };
    assert!(seen_running >= 1 && certificate.with_node_sockets);
    assert!(request.await.unwrap().ends_with("node-a"));

    let mut client = Client::new(rig.balancer.front()).await;
    for _ in 0..6 {
        assert!(client.get("/").await.ends_with("node-b"));
    }
    let undone = rig.instance.undrain(&before).await.unwrap();
    assert_eq!((undone.state_set, undone.now), (Some(Hold::Ready), Hold::Ready));
    let rule = ServeRule { interval: PAUSE, deadline: PATIENCE };
    let serving = wait_serving(&instances, &[before], rule, &mut |_| {}).await;
    let Serving::All(served) = serving else { panic!("{serving:?}") };
    assert!(matches!(served.as_slice(), [(_, _, Served::Checked)]), "{served:?}");
}

#[tokio::test]
async fn a_kept_client_connection_outlives_the_drain_of_the_node_it_was_served_by() {
    let rig = Rig::up().await;
    let mut client = Client::new(rig.balancer.front()).await;
    let first = client.get("/").await;
    assert!(!first.to_lowercase().contains("connection: close"), "{first}");
    let drained = if first.ends_with("node-a") { "node-a" } else { "node-b" };
    rig.instance.drain("gateway", drained).await.unwrap();
    for _ in 0..4 {
        let next = client.get("/").await;
        assert!(next.starts_with("HTTP/1.1 200") && !next.ends_with(drained), "{next}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_redispatched_and_none_serving_is_503() {
    let Rig { a, b, balancer, instance, scratch } = Rig::up().await;
    drop(b);
    let mut client = Client::new(balancer.front()).await;
    for _ in 0..4 {
        assert!(client.get("/").await.ends_with("node-a"));
    }
    a.healthy.store(false, Ordering::SeqCst);
    let down = async {
        while instance.observe("gateway", "node-a").await.unwrap().1.status != Status::Down {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, down).await.expect("a failing check takes it down");
    assert!(client.get("/").await.starts_with("HTTP/1.1 503"));
    let (_, view) = instance.observe("gateway", "node-a").await.unwrap();
    assert_eq!((view.check_passed(), view.check_status.as_deref()), (false, Some("L7STS")));
    drop(scratch);
}

#[tokio::test]
async fn sessions_cut_by_force_end_for_the_client_and_in_the_counters() {
    let rig = Rig::up().await;
    let request = rig.hold_on_a().await;
    let member = MemberName::new("gateway", "node-a");
    assert_eq!(rig.instance.kill_sessions(&member).await.unwrap().sessions, 1);
    assert!(request.await.unwrap().starts_with("HTTP/1.1 502"));
    rig.until("node-a", |status, sessions| *status == Status::Up && sessions == 0).await;
}

#[tokio::test]
async fn a_client_that_gives_up_leaves_no_session_behind() {
    let rig = Rig::up().await;
    let request = rig.hold_on_a().await;
    request.abort();
    rig.until("node-a", |_, sessions| sessions == 0).await;
}

#[tokio::test]
async fn maintenance_pauses_checks_and_a_weight_is_brought_back() {
    let rig = Rig::up().await;
    let before = rig.instance.look("gateway", "node-b").await.unwrap();
    let member = before.member.clone();
    rig.instance.hold(&member, Hold::Maint).await.unwrap();
    let (_, view) = rig.instance.observe("gateway", "node-b").await.unwrap();
    assert_eq!((view.status, view.admin.forced_maint(), view.op_state), (Status::Maint, true, 0));
    assert_eq!(rig.raw("set weight gateway/node-b 0\n").await, "\n");
    let undone = rig.instance.undrain(&before).await.unwrap();
    assert_eq!((undone.weight_set, undone.now), (Some((0, 1)), Hold::Ready));
    rig.until("node-b", |status, _| *status == Status::Up).await;
    drop(rig.b);
}

#[tokio::test]
async fn refusals_have_the_words_of_haproxy_and_every_reply_ends_with_an_empty_line() {
    let rig = Rig::up().await;
    for (command, wanted) in [
        ("set server gateway/node-a state drain", ""),
        ("set server gateway/none state drain", "No such server.\n"),
        ("set server none/none state drain", "No such backend.\n"),
        ("set server gateway state drain", "Require 'backend/server'.\n"),
        (
            "set server gateway/node-a state off",
            "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n",
        ),
        (
            "set weight gateway/node-a 300",
            "Absolute weight can only be between 0 and 256 inclusive.\n",
        ),
        ("set weight gateway/node-a", "Require <weight> or <weight%>.\n"),
        ("shutdown sessions server gateway/none", "No such server.\n"),
        ("show servers state none", "Can't find backend.\n"),
        ("show stat none 4 -1", "No such proxy.\n"),
        ("set weight gateway/node-a 0%;set weight gateway/node-a 100%", "\n"),
    ] {
        assert_eq!(rig.raw(&format!("{command}\n")).await, format!("{wanted}\n"), "{command}");
    }
    assert!(rig.raw("make coffee\n").await.starts_with("Unknown command, but maybe one of"));
    let missing = rig.instance.observe("none", "node-a").await.unwrap_err();
    assert!(
        matches!(&missing, InstanceError::Reply(ReplyError::NoSuchBackend { .. })),
        "{missing:?}"
    );
    let api = rig.balancer.api().unwrap().to_string();
    let by_tcp = Instance::new("tcp", Endpoint::Tcp(api), PATIENCE);
    let (unix, tcp) = (rig.instance.identity().await.unwrap(), by_tcp.identity().await.unwrap());
    assert!(unix.same_process(&tcp) && unix.pid == std::process::id());
    assert_eq!(by_tcp.observe_all("gateway").await.unwrap().servers.len(), 2);
}
