//! Law 2: no step that needs a drained node runs while the node carries traffic.

use super::Checker;
use crate::fault::{BalancerTrouble, What};
use crate::layout::Place;
use crate::seen::{Scene, Seen};
use std::collections::BTreeMap;
use zdu_model::event::Event;
use zdu_model::ids::{InstanceName, StepNo};
use zdu_model::report::Evidence;
use zdu_model::time::{Millis, Timestamp};

/// A drift that is younger than this may not have been seen yet: the keeper's interval, what the
/// instance needs to answer, and the way to the engine.
const UNSEEN: Millis = Millis(400);

/// Watches steps as their work begins.
#[derive(Default)]
pub(super) struct Certificate {
    /// When something last happened to each instance.
    troubled: BTreeMap<InstanceName, Timestamp>,
    /// Sessions the last certificate of a node left in place, by the policy's word.
    left: BTreeMap<Place, u64>,
}

impl Checker for Certificate {
    fn name(&self) -> &'static str {
        "certificate"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Trouble(What::Balancer(instance, trouble)) => {
                let lasts = match trouble {
                    BalancerTrouble::Stopped(span) => *span,
                    BalancerTrouble::Reload { .. }
                    | BalancerTrouble::Refuses(_)
                    | BalancerTrouble::LosesReply
                    | BalancerTrouble::OtherHand(..) => Millis(0),
                };
                self.troubled.insert(instance.clone(), scene.now.after(lasts));
            }
            Seen::Durable(records) => {
                for record in *records {
                    if let Event::StepEnded { step, report, .. } = &record.event
                        && let Evidence::Drain(evidence) = &report.evidence
                        && let Some(node) = scene.layout.step(*step).node
                    {
                        self.left.insert(node, evidence.left);
                    }
                }
            }
            Seen::Began { step, .. } => return self.began(scene, *step),
            Seen::Trouble(_)
            | Seen::Started { .. }
            | Seen::Gone { .. }
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Ended { .. }
            | Seen::Landed { .. }
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_)
            | Seen::Traffic
            | Seen::Over => {}
        }
        None
    }
}

impl Certificate {
    fn began(&self, scene: &Scene<'_>, step: StepNo) -> Option<String> {
        let planned = scene.layout.plan.step(step);
        let node = scene.layout.step(step).node.filter(|_| planned.needs_drain)?;
        let what = format!("{} begins on {}", planned.key, scene.layout.name(node));
        let mut troubled = false;
        for slot in &scene.layout.slots_of_node[node] {
            let place = &scene.layout.slots[*slot];
            let instance = &scene.layout.instances[place.instance];
            let since = self.troubled.get(instance).copied().unwrap_or_default();
            if scene.now < since.after(UNSEEN) {
                troubled = true;
                continue;
            }
            if scene.world.in_traffic(*slot, scene.now) {
                return Some(format!("{what} while {} is in traffic on {instance}", place.member));
            }
        }
        if troubled {
            return None;
        }
        let sessions = self.visible_sessions(scene, node);
        let left = self.left.get(&node).copied().unwrap_or(0);
        (sessions > left).then(|| format!("{what} with {sessions} sessions, {left} were left"))
    }

    /// Sessions a certificate could have seen: an old worker's only through the node's sockets,
    /// which are read where the node declares its ports.
    fn visible_sessions(&self, scene: &Scene<'_>, node: Place) -> u64 {
        let sockets = !scene.layout.declared(node).service_ports.is_empty();
        let slots = scene.layout.slots_of_node[node].iter().map(|slot| &scene.world.slots[*slot]);
        let now = scene.now;
        slots.map(|slot| slot.live(now) + if sockets { slot.hidden(now) } else { 0 }).sum()
    }
}
