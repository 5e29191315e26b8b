//! The lanes and stages of a random plan.

use super::Rng;
use crate::world::{Builder, node, run};
use zdu_model::contract::{Class, Rule};
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::procedure::{GoesBack, Over};
use zdu_model::time::Millis;

fn probe() -> Probe {
    Probe { ask: Ask::Tcp("x:1".into()), want: Want::default(), times: 1, every: Millis(1) }
}

fn http() -> Work {
    Work::Http(HttpCall { method: "POST".into(), url: "http://x".into(), ..HttpCall::default() })
}

/// Work of any kind that is no act of ours.
fn work(rng: &mut Rng) -> Work {
    match rng.below(20) {
        0 => http(),
        1 => Work::Manual { instruction: "press it".into() },
        2 => Work::Wait(probe()),
        3 => Work::Upload { from: "a".into(), to: "b".into(), mode: 0o600 },
        _ => run(),
    }
}

/// A stage of one lane that belongs to no node.
pub(crate) fn once(b: &mut Builder, rng: &mut Rng, name: &str, pnr: bool) {
    let mut steps = vec![];
    for key in ["prepare", "migrate"] {
        let work = work(rng);
        let step = b.step(&Subject::Fleet, key, "UPGRADE", work);
        if rng.chance(70) {
            let undo = b.step(&Subject::Fleet, &format!("undo-{key}"), "ROLLBACK", run());
            b.get(step).undo = vec![undo];
        }
        colour(b, rng, step, pnr);
        steps.push(step);
    }
    let lanes = vec![Lane { subject: Subject::Fleet, steps }];
    let waves = vec![Wave { lanes, parallel: 1, gate: vec![] }];
    let name = StageName::new(name).expect("a name");
    b.plan.stages.push(PlannedStage {
        name,
        over: Over::Once,
        goes_back: GoesBack::WithNode,
        waves,
    });
}

/// What a step may be beside its work.
fn colour(b: &mut Builder, rng: &mut Rng, step: StepNo, pnr: bool) {
    let planned = b.get(step);
    if rng.chance(15) {
        planned.unknown = Unknown::Rerun;
    } else if rng.chance(15) {
        planned.unknown = Unknown::Observe { done: Box::new(probe()), not_done: None };
    }
    if rng.chance(50) {
        let (exit, class) = (vec![2], Class::Again);
        planned.contract.rules.push(Rule { exit, status: vec![], output: None, json: None, class });
    }
    if pnr && rng.chance(20) {
        planned.point_of_no_return = true;
        planned.undo.clear();
    }
}

pub(crate) fn rolling(b: &mut Builder, rng: &mut Rng, names: &[&str], stage: &str, pnr: bool) {
    let parallel = 1 + rng.below(4) as u32;
    let mut rest: Vec<&str> = names.to_vec();
    let mut waves = vec![];
    while !rest.is_empty() {
        let n = (1 + rng.below(3) as usize).min(rest.len());
        let here: Vec<&str> = rest.drain(..n).collect();
        let lanes = here.iter().map(|name| lane(b, rng, name, pnr)).collect();
        let gate = gate(b, rng, pnr);
        waves.push(Wave { lanes, parallel, gate });
    }
    let name = StageName::new(stage).expect("a name");
    b.plan.stages.push(PlannedStage {
        name,
        over: Over::Rolling,
        goes_back: GoesBack::WithNode,
        waves,
    });
}

/// What is prepared before anything rolls may stay with its node.
pub(crate) fn prepare(b: &mut Builder, rng: &mut Rng) {
    b.nodes_stage();
    if rng.chance(40) {
        b.plan.stages.last_mut().expect("just added").goes_back = GoesBack::WithRollout;
    }
}

fn gate(b: &mut Builder, rng: &mut Rng, pnr: bool) -> Vec<StepNo> {
    let mut gate = vec![];
    if rng.chance(70) {
        gate.push(b.step(&Subject::Fleet, "soak", "POST-APPLY", Work::Soak(Millis(1000))));
    }
    if rng.chance(30) {
        gate.push(b.step(&Subject::Fleet, "front", "POST-APPLY", Work::Wait(probe())));
    }
    if rng.chance(10) {
        let step = b.step(&Subject::Fleet, "announce", "POST-APPLY", run());
        colour(b, rng, step, pnr);
        gate.push(step);
    }
    gate
}

fn lane(b: &mut Builder, rng: &mut Rng, name: &str, pnr: bool) -> Lane {
    let on = Subject::Node(node(name));
    let (group, stands) = {
        let fleet = &b.plan.fleet;
        let group = fleet.group_of(&node(name)).expect("in one").name.clone();
        (group, !fleet.node(&node(name)).expect("known").members.is_empty())
    };
    let mut step = |b: &mut Builder, key: &str, phase: &str, work: Work, drain: bool| {
        let no = b.step(&on, key, phase, work);
        b.get(no).needs_drain = drain;
        b.get(no).attempts = 1 + rng.below(2) as u32;
        no
    };
    let mut steps = vec![];
    if stands {
        let guard = step(b, "guard", "PRE-APPLY", Work::Guard { group: group.clone() }, false);
        b.get(guard).contract.again.max = 10;
        let drain = step(b, "drain", "PRE-APPLY", Work::Drain, false);
        let undo = vec![
            step(b, "ready", "ROLLBACK", Work::Ready(vec![]), false),
            step(b, "undrain", "ROLLBACK", Work::Undrain, false),
            step(b, "serving", "ROLLBACK", Work::Serving, false),
        ];
        b.get(drain).undo = undo;
        steps.extend([guard, drain, step(b, "certify", "PRE-APPLY", Work::Certify, false)]);
    }
    let mut changes = vec![];
    for (key, phase) in [("stop-old", "PRE-APPLY"), ("apply", "APPLY")] {
        let s = step(b, key, phase, run(), true);
        let u = step(b, &format!("undo-{key}"), "ROLLBACK", run(), true);
        b.get(s).undo = vec![u];
        changes.push(s);
    }
    steps.extend(&changes);
    steps.push(step(b, "ready", "POST-APPLY", Work::Ready(vec![]), false));
    if stands {
        let undrain = step(b, "undrain", "POST-APPLY", Work::Undrain, false);
        let again = step(b, "guard", "ROLLBACK", Work::Guard { group }, false);
        b.get(again).contract.again.max = 10;
        let undo = vec![
            again,
            step(b, "drain", "ROLLBACK", Work::Drain, false),
            step(b, "certify", "ROLLBACK", Work::Certify, false),
        ];
        b.get(undrain).undo = undo;
        steps.extend([undrain, step(b, "serving", "POST-APPLY", Work::Serving, false)]);
    }
    if rng.chance(15) {
        b.get(changes[0]).undo.clear();
    }
    for s in &changes {
        if rng.chance(25) {
            b.get(*s).work = work(rng);
        }
        colour(b, rng, *s, pnr);
    }
    Lane { subject: on, steps }
}
