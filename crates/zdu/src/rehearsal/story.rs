//! The story of one failure: every record as a line, attempts that end alike as one, and the end.

use super::alike::{Alike, Run, Told};
use super::text::{end_name, fleet, with};
use super::verdict;
use jiff::tz::Offset;
use std::sync::Arc;
use zdu_model::event::Event;
use zdu_model::plan::Plan;
use zdu_sim::rehearse::{Play, Story};
use zdu_view::fold::RolloutView;
use zdu_view::lines::{Lines, Palette};
use zdu_view::moment::{moment, span};

/// How a line about what to do begins.
const NEXT: &str = "    next: ";

/// Its lines.
pub(crate) fn lines(plan: &Arc<Plan>, play: &Play, told: &Story, palette: Palette) -> Vec<String> {
    let mut all = vec![format!("{}; times are simulated and begin at 1970", with(play))];
    let mut view = RolloutView::new(Arc::clone(plan));
    let lines = Lines { offset: Offset::UTC, palette };
    let alike = Alike::of(&told.records);
    for (at, record) in told.records.iter().enumerate() {
        view.apply(record);
        let said = lines.of(&view, record).into_iter();
        // Nobody acts before the end of a story: what to do next is told there, once.
        let ends = matches!(record.event, Event::RolloutEnded { .. });
        let said = said.filter(|line| ends || !line.starts_with(NEXT));
        let mut said = said.map(|line| line.replace(" simulated", " ID"));
        match alike.told(at) {
            Told::Itself => all.extend(said),
            Told::Run(run) => all.extend(said.next().map(|first| many(&first, run))),
            Told::Nothing => {}
        }
    }
    let ending = &told.ending;
    let status = zdu_view::table::status_name(ending.verdict.as_ref());
    let name = end_name(&status, ending.mark());
    all.push(format!("end: exit code {} {name}, after {}", ending.exit, span(ending.took)));
    all.push(format!("fleet: {}", fleet(&ending.rest)));
    if let Some(why) = &ending.waits_for {
        all.push(format!("a person is needed: {why}"));
    }
    if ending.cut > 0 {
        all.push(format!("lost: {} sessions were cut or left behind", ending.cut));
    }
    let broken = ending.defects.iter();
    all.extend(broken.map(|it| format!("DEFECT of zdu, please report: {}: {}", it.law, it.what)));
    all.push(format!("verdict: {}", verdict::of_one(ending)));
    all
}

/// The beginning of the first of many attempts, with what is to be known of the others.
fn many(first: &str, Run { count, last }: Run) -> String {
    let last = moment(last, Offset::UTC);
    format!("{first}; {count} attempts end like the one before, the last begun at {last}")
}
