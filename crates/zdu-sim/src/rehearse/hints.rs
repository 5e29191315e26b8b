//! What to change in plan, procedure or policy for what a rehearsal found: each hint follows from
//! something that was played or that stands in the plan, and says what to write.

use super::Trouble;
use super::forecast::Known;
use super::found::{Ending, Mark, Mishap, Played, Point, Rehearsal, Unmade};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::ids::StepKey;
use zdu_model::plan::{Plan, PlannedStep, Unknown, Work};
use zdu_model::time::Millis;

/// How long before zdu gives up something has to be mended, and in which steps that is told.
const LAST_LOOK: Millis = Millis::from_secs(5);
const STEP: Millis = Millis::from_secs(10);

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

fn changes(work: &Work) -> bool {
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
    /// The gravest first.
    pub(super) all: Vec<String>,
    /// Whether one of them asks for a change of the procedure.
    pub(super) of_procedure: bool,
}

/// The hints.
pub(super) fn hints(plan: &Plan, found: &Rehearsal) -> Hints {
    let mut of_procedure = false;
    let mut procedure = |said: Vec<String>| {
        of_procedure |= !said.is_empty();
        said
    };
    let parts = [
        procedure(undo_missing(found)),
        stuck(plan, found),
        sick_neighbour(plan, found),
        nobody_serves(found),
        procedure(guesses(plan, found)),
        holds(plan, found),
        procedure(undo_tried_once(plan, found)),
        procedure(tried_once(plan)),
        sessions(plan, found),
        procedure(sick_unseen(found)),
        procedure(unmeasured(found)),
    ];
    Hints { all: parts.concat(), of_procedure }
}

fn undo_missing(found: &Rehearsal) -> Vec<String> {
    let without = found.no_undo.iter().filter(|step| step.disruptive);
    let without = without.filter(|step| found.points.iter().all(|point| point.key != step.key));
    let said = without.map(|Unmade { key, .. }| {
        format!(
            "{key} disturbs its node and has no undo: when a later step fails, the node cannot go \
             back; give it an `undo`"
        )
    });
    said.collect()
}

/// Single failures that leave something stuck. No plan puts a node back that is not mended, so what
/// is said is how long somebody has for that, and what to do when it was longer.
fn stuck(plan: &Plan, found: &Rehearsal) -> Vec<String> {
    let mut all = Vec::new();
    if let Some((by, time)) = stuck_by(found, Trouble::Stopped) {
        all.push(format!(
            "a balancer instance that is down at {by} leaves the node stuck, since nobody can tell \
             what that instance sends to it; have each instance watched and started again by \
             itself: one that is back within {time} leaves no node stuck; or raise \
             capacity_deadline ({}) to wait longer for it; after a longer time start it, then \
             `zdu resume ID` puts the node back",
            plan.policy.capacity_deadline
        ));
    }
    if let Some((by, time)) = stuck_by(found, Trouble::Sick) {
        let phases: BTreeSet<&str> =
            stuck_mishaps(found, Trouble::Sick).map(|(mishap, _)| mishap.phase.as_str()).collect();
        let rules: Vec<String> =
            phases.iter().map(|phase| format!("{{ phase: {phase}, do: hold }}")).collect();
        all.push(format!(
            "a node that is sick at {by} and stays so is put back and still not ready: it is \
             stuck, out of traffic; have somebody repair it within {time}, or raise \
             ready_deadline ({}) to give them longer; after that repair it, then `zdu resume ID`; \
             to have a person decide before anything is put back: `policy.on_failure: [{}]`",
            plan.policy.ready_deadline,
            rules.join(", ")
        ));
    }
    let known = [Trouble::Stopped, Trouble::Sick];
    let others = found.failures.iter().filter_map(|played| {
        let mishap = played.mishaps.first()?;
        let other = !known.contains(&mishap.trouble) && played.ending.mark() == Mark::Stuck;
        other.then(|| format!("{} {}", mishap.key, mishap.trouble.word()))
    });
    let others: BTreeSet<String> = others.collect();
    if !others.is_empty() {
        let others: Vec<String> = others.into_iter().collect();
        all.push(format!(
            "{} leaves something stuck: have somebody at hand who repairs what `next` names, then \
             `zdu resume ID` undoes what is left; `--fault` tells how it comes to that",
            others.join(", ")
        ));
    }
    all
}

/// The steps at which a trouble leaves something stuck, and how long it may last without: the
/// shortest time until zdu gives up, in whole steps that leave room for its last look.
fn stuck_by(found: &Rehearsal, trouble: Trouble) -> Option<(String, Millis)> {
    let (mut keys, mut shortest): (Vec<&StepKey>, Option<Millis>) = (Vec::new(), None);
    for (mishap, ending) in stuck_mishaps(found, trouble) {
        let lasted = Millis(ending.took.0.saturating_sub(mishap.at.0));
        shortest = Some(shortest.map_or(lasted, |known| known.min(lasted)));
        if !keys.contains(&&mishap.key) {
            keys.push(&mishap.key);
        }
    }
    let room = shortest?.0.saturating_sub(LAST_LOOK.0) / STEP.0 * STEP.0;
    Some((joined(&keys), Millis(room)))
}

fn stuck_mishaps(found: &Rehearsal, trouble: Trouble) -> impl Iterator<Item = (&Mishap, &Ending)> {
    found.failures.iter().filter_map(move |Played { mishaps, ending }| {
        let mishap = mishaps.first()?;
        (mishap.trouble == trouble && ending.mark() == Mark::Stuck).then_some((mishap, ending))
    })
}

/// A budget that leaves no room when one node is sick.
fn sick_neighbour(plan: &Plan, found: &Rehearsal) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let waits = singles(found, Trouble::Sick).filter(|(_, mark)| *mark != Mark::Done);
    for (mishap, _) in waits {
        let Work::Guard { group } = &plan.step(mishap.step).work else { continue };
        let Some(group) = plan.fleet.groups.iter().find(|known| known.name == *group) else {
            continue;
        };
        let with_members = group.nodes.iter().filter(|node| !node.members.is_empty()).count();
        // One out and one sick must leave enough; where they do it failed for another reason.
        if with_members >= usize::try_from(group.min_available).unwrap_or(usize::MAX) + 2 {
            continue;
        }
        let text = format!(
            "group {}: min_available is {} of {with_members}: with one node sick no other may go \
             out, so the rollout waits for capacity_deadline ({}) and fails; repair sick nodes \
             first (`zdu preflight`), add a node, or lower min_available",
            group.name, group.min_available, plan.policy.capacity_deadline
        );
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
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

fn held(found: &Rehearsal) -> impl Iterator<Item = &Mishap> {
    let held = found.failures.iter().filter(|played| played.ending.mark() == Mark::Held);
    held.filter_map(|played| played.mishaps.first())
}

/// Undo steps that are tried once and whose single failure left a node stuck.
fn undo_tried_once(plan: &Plan, found: &Rehearsal) -> Vec<String> {
    let mut keys: Vec<&StepKey> = Vec::new();
    for Played { mishaps, ending } in &found.pairs {
        let stuck = ending.mark() == Mark::Stuck;
        let undoing = mishaps.iter().filter(|mishap| stuck && mishap.undoes);
        for mishap in undoing {
            let step = plan.step(mishap.step);
            let ended = matches!(mishap.trouble, Trouble::Fail | Trouble::Half | Trouble::Hang);
            if ended && changes(&step.work) && step.attempts == 1 && !keys.contains(&&mishap.key) {
                keys.push(&mishap.key);
            }
        }
    }
    if keys.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "an undo that is tried once leaves its node stuck by one failure: `attempts: 3` at {}",
        joined(&keys)
    )]
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
fn sessions(plan: &Plan, found: &Rehearsal) -> Vec<String> {
    let cut: Vec<u64> = found.failures.iter().map(|played| played.ending.cut).collect();
    let worst = cut.iter().copied().max().filter(|worst| *worst > 0);
    let said = worst.map(|worst| {
        format!(
            "sessions that do not end are cut at drain_deadline ({}), up to {worst} in one \
             rollout: `on_drain_deadline: fail` loses none",
            plan.policy.drain_deadline
        )
    });
    said.into_iter().collect()
}

/// A node that fell sick right behind its return, in a rollout that ended well all the same.
fn sick_unseen(found: &Rehearsal) -> Vec<String> {
    let mut at_serving = singles(found, Trouble::Sick)
        .filter(|(mishap, mark)| *mark == Mark::Done && mishap.key.as_str() == "serving");
    let said = at_serving.next().map(|(mishap, _)| {
        format!(
            "{} falls sick right behind `serving` and the rollout ends with exit code 0: nothing \
             asks it again when no other node goes out after it; ask the fleet in a last stage",
            mishap.node.as_ref().map_or("a node", |node| node.as_str())
        )
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

fn joined(keys: &[&StepKey]) -> String {
    let names: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
    names.join(", ")
}

fn singles(found: &Rehearsal, trouble: Trouble) -> impl Iterator<Item = (&Mishap, Mark)> {
    let all = found
        .failures
        .iter()
        .filter_map(|played| Some((played.mishaps.first()?, played.ending.mark())));
    all.filter(move |(mishap, _)| mishap.trouble == trouble)
}

#[cfg(test)]
#[path = "hints_tests.rs"]
mod tests;
