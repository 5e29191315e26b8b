//! A plan's names as numbers, found once: what stands where, and what each step does to its node.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use zdu_model::fleet::{Member, Node};
use zdu_model::ids::{InstanceName, NodeName, StepNo};
use zdu_model::plan::{Plan, Subject, Target, Work};

/// The place of the controller, behind those of the nodes.
pub(crate) type Place = usize;

/// One entry of a node on one balancer instance.
#[derive(Debug, Clone)]
pub(crate) struct SlotPlace {
    pub(crate) instance: usize,
    pub(crate) node: Place,
    pub(crate) member: Member,
}

/// What a step is to the world.
#[derive(Debug, Clone)]
pub(crate) struct StepPlace {
    /// The node it is about.
    pub(crate) node: Option<Place>,
    /// Where its command runs.
    pub(crate) target: Place,
    /// The step it undoes.
    pub(crate) undoes: Option<StepNo>,
    /// Whether it is the last act of that undoing that changes the node.
    pub(crate) completes_undo: bool,
    /// Whether it changes the node (a command, a request, a file, a person's hand).
    pub(crate) changes: bool,
    /// The stage it belongs to, for an undo that of what it undoes.
    pub(crate) stage: usize,
}

/// The plan with everything looked up.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) plan: Arc<Plan>,
    pub(crate) nodes: Vec<NodeName>,
    pub(crate) places: BTreeMap<NodeName, Place>,
    /// The group of each node.
    pub(crate) groups: Vec<usize>,
    /// The first node of each group; the others stand side by side behind it.
    first_of_group: Vec<Place>,
    pub(crate) instances: Vec<InstanceName>,
    pub(crate) slots: Vec<SlotPlace>,
    pub(crate) slots_of_node: Vec<Vec<usize>>,
    pub(crate) steps: Vec<StepPlace>,
    /// For each node, for each stage that disrupts it, the steps that do.
    pub(crate) disrupting: Vec<BTreeMap<usize, Vec<StepNo>>>,
}

impl Layout {
    /// Looks everything up.
    #[must_use]
    pub(crate) fn of(plan: Arc<Plan>) -> Self {
        let nodes: Vec<NodeName> = plan.fleet.nodes().map(|node| node.name.clone()).collect();
        let places: BTreeMap<_, _> =
            nodes.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        let sizes = plan.fleet.groups.iter().map(|group| group.nodes.len());
        let first_of_group =
            sizes.scan(0, |next, size| Some(std::mem::replace(next, *next + size)));
        let first_of_group = first_of_group.collect();
        let groups = plan.fleet.groups.iter().enumerate();
        let groups = groups.flat_map(|(at, group)| group.nodes.iter().map(move |_| at)).collect();
        let (instances, slots) = slots_of(&plan, &places);
        let mut slots_of_node = vec![Vec::new(); nodes.len()];
        for (at, slot) in slots.iter().enumerate() {
            slots_of_node[slot.node].push(at);
        }
        let steps = steps_of(&plan, &places);
        let mut disrupting = vec![BTreeMap::<usize, Vec<StepNo>>::new(); nodes.len()];
        for (planned, place) in plan.steps.iter().zip(&steps) {
            let forward = place.undoes.is_none();
            if let (true, true, true, Some(node)) =
                (forward, place.changes, planned.needs_drain, place.node)
            {
                disrupting[node].entry(place.stage).or_default().push(planned.no);
            }
        }
        Self {
            plan,
            nodes,
            places,
            groups,
            first_of_group,
            instances,
            slots,
            slots_of_node,
            steps,
            disrupting,
        }
    }

    /// The nodes of a group.
    pub(crate) fn nodes_of(&self, group: usize) -> Range<Place> {
        let first = self.first_of_group[group];
        first..first + self.plan.fleet.groups[group].nodes.len()
    }

    /// A node as the fleet declares it.
    pub(crate) fn declared(&self, node: Place) -> &Node {
        let group = self.groups[node];
        &self.plan.fleet.groups[group].nodes[node - self.first_of_group[group]]
    }

    /// The controller's own place.
    pub(crate) fn controller(&self) -> Place {
        self.nodes.len()
    }

    pub(crate) fn step(&self, step: StepNo) -> &StepPlace {
        let at = usize::try_from(step.0).unwrap_or(usize::MAX);
        self.steps.get(at).expect("a step of this plan")
    }

    pub(crate) fn name(&self, place: Place) -> &str {
        self.nodes.get(place).map_or("controller", NodeName::as_str)
    }
}

fn slots_of(
    plan: &Plan,
    places: &BTreeMap<NodeName, Place>,
) -> (Vec<InstanceName>, Vec<SlotPlace>) {
    let mut instances = Vec::new();
    let mut slots = Vec::new();
    for (balancer, declared) in &plan.fleet.balancers {
        for instance in &declared.instances {
            for node in plan.fleet.nodes() {
                let own = node.members.iter().filter(|member| member.balancer == *balancer);
                slots.extend(own.map(|member| SlotPlace {
                    instance: instances.len(),
                    node: places[&node.name],
                    member: member.clone(),
                }));
            }
            instances.push(instance.name.clone());
        }
    }
    (instances, slots)
}

fn changes(work: &Work) -> bool {
    match work {
        Work::Run(_)
        | Work::Http(_)
        | Work::Upload { .. }
        | Work::Backup { .. }
        | Work::Manual { .. } => true,
        Work::Guard { .. }
        | Work::Drain
        | Work::Certify
        | Work::Ready(_)
        | Work::Undrain
        | Work::Serving
        | Work::Soak(_)
        | Work::Wait(_) => false,
    }
}

fn steps_of(plan: &Plan, places: &BTreeMap<NodeName, Place>) -> Vec<StepPlace> {
    let mut steps: Vec<StepPlace> = plan
        .steps
        .iter()
        .map(|step| StepPlace {
            node: match &step.subject {
                Subject::Fleet => None,
                Subject::Node(node) => places.get(node).copied(),
            },
            target: match &step.target {
                Target::Controller => places.len(),
                Target::Node(node) => places.get(node).copied().unwrap_or(places.len()),
            },
            undoes: None,
            completes_undo: false,
            changes: changes(&step.work),
            stage: 0,
        })
        .collect();
    for (at, stage) in plan.stages.iter().enumerate() {
        let waves = stage.waves.iter();
        let forward = waves.flat_map(|wave| {
            wave.lanes.iter().flat_map(|lane| lane.steps.iter()).chain(wave.gate.iter())
        });
        for step in forward {
            steps[number(*step)].stage = at;
        }
    }
    for step in &plan.steps {
        let stage = steps[number(step.no)].stage;
        for undo in &step.undo {
            let place = &mut steps[number(*undo)];
            (place.undoes, place.stage) = (Some(step.no), stage);
        }
        let changing = step.undo.iter().rev().find(|undo| steps[number(**undo)].changes);
        if let Some(last) = changing.copied() {
            steps[number(last)].completes_undo = true;
        }
    }
    steps
}

fn number(step: StepNo) -> usize {
    usize::try_from(step.0).unwrap_or(usize::MAX)
}
