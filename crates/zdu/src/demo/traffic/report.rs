//! What the clients saw: counted as it happens, told at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::time::Instant;

/// How a client uses its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientKind {
    /// Keeps its connection between requests.
    Kept,
    /// Opens a connection for each request.
    Single,
    /// Keeps its connection and asks for answers that take long.
    Slow,
}

/// What a client got in place of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureKind {
    /// No connection, in the system's words.
    NotConnected(String),
    /// The kept connection was closed while nothing ran on it, without a byte answered.
    ClosedIdle,
    /// The connection ended after the request was sent and before the head of an answer.
    NoAnswer(String),
    /// The connection ended within an answer.
    CutAnswer(String),
    /// An answer other than 200.
    Status(u16),
    /// No whole answer in time.
    TimedOut,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected(why) => write!(out, "no connection: {why}"),
            Self::ClosedIdle => out.write_str("kept connection closed while idle"),
            Self::NoAnswer(why) => write!(out, "no answer: {why}"),
            Self::CutAnswer(why) => write!(out, "answer cut: {why}"),
            Self::Status(status) => write!(out, "status {status}"),
            Self::TimedOut => out.write_str("timed out"),
        }
    }
}

/// One request that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// When it failed, milliseconds since the start of the traffic.
    pub(crate) at_ms: u64,
    /// How long it took until then, milliseconds.
    pub(crate) after_ms: u64,
    /// Whose request it was.
    pub(crate) client: ClientKind,
    /// What happened.
    pub(crate) kind: FailureKind,
}

/// Answers of one node on one release, from `X-Host` and `X-Version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Served {
    /// The node.
    pub(crate) host: String,
    /// Its release.
    pub(crate) version: String,
    /// How many answers.
    pub(crate) answers: u64,
    /// The first of them, milliseconds since the start of the traffic.
    pub(crate) first_at_ms: u64,
    /// The last of them.
    pub(crate) last_at_ms: u64,
}

/// Latency of answered requests, milliseconds; zeros when there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Latency {
    /// How many requests that were answered it is over.
    pub(crate) answers: u64,
    /// Half of the requests were answered within this.
    pub(crate) p50_ms: f64,
    /// Nine in ten.
    pub(crate) p90_ms: f64,
    /// Ninety-nine in a hundred.
    pub(crate) p99_ms: f64,
    /// All.
    pub(crate) max_ms: f64,
}

/// All that the clients saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TrafficReport {
    /// Start of the traffic, milliseconds since 1970.
    pub(crate) started_unix_ms: u64,
    /// How long it lasted, milliseconds.
    pub(crate) duration_ms: u64,
    /// Requests in all; the sum of the next two.
    pub(crate) requests: u64,
    /// Answered with 200 and a whole body.
    pub(crate) answered: u64,
    /// Not so.
    pub(crate) failed: u64,
    /// Requests by kind of client, failed ones included.
    pub(crate) clients: BTreeMap<ClientKind, u64>,
    /// Every failure in the order of time.
    pub(crate) failures: Vec<Failure>,
    /// Who answered, by node, then release.
    pub(crate) served: Vec<Served>,
    /// The longest span without a success, milliseconds: between two, or from the last
    /// to the stop.
    pub(crate) longest_gap_ms: u64,
    /// When that span began, milliseconds since the start of the traffic.
    pub(crate) longest_gap_at_ms: u64,
    /// Latency of the quick requests.
    pub(crate) latency: Latency,
    /// Latency of the slow ones.
    pub(crate) slow_latency: Latency,
}

impl fmt::Display for TrafficReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration_ms / 1000;
        let Self { requests, answered, failed, clients, .. } = self;
        writeln!(out, "{requests} requests in {seconds} s: {answered} answered, {failed} failed")?;
        let of = |kind| clients.get(&kind).copied().unwrap_or_default();
        let (kept, single) = (of(ClientKind::Kept), of(ClientKind::Single));
        let slow = of(ClientKind::Slow);
        writeln!(
            out,
            "  asked on kept connections {kept}, on a connection each {single}, for slow answers \
             {slow}"
        )?;
        for served in &self.served {
            let Served { host, version, answers, first_at_ms, last_at_ms } = served;
            let (first, last) = (in_s(*first_at_ms), in_s(*last_at_ms));
            writeln!(out, "  {host} {version}: {answers} answers from {first} s to {last} s")?;
        }
        let (gap, at) = (self.longest_gap_ms, in_s(self.longest_gap_at_ms));
        writeln!(out, "longest gap between two of all {answered} answers: {gap} ms (at {at} s)")?;
        write_latency(out, "quick", self.latency)?;
        write_latency(out, "slow", self.slow_latency)?;

        // A flood of failures is in the data; a person reads the first ones.
        for failure in self.failures.iter().take(FAILURES_SHOWN) {
            let Failure { at_ms, after_ms, client, kind } = failure;
            let at = in_s(*at_ms);
            writeln!(out, "  failed at {at} s after {after_ms} ms ({client:?} client): {kind}")?;
        }
        match self.failures.len().saturating_sub(FAILURES_SHOWN) {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more"),
        }
    }
}

/// Quick and slow answers together would be a latency of neither.
fn write_latency(out: &mut fmt::Formatter<'_>, kind: &str, latency: Latency) -> fmt::Result {
    let Latency { answers, p50_ms, p90_ms, p99_ms, max_ms } = latency;
    if answers == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "latency of {answers} {kind} answers: p50 {p50_ms:.1} ms, p90 {p90_ms:.1} ms, p99 \
         {p99_ms:.1} ms, max {max_ms:.1} ms"
    )
}

/// Failures spelled out in the text form.
const FAILURES_SHOWN: usize = 10;

fn in_s(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

/// One answer as the client saw it.
pub(super) struct Answered {
    pub(super) host: String,
    pub(super) version: String,
}

/// Collects from all clients.
pub(super) struct Recorder {
    begun: Instant,
    started_unix_ms: u64,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    clients: BTreeMap<ClientKind, u64>,
    failures: Vec<Failure>,
    served: BTreeMap<(String, String), Served>,
    last_success_ms: Option<u64>,
    longest_gap: (u64, u64),
    /// From here on silence is wanted.
    stopped_ms: Option<u64>,
    quick_us: Vec<u32>,
    slow_us: Vec<u32>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { begun: Instant::now(), started_unix_ms: ms(since), tally: Mutex::default() }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(
        &self,
        client: ClientKind,
        took: Duration,
        outcome: Result<Answered, FailureKind>,
    ) {
        let mut tally = self.tally();
        // Read under the lock, so that times never go back from one record to the next.
        let at_ms = ms(self.begun.elapsed());
        *tally.clients.entry(client).or_insert(0) += 1;
        match outcome {
            Ok(answered) => tally.success(client, took, answered, at_ms),
            Err(kind) => {
                tally.failures.push(Failure { at_ms, after_ms: ms(took), client, kind });
            }
        }
    }

    /// No request begins from now on; what is still running is counted, the silence is not.
    pub(super) fn stop(&self) {
        let mut tally = self.tally();
        let at_ms = ms(self.begun.elapsed());
        // Traffic that ends in an outage has its gap at the end.
        tally.gap_until(at_ms);
        tally.stopped_ms = Some(at_ms);
    }

    #[cfg(test)]
    pub(super) fn so_far(&self) -> (u64, u64) {
        let tally = self.tally();
        (tally.answered(), tally.failures.len() as u64)
    }

    pub(super) fn report(&self) -> TrafficReport {
        let mut tally = self.tally();
        let duration_ms = ms(self.begun.elapsed());
        let (answered, failed) = (tally.answered(), tally.failures.len() as u64);
        TrafficReport {
            started_unix_ms: self.started_unix_ms,
            duration_ms,
            requests: answered + failed,
            answered,
            failed,
            clients: tally.clients.clone(),
            failures: tally.failures.clone(),
            served: tally.served.values().cloned().collect(),
            longest_gap_ms: tally.longest_gap.0,
            longest_gap_at_ms: tally.longest_gap.1,
            latency: latency(&mut tally.quick_us),
            slow_latency: latency(&mut tally.slow_us),
        }
    }
}

impl Tally {
    fn answered(&self) -> u64 {
        (self.quick_us.len() + self.slow_us.len()) as u64
    }

    fn success(&mut self, client: ClientKind, took: Duration, answered: Answered, at_ms: u64) {
        let took_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        match client {
            ClientKind::Kept | ClientKind::Single => self.quick_us.push(took_us),
            ClientKind::Slow => self.slow_us.push(took_us),
        }
        self.gap_until(at_ms);
        self.last_success_ms = Some(at_ms);
        let Answered { host, version } = answered;
        let served = self.served.entry((host.clone(), version.clone())).or_insert(Served {
            host,
            version,
            answers: 0,
            first_at_ms: at_ms,
            last_at_ms: at_ms,
        });
        served.answers += 1;
        served.last_at_ms = at_ms;
    }

    fn gap_until(&mut self, at_ms: u64) {
        // Before the first success there is no gap between two.
        let since = self.last_success_ms.unwrap_or(at_ms);
        let gap_ms = at_ms.saturating_sub(since);
        if self.stopped_ms.is_none() && gap_ms > self.longest_gap.0 {
            self.longest_gap = (gap_ms, since);
        }
    }
}

/// Nearest-rank percentiles: each is a latency that was measured.
fn latency(took_us: &mut [u32]) -> Latency {
    took_us.sort_unstable();
    let at = |hundredths: usize| -> f64 {
        let rank = (took_us.len() * hundredths).div_ceil(100).max(1);
        took_us.get(rank - 1).map_or(0.0, |us| f64::from(*us) / 1000.0)
    };
    let answers = took_us.len() as u64;
    Latency { answers, p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms: at(100) }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(host: &str, version: &str) -> Answered {
        Answered { host: host.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn percentiles_are_measured_values() {
        let mut took: Vec<u32> = (1..=200).rev().map(|ms| ms * 1000).collect();
        let (p50_ms, p90_ms, p99_ms, max_ms) = (100.0, 180.0, 198.0, 200.0);
        let wanted = Latency { answers: 200, p50_ms, p90_ms, p99_ms, max_ms };
        assert_eq!(latency(&mut took), wanted);
        assert_eq!(latency(&mut []), Latency::default());
        assert_eq!(latency(&mut [7000]).p50_ms, 7.0);
    }

    #[test]
    fn the_longest_gap_is_between_successes_or_after_the_last() {
        let mut tally = Tally::default();
        for at_ms in [400, 410, 480, 490] {
            let took = Duration::from_millis(2);
            tally.success(ClientKind::Kept, took, answered("node-a", "7.7"), at_ms);
        }
        assert_eq!(tally.longest_gap, (70, 410));
        tally.gap_until(700);
        assert_eq!(tally.longest_gap, (210, 490));
        tally.stopped_ms = Some(700);
        tally.success(
            ClientKind::Slow,
            Duration::from_millis(1500),
            answered("node-a", "7.7"),
            1900,
        );
        assert_eq!(tally.longest_gap, (210, 490));
        let served = tally.served.values().next().unwrap();
        assert_eq!((served.answers, served.first_at_ms, served.last_at_ms), (5, 400, 1900));
    }

    #[test]
    fn every_figure_says_what_it_is_over_and_they_add_up() {
        let recorder = Recorder::new();
        let answer = |client, ms, host| {
            recorder.record(client, Duration::from_millis(ms), Ok(answered(host, "7.7")));
        };
        answer(ClientKind::Kept, 3, "node-a");
        answer(ClientKind::Single, 5, "node-b");
        answer(ClientKind::Slow, 1500, "node-a");
        let lost = Err(FailureKind::ClosedIdle);
        recorder.record(ClientKind::Kept, Duration::ZERO, lost);
        let text = recorder.report().to_string();
        for part in [
            "4 requests in 0 s: 3 answered, 1 failed",
            "asked on kept connections 2, on a connection each 1, for slow answers 1",
            "node-a 7.7: 2 answers",
            "node-b 7.7: 1 answers",
            "longest gap between two of all 3 answers",
            "latency of 2 quick answers: p50 3.0 ms, p90 5.0 ms",
            "latency of 1 slow answers: p50 1500.0 ms",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn the_text_names_every_answerer_and_the_first_failures() {
        let recorder = Recorder::new();
        let took = Duration::from_millis(3);
        recorder.record(ClientKind::Single, took, Ok(answered("node-a", "7.5.3")));
        for _ in 0..12 {
            recorder.record(ClientKind::Slow, took, Err(FailureKind::Status(503)));
        }
        let report = recorder.report();
        assert_eq!((report.requests, report.answered, report.failed), (13, 1, 12));
        let text = report.to_string();
        for part in
            ["13 requests", "12 failed", "node-a 7.5.3: 1 answers", "status 503", "and 2 more"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["failures"][0]["kind"]["status"], 503);
        assert_eq!(json["clients"]["slow"], 12);
    }
}
