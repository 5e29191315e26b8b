//! The drivers of one controller in the simulated world: the same acts as the real ones, with the
//! same deadlines and the same words for endings, on virtual time.

mod command;
mod keeper;
mod probe;
mod traffic;
mod work;

pub(crate) use command::CAPTURED_SECRET;

use crate::dice::Dice;
use crate::layout::Place;
use crate::run::{Happening, Run};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::effect::Effect;
use zdu_model::ids::{Attempt, StepNo};
use zdu_model::news::Known;
use zdu_model::plan::{Plan, PlannedStep, Work};
use zdu_model::reach::Reach;
use zdu_model::report::{End, Held, Report};
use zdu_model::time::{Millis, Timestamp};

/// A step's attempt.
pub(crate) type Key = (StepNo, Attempt);

/// How an entry was before the node was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) slot: usize,
    pub(crate) held: Held,
    pub(crate) weight: u32,
}

impl Before {
    /// Maintenance stays maintenance, because draining would end it.
    pub(crate) fn while_out(self) -> Held {
        match self.held {
            Held::Ready | Held::Drain => Held::Drain,
            Held::Maint => Held::Maint,
        }
    }
}

/// How an effect is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Run,
    Recover,
    Observe,
}

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing was done yet.
    Fresh,
    /// Waits for the node to be reached, since then.
    Connecting(Timestamp),
    /// A command runs; the connection was lost then.
    Watching(Option<Timestamp>),
    /// Hands are on their way to so many entries; what was refused.
    Touching(usize, Vec<String>),
    /// So many quiet samples in a row; sessions that were cut, once they were.
    Sampling(u32, Option<u64>),
    /// Holds from then on.
    Holding(Timestamp),
}

/// One effect under way.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) mode: Mode,
    pub(crate) begun: Timestamp,
    /// When it gives up.
    pub(crate) until: Timestamp,
    pub(crate) phase: Phase,
    /// What its process had heard of what unsettles the node's drain, and of its own stillness,
    /// when it was released.
    pub(crate) known: Known,
    /// How far its hands have come.
    pub(crate) reach: Reach,
    /// What the keeper held out before its hands were on their way.
    pub(crate) released: Vec<usize>,
    /// Only the newest planned look counts.
    pub(crate) look: u64,
}

/// What a look at a task comes to.
pub(crate) enum Next {
    Answer(Report),
    /// Look again then.
    Look(Timestamp),
    /// Something else will look.
    Wait,
}

impl Next {
    fn end(end: End) -> Self {
        Self::Answer(Report::bare(end))
    }
}

/// The drivers of one controller.
#[derive(Debug)]
pub(crate) struct Hands {
    pub(crate) tasks: BTreeMap<Key, Task>,
    pub(crate) befores: BTreeMap<Place, Vec<Before>>,
    /// Nodes taken out and not yet taken back by every instance.
    pub(crate) held: BTreeSet<Place>,
    /// Those of them that a drain under way may turn out never to have taken out.
    pub(crate) newly_held: BTreeSet<Place>,
    /// Entries the keeper holds out.
    pub(crate) kept: BTreeSet<usize>,
    /// Instances the keeper knows to be silent.
    pub(crate) silent: BTreeSet<usize>,
    pub(crate) dice: Dice,
}

impl Hands {
    pub(crate) fn new(dice: Dice) -> Self {
        Self {
            tasks: BTreeMap::new(),
            befores: BTreeMap::new(),
            held: BTreeSet::new(),
            newly_held: BTreeSet::new(),
            kept: BTreeSet::new(),
            silent: BTreeSet::new(),
            dice,
        }
    }
}

impl Run {
    /// Begins to answer an effect.
    pub(crate) fn take_effect(&mut self, process: usize, effect: Effect) {
        match effect {
            Effect::Run { step, attempt } => self.begin_task(process, (step, attempt), Mode::Run),
            Effect::Recover { step, attempt } => {
                self.begin_task(process, (step, attempt), Mode::Recover);
            }
            Effect::Observe { step, attempt } => {
                self.begin_task(process, (step, attempt), Mode::Observe);
            }
            Effect::Cancel { step, attempt } => {
                self.processes[process].hands.tasks.remove(&(step, attempt));
                let report = Report::bare(End::NotMet("cancelled".into()));
                self.answer(process, (step, attempt), report);
            }
            Effect::KeepOut { node } => {
                if let Some(place) = self.layout.places.get(&node).copied() {
                    self.keep_out(process, place);
                }
            }
        }
    }

    fn begin_task(&mut self, process: usize, key: Key, mode: Mode) {
        let now = self.agenda.now();
        let plan = self.layout.plan.clone();
        let known = self.processes[process].news.known(plan.step(key.0).subject.node());
        let until = now.after(limit(&plan, plan.step(key.0), mode));
        let (phase, reach, released) = (Phase::Fresh, Reach::Nowhere, Vec::new());
        let task = Task { mode, begun: now, until, phase, known, reach, released, look: 0 };
        // A command takes its time on its node; everything else is looked at when it is over.
        let takes = self.times(key.0).filter(|_| mode == Mode::Run);
        let takes = takes.filter(|_| !matches!(plan.step(key.0).work, Work::Run(_)));
        let hands = &mut self.processes[process].hands;
        hands.tasks.insert(key, task);
        let latency = hands.dice.span(1, 8);
        let latency = Millis(takes.map_or(0, |takes| takes.0).max(latency.0));
        self.look_again(process, key, now.after(latency));
    }

    /// Plans the next look at a task; an earlier plan no longer counts.
    pub(crate) fn look_again(&mut self, process: usize, key: Key, at: Timestamp) {
        if let Some(task) = self.processes[process].hands.tasks.get_mut(&key) {
            task.look += 1;
            let look = task.look;
            self.agenda.at(at, Happening::Look { process, key, look });
        }
    }

    /// A planned look at a task has come.
    pub(crate) fn look(&mut self, process: usize, key: Key) {
        let Some(task) = self.processes[process].hands.tasks.get(&key).cloned() else { return };
        match self.work(process, key, task) {
            Next::Answer(report) => {
                self.processes[process].hands.tasks.remove(&key);
                self.answer(process, key, report);
            }
            Next::Look(at) => {
                let later = self.agenda.now().after(Millis(1));
                self.look_again(process, key, at.max(later));
            }
            Next::Wait => {}
        }
    }

    fn work(&mut self, process: usize, key: Key, task: Task) -> Next {
        let plan = self.layout.plan.clone();
        let planned = plan.step(key.0);
        let node = self.layout.step(key.0).node;
        if task.mode == Mode::Observe {
            return self.observe(process, key, &task);
        }
        if is_about_balancers(&planned.work) && task.phase == Phase::Fresh {
            self.comes_with(key);
        }
        match (&planned.work, node) {
            (Work::Guard { group }, Some(node)) => self.guard(process, group, node),
            (Work::Drain, Some(node)) => self.drain(process, key, &task, node),
            (Work::Certify, Some(node)) => self.certify(process, key, &task, node),
            (Work::Undrain, Some(node)) => self.undrain(process, key, &task, node),
            (Work::Serving, Some(node)) => self.serving(process, key, &task, node),
            (Work::Ready(_), _) => self.ready(process, key, &task),
            (Work::Wait(_), _) => self.wait(process, key, &task),
            (Work::Run(_), _) => self.command(process, key, &task),
            (Work::Http(_), _) if task.mode == Mode::Recover => {
                Next::end(End::Lost("the controller ended before the answer came".into()))
            }
            (Work::Http(_) | Work::Upload { .. } | Work::Backup { .. }, _) => {
                self.transfer(process, key, &task)
            }
            (Work::Soak(_) | Work::Manual { .. }, _) => {
                Next::end(End::Refused("the engine does this itself".into()))
            }
            (
                Work::Guard { .. } | Work::Drain | Work::Certify | Work::Undrain | Work::Serving,
                None,
            ) => Next::end(End::Refused("this act needs a node".into())),
        }
    }

    /// Whether a task may still begin.
    pub(super) fn may_begin(&self, process: usize, key: Key, task: &Task) -> bool {
        let planned = self.layout.plan.step(key.0);
        let watched = task.known.watched(self.gaps(process));
        let news = &self.processes[process].news;
        planned.may_begin(watched, watched && news.holds(planned.subject.node(), task.known))
    }

    /// Sends an answer to the controller's loop.
    pub(crate) fn answer(&mut self, process: usize, key: Key, report: Report) {
        let (step, attempt) = key;
        let input = zdu_conductor::Input::Report { step, attempt, report };
        let latency = self.processes[process].hands.dice.span(0, 3);
        let at = self.agenda.now().after(latency);
        self.processes[process].answers_due += 1;
        self.agenda.at(at, Happening::Heard { process, input: Box::new(input) });
    }
}

fn is_about_balancers(work: &Work) -> bool {
    matches!(work, Work::Guard { .. } | Work::Drain | Work::Certify | Work::Undrain | Work::Serving)
}

/// How long a task may take before it answers by itself.
fn limit(plan: &Plan, step: &PlannedStep, mode: Mode) -> Millis {
    match mode {
        Mode::Run | Mode::Recover => step.deadline,
        Mode::Observe => plan.policy.reconnect_deadline,
    }
}
