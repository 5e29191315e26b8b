//! A small HTTP/1.1 reverse proxy that answers HAProxy's runtime API.
//!
//! What it is: one frontend port, one backend, round robin over the servers that serve, a health
//! check of each, and the commands the HAProxy driver sends, answered in HAProxy 2.6's words. So a
//! demo runs the driver of a real fleet with nothing installed.
//!
//! What it never does: it keeps no connection to a server beyond its request (as `http-reuse never`
//! with `option http-server-close`: no idle pool), and it sends no request twice. Only when a
//! server refuses the connection, so that nothing was sent, the request goes to another one, as
//! with `option redispatch`. A drain never closes a client's connection.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use server::Server;

mod check;
mod proxy;
mod runtime_api;
mod server;
#[cfg(test)]
mod tests;

/// Longest command line taken, bytes; HAProxy's is its buffer of 16 KiB.
const LINE_MAX: u64 = 16 * 1024;
/// How long a client of the runtime API may take for its line: HAProxy's `stats timeout`.
const LINE_PATIENCE: Duration = Duration::from_secs(10);

/// Where a balancer listens and what it forwards to.
#[derive(Debug, Clone)]
pub(crate) struct BalancerSpec {
    /// Name of the one backend.
    pub(crate) backend: String,
    /// Its servers by name, in the order of the tables.
    pub(crate) servers: Vec<(String, SocketAddr)>,
    /// Path of the health check on every server.
    pub(crate) check_path: String,
    /// Frontend; port 0 takes a free one.
    pub(crate) front: SocketAddr,
    /// Runtime API: a path that does not exist yet.
    pub(crate) socket: PathBuf,
    /// Runtime API over TCP too, if wanted; port 0 takes a free one.
    pub(crate) api: Option<SocketAddr>,
}

/// The running balancer; ends with all its connections, and removes its socket, when dropped.
pub(crate) struct Balancer {
    backend: Arc<Backend>,
    front: SocketAddr,
    api: Option<SocketAddr>,
    socket: PathBuf,
    _tasks: JoinSet<()>,
}

/// The one backend, shared by all tasks.
struct Backend {
    name: String,
    servers: Mutex<Vec<Server>>,
    next_session: AtomicU64,
    client_connections: AtomicUsize,
    begun: Instant,
    begun_unix_s: u64,
    /// Said after every change of a server's state.
    change: watch::Sender<()>,
}

impl Backend {
    fn servers(&self) -> MutexGuard<'_, Vec<Server>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.change.send_replace(());
    }

    fn client_connections(&self) -> usize {
        self.client_connections.load(Ordering::SeqCst)
    }
}

impl Balancer {
    /// Listens and begins to check; a server serves after its second passed check.
    ///
    /// # Errors
    /// When an address or the socket's path cannot be bound.
    pub(crate) async fn start(spec: BalancerSpec) -> io::Result<Self> {
        let front = TcpListener::bind(spec.front).await?;
        let unix = UnixListener::bind(&spec.socket)?;
        std::fs::set_permissions(&spec.socket, std::fs::Permissions::from_mode(0o600))?;
        let tcp = match spec.api {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let servers: Vec<Server> =
            spec.servers.iter().map(|(name, address)| Server::new(name, *address)).collect();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let backend = Arc::new(Backend {
            name: spec.backend,
            servers: Mutex::new(servers),
            next_session: AtomicU64::new(0),
            client_connections: AtomicUsize::new(0),
            begun: Instant::now(),
            begun_unix_s: since.as_secs(),
            change: watch::channel(()).0,
        });
        let mut balancer = Self {
            front: front.local_addr()?,
            api: tcp.as_ref().map(TcpListener::local_addr).transpose()?,
            socket: spec.socket,
            backend: Arc::clone(&backend),
            _tasks: JoinSet::new(),
        };
        let tasks = &mut balancer._tasks;
        for index in 0..spec.servers.len() {
            tasks.spawn(check::keep_checking(Arc::clone(&backend), index, spec.check_path.clone()));
        }
        tasks.spawn(proxy::accept(Arc::clone(&backend), front));
        tasks.spawn(accept_unix(Arc::clone(&backend), unix));
        if let Some(tcp) = tcp {
            tasks.spawn(accept_tcp(backend, tcp));
        }
        Ok(balancer)
    }

    /// The frontend's address.
    pub(crate) fn front(&self) -> SocketAddr {
        self.front
    }

    /// The runtime API's TCP address, where there is one.
    #[cfg_attr(not(test), expect(dead_code, reason = "the demo uses the unix socket"))]
    pub(crate) fn api(&self) -> Option<SocketAddr> {
        self.api
    }

    /// The runtime API's socket.
    #[cfg(test)]
    pub(crate) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Waits until every server serves; the names of those that do not at the deadline otherwise.
    ///
    /// # Errors
    /// The names, when `deadline` passed.
    pub(crate) async fn all_serve(&self, deadline: Duration) -> Result<(), Vec<String>> {
        let mut changes = self.backend.change.subscribe();
        let all = async {
            while !self.missing().is_empty() {
                // The sender lives as long as `self`.
                drop(changes.changed().await);
            }
        };
        tokio::time::timeout(deadline, all).await.map_err(|_| self.missing())
    }

    fn missing(&self) -> Vec<String> {
        let servers = self.backend.servers();
        servers.iter().filter(|server| !server.serves()).map(|server| server.name.clone()).collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.socket));
    }
}

async fn accept_unix(backend: Arc<Backend>, listener: UnixListener) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(clients.spawn(command_line(Arc::clone(&backend), stream))),
                Err(_) => rest_after_error().await,
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn accept_tcp(backend: Arc<Backend>, listener: TcpListener) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(clients.spawn(command_line(Arc::clone(&backend), stream))),
                Err(_) => rest_after_error().await,
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

/// Out of descriptors, for example: trying again at once would spin.
async fn rest_after_error() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// One connection of the runtime API: one line, its replies, the end.
async fn command_line(backend: Arc<Backend>, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let exchange = async {
        let mut line = Vec::new();
        let mut chunk = [0; 512];
        while !line.contains(&b'\n') && (line.len() as u64) < LINE_MAX {
            let read = stream.read(&mut chunk).await?;
            if read == 0 {
                break;
            }
            line.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
        let text = String::from_utf8_lossy(&line);
        let Some(first) = text.lines().next() else {
            return Ok(());
        };
        stream.write_all(runtime_api::answer(&backend, first).as_bytes()).await?;
        stream.shutdown().await
    };
    // A client that goes away, or says nothing, gets nothing.
    let _: Result<io::Result<()>, _> = tokio::time::timeout(LINE_PATIENCE, exchange).await;
}
