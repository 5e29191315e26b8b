//! The health check of one server, as HAProxy's `option httpchk GET PATH` with `inter 100`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

use super::Backend;
use super::server::{Admin, Check};

/// From the start of one check to the start of the next.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long a check may take. Longer than the interval: a busy machine is not a dead gateway.
const PATIENCE: Duration = Duration::from_secs(1);
/// A status line is shorter than this.
const ANSWER_MAX: usize = 4096;

/// Checks the server of that index for ever, except while it is in maintenance.
pub(super) async fn keep_checking(backend: Arc<Backend>, index: usize, path: String) {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let address = {
            let mut servers = backend.servers();
            let Some(server) = servers.get_mut(index) else { return };
            if server.admin == Admin::Maint {
                continue;
            }
            server.checking = true;
            server.address
        };
        // The connection is gone when this returns, and only then the check is over: a certificate
        // counts one connection for each check under way.
        let outcome = match tokio::time::timeout(PATIENCE, check(address, &path)).await {
            Ok(outcome) => outcome,
            Err(_) => Check::TimedOut,
        };
        let flipped = match backend.servers().get_mut(index) {
            Some(server) => server.checked(outcome),
            None => return,
        };
        if flipped {
            backend.changed();
        }
    }
}

async fn check(address: SocketAddr, path: &str) -> Check {
    match TcpStream::connect(address).await {
        Ok(stream) => match ask(stream, address, path).await {
            Ok(line) => status(&line).map_or(Check::BadAnswer, Check::Answered),
            Err(_) => Check::BadAnswer,
        },
        Err(_) => Check::NotConnected,
    }
}

/// The whole answer: reading it to its end lets the server close first.
async fn ask(mut stream: TcpStream, address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut chunk = [0; 512];
    while answer.len() < ANSWER_MAX {
        match stream.read(&mut chunk).await? {
            0 => break,
            read => answer.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
    }
    Ok(answer)
}

fn status(answer: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(answer.get(..12)?).ok()?;
    text.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn only_a_status_line_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503 \r\n"), Some(503));
        for answer in [&b""[..], b"HTTP/1.1", b"SSH-2.0-OpenSSH", b"HTTP/1.1 abc "] {
            assert_eq!(status(answer), None);
        }
    }
}
