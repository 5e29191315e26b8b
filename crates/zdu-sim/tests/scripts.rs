//! Runs as text, made small, and cut everywhere.

use std::sync::Arc;
use zdu_model::plan::Plan;
use zdu_sim::crash::{Where, comparable, cut_every_record};
use zdu_sim::script::{Script, parse};
use zdu_sim::shrink::shrink;
use zdu_sim::swarm::{self, Drawn, Range};
use zdu_sim::{Plant, Setup, run};
use zdu_swarm::examples;

fn small_fleets() -> Range {
    let plans = examples().expect("the examples plan").into_iter().map(|(_, plan)| plan).collect();
    Range { plans, nodes_max: Some(6), ..Range::default() }
}

#[test]
fn every_random_run_can_be_written_down_and_read_back() {
    let range = small_fleets();
    for seed in 1..400 {
        let setup = swarm::setup(&range, seed);
        let script = Script::of(&setup, "fleet.yaml");
        let text = script.to_string();
        let read = parse("run", &text).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(read, script, "seed {seed}");
        let again = read.setup(&setup.plan).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(again.faults, setup.faults, "seed {seed}");
        assert_eq!(again.afterwards, setup.afterwards, "seed {seed}");
        assert_eq!(again.oddly_found, setup.oddly_found, "seed {seed}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let why = |lines: &str| {
        let text = format!("fleet: fleet.yaml\nseed: 1\n{lines}");
        parse("s", &text).expect_err("not understood").to_string()
    };
    let starts = [
        ("at 12s: explode\n", "s:3: expected `fail CODE [halfway]`, `hang`"),
        ("at 12: hold\n", "s:3: expected a span such as `1m30s`"),
        ("at 90s: hold\n", "s:3: this is written `at 1m30s: hold`"),
        ("on node-a apply: hang\n", "s:3: expected which beginning, from 1, found `the end of"),
        ("at 1s: cut -a for 1s\n", "s:3: \"-a\" is not a valid name"),
        ("at 1s: cut a for 1s now\n", "s:3: `now` is too much"),
        ("at 1s: hold", "s:4: nothing more is written, and a line ends with a line feed"),
        ("after the end: fail 3\n", "s:3: expected `hold`, `resume`"),
        ("record 7: hold\n# late\n", "s:1: this is written `# late`"),
        ("sometimes\n", "s:3: expected `fleet: PATH`"),
    ];
    for (lines, start) in starts {
        let why = why(lines);
        assert!(why.starts_with(start), "{lines:?}: {why}");
    }
}

#[test]
fn what_the_plan_does_not_have_is_told_with_its_place_and_what_there_is() {
    let (_, plan) = examples().expect("the examples plan").remove(0);
    let why = |line: &str| {
        let text = format!("fleet: fleet.yaml\nseed: 1\n{line}\n");
        let script = parse("s", &text).unwrap_or_else(|error| panic!("{error}"));
        script.setup(&plan).expect_err("no such thing").at("s", &text)
    };
    let wrong = why("on node-b aply 1: hang");
    assert!(wrong.starts_with("s:3: there is no step node-b aply; there are export, "), "{wrong}");
    assert_eq!(why("on node-b apply#2 1: hang"), "s:3: there are only 1 steps node-b apply");
    assert_eq!(why("at 1s: cut node-z for 1s"), "s:3: there is no node node-z");
    assert_eq!(why("at 1s: reload lb-z keeping"), "s:3: there is no balancer instance lb-z");
}

/// The first run that breaks this law with this planted fault, as the swarm finds it.
fn first_broken(plant: Plant, checker: &str) -> Drawn {
    let range = Range { nodes_max: Some(12), ..Range::default() };
    let broken = (1..2_000).find_map(|seed| {
        let mut drawn = swarm::drawn(&range, seed);
        drawn.setup.plant = Some(plant);
        let several = drawn.setup.faults.len() > 2 && drawn.setup.plan.fleet.nodes().count() > 3;
        let breaks = |setup: &Setup| breaks(setup, checker);
        (several && breaks(&drawn.setup)).then_some(drawn)
    });
    broken.expect("some seed breaks it")
}

fn breaks(setup: &Setup, checker: &str) -> bool {
    run(setup).violations.iter().any(|broken| broken.checker == checker)
}

#[test]
fn a_run_that_breaks_a_law_becomes_a_small_script_that_breaks_it() {
    let drawn = first_broken(Plant::KeeperSleeps, "certificate");
    let before = drawn.setup.clone();
    let small = shrink(drawn, "certificate");
    assert!(breaks(&small.setup, "certificate"), "it breaks the same law");
    let faults = &small.setup.faults;
    assert!(faults.len() <= 2 && faults.len() < before.faults.len(), "{faults:?}");
    let plan = &small.setup.plan;
    let nodes = |plan: &Plan| plan.fleet.nodes().count();
    let (few, many) = (nodes(plan), nodes(&before.plan));
    assert!(few <= 3 && few < many, "{few} of {many} nodes");
    assert!(plan.steps.len() * 2 < before.plan.steps.len(), "{} steps", plan.steps.len());
    // What is printed and the plan beside it are the whole run.
    let text = Script::of(&small.setup, "small.plan.json").to_string();
    let read = parse("small", &text).unwrap_or_else(|error| panic!("{error}"));
    let mut again = read.setup(&Arc::clone(plan)).unwrap_or_else(|error| panic!("{error}"));
    again.plant = small.setup.plant;
    assert_eq!(run(&again).digest, run(&small.setup).digest, "{text}");
}

/// The reference rollout with these lines of a script.
fn reference(lines: &str) -> Setup {
    let (name, plan) = examples().expect("the examples plan").remove(0);
    let text = format!("fleet: {name}\nseed: 1\n{lines}");
    let script = parse("reference", &text).unwrap_or_else(|error| panic!("{error}"));
    script.setup(&plan).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_reference_rollout_cut_at_every_record_ends_where_the_uncut_one_ends() {
    for lines in ["", "on node-c apply 1: fail 1 halfway\n"] {
        let cuts = cut_every_record(&reference(lines), Where::BehindAndWithin);
        assert_eq!((cuts.loosely, cuts.differences), (None, Vec::new()), "{lines}");
        assert!(cuts.cuts > 80, "only {} cuts", cuts.cuts);
    }
}

#[test]
fn a_restart_that_repeats_what_was_done_is_told_with_its_record() {
    let mut setup = reference("on node-a apply 1: fail 1 halfway\n");
    setup.plant = Some(Plant::RecoveryRepeats);
    let cuts = cut_every_record(&setup, Where::BehindAndWithin);
    let repeats = |line: &String| line.starts_with("unknown: ");
    let told = cuts.differences.iter().any(|cut| cut.cut.iter().any(repeats));
    assert!(told, "{:?}", cuts.differences);
}

#[test]
fn some_random_rollouts_cut_at_every_record_end_where_the_uncut_ones_end() {
    let range = Range { nodes_max: Some(2), ..Range::default() };
    for seed in 1..5 {
        let setup = comparable(&swarm::setup(&range, seed));
        let cuts = cut_every_record(&setup, Where::BehindAndWithin);
        assert_eq!(cuts.differences, Vec::new(), "seed {seed}");
    }
}
