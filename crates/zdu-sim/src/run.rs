//! One rollout from its seed to its end: the world, the controllers that come and go, and the
//! people around them, moved by one agenda.

use crate::agenda::Agenda;
use crate::checkers::{self, Checker};
use crate::dice::Dice;
use crate::fault::{Ask, Fault, When};
use crate::hands::{Before, Key};
use crate::layout::{Layout, Place};
use crate::plant::{Plant, unheard};
use crate::process::Process;
use crate::seen::{Scene, Seen, Violation};
use crate::store::{Death, Disk};
use crate::trace::Trace;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zdu_conductor::Input;
use zdu_conductor::refused::Refusals;
use zdu_model::event::{Event, Record};
use zdu_model::ids::{Epoch, InstanceName, NodeName, StepNo};
use zdu_model::plan::{Plan, Work};
use zdu_model::report::Held;
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;
use zdu_view::fold::RolloutView;

/// When every run begins.
pub(crate) const BEGIN: Timestamp = Timestamp(1_000_000_000_000);

/// Things that may happen in one run; far above what the largest fleet needs, so that a run that
/// goes round in circles ends with a sentence.
const HAPPENINGS_MAX: u64 = 5_000_000;

/// What a run is made from. The same setup gives the same run, byte for byte.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Where all randomness comes from.
    pub seed: u64,
    /// What goes wrong, and what people ask for.
    pub faults: Vec<Fault>,
    /// How many of a hundred entries are found in an odd state (drained, in maintenance, another
    /// weight).
    pub oddly_found: u64,
    /// Entries that are found in a state of their own, whatever the seed says.
    pub found: Vec<Found>,
    /// What a person does each time the rollout has ended otherwise than well; when there is
    /// nothing left it stays as it is.
    pub afterwards: Vec<Ask>,
    /// A person who stands by approves what the plan asks a person for (manual steps, points of no
    /// return) after so long; nobody does when absent.
    pub standing_by: Option<Millis>,
    /// Manual steps that nobody does all the same.
    pub unattended: BTreeSet<StepNo>,
    /// A reboot leaves what ran half done; it may leave anything when this is not set.
    pub reboots_halve: bool,
    /// How long each step takes where that is known; a random time otherwise.
    pub times: BTreeMap<StepNo, Millis>,
    /// What is broken on purpose.
    pub plant: Option<Plant>,
}

impl Setup {
    /// A run of this plan in which nothing goes wrong.
    #[must_use]
    pub fn quiet(plan: Arc<Plan>, seed: u64) -> Self {
        Self {
            plan,
            seed,
            faults: Vec::new(),
            oddly_found: 0,
            found: Vec::new(),
            afterwards: Vec::new(),
            standing_by: None,
            unattended: BTreeSet::new(),
            reboots_halve: false,
            times: BTreeMap::new(),
            plant: None,
        }
    }
}

/// A node's entries on one balancer instance, as they are when the rollout begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The node.
    pub node: NodeName,
    /// The instance.
    pub instance: InstanceName,
    /// How they are held.
    pub held: Held,
    /// Their weight; 100 is configured.
    pub weight: u32,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the rollout ended the last time; none when no controller ever came to an end.
    pub verdict: Option<Verdict>,
    /// The laws that were broken.
    pub violations: Vec<Violation>,
    /// From the start to the last end.
    pub took: Millis,
    /// What happened how often.
    pub counts: Counts,
    /// The entries that are not ready with their configured weight at the end.
    pub entries: Vec<Found>,
    /// The journal.
    pub journal: Vec<Record>,
    /// A digest of everything that happened, for the same seed twice.
    pub digest: u64,
    /// Everything that happened, a line each, when it was asked for.
    pub lines: Vec<String>,
}

/// What happened how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Faults that came.
    pub faults: u64,
    /// Controllers that were killed.
    pub crashes: u64,
    /// Controllers that took the rollout over.
    pub takeovers: u64,
    /// Compensations that began.
    pub unwinds: u64,
    /// Requests of people.
    pub requests: u64,
    /// Records.
    pub records: u64,
}

/// What can happen.
pub(crate) enum Happening {
    /// A fault that is tied to a time, or was put off.
    Fault(usize),
    /// Something reaches a controller's loop.
    Heard { process: usize, input: Box<Input> },
    /// A controller's wake.
    Wake { process: usize, number: u64 },
    /// A lease is to be renewed.
    Renew { process: usize },
    /// A look at a task.
    Look { process: usize, key: Key, look: u64 },
    /// A hand reaches an entry.
    Touch { process: usize, key: Key, before: Before },
    /// A keeper looks at an instance.
    Keep { process: usize, instance: usize },
    /// A command comes to its end.
    ExecutionEnds { place: Place, key: Key },
    /// A health check.
    Check { slot: usize },
    /// What a node answers may have changed.
    Recheck { node: Place },
    /// An instance may be reached again.
    Back { instance: usize },
    /// There is room on the disk again.
    Room,
    /// A person who stands by approves a step.
    Approve { process: usize, step: StepNo },
    /// Somebody starts a controller.
    Start { ask: Option<Ask>, force: bool },
}

impl Happening {
    fn process(&self) -> Option<usize> {
        match self {
            Self::Heard { process, .. }
            | Self::Wake { process, .. }
            | Self::Renew { process }
            | Self::Look { process, .. }
            | Self::Touch { process, .. }
            | Self::Approve { process, .. }
            | Self::Keep { process, .. } => Some(*process),
            Self::Fault(_)
            | Self::ExecutionEnds { .. }
            | Self::Check { .. }
            | Self::Recheck { .. }
            | Self::Back { .. }
            | Self::Room
            | Self::Start { .. } => None,
        }
    }
}

/// A run under way.
pub(crate) struct Run {
    pub(crate) layout: Arc<Layout>,
    pub(crate) world: World,
    pub(crate) agenda: Agenda<Happening>,
    pub(crate) disk: Disk,
    pub(crate) processes: Vec<Process>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) dice: Dice,
    seed: u64,
    /// When somebody starts a controller again that dies while it writes a record.
    pub(crate) revived: BTreeMap<u64, Millis>,
    /// What a person asks for at this moment, and how many records were durable before.
    pub(crate) asking: Option<(Ask, usize)>,
    pub(crate) plant: Option<Plant>,
    pub(crate) counts: Counts,
    pub(crate) afterwards: std::vec::IntoIter<Ask>,
    pub(crate) standing_by: Option<Millis>,
    pub(crate) unattended: BTreeSet<StepNo>,
    pub(crate) reboots_halve: bool,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) ended_at: Timestamp,
    /// The releases that are refused.
    pub(crate) refusals: Refusals,
    pub(crate) starts_due: u32,
    /// Durable records the checkers were told of.
    pub(crate) journal: Vec<Record>,
    /// What the views make of them.
    view: RolloutView,
    times: BTreeMap<StepNo, Millis>,
    checkers: Vec<Box<dyn Checker>>,
    pub(crate) violations: Vec<Violation>,
    trace: Trace,
}

/// Plays one run.
#[must_use]
pub fn run(setup: &Setup) -> Outcome {
    play(setup, Trace::digest(), checkers::all())
}

/// Plays one run and keeps a line for everything that happens.
#[must_use]
pub fn run_traced(setup: &Setup) -> Outcome {
    play(setup, Trace::lines(), checkers::all())
}

/// Plays one run that somebody else watches as well.
pub(crate) fn run_watched(setup: &Setup, watch: Box<dyn Checker>) -> Outcome {
    let mut all = checkers::all();
    all.push(watch);
    play(setup, Trace::digest(), all)
}

/// Plays one run and keeps its story: what a person who watched would tell, in few lines.
#[must_use]
pub fn run_told(setup: &Setup) -> Outcome {
    play(setup, Trace::story(), checkers::all())
}

fn play(setup: &Setup, trace: Trace, checkers: Vec<Box<dyn Checker>>) -> Outcome {
    let mut run = Run::new(setup, trace, checkers);
    run.go();
    run.finish()
}

/// Plays one run whose controller dies while it writes this record, and hands over what is left.
pub(crate) fn play_cut(setup: &Setup, cut: Option<(u64, Death)>) -> Run {
    let mut run = Run::new(setup, Trace::digest(), checkers::all());
    if let Some((record, death)) = cut {
        run.disk.die_at(record, death);
    }
    run.go();
    run.tell(&Seen::Over);
    run
}

impl Run {
    fn new(setup: &Setup, trace: Trace, checkers: Vec<Box<dyn Checker>>) -> Self {
        let mut run = Self::at_the_start(setup, trace, checkers);
        run.world.find(&setup.found);
        run.plan_faults();
        run.start_soon(Millis(0), None, false);
        run
    }

    fn at_the_start(setup: &Setup, trace: Trace, checkers: Vec<Box<dyn Checker>>) -> Self {
        let layout = Arc::new(Layout::of(setup.plan.clone()));
        Self {
            world: World::new(layout.clone(), setup.seed, setup.oddly_found),
            view: RolloutView::new(layout.plan.clone()),
            layout,
            agenda: Agenda::starting(BEGIN),
            disk: Disk::new(),
            processes: Vec::new(),
            faults: setup.faults.clone(),
            dice: Dice::of(setup.seed, "world", 0),
            seed: setup.seed,
            revived: BTreeMap::new(),
            asking: None,
            plant: setup.plant,
            counts: Counts::default(),
            afterwards: setup.afterwards.clone().into_iter(),
            standing_by: setup.standing_by,
            unattended: setup.unattended.clone(),
            reboots_halve: setup.reboots_halve,
            verdict: None,
            ended_at: BEGIN,
            refusals: Refusals::default(),
            starts_due: 0,
            journal: Vec::new(),
            times: setup.times.clone(),
            checkers,
            violations: Vec::new(),
            trace,
        }
    }

    fn go(&mut self) {
        for _ in 0..HAPPENINGS_MAX {
            let Some(happening) = self.agenda.next() else { return };
            if let Some(process) = happening.process() {
                let paused = self.processes[process].paused_until;
                if !self.processes[process].alive {
                    continue;
                }
                if paused > self.agenda.now() {
                    self.agenda.at(paused, happening);
                    continue;
                }
            }
            self.happen(happening);
            if self.is_over() {
                return;
            }
        }
        self.violate("waits", "the run goes round in circles".into());
    }

    /// Nothing is left that could move the rollout: every other happening is only the world's.
    fn is_over(&self) -> bool {
        self.starts_due == 0 && self.processes.iter().all(|process| !process.alive)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Fault(at) => self.fault(at),
            Happening::Heard { process, input } => self.heard(process, *input),
            Happening::Wake { process, number } => self.wake(process, number),
            Happening::Renew { process } => self.renew(process),
            Happening::Look { process, key, look } => {
                let task = self.processes[process].hands.tasks.get(&key);
                if task.is_some_and(|task| task.look == look) {
                    self.look(process, key);
                }
            }
            Happening::Touch { process, key, before } => self.touch(process, key, before),
            Happening::Keep { process, instance } => self.keep(process, instance),
            Happening::ExecutionEnds { place, key } => self.execution_ends(place, key),
            Happening::Check { slot } => self.check(slot),
            Happening::Recheck { node } => self.health_changed(node),
            Happening::Back { instance } => self.back(instance),
            Happening::Room => self.disk.set_full(false),
            Happening::Approve { process, step } => self.approve(process, step),
            Happening::Start { ask, force } => {
                self.starts_due -= 1;
                self.start(ask, force);
            }
        }
    }

    /// Somebody will start a controller.
    pub(crate) fn start_soon(&mut self, pause: Millis, ask: Option<Ask>, force: bool) {
        self.starts_due += 1;
        let at = self.agenda.now().after(pause);
        self.agenda.at(at, Happening::Start { ask, force });
    }

    fn plan_faults(&mut self) {
        for at in 0..self.faults.len() {
            let Fault { when, what } = self.faults[at].clone();
            match when {
                When::At(after) => self.agenda.at(BEGIN.after(after), Happening::Fault(at)),
                When::Record(record) => self.arm(record, &what),
                When::Step { .. } => {}
            }
        }
    }

    /// How long a step takes, where that is known.
    pub(crate) fn times(&self, step: StepNo) -> Option<Millis> {
        self.times.get(&step).copied()
    }

    /// Randomness for the nth beginning of one step's work, the same however the run went before:
    /// a crash, or a fault that was left out, changes nothing else.
    pub(crate) fn dice_of(&self, purpose: &str, step: StepNo, nth: u32) -> Dice {
        let planned = self.layout.plan.step(step);
        let subject = planned.subject.node().map_or("", NodeName::as_str);
        let purpose = format!("{purpose} {subject} {}", planned.key);
        Dice::of(self.seed, &purpose, u64::from(nth))
    }

    /// Tells the checkers and the trace.
    pub(crate) fn tell(&mut self, seen: &Seen<'_>) {
        self.trace.take(&self.layout, self.agenda.now(), seen);
        let disk = self.disk.clone();
        let scene = Scene {
            world: &self.world,
            layout: &self.layout,
            journal: &self.journal,
            view: &self.view,
            bytes: &|| disk.bytes(),
            now: self.agenda.now(),
        };
        let mut found = Vec::new();
        for checker in &mut self.checkers {
            if let Some(what) = checker.saw(&scene, seen) {
                found.push((checker.name(), what));
            }
        }
        for (checker, what) in found {
            self.violate(checker, what);
        }
    }

    pub(crate) fn violate(&mut self, checker: &'static str, what: String) {
        // The first of each kind says it; what follows from it is noise.
        if self.violations.iter().all(|known| known.checker != checker) {
            self.violations.push(Violation { checker, what, at: self.agenda.now() });
        }
    }

    /// Tells what became durable since the last time, and what a person did with their own hands.
    pub(crate) fn tell_durable(&mut self) {
        let records = self.disk.log_from(self.journal.len());
        if records.is_empty() {
            return;
        }
        for record in records.iter().filter(|record| !unheard(self.plant, &record.event)) {
            self.view.apply(record);
        }
        self.journal.extend(records.iter().cloned());
        self.counts.records += records.len() as u64;
        self.tell(&Seen::Durable(&records));
        for record in &records {
            self.count(record);
        }
    }

    fn count(&mut self, record: &Record) {
        let event = &record.event;
        self.counts.unwinds += u64::from(matches!(event, Event::UnwindStarted { .. }));
        self.counts.requests += u64::from(matches!(event, Event::Requested { .. }));
        if let Event::ControllerStarted { epoch, .. } = event {
            self.counts.takeovers += u64::from(*epoch > Epoch(1));
        }
        if let Event::StepStarted { step, attempt } = event
            && self.is_manual(*step)
        {
            let (step, attempt, epoch) = (*step, *attempt, record.epoch);
            self.tell(&Seen::Began { step, attempt, epoch });
            self.set_mark(step, crate::world::node::Mark::Half);
            self.comes_with((step, attempt));
        }
        if let Event::StepEnded { step, class, .. } = event
            && self.is_manual(*step)
            && class.passes()
        {
            self.set_mark(*step, crate::world::node::Mark::Done);
        }
    }

    fn is_manual(&self, step: StepNo) -> bool {
        matches!(self.layout.plan.step(step).work, Work::Manual { .. })
    }

    fn finish(mut self) -> Outcome {
        self.ask_for_another();
        self.tell(&Seen::Over);
        let digest = self.trace.sum();
        Outcome {
            verdict: self.verdict,
            violations: self.violations,
            took: self.ended_at.since(BEGIN),
            counts: self.counts,
            entries: self.world.left(),
            journal: self.journal,
            digest,
            lines: self.trace.into_lines(),
        }
    }
}
