//! Law 13: every wait has a deadline and a reason that every view shows; a rollout is never in
//! progress without saying on what it waits.

use super::Checker;
use crate::seen::{Scene, Seen};
use zdu_view::waiting::Waiting;

/// Listing what is waited on costs as much as the plan is large; every so many rests is enough,
/// because a wait that says nothing is longer than one rest.
const EVERY: u64 = 16;

/// Watches controllers as they rest.
#[derive(Default)]
pub(super) struct Waits {
    rests: u64,
}

impl Checker for Waits {
    fn name(&self) -> &'static str {
        "waits"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        let Seen::Rests { rollout, moves } = seen else { return None };
        if rollout.verdict().is_some() {
            return None;
        }
        if !moves {
            return Some("nothing will ever move the rollout again".into());
        }
        self.rests += 1;
        if !self.rests.is_multiple_of(EVERY) {
            return None;
        }
        let waiting = scene.view.waiting();
        if waiting.is_empty() {
            return Some("the view does not say on what the rollout waits".into());
        }
        waiting.iter().find_map(|wait| wrong_with(scene, wait))
    }
}

fn wrong_with(scene: &Scene<'_>, wait: &Waiting) -> Option<String> {
    let Waiting { subject: _, step, on, since: _, until, command } = wait;
    if on.trim().is_empty() {
        return Some(format!("a wait of step {step:?} has no reason"));
    }
    // A controller that rests has nothing for its next turn.
    if step.is_none() && command.is_none() {
        return Some(format!("the rollout rests and says only: {on}"));
    }
    if until.is_some() {
        return None;
    }
    // What could not be put back waits for a person as long as other nodes are under way, and
    // then the rollout ends and names it.
    let repair = scene
        .view
        .stuck_nodes()
        .any(|node| node.stuck.as_ref().is_some_and(|s| Some(s.step) == *step))
        || scene.view.history().stuck.iter().any(|stuck| Some(stuck.step) == *step);
    (!repair).then(|| format!("no deadline for the wait on {on}"))
}
