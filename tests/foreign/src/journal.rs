//! The journal: what a crash, a disk or a hand left in the file.

use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use zdu_conductor::Rollout;
use zdu_conductor::chain::{Scan, scan, sha256};
use zdu_conductor::journal::{Journal, JournalFile};
use zdu_conductor::plan_file::parse_plan;
use zdu_model::event::{Event, Record};
use zdu_model::ids::Digest;
use zdu_model::plan::Plan;

/// A file in memory; clones are the same file.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn bytes(&self) -> Vec<u8> {
        self.with(|bytes| bytes.clone())
    }
}

impl JournalFile for Memory {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.bytes())
    }

    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.with(|bytes| bytes.extend_from_slice(more));
        Ok(more.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, to: u64) -> io::Result<()> {
        self.with(|bytes| bytes.truncate(usize::try_from(to).unwrap_or(usize::MAX)));
        Ok(())
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(self.with(|bytes| bytes.len() as u64))
    }
}

/// The bytes as they are, and with every line made believable again: a change alone is nearly
/// always stopped by the sum, and what is behind the sum would never be reached.
pub fn journal(bytes: &[u8]) -> bool {
    let as_it_is = read(bytes);
    read(&believable(bytes)) || as_it_is
}

fn read(bytes: &[u8]) -> bool {
    let file = Memory::default();
    file.with(|own| own.extend_from_slice(bytes));
    let opened = Journal::open(Box::new(file.clone()));
    let left = file.bytes();
    match scan(bytes) {
        Err(_) => {
            assert!(opened.is_err(), "what is not read is not opened");
            assert_eq!(left, bytes, "what is not opened is not touched");
            false
        }
        Ok(found) => {
            let (journal, history) = opened.expect("what is read is opened");
            assert_eq!(history.records, found.records);
            assert_eq!(history.repaired.is_some(), found.torn.is_some());
            let good = usize::try_from(found.good_bytes).expect("it was in memory");
            assert_eq!(left, bytes[..good], "a torn end is cut off and nothing else");
            let torn = found.torn.as_ref().map_or(0, |torn| torn.bytes);
            assert_eq!(found.good_bytes + torn, bytes.len() as u64, "every byte is accounted for");
            let clean = scan(&left).expect("what is left is read");
            assert!(clean.torn.is_none(), "and is whole");
            assert_eq!((clean.records, &clean.chain), (found.records.clone(), &found.chain));
            goes_on(journal, &file, &found);
            written_again(&found);
            replayed(&found);
            !found.records.is_empty()
        }
    }
}

/// One more record can be appended to what was opened, and everything is read again.
fn goes_on(mut journal: Journal, file: &Memory, found: &Scan) {
    let Some(last) = found.records.last() else { return };
    let mut next = last.clone();
    next.seq.0 += 1;
    journal.append(std::slice::from_ref(&next)).expect("the next record follows");
    let longer = scan(&file.bytes()).expect("what was appended is read");
    assert_eq!(longer.records.last(), Some(&next));
    assert_eq!(longer.records.len(), found.records.len() + 1);
    assert_eq!(&longer.chain, journal.chain());
}

/// The records that were read, written by us, are the same records.
fn written_again(found: &Scan) {
    let file = Memory::default();
    let (mut journal, _) = Journal::open(Box::new(file.clone())).expect("nothing is there");
    for record in &found.records {
        journal.append(std::slice::from_ref(record)).expect("what was read can be written");
    }
    let again = scan(&file.bytes()).expect("what is written is read");
    assert_eq!(again.records, found.records);
    assert_eq!(
        (again.chain.last(), again.chain.epoch()),
        (found.chain.last(), found.chain.epoch())
    );
    assert_eq!(again.chain.plan(), found.chain.plan());
}

/// A plan of one rolling stage over two nodes.
static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let file = include_bytes!("../seeds/plan_file/rolling");
    let (plan, _digest) = parse_plan(Path::new("rolling"), file).expect("this seed is a plan");
    Arc::new(plan)
});

/// What `verify` does: each record is possible after those before it, or is refused by name.
fn replayed(found: &Scan) {
    let mut rollout = Rollout::new(Arc::clone(&PLAN));
    for record in &found.records {
        if rollout.evolve(record).is_err() {
            return;
        }
    }
}

/// Every line's records under the right sum and the right digest of the line before.
fn believable(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut prev: Option<Digest> = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (text, end) = line.strip_suffix(b"\n").map_or((line, &b""[..]), |text| (text, b"\n"));
        let marker = br#""recs":"#;
        let at = text.windows(marker.len()).position(|part| part == marker);
        let Some(body) = at.map(|at| &text[at..]) else {
            all.extend_from_slice(line);
            continue;
        };
        let before = prev.unwrap_or_else(|| genesis(&body[marker.len()..]));
        let rest = [format!(r#""prev":"{before}","#).as_bytes(), body].concat();
        let sum = crc32fast::hash(&rest);
        let whole = [format!(r#"{{"v":1,"crc":"{sum:08x}","#).as_bytes(), &rest].concat();
        prev = Some(sha256(&whole));
        all.extend_from_slice(&whole);
        all.extend_from_slice(end);
    }
    all
}

/// What the first line names as the line before it, when its first record names a plan.
fn genesis(records: &[u8]) -> Digest {
    let records = records.strip_suffix(b"}").unwrap_or(records);
    let records: Vec<Record> = serde_json::from_slice(records).unwrap_or_default();
    let plan = match records.first().map(|record| &record.event) {
        Some(Event::RolloutStarted { plan, .. }) => plan.0.as_str(),
        _ => "",
    };
    sha256(format!("zdu journal 1 of plan {plan}").as_bytes())
}
