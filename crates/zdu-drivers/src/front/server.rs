//! A small HTTP server for tests that does with each request what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};

/// What is done with a request.
#[derive(Debug, Clone)]
pub(super) enum Play {
    /// These bytes, and the connection stays open where the request did not ask to close it.
    Say(String),
    /// These bytes, and the connection is closed.
    SayAndClose(String),
    /// These bytes, and the connection is closed when this is told.
    SayAndCloseThen(String, Arc<Notify>),
    /// Nothing at all; the connection stays open.
    Nothing,
}

/// An answer with a status and a body.
pub(super) fn answer(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nx-release: r1\r\n\r\n{body}")
}

/// Which request it is on its connection, and what it said.
pub(super) struct Asked {
    pub(super) request: u64,
    pub(super) head: String,
}

type Script = Arc<dyn Fn(&Asked) -> Play + Send + Sync>;

/// Serves on a thread of its own until it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Requests that came in whole.
    pub(super) requests: Arc<AtomicU64>,
    /// Connections that were accepted.
    pub(super) connections: Arc<AtomicU64>,
    /// Something for each request that came in.
    pub(super) came: mpsc::UnboundedReceiver<()>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    pub(super) fn start(script: impl Fn(&Asked) -> Play + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::default(), Arc::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, came) = mpsc::unbounded_channel();
        let served = Served { script: Arc::new(script), requests: Arc::clone(&requests), tell };
        let accepted = Arc::clone(&connections);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    biased;
                    _ = stopped => {}
                    () = accept(&listener, &served, &accepted) => {}
                }
            });
        });
        Self { address, requests, connections, came, _stop: stop }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/health?of=all", self.address)
    }

    pub(super) fn count(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Served {
    script: Script,
    requests: Arc<AtomicU64>,
    tell: mpsc::UnboundedSender<()>,
}

async fn accept(listener: &TcpListener, served: &Served, accepted: &AtomicU64) {
    loop {
        let (stream, _from) = listener.accept().await.unwrap();
        accepted.fetch_add(1, Ordering::SeqCst);
        let served = served.clone();
        tokio::spawn(async move { served.serve(stream).await });
    }
}

impl Served {
    async fn serve(&self, mut stream: TcpStream) {
        let mut request = 0;
        while let Some(head) = head(&mut stream).await {
            self.requests.fetch_add(1, Ordering::SeqCst);
            let close = head.contains("connection: close");
            let play = (self.script)(&Asked { request, head });
            // The test may have seen enough.
            let _heard = self.tell.send(());
            match play {
                Play::Say(text) => {
                    // A client that gave up sees nothing of it.
                    let _said = stream.write_all(text.as_bytes()).await;
                    if close {
                        return;
                    }
                }
                Play::SayAndClose(text) => {
                    let _said = stream.write_all(text.as_bytes()).await;
                    return;
                }
                Play::SayAndCloseThen(text, then) => {
                    let _said = stream.write_all(text.as_bytes()).await;
                    then.notified().await;
                    return;
                }
                Play::Nothing => {}
            }
            request += 1;
        }
    }
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
