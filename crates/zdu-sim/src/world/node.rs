//! A node: what was done to it, what runs on it, and whether it can be reached.

use std::collections::BTreeMap;
use zdu_model::ids::{Attempt, StepNo};
use zdu_model::time::Timestamp;

/// How far a step's work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mark {
    /// Nothing of it.
    #[default]
    Untouched,
    /// Some of it.
    Half,
    /// All of it.
    Done,
}

/// What became of one execution on a node, as its supervisor would tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It runs.
    Running,
    /// It ended with this code.
    Exited(i32),
    /// It was ended by this signal.
    Signaled(i32),
    /// The node has booted since it was begun.
    Rebooted,
    /// Its supervisor was killed.
    Unsupervised,
}

/// One execution on a node.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    /// What became of it.
    pub(crate) fate: Fate,
    /// When it began.
    pub(crate) began: Timestamp,
    /// What the step's work comes to when it ends by itself.
    pub(crate) result: (Mark, Fate),
    /// How far the work was done before.
    pub(crate) before: Mark,
}

/// A node, or the controller's own host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// How often it has booted.
    pub(crate) boots: u64,
    /// It is away until then (rebooting).
    pub(crate) away_until: Timestamp,
    /// Its service is down until then, for a reason of its own.
    pub(crate) sick_until: Timestamp,
    /// Nothing reaches it by SSH until then.
    pub(crate) cut_until: Timestamp,
    /// Requests on it last so long when it is taken out.
    pub(crate) lingers_until: Timestamp,
    /// What serves on it is ready from then on.
    pub(crate) ready_at: Timestamp,
    /// The newest epoch it has seen.
    pub(crate) seen_epoch: u64,
    /// Sessions that were ever cut on it, and left on it, by us.
    pub(crate) cut: u64,
    pub(crate) left: u64,
    /// How far each step's work is done; the world has to know when it changes.
    marks: BTreeMap<StepNo, Mark>,
    /// Everything that was ever begun on it.
    pub(crate) executions: BTreeMap<(StepNo, Attempt), Execution>,
    /// How often each step's work was begun.
    pub(crate) begun: BTreeMap<StepNo, u32>,
}

impl Node {
    /// Whether a command gets there.
    #[must_use]
    pub(crate) fn reachable(&self, now: Timestamp) -> bool {
        now >= self.away_until && now >= self.cut_until
    }

    /// When a command gets there again.
    pub(crate) fn reachable_at(&self) -> Timestamp {
        self.away_until.max(self.cut_until)
    }

    /// How far a step's work is done.
    #[must_use]
    pub(crate) fn mark(&self, step: StepNo) -> Mark {
        self.marks.get(&step).copied().unwrap_or_default()
    }

    /// How far the work of each step is done that was ever begun here.
    pub(crate) fn marks(&self) -> &BTreeMap<StepNo, Mark> {
        &self.marks
    }

    pub(super) fn set_mark(&mut self, step: StepNo, mark: Mark) {
        self.marks.insert(step, mark);
    }

    /// Whether that step runs here.
    #[must_use]
    pub(crate) fn runs(&self, step: StepNo) -> bool {
        let all = (step, 0)..=(step, Attempt::MAX);
        self.executions.range(all).any(|(_, execution)| execution.fate == Fate::Running)
    }
}
