//! Law 13: a rollout that has not ended always says on what it waits.

use crate::describe;
use crate::fold::RolloutView;
use crate::history::HoldView;
use crate::query::span;
use crate::step::{StepState, StepView};
use serde::Serialize;
use std::collections::BTreeSet;
use zdu_model::event::{HoldCause, Inquiry, Request};
use zdu_model::ids::StepNo;
use zdu_model::plan::{PlannedStep, Subject, Work};
use zdu_model::report::End;
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

/// One thing a rollout waits on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// What is kept waiting: a node, or the fleet as a whole.
    pub subject: Subject,
    /// The step, when it is one.
    pub step: Option<StepNo>,
    /// On what, as a phrase that follows "waits on".
    pub on: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when at most; absent only where nothing but the controller's next turn is awaited, or
    /// a repair, which ends the rollout as stuck when nothing else is under way.
    pub until: Option<Timestamp>,
    /// The command that ends the wait, when a person can.
    pub command: Option<String>,
}

impl RolloutView {
    /// What the rollout waits on: holds first, then steps in plan order. Empty only before the
    /// first record and after an end that is not a hold.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let Some((_, last_at)) = self.last() else {
            return Vec::new();
        };
        let held_end = match self.verdict() {
            None => false,
            Some(Verdict::Held) => true,
            Some(
                Verdict::Succeeded
                | Verdict::Failed { .. }
                | Verdict::RolledBack
                | Verdict::Stuck { .. }
                | Verdict::Aborted,
            ) => return Vec::new(),
        };
        let mut list: Vec<Waiting> = self.open_holds().map(|hold| self.held(hold)).collect();
        if list.is_empty() && held_end {
            list.push(self.held(&HoldView {
                since: last_at,
                cause: HoldCause::Person,
                ended: None,
            }));
        }
        let named: BTreeSet<StepNo> = self.open_holds().filter_map(HoldView::step).collect();
        let active = self.active().filter(|(planned, _)| !named.contains(&planned.no));
        list.extend(active.filter_map(|(planned, step)| self.at_step(planned, step)));
        list.extend(self.repairs());
        if list.is_empty() {
            list.push(self.next_turn(last_at));
        }
        list
    }

    fn held(&self, hold: &HoldView) -> Waiting {
        let step = hold.step().and_then(|no| self.planned(no));
        let command = match &hold.cause {
            HoldCause::Person | HoldCause::Rule(_) => self.command("resume", ""),
            HoldCause::Unknown(step) | HoldCause::PointOfNoReturn(step) => {
                self.command("approve", &step.to_string())
            }
        };
        let deadline = self.plan().policy.hold_deadline;
        Waiting {
            subject: step.map_or(Subject::Fleet, |step| step.subject.clone()),
            step: hold.step(),
            on: format!("a person: {}", describe::hold(self.plan(), &hold.cause)),
            since: hold.since,
            until: (deadline > Millis(0)).then(|| hold.since.after(deadline)),
            command: Some(command),
        }
    }

    pub(crate) fn at_step(&self, planned: &PlannedStep, step: &StepView) -> Option<Waiting> {
        let (since, until) = span(planned, step)?;
        let on = match step.state {
            StepState::Running { .. } => running(planned),
            StepState::Inquiring { how: Inquiry::Recover, .. }
                if planned.work.is_level_triggered() =>
            {
                running(planned)
            }
            StepState::Inquiring { how: Inquiry::Recover, .. } => {
                format!("the node's own record of {}, whose end is not known", planned.key)
            }
            StepState::Inquiring { how: Inquiry::Observe, .. } => {
                format!("the probes that tell whether {} happened", planned.key)
            }
            StepState::Scheduled { cause, .. } => {
                let why = match step.last_end().map(|end| &end.report.end) {
                    Some(End::Waiting(why) | End::NotMet(why)) => format!(": {why}"),
                    _ => String::new(),
                };
                let because = describe::schedule(cause);
                format!("the next attempt at {} ({because}){why}", planned.key)
            }
            StepState::NotBegun | StepState::Ended { .. } => return None,
        };
        let by_hand = matches!(planned.work, Work::Manual { .. });
        let command = by_hand.then(|| self.command("approve", &planned.no.to_string()));
        Some(Waiting {
            subject: planned.subject.clone(),
            step: Some(planned.no),
            on,
            since,
            until: Some(until),
            command,
        })
    }

    /// Failed compensations: nothing but a person ends them.
    fn repairs(&self) -> Vec<Waiting> {
        let of_nodes = self.stuck_nodes().filter_map(|node| node.stuck.as_ref());
        let all = of_nodes.chain(&self.history().stuck);
        all.map(|stuck| {
            let subject = self.planned(stuck.step).map(|step| step.subject.clone());
            Waiting {
                subject: subject.unwrap_or(Subject::Fleet),
                step: Some(stuck.step),
                on: format!("a person to repair what could not be put back: {}", stuck.reason),
                since: stuck.at,
                until: None,
                command: Some(self.command("resume", "")),
            }
        })
        .collect()
    }

    /// Between two records of one turn nothing runs and nothing is scheduled.
    fn next_turn(&self, last_at: Timestamp) -> Waiting {
        let history = self.history();
        let asked = history.requests.last().map(|request| &request.request);
        let on = if history.controllers.is_empty() {
            "a controller to take the lease"
        } else if history.unwinds.iter().any(|unwind| unwind.ended.is_none()) {
            "the controller to begin the next compensation"
        } else if asked == Some(&Request::Abort) || asked == Some(&Request::Rollback) {
            "the controller to begin to put things back"
        } else {
            "the controller's next turn"
        };
        Waiting {
            subject: Subject::Fleet,
            step: None,
            on: on.into(),
            since: last_at,
            until: None,
            command: None,
        }
    }
}

fn running(planned: &PlannedStep) -> String {
    match &planned.work {
        Work::Guard { group } => {
            format!("group {group} to have capacity for one member less, on every instance")
        }
        Work::Drain => "every balancer instance to take the node out of new traffic".into(),
        Work::Certify => "the last sessions to end (drain certificate)".into(),
        Work::Ready(_) => "the node to prove that it is ready".into(),
        Work::Undrain => "every balancer instance to put the node into traffic again".into(),
        Work::Serving => "every balancer instance to show the node serving".into(),
        Work::Soak(span) => format!("the soak of {span}"),
        Work::Run(_) => format!("the command of {} to end", planned.key),
        Work::Http(_) => format!("the answer to the request of {}", planned.key),
        Work::Upload { to, .. } => format!("the upload of {to}"),
        Work::Backup { path, .. } => format!("the copy of {path}"),
        Work::Wait(_) => format!("what {} waits for to become true", planned.key),
        Work::Manual { instruction } => format!("a person to do this: {instruction}"),
    }
}
