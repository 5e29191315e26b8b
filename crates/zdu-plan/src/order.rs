//! Who the nodes are, which roles they have, and in which order a stage goes over them.

use crate::input::Observed;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use zdu_model::fleet::{Fleet, Group, Node};
use zdu_model::ids::RoleName;
use zdu_model::procedure::Stage;

/// A node with its group and all its roles.
pub(crate) struct Place<'a> {
    pub(crate) node: &'a Node,
    pub(crate) group: &'a Group,
    /// Declared and found at preflight.
    pub(crate) roles: BTreeSet<RoleName>,
}

/// Every node, in declared order, and the bearers of every role.
pub(crate) struct Roster<'a> {
    pub(crate) places: Vec<Place<'a>>,
    bearers: BTreeMap<RoleName, Vec<usize>>,
}

impl<'a> Roster<'a> {
    pub(crate) fn new(fleet: &'a Fleet, observed: &Observed) -> Self {
        let mut places = Vec::new();
        let mut bearers: BTreeMap<RoleName, Vec<usize>> = BTreeMap::new();
        for group in &fleet.groups {
            for node in &group.nodes {
                let mut roles = node.roles.clone();
                if let Some(found) = observed.roles.get(&node.name) {
                    roles.extend(found.iter().cloned());
                }
                for role in &roles {
                    bearers.entry(role.clone()).or_default().push(places.len());
                }
                places.push(Place { node, group, roles });
            }
        }
        Self { places, bearers }
    }

    /// The nodes with a role, in declared order.
    pub(crate) fn bearers(&self, role: &RoleName) -> &[usize] {
        self.bearers.get(role).map_or(&[], Vec::as_slice)
    }

    /// The nodes of a stage in the order they are begun: those with the first `first` role, then
    /// those with the second and so on, the rest as declared, and at the end those with a `last`
    /// role. A node that is both first and last goes first: `first` is the more exact wish,
    /// because its entries are ordered.
    pub(crate) fn of_stage(&self, stage: &Stage) -> Vec<usize> {
        let chosen = |place: &Place<'_>| {
            stage.only.is_empty() || stage.only.iter().any(|role| place.roles.contains(role))
        };
        let rank = |place: &Place<'_>| {
            let first = stage.first.iter().position(|role| place.roles.contains(role));
            match first {
                Some(at) => at,
                None if stage.last.iter().any(|role| place.roles.contains(role)) => usize::MAX,
                None => stage.first.len(),
            }
        };
        let mut nodes: Vec<(usize, usize)> = self
            .places
            .iter()
            .enumerate()
            .filter(|(_, place)| chosen(place))
            .map(|(index, place)| (rank(place), index))
            .collect();
        nodes.sort_unstable();
        nodes.into_iter().map(|(_, index)| index).collect()
    }
}
