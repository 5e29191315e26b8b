//! Laws 4 and 6: what is said never to have begun has touched nothing, so that nobody forgets to
//! undo it.

use super::Checker;
use crate::layout::Place;
use crate::seen::{Hand, Scene, Seen};
use std::collections::BTreeMap;
use zdu_model::contract::Class;
use zdu_model::event::Event;
use zdu_model::ids::StepNo;
use zdu_model::plan::Work;

/// Watches hands on entries; commands that begin are the `unknown` checker's.
#[derive(Default)]
pub(super) struct Never {
    /// The step that takes each node out or back now, and whether a hand of it has landed.
    under_way: BTreeMap<Place, (StepNo, bool)>,
}

impl Checker for Never {
    fn name(&self) -> &'static str {
        "never"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        if let Seen::Durable(records) = seen {
            return records.iter().find_map(|record| self.durable(scene, &record.event));
        }
        if let Seen::Landed { slot, hand, .. } = seen
            && let Some((step, landed)) = self.under_way.get_mut(&scene.layout.slots[*slot].node)
        {
            let drains = matches!(scene.layout.plan.step(*step).work, Work::Drain);
            *landed |= *hand == if drains { Hand::Drain } else { Hand::Undrain };
        }
        None
    }
}

impl Never {
    fn durable(&mut self, scene: &Scene<'_>, event: &Event) -> Option<String> {
        let (planned, node) = scene.on_a_node(event)?;
        if !matches!(planned.work, Work::Drain | Work::Undrain) {
            return None;
        }
        if matches!(event, Event::StepStarted { .. }) {
            self.under_way.insert(node, (planned.no, false));
            return None;
        }
        let of_it = self.under_way.get(&node) == Some(&(planned.no, true));
        let never = matches!(event, Event::StepEnded { class: Class::NotRun, .. });
        (never && of_it).then(|| {
            format!("{} on {} never began, and has landed", planned.key, scene.layout.name(node))
        })
    }
}
