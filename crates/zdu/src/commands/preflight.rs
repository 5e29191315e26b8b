//! `zdu preflight`: connects everywhere, changes nothing.

use crate::cli::PreflightArgs;
use crate::context::Context;
use crate::epochs;
use crate::failure::Failure;
use crate::prepare::{self, Finding, Prepared};
use crate::printer::Printer;
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
        findings.iter().for_each(|finding| context.printer.line(&line(finding)));
        // What failed has its hints with the failure.
        hints(findings.iter().filter(|finding| finding.warning.is_some()), &context.printer);
    }
    judge(&findings)?;
    let planned = planned?;
    for warning in &planned.report.warnings {
        context.printer.warn(&warning.to_string());
    }
    Ok(exit::SUCCESS)
}

/// A finding for people.
fn line(finding: &Finding) -> String {
    let (mark, why) = match (&finding.problem, &finding.warning) {
        (Some(why), _) => ("FAILED", format!(": {why}")),
        (None, Some(why)) => ("warn", format!(": {why}")),
        (None, None) => ("ok", String::new()),
    };
    format!("{mark:6} {}: {}{why}", finding.subject, finding.what)
}

/// The hints of findings, each once.
fn hints<'f>(findings: impl Iterator<Item = &'f Finding>, printer: &Printer) {
    let mut told: Vec<&str> = Vec::new();
    for hint in findings.filter_map(|finding| finding.hint.as_deref()) {
        if !told.contains(&hint) {
            printer.note(&format!("hint: {hint}"));
            told.push(hint);
        }
    }
}

/// Connects everywhere, changes nothing, and fails when anything is not as it must be. What only
/// costs requests is counted, as `zdu preflight` names it.
///
/// # Errors
/// What was found, or why nothing could be asked.
pub(crate) fn see(prepared: &mut Prepared, printer: &Printer) -> Result<(), Failure> {
    let findings = look(prepared)?;
    warn_of_losses(&findings, printer);
    judge(&findings)
}

/// One line where a balancer's configuration loses requests.
pub(crate) fn warn_of_losses(findings: &[Finding], printer: &Printer) {
    let count = findings.iter().filter(|finding| finding.costs_requests()).count();
    if count > 0 {
        let things = if count == 1 { "thing" } else { "things" };
        printer.warn(&format!(
            "{count} {things} in the configuration of HAProxy can lose requests or leave a drain \
             or a return unproved: `zdu preflight` names them"
        ));
    }
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
        let Finding { subject, what, problem, hint, .. } = problem;
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
