//! Wall clock and monotonic clock, joined once: the journal wants dates, waits want spans that no
//! clock adjustment can stretch.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use zdu_model::time::Timestamp;

/// The controller's clock: the date at its making, moved on by monotonic time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began_ms: u64,
    began: Instant,
    began_wall: SystemTime,
}

impl Clock {
    /// A clock that begins now, or at the latest moment a journal knows when that is later: time
    /// in a journal never goes back.
    #[must_use]
    pub fn not_before(latest: Timestamp) -> Self {
        let began_wall = SystemTime::now();
        let since = began_wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(latest.0);
        Self { began_ms, began: Instant::now(), began_wall }
    }

    /// Now. The monotonic clock stands still while the machine sleeps, and the lease does not: what
    /// passed is the longer of what both clocks say.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let awake = self.began.elapsed();
        let passed = self.began_wall.elapsed().map_or(awake, |wall| wall.max(awake));
        let passed = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.began_ms.saturating_add(passed))
    }

    /// How long until a moment; zero when it has passed.
    #[must_use]
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.since(self.now()).0)
    }
}
