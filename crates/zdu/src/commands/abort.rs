//! `zdu abort`: puts the nodes in flight back and ends.

use crate::cli::RequestArgs;
use crate::commands::request::ask;
use crate::context::Context;
use crate::failure::Failure;
use zdu_model::event::Request;

/// Answers the command.
///
/// # Errors
/// When the rollout is not known, or zdu cannot do its own job.
pub(crate) fn run(args: &RequestArgs, context: &Context) -> Result<u8, Failure> {
    ask(args, context, Request::Abort)
}
