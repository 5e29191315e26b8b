//! Random plans: the shapes a rollout can have, from one seed.
#![allow(missing_docs, reason = "tests")]

mod checks;

use crate::world::{Builder, node, rule, run};
use std::collections::BTreeMap;
use zdu_model::contract::Class;
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::policy::FailureAction;
use zdu_model::procedure::Over;
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

pub(crate) const INSTANCES: [&str; 2] = ["lb-a", "lb-b"];

pub(crate) struct Spec {
    pub(crate) builder: Builder,
    pub(crate) source: BTreeMap<StepNo, StepNo>,
}

pub(crate) fn plan(rng: &mut Rng) -> Spec {
    let names = ["a", "b", "c", "d", "e", "f"];
    let count = 1 + rng.below(6) as usize;
    let names = &names[..count];
    let mut b = Builder::new(names, 0);
    let groups = 1 + rng.below(2) as usize;
    let all = b.plan.fleet.groups[0].nodes.clone();
    let mut template = b.plan.fleet.groups.remove(0);
    template.nodes.clear();
    for g in 0..groups {
        let mut group = template.clone();
        group.name = GroupName::new(format!("g{g}")).expect("a name");
        group.nodes = all
            .iter()
            .enumerate()
            .filter(|(i, _)| i % groups == g)
            .map(|(_, n)| n.clone())
            .collect();
        if group.nodes.is_empty() {
            continue;
        }
        group.min_available = rng.below(group.nodes.len() as u64) as u32;
        b.plan.fleet.groups.push(group);
    }
    b.plan.policy.failures_allowed = rng.below(3) as u32;
    b.plan.policy.hold_deadline = Millis([5_000, 3_600_000][rng.below(2) as usize]);
    b.plan.policy.cross_point_of_no_return = rng.chance(50);
    let actions = [
        FailureAction::RollbackNode,
        FailureAction::RollbackNode,
        FailureAction::RollbackNode,
        FailureAction::RollbackWave,
        FailureAction::RollbackRollout,
        FailureAction::Hold,
        FailureAction::Stop,
        FailureAction::Retry { max: 2, pause: Millis(500) },
    ];
    b.plan.rules.clear();
    if rng.chance(50) {
        let mut r = rule("APPLY", FailureAction::Hold);
        r.phase = None;
        r.class = vec![Class::Unknown];
        b.plan.rules.push(r);
    }
    for phase in ["UPGRADE", "PRE-APPLY", "APPLY", "POST-APPLY"] {
        b.plan.rules.push(rule(phase, actions[rng.below(actions.len() as u64) as usize]));
    }
    let pnr = rng.chance(15);
    if rng.chance(30) {
        b.nodes_stage();
    }
    rolling(&mut b, rng, names, pnr);
    let mut source = BTreeMap::new();
    for step in &b.plan.steps {
        for undo in &step.undo {
            source.insert(*undo, step.no);
        }
    }
    Spec { builder: b, source }
}

fn rolling(b: &mut Builder, rng: &mut Rng, names: &[&str], pnr: bool) {
    let parallel = 1 + rng.below(4) as u32;
    let mut rest: Vec<&str> = names.to_vec();
    let mut waves = vec![];
    while !rest.is_empty() {
        let n = (1 + rng.below(3) as usize).min(rest.len());
        let here: Vec<&str> = rest.drain(..n).collect();
        let lanes = here.iter().map(|name| lane(b, rng, name, pnr)).collect();
        let mut gate = vec![];
        if rng.chance(70) {
            gate.push(b.step(&Subject::Fleet, "soak", "POST-APPLY", Work::Soak(Millis(1000))));
        }
        waves.push(Wave { lanes, parallel, gate });
    }
    let name = StageName::new("apply").expect("a name");
    b.plan.stages.push(PlannedStage { name, over: Over::Rolling, waves });
}

fn lane(b: &mut Builder, rng: &mut Rng, name: &str, pnr: bool) -> Lane {
    let on = Subject::Node(node(name));
    let group = b.plan.fleet.group_of(&node(name)).expect("in one").name.clone();
    let mut step = |b: &mut Builder, key: &str, phase: &str, work: Work, drain: bool| {
        let no = b.step(&on, key, phase, work);
        b.get(no).needs_drain = drain;
        b.get(no).attempts = 1 + rng.below(2) as u32;
        no
    };
    let guard = step(b, "guard", "PRE-APPLY", Work::Guard { group: group.clone() }, false);
    b.get(guard).contract.again.max = 10;
    let drain = step(b, "drain", "PRE-APPLY", Work::Drain, false);
    let undo = vec![
        step(b, "ready", "ROLLBACK", Work::Ready(vec![]), false),
        step(b, "undrain", "ROLLBACK", Work::Undrain, false),
        step(b, "serving", "ROLLBACK", Work::Serving, false),
    ];
    b.get(drain).undo = undo;
    let certify = step(b, "certify", "PRE-APPLY", Work::Certify, false);
    let mut steps = vec![guard, drain, certify];
    for (key, phase) in [("stop-old", "PRE-APPLY"), ("apply", "APPLY")] {
        let s = step(b, key, phase, run(), true);
        let u = step(b, &format!("undo-{key}"), "ROLLBACK", run(), true);
        b.get(s).undo = vec![u];
        steps.push(s);
    }
    let ready = step(b, "ready", "POST-APPLY", Work::Ready(vec![]), false);
    let undrain = step(b, "undrain", "POST-APPLY", Work::Undrain, false);
    let again = step(b, "guard", "ROLLBACK", Work::Guard { group }, false);
    b.get(again).contract.again.max = 10;
    let undo = vec![
        again,
        step(b, "drain", "ROLLBACK", Work::Drain, false),
        step(b, "certify", "ROLLBACK", Work::Certify, false),
    ];
    b.get(undrain).undo = undo;
    let serving = step(b, "serving", "POST-APPLY", Work::Serving, false);
    steps.extend([ready, undrain, serving]);
    if rng.chance(15) {
        b.get(steps[3]).undo.clear();
    }
    if pnr && rng.chance(40) {
        b.get(steps[4]).point_of_no_return = true;
        b.get(steps[4]).undo.clear();
    }
    for s in &steps {
        if rng.chance(15) {
            b.get(*s).unknown = Unknown::Rerun;
        }
    }
    Lane { subject: on, steps }
}
