//! What `hold`, `resume`, `abort`, `rollback` and `approve` share: the request goes to the
//! controller that drives the rollout; where none does, this process becomes it.

use crate::cli::{RequestArgs, RolloutArg};
use crate::context::Context;
use crate::failure::Failure;
use crate::refused;
use crate::rollout::{self, Ways};
use crate::rollouts::find;
use zdu_conductor::Prospect;
use zdu_conductor::plan_file::read_plan;
use zdu_conductor::requests::Requests;
use zdu_model::event::Request;
use zdu_model::verdict::exit;

/// Asks for something.
///
/// # Errors
/// When the rollout is not known, or zdu cannot do its own job.
pub(crate) fn ask(args: &RequestArgs, context: &Context, request: Request) -> Result<u8, Failure> {
    let RequestArgs { rollout, reason, take_over } = args;
    let reason = reason.clone().unwrap_or_default();
    send(context, rollout, request, &reason, take_over.clone())
}

/// Sends a request to the controller of a rollout, or becomes it.
///
/// # Errors
/// When the rollout is not known, or zdu cannot do its own job.
pub(crate) fn send(
    context: &Context,
    rollout: &RolloutArg,
    request: Request,
    reason: &str,
    take_over: Option<String>,
) -> Result<u8, Failure> {
    let id = find(context, rollout)?;
    let directory = context.state.rollout(&id);
    let (plan, _digest) = read_plan(&directory.plan())?;
    let status = context.call().command(&format!("status {id}"));
    if take_over.is_none() && rollout::is_driven(context, &plan, &id)? {
        let requests = Requests::new(&directory);
        requests.submit(request, &context.by(), reason, context.now())?;
        context.printer.note(&format!("asked the controller of {id}; `{status}` tells"));
        return Ok(exit::SUCCESS);
    }
    let resumes = request == Request::Resume;
    if request == Request::Hold {
        return Err(Failure::new(exit::USAGE, format!("hold {id}: nobody drives it"))
            .hint(format!("`{status}` says how it stands")));
    }
    let request = match rollout::foresee(context, &plan, &id, &request)? {
        Prospect::Granted => Some(request),
        Prospect::GoesOn => None,
        Prospect::Over => return rollout::complete(context, &id),
        Prospect::Refused(refusal) => {
            let what = format!("{} {id}: {refusal}", verb(&request));
            return Err(Failure::new(exit::USAGE, what)
                .hint(format!("nothing was changed; `{status}` says how it stands")));
        }
    };
    // Only now: a reason lifts what is refused, and a request that is refused must lift nothing.
    if resumes {
        let how = "say what was repaired: `--reason \"build 812 has the fix\"`";
        refused::admit(context, &plan, Some(reason), how)?;
    }
    rollout::reopen(context, id, request, reason, &Ways { take_over, ..Ways::default() })
}

fn verb(request: &Request) -> &'static str {
    match request {
        Request::Hold => "hold",
        Request::Resume => "resume",
        Request::Abort => "abort",
        Request::Rollback => "rollback",
        Request::Approve(_) => "approve",
    }
}
