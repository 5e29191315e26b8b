//! Law 9: a rollout cut at any record, or inside one, and resumed, ends where the uncut one ends.

use crate::toy::{STEPS, World, finish, open_new, plan, resume, rollout, state, storage, uncut};
use proptest::prelude::*;
use zdu_conductor::chain::scan;
use zdu_conductor::memory::MemoryStorage;
use zdu_conductor::storage::{ReadError, Why};
use zdu_conductor::turn::{OpenError, Opened};
use zdu_conductor::verify::{VerifyError, verify, verify_bytes};
use zdu_model::event::{Event, Record};
use zdu_model::ids::{Seq, StepNo};

/// What the world may be when the controller dies with these records: the effect of the last
/// begun step happened, or it did not.
fn worlds(records: &[Record]) -> Vec<World> {
    let mut world = World::default();
    let mut last = None;
    for record in records {
        if let Event::StepStarted { step, .. } = record.event {
            world.0.insert(step, 1);
            last = Some(step);
        } else if let Event::StepEnded { .. } = record.event {
            last = None;
        }
    }
    let mut without = world.clone();
    match last {
        Some(StepNo(_)) => {
            without.0.pop_last();
            vec![world, without]
        }
        None => vec![world],
    }
}

#[test]
fn a_journal_cut_at_any_byte_resumes_to_the_same_end() {
    let (bytes, machine, world) = uncut();
    let (_dir, state, path) = state();
    std::fs::create_dir_all(path.parent().expect("in a directory")).expect("made");
    for cut in 0..=bytes.len() {
        let part = &bytes[..cut];
        let read = scan(part).expect("a cut is never damage");
        let torn = part.len() as u64 - read.good_bytes;
        assert_eq!(read.torn.as_ref().map_or(0, |torn| torn.bytes), torn);
        assert!(read.torn.is_none_or(|torn| torn.why == Why::Cut));
        if read.records.is_empty() {
            std::fs::write(&path, part).expect("cut");
            let refused = resume(STEPS, storage(&state)).err();
            assert!(matches!(refused, Some(OpenError::Empty)), "{refused:?}");
            continue;
        }
        for mut after in worlds(&read.records) {
            std::fs::write(&path, part).expect("cut");
            let opened = resume(STEPS, storage(&state)).expect("a cut is repaired");
            assert_eq!(opened.repaired.as_ref().map_or(0, |repaired| repaired.bytes), torn);
            assert_eq!(finish(opened, &mut after), machine, "cut at {cut}");
            assert_eq!(after, world, "cut at {cut}: a step was done twice or never");
            verify(&path, Some(&plan())).expect("the resumed journal is whole");
        }
    }
}

#[test]
fn garbage_in_place_of_the_last_line_is_cut_off_and_told() {
    let (bytes, _, _) = uncut();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let (last, before) = lines.split_last().expect("lines");
    for garbage in [vec![0u8; last.len()], b"{}\n".to_vec(), vec![b'\n'], vec![0xff; 4096]] {
        let bytes = [before.concat(), garbage.clone()].concat();
        let read = scan(&bytes).expect("only the end is torn");
        assert_eq!(read.torn.map(|torn| torn.bytes), Some(garbage.len() as u64));
    }
}

#[test]
fn no_changed_byte_is_taken_silently() {
    let (bytes, _, _) = uncut();
    let whole = verify_bytes(&bytes, Some(&plan())).expect("whole");
    let before_last = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .expect("more lines than one");
    for place in 0..bytes.len() {
        for flip in [1u8, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut changed = bytes.clone();
            changed[place] ^= flip;
            match verify_bytes(&changed, Some(&plan())) {
                Err(VerifyError::Read(ReadError::Altered { .. } | ReadError::Newer { .. })) => {}
                Ok(report) => {
                    assert!(report.torn.is_some(), "byte {place} ^ {flip} was not noticed");
                    assert!(place > before_last, "byte {place} ^ {flip} passed as torn");
                    assert_ne!(report.head, whole.head);
                }
                Err(other) => panic!("byte {place} ^ {flip}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_line_removed_repeated_or_swapped_breaks_the_chain() {
    let (bytes, _, _) = uncut();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for place in 0..lines.len() - 1 {
        let mut removed = lines.clone();
        removed.remove(place);
        let mut repeated = lines.clone();
        repeated.insert(place, lines[place]);
        let mut swapped = lines.clone();
        swapped.swap(place, place + 1);
        for wrong in [removed, repeated, swapped] {
            let found = verify_bytes(&wrong.concat(), None);
            assert!(
                matches!(found, Err(VerifyError::Read(ReadError::Altered { .. }))),
                "line {place}: {found:?}"
            );
        }
    }
}

#[test]
fn a_recomputed_line_is_betrayed_by_the_next_and_another_plan_by_the_first() {
    let (bytes, _, _) = uncut();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let mut text: Vec<String> =
        lines.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect();
    let (_, rest) = text[1].split_at(24);
    let rest = rest.trim_end().replace("\"at\":10", "\"at\":11");
    text[1] = format!("{{\"v\":1,\"crc\":\"{:08x}\",{rest}\n", crc32fast::hash(rest.as_bytes()));
    assert_ne!(text[1].as_bytes(), lines[1], "the forgery changes something");
    let found = scan(text.concat().as_bytes());
    let Err(ReadError::Altered { line: 3, why: Why::Chain }) = found else {
        panic!("{found:?}");
    };
    let other = zdu_model::ids::Digest("cd".repeat(32));
    let found = verify_bytes(&bytes, Some(&other));
    let Err(VerifyError::Read(ReadError::Altered { line: 1, why: Why::Plan { .. } })) = found
    else {
        panic!("{found:?}");
    };
}

#[test]
fn a_newer_journal_is_refused_and_left_as_it_is() {
    let (bytes, _, _) = uncut();
    let newer = String::from_utf8_lossy(&bytes).replace("{\"v\":1,\"crc\"", "{\"v\":2,\"crc\"");
    let (_dir, state, path) = state();
    std::fs::create_dir_all(path.parent().expect("in a directory")).expect("made");
    std::fs::write(&path, &newer).expect("written");
    let refused = resume(STEPS, storage(&state)).err();
    let Some(OpenError::Read(ReadError::Newer { line: 1, found: 2, known: 1 })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(std::fs::read(&path).expect("there"), newer.as_bytes());
}

proptest! {
    #[test]
    fn a_rollout_that_crashes_again_and_again_ends_the_same(
        steps in 1usize..6,
        crashes in prop::collection::vec((0usize..4, 0u64..3, any::<bool>()), 0..8),
    ) {
        let store = MemoryStorage::new(rollout());
        let mut world = World::default();
        let opened = open_new(steps, store.clone()).expect("new");
        let mut opened = Some(opened);
        for (turns, lost, acted) in crashes {
            let Opened { mut conductor, turn, .. } = opened.take().expect("open");
            let mut queue = turn.effects;
            for _ in 0..turns {
                let Some(released) = queue.pop() else { break };
                let now = conductor.lease().renewed_at;
                let input = world.answer(released);
                queue = conductor.turn(now, input).expect("nothing fails").effects;
            }
            // Whatever was released may have happened, or not.
            if acted && let Some(released) = queue.pop() {
                let _nobody_hears = world.answer(released);
            }
            // The answer's records may be lost; what the world acted upon may not.
            let records = store.records();
            let kept = records.iter().rposition(|record| {
                matches!(record.event, Event::StepStarted { .. } | Event::ControllerStarted { .. })
            });
            let floor = kept.map_or(2, |index| index as u64 + 1);
            let last = records.len() as u64;
            store.cut_after(Seq(last.saturating_sub(lost).max(floor)));
            conductor.close().expect("ours");
            opened = Some(resume(steps, store.clone()).expect("resumed"));
        }
        let machine = finish(opened.take().expect("open"), &mut world);
        prop_assert!(machine.ended);
        prop_assert_eq!(world.0.len(), steps);
        prop_assert!(world.0.values().all(|times| *times == 1));
    }
}
