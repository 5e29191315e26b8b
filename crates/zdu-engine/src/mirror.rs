//! What an undrain mirrors, read back from the journal.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use zdu_model::contract::Class;
use zdu_model::event::{Event, Record};
use zdu_model::ids::{NodeName, StepNo};
use zdu_model::plan::{Plan, Work};
use zdu_model::report::{Evidence, InstanceReading};

/// What was there of a node before a drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// What the guard read of every balancer instance.
    pub readings: Vec<InstanceReading>,
    /// Whether the node was taken out since and not returned: what is read of it now may be our own
    /// drain, whether or not anybody holds it.
    pub out: bool,
}

/// What the guards of earlier controllers saw of each node before it was taken out: a controller
/// that takes over gives it to its drivers, so that an undrain mirrors what was there and not what
/// is there now.
///
/// A guard that reads while its own node is out sees our own drain and is passed over.
#[must_use]
pub fn readings_before_drains(plan: &Plan, records: &[Record]) -> BTreeMap<NodeName, Mirror> {
    // From the begin of a drain to the end of its undrain a guard reads our own drain.
    let mut out: BTreeSet<&NodeName> = BTreeSet::new();
    // Drains that may turn out never to have begun, of nodes that were not out before.
    let mut first: BTreeSet<StepNo> = BTreeSet::new();
    let mut seen = BTreeMap::new();
    for record in records {
        if let Event::StepStarted { step, .. } = &record.event {
            let planned = plan.step(*step);
            if let (Work::Drain, Some(node)) = (&planned.work, planned.subject.node()) {
                if out.insert(node) {
                    first.insert(*step);
                } else {
                    first.remove(step);
                }
            }
        }
        let Event::StepEnded { step, class, report, .. } = &record.event else { continue };
        let planned = plan.step(*step);
        let Some(node) = planned.subject.node() else { continue };
        let never = *class == Class::NotRun && first.remove(step);
        let returned = class.passes() && matches!(planned.work, Work::Undrain);
        if never || returned {
            out.remove(node);
        }
        if !class.passes() {
            continue;
        }
        let guard = matches!(planned.work, Work::Guard { .. }) && !out.contains(node);
        if let (true, Evidence::Balancers(readings)) = (guard, &report.evidence) {
            seen.insert(node.clone(), readings.clone());
        }
    }
    let mirror = |(node, readings)| {
        let out = out.contains(&node);
        (node, Mirror { readings, out })
    };
    seen.into_iter().map(mirror).collect()
}
