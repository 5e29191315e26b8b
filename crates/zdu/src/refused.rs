//! Law 12 at the one door every rollout goes through: a release that was rolled back begins again
//! only when somebody says why it may.

use crate::context::Context;
use crate::failure::Failure;
use zdu_conductor::refused::{Clearing, Refusal, RefusedReleases};
use zdu_model::ids::FleetName;
use zdu_model::plan::{Plan, Release};
use zdu_model::verdict::exit;

/// How a refused release begins again.
pub(crate) const HOW: &str = "when it is repaired: `zdu run --clear-refused \"what was repaired\"`";

/// Refuses a release before anybody is asked anything, as [`admit`] will in the end. Nothing is
/// changed.
///
/// # Errors
/// It is refused and no reason was given.
pub(crate) fn foresee(
    context: &Context,
    fleet: &FleetName,
    release: &Release,
    reason: Option<&str>,
) -> Result<(), Failure> {
    match refusal(context, fleet, release)? {
        Some(refusal) if reason.unwrap_or_default().trim().is_empty() => {
            Err(failure(&refusal, HOW))
        }
        Some(_) | None => Ok(()),
    }
}

/// The sentence for somebody who only plans the release.
///
/// # Errors
/// When the fleet's list cannot be read.
pub(crate) fn warning(
    context: &Context,
    fleet: &FleetName,
    release: &Release,
) -> Result<Option<String>, Failure> {
    let refusal = refusal(context, fleet, release)?;
    Ok(refusal.map(|Refusal { release, rollout, reason, at: _ }| {
        format!(
            "release {release} is refused since rollout {rollout}: {reason}; `zdu run` begins it \
             only with `--clear-refused \"what was repaired\"`"
        )
    }))
}

fn refusal(
    context: &Context,
    fleet: &FleetName,
    release: &Release,
) -> Result<Option<Refusal>, Failure> {
    Ok(RefusedReleases::new(context.state.fleet(fleet)).refusal_of(&release.to)?)
}

fn failure(refusal: &Refusal, how: &str) -> Failure {
    let Refusal { release, rollout, reason, at: _ } = refusal;
    let what = format!("begin: release {release} is refused since rollout {rollout}: {reason}");
    Failure::new(exit::PLAN_REFUSED, what).hint(how)
}

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
        Some(refusal) => Err(failure(&refusal, how)),
    }
}
