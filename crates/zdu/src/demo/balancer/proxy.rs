//! Forwarding: a client's requests, each on a connection of its own to a server.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::Backend;
use super::server;

/// How long a connection to a server may take: `timeout connect 1s`.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

type Answer = Response<Either<Relayed, Full<Bytes>>>;

/// Takes clients for ever; their connections end with this task.
pub(super) async fn accept(backend: Arc<Backend>, listener: TcpListener) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(clients.spawn(client(Arc::clone(&backend), stream))),
                Err(_) => super::rest_after_error().await,
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

/// Counts one client connection for as long as it lives.
struct Connected(Arc<Backend>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.client_connections.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn client(backend: Arc<Backend>, stream: TcpStream) {
    backend.client_connections.fetch_add(1, Ordering::SeqCst);
    let _connected = Connected(Arc::clone(&backend));
    // Small answers at once; a failure to set it costs latency only.
    drop(stream.set_nodelay(true));
    let serve = service_fn(move |request| {
        let backend = Arc::clone(&backend);
        async move { Ok::<_, Infallible>(forward(&backend, request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve);
    // A client that breaks off ends its own request; there is nobody to tell.
    drop(connection.await);
}

/// Sends the request to the server whose turn it is; to another one only where nothing was sent,
/// because the connection was refused.
async fn forward(backend: &Arc<Backend>, mut request: Request<Incoming>) -> Answer {
    strip(request.headers_mut());
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let mut refused = Vec::new();
    while let Some((session, address)) = Session::begin(backend, &refused) {
        match tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return relay(session, stream, request).await,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                refused.push(session.redispatch());
            }
            Ok(Err(_)) | Err(_) => break,
        }
    }
    own_answer(StatusCode::SERVICE_UNAVAILABLE, "No server is available to handle this request.")
}

async fn relay(session: Arc<Session>, stream: TcpStream, request: Request<Incoming>) -> Answer {
    drop(stream.set_nodelay(true));
    let broken = || {
        own_answer(
            StatusCode::BAD_GATEWAY,
            "The server returned an invalid or incomplete response.",
        )
    };
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let Ok((mut sender, connection)) = handshake else {
        return broken();
    };
    let of_connection = Arc::clone(&session);
    let driver = tokio::spawn(async move {
        // Declared before the connection, so dropped after it: a session is over when its
        // connection is closed, not before.
        let session = of_connection;
        let connection = pin!(connection);
        tokio::select! {
            // How it ended shows in the answer.
            _ = connection => {}
            () = session.kill.notified() => {}
        }
    });
    let driver = Driver(driver.abort_handle());
    match sender.send_request(request).await {
        Ok(answer) => {
            let (mut head, body) = answer.into_parts();
            strip(&mut head.headers);
            let relayed = Relayed { body, _driver: driver, _session: session };
            Response::from_parts(head, Either::Left(relayed))
        }
        Err(_) => broken(),
    }
}

/// Takes out what speaks of one connection only (RFC 9110 7.6.1): a node that stops says
/// `connection: close`, and that is about its connection to us, not about the client's.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in
        ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"]
    {
        headers.remove(name);
    }
}

fn own_answer(status: StatusCode, text: &str) -> Answer {
    let title = status.to_string();
    let body = format!("<html><body><h1>{title}</h1>\n{text}\n</body></html>\n\n");
    let mut answer = Response::new(Either::Right(Full::new(Bytes::from(body))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer
}

/// One request on one server: counted in `scur` as long as this lives.
struct Session {
    backend: Arc<Backend>,
    server: usize,
    id: u64,
    kill: Arc<Notify>,
}

impl Session {
    /// Chooses a server and counts the session in one step, so that no drain comes in between.
    fn begin(
        backend: &Arc<Backend>,
        refused: &[usize],
    ) -> Option<(Arc<Self>, std::net::SocketAddr)> {
        let mut servers = backend.servers();
        let index = server::next(&mut servers, refused)?;
        let server = servers.get_mut(index)?;
        let id = backend.next_session.fetch_add(1, Ordering::SeqCst);
        let kill = Arc::new(Notify::new());
        server.sessions.insert(id, Arc::clone(&kill));
        server.sessions_total += 1;
        server.sessions_max = server.sessions_max.max(server.sessions.len());
        let address = server.address;
        drop(servers);
        let session = Self { backend: Arc::clone(backend), server: index, id, kill };
        Some((Arc::new(session), address))
    }

    /// Ends it for another server; tells which one refused.
    fn redispatch(&self) -> usize {
        if let Some(server) = self.backend.servers().get_mut(self.server) {
            server.redispatched += 1;
        }
        self.server
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(server) = self.backend.servers().get_mut(self.server) {
            server.sessions.remove(&self.id);
        }
    }
}

/// Ends the task of a server connection when the answer was passed on, or nobody waits for it.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A server's answer on its way to the client.
struct Relayed {
    body: Incoming,
    _driver: Driver,
    _session: Arc<Session>,
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
