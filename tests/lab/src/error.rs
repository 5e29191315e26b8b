//! The one error of the lab: a sentence that says what could not be done and why.

use std::fmt;

/// What the lab could not do. Tests print it and end; nothing branches on it.
#[derive(Debug)]
pub struct LabError(String);

impl LabError {
    /// An error from a lower-case fragment that fits "failed to ..".
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// For `map_err`: what was tried, joined with the cause.
    pub fn because<E: fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |cause| Self(format!("{what}: {cause}"))
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what) = self;
        f.write_str(what)
    }
}

impl std::error::Error for LabError {}
