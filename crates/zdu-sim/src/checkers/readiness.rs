//! Law 3: no node returns to traffic unless its readiness was proved on the release it should run.

use super::Checker;
use crate::layout::Place;
use crate::seen::{Hand, Scene, Seen};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::event::Event;
use zdu_model::plan::Work;
use zdu_model::time::{Millis, Timestamp};

/// How old a proof may be when an instance takes the node: one attempt at an undrain, and the pause
/// before it.
const PROOF_AGE_MAX: Millis = Millis::from_secs(45);

/// Watches undrains as they land.
#[derive(Default)]
pub(super) struct Readiness {
    /// Nodes whose readiness was proved since something disruptive last began on them.
    proved: BTreeSet<Place>,
    /// Those of them that nobody watched since: a controller stood still, or another one came.
    unwatched: BTreeSet<Place>,
    /// When each last proved it.
    proofs: BTreeMap<Place, Timestamp>,
    /// Nodes with an entry that was put back by our hand since they were drained.
    returning: BTreeSet<Place>,
}

impl Checker for Readiness {
    fn name(&self) -> &'static str {
        "readiness"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Started { .. } => self.nobody_watched(),
            Seen::Trouble(trouble) if trouble.stills() => self.nobody_watched(),
            Seen::Durable(records) => {
                for record in *records {
                    self.recorded(scene, &record.event);
                }
            }
            Seen::Landed { slot, hand: Hand::Drain, .. } => {
                self.returning.remove(&scene.layout.slots[*slot].node);
            }
            Seen::Landed { slot, hand: Hand::Undrain, .. } => return self.returned(scene, *slot),
            Seen::Landed { hand: Hand::Reassert | Hand::Cut, .. }
            | Seen::Trouble(_)
            | Seen::Gone { .. }
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Began { .. }
            | Seen::Ended { .. }
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_)
            | Seen::Traffic
            | Seen::Over => {}
        }
        None
    }
}

impl Readiness {
    fn nobody_watched(&mut self) {
        self.unwatched.append(&mut self.proved);
    }

    fn recorded(&mut self, scene: &Scene<'_>, event: &Event) {
        let Some((planned, node)) = scene.on_a_node(event) else { return };
        let passed = matches!(event, Event::StepEnded { class, .. } if class.passes());
        if passed && matches!(planned.work, Work::Ready(_)) {
            self.unwatched.remove(&node);
            self.proved.insert(node);
            self.proofs.insert(node, scene.now);
        } else if planned.needs_drain {
            self.unwatched.remove(&node);
            self.proved.remove(&node);
        }
    }

    fn returned(&mut self, scene: &Scene<'_>, slot: usize) -> Option<String> {
        let node = scene.layout.slots[slot].node;
        // Found out of traffic and left so: no request gets there.
        if scene.world.slots[slot].is_out() {
            return None;
        }
        let first = self.returning.insert(node);
        let name = scene.layout.name(node);
        if scene.world.is_between(node) {
            return Some(format!("{name} returns half changed"));
        }
        let by_itself = scene.world.fails_by_itself(node, scene.now);
        if first && by_itself && self.unwatched.contains(&node) {
            return Some(format!("{name} returns sick, by a proof nobody watched since"));
        }
        let old = self.proofs.get(&node).is_some_and(|at| scene.now.since(*at) > PROOF_AGE_MAX);
        if by_itself && old {
            return Some(format!("{name} returns sick, by a proof that is old"));
        }
        let starting = scene.world.nodes[node].ready_at > scene.now;
        (starting && !by_itself).then(|| format!("{name} returns before it answers"))
    }
}
