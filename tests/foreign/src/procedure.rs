//! A procedure of one's own.

use zdu_config::parse_procedure;

/// A procedure, or findings with places in its text.
pub fn procedure(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    match parse_procedure(&text, "p.yaml") {
        Ok(procedure) => {
            assert!(!procedure.phases.is_empty(), "a procedure without a phase");
            true
        }
        Err(found) => {
            assert!(!found.is_empty(), "a refusal without a reason");
            for finding in found {
                assert!(finding.line >= 1 && finding.column >= 1, "{finding}");
                assert!(finding.span.end <= text.len(), "{finding}");
                assert!(text.get(finding.span.clone()).is_some(), "it cuts a character: {finding}");
            }
            false
        }
    }
}
