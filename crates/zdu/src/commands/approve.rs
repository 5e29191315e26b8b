//! `zdu approve`: says that a step was done by hand or did happen, or lets a point of no return be
//! crossed.

use crate::cli::ApproveArgs;
use crate::commands::request::send;
use crate::context::Context;
use crate::failure::Failure;
use zdu_model::event::Request;
use zdu_model::ids::StepNo;
use zdu_model::verdict::exit;

/// Answers the command.
///
/// # Errors
/// When the rollout or the step is not known, or zdu cannot do its own job.
pub(crate) fn run(args: &ApproveArgs, context: &Context) -> Result<u8, Failure> {
    let step = args.step().parse().map(StepNo).map_err(|_| {
        Failure::new(exit::USAGE, format!("approve: {:?} is no number of a step", args.step()))
            .hint("`zdu status` names the step that waits")
    })?;
    let reason = args.reason.clone().unwrap_or_default();
    send(context, &args.rollout(), Request::Approve(step), &reason, None)
}
