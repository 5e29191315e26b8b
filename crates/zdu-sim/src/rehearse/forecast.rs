//! How long a rollout takes, as far as that is known: from what the procedure declares, from
//! earlier rollouts, and otherwise from nothing to the deadline.

use super::found::Room;
use super::play::Ground;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zdu_model::contract::Class;
use zdu_model::ids::{StepKey, StepNo};
use zdu_model::plan::{Plan, PlannedStep, Work};
use zdu_model::time::Millis;

/// How much before its deadline a step of unknown duration is counted to end.
const BEFORE_DEADLINE: Millis = Millis::from_secs(1);

/// The bounds of the time a command of unknown duration takes while something goes wrong.
const SHORTEST: Millis = Millis::from_secs(1);
const LONGEST: Millis = Millis::from_secs(20);

/// How long it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// When every step whose time is unknown takes no time. Some seconds are in it for each drain
    /// and each start of a service, as the simulated fleet takes them.
    pub at_least: Millis,
    /// When every step whose time is unknown takes as long as it may, and every step is run as
    /// often as it may be.
    pub at_most: Millis,
    /// The steps that take time, in the order of the plan.
    pub steps: Vec<StepTime>,
}

/// What is known about a step's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTime {
    /// The step.
    pub key: StepKey,
    /// The time of one run, or the deadline when nothing is known.
    pub time: Millis,
    /// How often it may run at most until it passes.
    pub runs: u32,
    /// From where.
    pub known: Known,
}

/// From where a step's time is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// The procedure says so (`takes`).
    Declared,
    /// The median of so many attempts of earlier rollouts.
    Measured {
        /// How many.
        attempts: usize,
    },
    /// From nowhere.
    No,
}

type Measured = BTreeMap<StepKey, (Millis, usize)>;

/// Whether a step takes time that nobody knows beforehand. The guard, the drain, the undrain and a
/// front answer at once; a soak takes what it says; a person takes a minute.
fn takes_time(work: &Work) -> bool {
    match work {
        Work::Run(_)
        | Work::Http(_)
        | Work::Upload { .. }
        | Work::Backup { .. }
        | Work::Wait(_)
        | Work::Certify
        | Work::Ready(_)
        | Work::Serving => true,
        Work::Guard { .. } | Work::Drain | Work::Undrain | Work::Soak(_) | Work::Manual { .. } => {
            false
        }
    }
}

/// What was measured is nearer to the truth than what somebody wrote down.
fn known(step: &PlannedStep, measured: &Measured) -> (Millis, Known) {
    match (measured.get(&step.key), step.takes) {
        (Some((time, attempts)), _) => (*time, Known::Measured { attempts: *attempts }),
        (None, Some(takes)) => (takes, Known::Declared),
        (None, None) => (step.deadline, Known::No),
    }
}

/// The times steps take while something goes wrong: those that are known, and for commands nobody
/// knows of a tenth of the deadline, long enough that what happens meanwhile finds them running.
pub(super) fn times(plan: &Plan, measured: &Measured) -> BTreeMap<StepNo, Millis> {
    let steps = plan.steps.iter().filter(|step| takes_time(&step.work));
    let times = steps.filter_map(|step| match known(step, measured) {
        (_, Known::No) if matches!(step.work, Work::Run(_)) => {
            let tenth = Millis((step.deadline.0 / 10).clamp(SHORTEST.0, LONGEST.0));
            Some((step.no, below(step, tenth)))
        }
        (_, Known::No) => None,
        (time, Known::Declared | Known::Measured { .. }) => Some((step.no, below(step, time))),
    });
    times.collect()
}

fn below(step: &PlannedStep, time: Millis) -> Millis {
    let most = step.deadline.0.saturating_sub(BEFORE_DEADLINE.0).max(step.deadline.0 / 2);
    Millis(time.0.min(most))
}

/// How often a step may run until it passes: it may ask for more as often as its contract allows,
/// and fail in every attempt but the last.
fn most_runs(step: &PlannedStep) -> u32 {
    let asks = step.contract.rules.iter().any(|rule| rule.class == Class::Again);
    let agains = if asks { step.contract.again.max } else { 0 };
    agains.saturating_add(step.attempts.max(1))
}

/// The time of all runs and of the pauses between them.
fn with_pauses(step: &PlannedStep, time: Millis, runs: u32) -> Millis {
    let (runs, pause) = (u64::from(runs), step.contract.again.pause.0);
    Millis(time.0.saturating_mul(runs).saturating_add(pause.saturating_mul(runs - 1)))
}

/// Plays the undisturbed rollout at its fastest and at its slowest; of the slowest it also tells
/// how much of each group served.
pub(super) fn forecast(ground: &Ground, measured: &Measured) -> (Forecast, Vec<Room>) {
    let plan = &ground.plan;
    let undo = plan.undo_steps();
    let (mut fast, mut slow) = (ground.times.clone(), ground.times.clone());
    // Runs that follow each other are played as one long one, so that what goes on meanwhile does.
    let mut patient = (**plan).clone();
    let (mut steps, mut told) = (Vec::new(), BTreeSet::new());
    let forward = plan.stages.iter().flat_map(super::choose::forward);
    for step in forward.map(|no| plan.step(no)) {
        if undo.contains(&step.no) || !takes_time(&step.work) {
            continue;
        }
        let (time, known) = known(step, measured);
        if known == Known::No {
            fast.insert(step.no, Millis(1));
        }
        let runs = most_runs(step);
        slow.insert(step.no, with_pauses(step, below(step, time), runs));
        let patient = patient.steps.get_mut(usize::try_from(step.no.0).unwrap_or(usize::MAX));
        let deadline = with_pauses(step, step.deadline, runs);
        patient.expect("a copy has the same steps").deadline = deadline;
        if told.insert(step.key.clone()) {
            steps.push(StepTime { key: step.key.clone(), time, runs, known });
        }
    }
    let (at_least, _) = ground.quiet_taking(plan.clone(), fast);
    let (at_most, rooms) = ground.quiet_taking(Arc::new(patient), slow);
    (Forecast { at_least, at_most, steps }, rooms)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fleet_of, ground_with};
    use super::*;
    use zdu_model::contract::Rule;

    fn forecast_of(plan: Plan, measured: &Measured) -> Forecast {
        let ground = ground_with(&Arc::new(plan), measured.clone());
        forecast(&ground, measured).0
    }

    fn of<'f>(forecast: &'f Forecast, key: &str) -> &'f StepTime {
        forecast.steps.iter().find(|step| step.key.as_str() == key).expect("a step that takes time")
    }

    #[test]
    fn a_step_of_unknown_time_counts_with_its_deadline_as_the_most() {
        let plan = (*fleet_of(&[2])).clone();
        let forecast = forecast_of(plan, &Measured::new());
        assert_eq!(of(&forecast, "change").known, Known::No);
        // Two nodes one after the other, each change with a deadline of a minute.
        assert!(forecast.at_most >= Millis::from_secs(118), "{}", forecast.at_most);
        assert!(forecast.at_least < Millis::from_secs(60), "{}", forecast.at_least);
    }

    #[test]
    fn a_step_that_may_run_more_than_once_counts_with_all_its_runs_and_pauses_as_the_most() {
        let mut plan = (*fleet_of(&[1])).clone();
        let once = forecast_of(plan.clone(), &Measured::new());
        let most = |plan: &Plan| forecast_of(plan.clone(), &Measured::new()).at_most;
        let change = |plan: &mut Plan, edit: fn(&mut PlannedStep)| {
            plan.steps.iter_mut().filter(|step| step.key.as_str() == "change").for_each(edit);
        };
        // Every further run may take the minute of its deadline, less a second, and a pause.
        change(&mut plan, |step| {
            step.attempts = 3;
            step.contract.again.pause = Millis::from_secs(7);
        });
        let tried = most(&plan);
        assert!(tried >= Millis(once.at_most.0 + 2 * 66_000), "{tried} after {}", once.at_most);
        change(&mut plan, |step| {
            step.contract.again.max = 4;
            let (exit, class) = (vec![1], Class::Again);
            step.contract.rules.push(Rule {
                exit,
                status: Vec::new(),
                output: None,
                json: None,
                class,
            });
        });
        let asked = forecast_of(plan, &Measured::new());
        assert_eq!(of(&asked, "change").runs, 7);
        assert!(asked.at_most >= Millis(tried.0 + 4 * 66_000), "{} after {tried}", asked.at_most);
        assert_eq!(asked.at_least, once.at_least, "it may also pass at once");
    }

    #[test]
    fn what_was_measured_is_believed_before_what_was_declared() {
        let mut plan = (*fleet_of(&[1])).clone();
        for step in plan.steps.iter_mut().filter(|step| step.key.as_str() == "change") {
            step.takes = Some(Millis::from_secs(20));
        }
        let declared = forecast_of(plan.clone(), &Measured::new());
        let told = of(&declared, "change");
        assert_eq!((told.time, told.known), (Millis::from_secs(20), Known::Declared));
        assert!(declared.at_least >= Millis::from_secs(20));
        let key = told.key.clone();
        let measured = Measured::from([(key, (Millis::from_secs(40), 3))]);
        let told = forecast_of(plan, &measured);
        assert_eq!(of(&told, "change").known, Known::Measured { attempts: 3 });
        assert!(told.at_least >= Millis::from_secs(40), "{}", told.at_least);
    }
}
