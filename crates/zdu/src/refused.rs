//! Law 12 at the one door every rollout goes through: a release that was rolled back begins again
//! only when somebody says why it may.

use crate::context::Context;
use crate::failure::Failure;
use zdu_conductor::refused::{Clearing, RefusedReleases};
use zdu_model::plan::Plan;
use zdu_model::verdict::exit;

/// Lets the plan's release pass, or lifts its refusal for a reason.
///
/// # Errors
/// It is refused and no reason was given; `how` says how to give one.
pub(crate) fn admit(
    context: &Context,
    plan: &Plan,
    reason: Option<&str>,
    how: &str,
) -> Result<(), Failure> {
    let refused = RefusedReleases::new(context.state.fleet(&plan.fleet.name));
    let (release, by) = (plan.release.to.clone(), context.by());
    let reason = reason.unwrap_or_default().to_owned();
    match refused.admit(Clearing { release, by, reason, at: context.now() })? {
        None => Ok(()),
        Some(refusal) => {
            let what = format!(
                "begin: release {} is refused since rollout {}: {}",
                refusal.release, refusal.rollout, refusal.reason
            );
            Err(Failure::new(exit::PLAN_REFUSED, what).hint(how))
        }
    }
}
