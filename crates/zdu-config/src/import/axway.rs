//! From the topology of an Axway domain (`GET /api/topology` of an Admin Node Manager, or the file
//! `groups/topology.json`) to a `zdu.yaml`. What a topology cannot tell is written as a comment
//! at the line where a person has to say it.

use super::{ImportError, name_from, scalar};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What is read from a topology.
struct Topology {
    version: String,
    /// Host names by id.
    hosts: BTreeMap<String, String>,
    /// Ids of the hosts with an Admin Node Manager.
    anms: BTreeSet<String>,
    /// Groups with gateway instances, in the order of the document.
    groups: Vec<(String, Vec<Instance>)>,
}

struct Instance {
    name: String,
    host: String,
}

/// Writes a configuration for the domain; `load` accepts it as it is.
///
/// A node stands in one group of the fleet, so a host that runs several instances becomes one node
/// with its first instance, and a comment names the others.
///
/// # Errors
/// [`ImportError`] when the text is no topology or has no instance in it.
pub fn from_topology(json: &str) -> Result<String, ImportError> {
    let document: Value =
        serde_json::from_str(json).map_err(|error| ImportError::NotJson(error.to_string()))?;
    // The file has no `result` around it, the answer of the API has.
    let topology = read(document.get("result").unwrap_or(&document))?;
    let mut out = String::new();
    write(&topology, &mut out);
    Ok(out)
}

fn read(document: &Value) -> Result<Topology, ImportError> {
    let list = |value: &Value, key| value.get(key).and_then(Value::as_array).cloned();
    let text =
        |value: &Value, key| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let hosts = list(document, "hosts").ok_or(ImportError::Missing("hosts"))?;
    let groups = list(document, "groups").ok_or(ImportError::Missing("groups"))?;
    let mut topology = Topology {
        version: text(document, "productVersion"),
        hosts: hosts.iter().map(|host| (text(host, "id"), text(host, "name"))).collect(),
        anms: BTreeSet::new(),
        groups: Vec::new(),
    };
    for group in &groups {
        let mut instances = Vec::new();
        for service in list(group, "services").unwrap_or_default() {
            let host = text(&service, "hostID");
            match text(&service, "type").as_str() {
                "nodemanager" => {
                    let tag = service.pointer("/tags/internal_admin_nm");
                    if tag.and_then(Value::as_str) == Some("true") {
                        topology.anms.insert(host);
                    }
                }
                "gateway" => instances.push(Instance { name: text(&service, "name"), host }),
                _ => {}
            }
        }
        if !instances.is_empty() {
            topology.groups.push((text(group, "name"), instances));
        }
    }
    if topology.groups.is_empty() {
        return Err(ImportError::NoInstance);
    }
    Ok(topology)
}

/// Lines of the result. Writing to a `String` cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        writeln!($out, $($text)*).expect("a String takes every text")
    };
}

fn write(topology: &Topology, out: &mut String) {
    line!(out, "# Made from the topology of an Axway domain. Lines marked `change` hold what a");
    line!(out, "# topology does not tell; `zdu check` reads the file and names what is wrong.");
    line!(out, "fleet:");
    line!(out, "  ssh: {{ user: axway }}  # change: the login user on the nodes");
    line!(out, "  balancers:");
    line!(out, "    edge:  # change: the balancer before the gateways, every instance of it");
    line!(out, "      driver: haproxy");
    line!(out, "      instances: [{{ socket: \"unix:/run/haproxy/admin.sock\", via: lb-a }}]");
    line!(out, "  groups:");
    let mut seen = Seen::default();
    for (group, instances) in &topology.groups {
        write_group(topology, group, instances, &mut seen, out);
    }
    line!(out, "");
    line!(out, "# The first Admin Node Manager (the one with the key of the domain) is looked up.");
    line!(out, "procedure: axway-apigateway");
    let version = if topology.version.is_empty() { "7.5.3" } else { &topology.version };
    line!(out, "release: {{ from: {}, to: \"7.7\" }}  # change: `to`", scalar(version));
    line!(out, "vars:");
    line!(out, "  old_install_dir: /opt/Axway-old  # change");
    line!(out, "  new_install_dir: /opt/Axway-7.7  # change");
    line!(out, "  no_cassandra: \"true\"  # change: or `cass_host: HOST`, not localhost");
    line!(out, "secrets:");
    line!(out, "  anm_password: \"env:ANM_PASSWORD\"");
    line!(out, "  domain_passphrase: \"env:DOMAIN_PASSPHRASE\"");
    line!(out, "front: []  # change: [{{ http: \"https://api.example.com/healthcheck\" }}]");
}

/// Names already used, since names must be unique and differ from what the topology has.
#[derive(Default)]
struct Seen {
    hosts: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Seen {
    fn fresh(&mut self, prefix: &str, text: &str) -> String {
        let base = name_from(text);
        let mut name = base.clone();
        let mut number = 2;
        while !self.names.insert(format!("{prefix}/{name}")) {
            let short: String = base.chars().take(56).collect();
            name = format!("{short}-{number}");
            number += 1;
        }
        name
    }
}

fn write_group(
    topology: &Topology,
    group: &str,
    instances: &[Instance],
    seen: &mut Seen,
    out: &mut String,
) {
    let (new, more): (Vec<&Instance>, Vec<&Instance>) =
        instances.iter().partition(|instance| seen.hosts.insert(instance.host.clone()));
    for instance in more {
        let host = topology.hosts.get(&instance.host).unwrap_or(&instance.host);
        let (name, host) = (scalar(&instance.name), scalar(host));
        line!(
            out,
            "    # change: instance {name} also runs on host {host}, which is a node already;"
        );
        line!(
            out,
            "    # the procedure moves one instance of a node, so this one needs one of your own"
        );
    }
    if new.is_empty() {
        return;
    }
    let name = seen.fresh("group", group);
    line!(out, "    {}:", scalar(&name));
    // A single node cannot be replaced while it must serve.
    line!(out, "      min_available: {}", new.len() - 1);
    line!(out, "      nodes:");
    for instance in new {
        let host = topology.hosts.get(&instance.host).unwrap_or(&instance.host);
        let node = seen.fresh("node", host);
        let roles = if topology.anms.contains(&instance.host) { "anm" } else { "" };
        line!(out, "        {}:", scalar(&node));
        line!(out, "          address: {}", scalar(host));
        line!(out, "          roles: [{roles}]");
        line!(out, "          members: []  # change: [edge/BACKEND/SERVER]");
        line!(out, "          service_ports: [8080]  # change: the traffic ports");
        let (instance, group, host) = (scalar(&instance.name), scalar(group), scalar(host));
        line!(out, "          vars: {{ instance: {instance}, group: {group}, host_name: {host} }}");
    }
}
