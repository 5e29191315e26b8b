//! A written procedure to the model's.

mod phases;
mod stage;

use crate::deadline::{MANUAL_DEADLINE, STEP_DEADLINE};
use crate::decode::{At, Entries};
use crate::diagnostic::{Findings, Place, suggest};
use crate::raw::Word;
use crate::raw_procedure as raw;
use crate::scan::{Scan, Slot};
use crate::tree::shown;
use crate::values::{Written, class, name, phase, rule, span};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::contract::{AgainLimit, Contract, JsonIs, Rule};
use zdu_model::ids::{
    CaptureName, PhaseName, ProcedureName, RoleName, SecretName, StepKey, VarName,
};
use zdu_model::procedure::{
    Action, Capture, CaptureFrom, Check, Deadline, Procedure, RoleDecl, RollbackClass, Site, Stage,
    Step, UnknownRule, VarDecl, VarKind,
};
use zdu_model::time::Millis;

/// What the parts of a procedure refer to.
struct Converter<'f> {
    scan: Scan<'f>,
    phases: Vec<PhaseName>,
    rollback_phase: Option<PhaseName>,
    roles: BTreeSet<String>,
    ids: BTreeMap<String, Place>,
}

/// Where a step stands.
#[derive(Clone, Copy)]
struct Standing {
    over: raw::Over,
    /// For an undo: whether its step is disruptive.
    undo_of: Option<bool>,
}

/// Converts; what is wrong goes to `findings`.
pub(crate) fn convert(raw: &raw::Procedure, findings: &mut Findings) -> Option<Procedure> {
    let texts = |entries: &[(At<String>, raw::Var)]| {
        entries.iter().map(|(key, _)| key.value.clone()).collect()
    };
    let scan = Scan {
        vars: texts(&raw.vars.0),
        spans: spans(raw),
        secrets: raw.secrets.0.iter().map(|(key, _)| key.value.clone()).collect(),
        roles: raw.roles.0.iter().map(|(key, _)| key.value.clone()).collect(),
        captures: captures(raw, false),
        secret_captures: captures(raw, true),
        findings,
    };
    let mut converter = Converter {
        roles: scan.roles.clone(),
        scan,
        phases: Vec::new(),
        rollback_phase: None,
        ids: BTreeMap::new(),
    };
    converter.procedure(raw)
}

/// Names of the variables that hold spans of time.
fn spans(raw: &raw::Procedure) -> BTreeSet<String> {
    let spans = raw.vars.into_iter().filter(|(_, var)| var.kind == raw::VarKind::Span);
    spans.map(|(key, _)| key.value.clone()).collect()
}

/// Names captured anywhere in the procedure.
fn captures(raw: &raw::Procedure, only_secret: bool) -> BTreeSet<String> {
    let steps = raw.stages.iter().flat_map(|stage| &stage.steps);
    let undo = steps.clone().flat_map(|step| &step.value.undo);
    let all = steps.chain(undo).flat_map(|step| &step.value.capture);
    let wanted = all.filter(|capture| capture.secret || !only_secret);
    wanted.map(|capture| capture.name.value.clone()).collect()
}

impl Converter<'_> {
    fn procedure(&mut self, raw: &raw::Procedure) -> Option<Procedure> {
        let proc_name = name(&raw.name, |t| ProcedureName::new(t), self.scan.findings);
        let phases = self.phases(raw);
        let rollback_phase = phase(&raw.rollback_phase, &self.phases, self.scan.findings);
        self.rollback_phase.clone_from(&rollback_phase);
        let vars = self.vars(raw);
        let secrets = raw.secrets.into_iter().filter_map(|(key, why)| {
            let key = name(key, |t| SecretName::new(t), self.scan.findings)?;
            Some((key, why.clone()))
        });
        let secrets = secrets.collect();
        let roles = self.role_decls(raw);
        let preflight = raw.preflight.iter().filter_map(|check| self.check(check)).collect();
        self.kept_behind_a_roll(&raw.stages);
        let stages: Vec<Stage> = raw.stages.iter().filter_map(|s| self.stage(s)).collect();
        let rules = raw.on_failure.iter();
        let rules = rules.filter_map(|r| rule(r, &self.phases, self.scan.findings)).collect();
        Some(Procedure {
            name: proc_name?,
            summary: raw.summary.clone(),
            source: raw.source.clone(),
            phases,
            rollback_phase: rollback_phase?,
            vars,
            secrets,
            roles,
            preflight,
            stages,
            on_failure: rules,
        })
    }

    fn vars(&mut self, raw: &raw::Procedure) -> BTreeMap<VarName, VarDecl> {
        let mut all = BTreeMap::new();
        for (key, var) in &raw.vars {
            let default = var.default.as_ref();
            let default = default.map(|at| self.scan.default(at, var.kind));
            if let Some(key) = name(key, |t| VarName::new(t), self.scan.findings) {
                let kind = match var.kind {
                    raw::VarKind::Text => VarKind::Text,
                    raw::VarKind::Span => VarKind::Span,
                };
                all.insert(key, VarDecl { help: var.help.clone(), kind, default });
            }
        }
        all
    }

    fn role_decls(&mut self, raw: &raw::Procedure) -> BTreeMap<RoleName, RoleDecl> {
        let mut all = BTreeMap::new();
        for (key, role) in &raw.roles {
            let lookup = role.lookup.as_ref().and_then(|probe| self.scan.probe(probe));
            let among = role.among.as_ref().and_then(|at| self.role(at));
            if let Some(key) = name(key, |t| RoleName::new(t), self.scan.findings) {
                let decl =
                    RoleDecl { help: role.help.clone(), lookup, among, exactly: role.exactly };
                all.insert(key, decl);
            }
        }
        all
    }

    fn check(&mut self, raw: &raw::Check) -> Option<Check> {
        Some(Check {
            name: raw.name.clone(),
            probe: self.scan.probe(&raw.probe)?,
            hint: raw.hint.clone(),
        })
    }

    fn role(&mut self, at: &At<String>) -> Option<RoleName> {
        if !self.roles.contains(&at.value) {
            let message = format!("there is no role `{}`", shown(&at.value));
            let known = self.roles.iter().map(String::as_str);
            let hint = suggest(&at.value, known, "roles");
            self.scan.findings.error_hint(at.place, message, hint);
            return None;
        }
        name(at, |t| RoleName::new(t), self.scan.findings)
    }

    fn phase(&mut self, at: Option<&At<String>>) -> Option<PhaseName> {
        at.and_then(|at| phase(at, &self.phases, self.scan.findings))
    }

    fn step(&mut self, at: &At<raw::Step>, standing: Standing) -> Option<Step> {
        let raw = &at.value;
        let id = self.step_id(&raw.id);
        let phase = self.step_phase(raw, standing);
        let when = raw.when.as_ref().map(|when| self.scan.condition(when));
        let on = self.site(raw, standing);
        let action = self.action(at);
        let outcome = self.contract(raw);
        let usual = if raw.manual.is_some() { MANUAL_DEADLINE } else { STEP_DEADLINE };
        let deadline = self.scan.deadline(raw.deadline.as_ref(), usual);
        let takes = self.takes(raw, &deadline);
        let disruptive = self.disruptive(raw, standing);
        let unknown = self.unknown(raw, standing);
        let capture = raw.capture.iter().filter_map(|c| self.capture(c)).collect();
        let undo = self.undo(raw, standing, disruptive);
        let rollback = self.rollback(raw, standing);
        if raw.point_of_no_return && !raw.undo.is_empty() {
            let message = "a point of no return cannot have an undo";
            self.scan.findings.error(raw.id.place, message);
        }
        Some(Step {
            id: id?,
            phase: phase?,
            when,
            on: on?,
            action: action?,
            outcome,
            deadline,
            takes,
            attempts: raw.attempts.unwrap_or(1).max(1),
            disruptive,
            unknown: unknown?,
            capture,
            undo,
            rollback,
            point_of_no_return: raw.point_of_no_return,
        })
    }

    /// How long the step usually takes; an attempt that takes longer than its deadline is ended.
    fn takes(&mut self, raw: &raw::Step, deadline: &Deadline) -> Option<Millis> {
        let at = raw.takes.as_ref()?;
        let takes = span(at, self.scan.findings)?;
        // One that variables give is known only with a fleet.
        if let Deadline::Span(deadline) = deadline
            && takes >= *deadline
        {
            let message = format!("`takes` is {takes} and the deadline of the step {deadline}");
            let hint = "an attempt is ended at its deadline: give it a longer one";
            self.scan.findings.error_hint(at.place, message, hint);
        }
        Some(takes)
    }

    fn step_id(&mut self, at: &At<String>) -> Option<StepKey> {
        // The names of the acts zdu adds to a plan.
        const TAKEN: [&str; 8] =
            ["guard", "drain", "certify", "ready", "undrain", "serving", "soak", "front"];
        if TAKEN.contains(&at.value.as_str()) {
            let message = format!("`{}` is the name of an act zdu adds itself", at.value);
            self.scan.findings.error(at.place, message);
        }
        if let Some(first) = self.ids.get(&at.value) {
            let message = format!("there are two steps `{}`", shown(&at.value));
            let hint = format!("the first is at {}", self.scan.findings.at(*first));
            self.scan.findings.error_hint(at.place, message, hint);
        } else {
            self.ids.insert(at.value.clone(), at.place);
        }
        name(at, |t| StepKey::new(t), self.scan.findings)
    }

    fn step_phase(&mut self, raw: &raw::Step, standing: Standing) -> Option<PhaseName> {
        match (&raw.phase, standing.undo_of) {
            (Some(at), _) => phase(at, &self.phases, self.scan.findings),
            (None, Some(_)) => self.rollback_phase.clone(),
            (None, None) => {
                let message = format!("the step `{}` has no phase", shown(&raw.id.value));
                let known: Vec<_> = self.phases.iter().map(PhaseName::as_str).collect();
                let hint = format!("phases: {}", known.join(", "));
                self.scan.findings.error_hint(raw.id.place, message, hint);
                None
            }
        }
    }

    fn site(&mut self, raw: &raw::Step, standing: Standing) -> Option<Site> {
        let once = standing.over == raw::Over::Once;
        let Some(at) = &raw.on else {
            return Some(if once { Site::Controller } else { Site::Node });
        };
        match &at.value {
            raw::Site::Node if once => {
                let message = "a step of a `once` stage has no node of its own";
                let hint = "use `on: controller` or `on: { role: ROLE }`";
                self.scan.findings.error_hint(at.place, message, hint);
                None
            }
            raw::Site::Node => Some(Site::Node),
            raw::Site::Controller => Some(Site::Controller),
            raw::Site::Role(role) => self.role(role).map(Site::Role),
        }
    }

    fn action(&mut self, at: &At<raw::Step>) -> Option<Action> {
        let raw = &at.value;
        let mut found: Vec<Option<Action>> = Vec::new();
        if let Some(run) = &raw.run {
            found.push(self.scan.run(run).map(Action::Run));
        }
        if let Some(script) = &raw.shell {
            found.push(Some(Action::Run(self.scan.script(script))));
        }
        if let Some(http) = &raw.http {
            found.push(self.scan.http(http).map(Action::Http));
        }
        if let Some(At { value, .. }) = &raw.upload {
            let slot = Slot::Closed("a path");
            found.push(Some(Action::Upload {
                from: self.scan.template(&value.from, slot),
                to: self.scan.template(&value.to, slot),
                mode: self.mode(value.mode.as_ref()),
            }));
        }
        if let Some(At { value, .. }) = &raw.backup {
            let slot = Slot::Closed("a path");
            found.push(Some(Action::Backup {
                path: self.scan.template(&value.path, slot),
                to: self.scan.template(&value.to, slot),
            }));
        }
        if let Some(probe) = &raw.wait {
            found.push(self.scan.probe(probe).map(Action::Wait));
        }
        if let Some(At { value, .. }) = &raw.manual {
            let slot = Slot::Closed("an instruction");
            found.push(Some(Action::Manual {
                instruction: self.scan.template(&value.instruction, slot),
            }));
        }
        if found.len() == 1 {
            return found.pop().flatten();
        }
        let number = if found.is_empty() { "no action" } else { "more than one action" };
        let message = format!("the step `{}` has {number}", shown(&raw.id.value));
        let hint = "exactly one of: run, shell, http, upload, backup, wait, manual";
        self.scan.findings.error_hint(raw.id.place, message, hint);
        None
    }

    fn mode(&mut self, at: Option<&At<Word>>) -> String {
        let Some(at) = at else {
            return "0644".to_owned();
        };
        let text = at.value.written();
        if u32::from_str_radix(text, 8).is_ok_and(|mode| mode <= 0o7777) {
            return text.to_owned();
        }
        let message = format!("`{}` is not a file mode", shown(text));
        let hint = "write it in octal, in quotes: \"0644\"";
        self.scan.findings.error_hint(at.place, message, hint);
        String::new()
    }

    fn contract(&mut self, raw: &raw::Step) -> Contract {
        let mut rules = Vec::new();
        for written in &raw.outcome {
            if let Some(output) = &written.output {
                self.scan.regex(&output.value, output.place);
            }
            let json = written.json.as_ref().map(|json| {
                self.scan.pointer(&json.pointer);
                JsonIs { pointer: json.pointer.value.clone(), equals: json.equals.0.clone() }
            });
            let rule = Rule {
                exit: written.exit.clone(),
                status: written.status.clone(),
                output: written.output.as_ref().map(|at| at.value.clone()),
                json,
                class: class(written.class.value),
            };
            if rule.exit.is_empty() && rule.status.is_empty() && !rule.reads_output() {
                let message = "this rule has no condition and never fits";
                let hint = "give `exit`, `status`, `output` or `json`";
                self.scan.findings.error_hint(written.class.place, message, hint);
            }
            rules.push(rule);
        }
        let again = raw.again.as_ref().and_then(|again| {
            let pause = span(&again.pause, self.scan.findings)?;
            Some(AgainLimit { pause, max: again.max })
        });
        Contract { rules, again: again.unwrap_or_default() }
    }

    fn disruptive(&mut self, raw: &raw::Step, standing: Standing) -> bool {
        let rolling = standing.over == raw::Over::Rolling;
        match &raw.disruptive {
            Some(At { value: true, place }) if !rolling => {
                let message = format!(
                    "the step `{}` disturbs traffic outside a rolling stage",
                    shown(&raw.id.value)
                );
                let hint = "only a rolling stage drains nodes: set `over: rolling` for its stage";
                self.scan.findings.error_hint(*place, message, hint);
                false
            }
            Some(at) => at.value,
            None => standing.undo_of.unwrap_or(rolling),
        }
    }

    fn unknown(&mut self, raw: &raw::Step, standing: Standing) -> Option<UnknownRule> {
        match raw.unknown.as_ref().map(|at| &at.value) {
            // An undo must succeed when there is nothing to undo, so it can be run again.
            None if standing.undo_of.is_some() => Some(UnknownRule::Rerun),
            None | Some(raw::Unknown::Hold) => Some(UnknownRule::Hold),
            Some(raw::Unknown::Rerun) => Some(UnknownRule::Rerun),
            Some(raw::Unknown::Observe(observe)) => {
                let not_done = observe.not_done.as_ref();
                let not_done = not_done.map(|probe| self.scan.probe(probe));
                let done = self.scan.probe(&observe.done).map(Box::new)?;
                let not_done = match not_done {
                    None => None,
                    Some(probe) => Some(Box::new(probe?)),
                };
                Some(UnknownRule::Observe { done, not_done })
            }
        }
    }

    fn capture(&mut self, raw: &raw::Capture) -> Option<Capture> {
        let from = match &raw.from {
            raw::CaptureFrom::Output => CaptureFrom::Output,
            raw::CaptureFrom::Pattern(at) => {
                let groups = self.scan.regex(&at.value, at.place);
                if groups == Some(1) {
                    let message = "the pattern has no group to capture";
                    let hint = "put the part that is wanted in parentheses";
                    self.scan.findings.error_hint(at.place, message, hint);
                }
                CaptureFrom::Pattern(at.value.clone())
            }
            raw::CaptureFrom::Json(at) => {
                self.scan.pointer(at);
                CaptureFrom::Json(at.value.clone())
            }
        };
        Some(Capture {
            name: name(&raw.name, |t| CaptureName::new(t), self.scan.findings)?,
            from,
            secret: raw.secret,
        })
    }

    fn undo(&mut self, raw: &raw::Step, standing: Standing, disruptive: bool) -> Vec<Step> {
        if standing.undo_of.is_some() {
            if let Some(first) = raw.undo.first() {
                let message = "an undo cannot have an undo of its own";
                self.scan.findings.error(first.place, message);
            }
            return Vec::new();
        }
        let inner = Standing { undo_of: Some(disruptive), ..standing };
        raw.undo.iter().filter_map(|step| self.step(step, inner)).collect()
    }

    fn rollback(&mut self, raw: &raw::Step, standing: Standing) -> RollbackClass {
        let undone = !raw.undo.is_empty();
        match &raw.rollback {
            None if undone => RollbackClass::Redo,
            None => RollbackClass::None,
            Some(At { value, place }) => {
                let is_none = *value == raw::RollbackClass::None;
                if !is_none && !undone && standing.undo_of.is_none() {
                    let message = "a rollback is promised and there is no `undo`";
                    let hint = "give `undo` steps, or say `rollback: none`";
                    self.scan.findings.error_hint(*place, message, hint);
                }
                match value {
                    raw::RollbackClass::Instant => RollbackClass::Instant,
                    raw::RollbackClass::Redo => RollbackClass::Redo,
                    raw::RollbackClass::Restore => RollbackClass::Restore,
                    raw::RollbackClass::None => RollbackClass::None,
                }
            }
        }
    }
}

/// Entries as a plain map of texts, in the order of their keys.
pub(crate) fn texts<T: Written>(entries: &Entries<At<T>>) -> BTreeMap<String, String> {
    let pair = |(key, at): &(At<String>, At<T>)| (key.value.clone(), at.value.written().to_owned());
    entries.into_iter().map(pair).collect()
}
