//! Attempts at a step that end as the one before did: a guard that waits for capacity reads
//! hundreds of times, and one line says as much.

use std::collections::{BTreeMap, BTreeSet};
use zdu_model::contract::Class;
use zdu_model::event::{Event, Record, ScheduleCause};
use zdu_model::ids::StepNo;
use zdu_model::report::End;
use zdu_model::time::Timestamp;

/// Which records of a story are told by one line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Alike {
    /// Those that have no line of their own.
    hidden: BTreeSet<usize>,
    /// Those whose line tells the others, by where they are.
    runs: BTreeMap<usize, Run>,
}

/// Attempts in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// How many.
    pub(super) count: usize,
    /// When the last of them began.
    pub(super) last: Timestamp,
}

/// The attempts at one step, as far as its records were read.
#[derive(Default)]
struct Reading<'r> {
    /// The records of the attempt, and when it began.
    begun: Option<(usize, Timestamp)>,
    ended: Option<(usize, Ended<'r>)>,
    /// How the attempt before it ended, and why there was another.
    before: Option<(Ended<'r>, ScheduleCause)>,
    /// The attempts that ended alike, each by its records.
    alike: Vec<([usize; 3], Timestamp)>,
}

type Ended<'r> = (Class, &'r End);

impl Alike {
    /// Finds them. The first attempt of a run has its own lines, so that it can be seen how the
    /// others ended, and so has the last, which is what is decided about.
    pub(super) fn of(records: &[Record]) -> Self {
        let mut steps: BTreeMap<StepNo, Reading<'_>> = BTreeMap::new();
        let mut all = Self::default();
        for (at, record) in records.iter().enumerate() {
            if let Event::StepStarted { step, .. } = &record.event {
                steps.entry(*step).or_default().begun = Some((at, record.at));
            } else if let Event::StepEnded { step, class, report, .. } = &record.event {
                steps.entry(*step).or_default().ended = Some((at, (*class, &report.end)));
            } else if let Event::StepScheduled { step, cause, .. } = &record.event {
                all.again(at, *cause, steps.entry(*step).or_default());
            } else if let Event::StepUnknown { step, .. } | Event::FailureDecided { step, .. } =
                &record.event
            {
                all.close(&steps.remove(step).unwrap_or_default());
            }
        }
        steps.values().for_each(|reading| all.close(reading));
        all
    }

    fn again<'r>(&mut self, at: usize, cause: ScheduleCause, reading: &mut Reading<'r>) {
        let (begun, ended) = (reading.begun.take(), reading.ended.take());
        let this = ended.map(|(_, ended)| (ended, cause));
        if this != reading.before {
            self.close(reading);
            reading.alike.clear();
        } else if let (Some((begun, when)), Some((ended, _))) = (begun, ended) {
            reading.alike.push(([begun, ended, at], when));
        }
        reading.before = this;
    }

    /// One attempt is told as it is: its lines are no more than one about it.
    fn close(&mut self, reading: &Reading<'_>) {
        let ([(first, _), _, ..], Some((_, last))) =
            (reading.alike.as_slice(), reading.alike.last())
        else {
            return;
        };
        self.runs.insert(first[0], Run { count: reading.alike.len(), last: *last });
        self.hidden.extend(reading.alike.iter().flat_map(|(records, _)| records));
    }

    /// What is told of a record: nothing, a run, or its own lines.
    pub(super) fn told(&self, at: usize) -> Told {
        match self.runs.get(&at) {
            Some(run) => Told::Run(*run),
            None if self.hidden.contains(&at) => Told::Nothing,
            None => Told::Itself,
        }
    }
}

/// What is told of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Its lines.
    Itself,
    /// That it begins attempts that end alike.
    Run(Run),
    /// Another line tells it.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use zdu_model::ids::{Epoch, Seq};
    use zdu_model::report::Report;

    fn waits(step: u32, attempt: u32, why: &str) -> Vec<Event> {
        let (step, report) = (StepNo(step), Report::bare(End::NotMet(why.into())));
        let at = Timestamp(0);
        vec![
            Event::StepStarted { step, attempt },
            Event::StepEnded { step, attempt, class: Class::Again, report },
            Event::StepScheduled { step, at, cause: ScheduleCause::Again },
        ]
    }

    fn records(events: Vec<Event>) -> Vec<Record> {
        let numbered = events.into_iter().zip(0..);
        let record = |(event, no): (Event, u64)| Record {
            seq: Seq(no + 1),
            at: Timestamp(no * 1_000),
            epoch: Epoch(1),
            event,
        };
        numbered.map(record).collect()
    }

    fn told(events: Vec<Event>) -> Vec<Told> {
        let records = records(events);
        let alike = Alike::of(&records);
        (0..records.len()).map(|at| alike.told(at)).collect()
    }

    #[test]
    fn the_first_attempt_is_told_and_those_that_end_alike_are_one_line() {
        let events = (1..=4).flat_map(|attempt| waits(0, attempt, "blind")).collect();
        let told = told(events);
        assert_eq!(told[..3], [Told::Itself; 3]);
        assert_eq!(told[3], Told::Run(Run { count: 3, last: Timestamp(9_000) }));
        assert_eq!(told[4..], [Told::Nothing; 8]);
    }

    #[test]
    fn attempts_that_end_in_another_way_are_told_each() {
        let whys = ["blind", "sick", "blind", "sick"];
        let events = whys.iter().zip(1..).flat_map(|(why, attempt)| waits(0, attempt, why));
        assert_eq!(told(events.collect()), [Told::Itself; 12]);
    }

    #[test]
    fn what_other_steps_do_meanwhile_ends_no_run_and_a_decision_does() {
        let mut events = Vec::new();
        for attempt in 1..=3 {
            events.extend(waits(0, attempt, "blind"));
            events.extend(waits(1, attempt, &attempt.to_string()));
        }
        let runs = |events| told(events).iter().filter(|told| matches!(told, Told::Run(_))).count();
        assert_eq!(runs(events.clone()), 1);
        for at in [6, 13] {
            let action = zdu_model::policy::FailureAction::Hold;
            events.insert(at, Event::FailureDecided { step: StepNo(0), rule: 0, action });
        }
        assert_eq!(runs(events), 0);
    }
}
