//! `zdu plan`: what would be done, in which order, with the exact commands.

use crate::cli::PlanArgs;
use crate::commands::preflight;
use crate::context::Context;
use crate::failure::Failure;
use crate::prepare;
use crate::refused;
use zdu_conductor::plan_file::{plan_digest, read_plan, write_plan};
use zdu_model::verdict::exit;
use zdu_plan::{Assumed, Input, Warning, diff, render_text};

/// Answers the command.
///
/// # Errors
/// When no plan can be made.
pub(crate) fn run(args: &PlanArgs, context: &Context) -> Result<u8, Failure> {
    let PlanArgs { config, out, offline, diff: old } = args;
    let mut prepared = prepare::load(&config.config.display().to_string())?;
    let Input { fleet, release, .. } = &prepared.input;
    if let Some(warning) = refused::warning(context, &fleet.name, release)? {
        context.printer.warn(&warning);
    }
    let mut assumed = Vec::new();
    if *offline {
        assumed = prepared.input.assume_only_candidates();
    } else {
        preflight::see(&mut prepared, &context.printer)?;
    }
    let mut planned = prepared.plan()?;
    let of = |Assumed { role, nodes }| Warning::RoleAssumed { role, nodes };
    let assumed: Vec<Warning> = assumed.into_iter().map(of).collect();
    let digest = match out {
        Some(path) => write_plan(path, &planned.plan)?,
        None => plan_digest(&planned.plan),
    };
    if let Some(old) = old {
        assumed.iter().for_each(|warning| context.printer.warn(&warning.to_string()));
        let (old, _digest) = read_plan(old)?;
        let changes = diff(&old, &planned.plan);
        if context.printer.wants_json() {
            context.printer.json(&changes);
        } else {
            changes.iter().for_each(|change| context.printer.line(change));
        }
        return Ok(exit::SUCCESS);
    }
    planned.report.warnings.extend(assumed);
    if context.printer.wants_json() {
        context.printer.json(&serde_json::json!({
            "digest": digest, "report": planned.report, "plan": planned.plan,
        }));
    } else {
        context.printer.line(&render_text(&planned.report));
        context.printer.line(&format!("digest {digest}"));
    }
    if let Some(path) = out {
        let text = format!("written to {}; `zdu run --plan` runs exactly this", path.display());
        context.printer.note(&text);
    }
    Ok(exit::SUCCESS)
}
