//! What went wrong and still stands: which step, on which node, how it ended and its last words.

use crate::describe;
use crate::fold::RolloutView;
use crate::history::HoldView;
use crate::next::grouped;
use crate::node::Stuck;
use crate::step::StepState;
use serde::Serialize;
use std::collections::BTreeSet;
use zdu_model::ids::{Attempt, NodeName, StepNo};
use zdu_model::plan::PlannedStep;
use zdu_model::report::End;
use zdu_model::verdict::Verdict;

/// The most last words of one step that are shown; its log has the rest.
const TAIL_LINES_MAX: usize = 5;

/// One step that did not pass, on the nodes where it ended alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The step's name.
    pub step: String,
    /// The nodes; empty for a step that is about none.
    pub nodes: Vec<String>,
    /// Step and nodes in words.
    pub name: String,
    /// How it ended, as a phrase.
    pub end: String,
    /// How often it was tried, on the first of the nodes.
    pub attempts: Attempt,
    /// The end of what it said there, oldest first.
    pub tail: Vec<String>,
    /// The command that prints the whole output.
    pub log: Option<String>,
}

impl RolloutView {
    /// What stands in the way: compensations that failed, what a hold is about, what will be tried
    /// again because it did not pass, and the failures a rollout ended with.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut numbers = self.stuck_steps();
        numbers.extend(self.open_holds().filter_map(HoldView::step));
        numbers.extend(self.tried_again());
        let failed = matches!(self.verdict(), Some(Verdict::Failed { .. } | Verdict::Stuck { .. }));
        if failed || !numbers.is_empty() {
            numbers.extend(self.failed_steps());
        }
        self.told(&numbers)
    }

    /// Steps that undo and failed at it.
    pub(crate) fn stuck_steps(&self) -> Vec<StepNo> {
        self.stuck().map(|stuck| stuck.step).collect()
    }

    fn stuck(&self) -> impl Iterator<Item = &Stuck> {
        self.stuck_nodes().filter_map(|node| node.stuck.as_ref()).chain(&self.history().stuck)
    }

    /// Forward steps whose end did not pass and that no rule let go on.
    pub(crate) fn failed_steps(&self) -> Vec<StepNo> {
        let bad = self.steps().filter(|(planned, step)| {
            let stands =
                matches!(step.state, StepState::Ended { .. } | StepState::Scheduled { .. });
            let failed = step.last_end().is_some_and(|end| !end.class.passes());
            stands && failed && !self.is_undo(planned.no) && !step.went_on
        });
        bad.map(|(planned, _)| planned.no).collect()
    }

    /// Steps that wait for another attempt after one that did not pass. What only waits to become
    /// true says so where it says on what it waits.
    fn tried_again(&self) -> impl Iterator<Item = StepNo> {
        let scheduled =
            self.active().filter(|(_, step)| matches!(step.state, StepState::Scheduled { .. }));
        let bad = scheduled.filter(|(_, step)| {
            step.last_end().is_some_and(|end| {
                !end.class.passes() && !matches!(end.report.end, End::Waiting(_) | End::Never)
            })
        });
        bad.map(|(planned, _)| planned.no)
    }

    /// These steps as troubles, those that ended alike together. Each step is told once.
    pub(crate) fn told(&self, numbers: &[StepNo]) -> Vec<Trouble> {
        let mut known = BTreeSet::new();
        let steps = numbers.iter().filter(|no| known.insert(**no)).filter_map(|no| {
            let planned = self.planned(*no)?;
            Some(((planned.key.as_str(), self.how_it_ended(planned)?), planned))
        });
        let groups = grouped(steps).into_iter();
        groups.map(|((key, end), planned)| self.trouble(key, end, &planned)).collect()
    }

    /// None where nothing of it is known yet, as at a point of no return that nobody crossed.
    fn how_it_ended(&self, planned: &PlannedStep) -> Option<String> {
        let end = self.step(planned.no).and_then(|step| step.last_end());
        if let Some(end) = end.filter(|end| !end.class.passes()) {
            return Some(describe::end(&end.report.end));
        }
        let stuck = self.stuck().find(|stuck| stuck.step == planned.no);
        stuck.map(|stuck| stuck.reason.clone())
    }

    fn trouble(&self, key: &str, end: String, planned: &[&PlannedStep]) -> Trouble {
        let numbers: Vec<StepNo> = planned.iter().map(|planned| planned.no).collect();
        let nodes: Vec<&NodeName> =
            planned.iter().filter_map(|planned| planned.subject.node()).collect();
        let step = numbers.first().and_then(|no| self.step(*no));
        let tail = step.and_then(|step| step.last_end()).map(|end| end.report.tail.as_slice());
        let tail = tail.unwrap_or_default();
        let log = |node: &&NodeName| self.command("log", &format!("--node {node}"));
        Trouble {
            step: key.to_owned(),
            nodes: nodes.iter().map(ToString::to_string).collect(),
            name: describe::steps(self.plan(), &numbers),
            end,
            attempts: step.map_or(0, |step| step.attempt()),
            tail: tail[tail.len().saturating_sub(TAIL_LINES_MAX)..].to_vec(),
            log: nodes.first().map(log),
        }
    }
}

/// The lines of a status about a trouble. The command for the whole output is left out where what
/// to do next has it already.
pub(crate) fn lines(trouble: &Trouble, next: &[String]) -> Vec<String> {
    let Trouble { step: _, nodes: _, name, end, attempts, tail, log } = trouble;
    let tried = if *attempts > 1 { format!(", attempt {attempts}") } else { String::new() };
    let mut lines = vec![format!("why:      {name}: {end}{tried}")];
    lines.extend(tail.iter().map(|line| format!("          | {line}")));
    let log = log.iter().filter(|log| !next.iter().any(|line| line.starts_with(log.as_str())));
    lines.extend(log.map(|log| format!("          {log}  # the whole output")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Story, name};
    use crate::status::{status, status_text};
    use jiff::tz::Offset;
    use zdu_model::event::{Event, HoldCause, ScheduleCause};

    /// Apply fails on the first of two nodes, and so does the first step that puts it back.
    fn stuck() -> Story {
        let mut story = Story::begin(&["node-a", "node-b"]);
        let apply = story.no("sysupgrade_apply", "node-a");
        story.pass_until(Some(apply));
        story.fail(apply, 3);
        let undo = story.no("start_old", "node-a");
        story.fail(undo, 9);
        let (node, reason) = (Some(name("node-a")), "exit code 9".to_owned());
        story.tell(Event::NodeStuck { node, step: undo, reason });
        story
    }

    fn shown(story: &Story) -> Vec<String> {
        let text = status_text(&story.view(), None, story.now, Offset::UTC);
        let head = text.lines().take_while(|line| !line.starts_with("Summary"));
        head.skip_while(|line| !line.starts_with("why")).map(str::to_owned).collect()
    }

    #[test]
    fn a_stuck_rollout_says_which_steps_failed_where_and_what_they_said_last() {
        let mut story = stuck();
        story.tell(Event::RolloutEnded { verdict: Verdict::Stuck { nodes: vec![name("node-a")] } });
        let expected = [
            "why:      start_old on node-a: exit code 9",
            "          | ERROR: a localhost Cassandra server has been specified.",
            "why:      sysupgrade_apply on node-a: exit code 3",
            "          | ERROR: a localhost Cassandra server has been specified.",
            "next:     zdu log r1 --node node-a  # the whole output of start_old on node-a: exit \
             code 9",
            "next:     repair node-a: start_old did not undo (exit code 9); it is out of \
             edge/gateway/node-a",
            "next:     zdu resume r1 --reason TEXT  # after the repair; undoes what is left",
        ];
        assert_eq!(shown(&story), expected);
        let json = serde_json::to_value(status(&story.view(), None, story.now)).expect("data");
        assert_eq!(json["why"][0]["step"], "start_old");
        assert_eq!(json["why"][0]["nodes"][0], "node-a");
    }

    #[test]
    fn a_hold_names_its_step_with_its_end_and_the_log() {
        let mut story = Story::begin(&["node-a", "node-b"]);
        let steps = ["node-a", "node-b"].map(|node| story.no("sysupgrade_export", node));
        for step in steps {
            story.fail(step, 7);
            story.tell(Event::HoldStarted { cause: HoldCause::Rule(step) });
        }
        let lines = shown(&story);
        let expected = [
            "why:      sysupgrade_export on node-a and node-b: exit code 7",
            "          | ERROR: a localhost Cassandra server has been specified.",
            "          zdu log r1 --node node-a  # the whole output",
        ];
        assert_eq!(lines[..3], expected);
    }

    #[test]
    fn a_step_that_is_tried_again_says_how_it_failed_and_one_that_passed_then_says_nothing() {
        let mut story = Story::begin(&["node-a"]);
        let step = story.no("sysupgrade_export", "node-a");
        story.fail(step, 7);
        story.start(step, 2);
        let report = story.view().step(step).expect("there").last_end().expect("one").clone();
        story.end(step, 2, report.class, report.report);
        let (at, cause) = (story.now, ScheduleCause::Retry);
        story.tell(Event::StepScheduled { step, at, cause });
        assert_eq!(
            shown(&story)[0],
            "why:      sysupgrade_export on node-a: exit code 7, attempt 2"
        );
        story.start(step, 3);
        assert_eq!(story.view().troubles(), []);
    }

    #[test]
    fn a_point_of_no_return_that_waits_is_no_trouble() {
        let mut story = Story::begin(&["node-a"]);
        let cause = HoldCause::PointOfNoReturn(story.no("sysupgrade_export", "node-a"));
        story.tell(Event::HoldStarted { cause });
        assert_eq!(story.view().troubles(), []);
    }
}
