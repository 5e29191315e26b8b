//! From what a running HAProxy says of its servers to a `zdu.yaml`. The binary asks it; this is
//! what becomes of the answer.
//!
//! A backend becomes a group, a server a node and a member. One machine can be a server of several
//! backends, but a node stands in one group: it goes to that of the first backend which has it, and
//! is a member of all. Servers of one backend with the same address are told apart by their ports.

use super::draft::{Asked, Draft, Group, Names, Node, TOLD_MAX, beginning, listed};
use super::{ImportError, Imported};
use crate::tree::shown;
use std::collections::{BTreeMap, BTreeSet};

/// The name of the balancer in the file.
const BALANCER: &str = "edge";

/// What one HAProxy process said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Where it was asked, as `zdu.yaml` has it: `unix:/path` or `tcp:host:port`.
    pub socket: String,
    /// Its version.
    pub version: String,
    /// The level of the socket, where this version tells it.
    pub level: Option<String>,
    /// Its servers, in its order.
    pub servers: Vec<Server>,
}

/// One server of one backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// The backend.
    pub backend: String,
    /// The server.
    pub name: String,
    /// The IP address; absent where it has none: a unix socket, a name that does not resolve.
    pub address: Option<String>,
    /// The host name of its configuration, where it has one.
    pub host: Option<String>,
    /// The port; absent where it is the client's.
    pub port: Option<u16>,
    /// In what it is not as usual: "drained by a command".
    pub unusual: Vec<String>,
}

impl Server {
    fn member(&self) -> String {
        format!("{BALANCER}/{}/{}", self.backend, self.name)
    }

    fn title(&self) -> String {
        shown(&format!("{}/{}", self.backend, self.name))
    }
}

/// Writes a configuration for the servers; `load` accepts it as it is.
///
/// # Errors
/// [`ImportError::NoServer`] when no server can become a node.
pub fn from_answer(answer: &Answer) -> Result<Imported, ImportError> {
    let (usable, others): (Vec<&Server>, Vec<&Server>) =
        answer.servers.iter().partition(|server| server.address.is_some() && is_named(server));
    if usable.is_empty() {
        return Err(ImportError::NoServer(answer.servers.len()));
    }
    let level = answer.level.as_deref().filter(|level| *level != "admin").map(shown);
    let weak = level.map(|level| {
        format!("the socket has level {level}: it can be read, and a drain needs `level admin`")
    });
    let mut draft = Draft {
        origin: format!("HAProxy {} at {}", answer.version, answer.socket),
        balancer: Some(Asked {
            name: BALANCER.to_owned(),
            socket: answer.socket.clone(),
            decide: weak.clone(),
        }),
        found: weak.into_iter().collect(),
        ..Draft::default()
    };
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(|server| server.title()).collect();
        let why = "no IP address, so no node (a unix socket, or a name that does not resolve)";
        draft.not_read.push(format!("{}: {why}", beginning(&names, TOLD_MAX)));
    }
    for server in &usable {
        let told = server.unusual.iter().map(|text| format!("{} is {text}", server.title()));
        draft.found.extend(told);
    }
    let loopback = usable.iter().any(|server| machine(server).starts_with("127."));
    if loopback {
        let local = "addresses that begin with 127. are the balancer's own machine";
        draft.decide.push(format!("how its nodes are reached: {local}"));
    }
    Placing::of(&usable).place(&usable, &mut draft);
    Ok(draft.write())
}

/// Whether the names can stand in a member. HAProxy itself accepts no others.
fn is_named(server: &Server) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    [&server.backend, &server.name].iter().all(|name| !name.is_empty() && name.chars().all(fine))
}

fn machine(server: &Server) -> &str {
    server.address.as_deref().unwrap_or_default()
}

/// What makes a node: an address, and the port where one backend has the address twice.
type Key<'a> = (&'a str, Option<u16>);

struct Placing<'a> {
    /// Addresses that one backend has more than once.
    shared: BTreeSet<&'a str>,
    /// Host names that stand for one address only.
    hosts: BTreeMap<&'a str, &'a str>,
}

impl<'a> Placing<'a> {
    fn of(servers: &[&'a Server]) -> Self {
        let (mut once, mut shared) = (BTreeSet::new(), BTreeSet::new());
        let mut of_host: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for server in servers {
            let address = machine(server);
            if !once.insert((server.backend.as_str(), address)) {
                shared.insert(address);
            }
            if let Some(host) = &server.host {
                of_host.entry(host).or_default().insert(address);
            }
        }
        let mut hosts = BTreeMap::new();
        for (host, addresses) in of_host {
            // `localhost` would be another machine here.
            if let (1, Some(address)) = (addresses.len(), addresses.first())
                && host != "localhost"
            {
                hosts.entry(*address).or_insert(host);
            }
        }
        Self { shared, hosts }
    }

    fn key(&self, server: &'a Server) -> Key<'a> {
        let address = machine(server);
        (address, server.port.filter(|_| self.shared.contains(address)))
    }

    fn place(&self, servers: &[&'a Server], draft: &mut Draft) {
        let mut names = Names::default();
        let mut group_names = Names::default();
        let mut places: BTreeMap<Key<'_>, (usize, usize)> = BTreeMap::new();
        for (backend, of_it) in backends(servers) {
            let mut group = Group { name: group_names.fresh(backend), ..Group::default() };
            let mut elsewhere = BTreeSet::new();
            for server in of_it {
                let at = draft.groups.len();
                let (of, index) = *places.entry(self.key(server)).or_insert_with(|| {
                    group.nodes.push(self.node(server, &mut names));
                    (at, group.nodes.len() - 1)
                });
                let owner = if of == at { Some(&mut group) } else { draft.groups.get_mut(of) };
                let Some(owner) = owner else { continue };
                if of != at {
                    elsewhere.insert(owner.name.clone());
                }
                if let Some(node) = owner.nodes.get_mut(index) {
                    joined(node, server);
                }
            }
            if !elsewhere.is_empty() {
                let elsewhere: Vec<String> = elsewhere.into_iter().collect();
                draft.decide.push(together(backend, &elsewhere, &group));
                group.decide.push(together(backend, &elsewhere, &group));
            }
            draft.groups.push(group);
        }
    }

    fn node(&self, server: &Server, names: &mut Names) -> Node {
        let both = format!("{}-{}", server.backend, server.name);
        let wanted = if names.is_free(&server.name) { &server.name } else { &both };
        let address = machine(server);
        let remarks = self.shared.contains(address).then(|| {
            "Its backend has this address more than once: told apart by the port.".to_owned()
        });
        Node {
            name: names.fresh(wanted),
            address: self.hosts.get(address).copied().unwrap_or(address).to_owned(),
            remarks: remarks.into_iter().collect(),
            ..Node::default()
        }
    }
}

/// The sentence for a backend whose servers are nodes of other groups already.
fn together(backend: &str, elsewhere: &[String], group: &Group) -> String {
    let some = if group.nodes.is_empty() { "all" } else { "some" };
    format!(
        "whether backend {backend} needs a group of its own: {some} of its servers are nodes of \
         {} already, and a node stands in one group",
        listed(elsewhere)
    )
}

fn joined(node: &mut Node, server: &Server) {
    node.members.push(server.member());
    node.service_ports.extend(server.port.filter(|port| !node.service_ports.contains(port)));
    let title = server.title();
    node.remarks.extend(server.unusual.iter().map(|text| format!("{title} is {text}.")));
}

/// Servers by backend, both in the order they came in.
fn backends<'a>(servers: &[&'a Server]) -> Vec<(&'a str, Vec<&'a Server>)> {
    let mut all: Vec<(&str, Vec<&Server>)> = Vec::new();
    let mut places = BTreeMap::new();
    for server in servers {
        let backend = server.backend.as_str();
        let place = *places.entry(backend).or_insert_with(|| {
            all.push((backend, Vec::new()));
            all.len() - 1
        });
        if let Some((_, of_it)) = all.get_mut(place) {
            of_it.push(server);
        }
    }
    all
}
