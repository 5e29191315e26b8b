//! Reading capacity, draining, certifying, returning: over every instance the node stands in.

use super::{Before, Key, Next, Phase, Task};
use crate::layout::Place;
use crate::plant::Plant;
use crate::run::{Happening, Run};
use crate::seen::{Hand, Seen};
use crate::world::slot::Health;
use std::ops::Range;
use zdu_model::ids::GroupName;
use zdu_model::plan::Work;
use zdu_model::policy::DrainExpiry;
use zdu_model::reach::Reach;
use zdu_model::report::{DrainEvidence, End, Evidence, Held, InstanceReading, Report};
use zdu_model::time::{Millis, Timestamp};

/// How often a change that an instance did not take is tried again.
const RETRY: Millis = Millis(500);
/// How often instances are asked whether they show a returned member serving.
const SERVING: Millis = Millis(100);
/// How long the certificate may take once sessions were cut.
const AFTER_CUT: Millis = Millis(5_000);

/// A hand that was not answered with success.
struct Missed {
    why: String,
    /// What it did was done all the same.
    perhaps: bool,
}

impl Missed {
    fn surely(why: impl Into<String>) -> Self {
        Self { why: why.into(), perhaps: false }
    }
}

impl Run {
    /// Reads every entry of the group on every instance.
    pub(super) fn guard(&mut self, process: usize, group: &GroupName, node: Place) -> Next {
        let plan = self.layout.plan.clone();
        let group = plan.fleet.groups.iter().position(|known| known.name == *group);
        let nodes = group.map_or(node..node + 1, |group| self.layout.nodes_of(group));
        let readings = self.readings(nodes);
        let epoch = self.processes[process].epoch;
        self.tell(&Seen::Read { node, epoch });
        if !self.processes[process].hands.held.contains(&node) {
            self.remember(process, node, &readings);
        }
        Next::Answer(Report::with(End::Done, Evidence::Balancers(readings)))
    }

    fn readings(&self, nodes: Range<Place>) -> Vec<InstanceReading> {
        let now = self.agenda.now();
        let instances = 0..self.layout.instances.len();
        instances.filter_map(|instance| self.world.reading(instance, nodes.clone(), now)).collect()
    }

    /// Keeps what a guard saw of a node, as the undrain has to mirror it.
    pub(crate) fn remember(&mut self, process: usize, node: Place, readings: &[InstanceReading]) {
        let mut befores = Vec::new();
        for reading in readings {
            let own = reading.members.iter();
            for member in own.filter(|member| member.node == self.layout.nodes[node]) {
                let slot = self.layout.slots_of_node[node].iter().copied().find(|slot| {
                    let place = &self.layout.slots[*slot];
                    place.member == member.member
                        && self.layout.instances[place.instance] == reading.instance
                });
                if let (Some(slot), Some((weight, _))) = (slot, member.weight) {
                    befores.push(Before { slot, held: member.held, weight });
                }
            }
        }
        self.processes[process].hands.befores.insert(node, befores);
    }

    fn befores(&self, process: usize, node: Place) -> Vec<Before> {
        let mut known =
            self.processes[process].hands.befores.get(&node).cloned().unwrap_or_default();
        if self.plant == Some(Plant::OneInstanceIsEnough) {
            known.retain(|before| self.layout.slots[before.slot].instance == 0);
        }
        known
    }

    /// Takes the node out everywhere; an instance that does not take it is asked again.
    pub(super) fn drain(&mut self, process: usize, key: Key, task: &Task, node: Place) -> Next {
        if task.phase == Phase::Fresh {
            if !self.may_begin(process, key, task) {
                return Next::end(End::Never);
            }
            let hands = &mut self.processes[process].hands;
            if hands.held.insert(node) {
                hands.newly_held.insert(node);
            } else {
                hands.newly_held.remove(&node);
            }
        }
        let next = self.touch_all(process, key, task, node);
        if matches!(next, Next::Answer(_)) {
            self.processes[process].hands.newly_held.remove(&node);
        }
        next
    }

    /// Puts the node's entries back to what the guard saw.
    pub(super) fn undrain(&mut self, process: usize, key: Key, task: &Task, node: Place) -> Next {
        if task.phase == Phase::Fresh && !self.may_begin(process, key, task) {
            return Next::end(End::Never);
        }
        let next = self.touch_all(process, key, task, node);
        if matches!(&next, Next::Answer(report) if report.end == End::Done) {
            self.processes[process].hands.held.remove(&node);
        }
        next
    }

    fn touch_all(&mut self, process: usize, key: Key, task: &Task, node: Place) -> Next {
        let now = self.agenda.now();
        if let Phase::Touching(0, refused) = &task.phase {
            self.hold_again(process, key);
            if refused.is_empty() {
                return Next::end(End::Done);
            }
            if now.after(RETRY) > task.until {
                return Next::end(End::NotMet(refused.join("; ")));
            }
            self.set_phase(process, key, Phase::Connecting(now));
            return Next::Look(now.after(RETRY));
        }
        if let Phase::Touching(..) = task.phase {
            return Next::Wait;
        }
        let befores = self.befores(process, node);
        if befores.is_empty() {
            return Next::end(End::Refused("no guard has read this node's members".into()));
        }
        self.set_phase(process, key, Phase::Touching(befores.len(), Vec::new()));
        if matches!(self.layout.plan.step(key.0).work, Work::Undrain) {
            self.release(process, key, node);
        }
        for before in befores {
            let latency = self.processes[process].hands.dice.span(1, 9);
            let touch = Happening::Touch { process, key, before };
            self.agenda.at(now.after(latency), touch);
        }
        Next::Wait
    }

    /// A hand reaches one entry.
    pub(crate) fn touch(&mut self, process: usize, key: Key, before: Before) {
        let Some(task) = self.processes[process].hands.tasks.get(&key).cloned() else { return };
        let Phase::Touching(left, mut refused) = task.phase.clone() else { return };
        if !self.may_begin(process, key, &task) {
            self.withdraw(process, key, task.reach);
            return;
        }
        let drains = matches!(self.layout.plan.step(key.0).work, Work::Drain);
        let reach = match self.set_entry(process, before, drains) {
            Ok(()) => Reach::Landed,
            Err(Missed { why, perhaps }) => {
                refused.push(why);
                if perhaps { Reach::Perhaps } else { Reach::Nowhere }
            }
        };
        if let Some(task) = self.processes[process].hands.tasks.get_mut(&key) {
            task.reach = task.reach.max(reach);
        }
        if drains && reach == Reach::Landed {
            // What took a drain is held from then on.
            self.processes[process].hands.kept.insert(before.slot);
            self.plan_keep(process, self.layout.slots[before.slot].instance);
        }
        self.set_phase(process, key, Phase::Touching(left - 1, refused));
        if left == 1 {
            let now = self.agenda.now();
            self.look_again(process, key, now);
        }
    }

    /// A task that may no longer begin, as far as it has come.
    fn withdraw(&mut self, process: usize, key: Key, reach: Reach) {
        self.hold_again(process, key);
        let denied = reach == Reach::Perhaps && self.plant == Some(Plant::LostReplyIsNever);
        let end = if denied { End::Never } else { reach.withdrawn() };
        let hands = &mut self.processes[process].hands;
        hands.tasks.remove(&key);
        if let Some(node) = self.layout.step(key.0).node
            && hands.newly_held.remove(&node)
            && end == End::Never
        {
            hands.held.remove(&node);
        }
        self.answer(process, key, Report::bare(end));
    }

    /// The keeper lets go of a node that is to return.
    fn release(&mut self, process: usize, key: Key, node: Place) {
        let hands = &mut self.processes[process].hands;
        let own = &self.layout.slots_of_node[node];
        let released: Vec<usize> = hands.kept.iter().copied().filter(|s| own.contains(s)).collect();
        hands.kept.retain(|slot| !own.contains(slot));
        if let Some(task) = hands.tasks.get_mut(&key) {
            task.released = released;
        }
    }

    /// What did not return at all is held out as it was.
    fn hold_again(&mut self, process: usize, key: Key) {
        let hands = &mut self.processes[process].hands;
        let Some(task) = hands.tasks.get_mut(&key) else { return };
        let released = std::mem::take(&mut task.released);
        if task.reach == Reach::Nowhere {
            hands.kept.extend(&released);
            for slot in released {
                self.plan_keep(process, self.layout.slots[slot].instance);
            }
        }
    }

    fn set_entry(&mut self, process: usize, before: Before, drains: bool) -> Result<(), Missed> {
        let now = self.agenda.now();
        let instance = self.layout.slots[before.slot].instance;
        if !self.may_act(process) {
            return Err(Missed::surely("the lease ran out while this controller stood still"));
        }
        self.commandable(instance).map_err(Missed::surely)?;
        let slot = &self.world.slots[before.slot];
        let (held, weight, hand) = match drains {
            true => (before.while_out(), slot.weight, Hand::Drain),
            false => (before.held, before.weight, Hand::Undrain),
        };
        let (held, weight) = match (self.plant, hand) {
            (Some(Plant::UndrainForgetsWeight), Hand::Undrain) => (held, slot.configured),
            (Some(Plant::UndrainMakesReady), Hand::Undrain) => (Held::Ready, weight),
            _ => (held, weight),
        };
        if (slot.held, slot.weight) != (held, weight) {
            self.world.set(before.slot, held, weight, now);
            self.plan_check(before.slot);
            let epoch = self.processes[process].epoch;
            self.tell(&Seen::Landed { slot: before.slot, hand, epoch });
            if hand == Hand::Undrain {
                self.fall_back(before.slot);
                self.other_keepers_look(process, instance);
            }
            if std::mem::take(&mut self.world.instances[instance].loses_reply) {
                let why = format!("{} did not answer", self.layout.instances[instance]);
                return Err(Missed { why, perhaps: true });
            }
        }
        Ok(())
    }

    /// Whether an instance takes commands.
    pub(super) fn commandable(&self, instance: usize) -> Result<(), String> {
        let (now, state) = (self.agenda.now(), &self.world.instances[instance]);
        let name = &self.layout.instances[instance];
        if now < state.stopped_until {
            return Err(format!("{name}: connection refused"));
        }
        if now < state.refuses_until {
            return Err(format!("{name}: Permission denied"));
        }
        Ok(())
    }

    /// Samples until everything was at zero often enough, or does what the policy says.
    pub(super) fn certify(&mut self, process: usize, key: Key, task: &Task, node: Place) -> Next {
        let now = self.agenda.now();
        let policy = self.layout.plan.policy.clone();
        let (quiet, cut) = match task.phase {
            Phase::Sampling(quiet, cut) => (quiet, cut),
            Phase::Fresh
            | Phase::Connecting(_)
            | Phase::Watching(_)
            | Phase::Touching(..)
            | Phase::Holding(_) => (0, None),
        };
        let noise = self.noise(node);
        if noise.is_none() {
            let quiet = quiet + 1;
            if quiet >= policy.certify.samples.max(1) {
                return self.certificate(task, node, quiet, (cut.unwrap_or(0), 0));
            }
            self.set_phase(process, key, Phase::Sampling(quiet, cut));
            return Next::Look(now.after(policy.certify.interval));
        }
        self.set_phase(process, key, Phase::Sampling(0, cut));
        if now >= task.until {
            return self.not_certified(process, key, task, node, noise.unwrap_or_default());
        }
        // Nothing changes before the next session ends, unless something else happens to the node;
        // a second is short enough to see that.
        let ends = self.layout.slots_of_node[node].iter();
        let ends = ends.filter_map(|slot| self.world.slots[*slot].next_end(now)).min();
        let soon = now.after(policy.certify.interval);
        let next = ends.unwrap_or(soon).min(now.after(Millis::from_secs(1))).max(soon);
        Next::Look(next.min(task.until))
    }

    fn not_certified(
        &mut self,
        process: usize,
        key: Key,
        task: &Task,
        node: Place,
        noise: String,
    ) -> Next {
        let now = self.agenda.now();
        let was_cut = matches!(task.phase, Phase::Sampling(_, Some(_)));
        match self.layout.plan.policy.on_drain_deadline {
            // Sessions can be left in place; a member that is in traffic cannot.
            DrainExpiry::Proceed if self.all_out(node) => {
                let left = self.world.sessions(node, now);
                self.world.nodes[node].left += left;
                self.certificate(task, node, 0, (0, left))
            }
            DrainExpiry::Kill if !was_cut && self.all_out(node) => {
                let cut = self.world.cut_sessions(node, now);
                let epoch = self.processes[process].epoch;
                if let Some(slot) = self.layout.slots_of_node[node].first().copied() {
                    self.tell(&Seen::Landed { slot, hand: Hand::Cut, epoch });
                }
                self.set_phase(process, key, Phase::Sampling(0, Some(cut)));
                if let Some(task) = self.processes[process].hands.tasks.get_mut(&key) {
                    task.until = now.after(AFTER_CUT);
                }
                Next::Look(now.after(Millis(1)))
            }
            DrainExpiry::Fail | DrainExpiry::Proceed | DrainExpiry::Kill => {
                Next::end(End::NotMet(noise))
            }
        }
    }

    fn certificate(&self, task: &Task, node: Place, quiet: u32, counts: (u64, u64)) -> Next {
        let (cut, left) = counts;
        let evidence = DrainEvidence {
            instances: self.readings(node..node + 1),
            node_connections: Some(left),
            quiet_samples: quiet,
            took: self.agenda.now().since(task.begun),
            cut,
            left,
        };
        Next::Answer(Report::with(End::Done, Evidence::Drain(evidence)))
    }

    fn all_out(&self, node: Place) -> bool {
        self.layout.slots_of_node[node].iter().all(|slot| {
            let instance = self.layout.slots[*slot].instance;
            self.commandable(instance).is_ok() && self.world.slots[*slot].is_out()
        })
    }

    /// What keeps a node from being drained.
    fn noise(&self, node: Place) -> Option<String> {
        let now = self.agenda.now();
        let one_is_enough = self.plant == Some(Plant::OneInstanceIsEnough);
        for slot in &self.layout.slots_of_node[node] {
            let instance = self.layout.slots[*slot].instance;
            if one_is_enough && instance > 0 {
                continue;
            }
            if let Err(why) = self.commandable(instance) {
                return Some(why);
            }
            let state = &self.world.slots[*slot];
            if !state.is_out() {
                return Some(format!("{} is not held out", self.layout.slots[*slot].member));
            }
            if state.live(now) > 0 {
                return Some(format!("{} sessions", state.live(now)));
            }
            let declares = !self.layout.declared(node).service_ports.is_empty();
            if declares && state.hidden(now) > 0 {
                return Some(format!("{} unexplained connections", state.hidden(now)));
            }
            if declares && !self.world.nodes[node].reachable(now) {
                return Some("the node's sockets cannot be read".into());
            }
        }
        None
    }

    /// Waits until every instance shows the node as it was before.
    pub(super) fn serving(&mut self, process: usize, key: Key, task: &Task, node: Place) -> Next {
        let now = self.agenda.now();
        // Begun once: later looks are no beginnings.
        self.set_phase(process, key, Phase::Connecting(now));
        let gaps: Vec<String> =
            self.befores(process, node).iter().filter_map(|before| self.gap(*before)).collect();
        if gaps.is_empty() {
            let readings = self.readings(node..node + 1);
            return Next::Answer(Report::with(End::Done, Evidence::Balancers(readings)));
        }
        if now.after(SERVING) > task.until {
            return Next::end(End::NotMet(gaps.join("; ")));
        }
        // Looks become rarer, so that a long wait costs little; the real one asks ten times a
        // second.
        let waited = now.since(task.begun).0 / 10;
        Next::Look(now.after(Millis(waited.max(SERVING.0))).min(task.until))
    }

    fn gap(&self, before: Before) -> Option<String> {
        let instance = self.layout.slots[before.slot].instance;
        if let Err(why) = self.commandable(instance) {
            return Some(why);
        }
        let slot = &self.world.slots[before.slot];
        if slot.weight != before.weight || slot.held != before.held {
            return Some(format!("{} is not as it was", self.layout.slots[before.slot].member));
        }
        let left_as_found = before.held != Held::Ready || before.weight == 0;
        let up = slot.health == Health::Up;
        (!left_as_found && !up).then(|| slot.detail().to_owned())
    }

    pub(super) fn set_phase(&mut self, process: usize, key: Key, phase: Phase) {
        if let Some(task) = self.processes[process].hands.tasks.get_mut(&key) {
            task.phase = phase;
        }
    }

    /// Plans a health check of an entry.
    pub(crate) fn plan_check(&mut self, slot: usize) {
        if !self.world.slots[slot].check_planned {
            self.world.slots[slot].check_planned = true;
            let at = self.agenda.now().after(self.dice.span(50, 2_000));
            self.agenda.at(at, Happening::Check { slot });
        }
    }

    /// A health check comes to an entry.
    pub(crate) fn check(&mut self, slot: usize) {
        let now = self.agenda.now();
        self.world.slots[slot].check_planned = false;
        let place = &self.layout.slots[slot];
        let unchecked = self.world.slots[slot].held == Held::Maint
            || now < self.world.instances[place.instance].stopped_until;
        if unchecked {
            return;
        }
        let passed = self.world.answers(place.node, now);
        let mut checked = self.world.slots[slot].clone();
        checked.checked(passed);
        if self.world.in_traffic(slot, now) && !checked.takes_traffic() {
            self.tell(&Seen::Traffic);
        }
        if self.world.slots[slot].checked(passed) {
            self.plan_check(slot);
        }
    }

    /// Something changed what a node answers: checks will find out.
    pub(crate) fn health_changed(&mut self, node: Place) {
        let Some(slots) = self.layout.slots_of_node.get(node).cloned() else { return };
        let now = self.agenda.now();
        let state = &self.world.nodes[node];
        let later = [state.ready_at, state.away_until, state.sick_until];
        let later: Vec<Timestamp> = later.into_iter().filter(|at| *at > now).collect();
        for slot in slots {
            self.plan_check(slot);
        }
        for at in later {
            self.agenda.at(at, Happening::Recheck { node });
        }
    }
}
