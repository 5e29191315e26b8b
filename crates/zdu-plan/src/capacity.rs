//! May these nodes ever be taken down, and is there room right now?
//!
//! Here is only what can be known before the rollout. The decision that counts is the engine's,
//! from a live reading right before each drain; a reading at planning time is old when the plan
//! runs, so it warns and never refuses.

use crate::input::Input;
use crate::order::Roster;
use crate::refusal::{Refusal, Refusals};
use crate::warning::Warning;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use zdu_model::fleet::{Fleet, Group};
use zdu_model::ids::{GroupName, InstanceName, NodeName};
use zdu_model::plan::Wave;
use zdu_model::procedure::{Over, Step};
use zdu_model::report::{InstanceReading, MemberState};

/// How many nodes of a group can serve: those that stand in a balancer, for the others are in no
/// reading and nobody can count them.
pub(crate) fn size(group: &Group) -> u32 {
    let serving = group.nodes.iter().filter(|node| !node.members.is_empty()).count();
    u32::try_from(serving).unwrap_or(u32::MAX)
}

/// Refuses what no moment of the rollout could ever allow.
pub(crate) fn check(input: &Input, roster: &Roster<'_>, refusals: &mut Refusals) {
    let groups = input.fleet.groups.iter();
    let sizes: BTreeMap<&GroupName, u32> = groups.map(|group| (&group.name, size(group))).collect();
    for stage in input.procedure.stages.iter().filter(|stage| stage.over == Over::Rolling) {
        let disruptive = |step: &&Step| step.disruptive || step.undo.iter().any(|u| u.disruptive);
        let first = stage.steps.iter().find(disruptive);
        for index in roster.of_stage(stage) {
            let Some(place) = roster.places.get(index) else {
                continue;
            };
            let (group, min_available) = (place.group.name.clone(), place.group.min_available);
            let size = sizes.get(&place.group.name).copied().unwrap_or(0);
            if place.node.members.is_empty() {
                // Refused, not reported: a minimum says that the group is missed, and a node that
                // stands in no reading can be neither counted nor drained, so no guard could ever
                // hold the minimum. Zero is the operator's word that the interruption is accepted;
                // then it is a warning.
                if let Some(step) = first.filter(|_| min_available > 0) {
                    let (nodes, step) = (vec![place.node.name.clone()], step.id.clone());
                    refusals.push(Refusal::NobodyDrains { nodes, group, min_available, step });
                }
            } else if size.saturating_sub(1) < min_available {
                let stage = stage.name.clone();
                refusals.push(Refusal::CapacityNeverMet { group, size, min_available, stage });
            }
        }
    }
}

/// How many nodes of each group a wave drains, and how many of them may be out.
pub(crate) struct Width<'a> {
    pub(crate) group: &'a Group,
    pub(crate) nodes: Vec<NodeName>,
    /// The most of them that could be under way at once.
    pub(crate) wide: u32,
    /// The most that may be out.
    pub(crate) room: u32,
}

/// Compares a wave with the room of the groups it touches. Wider is allowed: guards of one group
/// never overlap, so lanes wait for each other; the operator is told that the wave is slower than
/// it looks.
pub(crate) fn widths<'a>(
    fleet: &'a Fleet,
    drained: &BTreeMap<&NodeName, &'a GroupName>,
    wave: &Wave,
) -> Vec<Width<'a>> {
    let mut out: BTreeMap<&GroupName, Vec<NodeName>> = BTreeMap::new();
    for node in wave.lanes.iter().filter_map(|lane| lane.subject.node()) {
        if let Some(group) = drained.get(node) {
            out.entry(group).or_default().push(node.clone());
        }
    }
    let groups = fleet.groups.iter();
    groups
        .filter_map(|group| {
            let nodes = out.remove(&group.name)?;
            let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
            let room = size(group).saturating_sub(group.min_available);
            Some(Width { group, nodes, wide: count.min(wave.parallel), room })
        })
        .collect()
}

/// What the readings of preflight say about room.
pub(crate) fn live(input: &Input) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for reading in &input.observed.readings {
        if let Some(why) = &reading.error {
            let (instance, why) = (reading.instance.clone(), why.clone());
            warnings.push(Warning::Unread { instance, why });
            continue;
        }
        let serving = serving_by_group(input, reading);
        for group in &input.fleet.groups {
            let (name, min_available) = (&group.name, group.min_available);
            let Some(serving) = serving.get(name) else {
                continue;
            };
            if serving.saturating_sub(1) < min_available {
                let (group, instance): (GroupName, InstanceName) =
                    (name.clone(), reading.instance.clone());
                let serving = *serving;
                warnings.push(Warning::NoRoomNow { group, instance, serving, min_available });
            }
        }
    }
    warnings
}

/// How many nodes of each group serve with every member an instance shows of them.
fn serving_by_group<'a>(
    input: &'a Input,
    reading: &InstanceReading,
) -> BTreeMap<&'a GroupName, u32> {
    let mut seen: BTreeSet<&NodeName> = BTreeSet::new();
    let mut out: BTreeSet<&NodeName> = BTreeSet::new();
    for member in &reading.members {
        seen.insert(&member.node);
        if member.state != MemberState::Serving {
            out.insert(&member.node);
        }
    }
    let mut groups = BTreeMap::new();
    for group in &input.fleet.groups {
        let read = group.nodes.iter().filter(|node| seen.contains(&node.name));
        let names: Vec<&NodeName> = read.map(|node| &node.name).collect();
        if !names.is_empty() {
            let serving = names.iter().filter(|name| !out.contains(**name)).count();
            groups.insert(&group.name, u32::try_from(serving).unwrap_or(u32::MAX));
        }
    }
    groups
}
