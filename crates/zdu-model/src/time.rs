//! Time as numbers. Nobody in the core reads a clock: `now` is an input.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, as the controller's clock said.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment plus a span, saturating.
    #[must_use]
    pub fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to here; zero when the clock went back in between.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// A span in milliseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1000)
    }

    /// A span as people write it: `250ms`, `30s`, `5m`, `1h`, `1d`, and several in a row, such as
    /// `1m30s`. `None` for everything else, also for a number without a unit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return None;
        }
        let mut total = 0u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u64 = rest.get(..digits)?.parse().ok()?;
            rest = rest.get(digits..)?;
            let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let factor = match rest.get(..unit)? {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return None,
            };
            total = total.checked_add(number.checked_mul(factor)?)?;
            rest = rest.get(unit..)?;
        }
        Some(Self(total))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        match ms {
            0 => f.write_str("0s"),
            _ if ms < 1_000 => write!(f, "{ms}ms"),
            _ if ms < 60_000 && ms.is_multiple_of(1_000) => write!(f, "{}s", ms / 1_000),
            _ if ms < 60_000 => write!(f, "{}.{:03}s", ms / 1_000, ms % 1_000),
            _ if ms.is_multiple_of(3_600_000) => write!(f, "{}h", ms / 3_600_000),
            _ if ms.is_multiple_of(60_000) => write!(f, "{}m", ms / 60_000),
            _ => write!(f, "{}m{}s", ms / 60_000, (ms % 60_000) / 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn spans_read_like_a_person_writes_them() {
        let text = |ms| Millis(ms).to_string();
        assert_eq!(text(250), "250ms");
        assert_eq!(text(1_500), "1.500s");
        assert_eq!(text(30_000), "30s");
        assert_eq!(text(90_000), "1m30s");
        assert_eq!(text(7_200_000), "2h");
    }

    #[test]
    fn spans_of_time_are_read_as_they_are_shown() {
        for text in ["250ms", "30s", "5m", "1h", "1m30s", "0s"] {
            let span = Millis::parse(text).expect(text);
            assert_eq!(span.to_string(), text);
        }
        for text in ["", "5", "s", "5 m", "-1s", "5x", "99999999999999999999s", "1.5s"] {
            assert_eq!(Millis::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_clock_that_went_back_gives_a_span_of_zero() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Millis(0));
    }
}
