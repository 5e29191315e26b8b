//! The serving loop of a detached process: bind, say "ready", serve, stop gracefully.

use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::instance::Instance;
use super::node_manager::NodeManager;
use super::process::{PidFile, REQUESTS_MS_MAX, Service};
use super::spec::InstallSpec;
use super::tls::{Tls, begins_with_tls};

/// An answer with its whole body.
pub(crate) type Answer = Response<Full<Bytes>>;

/// How often a process looks whether its installation still exists.
const ALIVE_CHECK_MS: u64 = 200;

/// What a detached process answers.
pub(crate) trait Application: Send + Sync + 'static {
    /// Answers one request; `stopping` once the process was asked to stop.
    fn answer(
        &self,
        request: Request<Incoming>,
        stopping: bool,
    ) -> impl Future<Output = Answer> + Send;
}

/// Builds an answer.
pub(crate) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    answer
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Answer {
    answer(status, "application/json", serde_json::to_vec(body).unwrap_or_default())
}

/// The words `serve INSTALL_DIR KIND ..`: becomes the service until it is stopped. Says `ready` or
/// why not on the first line of standard output.
pub(crate) fn serve(spec: InstallSpec, words: &[String]) -> i32 {
    let Some(service) = Service::from_words(words) else {
        say_first_line("ERROR: unknown service");
        return 100;
    };
    // A session of its own: the end of a terminal or of the tool's group does not reach it.
    // It fails only for a leader of a session, which needs none.
    let _ = rustix::process::setsid();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say_first_line(&format!("ERROR: {error}"));
            return 1;
        }
    };
    let served = runtime.block_on(async {
        match &service {
            Service::NodeManager => {
                let port = spec.own_node().management_port;
                let secure = spec.tls.as_ref().map(Tls::acceptor).transpose()?;
                run(&spec, &service, Port { port, secure }, 0, NodeManager::new(spec.clone())).await
            }
            Service::Instance { name, group } => match Instance::new(&spec, name, group) {
                Some((instance, port)) => {
                    let port = Port { port, secure: None };
                    run(&spec, &service, port, spec.delays.health_lb_ms, instance).await
                }
                None => Err(io::Error::other("no such instance")),
            },
        }
    });
    match served {
        Ok(()) => 0,
        Err(error) => {
            say_first_line(&format!("ERROR: {error}"));
            1
        }
    }
}

fn say_first_line(text: &str) {
    let mut output = io::stdout().lock();
    drop(writeln!(output, "{text}"));
    drop(output.flush());
}

/// A port and, where it speaks HTTPS, with what.
struct Port {
    port: u16,
    secure: Option<TlsAcceptor>,
}

async fn run(
    spec: &InstallSpec,
    service: &Service,
    Port { port, secure }: Port,
    health_lb_ms: u64,
    application: impl Application,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::time::sleep(Duration::from_millis(spec.delays.start_ms)).await;
    let address = spec.own_node().address.as_str();
    let listener = TcpListener::bind((address, port)).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot bind {address}:{port}: {error}"))
    })?;
    let pid_file = PidFile::of_service(spec, service);
    say_first_line("ready");

    let application = Arc::new(application);
    let stopping = Arc::new(AtomicBool::new(false));
    let (close, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut alive_check = tokio::time::interval(Duration::from_millis(ALIVE_CHECK_MS));
    let end_of_life = Instant::now() + Duration::from_millis(spec.life_ms_max);
    let mut accept_until = None;
    loop {
        let last_accept = accept_until.unwrap_or(end_of_life);
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let (application, stopping) = (Arc::clone(&application), Arc::clone(&stopping));
                let asked = Asked { application, stopping, plain_on_secure: false };
                connections.spawn(accepted_one(stream, secure.clone(), asked, closed.clone()));
            },
            _ = terminate.recv(), if accept_until.is_none() => {
                stopping.store(true, Ordering::SeqCst);
                accept_until = Some(Instant::now() + Duration::from_millis(health_lb_ms));
            }
            () = tokio::time::sleep_until(last_accept) => break,
            _ = alive_check.tick() => if !spec.layout().spec_file().exists() { return Ok(()) },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    stopping.store(true, Ordering::SeqCst);
    let _ = close.send(true);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    // What is still open after the limit is cut off: the product does not wait for ever either.
    drop(tokio::time::timeout(Duration::from_millis(REQUESTS_MS_MAX), all_closed).await);
    tokio::time::sleep(Duration::from_millis(spec.delays.stop_ms)).await;
    drop(pid_file);
    Ok(())
}

/// What a connection asks, and how it came.
struct Asked<A> {
    application: Arc<A>,
    stopping: Arc<AtomicBool>,
    /// Plain HTTP where HTTPS is spoken: only the stand-ins themselves may.
    plain_on_secure: bool,
}

/// Serves one connection, plain or not.
async fn accepted_one(
    stream: TcpStream,
    secure: Option<TlsAcceptor>,
    mut asked: Asked<impl Application>,
    closed: watch::Receiver<bool>,
) {
    let Some(secure) = secure else {
        return connection(stream, asked, closed).await;
    };
    let mut closes = closed.clone();
    let begun = async {
        if begins_with_tls(&stream).await {
            secure.accept(stream).await.map(Ok)
        } else {
            Ok(Err(stream))
        }
    };
    let begun = tokio::select! {
        begun = begun => begun,
        _ = closes.wait_for(|closed| *closed) => return,
    };
    match begun {
        Ok(Ok(stream)) => connection(stream, asked, closed).await,
        Ok(Err(stream)) => {
            asked.plain_on_secure = true;
            connection(stream, asked, closed).await;
        }
        // Whoever cannot agree on TLS, or does not trust us, has said so itself.
        Err(_) => {}
    }
}

/// Serves one connection until the peer or a stop closes it. A stop lets the running request finish
/// and closes an idle connection at once.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    asked: Asked<impl Application>,
    mut closed: watch::Receiver<bool>,
) {
    let Asked { application, stopping, plain_on_secure } = asked;
    let serve_one = service_fn(move |request: Request<Incoming>| {
        let (application, stopping) = (Arc::clone(&application), Arc::clone(&stopping));
        async move {
            if plain_on_secure && !request.uri().path().starts_with("/double/") {
                return Ok(answer(StatusCode::BAD_REQUEST, "text/plain", "this port speaks HTTPS"));
            }
            let mut answer = application.answer(request, stopping.load(Ordering::SeqCst)).await;
            // Looked at again: the stop may have come while the request ran.
            if stopping.load(Ordering::SeqCst) {
                answer.headers_mut().insert("connection", HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let io = TokioIo::new(stream);
    let mut connection =
        pin!(hyper::server::conn::http1::Builder::new().serve_connection(io, serve_one));
    let mut asked_to_close = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = closed.wait_for(|closed| *closed), if !asked_to_close => {
                asked_to_close = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
