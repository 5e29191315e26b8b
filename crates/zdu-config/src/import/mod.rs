//! Configurations made from what other tools know, and the first one from nothing.

pub mod axway;

/// Why a configuration could not be made from what another tool gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The text is not JSON.
    #[error("the text is not JSON: {0}")]
    NotJson(String),
    /// The JSON is not what the tool writes.
    #[error("the document has no `{0}`")]
    Missing(&'static str),
    /// There is nothing to upgrade in it.
    #[error("the topology has no API Gateway instance")]
    NoInstance,
}

/// A first `zdu.yaml`: it loads as it is, and every line that must be changed says so.
#[must_use]
pub fn scaffold() -> &'static str {
    include_str!("scaffold.yaml")
}

/// A text as a YAML scalar that is read back as the same text, whatever it holds.
fn scalar(text: &str) -> String {
    // JSON strings are YAML double-quoted scalars.
    serde_json::Value::from(text).to_string()
}

/// A name made from any text, by the grammar of names.
fn name_from(text: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }
    };
    let name: String = text.chars().map(kept).take(zdu_model::ids::NAME_BYTES_MAX).collect();
    let name = name.trim_start_matches(['-', '.']).to_owned();
    if name.is_empty() { "x".to_owned() } else { name }
}
