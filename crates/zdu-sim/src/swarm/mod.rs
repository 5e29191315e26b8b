//! Random rollouts: fleets, procedures, policies and faults from one seed.

mod faults;
mod fleet;
mod policy;
mod procedure;

use crate::dice::Dice;
use crate::run::Setup;
use std::collections::BTreeMap;
use std::sync::Arc;
use zdu_model::ids::Digest;
use zdu_model::plan::{Plan, Release};
use zdu_model::render::{Render, RenderError, Scope};
use zdu_model::text::{Template, Text};
use zdu_plan::{Input, Observed, plan};

/// The largest fleet of the swarm.
pub const NODES_MAX: u64 = 200;

/// What a swarm draws from.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Plans to draw from besides the random ones, such as those of the built-in procedures.
    pub plans: Vec<Arc<Plan>>,
    /// Only from those.
    pub only_plans: bool,
    /// The most nodes; [`NODES_MAX`] when absent.
    pub nodes_max: Option<u64>,
}

/// The run of this seed.
#[must_use]
pub fn setup(range: &Range, seed: u64) -> Setup {
    drawn(range, seed).setup
}

/// A run, and what its plan was made from.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The run.
    pub setup: Setup,
    /// What a planner made the plan from; absent when it is one of the given.
    pub input: Option<Input>,
}

/// The run of this seed, with what its plan was made from.
#[must_use]
pub fn drawn(range: &Range, seed: u64) -> Drawn {
    let mut dice = Dice::of(seed, "setup", 0);
    let given = range.only_plans || (!range.plans.is_empty() && dice.chance(25));
    let (plan, input) = if given {
        (dice.pick(&range.plans).clone(), None)
    } else {
        let (plan, input) = random_plan(range.nodes_max.unwrap_or(NODES_MAX), seed);
        (Arc::new(plan), Some(input))
    };
    Drawn { setup: faults::around(plan, seed), input }
}

/// A random plan: what a planner makes of a random fleet, procedure and policy.
fn random_plan(nodes_max: u64, seed: u64) -> (Plan, Input) {
    // A draw that cannot be planned safely is refused, as it should be; the next is tried.
    for attempt in 0.. {
        let mut dice = Dice::of(seed, "plan", attempt);
        let fleet = fleet::random(&mut dice, nodes_max);
        let procedure = procedure::random(&mut dice);
        let policy = policy::random(&mut dice, &procedure);
        let input = Input {
            fleet,
            procedure,
            procedure_digest: Digest("0".repeat(64)),
            policy,
            release: Release { from: "1".into(), to: "2".into() },
            vars: BTreeMap::new(),
            tool: "simulated".into(),
            observed: Observed::default(),
        };
        if let Some(plan) = planned(&input) {
            return (plan, input);
        }
        assert!(attempt < 1_000, "seed {seed}: no plan is ever accepted");
    }
    unreachable!("the loop ends by itself")
}

/// The plan of a random input; none when the planner refuses it.
pub(crate) fn planned(input: &Input) -> Option<Plan> {
    plan(input, &Literal).ok().map(|planned| planned.plan)
}

/// Nothing in a random procedure is a template.
struct Literal;

impl Render for Literal {
    fn text(&self, template: &Template, _: &Scope) -> Result<Text, RenderError> {
        Ok(Text::literal(template.0.clone()))
    }

    fn condition(&self, _: &Template, _: &Scope) -> Result<bool, RenderError> {
        Ok(true)
    }
}
