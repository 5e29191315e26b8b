//! Probes: one measurement and what must be true of it. Asking is here, judging is pure in
//! [`want`].

pub mod want;

use crate::access::{Access, chain, http_client};
use crate::capture::Captures;
use crate::exec::{ChannelError, quote, quote_all};
use std::time::Duration;
use want::{Answered, judge};
use zdu_model::ids::NodeName;
use zdu_model::plan::{Ask, HttpCall, Probe, Run, Subject};
use zdu_model::text::Text;

/// How long one asking may take; a probe that hangs is asked again until its own deadline.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// The most of an answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where a probe's open places get their values from.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// The captured values.
    pub captures: &'a Captures,
    /// Whose they are.
    pub subject: &'a Subject,
}

impl Values<'_> {
    fn fill(&self, text: &Text, access: &Access) -> Result<String, String> {
        self.captures.fill(self.subject, text, access.secrets())
    }
}

/// Asks once.
///
/// # Errors
/// Why the probe does not hold, as a sentence.
pub async fn ask(
    access: &Access,
    values: Values<'_>,
    node: Option<&NodeName>,
    probe: &Probe,
) -> Result<Answered, String> {
    let answered = match &probe.ask {
        Ask::Http(call) => http(access, values, call, ASK_TIMEOUT).await?,
        Ask::Tcp(address) => tcp(address).await?,
        Ask::Run(run) => command(access, values, node, run).await?,
    };
    let redactor = access.redactor();
    judge(&probe.want, &answered, &redactor).map_err(|why| redactor.mask(&why))?;
    Ok(answered)
}

/// Asks until the probe held as many times in a row as it wants, or the deadline passed.
///
/// # Errors
/// The last reason it did not hold.
pub async fn hold(
    access: &Access,
    values: Values<'_>,
    node: Option<&NodeName>,
    probe: &Probe,
    deadline: tokio::time::Instant,
    waiting: &(dyn Fn(&str) + Send + Sync),
) -> Result<Answered, String> {
    let wanted = probe.times.max(1);
    let mut held = 0;
    loop {
        let why = match ask(access, values, node, probe).await {
            Ok(answered) => {
                held += 1;
                if held >= wanted {
                    return Ok(answered);
                }
                format!("held {held} of {wanted} times")
            }
            Err(why) => {
                held = 0;
                why
            }
        };
        waiting(&why);
        let pause = Duration::from_millis(probe.every.0.max(10));
        if tokio::time::Instant::now() + pause > deadline {
            return Err(why);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Sends one HTTP request.
///
/// # Errors
/// Why no answer came, as a sentence.
pub async fn http(
    access: &Access,
    values: Values<'_>,
    call: &HttpCall,
    timeout: Duration,
) -> Result<Answered, String> {
    let ca = call.ca.as_ref().map(|ca| values.fill(ca, access)).transpose()?;
    let client = http_client(call, ca.as_deref())?;
    let method = reqwest::Method::from_bytes(call.method.as_bytes())
        .map_err(|_| format!("{:?} is no HTTP method", call.method))?;
    let mut request = client.request(method, &call.url).timeout(timeout);
    for (name, value) in &call.headers {
        request = request.header(name, values.fill(value, access)?);
    }
    if let Some((user, password)) = &call.basic {
        let value = access.secrets().expose(password);
        let value = value.ok_or_else(|| format!("secret {password} has no value"))?;
        request = request.basic_auth(user, Some(value));
    }
    if let Some(body) = &call.body {
        request = request.body(values.fill(body, access)?);
    }
    let mask = |error: reqwest::Error| access.redactor().mask(&chain(&error));
    let mut response = request.send().await.map_err(mask)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(mask)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(format!("{} answered more than {ANSWER_BYTES_MAX} bytes", call.url));
        }
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    Ok(Answered { status: Some(status), exit: None, text })
}

async fn tcp(address: &str) -> Result<Answered, String> {
    let connect = tokio::net::TcpStream::connect(address);
    match tokio::time::timeout(ASK_TIMEOUT, connect).await {
        Err(_) => Err(format!("{address} did not accept a connection in {ASK_TIMEOUT:?}")),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Ok(Ok(_stream)) => Ok(Answered { status: None, exit: Some(0), text: String::new() }),
    }
}

async fn command(
    access: &Access,
    values: Values<'_>,
    node: Option<&NodeName>,
    run: &Run,
) -> Result<Answered, String> {
    let script = script(access, values, run)?;
    let stdin = match &run.stdin {
        Some(text) => Some(values.fill(text, access)?.into_bytes()),
        None => None,
    };
    let mask = |error: ChannelError| access.redactor().mask(&chain(&error));
    let mut channel = access.channel(node).await.map_err(mask)?;
    let reply = channel.run(&script, stdin.as_deref(), ASK_TIMEOUT).await.map_err(mask)?;
    let mut text = String::from_utf8_lossy(&reply.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&reply.stderr));
    Ok(Answered { status: None, exit: Some(reply.exit), text })
}

/// The script for an unsupervised command: a subshell, so that nothing of it stays in the channel.
fn script(access: &Access, values: Values<'_>, run: &Run) -> Result<String, String> {
    let fill = |text| values.fill(text, access);
    let argv: Vec<String> = run.argv.iter().map(fill).collect::<Result<_, _>>()?;
    let mut lines = Vec::new();
    if let Some(cwd) = &run.cwd {
        lines.push(format!("cd {} || exit 126", quote(&fill(cwd)?)));
    }
    for (name, value) in &run.env {
        lines.push(format!("export {name}={}", quote(&fill(value)?)));
    }
    lines.push(if run.shell {
        format!("exec /bin/sh -c {}", quote(argv.first().map_or("", String::as_str)))
    } else {
        format!("exec {}", quote_all(&argv))
    });
    Ok(format!("(\n{}\n)", lines.join("\n")))
}
