//! Command lines of `sysupgrade`: `--name value`, `--name=value`, switches. The last value wins.

/// Parsed options of one command.
#[derive(Debug, Default)]
pub(crate) struct Options {
    values: Vec<(String, String)>,
    switches: Vec<String>,
}

impl Options {
    /// Splits `words`, where only the named options and switches are known. The error is the text
    /// for the user.
    pub(crate) fn parse(
        words: &[String],
        with_value: &[&str],
        switches: &[&str],
    ) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            if with_value.contains(&name) {
                let Some(value) = inline.or_else(|| rest.next().cloned()) else {
                    return Err(format!("argument {name}: expected one argument"));
                };
                options.values.push((name.to_owned(), value));
            } else if switches.contains(&word.as_str()) {
                options.switches.push(word.clone());
            } else {
                // Only the name: an unknown option's value may be a secret.
                return Err(format!("unrecognized arguments: {name}"));
            }
        }
        Ok(options)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.switches.iter().any(|known| known == name)
    }
}
