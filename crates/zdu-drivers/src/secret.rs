//! Secret values: fetched once, held wiped-on-drop, given out only into pipes, and masked at every
//! sink in every form they can be met in.

use crate::forms::forms;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use zdu_model::ids::SecretName;
use zdu_model::policy::SecretSource;

/// What stands in place of a secret.
pub const MASK: &str = "********";

/// The shortest value that is masked: shorter ones would mask half of every line, and are no
/// secrets.
const MASKED_BYTES_MIN: usize = 4;

/// Why a secret has no value.
#[derive(Debug, thiserror::Error)]
#[error("secret {name} cannot be had from {from}: {why}")]
pub struct SecretError {
    /// Which.
    pub name: SecretName,
    /// Its source, without any value.
    pub from: String,
    /// Why.
    pub why: String,
}

/// The values of secrets.
#[derive(Default)]
pub struct Secrets {
    values: BTreeMap<SecretName, SecretString>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    /// Fetches the values.
    ///
    /// # Errors
    /// [`SecretError`] for the first source that has none.
    pub fn fetch(sources: &BTreeMap<SecretName, SecretSource>) -> Result<Self, SecretError> {
        let mut values = BTreeMap::new();
        for (name, source) in sources {
            let value = fetch_one(source).map_err(|(from, why)| SecretError {
                name: name.clone(),
                from,
                why,
            })?;
            values.insert(name.clone(), SecretString::from(value));
        }
        Ok(Self { values })
    }

    /// The value, for the moment it is written into a pipe.
    #[must_use]
    pub fn expose(&self, name: &SecretName) -> Option<&str> {
        self.values.get(name).map(ExposeSecret::expose_secret)
    }

    /// Adds a value that came up on the way, such as a captured one.
    pub fn add(&mut self, name: SecretName, value: String) {
        self.values.insert(name, SecretString::from(value));
    }

    /// A redactor for all values.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        let mut redactor = Redactor::default();
        for value in self.values.values() {
            redactor.add(value.expose_secret());
        }
        redactor
    }
}

fn fetch_one(source: &SecretSource) -> Result<String, (String, String)> {
    let (from, text) = match source {
        SecretSource::Env(name) => {
            let value = std::env::var(name);
            crate::exec::process::withhold(name);
            (format!("environment variable {name}"), value.map_err(|error| error.to_string()))
        }
        SecretSource::File(path) => {
            let text = std::fs::read_to_string(path);
            (format!("file {path}"), text.map_err(|error| error.to_string()))
        }
        SecretSource::Command(argv) => {
            let program = argv.first().map_or("", String::as_str);
            (format!("command {program}"), run(argv))
        }
    };
    let text = text.map_err(|why| (from.clone(), why))?;
    let value = text.lines().next().unwrap_or_default().to_owned();
    if value.is_empty() {
        return Err((from, "it is empty".into()));
    }
    Ok(value)
}

fn run(argv: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err("no command is given".into());
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        // What it printed may hold the value, so only its status is told.
        return Err(format!("it ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| "it printed no UTF-8".into())
}

/// Masks secret values in text on its way to a sink, also where they stand base64, URL, JSON or
/// shell encoded.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    needles: Vec<String>,
}

impl Redactor {
    /// Masks this value too from now on.
    pub fn add(&mut self, value: &str) {
        if value.len() < MASKED_BYTES_MIN {
            return;
        }
        let forms = forms(value).into_iter();
        self.needles.extend(forms.filter(|form| form.len() >= MASKED_BYTES_MIN));
        // Longer forms first, so that no part of one is left beside a mask.
        self.needles.sort_by(|one, other| (other.len(), one).cmp(&(one.len(), other)));
        self.needles.dedup();
    }

    /// The text without secrets.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for needle in &self.needles {
            if masked.contains(needle.as_str()) {
                masked = masked.replace(needle.as_str(), MASK);
            }
        }
        masked
    }
}

impl Redactor {
    /// The most bytes a masked form has.
    pub(crate) fn longest(&self) -> usize {
        self.needles.iter().map(String::len).max().unwrap_or(0)
    }

    /// The last place at or before `at` that lies within no secret of `bytes`.
    pub(crate) fn before_a_secret(&self, bytes: &[u8], mut at: usize) -> usize {
        // A place moved before one form may lie within another: again, until none is left.
        while let Some(begin) = self.needles.iter().find_map(|needle| across(bytes, needle, at)) {
            at = begin;
        }
        at
    }
}

/// Where an occurrence of `needle` begins that lies across `at`. Occurrences follow each other as
/// masking meets them: none begins within another.
fn across(bytes: &[u8], needle: &str, at: usize) -> Option<usize> {
    let needle = needle.as_bytes();
    let mut from = 0;
    while let Some(window) = bytes.get(from..) {
        let begin = from + window.windows(needle.len()).position(|part| part == needle)?;
        if begin >= at {
            return None;
        }
        if begin + needle.len() > at {
            return Some(begin);
        }
        from = begin + needle.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_source_is_an_error_that_names_no_value() {
        let name = SecretName::new("p").expect("a name");
        let source = SecretSource::Command(vec!["true".into()]);
        let error = Secrets::fetch(&BTreeMap::from([(name, source)])).expect_err("empty");
        assert_eq!(error.to_string(), "secret p cannot be had from command true: it is empty");
    }
}
