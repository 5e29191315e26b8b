//! `zdu run`: upgrades the fleet.

use crate::cli::RunArgs;
use crate::commands::preflight;
use crate::context::Context;
use crate::epochs;
use crate::excerpt;
use crate::failure::Failure;
use crate::prepare::{self, Prepared};
use crate::refused;
use crate::rollout::{self, Ways, socket_directory};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use zdu_conductor::plan_file::read_plan;
use zdu_drivers::Access;
use zdu_model::plan::Plan;
use zdu_model::verdict::exit;
use zdu_plan::{PlanReport, Planned, diff, render_text};

/// Answers the command.
///
/// # Errors
/// When nothing could be begun, or zdu could not do its own job.
pub(crate) fn run(args: &RunArgs, context: &Context) -> Result<u8, Failure> {
    let RunArgs { config, plan, yes, clear_refused, take_over, node_dir, keep_records } = args;
    context.create_state_dir()?;
    let ways = Ways {
        take_over: take_over.clone(),
        clear_refused: clear_refused.clone(),
        node_base: node_dir.as_ref().map(|path| path.display().to_string()),
        keep_records: *keep_records,
    };
    let (Made { plan, report }, access) = match (plan, config) {
        (Some(plan), config) => reviewed(context, plan, config.as_deref(), &ways)?,
        (None, config) => {
            let config = config.as_deref().unwrap_or(Path::new("zdu.yaml"));
            fresh(context, config, &ways)?
        }
    };
    epochs::admit(context, &plan.fleet, &access, &ways)?;
    if !*yes {
        confirm(context, &report)?;
    }
    Ok(rollout::start(context, plan, access, &ways)?.exit)
}

/// A plan, and what a person is shown of it. The warnings of one that was read from its file were
/// shown when it was made.
struct Made {
    plan: Plan,
    report: PlanReport,
}

/// A plan made now, after a preflight that found everything well.
fn fresh(context: &Context, config: &Path, ways: &Ways) -> Result<(Made, Arc<Access>), Failure> {
    let mut prepared = prepare::load(&config.display().to_string())?;
    let fleet = &prepared.input.fleet.name;
    rollout::refuse_second(context, fleet, ways)?;
    let reason = ways.clear_refused.as_deref();
    refused::foresee(context, fleet, &prepared.input.release, reason)?;
    excerpt::warn(&prepared.config.warnings, &context.printer);
    // What can be refused without asking anybody is refused before anybody is asked.
    match prepared.plan() {
        Err(refused) if !needs_preflight(&prepared) => return Err(refused),
        Ok(_) | Err(_) => {}
    }
    preflight::see(&mut prepared, &context.printer)?;
    let Planned { plan, report } = prepared.plan()?;
    Ok((Made { plan, report }, prepared.access()?))
}

fn needs_preflight(prepared: &Prepared) -> bool {
    prepared.input.procedure.roles.values().any(|role| role.lookup.is_some())
}

/// Exactly the plan that was reviewed, if it still fits.
fn reviewed(
    context: &Context,
    path: &Path,
    config: Option<&Path>,
    ways: &Ways,
) -> Result<(Made, Arc<Access>), Failure> {
    let (plan, _digest) = read_plan(path)?;
    let mut report = PlanReport::of(&plan);
    rollout::refuse_second(context, &plan.fleet.name, ways)?;
    let reason = ways.clear_refused.as_deref();
    refused::foresee(context, &plan.fleet.name, &plan.release, reason)?;
    prepare::judge(&plan, path)?;
    let access = match config {
        None => {
            let access = prepare::access(&plan.fleet, &plan.policy.secrets, &BTreeMap::new())?;
            let sockets = socket_directory()?;
            let findings = rollout::block_on(async {
                Ok(prepare::observe_fleet(&plan.fleet, plan.policy.soak, &access, sockets.as_ref())
                    .await)
            })?;
            preflight::warn_of_losses(&findings, &context.printer);
            preflight::judge(&findings)?;
            access
        }
        Some(config) => {
            let mut prepared = prepare::load(&config.display().to_string())?;
            preflight::see(&mut prepared, &context.printer)?;
            let anew = prepared.plan()?;
            let changes = diff(&plan, &anew.plan);
            report = anew.report;
            if !changes.is_empty() {
                let what =
                    format!("run {}: it no longer fits {}", path.display(), config.display());
                let failure = Failure { causes: changes, ..Failure::new(exit::DATA, what) };
                return Err(failure.hint("review a new plan: `zdu plan --out`"));
            }
            prepared.access()?
        }
    };
    Ok((Made { plan, report }, access))
}

fn confirm(context: &Context, report: &PlanReport) -> Result<(), Failure> {
    context.printer.say(&render_text(report));
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(exit::USAGE, "begin: nobody can be asked here")
            .hint("`--yes` begins without asking"));
    }
    context.printer.draw("begin? [y/N] ");
    let _flushed = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::fatal("read the answer", &error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(exit::ABORTED, "not begun"))
    }
}
