//! Law 13: every retry has a maximum. What is stuck waits for a person, and nothing is tried for
//! ever because the world, or the controller itself, keeps coming in between.

use super::Checker;
use crate::seen::{Scene, Seen};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::event::Event;
use zdu_model::ids::StepNo;
use zdu_model::plan::{Plan, Subject};
use zdu_model::policy::FailureAction;

/// The most beginnings that may follow one try of a step: a reading that balancers overtake, one
/// that stillness interrupts, and one that never began, ten times each, and what gets lost.
const DISTURBED: u64 = 40;

/// Counts since a person last asked for something, or a putting back began.
#[derive(Default)]
pub(super) struct Bounds {
    /// How often each step was begun without passing.
    begun: BTreeMap<StepNo, u64>,
    /// Where something is stuck.
    stuck: BTreeSet<Subject>,
}

impl Checker for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        let Seen::Durable(records) = seen else { return None };
        records.iter().find_map(|record| self.durable(&scene.layout.plan, &record.event))
    }
}

impl Bounds {
    fn durable(&mut self, plan: &Plan, event: &Event) -> Option<String> {
        match event {
            Event::StepStarted { step, .. } => return self.started(plan, *step),
            Event::StepEnded { step, class, .. } if class.passes() => {
                self.begun.remove(step);
            }
            Event::NodeStuck { step, .. } => {
                let planned = plan.step(*step);
                let first = self.stuck.insert(planned.subject.clone());
                return (!first).then(|| format!("{} is stuck, and was before", planned.key));
            }
            Event::Requested { .. } | Event::UnwindStarted { .. } => {
                self.begun.clear();
                self.stuck.clear();
            }
            // Each takeover is somebody's doing.
            Event::ControllerStarted { .. } => self.begun.clear(),
            Event::StepEnded { .. }
            | Event::RolloutStarted { .. }
            | Event::StepUnknown { .. }
            | Event::StepScheduled { .. }
            | Event::FailureDecided { .. }
            | Event::UnwindEnded { .. }
            | Event::Drifted { .. }
            | Event::InstanceChanged { .. }
            | Event::ControllerStoodStill { .. }
            | Event::FrontSeen { .. }
            | Event::HoldStarted { .. }
            | Event::RolloutEnded { .. } => {}
        }
        None
    }

    fn started(&mut self, plan: &Plan, step: StepNo) -> Option<String> {
        let planned = plan.step(step);
        if self.stuck.contains(&planned.subject) {
            return Some(format!("{} begins behind what is stuck", planned.key));
        }
        let count = self.begun.entry(step).or_default();
        *count += 1;
        let by_rules = plan.rules.iter().map(|rule| match rule.action {
            FailureAction::Retry { max, .. } => u64::from(max),
            FailureAction::RollbackNode
            | FailureAction::RollbackWave
            | FailureAction::RollbackRollout
            | FailureAction::Hold
            | FailureAction::GoOn
            | FailureAction::Stop => 0,
        });
        let tries = u64::from(planned.attempts) + 3 + by_rules.sum::<u64>();
        let most = tries * (u64::from(planned.contract.again.max) + DISTURBED);
        (*count > most).then(|| format!("{} is begun {count} times and never passes", planned.key))
    }
}
