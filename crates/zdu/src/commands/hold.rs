//! `zdu hold`: lets a rollout stand still.

use crate::cli::RequestArgs;
use crate::context::Context;
use crate::failure::Failure;
use zdu_model::verdict::exit;

/// Answers the command.
///
/// # Errors
/// Always, until it is built.
pub(crate) fn run(_args: &RequestArgs, _context: &Context) -> Result<u8, Failure> {
    Err(Failure::new(exit::FATAL_ERROR, "run `zdu hold`: not here yet"))
}
