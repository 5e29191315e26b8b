//! Inventories in the YAML form, and files of variables.

use super::inventory::{Inventory, Value, Vars};
use super::{VAULT, is_empty, made_static, parsed};
use crate::diagnostic::{Findings, Place, suggest};
use crate::tree::{Key, Kind, Tree, shown};

/// The key by which a file configures a plugin that makes an inventory.
const PLUGIN: &str = "plugin";

/// The key that only the answer of a dynamic inventory has.
const META: &str = "_meta";

/// Reads an inventory; `None` when it has errors, which are in `findings`.
pub(super) fn inventory(
    bytes: &[u8],
    source: usize,
    inventory: &mut Inventory,
    findings: &mut Findings,
) -> Option<()> {
    if is_empty(bytes) {
        return Some(());
    }
    let tree = parsed(bytes, source, findings)?;
    let entries = match &tree.kind {
        Kind::Map(entries) => entries,
        Kind::List(_) => {
            let hint = "an inventory is a map of groups; is this a playbook?";
            findings.error_hint(tree.place, "the file is a list", hint);
            return None;
        }
        Kind::Null | Kind::Scalar { .. } => {
            let hint = "an inventory is a map of groups, such as `all: { hosts: { web1: } }`";
            findings.error_hint(tree.place, "the file is a single value", hint);
            return None;
        }
    };
    if let Some((key, value)) = entries.iter().find(|(key, _)| key.text == PLUGIN)
        && let Kind::Scalar { text, .. } = &value.kind
    {
        let message = format!("the file configures the inventory plugin `{}`", shown(text));
        let file = findings.files.get(source).cloned().unwrap_or_default();
        findings.error_hint(key.place, message, made_static(&file));
        return None;
    }
    if let Some((key, _)) = entries.iter().find(|(key, _)| key.text == META) {
        let message = "this is the answer of a dynamic inventory, which has another form";
        let hint = "ask Ansible for it as an inventory: `ansible-inventory --list --yaml`";
        findings.error_hint(key.place, message, hint);
        return None;
    }
    for (key, value) in entries {
        group(key, value, inventory, findings);
    }
    (!findings.failed()).then_some(())
}

fn group(key: &Key, value: &Tree, inventory: &mut Inventory, findings: &mut Findings) {
    let name = key.text.as_str();
    if name.is_empty() || name.contains(['/', ' ', '=']) {
        let hint = "a group is a word, such as `web`";
        return findings.error_hint(key.place, "this is no name of a group", hint);
    }
    inventory.group(name);
    let Some(entries) = map(value, "a group", findings) else { return };
    for (key, value) in entries {
        match key.text.as_str() {
            "vars" => {
                let vars = vars(value, "the variables of a group", findings);
                inventory.group(name).vars.extend(vars);
            }
            "hosts" => hosts(name, value, inventory, findings),
            "children" => children(name, value, inventory, findings),
            other => {
                let message = format!("a group has no `{}`", shown(other));
                let hint = suggest(other, ["hosts", "vars", "children"], "a group has");
                findings.error_hint(key.place, message, hint);
            }
        }
    }
}

fn hosts(group: &str, value: &Tree, inventory: &mut Inventory, findings: &mut Findings) {
    if let Kind::Scalar { text, .. } = &value.kind {
        return inventory.take(group, text, &Vars::new(), value.place, findings);
    }
    let Some(entries) = map(value, "the hosts of a group", findings) else { return };
    for (key, value) in entries {
        let vars = vars(value, "the variables of a host", findings);
        inventory.take(group, &key.text, &vars, key.place, findings);
    }
}

fn children(parent: &str, value: &Tree, inventory: &mut Inventory, findings: &mut Findings) {
    let Some(entries) = map(value, "the children of a group", findings) else { return };
    for (key, value) in entries {
        group(key, value, inventory, findings);
        let child = (key.text.clone(), key.place);
        inventory.group(parent).children.push(child);
    }
}

/// The variables of a file; nothing is what an empty one has.
pub(super) fn file(bytes: &[u8], source: usize, findings: &mut Findings) -> Vars {
    if is_empty(bytes) {
        return Vars::new();
    }
    let tree = parsed(bytes, source, findings);
    tree.map(|tree| vars(&tree, "a file of variables", findings)).unwrap_or_default()
}

fn vars(tree: &Tree, what: &str, findings: &mut Findings) -> Vars {
    let mut all = Vars::new();
    let Some(entries) = map(tree, what, findings) else { return all };
    for (key, value) in entries {
        // What a map merges in does not win over what it says itself.
        if let ("<<", Kind::Map(merged)) = (key.text.as_str(), &value.kind) {
            for (key, value) in merged {
                all.entry(key.text.clone()).or_insert_with(|| value_of(value));
            }
        }
    }
    let own = entries.iter().filter(|(key, _)| key.text != "<<");
    all.extend(own.map(|(key, value)| (key.text.clone(), value_of(value))));
    all
}

fn value_of(tree: &Tree) -> Value {
    match &tree.kind {
        // The tag `!vault` is no part of a tree; what it stands before always begins so.
        Kind::Scalar { text, .. } if text.trim_start().starts_with(VAULT) => Value::Vault,
        Kind::Scalar { text, .. } => Value::Text(text.clone()),
        Kind::Null | Kind::List(_) | Kind::Map(_) => Value::Other,
    }
}

/// The entries of a map; none of nothing.
fn map<'a>(tree: &'a Tree, what: &str, findings: &mut Findings) -> Option<&'a [(Key, Tree)]> {
    match &tree.kind {
        Kind::Map(entries) => Some(entries),
        Kind::Null => None,
        Kind::Scalar { .. } | Kind::List(_) => {
            let message = format!("{what} must be a map, and this is {}", tree.kind.name());
            let place = Place { len: 0, ..tree.place };
            findings.error_hint(place, message, "write `NAME:` on a line of its own for each");
            None
        }
    }
}
