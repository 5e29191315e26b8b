//! Epochs that nodes have seen and this state directory never gave out: somebody drives the fleet
//! from elsewhere, or did, or this state directory is not the one it was.

use crate::context::Context;
use crate::failure::{Failure, OUTRUN};
use crate::prepare::Finding;
use crate::rollout::{Ways, block_on};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use zdu_conductor::files::{note_seen, read_lease};
use zdu_conductor::storage::LeaseError;
use zdu_drivers::Access;
use zdu_drivers::exec::Supervisor;
use zdu_model::fleet::Fleet;
use zdu_model::ids::{Epoch, NodeName};

/// How long one node may take to say what it has seen. It refuses an older controller anyway.
const ASK_TIMEOUT: Duration = Duration::from_secs(15);

/// What preflight says of nodes that have seen a newer controller. Nothing is changed.
///
/// # Errors
/// When the lease cannot be read.
pub(crate) fn findings(
    context: &Context,
    fleet: &Fleet,
    access: &Arc<Access>,
) -> Result<Vec<Finding>, Failure> {
    let (ours, newer) = newer(context, fleet, access, None)?;
    let what = "no newer controller has been here";
    let finding = |(place, seen): (String, Epoch)| {
        let (seen, ours) = (seen.0, ours.0);
        let why = format!("it has seen epoch {seen}, this state directory knows none above {ours}");
        Finding::bad(place, what, why, &OUTRUN.join("; "))
    };
    Ok(newer.into_iter().map(finding).collect())
}

/// Refuses to begin a rollout that nodes would refuse, unless a person says that nobody else drives
/// the fleet. What they have seen is kept, so that a takeover gets a newer epoch at once.
///
/// # Errors
/// [`LeaseError::Outrun`].
pub(crate) fn admit(
    context: &Context,
    fleet: &Fleet,
    access: &Arc<Access>,
    ways: &Ways,
) -> Result<(), Failure> {
    let (ours, newer) = newer(context, fleet, access, ways.node_base.as_deref())?;
    let Some(seen) = newer.into_values().max() else { return Ok(()) };
    note_seen(&context.state.fleet(&fleet.name), seen)?;
    match ways.take_over {
        Some(_) => Ok(()),
        None => Err(LeaseError::Outrun { ours, seen }.into()),
    }
}

/// The newest of our epochs, and the places that have seen a newer one.
fn newer(
    context: &Context,
    fleet: &Fleet,
    access: &Arc<Access>,
    base: Option<&str>,
) -> Result<(Epoch, BTreeMap<String, Epoch>), Failure> {
    let mut seen = block_on(async { Ok(ask(fleet, access, base).await) })?;
    // Read behind them: what one of ours has been given meanwhile is none that is newer.
    let ours = read_lease(&context.state.fleet(&fleet.name))?.epoch;
    seen.retain(|_, epoch| *epoch > ours);
    Ok((ours, seen))
}

/// What the nodes, the hosts and this machine have seen. One that cannot be asked says nothing.
async fn ask(fleet: &Fleet, access: &Arc<Access>, base: Option<&str>) -> BTreeMap<String, Epoch> {
    let mut tasks = JoinSet::new();
    let names = fleet.nodes().map(|node| &node.name).chain(fleet.hosts.keys());
    let places: Vec<Option<NodeName>> = names.cloned().map(Some).chain([None]).collect();
    for place in places {
        let Ok(supervisor) = Supervisor::new(base) else { break };
        let (access, fleet) = (Arc::clone(access), fleet.name.to_string());
        tasks.spawn(async move {
            let seen = async {
                let mut channel = access.channel(place.as_ref()).await?;
                supervisor.newest(&mut channel, &fleet).await
            };
            let seen = tokio::time::timeout(ASK_TIMEOUT, seen).await;
            let name = place.map_or("this machine".to_owned(), |name| name.to_string());
            (name, seen.ok().and_then(Result::ok).flatten().map(Epoch))
        });
    }
    let mut all = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        if let Ok((name, Some(seen))) = done {
            all.insert(name, seen);
        }
    }
    all
}
