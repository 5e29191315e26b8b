//! Stages: ways of going over the fleet, and what belongs to which of them.

use crate::decode::At;
use crate::diagnostic::Place;
use crate::procedure::{Converter, Standing};
use crate::raw_procedure as raw;
use crate::values::name;
use zdu_model::ids::{RoleName, StageName};
use zdu_model::procedure::{GoesBack, Over, Stage};

impl Converter<'_> {
    pub(super) fn stage(&mut self, raw: &raw::Stage) -> Option<Stage> {
        let mut roles = |all: &[At<String>]| -> Vec<RoleName> {
            all.iter().filter_map(|at| self.role(at)).collect()
        };
        let (only, first, last) = (roles(&raw.only), roles(&raw.first), roles(&raw.last));
        match raw.over {
            raw::Over::Rolling => self.columns(raw),
            raw::Over::Once => self.nothing_of_a_drain(raw, "once"),
            raw::Over::Nodes => self.nothing_of_a_drain(raw, "nodes"),
        }
        let with_rollout = raw.goes_back == raw::GoesBack::WithRollout;
        if with_rollout && raw.over != raw::Over::Nodes {
            let message = "only a stage over `nodes` can go back with the rollout alone";
            let hint = "what a `rolling` stage changes on a node goes back with it; what is done \
                        `once` is of none";
            self.scan.findings.error_hint(raw.name.place, message, hint);
        }
        let standing = Standing { over: raw.over, undo_of: None };
        let stage = Stage {
            name: name(&raw.name, |t| StageName::new(t), self.scan.findings)?,
            over: match raw.over {
                raw::Over::Once => Over::Once,
                raw::Over::Nodes => Over::Nodes,
                raw::Over::Rolling => Over::Rolling,
            },
            only,
            first,
            last,
            parallel: raw.parallel,
            goes_back: match raw.goes_back {
                raw::GoesBack::WithNode => GoesBack::WithNode,
                raw::GoesBack::WithRollout => GoesBack::WithRollout,
            },
            drain_phase: self.phase(raw.drain_phase.as_ref()),
            return_phase: self.phase(raw.return_phase.as_ref()),
            ready: raw.ready.iter().filter_map(|p| self.scan.probe(p)).collect(),
            ready_old: raw.ready_old.iter().filter_map(|p| self.scan.probe(p)).collect(),
            steps: raw.steps.iter().filter_map(|s| self.step(s, standing)).collect(),
        };
        Some(stage)
    }

    /// What is undone newest first cannot leave what came behind it.
    pub(super) fn kept_behind_a_roll(&mut self, all: &[raw::Stage]) {
        let behind = all.iter().skip_while(|stage| stage.over != raw::Over::Rolling);
        let kept = |stage: &&raw::Stage| {
            stage.over == raw::Over::Nodes && stage.goes_back == raw::GoesBack::WithRollout
        };
        for stage in behind.filter(kept) {
            let message = "a stage behind one that rolls cannot go back with the rollout alone";
            let hint = "a node is put back newest first, so nothing done after it rolled can stay: \
                        leave out `goes_back`, or have the stage before every `rolling` one";
            self.scan.findings.error_hint(stage.name.place, message, hint);
        }
    }

    fn columns(&mut self, raw: &raw::Stage) {
        if raw.drain_phase.is_none() || raw.return_phase.is_none() {
            let message = "a rolling stage needs `drain_phase` and `return_phase`";
            let hint = "they name the columns in which drain and return to traffic are shown";
            self.scan.findings.error_hint(raw.name.place, message, hint);
        }
    }

    /// Where no node is drained, what is said of a drain or of a return would silently be nothing.
    fn nothing_of_a_drain(&mut self, raw: &raw::Stage, over: &str) {
        let probe = |probes: &[At<raw::Probe>]| probes.first().map(|at| at.place);
        let given: [(&str, Option<Place>); 4] = [
            ("drain_phase", raw.drain_phase.as_ref().map(|at| at.place)),
            ("return_phase", raw.return_phase.as_ref().map(|at| at.place)),
            ("ready", probe(&raw.ready)),
            ("ready_old", probe(&raw.ready_old)),
        ];
        let message =
            |key: &str| format!("`{key}` is of a rolling stage, and this one is `{over}`");
        let hint = "only a rolling stage drains nodes: set `over: rolling` for its stage";
        self.scan.findings.misplaced(&given, message, hint);
    }
}
