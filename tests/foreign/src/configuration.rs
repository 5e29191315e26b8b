//! `zdu.yaml` and what it names, up to the plan that is made of it.

use std::collections::BTreeMap;

use zdu_config::import::axway;
use zdu_config::{Config, Templates, load};
use zdu_model::ids::Digest;
use zdu_plan::{Input, Observed, lint, plan};

const MAIN: &str = "zdu.yaml";
/// Begins a line that names the file whose text follows.
const NEXT_FILE: &str = "=== ";

/// The first file is `zdu.yaml`; lines such as `=== p.yaml` begin others.
pub fn configuration(bytes: &[u8]) -> bool {
    let files = files(bytes, MAIN);
    drop(axway::from_topology(&String::from_utf8_lossy(bytes)));
    match load(MAIN, &files) {
        Ok(config) => {
            planned(&config);
            true
        }
        Err(found) => {
            assert!(!found.is_empty(), "a refusal without a reason");
            for finding in found {
                assert!(finding.line >= 1 && finding.column >= 1, "{finding}");
                assert!(finding.span.start <= finding.span.end, "{finding}");
                let length = files.get(&finding.file).map(Vec::len);
                assert!(length.is_none_or(|length| finding.span.end <= length), "{finding}");
            }
            false
        }
    }
}

/// The files of a text; what stands before the first line that names one is `first`.
pub(crate) fn files(bytes: &[u8], first: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([(first.to_owned(), Vec::new())]);
    let mut name = first.to_owned();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(NEXT_FILE.as_bytes()) {
            Some(next) => String::from_utf8_lossy(next).trim().clone_into(&mut name),
            None => files.entry(name.clone()).or_default().extend_from_slice(line),
        }
    }
    files
}

/// What loads is planned or refused with reasons, and a plan of ours is clean.
fn planned(config: &Config) {
    let vars = config.vars.iter().map(|(name, value)| (name.to_string(), value.clone()));
    let input = Input {
        fleet: config.fleet.clone(),
        procedure: config.procedure.clone(),
        procedure_digest: Digest("0".repeat(64)),
        policy: config.policy.clone(),
        release: config.release.clone(),
        vars: vars.collect(),
        tool: "fuzzed".into(),
        observed: Observed::default(),
    };
    match plan(&input, &Templates::new(&config.procedure)) {
        Ok(planned) => assert_eq!(lint(&planned.plan), vec![]),
        Err(refusals) => assert!(!refusals.0.is_empty(), "a refusal without a reason"),
    }
}
