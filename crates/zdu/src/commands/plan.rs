//! `zdu plan`: what a rollout would do.

use crate::cli::PlanArgs;
use crate::context::Context;
use crate::failure::Failure;
use zdu_model::verdict::exit;

/// Answers the command.
///
/// # Errors
/// Always, until it is built.
pub(crate) fn run(_args: &PlanArgs, _context: &Context) -> Result<u8, Failure> {
    Err(Failure::new(exit::FATAL_ERROR, "run `zdu plan`: not here yet"))
}
