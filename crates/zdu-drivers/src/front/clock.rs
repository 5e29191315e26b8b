//! The clocks of the prober: one that nobody sets to measure by, and the wall clock to tell by.

use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::Duration;
use zdu_model::time::Timestamp;

/// The longest the two clocks may drift apart before what is told follows the wall clock anew.
const DRIFT_MAX: Duration = Duration::from_secs(1);

/// Where times come from; clones read the same.
#[derive(Clone)]
pub struct Clock {
    /// Since the machine started, also while it sleeps; and since the Unix epoch.
    read: Arc<dyn Fn() -> [Duration; 2] + Send + Sync>,
}

impl Clock {
    /// This machine's. What is measured goes on while the machine sleeps, so that a night of sleep
    /// is a night of requests that were not sent.
    #[must_use]
    pub fn system() -> Self {
        Self::of(|| {
            [ClockId::Boottime, ClockId::Realtime].map(|clock| {
                let now = clock_gettime(clock);
                let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
                Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), nanos)
            })
        })
    }

    pub(super) fn of(read: impl Fn() -> [Duration; 2] + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read) }
    }

    /// Since the machine started. Every moment of the prober is one of these.
    pub(super) fn now(&self) -> Duration {
        let [now, _wall] = (self.read)();
        now
    }

    fn anchor(&self) -> Anchor {
        let [at, wall] = (self.read)();
        Anchor { at, wall }
    }
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    at: Duration,
    wall: Duration,
}

impl Anchor {
    fn tell(self, moment: Duration) -> Timestamp {
        let wall = self.wall.saturating_add(moment).saturating_sub(self.at);
        Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Tells moments of one span as the wall clock has them. Within a span both clocks go alike, or a
/// wall clock that is set would stretch the time between two answers.
pub(super) struct Wall {
    clock: Clock,
    anchor: Anchor,
}

impl Wall {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), anchor: clock.anchor() }
    }

    pub(super) fn tell(&self, moment: Duration) -> Timestamp {
        self.anchor.tell(moment)
    }

    /// To be called between two spans. A virtual machine that was stopped as a whole has its wall
    /// clock put right afterwards: what it missed then lies between two spans, a hole.
    pub(super) fn renew(&mut self) {
        let fresh = self.clock.anchor();
        let told = self.anchor.wall.saturating_add(fresh.at).saturating_sub(self.anchor.at);
        if told.abs_diff(fresh.wall) > DRIFT_MAX {
            self.anchor = fresh;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_wall_clock_that_is_set_is_followed_between_two_spans_and_not_within_one() {
        let times = Arc::new(Mutex::new([Duration::from_secs(5), Duration::from_secs(1_000)]));
        let read = Arc::clone(&times);
        let mut wall = Wall::new(&Clock::of(move || *read.lock().unwrap()));
        let six = Duration::from_secs(6);
        assert_eq!(wall.tell(six), Timestamp(1_001_000));
        *times.lock().unwrap() = [six, Duration::from_secs(1_000_000)];
        assert_eq!(wall.tell(six), Timestamp(1_001_000));
        wall.renew();
        assert_eq!(wall.tell(six), Timestamp(1_000_000_000));
        *times.lock().unwrap() = [six, Duration::from_millis(999_999_100)];
        wall.renew();
        assert_eq!(wall.tell(six), Timestamp(1_000_000_000), "a small step is none");
    }

    #[test]
    fn both_clocks_of_the_system_go_on() {
        let clock = Clock::system();
        let before = clock.now();
        assert!(clock.now() >= before && before > Duration::ZERO);
    }
}
