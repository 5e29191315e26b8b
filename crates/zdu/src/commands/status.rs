//! `zdu status`: all rollouts, or where one stands.

use crate::cli::{RolloutArg, StatusArgs};
use crate::context::{Context, offset};
use crate::failure::Failure;
use crate::rollouts::{self, Kept};
use serde::Serialize;
use zdu_model::ids::RolloutId;
use zdu_model::verdict::exit;
use zdu_view::moment::moment;
use zdu_view::status::{status, status_text};

/// One line of the list.
#[derive(Debug, Serialize)]
struct Row {
    rollout: String,
    fleet: String,
    procedure: String,
    release: String,
    status: String,
    /// Milliseconds since the Unix epoch; absent before the first record.
    since: Option<u64>,
    /// Whether a controller drives it now.
    driven: bool,
    /// Why it cannot be read.
    problem: Option<String>,
}

/// Prints the list, or one status.
pub(crate) fn run(args: &StatusArgs, context: &Context) -> Result<u8, Failure> {
    let Some(id) = &args.id else {
        return list(context);
    };
    let id = rollouts::find(context, &RolloutArg { id: Some(id.clone()) })?;
    let kept = rollouts::read(context, &id)?;
    let now = context.now();
    if context.printer.wants_json() {
        context.printer.json(&status(&kept.view, kept.lease.as_ref(), now));
    } else {
        context.printer.data(&status_text(&kept.view, kept.lease.as_ref(), now, offset()));
    }
    Ok(exit::SUCCESS)
}

fn list(context: &Context) -> Result<u8, Failure> {
    let ids = context.state.rollouts()?;
    let mut rows: Vec<Row> = ids.iter().map(|id| row(context, id)).collect();
    // The newest last: where a person looks.
    rows.sort_by(|a, b| (a.since, &a.rollout).cmp(&(b.since, &b.rollout)));
    if context.printer.wants_json() {
        context.printer.json(&rows);
        return Ok(exit::SUCCESS);
    }
    if rows.is_empty() {
        let path = context.state_path().display();
        context.printer.note(&format!("there is no rollout in {path}"));
        return Ok(exit::SUCCESS);
    }
    for line in table(&rows) {
        context.printer.line(&line);
    }
    for row in &rows {
        if let Some(problem) = &row.problem {
            context.printer.warn(&format!("{}: {problem}", row.rollout));
        }
    }
    Ok(exit::SUCCESS)
}

/// A rollout that cannot be read is a row too: the others must still be seen.
fn row(context: &Context, id: &RolloutId) -> Row {
    match rollouts::read(context, id) {
        Ok(kept) => row_of(context, &kept),
        Err(failure) => Row {
            rollout: id.to_string(),
            fleet: "-".into(),
            procedure: "-".into(),
            release: "-".into(),
            status: "UNREADABLE".into(),
            since: None,
            driven: false,
            problem: Some(failure.sentence()),
        },
    }
}

fn row_of(context: &Context, kept: &Kept) -> Row {
    let plan = kept.view.plan();
    let told = status(&kept.view, kept.lease.as_ref(), context.now());
    Row {
        rollout: kept.id.to_string(),
        fleet: plan.fleet.name.to_string(),
        procedure: plan.procedure.to_string(),
        release: format!("{} -> {}", plan.release.from, plan.release.to),
        status: told.status,
        since: kept.records.first().map(|record| record.at.0),
        driven: told.driven,
        problem: None,
    }
}

fn table(rows: &[Row]) -> Vec<String> {
    let head = ["ID", "FLEET", "PROCEDURE", "RELEASE", "STATE", "SINCE"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let Row { rollout, fleet, procedure, release, status, since, driven, problem: _ } = row;
        // What runs without a controller does not run: it must be resumed.
        let state = match (status.as_str(), driven) {
            ("RUNNING", false) => "RUNNING (driven by nobody)".to_owned(),
            (status, _) => status.to_owned(),
        };
        let since = since.map_or("-".into(), |at| moment(zdu_model::time::Timestamp(at), offset()));
        [rollout.clone(), fleet.clone(), procedure.clone(), release.clone(), state, since]
    });
    let all: Vec<[String; 6]> = std::iter::once(head).chain(cells).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}
