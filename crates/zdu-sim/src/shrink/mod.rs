//! From a run that breaks a law to a small one that breaks the same law.
//!
//! Greedy: whatever can be left out is left out, as long as the same checker still sees it. First
//! faults, then nodes, instances, stages and steps, then spans are made round. What is left is a
//! script and, for a random plan, the plan itself.

mod fleet;

use crate::fault::{
    BalancerTrouble, ControllerTrouble, DiskTrouble, Fault, What, When, Work as Wrong,
};
use crate::run::{Setup, run};
use crate::script::Script;
use crate::swarm::{Drawn, planned};
use std::sync::Arc;
use zdu_model::time::Millis;
use zdu_plan::Input;

/// A run that cannot be made smaller in the ways that are tried.
#[derive(Debug, Clone)]
pub struct Small {
    /// The run.
    pub setup: Setup,
    /// How many runs it took to find it.
    pub plays: u32,
}

/// Plays at most; a run is some milliseconds.
const PLAYS_MAX: u32 = 5_000;

/// Makes a run small that breaks a law, as this checker sees it. One that does not break it comes
/// back as it is.
#[must_use]
pub fn shrink(drawn: Drawn, checker: &str) -> Small {
    let Drawn { setup, input } = drawn;
    let mut shrinking = Shrinking { setup, input, checker: checker.to_owned(), plays: 0 };
    let whole = shrinking.setup.clone();
    if shrinking.breaks(&whole) {
        while shrinking.round() {}
    }
    Small { setup: shrinking.setup, plays: shrinking.plays }
}

struct Shrinking {
    setup: Setup,
    input: Option<Input>,
    checker: String,
    plays: u32,
}

impl Shrinking {
    fn breaks(&mut self, setup: &Setup) -> bool {
        self.plays += 1;
        let played = std::panic::catch_unwind(|| run(setup));
        // An assertion that fails is a law that breaks, too; the swarm calls it by this name.
        played.map_or(self.checker == "panics", |outcome| {
            outcome.violations.iter().any(|broken| broken.checker == self.checker)
        })
    }

    /// Takes the candidate when it still breaks the law.
    fn takes(&mut self, candidate: Setup) -> bool {
        let smaller = self.plays < PLAYS_MAX && self.breaks(&candidate);
        if smaller {
            self.setup = candidate;
        }
        smaller
    }

    /// Tries everything once. Answers whether anything became smaller.
    fn round(&mut self) -> bool {
        let faults = self.faults();
        let people = self.people();
        let found = self.found();
        let fleet = self.fleet();
        let rounded = self.rounded();
        faults || people || found || fleet || rounded
    }

    /// Without one fault, or with none of a half of them.
    fn faults(&mut self) -> bool {
        let mut smaller = false;
        let mut size = self.setup.faults.len();
        while size > 0 {
            let mut at = 0;
            while at < self.setup.faults.len() {
                let mut fewer = self.setup.clone();
                let end = (at + size).min(fewer.faults.len());
                fewer.faults.drain(at..end);
                if self.takes(fewer) {
                    smaller = true;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        smaller
    }

    fn people(&mut self) -> bool {
        let mut smaller = false;
        for at in (0..self.setup.afterwards.len()).rev() {
            let mut fewer = self.setup.clone();
            fewer.afterwards.remove(at);
            smaller |= self.takes(fewer);
        }
        smaller
    }

    fn found(&mut self) -> bool {
        let mut as_configured = self.setup.clone();
        as_configured.oddly_found = 0;
        as_configured.found.clear();
        let odd = self.setup.oddly_found > 0 || !self.setup.found.is_empty();
        odd && self.takes(as_configured)
    }

    /// A smaller fleet, procedure or policy, planned anew. What names something that is gone goes
    /// with it.
    fn fleet(&mut self) -> bool {
        let mut smaller = false;
        let mut at = 0;
        while let Some(input) = &self.input
            && let Some(less) = fleet::without(input, at)
        {
            let taken = less.is_some_and(|input| self.takes_input(input));
            smaller |= taken;
            // What was behind it has moved up.
            at += usize::from(!taken);
        }
        smaller
    }

    fn takes_input(&mut self, input: Input) -> bool {
        let Some(plan) = planned(&input).map(Arc::new) else { return false };
        let script = Script::of(&self.setup, "-");
        let fitted = script.fitted(&plan);
        let candidate = Setup { plant: self.setup.plant, ..fitted };
        let taken = self.takes(candidate);
        if taken {
            self.input = Some(input);
        }
        taken
    }

    fn rounded(&mut self) -> bool {
        let mut smaller = false;
        for at in 0..self.setup.faults.len() {
            for rounder in rounder(&self.setup.faults[at]) {
                let mut candidate = self.setup.clone();
                candidate.faults[at] = rounder;
                if self.takes(candidate) {
                    smaller = true;
                    break;
                }
            }
        }
        smaller
    }
}

/// The round spans below one, the smallest first.
fn round_below(span: Millis) -> impl Iterator<Item = Millis> {
    let round = [0, 1, 5, 10, 20, 30, 60].map(Millis::from_secs);
    let seconds = Millis(span.0 - span.0 % 1_000);
    let fits = move |round: &Millis| *round < span;
    round.into_iter().chain([seconds]).filter(fits)
}

fn rounder(fault: &Fault) -> Vec<Fault> {
    let Fault { when, what } = fault;
    let with = |what| Fault { when: when.clone(), what };
    let whens: Vec<When> = match when {
        When::At(after) => round_below(*after).map(When::At).collect(),
        When::Step { step, nth } if *nth > 1 => vec![When::Step { step: *step, nth: 1 }],
        When::Step { .. } | When::Record(_) => Vec::new(),
    };
    let sooner = whens.into_iter().map(|when| Fault { when, what: what.clone() });
    let spans = |span: Millis, what: &dyn Fn(Millis) -> What| -> Vec<Fault> {
        round_below(span).filter(|round| round.0 > 0).map(|round| with(what(round))).collect()
    };
    let shorter = match what {
        What::Node(node, trouble, span) => {
            spans(*span, &|span| What::Node(node.clone(), *trouble, span))
        }
        What::Balancer(instance, BalancerTrouble::Stopped(span)) => {
            spans(*span, &|span| What::Balancer(instance.clone(), BalancerTrouble::Stopped(span)))
        }
        What::Balancer(instance, BalancerTrouble::Refuses(span)) => {
            spans(*span, &|span| What::Balancer(instance.clone(), BalancerTrouble::Refuses(span)))
        }
        What::Controller(ControllerTrouble::Killed(span)) => {
            spans(*span, &|span| What::Controller(ControllerTrouble::Killed(span)))
        }
        What::Controller(ControllerTrouble::Paused(span)) => {
            spans(*span, &|span| What::Controller(ControllerTrouble::Paused(span)))
        }
        What::Disk(DiskTrouble::Full(span)) => {
            spans(*span, &|span| What::Disk(DiskTrouble::Full(span)))
        }
        What::Work(Wrong::Slow(times)) if *times > 2 => vec![with(What::Work(Wrong::Slow(2)))],
        What::Work(_)
        | What::Balancer(..)
        | What::Controller(_)
        | What::Disk(_)
        | What::Person(_) => Vec::new(),
    };
    sooner.chain(shorter).collect()
}
