//! Where a channel goes, the `ssh` command line for it, and what `ssh` meant when it failed. Pure.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A place that runs `/bin/sh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This machine.
    Local,
    /// Another machine, over the system's `ssh`. The user's `ssh_config` is honoured.
    Ssh {
        /// Name or address, as `ssh` takes it (also an alias of `ssh_config`).
        host: String,
        /// Port, when it differs from what `ssh_config` says.
        port: Option<u16>,
        /// Login name, when it differs from what `ssh_config` says.
        user: Option<String>,
        /// Private key file, used besides agents and `ssh_config`.
        identity: Option<PathBuf>,
        /// A configuration file to use in place of the user's (`ssh -F`).
        config: Option<PathBuf>,
        /// More `-o` options, each `Name=value`. They cannot switch off host key checking: for
        /// `ssh` the first value of an option wins, and ours come first.
        options: Vec<String>,
    },
}

/// Why a connection could not be made, as far as the messages of `ssh` tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectFailure {
    /// The host shows another key than known: reinstalled, or someone in between.
    HostKeyChanged,
    /// No key of this host is known yet; we never accept one on our own.
    HostKeyUnknown,
    /// No credential was accepted.
    PermissionDenied,
    /// Nothing listens on that port.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The name has no address.
    NameNotResolved,
    /// No route to the host or its network.
    Unreachable,
    /// The connection was closed before a shell ran: too many sessions, a service going down.
    Closed,
    /// Login worked but no usable `/bin/sh` came up (a `nologin` shell, a forced command).
    NoShell,
    /// The target itself cannot be used: an impossible host or user name.
    BadTarget,
    /// The local `ssh` or `sh` could not be started.
    Spawn,
    /// Something else: read the lines.
    Other,
}

impl ConnectFailure {
    /// Whether trying again without a person's help may work.
    #[must_use]
    pub fn may_pass(self) -> bool {
        match self {
            Self::Refused
            | Self::TimedOut
            | Self::Unreachable
            | Self::Closed
            | Self::NameNotResolved
            | Self::Other => true,
            Self::HostKeyChanged
            | Self::HostKeyUnknown
            | Self::PermissionDenied
            | Self::NoShell
            | Self::BadTarget
            | Self::Spawn => false,
        }
    }

    /// One lower-case fragment for an error line.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::HostKeyChanged => "host key changed",
            Self::HostKeyUnknown => "host key unknown",
            Self::PermissionDenied => "permission denied",
            Self::Refused => "connection refused",
            Self::TimedOut => "connection timed out",
            Self::NameNotResolved => "name not resolved",
            Self::Unreachable => "no route to host",
            Self::Closed => "connection closed before a shell ran",
            Self::NoShell => "no usable shell",
            Self::BadTarget => "unusable host or user name",
            Self::Spawn => "could not start the local program",
            Self::Other => "connection failed",
        }
    }

    /// The failure that `stderr` of an ended `ssh` speaks of. Texts are those of OpenSSH 7 to 9;
    /// it does not translate them.
    #[must_use]
    pub fn recognise(stderr: &str) -> Self {
        // Order matters: a changed key also ends with "Host key verification failed.", and a
        // refused jump host also ends with "Connection closed by UNKNOWN port 65535".
        let known = [
            ("REMOTE HOST IDENTIFICATION HAS CHANGED", Self::HostKeyChanged),
            ("REVOKED HOST KEY", Self::HostKeyChanged),
            ("host key is known for", Self::HostKeyUnknown),
            ("Host key verification failed", Self::HostKeyUnknown),
            ("Could not resolve hostname", Self::NameNotResolved),
            ("Permission denied (", Self::PermissionDenied),
            ("Too many authentication failures", Self::PermissionDenied),
            ("Connection refused", Self::Refused),
            ("timed out", Self::TimedOut),
            ("not responding", Self::TimedOut),
            ("No route to host", Self::Unreachable),
            ("Network is unreachable", Self::Unreachable),
            ("This account is currently not available", Self::NoShell),
            ("Connection closed by", Self::Closed),
            ("Connection reset by", Self::Closed),
            ("kex_exchange_identification", Self::Closed),
            ("ssh_exchange_identification", Self::Closed),
        ];
        let found = known.iter().find(|(text, _)| stderr.contains(text));
        found.map_or(Self::Other, |(_, failure)| *failure)
    }
}

/// A host or user name that `ssh`, `ProxyCommand` and `Match exec` can take without surprise:
/// their `%h` and `%r` are put into a shell line by `ssh` itself.
fn is_safe_name(name: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:%@[]\\+".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(safe)
}

/// Arguments of `ssh` that every connection of ours has, ending before `--`.
/// None when host or user are unusable names.
#[must_use]
pub(super) fn ssh_arguments(target: &Target, connect_timeout: Duration) -> Option<Vec<OsString>> {
    let Target::Ssh { host, port, user, identity, config, options } = target else {
        return None;
    };
    if !is_safe_name(host) || !user.as_deref().is_none_or(is_safe_name) {
        return None;
    }
    // Whole seconds, and 0 would mean "no limit".
    let seconds = connect_timeout.as_secs().max(1);
    let timeout = format!("ConnectTimeout={seconds}");
    let fixed = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        timeout.as_str(),
        "ServerAliveInterval=2",
        "ServerAliveCountMax=3",
        // The lines that name a failure are errors; banners and notices are not.
        "LogLevel=ERROR",
        // Settings of a user's own interactive sessions that would break a channel.
        "RequestTTY=no",
        "RemoteCommand=none",
        "StdinNull=no",
        "ForkAfterAuthentication=no",
        "ForwardX11=no",
        "PermitLocalCommand=no",
    ];
    let mut arguments: Vec<OsString> = vec!["-T".into()];
    if let Some(file) = config {
        arguments.extend(["-F".into(), file.into()]);
    }
    for option in fixed.into_iter().chain(options.iter().map(String::as_str)) {
        arguments.extend(["-o".into(), option.into()]);
    }
    if let Some(port) = port {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(user) = user {
        arguments.extend(["-l".into(), user.into()]);
    }
    if let Some(identity) = identity {
        arguments.extend(["-i".into(), identity.into()]);
    }
    Some(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(host: &str, user: Option<&str>, options: &[&str]) -> Target {
        Target::Ssh {
            host: host.to_owned(),
            port: Some(2222),
            user: user.map(str::to_owned),
            identity: Some("/k".into()),
            config: None,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        }
    }

    #[test]
    fn host_key_checking_comes_before_any_option_of_the_user() {
        let target = ssh("h", Some("u"), &["StrictHostKeyChecking=no"]);
        let arguments = ssh_arguments(&target, Duration::from_millis(10)).expect("a good target");
        let at = |text: &str| arguments.iter().position(|argument| argument == text);
        let ours = at("StrictHostKeyChecking=yes").expect("ours is there");
        assert!(ours < at("StrictHostKeyChecking=no").expect("the user's is there"));
        assert!(at("ConnectTimeout=1").is_some(), "0 would mean no limit");
    }

    #[test]
    fn names_that_ssh_could_take_for_something_else_are_refused() {
        for name in ["-oProxyCommand=x", "", "a b", "$(id)", "a;b", "a'b", "a\nb"] {
            assert_eq!(ssh_arguments(&ssh(name, None, &[]), Duration::ZERO), None, "{name:?}");
            assert_eq!(ssh_arguments(&ssh("h", Some(name), &[]), Duration::ZERO), None);
        }
        assert!(ssh_arguments(&ssh("fe80::1%eth0", None, &[]), Duration::ZERO).is_some());
    }

    #[test]
    fn messages_of_ssh_are_recognised() {
        let cases = [
            ("ssh: Could not resolve hostname x: Name or service not known", "name not resolved"),
            ("ssh: connect to host ::1 port 1: Connection refused", "connection refused"),
            ("ssh: connect to host 10.0.0.1 port 22: Connection timed out", "connection timed out"),
            ("Connection timed out during banner exchange", "connection timed out"),
            ("u@h: Permission denied (publickey).", "permission denied"),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n\
                 Host key verification failed.",
                "host key changed",
            ),
            (
                "No ED25519 host key is known for h and you have requested strict checking.\n\
              Host key verification failed.",
                "host key unknown",
            ),
            (
                "kex_exchange_identification: Connection closed by remote host",
                "connection closed before a shell ran",
            ),
            ("strange", "connection failed"),
        ];
        for (text, meaning) in cases {
            assert_eq!(ConnectFailure::recognise(text).describe(), meaning, "{text}");
        }
    }
}
