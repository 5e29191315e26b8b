//! The declared fleet, checked as a whole: names, members, budgets, how everything is reached.

use crate::decode::At;
use crate::diagnostic::{Findings, Place, suggest};
use crate::front::front;
use crate::procedure::texts;
use crate::raw;
use crate::tree::shown;
use crate::values::{Written, member, name, name_at, socket, span};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::fleet::{
    Balancer, BalancerDriver, Fleet, Front, Group, Instance, Member, Node, Reach, Socket,
};
use zdu_model::ids::{
    BalancerName, FleetName, GroupName, InstanceName, NodeName, RoleName, SecretName, ZoneName,
};
use zdu_model::procedure::{Procedure, VarKind};

/// The longest fleet name made from a file's name.
const FALLBACK_NAME: &str = "fleet";

struct Converter<'a> {
    raw: &'a raw::Fleet,
    procedure: Option<&'a Procedure>,
    findings: &'a mut Findings,
    nodes: BTreeMap<String, Place>,
    members: BTreeMap<Member, (String, Place)>,
    hosts: BTreeMap<NodeName, Reach>,
    /// Instances of every balancer: events and waits name an instance without its balancer.
    instances: BTreeMap<InstanceName, (String, Place)>,
    /// The runtime interface of every instance, by the way to it.
    sockets: Vec<((Socket, Option<Reach>), Place)>,
}

/// Converts; what is wrong goes to `findings`. `stem` is the configuration file's name without
/// its extension, the fleet's name when none is given.
pub(crate) fn convert(
    raw: &raw::Document,
    stem: &str,
    procedure: Option<&Procedure>,
    findings: &mut Findings,
) -> Option<Fleet> {
    let front: Vec<Front> = raw.front.iter().filter_map(|f| front(f, findings)).collect();
    let fleet_name = match &raw.fleet.name {
        Some(at) => name(at, |t| FleetName::new(t), findings),
        None => FleetName::new(stem).or_else(|_| FleetName::new(FALLBACK_NAME)).ok(),
    };
    if let Some(at) = &raw.fleet.ssh.host {
        let message = "`fleet.ssh.host` would be one host for all nodes";
        let hint = "give it to the node: `ssh: { host: ... }`; without it a node's address is used";
        findings.error_hint(at.place, message, hint);
    }
    let mut converter = Converter {
        raw: &raw.fleet,
        procedure,
        findings,
        nodes: BTreeMap::new(),
        members: BTreeMap::new(),
        hosts: BTreeMap::new(),
        instances: BTreeMap::new(),
        sockets: Vec::new(),
    };
    converter.hosts();
    let groups = converter.groups();
    let balancers = converter.balancers(&groups);
    Some(Fleet { name: fleet_name?, groups, balancers, hosts: converter.hosts, front })
}

fn reach(own: &raw::Ssh, fleet: &raw::Ssh, address: &str, local: bool) -> Reach {
    if local {
        return Reach::Local;
    }
    let over = |own: &Option<String>, fleet: &Option<String>| own.clone().or_else(|| fleet.clone());
    Reach::Ssh {
        host: own.host.as_ref().map_or_else(|| address.to_owned(), |at| at.value.clone()),
        port: own.port.or(fleet.port),
        user: over(&own.user, &fleet.user),
        identity: over(&own.identity, &fleet.identity),
        config: over(&own.config, &fleet.config),
    }
}

impl Converter<'_> {
    fn hosts(&mut self) {
        for (key, host) in &self.raw.hosts {
            let Some(found) = name(key, |t| NodeName::new(t), self.findings) else {
                continue;
            };
            let address = host.address.as_ref().map_or(found.as_str(), Written::written);
            let reach = reach(&host.ssh, &self.raw.ssh, address, host.local);
            self.hosts.insert(found, reach);
        }
    }

    fn groups(&mut self) -> Vec<Group> {
        let mut all = Vec::new();
        for (key, raw) in &self.raw.groups {
            let mut nodes = Vec::new();
            for (key, raw) in &raw.nodes {
                nodes.extend(self.node(key, raw));
            }
            self.budget(raw);
            if let Some(name) = name(key, |t| GroupName::new(t), self.findings) {
                all.push(Group { name, min_available: raw.min_available.value, nodes });
            }
        }
        if self.raw.groups.0.iter().all(|(_, group)| group.nodes.0.is_empty()) {
            let place = self.raw.groups.0.first().map(|(key, _)| key.place);
            self.findings.error(place.unwrap_or_default(), "the fleet has no node");
        }
        all
    }

    fn budget(&mut self, raw: &raw::Group) {
        let size = raw.nodes.0.len();
        let At { value, place } = raw.min_available;
        let wanted = usize::try_from(value).unwrap_or(usize::MAX);
        if wanted > size {
            let message = format!("min_available is {value} and the group has {size} nodes");
            let hint = "a budget that can never be met; how many must serve while one is out?";
            self.findings.error_hint(place, message, hint);
        } else if wanted == size && size > 0 {
            let message = format!("min_available is {value} of {size}: no node may ever leave");
            let hint = format!("a rolling stage needs one to spare: at most {}", size - 1);
            self.findings.warn(place, message, hint);
        }
    }

    fn node(&mut self, key: &At<String>, raw: &raw::Node) -> Option<Node> {
        if let Some(first) = self.nodes.insert(key.value.clone(), key.place) {
            let message = format!("the node `{}` is declared twice", shown(&key.value));
            let hint = format!(
                "the first is at {}; a node stands in exactly one group",
                self.findings.at(first)
            );
            self.findings.error_hint(key.place, message, hint);
        }
        let found = name(key, |t| NodeName::new(t), self.findings);
        let address = raw.address.as_ref().map_or(key.value.as_str(), Written::written);
        let zone = raw.zone.as_ref().and_then(|at| name(at, |t| ZoneName::new(t), self.findings));
        let roles = raw.roles.iter().filter_map(|at| self.role(at)).collect();
        let members = raw.members.iter().filter_map(|at| self.member(key, at)).collect();
        Some(Node {
            name: found?,
            address: address.to_owned(),
            reach: reach(&raw.ssh, &self.raw.ssh, address, raw.local),
            zone,
            roles,
            members,
            service_ports: raw.service_ports.clone(),
            vars: texts(&raw.vars),
        })
    }

    fn role(&mut self, at: &At<raw::Word>) -> Option<RoleName> {
        let found = name(at, |t| RoleName::new(t), self.findings)?;
        if let Some(procedure) = self.procedure.filter(|p| !p.roles.contains_key(&found)) {
            let message = format!("the procedure `{}` knows no role `{found}`", procedure.name);
            let known = procedure.roles.keys().map(RoleName::as_str);
            let hint = suggest(found.as_str(), known, "roles");
            self.findings.error_hint(at.place, message, hint);
        }
        Some(found)
    }

    fn member(&mut self, node: &At<String>, at: &At<String>) -> Option<Member> {
        let known = self.raw.balancers.0.iter().map(|(key, _)| key.value.as_str());
        let found = member(at, known, self.findings)?;
        if let Some((other, first)) = self.members.get(&found) {
            let message = format!("the member `{found}` is given twice");
            let place = self.findings.at(*first);
            let hint = format!("it already belongs to `{}`, at {place}", shown(other));
            self.findings.error_hint(at.place, message, hint);
        } else {
            let owner = (node.value.clone(), at.place);
            self.members.insert(found.clone(), owner);
        }
        Some(found)
    }

    fn balancers(&mut self, groups: &[Group]) -> BTreeMap<BalancerName, Balancer> {
        let mut all = BTreeMap::new();
        for (key, raw) in &self.raw.balancers {
            let instances = self.instances(key, raw, groups);
            let driver = match &raw.driver {
                raw::Driver::Haproxy => BalancerDriver::Haproxy,
                raw::Driver::Hook(hook) => {
                    self.hook(key, hook);
                    BalancerDriver::Hook {
                        enable: hook.enable.clone(),
                        disable: hook.disable.clone(),
                        state: hook.state.clone(),
                    }
                }
            };
            if let Some(name) = name(key, |t| BalancerName::new(t), self.findings) {
                all.insert(name, Balancer { driver, instances });
            }
        }
        all
    }

    fn hook(&mut self, key: &At<String>, hook: &raw::Hook) {
        let raw::Hook { enable, disable, state } = hook;
        for (what, argv) in [("enable", enable), ("disable", disable), ("state", state)] {
            if argv.is_empty() {
                let message = format!("the hook's `{what}` is empty");
                let hint = "give a program and its arguments: `[ ./lb, enable, \"{server}\" ]`";
                self.findings.error_hint(key.place, message, hint);
            }
        }
    }

    fn instances(
        &mut self,
        key: &At<String>,
        raw: &raw::Balancer,
        groups: &[Group],
    ) -> Vec<Instance> {
        let mut all: Vec<Instance> = Vec::new();
        let hook = matches!(raw.driver, raw::Driver::Hook(_));
        for (index, at) in raw.instances.iter().enumerate() {
            let Some(instance) = self.instance(index, at, hook, groups) else {
                continue;
            };
            if self.is_a_second_one(at, &instance) {
                continue;
            }
            if all.iter().any(|known| known.name == instance.name) {
                self.two_of_one_name(at, &instance.name);
            }
            let given = at.value.name.as_ref().map(|name| name.place);
            if let Some(name) = self.own_name(key, instance.name.clone(), given, at.place) {
                all.push(Instance { name, ..instance });
            }
        }
        if raw.instances.is_empty() {
            if hook {
                // The user's commands stand for the balancer as a whole.
                let name = InstanceName::new("hook").ok();
                let name = name.and_then(|name| self.own_name(key, name, None, key.place));
                all.extend(name.map(|name| Instance { name, socket: None, via: None }));
            } else {
                let message = format!("the balancer `{}` has no instance", shown(&key.value));
                let hint = "`instances: [ { socket: unix:/run/haproxy/admin.sock, via: HOST } ]`";
                self.findings.error_hint(key.place, message, hint);
            }
        }
        all
    }

    /// Whether the runtime interface is that of another instance. One of the two that were meant
    /// would then never be drained.
    fn is_a_second_one(&mut self, at: &At<raw::Instance>, instance: &Instance) -> bool {
        let Some(socket) = &instance.socket else {
            return false;
        };
        let host = instance.via.as_ref().and_then(|via| self.hosts.get(via).cloned());
        let way = (socket.clone(), host);
        let Some((_, first)) = self.sockets.iter().find(|(known, _)| *known == way) else {
            self.sockets.push((way, at.place));
            return false;
        };
        let message = "two instances have one socket: one of them would never be drained";
        let copied = if at.value.via.is_some() { "via" } else { "socket" };
        let hint =
            format!("the first is at {}; is the `{copied}` a copy?", self.findings.at(*first));
        self.findings.error_hint(at.place, message, hint);
        true
    }

    /// Two instances of one balancer with the same name.
    fn two_of_one_name(&mut self, at: &At<raw::Instance>, name: &InstanceName) {
        let message = format!("there are two instances `{name}`");
        let first = self.instances.get(name).map(|(_, place)| self.findings.at(*place));
        let first = first.map(|place| format!("the first is at {place}; ")).unwrap_or_default();
        let hint = match (&at.value.name, &at.value.via) {
            (None, Some(_)) => format!(
                "{first}is the `via` a copy? if one host has both, give each a `name` of its own"
            ),
            (None, None) | (Some(_), _) => format!("{first}give each a `name` of its own"),
        };
        self.findings.error_hint(at.place, message, hint);
    }

    /// The name of an instance, one of its own in the fleet. One that nobody gave gets its
    /// balancer's in front where another balancer has it; one that was given is refused.
    fn own_name(
        &mut self,
        balancer: &At<String>,
        name: InstanceName,
        given: Option<Place>,
        place: Place,
    ) -> Option<InstanceName> {
        let taken = self.instances.get(&name).filter(|(of, _)| *of != balancer.value);
        let name = match (taken, given) {
            (None, _) => name,
            (Some(_), None) => InstanceName::new(format!("{}-{name}", balancer.value)).ok()?,
            (Some((other, first)), Some(given)) => {
                let message = format!("another balancer has an instance `{name}` too");
                let hint = format!(
                    "it is one of `{}`, at {}: what is told of an instance names no balancer",
                    shown(other),
                    self.findings.at(*first)
                );
                self.findings.error_hint(given, message, hint);
                name
            }
        };
        self.instances
            .entry(name.clone())
            .or_insert((balancer.value.clone(), given.unwrap_or(place)));
        Some(name)
    }

    fn instance(
        &mut self,
        index: usize,
        at: &At<raw::Instance>,
        hook: bool,
        groups: &[Group],
    ) -> Option<Instance> {
        let raw = &at.value;
        let socket = raw.socket.as_ref().map(|at| socket(at, self.findings));
        if socket.is_none() && !hook {
            let message = "an instance needs a `socket`";
            let hint = "its runtime interface: `unix:/path` or `tcp:host:port`";
            self.findings.error_hint(at.place, message, hint);
        }
        let via = raw.via.as_ref().and_then(|via| self.via(via, groups));
        if let (Some(Some(Socket::Tcp(_))), Some(at)) = (&socket, &raw.via) {
            let message = "`via` is for unix sockets; a TCP socket is reached from here";
            self.findings.error_hint(at.place, message, "leave `via` out");
        }
        let name = match (&raw.name, &via) {
            (Some(at), _) => name(at, |t| InstanceName::new(t), self.findings),
            (None, Some(via)) => InstanceName::new(via.as_str()).ok(),
            (None, None) => InstanceName::new((index + 1).to_string()).ok(),
        };
        Some(Instance { name: name?, socket: socket.flatten(), via })
    }

    /// The host of an instance: declared, a node, or a host name reached as nodes are.
    fn via(&mut self, at: &At<raw::Word>, groups: &[Group]) -> Option<NodeName> {
        let found = name_at(at.value.written(), at.place, |t| NodeName::new(t), self.findings)?;
        if !self.hosts.contains_key(&found) {
            let mut nodes = groups.iter().flat_map(|group| &group.nodes);
            let reach = match nodes.find(|node| node.name == found) {
                Some(node) => node.reach.clone(),
                None => reach(&raw::Ssh::default(), &self.raw.ssh, found.as_str(), false),
            };
            self.hosts.insert(found.clone(), reach);
        }
        Some(found)
    }
}

/// Reports variables nobody gives and variables nobody knows.
pub(crate) fn check_vars(
    raw: &raw::Document,
    procedure: &Procedure,
    place: Place,
    findings: &mut Findings,
) {
    let declared: BTreeSet<&str> = procedure.vars.keys().map(|name| name.as_str()).collect();
    let given: BTreeSet<&str> = raw.vars.0.iter().map(|(key, _)| key.value.as_str()).collect();
    for (key, value) in &raw.vars {
        let secret = |name: &SecretName| name.as_str() == key.value;
        if procedure.secrets.keys().any(secret) {
            let message = format!("`{}` is a secret, not a variable", shown(&key.value));
            let hint = "put it under `secrets`, as `env:NAME`, `file:PATH` or `command:PROGRAM`";
            findings.error_concealed(key.place, message, hint);
        } else if !declared.contains(key.value.as_str()) {
            let message = format!(
                "the procedure `{}` has no variable `{}`",
                procedure.name,
                shown(&key.value)
            );
            let hint = suggest(&key.value, declared.iter().copied(), "variables");
            findings.error_hint(key.place, message, hint);
        }
        if value.value.written().contains("{{") {
            let message = format!("`{}` is used as it is: values are no templates", key.value);
            let hint = "defaults in a procedure may be templates";
            findings.warn(value.place, message, hint);
        }
    }
    let nodes = || raw.fleet.groups.into_iter().flat_map(|(_, group)| &group.nodes);
    let of_nodes = nodes().flat_map(|(_, node)| &node.vars);
    for (key, value) in raw.vars.into_iter().chain(of_nodes) {
        let decl = procedure.vars.iter().find(|(name, _)| name.as_str() == key.value);
        if decl.is_some_and(|(_, decl)| decl.kind == VarKind::Span) {
            span(value, findings);
        }
    }
    for (name, decl) in &procedure.vars {
        let name = name.as_str();
        if decl.default.is_some() || given.contains(name) {
            continue;
        }
        let has = |node: &raw::Node| node.vars.0.iter().any(|(key, _)| key.value == name);
        let without: Vec<_> = nodes().filter(|(_, node)| !has(node)).collect();
        let hint = format!("{name}: {}", decl.help);
        if without.len() == nodes().count() {
            let place = raw.vars.0.first().map_or(place, |(key, _)| key.place);
            let message = format!("the variable `{name}` is missing in `vars`");
            findings.error_hint(place, message, hint);
        } else {
            for (key, _) in without {
                let message = format!("the variable `{name}` is missing for `{}`", key.value);
                findings.error_hint(key.place, message, hint.clone());
            }
        }
    }
}
