//! Holding a drain: an instance that forgets it, by reload or by another hand, is drained again.

use crate::layout::Place;
use crate::plant::Plant;
use crate::run::{Happening, Run};
use crate::seen::{Hand, Seen};
use zdu_conductor::Input;
use zdu_model::time::Millis;

/// How often a held drain is looked at.
const POLL: u64 = 200;

impl Run {
    /// From now on the node is held out.
    pub(super) fn keep_out(&mut self, process: usize, node: Place) {
        let hands = &mut self.processes[process].hands;
        hands.held.insert(node);
        hands.kept.extend(&self.layout.slots_of_node[node]);
        for instance in 0..self.layout.instances.len() {
            self.plan_keep(process, instance);
        }
    }

    /// Plans the keeper's next look at an instance: polls in which nothing changed are left out.
    pub(crate) fn plan_keep(&mut self, process: usize, instance: usize) {
        if self.processes[process].hands.kept.is_empty() {
            return;
        }
        let pause = self.processes[process].hands.dice.span(1, POLL);
        let at = self.agenda.now().after(pause);
        self.agenda.at(at, Happening::Keep { process, instance });
    }

    /// The keeper looks at an instance.
    pub(crate) fn keep(&mut self, process: usize, instance: usize) {
        if self.plant == Some(Plant::KeeperSleeps) || !self.processes[process].alive {
            return;
        }
        if !self.may_act(process) {
            // It looks again as long as it lives: the lease may be had again.
            let (now, awake) = (self.agenda.now(), self.processes[process].paused_until);
            self.agenda
                .at(awake.max(now.after(Millis(POLL))), Happening::Keep { process, instance });
            return;
        }
        let hands = &mut self.processes[process].hands;
        if hands.kept.is_empty() {
            return;
        }
        let here = |slot: &usize| self.layout.slots[*slot].instance == instance;
        let slots: Vec<usize> = hands.kept.iter().copied().filter(here).collect();
        if slots.is_empty() {
            return;
        }
        let name = self.layout.instances[instance].clone();
        if let Err(reason) = self.commandable(instance) {
            if self.processes[process].hands.silent.insert(instance) {
                let input = Input::InstanceChanged { instance: name, up: false, reason };
                self.hear_soon(process, input);
            }
            return;
        }
        if self.processes[process].hands.silent.remove(&instance) {
            let reason = "it answers again".into();
            self.hear_soon(process, Input::InstanceChanged { instance: name, up: true, reason });
        }
        for slot in slots {
            self.reassert(process, slot);
        }
    }

    /// A controller that was replaced and does not know it yet still holds its nodes out.
    pub(super) fn other_keepers_look(&mut self, process: usize, instance: usize) {
        for other in (0..self.processes.len()).filter(|other| *other != process) {
            if self.processes[other].alive {
                self.plan_keep(other, instance);
            }
        }
    }

    fn reassert(&mut self, process: usize, slot: usize) {
        if self.world.slots[slot].is_out() {
            return;
        }
        let (now, place) = (self.agenda.now(), self.layout.slots[slot].clone());
        let known = self.processes[process].hands.befores.get(&place.node);
        let before = known.and_then(|all| all.iter().find(|before| before.slot == slot)).copied();
        // An entry no guard has read is not ours to hold.
        let Some(before) = before else { return };
        let seen = self.world.slots[slot].detail().to_owned();
        let weight = self.world.slots[slot].weight;
        self.world.set(slot, before.while_out(), weight, now);
        self.plan_check(slot);
        let epoch = self.processes[process].epoch;
        self.tell(&Seen::Landed { slot, hand: Hand::Reassert, epoch });
        let (node, instance) = (self.layout.nodes[place.node].clone(), place.instance);
        let instance = self.layout.instances[instance].clone();
        let drift = Input::Drift { node, instance, member: place.member, seen, reasserted: true };
        self.hear_soon(process, drift);
    }

    fn hear_soon(&mut self, process: usize, input: Input) {
        let at = self.agenda.now().after(Millis(1));
        self.news_told(process, &input);
        self.processes[process].answers_due += 1;
        self.agenda.at(at, Happening::Heard { process, input: Box::new(input) });
    }
}
