//! Randomness from a seed. Every stream is named by what it is for, so that one more draw in one
//! place does not reshuffle all others.

use zdu_model::time::Millis;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Dice(fastrand::Rng);

impl Dice {
    /// The stream of this seed for one purpose and one thing (a node, a step).
    #[must_use]
    pub fn of(seed: u64, purpose: &str, thing: u64) -> Self {
        // FNV-1a, which is enough to tell names apart; the generator mixes it.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let bytes = purpose.bytes().chain(seed.to_le_bytes()).chain(thing.to_le_bytes());
        for byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(fastrand::Rng::with_seed(hash))
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.u64(..bound) }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A span from `low` to `high` milliseconds.
    pub fn span(&mut self, low: u64, high: u64) -> Millis {
        Millis(self.between(low, high))
    }

    /// True in so many of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of.get(at).expect("something to pick from")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_by_seed_purpose_and_thing() {
        let first = |seed, purpose, thing| Dice::of(seed, purpose, thing).below(u64::MAX);
        assert_eq!(first(1, "a", 0), first(1, "a", 0));
        let others = [first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        assert!(others.iter().all(|other| *other != first(1, "a", 0)), "{others:?}");
    }

    #[test]
    fn draws_stay_in_their_bounds() {
        let mut dice = Dice::of(7, "bounds", 0);
        for _ in 0..1000 {
            assert!((3..=5).contains(&dice.between(3, 5)));
            assert_eq!(dice.below(0), 0);
        }
    }
}
