//! At most one open channel per node, shared by all tasks that need it, reopened after a loss.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore};
use tokio::task::JoinSet;

use super::channel::{Channel, ChannelError};
use super::target::Target;

/// How many connections are made at once. A key exchange is computing on both sides: of hundreds
/// begun together on a small controller each takes as long as all, and all miss the time they have.
/// The time one has begins when it is its turn.
const CONNECTING_MAX: usize = 32;

type Slot = Arc<AsyncMutex<Option<Channel>>>;

/// The open channels of one controller, by target name.
#[derive(Debug)]
pub struct Pool {
    connect_timeout: Duration,
    connecting: Semaphore,
    slots: Mutex<BTreeMap<String, Slot>>,
}

/// The sole use of a node's channel; others wait until it is dropped.
#[derive(Debug)]
pub struct Lease {
    guard: OwnedMutexGuard<Option<Channel>>,
}

impl Deref for Lease {
    type Target = Channel;
    fn deref(&self) -> &Channel {
        self.guard.as_ref().expect("a lease is only made around an open channel")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Channel {
        self.guard.as_mut().expect("a lease is only made around an open channel")
    }
}

impl Pool {
    /// A pool whose connections must stand within `connect_timeout`.
    #[must_use]
    pub fn new(connect_timeout: Duration) -> Self {
        let connecting = Semaphore::new(CONNECTING_MAX);
        Self { connect_timeout, connecting, slots: Mutex::new(BTreeMap::new()) }
    }

    /// The channel of the target called `name`, opened now if there is none or the last one died.
    /// Waits while another task holds it; the caller bounds that wait.
    ///
    /// # Errors
    /// [`ChannelError::Connect`].
    pub async fn channel(&self, name: &str, target: &Target) -> Result<Lease, ChannelError> {
        let guard = self.slot(name).lock_owned().await;
        self.opened(guard, target).await
    }

    /// As [`Pool::channel`], but a channel that died unused since its last request is told once
    /// before another is opened: who follows a step says so rather than wait without a reason.
    ///
    /// # Errors
    /// [`ChannelError::Gone`] for the dead channel, [`ChannelError::Connect`].
    pub async fn channel_or_loss(
        &self,
        name: &str,
        target: &Target,
    ) -> Result<Lease, ChannelError> {
        let mut guard = self.slot(name).lock_owned().await;
        if let Some(channel) = guard.as_mut() {
            // One look: a process that dies after it is a loss in the request that follows.
            if channel.is_usable() {
                return Ok(Lease { guard });
            }
            let loss = channel.loss().await;
            *guard = None;
            if let Some(loss) = loss {
                return Err(loss);
            }
        }
        self.opened(guard, target).await
    }

    fn slot(&self, name: &str) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(name.to_owned()).or_default())
    }

    async fn opened(
        &self,
        mut guard: OwnedMutexGuard<Option<Channel>>,
        target: &Target,
    ) -> Result<Lease, ChannelError> {
        if !guard.as_mut().is_some_and(Channel::is_usable) {
            *guard = None;
            // It is never closed; without a turn there would only be more at once.
            let _turn = self.connecting.acquire().await.ok();
            *guard = Some(Channel::open(target, self.connect_timeout).await?);
        }
        Ok(Lease { guard })
    }

    /// Closes every channel. One in use is closed when its lease is dropped.
    pub async fn close_all(&self) {
        let slots = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *slots)
        };
        let channels = slots.into_values().filter_map(|slot| slot.try_lock().ok()?.take());
        // All at once: each takes a round trip, and a fleet has hundreds.
        let mut closing: JoinSet<()> = channels.map(Channel::close).collect();
        while closing.join_next().await.is_some() {}
    }
}
