//! `zdu approve`: confirms a step that waits for a person.

use crate::cli::ApproveArgs;
use crate::context::Context;
use crate::failure::Failure;
use zdu_model::verdict::exit;

/// Answers the command.
///
/// # Errors
/// Always, until it is built.
pub(crate) fn run(_args: &ApproveArgs, _context: &Context) -> Result<u8, Failure> {
    Err(Failure::new(exit::FATAL_ERROR, "run `zdu approve`: not here yet"))
}
