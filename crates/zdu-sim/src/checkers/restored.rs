//! Law 4: every drain is undone by the mirror of what was done, or the rollout ends by naming the
//! node.

use super::Checker;
use crate::layout::Place;
use crate::seen::{Hand, Scene, Seen};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::contract::Class;
use zdu_model::event::Event;
use zdu_model::ids::{Epoch, StepNo};
use zdu_model::plan::Work;
use zdu_model::report::Held;
use zdu_model::verdict::Verdict;
use zdu_view::next::next_commands;

/// Watches what hands leave behind.
#[derive(Default)]
pub(super) struct Restored {
    /// How each entry was when a guard read it and no hand of ours was on it.
    before: BTreeMap<usize, (Held, u32)>,
    /// Entries our hand took out and did not put back.
    out: BTreeSet<usize>,
    /// Nodes whose drain was begun and whose undrain did not pass since: whether it landed or not,
    /// what is read of them then is not what was there before.
    drains: BTreeSet<Place>,
    /// The drains that added to them: one that never began took nothing out.
    first: BTreeSet<StepNo>,
    newest: Epoch,
}

impl Checker for Restored {
    fn name(&self) -> &'static str {
        "restored"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        // What a reload or another hand put back is no longer ours; it is again when it is held out
        // again.
        self.out.retain(|slot| scene.world.slots[*slot].is_out());
        match seen {
            Seen::Read { node, .. } => {
                let slots = &scene.layout.slots_of_node[*node];
                let ours =
                    self.drains.contains(node) || slots.iter().any(|slot| self.out.contains(slot));
                if !ours {
                    for slot in slots {
                        let state = &scene.world.slots[*slot];
                        self.before.insert(*slot, (state.held, state.weight));
                    }
                }
            }
            // A controller that was replaced learns it with its next record or renewal; what its
            // keeper does until then is another hand's (the fencing checker bounds the time).
            Seen::Landed { slot, hand: Hand::Reassert, epoch } if *epoch < self.newest => {
                self.out.remove(slot);
            }
            Seen::Landed { slot, hand: Hand::Drain | Hand::Reassert, .. } => {
                self.out.insert(*slot);
            }
            Seen::Started { epoch, .. } => self.newest = *epoch,
            Seen::Landed { slot, hand: Hand::Undrain, .. } => {
                self.out.remove(slot);
                let state = &scene.world.slots[*slot];
                let before = self.before.get(slot).copied();
                let place = &scene.layout.slots[*slot];
                if before.is_some_and(|before| before != (state.held, state.weight)) {
                    return Some(format!(
                        "{} on {} was {before:?} and is {:?} after its undrain",
                        place.member,
                        scene.layout.instances[place.instance],
                        (state.held, state.weight)
                    ));
                }
            }
            Seen::Verdict(verdict) if !matches!(verdict, Verdict::Held) => {
                return self.left_out(scene, verdict);
            }
            Seen::Durable(records) => {
                records.iter().for_each(|record| self.durable(scene, &record.event));
            }
            Seen::Landed { hand: Hand::Cut, .. }
            | Seen::Verdict(_)
            | Seen::Gone { .. }
            | Seen::Released { .. }
            | Seen::Began { .. }
            | Seen::Ended { .. }
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Traffic
            | Seen::Over => {}
        }
        None
    }
}

impl Restored {
    fn durable(&mut self, scene: &Scene<'_>, event: &Event) {
        let Some((planned, node)) = scene.on_a_node(event) else { return };
        let step = planned.no;
        if matches!(planned.work, Work::Drain) {
            if matches!(event, Event::StepEnded { class: Class::NotRun, .. }) {
                if self.first.remove(&step) {
                    self.drains.remove(&node);
                }
            } else if matches!(event, Event::StepStarted { .. }) {
                if self.drains.insert(node) {
                    self.first.insert(step);
                } else {
                    self.first.remove(&step);
                }
            }
        } else if matches!(planned.work, Work::Undrain)
            && matches!(event, Event::StepEnded { class, .. } if class.passes())
        {
            self.returned(scene, node);
        }
    }

    fn returned(&mut self, scene: &Scene<'_>, node: Place) {
        self.drains.remove(&node);
        // What is as it was before is not ours any longer, also where nothing had to be set.
        for slot in &scene.layout.slots_of_node[node] {
            let state = &scene.world.slots[*slot];
            if self.before.get(slot) == Some(&(state.held, state.weight)) {
                self.out.remove(slot);
            }
        }
    }

    /// Nodes that stay out at an end must be named, with what to do.
    fn left_out(&self, scene: &Scene<'_>, verdict: &Verdict) -> Option<String> {
        // What was out before us is where it was.
        let still_out = self.out.iter().filter(|slot| {
            let state = &scene.world.slots[**slot];
            self.before.get(slot) != Some(&(state.held, state.weight))
        });
        let nodes: BTreeSet<Place> = still_out.map(|slot| scene.layout.slots[*slot].node).collect();
        if nodes.is_empty() {
            return None;
        }
        let said = next_commands(scene.view).join("\n");
        let unnamed = nodes.iter().map(|node| scene.layout.name(*node));
        let unnamed: Vec<_> = unnamed.filter(|name| !said.contains(name)).collect();
        (!unnamed.is_empty() || matches!(verdict, Verdict::Succeeded)).then(|| {
            let out: Vec<_> = nodes.iter().map(|node| scene.layout.name(*node)).collect();
            format!("{verdict:?} leaves {out:?} out and names not {unnamed:?}")
        })
    }
}
