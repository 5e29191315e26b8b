//! What happened, as a digest or as lines. The same seed gives the same, byte for byte.

use crate::layout::Layout;
use crate::run::BEGIN;
use crate::script::happening;
use crate::seen::Seen;
use crate::story::Story;
use std::fmt::Write as _;
use zdu_model::time::Timestamp;

/// What is kept of a run.
pub(crate) struct Trace {
    lines: Option<Vec<String>>,
    story: Option<Story>,
    digest: u64,
    text: String,
}

impl Trace {
    /// Only a digest.
    pub(crate) fn digest() -> Self {
        Self { lines: None, story: None, digest: 0xcbf2_9ce4_8422_2325, text: String::new() }
    }

    /// Every line.
    pub(crate) fn lines() -> Self {
        Self { lines: Some(Vec::new()), ..Self::digest() }
    }

    /// What a person would tell.
    pub(crate) fn story() -> Self {
        Self { story: Some(Story::default()), ..Self::digest() }
    }

    pub(crate) fn take(&mut self, layout: &Layout, now: Timestamp, seen: &Seen<'_>) {
        if matches!(seen, Seen::Rests { .. } | Seen::Traffic) {
            return;
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // Writing to a string cannot fail.
        let _written = write!(text, "{:>9} ", now.since(BEGIN).0);
        line(&mut text, layout, seen);
        for byte in text.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(story) = &mut self.story {
            story.take(layout, now.since(BEGIN), seen);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(text.clone());
        }
        self.text = text;
    }

    pub(crate) fn sum(&self) -> u64 {
        self.digest
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        let told = self.story.map(Story::into_lines);
        self.lines.or(told).unwrap_or_default()
    }
}

fn line(text: &mut String, layout: &Layout, seen: &Seen<'_>) {
    let step = |no| zdu_view::describe::step(&layout.plan, no);
    let slot = |at: usize| {
        let place = &layout.slots[at];
        format!("{} on {}", place.member, layout.instances[place.instance])
    };
    let _written = match seen {
        Seen::Started { process, epoch } => {
            write!(text, "controller {process} drives, epoch {}", epoch.0)
        }
        Seen::Gone { process, why } => write!(text, "controller {process} is gone: {why}"),
        Seen::Durable(records) => {
            for (at, record) in records.iter().enumerate() {
                let comma = if at > 0 { "; " } else { "" };
                let event = zdu_view::describe::event(&layout.plan, &record.event);
                let _written = write!(text, "{comma}#{} {event}", record.seq.0);
            }
            Ok(())
        }
        Seen::Released { process, effect } => {
            write!(text, "  controller {process}: {effect:?}")
        }
        Seen::Read { node, .. } => write!(text, "  read for {}", layout.name(*node)),
        Seen::Began { step: no, attempt, epoch } => {
            write!(text, "  begins {} attempt {attempt} epoch {}", step(*no), epoch.0)
        }
        Seen::Ended { step: no, attempt } => {
            write!(text, "  ends {} attempt {attempt}", step(*no))
        }
        Seen::Landed { slot: at, hand, epoch } => {
            write!(text, "  {hand:?} {} epoch {}", slot(*at), epoch.0)
        }
        Seen::Trouble(what) => write!(text, "! {}", happening(&layout.plan, what)),
        Seen::Asked { admitted, reason } => {
            write!(text, "may it begin, for {reason:?}: {admitted}")
        }
        Seen::Rests { .. } | Seen::Traffic => Ok(()),
        Seen::Verdict(verdict) => {
            write!(text, "= {}", zdu_view::describe::verdict(verdict))
        }
        Seen::Over => write!(text, "over"),
    };
}
