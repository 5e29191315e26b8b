//! What a person sees while a rollout runs: a line per event, or a small live view on a terminal.

use crate::context::{Context, offset};
use crate::printer::Printer;
use crate::rollout::logs::Logs;
use std::sync::Arc;
use zdu_drivers::Progress;
use zdu_model::event::{Event, Record};
use zdu_model::plan::Plan;
use zdu_model::time::Timestamp;
use zdu_runtime::Watch;
use zdu_view::fold::RolloutView;
use zdu_view::lines::Lines;
use zdu_view::live::{Room, live};
use zdu_view::log;

/// Folds records into a view, shows it, and keeps the rollout's log.
pub(super) struct Screen {
    view: RolloutView,
    lines: Lines,
    logs: Arc<Logs>,
    printer: Printer,
    /// The size of the terminal, when the live view is drawn.
    room: Option<Room>,
    /// How many lines of the live view stand on the screen.
    drawn: usize,
}

/// The most lines the live view takes: the rest of the screen stays the operator's.
const LIVE_LINES_MAX: usize = 12;

impl Screen {
    /// A screen for one rollout.
    #[must_use]
    pub(super) fn new(context: &Context, plan: Arc<Plan>, logs: Arc<Logs>) -> Self {
        let (printer, offset) = (context.printer, offset());
        let lines = Lines { offset, palette: printer.err_palette() };
        let room = printer.live_width().map(|width| Room { width, lines: LIVE_LINES_MAX });
        let view = RolloutView::new(plan).called(context.call().clone());
        Self { view, lines, logs, printer, room, drawn: 0 }
    }

    /// Folds what was journaled before this controller.
    pub(super) fn replay(&mut self, history: &[Record]) {
        for record in history {
            self.view.apply(record);
        }
    }

    /// The view.
    #[must_use]
    pub(super) fn view(&self) -> &RolloutView {
        &self.view
    }

    /// Removes the live view, so that what follows stands below the lines.
    pub(super) fn finish(&mut self) {
        self.erase();
        self.room = None;
    }

    fn erase(&mut self) {
        if self.drawn > 0 {
            self.printer.draw(&format!("\x1b[{}A\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }

    fn draw(&mut self, now: Timestamp) {
        if let Some(room) = self.room {
            let lines = live(&self.view, now, room);
            self.erase();
            self.drawn = lines.len();
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            self.printer.draw(&text);
        }
    }
}

impl Watch for Screen {
    fn records(&mut self, records: &[Record]) {
        self.erase();
        for record in records {
            self.view.apply(record);
            self.logs.rollout(&log::rollout_log(&self.view, record, self.lines.offset));
            let lines = self.lines.of(&self.view, record);
            // What to do next stands below the table, which follows at once.
            let ends = matches!(record.event, Event::RolloutEnded { .. });
            let shown = if ends { 1 } else { lines.len() };
            lines.iter().take(shown).for_each(|line| self.printer.note(line));
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let Progress { step, on } = progress;
        let key = &self.view.plan().step(*step).key;
        self.logs.rollout(&format!("    {key} waits: {on}\n"));
    }

    fn say(&mut self, text: &str) {
        self.erase();
        self.logs.rollout(&format!("    {text}\n"));
        self.printer.say(text);
    }

    fn tick(&mut self, now: Timestamp) {
        self.draw(now);
    }
}
