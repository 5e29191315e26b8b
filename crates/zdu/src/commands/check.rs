//! `zdu check`: is the configuration usable, as far as that can be said without connecting?

use crate::cli::{CheckArgs, ConfigArgs};
use crate::context::Context;
use crate::excerpt;
use crate::failure::{Failure, diagnostic_json};
use crate::prepare::{self, Prepared};
use serde::Serialize;
use serde_json::json;
use zdu_model::ids::{NodeName, RoleName};
use zdu_model::procedure::RoleDecl;
use zdu_model::verdict::exit;

/// A role that only preflight can find, and the nodes it was taken to be on.
#[derive(Debug, Serialize)]
struct Assumed {
    role: RoleName,
    nodes: Vec<NodeName>,
}

/// Loads and plans, and says what is wrong.
pub(crate) fn run(args: &CheckArgs, context: &Context) -> Result<u8, Failure> {
    let CheckArgs { config: ConfigArgs { config } } = args;
    let path = config.to_string_lossy();
    let mut prepared = prepare::load(&path)?;
    let printer = &context.printer;
    for warning in &prepared.config.warnings {
        printer.say(&excerpt::render(warning, printer.err_palette()));
    }
    let assumed = assume_roles(&mut prepared);
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

/// Who has a role that is looked up is not known here. Everything else can still be checked, with
/// the role on the first nodes that may have it.
fn assume_roles(prepared: &mut Prepared) -> Vec<Assumed> {
    let fleet = &prepared.input.fleet;
    let mut all = Vec::new();
    for (role, decl) in &prepared.input.procedure.roles {
        let RoleDecl { help: _, lookup, among, exactly } = decl;
        if lookup.is_none() || fleet.nodes().any(|node| node.roles.contains(role)) {
            continue;
        }
        let count = usize::try_from(exactly.unwrap_or(1)).unwrap_or(usize::MAX);
        let may = fleet
            .nodes()
            .filter(|node| among.as_ref().is_none_or(|among| node.roles.contains(among)));
        let nodes: Vec<NodeName> = may.map(|node| node.name.clone()).take(count).collect();
        all.push(Assumed { role: role.clone(), nodes });
    }
    let observed = &mut prepared.input.observed;
    observed.consulted = !all.is_empty();
    for Assumed { role, nodes } in &all {
        for node in nodes {
            observed.roles.entry(node.clone()).or_default().insert(role.clone());
        }
    }
    all
}
