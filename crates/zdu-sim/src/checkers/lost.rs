//! No request is lost by our doing: users never reach a node that we have taken apart, or on which
//! something runs that a node must be drained for, for longer than the keeper needs to take it out
//! again.

use super::Checker;
use crate::fault::{ControllerTrouble, What};
use crate::layout::Place;
use crate::seen::{Scene, Seen};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::event::{Event, Request};
use zdu_model::ids::StepNo;
use zdu_model::plan::Work;
use zdu_model::time::{Millis, Timestamp};

/// A reload is answered within a second.
const SECOND: Millis = Millis(1_000);

/// Watches nodes between two releases, and those something is done to.
#[derive(Default)]
pub(super) struct Lost {
    /// Nodes that were ever disrupted.
    touched: BTreeSet<Place>,
    /// What runs on those on which something runs that needs them drained.
    running: BTreeMap<Place, BTreeSet<StepNo>>,
    exposed: BTreeMap<Place, Timestamp>,
    /// The newest controller, and since when it attends, if it does.
    attended: Option<(usize, Timestamp)>,
}

impl Checker for Lost {
    fn name(&self) -> &'static str {
        "lost"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        let broken = self.exposure(scene);
        match seen {
            Seen::Started { process, .. } => self.attended = Some((*process, scene.now)),
            // One that was replaced may find that out long behind the start of the next.
            Seen::Gone { process, .. } => self.attended = self.attended.filter(|a| a.0 != *process),
            Seen::Trouble(What::Controller(ControllerTrouble::Paused(span))) => {
                let until = scene.now.after(*span);
                self.attended = self.attended.map(|(process, since)| (process, since.max(until)));
            }
            Seen::Began { step, .. } => {
                let planned = scene.layout.plan.step(*step);
                if let Some(node) = scene.layout.step(*step).node.filter(|_| planned.needs_drain) {
                    self.touched.insert(node);
                    // Only commands have an end of their own on the node.
                    if matches!(planned.work, Work::Run(_)) {
                        self.running.entry(node).or_default().insert(*step);
                    }
                }
            }
            Seen::Ended { step, .. } => self.no_longer_runs(scene, *step),
            Seen::Durable(records) => {
                for record in *records {
                    // A person's word that it happened stands for its end.
                    if let Event::Requested { request: Request::Approve(step), .. } = &record.event
                    {
                        self.no_longer_runs(scene, *step);
                    }
                }
            }
            Seen::Trouble(_)
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Landed { .. }
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_)
            | Seen::Traffic
            | Seen::Over => {}
        }
        broken
    }
}

impl Lost {
    /// What users reach as things were until now.
    fn exposure(&mut self, scene: &Scene<'_>) -> Option<String> {
        // Few are taken apart at a time; of all that ever were, the others are reached rightly.
        let between = scene.world.between().filter(|node| self.touched.contains(node));
        let apart: BTreeSet<Place> = self.running.keys().copied().chain(between).collect();
        let reached: Vec<Place> =
            apart.into_iter().filter(|node| is_reached(scene, *node)).collect();
        let before = std::mem::take(&mut self.exposed);
        let since = |node: &Place| before.get(node).copied().unwrap_or(scene.now);
        self.exposed = reached.iter().map(|node| (*node, since(node))).collect();
        let (_, attended) = self.attended?;
        let late = |since: &Timestamp| scene.now > (*since).max(attended).after(SECOND);
        let (node, _) = self.exposed.iter().find(|(_, since)| late(since))?;
        Some(format!("users reach {} while it is taken apart", scene.layout.name(*node)))
    }

    fn no_longer_runs(&mut self, scene: &Scene<'_>, step: StepNo) {
        let Some(node) = scene.layout.step(step).node else { return };
        if let Some(running) = self.running.get_mut(&node) {
            running.remove(&step);
            if running.is_empty() {
                self.running.remove(&node);
            }
        }
    }
}

fn is_reached(scene: &Scene<'_>, node: Place) -> bool {
    let slots = &scene.layout.slots_of_node[node];
    slots.iter().any(|slot| {
        let instance = &scene.world.instances[scene.layout.slots[*slot].instance];
        // An instance that takes no commands cannot be told.
        scene.now >= instance.refuses_until && scene.world.in_traffic(*slot, scene.now)
    })
}
