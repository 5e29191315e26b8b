//! A journal on a disk that fails: full at any byte, short writes, syncs that fail.

use crate::toy::{
    STEPS, Toy, World, drive, finish, fleet, open_new, resume, rollout, state, uncut,
};
use std::io;
use std::path::Path;
use std::slice::from_ref;
use std::sync::{Arc, Mutex, MutexGuard};
use zdu_conductor::chain::scan;
use zdu_conductor::directory::StateDir;
use zdu_conductor::files::FileStorage;
use zdu_conductor::journal::{Journal, JournalFile};
use zdu_conductor::storage::AppendError;
use zdu_conductor::turn::{OpenError, Opened, TurnError};
use zdu_model::event::{Event, Record};
use zdu_model::ids::{Epoch, Seq};
use zdu_model::time::Timestamp;

/// A disk that fails as told; what it holds outlives the file.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    /// No more than this fits.
    room: Option<usize>,
    /// No more than this is written at once.
    chunk: Option<usize>,
    /// Syncs until one fails.
    syncs_left: Option<u32>,
    /// Cutting fails too.
    stiff: bool,
    synced_after_failure: bool,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Disk>>);

impl Fake {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("one thread")
    }
}

impl JournalFile for Fake {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.disk().bytes.clone())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.disk();
        let room = disk.room.map_or(usize::MAX, |room| room - disk.bytes.len());
        let fits = bytes.len().min(room).min(disk.chunk.unwrap_or(usize::MAX));
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.bytes.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk();
        match disk.syncs_left {
            Some(0) => {
                disk.syncs_left = None;
                Err(io::Error::other("input/output error"))
            }
            Some(left) => {
                disk.syncs_left = Some(left - 1);
                Ok(())
            }
            None => {
                disk.synced_after_failure = true;
                Ok(())
            }
        }
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.stiff {
            return Err(io::Error::other("input/output error"));
        }
        disk.bytes.truncate(usize::try_from(bytes).map_err(io::Error::other)?);
        Ok(())
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(self.disk().bytes.len() as u64)
    }
}

fn on_disk(state: &StateDir, disk: &Fake) -> FileStorage {
    let disk = disk.clone();
    let open = move |_: &Path| Ok(Box::new(disk.clone()) as Box<dyn JournalFile>);
    FileStorage::with_opener(state, &fleet(), &rollout(), Box::new(open))
}

/// Runs until the disk fails; then heals it, resumes, and compares with the uncut rollout.
fn fail_and_resume(disk: Fake, machine: &Toy, uncut: &World, what: &str) {
    let (_dir, state, _) = state();
    let mut world = World::default();
    match open_new(STEPS, on_disk(&state, &disk)) {
        Ok(Opened { mut conductor, turn, .. }) => {
            let failed = drive(&mut conductor, turn.effects, &mut world).expect_err(what);
            let unwritable = matches!(failed, TurnError::Append(AppendError::Unwritable { .. }));
            assert!(unwritable, "{what}: {failed:?}");
            let begun = scan(&disk.disk().bytes).expect("readable").records;
            for step in world.0.keys() {
                let durable = begun.iter().any(
                    |r| matches!(r.event, Event::StepStarted { step: begun, .. } if begun == *step),
                );
                assert!(durable, "{what}: step {step} was released before it was durable");
            }
            let again = conductor.turn(Timestamp(21), crate::toy::Input::Advance);
            assert!(matches!(again, Err(TurnError::Stopped)), "{what}: {again:?}");
        }
        Err(OpenError::Turn(_)) => {}
        Err(other) => panic!("{what}: {other:?}"),
    }
    {
        let mut disk = disk.disk();
        (disk.room, disk.stiff, disk.syncs_left) = (None, false, None);
    }
    let opened = match resume(STEPS, on_disk(&state, &disk)) {
        Err(OpenError::Empty) => open_new(STEPS, on_disk(&state, &disk)).expect(what),
        opened => opened.expect(what),
    };
    assert_eq!(finish(opened, &mut world), *machine, "{what}");
    assert_eq!(world, *uncut, "{what}");
}

#[test]
fn a_disk_that_is_full_at_any_byte_releases_nothing_and_resumes_when_there_is_room() {
    let (bytes, machine, world) = uncut();
    for room in 0..bytes.len() {
        for stiff in [false, true] {
            let disk = Fake::default();
            {
                let mut disk = disk.disk();
                (disk.room, disk.stiff) = (Some(room), stiff);
            }
            fail_and_resume(disk, &machine, &world, &format!("room for {room}, stiff {stiff}"));
        }
    }
}

#[test]
fn a_sync_that_fails_is_not_tried_again_and_releases_nothing() {
    let (bytes, machine, world) = uncut();
    let appends = bytes.iter().filter(|byte| **byte == b'\n').count();
    for good in 0..u32::try_from(appends).expect("few") {
        for stiff in [false, true] {
            let disk = Fake::default();
            {
                let mut disk = disk.disk();
                (disk.syncs_left, disk.stiff) = (Some(good), stiff);
            }
            fail_and_resume(disk, &machine, &world, &format!("{good} syncs, stiff {stiff}"));
        }
    }
}

#[test]
fn a_poisoned_journal_takes_nothing_until_it_is_opened_anew() {
    let disk = Fake::default();
    let (mut journal, _) = Journal::open(Box::new(disk.clone())).expect("empty");
    let record =
        Record { seq: Seq(1), at: Timestamp(1), epoch: Epoch(1), event: crate::toy::started() };
    disk.disk().syncs_left = Some(0);
    let failed = journal.append(from_ref(&record)).expect_err("sync fails");
    assert!(matches!(failed, AppendError::Unwritable { .. }));
    let refused = journal.append(from_ref(&record)).expect_err("poisoned");
    assert!(matches!(refused, AppendError::Poisoned { .. }));
    assert!(!disk.disk().synced_after_failure);
    let (mut journal, _) = Journal::open(Box::new(disk)).expect("cut back");
    journal.append(&[record]).expect("healthy again");
}

#[test]
fn short_writes_are_carried_on() {
    let (bytes, machine, _) = uncut();
    for chunk in [1, 7, 100] {
        let (_dir, state, _) = state();
        let disk = Fake::default();
        disk.disk().chunk = Some(chunk);
        let opened = open_new(STEPS, on_disk(&state, &disk)).expect("new");
        assert_eq!(finish(opened, &mut World::default()), machine);
        assert_eq!(disk.disk().bytes, bytes);
    }
}
