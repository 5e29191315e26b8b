//! The sum of all tests, read from what the test programs print.

use std::collections::BTreeMap;

/// Tests seen so far.
///
/// A test that cannot run on this machine prints one line that begins with `SKIPPED` and returns.
/// Its test program counts it as passed; here it is skipped.
#[derive(Debug, Default)]
pub(super) struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
    skipped_tests: u64,
    /// What was not there on this machine, apart from tests.
    missing: u64,
    /// Whether the last test program had failures of its own to count.
    failed_seen: bool,
    /// Reasons and how often each was given.
    reasons: BTreeMap<String, u64>,
}

impl Counts {
    /// Reads a line of a test program; other lines change nothing.
    pub(super) fn read(&mut self, line: &str) {
        let line = without_colour(line);
        let line = line.trim();
        if let Some(reason) = skip_reason(line) {
            self.skipped_tests += 1;
            *self.reasons.entry(reason.to_owned()).or_default() += 1;
        }
        self.read_rollouts(line);
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let (passed, failed, ignored) =
            (number(result, "passed"), number(result, "failed"), number(result, "ignored"));
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
        self.failed_seen |= failed > 0;
        if ignored > 0 {
            *self.reasons.entry("marked as ignored in the code".to_owned()).or_default() += ignored;
        }
    }

    /// The swarm is one test, however many rollouts it plays: `N rollouts in T s: ..., N broken`.
    fn read_rollouts(&mut self, line: &str) {
        let mut words = line.split([' ', ',']);
        let (count, what) = (words.next().map(str::parse::<u64>), words.next());
        let (Some(Ok(count)), Some("rollouts"), Some("in")) = (count, what, words.next()) else {
            return;
        };
        let held = line.ends_with(" broken") && number(line, "broken") == 0 && count > 0;
        self.passed += u64::from(held);
        self.failed += u64::from(!held);
        self.failed_seen |= !held;
    }

    /// Something this machine lacks.
    pub(super) fn missing(&mut self, what: &str) {
        self.missing += 1;
        *self.reasons.entry(what.to_owned()).or_default() += 1;
    }

    /// A step failed. One that counted its failed tests is not counted again.
    pub(super) fn failed_step(&mut self) {
        self.failed += u64::from(!self.failed_seen);
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// One line for each reason for which something was skipped.
    pub(super) fn skips(&self) -> Vec<String> {
        let times = |(reason, times): (&String, &u64)| format!("skipped ({times}): {reason}");
        self.reasons.iter().map(times).collect()
    }

    /// `N passed, N failed, N skipped`.
    pub(super) fn sum(&self) -> String {
        let Self { passed, failed, ignored, skipped_tests, missing, failed_seen: _, reasons: _ } =
            self;
        let passed = passed.saturating_sub(*skipped_tests);
        let skipped = skipped_tests + ignored + missing;
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The reason in `SKIPPED: reason` or `SKIPPED, ...: reason`.
fn skip_reason(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("SKIPPED")?;
    rest.starts_with([':', ',']).then(|| rest.trim_start_matches([':', ',', ' ']))
}

/// The number before `word` in `ok. 5 passed; 0 failed; ...`; 0 when it is not there.
fn number(result: &str, word: &str) -> u64 {
    let words: Vec<&str> =
        result.split([' ', ';', '.', ',']).filter(|word| !word.is_empty()).collect();
    let pair = words.windows(2).find(|pair| pair[1] == word);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

/// Colours are on when the user's environment demands them, also into a pipe.
fn without_colour(line: &str) -> String {
    let mut pieces = line.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once('m').map_or("", |(_, after)| after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> Counts {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| counts.read(line));
        counts
    }

    #[test]
    fn results_of_all_programs_are_added_up() {
        let counts = counted(&[
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out",
            "test a ... ok",
            "\u{1b}[1mtest result: \u{1b}[31mFAILED\u{1b}[0m. 7 passed; 2 failed; 1 ignored",
        ]);
        assert_eq!(counts.sum(), "12 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let counts = counted(&[
            "SKIPPED: the lab needs root",
            "SKIPPED, NOTHING WAS TESTED: no haproxy",
            "SKIPPED: the lab needs root",
            "nothing was SKIPPED: here",
            "test result: ok. 5 passed; 0 failed; 0 ignored",
        ]);
        assert_eq!(counts.sum(), "2 passed, 0 failed, 3 skipped");
        let skips =
            ["skipped (1): NOTHING WAS TESTED: no haproxy", "skipped (2): the lab needs root"];
        assert_eq!(counts.skips(), skips);
    }

    #[test]
    fn rollouts_of_the_swarm_are_one_test_that_fails_when_a_law_breaks() {
        let swarm = |broken| format!("70 rollouts in 8.3 s: 4 faults, 9 records, {broken} broken");
        let counts = counted(&["first seed 1", "2 rollouts compared: x", &swarm(0)]);
        assert_eq!(counts.sum(), "1 passed, 0 failed, 0 skipped");
        let mut counts = counted(&[&swarm(1)]);
        counts.failed_step();
        assert_eq!(counts.sum(), "0 passed, 1 failed, 0 skipped");
        assert_eq!(counted(&["0 rollouts in 60.0 s: 0 broken"]).failed(), 1);
    }

    #[test]
    fn a_failed_step_is_counted_once() {
        let mut counts = counted(&["test result: FAILED. 0 passed; 2 failed; 0 ignored"]);
        counts.failed_step();
        assert_eq!(counts.failed(), 2);
        let mut counts = counted(&["error: could not compile"]);
        counts.failed_step();
        assert_eq!(counts.sum(), "0 passed, 1 failed, 0 skipped");
    }
}
