//! What is wrong with a text, where, and what to do about it. Diagnostics are data: the binary
//! decides how they look; `Display` is the plain form for pipes and tests.

use core::fmt;
use core::ops::Range;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The text cannot be used.
    Error,
    /// The text can be used; a person should read this.
    Warning,
}

/// One finding in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The bytes of the file it is about; empty when only the point is known.
    pub span: Range<usize>,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// What to do about it, where something can be said.
    pub hint: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// The line may hold a secret: an excerpt of the source must be left out.
    pub conceal: bool,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, span: _, message, hint, severity, conceal: _ } = self;
        let word = match severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(f, "{file}:{line}:{column}: {word}{message}")?;
        match hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A place in one of the texts that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// Index of the text in [`Findings::files`].
    pub(crate) source: usize,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// First byte.
    pub(crate) start: usize,
    /// Length in bytes.
    pub(crate) len: usize,
}

/// The findings so far, and the names of the texts they point into.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) files: Vec<String>,
    all: Vec<Diagnostic>,
}

impl Findings {
    /// Registers a text and gives its index.
    pub(crate) fn add_file(&mut self, name: &str) -> usize {
        self.files.push(name.to_owned());
        self.files.len() - 1
    }

    /// An error without advice.
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.push(place, message.into(), None, Severity::Error);
    }

    /// Keys that mean nothing where they stand, as far as they were given.
    pub(crate) fn misplaced(
        &mut self,
        given: &[(&str, Option<Place>)],
        message: impl Fn(&str) -> String,
        hint: &str,
    ) {
        for (key, place) in given {
            if let Some(place) = place {
                self.error_hint(*place, message(key), hint);
            }
        }
    }

    /// An error with advice.
    pub(crate) fn error_hint(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(place, message.into(), Some(hint.into()), Severity::Error);
    }

    /// A warning with advice.
    pub(crate) fn warn(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(place, message.into(), Some(hint.into()), Severity::Warning);
    }

    /// An error at a place whose text must not be shown.
    pub(crate) fn error_concealed(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let first = self.all.len();
        self.error_hint(place, message, hint);
        self.conceal_from(first);
    }

    /// How many findings there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Conceals the places of all findings from this one on.
    pub(crate) fn conceal_from(&mut self, first: usize) {
        for diagnostic in self.all.iter_mut().skip(first) {
            diagnostic.conceal = true;
        }
    }

    fn push(&mut self, place: Place, message: String, hint: Option<String>, severity: Severity) {
        self.all.push(Diagnostic {
            file: self.name_of(place).to_owned(),
            line: place.line.max(1),
            column: place.column.max(1),
            span: place.start..place.start + place.len,
            message,
            hint,
            severity,
            conceal: false,
        });
    }

    /// `file:line:column` of a place, for messages that name a second one.
    pub(crate) fn at(&self, place: Place) -> String {
        format!("{}:{}:{}", self.name_of(place), place.line, place.column)
    }

    fn name_of(&self, place: Place) -> &str {
        self.files.get(place.source).map_or("-", String::as_str)
    }

    /// Whether an error was found.
    pub(crate) fn failed(&self) -> bool {
        self.all.iter().any(|d| d.severity == Severity::Error)
    }

    /// Everything found, in the order of the texts.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut all = self.all;
        let files = self.files;
        let order = |d: &Diagnostic| files.iter().position(|f| *f == d.file);
        all.sort_by_key(|d| (order(d), d.line, d.column));
        all.dedup();
        // An excerpt shows whole lines: what must not be shown for one finding is hidden for all.
        let hidden: Vec<(String, u32)> =
            all.iter().filter(|d| d.conceal).map(|d| (d.file.clone(), d.line)).collect();
        for d in &mut all {
            d.conceal = hidden.iter().any(|(file, line)| *file == d.file && *line == d.line);
        }
        all
    }
}

/// "did you mean ...?" when a known name is close enough, else the list of what is known.
pub(crate) fn suggest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
    what: &str,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(given, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!("{what}: {}", known.join(", ")),
    }
}

/// The known name that was probably meant.
#[must_use]
pub fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (distance(given, name), name))
        .filter(|(edits, name)| *edits <= 1 + name.chars().count() / 4)
        .min()
        .map(|(_, name)| name)
}

/// Edits (insert, delete, replace, swap neighbours) from one text to the other, case ignored.
fn distance(a: &str, b: &str) -> usize {
    // A name has at most 64 bytes; a text far longer is near to nothing.
    const FAR: usize = 200;
    if a.len() > FAR || b.len() > FAR {
        return usize::MAX;
    }
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_lists_what_is_known() {
        let known = ["balancers", "groups", "hosts"];
        assert_eq!(suggest("grops", known, "keys"), "did you mean `groups`?");
        assert_eq!(suggest("zzz", known, "keys"), "keys: balancers, groups, hosts");
        assert_eq!(suggest("x", [], "roles"), "there are no roles");
    }
}
