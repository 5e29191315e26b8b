//! Law 12: a release that was rolled back is refused until someone clears it with a reason.

use super::Checker;
use crate::seen::{Scene, Seen};
use zdu_model::event::Event;
use zdu_model::verdict::Verdict;

/// Keeps its own account, from verdicts alone. A run has one release.
#[derive(Default)]
pub(super) struct Refused {
    rolled_back: bool,
}

impl Checker for Refused {
    fn name(&self) -> &'static str {
        "refused"
    }

    fn saw(&mut self, _: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Durable(records) => {
                for record in *records {
                    if let Event::RolloutEnded { verdict } = &record.event {
                        self.rolled_back |= goes_back(verdict);
                    }
                }
                None
            }
            // An end that is read again is one again.
            Seen::Verdict(verdict) => {
                self.rolled_back |= goes_back(verdict);
                None
            }
            Seen::Asked { admitted, reason } => {
                let cleared = reason.is_some_and(|reason| !reason.trim().is_empty());
                let may = cleared || !self.rolled_back;
                if *admitted {
                    self.rolled_back = false;
                }
                match (may, *admitted) {
                    (false, true) => Some("a release that was rolled back begins again".into()),
                    (true, false) => Some(format!("a release is refused, for {reason:?}")),
                    (true, true) | (false, false) => None,
                }
            }
            Seen::Started { .. }
            | Seen::Gone { .. }
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Began { .. }
            | Seen::Ended { .. }
            | Seen::Landed { .. }
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Traffic
            | Seen::Over => None,
        }
    }
}

/// Whether something of the release was put back, or could not be.
fn goes_back(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Failed { rolled_back, .. } => !rolled_back.is_empty(),
        Verdict::RolledBack | Verdict::Stuck { .. } => true,
        Verdict::Succeeded | Verdict::Aborted | Verdict::Held => false,
    }
}
