//! A run as text that a person writes and reads: a fleet, a seed, what goes wrong and what people
//! do, one line each.
//!
//! Steps are named by node and key and not by number, so that a script outlives changes of the
//! plan. What is printed is exactly what is parsed: there is one way to write each thing.

mod name;
mod parse;
mod words;

pub use name::StepName;
pub use parse::{Unreadable, parse};

use crate::fault::{
    Ask, BalancerTrouble, ControllerTrouble, DiskTrouble, Fault, NodeTrouble, What, When, Work,
};
use crate::run::{Found, Setup};
use std::fmt;
use std::sync::Arc;
use zdu_model::event::Request;
use zdu_model::ids::{InstanceName, NodeName};
use zdu_model::plan::Plan;
use zdu_model::time::Millis;

/// A run as text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// What it shows: the comment it begins with, a line each.
    pub about: Vec<String>,
    /// Where the fleet, or the plan itself, is written; whoever plays the script reads it.
    pub fleet: String,
    /// Where what nobody wrote down comes from.
    pub seed: u64,
    /// How many of a hundred entries are found in an odd state.
    pub oddly_found: u64,
    /// Entries found otherwise than ready with their full weight.
    pub found: Vec<Found>,
    /// How long steps take.
    pub takes: Vec<(StepName, Millis)>,
    /// What happens and when.
    pub happens: Vec<(Moment, Happens)>,
    /// What a person does after each end that is not a good one.
    pub afterwards: Vec<Says>,
}

/// When something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// When the work of a step begins for the nth time.
    Step(StepName, u32),
    /// So long after the start.
    At(Millis),
    /// While this record is written.
    Record(u64),
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happens {
    /// Something is wrong with the work of the step.
    Work(Work),
    /// Something happens to a node, for a while.
    Node(NodeName, NodeTrouble, Millis),
    /// Something happens to a balancer instance.
    Balancer(InstanceName, BalancerTrouble),
    /// Something happens to the controller.
    Controller(ControllerTrouble),
    /// Something happens to the journal's disk.
    Disk(DiskTrouble),
    /// A person says something.
    Person(Says),
}

/// What a person says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// Begin nothing new.
    Hold,
    /// Go on.
    Resume,
    /// Put back what is in flight and end.
    Abort,
    /// Put everything back.
    Rollback,
    /// Yes to one step.
    Approve(StepName),
    /// Yes to whatever is asked.
    ApproveWhatIsAsked,
}

/// A script that does not fit its plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The line, as it is written.
    pub line: String,
    /// Why.
    pub why: String,
}

impl Misfit {
    /// The place in a file and the reason.
    #[must_use]
    pub fn at(&self, file: &str, text: &str) -> String {
        let line = text.lines().position(|line| line == self.line).map_or(0, |at| at + 1);
        format!("{file}:{line}: {}", self.why)
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, why } = self;
        write!(f, "`{line}`: {why}")
    }
}

impl Script {
    /// What was made by numbers, with names.
    #[must_use]
    pub fn of(setup: &Setup, fleet: &str) -> Self {
        let plan = &setup.plan;
        let takes = setup.times.iter().map(|(step, span)| (StepName::of(plan, *step), *span));
        Self {
            about: Vec::new(),
            fleet: fleet.to_owned(),
            seed: setup.seed,
            oddly_found: setup.oddly_found,
            found: setup.found.clone(),
            takes: takes.collect(),
            happens: setup.faults.iter().map(|fault| named(plan, fault)).collect(),
            afterwards: setup.afterwards.iter().map(|ask| says(plan, ask)).collect(),
        }
    }

    /// The run, with this plan.
    ///
    /// # Errors
    /// The first line that names what the plan does not have.
    pub fn setup(&self, plan: &Arc<Plan>) -> Result<Setup, Misfit> {
        let mut setup = self.bare(plan);
        for found in &self.found {
            self.entry_is_there(plan, found)?;
        }
        for (step, span) in &self.takes {
            let line = words::takes(step, *span);
            let step = step.find(plan).map_err(|why| Misfit { line, why })?;
            setup.times.insert(step, *span);
        }
        for (moment, happens) in &self.happens {
            let line = words::happens(moment, happens);
            let fault = fault(plan, moment, happens).map_err(|why| Misfit { line, why })?;
            setup.faults.push(fault);
        }
        for says in &self.afterwards {
            let line = words::afterwards(says);
            setup.afterwards.push(ask(plan, says).map_err(|why| Misfit { line, why })?);
        }
        Ok(setup)
    }

    /// The run, with this plan; what names something the plan does not have is left out.
    #[must_use]
    pub fn fitted(&self, plan: &Arc<Plan>) -> Setup {
        let mut setup = self.bare(plan);
        setup.found.retain(|found| self.entry_is_there(plan, found).is_ok());
        let takes = self.takes.iter();
        setup.times = takes.filter_map(|(s, span)| Some((s.find(plan).ok()?, *span))).collect();
        let happens = self.happens.iter();
        setup.faults = happens.filter_map(|(when, what)| fault(plan, when, what).ok()).collect();
        setup.afterwards = self.afterwards.iter().filter_map(|says| ask(plan, says).ok()).collect();
        setup
    }

    fn bare(&self, plan: &Arc<Plan>) -> Setup {
        let (oddly_found, found) = (self.oddly_found, self.found.clone());
        Setup { oddly_found, found, ..Setup::quiet(Arc::clone(plan), self.seed) }
    }

    fn entry_is_there(&self, plan: &Plan, found: &Found) -> Result<(), Misfit> {
        let there = node(plan, &found.node).and_then(|()| instance(plan, &found.instance));
        there.map_err(|why| Misfit { line: words::found(found), why })
    }
}

fn named(plan: &Plan, fault: &Fault) -> (Moment, Happens) {
    let moment = match &fault.when {
        When::Step { step, nth } => Moment::Step(StepName::of(plan, *step), *nth),
        When::At(after) => Moment::At(*after),
        When::Record(record) => Moment::Record(*record),
    };
    (moment, happening(plan, &fault.what))
}

/// The same in the words of scripts.
pub(crate) fn happening(plan: &Plan, what: &What) -> Happens {
    match what {
        What::Work(work) => Happens::Work(*work),
        What::Node(node, trouble, span) => Happens::Node(node.clone(), *trouble, *span),
        What::Balancer(instance, trouble) => Happens::Balancer(instance.clone(), trouble.clone()),
        What::Controller(trouble) => Happens::Controller(*trouble),
        What::Disk(trouble) => Happens::Disk(*trouble),
        What::Person(ask) => Happens::Person(says(plan, ask)),
    }
}

fn says(plan: &Plan, ask: &Ask) -> Says {
    match ask {
        Ask::For(Request::Hold) => Says::Hold,
        Ask::For(Request::Resume) => Says::Resume,
        Ask::For(Request::Abort) => Says::Abort,
        Ask::For(Request::Rollback) => Says::Rollback,
        Ask::For(Request::Approve(step)) => Says::Approve(StepName::of(plan, *step)),
        Ask::ApproveWhatIsAsked => Says::ApproveWhatIsAsked,
    }
}

fn ask(plan: &Plan, says: &Says) -> Result<Ask, String> {
    Ok(Ask::For(match says {
        Says::Hold => Request::Hold,
        Says::Resume => Request::Resume,
        Says::Abort => Request::Abort,
        Says::Rollback => Request::Rollback,
        Says::Approve(step) => Request::Approve(step.find(plan)?),
        Says::ApproveWhatIsAsked => return Ok(Ask::ApproveWhatIsAsked),
    }))
}

fn fault(plan: &Plan, moment: &Moment, happens: &Happens) -> Result<Fault, String> {
    let when = match moment {
        Moment::Step(step, nth) => When::Step { step: step.find(plan)?, nth: *nth },
        Moment::At(after) => When::At(*after),
        Moment::Record(record) => When::Record(*record),
    };
    let what = match happens {
        Happens::Work(work) => What::Work(*work),
        Happens::Node(name, trouble, span) => {
            node(plan, name)?;
            What::Node(name.clone(), *trouble, *span)
        }
        Happens::Balancer(name, trouble) => {
            instance(plan, name)?;
            if let BalancerTrouble::OtherHand(name, _) = trouble {
                node(plan, name)?;
            }
            What::Balancer(name.clone(), trouble.clone())
        }
        Happens::Controller(trouble) => What::Controller(*trouble),
        Happens::Disk(trouble) => What::Disk(*trouble),
        Happens::Person(says) => What::Person(ask(plan, says)?),
    };
    Ok(Fault { when, what })
}

fn node(plan: &Plan, name: &NodeName) -> Result<(), String> {
    let known = plan.fleet.nodes().any(|node| node.name == *name);
    known.then_some(()).ok_or_else(|| format!("there is no node {name}"))
}

fn instance(plan: &Plan, name: &InstanceName) -> Result<(), String> {
    let mut all = plan.fleet.balancers.values().flat_map(|balancer| &balancer.instances);
    let known = all.any(|instance| instance.name == *name);
    known.then_some(()).ok_or_else(|| format!("there is no balancer instance {name}"))
}
