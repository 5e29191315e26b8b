//! One line per event, for terminals that cannot redraw, for pipes and for the rollout log.
//!
//! A line reads: time, subject, phase, step, outcome, duration. A failure adds the last lines of
//! its output, indented; a hold and the end add what to do next. Every fact stands in the words;
//! colour repeats it.

use crate::describe;
use crate::fold::RolloutView;
use crate::moment::{moment, span};
use crate::next::next_commands;
use jiff::tz::Offset;
use zdu_model::contract::Class;
use zdu_model::event::{Event, Record};
use zdu_model::front::FrontSeen;
use zdu_model::ids::{Attempt, NodeName, StepNo};
use zdu_model::plan::PlannedStep;
use zdu_model::report::Report;
use zdu_model::verdict::Verdict;

/// How lines are written.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// The offset times are shown in.
    pub offset: Offset,
    /// Whether outcomes are also coloured.
    pub palette: Palette,
}

/// Whether and how text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// Not at all.
    Plain,
    /// By ANSI escapes.
    Ansi,
}

/// What a colour repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Normal,
    /// As wanted.
    Good,
    /// A person should read it.
    Warn,
    /// A person must act.
    Bad,
}

impl Palette {
    /// The text in the tone's colour.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Self::Plain, _) | (Self::Ansi, Tone::Normal) => return text.to_owned(),
            (Self::Ansi, Tone::Good) => "32",
            (Self::Ansi, Tone::Warn) => "33",
            (Self::Ansi, Tone::Bad) => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

impl Lines {
    /// The lines of a record the view has already applied, without newlines.
    #[must_use]
    pub fn of(&self, view: &RolloutView, record: &Record) -> Vec<String> {
        // A front that shows what it should is told in the end and in the status.
        if matches!(&record.event, Event::FrontSeen { seen, .. } if !failed(seen)) {
            return Vec::new();
        }
        let time = moment(record.at, self.offset);
        let (subject, phase, what) = head(view, &record.event);
        let tone = tone(&record.event);
        let said = self.palette.paint(tone, &printable(&self.said(view, &record.event)));
        let mut line = format!("{time} {subject:<10} {phase:<10} {what}");
        if !what.is_empty() {
            line.push(' ');
        }
        line.push_str(&said);
        let mut lines = vec![line];
        lines.extend(more(view, &record.event));
        lines
    }

    fn said(&self, view: &RolloutView, event: &Event) -> String {
        let plan = view.plan();
        match event {
            Event::StepStarted { attempt: 1, .. } => "begun".into(),
            Event::StepStarted { attempt, .. } => format!("begun, attempt {attempt}"),
            Event::StepEnded { step, attempt, class, report } => {
                ended(view, (*step, *attempt), *class, report)
            }
            Event::StepScheduled { at, cause, .. } => {
                let when = moment(*at, self.offset);
                format!("will be begun again at {when}: {}", describe::schedule(*cause))
            }
            Event::StepUnknown { step, cause, how, .. } => {
                format!("outcome unknown: {cause}; {}", describe::inquiry(plan, *step, *how))
            }
            Event::FailureDecided { rule, action, .. } => {
                format!("rule {rule}: {}", describe::action(*action))
            }
            Event::RolloutStarted { .. }
            | Event::ControllerStarted { .. }
            | Event::UnwindStarted { .. }
            | Event::UnwindEnded { .. }
            | Event::NodeStuck { .. }
            | Event::Drifted { .. }
            | Event::InstanceChanged { .. }
            | Event::ControllerStoodStill { .. }
            | Event::FrontSeen { .. }
            | Event::Requested { .. }
            | Event::HoldStarted { .. }
            | Event::RolloutEnded { .. } => describe::event(plan, event),
        }
    }
}

fn failed(seen: &FrontSeen) -> bool {
    seen.ways.iter().any(|way| way.failed > 0)
}

fn ended(view: &RolloutView, which: (StepNo, Attempt), class: Class, report: &Report) -> String {
    let (step, attempt) = which;
    let attempts = view.step(step).map_or(&[][..], |step| &step.attempts);
    let took = attempts.iter().rev().find(|a| a.attempt == attempt);
    let took = took.and_then(|attempt| attempt.took());
    let took = took.map_or_else(String::new, |took| format!(" after {}", span(took)));
    if class == Class::Succeeded {
        return format!("passed ({}){took}", describe::exit_word(&report.end));
    }
    format!("{} ({}){took}", describe::class(class), describe::end(&report.end))
}

/// Subject, phase and step of an event; dashes where it has none.
fn head<'a>(view: &'a RolloutView, event: &'a Event) -> (&'a str, &'a str, &'a str) {
    let of_step = |no: StepNo| match view.planned(no) {
        None => ("-", "-", "?"),
        Some(planned) => step_head(view, planned),
    };
    match event {
        Event::StepStarted { step, .. }
        | Event::StepEnded { step, .. }
        | Event::StepUnknown { step, .. }
        | Event::StepScheduled { step, .. }
        | Event::FailureDecided { step, .. } => of_step(*step),
        Event::NodeStuck { node, step, .. } => {
            let (_, phase, _) = of_step(*step);
            (node.as_ref().map_or("fleet", NodeName::as_str), phase, "")
        }
        Event::Drifted { node, .. } => (node.as_str(), "-", ""),
        Event::InstanceChanged { instance, .. } => (instance.as_str(), "-", ""),
        Event::FrontSeen { .. } => ("front", "-", ""),
        Event::RolloutStarted { .. }
        | Event::ControllerStarted { .. }
        | Event::ControllerStoodStill { .. }
        | Event::UnwindStarted { .. }
        | Event::UnwindEnded { .. }
        | Event::Requested { .. }
        | Event::HoldStarted { .. }
        | Event::RolloutEnded { .. } => ("-", "-", ""),
    }
}

fn step_head<'a>(view: &'a RolloutView, planned: &'a PlannedStep) -> (&'a str, &'a str, &'a str) {
    let subject = describe::subject(&planned.subject);
    (subject, view.shown_phase(planned).as_str(), planned.key.as_str())
}

fn tone(event: &Event) -> Tone {
    match event {
        Event::StepEnded { class, .. } => match class {
            Class::Succeeded => Tone::Good,
            Class::Warned => Tone::Warn,
            Class::Again | Class::NotRun => Tone::Normal,
            Class::Failed | Class::TimedOut | Class::Unknown => Tone::Bad,
        },
        Event::RolloutEnded { verdict } => match verdict {
            Verdict::Succeeded => Tone::Good,
            Verdict::Held | Verdict::Aborted | Verdict::RolledBack => Tone::Warn,
            Verdict::Failed { .. } | Verdict::Stuck { .. } => Tone::Bad,
        },
        Event::NodeStuck { .. } | Event::FrontSeen { .. } => Tone::Bad,
        Event::StepUnknown { .. }
        | Event::FailureDecided { .. }
        | Event::UnwindStarted { .. }
        | Event::Drifted { .. }
        | Event::InstanceChanged { .. }
        | Event::ControllerStoodStill { .. }
        | Event::HoldStarted { .. } => Tone::Warn,
        Event::RolloutStarted { .. }
        | Event::ControllerStarted { .. }
        | Event::StepStarted { .. }
        | Event::StepScheduled { .. }
        | Event::UnwindEnded { .. }
        | Event::Requested { .. } => Tone::Normal,
    }
}

/// The indented lines under an event: the end of a failure's output and where the rest is, or what
/// to do next.
fn more(view: &RolloutView, event: &Event) -> Vec<String> {
    match event {
        Event::StepEnded { step, class, report, .. } => match class {
            Class::Failed | Class::TimedOut | Class::Unknown => output(view, *step, report),
            Class::Succeeded | Class::Warned | Class::Again | Class::NotRun => Vec::new(),
        },
        // What is stuck ends the rollout, and its end names all there is to do.
        Event::HoldStarted { .. } | Event::RolloutEnded { .. } => {
            let next = next_commands(view).into_iter();
            next.map(|line| format!("    next: {}", printable(&line))).collect()
        }
        Event::RolloutStarted { .. }
        | Event::ControllerStarted { .. }
        | Event::StepStarted { .. }
        | Event::StepUnknown { .. }
        | Event::StepScheduled { .. }
        | Event::FailureDecided { .. }
        | Event::UnwindStarted { .. }
        | Event::UnwindEnded { .. }
        | Event::NodeStuck { .. }
        | Event::Drifted { .. }
        | Event::InstanceChanged { .. }
        | Event::ControllerStoodStill { .. }
        | Event::FrontSeen { .. }
        | Event::Requested { .. } => Vec::new(),
    }
}

/// The end of what a failed attempt said, and where the rest of it is.
fn output(view: &RolloutView, step: StepNo, report: &Report) -> Vec<String> {
    let tail = report.tail.iter();
    let mut lines: Vec<String> = tail.map(|line| format!("    | {}", printable(line))).collect();
    if let Some(node) = view.planned(step).and_then(|planned| planned.subject.node()) {
        let command = view.command("log", &format!("--node {node}"));
        lines.push(format!("    {command}  # the whole output"));
    }
    lines
}

/// Output of a node must not move the cursor or colour the screen of the one who reads it.
pub(crate) fn printable(text: &str) -> String {
    let clean = text.chars().map(|c| match c {
        '\t' => ' ',
        c if c.is_control() => '?',
        c => c,
    });
    clean.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Story, name};
    use zdu_model::event::HoldCause;

    fn all(story: &Story) -> Vec<String> {
        let mut view = RolloutView::new(std::sync::Arc::clone(&story.plan));
        let lines = Lines { offset: Offset::UTC, palette: Palette::Plain };
        let mut text = Vec::new();
        for record in &story.records {
            view.apply(record);
            text.extend(lines.of(&view, record));
        }
        text
    }

    #[test]
    fn a_failure_shows_the_end_of_its_output_and_a_hold_what_to_do() {
        let mut story = Story::begin(&["node-a"]);
        let export = story.no("sysupgrade_export", "node-a");
        let upgrade = story.no("sysupgrade_upgrade", "node-a");
        story.pass(export);
        story.fail(upgrade, 100);
        story.tell(Event::HoldStarted { cause: HoldCause::Rule(upgrade) });
        let why = "a failure rule holds because of sysupgrade_upgrade on node-a";
        let expected = [
            "2026-01-31T09:00:00Z -          -          rollout r1 of axway-apigateway 7.5.3 -> \
             7.7 on fleet prod started by ada, plan abababababab"
                .to_owned(),
            "2026-01-31T09:00:01Z -          -          controller ada@ops:100 drives with epoch 1"
                .into(),
            "2026-01-31T09:00:02Z node-a     EXPORT     sysupgrade_export begun".into(),
            "2026-01-31T09:00:03Z node-a     EXPORT     sysupgrade_export passed (0) after 1s"
                .into(),
            "2026-01-31T09:00:04Z node-a     UPGRADE    sysupgrade_upgrade begun".into(),
            "2026-01-31T09:00:05Z node-a     UPGRADE    sysupgrade_upgrade failed (exit code 100) \
             after 1s"
                .into(),
            "    | ERROR: a localhost Cassandra server has been specified.".into(),
            "    zdu log r1 --node node-a  # the whole output".into(),
            format!("2026-01-31T09:00:06Z -          -          held: {why}"),
            format!("    next: zdu resume r1  # {why}"),
        ];
        assert_eq!(all(&story), expected);
    }

    #[test]
    fn what_is_stuck_is_told_with_what_to_do_at_the_end_and_only_there() {
        let mut story = Story::begin(&["node-a"]);
        let step = story.no("start_old", "node-a");
        let (node, reason) = (Some(name("node-a")), "exit code 9".to_owned());
        story.tell(Event::NodeStuck { node, step, reason });
        let next = |story: &Story| {
            let lines = all(story).into_iter();
            lines.filter(|line| line.contains("next: zdu resume ")).count()
        };
        assert_eq!(next(&story), 0);
        story.tell(Event::RolloutEnded { verdict: Verdict::Stuck { nodes: vec![name("node-a")] } });
        assert_eq!(next(&story), 1);
    }

    #[test]
    fn colour_only_repeats_what_the_words_say() {
        let mut story = Story::begin(&["node-a"]);
        let step = story.no("sysupgrade_export", "node-a");
        story.fail(step, 3);
        let lines = Lines { offset: Offset::UTC, palette: Palette::Ansi };
        let record = story.records.last().expect("told");
        let coloured = lines.of(&story.view(), record).remove(0);
        assert!(coloured.contains("\u{1b}[1;31mfailed (exit code 3)"), "{coloured}");
        let bare = coloured.replace("\u{1b}[1;31m", "").replace("\u{1b}[0m", "");
        assert!(all(&story).contains(&bare), "{bare}");
    }

    #[test]
    fn output_of_a_node_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\r"), "a?[2Jb c?");
    }
}
