//! Law 5: whatever reaches the world has its reason durable before it.

use super::Checker;
use crate::layout::Place;
use crate::seen::{Hand, Scene, Seen};
use std::collections::BTreeMap;
use zdu_model::effect::Effect;
use zdu_model::event::Event;
use zdu_model::ids::{Attempt, NodeName, StepNo};
use zdu_model::plan::Work;

/// Watches what reaches nodes and balancers against the durable records. No tolerance: a record is
/// durable before its effect is handed out, or it is not.
#[derive(Default)]
pub(super) struct WriteAhead {
    /// The newest durable begin of each step.
    begun: BTreeMap<StepNo, Attempt>,
    /// The newest attempt of each step that is durably asked about.
    asked: BTreeMap<StepNo, Attempt>,
    /// What was begun on each node's traffic.
    traffic: BTreeMap<Place, Begun>,
}

/// Which acts on a node's traffic have a durable begin.
#[derive(Default, Clone, Copy)]
struct Begun {
    drain: bool,
    certify: bool,
    undrain: bool,
}

impl Checker for WriteAhead {
    fn name(&self) -> &'static str {
        "write_ahead"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Durable(records) => {
                for record in *records {
                    self.durable(scene, &record.event);
                }
                None
            }
            Seen::Released { effect, .. } => self.released(scene, effect),
            Seen::Began { step, attempt, .. } => (!self.is_begun(*step, *attempt))
                .then(|| format!("step {step} attempt {attempt} runs and no record says so")),
            Seen::Landed { slot, hand, .. } => {
                let node = scene.layout.slots[*slot].node;
                let begun = self.traffic.get(&node).copied().unwrap_or_default();
                let reason = match hand {
                    Hand::Drain | Hand::Reassert => begun.drain,
                    Hand::Undrain => begun.undrain,
                    Hand::Cut => begun.certify,
                };
                let name = scene.layout.name(node);
                (!reason).then(|| format!("{hand:?} lands on {name} and no record says why"))
            }
            Seen::Started { .. }
            | Seen::Gone { .. }
            | Seen::Read { .. }
            | Seen::Ended { .. }
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_)
            | Seen::Traffic
            | Seen::Over => None,
        }
    }
}

impl WriteAhead {
    fn durable(&mut self, scene: &Scene<'_>, event: &Event) {
        if let Event::StepStarted { step, attempt } = event {
            self.begun.insert(*step, *attempt);
            let Some(node) = scene.layout.step(*step).node else { return };
            let traffic = self.traffic.entry(node).or_default();
            match &scene.layout.plan.step(*step).work {
                Work::Drain => *traffic = Begun { drain: true, ..Begun::default() },
                Work::Certify => traffic.certify = true,
                Work::Undrain => traffic.undrain = true,
                Work::Guard { .. }
                | Work::Ready(_)
                | Work::Serving
                | Work::Soak(_)
                | Work::Run(_)
                | Work::Http(_)
                | Work::Upload { .. }
                | Work::Backup { .. }
                | Work::Wait(_)
                | Work::Manual { .. } => {}
            }
        }
        if let Event::StepUnknown { step, attempt, .. } = event {
            self.asked.insert(*step, *attempt);
        }
    }

    fn released(&self, scene: &Scene<'_>, effect: &Effect) -> Option<String> {
        let reason = match effect {
            Effect::Run { step, attempt } | Effect::Cancel { step, attempt } => {
                self.is_begun(*step, *attempt)
            }
            Effect::Recover { step, attempt } | Effect::Observe { step, attempt } => {
                self.asked.get(step) == Some(attempt)
            }
            Effect::KeepOut { node } => self.is_drained(scene, node),
        };
        (!reason).then(|| format!("{effect:?} is released and no record says why"))
    }

    fn is_begun(&self, step: StepNo, attempt: Attempt) -> bool {
        self.begun.get(&step).is_some_and(|newest| *newest >= attempt)
    }

    fn is_drained(&self, scene: &Scene<'_>, node: &NodeName) -> bool {
        let place = scene.layout.places.get(node);
        place.and_then(|place| self.traffic.get(place)).is_some_and(|begun| begun.drain)
    }
}
