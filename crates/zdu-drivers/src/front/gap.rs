//! The longest time between two answers as wanted. Pure.
//!
//! Counted by when answers came, since that is what users wait for, and over the borders of spans:
//! a gap that began in a span is counted from there in the next, so the longest of all spans is the
//! longest of all. Time in which this machine asked nobody is taken off: what it did not ask for
//! nobody can say.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
enum Happened {
    Answered,
    /// Nobody was asked for so long.
    Silent(Duration),
}

/// The gaps of one way of connecting.
#[derive(Debug)]
pub(super) struct Gap {
    /// The last answer, or the begin of it all,
    last: Duration,
    /// and for how long nobody was asked since.
    silent: Duration,
    /// What the span has not reached yet.
    ahead: Vec<(Duration, Happened)>,
    longest: Duration,
    began: Option<Duration>,
}

impl Gap {
    pub(super) fn new(begin: Duration) -> Self {
        Self {
            last: begin,
            silent: Duration::ZERO,
            ahead: Vec::new(),
            longest: Duration::ZERO,
            began: None,
        }
    }

    /// An answer as wanted came.
    pub(super) fn answered(&mut self, at: Duration) {
        self.ahead.push((at, Happened::Answered));
    }

    /// From `at` on nobody was asked for so long, for a reason of this machine.
    pub(super) fn silent(&mut self, at: Duration, span: Duration) {
        self.ahead.push((at, Happened::Silent(span)));
    }

    /// Counts what happened before `mark`.
    pub(super) fn settle(&mut self, mark: Duration) {
        // Nearly in order: ends are told in the order in which tasks were looked at.
        self.ahead.sort_by_key(|(at, _)| *at);
        let reached = self.ahead.partition_point(|(at, _)| *at < mark);
        let happened: Vec<_> = self.ahead.drain(..reached).collect();
        for (at, what) in happened {
            match what {
                Happened::Answered => {
                    self.reach(at);
                    (self.last, self.silent) = (at, Duration::ZERO);
                }
                Happened::Silent(span) => self.silent += span,
            }
        }
    }

    fn reach(&mut self, at: Duration) {
        let gap = at.saturating_sub(self.last).saturating_sub(self.silent);
        if gap > self.longest {
            (self.longest, self.began) = (gap, Some(self.last));
        }
    }

    /// The longest gap that reached into the span which ends here, and when it began.
    pub(super) fn take(&mut self, until: Duration) -> (Duration, Option<Duration>) {
        self.settle(until);
        self.reach(until);
        (std::mem::take(&mut self.longest), self.began.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn of(answers: &[u64]) -> Gap {
        let mut gap = Gap::new(ms(0));
        answers.iter().for_each(|at| gap.answered(ms(*at)));
        gap
    }

    #[test]
    fn the_longest_time_between_two_answers_is_by_when_they_came() {
        // The answer of the first request came last.
        assert_eq!(of(&[20, 900, 300, 320, 10]).take(ms(901)), (ms(580), Some(ms(320))));
    }

    #[test]
    fn the_end_of_the_span_counts_and_a_gap_goes_on_into_the_next() {
        let mut gap = of(&[20, 40]);
        assert_eq!(gap.take(ms(1_000)), (ms(960), Some(ms(40))));
        assert_eq!(gap.take(ms(2_000)), (ms(1_960), Some(ms(40))));
        gap.answered(ms(2_500));
        gap.answered(ms(2_600));
        assert_eq!(gap.take(ms(2_610)), (ms(2_460), Some(ms(40))));
        assert_eq!(gap.take(ms(2_650)), (ms(50), Some(ms(2_600))));
    }

    #[test]
    fn an_answer_behind_the_end_of_a_span_belongs_to_the_next() {
        let mut gap = of(&[20, 700]);
        assert_eq!(gap.take(ms(100)), (ms(80), Some(ms(20))));
        assert_eq!(gap.take(ms(710)), (ms(680), Some(ms(20))));
    }

    #[test]
    fn a_time_in_which_nobody_was_asked_is_no_gap() {
        let mut gap = of(&[20]);
        gap.silent(ms(40), ms(10_000));
        gap.answered(ms(10_060));
        gap.answered(ms(10_100));
        assert_eq!(gap.take(ms(10_100)), (ms(40), Some(ms(20))));
        gap.answered(ms(10_300));
        assert_eq!(gap.take(ms(10_301)), (ms(200), Some(ms(10_100))), "only that one is shorter");
    }

    #[test]
    fn no_answer_at_all_is_a_gap_from_the_begin() {
        assert_eq!(of(&[]).take(ms(3_000)), (ms(3_000), Some(ms(0))));
    }
}
