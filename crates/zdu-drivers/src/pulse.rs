//! Notices that the whole process stood still: it was stopped, or its machine slept. Whatever was
//! read before that was not watched since (laws 1 and 2).
//!
//! A thread of its own beats, so that a loop which waits for a slow disk is not taken for a process
//! that stood still; and whoever asks beats first, so that nobody acts before it is noticed.

use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use zdu_model::time::{Millis, Timestamp};

/// Time between two beats; several fit into what counts as standing still.
const INTERVAL: Duration = Duration::from_millis(200);

/// The beats so far.
#[derive(Debug)]
struct Beats {
    /// From when on a gap counts.
    limit: Millis,
    last: [Timestamp; 2],
    /// The longest gap that counts and nobody was told of yet.
    untold: Option<Millis>,
    /// Gaps that counted.
    gaps: u64,
}

impl Beats {
    fn new(limit: Millis, now: [Timestamp; 2]) -> Self {
        Self { limit, last: now, untold: None, gaps: 0 }
    }

    fn beat(&mut self, now: [Timestamp; 2]) {
        let gaps = now.iter().zip(self.last).map(|(now, last)| now.since(last));
        let gap = gaps.max().unwrap_or_default();
        if gap >= self.limit {
            self.missed(gap);
        }
        // Each clock from where it is: one that was set back must not hide what comes.
        self.last = now;
    }

    fn missed(&mut self, gap: Millis) {
        self.untold = self.untold.max(Some(gap));
        self.gaps += 1;
    }
}

/// Beats until its last clone is dropped.
#[derive(Clone)]
pub struct Pulse {
    beats: Arc<Mutex<Beats>>,
    now: Arc<dyn Fn() -> [Timestamp; 2] + Send + Sync>,
    _stop: mpsc::Sender<()>,
}

impl Pulse {
    /// Begins to beat by these two clocks, of which one at least must go on while the machine
    /// sleeps: see [`clocks`]. A time without a beat that is as long as `limit` by either counts as
    /// standing still.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        limit: Millis,
        now: impl Fn() -> [Timestamp; 2] + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let now: Arc<dyn Fn() -> [Timestamp; 2] + Send + Sync> = Arc::new(now);
        let beats = Arc::new(Mutex::new(Beats::new(limit, now())));
        let (stop, stopped) = mpsc::channel::<()>();
        let (shared, clock) = (Arc::clone(&beats), Arc::clone(&now));
        let beat = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).beat(clock());
            }
        };
        thread::Builder::new().name("pulse".into()).spawn(beat)?;
        Ok(Self { beats, now, _stop: stop })
    }

    /// How long the process stood still since this was last asked, if it did: the longest time.
    /// And how often since it began.
    pub(crate) fn stood_still(&self) -> (Option<Millis>, u64) {
        self.looked(|beats| (beats.untold.take(), beats.gaps))
    }

    /// Nobody watched for so long, whoever beat.
    pub(crate) fn missed(&self, gap: Millis) {
        self.looked(|beats| beats.missed(gap));
    }

    /// How often the process stood still since it began.
    #[must_use]
    pub(crate) fn gaps(&self) -> u64 {
        self.looked(|beats| beats.gaps)
    }

    fn looked<T>(&self, look: impl FnOnce(&mut Beats) -> T) -> T {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.beat((self.now)());
        look(&mut beats)
    }
}

/// The clock that goes on while the machine sleeps, and the wall clock, which goes on where a whole
/// virtual machine was stopped and its time was put right afterwards. One that is set forward looks
/// the same.
#[must_use]
pub fn clocks() -> [Timestamp; 2] {
    [ClockId::Boottime, ClockId::Realtime].map(|clock| {
        let now = clock_gettime(clock);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let rest = u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000_000;
        Timestamp(seconds.saturating_mul(1_000).saturating_add(rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beaten(moments: &[u64]) -> Beats {
        let mut beats = Beats::new(Millis(1_000), [Timestamp(0); 2]);
        moments.iter().for_each(|moment| beats.beat([Timestamp(*moment); 2]));
        beats
    }

    #[test]
    fn steady_beats_are_no_stillness() {
        let beats = beaten(&[200, 400, 600, 1_400]);
        assert_eq!((beats.untold, beats.gaps), (None, 0));
    }

    #[test]
    fn the_longest_gap_is_told_whoever_beats_first_after_it() {
        let beats = beaten(&[200, 30_200, 30_400, 32_000]);
        assert_eq!((beats.untold, beats.gaps), (Some(Millis(30_000)), 2));
    }

    #[test]
    fn a_clock_that_goes_back_invents_no_stillness_and_hides_none() {
        assert_eq!(beaten(&[900, 100, 1_000]).untold, None);
        let mut beats = beaten(&[900]);
        beats.beat([Timestamp(1_000), Timestamp(0)]);
        beats.beat([Timestamp(5_000), Timestamp(4_000)]);
        assert_eq!(beats.untold, Some(Millis(4_000)));
    }

    #[test]
    fn both_clocks_of_a_machine_go_on() {
        let (before, after) = (clocks(), clocks());
        assert!(before.iter().zip(after).all(|(before, after)| *before <= after));
    }

    #[test]
    fn a_gap_is_told_once_and_counted_on() {
        let moment = Arc::new(Mutex::new(Timestamp(0)));
        let clock = Arc::clone(&moment);
        let pulse = Pulse::start(Millis(1_000), move || [*clock.lock().unwrap(); 2]).unwrap();
        *moment.lock().unwrap() = Timestamp(5_000);
        assert_eq!(pulse.gaps(), 1);
        assert_eq!(pulse.stood_still(), (Some(Millis(5_000)), 1));
        assert_eq!(pulse.stood_still(), (None, 1));
    }
}
