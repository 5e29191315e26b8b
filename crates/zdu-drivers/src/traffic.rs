//! Traffic: reading capacity, draining, certifying, returning, and holding a node out in between,
//! over every instance of every balancer the node is a member of.

mod attempts;
mod sockets;
mod told;
mod weak;

pub use weak::Weak;

use crate::access::Access;
use crate::balancer::certify::{
    AfterDeadline, Certification, CertifyRule, Entry, Evidence as Sides, Left, NodeSockets,
    NotDrained, Sample, SocketRule, Unexplained, certify, kill_sessions, proceed_and_count,
};
use crate::balancer::keeper::{Keeper, KeeperEvent};
use crate::balancer::member::{BalancerInstance, join_all, read_group};
use crate::balancer::serve::{ServeRule, Serving, wait_serving};
use crate::balancer::{Before, BoxFuture, MemberName};
use crate::instance::connect;
use crate::mandate::Mandate;
use attempts::{Everywhere, Way, Words};
pub(crate) use sockets::Ahead;
use sockets::Sockets;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use told::{addresses, before_of, gap_text, left_text, name_of, told, told_in_order};
use weak::Asked;
use zdu_model::fleet::{Fleet, Group, Member, Node};
use zdu_model::ids::{BalancerName, NodeName};
use zdu_model::plan::Plan;
use zdu_model::policy::DrainExpiry;
use zdu_model::report::{DrainEvidence, End, Evidence, InstanceReading, Report};
use zdu_model::time::Millis;

/// How often a held drain is looked at: design asks for a re-drain within a second.
const KEEP_INTERVAL: Duration = Duration::from_millis(200);

/// How often instances are asked whether they show a returned member serving.
const SERVING_INTERVAL: Duration = Duration::from_millis(100);

/// How long the certificate may take once sessions were cut.
const AFTER_CUT: Duration = Duration::from_secs(5);

type Instances = Vec<Arc<dyn BalancerInstance>>;

/// A keeper's event with the balancer it is about.
pub(crate) type Kept = (BalancerName, KeeperEvent);

pub(crate) struct Traffic {
    plan: Arc<Plan>,
    access: Arc<Access>,
    balancers: BTreeMap<BalancerName, Instances>,
    keepers: BTreeMap<BalancerName, Keeper>,
    /// What the guard saw before each node was taken out.
    befores: Mutex<BTreeMap<NodeName, BTreeMap<BalancerName, Vec<Before>>>>,
    /// Nodes we took out, until every instance took them back.
    held: Mutex<BTreeSet<NodeName>>,
    /// Addresses the balancers reach the nodes from.
    addresses: BTreeSet<IpAddr>,
    mandate: Mandate,
}

/// Reads the state of members, and what their balancers' configurations lose requests by; used by
/// preflight, which holds nothing.
pub async fn read_members(
    fleet: &Fleet,
    soak: Millis,
    access: &Arc<Access>,
    directory: &Path,
) -> (Vec<InstanceReading>, Vec<Weak>) {
    let nodes: Vec<&Node> = fleet.nodes().collect();
    let mut readings = Vec::new();
    let mut weak = Vec::new();
    for (name, balancer) in &fleet.balancers {
        let instances: Instances =
            balancer.instances.iter().map(|i| connect(balancer, i, access, directory)).collect();
        let read = read_balancer(name, &instances, &nodes).await;
        let members: Vec<MemberName> = nodes
            .iter()
            .flat_map(|node| node.members.iter().filter(|member| member.balancer == *name))
            .map(name_of)
            .collect();
        let answering = balancer.instances.iter().zip(&instances).zip(&read);
        let answering = answering.filter(|(_, reading)| reading.error.is_none());
        let looks = answering.map(|((declared, instance), _)| -> BoxFuture<'_, Vec<Weak>> {
            let asked = Asked { balancer: name, declared, members: &members, soak };
            Box::pin(weak::look(asked, instance.as_ref(), access))
        });
        weak.extend(join_all(looks.collect()).await.into_iter().flatten());
        readings.extend(read);
    }
    (readings, weak)
}

async fn read_balancer(
    balancer: &BalancerName,
    instances: &Instances,
    nodes: &[&Node],
) -> Vec<InstanceReading> {
    let of = |node: &Node| {
        let members = node.members.iter().filter(|m| m.balancer == *balancer).cloned();
        members.map(|member| (node.name.clone(), member)).collect::<Vec<_>>()
    };
    let owned: Vec<(NodeName, Member)> = nodes.iter().flat_map(|node| of(node)).collect();
    if owned.is_empty() {
        return Vec::new();
    }
    let names: Vec<MemberName> = owned.iter().map(|(_, member)| name_of(member)).collect();
    let readings = read_group(instances, &names).await;
    readings.into_iter().map(|reading| told(balancer, reading, &owned)).collect()
}

impl Traffic {
    pub(crate) fn new(
        plan: Arc<Plan>,
        access: Arc<Access>,
        directory: &Path,
        kept: &mpsc::Sender<Kept>,
        mandate: &Mandate,
    ) -> Self {
        let mut balancers = BTreeMap::new();
        let mut keepers = BTreeMap::new();
        for (name, balancer) in &plan.fleet.balancers {
            let instances: Instances = balancer
                .instances
                .iter()
                .map(|i| connect(balancer, i, &access, directory))
                .collect();
            let (keeper, mut reports) = Keeper::start(instances.clone(), KEEP_INTERVAL, mandate);
            let (kept, of) = (kept.clone(), name.clone());
            tokio::spawn(async move {
                while let Some(report) = reports.recv().await {
                    if kept.send((of.clone(), report.event)).await.is_err() {
                        return;
                    }
                }
            });
            balancers.insert(name.clone(), instances);
            keepers.insert(name.clone(), keeper);
        }
        let addresses = addresses(&plan.fleet);
        let befores = Mutex::new(BTreeMap::new());
        let held = Mutex::new(BTreeSet::new());
        let mandate = mandate.clone();
        Self { plan, access, balancers, keepers, befores, held, addresses, mandate }
    }

    fn node(&self, name: &NodeName) -> Option<&Node> {
        self.plan.fleet.node(name)
    }

    /// The guard: every member of the group on every instance of the group's balancers.
    pub(crate) async fn guard(&self, group: &Group, node: &NodeName) -> Report {
        let mut readings = Vec::new();
        let nodes: Vec<&Node> = group.nodes.iter().collect();
        for (name, instances) in &self.balancers {
            readings.extend(read_balancer(name, instances, &nodes).await);
        }
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).contains(node);
        if !held {
            // While the node is out by our hand, what is read of it is our own drain.
            self.remember(node, &readings);
        }
        Report::with(End::Done, Evidence::Balancers(readings))
    }

    /// Keeps what a guard saw of a node; at a resume the reading comes from the journal.
    pub(crate) fn remember(&self, node: &NodeName, readings: &[InstanceReading]) {
        let mut befores: BTreeMap<BalancerName, Vec<Before>> = BTreeMap::new();
        for reading in readings {
            for member in reading.members.iter().filter(|member| member.node == *node) {
                let before = before_of(&reading.instance, member);
                befores.entry(reading.balancer.clone()).or_default().push(before);
            }
        }
        let mut known = self.befores.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(node.clone(), befores);
    }

    /// The node was taken out and not returned: what is read of it from now on is our own drain.
    /// Whether that is news.
    pub(crate) fn stands_out(&self, node: &NodeName) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(node.clone())
    }

    /// The node is out no longer, or never was.
    fn stands_in(&self, node: &NodeName) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
    }

    fn befores(&self, node: &NodeName) -> BTreeMap<BalancerName, Vec<Before>> {
        let known = self.befores.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(node).cloned().unwrap_or_default()
    }

    /// From now on the node is held out.
    pub(crate) async fn keep_out(&self, node: &NodeName) {
        self.stands_out(node);
        for (balancer, befores) in self.befores(node) {
            if let Some(keeper) = self.keepers.get(&balancer) {
                for before in &befores {
                    let _watched = keeper.hold(before).await;
                }
            }
        }
    }

    /// Takes the node out of new traffic everywhere; an instance that does not take it is asked
    /// again until the deadline. What took it is held from then on, and nothing else: to hold out
    /// is to drain, and a drain goes by a reading of its group (law 1).
    pub(crate) async fn drain(
        &self,
        node: &NodeName,
        deadline: Duration,
        words: Words<'_>,
    ) -> Report {
        let befores = self.befores(node);
        if befores.is_empty() {
            return Report::bare(End::Refused("no guard has read this node's members".into()));
        }
        let newly = self.stands_out(node);
        let report = self.everywhere().set(Way::Out, &befores, deadline, words).await;
        if newly && matches!(report.end, End::Never) {
            self.stands_in(node);
        }
        report
    }

    /// Puts the node's members back to what the guard saw.
    pub(crate) async fn undrain(
        &self,
        node: &NodeName,
        deadline: Duration,
        words: Words<'_>,
    ) -> Report {
        let (may_begin, _) = words;
        if !may_begin() {
            return Report::bare(End::Never);
        }
        let befores = self.befores(node);
        if befores.is_empty() {
            return Report::bare(End::Refused("no guard has read this node's members".into()));
        }
        let report = self.everywhere().set(Way::Back, &befores, deadline, words).await;
        if matches!(report.end, End::Done) {
            self.stands_in(node);
        }
        report
    }

    fn everywhere(&self) -> Everywhere<'_> {
        let Self { balancers, keepers, mandate, .. } = self;
        Everywhere { balancers, keepers, mandate }
    }

    /// Waits until every instance shows the node as it was before.
    pub(crate) async fn serving(
        &self,
        node: &NodeName,
        deadline: Duration,
        waiting: &(dyn Fn(&str) + Send + Sync),
    ) -> Report {
        for (balancer, befores) in self.befores(node) {
            let Some(instances) = self.balancers.get(&balancer) else { continue };
            let rule = ServeRule { interval: SERVING_INTERVAL, deadline };
            let mut tell = |gaps: &[crate::balancer::serve::WaitingOn]| {
                if let Some(gap) = gaps.first() {
                    waiting(&gap_text(gap));
                }
            };
            match wait_serving(instances, &befores, rule, &mut tell).await {
                Serving::All(_) => {}
                Serving::NotYet(gaps) => {
                    let gaps: Vec<_> = gaps.iter().map(gap_text).collect();
                    return Report::bare(End::NotMet(gaps.join("; ")));
                }
            }
        }
        let readings = self.read_node(node).await;
        Report::with(End::Done, Evidence::Balancers(readings))
    }

    async fn read_node(&self, node: &NodeName) -> Vec<InstanceReading> {
        let mut readings = Vec::new();
        if let Some(node) = self.node(node) {
            for (name, instances) in &self.balancers {
                readings.extend(read_balancer(name, instances, &[node]).await);
            }
        }
        readings
    }

    /// Waits for the drain certificate, or does what the policy says about its deadline.
    pub(crate) async fn certify(
        &self,
        name: &NodeName,
        deadline: Duration,
        waiting: &(dyn Fn(&str) + Send + Sync),
        ahead: Option<Ahead>,
    ) -> Report {
        let Some(node) = self.node(name) else {
            return Report::bare(End::Refused(format!("{name} is no node of this fleet")));
        };
        let members: BTreeMap<&BalancerName, Vec<MemberName>> = self.members_of(node);
        let entries: Vec<Entry<'_>> = members
            .iter()
            .filter_map(|(balancer, members)| {
                let instances = self.balancers.get(*balancer)?;
                Some(Entry { instances, members })
            })
            .collect();
        let sampler = Sockets::new(&self.access, node, ahead);
        let rule = SocketRule {
            balancers: self.addresses.clone(),
            exempt: BTreeSet::new(),
            unexplained: Unexplained::Refuse,
        };
        let sockets =
            (!node.service_ports.is_empty()).then_some((&sampler as &dyn NodeSockets, &rule));
        let sides = Sides { entries: &entries, sockets };
        let policy = &self.plan.policy;
        let rule = |deadline| CertifyRule {
            consecutive: policy.certify.samples,
            interval: Duration::from_millis(policy.certify.interval.0),
            deadline,
        };
        let mut tell = |sample: &Sample| {
            if let Some(left) = sample.left.first() {
                waiting(&left_text(left));
            }
        };
        let began = tokio::time::Instant::now();
        let missed = match certify(sides, rule(deadline), &mut tell).await {
            Certification::Drained(certificate) => {
                let last = certificate.samples.last();
                return self.certificate(node, last, rule(deadline).consecutive, began, (0, 0));
            }
            Certification::NotDrained(missed) => *missed,
        };
        match policy.on_drain_deadline {
            DrainExpiry::Fail => self.refused(node, &missed, began),
            DrainExpiry::Proceed => self.proceeded(node, missed, began),
            DrainExpiry::Kill if !self.mandate.holds() => {
                Report::bare(End::NotMet(attempts::NO_MANDATE.into()))
            }
            DrainExpiry::Kill => match kill_sessions(sides, rule(AFTER_CUT), &mut tell).await {
                AfterDeadline::Cut { cuts, after } => self.cut(node, cuts, after, began),
                AfterDeadline::Failed(missed) => self.refused(node, &missed, began),
                AfterDeadline::Proceeded { .. } => self.refused(node, &missed, began),
            },
        }
    }

    fn members_of<'n>(&self, node: &'n Node) -> BTreeMap<&'n BalancerName, Vec<MemberName>> {
        let mut members: BTreeMap<&BalancerName, Vec<MemberName>> = BTreeMap::new();
        for member in &node.members {
            members.entry(&member.balancer).or_default().push(name_of(member));
        }
        members
    }

    fn certificate(
        &self,
        node: &Node,
        last: Option<&Sample>,
        quiet_samples: u32,
        began: tokio::time::Instant,
        (cut, left): (u64, u64),
    ) -> Report {
        let evidence = self.evidence(node, last, quiet_samples, began, (cut, left));
        Report::with(End::Done, Evidence::Drain(evidence))
    }

    fn evidence(
        &self,
        node: &Node,
        last: Option<&Sample>,
        quiet_samples: u32,
        began: tokio::time::Instant,
        (cut, left): (u64, u64),
    ) -> DrainEvidence {
        let owned: Vec<_> =
            node.members.iter().map(|member| (node.name.clone(), member.clone())).collect();
        let sockets = last.and_then(|sample| sample.sockets.as_ref()?.as_ref().ok());
        let readings = last.map(|sample| sample.instances.clone()).unwrap_or_default();
        // The entries of the certificate, in the order `certify` gave them.
        let members = self.members_of(node);
        let asked = members
            .keys()
            .filter_map(|balancer| Some((*balancer, self.balancers.get(*balancer)?.len())));
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        DrainEvidence {
            instances: told_in_order(asked, readings, &owned),
            node_connections: sockets
                .map(|sockets| sockets.foreign.values().sum::<u64>() + sockets.unexplained()),
            quiet_samples,
            took: Millis(took),
            cut,
            left,
        }
    }

    fn refused(&self, node: &Node, missed: &NotDrained, began: tokio::time::Instant) -> Report {
        let evidence = self.evidence(node, Some(&missed.last), 0, began, (0, 0));
        let left: Vec<_> = missed.last.left.iter().map(left_text).collect();
        let end = End::NotMet(format!("not drained: {}", left.join("; ")));
        Report::with(end, Evidence::Drain(evidence))
    }

    /// Policy `proceed`: only what is counted may be left; what could not be read is no proof.
    fn proceeded(&self, node: &Node, missed: NotDrained, began: tokio::time::Instant) -> Report {
        let counted = |left: &Left| {
            matches!(left, Left::Sessions { .. } | Left::Foreign(_) | Left::UnexplainedSockets(_))
        };
        if !missed.last.left.iter().all(counted) {
            return self.refused(node, &missed, began);
        }
        match proceed_and_count(missed) {
            AfterDeadline::Proceeded { sessions, queued, sockets, left } => {
                let count = (sessions + queued).max(sockets);
                self.certificate(node, Some(&left.last), 0, began, (0, count))
            }
            AfterDeadline::Failed(missed) => self.refused(node, &missed, began),
            AfterDeadline::Cut { cuts, after } => self.cut(node, cuts, after, began),
        }
    }

    fn cut(
        &self,
        node: &Node,
        cuts: Vec<Result<crate::balancer::Cut, impl Sized>>,
        after: Certification,
        began: tokio::time::Instant,
    ) -> Report {
        let cut = cuts.into_iter().flatten().map(|cut| cut.sessions).sum();
        match after {
            Certification::Drained(certificate) => {
                let samples = u32::try_from(certificate.samples.len()).unwrap_or(u32::MAX);
                self.certificate(node, certificate.samples.last(), samples, began, (cut, 0))
            }
            Certification::NotDrained(missed) => {
                let mut report = self.refused(node, &missed, began);
                if let Evidence::Drain(evidence) = &mut report.evidence {
                    evidence.cut = cut;
                }
                report
            }
        }
    }

    /// The node a keeper's member belongs to.
    pub(crate) fn owner(
        &self,
        balancer: &BalancerName,
        name: &MemberName,
    ) -> Option<(NodeName, Member)> {
        let wanted = Member {
            balancer: balancer.clone(),
            backend: name.backend.clone(),
            server: name.server.clone(),
        };
        let node = self.plan.fleet.nodes().find(|node| node.members.contains(&wanted))?;
        Some((node.name.clone(), wanted))
    }

    pub(crate) async fn stop(self) {
        for keeper in self.keepers.into_values() {
            keeper.stop().await;
        }
    }
}
