//! No request is lost by our doing: users never reach a node that we have taken apart, for longer
//! than the keeper needs to take it out again.

use super::Checker;
use crate::fault::{ControllerTrouble, What};
use crate::layout::Place;
use crate::seen::{Scene, Seen};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::time::{Millis, Timestamp};

/// A reload is answered within a second.
const SECOND: Millis = Millis(1_000);

/// Watches nodes between two releases.
#[derive(Default)]
pub(super) struct Lost {
    /// Nodes that were ever disrupted.
    touched: BTreeSet<Place>,
    exposed: BTreeMap<Place, Timestamp>,
    /// Since when a controller attends, if one does.
    attended: Option<Timestamp>,
}

impl Checker for Lost {
    fn name(&self) -> &'static str {
        "lost"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Started { .. } => self.attended = Some(scene.now),
            Seen::Gone { .. } => self.attended = None,
            Seen::Trouble(What::Controller(ControllerTrouble::Paused(span))) => {
                self.attended = self.attended.map(|_| scene.now.after(*span));
            }
            Seen::Began { step, .. } => {
                let drained = scene.layout.plan.step(*step).needs_drain;
                self.touched.extend(scene.layout.step(*step).node.filter(|_| drained));
            }
            Seen::Trouble(_)
            | Seen::Durable(_)
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Ended { .. }
            | Seen::Landed { .. }
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_)
            | Seen::Over => {}
        }
        self.touched.iter().copied().find_map(|node| {
            let reached = reaches_parts(scene, node);
            if !reached {
                self.exposed.remove(&node);
                return None;
            }
            let since = *self.exposed.entry(node).or_insert(scene.now);
            let attended = self.attended?;
            let late = scene.now > since.max(attended).after(SECOND);
            late.then(|| format!("users reach {} while it is taken apart", scene.layout.name(node)))
        })
    }
}

fn reaches_parts(scene: &Scene<'_>, node: Place) -> bool {
    let slots = &scene.layout.slots_of_node[node];
    scene.world.is_between(node)
        && slots.iter().any(|slot| {
            let instance = &scene.world.instances[scene.layout.slots[*slot].instance];
            // An instance that takes no commands cannot be told.
            scene.now >= instance.refuses_until && scene.world.in_traffic(*slot, scene.now)
        })
}
