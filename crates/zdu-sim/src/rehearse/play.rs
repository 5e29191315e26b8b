//! One play: what goes wrong as faults of the simulator, and what it came to.

use super::Order;
use super::found::{Defect, Ending, Mishap, Room};
use super::trouble::{Trouble, neighbour};
use super::watch::{Sight, Watch};
use crate::fault::{
    Ask, BalancerTrouble, ControllerTrouble, Fault, NodeTrouble, What, When, Work as W,
};
use crate::run::{BEGIN, Outcome, Setup, run_watched};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use zdu_model::contract::Class;
use zdu_model::event::{Event, Record, Request};
use zdu_model::ids::{InstanceName, NodeName, StepNo};
use zdu_model::plan::{Plan, PlannedStep, Target, Work};
use zdu_model::report::{End, Evidence};
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::{Verdict, exit};
use zdu_view::describe;
use zdu_view::fold::RolloutView;
use zdu_view::next::next_commands;
use zdu_view::node::Traffic;

/// What lasts for good: longer than any deadline of a plan.
const FOR_GOOD: Millis = Millis::from_secs(30 * 24 * 3_600);
/// How long a balancer instance stays down: somebody notices and starts it.
pub(super) const STOPPED: Millis = Millis::from_secs(5 * 60);
/// How long a node takes to boot.
const REBOOT: Millis = Millis::from_secs(90);
/// How long until a person who stands by approves, and until a killed controller is started again.
const PERSON: Millis = Millis::from_secs(60);
const RESTART: Millis = Millis::from_secs(3);
/// Beginnings of a step at which lasting trouble comes; more than any plan allows attempts.
const BEGINNINGS: u32 = 64;

/// Something to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Play {
    /// Nothing goes wrong.
    Quiet,
    /// This goes wrong.
    Mishaps(Vec<Mishap>),
    /// The controller is killed behind this record, and started again.
    Kill {
        /// The record.
        record: u64,
    },
    /// This goes wrong until the rollout ends; then it is repaired, and a person resumes.
    Resumed(Vec<Mishap>),
}

impl Play {
    pub(super) fn into_mishaps(self) -> Vec<Mishap> {
        match self {
            Self::Mishaps(mishaps) | Self::Resumed(mishaps) => mishaps,
            Self::Quiet | Self::Kill { .. } => Vec::new(),
        }
    }

    fn mishaps(&self) -> &[Mishap] {
        match self {
            Self::Mishaps(mishaps) | Self::Resumed(mishaps) => mishaps,
            Self::Quiet | Self::Kill { .. } => &[],
        }
    }

    /// The manual steps that nobody does.
    fn unattended(&self) -> BTreeSet<StepNo> {
        let nobody = self.mishaps().iter().filter(|mishap| mishap.trouble == Trouble::Nobody);
        nobody.map(|mishap| mishap.step).collect()
    }
}

/// A play with everything it left in the journal. Times count from the start of the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The records.
    pub records: Vec<Record>,
    /// The end.
    pub ending: Ending,
}

/// A plan that is ready to be played.
#[derive(Debug)]
pub struct Ground {
    pub(super) plan: Arc<Plan>,
    pub(super) seed: u64,
    /// The steps that undo others.
    pub(super) undo: BTreeSet<StepNo>,
    /// How long steps take, where that is known.
    pub(super) times: BTreeMap<StepNo, Millis>,
    /// When each step is first begun while nothing goes wrong.
    pub(super) begins: BTreeMap<StepNo, Millis>,
    records: u64,
}

impl Ground {
    /// Plays the undisturbed rollout once, to know when what begins.
    #[must_use]
    pub fn new(plan: Arc<Plan>, order: &Order) -> Self {
        let times = super::forecast::times(&plan, &order.measured);
        let begins = BTreeMap::new();
        let (seed, undo) = (order.seed, plan.undo_steps());
        let mut ground = Self { plan, seed, undo, times, begins, records: 0 };
        let (outcome, _) = ground.run(&Play::Quiet);
        ground.begins = begins_of(&outcome.journal);
        ground.records = outcome.journal.len() as u64;
        ground
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Plays.
    #[must_use]
    pub fn play(&self, play: &Play) -> Ending {
        // An assertion that fails in the engine is a finding like every other.
        let played = catch_unwind(AssertUnwindSafe(|| self.run(play)));
        played.map_or_else(|_| panicked(), |(outcome, sight)| self.ending(play, &outcome, &sight))
    }

    /// Plays, and keeps the journal.
    #[must_use]
    pub fn story(&self, play: &Play) -> Story {
        let (outcome, sight) = self.run(play);
        let ending = self.ending(play, &outcome, &sight);
        Story { records: outcome.journal.iter().map(from_the_start).collect(), ending }
    }

    /// When each step is first begun in a play.
    pub(super) fn begins_in(&self, play: &Play) -> BTreeMap<StepNo, Millis> {
        let played = catch_unwind(AssertUnwindSafe(|| self.run(play)));
        played.map_or_else(|_| BTreeMap::new(), |(outcome, _)| begins_of(&outcome.journal))
    }

    fn run(&self, play: &Play) -> (Outcome, Sight) {
        self.run_taking(play, self.plan.clone(), self.times.clone())
    }

    /// Plays the undisturbed rollout of the plan, or of one that has other deadlines, with other
    /// times; answers how long it took and what served.
    pub(super) fn quiet_taking(
        &self,
        plan: Arc<Plan>,
        times: BTreeMap<StepNo, Millis>,
    ) -> (Millis, Vec<Room>) {
        let (outcome, sight) = self.run_taking(&Play::Quiet, plan, times);
        (outcome.took, sight.rooms)
    }

    fn run_taking(
        &self,
        play: &Play,
        plan: Arc<Plan>,
        times: BTreeMap<StepNo, Millis>,
    ) -> (Outcome, Sight) {
        let of = |mishaps: &[Mishap]| mishaps.iter().flat_map(|one| self.faults(one)).collect();
        let mut afterwards = Vec::new();
        let faults = match play {
            Play::Quiet => Vec::new(),
            Play::Mishaps(mishaps) => of(mishaps),
            Play::Resumed(mishaps) => {
                afterwards.push(Ask::For(Request::Resume));
                let (before, _) = self.run(&Play::Mishaps(mishaps.clone()));
                until_the_end(of(mishaps), &before)
            }
            Play::Kill { record } => {
                let what = What::Controller(ControllerTrouble::Killed(RESTART));
                vec![Fault { when: When::Record(*record), what }]
            }
        };
        let setup = Setup {
            faults,
            standing_by: Some(PERSON),
            unattended: play.unattended(),
            afterwards,
            reboots_halve: true,
            times,
            ..Setup::quiet(plan, self.seed)
        };
        let sight = Rc::new(RefCell::new(Sight::default()));
        let outcome = run_watched(&setup, Box::new(Watch::new(sight.clone())));
        (outcome, sight.take())
    }

    fn faults(&self, mishap: &Mishap) -> Vec<Fault> {
        let step = self.plan.step(mishap.step);
        let code = || mishap.code.unwrap_or_else(|| failing_code(step));
        let at_begin = |nth| When::Step { step: mishap.step, nth };
        let each = |what: W| {
            let most = if mishap.lasts { BEGINNINGS } else { 1 };
            (1..=most).map(|nth| Fault { when: at_begin(nth), what: What::Work(what) }).collect()
        };
        // A moment after the step begins; what is tied to it would miss acts the world has no
        // beginning for.
        let soon = When::At(Millis(mishap.at.0 + 2));
        let node = |node: Option<&NodeName>, trouble, span, when| {
            let fault = |node: &NodeName| What::Node(node.clone(), trouble, span);
            node.map(|node| Fault { when, what: fault(node) }).into_iter().collect()
        };
        let balancer = |trouble| {
            let fault = |name: InstanceName| What::Balancer(name, trouble);
            let instance = self.instance_of(step);
            instance
                .map(|name| Fault { when: soon.clone(), what: fault(name) })
                .into_iter()
                .collect()
        };
        let on = match &step.target {
            Target::Node(node) => Some(node),
            Target::Controller => step.subject.node(),
        };
        let begins = match &step.work {
            Work::Run(_) | Work::Upload { .. } | Work::Backup { .. } => at_begin(1),
            Work::Guard { .. }
            | Work::Drain
            | Work::Certify
            | Work::Ready(_)
            | Work::Undrain
            | Work::Serving
            | Work::Soak(_)
            | Work::Http(_)
            | Work::Wait(_)
            | Work::Manual { .. } => soon.clone(),
        };
        match mishap.trouble {
            Trouble::Fail if matches!(step.work, Work::Run(_)) => each(W::Fails(code())),
            Trouble::Fail => each(W::Unproved),
            Trouble::Half => each(W::Half(code())),
            Trouble::Hang => each(W::Hangs),
            Trouble::Lost => vec![Fault { when: at_begin(1), what: What::Work(W::Silent) }],
            Trouble::Reboot => node(on, NodeTrouble::Reboots, REBOOT, begins),
            Trouble::Cut => {
                // Past the deadline of the connection, and of the first question after it.
                let span = Millis(self.plan.policy.reconnect_deadline.0.saturating_mul(2) + 1_000);
                node(on, NodeTrouble::Cut, span, begins)
            }
            // Both read a moment after they begin, and find what every instance knows by then:
            // what came later would be seen or not as the checks of the balancers fall.
            Trouble::Sick => {
                let sick = NodeTrouble::KnownSick;
                node(self.sick_node(mishap), sick, FOR_GOOD, When::At(mishap.at))
            }
            // Sessions are counted when the node leaves traffic, so they are there just before.
            Trouble::Sessions => node(on, NodeTrouble::Lingers, FOR_GOOD, When::At(mishap.at)),
            Trouble::Stopped => balancer(BalancerTrouble::Stopped(STOPPED)),
            Trouble::Reload => balancer(BalancerTrouble::Reload { keeps: false }),
            Trouble::Nobody => Vec::new(),
        }
    }

    /// The node that is sick: another one where a guard looks for room, the step's own otherwise.
    fn sick_node(&self, mishap: &Mishap) -> Option<&NodeName> {
        let step = self.plan.step(mishap.step);
        let of_step = match matches!(step.work, Work::Guard { .. }) {
            true => neighbour(&self.plan, step),
            false => step.subject.node(),
        };
        of_step.filter(|_| mishap.trouble == Trouble::Sick)
    }

    /// Whether each of these steps fails because its node is sick: nothing else than that it
    /// answers is asked there.
    fn is_only_sick(&self, play: &Play, stuck: &[StepNo]) -> bool {
        let sick = play.mishaps().iter().filter_map(|mishap| self.sick_node(mishap));
        let sick: BTreeSet<&NodeName> = sick.collect();
        let is_sick = |no: &StepNo| {
            let step = self.plan.step(*no);
            let asks = matches!(step.work, Work::Ready(_) | Work::Serving);
            asks && step.subject.node().is_some_and(|node| sick.contains(node))
        };
        !stuck.is_empty() && stuck.iter().all(is_sick)
    }

    /// The first balancer instance the step's node stands in.
    fn instance_of(&self, step: &PlannedStep) -> Option<InstanceName> {
        let node = self.plan.fleet.node(step.subject.node()?)?;
        let balancer = self.plan.fleet.balancers.get(&node.members.first()?.balancer)?;
        balancer.instances.first().map(|instance| instance.name.clone())
    }

    fn ending(&self, play: &Play, outcome: &Outcome, sight: &Sight) -> Ending {
        let mut view = RolloutView::new(self.plan.clone());
        for record in &outcome.journal {
            view.apply(record);
        }
        let held = outcome.verdict == Some(Verdict::Held);
        let waits = outcome.journal.iter().rev().find_map(|record| {
            let Event::HoldStarted { cause } = &record.event else { return None };
            Some(describe::hold(&self.plan, cause))
        });
        let name = format!(" {}", view.id_text());
        let next = next_commands(&view).into_iter();
        let broken = outcome.violations.iter();
        let mut rest = sight.rest.clone();
        rest.out = self.out(&view, &rest.out);
        let stuck = stuck_steps(&view);
        Ending {
            verdict: outcome.verdict.clone(),
            exit: outcome.verdict.as_ref().map_or(exit::FATAL_ERROR, Verdict::exit_code),
            took: outcome.took,
            waits_for: waits.filter(|_| held),
            next: next.map(|line| line.replace(&name, " ID")).collect(),
            rest,
            undid: begins_of(&outcome.journal)
                .into_keys()
                .filter(|no| self.undo.contains(no))
                .collect(),
            only_sick: self.is_only_sick(play, &stuck),
            stuck,
            cut: outcome.journal.iter().map(cut).sum(),
            defects: broken
                .map(|broken| Defect { law: broken.checker.into(), what: broken.what.clone() })
                .collect(),
        }
    }

    /// The nodes that are out: those that are held out, and those that zdu has not seen back. An
    /// instance that is down may come up again with the node in traffic, but nobody knows that
    /// before it was read, and zdu names the node until then.
    fn out(&self, view: &RolloutView, held_out: &[NodeName]) -> Vec<NodeName> {
        let unseen = view
            .nodes()
            .filter(|node| !node.members.is_empty() && node.traffic != Traffic::Serving);
        let mut out: BTreeSet<&NodeName> = unseen.map(|node| &node.name).collect();
        out.extend(held_out);
        let nodes = self.plan.fleet.nodes().map(|node| &node.name);
        nodes.filter(|name| out.contains(name)).cloned().collect()
    }
}

/// The compensations a rollout is stuck at.
fn stuck_steps(view: &RolloutView) -> Vec<StepNo> {
    if !matches!(view.verdict(), Some(Verdict::Stuck { .. })) {
        return Vec::new();
    }
    let of_nodes = view.nodes().filter_map(|node| node.stuck.as_ref());
    of_nodes.chain(&view.history().stuck).map(|stuck| stuck.step).collect()
}

fn begins_of(journal: &[Record]) -> BTreeMap<StepNo, Millis> {
    let mut begins = BTreeMap::new();
    for record in journal {
        if let Event::StepStarted { step, .. } = record.event {
            begins.entry(step).or_insert_with(|| record.at.since(BEGIN));
        }
    }
    begins
}

/// How long behind the end a cause is repaired, in milliseconds; a person resumes later than that.
const BEHIND_THE_END: u64 = 1_000;

/// The faults as they are when their cause is repaired behind the end of that rollout.
fn until_the_end(faults: Vec<Fault>, before: &Outcome) -> Vec<Fault> {
    let begun = |of: StepNo, nth: u32| {
        let mut begins = before.journal.iter().filter_map(|record| {
            let Event::StepStarted { step, .. } = record.event else { return None };
            (step == of).then(|| Millis(record.at.since(BEGIN).0))
        });
        begins.nth(usize::try_from(nth).ok()?.checked_sub(1)?)
    };
    let mended = faults.into_iter().filter_map(|Fault { when, what }| {
        let from = match &when {
            When::At(from) => Some(*from),
            When::Step { step, nth } => begun(*step, *nth),
            When::Record(_) => None,
        };
        let left = |span: Millis| {
            let left = before.took.0.saturating_sub(from.map_or(0, |from| from.0));
            span.min(Millis(left + BEHIND_THE_END))
        };
        let what = match what {
            What::Work(what) => from.map(|_| What::Work(what))?,
            What::Node(node, trouble, span) => What::Node(node, trouble, left(span)),
            What::Balancer(name, BalancerTrouble::Stopped(span)) => {
                What::Balancer(name, BalancerTrouble::Stopped(left(span)))
            }
            what @ (What::Balancer(..) | What::Controller(_) | What::Disk(_) | What::Person(_)) => {
                what
            }
        };
        Some(Fault { when, what })
    });
    mended.collect()
}

/// Sessions that were cut or left behind in one drain.
fn cut(record: &Record) -> u64 {
    let Event::StepEnded { report, .. } = &record.event else { return 0 };
    let Evidence::Drain(drain) = &report.evidence else { return 0 };
    drain.cut + drain.left
}

/// An exit code the step's contract calls a failure.
fn failing_code(step: &PlannedStep) -> i32 {
    let fails = |code: &i32| step.contract.classify(&End::Exited(*code), &[]) == Class::Failed;
    (1..=255).find(fails).unwrap_or(1)
}

/// A record with its moments counted from the start of the rollout.
fn from_the_start(record: &Record) -> Record {
    let shift = |at: Timestamp| Timestamp(at.since(BEGIN).0);
    let mut record = record.clone();
    record.at = shift(record.at);
    if let Event::StepScheduled { at, .. } = &mut record.event {
        *at = shift(*at);
    }
    record
}

fn panicked() -> Ending {
    let what = "an assertion failed; its words stand on standard error".into();
    Ending {
        verdict: None,
        exit: exit::FATAL_ERROR,
        took: Millis(0),
        waits_for: None,
        next: Vec::new(),
        rest: super::found::Rest::default(),
        undid: Vec::new(),
        stuck: Vec::new(),
        only_sick: false,
        cut: 0,
        defects: vec![Defect { law: "panics".into(), what }],
    }
}
