//! What a supervised step is, and the text of the script that becomes it on the node. Pure.

use std::fmt;

use super::quote::{has_nul, quote, quote_all};

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A program and its arguments; no shell looks at them.
    Argv(Vec<String>),
    /// A script for `/bin/sh -c`.
    Shell(String),
}

/// One attempt of one step of one rollout on one node.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec {
    /// The fleet, whose epoch fences the step.
    pub fleet: String,
    /// The rollout the record belongs to.
    pub rollout: String,
    /// The step.
    pub step: String,
    /// Counted from 1; a repetition is a new attempt with a record of its own.
    pub attempt: u32,
    /// The epoch of the controller's lease; at most `i64::MAX`, the range of shell arithmetic.
    pub epoch: u64,
    /// What to run.
    pub command: Command,
    /// Working directory; the login's own when None. It is entered as the running user.
    pub cwd: Option<String>,
    /// Variables to export. They are written to the node: no secrets here.
    pub env: Vec<(String, String)>,
    /// Standard input, which may be secret: it is neither recorded nor shown.
    pub stdin: Vec<u8>,
    /// Run as this user: by `setpriv` (or `su` where that is missing) when the login is root, by
    /// `sudo -n` when it is not. Both start from that user's own environment.
    pub user: Option<String>,
    /// Most bytes fetched of each stream; the node keeps all of it.
    pub output_limit: usize,
}

impl fmt::Debug for Spec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fleet,
            rollout,
            step,
            attempt,
            epoch,
            command,
            cwd,
            env,
            stdin,
            user,
            output_limit,
        } = self;
        formatter
            .debug_struct("Spec")
            .field("fleet", fleet)
            .field("rollout", rollout)
            .field("step", step)
            .field("attempt", attempt)
            .field("epoch", epoch)
            .field("command", command)
            .field("cwd", cwd)
            .field("env", env)
            .field("stdin_bytes", &stdin.len())
            .field("user", user)
            .field("output_limit", output_limit)
            .finish()
    }
}

/// Why a step cannot be expressed on a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A name is empty or too long for a file name.
    #[error("name {name:?} is empty or longer than a file name can be")]
    Name {
        /// The name.
        name: String,
    },
    /// A NUL byte, which no argument, variable or path can hold.
    #[error("{what} holds a NUL byte")]
    Nul {
        /// Which part.
        what: &'static str,
    },
    /// No program to run.
    #[error("command is empty")]
    EmptyCommand,
    /// Not the name of a variable.
    #[error("{name:?} is no name of an environment variable")]
    Variable {
        /// The name.
        name: String,
    },
    /// Not a usable user name.
    #[error("{name:?} is no user name")]
    User {
        /// The name.
        name: String,
    },
    /// Beyond shell arithmetic.
    #[error("epoch {epoch} is beyond {}", i64::MAX)]
    Epoch {
        /// The epoch.
        epoch: u64,
    },
    /// A base directory that is not an absolute path.
    #[error("base directory {path:?} is not an absolute path")]
    Base {
        /// The path.
        path: String,
    },
}

/// Names of files have at most 255 bytes; the attempt and `.tmp` take some.
const NAME_LIMIT: usize = 200;

/// A name as one file name: everything but letters, digits, `_`, `-` and inner `.` as `%XX`.
pub(super) fn file_name(name: &str) -> Result<String, SpecError> {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        let kept = byte.is_ascii_alphanumeric()
            || byte == b'_'
            || (!encoded.is_empty() && (byte == b'-' || byte == b'.'));
        if kept {
            encoded.push(char::from(byte));
        } else {
            let [high, low] =
                [byte >> 4, byte & 15].map(|half| b"0123456789ABCDEF"[usize::from(half)]);
            encoded.extend(['%', char::from(high), char::from(low)]);
        }
    }
    if encoded.is_empty() || encoded.len() > NAME_LIMIT {
        return Err(SpecError::Name { name: name.to_owned() });
    }
    Ok(encoded)
}

/// The name that [`file_name`] encoded, if it is one.
pub(super) fn name_of_file(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    // A directory that somebody else made goes by its own name only.
    String::from_utf8(bytes).ok().filter(|name| file_name(name).as_deref() == Ok(encoded))
}

/// The file name of a step's attempt.
pub(super) fn step_file_name(step: &str, attempt: u32) -> Result<String, SpecError> {
    Ok(format!("{}.{attempt}", file_name(step)?))
}

/// The epoch as a number the shell can compare.
pub(super) fn shell_epoch(epoch: u64) -> Result<i64, SpecError> {
    i64::try_from(epoch).map_err(|_| SpecError::Epoch { epoch })
}

/// What every step's script begins with, known to the node from the loading of the functions on:
/// recording the step's own number and start time, before it becomes the command by `exec`.
/// `$1` is the record, `$2` the umask of the login.
pub(super) const PROLOGUE: &str = r#"IFS= read -r zdu_stat <"/proc/$$/stat"
zdu_stat=${zdu_stat##*) }
zdu_begun() { shift 19; printf '%s %s .\n' "$$" "$1"; }
umask 077
zdu_begun $zdu_stat >"$1/pid"
exec >"$1/out" 2>"$1/err"
umask "$2"
unset zdu_stat
unset -f zdu_begun
set --
"#;

/// The script that becomes the step on the node: the step's record of what was run.
pub(super) fn command_text(spec: &Spec) -> Result<String, SpecError> {
    let body = body(spec)?;
    let Some(user) = &spec.user else {
        return Ok(body);
    };
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@\\+".contains(&byte);
    if user.is_empty() || user.starts_with('-') || !user.bytes().all(safe) {
        return Err(SpecError::User { name: user.clone() });
    }
    let (name, inner) = (quote(user), quote(&body));
    let fresh = "--init-groups --reset-env";
    // setpriv keeps the process (no session of its own, no monitor): the number recorded above is
    // the command's. `su` and `sudo` stay as its parent and hand its end on.
    Ok(format!(
        r#"if [ "$(id -u)" != 0 ]; then
    exec sudo -n -u {name} -- /bin/sh -c {inner}
elif setpriv --version >/dev/null 2>&1; then
    exec setpriv --reuid={name} --regid="$(id -g {name})" {fresh} -- /bin/sh -c {inner}
else
    exec su -s /bin/sh {name} -c {inner}
fi
"#
    ))
}

/// Variables, directory and the command, for the shell of the user who runs it.
fn body(spec: &Spec) -> Result<String, SpecError> {
    let mut lines = Vec::new();
    for (name, value) in &spec.env {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !starts || !name.bytes().all(letters) {
            return Err(SpecError::Variable { name: name.clone() });
        }
        refuse_nul(value, "a variable")?;
        lines.push(format!("export {name}={}", quote(value)));
    }
    if let Some(cwd) = &spec.cwd {
        refuse_nul(cwd, "the working directory")?;
        // 126: found, but cannot be run. CDPATH would make cd print and go elsewhere.
        lines.push(format!("CDPATH= cd -- {} || exit 126", quote(cwd)));
    }
    match &spec.command {
        Command::Argv(argv) => {
            if argv.first().is_none_or(String::is_empty) {
                return Err(SpecError::EmptyCommand);
            }
            for word in argv {
                refuse_nul(word, "an argument")?;
            }
            lines.push(format!("exec {}", quote_all(argv)));
        }
        Command::Shell(script) => {
            if script.trim().is_empty() {
                return Err(SpecError::EmptyCommand);
            }
            refuse_nul(script, "the script")?;
            lines.push(format!("exec /bin/sh -c {}", quote(script)));
        }
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn refuse_nul(text: &str, what: &'static str) -> Result<(), SpecError> {
    if has_nul(text) { Err(SpecError::Nul { what }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_name_becomes_one_file_name_and_comes_back(name in "\\PC{1,60}") {
            let encoded = file_name(&name);
            prop_assume!(encoded.is_ok());
            let encoded = encoded.expect("assumed");
            prop_assert!(!encoded.contains('/') && !encoded.starts_with(['.', '-']));
            prop_assert!(encoded.is_ascii() && encoded.len() <= NAME_LIMIT);
            prop_assert_eq!(name_of_file(&encoded), Some(name));
        }
    }

    proptest! {
        #[test]
        fn a_nul_anywhere_in_a_step_is_refused_before_anything_is_sent(
            before in ".{0,6}", after in ".{0,6}", part in 0_usize..5,
        ) {
            let mut spec = Spec {
                fleet: "edge".into(),
                rollout: "r1".into(),
                step: "1".into(),
                attempt: 1,
                epoch: 1,
                command: Command::Argv(vec!["true".into()]),
                cwd: Some("/".into()),
                env: vec![("NAME".into(), "value".into())],
                stdin: Vec::new(),
                user: None,
                output_limit: 1,
            };
            prop_assert!(command_text(&spec).is_ok());
            let text = format!("{before}\0{after}");
            match part {
                0 => spec.command = Command::Argv(vec!["true".into(), text]),
                1 => spec.command = Command::Shell(text),
                2 => spec.cwd = Some(text),
                3 => spec.env = vec![("NAME".into(), text)],
                _ => spec.user = Some(text),
            }
            prop_assert!(command_text(&spec).is_err());
        }
    }

    #[test]
    fn a_file_name_that_we_do_not_write_is_no_name() {
        for foreign in ["%2d", "%+1", "a b", "-a", "%41", "%", "%4", "%FF", ""] {
            assert_eq!(name_of_file(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn names_that_would_leave_the_directory_are_encoded() {
        assert_eq!(file_name("..").as_deref(), Ok("%2E."));
        assert_eq!(file_name("a/b c").as_deref(), Ok("a%2Fb%20c"));
        assert!(file_name("").is_err() && file_name(&"x".repeat(300)).is_err());
    }
}
