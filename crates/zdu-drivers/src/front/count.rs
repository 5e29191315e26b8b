//! What was seen of one front, from what came of its requests. Pure.
//!
//! A request is counted in the order in which it was due, and not before all that were due earlier
//! have come to an end: so a span closes only over requests of which none is under way any more,
//! and what is told lags behind by as long as an answer may take. Long requests alone are counted
//! in the span they end in, or nothing could be told while one is under way.

use super::gap::Gap;
use super::releases::Releases;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use zdu_model::front::{FailureKind, FailureRun, FrontSeen, RUNS_MAX, Way, WaySeen, bucket};
use zdu_model::ids::StepNo;
use zdu_model::time::{Millis, Timestamp};

/// What came of a request, or of several that were not sent.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// In which way.
    pub(super) way: Way,
    /// When it was due; of several the first.
    pub(super) due: Duration,
    /// When it was sent,
    pub(super) sent: Duration,
    /// and when that ended; of what was not sent, up to when nobody was asked for that reason.
    pub(super) end: Duration,
    /// The steps under way when it was due.
    pub(super) steps: Arc<[StepNo]>,
    /// A kept connection was found closed before anything was written.
    pub(super) reopened: bool,
    /// The release that answered, masked.
    pub(super) version: Option<String>,
    /// What came of it.
    pub(super) came: Came,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// An answer as wanted.
    Ok,
    /// A failure of the front, with the status where one was answered.
    Failed(FailureKind, Option<u16>),
    /// So many were not sent.
    Unsent(u64, Why),
}

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// This machine was late, or had no means to: nobody can say what the front would have done.
    Machine,
    /// As many were under way as may be: the front is being asked, and answers slowly.
    Full,
}

/// A silence of this machine of fewer periods leaves gaps as they are: a machine that now and then
/// is late by a period would else shorten every gap of a front that is down.
const SILENT_PERIODS_MIN: u32 = 4;

/// Later than a period and this is late.
const LATE: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct WayCount {
    period: Duration,
    gap: Gap,
    /// For how long this machine sends nothing,
    silent: Duration,
    /// and how much of it the gap knows of.
    silent_told: Duration,
    /// The run of failures that may go on: which of [`Counter::runs`].
    open: Option<usize>,
    seen: WaySeen,
    times: BTreeMap<u16, u64>,
    answers: Option<[Duration; 2]>,
}

/// Counts for one front.
#[derive(Debug)]
pub(super) struct Counter {
    since: Duration,
    ways: BTreeMap<Way, WayCount>,
    under_way: BTreeSet<(Duration, Way)>,
    /// Ended, and not counted yet.
    ended: BTreeMap<(Duration, Way), Outcome>,
    runs: Vec<Run>,
    more_failures: u64,
    releases: Releases,
}

#[derive(Debug)]
struct Run {
    first: Duration,
    last: Duration,
    count: u64,
    way: Way,
    kind: FailureKind,
    status: Option<u16>,
    steps: Arc<[StepNo]>,
}

impl Counter {
    /// Counts these ways from here on; each with the time between two of its requests.
    pub(super) fn new(begin: Duration, ways: &[(Way, Duration)]) -> Self {
        let ways = ways.iter().map(|(way, period)| (*way, WayCount::new(*way, *period, begin)));
        Self {
            since: begin,
            ways: ways.collect(),
            under_way: BTreeSet::new(),
            ended: BTreeMap::new(),
            runs: Vec::new(),
            more_failures: 0,
            releases: Releases::default(),
        }
    }

    /// A request is sent.
    pub(super) fn begun(&mut self, way: Way, due: Duration) {
        if way != Way::Long {
            self.under_way.insert((due, way));
        }
    }

    /// A request ended, or was not sent.
    pub(super) fn ended(&mut self, outcome: Outcome) {
        self.under_way.remove(&(outcome.due, outcome.way));
        if let Some(way) = self.ways.get_mut(&outcome.way)
            && outcome.came == Came::Ok
        {
            way.gap.answered(outcome.end);
        }
        self.ended.insert((outcome.due, outcome.way), outcome);
    }

    /// Up to where every request that was due has ended; `next` is when the next is due.
    pub(super) fn settled(&self, now: Duration, next: Duration) -> Duration {
        let first = self.under_way.first().map(|(due, _)| *due);
        now.min(next).min(first.unwrap_or(now))
    }

    /// Counts what was due before `mark`; whether something failed.
    pub(super) fn settle(&mut self, mark: Duration) -> bool {
        let behind = self.ended.split_off(&(mark, Way::New));
        let reached = std::mem::replace(&mut self.ended, behind);
        let mut failed = false;
        for outcome in reached.into_values() {
            failed |= matches!(outcome.came, Came::Failed(..));
            self.count(&outcome);
        }
        self.ways.values_mut().for_each(|way| way.gap.settle(mark));
        failed
    }

    fn count(&mut self, outcome: &Outcome) {
        let Some(way) = self.ways.get_mut(&outcome.way) else { return };
        if let Came::Unsent(count, why) = outcome.came {
            return way.unsent(outcome, count, why);
        }
        way.asked();
        way.seen.sent += 1;
        way.seen.late += u64::from(outcome.sent > outcome.due + way.period + LATE);
        way.seen.reopened += u64::from(outcome.reopened);
        match outcome.came {
            Came::Ok => way.ok(outcome),
            Came::Failed(kind, status) => self.failure(outcome, kind, status),
            Came::Unsent(..) => {}
        }
        if let Some(text) = &outcome.version {
            self.releases.answered(text, outcome.end);
        }
    }

    fn failure(&mut self, outcome: &Outcome, kind: FailureKind, status: Option<u16>) {
        let Some(way) = self.ways.get_mut(&outcome.way) else { return };
        way.seen.failed += 1;
        let open = way.open.and_then(|open| self.runs.get_mut(open));
        let alike =
            |run: &Run| (run.kind, run.status, &run.steps) == (kind, status, &outcome.steps);
        if let Some(run) = open.filter(|run| alike(run)) {
            run.last = outcome.due;
            run.count += 1;
            return;
        }
        if self.runs.len() == RUNS_MAX {
            way.open = None;
            self.more_failures += 1;
            return;
        }
        way.open = Some(self.runs.len());
        let (due, steps) = (outcome.due, Arc::clone(&outcome.steps));
        let way = outcome.way;
        self.runs.push(Run { first: due, last: due, count: 1, way, kind, status, steps });
    }

    /// Whether a span that ends here would have a length.
    pub(super) fn has_span(&self, until: Duration) -> bool {
        until > self.since
    }

    /// What was seen up to here, and begins the next span. `until` is [`settled`](Self::settled);
    /// `tell` has the wall clock's time of a moment.
    pub(super) fn take(
        &mut self,
        until: Duration,
        tell: &dyn Fn(Duration) -> Timestamp,
    ) -> FrontSeen {
        self.settle(until);
        let ways = self.ways.values_mut().map(|way| way.take(until, tell)).collect();
        let mut runs = std::mem::take(&mut self.runs);
        // A long request that failed was due before others that are counted already.
        runs.sort_by_key(|run| run.first);
        let (versions, went_back) = self.releases.take(tell);
        let since = std::mem::replace(&mut self.since, until);
        FrontSeen {
            since: tell(since),
            until: tell(until),
            ways,
            failures: runs.iter().map(|run| run.told(tell)).collect(),
            more_failures: std::mem::take(&mut self.more_failures),
            versions,
            went_back,
        }
    }
}

impl Run {
    fn told(&self, tell: &dyn Fn(Duration) -> Timestamp) -> FailureRun {
        FailureRun {
            first: tell(self.first),
            last: tell(self.last),
            count: self.count,
            way: self.way,
            kind: self.kind,
            status: self.status,
            steps: self.steps.to_vec(),
        }
    }
}

impl WayCount {
    fn new(way: Way, period: Duration, begin: Duration) -> Self {
        Self {
            period,
            gap: Gap::new(begin),
            silent: Duration::ZERO,
            silent_told: Duration::ZERO,
            open: None,
            seen: nothing(way),
            times: BTreeMap::new(),
            answers: None,
        }
    }

    fn ok(&mut self, outcome: &Outcome) {
        self.open = None;
        self.seen.ok += 1;
        let took = outcome.end.saturating_sub(outcome.due).as_micros();
        let bucket = bucket(u64::try_from(took).unwrap_or(u64::MAX));
        *self.times.entry(bucket).or_default() += 1;
        let [first, last] = self.answers.unwrap_or([outcome.end; 2]);
        self.answers = Some([first.min(outcome.end), last.max(outcome.end)]);
    }

    fn asked(&mut self) {
        (self.silent, self.silent_told) = (Duration::ZERO, Duration::ZERO);
    }

    fn unsent(&mut self, outcome: &Outcome, count: u64, why: Why) {
        self.seen.unsent += count;
        match why {
            Why::Full => self.asked(),
            Why::Machine => {
                self.silent += outcome.end.saturating_sub(outcome.due).max(self.period);
                if self.silent >= self.period * SILENT_PERIODS_MIN {
                    self.gap.silent(outcome.due, self.silent - self.silent_told);
                    self.silent_told = self.silent;
                }
            }
        }
    }

    fn take(&mut self, until: Duration, tell: &dyn Fn(Duration) -> Timestamp) -> WaySeen {
        let (longest, began) = self.gap.take(until);
        let answers = self.answers.take();
        // A run ends with its span.
        self.open = None;
        let next = nothing(self.seen.way);
        let seen = std::mem::replace(&mut self.seen, next);
        WaySeen {
            longest_gap: Millis(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)),
            gap_began: began.map(tell),
            first_ok: answers.map(|[first, _]| tell(first)),
            last_ok: answers.map(|[_, last]| tell(last)),
            times: std::mem::take(&mut self.times).into_iter().collect(),
            ..seen
        }
    }
}

fn nothing(way: Way) -> WaySeen {
    WaySeen {
        way,
        sent: 0,
        ok: 0,
        failed: 0,
        unsent: 0,
        late: 0,
        reopened: 0,
        longest_gap: Millis(0),
        gap_began: None,
        first_ok: None,
        last_ok: None,
        times: Vec::new(),
    }
}

#[cfg(test)]
#[path = "count_tests.rs"]
mod tests;
