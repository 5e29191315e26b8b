//! Faults as they come.

use crate::fault::{Ask, BalancerTrouble, ControllerTrouble, DiskTrouble, NodeTrouble, What};
use crate::layout::Place;
use crate::run::{Happening, Run};
use crate::seen::Seen;
use crate::store::Death;
use crate::world::node::{Fate, Mark};
use crate::world::slot::Health;
use zdu_model::time::Millis;

impl Run {
    /// A fault whose time has come.
    pub(crate) fn fault(&mut self, at: usize) {
        let what = self.faults[at].what.clone();
        if !matches!(what, What::Person(_)) {
            self.counts.faults += 1;
        }
        self.tell(&Seen::Trouble(&what));
        match &what {
            What::Work(_) => {}
            What::Node(node, trouble, span) => {
                if let Some(place) = self.layout.places.get(node).copied() {
                    self.node_trouble(place, *trouble, *span);
                }
            }
            What::Balancer(instance, trouble) => {
                let known = self.layout.instances.iter().position(|name| name == instance);
                if let Some(instance) = known {
                    self.balancer_trouble(instance, trouble);
                    self.tell(&Seen::Traffic);
                }
            }
            What::Controller(trouble) => self.controller_trouble(*trouble),
            What::Disk(trouble) => self.disk_trouble(*trouble),
            What::Person(ask) => self.person_asks(ask),
        }
    }

    /// A fault that waits for a record.
    pub(crate) fn arm(&mut self, record: u64, what: &What) {
        let death = match what {
            What::Disk(DiskTrouble::Torn) => {
                let bytes = self.dice.between(0, 400);
                Death::Torn(usize::try_from(bytes).unwrap_or(0))
            }
            What::Work(_)
            | What::Node(..)
            | What::Balancer(..)
            | What::Controller(_)
            | What::Disk(DiskTrouble::Full(_) | DiskTrouble::SyncFails)
            | What::Person(_) => Death::Durable,
        };
        if let What::Controller(ControllerTrouble::Killed(again)) = what {
            self.revived.insert(record, *again);
        }
        self.disk.die_at(record, death);
    }

    fn node_trouble(&mut self, place: Place, trouble: NodeTrouble, span: Millis) {
        let now = self.agenda.now();
        let until = now.after(span);
        let node = &mut self.world.nodes[place];
        match trouble {
            NodeTrouble::Reboots => {
                node.boots += 1;
                node.away_until = until;
                self.lose_executions(place);
            }
            NodeTrouble::Sick => node.sick_until = until,
            NodeTrouble::KnownSick => {
                node.sick_until = until;
                for slot in self.layout.slots_of_node[place].clone() {
                    self.world.slots[slot].health = Health::Down(0);
                }
            }
            NodeTrouble::Cut => node.cut_until = until,
            NodeTrouble::Lingers => node.lingers_until = until,
        }
        self.health_changed(place);
        self.disturb(place);
    }

    fn lose_executions(&mut self, place: Place) {
        let running: Vec<_> = self.world.nodes[place]
            .executions
            .iter()
            .filter(|(_, execution)| execution.fate == Fate::Running)
            .map(|(key, _)| *key)
            .collect();
        for key in running {
            let Some(execution) = self.world.nodes[place].executions.get_mut(&key) else {
                continue;
            };
            execution.fate = Fate::Rebooted;
            // It may just have done its work, or none of it, which is what was there before.
            let before = execution.before;
            let any = [Mark::Half, Mark::Half, Mark::Done, before];
            let mark = if self.reboots_halve { Mark::Half } else { *self.dice.pick(&any) };
            self.set_mark(key.0, mark);
            self.tell(&Seen::Ended { step: key.0, attempt: key.1 });
        }
    }

    /// Whoever has something under way on a node notices.
    fn disturb(&mut self, place: Place) {
        let layout = self.layout.clone();
        for process in 0..self.processes.len() {
            if !self.processes[process].alive {
                continue;
            }
            let touched: Vec<_> = self.processes[process]
                .hands
                .tasks
                .keys()
                .copied()
                .filter(|(step, _)| {
                    let at = layout.step(*step);
                    at.target == place && at.changes
                })
                .collect();
            for key in touched {
                let now = self.agenda.now();
                self.look_again(process, key, now.after(Millis(1)));
            }
        }
    }

    fn balancer_trouble(&mut self, instance: usize, trouble: &BalancerTrouble) {
        let now = self.agenda.now();
        match trouble {
            BalancerTrouble::Reload { keeps } => self.reload(instance, *keeps),
            BalancerTrouble::Stopped(span) => {
                self.world.instances[instance].stopped_until = now.after(*span);
                for slot in self.slots_of(instance) {
                    self.world.slots[slot].sessions.clear();
                    self.world.slots[slot].old_worker.clear();
                }
                self.agenda.at(now.after(*span), Happening::Back { instance });
            }
            BalancerTrouble::Refuses(span) => {
                self.world.instances[instance].refuses_until = now.after(*span);
                self.agenda.at(now.after(*span), Happening::Back { instance });
            }
            BalancerTrouble::LosesReply => self.world.instances[instance].loses_reply = true,
            BalancerTrouble::OtherHand(node, held) => {
                for slot in self.slots_of(instance) {
                    if self.layout.nodes[self.layout.slots[slot].node] == *node {
                        let weight = self.world.slots[slot].weight;
                        self.world.set(slot, *held, weight, now);
                        self.plan_check(slot);
                    }
                }
            }
        }
        self.keepers_look(instance);
    }

    fn slots_of(&self, instance: usize) -> Vec<usize> {
        let places = self.layout.slots.iter().enumerate();
        places.filter(|(_, place)| place.instance == instance).map(|(slot, _)| slot).collect()
    }

    fn reload(&mut self, instance: usize, keeps: bool) {
        self.world.instances[instance].process += 1;
        for slot in self.slots_of(instance) {
            self.world.slots[slot].reload(keeps);
            self.plan_check(slot);
        }
    }

    /// An instance takes commands again. One that was stopped starts from its configuration.
    pub(crate) fn back(&mut self, instance: usize) {
        let now = self.agenda.now();
        let state = &self.world.instances[instance];
        if now < state.stopped_until || now < state.refuses_until {
            return;
        }
        if now == state.stopped_until {
            self.reload(instance, false);
        }
        self.keepers_look(instance);
    }

    fn keepers_look(&mut self, instance: usize) {
        for process in 0..self.processes.len() {
            if self.processes[process].alive {
                self.plan_keep(process, instance);
            }
        }
    }

    fn controller_trouble(&mut self, trouble: ControllerTrouble) {
        let Some(process) = self.driving() else { return };
        match trouble {
            ControllerTrouble::Killed(again) => self.kill(process, again),
            ControllerTrouble::Paused(span) => {
                let now = self.agenda.now();
                let process = &mut self.processes[process];
                if let Some(since) = process.still_since.filter(|_| process.paused_until < now) {
                    let before = process.paused_until.since(since);
                    process.still_before = process.still_before.max(before);
                    process.still_since = None;
                }
                process.paused_until = process.paused_until.max(now.after(span));
                process.still_since.get_or_insert(now);
            }
            ControllerTrouble::Second => self.start_soon(Millis(1), None, true),
        }
    }

    fn disk_trouble(&mut self, trouble: DiskTrouble) {
        match trouble {
            DiskTrouble::Full(span) => {
                self.disk.set_full(true);
                let at = self.agenda.now().after(span);
                self.agenda.at(at, Happening::Room);
            }
            DiskTrouble::SyncFails => self.disk.fail_next_sync(),
            DiskTrouble::Torn => {
                let next = self.journal.last().map_or(1, |last| last.seq.0 + 1);
                self.arm(next, &What::Disk(DiskTrouble::Torn));
            }
        }
    }

    fn person_asks(&mut self, ask: &Ask) {
        let Some(process) = self.driving() else { return };
        if self.processes[process].paused_until <= self.agenda.now() {
            self.ask_driving(process, ask);
        }
    }
}
