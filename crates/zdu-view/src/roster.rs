//! The nodes of a view, found by name or one after another.

use crate::node::NodeView;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::ids::NodeName;
use zdu_model::plan::Plan;

/// Every node of a fleet, in the order it is declared. What is asked with every record costs no
/// more because the fleet is large.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    nodes: Vec<NodeView>,
    places: BTreeMap<NodeName, usize>,
    /// Those that are stuck.
    stuck: BTreeSet<usize>,
}

impl Roster {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut roster =
            Self { nodes: Vec::new(), places: BTreeMap::new(), stuck: BTreeSet::new() };
        for group in &plan.fleet.groups {
            for node in &group.nodes {
                let name = node.name.clone();
                roster.places.insert(name.clone(), roster.nodes.len());
                roster.nodes.push(NodeView::new(name, group.name.clone(), node.members.clone()));
            }
        }
        roster
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.iter()
    }

    /// Those that are stuck, in the order they are declared.
    pub(crate) fn stuck(&self) -> impl Iterator<Item = &NodeView> {
        self.stuck.iter().filter_map(|place| self.nodes.get(*place))
    }

    pub(crate) fn get(&self, name: &NodeName) -> Option<&NodeView> {
        self.nodes.get(*self.places.get(name)?)
    }

    /// The only way to change a node, so that it is known which are stuck; `None` when the fleet
    /// has no such node.
    pub(crate) fn change<T>(
        &mut self,
        name: &NodeName,
        change: impl FnOnce(&mut NodeView) -> T,
    ) -> Option<T> {
        let place = *self.places.get(name)?;
        let node = self.nodes.get_mut(place)?;
        let changed = change(node);
        if node.stuck.is_some() {
            self.stuck.insert(place);
        } else {
            self.stuck.remove(&place);
        }
        Some(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Stuck;
    use crate::sample::{START, name, plan};
    use zdu_model::ids::StepNo;

    fn names<'n>(nodes: impl Iterator<Item = &'n NodeView>) -> Vec<&'n str> {
        nodes.map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn it_knows_which_nodes_are_stuck_in_the_order_of_the_fleet() {
        let mut roster = Roster::of(&plan(&["c", "a", "b"]));
        let stuck = Stuck { at: START, step: StepNo(0), reason: "it failed".into() };
        for node in ["a", "c"] {
            let _known = roster.change(&name(node), |node| node.stuck = Some(stuck.clone()));
        }
        assert_eq!(names(roster.stuck()), ["c", "a"]);
        let _known = roster.change(&name("c"), |node| node.stuck = None);
        assert_eq!(names(roster.stuck()), ["a"]);
        assert_eq!(names(roster.all()), ["c", "a", "b"]);
        assert!(roster.change(&name("d"), |_| ()).is_none());
    }
}
