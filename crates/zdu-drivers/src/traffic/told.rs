//! What drivers say in the words of the model, and in sentences for people who wait.

use crate::balancer::certify::Left;
use crate::balancer::member::{self, MemberState as Seen};
use crate::balancer::serve::{ServeGap, WaitingOn};
use crate::balancer::{Before, FoundWeight, Hold, InstanceError, MemberName};
use std::collections::BTreeSet;
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

/// The readings of a sample, of each balancer as many as it has instances, in the order they were
/// asked. By their place and not by name: two balancers may call an instance the same.
pub(super) fn told_in_order<'b>(
    asked: impl IntoIterator<Item = (&'b BalancerName, usize)>,
    readings: Vec<member::InstanceReading>,
    owned: &[(NodeName, Member)],
) -> Vec<InstanceReading> {
    let mut readings = readings.into_iter();
    let mut all = Vec::new();
    for (balancer, count) in asked {
        all.extend(readings.by_ref().take(count).map(|reading| told(balancer, reading, owned)));
    }
    all
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_that_two_balancers_call_the_same_are_told_of_their_own_balancer() {
        let reading = |instance: &str, detail: &str| member::InstanceReading {
            instance: instance.into(),
            result: Err(InstanceError::Unreachable {
                endpoint: "unix:/s".into(),
                detail: detail.into(),
            }),
        };
        let readings = vec![reading("1", "edge"), reading("2", "edge"), reading("1", "inner")];
        let [edge, inner] = ["edge", "inner"].map(|name| BalancerName::new(name).expect("a name"));
        let told = told_in_order([(&edge, 2), (&inner, 1)], readings, &[]);
        let told: Vec<_> =
            told.iter().map(|r| (r.balancer.as_str(), r.instance.as_str())).collect();
        assert_eq!(told, [("edge", "1"), ("edge", "2"), ("inner", "1")]);
    }
}
