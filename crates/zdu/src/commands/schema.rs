//! `zdu schema`: the JSON Schema of what is written by hand.

use crate::cli::SchemaArgs;
use crate::context::Context;
use crate::failure::Failure;
use zdu_model::verdict::exit;

/// Prints the schema.
pub(crate) fn run(args: &SchemaArgs, context: &Context) -> Result<u8, Failure> {
    let SchemaArgs { procedure } = args;
    let schema = if *procedure { zdu_config::procedure_schema() } else { zdu_config::schema() };
    context.printer.json(&schema);
    Ok(exit::SUCCESS)
}
