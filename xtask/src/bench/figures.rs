//! From measured values to a line that is read.

/// The middle value; of an even number the lower of the two. 0 for none.
pub(super) fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The smallest measured value that is not exceeded by `percent` of all (nearest rank).
pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

/// `1.23 s [1.20 1.25 ..]`: the median and all values in the order they were measured.
pub(super) fn with_raw(values: &[f64], unit: &str) -> String {
    let raw: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
    format!("{:.2} {unit} [{}]", median(values), raw.join(" "))
}

/// A line with our values against theirs and the ratio of the medians.
pub(super) fn ratio(title: &str, ours: &[f64], theirs: (&str, &[f64])) -> String {
    let (name, theirs) = theirs;
    format!(
        "{title}: ratio {:.2}\n    zdu {}\n    {name} {}",
        median(ours) / median(theirs),
        with_raw(ours, "s"),
        with_raw(theirs, "s")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let values: Vec<f64> = (1..=25).rev().map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (13.0, 25.0));
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[])), (2.0, 0.0));
    }

    #[test]
    fn a_ratio_is_shown_with_what_it_was_made_from() {
        let line = ratio("t", &[3.0, 1.0, 2.0], ("ssh", &[4.0]));
        let wanted = "t: ratio 0.50\n    zdu 2.00 s [3.00 1.00 2.00]\n    ssh 4.00 s [4.00]";
        assert_eq!(line, wanted);
    }
}
