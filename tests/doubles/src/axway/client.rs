//! Asking the stand-in's processes over HTTP.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

/// A process that does not answer a question about itself within this is not running.
const ANSWER_MS_MAX: u64 = 2_000;

/// What a process says about itself at `/double/state`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) node: String,
    /// Present for an instance, absent for a Node Manager.
    pub(crate) instance: Option<String>,
    pub(crate) version: String,
    /// Id of the domain, of a Node Manager.
    pub(crate) domain: Option<String>,
    pub(crate) holds_key: bool,
}

/// One exchange on a connection of its own. `None` when nothing answers in time.
pub(crate) async fn ask(
    method: Method,
    address: &str,
    port: u16,
    path: &str,
) -> Option<(u16, Bytes)> {
    let limit = Duration::from_millis(ANSWER_MS_MAX);
    tokio::time::timeout(limit, exchange(method, address, port, path)).await.ok()?
}

async fn exchange(method: Method, address: &str, port: u16, path: &str) -> Option<(u16, Bytes)> {
    let stream = TcpStream::connect((address, port)).await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", format!("{address}:{port}"))
        .header("connection", "close")
        .body(Full::new(Bytes::new()))
        .ok()?;
    let answer = sender.send_request(request).await.ok()?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    driver.abort();
    Some((status, body))
}

/// The state of the process behind a port; `None` when none of ours answers.
pub(crate) async fn state(address: &str, port: u16) -> Option<State> {
    let (status, body) = ask(Method::GET, address, port, "/double/state").await?;
    (status == 200).then(|| serde_json::from_slice(&body).ok()).flatten()
}

/// Runs one conversation from a tool, which is not async itself.
pub(crate) fn block_on<T>(conversation: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(conversation))
}
