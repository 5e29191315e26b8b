//! Law 11 asks that what users see never goes back where a procedure declares a monotonic version.
//! No procedure can declare one yet, so what holds today is checked: what was done on a node is not
//! taken back except while a compensation that undoes it is journaled as begun.

use super::Checker;
use crate::layout::Place;
use crate::seen::{Scene, Seen};
use crate::world::node::Mark;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::event::Event;
use zdu_model::ids::StepNo;

/// Watches the marks of a node whenever something happens on it or to its traffic. No tolerance: a
/// node that fails by itself keeps what was done to it.
#[derive(Default)]
pub(super) struct Monotonic {
    /// Steps whose work was all done on their node, and that nothing began to undo since.
    done: BTreeMap<Place, BTreeSet<StepNo>>,
    /// Steps something began to undo since they were begun.
    undoing: BTreeSet<StepNo>,
}

impl Checker for Monotonic {
    fn name(&self) -> &'static str {
        "monotonic"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Durable(records) => {
                for record in *records {
                    self.durable(scene, &record.event);
                }
                None
            }
            Seen::Began { step, .. } | Seen::Ended { step, .. } => {
                let at = scene.layout.step(*step);
                self.look(scene, at.node.unwrap_or(at.target))
            }
            Seen::Landed { slot, .. } => self.look(scene, scene.layout.slots[*slot].node),
            Seen::Over => (0..scene.world.nodes.len()).find_map(|node| self.look(scene, node)),
            Seen::Started { .. }
            | Seen::Gone { .. }
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Traffic
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_) => None,
        }
    }
}

impl Monotonic {
    fn durable(&mut self, scene: &Scene<'_>, event: &Event) {
        let Event::StepStarted { step, .. } = event else { return };
        let at = scene.layout.step(*step);
        match at.undoes {
            None => {
                self.undoing.remove(step);
            }
            Some(undone) => {
                self.undoing.insert(undone);
                if let Some(done) = self.done.get_mut(&at.node.unwrap_or(at.target)) {
                    done.remove(&undone);
                }
            }
        }
    }

    fn look(&mut self, scene: &Scene<'_>, node: Place) -> Option<String> {
        let done = self.done.entry(node).or_default();
        let mut fell = None;
        for (step, mark) in scene.world.nodes[node].marks() {
            match mark {
                Mark::Done if !self.undoing.contains(step) => {
                    done.insert(*step);
                }
                Mark::Untouched if done.remove(step) => fell = Some(*step),
                // It may be done again, by its own step.
                Mark::Untouched | Mark::Half | Mark::Done => {}
            }
        }
        let step = fell?;
        let key = &scene.layout.plan.step(step).key;
        Some(format!("{key} (step {step}) was done on {}, and is not", scene.layout.name(node)))
    }
}
