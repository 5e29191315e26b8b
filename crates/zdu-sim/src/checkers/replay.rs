//! Law 9: replaying the journal gives the live state.

use super::Checker;
use crate::seen::{Scene, Seen};
use std::sync::Arc;
use zdu_conductor::Rollout;
use zdu_conductor::chain::scan;

/// Comparing the whole state costs as much as the plan is large; every so many rests is enough to
/// name the record, because the end is always compared. A plan of more steps than this many times
/// as many is compared the more rarely the larger it is, so that a rest costs the same in all.
const EVERY: u64 = 16;

/// How many steps one rest may compare.
const STEPS: u64 = 256;

/// Keeps a second state that has only ever seen the journal.
#[derive(Default)]
pub(super) struct Replay {
    replica: Option<Rollout>,
    rests: u64,
}

impl Checker for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Durable(records) => {
                let plan = Arc::clone(&scene.layout.plan);
                let replica = self.replica.get_or_insert_with(|| Rollout::new(plan));
                let refused = records.iter().find_map(|record| replica.evolve(record).err());
                refused.map(|illegal| illegal.to_string())
            }
            Seen::Rests { rollout, .. } => {
                self.rests += 1;
                let every = EVERY.max(scene.layout.steps.len() as u64 / STEPS);
                let due = rollout.verdict().is_some() || self.rests.is_multiple_of(every);
                let differs = due && self.replica.as_ref() != Some(*rollout);
                differs.then(|| "the replayed journal is not the live state".to_owned())
            }
            Seen::Over => match scan(&(scene.bytes)()) {
                Ok(scan) if scan.records == scene.journal => None,
                Ok(_) => Some("the file holds other records than were confirmed".into()),
                Err(error) => Some(format!("the journal cannot be read: {error}")),
            },
            Seen::Started { .. }
            | Seen::Gone { .. }
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Began { .. }
            | Seen::Ended { .. }
            | Seen::Landed { .. }
            | Seen::Traffic
            | Seen::Trouble(_)
            | Seen::Asked { .. }
            | Seen::Verdict(_) => None,
        }
    }
}
