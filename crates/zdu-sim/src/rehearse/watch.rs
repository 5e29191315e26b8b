//! What is looked at in the world during a play: how much serves, and where the fleet stands at
//! the end.

use super::found::{Rest, Room};
use crate::checkers::Checker;
use crate::seen::{Hand, Scene, Seen};
use crate::world::Standing;
use crate::world::node::Mark;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Sight {
    pub(super) rooms: Vec<Room>,
    pub(super) rest: Rest,
}

/// Looks.
pub(super) struct Watch {
    sight: Rc<RefCell<Sight>>,
    /// Entries that are out by our hand.
    out: BTreeSet<usize>,
}

impl Watch {
    pub(super) fn new(sight: Rc<RefCell<Sight>>) -> Self {
        Self { sight, out: BTreeSet::new() }
    }
}

impl Checker for Watch {
    fn name(&self) -> &'static str {
        "rehearsal"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Landed { slot, hand: Hand::Drain | Hand::Reassert, .. } => {
                self.out.insert(*slot);
                self.count(scene);
            }
            Seen::Landed { slot, hand: Hand::Undrain, .. } => {
                self.out.remove(slot);
            }
            Seen::Started { .. } | Seen::Ended { .. } => self.count(scene),
            Seen::Over => self.sight.borrow_mut().rest = self.rest(scene),
            Seen::Landed { hand: Hand::Cut, .. }
            | Seen::Gone { .. }
            | Seen::Durable(_)
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Began { .. }
            | Seen::Traffic
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_) => {}
        }
        None
    }
}

impl Watch {
    fn count(&self, scene: &Scene<'_>) {
        let out: BTreeSet<usize> =
            self.out.iter().map(|slot| scene.layout.slots[*slot].node).collect();
        let mut sight = self.sight.borrow_mut();
        let first = sight.rooms.is_empty();
        for (at, group) in scene.layout.plan.fleet.groups.iter().enumerate() {
            let own = (0..scene.layout.nodes.len()).filter(|node| {
                scene.layout.groups[*node] == at && !scene.layout.slots_of_node[*node].is_empty()
            });
            let own: Vec<usize> = own.collect();
            let serving = own.iter().filter(|node| serves(scene, **node)).count();
            let gone = own.iter().filter(|node| out.contains(node)).count();
            if first {
                sight.rooms.push(Room {
                    group: group.name.clone(),
                    nodes: own.len(),
                    min_available: group.min_available,
                    most_out: gone,
                    least_serving: serving,
                });
            } else if let Some(room) = sight.rooms.get_mut(at) {
                room.most_out = room.most_out.max(gone);
                room.least_serving = room.least_serving.min(serving);
            }
        }
    }

    fn rest(&self, scene: &Scene<'_>) -> Rest {
        let mut rest = Rest::default();
        for (node, name) in scene.layout.nodes.iter().enumerate() {
            let stages: Vec<usize> = scene.layout.disrupting[node].keys().copied().collect();
            let all =
                |standing| stages.iter().all(|stage| scene.world.stands(node, *stage, standing));
            // A node nothing disturbs is on the new release when all that was to be done is.
            if stages.is_empty() && all_done(scene, node)
                || !stages.is_empty() && all(Standing::New)
            {
                rest.new += 1;
            } else if stages.is_empty() || all(Standing::Old) {
                rest.old += 1;
                if scene.world.keeps_something(node) {
                    rest.kept.push(name.clone());
                }
            } else {
                rest.between.push(name.clone());
            }
            let own = scene.layout.slots_of_node[node].iter();
            let held_out =
                |slot: &usize| self.out.contains(slot) && scene.world.slots[*slot].is_out();
            if own.clone().any(held_out) {
                rest.out.push(name.clone());
            }
        }
        rest
    }
}

fn serves(scene: &Scene<'_>, node: usize) -> bool {
    let slots = scene.layout.slots_of_node[node].iter();
    scene.world.answers(node, scene.now)
        && slots.clone().any(|slot| scene.world.in_traffic(*slot, scene.now))
}

fn all_done(scene: &Scene<'_>, node: usize) -> bool {
    let steps = scene.layout.plan.steps.iter().zip(&scene.layout.steps);
    let own = steps.filter(|(_, at)| at.node == Some(node) && at.changes && at.undoes.is_none());
    own.map(|(step, _)| scene.world.mark_of(node, step.no)).all(|mark| mark == Mark::Done)
}
