//! Which rollout a person means.

use crate::context::Context;
use crate::failure::Failure;
use std::time::SystemTime;
use zdu_model::ids::RolloutId;
use zdu_model::verdict::exit;

/// The rollout a person means: an id, the beginning of one, `last`, or nothing when there is only
/// one.
///
/// # Errors
/// When there is none, or more than one fits; the known ones are in the hint.
pub fn find(context: &Context, given: Option<&str>) -> Result<RolloutId, Failure> {
    let known = by_age(context)?;
    let mut fits: Vec<RolloutId> = match given {
        None => known.clone(),
        Some("last") => known.last().cloned().into_iter().collect(),
        Some(id) if known.iter().any(|known| known.as_str() == id) => {
            known.iter().filter(|known| known.as_str() == id).cloned().collect()
        }
        Some(start) => {
            known.iter().filter(|known| known.as_str().starts_with(start)).cloned().collect()
        }
    };
    if fits.len() == 1
        && let Some(id) = fits.pop()
    {
        return Ok(id);
    }
    let what = match (given, fits.len()) {
        (_, 0) if known.is_empty() => "find the rollout: there is none yet".into(),
        (Some(given), 0) => format!("find the rollout: none is called {given}"),
        (Some(given), count) => format!("find the rollout: {count} begin with {given}"),
        (None, count) => format!("find the rollout: there are {count}, say which"),
    };
    let failure = Failure::new(exit::NO_INPUT, what);
    let place = context.state_path().display().to_string();
    Err(if known.is_empty() {
        failure.hint(format!("rollouts are looked for in {place}; `--state-dir DIR` names another"))
    } else {
        let names: Vec<_> = known.iter().map(ToString::to_string).collect();
        failure.hint(format!("known here: {}", names.join(", ")))
    })
}

/// All rollouts, oldest first: ids hold the day, and rollouts of one day are told apart by their
/// directory's age.
///
/// # Errors
/// When the state directory cannot be read.
pub fn by_age(context: &Context) -> Result<Vec<RolloutId>, Failure> {
    let made = |id: &RolloutId| {
        let plan = std::fs::metadata(context.state.rollout(id).plan());
        plan.and_then(|plan| plan.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let mut known = context.state.rollouts()?;
    known.sort_by_key(|id| (made(id), id.clone()));
    Ok(known)
}
