//! Law 7: only the holder of the lease acts, nodes refuse an epoch older than the newest they have
//! seen, and a controller that was refused does nothing further.

use super::Checker;
use crate::seen::{Scene, Seen};
use std::collections::BTreeMap;
use zdu_model::ids::{Epoch, StepNo};
use zdu_model::plan::Work;
use zdu_model::time::{Millis, Timestamp};

/// A balancer knows no epochs, so nobody takes the lease while another may act. What that one sent
/// in the last moment may still be on its way.
const ON_ITS_WAY: Millis = Millis(1_000);

/// Watches epochs.
#[derive(Default)]
pub(super) struct Fencing {
    /// The newest epoch that was started.
    newest: Epoch,
    /// Since when.
    since: Timestamp,
    /// The epoch of each process, and whether it is gone.
    processes: BTreeMap<usize, (Epoch, bool)>,
    /// The epoch of the newest durable record.
    written: Epoch,
}

impl Checker for Fencing {
    fn name(&self) -> &'static str {
        "fencing"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Started { process, epoch } => {
                self.processes.insert(*process, (*epoch, false));
                let newer = *epoch > self.newest;
                self.since = scene.now;
                self.newest = self.newest.max(*epoch);
                (!newer).then(|| format!("epoch {} is given out again", epoch.0))
            }
            Seen::Gone { process, .. } => {
                if let Some((_, gone)) = self.processes.get_mut(process) {
                    *gone = true;
                }
                None
            }
            Seen::Durable(records) => records.iter().find_map(|record| {
                let older = record.epoch < self.written;
                self.written = self.written.max(record.epoch);
                let (seq, epoch) = (record.seq.0, record.epoch.0);
                older
                    .then(|| format!("record {seq} is of epoch {epoch}, behind {}", self.written.0))
            }),
            Seen::Released { process, effect } => {
                let (epoch, gone) = self.processes.get(process).copied()?;
                let old = gone || epoch < self.newest;
                old.then(|| format!("{effect:?} is released by epoch {}", epoch.0))
            }
            Seen::Began { step, epoch, .. } => self.began(scene, *step, *epoch),
            Seen::Landed { hand, epoch, .. } => {
                let late = *epoch < self.newest && scene.now > self.since.after(ON_ITS_WAY);
                (late || self.is_gone(*epoch))
                    .then(|| format!("{hand:?} lands by the hand of epoch {}", epoch.0))
            }
            Seen::Read { .. }
            | Seen::Ended { .. }
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_)
            | Seen::Traffic
            | Seen::Over => None,
        }
    }
}

impl Fencing {
    fn began(&self, scene: &Scene<'_>, step: StepNo, epoch: Epoch) -> Option<String> {
        let work = &scene.layout.plan.step(step).work;
        // A person's own hand belongs to no controller.
        if matches!(work, Work::Manual { .. }) {
            return None;
        }
        let target = scene.layout.step(step).target;
        let node = scene.layout.name(target);
        if self.is_gone(epoch) {
            return Some(format!("step {step} begins on {node} by a controller that is gone"));
        }
        // What is done through the node's shell is told to it with its epoch; a request is not.
        let told = matches!(work, Work::Run(_) | Work::Upload { .. } | Work::Backup { .. });
        let seen = scene.world.nodes[target].seen_epoch;
        let late = epoch < self.newest && scene.now > self.since.after(ON_ITS_WAY);
        let refused = told && seen > epoch.0;
        (refused || late).then(|| {
            format!("step {step} begins on {node} with epoch {}, which has seen {seen}", epoch.0)
        })
    }

    fn is_gone(&self, epoch: Epoch) -> bool {
        self.processes.values().any(|(known, gone)| *known == epoch && *gone)
    }
}
