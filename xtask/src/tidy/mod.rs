//! The rules no compiler checks. Each rule is a function from files to findings, beside tests
//! that show it fail.

mod blank;
mod crates;
mod links;
mod manifest;
mod rust;
mod text;
mod tree;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::say;

/// A broken rule: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn new(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, text } = self;
        write!(f, "{file}:{line}: {text}")
    }
}

/// What was found, and what is worth knowing without being wrong.
#[derive(Debug, Default)]
pub(crate) struct Tidied {
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
}

/// `cargo xtask tidy`.
pub(crate) fn run(root: &Path) -> ExitCode {
    match check(root) {
        Ok(Tidied { findings, notes }) => {
            for note in notes {
                say::line(&format!("note: {note}"));
            }
            for finding in &findings {
                say::error(&finding.to_string());
            }
            match findings.len() {
                0 => ExitCode::SUCCESS,
                count => {
                    say::error(&format!("tidy: {count} to mend"));
                    ExitCode::FAILURE
                }
            }
        }
        Err(cause) => {
            say::error(&format!("tidy: failed to {cause}"));
            ExitCode::FAILURE
        }
    }
}

/// Every rule over every file below `root`; findings sorted by place.
///
/// # Errors
/// A fragment that fits "failed to ..": a file could not be read or cargo not asked.
pub(crate) fn check(root: &Path) -> Result<Tidied, String> {
    let files = tree::read(root)?;
    let mut tidied = crates::check(&crates::read(root)?, &files);
    let findings = &mut tidied.findings;
    for file in &files {
        findings.extend(tree::name(file));
        findings.extend(text::check(file));
        if file.has_extension("rs") {
            findings.extend(rust::check(file));
        }
        if file.has_extension("md") {
            findings.extend(links::check(file, root));
        }
    }
    findings.extend(manifest::reasons(&files));
    findings.extend(manifest::sources(&files));
    findings.sort();
    Ok(tidied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask has a parent");
        let Tidied { findings, notes: _ } = check(root).expect("the repository can be read");
        let shown: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(shown.is_empty(), "{} to mend:\n{}", shown.len(), shown.join("\n"));
    }
}
