//! From the topology of an Axway domain (`GET /api/topology` of an Admin Node Manager, or the file
//! `groups/topology.json`) to a `zdu.yaml`. What a topology cannot tell is written as a comment
//! at the line where a person has to say it.

use super::draft::{Draft, Group, Names, Node};
use super::{ImportError, Imported, scalar};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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
pub fn from_topology(json: &str) -> Result<Imported, ImportError> {
    let document: Value =
        serde_json::from_str(json).map_err(|error| ImportError::NotJson(error.to_string()))?;
    // The file has no `result` around it, the answer of the API has.
    let topology = read(document.get("result").unwrap_or(&document))?;
    Ok(draft(topology).write())
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

fn draft(topology: Topology) -> Draft {
    let mut seen = Seen::default();
    let groups = topology.groups.iter();
    let groups = groups.map(|(name, instances)| group(&topology, name, instances, &mut seen));
    Draft {
        origin: "the topology of an Axway domain".to_owned(),
        groups: groups.collect(),
        from: (!topology.version.is_empty()).then(|| topology.version.clone()),
        ..Draft::default()
    }
}

/// What was used before.
#[derive(Default)]
struct Seen {
    hosts: BTreeSet<String>,
    groups: Names,
    nodes: Names,
}

fn group(topology: &Topology, group: &str, instances: &[Instance], seen: &mut Seen) -> Group {
    let (new, more): (Vec<&Instance>, Vec<&Instance>) =
        instances.iter().partition(|instance| seen.hosts.insert(instance.host.clone()));
    let more = more.into_iter().map(|instance| {
        let host = topology.hosts.get(&instance.host).unwrap_or(&instance.host);
        let (name, host) = (scalar(&instance.name), scalar(host));
        format!(
            "instance {name} also runs on host {host}, which is a node already; the procedure \
             moves one instance of a node, so this one needs one of your own"
        )
    });
    let decide = more.collect();
    if new.is_empty() {
        return Group { decide, ..Group::default() };
    }
    let name = seen.groups.fresh(group);
    let nodes = new.into_iter().map(|instance| {
        let host = topology.hosts.get(&instance.host).unwrap_or(&instance.host);
        Node {
            name: seen.nodes.fresh(host),
            address: host.clone(),
            roles: topology.anms.contains(&instance.host).then_some("anm").into_iter().collect(),
            // What the vendor's gateway listens on unless it was changed.
            service_ports: vec![8080],
            decide: vec!["the traffic ports, where they are others".to_owned()],
            vars: vec![
                ("instance", instance.name.clone()),
                ("group", group.to_owned()),
                ("host_name", host.clone()),
            ],
            ..Node::default()
        }
    });
    Group { name, nodes: nodes.collect(), decide }
}
