//! Law 3: no node returns to traffic unless its readiness was proved on the release it should run.

use super::Checker;
use crate::seen::{Hand, Scene, Seen};

/// Watches undrains as they land.
#[derive(Default)]
pub(super) struct Readiness;

impl Checker for Readiness {
    fn name(&self) -> &'static str {
        "readiness"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        let Seen::Landed { slot, hand: Hand::Undrain, .. } = seen else { return None };
        let node = scene.layout.slots[*slot].node;
        // Found out of traffic and left so: no request gets there.
        if scene.world.slots[*slot].is_out() {
            return None;
        }
        let name = scene.layout.name(node);
        if scene.world.is_between(node) {
            return Some(format!("{name} returns half changed"));
        }
        let starting = scene.world.nodes[node].ready_at > scene.now;
        let by_itself = scene.world.fails_by_itself(node, scene.now);
        (starting && !by_itself).then(|| format!("{name} returns before it answers"))
    }
}
