//! What was read of the world stands only as long as somebody watches it: drain certificates and
//! the readings of groups that drains go by (laws 1 and 2).

use crate::decide::Decision;
use crate::failure::NEVERS_MAX;
use crate::state::{Rollout, StepStatus};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Inquiry, ScheduleCause};
use zdu_model::ids::{Epoch, NodeName, StepNo};
use zdu_model::plan::{PlannedStep, Work};
use zdu_model::report::{End, Report};
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

    /// Nobody watched: neither the nodes that are out or about to return, nor the groups that were
    /// read.
    pub(crate) fn nothing_stands(&mut self) {
        self.lose_certificates();
        for (_, stands) in self.proved.values_mut().chain(self.guarded.values_mut()) {
            *stands = false;
        }
    }

    /// A node was seen in traffic while it was out.
    pub(crate) fn drifted(&mut self, node: &NodeName) {
        if let Some(held) = self.certified.get_mut(node) {
            *held = false;
        }
        self.overtake(|planned| {
            matches!(planned.work, Work::Certify) && planned.subject.node() == Some(node)
        });
    }

    /// An instance came or went, with whatever it held.
    pub(crate) fn instance_changed(&mut self) {
        self.lose_certificates();
        self.overtake(|planned| matches!(planned.work, Work::Certify | Work::Guard { .. }));
    }

    fn lose_certificates(&mut self) {
        for held in self.certified.values_mut() {
            *held = false;
        }
    }

    fn overtake(&mut self, reads: impl Fn(&PlannedStep) -> bool) {
        let under_way = self.active.iter().filter(|step| reads(self.plan.step(**step)));
        for step in under_way.copied().collect::<Vec<_>>() {
            self.state_mut(step).overtaken = true;
        }
    }

    /// The end of a reading that was overtaken is no reading; it is had again.
    pub(crate) fn overtaken(&self, step: StepNo, class: Class) -> bool {
        self.state(step).overtaken && class.passes()
    }

    /// The controller stood still. What a reading that is under way was interrupted for is counted:
    /// each time it is had again it has its whole deadline before it.
    pub(crate) fn controller_stood_still(&mut self) {
        self.nothing_stands();
        let interrupted: Vec<StepNo> =
            self.readings_under_way().map(|(planned, _)| planned.no).collect();
        for step in interrupted {
            self.state_mut(step).interrupted += 1;
        }
    }

    /// The controller stood still. A reading that is under way may be from before, its answer even
    /// on its way to us: it is given up and had again, unless that was done too often.
    pub(crate) fn stood_still(&self, now: Timestamp, span: Millis) -> Decision {
        if self.ended.is_some() {
            return Decision::nothing();
        }
        let mut events = vec![Event::ControllerStoodStill { span }];
        let mut effects = vec![];
        for (planned, again) in self.readings_under_way() {
            let (step, attempt) = (planned.no, self.state(planned.no).attempt);
            effects.push(Effect::Cancel { step, attempt });
            if self.state(step).interrupted >= NEVERS_MAX {
                let why = "the controller stood still again and again while it was read";
                let (class, report) = (Class::Failed, Report::bare(End::NotMet(why.into())));
                events.push(Event::StepEnded { step, attempt, class, report });
                continue;
            }
            let cause = "the controller stood still while it was read".into();
            let how = Inquiry::Recover;
            events.push(Event::StepUnknown { step, attempt, cause, how });
            events.push(Event::StepScheduled { step, at: now, cause: again });
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
            Some((planned, had_again(&planned.work)?))
        })
    }
}

/// Why a reading is had again that somebody has to have watched since.
pub(crate) fn had_again(work: &Work) -> Option<ScheduleCause> {
    if matches!(work, Work::Guard { .. }) {
        Some(ScheduleCause::Reguard)
    } else if matches!(work, Work::Certify) {
        Some(ScheduleCause::Recertify)
    } else {
        matches!(work, Work::Ready(_)).then_some(ScheduleCause::Reprove)
    }
}
