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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zdu_model::ids::NodeName;
use zdu_model::news::{About, Known, News};
use zdu_model::time::Millis;

/// Counts what unsettles; clones count together.
#[derive(Clone)]
pub(crate) struct Settled {
    pulse: Pulse,
    news: Arc<Mutex<News>>,
}

impl Settled {
    pub(crate) fn new(pulse: Pulse) -> Self {
        Self { pulse, news: Arc::default() }
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop is being told. Whoever withdraws for it before the loop has it is asked again, a
    /// bounded number of times.
    pub(crate) fn was_told(&self, answer: &Answer) {
        if let Some(about) = about(answer) {
            self.news().told(about);
        }
    }

    /// The loop has heard it, and decides with it.
    pub(crate) fn was_heard(&self, answer: &Answer) {
        if let Some(about) = about(answer) {
            self.news().heard(about);
        }
    }

    /// How long the process stood still since this was last asked, if it did. Who asks has heard.
    pub(crate) fn stood_still(&self) -> Option<Millis> {
        let (span, gaps) = self.pulse.stood_still();
        self.news().heard_gaps(gaps);
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
        let known = self.news().known(node);
        Since { node: node.cloned(), known, settled: self.clone() }
    }
}

fn about(answer: &Answer) -> Option<About<'_>> {
    match answer {
        Answer::Drift { node, .. } => Some(About::Node(node)),
        Answer::InstanceChanged { .. } => Some(About::Instances),
        Answer::Report { .. } | Answer::FrontSeen { .. } => None,
    }
}

/// What the engine knew when it decided on an effect.
#[derive(Clone)]
pub(crate) struct Since {
    node: Option<NodeName>,
    known: Known,
    settled: Settled,
}

impl Since {
    /// Whether the process did not stand still since.
    pub(crate) fn watched(&self) -> bool {
        self.known.watched(self.settled.pulse.gaps())
    }

    /// Whether nothing unsettled the node's drain since.
    pub(crate) fn holds(&self) -> bool {
        self.watched() && self.settled.news().holds(self.node.as_ref(), self.known)
    }
}

#[cfg(test)]
#[path = "settled_tests.rs"]
mod tests;
