//! Roles that only preflight can find, when nobody was asked.

use crate::input::Input;
use alloc::vec::Vec;
use serde::Serialize;
use zdu_model::fleet::Node;
use zdu_model::ids::{NodeName, RoleName};
use zdu_model::procedure::RoleDecl;

/// A role that only preflight can find, and the nodes it was taken to be on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assumed {
    /// The role.
    pub role: RoleName,
    /// The nodes.
    pub nodes: Vec<NodeName>,
}

impl Input {
    /// Who has a role that is looked up is not known without asking. Everything else can still be
    /// planned, with the role on the first nodes that may have it.
    pub fn assume_roles(&mut self) -> Vec<Assumed> {
        let fleet = &self.fleet;
        let mut all = Vec::new();
        for (role, decl) in &self.procedure.roles {
            let RoleDecl { help: _, lookup, among: _, exactly } = decl;
            if lookup.is_none() || fleet.nodes().any(|node| node.roles.contains(role)) {
                continue;
            }
            let count = usize::try_from(exactly.unwrap_or(1)).unwrap_or(usize::MAX);
            let nodes: Vec<NodeName> = self.may_have(role).into_iter().take(count).collect();
            all.push(Assumed { role: role.clone(), nodes });
        }
        let observed = &mut self.observed;
        observed.consulted = !all.is_empty();
        for Assumed { role, nodes } in &all {
            for node in nodes {
                observed.roles.entry(node.clone()).or_default().insert(role.clone());
            }
        }
        all
    }

    /// The nodes a lookup of the role would ask.
    pub(crate) fn may_have(&self, role: &RoleName) -> Vec<NodeName> {
        let among = self.procedure.roles.get(role).and_then(|decl| decl.among.as_ref());
        let may = |node: &&Node| among.is_none_or(|among| node.roles.contains(among));
        self.fleet.nodes().filter(may).map(|node| node.name.clone()).collect()
    }
}
