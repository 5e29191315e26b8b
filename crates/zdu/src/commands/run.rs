//! `zdu run`: upgrades the fleet.

use crate::cli::RunArgs;
use crate::context::Context;
use crate::failure::Failure;
use zdu_model::verdict::exit;

/// Answers the command.
///
/// # Errors
/// Always, until it is built.
pub(crate) fn run(_args: &RunArgs, _context: &Context) -> Result<u8, Failure> {
    Err(Failure::new(exit::FATAL_ERROR, "run `zdu run`: not here yet"))
}
