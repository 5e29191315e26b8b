//! The summary table, as the Axway source document shows it ("Log files").
//!
//! In the document all columns are as wide as the widest cell plus two; its stars are padded
//! irregularly, which is typesetting, and ours are padded like every other cell.

use crate::fold::RolloutView;
use std::fmt::Write;
use zdu_model::plan::Subject;
use zdu_model::verdict::{Verdict, exit};

/// The title line of the document.
pub const TITLE: &str = "MULTI-NODE ZERO DOWN-TIME UPGRADE SUMMARY";
/// The row of steps that are about no node. Parentheses keep it apart from every node's name.
pub const FLEET_ROW: &str = "(fleet)";
/// The narrowest cell: `PASSED (0)`, so that the table of a running rollout does not jump about.
const CELL_WIDTH_MIN: usize = "PASSED (0)".len();
const INDENT: &str = "    ";

/// The return status: that of the source document, or the phase's name for other procedures.
#[must_use]
pub fn status_name(verdict: Option<&Verdict>) -> String {
    match verdict {
        None => "RUNNING".into(),
        Some(Verdict::Succeeded) => "SUCCESS".into(),
        Some(Verdict::Failed { exit: exit::FATAL_ERROR, .. }) => "FATAL_ERROR".into(),
        Some(Verdict::Failed { phase, .. }) => format!("{}_FAILED", upper_snake(phase.as_str())),
        Some(Verdict::RolledBack) => "ROLLED_BACK".into(),
        Some(Verdict::Stuck { .. }) => "ROLLBACK_FAILED".into(),
        Some(Verdict::Aborted) => "ABORTED".into(),
        Some(Verdict::Held) => "HELD".into(),
    }
}

/// A name in capitals with underscores: `pre-apply` becomes `PRE_APPLY`.
#[must_use]
pub fn upper_snake(name: &str) -> String {
    let letters = name.chars().map(|c| match c {
        '-' | '.' => '_',
        other => other.to_ascii_uppercase(),
    });
    letters.collect()
}

/// The summary table with its status line, ending with a newline.
#[must_use]
pub fn summary_table(view: &RolloutView) -> String {
    let rows = rows(view);
    let phases = rows.iter().flat_map(|row| row.iter().skip(1));
    let cell = phases.map(String::len).max().unwrap_or(0).max(CELL_WIDTH_MIN);
    let names = rows.iter().filter_map(|row| row.first());
    let name = names.map(String::len).max().unwrap_or(0).max(cell);
    let columns = rows.first().map_or(1, Vec::len);
    let mut widths = vec![cell; columns];
    widths[0] = name;
    // The title spans all columns; with very few of them the last one makes room for it.
    let inner = |widths: &[usize]| widths.iter().map(|w| w + 3).sum::<usize>() - 3;
    let short = TITLE.len().saturating_sub(inner(&widths));
    widths[columns - 1] += short;

    let mut rule = String::from(INDENT);
    for width in &widths {
        rule.push('+');
        rule.push_str(&"-".repeat(width + 2));
    }
    rule.push_str("+\n");

    let mut text = format!("Summary table (Status.{}):\n", status_name(view.verdict()));
    text.push_str(&rule);
    let _ = writeln!(text, "{INDENT}| {TITLE:<width$} |", width = inner(&widths));
    text.push_str(&rule);
    for row in &rows {
        text.push_str(INDENT);
        for (content, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {content:<width$} ");
        }
        text.push_str("|\n");
        text.push_str(&rule);
    }
    text
}

/// The heading and one row per subject.
fn rows(view: &RolloutView) -> Vec<Vec<String>> {
    let phases = view.phases();
    let mut heading = vec!["NODE".to_owned()];
    heading.extend(phases.iter().map(ToString::to_string));
    let mut rows = vec![heading];
    let row = |name: &str, subject: &Subject| {
        let mut row = vec![name.to_owned()];
        row.extend(phases.iter().map(|phase| view.cell(subject, phase).text()));
        row
    };
    if has_fleet_row(view) {
        rows.push(row(FLEET_ROW, &Subject::Fleet));
    }
    for node in view.nodes() {
        rows.push(row(node.name.as_str(), &Subject::Node(node.name.clone())));
    }
    rows
}

/// Gates alone (soak, front probes) do not earn a row of their own until one of them fails.
fn has_fleet_row(view: &RolloutView) -> bool {
    let stages = view.plan().stages.iter();
    let mut lanes = stages.flat_map(|stage| &stage.waves).flat_map(|wave| &wave.lanes);
    lanes.any(|lane| lane.subject == Subject::Fleet) || view.failed(&Subject::Fleet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Story, name};
    use zdu_model::event::Event;
    use zdu_model::ids::PhaseName;

    #[test]
    fn a_success_is_the_table_of_the_source_document() {
        let mut story = Story::begin(&["Node-A", "Node-B", "Node-C"]);
        story.pass_until(None);
        story.tell(Event::RolloutEnded { verdict: Verdict::Succeeded });
        let expected = "\
Summary table (Status.SUCCESS):
    +------------+------------+------------+------------+------------+------------+------------+
    | MULTI-NODE ZERO DOWN-TIME UPGRADE SUMMARY                                                |
    +------------+------------+------------+------------+------------+------------+------------+
    | NODE       | EXPORT     | UPGRADE    | PRE-APPLY  | APPLY      | POST-APPLY | ROLLBACK   |
    +------------+------------+------------+------------+------------+------------+------------+
    | Node-A     | PASSED (0) | PASSED (0) | PASSED (0) | PASSED (0) | PASSED (0) | *          |
    +------------+------------+------------+------------+------------+------------+------------+
    | Node-B     | PASSED (0) | PASSED (0) | PASSED (0) | PASSED (0) | PASSED (0) | *          |
    +------------+------------+------------+------------+------------+------------+------------+
    | Node-C     | PASSED (0) | PASSED (0) | PASSED (0) | PASSED (0) | PASSED (0) | *          |
    +------------+------------+------------+------------+------------+------------+------------+
";
        assert_eq!(summary_table(&story.view()), expected);
    }

    #[rustfmt::skip]
    const FAILED: &str = "\
Summary table (Status.UPGRADE_FAILED):
    +--------------+--------------+--------------+--------------+--------------+--------------+--------------+
    | MULTI-NODE ZERO DOWN-TIME UPGRADE SUMMARY                                                              |
    +--------------+--------------+--------------+--------------+--------------+--------------+--------------+
    | NODE         | EXPORT       | UPGRADE      | PRE-APPLY    | APPLY        | POST-APPLY   | ROLLBACK     |
    +--------------+--------------+--------------+--------------+--------------+--------------+--------------+
    | Node-A       | PASSED (0)   | PASSED (0)   | *            | *            | *            | *            |
    +--------------+--------------+--------------+--------------+--------------+--------------+--------------+
    | Node-B       | PASSED (0)   | PASSED (0)   | *            | *            | *            | *            |
    +--------------+--------------+--------------+--------------+--------------+--------------+--------------+
    | Node-C       | PASSED (0)   | FAILED (100) | *            | *            | *            | *            |
    +--------------+--------------+--------------+--------------+--------------+--------------+--------------+
";

    #[test]
    fn a_failed_upgrade_is_the_table_of_the_source_document() {
        let mut story = Story::begin(&["Node-A", "Node-B", "Node-C"]);
        let bad = story.no("sysupgrade_upgrade", "Node-C");
        story.pass_until(Some(bad));
        story.fail(bad, 100);
        story.tell(Event::RolloutEnded { verdict: failed("UPGRADE", 71) });
        assert_eq!(summary_table(&story.view()), FAILED);
    }

    fn failed(text: &str, exit: u8) -> Verdict {
        Verdict::Failed { phase: name(text), exit, rolled_back: vec![] }
    }

    #[test]
    fn every_status_of_the_source_document_has_its_name() {
        let names = [
            (70, "EXPORT", "EXPORT_FAILED"),
            (71, "UPGRADE", "UPGRADE_FAILED"),
            (72, "PRE-APPLY", "PRE_APPLY_FAILED"),
            (73, "APPLY", "APPLY_FAILED"),
            (74, "POST-APPLY", "POST_APPLY_FAILED"),
            (75, "ROLLBACK", "ROLLBACK_FAILED"),
            (80, "EXPORT", "FATAL_ERROR"),
            (40, "db-sync", "DB_SYNC_FAILED"),
        ];
        for (exit, phase, status) in names {
            assert_eq!(status_name(Some(&failed(phase, exit))), status);
        }
    }

    #[test]
    fn a_table_with_long_names_and_few_phases_keeps_its_edges_straight() {
        let long = "n".repeat(40);
        let mut plan = (*crate::sample::plan(&[&long, "b"])).clone();
        plan.phases.truncate(1);
        plan.rollback_phase = PhaseName::new("EXPORT").expect("valid");
        let text = summary_table(&RolloutView::new(plan.into()));
        let lengths: Vec<usize> = text.lines().skip(1).map(str::len).collect();
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{text}");
    }
}
