//! Asking every instance again until none refuses.

use super::Instances;
use crate::balancer::keeper::Keeper;
use crate::balancer::member::{BalancerInstance, PerMember, hold_all, undrain_all};
use crate::balancer::{Before, InstanceError};
use crate::mandate::Mandate;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use zdu_model::ids::BalancerName;
use zdu_model::reach::Reach;
use zdu_model::report::{End, Report};

/// How often a change that an instance did not take is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Why nothing was changed.
pub(super) const NO_MANDATE: &str = "the lease ran out while this controller stood still";

/// Where a node's members go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Out of traffic.
    Out,
    /// Back to what they were.
    Back,
}

impl Way {
    /// What each instance made of it, in the order of the readings.
    async fn ask(
        self,
        instances: &[Arc<dyn BalancerInstance>],
        befores: &[Before],
    ) -> Vec<Result<(), Missed>> {
        match self {
            Self::Out => told(hold_all(instances, befores).await),
            Self::Back => told(undrain_all(instances, befores).await),
        }
    }
}

/// A change that was not answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Missed {
    /// What, where and why.
    text: String,
    /// It may have been carried out all the same.
    perhaps: bool,
}

fn told<T>(asked: Vec<PerMember<T>>) -> Vec<Result<(), Missed>> {
    let one = |one: PerMember<T>| match one.result {
        Ok(_) => Ok(()),
        Err(error) => {
            let perhaps = error.may_have_changed();
            Err(Missed { text: format!("{} on {}: {error}", one.member, one.instance), perhaps })
        }
    };
    asked.into_iter().map(one).collect()
}

impl InstanceError {
    /// Whether a change that was answered with this may have been carried out, in whole or in part.
    fn may_have_changed(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Name(_) | Self::Unread(_) => false,
            Self::Reply(reply) => !reply.refuses_everything(),
            Self::TimedOut { .. }
            | Self::Connection { .. }
            | Self::Hook(_)
            | Self::NotTaken { .. } => true,
        }
    }
}

/// Whether an act that has not reached any balancer may still begin, and who is told what it waits
/// on.
pub(super) type Words<'w> =
    (&'w (dyn Fn() -> bool + Send + Sync), &'w (dyn Fn(&str) + Send + Sync));

fn reach_of(answer: &Result<(), Missed>) -> Reach {
    match answer {
        Ok(()) => Reach::Landed,
        Err(Missed { perhaps: true, .. }) => Reach::Perhaps,
        Err(Missed { perhaps: false, .. }) => Reach::Nowhere,
    }
}

type Befores = BTreeMap<BalancerName, Vec<Before>>;

/// Every instance, with what holds drains on it.
pub(super) struct Everywhere<'t> {
    pub(super) balancers: &'t BTreeMap<BalancerName, Instances>,
    pub(super) keepers: &'t BTreeMap<BalancerName, Keeper>,
    pub(super) mandate: &'t Mandate,
}

impl Everywhere<'_> {
    /// Asks every instance until all have taken it, or it may no longer go on.
    pub(super) async fn set(
        &self,
        way: Way,
        befores: &Befores,
        deadline: Duration,
        (may_begin, waiting): Words<'_>,
    ) -> Report {
        let until = tokio::time::Instant::now() + deadline;
        let mut reach = Reach::Nowhere;
        loop {
            let Some(failures) = self.ask_all(way, befores, &mut reach, may_begin).await else {
                return Report::bare(reach.withdrawn());
            };
            let Some(first) = failures.first() else { return Report::bare(End::Done) };
            waiting(first);
            if tokio::time::Instant::now() + RETRY_INTERVAL > until {
                return Report::bare(End::NotMet(failures.join("; ")));
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Asks every instance once; what each refused, or none when it may no longer go on.
    async fn ask_all(
        &self,
        way: Way,
        befores: &Befores,
        reach: &mut Reach,
        may_go_on: &(dyn Fn() -> bool + Send + Sync),
    ) -> Option<Vec<String>> {
        let mut failures = Some(Vec::new());
        let mut released = Vec::new();
        for (balancer, befores) in befores {
            let Some(instances) = self.balancers.get(balancer) else { continue };
            let keeper = self.keepers.get(balancer);
            if let (Way::Back, Some(keeper)) = (way, keeper) {
                for before in befores {
                    if keeper.release(before).await {
                        released.push((keeper, before));
                    }
                }
            }
            // The keeper may have been busy for seconds, and so may the balancer before this.
            if !may_go_on() {
                failures = None;
                break;
            }
            if !self.mandate.holds() {
                failures.get_or_insert_default().push(NO_MANDATE.to_owned());
                break;
            }
            let answers = way.ask(instances, befores).await;
            *reach = answers.iter().map(reach_of).fold(*reach, Reach::max);
            if let (Way::Out, Some(keeper)) = (way, keeper) {
                for (before, _) in befores.iter().zip(&answers).filter(|(_, took)| took.is_ok()) {
                    let _watched = keeper.hold(before).await;
                }
            }
            let missed = answers.into_iter().filter_map(Result::err).map(|missed| missed.text);
            failures.get_or_insert_default().extend(missed);
        }
        if *reach == Reach::Nowhere {
            // It is as far out as it was, and nobody else holds it.
            for (keeper, before) in released {
                let _watched = keeper.hold(before).await;
            }
        }
        failures
    }
}

#[cfg(test)]
#[path = "attempts_tests.rs"]
mod tests;
