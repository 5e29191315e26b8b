//! One HTTP/1.1 exchange, by hand: an HTTP library would hide, and some would repeat, the very
//! failures this client is there to count.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::report::FailureKind;

/// Longer headers than this are no answer of a lab application or balancer.
const HEADER_LINES_MAX: usize = 100;

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    used: bool,
}

#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) host: String,
    pub(super) version: String,
    /// The server will close, or the end of the answer was the end of the connection.
    pub(super) last: bool,
}

pub(super) struct Lost {
    pub(super) kind: FailureKind,
    pub(super) detail: String,
}

impl Lost {
    fn malformed(detail: &str) -> Self {
        Self {
            kind: FailureKind::Malformed,
            detail: detail.to_owned(),
        }
    }

    fn truncated(cause: &Error) -> Self {
        Self {
            kind: FailureKind::Truncated,
            detail: cause.to_string(),
        }
    }
}

impl Connection {
    pub(super) async fn open(target: SocketAddr) -> Result<Self, Lost> {
        let stream = TcpStream::connect(target).await.map_err(|cause| {
            let kind = if cause.kind() == ErrorKind::ConnectionRefused {
                FailureKind::ConnectRefused
            } else if cause.kind() == ErrorKind::TimedOut {
                FailureKind::ConnectTimeout
            } else {
                FailureKind::ConnectFailed
            };
            Lost {
                kind,
                detail: cause.to_string(),
            }
        })?;
        // Refused only for a socket that is gone, which the exchange shows.
        let _ = stream.set_nodelay(true);
        Ok(Self {
            stream: BufReader::new(stream),
            used: false,
        })
    }

    /// Sends one request and reads its answer to the end.
    pub(super) async fn get(&mut self, path: &str, close: bool) -> Result<Answer, Lost> {
        let closed = if self.used {
            FailureKind::ReusedClosed
        } else {
            FailureKind::NewClosed
        };
        let unanswered = |cause: Error| Lost {
            kind: closed,
            detail: cause.to_string(),
        };
        let header = if close { "Connection: close\r\n" } else { "" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\n{header}\r\n");
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .await
            .map_err(unanswered)?;
        let first = self.stream.fill_buf().await.map_err(unanswered)?;
        if first.is_empty() {
            return Err(Lost {
                kind: closed,
                detail: "closed before any answer".to_owned(),
            });
        }
        self.used = true;
        let (mut answer, body) = self.head().await?;
        answer.last |= close;
        match body {
            Body::Length(length) => self.skip(length).await?,
            Body::Chunked => self.chunks().await?,
            Body::UntilClosed => {
                answer.last = true;
                let sink = &mut tokio::io::sink();
                let copied = tokio::io::copy_buf(&mut self.stream, sink).await;
                copied.map_err(|cause| Lost::truncated(&cause))?;
            }
        }
        Ok(answer)
    }

    async fn head(&mut self) -> Result<(Answer, Body), Lost> {
        let status_line = self.line().await?;
        let status = status_line
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5));
        let status = status.and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Lost::malformed(&status_line))?;
        let mut answer = Answer {
            status,
            last: status_line.starts_with("HTTP/1.0"),
            ..Answer::default()
        };
        let mut body = Body::UntilClosed;
        for _ in 0..HEADER_LINES_MAX {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok((answer, body));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| Lost::malformed(&line))?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let length = value.parse().map_err(|_| Lost::malformed(&line))?;
                    body = Body::Length(length);
                }
                "transfer-encoding" => body = Body::Chunked,
                "connection" => answer.last |= value.eq_ignore_ascii_case("close"),
                "x-host" => answer.host = value.to_owned(),
                "x-version" => answer.version = value.to_owned(),
                _ => {}
            }
        }
        Err(Lost::malformed("more headers than an answer has"))
    }

    async fn line(&mut self) -> Result<String, Lost> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await;
        read.map_err(|cause| Lost::truncated(&cause))?;
        match line.strip_suffix('\n') {
            Some(line) => Ok(line.trim_end_matches('\r').to_owned()),
            None => Err(Lost::truncated(&Error::from(ErrorKind::UnexpectedEof))),
        }
    }

    async fn skip(&mut self, length: u64) -> Result<(), Lost> {
        let mut body = (&mut self.stream).take(length);
        let read = tokio::io::copy_buf(&mut body, &mut tokio::io::sink()).await;
        match read {
            Ok(read) if read == length => Ok(()),
            Ok(_) => Err(Lost::truncated(&Error::from(ErrorKind::UnexpectedEof))),
            Err(cause) => Err(Lost::truncated(&cause)),
        }
    }

    async fn chunks(&mut self) -> Result<(), Lost> {
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| Lost::malformed(&line))?;
            self.skip(size).await?;
            let end = self.line().await?;
            if !end.is_empty() {
                return Err(Lost::malformed(&end));
            }
            if size == 0 {
                return Ok(());
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Length(u64),
    Chunked,
    UntilClosed,
}
