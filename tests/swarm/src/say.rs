//! Results on stdout, complaints on stderr.

use std::io::Write as _;

/// A line on stdout. A reader that went away does not stop the work: the exit code still tells.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line on stderr.
pub(crate) fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
