//! `zdu preflight`: connects everywhere, changes nothing.

use crate::cli::PreflightArgs;
use crate::context::Context;
use crate::epochs;
use crate::failure::Failure;
use crate::prepare::{self, Finding, Prepared};
use crate::rollout::{block_on, socket_directory};
use zdu_model::verdict::exit;

/// Answers the command.
///
/// # Errors
/// When something was found that would make a rollout fail, or nothing could be asked.
pub(crate) fn run(args: &PreflightArgs, context: &Context) -> Result<u8, Failure> {
    let config = args.config.config.display().to_string();
    let mut prepared = prepare::load(&config)?;
    let mut findings = look(&mut prepared)?;
    findings.extend(epochs::findings(context, &prepared.input.fleet, &prepared.access()?)?);
    let planned = prepared.plan();
    if context.printer.wants_json() {
        context.printer.json(&findings);
    } else {
        for finding in &findings {
            let mark = if finding.problem.is_some() { "FAILED" } else { "ok" };
            let why = finding.problem.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            context.printer.line(&format!("{mark:6} {}: {}{why}", finding.subject, finding.what));
        }
    }
    judge(&findings)?;
    let planned = planned?;
    for warning in &planned.report.warnings {
        context.printer.warn(&warning.to_string());
    }
    Ok(exit::SUCCESS)
}

/// Connects everywhere, changes nothing, and fails when anything is not as it must be.
///
/// # Errors
/// What was found, or why nothing could be asked.
pub(crate) fn see(prepared: &mut Prepared) -> Result<(), Failure> {
    judge(&look(prepared)?)
}

fn look(prepared: &mut Prepared) -> Result<Vec<Finding>, Failure> {
    let access = prepared.access()?;
    let sockets = socket_directory()?;
    block_on(prepare::observe(prepared, &access, sockets.as_ref()))
}

/// A failure when anything was found that is not as it must be.
///
/// # Errors
/// What was found.
pub(crate) fn judge(findings: &[Finding]) -> Result<(), Failure> {
    let problems: Vec<_> = findings.iter().filter(|f| f.problem.is_some()).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let plural = if problems.len() == 1 { "" } else { "s" };
    let what = format!("begin: preflight found {} problem{plural}", problems.len());
    let mut failure = Failure::new(exit::UNAVAILABLE, what);
    for problem in problems {
        let Finding { subject, what, problem, hint } = problem;
        let why = problem.as_deref().unwrap_or_default();
        failure.causes.push(format!("{subject}: not so: {what}: {why}"));
        if let Some(hint) = hint
            && !failure.hints.contains(hint)
        {
            failure.hints.push(hint.clone());
        }
    }
    Err(failure)
}
