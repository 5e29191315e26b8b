//! Templates, patterns and probes of a procedure, checked where they stand: a name that does not
//! exist is found when the file is read, not when a node is half upgraded.

use crate::decode::At;
use crate::diagnostic::{Findings, Place, suggest};
use crate::raw_procedure as raw;
use crate::template::{TemplateError, environment, explain, open_places, without_open_places};
use crate::tree::shown;
use crate::values::{Written, name, span_or};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::ids::SecretName;
use zdu_model::procedure::{
    AskTemplate, BasicAuth, Comparison, HttpTemplate, JsonWant, ProbeTemplate, RunTemplate,
    WantTemplate,
};
use zdu_model::text::Template;
use zdu_model::time::Millis;

/// The pause between two askings of a probe: short against every deadline, long against the work
/// of a probe.
const PROBE_EVERY: Millis = Millis::from_secs(1);

/// Whether a text may hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Standard input, a header, a body: never shown, never in a process list.
    Secret,
    /// Everything else, by the word messages use for it.
    Closed(&'static str),
}

/// What the texts of a procedure may name.
pub(crate) struct Scan<'f> {
    pub(crate) vars: BTreeSet<String>,
    /// Variables that hold spans of time.
    pub(crate) spans: BTreeSet<String>,
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) roles: BTreeSet<String>,
    pub(crate) captures: BTreeSet<String>,
    /// Captured values that are declared secret.
    pub(crate) secret_captures: BTreeSet<String>,
    pub(crate) findings: &'f mut Findings,
}

impl Scan<'_> {
    /// A text with template expressions.
    pub(crate) fn template(&mut self, at: &At<impl Written>, slot: Slot) -> Template {
        let text = at.value.written();
        let places = open_places(text);
        let misused = places.is_err();
        match places {
            Ok(places) => {
                for place in places {
                    self.open_place(&place.kind, &place.name, at.place, slot);
                }
            }
            Err(error) => self.misused(&error, at.place),
        }
        if text.contains('{') {
            match environment().template_from_str(&without_open_places(text)) {
                Ok(template) => {
                    let names: BTreeSet<String> =
                        template.undeclared_variables(true).into_iter().collect();
                    // Another name for the function would let a filter see the marker.
                    for kind in ["secret", "capture"] {
                        if names.contains(kind) && !misused {
                            self.misused(&TemplateError::used(kind, text), at.place);
                        }
                    }
                    self.names(names, text, at.place);
                }
                Err(error) => self.not_a_template(&error, at.place),
            }
        }
        Template(text.to_owned())
    }

    /// A condition: an expression without braces.
    pub(crate) fn condition(&mut self, at: &At<String>) -> Template {
        let text = &at.value;
        if text.contains("{{") {
            let hint = "a condition is an expression: leave out the braces";
            self.findings.error_hint(at.place, "braces in a condition", hint);
        } else {
            match environment().compile_expression(text) {
                Ok(expression) => {
                    let names = expression.undeclared_variables(true);
                    let names: BTreeSet<String> = names.into_iter().collect();
                    if names.contains("secret") || names.contains("capture") {
                        let message = "a condition cannot use secrets or captured values";
                        self.findings.error(at.place, message);
                    }
                    self.names(names, text, at.place);
                }
                Err(error) => self.not_a_template(&error, at.place),
            }
        }
        Template(text.clone())
    }

    fn not_a_template(&mut self, error: &minijinja::Error, place: Place) {
        let message = format!("this is not a template: {}", explain(error));
        self.findings.error(place, message);
    }

    fn misused(&mut self, error: &TemplateError, place: Place) {
        match error {
            TemplateError::OpenPlaceUsed { name, .. } => {
                let message = format!("`{name}(...)` must stand alone in its braces");
                let hint = format!(
                    "write `{{{{ {name}('name') }}}}`, without filters: its value is not known yet"
                );
                self.findings.error_hint(place, message, hint);
            }
            TemplateError::Marker
            | TemplateError::Bad { .. }
            | TemplateError::NotACondition { .. } => {
                self.findings.error(place, error.to_string());
            }
        }
    }

    fn open_place(&mut self, kind: &str, name: &str, place: Place, slot: Slot) {
        let (known, what) = match kind {
            "secret" => (&self.secrets, "secrets"),
            _ => (&self.captures, "captured values"),
        };
        if !known.contains(name) {
            let message = format!("unknown name `{}` in {kind}()", shown(name));
            let hint = suggest(name, known.iter().map(String::as_str), what);
            self.findings.error_hint(place, message, hint);
        }
        let secret = kind == "secret" || self.secret_captures.contains(name);
        if let (true, Slot::Closed(where_)) = (secret, slot) {
            let message = format!("the secret `{}` is used in {where_}", shown(name));
            let hint = "secrets are allowed in `stdin`, HTTP headers, bodies and `basic` only";
            self.findings.error_hint(place, message, hint);
        }
        if slot == Slot::Closed("a default") && kind == "capture" {
            let message = "a default cannot use a captured value";
            self.findings.error(place, message);
        }
    }

    fn names(&mut self, names: BTreeSet<String>, text: &str, place: Place) {
        for dotted in names {
            let mut parts = dotted.split('.');
            let first = parts.next().unwrap_or_default();
            let second = parts.next();
            let (unknown, hint) = match (first, second) {
                ("vars", Some(name)) if !self.vars.contains(name) => {
                    let known = self.vars.iter().map(String::as_str);
                    (dotted.clone(), suggest(name, known, "variables"))
                }
                ("node", Some(name)) => {
                    let known = ["name", "address", "zone", "group", "roles", "vars"];
                    if known.contains(&name) {
                        continue;
                    }
                    (dotted.clone(), suggest(name, known, "of a node"))
                }
                ("release", Some(name)) if !["from", "to"].contains(&name) => {
                    (dotted.clone(), suggest(name, ["from", "to"], "of a release"))
                }
                ("fleet", Some(name)) if name != "name" => {
                    (dotted.clone(), suggest(name, ["name"], "of a fleet"))
                }
                ("vars" | "node" | "release" | "fleet" | "nodes" | "role", _) => continue,
                ("secret" | "capture", _) => continue,
                (first, _) if environment().globals().any(|(name, _)| name == first) => continue,
                (first, _) => {
                    let known = ["vars", "node", "nodes", "release", "fleet", "role"];
                    (first.to_owned(), suggest(first, known, "known names"))
                }
            };
            let message = format!("unknown name `{}` in a template", shown(&unknown));
            self.findings.error_hint(place, message, hint);
        }
        self.role_calls(text, place);
    }

    fn role_calls(&mut self, text: &str, place: Place) {
        let Ok(call) = Regex::new(r#"\brole\(\s*(?:'([^']*)'|"([^"]*)")"#) else {
            return;
        };
        for found in call.captures_iter(text) {
            let name = found.get(1).or_else(|| found.get(2));
            let name = name.map_or("", |name| name.as_str());
            if !self.roles.contains(name) {
                let message = format!("there is no role `{}`", shown(name));
                let hint = suggest(name, self.roles.iter().map(String::as_str), "roles");
                self.findings.error_hint(place, message, hint);
            }
        }
    }

    /// A regular expression; gives the number of its groups, the whole match included.
    pub(crate) fn regex(&mut self, pattern: &str, place: Place) -> Option<usize> {
        regular(pattern, place, self.findings)
    }

    /// An RFC 6901 pointer.
    pub(crate) fn pointer(&mut self, at: &At<impl Written>) {
        pointed(at, self.findings);
    }

    /// A script for `/bin/sh`.
    pub(crate) fn script(&mut self, at: &At<String>) -> RunTemplate {
        RunTemplate {
            argv: vec![self.template(at, Slot::Closed("a script"))],
            shell: true,
            ..RunTemplate::default()
        }
    }

    /// A command.
    pub(crate) fn run(&mut self, at: &At<raw::Run>) -> Option<RunTemplate> {
        let raw = &at.value;
        let base = match (&raw.shell, raw.argv.is_empty()) {
            (Some(script), true) => self.script(script),
            (None, false) => {
                let slot = Slot::Closed("an argument");
                let argv = raw.argv.iter().map(|arg| self.template(arg, slot));
                RunTemplate { argv: argv.collect(), ..RunTemplate::default() }
            }
            (Some(_), false) | (None, true) => {
                let message = "a command needs either `argv` or `shell`";
                let hint = "write `argv: [program, argument]` or `shell: \"script\"`";
                self.findings.error_hint(at.place, message, hint);
                return None;
            }
        };
        let mut env = BTreeMap::new();
        for (key, value) in &raw.env {
            env.insert(key.value.clone(), self.template(value, Slot::Closed("the environment")));
        }
        let mut closed =
            |at: Option<&At<String>>, what| at.map(|at| self.template(at, Slot::Closed(what)));
        let (cwd, user) =
            (closed(raw.cwd.as_ref(), "a directory"), closed(raw.user.as_ref(), "a user name"));
        let stdin = raw.stdin.as_ref().map(|at| self.template(at, Slot::Secret));
        Some(RunTemplate { cwd, env, stdin, user, ..base })
    }

    /// An HTTP request.
    pub(crate) fn http(&mut self, at: &At<raw::Http>) -> Option<HttpTemplate> {
        let raw = &at.value;
        let mut headers = BTreeMap::new();
        for (key, value) in &raw.headers {
            headers.insert(key.value.clone(), self.template(value, Slot::Secret));
        }
        let basic = match &raw.basic {
            None => None,
            Some(basic) => {
                self.open_place(
                    "secret",
                    &basic.password.value,
                    basic.password.place,
                    Slot::Secret,
                );
                let password = name(&basic.password, |t| SecretName::new(t), self.findings)?;
                let user = self.template(&basic.user, Slot::Closed("a user name"));
                Some(BasicAuth { user, password })
            }
        };
        let method = raw.method.as_ref().map_or("GET", |at| at.value.as_str());
        if let Some(at) = &raw.method
            && !method.chars().all(|c| c.is_ascii_uppercase())
        {
            let message = format!("`{}` is not an HTTP method", shown(method));
            let hint = suggest(method, ["GET", "POST", "PUT", "PATCH", "DELETE"], "methods");
            self.findings.error_hint(at.place, message, hint);
        }
        let body = raw.body.as_ref().map(|at| self.template(at, Slot::Secret));
        let ca_file = raw.ca_file.as_ref();
        let ca_file = ca_file.map(|at| self.template(at, Slot::Closed("a path")));
        let ca = raw.ca.as_ref();
        let ca = ca.map(|at| self.template(at, Slot::Closed("an authority")));
        Some(HttpTemplate {
            method: method.to_owned(),
            url: self.template(&raw.url, Slot::Closed("a URL")),
            headers,
            body,
            basic,
            ca_file,
            ca,
            insecure: raw.insecure,
        })
    }

    /// One measurement.
    pub(crate) fn probe(&mut self, at: &At<raw::Probe>) -> Option<ProbeTemplate> {
        let raw = &at.value;
        let mut asks: Vec<Option<AskTemplate>> = Vec::new();
        if let Some(http) = &raw.http {
            asks.push(self.http(http).map(AskTemplate::Http));
        }
        if let Some(tcp) = &raw.tcp {
            let address = self.template(tcp, Slot::Closed("an address"));
            asks.push(Some(AskTemplate::Tcp(address)));
        }
        if let Some(run) = &raw.run {
            asks.push(self.run(run).map(AskTemplate::Run));
        }
        if let Some(script) = &raw.shell {
            asks.push(Some(AskTemplate::Run(self.script(script))));
        }
        let want = self.want(raw.want.as_ref());
        let every = span_or(raw.every.as_ref(), PROBE_EVERY, self.findings);
        if asks.len() != 1 {
            let message = "a probe asks exactly one thing";
            let hint = "give one of: http, tcp, run, shell";
            self.findings.error_hint(at.place, message, hint);
            return None;
        }
        Some(ProbeTemplate {
            ask: asks.pop().flatten()?,
            want,
            times: raw.times.unwrap_or(1).max(1),
            every,
        })
    }

    fn want(&mut self, raw: Option<&raw::Want>) -> WantTemplate {
        let Some(raw) = raw else {
            return WantTemplate::default();
        };
        let slot = Slot::Closed("a condition");
        if let Some(at) = &raw.matches {
            // A pattern with template expressions is known only when it is rendered.
            if !at.value.contains("{{") {
                self.regex(&at.value, at.place);
            }
        }
        let mut json = Vec::new();
        for want in &raw.json {
            self.pointer(&want.pointer);
            json.push(JsonWant {
                pointer: want.pointer.value.clone(),
                is: match want.is.unwrap_or(raw::Comparison::Equals) {
                    raw::Comparison::Equals => Comparison::Equals,
                    raw::Comparison::VersionEquals => Comparison::VersionEquals,
                    raw::Comparison::VersionAtLeast => Comparison::VersionAtLeast,
                    raw::Comparison::Length => Comparison::Length,
                    raw::Comparison::EqualInEach => {
                        self.pointer(&want.value);
                        Comparison::EqualInEach
                    }
                },
                value: self.template(&want.value, slot),
            });
        }
        WantTemplate {
            exit: raw.exit.clone(),
            status: raw.status.clone(),
            contains: raw.contains.as_ref().map(|at| self.template(at, slot)),
            matches: raw.matches.as_ref().map(|at| self.template(at, slot)),
            json,
        }
    }
}

/// A regular expression; how many groups it has.
pub(crate) fn regular(pattern: &str, place: Place, findings: &mut Findings) -> Option<usize> {
    match Regex::new(pattern) {
        Ok(regex) => Some(regex.captures_len()),
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            findings.error(place, format!("this is not a regular expression: {reason}"));
            None
        }
    }
}

/// An RFC 6901 pointer.
pub(crate) fn pointed(at: &At<impl Written>, findings: &mut Findings) {
    let text = at.value.written();
    if !text.is_empty() && !text.starts_with('/') {
        let message = format!("`{}` is not a JSON pointer", shown(text));
        let hint = format!("write `/{}`", text.replace('.', "/"));
        findings.error_hint(at.place, message, hint);
    }
}
