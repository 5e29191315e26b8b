//! Commands under the supervisor, looked up again after a lost connection or a lost controller.

use super::{Key, Mode, Next, Phase, Task};
use crate::layout::Place;
use crate::plant::Plant;
use crate::run::Run;
use crate::world::node::{Fate, Mark};
use zdu_model::ids::Digest;
use zdu_model::plan::{PlannedStep, Unknown};
use zdu_model::report::{Captured, End, Report};
use zdu_model::time::Timestamp;

/// The value of every secret capture; a checker searches every sink for it.
pub(crate) const CAPTURED_SECRET: &str = "captured&secret/\"1\"";

/// The value of every other capture.
const CAPTURED: &str = "captured";

/// The signal a driver ends a command with.
const TERM: i32 = 15;

impl Run {
    pub(super) fn command(&mut self, process: usize, key: Key, task: &Task) -> Next {
        let now = self.agenda.now();
        let place = self.layout.step(key.0).target;
        match task.phase {
            Phase::Watching(lost) => self.watch(process, key, lost),
            Phase::Connecting(since) => self.connect(process, key, task, place, since),
            Phase::Fresh | Phase::Touching(..) | Phase::Sampling(..) | Phase::Holding(_) => {
                self.set_phase(process, key, Phase::Connecting(now));
                self.connect(process, key, task, place, now)
            }
        }
    }

    fn connect(
        &mut self,
        process: usize,
        key: Key,
        task: &Task,
        place: Place,
        since: Timestamp,
    ) -> Next {
        let now = self.agenda.now();
        if !self.world.nodes[place].reachable(now) {
            let gives_up = since.after(self.layout.plan.policy.reconnect_deadline);
            if now < gives_up {
                return Next::Look(self.world.nodes[place].reachable_at().min(gives_up));
            }
            let why = "connection timed out".to_owned();
            return Next::end(match task.mode {
                Mode::Run => End::NotMet(format!("nothing was begun: {why}")),
                Mode::Recover | Mode::Observe => End::Unreachable(why),
            });
        }
        if let Some(seen) = self.fence(process, place) {
            return Next::end(End::EpochRefused { seen });
        }
        let known = self.world.nodes[place].executions.get(&key).map(|known| known.fate);
        let repeats = self.plant == Some(Plant::RecoveryRepeats) && task.mode == Mode::Recover;
        match (task.mode, known) {
            (Mode::Recover, None) if !repeats => return Next::end(End::Never),
            (Mode::Run, None) if !self.may_begin(process, key, task) => {
                return Next::end(End::Never);
            }
            (_, None) => self.execute(process, key, place),
            (_, Some(_)) if repeats => self.execute(process, key, place),
            (Mode::Run | Mode::Recover | Mode::Observe, Some(_)) => {}
        }
        self.set_phase(process, key, Phase::Watching(None));
        self.watch(process, key, None)
    }

    /// Tells the node our epoch; the newer one it has seen when it refuses ours.
    pub(super) fn fence(&mut self, process: usize, place: Place) -> Option<u64> {
        let ours = self.processes[process].epoch.0;
        let node = &mut self.world.nodes[place];
        if node.seen_epoch > ours && self.plant != Some(Plant::NodesForgetEpochs) {
            return Some(node.seen_epoch);
        }
        node.seen_epoch = node.seen_epoch.max(ours);
        None
    }

    fn watch(&mut self, process: usize, key: Key, lost: Option<Timestamp>) -> Next {
        let now = self.agenda.now();
        let plan = self.layout.plan.clone();
        let planned = plan.step(key.0);
        let place = self.layout.step(key.0).target;
        let node = &self.world.nodes[place];
        if !node.reachable(now) {
            let since = lost.unwrap_or(now);
            let gives_up = since.after(plan.policy.reconnect_deadline);
            if now >= gives_up {
                return Next::end(End::Unreachable("connection lost".into()));
            }
            self.set_phase(process, key, Phase::Watching(Some(since)));
            return Next::Look(self.world.nodes[place].reachable_at().min(gives_up));
        }
        self.set_phase(process, key, Phase::Watching(None));
        let Some(execution) = self.world.nodes[place].executions.get(&key) else {
            return Next::end(End::Lost("its record was removed from the node".into()));
        };
        match execution.fate {
            Fate::Running => {
                let until = execution.began.after(planned.deadline);
                if now < until {
                    return Next::Look(until);
                }
                self.finish_execution(place, key, Mark::Half, Fate::Signaled(TERM));
                Next::end(End::TimedOut)
            }
            Fate::Exited(code) => Next::Answer(self.report(planned, End::Exited(code))),
            Fate::Signaled(signal) => Next::end(End::Signaled(signal)),
            Fate::Rebooted => Next::end(End::Lost("the node has booted since it was begun".into())),
            Fate::Unsupervised => {
                Next::end(End::Lost("its supervisor was killed on the node".into()))
            }
        }
    }

    /// A report with what the step captures from its output.
    fn report(&self, planned: &PlannedStep, end: End) -> Report {
        let mut report = Report::bare(end);
        if report.end != End::Exited(0) {
            report.tail = vec![format!("{} failed", planned.key)];
            return report;
        }
        let leaks = self.plant == Some(Plant::CaptureLeaks);
        report.captured = planned
            .capture
            .iter()
            .map(|capture| {
                let value = if capture.secret { CAPTURED_SECRET } else { CAPTURED };
                let hidden = capture.secret && !leaks;
                Captured {
                    name: capture.name.clone(),
                    digest: Digest(format!("{:064x}", planned.no.0)),
                    value: (!hidden).then(|| value.to_owned()),
                }
            })
            .collect();
        report
    }

    /// Did it happen? By the step's own probes.
    pub(super) fn observe(&mut self, process: usize, key: Key, task: &Task) -> Next {
        let now = self.agenda.now();
        let plan = self.layout.plan.clone();
        let planned = plan.step(key.0);
        let Unknown::Observe { done: _, not_done } = &planned.unknown else {
            return Next::end(End::Lost("the step has no probe to observe it by".into()));
        };
        let at = self.layout.step(key.0).clone();
        let reachable = self.world.nodes[at.target].reachable(now);
        if reachable && let Some(seen) = self.fence(process, at.target) {
            return Next::end(End::EpochRefused { seen });
        }
        let owner = at.node.unwrap_or(at.target);
        let happened = match at.undoes {
            None => self.world.mark_of(owner, key.0) == Mark::Done,
            Some(undone) => self.world.mark_of(owner, undone) == Mark::Untouched,
        };
        let nothing = match at.undoes {
            None => self.world.mark_of(owner, key.0) == Mark::Untouched,
            Some(undone) => self.world.mark_of(owner, undone) == Mark::Done,
        };
        if reachable && happened {
            return Next::end(End::Done);
        }
        if reachable && nothing && not_done.is_some() {
            return Next::end(End::Never);
        }
        if now >= task.until {
            return Next::end(End::Lost("neither probe holds".into()));
        }
        Next::Look(task.until)
    }
}
