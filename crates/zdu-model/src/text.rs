//! Text that may hold places to be filled at the last moment.
//!
//! A procedure holds [`Template`]s. Planning renders them, and what is left open afterwards is
//! only what must not be known yet (a captured value) or must never be known here (a secret).

use crate::ids::{CaptureName, SecretName};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Text of a procedure with template expressions, as written by its author.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub String);

/// A part of a rendered text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Text as it is.
    Literal(String),
    /// The value of a secret: put in by the driver, known to nobody else.
    Secret(SecretName),
    /// A value an earlier step captured.
    Capture(CaptureName),
}

/// Rendered text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub Vec<Piece>);

impl Text {
    /// Text without open places.
    pub fn literal(text: impl Into<String>) -> Self {
        Self(alloc::vec![Piece::Literal(text.into())])
    }

    /// The text when it has no open place.
    #[must_use]
    pub fn as_literal(&self) -> Option<String> {
        let mut all = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => all.push_str(text),
                Piece::Secret(_) | Piece::Capture(_) => return None,
            }
        }
        Some(all)
    }

    /// The secrets whose values this text needs.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Secret(name) => Some(name),
            Piece::Literal(_) | Piece::Capture(_) => None,
        })
    }

    /// The captured values this text needs.
    pub fn captures(&self) -> impl Iterator<Item = &CaptureName> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Capture(name) => Some(name),
            Piece::Literal(_) | Piece::Secret(_) => None,
        })
    }
}

/// For people: open places are shown by name, never by value.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => f.write_str(text)?,
                Piece::Secret(name) => write!(f, "<secret {name}>")?,
                Piece::Capture(name) => write!(f, "<captured {name}>")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn a_text_shows_the_name_of_a_secret() {
        let name = SecretName::new("anm_password").expect("valid");
        let text = Text(vec![Piece::Literal("p=".into()), Piece::Secret(name)]);
        assert_eq!(text.to_string(), "p=<secret anm_password>");
        assert_eq!(text.as_literal(), None);
    }
}
