//! Which captured values are there when a step needs them.
//!
//! A value belongs to the subject whose step captured it. A step sees the values of its own
//! subject, those of the fleet from earlier stages, and those of another node from earlier stages
//! when that node alone makes them: then there is one value and no doubt which.

use crate::refusal::CaptureFault;
use alloc::collections::{BTreeMap, BTreeSet};
use zdu_model::ids::CaptureName;
use zdu_model::plan::Subject;
use zdu_model::procedure::Procedure;

/// What was captured so far, in the order of the plan.
pub(crate) struct Captures {
    /// Values some step of the procedure makes.
    ever: BTreeSet<CaptureName>,
    /// Values that are secret.
    pub(crate) secret: BTreeSet<CaptureName>,
    /// By value: who made it, first in which stage.
    made: BTreeMap<CaptureName, BTreeMap<Subject, usize>>,
}

impl Captures {
    pub(crate) fn of(procedure: &Procedure) -> Self {
        let all = || {
            procedure.stages.iter().flat_map(|stage| &stage.steps).flat_map(|step| &step.capture)
        };
        Self {
            ever: all().map(|capture| capture.name.clone()).collect(),
            secret: all().filter(|c| c.secret).map(|capture| capture.name.clone()).collect(),
            made: BTreeMap::new(),
        }
    }

    pub(crate) fn make(&mut self, name: &CaptureName, subject: &Subject, stage: usize) {
        let by = self.made.entry(name.clone()).or_default();
        by.entry(subject.clone()).or_insert(stage);
    }

    /// What is wrong with using the value here; nothing when it is there.
    pub(crate) fn fault(
        &self,
        name: &CaptureName,
        subject: &Subject,
        stage: usize,
    ) -> Option<CaptureFault> {
        if !self.ever.contains(name) {
            return Some(CaptureFault::Never);
        }
        let Some(by) = self.made.get(name) else {
            return Some(CaptureFault::Before);
        };
        if by.contains_key(subject) || by.get(&Subject::Fleet).is_some_and(|at| *at < stage) {
            return None;
        }
        match by.values().filter(|at| **at < stage).count() {
            0 => Some(CaptureFault::Before),
            1 => None,
            _ => Some(CaptureFault::Several),
        }
    }
}
