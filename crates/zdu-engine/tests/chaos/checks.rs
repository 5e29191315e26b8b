//! What a random rollout is checked for at its end and at a compensation, and how it is shown.

use crate::{Event, Sim, StepNo, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::event::Request;
use zdu_model::ids::NodeName;
use zdu_model::policy::FailureAction;

impl Sim {
    pub(crate) fn check_unwind(&mut self, steps: &[StepNo]) {
        let mut last: BTreeMap<NodeName, u64> = BTreeMap::new();
        for step in steps {
            let source = self.source[step];
            let Some(on) = self.plan.step(source).subject.node().cloned() else { continue };
            let Some(seq) = self.begun_seq.get(&source).copied() else {
                self.violate("8 compensates what never began", self.name(*step));
                continue;
            };
            if last.get(&on).is_some_and(|l| seq > *l) {
                self.violate("8 order of compensation", self.name(*step));
            }
            last.insert(on, seq);
        }
    }

    pub(crate) fn check_end(&mut self, verdict: &Verdict) {
        let out: Vec<String> = self.rollout.nodes_out().iter().map(ToString::to_string).collect();
        let really: BTreeSet<String> =
            self.drained.iter().filter(|(_, d)| **d).map(|((n, _), _)| n.to_string()).collect();
        let kind = match verdict {
            Verdict::Succeeded => "succeeded",
            Verdict::RolledBack => "rolled_back",
            Verdict::Aborted => "aborted",
            Verdict::Failed { .. } => "failed",
            Verdict::Stuck { nodes } => {
                let named: BTreeSet<String> = nodes.iter().map(ToString::to_string).collect();
                if out.iter().any(|n| !named.contains(n)) {
                    self.violate(
                        "4 stuck, and a node that is out is not named",
                        format!("{out:?} {named:?}"),
                    );
                }
                if named.is_empty() {
                    self.violate("4 stuck with no node", String::new());
                }
                return;
            }
            Verdict::Held => return,
        };
        let stop = self
            .records
            .iter()
            .any(|r| matches!(r.event, Event::FailureDecided { action: FailureAction::Stop, .. }));
        let held = self.plan.policy.cross_point_of_no_return
            || self
                .records
                .iter()
                .any(|r| matches!(&r.event, Event::Requested { request: Request::Approve(_), .. }));
        let pnr = held
            && self
                .plan
                .steps
                .iter()
                .any(|s| s.point_of_no_return && self.begun_seq.contains_key(&s.no));
        // A `stop` rule leaves everything as it is, by its word; what is out is then in the state
        // that every view names, and nothing else may be.
        let known = really.iter().all(|node| out.contains(node));
        if stop && known {
            return;
        }
        if !out.is_empty() || !really.is_empty() {
            let why = if stop {
                " after a stop rule"
            } else if pnr {
                " behind a point of no return"
            } else {
                ""
            };
            self.violate(
                &format!("4 verdict {kind} leaves nodes out{why}"),
                format!("out {out:?} drained {really:?} {verdict:?}"),
            );
        }
    }

    pub(crate) fn trace(&self) -> String {
        let mut text = String::new();
        for group in &self.plan.fleet.groups {
            let names: Vec<&str> = group.nodes.iter().map(|n| n.name.as_str()).collect();
            text += &format!(
                "  {} {names:?} min {} parallel {}\n",
                group.name,
                group.min_available,
                self.plan.stages.last().expect("one").waves[0].parallel
            );
        }
        for record in &self.records {
            let step = match &record.event {
                Event::StepStarted { step, .. }
                | Event::StepEnded { step, .. }
                | Event::StepScheduled { step, .. }
                | Event::FailureDecided { step, .. }
                | Event::StepUnknown { step, .. }
                | Event::NodeStuck { step, .. } => self.name(*step),
                _ => String::new(),
            };
            let mut event = format!("{:?}", record.event);
            if let Event::StepEnded { class, report, .. } = &record.event {
                event = format!("StepEnded {class:?} {:?}", report.end);
            }
            event.truncate(150);
            text += &format!("  {} {} {step} {event}\n", record.seq.0, record.at.0);
        }
        text
    }
}
