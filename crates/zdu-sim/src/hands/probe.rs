//! Readiness, waits, and what is sent or copied: acts that are read or repeated without harm.

use super::{Key, Next, Phase, Task};
use crate::fault::Work as Wrong;
use crate::run::Run;
use crate::world::Standing;
use crate::world::node::Mark;
use zdu_model::plan::Work;
use zdu_model::report::{End, Report};
use zdu_model::time::Millis;

/// How often readiness is asked for.
const EVERY: Millis = Millis(500);

impl Run {
    /// Proves that the node answers on the release it should run.
    pub(super) fn ready(&mut self, process: usize, key: Key, task: &Task) -> Next {
        let now = self.agenda.now();
        let never = match task.phase {
            Phase::Fresh => self.wrong_with(key).is_some(),
            Phase::Holding(until) => now < until,
            Phase::Connecting(_)
            | Phase::Watching(_)
            | Phase::Touching(..)
            | Phase::Sampling(..) => false,
        };
        if task.phase == Phase::Fresh {
            let until = if never { task.until.after(Millis(1)) } else { now };
            self.set_phase(process, key, Phase::Holding(until));
        }
        let at = self.layout.step(key.0).clone();
        let wanted = if at.undoes.is_some() { Standing::Old } else { Standing::New };
        let holds = at.node.is_none_or(|node| {
            let disrupts = self.layout.disrupting[node].contains_key(&at.stage);
            let stands = !disrupts || self.world.stands(node, at.stage, wanted);
            stands && self.world.answers(node, now) && self.world.nodes[node].reachable(now)
        });
        if holds && !never {
            return Next::end(End::Done);
        }
        if now >= task.until {
            return Next::end(End::NotMet("the probe does not hold".into()));
        }
        let waited = Millis((now.since(task.begun).0 / 10).max(EVERY.0));
        Next::Look(now.after(waited).min(task.until))
    }

    /// Waits for something of the procedure's own; it comes by itself unless a fault says not.
    pub(super) fn wait(&mut self, process: usize, key: Key, task: &Task) -> Next {
        let now = self.agenda.now();
        match task.phase {
            Phase::Holding(comes) if now >= comes => Next::end(End::Done),
            _ if now >= task.until => Next::end(End::NotMet("the probe does not hold".into())),
            Phase::Holding(comes) => Next::Look(comes.min(task.until)),
            Phase::Fresh
            | Phase::Connecting(_)
            | Phase::Watching(_)
            | Phase::Touching(..)
            | Phase::Sampling(..) => {
                let comes = match self.wrong_with(key) {
                    Some(_) => task.until.after(Millis(1)),
                    None => now.after(self.processes[process].hands.dice.span(5, 500)),
                };
                self.set_phase(process, key, Phase::Holding(comes));
                Next::Look(comes.min(task.until))
            }
        }
    }

    /// A request, an upload or a copy.
    pub(super) fn transfer(&mut self, process: usize, key: Key, task: &Task) -> Next {
        let now = self.agenda.now();
        let at = self.layout.step(key.0).clone();
        if !self.world.nodes[at.target].reachable(now) {
            if now >= task.until {
                return Next::end(End::NotMet("the node cannot be reached".into()));
            }
            return Next::Look(self.world.nodes[at.target].reachable_at().min(task.until));
        }
        let http = matches!(self.layout.plan.step(key.0).work, Work::Http(_));
        if !http && let Some(seen) = self.fence(process, at.target) {
            return Next::end(End::EpochRefused { seen });
        }
        if !self.may_begin(process, key, task) {
            return Next::end(End::Never);
        }
        let before = self.mark_of_step(key.0);
        let wrong = self.begin_work(process, key, at.target);
        let (mark, end) = match wrong {
            None | Some(Wrong::Slow(_)) => (Mark::Done, ok(http)),
            Some(Wrong::Fails(_)) => (before, refused(http)),
            Some(Wrong::Half(_) | Wrong::Hangs) => (Mark::Half, refused(http)),
            Some(Wrong::Unproved) => (Mark::Done, refused(http)),
            Some(Wrong::Silent) if http => {
                (Mark::Done, End::Unreachable("the answer was lost".into()))
            }
            Some(Wrong::Silent) => (Mark::Done, refused(http)),
        };
        self.end_work(key, mark);
        Next::Answer(Report::bare(end))
    }
}

fn ok(http: bool) -> End {
    if http { End::Http(200) } else { End::Done }
}

fn refused(http: bool) -> End {
    if http { End::Http(500) } else { End::NotMet("it was refused".into()) }
}
