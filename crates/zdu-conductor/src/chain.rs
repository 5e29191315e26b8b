//! The bytes of a journal: how an append becomes a line, and what makes a line believable.
//!
//! ```text
//! {"v":1,"crc":"9ae0daaf","prev":"<SHA-256 of the line before>","recs":[{...},{...}]}
//! ```
//! One line is one append, so a crash leaves an append whole or not at all. The CRC covers every
//! byte behind it and tells damage; the chain of `prev` tells alteration; the first `prev` is made
//! from the plan's digest. Nothing here touches a file.

use crate::storage::{ReadError, Why};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zdu_model::event::{Event, Record};
use zdu_model::ids::{Digest, Epoch, Seq};

/// The journal format this build writes and reads.
pub const JOURNAL_FORMAT: u32 = 1;

/// How every line begins. Text inside a record can never hold these bytes, because JSON escapes
/// the quotes, so a second occurrence means that two lines ran into one.
const LINE_START: &[u8] = br#"{"v":"#;

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(HEX[usize::from(nibble)]));
        }
    }
    Digest(text)
}

/// What the first line names as the line before it: bound to the plan, so that a journal cannot
/// be put beside another plan.
fn genesis(plan: &Digest) -> Digest {
    sha256(format!("zdu journal {JOURNAL_FORMAT} of plan {plan}").as_bytes())
}

/// The end of a journal as far as it was read or written: what the next line must follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    head: Option<Digest>,
    plan: Option<Digest>,
    last: Seq,
    epoch: Epoch,
    lines: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    prev: Digest,
    recs: Vec<Record>,
}

/// Why a line was not taken. Only `Garbled` can come from a write that was cut.
pub(crate) enum Rejected {
    /// The bytes are not what was written.
    Garbled(Why),
    /// The bytes are whole and what they say is wrong here.
    Wrong(Why),
    /// Written by a newer build.
    Newer(u32),
}

impl Chain {
    /// The digest of the last line; absent while there is none. Kept elsewhere (a report, a
    /// ticket), it is what convicts somebody who rewrote the whole journal.
    #[must_use]
    pub fn head(&self) -> Option<&Digest> {
        self.head.as_ref()
    }

    /// The digest of the plan the journal is bound to.
    #[must_use]
    pub fn plan(&self) -> Option<&Digest> {
        self.plan.as_ref()
    }

    /// The last record's number; 0 while there is none.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.last
    }

    /// The last record's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How many lines there are.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether these records may follow: numbered without a gap, epochs never going down, and at
    /// the very beginning the event that names the plan. Asked before writing and after reading.
    fn admit(&self, records: &[Record]) -> Result<(), Why> {
        let (mut last, mut epoch) = (self.last, self.epoch);
        if records.is_empty() {
            return Err(Why::NoRecord);
        }
        for record in records {
            let expected = Seq(last.0.saturating_add(1));
            if record.seq != expected {
                return Err(Why::Sequence { expected, found: record.seq });
            }
            if record.epoch < epoch {
                return Err(Why::Epoch { newest: epoch, found: record.epoch });
            }
            (last, epoch) = (record.seq, record.epoch);
        }
        Ok(())
    }

    /// What `prev` of the next line must be, and the plan the journal is then bound to.
    fn link(&self, records: &[Record]) -> Result<(Digest, Digest), Why> {
        if let (Some(head), Some(plan)) = (&self.head, &self.plan) {
            return Ok((head.clone(), plan.clone()));
        }
        let plan = records.first().and_then(plan_of).ok_or(Why::FirstRecord)?;
        Ok((genesis(plan), plan.clone()))
    }

    fn step(&self, line: &[u8], records: &[Record], plan: Digest) -> Self {
        let end = records.last();
        Self {
            head: Some(sha256(line)),
            plan: Some(plan),
            last: end.map_or(self.last, |record| record.seq),
            epoch: end.map_or(self.epoch, |record| record.epoch),
            lines: self.lines + 1,
        }
    }

    /// The line for one append, with its newline, and the chain behind it.
    ///
    /// # Errors
    /// When the records may not follow.
    pub(crate) fn encode(&self, records: &[Record]) -> Result<(Vec<u8>, Self), Why> {
        self.admit(records)?;
        let (prev, plan) = self.link(records)?;
        let json = serde_json::to_string(records).map_err(|e| Why::Unknown(e.to_string()))?;
        let rest = format!(r#""prev":"{prev}","recs":{json}}}"#);
        let crc = crc32fast::hash(rest.as_bytes());
        let mut line = format!(r#"{{"v":{JOURNAL_FORMAT},"crc":"{crc:08x}",{rest}"#).into_bytes();
        let next = self.step(&line, records, plan);
        line.push(b'\n');
        Ok((line, next))
    }

    /// The records of one line (without its newline), and the chain behind it.
    ///
    /// # Errors
    /// When the line is damaged, newer, or does not follow.
    pub(crate) fn decode(&self, line: &[u8]) -> Result<(Vec<Record>, Self), Rejected> {
        let rest = unframe(line)?;
        let wrong = |why| Rejected::Wrong(why);
        let json = [b"{", rest].concat();
        let body: Body =
            serde_json::from_slice(&json).map_err(|e| wrong(Why::Unknown(e.to_string())))?;
        self.admit(&body.recs).map_err(wrong)?;
        let (prev, plan) = self.link(&body.recs).map_err(wrong)?;
        if body.prev != prev {
            return Err(wrong(Why::Chain));
        }
        let next = self.step(line, &body.recs, plan);
        Ok((body.recs, next))
    }
}

/// The plan a journal's first record names.
pub(crate) fn plan_of(record: &Record) -> Option<&Digest> {
    if let Event::RolloutStarted { plan, .. } = &record.event { Some(plan) } else { None }
}

/// Checks version and CRC; what is left is everything the CRC covers.
fn unframe(line: &[u8]) -> Result<&[u8], Rejected> {
    let shape = || Rejected::Garbled(Why::Shape);
    let after = line.strip_prefix(LINE_START).ok_or_else(shape)?;
    let digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
    let (version, after) = after.split_at(digits);
    let version = str::from_utf8(version).ok().and_then(|v| v.parse().ok());
    match version.ok_or_else(shape)? {
        JOURNAL_FORMAT => {}
        newer if newer > JOURNAL_FORMAT => return Err(Rejected::Newer(newer)),
        _ => return Err(shape()),
    }
    let after = after.strip_prefix(br#","crc":""#).ok_or_else(shape)?;
    let (stated, rest) = after.split_at_checked(8).ok_or_else(shape)?;
    let rest = rest.strip_prefix(br#"","#).ok_or_else(shape)?;
    let real = format!("{:08x}", crc32fast::hash(rest));
    if stated != real.as_bytes() {
        return Err(Rejected::Garbled(Why::Crc));
    }
    Ok(rest)
}

/// The end of a journal that a cut write left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The line, counted from 1.
    pub line: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// What is wrong with it. [`Why::Cut`] is what a killed process leaves; anything else needs a
    /// power cut, or is damage to a line that had been durable.
    pub why: Why,
}

/// A journal as read from its bytes.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Every record of every whole line.
    pub records: Vec<Record>,
    /// The end of the last whole line.
    pub chain: Chain,
    /// How many bytes the whole lines have.
    pub good_bytes: u64,
    /// What a cut write left behind them.
    pub torn: Option<Torn>,
}

/// Reads a journal's bytes. The last line alone may be torn: nothing was ever released for an
/// append whose line is not whole. Damage anywhere before is refused, because later lines prove
/// that what stood there had been durable.
///
/// # Errors
/// [`ReadError::Altered`], [`ReadError::Newer`].
pub fn scan(bytes: &[u8]) -> Result<Scan, ReadError> {
    let mut found =
        Scan { records: Vec::new(), chain: Chain::default(), good_bytes: 0, torn: None };
    let mut rest = bytes;
    while !rest.is_empty() {
        let line = found.chain.lines + 1;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let Some(end) = end else {
            found.torn = Some(torn(line, rest, Why::Cut)?);
            break;
        };
        let (this, after) = (&rest[..end], &rest[end + 1..]);
        match found.chain.decode(this) {
            Ok((records, chain)) => {
                found.records.extend(records);
                found.chain = chain;
                found.good_bytes += this.len() as u64 + 1;
            }
            Err(Rejected::Garbled(why)) if after.is_empty() => {
                found.torn = Some(torn(line, rest, why)?);
            }
            Err(Rejected::Garbled(why) | Rejected::Wrong(why)) => {
                return Err(ReadError::Altered { line, why });
            }
            Err(Rejected::Newer(found)) => {
                return Err(ReadError::Newer { line, found, known: JOURNAL_FORMAT });
            }
        }
        rest = after;
    }
    Ok(found)
}

/// Whether a line says that the one before it has this digest.
pub(crate) fn is_followed(bytes: &[u8], digest: &Digest) -> bool {
    let named = format!(r#""prev":"{digest}","recs":"#);
    bytes.windows(named.len()).any(|window| window == named.as_bytes())
}

/// A last line that is not whole. When a second line begins inside it, a newline was changed and
/// the first of the two had been durable: that is no torn write.
fn torn(line: u64, rest: &[u8], why: Why) -> Result<Torn, ReadError> {
    let second = rest.windows(LINE_START.len()).skip(1).any(|window| window == LINE_START);
    if second {
        return Err(ReadError::Altered { line, why });
    }
    Ok(Torn { line, bytes: rest.len() as u64, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zdu_model::event::Request;
    use zdu_model::ids::{FleetName, ProcedureName, RolloutId};
    use zdu_model::plan::Release;
    use zdu_model::time::Timestamp;

    fn started() -> Event {
        Event::RolloutStarted {
            rollout: RolloutId::new("r1").expect("valid"),
            plan: Digest("ab".into()),
            fleet: FleetName::new("edge").expect("valid"),
            procedure: ProcedureName::new("toy").expect("valid"),
            release: Release { from: "1".into(), to: "2".into() },
            by: "op".into(),
        }
    }

    fn record(seq: u64, epoch: u64, reason: &str) -> Record {
        let event = match seq {
            1 => started(),
            _ => {
                Event::Requested { request: Request::Hold, by: "op".into(), reason: reason.into() }
            }
        };
        Record { seq: Seq(seq), at: Timestamp(seq), epoch: Epoch(epoch), event }
    }

    #[test]
    fn the_bytes_of_format_1_stay_what_they_are() {
        let (line, chain) = Chain::default().encode(&[record(1, 1, "")]).expect("first");
        let line = String::from_utf8(line).expect("text");
        assert!(line.starts_with(r#"{"v":1,"crc":""#), "{line}");
        let prev = sha256(b"zdu journal 1 of plan ab");
        let rest = format!(r#""prev":"{prev}","recs":[{{"seq":1,"at":1,"epoch":1,"event":"#);
        assert!(line.contains(&rest), "{line}");
        assert_eq!(chain.head(), Some(&sha256(line.trim_end().as_bytes())));
        assert_eq!(
            sha256(b"").0,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn records_that_may_not_follow_are_refused_before_they_are_written() {
        let refused = |chain: &Chain, records: &[Record]| chain.encode(records).expect_err("no");
        let empty = Chain::default();
        assert_eq!(refused(&empty, &[]), Why::NoRecord);
        let mut wrong = record(2, 1, "");
        wrong.seq = Seq(1);
        assert_eq!(refused(&empty, &[wrong]), Why::FirstRecord);
        let (_, chain) = empty.encode(&[record(1, 5, "")]).expect("first");
        let gap = refused(&chain, &[record(3, 5, "")]);
        let (expected, found) = (Seq(2), Seq(3));
        assert_eq!(gap, Why::Sequence { expected, found });
        let older = refused(&chain, &[record(2, 4, "")]);
        let (newest, found) = (Epoch(5), Epoch(4));
        assert_eq!(older, Why::Epoch { newest, found });
    }

    #[test]
    fn a_last_line_that_is_whole_but_not_understood_is_never_cut_off() {
        let (first, chain) = Chain::default().encode(&[record(1, 1, "")]).expect("first");
        let (second, _) = chain.encode(&[record(2, 1, "")]).expect("second");
        let second = String::from_utf8(second).expect("text");
        let rest = second[24..].trim_end().replace("requested", "danced");
        let crc = crc32fast::hash(rest.as_bytes());
        let unknown = format!("{{\"v\":1,\"crc\":\"{crc:08x}\",{rest}\n");
        let found = scan(&[first, unknown.into_bytes()].concat());
        let Err(ReadError::Altered { line: 2, why: Why::Unknown(_) }) = found else {
            panic!("{found:?}");
        };
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_a_cut_leaves_whole_appends(
            reasons in prop::collection::vec((".{0,12}", any::<bool>(), 0u64..2), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut bytes, mut ends, mut all) = (Vec::new(), vec![(0, 0)], Vec::new());
            let (mut chain, mut group, mut epoch) = (Chain::default(), Vec::new(), 1);
            let count = reasons.len();
            for (seq, (reason, together, newer)) in (1..).zip(&reasons) {
                epoch += newer;
                group.push(record(seq, epoch, reason));
                if *together && all.len() + group.len() < count {
                    continue;
                }
                let (line, next) = chain.encode(&group).expect("follows");
                bytes.extend(line);
                all.append(&mut group);
                chain = next;
                ends.push((bytes.len(), all.len()));
            }
            let whole = scan(&bytes).expect("whole");
            prop_assert_eq!(&whole.records, &all);
            prop_assert_eq!(&whole.chain, &chain);
            let cut = cut.index(bytes.len() + 1);
            let part = scan(&bytes[..cut]).expect("a cut is never damage");
            let (end, count) = *ends.iter().rfind(|(end, _)| *end <= cut).expect("zero");
            prop_assert_eq!(part.records, &all[..count]);
            prop_assert_eq!(part.torn.map_or(0, |torn| torn.bytes), (cut - end) as u64);
        }
    }
}
