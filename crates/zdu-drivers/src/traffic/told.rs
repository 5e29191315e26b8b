//! What drivers say in the words of the model, and in sentences for people who wait.

use super::Instances;
use crate::balancer::certify::Left;
use crate::balancer::member::{self, MemberState as Seen};
use crate::balancer::serve::{ServeGap, WaitingOn};
use crate::balancer::{Before, FoundWeight, Hold, InstanceError, MemberName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs as _};
use zdu_model::fleet::{Fleet, Instance, Member, Reach, Socket};
use zdu_model::ids::{BalancerName, InstanceName, NodeName};
use zdu_model::report::{Held, InstanceReading, MemberReading, MemberState};

/// Where the balancers' own connections come from: the hosts their instances run on.
pub(super) fn addresses(fleet: &Fleet) -> BTreeSet<IpAddr> {
    let host_of = |instance: &Instance| -> Vec<String> {
        let via = instance.via.as_ref().and_then(|via| {
            let reach = fleet.hosts.get(via).or_else(|| fleet.node(via).map(|node| &node.reach));
            match reach {
                Some(Reach::Ssh { host, .. }) => Some(host.clone()),
                Some(Reach::Local) | None => None,
            }
        });
        let tcp = match &instance.socket {
            Some(Socket::Tcp(address)) => address.rsplit_once(':').map(|(host, _)| host.to_owned()),
            Some(Socket::Unix(_)) | None => None,
        };
        let local = instance.via.is_none() && !matches!(instance.socket, Some(Socket::Tcp(_)));
        let loopback = local.then(|| "127.0.0.1".to_owned());
        via.into_iter().chain(tcp).chain(loopback).collect()
    };
    let instances = fleet.balancers.values().flat_map(|balancer| &balancer.instances);
    let resolve = |host: String| {
        let host = host.trim_matches(['[', ']']).to_owned();
        (host, 0).to_socket_addrs().map(|found| found.map(|a| a.ip()).collect::<Vec<_>>())
    };
    instances.flat_map(host_of).filter_map(|host| resolve(host).ok()).flatten().collect()
}

pub(super) fn name_of(member: &Member) -> MemberName {
    MemberName::new(member.backend.clone(), member.server.clone())
}

pub(super) fn before_of(instance: &InstanceName, reading: &MemberReading) -> Before {
    Before {
        instance: instance.to_string(),
        member: name_of(&reading.member),
        hold: match reading.held {
            Held::Ready => Hold::Ready,
            Held::Drain => Hold::Drain,
            Held::Maint => Hold::Maint,
        },
        weight: reading.weight.map(|(current, initial)| FoundWeight { current, initial }),
        identity: None,
        findings: Vec::new(),
    }
}

pub(super) fn told_by_name(
    balancers: &BTreeMap<BalancerName, Instances>,
    reading: member::InstanceReading,
    owned: &[(NodeName, Member)],
) -> InstanceReading {
    let has = |instances: &Instances| instances.iter().any(|i| i.name() == reading.instance);
    let balancer = balancers.iter().find(|(_, instances)| has(instances));
    match balancer.or_else(|| balancers.iter().next()) {
        Some((balancer, _)) => told(balancer, reading, owned),
        None => unreachable!("a reading comes from an instance of some balancer"),
    }
}

/// A driver's reading in the words of the model.
pub(super) fn told(
    balancer: &BalancerName,
    reading: member::InstanceReading,
    owned: &[(NodeName, Member)],
) -> InstanceReading {
    let instance = InstanceName::new(reading.instance.clone());
    let instance = instance.expect("instances are named from the fleet, which checked the names");
    let (error, members) = match reading.result {
        Err(error) => (Some(error.to_string()), Vec::new()),
        Ok(observation) => (None, observation.members),
    };
    let find = |name: &MemberName| {
        owned.iter().find(|(_, member)| member.balancer == *balancer && name_of(member) == *name)
    };
    let members = members.into_iter().filter_map(|(name, seen)| {
        let (node, member) = find(&name)?;
        Some(told_member(node, member, seen))
    });
    InstanceReading { balancer: balancer.clone(), instance, error, members: members.collect() }
}

fn told_member(
    node: &NodeName,
    member: &Member,
    seen: Result<member::MemberReading, InstanceError>,
) -> MemberReading {
    let absent = MemberReading {
        node: node.clone(),
        member: member.clone(),
        state: MemberState::Absent,
        held: Held::Ready,
        sessions: None,
        queued: None,
        weight: None,
        detail: String::new(),
    };
    match seen {
        Err(error) => MemberReading { detail: error.to_string(), ..absent },
        Ok(seen) => MemberReading {
            state: match seen.state {
                Seen::Serving | Seen::Unchecked => MemberState::Serving,
                Seen::ZeroWeight => MemberState::ZeroWeight,
                Seen::Draining | Seen::Stopping => MemberState::Draining,
                Seen::Out => MemberState::Maintenance,
                Seen::Down | Seen::Unsettled => MemberState::Down,
                Seen::Unknown => MemberState::Unclear,
            },
            held: match seen.hold {
                Hold::Ready => Held::Ready,
                Hold::Drain => Held::Drain,
                Hold::Maint => Held::Maint,
            },
            sessions: seen.sessions,
            queued: seen.queued,
            weight: seen.weight.map(|weight| (weight.current, weight.initial)),
            detail: seen.detail,
            ..absent
        },
    }
}

pub(super) fn left_text(left: &Left) -> String {
    match left {
        Left::NotHeldOut(instance, member) => format!("{instance} has {member} in rotation"),
        Left::Sessions { instance, member, sessions, queued } => {
            format!("{sessions} sessions and {queued} queued on {member} at {instance}")
        }
        Left::Uncounted(instance, member) => {
            format!("{instance} cannot count the sessions of {member}")
        }
        Left::Unreadable(instance, error) => format!("{instance} cannot be read: {error}"),
        Left::Foreign(peers) => {
            let peers: Vec<_> =
                peers.iter().map(|(peer, count)| format!("{count} from {peer}")).collect();
            format!("connections that come through no balancer: {}", peers.join(", "))
        }
        Left::UnexplainedSockets(count) => {
            format!("{count} connections from a balancer that it does not count as idle")
        }
        Left::SocketsUnreadable(why) => format!("the node's sockets cannot be read: {why}"),
        Left::NothingLookedAt => "nothing was looked at".into(),
    }
}

pub(super) fn gap_text(gap: &WaitingOn) -> String {
    let what = match &gap.gap {
        ServeGap::Unreadable(error) => error.to_string(),
        ServeGap::HeldOut(hold) => format!("held by command: {hold:?}"),
        ServeGap::NotUp(_, words) => format!("not up: {words}"),
        ServeGap::CheckNotPassed(words) => format!("its check has not passed: {words}"),
        ServeGap::Weight(now, wanted) => format!("its weight is {now}, it was {wanted}"),
    };
    format!("{} on {}: {what}", gap.member, gap.instance)
}
