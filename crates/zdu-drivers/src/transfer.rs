//! Files to nodes, copies on nodes, and HTTP steps.

use crate::access::chain;
use crate::command::{WITHHELD, capture, captures_secret, matched, node_of};
use crate::drivers::{Inner, Released};
use crate::exec::{Lease, backup_file, upload};
use crate::probe;
use std::time::Duration;
use zdu_model::ids::Digest;
use zdu_model::plan::{HttpCall, PlannedStep};
use zdu_model::report::{End, Evidence, Report, TAIL_LINES_MAX};

pub(crate) async fn put(
    inner: &Inner,
    step: &PlannedStep,
    (from, to, mode): (&str, &str, u32),
    released: &Released,
) -> Report {
    let bytes = match std::fs::read(from) {
        Ok(bytes) => bytes,
        Err(error) => return Report::bare(End::Refused(format!("{from}: {error}"))),
    };
    let deadline = Duration::from_millis(step.deadline.0);
    let mut channel = match channel(inner, step, released).await {
        Ok(channel) => channel,
        Err(end) => return Report::bare(end),
    };
    match upload(&mut channel, &bytes, to, mode, deadline).await {
        Ok(digest) => Report::with(End::Done, Evidence::File(Digest(digest))),
        Err(error) => Report::bare(End::NotMet(chain(&error))),
    }
}

pub(crate) async fn save(
    inner: &Inner,
    step: &PlannedStep,
    (path, to): (&str, &str),
    released: &Released,
) -> Report {
    let deadline = Duration::from_millis(step.deadline.0);
    let mut channel = match channel(inner, step, released).await {
        Ok(channel) => channel,
        Err(end) => return Report::bare(end),
    };
    match backup_file(&mut channel, path, to, false, deadline).await {
        Ok((digest, _bytes)) => Report::with(End::Done, Evidence::File(Digest(digest))),
        Err(error) => Report::bare(End::NotMet(chain(&error))),
    }
}

/// The node's channel, if the node has seen no newer controller (law 7) and the step may still
/// begin when it is there. No record is made: what reads before it changes can be asked again.
async fn channel(inner: &Inner, step: &PlannedStep, released: &Released) -> Result<Lease, End> {
    let not_met =
        |error: &dyn std::error::Error| End::NotMet(inner.access.redactor().mask(&chain(error)));
    let channel = inner.access.channel(node_of(step)).await;
    let mut channel = channel.map_err(|error| not_met(&error))?;
    let supervisor = inner.supervisor().map_err(End::Refused)?;
    let fleet = inner.plan.fleet.name.as_str();
    match supervisor.fence(&mut channel, fleet, inner.epoch.0).await {
        Err(error) => Err(not_met(&error)),
        Ok(Some(seen)) => Err(End::EpochRefused { seen }),
        Ok(None) if released.may_begin(step) => Ok(channel),
        Ok(None) => Err(End::Never),
    }
}

/// An HTTP request that changes something: when its answer is lost, nobody knows.
pub(crate) async fn send(
    inner: &Inner,
    step: &PlannedStep,
    call: &HttpCall,
    released: &Released,
) -> Report {
    if !released.may_begin(step) {
        return Report::bare(End::Never);
    }
    let timeout = Duration::from_millis(step.deadline.0);
    match probe::http(&inner.access, inner.values(step), call, timeout).await {
        Err(why) => Report::bare(End::Lost(why)),
        Ok(answered) => {
            let redactor = inner.access.redactor();
            let shown = match captures_secret(step) {
                true => String::from_utf8_lossy(WITHHELD).into_owned(),
                false => answered.text.clone(),
            };
            let lines: Vec<_> = shown.lines().map(|line| redactor.mask(line)).collect();
            let tail = lines[lines.len().saturating_sub(TAIL_LINES_MAX)..].to_vec();
            let report = Report {
                matched: matched(&step.contract, &answered.text, &answered.text),
                tail,
                output_bytes: u64::try_from(answered.text.len()).unwrap_or(u64::MAX),
                ..Report::bare(End::Http(answered.status.unwrap_or_default()))
            };
            capture(inner, step, report, &answered.text)
        }
    }
}
