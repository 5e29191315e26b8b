//! The matrix: what each failure at each step comes to.

use super::text::end_name;
use super::wrap::{WIDTH, wrapped};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use zdu_model::ids::NodeName;
use zdu_sim::rehearse::{Cell, Mark, Played, Row, Trouble, rows};
use zdu_view::table::status_name;

/// The narrowest a step's name is cut to.
const STEP_MIN: usize = 12;

/// The matrix of single failures with its legend.
pub(crate) fn matrix(failures: &[Played]) -> String {
    let rows = rows(failures);
    let troubles: BTreeSet<Trouble> =
        rows.iter().flat_map(|row| row.cells.keys().copied()).collect();
    let columns: Vec<(Trouble, usize)> = troubles
        .iter()
        .map(|trouble| {
            let cells = rows.iter().filter_map(|row| row.cells.get(trouble));
            let widest = cells.map(|cell| text(*cell).len()).max().unwrap_or(0);
            (*trouble, widest.max(trouble.word().len()))
        })
        .collect();
    let cells_wide: usize = columns.iter().map(|(_, wide)| wide + 1).sum();
    let steps_wide = rows.iter().map(|row| row.key.as_str().len()).max().unwrap_or(0);
    let nodes_room = WIDTH.saturating_sub(2 + steps_wide + 1 + cells_wide);
    let nodes: Vec<String> = rows.iter().map(|row| of_nodes(row, nodes_room)).collect();
    let nodes_wide = nodes.iter().map(String::len).max().unwrap_or(0).max("NODES".len());
    let room = WIDTH.saturating_sub(2 + 1 + nodes_wide + cells_wide).max(STEP_MIN);
    let step_wide = steps_wide.min(room);

    let mut said = format!("  {:<step_wide$} {:<nodes_wide$}", "STEP", "NODES");
    for (trouble, wide) in &columns {
        let _ = write!(said, " {:<wide$}", trouble.word());
    }
    trim(&mut said);
    for (row, nodes) in rows.iter().zip(&nodes) {
        let step: String = row.key.as_str().chars().take(step_wide).collect();
        let _ = write!(said, "  {step:<step_wide$} {nodes:<nodes_wide$}");
        for (trouble, wide) in &columns {
            let cell = row.cells.get(trouble).map_or_else(|| ".".to_owned(), |cell| text(*cell));
            let _ = write!(said, " {cell:<wide$}");
        }
        trim(&mut said);
    }
    said.push_str(&nodes_named(&rows, &nodes));
    said.push_str(&legend(failures, &columns));
    said
}

fn trim(said: &mut String) {
    said.truncate(said.trim_end().len());
    said.push('\n');
}

/// The nodes of a row: all of them where there is room, else the first and how many more.
fn of_nodes(row: &Row, room: usize) -> String {
    let Some((first, more)) = row.nodes.split_first() else { return "fleet".into() };
    let all = names(&row.nodes);
    if more.is_empty() || all.len() <= room { all } else { format!("{first} +{}", more.len()) }
}

fn names(nodes: &[NodeName]) -> String {
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    names.join(" ")
}

/// Who the nodes are that had no room in their rows. One step has a node in one row only, so a
/// step and a first node say which row is meant.
fn nodes_named(rows: &[Row], told: &[String]) -> String {
    let mut sets: Vec<(&str, &[NodeName], Vec<&str>)> = Vec::new();
    for (row, told) in rows.iter().zip(told).filter(|(row, told)| is_short(row, told)) {
        match sets.iter_mut().find(|(_, nodes, _)| *nodes == row.nodes.as_slice()) {
            Some((_, _, steps)) => steps.push(row.key.as_str()),
            None => sets.push((told, &row.nodes, vec![row.key.as_str()])),
        }
    }
    let lines = sets.into_iter().map(|(told, nodes, steps)| {
        wrapped("  nodes: ", &format!("{told} at {}: {}", steps.join(", "), names(nodes)))
    });
    lines.collect()
}

fn is_short(row: &Row, told: &str) -> bool {
    row.nodes.len() > 1 && names(&row.nodes) != told
}

fn text(cell: Cell) -> String {
    let Cell { mark, cut, defect } = cell;
    let star = if cut { "*" } else { "" };
    let bang = if defect { "!" } else { "" };
    format!("{}{star}{bang}", word(mark))
}

/// An end in a cell.
fn word(mark: Mark) -> String {
    match mark {
        Mark::Done => "ok".into(),
        Mark::Failed(exit) => exit.to_string(),
        Mark::RolledBack => "back".into(),
        Mark::Aborted => "abort".into(),
        Mark::Held => "hold".into(),
        Mark::Stuck => "STUCK".into(),
        Mark::Endless => "NEVER".into(),
    }
}

fn legend(failures: &[Played], columns: &[(Trouble, usize)]) -> String {
    let mut marks = BTreeMap::new();
    for Played { ending, .. } in failures {
        let status = status_name(ending.verdict.as_ref());
        marks.entry(ending.mark()).or_insert_with(|| end_name(&status, ending.mark()));
    }
    let mut ends: Vec<String> =
        marks.into_iter().map(|(mark, name)| format!("{} {name}", word(mark))).collect();
    if failures.iter().any(|played| played.ending.cut > 0) {
        ends.push("* sessions were cut".into());
    }
    if failures.iter().any(|played| !played.ending.defects.is_empty()) {
        ends.push("! a law was broken".into());
    }
    ends.push(". does not apply".into());
    let mut said = wrapped("  ends: ", &ends.join("; "));
    let faults = columns.iter().map(|(trouble, _)| trouble);
    let faults: Vec<String> =
        faults.map(|trouble| format!("{} {}", trouble.word(), trouble.meaning())).collect();
    said.push_str(&wrapped("  faults: ", &faults.join("; ")));
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use zdu_model::ids::{PhaseName, StepKey};

    fn row(step: &str, nodes: &[&str]) -> Row {
        Row {
            phase: PhaseName::new("APPLY").expect("a name"),
            key: StepKey::new(step).expect("a name"),
            nodes: nodes.iter().map(|node| NodeName::new(*node).expect("a name")).collect(),
            cells: BTreeMap::new(),
        }
    }

    #[test]
    fn nodes_are_named_where_there_is_room_and_below_the_matrix_where_there_is_none() {
        let rows = [
            row("front", &[]),
            row("drain", &["web-1"]),
            row("apply", &["web-1", "web-2"]),
            row("ready", &["web-1", "web-2", "web-3"]),
            row("serving", &["web-1", "web-2", "web-3"]),
        ];
        let told: Vec<String> = rows.iter().map(|row| of_nodes(row, "web-1 web-2".len())).collect();
        assert_eq!(told, ["fleet", "web-1", "web-1 web-2", "web-1 +2", "web-1 +2"]);
        let named = "  nodes: web-1 +2 at ready, serving: web-1 web-2 web-3\n";
        assert_eq!(nodes_named(&rows, &told), named);
    }
}
