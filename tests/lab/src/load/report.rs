//! What the load client saw.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::spec::Habit;

/// More than any run should lose. Beyond it failures are counted and no longer described.
const FAILURES_DESCRIBED_MAX: usize = 10_000;

/// How a request was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Nobody listened.
    ConnectRefused,
    /// No answer to the attempt to connect.
    ConnectTimeout,
    /// Another failure to connect.
    ConnectFailed,
    /// A connection that had carried an answer before was closed or reset without a byte of an
    /// answer to this request. A client may retry this one if it knows the request to be
    /// harmless; here it counts as lost.
    ReusedClosed,
    /// A new connection was closed or reset without a byte of an answer.
    NewClosed,
    /// The answer began and did not end.
    Truncated,
    /// No complete answer in time.
    Timeout,
    /// The answer was not HTTP.
    Malformed,
    /// A complete answer with a status other than 200.
    Status,
}

/// One lost request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was seen to be lost, after the start of the load.
    pub at_ms: u64,
    /// How long it had been running.
    pub after_ms: u64,
    /// Whose request it was.
    pub habit: Habit,
    /// How it was lost.
    pub kind: FailureKind,
    /// Status of the answer, for [`FailureKind::Status`].
    pub status: Option<u16>,
    /// Which target it was sent to.
    pub target: String,
    /// The system's words, where there are any.
    pub detail: String,
}

/// Results of all clients with one habit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HabitReport {
    /// Complete answers with status 200.
    pub ok: u64,
    /// All others.
    pub failed: u64,
    /// Answers with `Connection: close` to a client that would have kept the connection.
    pub told_to_close: u64,
    /// Longest time without a success, from the start and to the end of the load.
    pub longest_gap_ms: u64,
    /// Longest time a successful request took.
    pub slowest_ms: u64,
    last_ok_ms: u64,
}

/// When a version answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSeen {
    /// Answers.
    pub count: u64,
    /// First answer, after the start of the load.
    pub first_ms: u64,
    /// Last answer, after the start of the load.
    pub last_ms: u64,
}

/// How one long request of [`Habit::Hold`] ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Whether it ended with a complete answer.
    pub completed: bool,
    /// `X-Host` of the quick request before it on the same connection. A balancer may have sent
    /// the long one elsewhere; a direct connection has not.
    pub pinned_host: String,
    /// `X-Host` of its own answer, empty when there was none.
    pub host: String,
    /// How long it ran.
    pub after_ms: u64,
}

/// Everything that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Wall clock at the start, in milliseconds since 1970: joins the failures with other logs.
    pub started_unix_ms: u64,
    /// From the start to the end of the last request.
    pub duration_ms: u64,
    /// Complete answers with status 200.
    pub ok: u64,
    /// Lost requests.
    pub failed: u64,
    /// Longest time without any success.
    pub longest_gap_ms: u64,
    /// When it ended.
    pub longest_gap_end_ms: u64,
    /// By habit.
    pub habits: BTreeMap<Habit, HabitReport>,
    /// Successes by `X-Host`.
    pub hosts: BTreeMap<String, u64>,
    /// Successes by `X-Version`.
    pub versions: BTreeMap<String, VersionSeen>,
    /// Lost requests by kind.
    pub kinds: BTreeMap<FailureKind, u64>,
    /// Lost requests in the order they were seen, the first 10 000 of them.
    pub failures: Vec<Failure>,
    /// Long requests.
    pub holds: Vec<Hold>,
    last_ok_ms: u64,
}

impl LoadReport {
    pub(crate) fn new(started_unix_ms: u64) -> Self {
        Self {
            started_unix_ms,
            duration_ms: 0,
            ok: 0,
            failed: 0,
            longest_gap_ms: 0,
            longest_gap_end_ms: 0,
            habits: BTreeMap::new(),
            hosts: BTreeMap::new(),
            versions: BTreeMap::new(),
            kinds: BTreeMap::new(),
            failures: Vec::new(),
            holds: Vec::new(),
            last_ok_ms: 0,
        }
    }

    /// Counts a success at `at_ms` that took `after_ms`.
    pub(crate) fn success(
        &mut self,
        at_ms: u64,
        after_ms: u64,
        habit: Habit,
        host: &str,
        version: &str,
    ) {
        self.ok += 1;
        self.close_gap(at_ms);
        let of_habit = self.habits.entry(habit).or_default();
        of_habit.ok += 1;
        of_habit.close_gap(at_ms);
        of_habit.slowest_ms = of_habit.slowest_ms.max(after_ms);
        *self.hosts.entry(host.to_owned()).or_default() += 1;
        let new = VersionSeen {
            count: 0,
            first_ms: at_ms,
            last_ms: at_ms,
        };
        let seen = self.versions.entry(version.to_owned()).or_insert(new);
        seen.count += 1;
        seen.last_ms = at_ms;
    }

    pub(crate) fn told_to_close(&mut self, habit: Habit) {
        self.habits.entry(habit).or_default().told_to_close += 1;
    }

    pub(crate) fn failure(&mut self, failure: Failure) {
        self.failed += 1;
        self.habits.entry(failure.habit).or_default().failed += 1;
        *self.kinds.entry(failure.kind).or_default() += 1;
        if self.failures.len() < FAILURES_DESCRIBED_MAX {
            self.failures.push(failure);
        }
    }

    /// The time after the last success is a gap as well.
    pub(crate) fn finish(&mut self, at_ms: u64) {
        self.duration_ms = at_ms;
        self.close_gap(at_ms);
        for of_habit in self.habits.values_mut() {
            of_habit.close_gap(at_ms);
        }
    }

    fn close_gap(&mut self, at_ms: u64) {
        let gap_ms = at_ms.saturating_sub(self.last_ok_ms);
        if gap_ms > self.longest_gap_ms {
            self.longest_gap_ms = gap_ms;
            self.longest_gap_end_ms = at_ms;
        }
        self.last_ok_ms = at_ms;
    }

    /// The counts of one habit; zeros when nobody had it.
    #[must_use]
    pub fn habit(&self, habit: Habit) -> HabitReport {
        self.habits.get(&habit).cloned().unwrap_or_default()
    }
}

impl HabitReport {
    fn close_gap(&mut self, at_ms: u64) {
        self.longest_gap_ms = self
            .longest_gap_ms
            .max(at_ms.saturating_sub(self.last_ok_ms));
        self.last_ok_ms = at_ms;
    }
}

/// For the message of an assertion: the counts, and the first failures.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} ok, {} lost in {} ms, longest gap {} ms; hosts {:?}; versions {:?}",
            self.ok,
            self.failed,
            self.duration_ms,
            self.longest_gap_ms,
            self.hosts,
            self.versions.keys()
        )?;
        for (habit, of_habit) in &self.habits {
            writeln!(
                f,
                "  {habit:?}: {} ok, {} lost",
                of_habit.ok, of_habit.failed
            )?;
        }
        for failure in self.failures.iter().take(10) {
            writeln!(f, "  {failure:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_before_the_first_and_after_the_last_success_is_a_gap() {
        let mut report = LoadReport::new(0);
        report.success(70, 1, Habit::Close, "node-a", "1");
        report.success(80, 1, Habit::Close, "node-a", "1");
        report.finish(130);
        assert_eq!((report.longest_gap_ms, report.longest_gap_end_ms), (70, 70));
        assert_eq!(report.habit(Habit::Close).longest_gap_ms, 70);
        let mut silent = LoadReport::new(0);
        silent.success(10, 1, Habit::Close, "node-a", "1");
        silent.finish(500);
        assert_eq!(
            (silent.longest_gap_ms, silent.longest_gap_end_ms),
            (490, 500)
        );
    }
}
