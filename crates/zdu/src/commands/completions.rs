//! `zdu completions`: completions for a shell.

use crate::cli::{Cli, CompletionsArgs};
use crate::context::Context;
use crate::failure::Failure;
use clap::CommandFactory;
use zdu_model::verdict::exit;

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs, context: &Context) -> Result<u8, Failure> {
    let CompletionsArgs { shell } = args;
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut Cli::command(), "zdu", &mut script);
    context.printer.data(&String::from_utf8_lossy(&script));
    Ok(exit::SUCCESS)
}
