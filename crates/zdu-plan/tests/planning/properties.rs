//! What holds for every plan, tried on many made from fixed seeds.

use crate::fixture::*;
use std::collections::BTreeSet;
use zdu_model::ids::StepNo;
use zdu_model::plan::Plan;
use zdu_model::policy::WaveSize;
use zdu_model::procedure::{Over, Site};
use zdu_model::text::Template;
use zdu_plan::{Input, PlanReport, lint, plan, render_text};

/// xorshift64*: small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
    }

    fn size(&mut self, most: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(most).expect("small"))).expect("small")
    }
}

fn random(seed: u64) -> Input {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut input = input();
    let mut serial = 0;
    input.fleet.groups.clear();
    for at in 0..=dice.size(3) {
        let names: Vec<String> = (0..=dice.size(6)).map(|n| format!("node-{at}-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let room = u64::try_from(names.len()).expect("small");
        let min = u32::try_from(dice.roll(room)).expect("small");
        let mut group = group(&format!("group-{at}"), min, &names);
        for node in &mut group.nodes {
            if dice.roll(3) == 0 {
                node.roles.insert(role("odd"));
            }
            if min == 0 && dice.roll(4) == 0 {
                node.members.clear();
            }
        }
        input.fleet.groups.push(group);
    }
    input.fleet.groups[0].nodes[0].roles.insert(role("odd"));
    input.procedure.stages.clear();
    for at in 0..=dice.size(3) {
        let over = [Over::Once, Over::Nodes, Over::Rolling][dice.size(3)];
        let mut steps = Vec::new();
        for _ in 0..=dice.size(4) {
            serial += 1;
            steps.push(random_step(&mut dice, over, serial));
        }
        let mut stage = stage(&format!("stage-{at}"), over, steps);
        if dice.roll(2) == 0 {
            stage.first = vec![role("odd")];
        } else {
            stage.last = vec![role("odd")];
        }
        if dice.roll(4) == 0 {
            stage.only = vec![role("odd")];
        }
        stage.parallel = [None, Some(1), Some(3)][dice.size(3)];
        input.procedure.stages.push(stage);
    }
    let steps = input.procedure.stages.iter().flat_map(|stage| &stage.steps);
    let without = steps.filter(|step| step.disruptive && step.undo.is_empty());
    // Mostly accepted: what is not is refused.
    let accepted = without.filter(|_| dice.roll(8) > 0).map(|step| step.id.to_string());
    input.policy.accept_no_undo = accepted.collect();
    input.policy.concurrency = u32::try_from(dice.roll(4) + 1).expect("small");
    let sizes = [WaveSize::Count(1), WaveSize::Count(3), WaveSize::Percent(30)];
    input.policy.wave = (0..=dice.size(2)).map(|_| sizes[dice.size(3)]).collect();
    input
}

fn random_step(dice: &mut Dice, over: Over, serial: u32) -> zdu_model::procedure::Step {
    let mut made = step(&format!("step-{serial}"), "APPLY", "do {{to}}");
    if over == Over::Rolling && dice.roll(2) == 0 {
        made = disruptive(&format!("step-{serial}"), "stop {{node}}", "start {{node}}");
        made.undo[0].disruptive = dice.roll(2) == 0;
    }
    if over == Over::Once {
        made.on = [Site::Controller, Site::Role(role("odd"))][dice.size(2)].clone();
    }
    match (made.disruptive, dice.roll(6)) {
        (true, 0) => made.undo.clear(),
        (true, 1) => made.point_of_no_return = true,
        _ => {}
    }
    let conditions = [None, None, Some("always"), Some("never"), Some("node=node-0-0")];
    made.when = conditions[dice.size(5)].map(|text| Template(text.into()));
    made
}

#[test]
fn every_plan_is_clean_total_and_goes_over_each_node_once() {
    let (mut plans, mut refusals) = (0, 0);
    for seed in 1..=600 {
        let input = random(seed);
        let Ok(made) = plan(&input, &Braces) else {
            refusals += 1;
            continue;
        };
        plans += 1;
        let plan = &made.plan;
        assert_eq!(lint(plan), vec![], "seed {seed}");
        let undo = plan.undo_steps();
        for step in &plan.steps {
            let forward = !undo.contains(&step.no);
            let lost = forward && step.needs_drain && step.undo.is_empty();
            let named = input.policy.accept_no_undo.iter().any(|id| id == step.key.as_str());
            let word = named || step.point_of_no_return;
            assert!(!lost || word, "seed {seed}: step {} has no way back", step.no);
        }
        for (stage, declared) in plan.stages.iter().map(|planned| {
            let declared = input.procedure.stages.iter().find(|s| s.name == planned.name);
            (planned, declared.expect("a stage of the procedure"))
        }) {
            let lanes: Vec<_> = stage.waves.iter().flat_map(|wave| &wave.lanes).collect();
            let nodes: BTreeSet<_> = lanes.iter().map(|lane| &lane.subject).collect();
            assert_eq!(nodes.len(), lanes.len(), "seed {seed}: a node goes twice");
            let all = declared.over == Over::Rolling
                && declared.only.is_empty()
                && declared.steps.iter().any(|step| step.when.is_none());
            let fleet = input.fleet.nodes().count();
            assert!(!all || nodes.len() == fleet, "seed {seed}: a node is left out");
        }
        assert!(!render_text(&made.report).is_empty());
        assert_eq!(plan, &planned(&input).plan, "seed {seed}: the same input, the same plan");
    }
    // A generator that is refused nearly always would prove nothing.
    assert!(plans > 300, "{plans} plans and {refusals} refusals");
}

/// Every place a number stands in: lanes and gates, then undo lists.
fn places(plan: &Plan) -> (Vec<StepNo>, Vec<StepNo>) {
    let waves = plan.stages.iter().flat_map(|stage| &stage.waves);
    let lanes = waves.clone().flat_map(|wave| wave.lanes.iter().flat_map(|lane| &lane.steps));
    let forward = lanes.chain(waves.flat_map(|wave| &wave.gate)).copied();
    (forward.collect(), plan.steps.iter().flat_map(|step| &step.undo).copied().collect())
}

/// Judged here once more in a few lines, because the lint is the planner's own judge.
#[test]
fn every_step_stands_in_one_place_and_what_undoes_it_is_closed() {
    let (mut undone, mut accepted, mut points) = (0, 0, 0);
    for seed in 1..=600 {
        let Ok(made) = plan(&random(seed), &Braces) else { continue };
        let plan = &made.plan;
        for (index, step) in plan.steps.iter().enumerate() {
            assert_eq!(usize::try_from(step.no.0), Ok(index), "seed {seed}: a number is no index");
        }
        let (forward, back) = places(plan);
        let mut all: Vec<StepNo> = forward.iter().chain(&back).copied().collect();
        all.sort_unstable();
        let numbers: Vec<StepNo> = plan.steps.iter().map(|step| step.no).collect();
        assert_eq!(all, numbers, "seed {seed}: a step stands in no place or in two");
        for step in forward.iter().map(|no| plan.step(*no)) {
            for undo in step.undo.iter().map(|no| plan.step(*no)) {
                assert_eq!(undo.subject, step.subject, "seed {seed}: it undoes another subject's");
                assert!(undo.undo.is_empty(), "seed {seed}: the undo of an undo");
                assert!(!undo.point_of_no_return, "seed {seed}: a way back that closes the way");
            }
            undone += usize::from(!step.undo.is_empty());
            accepted += usize::from(step.needs_drain && step.undo.is_empty());
            points += usize::from(step.point_of_no_return);
        }
    }
    // A generator without one of them would prove nothing.
    assert!(undone > 1000 && accepted > 100 && points > 100, "{undone} {accepted} {points}");
}

#[test]
fn the_same_input_gives_the_same_bytes_and_they_give_the_same_plan() {
    for seed in 1..=200 {
        let Ok(made) = plan(&random(seed), &Braces) else { continue };
        let bytes = serde_json::to_vec(&made.plan).expect("a plan is plain");
        let again = serde_json::to_vec(&planned(&random(seed)).plan).expect("a plan is plain");
        // The digest is over these bytes.
        assert!(again == bytes, "seed {seed}: other bytes");
        let back: Plan = serde_json::from_slice(&bytes).expect("its own bytes are read");
        assert_eq!(back, made.plan, "seed {seed}");
    }
}

#[test]
fn ten_thousand_nodes_are_planned() {
    let mut input = input();
    let names: Vec<String> = (0..10_000).map(|n| format!("node-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    input.fleet.groups = vec![group("api", 9_000, &names)];
    input.policy.wave = vec![WaveSize::Count(1), WaveSize::Percent(10)];
    input.policy.concurrency = 100;
    let made = planned(&input);
    assert_eq!(made.report.nodes, 10_000);
    assert_eq!(made.report.stages[0].nodes, 10_000);
    assert_eq!(made.plan.stages[0].waves.len(), 11);
    assert_eq!(PlanReport::of(&made.plan).forward, 10_000 * 7 + 11 * 2);
}
