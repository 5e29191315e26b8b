//! What holds for every plan, tried on many made from fixed seeds.

use crate::fixture::*;
use std::collections::BTreeSet;
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
            assert!(!lost, "seed {seed}: step {} has no way back", step.no);
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
