//! Law 1: never because of us do fewer members serve in a group than its `min_available`; headroom
//! is read live, on every instance, right before a drain.

use super::Checker;
use crate::layout::Place;
use crate::seen::{Hand, Scene, Seen};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::ids::Epoch;

/// Watches drains as they land.
#[derive(Default)]
pub(super) struct Capacity {
    /// For each node, by which controller the balancers were read last before a drain, and whether
    /// there was room then. None for a controller that stood still since.
    read: BTreeMap<Place, (Option<Epoch>, bool)>,
    epoch: Epoch,
    /// Entries that are out by our hand.
    out: BTreeSet<usize>,
}

impl Checker for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Started { epoch, .. } => self.epoch = *epoch,
            Seen::Read { node } => {
                self.read.insert(*node, (Some(self.epoch), room_for(scene, *node)));
            }
            Seen::Trouble(trouble) if trouble.stills() => {
                self.read.values_mut().for_each(|(by, _)| *by = None);
            }
            Seen::Landed { slot, hand: Hand::Drain, epoch } => {
                let node = scene.layout.slots[*slot].node;
                let mut own = scene.layout.slots_of_node[node].iter();
                let first = !own.any(|slot| self.out.contains(slot));
                self.out.insert(*slot);
                if first {
                    return self.drained(scene, node, *epoch);
                }
            }
            Seen::Landed { slot, hand: Hand::Undrain, .. } => {
                self.out.remove(slot);
            }
            Seen::Landed { hand: Hand::Reassert | Hand::Cut, .. }
            | Seen::Gone { .. }
            | Seen::Durable(_)
            | Seen::Released { .. }
            | Seen::Began { .. }
            | Seen::Ended { .. }
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_)
            | Seen::Fails
            | Seen::Over => {}
        }
        None
    }
}

impl Capacity {
    fn drained(&self, scene: &Scene<'_>, node: Place, epoch: Epoch) -> Option<String> {
        let (name, group) = (scene.layout.name(node), scene.layout.groups[node]);
        match self.read.get(&node) {
            None => return Some(format!("{name} is drained and nobody read the capacity")),
            Some((_, false)) => {
                return Some(format!("{name} is drained although the last reading had no room"));
            }
            // What an earlier controller read, or one that stood still since, says nothing of now.
            Some((by, true)) if *by != Some(epoch) && !room_for(scene, node) => {
                return Some(format!("{name} is drained by a reading from another time"));
            }
            Some((_, true)) => {}
        }
        let group_of = &scene.layout.plan.fleet.groups[group];
        // What a reload or another hand put back is out no longer.
        let still_out = self.out.iter().filter(|slot| scene.world.slots[**slot].is_out());
        let nodes: BTreeSet<Place> = still_out.map(|slot| scene.layout.slots[*slot].node).collect();
        let ours = nodes.iter().filter(|out| scene.layout.groups[**out] == group).count();
        let with_members = group_of.nodes.iter().filter(|node| !node.members.is_empty()).count();
        let least = usize::try_from(group_of.min_available).unwrap_or(usize::MAX);
        (with_members - ours < least).then(|| {
            format!("{ours} nodes of {} are out by our hand, {least} must serve", group_of.name)
        })
    }
}

/// Whether the group keeps enough members on every instance without the node.
fn room_for(scene: &Scene<'_>, node: Place) -> bool {
    let group = &scene.layout.plan.fleet.groups[scene.layout.groups[node]];
    let least = usize::try_from(group.min_available).unwrap_or(usize::MAX);
    let own = scene.layout.slots_of_node[node].iter();
    let mut instances: Vec<usize> = own.map(|slot| scene.layout.slots[*slot].instance).collect();
    instances.dedup();
    instances.into_iter().all(|instance| {
        let state = &scene.world.instances[instance];
        let readable = scene.now >= state.stopped_until && scene.now >= state.refuses_until;
        readable && scene.world.others_serving(node, instance, scene.now) >= least
    })
}
