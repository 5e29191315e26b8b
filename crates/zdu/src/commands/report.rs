//! `zdu report`: the report of a rollout.

use crate::cli::{ReportArgs, ReportFormat};
use crate::context::Context;
use crate::failure::Failure;
use crate::rollouts;
use zdu_model::verdict::exit;
use zdu_view::markdown::markdown;
use zdu_view::report::report;

/// Prints the report, or writes it to a file.
pub(crate) fn run(args: &ReportArgs, context: &Context) -> Result<u8, Failure> {
    let ReportArgs { rollout, format, output } = args;
    let id = rollouts::find(context, rollout)?;
    let kept = rollouts::read(context, &id)?;
    let report = report(&kept.view, context.now(), kept.head.as_ref());
    let asked = if context.printer.wants_json() { ReportFormat::Json } else { ReportFormat::Md };
    let text = match format.unwrap_or(asked) {
        ReportFormat::Md => markdown(&report),
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&report);
            json.map_err(|error| Failure::fatal("write the report as JSON", &error))? + "\n"
        }
    };
    match output {
        None => context.printer.data(&text),
        Some(path) => {
            std::fs::write(path, text).map_err(|error| {
                Failure::fatal(format!("write {}", path.display()), &error)
                    .hint("choose a file this user may write: `--output FILE`")
            })?;
            context.printer.note(&format!("report written to {}", path.display()));
        }
    }
    Ok(exit::SUCCESS)
}
