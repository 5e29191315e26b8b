//! A run as a person would tell it: what went well in few words, and everything else in a line.

use crate::layout::Layout;
use crate::script::{StepName, happening};
use crate::seen::Seen;
use zdu_model::contract::Class;
use zdu_model::event::{Event, Record, ScheduleCause};
use zdu_model::ids::StepNo;
use zdu_model::report::{DrainEvidence, Evidence};
use zdu_model::time::Millis;

/// Steps of one subject that passed one after another.
struct Passed {
    subject: String,
    steps: Vec<String>,
}

/// The story so far.
#[derive(Default)]
pub(crate) struct Story {
    lines: Vec<String>,
    passed: Vec<Passed>,
    /// When the newest of them passed.
    at: Millis,
    /// An attempt that asks for another, with how many of the same went before it.
    again: Option<(String, u32)>,
}

impl Story {
    pub(crate) fn take(&mut self, layout: &Layout, at: Millis, seen: &Seen<'_>) {
        match seen {
            Seen::Durable(records) => {
                for record in *records {
                    self.record(layout, at, record);
                }
            }
            Seen::Trouble(what) => {
                self.line(at, &format!("! {}", happening(&layout.plan, what)));
            }
            Seen::Gone { process, why } => {
                self.line(at, &format!("controller {process} is gone: {why}"));
            }
            Seen::Over => self.tell_passed(),
            Seen::Started { .. }
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Began { .. }
            | Seen::Ended { .. }
            | Seen::Landed { .. }
            | Seen::Traffic
            | Seen::Rests { .. }
            // Asked only so that a checker hears the answer.
            | Seen::Asked { .. }
            | Seen::Verdict(_) => {}
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever is not told in fewer words is told as the views tell it"
    )]
    fn record(&mut self, layout: &Layout, at: Millis, record: &Record) {
        match &record.event {
            // How it ends is told.
            Event::StepStarted { .. }
            | Event::StepScheduled { cause: ScheduleCause::Again, .. } => {}
            Event::StepEnded { step, class: Class::Succeeded, report, .. } => {
                self.pass(layout, at, *step);
                if let Evidence::Drain(DrainEvidence { cut, left, .. }) = &report.evidence
                    && cut + left > 0
                {
                    self.line(at, &format!("  {cut} sessions were cut and {left} left in place"));
                }
            }
            Event::StepEnded { class: Class::Again, .. } => {
                let text = zdu_view::describe::event(&layout.plan, &record.event);
                self.again = match self.again.take() {
                    Some((known, count)) if known == text => Some((known, count + 1)),
                    other => {
                        self.again = other;
                        self.tell_passed();
                        Some((text, 1))
                    }
                };
                self.at = at;
            }
            event => self.line(at, &zdu_view::describe::event(&layout.plan, event)),
        }
    }

    fn pass(&mut self, layout: &Layout, at: Millis, step: StepNo) {
        let name = StepName::of(&layout.plan, step);
        self.at = at;
        let known = self.passed.iter_mut().find(|passed| passed.subject == name.subject());
        match known {
            Some(passed) => passed.steps.push(name.path()),
            None => {
                let (subject, steps) = (name.subject().to_owned(), vec![name.path()]);
                self.passed.push(Passed { subject, steps });
            }
        }
    }

    fn tell_passed(&mut self) {
        if let Some((text, count)) = self.again.take() {
            let times = if count > 1 { format!(", {count} times") } else { String::new() };
            self.lines.push(timed(self.at, &format!("{text}{times}")));
        }
        for Passed { subject, steps } in std::mem::take(&mut self.passed) {
            self.lines.push(timed(self.at, &format!("{subject}: {} passed", steps.join(", "))));
        }
    }

    fn line(&mut self, at: Millis, what: &str) {
        self.tell_passed();
        self.lines.push(timed(at, what));
    }
}

fn timed(at: Millis, what: &str) -> String {
    format!("{:>5}.{:03} {what}", at.0 / 1_000, at.0 % 1_000)
}
