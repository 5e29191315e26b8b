//! The rehearsal: a plan played in the simulator, fault-free, with every single failure at every
//! step, with its controller killed behind every record, and with a sample of pairs.
//!
//! [`rehearse`] chooses what to play (`choose`), lets its caller play it (on as many threads as
//! it likes: a play is a pure function of the plan, the seed and the play), and folds the endings
//! into a [`Rehearsal`]. Verdicts and exit codes are those of the engine; nothing here knows what a
//! failure comes to.

mod asked;
mod choose;
mod forecast;
mod found;
mod gather;
mod hints;
mod play;
mod stuck;
mod trouble;
mod watch;

#[cfg(test)]
mod tests;

pub use asked::{Misasked, asked};
pub use forecast::{Forecast, Known, StepTime};
pub use found::{
    Defect, Ending, Hint, Killed, Kills, LeftOut, Mark, Mishap, Played, Point, Rehearsal, Rest,
    Resumes, Room, Unmade,
};
pub use gather::{Cell, Ends, Next, Row, ends, rows};
pub use play::{Ground, Play, Story};
pub use trouble::Trouble;

use std::collections::BTreeMap;
use std::sync::Arc;
use zdu_model::ids::StepKey;
use zdu_model::plan::Plan;
use zdu_model::time::Millis;

/// What a rehearsal is to play.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Where all randomness comes from.
    pub seed: u64,
    /// How many pairs of failures.
    pub pairs: usize,
    /// Every node, and not only those that stand for others.
    pub all: bool,
    /// How long steps took in earlier rollouts, and in how many attempts.
    pub measured: BTreeMap<StepKey, (Millis, usize)>,
}

/// A part of a rehearsal, for whoever shows progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Single failures.
    Failures,
    /// The controller, killed.
    Kills,
    /// Pairs of failures.
    Pairs,
    /// Failures whose cause is repaired, and the rollout resumed.
    Resumes,
}

/// Plays all of them, in any order and on any thread, and answers in the order given.
pub type Each<'e> = dyn FnMut(Part, &[Play], &(dyn Fn(&Play) -> Ending + Sync)) -> Vec<Ending> + 'e;

/// Rehearses a plan.
pub fn rehearse(plan: &Arc<Plan>, order: &Order, each: &mut Each<'_>) -> Rehearsal {
    let ground = Ground::new(plan.clone(), order);
    let quiet = ground.play(&Play::Quiet);
    let (singles, mut left_out) = choose::singles(&ground, order.all);
    let failures = played(&ground, Part::Failures, singles, each);
    let (kills, unkilled) = choose::kills(&ground, order.all);
    left_out.kills = unkilled;
    let kills = killed(&ground, kills, &quiet, each);
    let pairs = choose::pairs(&ground, &failures, order.pairs);
    let pairs = played(&ground, Part::Pairs, pairs, each);
    let resumes = resumed(&ground, &failures, each);
    let (forecast, rooms) = forecast::forecast(&ground, &order.measured);
    let mut rehearsal = Rehearsal {
        fleet: plan.fleet.name.clone(),
        procedure: plan.procedure.clone(),
        release: plan.release.clone(),
        nodes: plan.fleet.nodes().count(),
        seed: order.seed,
        forecast,
        rooms,
        quiet,
        failures,
        kills,
        pairs,
        resumes,
        no_undo: hints::no_undo(plan),
        points: hints::points(plan),
        hints: Vec::new(),
        changes_procedure: false,
        left_out,
    };
    let hints::Hints { all, of_procedure } = hints::hints(plan, &rehearsal);
    (rehearsal.hints, rehearsal.changes_procedure) = (all, of_procedure);
    rehearsal
}

fn played(ground: &Ground, part: Part, plays: Vec<Play>, each: &mut Each<'_>) -> Vec<Played> {
    let endings = each(part, &plays, &|play| ground.play(play));
    let with = plays.into_iter().zip(endings);
    with.map(|(play, ending)| Played { mishaps: play.into_mishaps(), ending }).collect()
}

/// A rollout whose controller was killed and resumed ends where the undisturbed one ends; the
/// others are kept.
fn killed(ground: &Ground, plays: Vec<Play>, quiet: &Ending, each: &mut Each<'_>) -> Kills {
    let endings = each(Part::Kills, &plays, &|play| ground.play(play));
    let records = ground.records();
    let mut kills = Kills { records, played: plays.len(), same: 0, others: Vec::new() };
    for (play, ending) in plays.iter().zip(endings) {
        let same =
            ending.mark() == quiet.mark() && ending.rest == quiet.rest && ending.defects.is_empty();
        match play {
            Play::Kill { .. } if same => kills.same += 1,
            Play::Kill { record } => kills.others.push(Killed { record: *record, ending }),
            Play::Quiet | Play::Mishaps(_) | Play::Resumed(_) => {}
        }
    }
    kills
}

/// A rollout that a failure ended, whose cause was repaired and that was resumed, ends with every
/// node new; the others are kept.
fn resumed(ground: &Ground, failures: &[Played], each: &mut Each<'_>) -> Resumes {
    // Where nobody came there is nothing to repair.
    let nobody = |one: &&Played| one.mishaps.iter().any(|one| one.trouble == Trouble::Nobody);
    let ended = failures.iter().filter(|one| matches!(one.ending.mark(), Mark::Failed(_)));
    let ended = ended.filter(|one| !nobody(one));
    let plays: Vec<Play> = ended.map(|one| Play::Resumed(one.mishaps.clone())).collect();
    let played = played(ground, Part::Resumes, plays, each);
    let count = played.len();
    let done = |one: &Played| one.ending.mark() == Mark::Done && !one.ending.is_bad();
    Resumes { played: count, others: played.into_iter().filter(|one| !done(one)).collect() }
}
