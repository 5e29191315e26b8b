//! Law 8: compensations run newest first, or in the order the procedure declares, each when those
//! before it have passed; a point of no return is crossed only where the policy or a person says
//! so, and never crossed back.
//!
//! A node that goes back alone keeps what is to go back with the whole rollout only.
//!
//! An unwind that was begun before a point was crossed elsewhere is completed: its list is whole.

use super::Checker;
use crate::seen::{Scene, Seen};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::contract::Class;
use zdu_model::event::{Event, HoldCause, Record, Request, UnwindScope};
use zdu_model::ids::StepNo;
use zdu_model::plan::{Subject, Wave};
use zdu_model::procedure::GoesBack;

/// Watches the journal; the world carries out what stands there or another checker says so. The
/// order holds within a lane: lanes of one wave ran side by side, and those in flight come first.
#[derive(Default)]
pub(super) struct Order {
    /// The record of each step's newest begin.
    begun: BTreeMap<StepNo, u64>,
    /// The record of the begin before that.
    before: BTreeMap<StepNo, Option<u64>>,
    /// Where each forward step stands in the plan; filled once.
    ranks: BTreeMap<StepNo, Rank>,
    /// Points of no return a person is asked about.
    asked: BTreeSet<StepNo>,
    /// Those a person said yes to.
    approved: BTreeSet<StepNo>,
    /// Those that were begun.
    crossed: BTreeSet<StepNo>,
    /// The compensations of each unwind under way, as its event lists them.
    lists: Vec<Listed>,
    /// Those of them that passed since.
    undone: BTreeSet<StepNo>,
    /// The record of each step's newest end that passed.
    passed: BTreeMap<StepNo, u64>,
    /// What had been begun when the whole rollout was last put back.
    whole: BTreeSet<StepNo>,
}

/// The compensations of an unwind.
struct Listed {
    scope: UnwindScope,
    steps: Vec<StepNo>,
    /// Where each stands first.
    places: BTreeMap<StepNo, usize>,
    /// As many from the front are known to be undone, as long as no other list takes them up.
    undone: usize,
}

impl Listed {
    fn of(scope: &UnwindScope, steps: &[StepNo]) -> Self {
        let places = steps.iter().enumerate().rev().map(|(at, step)| (*step, at)).collect();
        Self { scope: scope.clone(), steps: steps.to_vec(), places, undone: 0 }
    }
}

/// Stage, wave, lane, step.
pub(super) type Rank = (usize, usize, usize, usize);

impl Checker for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        let Seen::Durable(records) = seen else { return None };
        if self.ranks.is_empty() {
            self.ranks = ranks(scene);
        }
        records.iter().find_map(|record| self.durable(scene, record))
    }
}

impl Order {
    fn durable(&mut self, scene: &Scene<'_>, record: &Record) -> Option<String> {
        match &record.event {
            Event::StepStarted { step, .. } => {
                let before = self.begun.insert(*step, record.seq.0);
                self.whole.remove(step);
                self.before.insert(*step, before);
                return self.crosses(scene, *step).or_else(|| self.in_turn(*step));
            }
            Event::StepEnded { step, class, .. } if class.passes() => {
                self.undone.insert(*step);
                self.passed.insert(*step, record.seq.0);
            }
            Event::StepEnded { step, class: Class::NotRun, .. } => self.never_began(*step),
            Event::HoldStarted { cause: HoldCause::PointOfNoReturn(step) } => {
                self.asked.insert(*step);
            }
            Event::Requested { request: Request::Approve(step), .. } => {
                if self.asked.remove(step) {
                    self.approved.insert(*step);
                }
            }
            Event::UnwindStarted { scope, steps, .. } => {
                if !matches!(scope, UnwindScope::Node(_)) {
                    self.lists.clear();
                }
                steps.iter().for_each(|step| {
                    self.undone.remove(step);
                });
                self.lists.push(Listed::of(scope, steps));
                self.lists.iter_mut().for_each(|list| list.undone = 0);
                return self
                    .unwinds(scene, steps)
                    .or_else(|| self.keeps(scene, scope, steps))
                    .or_else(|| self.leaves(scene, scope, steps));
            }
            Event::UnwindEnded { scope } => {
                self.lists.retain(|list| list.scope != *scope);
                if *scope == UnwindScope::Rollout {
                    self.whole = self.begun.keys().copied().collect();
                }
            }
            Event::Requested { .. }
            | Event::RolloutStarted { .. }
            | Event::ControllerStarted { .. }
            | Event::StepEnded { .. }
            | Event::StepUnknown { .. }
            | Event::StepScheduled { .. }
            | Event::FailureDecided { .. }
            | Event::NodeStuck { .. }
            | Event::Drifted { .. }
            | Event::InstanceChanged { .. }
            | Event::ControllerStoodStill { .. }
            | Event::FrontSeen { .. }
            | Event::HoldStarted { .. }
            | Event::RolloutEnded { .. } => {}
        }
        None
    }

    /// The last begin is as if it had not been.
    fn never_began(&mut self, step: StepNo) {
        if let Some(before) = self.before.get(&step).copied().flatten() {
            self.begun.insert(step, before);
        } else {
            self.begun.remove(&step);
            self.crossed.remove(&step);
        }
    }

    /// A compensation begins when those listed before it have passed.
    fn in_turn(&mut self, step: StepNo) -> Option<String> {
        let undone = &self.undone;
        self.lists.iter_mut().find_map(|list| {
            let place = *list.places.get(&step)?;
            let more = list.steps[list.undone..].iter().take_while(|step| undone.contains(step));
            list.undone += more.count();
            let open = list.steps.get(list.undone).filter(|_| list.undone < place)?;
            Some(format!("step {step} is begun before step {open}, which is listed before it"))
        })
    }

    fn crosses(&mut self, scene: &Scene<'_>, step: StepNo) -> Option<String> {
        let plan = &scene.layout.plan;
        if !plan.step(step).point_of_no_return {
            return None;
        }
        let told = plan.policy.cross_point_of_no_return || self.approved.contains(&step);
        let first = self.crossed.insert(step);
        (first && !told).then(|| format!("step {step} is crossed and nobody said so"))
    }

    fn unwinds(&self, scene: &Scene<'_>, steps: &[StepNo]) -> Option<String> {
        let last = self.crossed.iter().filter_map(|step| self.ranks.get(step)).max();
        // For each subject the step undone last, when it was begun, and which of its undoing.
        let mut newest: BTreeMap<&Subject, (Rank, u64, usize)> = BTreeMap::new();
        let mut wave: Option<(usize, usize)> = None;
        for step in steps {
            let undone = scene.layout.step(*step).undoes?;
            let planned = scene.layout.plan.step(undone);
            let rank = *self.ranks.get(&undone)?;
            if last.is_some_and(|last| rank <= *last) {
                return Some(format!("step {step} goes back behind a point of no return"));
            }
            let Some(begun) = self.begun.get(&undone).copied() else {
                return Some(format!("step {step} undoes step {undone}, which was never begun"));
            };
            let declared = planned.undo.iter().position(|undo| undo == step)?;
            let here = (rank.0, rank.1);
            if wave.replace(here).is_some_and(|before| before < here) {
                return Some(format!("step {step} undoes a later wave behind an earlier one"));
            }
            if let Some((of, then, place)) =
                newest.insert(&planned.subject, (rank, begun, declared))
            {
                let in_order = if of == rank { place < declared } else { then > begun };
                if !in_order {
                    return Some(format!("step {step} is undone out of order"));
                }
            }
        }
        None
    }
}

/// What a list has to hold, and what not.
impl Order {
    /// A node that goes back without the whole rollout keeps what prepared it, once it has begun
    /// anything behind that.
    fn keeps(&self, scene: &Scene<'_>, scope: &UnwindScope, steps: &[StepNo]) -> Option<String> {
        let alone = *scope != UnwindScope::Rollout;
        steps.iter().filter(|_| alone).find_map(|step| {
            let undone = scene.layout.step(*step).undoes?;
            self.is_kept(scene, undone)
                .then(|| format!("step {step} takes what goes back with the whole rollout only"))
        })
    }

    fn is_kept(&self, scene: &Scene<'_>, step: StepNo) -> bool {
        let plan = &scene.layout.plan;
        let subject = &plan.step(step).subject;
        let mut since = self.begun.keys().filter(|begun| !self.whole.contains(begun));
        prepares(scene, step)
            && since.any(|begun| {
                plan.step(*begun).subject == *subject
                    && self.ranks.contains_key(begun)
                    && !prepares(scene, *begun)
            })
    }

    /// A whole rollback, and a node that goes back alone, undo everything that was begun and is
    /// undone by anything, but for what a point of no return or the node keeps.
    fn leaves(&self, scene: &Scene<'_>, scope: &UnwindScope, steps: &[StepNo]) -> Option<String> {
        let plan = &scene.layout.plan;
        let meant = |subject: &Subject| match scope {
            UnwindScope::Rollout => true,
            UnwindScope::Node(node) => subject.node() == Some(node),
            UnwindScope::Wave | UnwindScope::InFlight => false,
        };
        let last = self.crossed.iter().filter_map(|step| self.ranks.get(step)).max();
        let lane = |rank: &Rank| (rank.0, rank.1, rank.2);
        let ranks = self.begun.keys().filter_map(|step| self.ranks.get(step));
        let behind = ranks.filter(|rank| last.is_some_and(|last| *rank <= last));
        let cut: BTreeSet<_> = behind.map(lane).collect();
        let alone = *scope != UnwindScope::Rollout;
        let listed: BTreeSet<&StepNo> = steps.iter().collect();
        self.begun.iter().find_map(|(step, begun)| {
            let rank = self.ranks.get(step)?;
            let planned = plan.step(*step);
            let stays = || cut.contains(&lane(rank)) || (alone && self.is_kept(scene, *step));
            if !meant(&planned.subject) || stays() {
                return None;
            }
            let undone = |undo: &&StepNo| {
                listed.contains(undo) || self.passed.get(undo).is_some_and(|at| at > begun)
            };
            let left = planned.undo.iter().find(|undo| !undone(undo))?;
            Some(format!("step {step} was begun, and {left}, which undoes it, is not listed"))
        })
    }
}

/// Whether a step is of a stage that goes back with the whole rollout only.
fn prepares(scene: &Scene<'_>, step: StepNo) -> bool {
    let stage = &scene.layout.plan.stages[scene.layout.step(step).stage];
    stage.goes_back == GoesBack::WithRollout
}

/// Where each forward step stands; a gate comes behind the lanes of its wave.
pub(super) fn ranks(scene: &Scene<'_>) -> BTreeMap<StepNo, Rank> {
    let mut ranks = BTreeMap::new();
    for (stage, planned) in scene.layout.plan.stages.iter().enumerate() {
        for (at, wave) in planned.waves.iter().enumerate() {
            let Wave { lanes, gate, .. } = wave;
            for (lane, planned) in lanes.iter().enumerate() {
                let steps = planned.steps.iter().enumerate();
                ranks.extend(steps.map(|(place, step)| (*step, (stage, at, lane, place))));
            }
            ranks.extend(gate.iter().map(|step| (*step, (stage, at, usize::MAX, 0))));
        }
    }
    ranks
}
