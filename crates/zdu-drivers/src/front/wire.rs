//! One connection to a front: found, opened, trusted, and what went over it counted.

use rustix::io::Errno;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zdu_model::front::FailureKind;

use rustls::pki_types::ServerName;

/// How old a looked-up address may be: a name that moves to another address is followed as soon as
/// users follow it, and no resolver is asked a hundred times a second.
const NAME_AGE_MAX: Duration = Duration::from_secs(1);

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoWire {
    /// This machine has no means to.
    Machine,
    /// The front's, or the network's on the way.
    Front(FailureKind),
}

/// Where a front listens.
pub(super) struct Place {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    known: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

impl Place {
    pub(super) fn new(
        host: &str,
        port: u16,
        tls: Option<(TlsConnector, ServerName<'static>)>,
    ) -> Self {
        Self { host: host.to_owned(), port, tls, known: Mutex::new(None) }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`NoWire`].
    pub(super) async fn open(&self) -> Result<Wire, NoWire> {
        let mut last = NoWire::Front(FailureKind::NotConnected);
        for address in self.addresses().await? {
            match connect(address).await {
                Ok(stream) => return self.trusted(stream).await,
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, NoWire> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        // Locked while it is looked up: others wait for the same answer.
        let mut known = self.known.lock().await;
        if let Some((at, addresses)) = known.as_ref()
            && at.elapsed() < NAME_AGE_MAX
        {
            return Ok(addresses.clone());
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found: Vec<_> = found.map_err(|error| blame(&error, false))?.collect();
        *known = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    async fn trusted(&self, stream: TcpStream) -> Result<Wire, NoWire> {
        // Refused only for a socket that is gone, which the exchange shows.
        let _set = stream.set_nodelay(true);
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some((connector, name)) => {
                let done = connector.connect(name.clone(), stream).await;
                Stream::Tls(Box::new(done.map_err(|error| NoWire::Front(untrusted(&error)))?))
            }
        };
        Ok(Wire { stream, traffic: Arc::default() })
    }
}

/// Why a connection could not be made safe. One that was closed was so before anything was
/// answered; all else is a matter of trust, or no TLS.
fn untrusted(error: &io::Error) -> FailureKind {
    let closed = [
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::BrokenPipe,
    ];
    match closed.contains(&error.kind()) {
        true => FailureKind::ClosedNew,
        false => FailureKind::NotConnected,
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, NoWire> {
    let mut connect = std::pin::pin!(TcpStream::connect(address));
    // What the system call itself says comes from this machine's own routes; the same error later
    // was sent by a router, or means that nobody has the address, and is what users see.
    let first = std::future::poll_fn(|cx| Poll::Ready(connect.as_mut().poll(cx))).await;
    match first {
        Poll::Ready(done) => done.map_err(|error| blame(&error, true)),
        Poll::Pending => connect.await.map_err(|error| blame(&error, false)),
    }
}

/// Whose fault it is that there is no connection. `at_once`: the system call said it.
fn blame(error: &io::Error, at_once: bool) -> NoWire {
    // No descriptor, no port, no memory, or a packet filter of this machine.
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::ADDRNOTAVAIL,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::PERM,
        Errno::ACCESS,
        Errno::NETDOWN,
    ];
    let no_route = [Errno::NETUNREACH, Errno::HOSTUNREACH];
    match Errno::from_io_error(error) {
        Some(errno) if ours.contains(&errno) => NoWire::Machine,
        Some(errno) if at_once && no_route.contains(&errno) => NoWire::Machine,
        Some(Errno::CONNREFUSED) => NoWire::Front(FailureKind::Refused),
        Some(_) | None => NoWire::Front(FailureKind::NotConnected),
    }
}

/// Bytes of the exchange under way.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    written: AtomicU64,
    read: AtomicU64,
}

impl Traffic {
    /// An exchange begins.
    pub(super) fn begin(&self) {
        self.written.store(0, Ordering::Relaxed);
        self.read.store(0, Ordering::Relaxed);
    }

    /// Whether any of the request was taken by the system.
    pub(super) fn was_written(&self) -> bool {
        self.written.load(Ordering::Relaxed) > 0
    }

    /// Whether any of the answer came.
    pub(super) fn was_read(&self) -> bool {
        self.read.load(Ordering::Relaxed) > 0
    }
}

/// A connection that counts what goes over it: an HTTP library does not tell whether a request that
/// failed was written, or whether a part of its answer came.
pub(super) struct Wire {
    stream: Stream,
    traffic: Arc<Traffic>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    fn wrote(&self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &done {
            let bytes = u64::try_from(*bytes).unwrap_or(u64::MAX);
            self.traffic.written.fetch_add(bytes, Ordering::Relaxed);
        }
        done
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let read = u64::try_from(buf.filled().len() - before).unwrap_or(u64::MAX);
        self.traffic.read.fetch_add(read, Ordering::Relaxed);
        done
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.wrote(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        self.wrote(done)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_the_fronts() {
        let of = |errno: Errno, at_once| blame(&errno.into(), at_once);
        for errno in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS] {
            assert_eq!([of(errno, true), of(errno, false)], [NoWire::Machine; 2], "{errno}");
        }
        let down = NoWire::Front(FailureKind::NotConnected);
        for errno in [Errno::NETUNREACH, Errno::HOSTUNREACH] {
            assert_eq!([of(errno, true), of(errno, false)], [NoWire::Machine, down], "{errno}");
        }
        assert_eq!(of(Errno::CONNREFUSED, true), NoWire::Front(FailureKind::Refused));
        assert_eq!(of(Errno::TIMEDOUT, false), down);
    }
}
