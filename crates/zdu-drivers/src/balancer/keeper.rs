//! Holding a drain: a balancer that forgets it, by reload or by another hand, is drained again.
//!
//! One task per instance, so that an instance that hangs until its deadline does not slow the
//! others. Between a reload and the next poll the member takes traffic: the interval bounds that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use super::member::{BalancerInstance, MemberReading, Observation};
use super::{Before, Hold, Identity, InstanceError, MemberName};
use crate::mandate::Mandate;

/// Poll interval used where nothing else is asked for: a fifth of a second of traffic to a node
/// that is out is the price of five cheap commands per second and instance.
pub const POLL: Duration = Duration::from_millis(200);

/// Reports kept for a slow receiver. They come only when something changes; a hand that undrains
/// without pause makes five per second and member, so this is some minute of one such fight.
const REPORTS: usize = 256;

/// Something the keeper saw or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeeperEvent {
    /// A member that is to be out was not; it was drained again at once.
    Drift {
        /// Name of the instance.
        instance: String,
        /// The member.
        member: MemberName,
        /// What was read.
        seen: MemberReading,
        /// Process of the last reading before, if there was one.
        pid_before: Option<u32>,
        /// Process of this reading; another one means a reload or restart forgot the drain.
        pid_after: Option<u32>,
        /// Whether draining it again succeeded. A failure is tried again at each poll and
        /// reported again when it changes.
        reasserted: Result<(), InstanceError>,
    },
    /// A member that is to be out cannot be read, for example because it left the configuration.
    MemberUnreadable {
        /// Name of the instance.
        instance: String,
        /// The member.
        member: MemberName,
        /// Why.
        error: InstanceError,
    },
    /// The instance stopped answering. Reported once.
    InstanceDown {
        /// Name of the instance.
        instance: String,
        /// Why.
        error: InstanceError,
    },
    /// The instance answers again; its members were looked at in the same turn.
    InstanceUp {
        /// Name of the instance.
        instance: String,
        /// Process before it stopped answering.
        pid_before: Option<u32>,
        /// Process now.
        pid_after: Option<u32>,
    },
}

/// An event, and how many before it were lost because the receiver was too slow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The event.
    pub event: KeeperEvent,
    /// Lost before this one. Holding members out goes on whether or not anybody listens.
    pub lost_before: u64,
}

/// What one instance is to hold: member to hold. Locked for the whole of a poll with its
/// re-assertion, which is what makes [`Keeper::release`] free of races.
type Intents = Mutex<BTreeMap<MemberName, Hold>>;

struct Watched {
    instance: Arc<dyn BalancerInstance>,
    intents: Arc<Intents>,
    task: JoinHandle<()>,
}

/// Holds members out. Dropping it stops it at once; [`Keeper::stop`] waits for its end.
pub struct Keeper {
    watched: Vec<Watched>,
    stop: watch::Sender<bool>,
}

impl Keeper {
    /// Starts polling `instances` every `poll`, as long as the mandate holds. Needs a tokio
    /// runtime.
    #[must_use]
    pub fn start(
        instances: Vec<Arc<dyn BalancerInstance>>,
        poll: Duration,
        mandate: &Mandate,
    ) -> (Self, mpsc::Receiver<Report>) {
        let (sender, receiver) = mpsc::channel(REPORTS);
        let (stop, stopped) = watch::channel(false);
        let watched = instances.into_iter().map(|instance| {
            let intents = Arc::new(Mutex::new(BTreeMap::new()));
            let turn = Turn {
                instance: Arc::clone(&instance),
                intents: Arc::clone(&intents),
                mandate: mandate.clone(),
                reports: Reports { sender: sender.clone(), lost: 0 },
                last: None,
                down: false,
                unreadable: BTreeSet::new(),
                failing: BTreeMap::new(),
            };
            let task = tokio::spawn(run(turn, poll, stopped.clone()));
            Watched { instance, intents, task }
        });
        (Self { watched: watched.collect(), stop }, receiver)
    }

    /// From now on the member is to be out on that instance, as its `Before` says
    /// ([`Before::hold_while_out`]). Returns false where no such instance is watched.
    pub async fn hold(&self, before: &Before) -> bool {
        let Some(watched) = self.watched(before) else { return false };
        let mut intents = watched.intents.lock().await;
        intents.insert(before.member.clone(), before.hold_while_out());
        true
    }

    /// Takes the member's intent on that instance away; whether there was one. When this returns,
    /// no re-assertion is under way and none will begin: the intents are locked for as long as one
    /// runs. It can so take as long as the instance's commands (a reading and a change) may.
    pub async fn release(&self, before: &Before) -> bool {
        let Some(watched) = self.watched(before) else { return false };
        watched.intents.lock().await.remove(&before.member).is_some()
    }

    fn watched(&self, before: &Before) -> Option<&Watched> {
        self.watched.iter().find(|watched| watched.instance.name() == before.instance)
    }

    /// Stops all tasks and waits for their end; an intent held until then is no longer held.
    pub async fn stop(mut self) {
        // An error says that every task has ended already.
        let _ended = self.stop.send(true);
        for watched in &mut self.watched {
            // A task that panicked has ended too; its panic was printed.
            drop((&mut watched.task).await);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        for watched in &self.watched {
            watched.task.abort();
        }
    }
}

struct Reports {
    sender: mpsc::Sender<Report>,
    lost: u64,
}

impl Reports {
    fn send(&mut self, event: KeeperEvent) {
        match self.sender.try_send(Report { event, lost_before: self.lost }) {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost = self.lost.saturating_add(1),
        }
    }
}

/// One instance's task.
struct Turn {
    instance: Arc<dyn BalancerInstance>,
    intents: Arc<Intents>,
    mandate: Mandate,
    reports: Reports,
    last: Option<Identity>,
    down: bool,
    unreadable: BTreeSet<MemberName>,
    /// The last failed re-assertion per member: the same failure five times a second is one fact.
    failing: BTreeMap<MemberName, InstanceError>,
}

async fn run(mut turn: Turn, poll: Duration, mut stopped: watch::Receiver<bool>) {
    loop {
        turn.poll_once().await;
        tokio::select! {
            // Stopped, or the keeper is gone.
            _ = stopped.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(poll) => {}
        }
    }
}

impl Turn {
    async fn poll_once(&mut self) {
        if !self.mandate.holds() {
            return;
        }
        let intents = Arc::clone(&self.intents);
        let intents = intents.lock().await;
        self.unreadable.retain(|member| intents.contains_key(member));
        self.failing.retain(|member, _| intents.contains_key(member));
        if intents.is_empty() {
            // Nothing to hold, nothing to look at. That it was silent is known until it answers, or
            // one that is held in between attempts would be told each time.
            self.last = None;
            return;
        }
        let members: Vec<MemberName> = intents.keys().cloned().collect();
        match self.instance.observe(&members).await {
            Ok(observation) => self.compare(&intents, observation).await,
            Err(error) => {
                if !self.down {
                    let instance = self.instance.name().to_owned();
                    self.reports.send(KeeperEvent::InstanceDown { instance, error });
                }
                self.down = true;
            }
        }
    }

    async fn compare(&mut self, intents: &BTreeMap<MemberName, Hold>, observation: Observation) {
        let instance = self.instance.name().to_owned();
        let pid_before = self.last.as_ref().map(|identity| identity.pid);
        let pid_after = observation.identity.as_ref().map(|identity| identity.pid);
        let mut events = Vec::new();
        if self.down {
            let instance = instance.clone();
            events.push(KeeperEvent::InstanceUp { instance, pid_before, pid_after });
        }
        self.down = false;
        self.last = observation.identity.or(self.last.take());
        for (member, answer) in observation.members {
            let Some(wanted) = intents.get(&member) else {
                continue;
            };
            match answer {
                Ok(seen) => {
                    self.unreadable.remove(&member);
                    if seen.held_out() {
                        continue;
                    }
                    // Between the reading and here we may have stood still.
                    if !self.mandate.holds() {
                        continue;
                    }
                    // The drain first, the report after: every millisecond here is traffic.
                    let reasserted = self.instance.hold(&member, *wanted).await;
                    if self.known_failure(&member, &reasserted) {
                        continue;
                    }
                    let instance = instance.clone();
                    let drift = KeeperEvent::Drift {
                        instance,
                        member,
                        seen,
                        pid_before,
                        pid_after,
                        reasserted,
                    };
                    events.push(drift);
                }
                Err(error) if self.unreadable.insert(member.clone()) => {
                    let instance = instance.clone();
                    events.push(KeeperEvent::MemberUnreadable { instance, member, error });
                }
                Err(_) => {}
            }
        }
        for event in events {
            self.reports.send(event);
        }
    }

    /// Whether this is the failure already reported; remembers it if not.
    fn known_failure(&mut self, member: &MemberName, result: &Result<(), InstanceError>) -> bool {
        match result {
            Ok(()) => {
                self.failing.remove(member);
                false
            }
            Err(error) => {
                self.failing.insert(member.clone(), error.clone()).as_ref() == Some(error)
            }
        }
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
