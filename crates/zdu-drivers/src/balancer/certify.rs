//! The drain certificate: evidence from every balancer instance and from the node's own sockets
//! that members carry no traffic, and what to do at the deadline where there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::member::{BalancerInstance, InstanceReading, Instances, join_all, read_group};
use super::{BoxFuture, Cut, Identity, InstanceError, MemberName};

/// While nothing is clean yet, the pause between looks grows to this part of the time waited...
const PATIENCE: u32 = 32;
/// ...and to no more than this.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// How long and how often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertifyRule {
    /// Clean samples in a row that make a certificate; at least one is taken. One is too few: a
    /// request can be between the balancer's accept and its counter.
    pub consecutive: u32,
    /// From the beginning of one clean sample to that of the next; one that takes longer is
    /// followed at once.
    pub interval: Duration,
    /// When to give up.
    pub deadline: Duration,
}

/// Established connections to the node's service ports from one address.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PeerCount {
    /// Where they come from.
    pub peer: IpAddr,
    /// How many.
    pub established: u64,
}

/// The node's side of the evidence, supplied by the caller (for example `ss` over SSH).
pub trait NodeSockets: Send + Sync {
    /// Counts now; the error is a sentence for people. Must end within a deadline of its own.
    fn sample(&self) -> BoxFuture<'_, Result<Vec<PeerCount>, String>>;
}

/// What to think of a connection from a balancer that none of its counters explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unexplained {
    /// It may be a request in an old worker: no certificate while it lives.
    Refuse,
    /// Known to be idle, for example because the backend has `http-reuse never`.
    Accept,
}

/// Which of the node's connections may be left on a drained node.
///
/// A balancer keeps idle connections in a pool after a drain (measured: one left with `scur` 0), so
/// "no connections" would never come; "any number from the balancer" would pass a request that runs
/// in the old worker of a reloaded HAProxy, which the new process does not count (measured: `scur`
/// 0, pool 0, and one connection with a request on it). Hence:
///
/// * from an address that is no balancer's: traffic that goes round the balancer; never drained;
/// * from balancers: at most as many as all instances together have in their pools, and one more
///   for each health check under way, are idle;
/// * beyond that they are *unexplained*. There are two kinds that look the same from outside: a
///   request in an old worker, and a connection kept for one idle client (`http-reuse never`:
///   measured, no counter has it). Refused unless the operator says which it is.
///
/// Pools and sockets are read at once and in no order, so one sample can be off by a connection
/// that opens or closes between; the samples in a row make up for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketRule {
    /// Addresses from which the balancers reach the node.
    pub balancers: BTreeSet<IpAddr>,
    /// Addresses whose connections do not count, such as monitoring or the controller.
    pub exempt: BTreeSet<IpAddr>,
    /// What to think of unexplained connections.
    pub unexplained: Unexplained,
}

/// The node's sockets in one sample, sorted by the rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SocketReading {
    /// From no balancer and not exempt, by address.
    pub foreign: BTreeMap<IpAddr, u64>,
    /// From balancers.
    pub from_balancers: u64,
    /// Pooled connections and checks under way that the instances count; `None` where one of them
    /// has no such counter, so that nothing from a balancer is explained.
    pub explained: Option<u64>,
}

impl SocketReading {
    /// Connections from balancers that nothing explains.
    #[must_use]
    pub fn unexplained(&self) -> u64 {
        self.from_balancers.saturating_sub(self.explained.unwrap_or(0))
    }
}

/// One thing that keeps a node from being drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// An instance does not hold the member out.
    NotHeldOut(String, MemberName),
    /// Live sessions and queued requests on an instance.
    Sessions {
        /// Name of the instance.
        instance: String,
        /// The member.
        member: MemberName,
        /// Live sessions.
        sessions: u64,
        /// Queued requests.
        queued: u64,
    },
    /// The instance cannot count sessions, and there are no node sockets to ask instead.
    Uncounted(String, MemberName),
    /// An instance, or a member on it, could not be read.
    Unreadable(String, InstanceError),
    /// Connections from addresses that are no balancer's.
    Foreign(BTreeMap<IpAddr, u64>),
    /// Connections from balancers that no pool explains.
    UnexplainedSockets(u64),
    /// The node's sockets could not be counted.
    SocketsUnreadable(String),
    /// No instances or no members were given: nothing was looked at, so nothing is proved.
    NothingLookedAt,
}

/// One look from all sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds since the start of the certification.
    pub at_ms: u64,
    /// Every instance's part: entry by entry, and in each in the order of its instances.
    pub instances: Vec<InstanceReading>,
    /// The node's part, if there is a sampler.
    pub sockets: Option<Result<SocketReading, String>>,
    /// What is left; empty is clean.
    pub left: Vec<Left>,
    /// Clean samples in a row, with this one.
    pub clean_in_row: u32,
}

/// Evidence that members carried no traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The clean samples in a row, oldest first.
    pub samples: Vec<Sample>,
    /// Whether the node's sockets were part of it.
    pub with_node_sockets: bool,
    /// Start, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// End, milliseconds since 1970.
    pub ended_unix_ms: u64,
}

/// What was left at the deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDrained {
    /// The last sample.
    pub last: Sample,
    /// Start, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// End, milliseconds since 1970.
    pub ended_unix_ms: u64,
}

/// How a certification ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certification {
    /// With a certificate.
    Drained(Box<Certificate>),
    /// At the deadline.
    NotDrained(Box<NotDrained>),
}

/// The node's entries in one balancer.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Every instance of the balancer.
    pub instances: &'a Instances,
    /// The node's members in it; each must be known to every instance.
    pub members: &'a [MemberName],
}

/// What to look at.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// Every balancer the node is a member of. All in one certification, because the node's sockets
    /// are explained only by the pools of all balancers together.
    pub entries: &'a [Entry<'a>],
    /// The node's own sockets, and how to judge them.
    pub sockets: Option<(&'a dyn NodeSockets, &'a SocketRule)>,
}

/// Looks until `rule.consecutive` clean samples in a row, all from the same processes, or until the
/// deadline. `progress` sees every sample.
pub async fn certify(
    evidence: Evidence<'_>,
    rule: CertifyRule,
    progress: &mut (dyn FnMut(&Sample) + Send),
) -> Certification {
    let begun = Instant::now();
    let started_unix_ms = unix_ms();
    let wanted = rule.consecutive.max(1);
    let mut clean: Vec<Sample> = Vec::new();
    loop {
        let began = Instant::now();
        let mut sample = take_sample(evidence, begun).await;
        let continues = clean.last().is_none_or(|last| same_processes(last, &sample));
        if !sample.left.is_empty() || !continues {
            clean.clear();
        }
        if sample.left.is_empty() {
            sample.clean_in_row = u32::try_from(clean.len()).unwrap_or(u32::MAX).saturating_add(1);
            clean.push(sample.clone());
        }
        progress(&sample);
        if sample.clean_in_row >= wanted {
            return Certification::Drained(Box::new(Certificate {
                samples: clean,
                with_node_sockets: evidence.sockets.is_some(),
                started_unix_ms,
                ended_unix_ms: unix_ms(),
            }));
        }
        let waited = if clean.is_empty() { begun.elapsed() } else { Duration::ZERO };
        let next = began + pause(rule.interval, waited);
        if next.max(Instant::now()) > begun + rule.deadline {
            let ended_unix_ms = unix_ms();
            let missed = NotDrained { last: sample, started_unix_ms, ended_unix_ms };
            return Certification::NotDrained(Box::new(missed));
        }
        tokio::time::sleep_until(next).await;
    }
}

/// Who drains for long can wait a little longer to be seen drained, and is spared the looks: each
/// is a process on the node and a connection to every instance.
fn pause(interval: Duration, waited: Duration) -> Duration {
    interval.max((waited / PATIENCE).min(PAUSE_MAX))
}

async fn take_sample(evidence: Evidence<'_>, begun: Instant) -> Sample {
    let reads = evidence.entries.iter().map(|entry| -> BoxFuture<'_, Vec<InstanceReading>> {
        Box::pin(read_group(entry.instances, entry.members))
    });
    let count = async {
        match evidence.sockets {
            Some((sampler, rule)) => Some((sampler.sample().await, rule)),
            None => None,
        }
    };
    let (instances, counted) = tokio::join!(join_all(reads.collect()), count);
    let instances: Vec<_> = instances.into_iter().flatten().collect();
    let sockets = counted.map(|(counts, rule)| {
        (counts.map(|counts| sort_sockets(&counts, rule, explained(&instances))), rule)
    });
    let mut left = instances_left(&instances, sockets.is_some());
    let empty = |entry: &Entry<'_>| entry.instances.is_empty() || entry.members.is_empty();
    if evidence.entries.is_empty() || evidence.entries.iter().any(empty) {
        left.push(Left::NothingLookedAt);
    }
    if let Some((reading, rule)) = &sockets {
        left.extend(sockets_left(reading, rule));
    }
    Sample {
        at_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        instances,
        sockets: sockets.map(|(reading, _)| reading),
        left,
        clean_in_row: 0,
    }
}

/// Connections the instances account for by pools and by checks under way.
fn explained(instances: &[InstanceReading]) -> Option<u64> {
    let mut sum: u64 = 0;
    for instance in instances {
        // An instance that cannot be read spoils the sample by itself.
        let Ok(observation) = &instance.result else {
            continue;
        };
        for (_, reading) in &observation.members {
            let Ok(reading) = reading else { continue };
            sum = sum.saturating_add(reading.idle?).saturating_add(u64::from(reading.checking));
        }
    }
    Some(sum)
}

fn sort_sockets(counts: &[PeerCount], rule: &SocketRule, explained: Option<u64>) -> SocketReading {
    let mut sorted = SocketReading { foreign: BTreeMap::new(), from_balancers: 0, explained };
    for count in counts {
        // `::ffff:10.0.0.1` is how a dual-stack listener shows 10.0.0.1.
        let peer = count.peer.to_canonical();
        if rule.exempt.contains(&peer) || count.established == 0 {
            continue;
        }
        if rule.balancers.contains(&peer) {
            sorted.from_balancers = sorted.from_balancers.saturating_add(count.established);
        } else {
            let entry = sorted.foreign.entry(peer).or_insert(0);
            *entry = entry.saturating_add(count.established);
        }
    }
    sorted
}

fn instances_left(instances: &[InstanceReading], have_sockets: bool) -> Vec<Left> {
    let mut left = Vec::new();
    for InstanceReading { instance, result } in instances {
        let observation = match result {
            Ok(observation) => observation,
            Err(error) => {
                left.push(Left::Unreadable(instance.clone(), error.clone()));
                continue;
            }
        };
        for (member, reading) in &observation.members {
            let reading = match reading {
                Ok(reading) => reading,
                Err(error) => {
                    left.push(Left::Unreadable(instance.clone(), error.clone()));
                    continue;
                }
            };
            if !reading.held_out() {
                left.push(Left::NotHeldOut(instance.clone(), member.clone()));
            }
            let (sessions, queued) = (reading.sessions.unwrap_or(0), reading.queued.unwrap_or(0));
            if sessions > 0 || queued > 0 {
                let (instance, member) = (instance.clone(), member.clone());
                left.push(Left::Sessions { instance, member, sessions, queued });
            } else if reading.sessions.is_none() && !have_sockets {
                left.push(Left::Uncounted(instance.clone(), member.clone()));
            }
        }
    }
    left
}

fn sockets_left(reading: &Result<SocketReading, String>, rule: &SocketRule) -> Vec<Left> {
    let sockets = match reading {
        Ok(sockets) => sockets,
        Err(error) => return vec![Left::SocketsUnreadable(error.clone())],
    };
    let mut left = Vec::new();
    if !sockets.foreign.is_empty() {
        left.push(Left::Foreign(sockets.foreign.clone()));
    }
    match rule.unexplained {
        Unexplained::Refuse if sockets.unexplained() > 0 => {
            left.push(Left::UnexplainedSockets(sockets.unexplained()));
        }
        Unexplained::Refuse | Unexplained::Accept => {}
    }
    left
}

fn same_processes(one: &Sample, other: &Sample) -> bool {
    let identity = |reading: &InstanceReading| -> Option<Identity> {
        reading.result.as_ref().ok().and_then(|observation| observation.identity.clone())
    };
    one.instances.iter().zip(&other.instances).all(|(a, b)| match (identity(a), identity(b)) {
        (Some(a), Some(b)) => a.same_process(&b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    })
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What a deadline's policy made of a missing certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterDeadline {
    /// The step fails; the members stay out until the caller undoes the drain.
    Failed(Box<NotDrained>),
    /// The rollout goes on over what is left; counted, so that the report can say what it cost.
    Proceeded {
        /// Live sessions left, over all instances.
        sessions: u64,
        /// Queued requests left, over all instances.
        queued: u64,
        /// Connections on the node that are not idle ones of a balancer.
        sockets: u64,
        /// All that was left.
        left: Box<NotDrained>,
    },
    /// Sessions were cut; the certification afterwards says whether that was enough.
    Cut {
        /// What was cut, per instance and member, or why not.
        cuts: Vec<Result<Cut, (String, MemberName, InstanceError)>>,
        /// The certification after the cut.
        after: Certification,
    },
}

/// Policy `fail`.
#[must_use]
pub fn fail(missed: NotDrained) -> AfterDeadline {
    AfterDeadline::Failed(Box::new(missed))
}

/// Policy `proceed and count`.
#[must_use]
pub fn proceed_and_count(missed: NotDrained) -> AfterDeadline {
    let (mut all_sessions, mut all_queued, mut sockets) = (0_u64, 0_u64, 0_u64);
    for left in &missed.last.left {
        match left {
            Left::Sessions { instance: _, member: _, sessions, queued } => {
                all_sessions = all_sessions.saturating_add(*sessions);
                all_queued = all_queued.saturating_add(*queued);
            }
            Left::Foreign(counts) => sockets = sockets.saturating_add(counts.values().sum()),
            Left::UnexplainedSockets(count) => sockets = sockets.saturating_add(*count),
            Left::NotHeldOut(..)
            | Left::Uncounted(..)
            | Left::Unreadable(..)
            | Left::SocketsUnreadable(_)
            | Left::NothingLookedAt => {}
        }
    }
    let left = Box::new(missed);
    AfterDeadline::Proceeded { sessions: all_sessions, queued: all_queued, sockets, left }
}

/// Policy `kill sessions`: cuts on every instance, counts, and certifies again under `rule` (give
/// it a short deadline). A request in an old worker cannot be cut this way; the sockets still show
/// it.
pub async fn kill_sessions(
    evidence: Evidence<'_>,
    rule: CertifyRule,
    progress: &mut (dyn FnMut(&Sample) + Send),
) -> AfterDeadline {
    let cuts = evidence.entries.iter().flat_map(|entry| {
        entry.instances.iter().flat_map(|instance| {
            entry.members.iter().map(move |member| cut(instance.as_ref(), member))
        })
    });
    let cuts = join_all(cuts.collect()).await;
    let after = certify(evidence, rule, progress).await;
    AfterDeadline::Cut { cuts, after }
}

fn cut<'a>(
    instance: &'a dyn BalancerInstance,
    member: &'a MemberName,
) -> BoxFuture<'a, Result<Cut, (String, MemberName, InstanceError)>> {
    Box::pin(async move {
        let cut = instance.kill_sessions(member).await;
        cut.map_err(|error| (instance.name().to_owned(), member.clone(), error))
    })
}

#[cfg(test)]
#[path = "certify_tests.rs"]
mod tests;
