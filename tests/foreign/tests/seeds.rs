//! Every target over its seeds, and over seeds with small changes: what libFuzzer does for hours,
//! done for a moment with every change.

use std::fs;
use std::path::PathBuf;

use zdu_foreign::{TARGETS, Target};

/// How many changed seeds each target reads. A configuration is read in milliseconds and the
/// others in microseconds, without optimisation.
const CHANGED: usize = 400;
const CHANGED_WHERE_FAST: usize = 4_000;

/// Words that a change of bytes alone would hardly find.
const WORDS: [&[u8]; 22] = [
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\"",
    b"'",
    b",",
    b"- ",
    b": ",
    b"{{",
    b"}}",
    b"[",
    b"]",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"4294967295",
    b"\xff",
    b"\xe4",
    "\u{E000}sS:x\u{E001}".as_bytes(),
    b"\\ue000",
    b"secret('pw')",
    b"%2f",
];

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = fs::read_dir(&directory).expect("every target has seeds");
    let read = entries.map(|entry| {
        let path = entry.expect("the directory is readable").path();
        (path.display().to_string(), fs::read(&path).expect("a seed is readable"))
    });
    let mut seeds: Vec<_> = read.collect();
    seeds.sort();
    seeds
}

/// One small change.
fn change(dice: &mut fastrand::Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = dice.usize(0..=bytes.len());
    let end = (at + dice.usize(0..=8)).min(bytes.len());
    match dice.u8(0..6) {
        0 => drop(bytes.drain(at..end)),
        1 => {
            let part = bytes[at..end].to_vec();
            drop(bytes.splice(at..at, part));
        }
        2 => drop(bytes.splice(at..end, WORDS[dice.usize(0..WORDS.len())].iter().copied())),
        3 => bytes.truncate(at),
        4 => {
            let from = dice.usize(0..=other.len());
            let to = (from + dice.usize(0..=40)).min(other.len());
            drop(bytes.splice(at..end, other[from..to].iter().copied()));
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.u8(0..8);
            }
        }
    }
}

fn fed(name: &str, target: Target, changed: usize) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty());
    let good = seeds.iter().filter(|(path, seed)| attempt(target, path, seed)).count();
    let mut dice = fastrand::Rng::with_seed(7);
    let mut taken = 0;
    for turn in 0..changed {
        let (path, seed) = &seeds[turn % seeds.len()];
        let (_, other) = &seeds[dice.usize(0..seeds.len())];
        let mut bytes = seed.clone();
        // Mostly one: more are seldom taken by formats that hang together.
        let changes = if dice.u8(0..3) == 0 { dice.usize(2..=4) } else { 1 };
        for _ in 0..changes {
            change(&mut dice, &mut bytes, other);
        }
        taken += usize::from(attempt(target, path, &bytes));
    }
    // A target that refuses everything would prove nothing.
    assert!(good > 0, "no seed was taken");
    assert!(taken * 100 > changed, "only {taken} of {changed} changed seeds were taken");
}

/// A panic of the target tells what did not hold; this tells of which bytes.
fn attempt(target: Target, path: &str, bytes: &[u8]) -> bool {
    match std::panic::catch_unwind(|| target(bytes)) {
        Ok(taken) => taken,
        Err(_) => panic!("from {path}: {}", bytes.escape_ascii()),
    }
}

#[test]
fn every_target_has_its_test_here_and_its_program_for_libfuzzer() {
    let tests = include_str!("seeds.rs");
    let programs = include_str!("../../../fuzz/Cargo.toml");
    for (name, _) in TARGETS {
        assert!(tests.contains(&format!("fed(\"{name}\", zdu_foreign::{name}")), "{name}");
        assert!(programs.contains(&format!("name = \"{name}\"\n")), "{name}");
    }
}

#[test]
fn configurations_load_and_are_planned_or_refused_at_places_of_their_text() {
    fed("configuration", zdu_foreign::configuration, CHANGED);
}

#[test]
fn a_half_reply_of_a_balancer_is_never_taken_for_a_whole_one() {
    fed("haproxy", zdu_foreign::haproxy, CHANGED_WHERE_FAST);
}

#[test]
fn what_is_said_of_a_balancers_files_is_said_at_places_they_have() {
    fed("haproxy_file", zdu_foreign::haproxy_file, CHANGED_WHERE_FAST);
}

#[test]
fn what_is_made_of_an_inventory_loads_and_a_refusal_shows_no_line_of_it() {
    fed("inventory", zdu_foreign::inventory, CHANGED);
}

#[test]
fn what_is_read_of_a_journal_is_written_the_same_and_a_torn_end_is_cut_to_a_whole_one() {
    fed("journal", zdu_foreign::journal, CHANGED_WHERE_FAST);
}

#[test]
fn streams_of_a_node_mean_the_same_however_they_arrive() {
    fed("node", zdu_foreign::node, CHANGED_WHERE_FAST);
}

#[test]
fn a_plan_file_is_read_as_it_was_written_or_refused() {
    fed("plan_file", zdu_foreign::plan_file, CHANGED);
}

#[test]
fn procedures_are_read_or_refused_at_places_of_their_text() {
    fed("procedure", zdu_foreign::procedure, CHANGED);
}

#[test]
fn templates_open_no_place_that_nobody_declared() {
    fed("templates", zdu_foreign::templates, CHANGED_WHERE_FAST);
}
