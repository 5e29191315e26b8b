//! Outcome contracts: what an ending means is declared, because exit code 1 is success for one
//! tool, "run me again" for the next and failure for a third.

use crate::report::End;
use crate::time::Millis;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What an ending is called. The last column of every table and the input of every rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// As wanted.
    Succeeded,
    /// As wanted, with something a person should read.
    Warned,
    /// Progress was made and the step wants to be run again after a pause.
    Again,
    /// Not as wanted.
    Failed,
    /// The deadline passed; what was running was ended.
    TimedOut,
    /// It may or may not have happened, wholly or in part.
    Unknown,
    /// It was never begun on the node, for certain.
    NotRun,
}

impl Class {
    /// Whether the lane may go on to its next step.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::Succeeded | Self::Warned => true,
            Self::Again | Self::Failed | Self::TimedOut | Self::Unknown | Self::NotRun => false,
        }
    }
}

/// A contract: rules tried in order, the first that fits decides.
///
/// When none fits, exit 0 and an HTTP status below 400 are success and everything else is failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// How often and how fast [`Class::Again`] may repeat the step.
    pub again: AgainLimit,
}

/// The bound on a step that asks to be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgainLimit {
    /// The pause between runs.
    pub pause: Millis,
    /// The most runs; past it the ending counts as failed.
    pub max: u32,
}

impl Default for AgainLimit {
    fn default() -> Self {
        Self { pause: Millis::from_secs(2), max: 30 }
    }
}

/// One rule of a contract. All conditions given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Any of these exit codes.
    pub exit: Vec<i32>,
    /// Any of these HTTP statuses.
    pub status: Vec<u16>,
    /// A regular expression that matches somewhere in the output (stdout and stderr).
    pub output: Option<String>,
    /// A place in the output read as JSON, and the text its value must have.
    pub json: Option<JsonIs>,
    /// What it is then called.
    pub class: Class,
}

impl Rule {
    /// Whether the driver must look into the output to know if the rule fits.
    #[must_use]
    pub fn reads_output(&self) -> bool {
        self.output.is_some() || self.json.is_some()
    }
}

/// A value in a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonIs {
    /// An RFC 6901 pointer, such as `/result`.
    pub pointer: String,
    /// The value as text: a string without its quotes, anything else as JSON writes it.
    pub equals: String,
}

impl Contract {
    /// What `end` is called. `matched` holds the indexes of the rules whose output conditions the
    /// driver found true; a rule without output conditions needs no entry.
    #[must_use]
    pub fn classify(&self, end: &End, matched: &[u16]) -> Class {
        if let Some(class) = beyond_contract(end) {
            return class;
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let seen = !rule.reads_output() || matched.iter().any(|m| usize::from(*m) == index);
            if seen && rule.fits(end) {
                return rule.class;
            }
        }
        match end {
            End::Exited(0) | End::Done => Class::Succeeded,
            End::Http(status) if *status < 400 => Class::Succeeded,
            End::Exited(_) | End::Signaled(_) | End::Http(_) | End::NotMet(_) => Class::Failed,
            End::Waiting(_) => Class::Again,
            End::TimedOut
            | End::Unreachable(_)
            | End::Never
            | End::Lost(_)
            | End::EpochRefused { .. }
            | End::Refused(_) => Class::Failed,
        }
    }
}

/// Endings no contract may rename: they say that we do not know, or were not allowed.
fn beyond_contract(end: &End) -> Option<Class> {
    match end {
        End::TimedOut => Some(Class::TimedOut),
        End::Unreachable(_) | End::Lost(_) => Some(Class::Unknown),
        End::Never => Some(Class::NotRun),
        End::EpochRefused { .. } | End::Refused(_) => Some(Class::Failed),
        End::Exited(_)
        | End::Signaled(_)
        | End::Http(_)
        | End::Done
        | End::NotMet(_)
        | End::Waiting(_) => None,
    }
}

impl Rule {
    fn fits(&self, end: &End) -> bool {
        let exit = match end {
            End::Exited(code) => self.exit.contains(code),
            End::Signaled(_)
            | End::Http(_)
            | End::Done
            | End::NotMet(_)
            | End::Waiting(_)
            | End::TimedOut
            | End::Unreachable(_)
            | End::Never
            | End::Lost(_)
            | End::EpochRefused { .. }
            | End::Refused(_) => false,
        };
        let status = matches!(end, End::Http(status) if self.status.contains(status));
        let code_free = self.exit.is_empty() && self.status.is_empty();
        (code_free && self.reads_output()) || exit || status
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn rule(exit: Vec<i32>, output: Option<&str>, class: Class) -> Rule {
        Rule { exit, status: vec![], output: output.map(Into::into), json: None, class }
    }

    #[test]
    fn nova_status_one_is_a_warning_and_two_a_failure() {
        let contract =
            Contract { rules: vec![rule(vec![1], None, Class::Warned)], ..Contract::default() };
        assert_eq!(contract.classify(&End::Exited(0), &[]), Class::Succeeded);
        assert_eq!(contract.classify(&End::Exited(1), &[]), Class::Warned);
        assert_eq!(contract.classify(&End::Exited(2), &[]), Class::Failed);
    }

    #[test]
    fn a_rule_on_output_needs_the_match_and_the_code() {
        let rules = vec![rule(vec![1], Some("NotFound"), Class::Succeeded)];
        let contract = Contract { rules, ..Contract::default() };
        assert_eq!(contract.classify(&End::Exited(1), &[]), Class::Failed);
        assert_eq!(contract.classify(&End::Exited(1), &[0]), Class::Succeeded);
        assert_eq!(contract.classify(&End::Exited(3), &[0]), Class::Failed);
    }

    #[test]
    fn no_contract_can_call_an_unknown_ending_success() {
        let rules = vec![rule(vec![], Some("."), Class::Succeeded)];
        let contract = Contract { rules, ..Contract::default() };
        assert_eq!(contract.classify(&End::Lost("reboot".into()), &[0]), Class::Unknown);
        assert_eq!(contract.classify(&End::TimedOut, &[0]), Class::TimedOut);
        assert_eq!(contract.classify(&End::Never, &[0]), Class::NotRun);
    }
}
