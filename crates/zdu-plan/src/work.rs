//! Templates of a step to the exact words of a plan, and the places where secrets may stand.

use crate::captures::Captures;
use crate::refusal::{Refusal, Refusals};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use zdu_model::ids::{NodeName, SecretName};
use zdu_model::plan::{Ask, HttpCall, Probe, Run, Subject, Unknown, Want, Work};
use zdu_model::procedure::{
    Action, AskTemplate, Deadline, HttpTemplate, ProbeTemplate, RunTemplate, UnknownRule,
    WantTemplate,
};
use zdu_model::render::{Render, Scope};
use zdu_model::text::{Template, Text};
use zdu_model::time::Millis;

/// Renders the parts of one step. A part that fails is `None` and a refusal; the others are
/// rendered all the same, so that every fault is found in one go.
pub(crate) struct Rendering<'a> {
    pub(crate) render: &'a dyn Render,
    pub(crate) scope: &'a Scope,
    pub(crate) refusals: &'a mut Refusals,
    pub(crate) captures: &'a Captures,
    pub(crate) secrets: &'a BTreeMap<SecretName, String>,
    pub(crate) subject: &'a Subject,
    /// The index of the stage.
    pub(crate) stage: usize,
    /// The path of the step, such as `procedure.stages.apply.steps.stop`.
    pub(crate) at: String,
}

/// Whether a secret may stand in a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Allowed,
    Never,
}

impl Rendering<'_> {
    fn path(&self, field: &str) -> String {
        format!("{}.{field}", self.at)
    }

    fn nodes(&self) -> Vec<NodeName> {
        self.subject.node().cloned().into_iter().collect()
    }

    pub(crate) fn condition(&mut self, template: &Template) -> Option<bool> {
        match self.render.condition(template, self.scope) {
            Ok(holds) => Some(holds),
            Err(error) => {
                let (at, nodes) = (self.path("when"), self.nodes());
                let template = template.0.clone();
                self.refusals.push(Refusal::Render { at, nodes, template, why: error.why });
                None
            }
        }
    }

    fn text(&mut self, template: &Template, field: &str, secrets: Secrets) -> Option<Text> {
        let text = match self.render.text(template, self.scope) {
            Ok(text) => text,
            Err(error) => {
                let (at, nodes) = (self.path(field), self.nodes());
                let template = template.0.clone();
                self.refusals.push(Refusal::Render { at, nodes, template, why: error.why });
                return None;
            }
        };
        for secret in text.secrets() {
            self.secret(secret, field, secrets);
        }
        for capture in text.captures() {
            let at = self.path(field);
            if secrets == Secrets::Never && self.captures.secret.contains(capture) {
                let secret = capture.to_string();
                self.refusals.push(Refusal::SecretExposed { at: at.clone(), secret });
            }
            if let Some(fault) = self.captures.fault(capture, self.subject, self.stage) {
                let capture = capture.clone();
                self.refusals.push(Refusal::Capture { at, capture, fault });
            }
        }
        Some(text)
    }

    fn secret(&mut self, secret: &SecretName, field: &str, secrets: Secrets) {
        let at = self.path(field);
        if !self.secrets.contains_key(secret) {
            let secret = secret.clone();
            self.refusals.push(Refusal::UndeclaredSecret { at: at.clone(), secret });
        }
        if secrets == Secrets::Never {
            self.refusals.push(Refusal::SecretExposed { at, secret: secret.to_string() });
        }
    }

    /// A deadline; refused when it gives no span, or one of no length (law 13).
    pub(crate) fn deadline(&mut self, deadline: &Deadline) -> Option<Millis> {
        let span = match deadline {
            Deadline::Span(span) => *span,
            Deadline::Template(template) => {
                let text = self.literal(template, "deadline")?;
                let Some(span) = Millis::parse(&text) else {
                    let (at, nodes) = (self.path("deadline"), self.nodes());
                    let why = format!("`{text}` is not a span of time");
                    let template = template.0.clone();
                    self.refusals.push(Refusal::Render { at, nodes, template, why });
                    return None;
                };
                span
            }
        };
        if span.0 == 0 {
            let at = self.path("deadline");
            self.refusals.push(Refusal::Limit { at, why: "must be longer than nothing" });
        }
        Some(span)
    }

    /// Text the plan must hold whole.
    fn literal(&mut self, template: &Template, field: &str) -> Option<String> {
        let text = self.text(template, field, Secrets::Never)?;
        if let Some(capture) = text.captures().next() {
            let (at, capture) = (self.path(field), capture.clone());
            self.refusals.push(Refusal::OpenPlace { at, capture });
        }
        text.as_literal()
    }

    fn literal_of(&mut self, template: Option<&Template>, field: &str) -> Option<Option<String>> {
        template.map_or(Some(None), |template| self.literal(template, field).map(Some))
    }

    fn text_of(
        &mut self,
        template: Option<&Template>,
        field: &str,
        secrets: Secrets,
    ) -> Option<Option<Text>> {
        template.map_or(Some(None), |template| self.text(template, field, secrets).map(Some))
    }

    pub(crate) fn work(&mut self, action: &Action) -> Option<Work> {
        match action {
            Action::Run(run) => Some(Work::Run(self.run(run, "run")?)),
            Action::Http(http) => Some(Work::Http(self.http(http, "http")?)),
            Action::Upload { from, to, mode } => {
                let from = self.literal(from, "upload.from");
                let to = self.literal(to, "upload.to");
                let mode = self.mode(mode);
                Some(Work::Upload { from: from?, to: to?, mode: mode? })
            }
            Action::Backup { path, to } => {
                let path = self.literal(path, "backup.path");
                let to = self.literal(to, "backup.to");
                Some(Work::Backup { path: path?, to: to? })
            }
            Action::Wait(probe) => Some(Work::Wait(self.probe(probe, "wait")?)),
            Action::Manual { instruction } => {
                let instruction = self.literal(instruction, "manual.instruction")?;
                Some(Work::Manual { instruction })
            }
        }
    }

    fn mode(&mut self, mode: &str) -> Option<u32> {
        let bits = u32::from_str_radix(mode, 8).ok().filter(|bits| *bits <= 0o7777);
        if bits.is_none() {
            let at = self.path("upload.mode");
            self.refusals.push(Refusal::BadMode { at, mode: mode.to_string() });
        }
        bits
    }

    fn run(&mut self, template: &RunTemplate, field: &str) -> Option<Run> {
        let RunTemplate { argv, shell, cwd, env, stdin, user } = template;
        let words: Vec<Option<Text>> = argv
            .iter()
            .enumerate()
            .map(|(index, word)| self.text(word, &format!("{field}.argv[{index}]"), Secrets::Never))
            .collect();
        let values: Vec<Option<(String, Text)>> = env
            .iter()
            .map(|(name, value)| {
                let value = self.text(value, &format!("{field}.env.{name}"), Secrets::Never);
                value.map(|value| (name.clone(), value))
            })
            .collect();
        let cwd = self.text_of(cwd.as_ref(), &format!("{field}.cwd"), Secrets::Never);
        let stdin = self.text_of(stdin.as_ref(), &format!("{field}.stdin"), Secrets::Allowed);
        let user = self.literal_of(user.as_ref(), &format!("{field}.user"));
        Some(Run {
            argv: words.into_iter().collect::<Option<_>>()?,
            shell: *shell,
            cwd: cwd?,
            env: values.into_iter().collect::<Option<_>>()?,
            stdin: stdin?,
            user: user?,
        })
    }

    fn http(&mut self, template: &HttpTemplate, field: &str) -> Option<HttpCall> {
        let HttpTemplate { method, url, headers, body, basic, ca_file, ca, insecure } = template;
        let url = self.literal(url, &format!("{field}.url"));
        let headers: Vec<Option<(String, Text)>> = headers
            .iter()
            .map(|(name, value)| {
                let at = format!("{field}.headers.{name}");
                let value = self.text(value, &at, Secrets::Allowed);
                value.map(|value| (name.clone(), value))
            })
            .collect();
        let body = self.text_of(body.as_ref(), &format!("{field}.body"), Secrets::Allowed);
        let ca_file = self.literal_of(ca_file.as_ref(), &format!("{field}.ca_file"));
        let ca = self.text_of(ca.as_ref(), &format!("{field}.ca"), Secrets::Never);
        let basic = match basic {
            None => Some(None),
            Some(basic) => {
                self.secret(&basic.password, &format!("{field}.basic"), Secrets::Allowed);
                let user = self.literal(&basic.user, &format!("{field}.basic.user"));
                user.map(|user| Some((user, basic.password.clone())))
            }
        };
        Some(HttpCall {
            method: method.clone(),
            url: url?,
            headers: headers.into_iter().collect::<Option<_>>()?,
            body: body?,
            basic: basic?,
            ca_file: ca_file?,
            ca: ca?.filter(|ca| ca.as_literal().is_none_or(|text| !text.trim().is_empty())),
            insecure: *insecure,
        })
    }

    pub(crate) fn probe(&mut self, template: &ProbeTemplate, field: &str) -> Option<Probe> {
        let ProbeTemplate { ask, want, times, every } = template;
        let ask = match ask {
            AskTemplate::Http(http) => self.http(http, &format!("{field}.http")).map(Ask::Http),
            AskTemplate::Tcp(place) => self.literal(place, &format!("{field}.tcp")).map(Ask::Tcp),
            AskTemplate::Run(run) => self.run(run, &format!("{field}.run")).map(Ask::Run),
        };
        let want = self.want(want, field);
        Some(Probe { ask: ask?, want: want?, times: *times, every: *every })
    }

    fn want(&mut self, template: &WantTemplate, field: &str) -> Option<Want> {
        let WantTemplate { exit, status, contains, matches, json } = template;
        let contains = self.literal_of(contains.as_ref(), &format!("{field}.want.contains"));
        let matches = self.literal_of(matches.as_ref(), &format!("{field}.want.matches"));
        let json: Vec<Option<_>> = json
            .iter()
            .enumerate()
            .map(|(index, want)| {
                let at = format!("{field}.want.json[{index}].value");
                let value = self.literal(&want.value, &at);
                value.map(|value| (want.pointer.clone(), want.is, value))
            })
            .collect();
        Some(Want {
            exit: exit.clone(),
            status: status.clone(),
            contains: contains?,
            matches: matches?,
            json: json.into_iter().collect::<Option<_>>()?,
        })
    }

    pub(crate) fn unknown(&mut self, rule: &UnknownRule) -> Option<Unknown> {
        match rule {
            UnknownRule::Hold => Some(Unknown::Hold),
            UnknownRule::Rerun => Some(Unknown::Rerun),
            UnknownRule::Observe { done, not_done } => {
                let done = self.probe(done, "unknown.observe.done");
                let not_done = match not_done {
                    None => Some(None),
                    Some(probe) => self.probe(probe, "unknown.observe.not_done").map(Some),
                };
                Some(Unknown::Observe { done: Box::new(done?), not_done: not_done?.map(Box::new) })
            }
        }
    }
}
