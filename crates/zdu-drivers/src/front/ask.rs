//! One request, sent once over one connection, and what came of it.

use super::Mask;
use super::wire::{NoWire, Place, Traffic, Wire};
use crate::capture::plain;
use crate::probe::want::{Answered, judge};
use crate::secret::Redactor;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use zdu_model::front::{FailureKind, VersionAt};
use zdu_model::plan::Want;

/// The most of a body that is looked at, in bytes. More is not what a front is watched by.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The most of a release that is told, in characters.
const VERSION_CHARS_MAX: usize = 64;

/// How long the server may take to close a connection it was asked to close.
const LINGER: Duration = Duration::from_secs(1);

/// A timer that comes so much later than it was set for was not late by itself: we stood still.
const STOOD: Duration = Duration::from_millis(100);

/// What is asked of a front in one way of connecting.
#[derive(Clone)]
pub(super) struct Question {
    /// Where.
    pub(super) place: Arc<Place>,
    /// Path and query.
    pub(super) path: hyper::Uri,
    /// As the header names it.
    pub(super) host: HeaderValue,
    /// Connection, answer and the whole body take so long at most.
    pub(super) timeout: Duration,
    /// What an answer must be like.
    pub(super) want: Want,
    /// Where it names its release.
    pub(super) version: Option<VersionAt>,
    /// Masks what a server said.
    pub(super) mask: Mask,
    /// The connection is for one request.
    pub(super) once: bool,
    /// The body is read whole and not looked at, however much it is.
    pub(super) any_body: bool,
    /// How many connections may wait for the server to close them.
    pub(super) lingering: Arc<Semaphore>,
}

/// What came of a request.
pub(super) struct Told {
    /// None: an answer as wanted.
    pub(super) failed: Option<Failed>,
    /// The release that answered, masked.
    pub(super) version: Option<String>,
    /// A kept connection was found closed before anything was written.
    pub(super) reopened: bool,
    /// To be asked over again.
    pub(super) link: Option<Link>,
}

/// Why there is no answer as wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// Not sent: this machine has no means to.
    Machine,
    /// The front's.
    Front(FailureKind, Option<u16>),
}

/// A connection that HTTP is spoken over. Dropping it closes it at once.
pub(super) struct Link {
    sender: SendRequest<Empty<Bytes>>,
    traffic: Arc<Traffic>,
    /// Runs the connection.
    driver: Driver,
    used: bool,
}

struct Driver(Option<JoinHandle<()>>);

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Link {
    async fn open(question: &Question) -> Result<Self, NoWire> {
        let wire = question.place.open().await?;
        let traffic = wire.traffic();
        let made = http1::handshake(TokioIo::new(wire)).await;
        // It only sets up buffers and says nothing to the server yet.
        let (sender, connection) = made.map_err(|_| NoWire::Front(FailureKind::NotConnected))?;
        let lingering = question.once.then(|| Arc::clone(&question.lingering));
        let driver = Driver(Some(tokio::spawn(drive(connection, lingering))));
        Ok(Self { sender, traffic, driver, used: false })
    }

    /// Closes it in good order, between two requests.
    pub(super) fn close(mut self) {
        // Its task ends behind the sender.
        self.driver.0 = None;
    }
}

/// Runs a connection to its end. One for a single request is left to the server to close, because
/// the side that closes first keeps the port, and this machine has fewer than an hour needs.
async fn drive(connection: Connection<TokioIo<Wire>, Empty<Bytes>>, once: Option<Arc<Semaphore>>) {
    let Ok(parts) = connection.without_shutdown().await else { return };
    let mut wire = parts.io.into_inner();
    let permit: Option<OwnedSemaphorePermit> = once.and_then(|all| all.try_acquire_owned().ok());
    if permit.is_some() {
        let mut rest = [0; 1024];
        let closed = async { while matches!(wire.read(&mut rest).await, Ok(1..)) {} };
        let _waited_enough = timeout(LINGER, closed).await;
    }
    // What is in the way of a good end is the end all the same.
    let _ended = timeout(LINGER, wire.shutdown()).await;
}

/// Why an exchange brought no answer.
enum Broken {
    /// Nothing of the request was written: it may be asked again.
    Unwritten,
    /// What happened.
    Failed(Failed),
}

/// What was answered.
struct Answer {
    failed: Option<Failed>,
    version: Option<String>,
}

/// Asks once, over the connection given if there is one. Only where nothing at all was written to
/// that, as it was closed meanwhile, it is asked over a new one.
pub(super) async fn ask(question: &Question, kept: Option<Link>) -> Told {
    let deadline = Instant::now() + question.timeout;
    let mut reopened = false;
    if let Some(link) = kept {
        match converse(question, link, deadline).await {
            Ok((answer, link)) => return told(Ok(answer), false, link),
            Err(Broken::Unwritten) => reopened = true,
            Err(Broken::Failed(failed)) => return told(Err(failed), false, None),
        }
    }
    let link = match within(deadline, Link::open(question)).await {
        Some(Ok(link)) => link,
        Some(Err(NoWire::Machine)) => return told(Err(Failed::Machine), reopened, None),
        Some(Err(NoWire::Front(kind))) => {
            return told(Err(Failed::Front(kind, None)), reopened, None);
        }
        None => {
            let failed = Failed::Front(FailureKind::NotConnected, None);
            return told(Err(failed), reopened, None);
        }
    };
    match converse(question, link, deadline).await {
        Ok((answer, link)) => told(Ok(answer), reopened, link),
        Err(Broken::Unwritten) => {
            let failed = Failed::Front(FailureKind::ClosedNew, None);
            told(Err(failed), reopened, None)
        }
        Err(Broken::Failed(failed)) => told(Err(failed), reopened, None),
    }
}

fn told(answer: Result<Answer, Failed>, reopened: bool, link: Option<Link>) -> Told {
    match answer {
        Ok(Answer { failed, version }) => Told { failed, version, reopened, link },
        Err(failed) => Told { failed: Some(failed), version: None, reopened, link },
    }
}

async fn converse(
    question: &Question,
    mut link: Link,
    deadline: Instant,
) -> Result<(Answer, Option<Link>), Broken> {
    let mut status = None;
    let answer = within(deadline, exchange(question, &mut link, &mut status)).await;
    let late = Broken::Failed(Failed::Front(FailureKind::TimedOut, status));
    let answer = answer.unwrap_or(Err(late))?;
    link.used = true;
    if question.once {
        link.close();
        return Ok((answer, None));
    }
    Ok((answer, (!link.sender.is_closed()).then_some(link)))
}

async fn exchange(
    question: &Question,
    link: &mut Link,
    status: &mut Option<u16>,
) -> Result<Answer, Broken> {
    link.traffic.begin();
    if link.sender.ready().await.is_err() {
        return Err(Broken::Unwritten);
    }
    let sent = link.sender.send_request(question.request()).await;
    let response = sent.map_err(|error| unanswered(&error, link))?;
    *status = Some(response.status().as_u16());
    question.look(response).await.map_err(Broken::Failed)
}

/// What a request without an answer shows, by how far it got.
fn unanswered(error: &hyper::Error, link: &Link) -> Broken {
    if !link.traffic.was_written() {
        return Broken::Unwritten;
    }
    let kind = match (link.traffic.was_read(), link.used) {
        // A head that is no HTTP is told from one that ended in the middle by what hyper found.
        (true, _) if error.is_parse() => FailureKind::NoHttp,
        (true, _) => FailureKind::Cut,
        (false, true) => FailureKind::ClosedKept,
        (false, false) => FailureKind::ClosedNew,
    };
    Broken::Failed(Failed::Front(kind, None))
}

/// Waits until then. A timer that comes late says that we stood still: what arrived meanwhile is
/// looked at before the front is blamed.
async fn within<T>(deadline: Instant, what: impl Future<Output = T>) -> Option<T> {
    let mut what = std::pin::pin!(what);
    if let Ok(done) = timeout_at(deadline, what.as_mut()).await {
        return Some(done);
    }
    if deadline.elapsed() < STOOD {
        return None;
    }
    timeout(STOOD, what).await.ok()
}

impl Question {
    fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        // So that who reads the logs of the front knows who asks.
        headers.insert(USER_AGENT, HeaderValue::from_static("zdu"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if self.once {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        request
    }

    /// Reads the answer to its end and judges it. A status that is not wanted is what failed,
    /// whatever becomes of its body.
    async fn look(&self, response: Response<Incoming>) -> Result<Answer, Failed> {
        let (head, mut body) = response.into_parts();
        let status = head.status.as_u16();
        let failed = |kind| Failed::Front(kind, Some(status));
        let by_status = Want { status: self.want.status.clone(), ..Want::default() };
        let bare = Answered { status: Some(status), exit: None, text: String::new() };
        let no_secrets = Redactor::default();
        let unwanted = judge(&by_status, &bare, &no_secrets).is_err();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match unwanted {
                true => failed(FailureKind::Status),
                false => failed(broken_body(&error)),
            })?;
            let Some(data) = frame.data_ref().filter(|_| !self.any_body) else { continue };
            bytes.extend_from_slice(data);
            if bytes.len() > BODY_BYTES_MAX {
                let kind = if unwanted { FailureKind::Status } else { FailureKind::Body };
                return Err(failed(kind));
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let version = self.version(&head.headers, &text);
        if unwanted {
            return Ok(Answer { failed: Some(failed(FailureKind::Status)), version });
        }
        // What a reason quotes goes nowhere, so there is nothing to mask in it.
        let answered = Answered { text, ..bare };
        let wanted = self.any_body || judge(&self.want, &answered, &no_secrets).is_ok();
        Ok(Answer { failed: (!wanted).then(|| failed(FailureKind::Body)), version })
    }

    fn version(&self, headers: &HeaderMap, text: &str) -> Option<String> {
        let said = match self.version.as_ref()? {
            VersionAt::Header(name) => {
                String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned()
            }
            VersionAt::Pointer(pointer) => {
                let document: serde_json::Value = serde_json::from_str(text).ok()?;
                plain(document.pointer(pointer).filter(|found| !found.is_null())?)
            }
        };
        // Masked before it is cut, so that no cut leaves a part of a secret.
        Some((self.mask)(&said).chars().take(VERSION_CHARS_MAX).collect())
    }
}

/// A body that could not be read: it ended in the middle, or its framing is none.
fn broken_body(error: &hyper::Error) -> FailureKind {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            let framing = [io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput];
            let broken = framing.contains(&io.kind());
            return if broken { FailureKind::NoHttp } else { FailureKind::Cut };
        }
        source = cause.source();
    }
    FailureKind::Cut
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
