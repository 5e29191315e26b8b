//! Random rollouts against every law, until a number of seeds or of seconds is
//! through. The first seed is printed first; a seed names its whole run.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zdu_sim::swarm::{self, Range};
use zdu_sim::{Counts, Violation, run, run_traced};

use zdu_model::plan::Plan;
use zdu_swarm::{examples, plan_of};

use crate::say;
use crate::seeds::Seeds;

/// What is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// How many seeds at most.
    pub(crate) seeds: u64,
    /// The first of them.
    pub(crate) first: u64,
    /// For how long at most.
    pub(crate) seconds: Option<u64>,
    /// The most nodes of a random fleet.
    pub(crate) nodes: Option<u64>,
    /// A `zdu.yaml`, or a plan, that every run is of; random ones and the examples when absent.
    pub(crate) fleet: Option<String>,
    /// One run, every line of it.
    pub(crate) trace: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self { seeds: 1_000, first: 1, seconds: None, nodes: None, fleet: None, trace: false }
    }
}

impl Order {
    /// The named plans that runs are drawn from.
    pub(crate) fn plans(&self) -> Result<Vec<(String, Arc<Plan>)>, String> {
        match &self.fleet {
            Some(fleet) => Ok(vec![(fleet.clone(), plan_of(Path::new(fleet))?)]),
            None => examples(),
        }
    }

    /// What runs are drawn from.
    pub(crate) fn range(&self, plans: &[(String, Arc<Plan>)]) -> Range {
        let plans = plans.iter().map(|(_, plan)| plan.clone()).collect();
        Range { plans, only_plans: self.fleet.is_some(), nodes_max: self.nodes }
    }
}

/// After so many rollouts of a thread a person is told that it goes on.
const SAID_EVERY: u64 = 10_000;

/// Runs that break a law are listed up to this many; more say nothing new.
const SHOWN: usize = 20;

#[derive(Default)]
struct Sum {
    rollouts: u64,
    counts: Counts,
    broken: Vec<(u64, Violation)>,
}

/// Plays them and says what was found.
pub(crate) fn play(order: &Order) -> ExitCode {
    let range = match order.plans() {
        Ok(plans) => order.range(&plans),
        Err(why) => {
            say::error(&format!("sim: {why}"));
            return ExitCode::FAILURE;
        }
    };
    if order.trace {
        return trace(&range, order.first);
    }
    say::line(&format!("first seed {}", order.first));
    let begun = Instant::now();
    let sum = all(&range, order, begun);
    told(&sum, begun.elapsed());
    if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn trace(range: &Range, seed: u64) -> ExitCode {
    let setup = swarm::setup(range, seed);
    for fault in &setup.faults {
        say::line(&format!("fault {fault:?}"));
    }
    let outcome = run_traced(&setup);
    for line in &outcome.lines {
        say::line(line);
    }
    for Violation { checker, what, at } in &outcome.violations {
        say::line(&format!("BROKEN {checker} at {}: {what}", at.0));
    }
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all(range: &Range, order: &Order, begun: Instant) -> Sum {
    let mut sum = Sum::default();
    for part in Seeds::new(order, order.seeds, begun).share(|seeds| work(range, seeds)) {
        sum.rollouts += part.rollouts;
        add(&mut sum.counts, part.counts);
        sum.broken.extend(part.broken);
    }
    sum.broken.sort_by_key(|(seed, _)| *seed);
    sum
}

fn work(range: &Range, seeds: &Seeds) -> Sum {
    let mut sum = Sum::default();
    for seed in seeds {
        let played = std::panic::catch_unwind(|| run(&swarm::setup(range, seed)));
        sum.rollouts += 1;
        if sum.rollouts.is_multiple_of(SAID_EVERY) {
            say::error(&format!("at seed {seed}, broken here so far: {}", sum.broken.len()));
        }
        match played {
            Ok(outcome) => {
                add(&mut sum.counts, outcome.counts);
                sum.broken.extend(outcome.violations.into_iter().map(|broken| (seed, broken)));
            }
            Err(_) => sum.broken.push((
                seed,
                Violation {
                    checker: "panics",
                    what: "an assertion failed; its words stand above".into(),
                    at: zdu_model::time::Timestamp(0),
                },
            )),
        }
    }
    sum
}

fn add(sum: &mut Counts, more: Counts) {
    let Counts { faults, crashes, takeovers, unwinds, requests, records } = more;
    sum.faults += faults;
    sum.crashes += crashes;
    sum.takeovers += takeovers;
    sum.unwinds += unwinds;
    sum.requests += requests;
    sum.records += records;
}

fn told(sum: &Sum, took: Duration) {
    for (seed, Violation { checker, what, at: _ }) in sum.broken.iter().take(SHOWN) {
        say::line(&format!("BROKEN {checker}: seed {seed}: {what}"));
    }
    let mut kinds = std::collections::BTreeMap::<&str, u64>::new();
    for (_, broken) in &sum.broken {
        *kinds.entry(broken.checker).or_default() += 1;
    }
    for (kind, count) in kinds {
        say::line(&format!("{count} runs break {kind}"));
    }
    let Counts { faults, crashes, takeovers, unwinds, requests, records } = sum.counts;
    say::line(&format!(
        "{} rollouts in {:.1} s: {faults} faults, {crashes} crashes, {takeovers} takeovers, \
         {unwinds} unwinds, {requests} requests, {records} records, {} broken",
        sum.rollouts,
        took.as_secs_f64(),
        sum.broken.len()
    ));
}
