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
        let of = |(role, exactly): (RoleName, Option<u32>)| {
            let count = usize::try_from(exactly.unwrap_or(1)).unwrap_or(usize::MAX);
            let nodes = self.may_have(&role).into_iter().take(count).collect();
            Assumed { role, nodes }
        };
        let all: Vec<Assumed> = self.not_looked_up().into_iter().map(of).collect();
        self.observed.consulted = !all.is_empty();
        self.take(&all);
        all
    }

    /// Where exactly one node has a role and only one may have it, a lookup can find that one or
    /// that the fleet is not as it was declared: a plan with the role on it is the one to be had.
    /// Every other role that is looked up stays unknown.
    pub fn assume_only_candidates(&mut self) -> Vec<Assumed> {
        let of = |(role, exactly): (RoleName, Option<u32>)| {
            let nodes = self.may_have(&role);
            (exactly == Some(1) && nodes.len() == 1).then_some(Assumed { role, nodes })
        };
        let all: Vec<Assumed> = self.not_looked_up().into_iter().filter_map(of).collect();
        self.take(&all);
        all
    }

    /// Roles that only preflight can find, and how many nodes must have each.
    fn not_looked_up(&self) -> Vec<(RoleName, Option<u32>)> {
        let declared = |role: &RoleName| self.fleet.nodes().any(|node| node.roles.contains(role));
        let roles = self.procedure.roles.iter().filter(|(role, decl)| {
            let RoleDecl { help: _, lookup, among: _, exactly: _ } = decl;
            lookup.is_some() && !declared(role)
        });
        roles.map(|(role, decl)| (role.clone(), decl.exactly)).collect()
    }

    fn take(&mut self, all: &[Assumed]) {
        for Assumed { role, nodes } in all {
            for node in nodes {
                self.observed.roles.entry(node.clone()).or_default().insert(role.clone());
            }
        }
    }

    /// The nodes a lookup of the role would ask.
    pub(crate) fn may_have(&self, role: &RoleName) -> Vec<NodeName> {
        let among = self.procedure.roles.get(role).and_then(|decl| decl.among.as_ref());
        let may = |node: &&Node| among.is_none_or(|among| node.roles.contains(among));
        self.fleet.nodes().filter(may).map(|node| node.name.clone()).collect()
    }
}
