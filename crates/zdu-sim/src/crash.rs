//! Law 9 on whole rollouts: a controller that dies at any record, or in the middle of the line
//! that holds it, and is started again, comes to the end the uncut rollout comes to.
//!
//! Faults are tied to what begins in the world and not to attempts: an attempt that never reached
//! its node is begun again under another number and is the same work.

use crate::fault::{Ask, Fault, What, When};
use crate::layout::Layout;
use crate::run::{Run, Setup, play_cut};
use crate::store::Death;
use crate::world::Standing;
use std::collections::BTreeMap;
use zdu_model::event::{Event, HoldCause, Record};
use zdu_model::ids::StepNo;
use zdu_model::plan::{Plan, Work};
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

/// What came of cutting one rollout everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cuts {
    /// How often it was cut.
    pub cuts: u64,
    /// Records of the uncut rollout; several can share a line.
    pub records: u64,
    /// Why the ends may differ in more than times; none when they must be equal.
    pub loosely: Option<&'static str>,
    /// Cuts after which the end was another, or a law was broken.
    pub differences: Vec<Difference>,
}

/// A cut that changed the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The record whose line was cut.
    pub record: u64,
    /// How the controller died there.
    pub death: String,
    /// What the uncut end has, a line each, and the cut one has not.
    pub uncut: Vec<String>,
    /// What the cut end has and the uncut one has not.
    pub cut: Vec<String>,
}

/// The run without what a restart may legitimately turn into something else: faults that come at a
/// time or a record (a cut rollout is somewhere else by then) and those of acts that are read or
/// asked again after a restart (a probe, a copy), which then find the fault gone.
#[must_use]
pub fn comparable(setup: &Setup) -> Setup {
    let tied = |fault: &&Fault| match (&fault.when, &fault.what) {
        (When::Step { step, .. }, What::Work(_)) => {
            matches!(setup.plan.step(*step).work, Work::Run(_))
        }
        _ => false,
    };
    Setup { faults: setup.faults.iter().filter(tied).cloned().collect(), ..setup.clone() }
}

/// Where a line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Right behind it and in the middle of it.
    BehindAndWithin,
    /// Right behind it, and with none, one, half and all but one of its bytes written.
    Everywhere,
}

/// Plays the run uncut, and then cut at every line of its journal.
#[must_use]
pub fn cut_every_record(setup: &Setup, places: Where) -> Cuts {
    let uncut = play_cut(setup, None);
    let mut cuts = Cuts { loosely: loosely(setup, &uncut), ..Cuts::default() };
    let ours = end(&uncut);
    let mut next = 1;
    let bytes = uncut.disk.bytes();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let record = next;
        next += records_in(line);
        let half = line.len() / 2;
        let torn = match places {
            Where::BehindAndWithin => vec![half],
            Where::Everywhere => vec![0, 1, half, line.len() - 1],
        };
        for death in [Death::Durable].into_iter().chain(torn.into_iter().map(Death::Torn)) {
            cuts.cuts += 1;
            let cut = play_cut(setup, Some((record, death)));
            cuts.differences.extend(compared(&uncut, &ours, &cut, cuts.loosely).map(
                |(uncut, cut)| Difference { record, death: format!("{death:?}"), uncut, cut },
            ));
        }
    }
    cuts.records = next - 1;
    cuts
}

fn records_in(line: &[u8]) -> u64 {
    let mut records = 0;
    let mut rest = line;
    let key = b"\"seq\":";
    while let Some(at) = rest.windows(key.len()).position(|window| window == key) {
        records += 1;
        rest = &rest[at + key.len()..];
    }
    records
}

/// Why two ends may differ although every law holds.
fn loosely(setup: &Setup, uncut: &Run) -> Option<&'static str> {
    let plan = &setup.plan;
    let requests = plan.steps.iter().any(|step| matches!(step.work, Work::Http(_)));
    if requests {
        // Law 6 wants it so: nobody may send it again by guess.
        return Some("a request whose answer died with the controller is unknown");
    }
    if plan.policy.drain_deadline < LONGEST_DRAIN {
        return Some("a drain begun again has its whole deadline again");
    }
    let failed = failed(uncut);
    if failed.iter().any(|step| runs_beside_others(plan, *step)) {
        return Some("which lanes have begun when one of them fails is a matter of time");
    }
    let people = setup.afterwards.iter().any(|ask| *ask != Ask::ApproveWhatIsAsked);
    if people && !failed.is_empty() && uncut.counts.requests > 1 {
        return Some("what a person finds when they come is a matter of time");
    }
    None
}

/// Steps that did not pass, or that a person was asked about.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other record is about no failure")]
fn failed(run: &Run) -> Vec<StepNo> {
    let step = |record: &Record| match &record.event {
        Event::FailureDecided { step, .. }
        | Event::HoldStarted {
            cause:
                HoldCause::Rule(step) | HoldCause::Unknown(step) | HoldCause::PointOfNoReturn(step),
        } => Some(*step),
        _ => None,
    };
    run.journal.iter().filter_map(step).collect()
}

fn runs_beside_others(plan: &Plan, step: StepNo) -> bool {
    let mut waves = plan.stages.iter().flat_map(|stage| &stage.waves);
    waves.any(|wave| {
        let several = wave.parallel > 1 && wave.lanes.len() > 1;
        several && wave.lanes.iter().any(|lane| lane.steps.contains(&step))
    })
}

/// A node without sessions that never end is certified within this, whatever the dice say.
const LONGEST_DRAIN: Millis = Millis::from_secs(30);

type Lines = Vec<String>;

fn compared(
    uncut: &Run,
    ours: &BTreeMap<String, String>,
    cut: &Run,
    loosely: Option<&str>,
) -> Option<(Lines, Lines)> {
    let violations = |run: &Run| -> Vec<String> {
        run.violations.iter().map(|broken| format!("{}: {}", broken.checker, broken.what)).collect()
    };
    let (broken_before, broken) = (violations(uncut), violations(cut));
    if !broken.is_empty() {
        return Some((broken_before, broken));
    }
    let theirs = end(cut);
    // Both well means the same place however they came there.
    let both_well = uncut.verdict == Some(Verdict::Succeeded) && uncut.verdict == cut.verdict;
    if loosely.is_some() && !both_well {
        let none = cut.verdict.is_none() && uncut.verdict.is_some();
        return none.then(|| (vec!["an end".into()], vec!["no end".into()]));
    }
    let only = |these: &BTreeMap<String, String>, those: &BTreeMap<String, String>| -> Lines {
        let other = these.iter().filter(|(what, how)| those.get(*what) != Some(*how));
        other.map(|(what, how)| format!("{what}: {how}")).collect()
    };
    (*ours != theirs).then(|| (only(ours, &theirs), only(&theirs, ours)))
}

/// Where a rollout ended: its verdict, what was done to each node and which release stands on it,
/// and how each entry is held. Not when, and not in how many attempts: a step that was begun and
/// never reached its node is begun again as another attempt.
fn end(run: &Run) -> BTreeMap<String, String> {
    let layout: &Layout = &run.layout;
    let plan: &Plan = &layout.plan;
    let mut end = BTreeMap::new();
    end.insert("verdict".into(), format!("{:?}", run.verdict));
    for (place, node) in run.world.nodes.iter().enumerate() {
        for (step, mark) in node.marks() {
            let what = format!("{} on {}", plan.step(*step).key, layout.name(place));
            end.insert(format!("{what} (step {step})"), format!("{mark:?}"));
        }
    }
    for (place, stages) in layout.disrupting.iter().enumerate() {
        for stage in stages.keys() {
            let stands = [Standing::Old, Standing::New];
            let stands = stands.into_iter().find(|how| run.world.stands(place, *stage, *how));
            let what = format!("{} in stage {}", layout.name(place), plan.stages[*stage].name);
            end.insert(what, format!("{:?}", stands.unwrap_or(Standing::Between)));
        }
    }
    for (slot, place) in run.world.slots.iter().zip(&layout.slots) {
        let what = format!("{} on {}", place.member, layout.instances[place.instance]);
        end.insert(what, format!("{:?}, weight {}", slot.held, slot.weight));
    }
    end
}
