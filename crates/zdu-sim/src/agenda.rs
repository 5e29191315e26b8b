//! Virtual time: what happens when, in one order. Time moves only to the next entry.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use zdu_model::time::Timestamp;

struct Entry<T> {
    at: Timestamp,
    /// Things of one moment happen in the order they were planned.
    number: u64,
    what: T,
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first; the earliest is wanted.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

/// What is to happen.
pub(crate) struct Agenda<T> {
    now: Timestamp,
    planned: u64,
    entries: BinaryHeap<Entry<T>>,
}

impl<T> Agenda<T> {
    pub(crate) fn starting(now: Timestamp) -> Self {
        Self { now, planned: 0, entries: BinaryHeap::new() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Plans something; what lies in the past happens next.
    pub(crate) fn at(&mut self, at: Timestamp, what: T) {
        self.planned += 1;
        let at = at.max(self.now);
        self.entries.push(Entry { at, number: self.planned, what });
    }

    /// Moves time to the next thing.
    pub(crate) fn next(&mut self) -> Option<T> {
        let entry = self.entries.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planned_for_one_moment_happens_in_the_order_it_was_planned() {
        let mut agenda = Agenda::starting(Timestamp(10));
        agenda.at(Timestamp(30), "third");
        agenda.at(Timestamp(20), "first");
        agenda.at(Timestamp(20), "second");
        agenda.at(Timestamp(5), "of the past");
        let order: Vec<_> = std::iter::from_fn(|| agenda.next()).collect();
        assert_eq!(order, ["of the past", "first", "second", "third"]);
        assert_eq!(agenda.now(), Timestamp(30));
    }
}
