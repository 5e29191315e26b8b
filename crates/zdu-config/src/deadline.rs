//! Spans of time that variables give: their defaults, and the deadlines of steps made of them.

use crate::decode::At;
use crate::diagnostic::suggest;
use crate::raw::Word;
use crate::raw_procedure::VarKind;
use crate::scan::{Scan, Slot};
use crate::template::{environment, explain};
use crate::tree::shown;
use crate::values::{Written, span};
use minijinja::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::procedure::Deadline;
use zdu_model::text::Template;
use zdu_model::time::Millis;

/// One attempt of a step when its author names no deadline: longer than a service takes to start
/// or stop, short enough that a person still looks at the screen.
pub(crate) const STEP_DEADLINE: Millis = Millis::from_secs(300);

/// The same where a person does it: somebody has to be told, to come and to do it.
pub(crate) const MANUAL_DEADLINE: Millis = Millis::from_secs(3600);

impl Scan<'_> {
    /// The default of a variable.
    pub(crate) fn default(&mut self, at: &At<Word>, kind: VarKind) -> Template {
        if kind == VarKind::Span && !at.value.written().contains('{') {
            span(at, self.findings);
        }
        self.template(at, Slot::Closed("a default"))
    }

    /// A step's deadline, `usual` where none is named: a span, or a template of variables that hold
    /// spans. A template is tried here with a span in each of its variables, so that what it can
    /// give is known to be a span before anybody's values are.
    pub(crate) fn deadline(&mut self, at: Option<&At<String>>, usual: Millis) -> Deadline {
        let Some(at) = at else {
            return Deadline::Span(usual);
        };
        if !at.value.contains('{') {
            return Deadline::Span(span(at, self.findings).unwrap_or(usual));
        }
        let before = self.findings.count();
        let template = self.template(at, Slot::Closed("a deadline"));
        if self.findings.count() == before {
            self.try_deadline(at);
        }
        Deadline::Template(template)
    }

    fn try_deadline(&mut self, at: &At<String>) {
        let env = environment();
        let Ok(template) = env.template_from_str(&at.value) else {
            return;
        };
        let used: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
        for name in &used {
            let var = name.strip_prefix("vars.");
            if var.is_some_and(|var| self.spans.contains(var)) {
                continue;
            }
            let message = format!("`{}` in a deadline is no span of time", shown(name));
            let hint = match var {
                Some(var) => format!("declare it: `{var}: {{ type: span, ... }}`"),
                None => {
                    let known = self.spans.iter().map(String::as_str);
                    suggest("", known, "only variables of the type `span` may be used")
                }
            };
            self.findings.error_hint(at.place, message, hint);
            return;
        }
        let samples = self.spans.iter().map(|name| (name.as_str(), Value::from("1s")));
        let vars = Value::from(samples.collect::<BTreeMap<&str, Value>>());
        let tried = template.render(BTreeMap::from([("vars", vars)]));
        let fault = match tried {
            Ok(text) if Millis::parse(&text).is_some() => return,
            Ok(text) => format!("with `1s` for each variable it gives `{}`", shown(&text)),
            Err(error) => explain(&error),
        };
        let message = format!("this deadline gives no span of time: {fault}");
        let hint = "write `{{ vars.NAME }}` or `{{ vars.NAME | plus('5m') }}`";
        self.findings.error_hint(at.place, message, hint);
    }
}
