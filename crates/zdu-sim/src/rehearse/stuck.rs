//! What to change where something was left stuck: by an instance that is down, by a sick node,
//! by an undo that is tried once.

use super::Trouble;
use super::found::{Ending, Hint, Mishap, Played, Rehearsal};
use super::hints::{changes, counting, joined, without_room, without_undo};
use super::play::STOPPED;
use std::collections::BTreeSet;
use zdu_model::ids::StepKey;
use zdu_model::plan::{Plan, Work};
use zdu_model::time::Millis;

/// How long before zdu gives up something has to be mended, and in which steps that is told.
const LAST_LOOK: Millis = Millis::from_secs(5);
const STEP: Millis = Millis::from_secs(10);

/// The trouble that led to a stuck end, of a pair the second; what it came to.
type Led<'f> = (&'f Mishap, &'f Ending);

/// Instances that are down for longer than a return to traffic waits for them.
pub(super) fn stopped(plan: &Plan, found: &Rehearsal) -> Option<Hint> {
    let led: Vec<Led<'_>> = led(found).filter(is_stopped).collect();
    let (by, time) = lasting(&led)?;
    let gave_up = led.iter().flat_map(|(_, ending)| &ending.stuck).map(|no| &plan.step(*no).work);
    let raise: BTreeSet<String> = gave_up
        .filter_map(|work| patience(plan, work))
        .map(|(name, waits)| {
            format!("raise {name} ({waits}) above the {STOPPED} it is down here; or ")
        })
        .collect();
    let raise: String = raise.into_iter().collect();
    Some(counting(format!(
        "a balancer instance that is down at {by} leaves the node stuck, since nobody can tell \
         what that instance sends to it; {raise}have each instance watched and started again by \
         itself: one that is back within {time} leaves no node stuck; after a longer time start \
         it, then `zdu resume ID` puts the node back"
    )))
}

/// What says how long a step waits for an instance, where more than it says now would help. Taking
/// a node out has a deadline of its own.
pub(super) fn patience(plan: &Plan, work: &Work) -> Option<(&'static str, Millis)> {
    let policy = &plan.policy;
    let (name, waits) = match work {
        Work::Certify => ("drain_deadline", policy.drain_deadline),
        Work::Guard { .. } | Work::Undrain | Work::Serving => {
            ("capacity_deadline", policy.capacity_deadline)
        }
        Work::Drain
        | Work::Ready(_)
        | Work::Soak(_)
        | Work::Run(_)
        | Work::Http(_)
        | Work::Upload { .. }
        | Work::Backup { .. }
        | Work::Wait(_)
        | Work::Manual { .. } => return None,
    };
    (waits <= STOPPED).then_some((name, waits))
}

/// Nodes that stay sick. No plan repairs them: what is said is how long somebody has for that, and
/// what to do when it was longer.
pub(super) fn sick(plan: &Plan, found: &Rehearsal) -> Vec<String> {
    let singles = found.failures.iter().filter(|played| played.ending.only_sick);
    let led: Vec<Led<'_>> = singles.filter_map(last).collect();
    let Some((by, time)) = lasting(&led) else { return Vec::new() };
    let phases: BTreeSet<&str> = led.iter().map(|(mishap, _)| mishap.phase.as_str()).collect();
    let rules: Vec<String> =
        phases.iter().map(|phase| format!("{{ phase: {phase}, do: hold }}")).collect();
    vec![format!(
        "no plan can repair a node: one that is sick at {by} and stays so is put back, is still \
         not ready and stays out of traffic, which is right; have somebody repair it within \
         {time}, or raise ready_deadline ({}) to give them longer; after that repair it, then \
         `zdu resume ID`; to have a person decide before anything is put back: \
         `policy.on_failure: [{}]`",
        plan.policy.ready_deadline,
        rules.join(", ")
    )]
}

/// Undo steps that are tried once and whose single failure left a node stuck.
pub(super) fn undo_tried_once(plan: &Plan, found: &Rehearsal) -> Vec<Hint> {
    let mut keys: Vec<&StepKey> = Vec::new();
    for (mishap, _) in led(found).filter(|led| is_tried_once(plan, led)) {
        if !keys.contains(&&mishap.key) {
            keys.push(&mishap.key);
        }
    }
    if keys.is_empty() {
        return Vec::new();
    }
    vec![counting(format!(
        "an undo that is tried once leaves its node stuck by one failure: `attempts: 3` at {}",
        joined(&keys)
    ))]
}

/// What else leaves something stuck: nothing is known that mends it.
pub(super) fn others(plan: &Plan, found: &Rehearsal) -> Vec<String> {
    let others = led(found).filter(|led| !is_stopped(led) && !is_tried_once(plan, led));
    let others = others.filter(|(mishap, _)| {
        let no_undo = without_undo(found).any(|step| step.disruptive && step.key == mishap.key);
        !no_undo && without_room(plan, mishap).is_none()
    });
    let others: BTreeSet<String> = others.map(|(mishap, _)| mishap.at_step()).collect();
    if others.is_empty() {
        return Vec::new();
    }
    let others: Vec<String> = others.into_iter().collect();
    vec![format!(
        "{} leaves something stuck, and no change is known that mends it: have somebody at hand \
         who repairs what `next` names, then `zdu resume ID` undoes what is left; `--fault` tells \
         how it comes to that",
        others.join(", ")
    )]
}

/// Single failures and pairs that leave something stuck, for another reason than a sick node.
pub(super) fn led(found: &Rehearsal) -> impl Iterator<Item = Led<'_>> {
    let all = found.failures.iter().chain(&found.pairs);
    all.filter(|played| played.ending.is_stuck()).filter_map(last)
}

fn last(played: &Played) -> Option<Led<'_>> {
    Some((played.mishaps.last()?, &played.ending))
}

fn is_stopped((mishap, _): &Led<'_>) -> bool {
    mishap.trouble == Trouble::Stopped
}

fn is_tried_once(plan: &Plan, (mishap, _): &Led<'_>) -> bool {
    let step = plan.step(mishap.step);
    let ended = matches!(mishap.trouble, Trouble::Fail | Trouble::Half | Trouble::Hang);
    let again = changes(&step.work) || matches!(step.work, Work::Wait(_));
    mishap.undoes && ended && again && step.attempts == 1
}

/// The steps at which a trouble leaves something stuck, and how long it may last without: the
/// shortest time until zdu gives up, in whole steps that leave room for its last look.
pub(super) fn lasting(led: &[Led<'_>]) -> Option<(String, Millis)> {
    let (mut places, mut shortest): (Vec<String>, Option<Millis>) = (Vec::new(), None);
    for (mishap, ending) in led {
        let lasted = Millis(ending.took.0.saturating_sub(mishap.at.0));
        shortest = Some(shortest.map_or(lasted, |known| known.min(lasted)));
        let place = mishap.place();
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let room = shortest?.0.saturating_sub(LAST_LOOK.0) / STEP.0 * STEP.0;
    Some((places.join(", "), Millis(room)))
}
