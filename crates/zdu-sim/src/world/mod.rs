//! The simulated fleet: nodes, balancer instances and the traffic between them. It has no opinion
//! about what should happen; it only does what such a fleet does.

pub(crate) mod node;
pub(crate) mod slot;

use crate::dice::Dice;
use crate::layout::{Layout, Place, SlotPlace};
use crate::run::Found;
use node::{Mark, Node};
use slot::Slot;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use zdu_model::ids::StepNo;
use zdu_model::report::{Held, InstanceReading, MemberReading};
use zdu_model::time::{Millis, Timestamp};

/// A balancer instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instance {
    /// It is down until then.
    pub(crate) stopped_until: Timestamp,
    /// Its runtime interface refuses commands until then.
    pub(crate) refuses_until: Timestamp,
    /// The reply to the next change it carries out is lost.
    pub(crate) loses_reply: bool,
    /// Which process of it answers: another one after each reload.
    pub(crate) process: u32,
}

/// Which release serves on a node, as far as one stage is about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing that disrupts it was done.
    Old,
    /// All of it was done.
    New,
    /// Some of it was done.
    Between,
}

/// The fleet.
pub(crate) struct World {
    pub(crate) layout: Arc<Layout>,
    /// The nodes; the controller's host is the last.
    pub(crate) nodes: Vec<Node>,
    /// The balancer instances.
    pub(crate) instances: Vec<Instance>,
    /// The nodes' entries on them.
    pub(crate) slots: Vec<Slot>,
    /// Nodes that some stage has changed half.
    between: BTreeSet<Place>,
    dice: Dice,
}

/// How long a request in progress lasts at most when its node is taken out, for most of them.
const SHORT_REQUEST: u64 = 300;
/// The same for one in ten.
const LONG_REQUEST: u64 = 6_000;

impl World {
    pub(crate) fn new(layout: Arc<Layout>, seed: u64, oddly_found: u64) -> Self {
        let mut dice = Dice::of(seed, "found", 0);
        let slots = layout.slots.iter().map(|_| {
            let configured = 100;
            let odd = dice.chance(oddly_found);
            match dice.below(4) {
                0 if odd => Slot::new(Held::Ready, 40, configured),
                1 if odd => Slot::new(Held::Drain, configured, configured),
                2 if odd => Slot::new(Held::Maint, configured, configured),
                3 if odd => Slot::new(Held::Ready, 0, configured),
                _ => Slot::new(Held::Ready, configured, configured),
            }
        });
        let slots = slots.collect();
        let nodes = vec![Node::default(); layout.nodes.len() + 1];
        let instances = vec![Instance::default(); layout.instances.len()];
        let (between, dice) = (BTreeSet::new(), Dice::of(seed, "traffic", 0));
        Self { layout, nodes, instances, slots, between, dice }
    }

    /// Finds entries in a state of their own.
    pub(crate) fn find(&mut self, found: &[Found]) {
        for Found { node, instance, held, weight } in found {
            for (slot, place) in self.slots.iter_mut().zip(&self.layout.slots) {
                if self.layout.nodes[place.node] == *node
                    && self.layout.instances[place.instance] == *instance
                {
                    *slot = Slot::new(*held, *weight, slot.configured);
                }
            }
        }
    }

    /// The entries that are not ready with their configured weight.
    pub(crate) fn left(&self) -> Vec<Found> {
        let entries = self.slots.iter().zip(&self.layout.slots);
        let odd =
            entries.filter(|(slot, _)| slot.held != Held::Ready || slot.weight != slot.configured);
        let found = |(slot, place): (&Slot, &SlotPlace)| Found {
            node: self.layout.nodes[place.node].clone(),
            instance: self.layout.instances[place.instance].clone(),
            held: slot.held,
            weight: slot.weight,
        };
        odd.map(found).collect()
    }

    /// Whether a node stands like that in one stage. A step that nothing undoes does not count
    /// against the old release: who accepted that it has no undo said that it needs none.
    #[must_use]
    pub(crate) fn stands(&self, node: Place, stage: usize, standing: Standing) -> bool {
        let steps = self.layout.disrupting.get(node).and_then(|stages| stages.get(&stage));
        let Some(steps) = steps else { return standing != Standing::Between };
        let mut marks = steps.iter().map(|step| {
            let stays = self.layout.plan.step(*step).undo.is_empty();
            (self.nodes[node].mark(*step), stays)
        });
        match standing {
            Standing::New => marks.all(|(mark, _)| mark == Mark::Done),
            Standing::Old => {
                marks.all(|(mark, stays)| mark == Mark::Untouched || (stays && mark == Mark::Done))
            }
            Standing::Between => {
                !self.stands(node, stage, Standing::New) && !self.stands(node, stage, Standing::Old)
            }
        }
    }

    /// Whether something that disturbs the node was done to it, and no step undoes that.
    #[must_use]
    pub(crate) fn keeps_something(&self, node: Place) -> bool {
        let steps = self.layout.disrupting.get(node).into_iter().flat_map(|all| all.values());
        steps.flatten().any(|step| {
            self.layout.plan.step(*step).undo.is_empty()
                && self.nodes[node].mark(*step) != Mark::Untouched
        })
    }

    /// Whether some stage has changed a node half: it cannot serve because of us.
    #[must_use]
    pub(crate) fn is_between(&self, node: Place) -> bool {
        self.between.contains(&node)
    }

    /// All of them.
    pub(crate) fn between(&self) -> impl Iterator<Item = Place> {
        self.between.iter().copied()
    }

    /// Moves a node: so far a step's work is done on it. Where that leaves the node is asked with
    /// everything that happens, and worked out only here.
    pub(crate) fn set_mark(&mut self, node: Place, step: StepNo, mark: Mark) {
        self.nodes[node].set_mark(step, mark);
        let stages = self.layout.disrupting.get(node).into_iter().flat_map(|all| all.keys());
        if stages.into_iter().any(|stage| self.stands(node, *stage, Standing::Between)) {
            self.between.insert(node);
        } else {
            self.between.remove(&node);
        }
    }

    /// Whether requests to the node would be answered.
    #[must_use]
    pub(crate) fn answers(&self, node: Place, now: Timestamp) -> bool {
        let state = &self.nodes[node];
        now >= state.away_until
            && now >= state.sick_until
            && now >= state.ready_at
            && !self.is_between(node)
    }

    /// Whether a failure of the node is the world's doing and not ours.
    #[must_use]
    pub(crate) fn fails_by_itself(&self, node: Place, now: Timestamp) -> bool {
        let state = &self.nodes[node];
        now < state.away_until || now < state.sick_until
    }

    /// Whether new sessions reach the node through this entry.
    #[must_use]
    pub(crate) fn in_traffic(&self, slot: usize, now: Timestamp) -> bool {
        let instance = self.layout.slots[slot].instance;
        now >= self.instances[instance].stopped_until && self.slots[slot].takes_traffic()
    }

    /// Requests in progress on a node, also those no counter shows.
    #[must_use]
    pub(crate) fn sessions(&self, node: Place, now: Timestamp) -> u64 {
        let slots = self.layout.slots_of_node[node].iter();
        slots.map(|slot| self.slots[*slot].live(now) + self.slots[*slot].hidden(now)).sum()
    }

    /// How many other nodes of its group serve on one instance, with all of their entries.
    #[must_use]
    pub(crate) fn others_serving(&self, node: Place, instance: usize, now: Timestamp) -> usize {
        let group = self.layout.groups[node];
        let others = (0..self.layout.nodes.len())
            .filter(|other| *other != node && self.layout.groups[*other] == group);
        others
            .filter(|other| {
                let slots = self.layout.slots_of_node[*other].iter();
                let mut here =
                    slots.filter(|slot| self.layout.slots[**slot].instance == instance).peekable();
                here.peek().is_some() && here.all(|slot| self.in_traffic(*slot, now))
            })
            .count()
    }

    /// Sets an entry; leaving traffic leaves requests in progress behind.
    pub(crate) fn set(&mut self, slot: usize, held: Held, weight: u32, now: Timestamp) {
        let was = self.slots[slot].takes_traffic();
        self.slots[slot].weight = weight;
        self.slots[slot].hold(held);
        if was && !self.slots[slot].takes_traffic() {
            self.leave_sessions(slot, now);
        }
    }

    /// Requests that were in progress when an entry left traffic.
    fn leave_sessions(&mut self, slot: usize, now: Timestamp) {
        let node = self.layout.slots[slot].node;
        let lingers = self.nodes[node].lingers_until;
        self.slots[slot].sessions.retain(|ends| *ends > now);
        for _ in 0..self.dice.below(4) {
            let long = self.dice.chance(10);
            let most = if long { LONG_REQUEST } else { SHORT_REQUEST };
            let ends = now.after(Millis(self.dice.between(1, most)));
            self.slots[slot].sessions.push(ends);
        }
        if lingers > now {
            self.slots[slot].sessions.push(lingers);
        }
    }

    /// Cuts what is in progress and says how many there were.
    pub(crate) fn cut_sessions(&mut self, node: Place, now: Timestamp) -> u64 {
        let cut = self.sessions(node, now);
        self.nodes[node].cut += cut;
        for slot in &self.layout.slots_of_node[node] {
            self.slots[*slot].sessions.clear();
            self.slots[*slot].old_worker.clear();
        }
        cut
    }

    /// What one instance says about the entries of these nodes; a group's nodes stand side by side.
    pub(crate) fn reading(
        &self,
        instance: usize,
        nodes: Range<Place>,
        now: Timestamp,
    ) -> Option<InstanceReading> {
        let most = nodes.len();
        let all = self.layout.slots_of_node[nodes].iter().flatten().copied();
        let mut here = all.filter(|slot| self.layout.slots[*slot].instance == instance).peekable();
        let balancer = self.layout.slots[*here.peek()?].member.balancer.clone();
        let state = &self.instances[instance];
        let name = self.layout.instances[instance].clone();
        let error = if now < state.stopped_until {
            Some("connection refused".to_owned())
        } else {
            (now < state.refuses_until).then(|| "Permission denied".to_owned())
        };
        let mut members = Vec::new();
        if error.is_none() {
            // A node has one entry on an instance as a rule.
            members.reserve(most);
            members.extend(here.map(|slot| self.member_reading(slot, now)));
        }
        Some(InstanceReading { balancer, instance: name, error, members })
    }

    fn member_reading(&self, slot: usize, now: Timestamp) -> MemberReading {
        let (place, state) = (&self.layout.slots[slot], &self.slots[slot]);
        MemberReading {
            node: self.layout.nodes[place.node].clone(),
            member: place.member.clone(),
            state: state.state(),
            held: state.held,
            sessions: Some(if state.takes_traffic() { 2 } else { state.live(now) }),
            queued: Some(0),
            weight: Some((state.weight, state.configured)),
            detail: state.detail().to_owned(),
        }
    }

    /// Whether the node's part of a plan is as it was before the rollout.
    pub(crate) fn mark_of(&self, node: Place, step: StepNo) -> Mark {
        self.nodes[node].mark(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_which_nodes_stand_between_two_releases() {
        let mut halved = 0;
        for seed in 0..20 {
            let plan = crate::swarm::setup(&crate::swarm::Range::default(), seed).plan;
            let layout = Arc::new(Layout::of(plan));
            let mut world = World::new(layout.clone(), seed, 0);
            let mut dice = Dice::of(seed, "marks", 0);
            for (node, stages) in layout.disrupting.iter().enumerate() {
                for step in stages.values().flatten() {
                    let mark = match dice.below(3) {
                        0 => Mark::Untouched,
                        1 => Mark::Half,
                        _ => Mark::Done,
                    };
                    world.set_mark(node, *step, mark);
                    let stands = |stage: &usize| world.stands(node, *stage, Standing::Between);
                    let between = stages.keys().any(stands);
                    assert_eq!(world.is_between(node), between, "seed {seed}, step {step}");
                    halved += usize::from(between);
                }
            }
            assert!(world.between().all(|node| world.is_between(node)));
        }
        assert!(halved > 0);
    }
}
