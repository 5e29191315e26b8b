//! Inventories of Ansible, with the files of variables beside them.

use crate::configuration::files;
use std::collections::BTreeMap;
use zdu_config::import::ansible::from_inventory;

const INI: &str = "hosts";
const YAML: &str = "hosts.yml";

/// The first file is `hosts`, or `hosts.yml` where a line `=== hosts.yml` begins one. What is made
/// of it loads, and a refusal shows no line of it.
pub fn inventory(bytes: &[u8]) -> bool {
    let files = files(bytes, INI);
    let path = if files.contains_key(YAML) { YAML } else { INI };
    match from_inventory(path, &files) {
        Ok(imported) => {
            let config = BTreeMap::from([("zdu.yaml".to_owned(), imported.text.into_bytes())]);
            let loaded = zdu_config::load("zdu.yaml", &config);
            assert!(loaded.is_ok(), "what was imported does not load: {:?}", loaded.err());
            true
        }
        Err(found) => {
            assert!(!found.is_empty(), "a refusal without a reason");
            for finding in found {
                assert!(finding.line >= 1 && finding.column >= 1, "{finding}");
                assert!(finding.conceal, "a line that may hold a secret: {finding}");
                let length = files.get(&finding.file).map(Vec::len);
                assert!(length.is_none_or(|length| finding.span.end <= length), "{finding}");
            }
            false
        }
    }
}
