//! Random fleets: mostly small, with several groups, zones, balancers and instances.

use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::fleet::{
    Balancer, BalancerDriver, Fleet, Front, Group, Instance, Member, Node, Reach,
};
use zdu_model::ids::{BalancerName, FleetName, GroupName, InstanceName, NodeName, RoleName};
use zdu_model::time::Millis;

const BALANCERS: [&str; 2] = ["edge", "inner"];

pub(super) fn random(dice: &mut Dice, nodes_max: u64) -> Fleet {
    // Most defects need few nodes; some need many.
    let most = match dice.below(100) {
        0..70 => 4,
        70..95 => 9,
        95..99 => 40,
        _ => nodes_max,
    };
    let count = dice.between(1, most.min(nodes_max));
    let balancers = 1 + dice.below(2);
    let groups = dice.between(1, 3.min(count));
    let mut fleet = Fleet {
        name: FleetName::new("swarm").expect("a name"),
        groups: Vec::new(),
        balancers: BTreeMap::new(),
        hosts: BTreeMap::new(),
        front: Vec::new(),
    };
    for balancer in BALANCERS.iter().take(usize::try_from(balancers).unwrap_or(1)) {
        let name = BalancerName::new(*balancer).expect("a name");
        fleet.balancers.insert(name, instances(dice, balancer));
    }
    for group in 0..groups {
        let own = count / groups + u64::from(group < count % groups);
        fleet.groups.push(random_group(dice, group, own, balancers));
    }
    if dice.chance(30) {
        let front = Front {
            http: "http://front.example/".into(),
            timeout: Millis::from_secs(5),
            watch: None,
        };
        fleet.front.push(front);
    }
    fleet
}

fn instances(dice: &mut Dice, balancer: &str) -> Balancer {
    let count = dice.between(1, 3);
    let instance = |number| Instance {
        name: InstanceName::new(format!("{balancer}-{number}")).expect("a name"),
        socket: None,
        via: None,
    };
    let instances = (1..=count).map(instance).collect();
    Balancer { driver: BalancerDriver::Haproxy, instances }
}

fn random_group(dice: &mut Dice, number: u64, count: u64, balancers: u64) -> Group {
    // A group in which nothing may go out cannot be rolled; the planner would say so.
    let min_available = if count == 1 { 0 } else { dice.below(count) };
    let behind = dice.chance(90);
    let both = balancers > 1 && dice.chance(40);
    let sockets = dice.chance(90);
    let nodes = (0..count).map(|at| {
        let name = format!("g{number}-n{at}");
        let mut members = Vec::new();
        if behind {
            members.push(member("edge", &name));
            if both {
                members.push(member("inner", &name));
            }
        }
        Node {
            name: NodeName::new(name.clone()).expect("a name"),
            address: name.clone(),
            reach: Reach::Local,
            zone: None,
            roles: role_of(at),
            members,
            service_ports: if sockets { vec![8080] } else { Vec::new() },
            vars: BTreeMap::new(),
        }
    });
    let nodes = nodes.collect();
    Group {
        name: GroupName::new(format!("g{number}")).expect("a name"),
        min_available: u32::try_from(min_available).unwrap_or(0),
        nodes,
    }
}

fn role_of(at: u64) -> BTreeSet<RoleName> {
    let role = if at == 0 { "leader" } else { "follower" };
    BTreeSet::from([RoleName::new(role).expect("a name")])
}

fn member(balancer: &str, server: &str) -> Member {
    Member {
        balancer: BalancerName::new(balancer).expect("a name"),
        backend: "api".into(),
        server: server.into(),
    }
}
