//! What users saw: the sums of what was seen of each front, and what nobody can say.

use crate::describe;
use crate::fold::RolloutView;
use crate::moment::span;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use zdu_model::front::{FailureKind, FailureRun, FrontSeen, VersionSeen, Watch, Way, longest_of};
use zdu_model::time::{Millis, Timestamp};

/// Between two spans it is no hole, and between a span and what cut it no other time: handing over
/// takes it, and so does writing a record.
pub(crate) const JOINT: Millis = Millis(1_000);

/// Everything that was seen of one front.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontView {
    /// From when to when something was seen; absent: nothing was.
    pub seen: Option<(Timestamp, Timestamp)>,
    /// Times of which nothing is known in between.
    pub holes: Vec<(Timestamp, Timestamp)>,
    /// Each way of connecting.
    pub ways: BTreeMap<Way, WayView>,
    /// Failures, those that are alike and follow each other as one.
    pub failures: Vec<FailureRun>,
    /// How many failed beyond those.
    pub more_failures: u64,
    /// The releases that answered, in the order they were first seen.
    pub versions: Vec<VersionSeen>,
    /// How many times an earlier release answered again.
    pub went_back: u64,
}

/// What was seen in one way of connecting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WayView {
    /// Requests sent.
    pub sent: u64,
    /// Answers as wanted.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Failures by what happened, as far as each was told.
    pub kinds: BTreeMap<FailureKind, u64>,
    /// Requests that were due and not sent.
    pub unsent: u64,
    /// Requests sent late.
    pub late: u64,
    /// Kept connections that were found closed, and asked on a new one.
    pub reopened: u64,
    /// The longest time between two answers as wanted, and when it began.
    pub longest_gap: (Millis, Option<Timestamp>),
    /// Answers by their time: before the first change, while something changed, after the last.
    pub times: [Times; 3],
}

/// Answers by the bucket of their time.
pub type Times = BTreeMap<u16, u64>;

impl FrontView {
    /// Takes in what was seen in a span. `part`: whether that was before, during or after.
    pub(crate) fn add(&mut self, seen: &FrontSeen, part: usize) {
        match &mut self.seen {
            None => self.seen = Some((seen.since, seen.until)),
            Some((_, until)) => {
                if until.after(JOINT) < seen.since {
                    self.holes.push((*until, seen.since));
                }
                *until = seen.until.max(*until);
            }
        }
        for way in &seen.ways {
            let view = self.ways.entry(way.way).or_default();
            view.sent += way.sent;
            view.ok += way.ok;
            view.failed += way.failed;
            view.unsent += way.unsent;
            view.late += way.late;
            view.reopened += way.reopened;
            view.longest_gap = view.longest_gap.max((way.longest_gap, way.gap_began));
            for (bucket, count) in &way.times {
                *view.times[part].entry(*bucket).or_default() += count;
            }
        }
        seen.failures.iter().for_each(|run| self.failed(run));
        self.more_failures += seen.more_failures;
        seen.versions.iter().for_each(|version| self.answered(version));
        self.went_back += seen.went_back;
    }

    fn failed(&mut self, run: &FailureRun) {
        let way = self.ways.entry(run.way).or_default();
        *way.kinds.entry(run.kind).or_default() += run.count;
        let alike = |last: &&mut FailureRun| {
            (last.way, last.kind, last.status) == (run.way, run.kind, run.status)
                && last.steps == run.steps
        };
        match self.failures.last_mut().filter(alike) {
            Some(last) => (last.last, last.count) = (run.last, last.count + run.count),
            None => self.failures.push(run.clone()),
        }
    }

    fn answered(&mut self, version: &VersionSeen) {
        match self.versions.iter_mut().find(|known| known.text == version.text) {
            Some(known) => (known.last, known.count) = (version.last, known.count + version.count),
            None => self.versions.push(version.clone()),
        }
    }

    /// A change begins: what was thought to be after the last was in between.
    pub(crate) fn changes(&mut self) {
        for way in self.ways.values_mut() {
            let after = std::mem::take(&mut way.times[2]);
            for (bucket, count) in after {
                *way.times[1].entry(bucket).or_default() += count;
            }
        }
    }

    /// Requests of every way that were sent, and those that failed.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let of = |count: fn(&WayView) -> u64| self.ways.values().map(count).sum();
        (of(|way| way.sent), of(|way| way.failed))
    }
}

/// The time that so many of a hundred answers did not exceed; none without answers.
#[must_use]
pub fn percentile(times: &Times, percent: u64) -> Option<Millis> {
    let all: u64 = times.values().sum();
    let rank = (all * percent).div_ceil(100).max(1);
    let mut seen = 0;
    let here = times.iter().find(|(_, count)| {
        seen += **count;
        seen >= rank
    })?;
    Some(Millis(longest_of(*here.0).div_ceil(1_000)))
}

/// What users saw, a line for each way of connecting to each front that was watched.
#[must_use]
pub fn summary(view: &RolloutView) -> Vec<String> {
    let mut lines = Vec::new();
    for front in reports(view) {
        for way in &front.ways {
            let WayReport { sent, failed, unsent, longest_gap_ms, .. } = way;
            let mut line = format!(
                "front {} ({}): {sent} requests, {failed} failed, longest gap {}",
                front.url,
                way.way,
                span(Millis(*longest_gap_ms))
            );
            if *unsent > 0 {
                let _ = write!(line, ", {unsent} were due and not sent");
            }
            lines.push(line);
        }
        if !front.holes.is_empty() {
            lines.push(format!("front {}: not watched {}", front.url, front.holes.join(", ")));
        }
    }
    lines
}

/// One front in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FrontReport {
    /// Its URL.
    pub url: String,
    /// From when it was watched.
    pub since: Option<String>,
    /// Until when.
    pub until: Option<String>,
    /// Each way of connecting.
    pub ways: Vec<WayReport>,
    /// What happened to requests that failed, oldest first.
    pub failures: Vec<String>,
    /// How many failed beyond those.
    pub more_failures: u64,
    /// The releases that answered.
    pub versions: Vec<String>,
    /// How many times an earlier release answered again.
    pub went_back: u64,
    /// Times of which nothing is known.
    pub holes: Vec<String>,
    /// What this could not see, in one sentence.
    pub unseen: String,
}

/// One way of connecting in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayReport {
    /// `new`, `keep` or `long`.
    pub way: &'static str,
    /// Requests sent.
    pub sent: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Failures by what happened.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Requests that were due and not sent.
    pub unsent: u64,
    /// Requests sent late.
    pub late: u64,
    /// Kept connections that were found closed.
    pub reopened: u64,
    /// The longest time between two answers as wanted.
    pub longest_gap_ms: u64,
    /// When that began.
    pub gap_began: Option<String>,
    /// Median and 99th percentile before the first change, while something changed, after the last.
    pub before: Option<Latency>,
    /// While something changed.
    pub during: Option<Latency>,
    /// After the last change.
    pub after: Option<Latency>,
}

/// Times from when a request was due to the end of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50_ms: u64,
    /// 99 of 100 took no longer.
    pub p99_ms: u64,
}

/// The fronts that were watched, as the fleet lists them.
pub(crate) fn reports(view: &RolloutView) -> Vec<FrontReport> {
    let fronts = &view.plan().fleet.front;
    let watched = fronts.iter().zip(view.fronts());
    watched
        .filter_map(|(front, seen)| Some((front.http.as_str(), front.watch.as_ref()?, seen)))
        .map(|(url, watch, seen)| report(view, url, watch, seen))
        .collect()
}

fn report(view: &RolloutView, url: &str, watch: &Watch, seen: &FrontView) -> FrontReport {
    let utc = |at: Timestamp| crate::moment::moment_exact(at);
    let hole = |(from, to): &(Timestamp, Timestamp)| {
        let long = Millis(to.0.saturating_sub(from.0));
        format!("{} to {} ({})", utc(*from), utc(*to), span(long))
    };
    let version = |version: &VersionSeen| {
        let VersionSeen { text, first, last, count } = version;
        format!("{text}: {count} answers, {} to {}", utc(*first), utc(*last))
    };
    FrontReport {
        url: url.to_owned(),
        since: seen.seen.map(|(since, _)| utc(since)),
        until: seen.seen.map(|(_, until)| utc(until)),
        ways: seen.ways.iter().map(|(way, seen)| way_report(*way, seen)).collect(),
        failures: seen.failures.iter().map(|run| failure(view, run)).collect(),
        more_failures: seen.more_failures,
        versions: seen.versions.iter().map(version).collect(),
        went_back: seen.went_back,
        holes: seen.holes.iter().map(hole).collect(),
        unseen: unseen(watch, seen),
    }
}

fn way_report(way: Way, seen: &WayView) -> WayReport {
    let latency = |times: &Times| {
        let (p50, p99) = (percentile(times, 50)?, percentile(times, 99)?);
        Some(Latency { p50_ms: p50.0, p99_ms: p99.0 })
    };
    let [before, during, after] = &seen.times;
    WayReport {
        way: way_word(way),
        sent: seen.sent,
        failed: seen.failed,
        kinds: seen.kinds.iter().map(|(kind, count)| (kind_word(*kind), *count)).collect(),
        unsent: seen.unsent,
        late: seen.late,
        reopened: seen.reopened,
        longest_gap_ms: seen.longest_gap.0.0,
        gap_began: seen.longest_gap.1.map(crate::moment::moment_exact),
        before: latency(before),
        during: latency(during),
        after: latency(after),
    }
}

fn failure(view: &RolloutView, run: &FailureRun) -> String {
    let plan = view.plan();
    let mut text = crate::moment::moment_exact(run.first);
    if run.count > 1 {
        let _ =
            write!(text, " to {}, {} requests", crate::moment::moment_exact(run.last), run.count);
    }
    let _ = write!(text, " ({}): {}", way_word(run.way), kind_word(run.kind));
    if let Some(status) = run.status {
        let _ = write!(text, " {status}");
    }
    let steps: Vec<String> = run.steps.iter().map(|no| describe::step(plan, *no)).collect();
    match steps.is_empty() {
        true => text + ", nothing under way",
        false => text + ", under way: " + &steps.join(", "),
    }
}

/// What could have happened between two requests, and what was never asked.
fn unseen(watch: &Watch, seen: &FrontView) -> String {
    let pause = span(Millis(1_000_u64.div_ceil(u64::from(watch.rate.max(1)))));
    let mut text = format!(
        "At {} requests a second an interruption of less than {pause} may have come between two \
         of them",
        watch.rate
    );
    let asked = |way: &Way| seen.ways.contains_key(way);
    let not: Vec<&str> =
        [Way::New, Way::Keep, Way::Long].iter().filter(|w| !asked(w)).map(|w| words(*w)).collect();
    if !not.is_empty() {
        let _ = write!(text, ", and nothing is known of {}", not.join(" or "));
    }
    let unsent: u64 = seen.ways.values().map(|way| way.unsent).sum();
    if unsent > 0 {
        let _ = write!(text, "; {unsent} requests were due and could not be sent");
    }
    if !seen.holes.is_empty() {
        text += "; of the holes nothing is known";
    }
    text + "."
}

fn words(way: Way) -> &'static str {
    match way {
        Way::New => "new connections",
        Way::Keep => "kept connections",
        Way::Long => "requests that take long",
    }
}

/// The way of connecting in one word.
pub(crate) fn way_word(way: Way) -> &'static str {
    match way {
        Way::New => "new",
        Way::Keep => "keep",
        Way::Long => "long",
    }
}

/// What happened to a request, in words that follow "a request".
pub(crate) fn kind_word(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Refused => "connection refused",
        FailureKind::NotConnected => "not connected",
        FailureKind::ClosedNew => "closed before an answer",
        FailureKind::ClosedKept => "kept connection closed before an answer",
        FailureKind::Cut => "answer cut off",
        FailureKind::TimedOut => "no answer in time",
        FailureKind::NoHttp => "no HTTP",
        FailureKind::Status => "status",
        FailureKind::Body => "not the body that is wanted",
    }
}
