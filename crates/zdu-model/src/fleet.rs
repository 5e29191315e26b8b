//! The declared whole: groups, nodes, balancers and how each is reached.

use crate::front::Watch;
use crate::ids::{BalancerName, FleetName, GroupName, InstanceName, NodeName, RoleName, ZoneName};
use crate::time::Millis;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The fleet, in the order its author declared it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// What the lease and the nodes' epochs are bound to.
    pub name: FleetName,
    /// Groups in declared order; a node stands in exactly one.
    pub groups: Vec<Group>,
    /// Logical load balancers.
    pub balancers: BTreeMap<BalancerName, Balancer>,
    /// Hosts that are no nodes but are reached by SSH, such as those that run a balancer.
    pub hosts: BTreeMap<NodeName, Reach>,
    /// Where users come in.
    pub front: Vec<Front>,
}

impl Fleet {
    /// All nodes, in declared order.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.groups.iter().flat_map(|group| group.nodes.iter())
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes().find(|node| node.name == *name)
    }

    /// The group a node stands in.
    #[must_use]
    pub fn group_of(&self, name: &NodeName) -> Option<&Group> {
        self.groups.iter().find(|group| group.nodes.iter().any(|node| node.name == *name))
    }
}

/// Nodes that serve the same traffic and share one disruption budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// How many of its nodes must serve, on every balancer instance, at every moment (law 1).
    pub min_available: u32,
    /// Its nodes, in declared order.
    pub nodes: Vec<Node>,
}

/// One addressable thing that runs the old or the new release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name, unique in the fleet.
    pub name: NodeName,
    /// Host name or IP address, without user or port.
    pub address: String,
    /// How commands get there.
    pub reach: Reach,
    /// Its failure domain.
    pub zone: Option<ZoneName>,
    /// Declared roles.
    pub roles: BTreeSet<RoleName>,
    /// Its entries in balancers; a drain covers all of them.
    pub members: Vec<Member>,
    /// Ports whose established connections count as the node's own traffic in a drain certificate.
    pub service_ports: Vec<u16>,
    /// Variables that hold for this node only, over those of the procedure and the operator.
    pub vars: BTreeMap<String, String>,
}

/// How commands get to a node or host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reach {
    /// The machine `zdu` runs on.
    Local,
    /// The system's `ssh`. What is absent is left to the user's `ssh_config`.
    Ssh {
        /// Host name, address or `Host` alias.
        host: String,
        /// Port.
        port: Option<u16>,
        /// Login user.
        user: Option<String>,
        /// Private key file on the controller.
        identity: Option<String>,
        /// An `ssh_config` to use in place of the user's own.
        config: Option<String>,
    },
}

/// A node's entry in a balancer: `edge/gateway/node-a`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The logical balancer.
    pub balancer: BalancerName,
    /// The backend (HAProxy), upstream (NGINX) or pool in it.
    pub backend: String,
    /// The server entry in the backend.
    pub server: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { balancer, backend, server } = self;
        write!(f, "{balancer}/{backend}/{server}")
    }
}

/// A logical load balancer: one or more identical instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balancer {
    /// What speaks to the instances.
    pub driver: BalancerDriver,
    /// All instances; a drain holds only when every one agrees.
    pub instances: Vec<Instance>,
}

/// The kinds of balancer zdu can command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BalancerDriver {
    /// HAProxy's runtime API.
    Haproxy,
    /// The user's own commands, run on the controller, with `{backend}` and `{server}` replaced.
    Hook {
        /// Puts the member into traffic.
        enable: Vec<String>,
        /// Takes the member out of new traffic.
        disable: Vec<String>,
        /// Prints the member's state.
        state: Vec<String>,
    },
}

/// One instance of a balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its name; declared, or made from its place.
    pub name: InstanceName,
    /// Where its runtime interface listens; absent for hooks.
    pub socket: Option<Socket>,
    /// The host a unix socket lives on; absent when it is on the controller.
    pub via: Option<NodeName>,
}

/// Where a runtime interface listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Socket {
    /// A unix socket path.
    Unix(String),
    /// `host:port`.
    Tcp(String),
}

/// A place where users come in, asked once at every gate, and all the time where it says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// The URL, answered with a status below 400 when all is well.
    pub http: String,
    /// How long an answer may take.
    pub timeout: Millis,
    /// How it is asked all the time; absent: at gates alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
}
