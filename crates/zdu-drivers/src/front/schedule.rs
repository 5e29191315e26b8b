//! When a request is due, and which are given up. Pure.

use std::time::Duration;

/// The next thing of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A request that was due then is to be sent now.
    Ask(Duration),
    /// Requests that were due and are not sent any more: what comes in a burst measures something
    /// else.
    Missed {
        /// When the first was due.
        first: Duration,
        /// How many.
        count: u64,
        /// How long nobody asked for that reason.
        span: Duration,
    },
}

/// Request *n* is due at `begin + n / rate`, however long others take.
#[derive(Debug)]
pub(super) struct Schedule {
    begin: Duration,
    rate: u32,
    next: u64,
}

impl Schedule {
    /// `rate` a second; at least one.
    pub(super) fn new(begin: Duration, rate: u32) -> Self {
        Self { begin, rate: rate.max(1), next: 0 }
    }

    /// The time between two requests.
    pub(super) fn period(&self) -> Duration {
        // Up: rounded down, a request that is overdue by just a period would be given up.
        Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(self.rate)))
    }

    /// When the next request is due.
    pub(super) fn next_at(&self) -> Duration {
        self.due(self.next)
    }

    fn due(&self, n: u64) -> Duration {
        // From the number each time: periods that were added up would drift off the rate.
        let nanos = u128::from(n) * 1_000_000_000 / u128::from(self.rate);
        self.begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What is due at `now`; to be asked until it is nothing. At most two are to be sent.
    pub(super) fn take(&mut self, now: Duration) -> Option<Due> {
        let first = self.next_at();
        if first > now {
            return None;
        }
        // Behind this nothing is overdue by more than a period.
        let fresh = now.saturating_sub(self.period());
        if first >= fresh {
            self.next += 1;
            return Some(Due::Ask(first));
        }
        let before = self.next;
        let nanos = fresh.saturating_sub(self.begin).as_nanos() * u128::from(self.rate);
        let reached = nanos.div_ceil(1_000_000_000);
        self.next = u64::try_from(reached).unwrap_or(u64::MAX).max(before + 1);
        let count = self.next - before;
        Some(Due::Missed { first, count, span: self.next_at() - first })
    }
}

/// Overdue by so much, a long request is given up and the next is due at once.
const LONG_OVERDUE_MAX: Duration = Duration::from_secs(1);

/// One request after another.
#[derive(Debug)]
pub(super) struct Turns {
    pause: Duration,
    /// None while one is under way.
    next: Option<Duration>,
}

impl Turns {
    /// Four of these are what a turn may be overdue by: what silences are measured in.
    pub(super) const PERIOD: Duration = Duration::from_millis(250);

    /// The first is due at `begin`, each other so long after the end of the one before.
    pub(super) fn new(begin: Duration, pause: Duration) -> Self {
        Self { pause, next: Some(begin) }
    }

    /// When the next is due, if none is under way.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.next
    }

    /// What is due at `now`. Behind a request nothing is until it has [`ended`](Self::ended).
    pub(super) fn take(&mut self, now: Duration) -> Option<Due> {
        let due = self.next.filter(|due| *due <= now)?;
        let span = now - due;
        if span > LONG_OVERDUE_MAX {
            self.next = Some(now);
            return Some(Due::Missed { first: due, count: 1, span });
        }
        self.next = None;
        Some(Due::Ask(due))
    }

    /// The one under way ended.
    pub(super) fn ended(&mut self, at: Duration) {
        self.next = Some(at + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn taken(schedule: &mut Schedule, now: Duration) -> Vec<Due> {
        std::iter::from_fn(|| schedule.take(now)).collect()
    }

    #[test]
    fn a_request_is_due_each_period_whenever_it_is_looked_for() {
        let mut schedule = Schedule::new(ms(1_000), 50);
        assert_eq!(taken(&mut schedule, ms(999)), []);
        assert_eq!(taken(&mut schedule, ms(1_003)), [Due::Ask(ms(1_000))]);
        assert_eq!(taken(&mut schedule, ms(1_019)), []);
        assert_eq!(taken(&mut schedule, ms(1_040)), [Due::Ask(ms(1_020)), Due::Ask(ms(1_040))]);
        assert_eq!(schedule.next_at(), ms(1_060));
    }

    #[test]
    fn what_is_overdue_by_more_than_a_period_is_missed_and_never_sent_in_a_burst() {
        let mut schedule = Schedule::new(ms(0), 50);
        let missed = Due::Missed { first: ms(0), count: 500, span: ms(10_000) };
        let sent = [missed, Due::Ask(ms(10_000)), Due::Ask(ms(10_020))];
        assert_eq!(taken(&mut schedule, ms(10_020)), sent);
        let missed = Due::Missed { first: ms(10_040), count: 1, span: ms(20) };
        assert_eq!(taken(&mut schedule, ms(10_061)), [missed, Due::Ask(ms(10_060))]);
    }

    #[test]
    fn each_number_is_sent_or_missed_once_at_rates_that_divide_no_second() {
        for rate in [1, 3, 7, 333, 1_000] {
            let mut schedule = Schedule::new(ms(77), rate);
            let (mut count, mut now, mut last) = (0, ms(77), None);
            for step in 0..2_000_u64 {
                now += Duration::from_micros(step * 7_919 % 40_000);
                for due in taken(&mut schedule, now) {
                    let (first, of) = match due {
                        Due::Ask(at) => (at, 1),
                        Due::Missed { first, count, span: _ } => (first, count),
                    };
                    assert!(last.is_none_or(|last| first > last), "{rate}: {first:?}");
                    assert!(first <= now, "{rate}: {first:?} at {now:?}");
                    count += of;
                    last = Some(first);
                }
            }
            let passed = (now - ms(77)).as_nanos() * u128::from(rate) / 1_000_000_000;
            assert_eq!(u128::from(count), passed + 1, "{rate}");
        }
    }

    #[test]
    fn a_rate_of_a_night_does_not_drift() {
        let mut schedule = Schedule::new(ms(0), 3);
        let night = Duration::from_secs(8 * 3_600);
        assert!(matches!(schedule.take(night), Some(Due::Missed { count: 86_399, .. })));
        assert_eq!(schedule.take(night).map(|_| schedule.next_at()), Some(night));
    }

    #[test]
    fn one_long_request_follows_the_other() {
        let mut turns = Turns::new(ms(0), ms(500));
        assert_eq!(turns.take(ms(1)), Some(Due::Ask(ms(0))));
        assert_eq!((turns.next_at(), turns.take(ms(9_000))), (None, None));
        turns.ended(ms(9_000));
        assert_eq!((turns.next_at(), turns.take(ms(9_499))), (Some(ms(9_500)), None));
        let missed = Due::Missed { first: ms(9_500), count: 1, span: ms(5_500) };
        assert_eq!(turns.take(ms(15_000)), Some(missed));
        assert_eq!(turns.take(ms(15_000)), Some(Due::Ask(ms(15_000))));
    }
}
