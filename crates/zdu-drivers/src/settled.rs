//! Whether something that unsettles a drain came between the decision an effect follows from and
//! its first word to the node: a disk can be slow, a connection can take minutes, and a process can
//! be stopped in between.
//!
//! A certificate is lost in the engine as soon as the engine hears of a drift, of an instance that
//! comes or goes, or of a controller that stood still. What is under way then and has not begun is
//! withdrawn, and begins behind a new certificate (law 2). What counts is what the engine had heard
//! when it decided: a drift that waits in the queue behind the decision is news.

use crate::answer::Answer;
use crate::mandate::Mandate;
use crate::pulse::Pulse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zdu_model::ids::NodeName;
use zdu_model::time::Millis;

/// Counts what unsettles; clones count together.
#[derive(Clone)]
pub(crate) struct Settled {
    pulse: Pulse,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    /// What was told to the loop.
    told: News,
    /// What the loop has heard of it, and so the engine.
    heard: News,
    /// Times of stillness the loop has heard of.
    gaps: u64,
}

/// News about drains.
#[derive(Default)]
struct News {
    /// About instances, and so about every node.
    instances: u64,
    /// About one node.
    nodes: BTreeMap<NodeName, u64>,
}

impl News {
    fn count(&mut self, answer: &Answer) {
        match answer {
            Answer::Drift { node, .. } => *self.nodes.entry(node.clone()).or_default() += 1,
            Answer::InstanceChanged { .. } => self.instances += 1,
            Answer::Report { .. } => {}
        }
    }

    fn about(&self, node: Option<&NodeName>) -> u64 {
        self.instances + node.and_then(|node| self.nodes.get(node)).copied().unwrap_or_default()
    }
}

impl Settled {
    pub(crate) fn new(pulse: Pulse) -> Self {
        Self { pulse, counts: Arc::default() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop was told; counted after the telling, so that whoever withdraws for it is heard
    /// later than it.
    pub(crate) fn was_told(&self, answer: &Answer) {
        self.counts().told.count(answer);
    }

    /// The loop has heard it, and decides with it.
    pub(crate) fn was_heard(&self, answer: &Answer) {
        self.counts().heard.count(answer);
    }

    /// How long the process stood still since this was last asked, if it did. Who asks has heard.
    pub(crate) fn stood_still(&self) -> Option<Millis> {
        let (span, gaps) = self.pulse.stood_still();
        self.counts().gaps = gaps;
        span
    }

    /// Acts may be begun for so long from now. Without a mandate nothing was held out, and nobody
    /// looked whether it was: as if the process had stood still.
    pub(crate) fn grant(&self, mandate: &Mandate, span: Duration) {
        if let Some(lapsed) = mandate.grant(span) {
            self.pulse.missed(lapsed);
        }
    }

    /// From what the loop has heard on.
    pub(crate) fn since_heard(&self, node: Option<&NodeName>) -> Since {
        let counts = self.counts();
        let (news, gaps) = (counts.heard.about(node), counts.gaps);
        drop(counts);
        Since { node: node.cloned(), news, gaps, settled: self.clone() }
    }
}

/// What the engine knew when it decided on an effect.
#[derive(Clone)]
pub(crate) struct Since {
    node: Option<NodeName>,
    news: u64,
    gaps: u64,
    settled: Settled,
}

impl Since {
    /// Whether the process did not stand still since.
    pub(crate) fn watched(&self) -> bool {
        self.settled.pulse.gaps() == self.gaps
    }

    /// Whether nothing unsettled the node's drain since.
    pub(crate) fn holds(&self) -> bool {
        // News can be heard before it is counted as told.
        let told = self.settled.counts().told.about(self.node.as_ref());
        self.watched() && told <= self.news
    }
}

#[cfg(test)]
#[path = "settled_tests.rs"]
mod tests;
