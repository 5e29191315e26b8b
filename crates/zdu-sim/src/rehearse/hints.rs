//! What to change in plan, procedure or policy for what a rehearsal found: each hint follows from
//! something that was played or that stands in the plan, and says what to write.

use super::Trouble;
use super::forecast::Known;
use super::found::{Ending, Hint, Mark, Mishap, Played, Point, Rehearsal, Unmade};
use super::stuck;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::fleet::Group;
use zdu_model::ids::StepKey;
use zdu_model::plan::{Plan, PlannedStage, PlannedStep, Unknown, Work};
use zdu_model::policy::FailureAction;
use zdu_model::procedure::Over;

/// Forward steps that change something and have no undo, once each.
pub(super) fn no_undo(plan: &Plan) -> Vec<Unmade> {
    let mut all: Vec<Unmade> = Vec::new();
    for step in forward(plan).filter(|step| changes(&step.work) && step.undo.is_empty()) {
        match all.iter_mut().find(|known| known.key == step.key) {
            Some(known) => known.count += 1,
            None => {
                all.push(Unmade { key: step.key.clone(), count: 1, disruptive: step.needs_drain })
            }
        }
    }
    all
}

/// The points of no return, in order.
pub(super) fn points(plan: &Plan) -> Vec<Point> {
    let points = forward(plan).filter(|step| step.point_of_no_return);
    let told = points.map(|step| Point {
        step: step.no,
        key: step.key.clone(),
        node: step.subject.node().cloned(),
        asks: !plan.policy.cross_point_of_no_return,
    });
    told.collect()
}

fn forward(plan: &Plan) -> impl Iterator<Item = &PlannedStep> {
    plan.stages.iter().flat_map(super::choose::forward).map(|no| plan.step(no))
}

pub(super) fn changes(work: &Work) -> bool {
    matches!(
        work,
        Work::Run(_)
            | Work::Http(_)
            | Work::Upload { .. }
            | Work::Backup { .. }
            | Work::Manual { .. }
    )
}

/// What to change, and where.
pub(super) struct Hints {
    /// Those that mend what counts for the exit code first, and of these the gravest.
    pub(super) all: Vec<Hint>,
    /// Whether one of them asks for a change of the procedure.
    pub(super) of_procedure: bool,
}

/// The hints.
pub(super) fn hints(plan: &Plan, found: &Rehearsal) -> Hints {
    let mut of_procedure = false;
    let mut procedure = |said: Vec<Hint>| {
        of_procedure |= !said.is_empty();
        said
    };
    let parts = [
        stuck::stopped(plan, found).into_iter().collect(),
        procedure(undo_missing(found)),
        procedure(stuck::undo_tried_once(plan, found)),
        sessions(plan, found),
        advice(stuck::others(plan, found)),
        advice(stuck::sick(plan, found)),
        procedure(advice(undo_missing_beside(found))),
        procedure(advice(unproved(plan))),
        sick_neighbour(plan, found),
        advice(nobody_serves(found)),
        procedure(advice(guesses(plan, found))),
        advice(holds(plan, found)),
        advice(stops(plan, found)),
        procedure(advice(tried_once(plan))),
        procedure(advice(unmeasured(found))),
    ];
    let mut all = parts.concat();
    all.sort_by_key(|hint| !hint.counts);
    Hints { all, of_procedure }
}

/// What to change for something that does not count for the exit code.
fn advice(said: Vec<String>) -> Vec<Hint> {
    said.into_iter().map(|text| Hint { counts: false, text }).collect()
}

/// What to change for something that counts.
pub(super) fn counting(text: String) -> Hint {
    Hint { counts: true, text }
}

/// Steps that disturb their node and have no undo: what one of them leaves half done stays so.
fn undo_missing(found: &Rehearsal) -> Vec<Hint> {
    let disturbing = without_undo(found).filter(|step| step.disruptive);
    let said = disturbing.map(|Unmade { key, .. }| Hint {
        counts: stuck::led(found).any(|(mishap, _)| mishap.key == *key),
        text: format!(
            "{key} disturbs its node and has no undo: when it or a later step fails, the node \
             cannot go back; give it an `undo`"
        ),
    });
    said.collect()
}

/// Steps that disturb nobody and have no undo.
fn undo_missing_beside(found: &Rehearsal) -> Vec<String> {
    let keys = without_undo(found).filter(|step| !step.disruptive).map(|step| &step.key);
    let keys: Vec<&StepKey> = keys.collect();
    let (has, it, its) = match keys.as_slice() {
        [] => return Vec::new(),
        [_] => ("has", "it", "its"),
        [_, _, ..] => ("have", "each", "their"),
    };
    vec![format!(
        "{} {has} no undo: what is changed there stays when {its} node is put back; give {it} an \
         `undo` where that must not stay",
        joined(&keys)
    )]
}

/// Steps that change something and have no undo, but for points of no return: there somebody said
/// so.
pub(super) fn without_undo(found: &Rehearsal) -> impl Iterator<Item = &Unmade> {
    let is_point = |step: &&Unmade| found.points.iter().any(|point| point.key == step.key);
    found.no_undo.iter().filter(move |step| !is_point(step))
}

/// Rolling stages in which nothing is asked before a node goes back into traffic.
fn unproved(plan: &Plan) -> Vec<String> {
    let rolling = plan.stages.iter().filter(|stage| stage.over == Over::Rolling);
    let said = rolling.filter(|stage| asks_nothing(plan, stage)).map(|stage| {
        format!(
            "stage {} has no `ready`: nothing proves that a node runs the new release before it \
             goes back into traffic; give the stage a probe that only the new release passes",
            stage.name
        )
    });
    said.collect()
}

fn asks_nothing(plan: &Plan, stage: &PlannedStage) -> bool {
    let mut steps = super::choose::forward(stage).into_iter().map(|no| plan.step(no));
    steps.any(|step| matches!(&step.work, Work::Ready(probes) if probes.is_empty()))
}

/// A budget that leaves no room when one node is sick.
fn sick_neighbour(plan: &Plan, found: &Rehearsal) -> Vec<Hint> {
    let mut all: Vec<Hint> = Vec::new();
    for Played { mishaps, ending } in found.failures.iter().chain(&found.pairs) {
        let mishap = mishaps.last().filter(|_| ending.mark() != Mark::Done);
        let group = mishap.and_then(|mishap| without_room(plan, mishap));
        let Some((group, with_members)) = group else { continue };
        let text = format!(
            "group {}: min_available is {} of {with_members}: with one node sick no other may go \
             out, so the rollout waits for capacity_deadline ({}) and fails; repair sick nodes \
             first (`zdu preflight`), add a node, or lower min_available",
            group.name, group.min_available, plan.policy.capacity_deadline
        );
        let counts = ending.is_stuck();
        match all.iter_mut().find(|known| known.text == text) {
            Some(known) => known.counts |= counts,
            None => all.push(Hint { counts, text }),
        }
    }
    all
}

/// The group in which, with this node sick, no other may go out, and how many of it stand in a
/// balancer. One out and one sick must leave enough; where they do it failed for another reason.
pub(super) fn without_room<'p>(plan: &'p Plan, mishap: &Mishap) -> Option<(&'p Group, usize)> {
    let Work::Guard { group } = &plan.step(mishap.step).work else { return None };
    let group = plan.fleet.groups.iter().find(|known| known.name == *group)?;
    let with_members = group.nodes.iter().filter(|node| !node.members.is_empty()).count();
    let least = usize::try_from(group.min_available).unwrap_or(usize::MAX);
    let has_room = with_members >= least.saturating_add(2);
    (mishap.trouble == Trouble::Sick && !has_room).then_some((group, with_members))
}

/// A group that is out as a whole. Only where it has one node does another help; of more than one
/// `min_available` keeps one in.
fn nobody_serves(found: &Rehearsal) -> Vec<String> {
    let empty = found.rooms.iter().filter(|room| room.nodes > 0 && room.least_serving == 0);
    let said = empty.map(|room| {
        let remedy = match room.nodes {
            1 => "a second node would serve meanwhile",
            _ => "`min_available: 1` would keep one node serving",
        };
        format!(
            "group {}: nobody serves for a while, since min_available is {} of {}: its users see \
             an outage; {remedy}",
            room.group, room.min_available, room.nodes
        )
    });
    said.collect()
}

/// Steps whose unknown outcome waits for a person.
fn guesses(plan: &Plan, found: &Rehearsal) -> Vec<String> {
    let mut guesses: BTreeMap<&StepKey, Vec<Trouble>> = BTreeMap::new();
    for mishap in held(found) {
        let unsure = matches!(plan.step(mishap.step).unknown, Unknown::Hold);
        let lost = matches!(mishap.trouble, Trouble::Lost | Trouble::Reboot | Trouble::Cut);
        if unsure && lost {
            let troubles = guesses.entry(&mishap.key).or_default();
            if !troubles.contains(&mishap.trouble) {
                troubles.push(mishap.trouble);
            }
        }
    }
    let said = guesses.into_iter().map(|(key, troubles)| {
        let words: Vec<&str> = troubles.iter().map(|trouble| trouble.word()).collect();
        format!(
            "{key} says `unknown: hold`, so {} of it waits for a person: an `observe` probe would \
             decide, or `rerun` where it may be repeated",
            words.join(", ")
        )
    });
    said.collect()
}

/// Failures that end with a person being waited for.
fn holds(plan: &Plan, found: &Rehearsal) -> Vec<String> {
    let count = held(found).count();
    if count == 0 {
        return Vec::new();
    }
    vec![format!(
        "{count} failures wait for a person; when nobody comes within hold_deadline ({}) zdu \
         leaves with exit code 10, and a node that is out stays out: have somebody at hand",
        plan.policy.hold_deadline
    )]
}

/// Failures after which a rule leaves everything as it is, nodes out of traffic or half changed
/// among it.
fn stops(plan: &Plan, found: &Rehearsal) -> Vec<String> {
    if !plan.rules.iter().any(|rule| rule.action == FailureAction::Stop) {
        return Vec::new();
    }
    let left = found.failures.iter().filter(|one| {
        let Ending { rest, undid, .. } = &one.ending;
        let lies = !rest.out.is_empty() || !rest.between.is_empty();
        matches!(one.ending.mark(), Mark::Failed(_)) && lies && undid.is_empty()
    });
    let by: BTreeSet<String> =
        left.filter_map(|one| one.mishaps.first()).map(Mishap::at_step).collect();
    if by.is_empty() {
        return Vec::new();
    }
    let by: Vec<String> = by.into_iter().collect();
    vec![format!(
        "`do: stop` puts nothing back: a node stays out of traffic or half changed behind {}; let \
         the rule say `rollback_node`, or have somebody at hand for `zdu resume ID` or \
         `zdu rollback ID`",
        by.join(", ")
    )]
}

fn held(found: &Rehearsal) -> impl Iterator<Item = &Mishap> {
    let held = found.failures.iter().filter(|played| played.ending.mark() == Mark::Held);
    held.filter_map(|played| played.mishaps.first())
}

/// Steps that may be repeated and are tried once.
fn tried_once(plan: &Plan) -> Vec<String> {
    let mut keys: Vec<&StepKey> = Vec::new();
    for step in forward(plan) {
        let repeats = matches!(step.unknown, Unknown::Rerun) && matches!(step.work, Work::Run(_));
        if repeats && step.attempts == 1 && !keys.contains(&&step.key) {
            keys.push(&step.key);
        }
    }
    if keys.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "what may be repeated (`unknown: rerun`) and is tried once is put back by one passing \
         failure: `attempts: 2` at {}",
        joined(&keys)
    )]
}

/// Sessions that were cut by the policy.
fn sessions(plan: &Plan, found: &Rehearsal) -> Vec<Hint> {
    let cut: Vec<u64> = found.failures.iter().map(|played| played.ending.cut).collect();
    let worst = cut.iter().copied().max().filter(|worst| *worst > 0);
    let said = worst.map(|worst| {
        counting(format!(
            "sessions that do not end are cut at drain_deadline ({}), up to {worst} in one \
             rollout: `on_drain_deadline: fail` loses none",
            plan.policy.drain_deadline
        ))
    });
    said.into_iter().collect()
}

/// Steps of the procedure whose time nobody knows.
fn unmeasured(found: &Rehearsal) -> Vec<String> {
    const OURS: [&str; 4] = ["certify", "ready", "serving", "front"];
    let steps = found.forecast.steps.iter();
    let unknown =
        steps.filter(|step| step.known == Known::No && !OURS.contains(&step.key.as_str()));
    let keys: Vec<&StepKey> = unknown.map(|step| &step.key).collect();
    if keys.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "how long some steps take is not known: write `takes:` at {}, or let a rollout measure it",
        joined(&keys)
    )]
}

pub(super) fn joined(keys: &[&StepKey]) -> String {
    let names: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
#[path = "hints_tests.rs"]
mod tests;
