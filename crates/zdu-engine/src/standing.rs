//! What was read of the world stands only as long as somebody watches it: drain certificates and
//! the readings of groups that drains go by (laws 1 and 2).

use crate::decide::Decision;
use crate::state::{Rollout, StepStatus};
use alloc::string::String;
use alloc::vec;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Inquiry, ScheduleCause};
use zdu_model::ids::{Epoch, NodeName, StepNo};
use zdu_model::plan::{PlannedStep, Work};
use zdu_model::time::{Millis, Timestamp};

/// How long a controller may stand still before nothing stands any longer. Drivers look at what is
/// out every 200 ms; a process that only waited for a processor misses a look or two.
pub const STILLNESS: Millis = Millis::from_secs(1);

impl Rollout {
    /// A controller takes the rollout over.
    pub(crate) fn take(&mut self, stamped: Epoch, taken: Epoch) -> Result<(), String> {
        if stamped != taken || self.epoch.is_some_and(|known| known >= taken) {
            return Err(alloc::format!("epoch {} is not newer than the last", taken.0));
        }
        self.epoch = Some(taken);
        self.nothing_stands();
        Ok(())
    }

    /// Nobody watched: neither the nodes that are out, nor the groups that were read.
    pub(crate) fn nothing_stands(&mut self) {
        self.lose_certificates();
        for (_, stands) in self.guarded.values_mut() {
            *stands = false;
        }
    }

    pub(crate) fn lose_certificate(&mut self, node: &NodeName) {
        if let Some(held) = self.certified.get_mut(node) {
            *held = false;
        }
    }

    pub(crate) fn lose_certificates(&mut self) {
        for held in self.certified.values_mut() {
            *held = false;
        }
    }

    /// The controller stood still. A reading that is under way may be from before, its answer even
    /// on its way to us: it is given up and had again.
    pub(crate) fn stood_still(&self, now: Timestamp, span: Millis) -> Decision {
        if self.ended.is_some() {
            return Decision::nothing();
        }
        let mut events = vec![Event::ControllerStoodStill { span }];
        let mut effects = vec![];
        for (planned, again) in self.readings_under_way() {
            let (step, attempt) = (planned.no, self.state(planned.no).attempt);
            let cause = "the controller stood still while it was read".into();
            let how = Inquiry::Recover;
            events.push(Event::StepUnknown { step, attempt, cause, how });
            events.push(Event::StepScheduled { step, at: now, cause: again });
            effects.push(Effect::Cancel { step, attempt });
        }
        Decision { events, effects, wake: None }
    }

    fn readings_under_way(&self) -> impl Iterator<Item = (&PlannedStep, ScheduleCause)> {
        let open = |step: &&StepNo| {
            let status = &self.state(**step).status;
            matches!(status, StepStatus::Running { .. } | StepStatus::Unknown { .. })
        };
        self.active.iter().filter(open).filter_map(|step| {
            let planned = self.plan.step(*step);
            if matches!(planned.work, Work::Guard { .. }) {
                return Some((planned, ScheduleCause::Reguard));
            }
            matches!(planned.work, Work::Certify).then_some((planned, ScheduleCause::Recertify))
        })
    }
}
