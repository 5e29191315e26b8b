//! A small HTTP/1.1 keep-alive application with a version, and a graceful end.
//!
//! - `/` and any other path: one line of text; `/slow?ms=N`: the same after N milliseconds;
//! - `/health`: `ok`; `/version`: `{"host": .., "version": ..}`;
//! - every answer has `X-Host` and `X-Version`.
//!
//! On TERM it stops accepting, answers what is running with `Connection: close`, closes idle
//! connections and ends when no request is left.

use std::convert::Infallible;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::LabError;

/// `/slow` waits no longer than this, whatever it is asked for.
const SLOW_MS_MAX: u64 = 600_000;

#[derive(Debug, Clone)]
struct App {
    host: String,
    version: String,
}

/// `zdu-lab-app --port N --host NAME (--version TEXT | --version-file PATH)`.
pub fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let served = parse(args).and_then(|(port, app)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(LabError::because("start the runtime"))?;
        runtime.block_on(serve(port, app))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            // Nothing is left to do when stderr is closed.
            let _ = writeln!(std::io::stderr(), "zdu-lab-app: failed to {cause}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<(u16, App), LabError> {
    let (mut port, mut host, mut version) = (None, None, None);
    while let (Some(flag), Some(value)) = (args.next(), args.next()) {
        match flag.as_str() {
            "--port" => port = value.parse().ok(),
            "--host" => host = Some(value),
            "--version" => version = Some(value),
            "--version-file" => {
                let text = std::fs::read_to_string(&value)
                    .map_err(LabError::because(format!("read {value}")))?;
                version = Some(text.trim().to_owned());
            }
            _ => return Err(LabError::new(format!("know option {flag}"))),
        }
    }
    match (port, host, version) {
        (Some(port), Some(host), Some(version)) => Ok((port, App { host, version })),
        _ => Err(LabError::new(
            "find --port, --host and --version or --version-file",
        )),
    }
}

async fn serve(port: u16, app: App) -> Result<(), LabError> {
    let mut term = signal(SignalKind::terminate()).map_err(LabError::because("listen for TERM"))?;
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .map_err(LabError::because(format!("listen on port {port}")))?;
    let (stop, stopping) = watch::channel(false);
    // Every connection holds a sender; the channel ends when the last connection has ended.
    let (connection, mut connections_ended) = mpsc::channel::<Infallible>(1);
    loop {
        tokio::select! {
            _ = term.recv() => break,
            accepted = listener.accept() => {
                // A connection that ended before it was accepted is the client's business.
                let Ok((stream, _)) = accepted else { continue };
                let (app, stopping, held) = (app.clone(), stopping.clone(), connection.clone());
                tokio::spawn(async move {
                    answer(stream, app, stopping).await;
                    drop(held);
                });
            }
        }
    }
    drop(listener);
    drop(connection);
    stop.send_replace(true);
    connections_ended.recv().await;
    Ok(())
}

async fn answer(stream: TcpStream, app: App, mut stopping: watch::Receiver<bool>) {
    // Refused only for a socket that is gone, which the next read shows.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(app.clone(), request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    tokio::select! {
        // How a client ends its connection is its business.
        _ = served.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    // hyper closes an idle connection now, a busy one after an answer with `Connection: close`.
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

async fn respond(
    app: App,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let App { host, version } = app;
    let body = match request.uri().path() {
        "/health" => "ok\n".to_owned(),
        "/version" => {
            format!(
                "{}\n",
                serde_json::json!({ "host": host, "version": version })
            )
        }
        "/slow" => {
            tokio::time::sleep(slow(request.uri().query())).await;
            format!("{host} {version}\n")
        }
        _ => format!("{host} {version}\n"),
    };
    Response::builder()
        .header("X-Host", host)
        .header("X-Version", version)
        .body(Full::new(Bytes::from(body)))
}

/// `ms=N` of the query; a second when it is missing.
fn slow(query: Option<&str>) -> Duration {
    let asked = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("ms=")?.parse().ok())
        .unwrap_or(1000);
    Duration::from_millis(SLOW_MS_MAX.min(asked))
}
