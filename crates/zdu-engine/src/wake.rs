//! When the engine wants to be asked again although nothing happened, and why (law 13).

use crate::state::{Rollout, StepStatus, is_engines_own};
use zdu_model::ids::StepNo;
use zdu_model::plan::{PlannedStep, Work};
use zdu_model::time::{Millis, Timestamp};

/// The next moment something must be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wake {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: WakeReason,
}

/// Why the engine wants to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WakeReason {
    /// A scheduled step is due.
    Scheduled(StepNo),
    /// A soak ends.
    SoakEnds(StepNo),
    /// A person did not answer in time.
    HoldExpires,
    /// A driver did not answer within its deadline and the grace after it.
    DriverOverdue(StepNo),
}

/// How long after its deadline a driver may still answer: ending what runs on a node (TERM, a
/// grace, KILL) and telling of it takes some seconds. Past it the driver is taken to be lost.
pub(crate) const DRIVER_GRACE: Millis = Millis::from_secs(60);

impl Rollout {
    /// The next wake; when nothing followed from `now`, one that is due already would only lead to
    /// nothing again, so only later ones count.
    pub(crate) fn next_wake(&self, after: Option<Timestamp>) -> Option<Wake> {
        if self.ended.is_some() {
            return None;
        }
        let steps = self.active.iter().filter_map(|step| self.wake_of(*step));
        let hold = self.hold_expires().map(|at| Wake { at, reason: WakeReason::HoldExpires });
        let later = |wake: &Wake| after.is_none_or(|now| wake.at > now);
        steps.chain(hold).filter(later).min()
    }

    /// When the newest question to a person has waited long enough.
    pub(crate) fn hold_expires(&self) -> Option<Timestamp> {
        let newest = self.holds.iter().map(|(_, since)| *since).max();
        newest.map(|since| since.after(self.plan.policy.hold_deadline))
    }

    fn wake_of(&self, step: StepNo) -> Option<Wake> {
        let planned = self.plan.step(step);
        match self.state(step).status {
            StepStatus::Scheduled { at, .. } => {
                Some(Wake { at, reason: WakeReason::Scheduled(step) })
            }
            StepStatus::Running { since } | StepStatus::Unknown { since, .. } => {
                let at = since.after(self.patience(planned));
                let soak = matches!(planned.work, Work::Soak(_));
                let reason =
                    if soak { WakeReason::SoakEnds(step) } else { WakeReason::DriverOverdue(step) };
                Some(Wake { at, reason })
            }
            StepStatus::Pending | StepStatus::Ended(_) => None,
        }
    }

    /// How long a begun step may go without an answer before the engine acts by itself.
    pub(crate) fn patience(&self, step: &PlannedStep) -> Millis {
        if let Work::Soak(span) = step.work {
            return span;
        }
        if is_engines_own(step) {
            return step.deadline;
        }
        let reconnect = self.plan.policy.reconnect_deadline.0;
        Millis(step.deadline.0.saturating_add(reconnect).saturating_add(DRIVER_GRACE.0))
    }
}
