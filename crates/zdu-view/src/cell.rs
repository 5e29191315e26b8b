//! One cell of the summary: how a phase of a node went.

use crate::describe;
use crate::step::{StepState, StepView};
use zdu_model::contract::Class;
use zdu_model::time::Timestamp;

/// How a phase of a node went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhaseCell {
    /// No step of it was begun.
    NotRun,
    /// It was begun and has not ended.
    Running {
        /// When its first step was begun.
        since: Timestamp,
    },
    /// A step of it will be begun again.
    Scheduled {
        /// Not before.
        at: Timestamp,
    },
    /// It was begun and the rollout ended before it did.
    Partial,
    /// Every step passed.
    Passed {
        /// 0, or the last exit code that was not 0 and still counts as passed.
        exit: String,
    },
    /// Every step passed or was gone over, with something a person should read.
    Warned {
        /// The exit code, or word, of the last such step.
        exit: String,
    },
    /// A step did not pass.
    Failed {
        /// Its exit code, or a word where there is none: `timeout`, `http 503`, `signal 9`.
        exit: String,
    },
    /// Nobody knows how a step ended.
    Unknown,
}

impl PhaseCell {
    /// The cell of the steps of one phase; `over` when the rollout has ended.
    #[must_use]
    pub fn of(steps: &[&StepView], over: bool) -> Self {
        let parts: Vec<Self> = steps.iter().map(|step| Self::of_step(step)).collect();
        if parts.iter().all(|part| *part == Self::NotRun) {
            return Self::NotRun;
        }
        if let Some(bad) = parts.iter().find(|part| part.is_failed()) {
            return bad.clone();
        }
        if let Some(waits) = parts.iter().find(|part| matches!(part, Self::Scheduled { .. })) {
            return waits.clone();
        }
        let since = steps.iter().find_map(|step| step.first_started());
        let since = since.unwrap_or_default();
        match parts.into_iter().max_by_key(Self::openness) {
            None => Self::NotRun,
            Some(Self::Running { .. }) => Self::Running { since },
            // Between two steps a phase still runs, unless nobody will begin the next one.
            Some(Self::NotRun | Self::Partial) if !over => Self::Running { since },
            Some(Self::NotRun | Self::Partial) => Self::Partial,
            Some(worst) => worst,
        }
    }

    fn of_step(step: &StepView) -> Self {
        match step.state {
            StepState::NotBegun => Self::NotRun,
            StepState::Running { since } => Self::Running { since },
            StepState::Inquiring { .. } => Self::Unknown,
            StepState::Scheduled { at, .. } => Self::Scheduled { at },
            StepState::Ended { class, .. } => {
                let exit = exit_of(step);
                match class {
                    Class::Succeeded => Self::Passed { exit },
                    Class::Warned => Self::Warned { exit },
                    Class::Again
                    | Class::Failed
                    | Class::TimedOut
                    | Class::Unknown
                    | Class::NotRun
                        if step.went_on =>
                    {
                        Self::Warned { exit }
                    }
                    Class::Failed | Class::TimedOut => Self::Failed { exit },
                    Class::Unknown => Self::Unknown,
                    // The controller says in its next record when it begins again.
                    Class::Again | Class::NotRun => Self::Partial,
                }
            }
        }
    }

    /// Which step of a phase speaks for it: one that is not complete before one that warned,
    /// and that before one that passed, where a code that is not 0 is worth showing.
    fn openness(&self) -> u8 {
        match self {
            Self::Passed { exit } if exit == "0" => 0,
            Self::Passed { .. } => 1,
            Self::Warned { .. } => 2,
            Self::NotRun => 3,
            Self::Partial => 4,
            Self::Running { .. } | Self::Scheduled { .. } => 5,
            Self::Failed { .. } | Self::Unknown => 6,
        }
    }

    /// Whether a step did not pass, or nobody knows.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::Unknown => true,
            Self::NotRun
            | Self::Running { .. }
            | Self::Scheduled { .. }
            | Self::Partial
            | Self::Passed { .. }
            | Self::Warned { .. } => false,
        }
    }

    /// The text of the summary table.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::NotRun => "*".into(),
            Self::Running { .. } => "RUNNING".into(),
            Self::Scheduled { .. } => "RETRYING".into(),
            Self::Partial => "PARTIAL".into(),
            Self::Passed { exit } => format!("PASSED ({exit})"),
            Self::Warned { exit } => format!("WARNED ({exit})"),
            Self::Failed { exit } => format!("FAILED ({exit})"),
            Self::Unknown => "UNKNOWN".into(),
        }
    }

    /// One character for a bar of phases; each is its own, so colour adds nothing but speed.
    #[must_use]
    pub fn mark(&self) -> char {
        match self {
            Self::NotRun => '.',
            Self::Running { .. } => '>',
            Self::Scheduled { .. } => '~',
            Self::Partial => '-',
            Self::Passed { .. } => '#',
            Self::Warned { .. } => 'w',
            Self::Failed { .. } => '!',
            Self::Unknown => '?',
        }
    }
}

fn exit_of(step: &StepView) -> String {
    step.last_end().map_or_else(|| "-".into(), |end| describe::exit_word(&end.report.end))
}
