//! Names and numbers: every one a type of its own, so that none can stand in for another.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName {
    /// The text as given.
    pub given: String,
    /// What is wrong with it, as a fragment that fits "NAME is no name: ...".
    pub why: &'static str,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given, why } = self;
        write!(f, "{given:?} is not a valid name: {why}")
    }
}

/// The longest name, in bytes: names become file names on nodes, where 255 is the limit and a
/// step's record joins three of them.
pub const NAME_BYTES_MAX: usize = 64;

fn check(text: &str) -> Result<(), BadName> {
    let fail = |why| Err(BadName { given: text.to_string(), why });
    let Some(first) = text.chars().next() else {
        return fail("it is empty");
    };
    if text.len() > NAME_BYTES_MAX {
        return fail("it is longer than 64 bytes");
    }
    if !(first.is_ascii_alphanumeric() || first == '_') {
        return fail("it must begin with a letter, a digit or an underscore");
    }
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return fail("only ASCII letters, digits, '-', '_' and '.' are allowed");
    }
    Ok(())
}

// A plan of ten thousand nodes says the name of each some hundred times; clones share one text.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the grammar: 1 to 64 bytes of ASCII letters, digits, `-`, `_` and `.`,
            /// beginning with a letter, a digit or `_`, so that a name is safe as a file name
            /// and never looks like an option.
            ///
            /// # Errors
            /// [`BadName`] says which rule was broken.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().into()
            }
        }
    )*};
}

names! {
    /// A fleet: what one lease covers.
    FleetName;
    /// A node of the fleet.
    NodeName;
    /// A group of nodes with one disruption budget.
    GroupName;
    /// A failure domain.
    ZoneName;
    /// A fact about a node that orders it.
    RoleName;
    /// A logical load balancer.
    BalancerName;
    /// One instance of a balancer, unique inside the balancer.
    InstanceName;
    /// A procedure.
    ProcedureName;
    /// A stage of a procedure.
    StageName;
    /// A named column of a node's life, such as `PRE-APPLY`.
    PhaseName;
    /// A step as its procedure names it; unique in the procedure.
    StepKey;
    /// A variable of a procedure.
    VarName;
    /// A secret: the name travels, the value never does.
    SecretName;
    /// A value captured from a step's output.
    CaptureName;
    /// One execution of a plan.
    RolloutId;
}

/// A step's position in its plan: the number the journal, the node's records and the engine use.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StepNo(pub u32);

impl fmt::Display for StepNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How often a step was begun, counted from 1.
pub type Attempt = u32;

/// The number nodes use to refuse an older controller. Grows by one with every taking of the lease.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// A record's position in its journal, counted from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// A SHA-256 digest in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The first twelve characters, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_looks_like_an_option_or_a_path() {
        for bad in ["", "-rf", ".hidden", "a/b", "a b", "ä", "a\n"] {
            assert!(NodeName::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(NodeName::new("x".repeat(NAME_BYTES_MAX + 1)).is_err());
        for good in ["node-a", "10.0.0.1", "_x", "Node_A.example"] {
            assert!(NodeName::new(good).is_ok(), "{good:?} was refused");
        }
    }
}
