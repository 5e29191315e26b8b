//! When what was counted is handed over. Pure.

use std::time::Duration;

/// From one delta to the next while steps that change something are under way.
const EVERY: Duration = Duration::from_secs(10);
/// The same when nothing has been under way for [`QUIET_AFTER`].
const EVERY_QUIET: Duration = Duration::from_secs(60);
const QUIET_AFTER: Duration = Duration::from_secs(30);
/// A failure seldom comes alone: what follows within this goes with it.
const GATHER: Duration = Duration::from_millis(500);
/// From one delta to the next at least, where steps begin and end all the time.
const CHANGES_MIN: Duration = Duration::from_secs(1);
/// The first and the longest pause between two deltas of an outage.
const OUTAGE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// Until it is tried again where a delta could not be handed over.
const AGAIN: Duration = Duration::from_millis(250);

/// Says when a delta is due.
#[derive(Debug)]
pub(super) struct Handing {
    /// When the last was handed over.
    last: Duration,
    /// When the first failure behind it became known.
    failed: Option<Duration>,
    /// The pause to a delta with failures: ever longer while each has some.
    pause: Duration,
    /// Whether steps that change something are under way,
    busy: bool,
    /// and since when.
    since: Duration,
    /// When that changed and no delta told of it yet.
    changed: Option<Duration>,
    /// Not to be tried before.
    not_before: Duration,
}

impl Handing {
    pub(super) fn new(begin: Duration) -> Self {
        Self {
            last: begin,
            failed: None,
            pause: Duration::ZERO,
            busy: false,
            since: begin,
            changed: None,
            not_before: begin,
        }
    }

    /// A failure was counted.
    pub(super) fn failed(&mut self, now: Duration) {
        self.failed.get_or_insert(now);
    }

    /// Whether steps that change something are under way.
    pub(super) fn busy(&mut self, now: Duration, busy: bool) {
        if self.busy != busy {
            (self.busy, self.since) = (busy, now);
            self.changed.get_or_insert(now);
        }
    }

    /// When a delta is due.
    pub(super) fn due(&self) -> Duration {
        let quiet = !self.busy && self.last >= self.since + QUIET_AFTER;
        let every = if quiet { EVERY_QUIET } else { EVERY };
        let usual = match self.failed {
            Some(failed) => (failed + GATHER).max(self.last + self.pause),
            None => self.last + every,
        };
        let changed = self.changed.map(|changed| changed.max(self.last + CHANGES_MIN));
        changed.map_or(usual, |changed| changed.min(usual)).max(self.not_before)
    }

    /// One was handed over.
    pub(super) fn handed(&mut self, now: Duration) {
        let [first, longest] = OUTAGE;
        self.pause = match self.failed.take() {
            Some(_) => (self.pause * 2).clamp(first, longest),
            None => Duration::ZERO,
        };
        self.last = now;
        self.changed = None;
    }

    /// None could be handed over: nobody takes it, or nothing is finished yet.
    pub(super) fn put_off(&mut self, now: Duration) {
        self.not_before = now + AGAIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_delta_goes_every_ten_seconds_and_every_minute_when_nothing_was_under_way_for_long() {
        let mut handing = Handing::new(secs(0));
        let mut at = Vec::new();
        for _ in 0..5 {
            at.push(handing.due().as_secs());
            handing.handed(handing.due());
        }
        assert_eq!(at, [10, 20, 30, 90, 150]);
        handing.busy(secs(160), true);
        handing.handed(handing.due());
        assert_eq!(handing.due(), secs(170));
    }

    #[test]
    fn a_first_failure_is_told_within_a_second_and_an_outage_ever_later() {
        let mut handing = Handing::new(secs(0));
        let (mut now, mut pauses) = (secs(3), Vec::new());
        for _ in 0..8 {
            handing.failed(now);
            pauses.push((handing.due() - now).as_millis());
            now = handing.due();
            handing.handed(now);
        }
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        handing.handed(handing.due());
        let now = handing.due();
        handing.failed(now);
        assert_eq!(handing.due(), now + GATHER, "behind a span without any it is a first again");
    }

    #[test]
    fn the_begin_and_the_end_of_steps_are_told_at_once_and_at_most_once_a_second() {
        let mut handing = Handing::new(secs(0));
        handing.busy(secs(4), true);
        assert_eq!(handing.due(), secs(4));
        handing.handed(secs(4));
        handing.busy(ms(4_300), false);
        assert_eq!(handing.due(), secs(5));
        handing.busy(ms(4_500), false);
        handing.busy(ms(4_600), true);
        assert_eq!(handing.due(), secs(5));
        handing.handed(secs(5));
        assert_eq!(handing.due(), secs(15));
    }

    #[test]
    fn what_could_not_be_handed_over_is_tried_again_soon_and_not_at_once() {
        let mut handing = Handing::new(secs(0));
        handing.put_off(secs(10));
        assert_eq!(handing.due(), ms(10_250));
    }
}
