//! Configurations made from what other tools know, and the first one from nothing.
//!
//! One module for each source reads what its tool says into a draft; `draft.rs` writes it, the
//! same for every source. What a source cannot tell becomes a line that is marked `change`, and a
//! sentence in [`Imported`] for whoever ran the import.

pub mod ansible;
pub mod axway;
mod draft;
pub mod haproxy;

/// A configuration that loads as it is, and what a person has to know about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The text of `zdu.yaml`.
    pub text: String,
    /// What was seen and is not as usual.
    pub found: Vec<String>,
    /// What the source has and this file has not, with the reason. Never a value.
    pub not_read: Vec<String>,
    /// What the source could not tell; these lines are marked `change`.
    pub decide: Vec<String>,
}

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
    /// The balancer has no server that a node could be made of.
    #[error("no server of this HAProxy has an address: {0} backends and servers were looked at")]
    NoServer(usize),
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
