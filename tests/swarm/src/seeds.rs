//! The seeds of an order, handed out to threads until their number or the time is through.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::play::Order;

/// Each seed once, to whoever asks.
pub(crate) struct Seeds {
    next: AtomicU64,
    end: u64,
    until: Option<Instant>,
}

impl Seeds {
    /// Those of an order that began then, and no more than so many.
    pub(crate) fn new(order: &Order, most: u64, begun: Instant) -> Self {
        let until = order.seconds.and_then(|most| begun.checked_add(Duration::from_secs(most)));
        let end = order.first.saturating_add(most);
        Self { next: AtomicU64::new(order.first), end, until }
    }

    /// Does the work on every core until there are no more, and gives what each thread found.
    ///
    /// # Panics
    /// When a thread did: what it has seen is lost, and the sum would be too good.
    pub(crate) fn share<T: Send>(&self, work: impl Fn(&Self) -> T + Sync) -> Vec<T> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(self))).collect();
            let joined = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.map(|found| found.unwrap_or_else(|why| std::panic::resume_unwind(why))).collect()
        })
    }
}

impl Iterator for &Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        let over = self.until.is_some_and(|until| Instant::now() >= until);
        (seed < self.end && !over).then_some(seed)
    }
}
