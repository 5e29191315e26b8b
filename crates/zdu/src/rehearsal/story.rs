//! The story of one failure: every record as a line, and the end.

use super::text::{end_name, fleet, with};
use jiff::tz::Offset;
use std::sync::Arc;
use zdu_model::plan::Plan;
use zdu_sim::rehearse::{Play, Story};
use zdu_view::fold::RolloutView;
use zdu_view::lines::{Lines, Palette};
use zdu_view::moment::span;

/// Its lines.
pub(crate) fn lines(plan: &Arc<Plan>, play: &Play, told: &Story, palette: Palette) -> Vec<String> {
    let mut all = vec![format!("{}; times are simulated and begin at 1970", with(play))];
    let mut view = RolloutView::new(Arc::clone(plan));
    let lines = Lines { offset: Offset::UTC, palette };
    for record in &told.records {
        view.apply(record);
        let said = lines.of(&view, record).into_iter();
        all.extend(said.map(|line| line.replace(" simulated", " ID")));
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
    all
}
