//! Runtime API command lines, built from checked names. Pure.
//!
//! A name that carried `;`, a blank or a line end would become a second command with admin rights,
//! so a path can only be made from the characters HAProxy itself accepts in proxy and server names.

use std::fmt;

/// A backend or server name that HAProxy's own configuration would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "name {name:?} is empty or has characters other than letters, digits, `-`, `_`, `.` and `:`"
)]
pub struct BadName {
    /// The refused name.
    pub name: String,
}

/// `backend/server` as HAProxy's commands take it; both names checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerPath {
    backend: String,
    server: String,
}

impl ServerPath {
    /// Checks both names against HAProxy's character set (`invalid_char` in its configuration
    /// parser: letters, digits, `-`, `_`, `.`, `:`).
    pub fn new(backend: &str, server: &str) -> Result<Self, BadName> {
        check_name(backend)?;
        check_name(server)?;
        Ok(Self { backend: backend.to_owned(), server: server.to_owned() })
    }

    /// The backend's name.
    #[must_use]
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// The server's name.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }
}

impl fmt::Display for ServerPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.backend, self.server)
    }
}

/// Checks one name; see [`ServerPath::new`].
pub fn check_name(name: &str) -> Result<(), BadName> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if name.is_empty() || !name.chars().all(fine) {
        return Err(BadName { name: name.to_owned() });
    }
    Ok(())
}

/// The administrative state a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// In rotation; clears forced drain and forced maintenance, never a weight.
    Ready,
    /// Out of load balancing, health checks go on, running requests finish.
    Drain,
    /// Out, health checks paused.
    Maint,
}

/// A weight as `set weight` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// 0 to 256. Refused by HAProxy where the backend's algorithm is static.
    Absolute(u32),
    /// The weight of the configuration file. Static algorithms accept this one too.
    Initial,
    /// No new traffic, in the form that static algorithms accept.
    Zero,
}

impl Weight {
    /// The form that brings a server to `wanted`, given its weight in the configuration file:
    /// percentages where they say the same, because static algorithms accept only 0% and 100%.
    #[must_use]
    pub fn to_reach(wanted: u32, initial: u32) -> Self {
        if wanted == initial {
            Self::Initial
        } else if wanted == 0 {
            Self::Zero
        } else {
            Self::Absolute(wanted)
        }
    }
}

/// The variable in which a process keeps the paths of its configuration, `;` between them
/// (HAProxy's configuration manual, 2.3; a directory is told as its files, seen on 2.6.12).
pub(super) const CONFIG_FILES: &str = "HAPROXY_CFGFILES";

/// One command of the runtime API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `show info`.
    ShowInfo,
    /// `show cli level`.
    ShowLevel,
    /// `show servers state [B]`; `None` is all backends.
    ShowServersState(Option<String>),
    /// `show stat B 4 -1` (4 = servers only) or `show stat`.
    ShowStat(Option<String>),
    /// `show table`: the names of all stick tables, none of their entries.
    ShowTables,
    /// `show env HAPROXY_CFGFILES`: where the configuration lies. Never the whole environment,
    /// which can hold secrets.
    ShowConfigFiles,
    /// `set server B/S state ...`.
    SetState(ServerPath, TargetState),
    /// `set weight B/S ...`.
    SetWeight(ServerPath, Weight),
    /// `shutdown sessions server B/S`.
    ShutdownSessions(ServerPath),
}

impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShowInfo => out.write_str("show info"),
            Self::ShowLevel => out.write_str("show cli level"),
            Self::ShowServersState(None) => out.write_str("show servers state"),
            Self::ShowServersState(Some(backend)) => write!(out, "show servers state {backend}"),
            Self::ShowStat(None) => out.write_str("show stat"),
            Self::ShowStat(Some(backend)) => write!(out, "show stat {backend} 4 -1"),
            Self::ShowTables => out.write_str("show table"),
            Self::ShowConfigFiles => write!(out, "show env {CONFIG_FILES}"),
            Self::SetState(path, state) => {
                let word = match state {
                    TargetState::Ready => "ready",
                    TargetState::Drain => "drain",
                    TargetState::Maint => "maint",
                };
                write!(out, "set server {path} state {word}")
            }
            Self::SetWeight(path, Weight::Absolute(weight)) => {
                write!(out, "set weight {path} {weight}")
            }
            Self::SetWeight(path, Weight::Initial) => write!(out, "set weight {path} 100%"),
            Self::SetWeight(path, Weight::Zero) => write!(out, "set weight {path} 0%"),
            Self::ShutdownSessions(path) => write!(out, "shutdown sessions server {path}"),
        }
    }
}

/// Joins commands to the one line sent on a connection, line end included.
///
/// One line means one connection and so one process: while a reload is under way "any process may
/// pick up the request", and two connections could answer from two processes.
#[must_use]
pub fn line(commands: &[Command]) -> String {
    let mut text = commands.iter().map(ToString::to_string).collect::<Vec<_>>().join(";");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> ServerPath {
        ServerPath::new("gateway", "node-a").unwrap()
    }

    #[test]
    fn commands_are_joined_to_one_line() {
        let commands = [
            Command::ShowInfo,
            Command::SetState(path(), TargetState::Drain),
            Command::SetWeight(path(), Weight::Absolute(40)),
            Command::ShutdownSessions(path()),
            Command::ShowServersState(Some("gateway".to_owned())),
            Command::ShowStat(Some("gateway".to_owned())),
        ];
        assert_eq!(
            line(&commands),
            "show info;set server gateway/node-a state drain;set weight gateway/node-a 40;\
             shutdown sessions server gateway/node-a;show servers state gateway;\
             show stat gateway 4 -1\n"
        );
    }

    #[test]
    fn a_name_that_would_be_a_second_command_is_refused() {
        for name in ["", "a;b", "a b", "a\nb", "a/b", "é"] {
            assert!(ServerPath::new("gateway", name).is_err(), "{name:?}");
            assert!(ServerPath::new(name, "node-a").is_err(), "{name:?}");
        }
    }

    #[test]
    fn weights_are_restored_in_the_form_static_algorithms_accept() {
        assert_eq!(Weight::to_reach(10, 10), Weight::Initial);
        assert_eq!(Weight::to_reach(0, 10), Weight::Zero);
        assert_eq!(Weight::to_reach(4, 10), Weight::Absolute(4));
        assert_eq!(
            Command::SetWeight(path(), Weight::Zero).to_string(),
            "set weight gateway/node-a 0%"
        );
    }
}
