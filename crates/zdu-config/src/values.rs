//! Single values: names, spans of time, wave sizes, members, sockets, secret sources, rules.

use crate::decode::At;
use crate::diagnostic::{Findings, Place, suggest};
use crate::raw;
use crate::tree::shown;
use zdu_model::contract::Class;
use zdu_model::fleet::{Member, Socket};
use zdu_model::ids::{BadName, BalancerName, PhaseName, StageName};
use zdu_model::policy::{FailureAction, FailureRule, SecretSource, WaveSize};
use zdu_model::time::Millis;

/// Raw types that are a text.
pub(crate) trait Written {
    /// The text as written.
    fn written(&self) -> &str;
}

impl Written for String {
    fn written(&self) -> &str {
        self
    }
}

impl Written for raw::Word {
    fn written(&self) -> &str {
        &self.0
    }
}

/// A name of the model, checked.
pub(crate) fn name<T>(
    at: &At<impl Written>,
    new: fn(&str) -> Result<T, BadName>,
    findings: &mut Findings,
) -> Option<T> {
    name_at(at.value.written(), at.place, new, findings)
}

/// A name of the model, checked, with a place of its own.
pub(crate) fn name_at<T>(
    text: &str,
    place: Place,
    new: fn(&str) -> Result<T, BadName>,
    findings: &mut Findings,
) -> Option<T> {
    match new(text) {
        Ok(name) => Some(name),
        Err(BadName { given, why }) => {
            let message = format!("`{}` is not a valid name: {why}", shown(&given));
            findings.error(place, message);
            None
        }
    }
}

/// A span of time, such as `30s`, `250ms`, `5m`, `1h` or `1m30s`.
pub(crate) fn span(at: &At<impl Written>, findings: &mut Findings) -> Option<Millis> {
    let text = at.value.written();
    let found = Millis::parse(text);
    if found.is_none() {
        let message = format!("`{}` is not a span of time", shown(text));
        let hint = match text.parse::<u64>() {
            Ok(number) => format!("a unit is missing: `{number}s`, `{number}ms` or `{number}m`?"),
            Err(_) => "write it like `250ms`, `30s`, `5m`, `1h` or `1m30s`".to_owned(),
        };
        findings.error_hint(at.place, message, hint);
    }
    found
}

/// A span that may be absent.
pub(crate) fn span_or(at: Option<&At<String>>, default: Millis, findings: &mut Findings) -> Millis {
    at.and_then(|at| span(at, findings)).unwrap_or(default)
}

/// The size of a wave: `2` or `"25%"`.
pub(crate) fn wave_size(at: &At<raw::Word>, findings: &mut Findings) -> Option<WaveSize> {
    let text = at.value.written().trim();
    let size = match text.strip_suffix('%') {
        Some(share) => share
            .parse::<u8>()
            .ok()
            .filter(|share| (1..=100).contains(share))
            .map(WaveSize::Percent),
        None => text.parse::<u32>().ok().filter(|n| *n > 0).map(WaveSize::Count),
    };
    if size.is_none() {
        let message = format!("`{}` is not a wave size", shown(text));
        let hint = "a number of nodes from 1 (`2`) or a share from 1 to 100 percent (`\"25%\"`)";
        findings.error_hint(at.place, message, hint);
    }
    size
}

/// A member, `BALANCER/BACKEND/SERVER`, of one of the known balancers.
pub(crate) fn member<'a>(
    at: &At<String>,
    known: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) -> Option<Member> {
    let parts: Vec<&str> = at.value.split('/').collect();
    let [balancer, backend, server] = parts[..] else {
        let message = format!("`{}` is not a member", shown(&at.value));
        let hint = "write `BALANCER/BACKEND/SERVER`, such as `edge/gateway/node-a`";
        findings.error_hint(at.place, message, hint);
        return None;
    };
    if let Some(bad) = [backend, server].iter().find(|part| !is_backend_word(part)) {
        // The words travel into line-based runtime interfaces, where a blank or `;` ends one.
        let message = format!("`{}` in a member is not a backend or server name", shown(bad));
        let hint = "letters, digits, `-`, `_`, `.` and `:` are allowed";
        findings.error_hint(at.place, message, hint);
        return None;
    }
    let known: Vec<&str> = known.collect();
    if !known.contains(&balancer) {
        let message = format!("there is no balancer `{}`", shown(balancer));
        findings.error_hint(at.place, message, suggest(balancer, known, "balancers"));
        return None;
    }
    Some(Member {
        balancer: name_at(balancer, at.place, |t| BalancerName::new(t), findings)?,
        backend: backend.to_owned(),
        server: server.to_owned(),
    })
}

fn is_backend_word(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    !text.is_empty() && text.chars().all(allowed)
}

/// Where a runtime interface listens.
pub(crate) fn socket(at: &At<String>, findings: &mut Findings) -> Option<Socket> {
    let found = match at.value.split_once(':') {
        Some(("unix", path)) if path.starts_with('/') => Some(Socket::Unix(path.to_owned())),
        Some(("tcp", address)) => address
            .rsplit_once(':')
            .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
            .map(|_| Socket::Tcp(address.to_owned())),
        _ => None,
    };
    if found.is_none() {
        let message = format!("`{}` is not a socket", shown(&at.value));
        let hint = "write `unix:/path/to/socket` or `tcp:host:port`";
        findings.error_hint(at.place, message, hint);
    }
    found
}

/// Where a secret comes from. A value that is no reference is taken for the secret itself: the
/// message never repeats it.
pub(crate) fn secret_source(
    name: &str,
    at: &At<String>,
    findings: &mut Findings,
) -> Option<SecretSource> {
    let found = match at.value.split_once(':') {
        Some(("env", name)) if is_env_name(name) => Some(SecretSource::Env(name.to_owned())),
        Some(("file", path)) if !path.trim().is_empty() => {
            Some(SecretSource::File(path.trim().to_owned()))
        }
        Some(("command", command)) => words(command).map(SecretSource::Command),
        _ => None,
    };
    if found.is_none() {
        findings.error_concealed(
            at.place,
            format!("the secret `{}` must not stand in the file", shown(name)),
            "say where it comes from: `env:NAME`, `file:PATH` or `command:PROGRAM ARGUMENTS`",
        );
    }
    found
}

fn is_env_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Words of a command, with quotes but without any other meaning of a shell.
fn words(text: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    (quote.is_none() && !all.is_empty()).then_some(all)
}

/// What an ending is called.
pub(crate) fn class(raw: raw::Class) -> Class {
    match raw {
        raw::Class::Succeeded => Class::Succeeded,
        raw::Class::Warned => Class::Warned,
        raw::Class::Again => Class::Again,
        raw::Class::Failed => Class::Failed,
        raw::Class::TimedOut => Class::TimedOut,
        raw::Class::Unknown => Class::Unknown,
        raw::Class::NotRun => Class::NotRun,
    }
}

/// A phase that the procedure declares.
pub(crate) fn phase(
    at: &At<String>,
    known: &[PhaseName],
    findings: &mut Findings,
) -> Option<PhaseName> {
    let found = known.iter().find(|phase| phase.as_str() == at.value);
    if found.is_none() {
        let message = format!("there is no phase `{}`", shown(&at.value));
        let names = known.iter().map(PhaseName::as_str);
        findings.error_hint(at.place, message, suggest(&at.value, names, "phases"));
    }
    found.cloned()
}

/// A failure rule.
pub(crate) fn rule(
    raw: &raw::Rule,
    phases: &[PhaseName],
    findings: &mut Findings,
) -> Option<FailureRule> {
    let phase = match &raw.phase {
        None => None,
        Some(at) => Some(phase(at, phases, findings)?),
    };
    let action = match &raw.action {
        raw::RuleAction::Retry(raw::Retry { max, pause }) => {
            FailureAction::Retry { max: *max, pause: span(pause, findings)? }
        }
        raw::RuleAction::RollbackNode => FailureAction::RollbackNode,
        raw::RuleAction::RollbackWave => FailureAction::RollbackWave,
        raw::RuleAction::RollbackRollout => FailureAction::RollbackRollout,
        raw::RuleAction::Hold => FailureAction::Hold,
        raw::RuleAction::GoOn => FailureAction::GoOn,
        raw::RuleAction::Stop => FailureAction::Stop,
    };
    let stage = match &raw.stage {
        None => None,
        Some(at) => Some(name(at, |text| StageName::new(text), findings)?),
    };
    Some(FailureRule {
        stage,
        phase,
        exit: raw.exit.clone(),
        class: raw.class.iter().copied().map(class).collect(),
        output: raw.output.clone(),
        failed_nodes: raw.failed_nodes,
        action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_at_blanks_outside_quotes() {
        let found = words("pass show 'my vault/anm' \"\"").expect("words");
        assert_eq!(found, ["pass", "show", "my vault/anm", ""]);
        assert_eq!(words("open 'quote"), None);
        assert_eq!(words("  "), None);
    }
}
