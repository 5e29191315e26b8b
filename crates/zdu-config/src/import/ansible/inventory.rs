//! An inventory as it was read, and which of several values wins.

use super::hosts::{HOSTS_MAX, expand, split_port};
use crate::diagnostic::{Findings, Place};
use crate::tree::shown;
use std::collections::{BTreeMap, BTreeSet};

/// The group of all hosts.
pub(super) const ALL: &str = "all";

/// The group of hosts that stand in no other.
pub(super) const UNGROUPED: &str = "ungrouped";

/// The value of a variable, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A single value.
    Text(String),
    /// Encrypted by ansible-vault.
    Vault,
    /// A list, a map or nothing.
    Other,
}

/// Variables of a group or a host, by name.
pub(super) type Vars = BTreeMap<String, Value>;

#[derive(Debug, Default)]
pub(super) struct Group {
    /// Hosts that stand in it itself, by their place in the list of all.
    pub(super) hosts: Vec<usize>,
    members: BTreeSet<usize>,
    /// Groups in it, each with the place that names it.
    pub(super) children: Vec<(String, Place)>,
    /// Of the inventory itself.
    pub(super) vars: Vars,
    /// Of files beside it, which win.
    pub(super) beside: Vars,
    /// Whether it is declared, and not only named as a child.
    pub(super) declared: bool,
}

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) vars: Vars,
    pub(super) beside: Vars,
}

#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) groups: BTreeMap<String, Group>,
    /// Names of groups, as they were declared.
    pub(super) order: Vec<String>,
    pub(super) hosts: Vec<Host>,
    places: BTreeMap<String, usize>,
}

/// How the groups lie in each other.
pub(super) struct Ranks {
    /// The groups that a group stands in, itself among them.
    above: BTreeMap<String, BTreeSet<String>>,
    /// The weakest group first: by depth, then by priority, then by name, as in Ansible.
    strength: BTreeMap<String, usize>,
}

impl Inventory {
    /// The group of that name, declared by now.
    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        if self.groups.get(name).is_none_or(|group| !group.declared) {
            self.order.push(name.to_owned());
        }
        let group = self.named(name);
        group.declared = true;
        group
    }

    /// The group of that name, which may be declared later.
    pub(super) fn named(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// Takes all hosts of a pattern into a group, with these variables over what they have.
    pub(super) fn take(
        &mut self,
        group: &str,
        pattern: &str,
        vars: &Vars,
        place: Place,
        findings: &mut Findings,
    ) {
        let (names, port) = split_port(pattern);
        let names = match expand(names) {
            Ok(names) => names,
            Err(why) => {
                let hint = "a host is a name or an address, such as web1, web[01:10] or db[a:c]:22";
                findings.error_hint(place, why, hint);
                return;
            }
        };
        if self.hosts.len() + names.len() > HOSTS_MAX {
            findings.error(place, format!("the inventory has more than {HOSTS_MAX} hosts"));
            return;
        }
        for name in names {
            let at = *self.places.entry(name.clone()).or_insert(self.hosts.len());
            if at == self.hosts.len() {
                self.hosts.push(Host { name, ..Host::default() });
            }
            let Some(host) = self.hosts.get_mut(at) else { continue };
            if let Some(port) = port {
                host.vars.insert("ansible_port".to_owned(), Value::Text(port.to_string()));
            }
            host.vars.extend(vars.clone());
            let group = self.group(group);
            if group.members.insert(at) {
                group.hosts.push(at);
            }
        }
    }

    /// Checks how the groups lie in each other; `None` when they do not.
    pub(super) fn ranked(&mut self, findings: &mut Findings) -> Option<Ranks> {
        self.group(ALL);
        self.group(UNGROUPED);
        // Hosts without a group are seldom what an upgrade is about.
        self.order.retain(|name| name != UNGROUPED);
        self.order.push(UNGROUPED.to_owned());
        let mut parents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, group) in &self.groups {
            for (child, place) in &group.children {
                if self.groups.get(child).is_none_or(|group| !group.declared) {
                    let message = format!("there is no group `{}`", shown(child));
                    findings.error_hint(*place, message, "a child must be a group of its own");
                }
                parents.entry(child).or_default().push(name);
            }
        }
        let depths = self.depths(&parents, findings)?;
        let mut names: Vec<&String> = self.groups.keys().collect();
        names.sort_by_key(|name| (depths.get(name.as_str()), self.priority(name), *name));
        let strength = names.into_iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        let mut above = BTreeMap::new();
        for name in self.groups.keys() {
            let mut all = BTreeSet::from([ALL, name.as_str()]);
            let mut open = vec![name.as_str()];
            while let Some(name) = open.pop() {
                let more = parents.get(name).into_iter().flatten();
                open.extend(more.filter(|parent| all.insert(parent)));
            }
            above.insert(name.clone(), all.into_iter().map(str::to_owned).collect());
        }
        Some(Ranks { above, strength })
    }

    /// The longest way from `all` to each group; `None` when one stands in itself.
    fn depths<'a>(
        &'a self,
        parents: &BTreeMap<&'a str, Vec<&'a str>>,
        findings: &mut Findings,
    ) -> Option<BTreeMap<&'a str, usize>> {
        let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
        let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
        let mut open = Vec::new();
        for name in self.groups.keys().map(String::as_str) {
            let count = parents.get(name).map_or(0, Vec::len);
            missing.insert(name, count);
            depths.insert(name, usize::from(name != ALL));
            if count == 0 {
                open.push(name);
            }
        }
        while let Some(name) = open.pop() {
            let depth = depths.get(name).copied().unwrap_or_default();
            for (child, _) in self.groups.get(name).into_iter().flat_map(|group| &group.children) {
                let Some((child, left)) = missing.get_key_value(child.as_str()) else { continue };
                let (child, left) = (*child, left.saturating_sub(1));
                missing.insert(child, left);
                depths.entry(child).and_modify(|known| *known = (*known).max(depth + 1));
                if left == 0 {
                    open.push(child);
                }
            }
        }
        let (name, _) = match missing.into_iter().find(|(_, left)| *left > 0) {
            Some(found) => found,
            None => return Some(depths),
        };
        let named = self.groups.values().flat_map(|group| &group.children);
        let place = named.filter(|(child, _)| child == name).map(|(_, place)| *place).next();
        let message = format!("the group `{}` stands in itself", shown(name));
        findings.error(place.unwrap_or_default(), message);
        None
    }

    /// `ansible_group_priority`, which only an inventory can give.
    fn priority(&self, name: &str) -> i64 {
        match self.groups.get(name).and_then(|group| group.vars.get("ansible_group_priority")) {
            Some(Value::Text(text)) => text.trim().parse().unwrap_or(1),
            Some(Value::Vault | Value::Other) | None => 1,
        }
    }

    /// The groups a host stands in itself, in the order of the inventory; `all` and `ungrouped`
    /// only where there is no other.
    pub(super) fn groups_of(&self) -> Vec<Vec<&str>> {
        let mut all: Vec<Vec<&str>> = self.hosts.iter().map(|_| Vec::new()).collect();
        let own = |name: &&String| !matches!(name.as_str(), ALL | UNGROUPED);
        let (named, others): (Vec<&String>, Vec<&String>) = self.order.iter().partition(own);
        for name in named {
            for at in self.groups.get(name).into_iter().flat_map(|group| &group.hosts) {
                all.get_mut(*at).into_iter().for_each(|groups| groups.push(name.as_str()));
            }
        }
        for name in others {
            for at in self.groups.get(name).into_iter().flat_map(|group| &group.hosts) {
                let groups = all.get_mut(*at).filter(|groups| groups.is_empty());
                groups.into_iter().for_each(|groups| groups.push(UNGROUPED));
            }
        }
        all
    }

    /// The variables of a host: what wins, as in Ansible. A group in a group wins over it, a file
    /// beside the inventory over the inventory, a host over every group.
    pub(super) fn vars_of<'a>(
        &'a self,
        host: &'a Host,
        groups: &[&str],
        ranks: &Ranks,
    ) -> BTreeMap<&'a str, &'a Value> {
        let above = groups.iter().filter_map(|name| ranks.above.get(*name)).flatten();
        let above: BTreeSet<&str> = above.map(String::as_str).collect();
        let mut names: Vec<&str> = above.into_iter().collect();
        names.sort_by_key(|name| ranks.strength.get(*name));
        let groups: Vec<&Group> = names.iter().filter_map(|name| self.groups.get(*name)).collect();
        let mut all = BTreeMap::new();
        let of_groups = groups.iter().map(|group| &group.vars);
        let beside = groups.iter().map(|group| &group.beside);
        for vars in of_groups.chain(beside).chain([&host.vars, &host.beside]) {
            all.extend(vars.iter().map(|(name, value)| (name.as_str(), value)));
        }
        all
    }
}
