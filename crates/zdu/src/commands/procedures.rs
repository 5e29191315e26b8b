//! `zdu procedures`: the built-in procedures.

use crate::cli::ProceduresArgs;
use crate::context::Context;
use crate::failure::Failure;
use serde_json::json;
use zdu_config::{builtin_procedures, parse_procedure};
use zdu_model::verdict::exit;

/// Lists the procedures, or prints one as it is written.
pub(crate) fn run(args: &ProceduresArgs, context: &Context) -> Result<u8, Failure> {
    match &args.name {
        Some(name) => print(name, context),
        None => list(context),
    }
}

fn list(context: &Context) -> Result<u8, Failure> {
    let mut all = Vec::new();
    for (name, text) in builtin_procedures() {
        let procedure = parse_procedure(text, &format!("builtin:{name}"))?;
        all.push((name, procedure));
    }
    if context.printer.wants_json() {
        let rows = all.iter().map(|(name, procedure)| {
            json!({ "name": name, "summary": procedure.summary, "source": procedure.source })
        });
        context.printer.json(&rows.collect::<Vec<_>>());
        return Ok(exit::SUCCESS);
    }
    let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, procedure) in &all {
        context.printer.line(&format!("{name:width$}  {}", procedure.summary));
    }
    Ok(exit::SUCCESS)
}

fn print(name: &str, context: &Context) -> Result<u8, Failure> {
    let builtin = builtin_procedures();
    let Some((known, text)) = builtin.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = builtin.iter().map(|(name, _)| *name).collect();
        let what = format!("find the procedure {name:?}: it is not built in");
        let hint = format!("built in: {}", names.join(", "));
        return Err(Failure::new(exit::NO_INPUT, what).hint(hint));
    };
    if context.printer.wants_json() {
        context.printer.json(&parse_procedure(text, &format!("builtin:{known}"))?);
    } else {
        context.printer.data(text);
    }
    Ok(exit::SUCCESS)
}
