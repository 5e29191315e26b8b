//! The node's own sockets, counted over its channel.

use crate::access::Access;
use crate::balancer::BoxFuture;
use crate::balancer::certify::{NodeSockets, PeerCount};
use crate::exec::{Channel, Supervisor, established};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zdu_model::fleet::Node;

/// How long one look at a node's sockets may take.
const SOCKETS_TIMEOUT: Duration = Duration::from_secs(5);

/// What the first step on a drained node needs there, brought while requests still end: once the
/// certificate is there, the node stands idle for it.
pub(crate) struct Ahead {
    /// Of the rollout's records.
    pub(crate) supervisor: Supervisor,
    /// Whose epoch the node is told. To know it sooner only makes it refuse an older controller
    /// sooner.
    pub(crate) fleet: String,
    /// The controller's.
    pub(crate) epoch: u64,
}

impl Ahead {
    /// If it cannot be brought, or the node knows a newer controller, the step says so.
    async fn bring(self, channel: &mut Channel) {
        let _told = self.supervisor.fence(channel, &self.fleet, self.epoch).await;
    }
}

/// The sampler of one certification.
pub(super) struct Sockets<'a> {
    access: &'a Access,
    node: &'a Node,
    ahead: Mutex<Option<Ahead>>,
}

impl<'a> Sockets<'a> {
    pub(super) fn new(access: &'a Access, node: &'a Node, ahead: Option<Ahead>) -> Self {
        Self { access, node, ahead: Mutex::new(ahead) }
    }

    async fn count(&self) -> Result<Vec<PeerCount>, String> {
        let channel = self.access.channel(Some(&self.node.name)).await;
        let mut channel = channel.map_err(|error| error.to_string())?;
        // Once: what takes too long the first time is left to the step.
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ahead) = ahead {
            ahead.bring(&mut channel).await;
        }
        let counts = established(&mut channel, &self.node.service_ports, SOCKETS_TIMEOUT).await;
        let mut peers: BTreeMap<IpAddr, u64> = BTreeMap::new();
        for connections in counts.map_err(|error| error.to_string())?.values() {
            for (peer, count) in &connections.remotes {
                *peers.entry(*peer).or_default() += u64::try_from(*count).unwrap_or(u64::MAX);
            }
        }
        Ok(peers.into_iter().map(|(peer, established)| PeerCount { peer, established }).collect())
    }
}

impl NodeSockets for Sockets<'_> {
    fn sample(&self) -> BoxFuture<'_, Result<Vec<PeerCount>, String>> {
        Box::pin(async move {
            let counts = tokio::time::timeout(SOCKETS_TIMEOUT, self.count()).await;
            counts.map_err(|_| "the node did not answer".to_owned())?
        })
    }
}
