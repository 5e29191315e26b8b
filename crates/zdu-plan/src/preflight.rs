//! What preflight asks, rendered: the lookups of roles first, then the procedure's own checks.

use crate::captures::Captures;
use crate::input::Input;
use crate::order::Roster;
use crate::refusal::Refusals;
use crate::scope;
use crate::work::Rendering;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use zdu_model::ids::{NodeName, RoleName};
use zdu_model::plan::{Probe, Subject};
use zdu_model::procedure::ProbeTemplate;
use zdu_model::render::Render;

/// The question whether a node has a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleQuestion {
    /// The role.
    pub role: RoleName,
    /// The node that is asked.
    pub node: NodeName,
    /// It has the role when this holds.
    pub probe: Probe,
}

/// A check on one node that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCheck {
    /// The node.
    pub node: NodeName,
    /// What must be true, as a sentence.
    pub name: String,
    /// How it is asked.
    pub probe: Probe,
    /// What to do when it is not true.
    pub hint: String,
}

/// The questions whose answers are [`crate::Observed::roles`]. A role that some node declares is
/// not looked up: the operator's word is taken.
///
/// # Errors
/// [`Refusals`] when a probe cannot be rendered.
pub fn role_questions(input: &Input, render: &dyn Render) -> Result<Vec<RoleQuestion>, Refusals> {
    let roster = Roster::new(&input.fleet, &input.observed);
    let mut questions = Vec::new();
    let mut refusals = Refusals::default();
    for (role, declared) in &input.procedure.roles {
        let Some(lookup) = &declared.lookup else { continue };
        if input.fleet.nodes().any(|node| node.roles.contains(role)) {
            continue;
        }
        let asked = |roles: &alloc::collections::BTreeSet<RoleName>| {
            declared.among.as_ref().is_none_or(|among| roles.contains(among))
        };
        for (index, place) in roster.places.iter().enumerate() {
            if !asked(&place.roles) {
                continue;
            }
            let at = format!("procedure.roles.{role}");
            if let Some(probe) = rendered(input, render, &roster, index, lookup, at, &mut refusals)
            {
                let (role, node) = (role.clone(), place.node.name.clone());
                questions.push(RoleQuestion { role, node, probe });
            }
        }
    }
    if refusals.0.is_empty() { Ok(questions) } else { Err(refusals) }
}

/// The procedure's checks on every node.
///
/// # Errors
/// [`Refusals`] when a probe cannot be rendered.
pub fn node_checks(input: &Input, render: &dyn Render) -> Result<Vec<NodeCheck>, Refusals> {
    let roster = Roster::new(&input.fleet, &input.observed);
    let mut checks = Vec::new();
    let mut refusals = Refusals::default();
    for (index, place) in roster.places.iter().enumerate() {
        for check in &input.procedure.preflight {
            let at = format!("procedure.preflight.{}", check.name);
            let template = &check.probe;
            if let Some(probe) =
                rendered(input, render, &roster, index, template, at, &mut refusals)
            {
                let (name, hint) = (check.name.clone(), check.hint.clone());
                checks.push(NodeCheck { node: place.node.name.clone(), name, probe, hint });
            }
        }
    }
    if refusals.0.is_empty() { Ok(checks) } else { Err(refusals) }
}

fn rendered(
    input: &Input,
    render: &dyn Render,
    roster: &Roster<'_>,
    index: usize,
    template: &ProbeTemplate,
    at: String,
    refusals: &mut Refusals,
) -> Option<Probe> {
    let mut scope = scope::base(input, roster);
    scope::enter(&mut scope, Some(index), input, render, refusals);
    let captures = Captures::of(&input.procedure);
    let subject = Subject::Node(roster.places.get(index)?.node.name.clone());
    let mut rendering = Rendering {
        render,
        scope: &scope,
        refusals,
        captures: &captures,
        secrets: &input.procedure.secrets,
        subject: &subject,
        stage: 0,
        at,
    };
    rendering.probe(template, "probe")
}
