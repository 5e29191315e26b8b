//! `zdu abort`: ends a rollout and puts the nodes in flight back.

use crate::cli::RequestArgs;
use crate::context::Context;
use crate::failure::Failure;
use zdu_model::verdict::exit;

/// Answers the command.
///
/// # Errors
/// Always, until it is built.
pub(crate) fn run(_args: &RequestArgs, _context: &Context) -> Result<u8, Failure> {
    Err(Failure::new(exit::FATAL_ERROR, "run `zdu abort`: not here yet"))
}
