//! Seen serving: after the undo, every instance must show the member in traffic again.

use std::time::Duration;

use tokio::time::Instant;

use super::member::{InstanceReading, Instances, MemberReading, MemberState, join_all};
use super::{Before, BoxFuture, Hold, InstanceError, MemberName};

/// How long and how often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeRule {
    /// Pause between looks.
    pub interval: Duration,
    /// When to give up.
    pub deadline: Duration,
}

/// What one member on one instance still lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServeGap {
    /// The instance or the member cannot be read.
    Unreadable(InstanceError),
    /// It is held out by a command: not undone, or drained again by another hand.
    HeldOut(Hold),
    /// Its state is not serving; the balancer's words follow.
    NotUp(MemberState, String),
    /// It is up, and its last check did not pass.
    CheckNotPassed(String),
    /// The weight now and the one it must have.
    Weight(u32, u32),
}

/// One wait: what, where, why. Every view can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingOn {
    /// Name of the instance.
    pub instance: String,
    /// The member.
    pub member: MemberName,
    /// What it lacks.
    pub gap: ServeGap,
}

/// How a member came back on one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Exactly `UP`, last check passed.
    Checked,
    /// In rotation; the balancer has no check that could say more.
    Unchecked,
    /// It was held out, or at weight zero, before we came, and is so again.
    LeftAsFound,
}

/// How the wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// On every instance, each with its kind.
    All(Vec<(String, MemberName, Served)>),
    /// At the deadline, these were still waited on.
    NotYet(Vec<WaitingOn>),
}

/// Waits until every `Before`'s member serves on its instance as it did before. `waiting` is called
/// after each look with what is still waited on, and is the place to see a drain come back.
pub async fn wait_serving(
    instances: &Instances,
    befores: &[Before],
    rule: ServeRule,
    waiting: &mut (dyn FnMut(&[WaitingOn]) + Send),
) -> Serving {
    let begun = Instant::now();
    loop {
        let looks = befores.iter().map(|before| look(instances, before)).collect();
        let mut served = Vec::new();
        let mut gaps = Vec::new();
        for (before, result) in befores.iter().zip(join_all(looks).await) {
            let (instance, member) = (before.instance.clone(), before.member.clone());
            match result {
                Ok(kind) => served.push((instance, member, kind)),
                Err(gap) => gaps.push(WaitingOn { instance, member, gap }),
            }
        }
        if gaps.is_empty() {
            return Serving::All(served);
        }
        waiting(&gaps);
        if begun.elapsed() + rule.interval > rule.deadline {
            return Serving::NotYet(gaps);
        }
        tokio::time::sleep(rule.interval).await;
    }
}

fn look<'a>(
    instances: &'a Instances,
    before: &'a Before,
) -> BoxFuture<'a, Result<Served, ServeGap>> {
    Box::pin(async move {
        let found = instances.iter().find(|instance| instance.name() == before.instance);
        let Some(instance) = found else {
            let missing = InstanceError::Name(format!("no instance is named {}", before.instance));
            return Err(ServeGap::Unreadable(missing));
        };
        let members = std::slice::from_ref(&before.member);
        let result = instance.observe(members).await;
        let reading = InstanceReading { instance: before.instance.clone(), result };
        let mut observation = reading.result.map_err(ServeGap::Unreadable)?;
        match observation.members.pop() {
            Some((_, Ok(reading))) => judge(&reading, before),
            Some((_, Err(error))) => Err(ServeGap::Unreadable(error)),
            None => Err(ServeGap::Unreadable(InstanceError::Name(format!(
                "{} said nothing about {}",
                before.instance, before.member
            )))),
        }
    })
}

/// Judges one reading against what was found before the drain.
fn judge(reading: &MemberReading, before: &Before) -> Result<Served, ServeGap> {
    if let (Some(now), Some(found)) = (reading.weight, before.weight)
        && now.current != found.current
    {
        return Err(ServeGap::Weight(now.current, found.current));
    }
    if reading.hold != before.hold {
        return Err(ServeGap::HeldOut(reading.hold));
    }
    let left = before.hold != Hold::Ready || before.weight.is_some_and(|found| found.current == 0);
    if left {
        return Ok(Served::LeftAsFound);
    }
    match reading.state {
        MemberState::Serving if reading.check_passed == Some(false) => {
            Err(ServeGap::CheckNotPassed(reading.detail.clone()))
        }
        MemberState::Serving => Ok(Served::Checked),
        MemberState::Unchecked => Ok(Served::Unchecked),
        MemberState::Unsettled
        | MemberState::ZeroWeight
        | MemberState::Draining
        | MemberState::Out
        | MemberState::Down
        | MemberState::Stopping
        | MemberState::Unknown => Err(ServeGap::NotUp(reading.state, reading.detail.clone())),
    }
}
