//! The scope templates are rendered in: built once for the fleet, then moved from node to node,
//! because a copy of all nodes per node would be quadratic in the size of the fleet.

use crate::input::Input;
use crate::order::{Place, Roster};
use crate::refusal::{Refusal, Refusals};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use zdu_model::ids::VarName;
use zdu_model::render::{NodeScope, Render, Scope};
use zdu_model::text::Template;

/// The scope before any node was entered.
pub(crate) fn base(input: &Input, roster: &Roster<'_>) -> Scope {
    Scope {
        vars: input.vars.clone(),
        node: None,
        nodes: roster.places.iter().map(node_scope).collect(),
        release: input.release.clone(),
        fleet: input.fleet.name.to_string(),
    }
}

fn node_scope(place: &Place<'_>) -> NodeScope {
    let node = place.node;
    NodeScope {
        name: node.name.to_string(),
        address: node.address.clone(),
        zone: node.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
        group: place.group.name.to_string(),
        roles: place.roles.iter().map(ToString::to_string).collect(),
        vars: node.vars.clone(),
    }
}

/// Makes `scope` the scope of a node (by index), or of the fleet.
pub(crate) fn enter(
    scope: &mut Scope,
    node: Option<usize>,
    input: &Input,
    render: &dyn Render,
    refusals: &mut Refusals,
) {
    scope.node = node.and_then(|index| scope.nodes.get(index).cloned());
    scope.vars = input.vars.clone();
    if let Some(node) = &scope.node {
        scope.vars.extend(node.vars.clone());
    }
    let mut pending: Vec<(&VarName, &Template)> = input
        .procedure
        .vars
        .iter()
        .filter(|(name, _)| !scope.vars.contains_key(name.as_str()))
        .filter_map(|(name, declared)| Some((name, declared.default.as_ref()?)))
        .collect();
    // A default may use another variable, in any order: what cannot be rendered yet is tried
    // again when more is known. Every round settles at least one, so the loop ends.
    loop {
        let before = pending.len();
        pending.retain(|(name, default)| match default_value(default, scope, render) {
            Ok(value) => {
                scope.vars.insert(name.to_string(), value);
                false
            }
            Err(_) => true,
        });
        if pending.is_empty() || pending.len() == before {
            break;
        }
    }
    // Outside a node a default that speaks of the node has no value, and that is no fault until
    // somebody uses it.
    if scope.node.is_none() {
        return;
    }
    for (name, default) in pending {
        if let Err(why) = default_value(default, scope, render) {
            refusals.push(Refusal::Render {
                at: format!("procedure.vars.{name}.default"),
                nodes: node.map(|index| input_node(input, index)).into_iter().flatten().collect(),
                template: default.0.clone(),
                why,
            });
        }
    }
}

fn input_node(input: &Input, index: usize) -> Option<zdu_model::ids::NodeName> {
    input.fleet.nodes().nth(index).map(|node| node.name.clone())
}

fn default_value(default: &Template, scope: &Scope, render: &dyn Render) -> Result<String, String> {
    if !default.0.contains('{') {
        return Ok(default.0.clone());
    }
    let text = render.text(default, scope).map_err(|error| error.why)?;
    text.as_literal()
        .ok_or_else(|| "a variable may hold neither a secret nor a captured value".to_string())
}
