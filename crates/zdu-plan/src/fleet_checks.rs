//! What is wrong with the fleet, before the procedure is looked at closely.

use crate::input::Input;
use crate::order::Roster;
use crate::refusal::{Refusal, Refusals};
use crate::warning::Warning;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use zdu_model::fleet::Member;
use zdu_model::ids::{NodeName, RoleName};
use zdu_model::procedure::{Over, RoleDecl, Site};

/// Names, members, variables and releases.
pub(crate) fn check(input: &Input, roster: &Roster<'_>, refusals: &mut Refusals) {
    if roster.places.is_empty() {
        refusals.push(Refusal::EmptyFleet);
    }
    let mut names = BTreeSet::new();
    let mut members: BTreeMap<&Member, &NodeName> = BTreeMap::new();
    for place in &roster.places {
        let node = place.node;
        if !names.insert(&node.name) {
            refusals.push(Refusal::DuplicateNode(node.name.clone()));
        }
        for member in &node.members {
            if let Some(one) = members.insert(member, &node.name) {
                let (member, one) = (member.to_string(), one.clone());
                let other = node.name.clone();
                refusals.push(Refusal::SharedMember { member, one, other });
            }
            let balancer = input.fleet.balancers.get(&member.balancer);
            if balancer.is_none_or(|balancer| balancer.instances.is_empty()) {
                refusals.push(Refusal::NoBalancer {
                    nodes: vec![node.name.clone()],
                    balancer: member.balancer.clone(),
                    declared: balancer.is_some(),
                });
            }
        }
    }
    releases(input, roster, refusals);
    variables(input, roster, refusals);
}

fn releases(input: &Input, roster: &Roster<'_>, refusals: &mut Refusals) {
    let (from, to) = (&input.release.from, &input.release.to);
    if let Some(reason) = input.observed.refused_releases.get(to) {
        let (release, reason) = (to.clone(), reason.clone());
        refusals.push(Refusal::RefusedRelease { release, reason });
    }
    for place in &roster.places {
        let node = &place.node.name;
        if let Some(runs) = input.observed.releases.get(node).filter(|runs| *runs != from) {
            refusals.push(Refusal::OtherRelease {
                nodes: vec![node.clone()],
                runs: runs.clone(),
                from: from.clone(),
                to: to.clone(),
            });
        }
    }
}

/// A variable that nobody gives. One that only some nodes give fails where it is rendered, with
/// the place.
fn variables(input: &Input, roster: &Roster<'_>, refusals: &mut Refusals) {
    for (name, declared) in &input.procedure.vars {
        let key = name.as_str();
        let given = input.vars.contains_key(key)
            || roster.places.iter().any(|place| place.node.vars.contains_key(key));
        if declared.default.is_none() && !given {
            let (name, help) = (name.clone(), declared.help.clone());
            refusals.push(Refusal::MissingVariable { name, help });
        }
    }
}

/// Whether every role that orders something is known, and has as many bearers as it must.
pub(crate) fn roles(input: &Input, roster: &Roster<'_>, refusals: &mut Refusals) {
    let declared = &input.procedure.roles;
    let names: BTreeSet<&NodeName> = roster.places.iter().map(|place| &place.node.name).collect();
    for (node, found) in &input.observed.roles {
        for role in found {
            let asked = declared.get(role).is_some_and(|decl| decl.lookup.is_some());
            if !asked || !names.contains(node) {
                let (node, role) = (node.clone(), role.clone());
                refusals.push(Refusal::UnknownLookup { node, role });
            }
        }
    }
    let used = used(input);
    for (role, at) in &used {
        if !roster.bearers(role).is_empty() {
            continue;
        }
        match declared.get(*role) {
            Some(RoleDecl { lookup: Some(_), .. }) if !input.observed.consulted => {
                let (role, among) = ((*role).clone(), input.may_have(role));
                refusals.push(Refusal::RoleNotLookedUp { role, among });
            }
            // Nobody has it although one looked: what only prefers it goes on without.
            Some(RoleDecl { lookup: Some(_), .. }) => {}
            Some(RoleDecl { lookup: None, .. }) | None => {
                let (role, at) = ((*role).clone(), at.clone());
                refusals.push(Refusal::RoleWithoutBearer { role, at });
            }
        }
    }
    for (role, decl) in declared {
        counted(input, roster, role, decl, used.contains_key(role), refusals);
    }
}

fn counted(
    input: &Input,
    roster: &Roster<'_>,
    role: &RoleName,
    decl: &RoleDecl,
    used: bool,
    refusals: &mut Refusals,
) {
    let Some(exactly) = decl.exactly else {
        return;
    };
    let bearers = roster.bearers(role);
    // An absent bearer is refused in better words when it was never looked for or is needed.
    let unasked = decl.lookup.is_some() && !input.observed.consulted;
    let said = bearers.is_empty() && (unasked || (used && decl.lookup.is_none()));
    if said || bearers.len() == usize::try_from(exactly).unwrap_or(usize::MAX) {
        return;
    }
    let places = bearers.iter().filter_map(|index| roster.places.get(*index));
    let bearers = places.map(|place| place.node.name.clone()).collect();
    refusals.push(Refusal::RoleCount { role: role.clone(), exactly, bearers });
}

/// Roles that order something or name a place to run, with the first place that does.
fn used(input: &Input) -> BTreeMap<&RoleName, String> {
    let mut used = BTreeMap::new();
    for stage in &input.procedure.stages {
        for (field, roles) in
            [("only", &stage.only), ("first", &stage.first), ("last", &stage.last)]
        {
            for role in roles {
                let at = || format!("procedure.stages.{}.{field}", stage.name);
                used.entry(role).or_insert_with(at);
            }
        }
        for step in stage.steps.iter().flat_map(|step| core::iter::once(step).chain(&step.undo)) {
            if let Site::Role(role) = &step.on {
                let at = || format!("procedure.stages.{}.steps.{}.on", stage.name, step.id);
                used.entry(role).or_insert_with(at);
            }
        }
    }
    used
}

/// What a reader must know of the fleet.
pub(crate) fn warnings(input: &Input) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let rolling = input.procedure.stages.iter().any(|stage| stage.over == Over::Rolling);
    if rolling && input.fleet.front.is_empty() {
        warnings.push(Warning::NoFront);
    }
    let blind =
        |node: &&zdu_model::fleet::Node| !node.members.is_empty() && node.service_ports.is_empty();
    let nodes: Vec<NodeName> =
        input.fleet.nodes().filter(blind).map(|node| node.name.clone()).collect();
    if rolling && !nodes.is_empty() {
        warnings.push(Warning::NoServicePorts { nodes });
    }
    for name in input.vars.keys() {
        if !input.procedure.vars.keys().any(|declared| declared.as_str() == name) {
            warnings.push(Warning::UnknownVariable(name.clone()));
        }
    }
    warnings
}
