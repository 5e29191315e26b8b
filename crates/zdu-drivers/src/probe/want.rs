//! What must be true of an answer. Pure.

use crate::capture::plain;
use crate::secret::Redactor;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use zdu_model::plan::Want;
use zdu_model::procedure::Comparison;

/// An answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: Option<u16>,
    /// Exit code.
    pub exit: Option<i32>,
    /// Body or output.
    pub text: String,
}

/// The most of an answer that a reason quotes, in characters.
const QUOTE_MAX: usize = 120;

/// Whether the answer is as wanted. What a reason quotes of it is masked before it is cut, so that
/// no cut leaves a part of a secret; the reason as a whole is not.
///
/// # Errors
/// The first thing that is not, as a sentence.
pub fn judge(want: &Want, answered: &Answered, redactor: &Redactor) -> Result<(), String> {
    let excerpt = |text: &str| excerpt(&redactor.mask(text));
    let Want { exit, status, contains, matches, json } = want;
    if let Some(seen) = answered.status {
        let fits = if status.is_empty() { seen < 400 } else { status.contains(&seen) };
        if !fits {
            return Err(format!("HTTP status is {seen}: {}", excerpt(&answered.text)));
        }
    }
    if let Some(seen) = answered.exit {
        let fits = if exit.is_empty() { seen == 0 } else { exit.contains(&seen) };
        if !fits {
            return Err(format!("exit code is {seen}: {}", excerpt(&answered.text)));
        }
    }
    if let Some(wanted) = contains
        && !answered.text.contains(wanted.as_str())
    {
        return Err(format!("the answer has no {wanted:?}: {}", excerpt(&answered.text)));
    }
    if let Some(pattern) = matches {
        let regex = regex::Regex::new(pattern).map_err(|error| error.to_string())?;
        if !regex.is_match(&answered.text) {
            return Err(format!(
                "the answer does not match {pattern}: {}",
                excerpt(&answered.text)
            ));
        }
    }
    if json.is_empty() {
        return Ok(());
    }
    let document: Value = serde_json::from_str(&answered.text)
        .map_err(|error| format!("the answer is no JSON ({error}): {}", excerpt(&answered.text)))?;
    json.iter().try_for_each(|(pointer, is, value)| compare(&document, pointer, *is, value))
}

fn compare(document: &Value, pointer: &str, is: Comparison, wanted: &str) -> Result<(), String> {
    let Some(found) = document.pointer(pointer) else {
        return Err(format!("the answer has nothing at {pointer}"));
    };
    let (fits, seen) = match is {
        Comparison::Equals => (plain(found) == wanted, plain(found)),
        Comparison::EqualInEach => return equal_in_each(found, pointer, wanted),
        Comparison::Length => {
            let length = found.as_array().map(Vec::len);
            let seen = length.map_or_else(|| "no array".into(), |length| length.to_string());
            (seen == wanted, seen)
        }
        Comparison::VersionEquals | Comparison::VersionAtLeast => {
            let seen = plain(found);
            let order = version_order(&seen, wanted);
            let fits = order == Ordering::Equal
                || (is == Comparison::VersionAtLeast && order == Ordering::Greater);
            (fits, seen)
        }
    };
    if fits { Ok(()) } else { Err(format!("{pointer} is {seen}, wanted {wanted}")) }
}

/// Whether in each entry of a map the value at `inner` is the same in all of that entry's own
/// entries. The reason names each entry in which it is not, and who has what.
fn equal_in_each(found: &Value, pointer: &str, inner: &str) -> Result<(), String> {
    let outer = found.as_object().filter(|outer| !outer.is_empty());
    let Some(outer) = outer else {
        return Err(format!("{pointer} is no map with entries to compare"));
    };
    let mut differ = Vec::new();
    for (group, members) in outer {
        let members = members.as_object().filter(|members| !members.is_empty());
        let Some(members) = members else {
            differ.push(format!("{group} at {pointer} has nobody to compare"));
            continue;
        };
        let mut seen: BTreeMap<Option<String>, Vec<&str>> = BTreeMap::new();
        for (member, document) in members {
            let value = document.pointer(inner).filter(|value| !value.is_null()).map(plain);
            seen.entry(value).or_default().push(member);
        }
        if seen.len() == 1 && !seen.contains_key(&None) {
            continue;
        }
        let told = seen.iter().map(|(value, members)| {
            let verb = if members.len() == 1 { "has" } else { "have" };
            format!("{} {verb} {}", members.join(" and "), value.as_deref().unwrap_or("none"))
        });
        let told = told.collect::<Vec<_>>().join(", ");
        differ.push(format!("{inner} differs within {group}: {told}"));
    }
    if differ.is_empty() { Ok(()) } else { Err(differ.join("; ")) }
}

/// Compares dotted versions part by part, numbers as numbers: 2.9 is below 2.104. A missing part
/// counts as 0; parts that are no numbers compare as text.
#[must_use]
pub fn version_order(left: &str, right: &str) -> Ordering {
    let parts = |text: &str| -> Vec<String> {
        text.trim().trim_start_matches('v').split(['.', '-', '+']).map(str::to_owned).collect()
    };
    let (left, right) = (parts(left), parts(right));
    for at in 0..left.len().max(right.len()) {
        let part = |of: &[String]| of.get(at).cloned().unwrap_or_else(|| "0".into());
        let (a, b) = (part(&left), part(&right));
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) | (Err(_), Err(_)) => a.cmp(&b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "nothing was said".into();
    }
    line.chars().take(QUOTE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Answered {
        Answered { status: Some(200), exit: None, text: text.into() }
    }

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(version_order("2.9", "2.104"), Ordering::Less);
        assert_eq!(version_order("7.7", "7.7.0"), Ordering::Equal);
        assert_eq!(version_order("7.7.20240228", "7.7"), Ordering::Greater);
        assert_eq!(version_order("v2", "2"), Ordering::Equal);
    }

    #[test]
    fn every_condition_must_hold_and_the_reason_says_what_was_seen() {
        let json = vec![
            ("/version".into(), Comparison::VersionAtLeast, "7.7".into()),
            ("/nodes".into(), Comparison::Length, "2".into()),
        ];
        let want = Want { json, ..Want::default() };
        assert_eq!(
            judge(&want, &said(r#"{"version":"7.7","nodes":[1,2]}"#), &Redactor::default()),
            Ok(())
        );
        let why = judge(&want, &said(r#"{"version":"7.5.3","nodes":[1,2]}"#), &Redactor::default());
        assert_eq!(why, Err("/version is 7.5.3, wanted 7.7".into()));
        let why = judge(&want, &said(r#"{"version":"7.7","nodes":[1]}"#), &Redactor::default());
        assert_eq!(why, Err("/nodes is 1, wanted 2".into()));
        assert!(judge(&want, &said("<html>"), &Redactor::default()).is_err());
    }

    #[test]
    fn values_that_must_be_equal_within_each_group_are_told_with_the_group_and_who_has_what() {
        let json = vec![("/result".into(), Comparison::EqualInEach, "/props/Id".into())];
        let want = Want { json, ..Want::default() };
        let said = |text: &str| judge(&want, &said(text), &Redactor::default());
        let same = r#"{"result":{"g2":{"i1":{"props":{"Id":"a"}},"i2":{"props":{"Id":"a"}}},
            "g3":{"i3":{"props":{"Id":"b"}}}}}"#;
        assert_eq!(said(same), Ok(()));
        let why = said(&same.replacen("\"a\"", "\"c\"", 1));
        assert_eq!(why, Err("/props/Id differs within g2: i2 has a, i1 has c".into()));
        for (nobody_knows, told) in [
            (same.replace("b", ""), None),
            (same.replace("{\"Id\":\"b\"}", "{}"), Some("g3: i3 has none")),
            (same.replace("{\"Id\":\"b\"}", "{\"Id\":null}"), Some("g3: i3 has none")),
            ("{\"result\":{\"g2\":{}}}".into(), Some("g2 at /result has nobody to compare")),
            ("{\"result\":{}}".into(), Some("/result is no map with entries to compare")),
            ("{\"result\":[]}".into(), Some("/result is no map with entries to compare")),
        ] {
            match (said(&nobody_knows), told) {
                (Ok(()), None) => {}
                (Err(why), Some(told)) if why.ends_with(told) => {}
                (found, told) => panic!("{nobody_knows}: {found:?}, wanted {told:?}"),
            }
        }
    }

    #[test]
    fn a_secret_across_the_end_of_what_is_quoted_is_masked() {
        let mut redactor = Redactor::default();
        redactor.add("pässword-of-a-length");
        for before in 0..QUOTE_MAX + 2 {
            let text = format!("{}pässword-of-a-length and more", "x".repeat(before));
            let failed = Answered { status: Some(500), ..said(&text) };
            let why = judge(&Want::default(), &failed, &redactor).expect_err("it failed");
            assert!(!why.contains("pä"), "{why}");
        }
    }

    #[test]
    fn without_conditions_a_status_below_400_and_exit_0_are_well() {
        let failed = Answered { status: Some(500), ..said("oops") };
        assert_eq!(
            judge(&Want::default(), &failed, &Redactor::default()),
            Err("HTTP status is 500: oops".into())
        );
        let failed = Answered { status: None, exit: Some(1), text: String::new() };
        let why = judge(&Want::default(), &failed, &Redactor::default());
        assert_eq!(why, Err("exit code is 1: nothing was said".into()));
    }
}
