//! What the work of a step does to the world, with the faults that come with it.

use super::Key;
use crate::fault::{What, When, Work as Wrong};
use crate::layout::Place;
use crate::plant::Plant;
use crate::run::{Happening, Run};
use crate::seen::Seen;
use crate::world::node::{Execution, Fate, Mark};
use zdu_model::ids::StepNo;
use zdu_model::time::{Millis, Timestamp};

/// The longest a command takes, unless a fault slows it.
const LONGEST: u64 = 20_000;
/// The longest a service takes from its start to its first answer.
const STARTUP: u64 = 8_000;

/// Whether something can be wrong with the work of a step itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrongs {
    Matter,
    MeanNothing,
}

impl Run {
    /// Begins a command on a node.
    pub(super) fn execute(&mut self, process: usize, key: Key, place: Place) {
        let now = self.agenda.now();
        let deadline = self.layout.plan.step(key.0).deadline.0;
        let before = self.mark_of_step(key.0);
        let wrong = self.begin_work(process, key, place);
        let nth = self.world.nodes[place].begun.get(&key.0).copied().unwrap_or_default();
        let usual = self.times(key.0).unwrap_or_else(|| {
            let longest = (deadline / 3).min(LONGEST);
            self.dice_of("takes", key.0, nth).span(20.min(longest), longest)
        });
        let ok = (Mark::Done, Fate::Exited(0));
        let (result, takes) = match wrong {
            None => (ok, Some(usual)),
            Some(Wrong::Fails(code)) => ((before, Fate::Exited(code)), Some(usual)),
            Some(Wrong::Half(code)) => ((Mark::Half, Fate::Exited(code)), Some(usual)),
            Some(Wrong::Unproved) => ((Mark::Done, Fate::Exited(1)), Some(usual)),
            Some(Wrong::Silent) => ((Mark::Done, Fate::Unsupervised), Some(usual)),
            Some(Wrong::Slow(times)) => {
                (ok, Some(Millis(usual.0.saturating_mul(u64::from(times)))))
            }
            Some(Wrong::Hangs) => (ok, None),
        };
        let execution = Execution { fate: Fate::Running, began: now, result, before };
        self.world.nodes[place].executions.insert(key, execution);
        if let Some(takes) = takes {
            self.agenda.at(now.after(takes), Happening::ExecutionEnds { place, key });
        }
    }

    /// The work of a step begins: it is half done from here, and what a fault ties to it comes.
    pub(super) fn begin_work(&mut self, process: usize, key: Key, place: Place) -> Option<Wrong> {
        let (step, attempt) = key;
        let epoch = self.processes[process].epoch;
        self.tell(&Seen::Began { step, attempt, epoch });
        let begun = self.world.nodes[place].begun.entry(step).or_default();
        *begun += 1;
        let nth = *begun;
        self.set_mark(step, Mark::Half);
        self.faults_of(step, nth, Wrongs::Matter)
    }

    /// An act that has no work of its own begins, and what a fault ties to it comes.
    pub(crate) fn comes_with(&mut self, key: Key) {
        let place = self.layout.step(key.0).target;
        let begun = self.world.nodes[place].begun.entry(key.0).or_default();
        *begun += 1;
        let nth = *begun;
        self.faults_of(key.0, nth, Wrongs::MeanNothing);
    }

    /// The faults that come with a step's nth beginning: what is wrong with its work is answered,
    /// the others happen a moment later, while it runs.
    fn faults_of(&mut self, step: StepNo, nth: u32, wrongs: Wrongs) -> Option<Wrong> {
        let mut wrong = None;
        let now = self.agenda.now();
        for at in 0..self.faults.len() {
            if self.faults[at].when != (When::Step { step, nth }) {
                continue;
            }
            if let What::Work(kind) = &self.faults[at].what {
                if wrongs == Wrongs::MeanNothing {
                    continue;
                }
                wrong = Some(*kind);
                self.counts.faults += 1;
                let what = self.faults[at].what.clone();
                self.tell(&Seen::Trouble(&what));
            } else {
                let soon = now.after(self.dice.span(0, 400));
                self.agenda.at(soon, Happening::Fault(at));
            }
        }
        wrong
    }

    /// What is wrong with a reading act, each time it is begun.
    pub(super) fn wrong_with(&mut self, key: Key) -> Option<Wrong> {
        let place = self.layout.step(key.0).target;
        let begun = self.world.nodes[place].begun.entry(key.0).or_default();
        *begun += 1;
        let nth = *begun;
        self.faults_of(key.0, nth, Wrongs::Matter)
    }

    pub(super) fn end_work(&mut self, key: Key, mark: Mark) {
        let (step, attempt) = key;
        self.set_mark(step, mark);
        self.tell(&Seen::Ended { step, attempt });
    }

    /// A command comes to its end by itself.
    pub(crate) fn execution_ends(&mut self, place: Place, key: Key) {
        let Some(execution) = self.world.nodes[place].executions.get(&key) else { return };
        if execution.fate == Fate::Running {
            let (mark, fate) = execution.result;
            self.finish_execution(place, key, mark, fate);
        }
    }

    pub(super) fn finish_execution(&mut self, place: Place, key: Key, mark: Mark, fate: Fate) {
        if let Some(execution) = self.world.nodes[place].executions.get_mut(&key) {
            execution.fate = fate;
        }
        self.end_work(key, mark);
        self.poke(key);
    }

    /// Whoever watches this command looks at it now.
    pub(crate) fn poke(&mut self, key: Key) {
        let now = self.agenda.now();
        for process in 0..self.processes.len() {
            if self.processes[process].alive
                && self.processes[process].hands.tasks.contains_key(&key)
            {
                let latency = self.processes[process].hands.dice.span(1, 5);
                self.look_again(process, key, now.after(latency));
            }
        }
    }

    /// The planted fault that takes a node's newest change back as it returns to traffic.
    pub(super) fn fall_back(&mut self, slot: usize) {
        let node = self.layout.slots[slot].node;
        if self.plant == Some(Plant::NodeFallsBack)
            && let Some(newest) = self.world.nodes[node].marks().keys().next_back().copied()
        {
            self.world.set_mark(node, newest, Mark::Untouched);
        }
    }

    /// How far a step's work is done; for an undo in terms of itself.
    pub(super) fn mark_of_step(&self, step: StepNo) -> Mark {
        let at = self.layout.step(step);
        let owner = at.node.unwrap_or(at.target);
        match at.undoes {
            None => self.world.mark_of(owner, step),
            Some(undone) => match self.world.mark_of(owner, undone) {
                Mark::Untouched => Mark::Done,
                Mark::Half => Mark::Half,
                Mark::Done => Mark::Untouched,
            },
        }
    }

    /// Moves a node: a step's own mark, or for an undo the mark of what it undoes.
    pub(crate) fn set_mark(&mut self, step: StepNo, mark: Mark) {
        let at = self.layout.step(step).clone();
        if !at.changes {
            return;
        }
        let owner = at.node.unwrap_or(at.target);
        let (marked, mark) = match at.undoes {
            None => (step, mark),
            Some(undone) => (undone, undone_mark(mark, at.completes_undo)),
        };
        let was = self.world.is_between(owner);
        self.world.set_mark(owner, marked, mark);
        if owner >= self.layout.controller() {
            return;
        }
        if was && !self.world.is_between(owner) {
            // What was started answers after a while.
            let now: Timestamp = self.agenda.now();
            let nth = self.world.nodes[at.target].begun.get(&step).copied().unwrap_or_default();
            let startup = self.dice_of("starts", step, nth).span(20, STARTUP);
            self.world.nodes[owner].ready_at = now.after(startup);
        }
        self.health_changed(owner);
    }
}

/// What an undo's progress means for what it undoes.
fn undone_mark(of_undo: Mark, completes: bool) -> Mark {
    match of_undo {
        Mark::Done if completes => Mark::Untouched,
        Mark::Untouched => Mark::Done,
        Mark::Done | Mark::Half => Mark::Half,
    }
}
