//! What a random rollout is checked for at its end and at a compensation, and how it is shown.

use crate::{Event, Record, Sim, StepNo, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use zdu_engine::StepStatus;
use zdu_model::event::Request;
use zdu_model::ids::NodeName;
use zdu_model::plan::{Lane, Wave, Work};
use zdu_model::policy::FailureAction;

impl Sim {
    /// A step begins: is it one that may?
    pub(crate) fn check_begin(&mut self, step: StepNo) {
        let plan = self.plan.clone();
        let asked = |r: &Record| match &r.event {
            Event::Requested { request, .. } => *request == Request::Approve(step),
            _ => false,
        };
        let point = plan.step(step).point_of_no_return && !plan.policy.cross_point_of_no_return;
        if point && !self.begun_seq.contains_key(&step) && !self.records.iter().any(asked) {
            self.violate("8 a point of no return is crossed without a person", self.name(step));
        }
        let first = |lane: &Lane| lane.steps.first() == Some(&step);
        let waves: Vec<&Wave> = plan.stages.iter().flat_map(|s| &s.waves).collect();
        let at = waves.iter().position(|w| w.lanes.iter().any(first));
        let lane = at.is_some();
        // What was begun and failed in a later wave is tried again before an earlier one begins.
        let anew = self.begun_seq.contains_key(&step);
        let out =
            plan.step(step).subject.node().is_some_and(|n| self.rollout.nodes_out().contains(n));
        let guards = !out && matches!(plan.step(step).work, Work::Guard { .. });
        let at = at.filter(|_| guards || !anew);
        for gate in waves[..at.unwrap_or(0)].iter().flat_map(|w| &w.gate) {
            let (status, _) = self.rollout.step_status(*gate);
            if !matches!(status, StepStatus::Ended(class) if class.passes()) {
                self.violate("a wave begins before the gate of an earlier one", self.name(*gate));
            }
        }
        if lane && self.held.as_ref().is_some_and(|begun| !begun.contains(&step)) {
            self.violate("a lane begins though a person said hold", self.name(step));
        }
    }

    /// What a person said, for later.
    pub(crate) fn heed(&mut self, request: &Request) {
        match request {
            Request::Hold => self.held = Some(self.begun_seq.keys().copied().collect()),
            Request::Resume | Request::Abort | Request::Rollback => self.held = None,
            Request::Approve(_) => {}
        }
    }

    /// The order of compensation; an unreversible point is not crossed back.
    pub(crate) fn check_unwind(&mut self, steps: &[StepNo]) {
        let mut last: BTreeMap<NodeName, u64> = BTreeMap::new();
        for step in steps {
            let source = self.source[step];
            if self.is_crossed(source) {
                self.violate("8 undone behind a point of no return", self.name(*step));
            }
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

    /// Whether a point of no return was begun in a later wave, or behind the step in its lane.
    fn is_crossed(&self, source: StepNo) -> bool {
        let waves: Vec<_> = self.plan.stages.iter().flat_map(|s| &s.waves).collect();
        let point =
            |no: &StepNo| self.plan.step(*no).point_of_no_return && self.begun_seq.contains_key(no);
        let wave_of =
            |no: StepNo| waves.iter().position(|w| w.lanes.iter().any(|l| l.steps.contains(&no)));
        let Some(mine) = wave_of(source) else { return false };
        let later = waves[mine + 1..]
            .iter()
            .any(|w| w.gate.iter().any(point) || w.lanes.iter().any(|l| l.steps.iter().any(point)));
        let lane = waves[mine].lanes.iter().find(|l| l.steps.contains(&source)).expect("there");
        let from = lane.steps.iter().position(|no| *no == source).expect("there");
        later || waves[mine].gate.iter().any(point) || lane.steps[from..].iter().any(point)
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
                let fleet = |r: &Record| matches!(r.event, Event::NodeStuck { node: None, .. });
                if named.is_empty() && !self.records.iter().any(fleet) {
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
