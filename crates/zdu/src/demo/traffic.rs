//! Steady client traffic for a whole run, counted and never retried.
//!
//! What it is: clients that keep their connection, clients that open one for each request, and one
//! that asks for a slow answer, all at a bounded rate. What any of them does not get is a failure
//! with its time and kind, also where a client with a retry would not have noticed: a kept
//! connection that was closed while idle counts. What was promised to users is what is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HOST, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use report::{Answered, Recorder};

mod report;
#[cfg(test)]
mod tests;

pub(crate) use report::{ClientKind, FailureKind, TrafficReport};

/// How long one request may take: far beyond the slow ones, so that only a stall reaches it.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
/// Clients that keep their connection, and the pause between their requests: 120 a second in all.
const KEPT: (u32, Duration) = (6, Duration::from_millis(50));
/// Clients with a connection for each request: 80 a second in all.
const SINGLE: (u32, Duration) = (4, Duration::from_millis(50));
/// Longer than a drain would take that does not wait for running requests.
const SLOW_PATH: &str = "/slow?ms=1500";
/// Between two slow requests: nearly always one is running.
const SLOW_PAUSE: Duration = Duration::from_millis(50);

/// Running clients; [`Self::stop`] ends them and tells what they saw.
pub(crate) struct Traffic {
    recorder: Arc<Recorder>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

impl Traffic {
    /// Begins to ask at `addr`. The first requests go out at once, so something should serve there.
    pub(crate) fn start(addr: SocketAddr) -> Self {
        let recorder = Arc::new(Recorder::new());
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        let kinds = [
            (ClientKind::Kept, KEPT),
            (ClientKind::Single, SINGLE),
            (ClientKind::Slow, (1, SLOW_PAUSE)),
        ];
        for (kind, (count, pause)) in kinds {
            for number in 0..count {
                let client = Client { kind, addr, recorder: Arc::clone(&recorder), kept: None };
                // Spread over the pause, so that the rate is even.
                let begin = Instant::now() + pause * number / count;
                clients.spawn(client.run(begin, pause, stopped.clone()));
            }
        }
        Self { recorder, stop, clients }
    }

    /// Lets running requests end, and counts them too.
    pub(crate) async fn stop(mut self) -> TrafficReport {
        self.recorder.stop();
        self.stop.send_replace(true);
        // Each client's wait is bounded by the patience of one request.
        while self.clients.join_next().await.is_some() {}
        self.recorder.report()
    }

    /// Requests answered and failed up to now.
    #[cfg(test)]
    pub(crate) fn so_far(&self) -> (u64, u64) {
        self.recorder.so_far()
    }
}

/// A connection that is kept; its task ends with it.
struct Kept {
    sender: SendRequest<Empty<Bytes>>,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

struct Client {
    kind: ClientKind,
    addr: SocketAddr,
    recorder: Arc<Recorder>,
    kept: Option<Kept>,
}

impl Client {
    async fn run(mut self, begin: Instant, pause: Duration, mut stopped: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval_at(begin, pause);
        // After a stall the rate goes on; the requests missed meanwhile show as a gap.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                _ = tick.tick() => {}
            }
            let begun = Instant::now();
            let outcome = tokio::time::timeout(REQUEST_PATIENCE, self.ask()).await;
            let outcome = outcome.unwrap_or(Err(FailureKind::TimedOut));
            if outcome.is_err() {
                self.kept = None;
            }
            self.recorder.record(self.kind, begun.elapsed(), outcome);
        }
    }

    /// One request. An error is a failure a user would have seen, or had to repeat.
    async fn ask(&mut self) -> Result<Answered, FailureKind> {
        let mut kept = match self.kept.take() {
            Some(kept) => kept,
            None => connect(self.addr).await?,
        };
        // Ready at once on a connection that lives. Before the first request, it always does.
        if kept.sender.ready().await.is_err() || kept.driver.is_finished() {
            return Err(FailureKind::ClosedIdle);
        }
        let keeps = match self.kind {
            ClientKind::Kept | ClientKind::Slow => true,
            ClientKind::Single => false,
        };
        let path = if self.kind == ClientKind::Slow { SLOW_PATH } else { "/" };
        let request = Request::get(path)
            .header(HOST, self.addr.to_string())
            .header(CONNECTION, if keeps { "keep-alive" } else { "close" })
            .body(Empty::new())
            .expect("a request of constant parts is well formed");
        let answer = kept.sender.send_request(request).await;
        let answer = answer.map_err(|error| FailureKind::NoAnswer(error.to_string()))?;
        let (head, body) = answer.into_parts();
        body.collect().await.map_err(|error| FailureKind::CutAnswer(error.to_string()))?;
        if head.status != StatusCode::OK {
            return Err(FailureKind::Status(head.status.as_u16()));
        }
        // A server may close after an answer if it says so; that loses nothing.
        let closes = text(&head.headers, "connection").eq_ignore_ascii_case("close");
        self.kept = (keeps && !closes).then_some(kept);
        let (host, version) = (text(&head.headers, "x-host"), text(&head.headers, "x-version"));
        Ok(Answered { host, version })
    }
}

async fn connect(addr: SocketAddr) -> Result<Kept, FailureKind> {
    let failed = |error: std::io::Error| FailureKind::NotConnected(error.to_string());
    let stream = TcpStream::connect(addr).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) =
        handshake.map_err(|error| FailureKind::NotConnected(error.to_string()))?;
    // How the connection ends shows in the requests on it.
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok(Kept { sender, driver })
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
