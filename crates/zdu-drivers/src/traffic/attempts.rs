//! Asking every instance again until none refuses.

use crate::balancer::Before;
use crate::balancer::member::{Instances, PerMember, hold_all, undrain_all};
use std::time::Duration;
use zdu_model::report::{End, Report};

/// How often a change that an instance did not take is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Where a node's members go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Out of traffic.
    Out,
    /// Back to what they were.
    Back,
}

impl Way {
    /// What each instance made of it, in the order of the readings; a refusal as a sentence.
    pub(super) async fn ask(
        self,
        instances: &Instances,
        befores: &[Before],
    ) -> Vec<Result<(), String>> {
        match self {
            Self::Out => told(hold_all(instances, befores).await),
            Self::Back => told(undrain_all(instances, befores).await),
        }
    }
}

fn told<T>(asked: Vec<PerMember<T>>) -> Vec<Result<(), String>> {
    let one = |one: PerMember<T>| match one.result {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{} on {}: {error}", one.member, one.instance)),
    };
    asked.into_iter().map(one).collect()
}

/// Whether an act that has not reached any balancer may still begin, and who is told what it waits
/// on.
pub(super) type Words<'w> =
    (&'w (dyn Fn() -> bool + Send + Sync), &'w (dyn Fn(&str) + Send + Sync));

/// Tries until no failure is left or the deadline passed, or it is to end at once.
pub(super) async fn until_none<F, Fut>(
    deadline: Duration,
    waiting: &(dyn Fn(&str) + Send + Sync),
    attempt: F,
) -> Report
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Vec<String>, End>>,
{
    let until = tokio::time::Instant::now() + deadline;
    loop {
        let failures = match attempt().await {
            Ok(failures) => failures,
            Err(end) => return Report::bare(end),
        };
        let Some(first) = failures.first() else { return Report::bare(End::Done) };
        waiting(first);
        if tokio::time::Instant::now() + RETRY_INTERVAL > until {
            return Report::bare(End::NotMet(failures.join("; ")));
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}
