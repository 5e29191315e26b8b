//! Random plans: the shapes a rollout can have, from one seed.
#![allow(missing_docs, reason = "tests")]

mod answers;
mod checks;
mod noise;
mod shapes;

use crate::world::{Builder, member, member_of, rule};
use std::collections::BTreeMap;
use zdu_model::contract::Class;
use zdu_model::ids::*;
use zdu_model::policy::FailureAction;
use zdu_model::time::Millis;

pub(crate) struct Rng(pub(crate) u64);
impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Each balancer with its instances.
pub(crate) const INSTANCES: [(&str, &str); 3] =
    [("edge", "lb-a"), ("edge", "lb-b"), ("inner", "lb-c")];

pub(crate) struct Spec {
    pub(crate) builder: Builder,
    pub(crate) source: BTreeMap<StepNo, StepNo>,
}

pub(crate) fn plan(rng: &mut Rng) -> Spec {
    let names = ["a", "b", "c", "d", "e", "f"];
    let names = &names[..1 + rng.below(6) as usize];
    let mut b = Builder::new(names, 0);
    groups(&mut b, rng);
    b.plan.policy.failures_allowed = rng.below(3) as u32;
    b.plan.policy.hold_deadline = Millis([5_000, 3_600_000][rng.below(2) as usize]);
    b.plan.policy.cross_point_of_no_return = rng.chance(50);
    rules(&mut b, rng);
    let pnr = rng.chance(15);
    if rng.chance(15) {
        shapes::once(&mut b, rng, "before", pnr);
    }
    if rng.chance(30) {
        shapes::prepare(&mut b, rng);
    }
    shapes::rolling(&mut b, rng, names, "apply", pnr);
    if rng.chance(10) {
        shapes::rolling(&mut b, rng, names, "again", pnr);
    }
    if rng.chance(15) {
        shapes::once(&mut b, rng, "after", pnr);
    }
    let mut source = BTreeMap::new();
    for step in &b.plan.steps {
        for undo in &step.undo {
            source.insert(*undo, step.no);
        }
    }
    Spec { builder: b, source }
}

/// One group or two, whose nodes stand in one balancer, another, both or none.
fn groups(b: &mut Builder, rng: &mut Rng) {
    let groups = 1 + rng.below(2) as usize;
    let all = b.plan.fleet.groups[0].nodes.clone();
    let mut template = b.plan.fleet.groups.remove(0);
    template.nodes.clear();
    let (bare, inner) = (rng.chance(10), rng.chance(30));
    for g in 0..groups {
        let mut group = template.clone();
        group.name = GroupName::new(format!("g{g}")).expect("a name");
        let mine = all.iter().enumerate().filter(|(i, _)| i % groups == g);
        group.nodes = mine.map(|(_, n)| n.clone()).collect();
        if group.nodes.is_empty() {
            continue;
        }
        for n in &mut group.nodes {
            let (edge, inside) = (member(n.name.as_str()), member_of("inner", n.name.as_str()));
            n.members = match rng.below(4) {
                0 if bare => vec![],
                1 if inner => vec![inside],
                2 if inner => vec![edge, inside],
                _ => vec![edge],
            };
        }
        group.min_available = rng.below(group.nodes.len() as u64) as u32;
        b.plan.fleet.groups.push(group);
    }
}

fn rules(b: &mut Builder, rng: &mut Rng) {
    let actions = [
        FailureAction::RollbackNode,
        FailureAction::RollbackNode,
        FailureAction::RollbackNode,
        FailureAction::RollbackWave,
        FailureAction::RollbackRollout,
        FailureAction::Hold,
        FailureAction::Stop,
        FailureAction::GoOn,
        FailureAction::Retry { max: 2, pause: Millis(500) },
    ];
    b.plan.rules.clear();
    if rng.chance(60) {
        // Going on beside what may still run is not among them: a rule that says so means it.
        let named = [
            FailureAction::Hold,
            FailureAction::Hold,
            FailureAction::RollbackNode,
            FailureAction::Retry { max: 4, pause: Millis(500) },
            FailureAction::Stop,
        ];
        let mut r = rule("APPLY", named[rng.below(5) as usize]);
        r.phase = None;
        r.class = vec![Class::Unknown];
        b.plan.rules.push(r);
    }
    for phase in ["UPGRADE", "PRE-APPLY", "APPLY", "POST-APPLY"] {
        b.plan.rules.push(rule(phase, actions[rng.below(actions.len() as u64) as usize]));
    }
}
