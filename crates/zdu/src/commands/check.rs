//! `zdu check`: is the configuration usable, as far as that can be said without connecting?

use crate::cli::{CheckArgs, ConfigArgs};
use crate::context::Context;
use crate::excerpt;
use crate::failure::{Failure, diagnostic_json};
use crate::prepare;
use serde_json::json;
use zdu_model::ids::NodeName;
use zdu_model::verdict::exit;
use zdu_plan::Assumed;

/// Loads and plans, and says what is wrong.
pub(crate) fn run(args: &CheckArgs, context: &Context) -> Result<u8, Failure> {
    let CheckArgs { config: ConfigArgs { config } } = args;
    let path = config.to_string_lossy();
    let mut prepared = prepare::load(&path)?;
    let printer = &context.printer;
    excerpt::warn(&prepared.config.warnings, printer);
    let assumed = prepared.input.assume_roles();
    let planned = prepared.plan()?;
    let report = &planned.report;
    for Assumed { role, nodes } in &assumed {
        let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
        let names = names.join(", ");
        printer.note(&format!(
            "checked as if {names} had the role {role}: `zdu preflight` looks who has it"
        ));
    }
    for warning in &report.warnings {
        printer.warn(&warning.to_string());
    }
    if printer.wants_json() {
        let found: Vec<_> = prepared.config.warnings.iter().map(diagnostic_json).collect();
        let warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        printer.json(&json!({
            "config": path, "fleet": report.fleet, "procedure": report.procedure,
            "release": report.release, "nodes": report.nodes, "steps": report.forward,
            "compensations": report.undo, "assumed": assumed, "diagnostics": found,
            "warnings": warnings,
        }));
    } else {
        printer.line(&format!(
            "{path}: usable: {} {} -> {} on fleet {}, {} nodes, {} steps, {} compensations",
            report.procedure,
            report.release.from,
            report.release.to,
            report.fleet,
            report.nodes,
            report.forward,
            report.undo
        ));
    }
    Ok(exit::SUCCESS)
}
