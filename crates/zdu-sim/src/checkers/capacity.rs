//! Law 1: never because of us do fewer members serve in a group than its `min_available`; headroom
//! is read live, on every instance, right before a drain.

use super::Checker;
use crate::layout::Place;
use crate::seen::{Hand, Scene, Seen};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::event::Event;
use zdu_model::ids::Epoch;
use zdu_model::plan::{PlannedStep, Work};

/// Watches drains as they land.
#[derive(Default)]
pub(super) struct Capacity {
    /// What each controller read last before a drain of a node: whether it stands, because nobody
    /// stood still since, and whether there was room.
    read: BTreeMap<(Place, Epoch), (bool, bool)>,
    /// Nodes whose drain passed: they are held out, wherever they are seen in traffic.
    drained: BTreeSet<Place>,
    /// Entries that are out by our hand.
    out: BTreeSet<usize>,
}

impl Checker for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Read { node, epoch } => {
                self.read.insert((*node, *epoch), (true, room_for(scene, *node)));
            }
            Seen::Durable(records) => {
                records.iter().for_each(|record| self.durable(scene, &record.event));
            }
            Seen::Trouble(trouble) if trouble.stills() => {
                self.read.values_mut().for_each(|(stands, _)| *stands = false);
            }
            Seen::Landed { slot, hand: Hand::Drain, epoch } => {
                let node = scene.layout.slots[*slot].node;
                let mut own = scene.layout.slots_of_node[node].iter();
                let first = !own.any(|slot| self.out.contains(slot));
                self.out.insert(*slot);
                return self.landed(scene, node, *epoch, first);
            }
            Seen::Landed { slot, hand: Hand::Reassert, epoch } => {
                let node = scene.layout.slots[*slot].node;
                if !self.drained.contains(&node) {
                    return self.landed(scene, node, *epoch, false);
                }
            }
            Seen::Landed { slot, hand: Hand::Undrain, .. } => {
                self.out.remove(slot);
            }
            Seen::Landed { hand: Hand::Cut, .. }
            | Seen::Started { .. }
            | Seen::Gone { .. }
            | Seen::Released { .. }
            | Seen::Began { .. }
            | Seen::Ended { .. }
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_)
            | Seen::Traffic
            | Seen::Over => {}
        }
        None
    }
}

impl Capacity {
    fn durable(&mut self, scene: &Scene<'_>, event: &Event) {
        let Some((PlannedStep { work: Work::Drain, .. }, node)) = scene.on_a_node(event) else {
            return;
        };
        if matches!(event, Event::StepStarted { .. }) {
            self.drained.remove(&node);
        } else if matches!(event, Event::StepEnded { class, .. } if class.passes()) {
            self.drained.insert(node);
        }
    }

    fn landed(&self, scene: &Scene<'_>, node: Place, epoch: Epoch, first: bool) -> Option<String> {
        let (name, group) = (scene.layout.name(node), scene.layout.groups[node]);
        match self.read.get(&(node, epoch)) {
            None if room_for(scene, node) => {}
            None => return Some(format!("{name} is drained and nobody read the capacity")),
            // It may be short only because the node is half out already.
            Some((_, false)) if first => {
                return Some(format!("{name} is drained although the last reading had no room"));
            }
            // What a controller read that stood still since says nothing of now.
            Some((false, _)) if !room_for(scene, node) => {
                return Some(format!("{name} is drained by a reading from another time"));
            }
            Some(_) => {}
        }
        if !first {
            return None;
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
