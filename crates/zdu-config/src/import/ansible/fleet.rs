//! From an inventory to a draft: which host becomes which node, and how it is reached.

use super::hosts::is_name;
use super::inventory::{ALL, Inventory, Ranks, Value};
use crate::import::draft::{Draft, Group, Names, Node, Ssh, beginning, listed};
use crate::tree::shown;
use std::collections::BTreeMap;

/// Variables that are read, the name of today first.
pub(super) const ADDRESS: [&str; 2] = ["ansible_host", "ansible_ssh_host"];
pub(super) const USER: [&str; 2] = ["ansible_user", "ansible_ssh_user"];
pub(super) const PORT: [&str; 2] = ["ansible_port", "ansible_ssh_port"];
pub(super) const IDENTITY: [&str; 2] = ["ansible_ssh_private_key_file", "ansible_private_key_file"];
pub(super) const CONNECTION: &str = "ansible_connection";

/// Connections that are SSH, whatever their plugin is called.
const SSH: [&str; 4] = ["ssh", "smart", "paramiko", "paramiko_ssh"];

/// So many hosts with several groups are told.
const HOSTS_TOLD_MAX: usize = 6;

/// The longest value that is taken over; a host name has at most 253 characters.
const VALUE_MAX: usize = 255;

type HostVars<'a> = BTreeMap<&'a str, &'a Value>;

/// What a fleet can be made of.
pub(super) fn draft(inventory: &Inventory, ranks: &Ranks, path: &str) -> Draft {
    let mut draft =
        Draft { origin: format!("the Ansible inventory {}", shown(path)), ..Draft::default() };
    let mut names = Names::default();
    let mut placed: BTreeMap<&str, Vec<Node>> = BTreeMap::new();
    let mut several = Vec::new();
    let mut unread: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (host, groups) in inventory.hosts.iter().zip(inventory.groups_of()) {
        let vars = inventory.vars_of(host, &groups, ranks);
        let mut node = Node { name: names.fresh(&host.name), ..Node::default() };
        for why in connect(&mut node, &host.name, &vars) {
            unread.entry(why.clone()).or_default().push(node.name.clone());
            node.decide.push(why);
        }
        let Some((first, others)) = groups.split_first() else { continue };
        if !others.is_empty() {
            node.remarks.push(format!("Also in {} of the inventory.", listed(others)));
            several.push(format!("{} ({})", node.name, listed(&groups)));
        }
        placed.entry(first).or_default().push(node);
    }
    let mut group_names = Names::default();
    for name in &inventory.order {
        if let Some(nodes) = placed.remove(name.as_str()) {
            let name = group_names.fresh(name);
            draft.groups.push(Group { name, nodes, decide: Vec::new() });
        }
    }
    draft.ssh = shared(&mut draft.groups);
    if !several.is_empty() {
        draft.decide.push(format!(
            "the group of hosts that stand in several; the first was taken: {}",
            beginning(&several, HOSTS_TOLD_MAX)
        ));
    }
    draft.decide.push("which groups this upgrade is about: take the others out".to_owned());
    let unread = unread.iter().map(|(why, nodes)| format!("{}: {why}", listed(nodes)));
    draft.decide.extend(unread);
    let is_made = |name: &&String| {
        let group = inventory.groups.get(*name);
        *name != ALL && group.is_some_and(|g| g.hosts.is_empty() && !g.children.is_empty())
    };
    let made: Vec<&String> = inventory.order.iter().filter(is_made).collect();
    if !made.is_empty() {
        let why = "groups of groups; a group of zdu holds nodes";
        draft.not_read.push(format!("{}: {why}", listed(&made)));
    }
    draft
}

/// Fills in how a node is reached; gives what could not be read.
fn connect(node: &mut Node, name: &str, vars: &HostVars<'_>) -> Vec<String> {
    let mut unread = Vec::new();
    let mut read = |names: [&str; 2], fits: fn(&str) -> bool| {
        let found = names.into_iter().find_map(|name| Some((name, *vars.get(name)?)));
        let (name, value) = found?;
        match value {
            Value::Vault => unread.push(format!("{name} is encrypted by ansible-vault")),
            Value::Text(text) if text.contains("{{") || text.contains("{%") => {
                unread.push(format!("{name} is a template, which zdu does not evaluate"));
            }
            Value::Text(text) if text.len() <= VALUE_MAX && fits(text) => {
                return Some(text.clone());
            }
            Value::Text(_) | Value::Other => {
                unread.push(format!("{name} is nothing that zdu could use"));
            }
        }
        None
    };
    node.address = read(ADDRESS, is_name).unwrap_or_else(|| name.to_owned());
    node.ssh = Ssh {
        user: read(USER, is_user),
        port: read(PORT, is_port).and_then(|port| port.parse().ok()),
        identity: read(IDENTITY, is_path),
    };
    let connection = vars.get(CONNECTION).map(|value| match value {
        Value::Text(text) => text.rsplit('.').next().unwrap_or_default(),
        Value::Vault | Value::Other => "",
    });
    match connection {
        Some("local") => {
            node.local = true;
            node.ssh = Ssh::default();
        }
        None => {}
        Some(kind) if SSH.contains(&kind) => {}
        Some(_) => {
            let why = "is not one by ssh, and zdu reaches nodes by nothing else";
            unread.push(format!("{CONNECTION} {why}"));
        }
    }
    unread
}

fn is_user(text: &str) -> bool {
    let odd = |c: char| !c.is_ascii_graphic() || "\"'`{}$;|&<>()".contains(c);
    !text.is_empty() && !text.starts_with('-') && !text.contains(odd)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// A path, and no key that somebody wrote in its place.
fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control) && !text.contains("PRIVATE KEY")
}

/// What all nodes that are reached by ssh have in common, taken out of each.
fn shared(groups: &mut [Group]) -> Ssh {
    let nodes = || groups.iter().flat_map(|group| &group.nodes).filter(|node| !node.local);
    fn same<'a>(mut values: impl Iterator<Item = &'a Option<String>>) -> Option<String> {
        let first = values.next()?.clone();
        first.filter(|first| values.all(|value| value.as_ref() == Some(first)))
    }
    let user = same(nodes().map(|node| &node.ssh.user));
    let identity = same(nodes().map(|node| &node.ssh.identity));
    for node in groups.iter_mut().flat_map(|group| &mut group.nodes) {
        node.ssh.user.take_if(|_| user.is_some());
        node.ssh.identity.take_if(|_| identity.is_some());
    }
    // A port of all nodes may be none of the balancers' hosts.
    Ssh { user, port: None, identity }
}
