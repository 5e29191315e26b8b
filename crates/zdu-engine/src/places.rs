//! Where everything of a plan stands, looked up once: a turn must not cost more because the plan is
//! large.

use crate::state::index;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use zdu_model::fleet::{Group, Node};
use zdu_model::ids::{NodeName, StepNo};
use zdu_model::plan::{Plan, Subject};

/// Stage, wave, lane.
pub(crate) type At = (usize, usize, usize);

/// Where a step stands in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    Lane { stage: usize, wave: usize, lane: usize, index: usize },
    Gate { stage: usize, wave: usize },
    Undo,
}

/// What belongs to one subject, in the order of the plan.
#[derive(Debug, Default)]
pub(crate) struct Own {
    pub(crate) steps: Vec<StepNo>,
    pub(crate) lanes: Vec<At>,
}

/// The plan with everything looked up.
#[derive(Debug)]
pub(crate) struct Places {
    /// By a step's number.
    pub(crate) homes: Vec<Home>,
    /// Steps that are points of no return.
    pub(crate) points: Vec<StepNo>,
    /// Whose lanes and steps are whose.
    own: BTreeMap<Subject, Own>,
    /// Where each node is declared: its group, and its place there.
    nodes: BTreeMap<NodeName, (usize, usize)>,
    nothing: Own,
}

/// They follow from the plan, and who compares two rollouts compares their plans.
impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

impl Places {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut own: BTreeMap<Subject, Own> = BTreeMap::new();
        for step in &plan.steps {
            own.entry(step.subject.clone()).or_default().steps.push(step.no);
        }
        for (stage, planned) in plan.stages.iter().enumerate() {
            for (wave, planned) in planned.waves.iter().enumerate() {
                for (lane, planned) in planned.lanes.iter().enumerate() {
                    let own = own.entry(planned.subject.clone()).or_default();
                    own.lanes.push((stage, wave, lane));
                }
            }
        }
        let mut nodes = BTreeMap::new();
        for (group, declared) in plan.fleet.groups.iter().enumerate() {
            for (at, node) in declared.nodes.iter().enumerate() {
                nodes.entry(node.name.clone()).or_insert((group, at));
            }
        }
        let points = plan.steps.iter().filter(|step| step.point_of_no_return);
        Self {
            homes: homes_of(plan),
            points: points.map(|step| step.no).collect(),
            own,
            nodes,
            nothing: Own::default(),
        }
    }

    /// The lanes and steps of a subject.
    pub(crate) fn own(&self, subject: &Subject) -> &Own {
        self.own.get(subject).unwrap_or(&self.nothing)
    }

    /// A node of the plan's fleet.
    pub(crate) fn node<'p>(&self, plan: &'p Plan, name: &NodeName) -> Option<&'p Node> {
        let (group, at) = self.nodes.get(name)?;
        plan.fleet.groups.get(*group)?.nodes.get(*at)
    }

    /// Whether a node stands in this group.
    pub(crate) fn stands_in(&self, plan: &Plan, name: &NodeName, group: &Group) -> bool {
        let known = self.nodes.get(name).and_then(|(at, _)| plan.fleet.groups.get(*at));
        known.is_some_and(|known| known.name == group.name)
    }
}

fn homes_of(plan: &Plan) -> Vec<Home> {
    let mut homes = vec![Home::Undo; plan.steps.len()];
    for (stage, planned) in plan.stages.iter().enumerate() {
        for (wave, planned) in planned.waves.iter().enumerate() {
            for (lane, planned) in planned.lanes.iter().enumerate() {
                for (at, step) in planned.steps.iter().enumerate() {
                    homes[index(*step)] = Home::Lane { stage, wave, lane, index: at };
                }
            }
            for step in &planned.gate {
                homes[index(*step)] = Home::Gate { stage, wave };
            }
        }
    }
    homes
}
