//! What an inventory has and a `zdu.yaml` does not get, each with the reason. Only names are told.

use super::fleet::{ADDRESS, CONNECTION, IDENTITY, PORT, USER};
use super::inventory::{Inventory, Value, Vars};
use crate::import::draft::{beginning, listed};
use crate::tree::shown;
use std::collections::BTreeMap;

/// So many owners of a variable, and so many variables, are told in one sentence.
const OWNERS_TOLD_MAX: usize = 2;
const NAMES_TOLD_MAX: usize = 8;

/// Why a variable stays behind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Secret,
    Encrypted,
    OfSsh,
    Becoming,
    OfPlaybooks,
}

/// What ssh is called with. It can hold anything, also a password.
const OF_SSH: [&str; 4] = [
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_executable",
];

impl Why {
    /// `None` for what is read.
    fn of(name: &str, value: &Value) -> Option<Self> {
        let read = [ADDRESS, USER, PORT, IDENTITY].iter().any(|names| names.contains(&name));
        if *value == Value::Vault {
            Some(Self::Encrypted)
        } else if read || name == CONNECTION {
            None
        } else if is_secret(name) {
            Some(Self::Secret)
        } else if OF_SSH.contains(&name) {
            Some(Self::OfSsh)
        } else if name.starts_with("ansible_become") {
            Some(Self::Becoming)
        } else {
            Some(Self::OfPlaybooks)
        }
    }

    /// The sentence for these variables.
    fn told(self, names: &BTreeMap<&str, Vec<String>>) -> String {
        let with_owners = || {
            let told = names.iter().map(|(name, owners)| {
                format!("{} ({})", shown(name), beginning(owners, OWNERS_TOLD_MAX))
            });
            beginning(&told.collect::<Vec<_>>(), NAMES_TOLD_MAX)
        };
        match self {
            Self::Secret => {
                let why = "zdu never copies a secret, and logs in with keys or an agent";
                format!("{}: {why}", with_owners())
            }
            Self::Encrypted => format!("{}: encrypted by ansible-vault", with_owners()),
            Self::OfSsh => {
                let why = "what they say to ssh belongs into ~/.ssh/config, or a file that \
                           `fleet.ssh.config` names";
                format!("{}: {why}", with_owners())
            }
            Self::Becoming => {
                let why = "a step of a procedure says by `run.user` whom it runs as";
                format!("{}: {why}", with_owners())
            }
            Self::OfPlaybooks => {
                let names: Vec<&str> = names.keys().copied().collect();
                format!("variables of playbooks: {}", listed(&names))
            }
        }
    }
}

/// Whether a name promises a value that nobody may see.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = ["pass", "secret", "token", "private_key", "credential", "apikey", "api_key"];
    words.iter().any(|word| name.contains(word))
}

/// Everything that stays behind. `encrypted` are files.
pub(super) fn behind(inventory: &Inventory, encrypted: &[String]) -> Vec<String> {
    let mut owned: Vec<(String, &Vars)> = Vec::new();
    for name in &inventory.order {
        let group = inventory.groups.get(name).into_iter();
        owned.extend(group.flat_map(|group| {
            let title = format!("group {}", shown(name));
            [(title.clone(), &group.vars), (title, &group.beside)]
        }));
    }
    for host in &inventory.hosts {
        let title = format!("host {}", shown(&host.name));
        owned.extend([(title.clone(), &host.vars), (title, &host.beside)]);
    }
    let mut found: BTreeMap<Why, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for (owner, vars) in &owned {
        for (name, value) in *vars {
            let Some(why) = Why::of(name, value) else { continue };
            let owners = found.entry(why).or_default().entry(name).or_default();
            if !owners.contains(owner) {
                owners.push(owner.clone());
            }
        }
    }
    let mut all: Vec<String> = found.iter().map(|(why, names)| why.told(names)).collect();
    for path in encrypted {
        all.push(format!("{}: encrypted by ansible-vault", shown(path)));
    }
    all.push("ansible.cfg, and what playbooks and roles set".to_owned());
    all
}
