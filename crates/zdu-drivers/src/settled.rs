//! Whether something that unsettles a drain came between the release of an effect and its first
//! word to the node: a connection can take minutes, and a process can be stopped in between.
//!
//! A certificate is lost in the engine as soon as the engine hears of a drift, of an instance that
//! comes or goes, or of a controller that stood still. What is under way then and has not begun is
//! withdrawn, and begins behind a new certificate (law 2).

use crate::pulse::Pulse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zdu_model::time::Millis;

/// Counts what unsettles; clones count together.
#[derive(Clone)]
pub(crate) struct Settled {
    pulse: Pulse,
    told: Arc<AtomicU64>,
}

impl Settled {
    pub(crate) fn new(pulse: Pulse) -> Self {
        Self { pulse, told: Arc::default() }
    }

    /// The engine was told of something; counted after the telling, so that whoever withdraws for
    /// it is heard later than it.
    pub(crate) fn was_told(&self) {
        self.told.fetch_add(1, Ordering::AcqRel);
    }

    /// How long the process stood still since this was last asked, if it did.
    pub(crate) fn stood_still(&self) -> Option<Millis> {
        self.pulse.stood_still()
    }

    /// From now on.
    pub(crate) fn since_now(&self) -> Since {
        Since { count: self.count(), settled: self.clone() }
    }

    fn count(&self) -> u64 {
        self.told.load(Ordering::Acquire) + self.pulse.gaps()
    }
}

/// A moment an effect was released at.
#[derive(Clone)]
pub(crate) struct Since {
    count: u64,
    settled: Settled,
}

impl Since {
    /// Whether nothing unsettled a drain since.
    pub(crate) fn holds(&self) -> bool {
        self.settled.count() == self.count
    }
}
