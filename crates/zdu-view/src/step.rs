//! What is known about one step of the plan: its state and every attempt at it.

use zdu_model::contract::Class;
use zdu_model::event::{Inquiry, ScheduleCause};
use zdu_model::ids::Attempt;
use zdu_model::report::Report;
use zdu_model::time::{Millis, Timestamp};

/// One step as the records tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepView {
    /// Where it stands.
    pub state: StepState,
    /// Every attempt, oldest first.
    pub attempts: Vec<AttemptView>,
    /// Whether a failure rule said to go on in spite of its ending.
    pub went_on: bool,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepState {
    /// No attempt was begun.
    #[default]
    NotBegun,
    /// An attempt was begun and has not ended.
    Running {
        /// When it was begun.
        since: Timestamp,
    },
    /// Nobody knows how the attempt ended; it is being found out.
    Inquiring {
        /// When the asking began.
        since: Timestamp,
        /// How it is found out.
        how: Inquiry,
    },
    /// It will be begun again.
    Scheduled {
        /// When that was decided.
        since: Timestamp,
        /// Not before.
        at: Timestamp,
        /// Why.
        cause: ScheduleCause,
    },
    /// The last attempt ended.
    Ended {
        /// When.
        at: Timestamp,
        /// What the ending is called.
        class: Class,
    },
}

/// One attempt at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptView {
    /// Which, from 1.
    pub attempt: Attempt,
    /// When it was begun.
    pub started: Timestamp,
    /// Its end, when it is known.
    pub end: Option<AttemptEnd>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// When.
    pub at: Timestamp,
    /// What the ending is called.
    pub class: Class,
    /// What the driver said.
    pub report: Report,
}

impl AttemptView {
    /// How long it took, when it has ended.
    #[must_use]
    pub fn took(&self) -> Option<Millis> {
        self.end.as_ref().map(|end| end.at.since(self.started))
    }
}

impl StepView {
    /// Whether it is running, being asked about, or will be begun again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        match self.state {
            StepState::Running { .. }
            | StepState::Inquiring { .. }
            | StepState::Scheduled { .. } => true,
            StepState::NotBegun | StepState::Ended { .. } => false,
        }
    }

    /// Whether it passed, or a rule said to go on without that.
    #[must_use]
    pub fn passed(&self) -> bool {
        match self.state {
            StepState::Ended { class, .. } => class.passes() || self.went_on,
            StepState::NotBegun
            | StepState::Running { .. }
            | StepState::Inquiring { .. }
            | StepState::Scheduled { .. } => false,
        }
    }

    /// The newest attempt's number; 0 before the first.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempts.last().map_or(0, |attempt| attempt.attempt)
    }

    /// Whether an attempt at it was begun and not withdrawn before it did anything.
    #[must_use]
    pub fn may_have_begun(&self) -> bool {
        let never = |end: &AttemptEnd| end.class == Class::NotRun;
        self.attempts.iter().any(|attempt| !attempt.end.as_ref().is_some_and(never))
    }

    /// When the first attempt was begun.
    #[must_use]
    pub fn first_started(&self) -> Option<Timestamp> {
        self.attempts.first().map(|attempt| attempt.started)
    }

    /// The end of the newest attempt that has one.
    #[must_use]
    pub fn last_end(&self) -> Option<&AttemptEnd> {
        self.attempts.iter().rev().find_map(|a| a.end.as_ref())
    }

    pub(crate) fn begin(&mut self, attempt: Attempt, at: Timestamp) {
        self.went_on = false;
        self.state = StepState::Running { since: at };
        self.attempts.push(AttemptView { attempt, started: at, end: None });
    }

    pub(crate) fn end(&mut self, attempt: Attempt, end: AttemptEnd) {
        self.state = StepState::Ended { at: end.at, class: end.class };
        match self.attempts.iter_mut().rev().find(|a| a.attempt == attempt) {
            Some(known) => known.end = Some(end),
            // An end without its begin does not come from a whole journal; the view keeps what
            // it was told and leaves it to the engine to refuse such a journal.
            None => self.attempts.push(AttemptView { attempt, started: end.at, end: Some(end) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zdu_model::report::End;

    fn ended(class: Option<Class>) -> AttemptView {
        let report = Report::bare(End::Never);
        let end = class.map(|class| AttemptEnd { at: Timestamp(2), class, report });
        AttemptView { attempt: 1, started: Timestamp(1), end }
    }

    #[test]
    fn a_step_that_was_only_withdrawn_has_not_begun() {
        let mut step = StepView::default();
        assert!(!step.may_have_begun());
        step.attempts.push(ended(Some(Class::NotRun)));
        assert!(!step.may_have_begun());
        step.attempts.push(ended(None));
        assert!(step.may_have_begun(), "nobody knows yet");
    }
}
