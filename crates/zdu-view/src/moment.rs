//! Moments and spans as text. The offset is given; nobody here asks the machine for its zone.

pub use jiff::tz::Offset;
use zdu_model::time::{Millis, Timestamp};

/// A moment in RFC 3339, to the second: `2026-01-31T09:00:00Z`, or with the offset given.
#[must_use]
pub fn moment(at: Timestamp, offset: Offset) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    // A number past what a calendar holds is shown as it is: a view never panics.
    let Ok(instant) = jiff::Timestamp::from_millisecond(ms) else {
        return format!("{}ms", at.0);
    };
    if offset == Offset::UTC {
        return instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    }
    let zoned = instant.to_zoned(offset.to_time_zone());
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A moment in RFC 3339 in UTC, to the millisecond, for files that machines read.
#[must_use]
pub fn moment_exact(at: Timestamp) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(instant) => instant.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        Err(_) => format!("{}ms", at.0),
    }
}

/// A span for a screen: whole seconds once it is longer than ten of them.
#[must_use]
pub fn span(span: Millis) -> String {
    if span.0 < 10_000 {
        return span.to_string();
    }
    let secs = span.0 / 1_000;
    if secs < 3_600 {
        return Millis::from_secs(secs).to_string();
    }
    let (hours, minutes) = (secs / 3_600, secs % 3_600 / 60);
    format!("{hours}h{minutes:02}m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_the_offset_given() {
        let at = Timestamp(1_769_850_000_123);
        assert_eq!(moment(at, Offset::UTC), "2026-01-31T09:00:00Z");
        assert_eq!(moment(at, jiff::tz::offset(2)), "2026-01-31T11:00:00+02:00");
        assert_eq!(moment(Timestamp(u64::MAX), Offset::UTC), "18446744073709551615ms");
    }

    #[test]
    fn a_long_span_is_shown_without_its_milliseconds() {
        assert_eq!(span(Millis(1_500)), "1.500s");
        assert_eq!(span(Millis(12_345)), "12s");
        assert_eq!(span(Millis(754_321)), "12m34s");
        assert_eq!(span(Millis(3_720_000)), "1h02m");
    }
}
