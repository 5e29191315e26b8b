//! Law 10: no secret value reaches a sink: the journal's bytes, and every text folded from it.

use super::Checker;
use crate::hands::CAPTURED_SECRET;
use crate::seen::{Scene, Seen};
use zdu_view::log::rollout_log;
use zdu_view::markdown::markdown;
use zdu_view::moment::Offset;
use zdu_view::next::next_commands;
use zdu_view::report::report;
use zdu_view::table::summary_table;

/// The value as JSON escapes it, in base64 and in a URL; `tests` below hold them to the value.
const ESCAPED: &str = r#"captured&secret/\"1\""#;
const BASE64: &str = "Y2FwdHVyZWQmc2VjcmV0LyIxIg==";
const URL: &str = "captured%26secret%2F%221%22";

/// Reads every sink at the end, in runs whose plan captures a secret: no other value of the
/// simulated world is one.
#[derive(Default)]
pub(super) struct Secrets;

impl Checker for Secrets {
    fn name(&self) -> &'static str {
        "secrets"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        let Seen::Over = seen else { return None };
        let mut captures = scene.layout.plan.steps.iter().flat_map(|step| &step.capture);
        if !captures.any(|capture| capture.secret) {
            return None;
        }
        let journal = String::from_utf8_lossy(&(scene.bytes)()).into_owned();
        if has_secret(&journal) {
            return Some("the journal holds a captured secret".into());
        }
        let view = scene.view;
        let mut texts = next_commands(view);
        let told = report(view, scene.now, None);
        texts.extend([markdown(&told), summary_table(view), format!("{told:?}")]);
        // The log's text of a record is its lines, and at an end the table.
        texts.extend(scene.journal.iter().map(|record| rollout_log(view, record, Offset::UTC)));
        let found = texts.iter().find(|text| has_secret(text));
        found.map(|text| format!("a view shows a captured secret: {text}"))
    }
}

fn has_secret(text: &str) -> bool {
    [CAPTURED_SECRET, ESCAPED, BASE64, URL].iter().any(|form| text.contains(form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoded_forms_are_those_of_the_value() {
        assert_eq!(ESCAPED, CAPTURED_SECRET.replace('"', "\\\""));
        let plain = URL.replace("%26", "&").replace("%2F", "/").replace("%22", "\"");
        assert_eq!(plain, CAPTURED_SECRET);
        assert_eq!(decoded(BASE64), CAPTURED_SECRET.as_bytes());
        assert!(has_secret(&format!("token={URL}")) && !has_secret("captured"));
    }

    fn decoded(text: &str) -> Vec<u8> {
        let alphabet: Vec<u8> =
            (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"+/").collect();
        let mut bits = text.bytes().filter_map(|byte| alphabet.iter().position(|of| *of == byte));
        let mut bytes = Vec::new();
        while let Some(first) = bits.next() {
            let rest: Vec<usize> = bits.by_ref().take(3).collect();
            let all = rest.iter().chain([&0; 3]).take(3);
            let word = all.fold(first, |word, six| word << 6 | six);
            let whole = [word >> 16, word >> 8, word].map(|byte| u8::try_from(byte & 255));
            bytes.extend(whole.into_iter().flatten().take(rest.len()));
        }
        bytes
    }
}
