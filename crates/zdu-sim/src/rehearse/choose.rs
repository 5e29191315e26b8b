//! What is played: every trouble at every step of the nodes that stand for the others, a kill
//! behind every record, and pairs.

use super::found::{LeftOut, Mishap, Played};
use super::play::{Ground, Play};
use super::trouble::Trouble;
use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::ids::{NodeName, StepNo};
use zdu_model::plan::{Plan, PlannedStage, PlannedStep, Subject, Work};
use zdu_model::time::Millis;

/// Kills that are played when not all are asked for.
const KILLS_MAX: u64 = 400;

/// Every single failure that is played, in the order of the plan.
pub(super) fn singles(ground: &Ground, all: bool) -> (Vec<Play>, LeftOut) {
    let plan = &ground.plan;
    let (mut plays, mut left_out) = (Vec::new(), LeftOut::default());
    let mut nodes_out = BTreeSet::new();
    for stage in &plan.stages {
        let chosen = representatives(plan, stage);
        for step in forward(stage) {
            let planned = plan.step(step);
            let troubles = Trouble::of(plan, planned);
            if let (false, Subject::Node(node)) = (all, &planned.subject)
                && !chosen.contains(node)
            {
                nodes_out.insert(node.clone());
                left_out.failures += troubles.len();
                continue;
            }
            let mishaps =
                troubles.into_iter().map(|trouble| mishap(ground, step, trouble, &ground.begins));
            plays.extend(mishaps.flatten().map(|mishap| Play::Mishaps(vec![mishap])));
        }
    }
    left_out.nodes = nodes_out.len();
    (plays, left_out)
}

/// A trouble at a step of a rollout in which steps begin so; none at a step it never comes to.
pub(super) fn mishap(
    ground: &Ground,
    step: StepNo,
    trouble: Trouble,
    begins: &BTreeMap<StepNo, Millis>,
) -> Option<Mishap> {
    let planned = ground.plan.step(step);
    let undoes = ground.undo.contains(&step);
    let shown = if undoes { &ground.plan.rollback_phase } else { &planned.phase };
    Some(Mishap {
        step,
        key: planned.key.clone(),
        phase: shown.clone(),
        node: planned.subject.node().cloned(),
        trouble,
        code: None,
        at: *begins.get(&step)?,
        lasts: true,
        undoes,
    })
}

/// The first, the second and the last node of a stage in each group: the first meets everything
/// for the first time, the second meets what the first has left, behind the last is nobody.
pub(super) fn representatives(plan: &Plan, stage: &PlannedStage) -> BTreeSet<NodeName> {
    let mut by_group: BTreeMap<usize, Vec<&NodeName>> = BTreeMap::new();
    let lanes = stage.waves.iter().flat_map(|wave| &wave.lanes);
    for node in lanes.filter_map(|lane| lane.subject.node()) {
        let groups = plan.fleet.groups.iter();
        let group =
            groups.enumerate().find(|(_, group)| group.nodes.iter().any(|n| n.name == *node));
        by_group.entry(group.map_or(0, |(at, _)| at)).or_default().push(node);
    }
    let chosen = by_group.values().flat_map(|nodes| {
        let (first, last) = (nodes.iter().take(2), nodes.last());
        first.chain(last).copied()
    });
    chosen.cloned().collect()
}

pub(super) fn forward(stage: &PlannedStage) -> Vec<StepNo> {
    let waves = stage.waves.iter().flat_map(|wave| {
        let lanes = wave.lanes.iter().flat_map(|lane| lane.steps.iter());
        lanes.chain(wave.gate.iter())
    });
    waves.copied().collect()
}

/// A kill behind each record; of very many every so-manieth.
pub(super) fn kills(ground: &Ground, all: bool) -> (Vec<Play>, u64) {
    let records = ground.records();
    let stride = if all { 1 } else { records.div_ceil(KILLS_MAX).max(1) };
    let chosen = (1..=records).filter(|record| (record - 1) % stride == 0);
    let plays: Vec<Play> = chosen.map(|record| Play::Kill { record }).collect();
    let left = records - plays.len() as u64;
    (plays, left)
}

/// So many pairs. First each kind of undo, failing once; then single failures, drawn by lot, and
/// another failure at a step that comes after. The second goes wrong once, because an undo that
/// fails each time is stuck by definition. So is a node that is put back and not ready, which no
/// plan could change (law 3): that is not played.
pub(super) fn pairs(ground: &Ground, singles: &[Played], count: usize) -> Vec<Play> {
    // What is as bad as can be alone says nothing with another failure behind it.
    let singles: Vec<&Played> = singles.iter().filter(|one| !one.ending.is_bad()).collect();
    if singles.is_empty() {
        return Vec::new();
    }
    let mut plays = undo_failing(ground, &singles);
    plays.truncate(count);
    let lots = (count - plays.len()) as u64;
    for number in 0..lots {
        let mut dice = Dice::of(ground.seed, "pairs", number);
        let first = dice.pick(&singles).mishaps.first().cloned();
        let second = first.as_ref().and_then(|first| second(ground, &mut dice, first));
        let play = first.zip(second).map(|(first, second)| Play::Mishaps(vec![first, second]));
        plays.extend(play.filter(|play| !plays.contains(play)));
    }
    plays
}

/// For each kind of undo the first single failure that makes it run.
fn undo_failing(ground: &Ground, singles: &[&Played]) -> Vec<Play> {
    let (mut plays, mut known) = (Vec::new(), BTreeSet::new());
    for Played { mishaps, ending } in singles {
        let new = ending.undid.iter().filter(|no| {
            let step = ground.plan.step(**no);
            beside(ground, step).contains(&Trouble::Fail) && !known.contains(&step.key)
        });
        let new: Vec<StepNo> = new.copied().collect();
        let (Some(first), false) = (mishaps.first(), new.is_empty()) else { continue };
        let begins = ground.begins_in(&Play::Mishaps(mishaps.clone()));
        for step in new {
            let second = mishap(ground, step, Trouble::Fail, &begins);
            let fails = known.insert(ground.plan.step(step).key.clone());
            if let (Some(second), true) = (second, fails) {
                let second = Mishap { lasts: false, ..second };
                plays.push(Play::Mishaps(vec![first.clone(), second]));
            }
        }
    }
    plays
}

/// What makes sense for a step behind another failure.
fn beside(ground: &Ground, step: &PlannedStep) -> Vec<Trouble> {
    let never_back = ground.undo.contains(&step.no) && matches!(step.work, Work::Ready(_));
    let all = Trouble::of(&ground.plan, step).into_iter();
    all.filter(|trouble| !(never_back && *trouble == Trouble::Fail)).collect()
}

fn second(ground: &Ground, dice: &mut Dice, first: &Mishap) -> Option<Mishap> {
    let plan = &ground.plan;
    let begins = ground.begins_in(&Play::Mishaps(vec![first.clone()]));
    let after = begins.iter().filter(|(step, at)| {
        let soak = matches!(plan.step(**step).work, Work::Soak(_) | Work::Manual { .. });
        **at > first.at && **step != first.step && !soak
    });
    let after: Vec<_> = after.collect();
    // What puts the fleet back is what a second failure hits hardest.
    let back: Vec<_> =
        after.iter().copied().filter(|(step, _)| ground.undo.contains(step)).collect();
    let among = if !back.is_empty() && dice.chance(70) { &back } else { &after };
    if among.is_empty() {
        return None;
    }
    let (step, _) = *dice.pick(among);
    let troubles = beside(ground, plan.step(*step));
    if troubles.is_empty() {
        return None;
    }
    let mishap = mishap(ground, *step, *dice.pick(&troubles), &begins)?;
    Some(Mishap { lasts: false, ..mishap })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fleet_of, ground};
    use super::*;

    #[test]
    fn every_trouble_that_makes_sense_comes_at_every_step() {
        let ground = ground(&fleet_of(&[3]));
        let (plays, left_out) = singles(&ground, false);
        assert_eq!(left_out, LeftOut::default(), "three nodes stand for themselves");
        let mut expected = 0;
        for step in ground.plan.stages.iter().flat_map(forward) {
            expected += Trouble::of(&ground.plan, ground.plan.step(step)).len();
        }
        assert_eq!(plays.len(), expected);
    }

    #[test]
    fn of_many_nodes_the_first_the_second_and_the_last_of_each_group_are_played() {
        let plan = fleet_of(&[5, 4]);
        let chosen = representatives(&plan, &plan.stages[0]);
        let names: Vec<&str> = chosen.iter().map(NodeName::as_str).collect();
        assert_eq!(names, ["g0-n0", "g0-n1", "g0-n4", "g1-n0", "g1-n1", "g1-n3"]);
        let ground = ground(&plan);
        let (some, left_out) = singles(&ground, false);
        let (all, none) = singles(&ground, true);
        assert_eq!((left_out.nodes, none.nodes), (3, 0));
        assert_eq!(some.len() + left_out.failures, all.len());
    }

    #[test]
    fn the_controller_is_killed_behind_every_record() {
        let ground = ground(&fleet_of(&[2]));
        let (plays, left) = kills(&ground, false);
        assert_eq!((plays.len() as u64, left), (ground.records(), 0));
        assert_eq!(plays[0], Play::Kill { record: 1 });
    }

    #[test]
    fn pairs_follow_from_the_seed_and_hit_what_comes_after() {
        let ground = ground(&fleet_of(&[2]));
        let (plays, _) = singles(&ground, false);
        let played = plays.into_iter().map(|play| {
            let ending = ground.play(&play);
            Played { mishaps: play.into_mishaps(), ending }
        });
        let played: Vec<Played> = played.collect();
        let once = pairs(&ground, &played, 12);
        assert!(once.len() > 6, "{}", once.len());
        assert_eq!(once, pairs(&ground, &played, 12));
        // What no plan could change is no pair.
        let never_back = once.iter().filter(|play| {
            let Play::Mishaps(both) = play else { return false };
            let is = (both[1].key.as_str(), both[1].trouble);
            both[1].undoes && is == ("ready", Trouble::Fail)
        });
        assert_eq!(never_back.count(), 0, "{once:?}");
        let undone = once.iter().filter(|play| match play {
            Play::Mishaps(both) => both[1].at > both[0].at && both[1].undoes,
            Play::Quiet | Play::Kill { .. } | Play::Resumed(_) => false,
        });
        assert!(undone.count() > 0, "no pair hits an undo");
    }
}
