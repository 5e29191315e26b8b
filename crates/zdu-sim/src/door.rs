//! The door every rollout of a release goes through: a release that was rolled back begins again
//! only for a reason (law 12). The rule is the production one; only its file is left out.

use crate::fault::Ask;
use crate::plant::Plant;
use crate::process::rollout_id;
use crate::run::Run;
use crate::seen::Seen;
use zdu_conductor::refused::{Clearing, Refusal, why_refused};
use zdu_model::event::Request;
use zdu_model::verdict::Verdict;

/// In so many of a hundred runs that are over somebody wants one more rollout of the release.
const ANOTHER: u64 = 30;

impl Run {
    /// What the program does at an end.
    pub(crate) fn remember_refused(&mut self, verdict: &Verdict) {
        if let Some(reason) = why_refused(verdict) {
            let (release, at) = (self.layout.plan.release.to.clone(), self.agenda.now());
            let refusal = Refusal { release, rollout: rollout_id(), reason, at };
            if self.plant != Some(Plant::RefusalsAreForgotten) {
                self.refusals.refuse(refusal);
            }
        }
    }

    /// A person resumes what ended, and says why.
    pub(crate) fn resumes(&mut self, ask: &Ask) {
        if matches!(ask, Ask::For(Request::Resume)) && !self.refusals.refused.is_empty() {
            self.knock(Some("the cause is repaired"));
        }
    }

    /// Somebody wants one more rollout of the same release: without a reason, with an empty one,
    /// and at last with one.
    pub(crate) fn ask_for_another(&mut self) {
        if self.dice.chance(ANOTHER) {
            self.knock(None);
            self.knock(Some("  "));
            self.knock(Some("the new build has the fix"));
            self.knock(None);
        }
    }

    fn knock(&mut self, reason: Option<&str>) {
        let (release, at) = (self.layout.plan.release.to.clone(), self.agenda.now());
        let given = reason.unwrap_or_default().to_owned();
        let asking = Clearing { release, by: "op".into(), reason: given, at };
        let admitted = self.refusals.admit(asking).is_ok();
        self.tell(&Seen::Asked { admitted, reason });
    }
}
