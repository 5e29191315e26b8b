//! For how long we may act on balancers, which know no epochs and refuse nobody: until the lease
//! runs out (law 7).
//!
//! A controller that stood still for longer (a stopped process, a laptop that slept) finds out only
//! at its next append that another one drives the rollout. Until then its keepers would take nodes
//! out that the other has returned. So they act only while the lease, as it was last renewed, has
//! not run out. Nobody gets the lease before that, by force neither, unless the process has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zdu_model::time::Millis;

/// Until when acts may be begun; clones are the same mandate. Begins with none.
#[derive(Debug, Clone, Default)]
pub struct Mandate(Arc<AtomicU64>);

impl Mandate {
    /// Acts may be begun for so long from now. By the wall clock, because a monotonic one stands
    /// still while the machine sleeps.
    /// Returns for how long there was none, when an earlier one had run out.
    pub fn grant(&self, span: Duration) -> Option<Millis> {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let now = unix_ms();
        let until = self.0.swap(now.saturating_add(span), Ordering::Relaxed);
        (until != 0 && until <= now).then(|| Millis(now - until))
    }

    /// Whether an act may be begun now.
    #[must_use]
    pub fn holds(&self) -> bool {
        unix_ms() < self.0.load(Ordering::Relaxed)
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mandate_holds_for_its_span_and_is_shared_by_its_clones() {
        let mandate = Mandate::default();
        let clone = mandate.clone();
        assert!(!clone.holds(), "nothing was granted");
        assert_eq!(mandate.grant(Duration::from_secs(3600)), None);
        assert!(clone.holds());
        assert_eq!(mandate.grant(Duration::ZERO), None, "the one before had not run out");
        assert!(!clone.holds());
        assert!(mandate.grant(Duration::from_secs(3600)).is_some());
    }
}
