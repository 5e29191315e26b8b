//! Asking every instance again until none refuses.

use std::time::Duration;
use zdu_model::report::{End, Report};

/// How often a change that an instance did not take is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// What the instances did not take, each as a sentence.
pub(super) fn refusals<T>(asked: Vec<crate::balancer::member::PerMember<T>>) -> Vec<String> {
    let refused = asked.into_iter().filter_map(|one| {
        let error = one.result.err()?;
        Some(format!("{} on {}: {error}", one.member, one.instance))
    });
    refused.collect()
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
