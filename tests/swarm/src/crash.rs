//! Every rollout cut at every record: the built-in procedures' examples, and a share of the swarm.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use zdu_sim::Setup;
use zdu_sim::crash::{Cuts, Where, comparable, cut_every_record};
use zdu_sim::swarm::{self, Range};
use zdu_swarm::examples;

use crate::play::Order;
use crate::say;
use crate::seeds::Seeds;

/// The largest fleet drawn unless asked otherwise: each run is played once for every cut.
const NODES_MAX: u64 = 4;
/// Seeds unless asked otherwise.
const SEEDS: u64 = 100;
/// Differences that are shown whole.
const SHOWN: usize = 10;

#[derive(Default)]
struct Sum {
    rollouts: u64,
    cuts: u64,
    records: u64,
    loose: BTreeMap<&'static str, u64>,
    different: u64,
    broken: Vec<(String, Cuts)>,
}

impl Sum {
    fn add(&mut self, name: String, cuts: Cuts) {
        self.rollouts += 1;
        self.cuts += cuts.cuts;
        self.records += cuts.records;
        if let Some(why) = cuts.loosely {
            *self.loose.entry(why).or_default() += 1;
        }
        if !cuts.differences.is_empty() {
            self.different += cuts.differences.len() as u64;
            self.broken.push((name, cuts));
        }
    }
}

/// Cuts them all and says whether they ended alike.
pub(crate) fn crash(order: &Order) -> ExitCode {
    let examples = match examples() {
        Ok(examples) => examples,
        Err(why) => {
            say::error(&format!("crash: {why}"));
            return ExitCode::FAILURE;
        }
    };
    let begun = Instant::now();
    let mut sum = Sum::default();
    for (name, plan) in examples {
        let setup = Setup::quiet(plan, order.first);
        sum.add(name, cut_every_record(&setup, Where::Everywhere));
    }
    let sum = Mutex::new(sum);
    share(order, begun, &sum);
    let mut sum = sum.into_inner().unwrap_or_default();
    sum.broken.sort_by(|(one, _), (other, _)| one.cmp(other));
    told(&sum, begun.elapsed());
    if sum.different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn share(order: &Order, begun: Instant, sum: &Mutex<Sum>) {
    let range = Range { nodes_max: Some(order.nodes.unwrap_or(NODES_MAX)), ..Range::default() };
    let most = if order.seconds.is_none() { order.seeds.min(SEEDS) } else { order.seeds };
    Seeds::new(order, most, begun).share(|seeds| {
        for seed in seeds {
            let setup = comparable(&swarm::setup(&range, seed));
            let cuts = cut_every_record(&setup, Where::Everywhere);
            if let Ok(mut sum) = sum.lock() {
                sum.add(format!("seed {seed}"), cuts);
            }
        }
    });
}

fn told(sum: &Sum, took: Duration) {
    let all = sum
        .broken
        .iter()
        .flat_map(|(name, cuts)| cuts.differences.iter().map(move |difference| (name, difference)));
    for (name, difference) in all.take(SHOWN) {
        say::line(&format!("DIFFERENT {name}: record {}, {}", difference.record, difference.death));
        difference.uncut.iter().for_each(|line| say::line(&format!("  uncut: {line}")));
        difference.cut.iter().for_each(|line| say::line(&format!("  cut:   {line}")));
    }
    for (name, cuts) in sum.broken.iter().take(50) {
        say::line(&format!("{name}: {} of {} cuts differ", cuts.differences.len(), cuts.cuts));
    }
    for (why, count) in &sum.loose {
        say::line(&format!("{count} rollouts compared only where laws decide: {why}"));
    }
    say::line(&format!(
        "{} cuts at {} records of {} rollouts in {:.1} s, {} ended otherwise",
        sum.cuts,
        sum.records,
        sum.rollouts,
        took.as_secs_f64(),
        sum.different
    ));
}
