//! Law 6: a step begun without a known outcome is observed before it is repeated or undone; never
//! twice by guess, and never called failed by guess.

use super::Checker;
use crate::seen::{Scene, Seen};
use crate::world::node::Fate;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::contract::Class;
use zdu_model::event::{Event, Inquiry, Record, Request};
use zdu_model::ids::{Attempt, StepNo};
use zdu_model::plan::{Unknown as Rule, Work};
use zdu_model::policy::FailureAction;
use zdu_model::report::{End, Report};

/// Watches commands and requests, which cannot simply be asked again. What reads first and only
/// then makes true what is not true yet is repeated without harm and not looked at.
#[derive(Default)]
pub(super) struct Unknown {
    /// The last attempt of each step whose work began in the world.
    began: BTreeMap<StepNo, Attempt>,
    /// Steps whose newest attempt repeats by guess, and why that is one.
    guess: BTreeMap<StepNo, String>,
    /// What is durable about the newest attempt of each step.
    known: BTreeMap<StepNo, Known>,
    /// When a person last asked for something that repeats or undoes what failed.
    word: u64,
    /// The step a person answered for; the next record is the answer.
    approved: Option<StepNo>,
    /// Steps whose last ending is a person's word. That nothing of it runs is their word too.
    vouched: BTreeSet<StepNo>,
}

/// What the journal knows of an attempt.
#[derive(Clone)]
struct Known {
    attempt: Attempt,
    end: Option<(Class, End)>,
    /// The first record that told the outcome is unknown.
    told: Option<u64>,
    observed: bool,
    /// A failure rule that names unknown outcomes said: again.
    retry: bool,
}

impl Checker for Unknown {
    fn name(&self) -> &'static str {
        "unknown"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Durable(records) => records.iter().find_map(|r| self.durable(scene, r)),
            Seen::Began { step, attempt, .. } => {
                let wrong = self.began(scene, *step, *attempt);
                self.began.insert(*step, *attempt);
                wrong
            }
            Seen::Started { .. }
            | Seen::Gone { .. }
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Ended { .. }
            | Seen::Landed { .. }
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Asked { .. }
            | Seen::Verdict(_)
            | Seen::Traffic
            | Seen::Over => None,
        }
    }
}

impl Unknown {
    fn durable(&mut self, scene: &Scene<'_>, record: &Record) -> Option<String> {
        let approved = self.approved.take();
        match &record.event {
            Event::StepStarted { step, attempt } => {
                let fresh = Known {
                    attempt: *attempt,
                    end: None,
                    told: None,
                    observed: false,
                    retry: false,
                };
                match self.by_guess(scene, *step) {
                    Some(why) => self.guess.insert(*step, why),
                    None => self.guess.remove(step),
                };
                self.known.insert(*step, fresh);
                self.vouched.remove(step);
            }
            Event::StepUnknown { step, attempt, how, .. } => {
                if let Some(known) = self.known.get_mut(step).filter(|k| k.attempt == *attempt) {
                    known.end = None;
                    known.observed |= *how == Inquiry::Observe;
                }
            }
            Event::StepEnded { step, attempt, class, report } => {
                if let Some(known) = self.known.get_mut(step).filter(|k| k.attempt == *attempt) {
                    known.end = Some((*class, report.end.clone()));
                    let unknown = matches!(class, Class::Unknown | Class::NotRun);
                    known.told = known.told.or(unknown.then_some(record.seq.0));
                }
                if approved == Some(*step) {
                    self.vouched.insert(*step);
                } else {
                    return called_by_guess(scene, *step, *attempt, *class, report);
                }
            }
            Event::FailureDecided { step, rule, action: FailureAction::Retry { .. } } => {
                let rule = usize::try_from(*rule).ok();
                let rule = rule.and_then(|rule| scene.layout.plan.rules.get(rule));
                let named = rule.is_some_and(|rule| rule.class.contains(&Class::Unknown));
                if let Some(known) = self.known.get_mut(step) {
                    known.retry |= named;
                }
            }
            Event::Requested { request: Request::Approve(step), .. } => {
                self.approved = Some(*step);
                self.word = record.seq.0;
            }
            Event::Requested { request: Request::Hold, .. } => {}
            Event::Requested { .. } => self.word = record.seq.0,
            Event::RolloutStarted { .. }
            | Event::ControllerStarted { .. }
            | Event::StepScheduled { .. }
            | Event::FailureDecided { .. }
            | Event::UnwindStarted { .. }
            | Event::UnwindEnded { .. }
            | Event::NodeStuck { .. }
            | Event::Drifted { .. }
            | Event::InstanceChanged { .. }
            | Event::ControllerStoodStill { .. }
            | Event::FrontSeen { .. }
            | Event::HoldStarted { .. }
            | Event::RolloutEnded { .. } => {}
        }
        None
    }

    fn began(&self, scene: &Scene<'_>, step: StepNo, attempt: Attempt) -> Option<String> {
        let planned = scene.layout.plan.step(step);
        if planned.work.is_level_triggered() {
            return None;
        }
        let (at, key) = (scene.layout.step(step), &planned.key);
        let node = &scene.world.nodes[at.target];
        if node.runs(step) {
            return Some(format!("{key} (step {step}) begins while it runs"));
        }
        if let Some(undone) = at.undoes
            && !self.vouched.contains(&undone)
            && scene.world.nodes[scene.layout.step(undone).target].runs(undone)
        {
            return Some(format!("{key} (step {step}) begins while step {undone} runs"));
        }
        let before = *self.began.get(&step)?;
        if before >= attempt {
            return Some(format!("{key} (step {step}) attempt {attempt} begins twice"));
        }
        self.guess.get(&step).map(|why| format!("{key} (step {step}) {why}"))
    }

    /// Why beginning the step again now would be a guess.
    fn by_guess(&self, scene: &Scene<'_>, step: StepNo) -> Option<String> {
        let before = self.known.get(&step)?;
        // What never began in the world leaves nothing to find out.
        if self.began.get(&step) != Some(&before.attempt) {
            return None;
        }
        let last = before.attempt;
        let planned = scene.layout.plan.step(step);
        let Some((class, end)) = &before.end else {
            return Some(format!("begins again and attempt {last} has no end"));
        };
        // Whoever asks to go on after that knows what nobody knows.
        let worded = before.told.is_some_and(|told| self.word > told);
        match class {
            Class::Unknown => {
                let rerun = planned.unknown == Rule::Rerun && matches!(end, End::Lost(_));
                let permitted = rerun || before.retry || worded;
                (!permitted).then(|| format!("begins again by guess after {end:?}"))
            }
            // The node has no record of a command: then none began. Else only a probe can tell.
            Class::NotRun => {
                let told = matches!(planned.unknown, Rule::Observe { not_done: Some(_), .. });
                let permitted = (before.observed && told) || worded;
                (!permitted).then(|| "is said never to have begun, and did".to_owned())
            }
            Class::Succeeded | Class::Warned | Class::Again | Class::Failed | Class::TimedOut => {
                None
            }
        }
    }
}

/// Whether an end was made up: it ran on, or nobody heard.
fn called_by_guess(
    scene: &Scene<'_>,
    step: StepNo,
    attempt: Attempt,
    class: Class,
    report: &Report,
) -> Option<String> {
    let planned = scene.layout.plan.step(step);
    if !matches!(planned.work, Work::Run(_) | Work::Http(_)) || class == Class::Unknown {
        return None;
    }
    if matches!(report.end, End::Lost(_) | End::Unreachable(_)) {
        return Some(format!("step {step} is called {class:?} and its end is {:?}", report.end));
    }
    let target = &scene.world.nodes[scene.layout.step(step).target];
    let execution = target.executions.get(&(step, attempt));
    let runs = execution.is_some_and(|execution| execution.fate == Fate::Running);
    runs.then(|| format!("step {step} attempt {attempt} is called {class:?} and still runs"))
}
