//! Roles that only preflight can find, when nobody was asked.

use crate::input::Input;
use alloc::vec::Vec;
use serde::Serialize;
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
            let RoleDecl { help: _, lookup, among, exactly } = decl;
            if lookup.is_none() || fleet.nodes().any(|node| node.roles.contains(role)) {
                continue;
            }
            let count = usize::try_from(exactly.unwrap_or(1)).unwrap_or(usize::MAX);
            let may = fleet
                .nodes()
                .filter(|node| among.as_ref().is_none_or(|among| node.roles.contains(among)));
            let nodes: Vec<NodeName> = may.map(|node| node.name.clone()).take(count).collect();
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
}
