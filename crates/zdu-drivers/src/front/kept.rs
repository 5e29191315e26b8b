//! Kept connections, asked over in turn. Pure but for what it holds.

use std::time::Duration;

/// The places of kept connections; `C` is the connection.
#[derive(Debug)]
pub(super) struct Kept<C> {
    places: Vec<Place<C>>,
    /// Whose turn it is.
    turn: usize,
    age_max: Duration,
}

#[derive(Debug)]
enum Place<C> {
    /// Nobody asks over it; none when it is still to be opened.
    Free(Option<(C, Duration)>),
    Busy,
}

impl<C> Kept<C> {
    /// So many, each closed between two requests when it is as old as this: a connection that users
    /// would have closed must not keep a drain from ending.
    pub(super) fn new(count: usize, age_max: Duration) -> Self {
        Self { places: (0..count).map(|_| Place::Free(None)).collect(), turn: 0, age_max }
    }

    /// Takes the connection whose turn it is, or the next that nobody asks over, with when it was
    /// opened; the place stands empty until it is [put back](Self::put). None: all are busy.
    pub(super) fn take(&mut self) -> Option<(usize, Option<(C, Duration)>)> {
        let count = self.places.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let Some(place) = self.places.get_mut(at) else { continue };
            match std::mem::replace(place, Place::Busy) {
                Place::Free(connection) => {
                    self.turn = at + 1;
                    return Some((at, connection));
                }
                Place::Busy => {}
            }
        }
        None
    }

    /// The request is over; what is to be asked over again, and when that was opened.
    pub(super) fn put(&mut self, at: usize, connection: Option<(C, Duration)>) {
        if let Some(place) = self.places.get_mut(at) {
            *place = Place::Free(connection);
        }
    }

    /// Takes those out that are old and that nobody asks over: they are to be closed.
    pub(super) fn old(&mut self, now: Duration) -> Vec<C> {
        let age_max = self.age_max;
        let old = |place: &mut Place<C>| match place {
            Place::Free(held) => held.take_if(|(_, opened)| now.saturating_sub(*opened) >= age_max),
            Place::Busy => None,
        };
        self.places.iter_mut().filter_map(old).map(|(connection, _)| connection).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn connections_take_turns_and_one_that_is_busy_is_passed_over() {
        let mut kept: Kept<char> = Kept::new(3, secs(30));
        assert_eq!(kept.take(), Some((0, None)));
        assert_eq!(kept.take(), Some((1, None)));
        kept.put(0, Some(('a', secs(0))));
        assert_eq!(kept.take(), Some((2, None)));
        assert_eq!(kept.take(), Some((0, Some(('a', secs(0))))));
        kept.put(2, Some(('c', secs(0))));
        assert_eq!(kept.take(), Some((2, Some(('c', secs(0))))), "1 is busy");
        assert_eq!(kept.take(), None);
    }

    #[test]
    fn an_old_one_is_closed_between_two_requests_and_never_within_one() {
        let mut kept: Kept<usize> = Kept::new(3, secs(30));
        for (at, opened) in [(0, 0), (1, 1), (2, 0)] {
            kept.put(at, Some((at, secs(opened))));
        }
        assert_eq!(kept.take(), Some((0, Some((0, secs(0))))));
        assert!(kept.old(secs(29)).is_empty());
        assert_eq!(kept.old(secs(30)), [2]);
        assert_eq!(kept.old(secs(31)), [1]);
        kept.put(0, Some((0, secs(0))));
        assert_eq!(kept.old(secs(31)), [0]);
    }
}
