//! One member over several balancer instances: the trait drivers answer, and reading, draining and
//! undoing on all instances at once.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

use super::Undone;
use super::haproxy::running::Running;
use super::{Before, BoxFuture, Cut, FoundWeight, Hold, Identity, InstanceError, MemberName};

/// One instance of a balancer. Every call has the driver's own deadline and ends within it.
pub trait BalancerInstance: Send + Sync {
    /// The instance's name in the fleet, for reports.
    fn name(&self) -> &str;

    /// Reads members, all from one process. An outer error is the instance's, an inner the
    /// member's.
    fn observe<'a>(
        &'a self,
        members: &'a [MemberName],
    ) -> BoxFuture<'a, Result<Observation, InstanceError>>;

    /// How the member is now, for the undo; changes nothing.
    fn look<'a>(&'a self, member: &'a MemberName) -> BoxFuture<'a, Result<Before, InstanceError>>;

    /// Brings the member to `wanted` and reads it back; sends nothing where it is there already.
    fn hold<'a>(
        &'a self,
        member: &'a MemberName,
        wanted: Hold,
    ) -> BoxFuture<'a, Result<(), InstanceError>>;

    /// Goes back to what `before` says.
    fn undrain<'a>(&'a self, before: &'a Before) -> BoxFuture<'a, Result<Undone, InstanceError>>;

    /// Cuts the member's live sessions and says how many there were.
    fn kill_sessions<'a>(
        &'a self,
        member: &'a MemberName,
    ) -> BoxFuture<'a, Result<Cut, InstanceError>>;

    /// What it balances and where its configuration lies, changing nothing; none where it is no
    /// HAProxy.
    fn running(&self) -> BoxFuture<'_, Option<Result<Running, InstanceError>>> {
        Box::pin(std::future::ready(None))
    }
}

/// A member's state in words that hold for every kind of balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// In rotation, checks pass, weight above zero.
    Serving,
    /// In rotation, and no check is configured that could say whether it works.
    Unchecked,
    /// In rotation on a check result that is not settled (`UP n/m`).
    Unsettled,
    /// In rotation by state, but at weight zero.
    ZeroWeight,
    /// Takes no new traffic except from persistent clients.
    Draining,
    /// Maintenance.
    Out,
    /// Its checks fail.
    Down,
    /// It asked by its own check to be left out (`NOLB`).
    Stopping,
    /// A state the driver does not know; see the detail.
    Unknown,
}

/// One member as one instance sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MemberReading {
    /// The member.
    pub member: MemberName,
    /// Its state.
    pub state: MemberState,
    /// How it is held by command.
    pub hold: Hold,
    /// Live sessions; `None` where the balancer cannot say.
    pub sessions: Option<u64>,
    /// Requests waiting for it; `None` where the balancer cannot say.
    pub queued: Option<u64>,
    /// Pooled idle connections; `None` where the balancer cannot say.
    pub idle: Option<u64>,
    /// A health check is under way, which holds one connection that is no request.
    pub checking: bool,
    /// Whether the last check passed; `None` without a check.
    pub check_passed: Option<bool>,
    /// Weight, where the balancer has weights.
    pub weight: Option<FoundWeight>,
    /// The balancer's own words, for people.
    pub detail: String,
}

impl MemberReading {
    /// Whether it counts as capacity: takes new traffic and nothing speaks against it.
    #[must_use]
    pub fn serving(&self) -> bool {
        match self.state {
            MemberState::Serving | MemberState::Unchecked => true,
            MemberState::Unsettled
            | MemberState::ZeroWeight
            | MemberState::Draining
            | MemberState::Out
            | MemberState::Down
            | MemberState::Stopping
            | MemberState::Unknown => false,
        }
    }

    /// Whether it is held out by command, as a drain intends.
    #[must_use]
    pub fn held_out(&self) -> bool {
        match self.hold {
            Hold::Drain | Hold::Maint => true,
            Hold::Ready => false,
        }
    }
}

/// A member and what its instance said about it.
pub type MemberAnswer = (MemberName, Result<MemberReading, InstanceError>);

/// What one instance said in one go, in the order asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The process that answered, where the balancer has such a thing.
    pub identity: Option<Identity>,
    /// Per member.
    pub members: Vec<MemberAnswer>,
}

/// One instance's part of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceReading {
    /// Name of the instance.
    pub instance: String,
    /// What it said, or why it could not.
    pub result: Result<Observation, InstanceError>,
}

/// Instances in the form all operations take.
pub type Instances = [Arc<dyn BalancerInstance>];

/// Reads members on all instances at the same time. For headroom: a member serves only where every
/// instance says so, because clients come in through any of them.
pub async fn read_group(instances: &Instances, members: &[MemberName]) -> Vec<InstanceReading> {
    let reads = instances.iter().map(|instance| -> BoxFuture<'_, InstanceReading> {
        Box::pin(async move {
            let result = instance.observe(members).await;
            InstanceReading { instance: instance.name().to_owned(), result }
        })
    });
    join_all(reads.collect()).await
}

/// The outcome of one operation on one member of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerMember<T> {
    /// Name of the instance.
    pub instance: String,
    /// The member.
    pub member: MemberName,
    /// What came of it.
    pub result: Result<T, InstanceError>,
}

/// How every member is on every instance, changing nothing. Make the answers durable, then
/// [`hold_all`].
pub async fn look_all(instances: &Instances, members: &[MemberName]) -> Vec<PerMember<Before>> {
    let looks = instances.iter().flat_map(|instance| {
        members.iter().map(move |member| -> BoxFuture<'_, PerMember<Before>> {
            Box::pin(async move {
                let result = instance.look(member).await;
                per_member(instance, member, result)
            })
        })
    });
    join_all(looks.collect()).await
}

/// Takes out what was looked at, on all instances at the same time. An instance named by a `Before`
/// and not in `instances` answers with an error.
pub async fn hold_all(instances: &Instances, befores: &[Before]) -> Vec<PerMember<()>> {
    let holds = befores.iter().map(|before| -> BoxFuture<'_, PerMember<()>> {
        Box::pin(async move {
            let result = match find(instances, before) {
                Ok(instance) => instance.hold(&before.member, before.hold_while_out()).await,
                Err(error) => Err(error),
            };
            PerMember { instance: before.instance.clone(), member: before.member.clone(), result }
        })
    });
    join_all(holds.collect()).await
}

/// [`look_all`], then [`hold_all`] for what could be looked at. Where any instance fails, the
/// caller decides whether to go back with the `Before`s of the others ([`undrain_all`]).
pub async fn drain_all(instances: &Instances, members: &[MemberName]) -> Vec<PerMember<Before>> {
    let drains = instances.iter().flat_map(|instance| {
        members.iter().map(move |member| -> BoxFuture<'_, PerMember<Before>> {
            Box::pin(async move {
                let result = drain_one(instance.as_ref(), member).await;
                per_member(instance, member, result)
            })
        })
    });
    join_all(drains.collect()).await
}

async fn drain_one(
    instance: &dyn BalancerInstance,
    member: &MemberName,
) -> Result<Before, InstanceError> {
    let before = instance.look(member).await?;
    instance.hold(member, before.hold_while_out()).await?;
    Ok(before)
}

/// Goes back to every `Before`, on all instances at the same time.
pub async fn undrain_all(instances: &Instances, befores: &[Before]) -> Vec<PerMember<Undone>> {
    let undos = befores.iter().map(|before| -> BoxFuture<'_, PerMember<Undone>> {
        Box::pin(async move {
            let result = match find(instances, before) {
                Ok(instance) => instance.undrain(before).await,
                Err(error) => Err(error),
            };
            PerMember { instance: before.instance.clone(), member: before.member.clone(), result }
        })
    });
    join_all(undos.collect()).await
}

fn per_member<T>(
    instance: &Arc<dyn BalancerInstance>,
    member: &MemberName,
    result: Result<T, InstanceError>,
) -> PerMember<T> {
    PerMember { instance: instance.name().to_owned(), member: member.clone(), result }
}

fn find<'a>(
    instances: &'a Instances,
    before: &Before,
) -> Result<&'a Arc<dyn BalancerInstance>, InstanceError> {
    let found = instances.iter().find(|instance| instance.name() == before.instance);
    found.ok_or_else(|| InstanceError::Name(format!("no instance is named {}", before.instance)))
}

/// Waits for all futures on this task: few, short and all with a deadline of their own, so polling
/// every unfinished one on each wake costs less than a dependency. Dropping it drops them all.
pub(crate) async fn join_all<T: Send>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut running: Vec<Option<BoxFuture<'_, T>>> = futures.into_iter().map(Some).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (slot, result) in running.iter_mut().zip(&mut done) {
            if let Some(future) = slot
                && let Poll::Ready(value) = Future::poll(future.as_mut(), context)
            {
                *result = Some(value);
                *slot = None;
            }
        }
        if running.iter().all(Option::is_none) {
            Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            Poll::Pending
        }
    })
    .await
}
