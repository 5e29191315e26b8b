//! Which releases answered, and how often one came back. Pure.

use std::collections::BTreeMap;
use std::time::Duration;
use zdu_model::front::{VERSIONS_MAX, VersionSeen};
use zdu_model::time::Timestamp;

/// The releases of one front.
#[derive(Debug, Default)]
pub(super) struct Releases {
    /// All that ever answered, at most [`VERSIONS_MAX`]: one that comes back is known over the
    /// border of a span.
    known: Vec<String>,
    /// Which of them answered last.
    last: Option<usize>,
    /// Those of this span.
    seen: BTreeMap<usize, Seen>,
    went_back: u64,
}

#[derive(Debug)]
struct Seen {
    /// As the span met them.
    order: usize,
    first: Duration,
    last: Duration,
    count: u64,
}

impl Releases {
    /// An answer named this one; in the order in which requests were due.
    pub(super) fn answered(&mut self, text: &str, at: Duration) {
        let known = self.known.iter().position(|known| known == text);
        let (release, earlier) = match known {
            Some(known) => (known, true),
            None if self.known.len() < VERSIONS_MAX => {
                self.known.push(text.to_owned());
                (self.known.len() - 1, false)
            }
            // Not told apart any more.
            None => (VERSIONS_MAX - 1, true),
        };
        let other = self.last.is_some_and(|last| last != release);
        self.went_back += u64::from(earlier && other);
        self.last = Some(release);
        let order = self.seen.len();
        let seen = Seen { order, first: at, last: at, count: 0 };
        let seen = self.seen.entry(release).or_insert(seen);
        seen.first = seen.first.min(at);
        seen.last = seen.last.max(at);
        seen.count += 1;
    }

    /// Those of the span that ends here, and how often one came back.
    pub(super) fn take(&mut self, tell: &dyn Fn(Duration) -> Timestamp) -> (Vec<VersionSeen>, u64) {
        let mut seen: Vec<_> = std::mem::take(&mut self.seen).into_iter().collect();
        seen.sort_by_key(|(_, seen)| seen.order);
        let told = |(release, seen): (usize, Seen)| VersionSeen {
            text: self.known.get(release).cloned().unwrap_or_default(),
            first: tell(seen.first),
            last: tell(seen.last),
            count: seen.count,
        };
        (seen.into_iter().map(told).collect(), std::mem::take(&mut self.went_back))
    }
}
