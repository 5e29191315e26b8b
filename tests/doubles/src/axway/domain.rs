//! A domain: which nodes belong to it, who holds its key, and the topology document.

use std::collections::BTreeSet;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::install::DoubleError;
use super::spec::{self, InstallSpec, Topology, sha256_hex};

/// What a node knows of the domain it belongs to. The holder of the domain key keeps the truth; the
/// others keep the copy they got when they joined and ask the holder for a fresh one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// Identifies one creation of a domain: a domain created anew has another id, so that members
    /// of the dropped one are told apart.
    pub(crate) domain: String,
    /// Name of the node that holds the domain key.
    pub(crate) holder: String,
    /// Counts changes of the topology.
    pub(crate) version: u64,
    /// Milliseconds since 1970 of the last change.
    pub(crate) timestamp: u64,
    /// Release of the domain.
    pub(crate) product_version: String,
    /// Names of its nodes.
    pub(crate) members: BTreeSet<String>,
}

impl Membership {
    /// The domain of an old installation: complete from the start, the same on every node.
    pub(crate) fn existing(spec: &InstallSpec) -> Self {
        let members: BTreeSet<String> =
            spec.topology.nodes.iter().map(|node| node.name.clone()).collect();
        let holder = spec.topology.admins().first().map(|node| node.name.clone());
        Self {
            domain: uuid_of(&format!("existing {} {members:?}", spec.version)),
            holder: holder.unwrap_or_default(),
            version: 2,
            timestamp: 1_428_938_393_531,
            product_version: spec.version.clone(),
            members,
        }
    }

    /// A new domain with this node as its only member.
    pub(crate) fn created_by(spec: &InstallSpec) -> Self {
        let own = super::process::own_identity();
        let seed = format!("{} {} {} {}", spec.node, now_ms(), own.pid, own.start_ticks);
        Self {
            domain: uuid_of(&seed),
            holder: spec.node.clone(),
            version: 1,
            timestamp: now_ms(),
            product_version: spec.version.clone(),
            members: BTreeSet::from([spec.node.clone()]),
        }
    }

    /// The same domain with `node` registered; registering again changes nothing but the version.
    pub(crate) fn with(mut self, node: &str) -> Self {
        self.members.insert(node.to_owned());
        self.version += 1;
        self.timestamp = now_ms();
        self
    }

    pub(crate) fn load(spec: &InstallSpec) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(spec.layout().domain_file()).ok()?).ok()
    }

    /// Writes membership and `groups/topology.json`.
    pub(crate) fn save(&self, spec: &InstallSpec) -> Result<(), DoubleError> {
        spec::write_json(&spec.layout().domain_file(), self)?;
        spec::write_json(&spec.layout().topology_file(), &document(self, &spec.topology))
    }
}

/// Writes the domain key, whose content is nothing and whose existence says who is first, and the
/// authority where the domain has one.
pub(crate) fn write_key(spec: &InstallSpec) -> Result<(), DoubleError> {
    let path = spec.layout().domain_key();
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(DoubleError::io("create", parent))?;
    }
    fs::write(&path, "stand-in for the domain private key\n")
        .map_err(DoubleError::io("write", &path))?;
    let Some(tls) = &spec.tls else {
        return Ok(());
    };
    let path = spec.layout().domain_authority();
    fs::write(&path, &tls.authority).map_err(DoubleError::io("write", &path))
}

/// True when this installation holds the domain key: its node is the first Admin Node Manager.
pub(crate) fn holds_key(spec: &InstallSpec) -> bool {
    spec.layout().domain_key().exists()
}

/// Removes everything created in the installation: topology, key, instances.
pub(crate) fn forget(spec: &InstallSpec) -> Result<(), DoubleError> {
    let groups = spec.layout().groups();
    if groups.exists() {
        fs::remove_dir_all(&groups).map_err(DoubleError::io("remove", &groups))?;
    }
    fs::create_dir_all(&groups).map_err(DoubleError::io("create", &groups))
}

/// The group of an instance in the document: Node Managers have `group-1` for themselves.
pub(crate) fn group_ids(topology: &Topology) -> Vec<(String, String)> {
    let mut names: Vec<&str> = Vec::new();
    for instance in topology.nodes.iter().flat_map(|node| &node.instances) {
        if !names.contains(&instance.group.as_str()) {
            names.push(&instance.group);
        }
    }
    let numbered = names.iter().enumerate();
    numbered.map(|(index, name)| (format!("group-{}", index + 2), (*name).to_owned())).collect()
}

/// One service of the document and where it really is.
pub(crate) struct ServiceEntry {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) node: String,
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) deployment: Option<String>,
    document: Value,
}

/// Every service of the domain's members. Ids follow the declared topology, so that they do not
/// depend on the order in which nodes joined.
pub(crate) fn services(membership: &Membership, topology: &Topology) -> Vec<ServiceEntry> {
    let groups = group_ids(topology);
    let mut found = Vec::new();
    let mut instance_number = 0;
    for (index, node) in topology.nodes.iter().enumerate() {
        let joined = membership.members.contains(&node.name);
        let host_id = format!("host-{}", index + 1);
        let entry = |id: String, group: &str, port, deployment, document| ServiceEntry {
            id,
            group: group.to_owned(),
            node: node.name.clone(),
            address: node.address.clone(),
            port,
            deployment,
            document,
        };
        if joined {
            let tags = if node.admin { json!({"internal_admin_nm": "true"}) } else { json!({}) };
            let id = format!("nodemanager-{}", index + 1);
            let document = json!({
                "id": id, "name": format!("Node Manager on {}", node.host),
                "type": "nodemanager", "scheme": "http", "hostID": host_id,
                "managementPort": node.management_port, "tags": tags, "enabled": true,
            });
            found.push(entry(id, "group-1", node.management_port, None, document));
        }
        for instance in &node.instances {
            instance_number += 1;
            if !joined {
                continue;
            }
            let id = format!("instance-{instance_number}");
            let group = groups.iter().find(|(_, name)| *name == instance.group);
            let document = json!({
                "id": id, "name": instance.name, "type": "gateway", "scheme": "http",
                "hostID": host_id, "managementPort": INSTANCE_MANAGEMENT_PORT, "tags": {},
                "enabled": true,
            });
            let deployment = instance
                .deployment
                .clone()
                .or_else(|| Some(uuid_of(&format!("deployment {}", instance.group))));
            let group = group.map_or("group-?", |(id, _)| id);
            found.push(entry(id, group, instance.traffic_port, deployment, document));
        }
    }
    found
}

/// The product's usual instance management port. The stand-in names it and does not serve it.
const INSTANCE_MANAGEMENT_PORT: u16 = 8085;

/// The topology document, without the `result` wrapper of the API.
pub(crate) fn document(membership: &Membership, topology: &Topology) -> Value {
    let services = services(membership, topology);
    let of_group = |id: &str| -> Vec<Value> {
        services.iter().filter(|entry| entry.group == id).map(|e| e.document.clone()).collect()
    };
    let numbered = topology.nodes.iter().enumerate();
    let hosts: Vec<Value> = numbered
        .filter(|(_, node)| membership.members.contains(&node.name))
        .map(|(index, node)| json!({"id": format!("host-{}", index + 1), "name": node.host}))
        .collect();
    let mut groups = vec![json!({
        "id": "group-1", "name": "Node Manager Group", "tags": {}, "services": of_group("group-1"),
    })];
    for (id, name) in group_ids(topology) {
        let members = of_group(&id);
        if !members.is_empty() {
            groups.push(json!({"id": id, "name": name, "tags": {}, "services": members}));
        }
    }
    let node_count = topology.nodes.len();
    let instance_count: usize = topology.nodes.iter().map(|node| node.instances.len()).sum();
    json!({
        "id": membership.domain,
        "version": membership.version,
        "timestamp": membership.timestamp,
        "productVersion": membership.product_version,
        "hosts": hosts,
        "groups": groups,
        "uniqueIdCounters": {
            "NodeManager": node_count + 1, "Group": group_ids(topology).len() + 2,
            "Host": node_count + 1, "Gateway": instance_count + 1,
        },
        "fips": false,
        "services": services.iter().map(|entry| entry.document.clone()).collect::<Vec<_>>(),
    })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A text in the form of a UUID that is a function of `seed`.
fn uuid_of(seed: &str) -> String {
    let hex = sha256_hex(seed);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-")
}
