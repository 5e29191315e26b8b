//! From an Ansible inventory, with the variables beside it, to a `zdu.yaml`.
//!
//! Read are INI and YAML inventories, as Ansible's own plugins read them: groups, children, ranges,
//! variables of groups and hosts, and `group_vars` and `host_vars` beside the file. Nothing is run
//! and nothing decrypted, so a dynamic inventory is refused with the command that makes a static
//! one of it. Five connection variables become part of the file. All others stay where they are:
//! their names are told, their values never.
//!
//! Start at [`from_inventory`]; `inventory.rs` has the model and which value wins, `fleet.rs` what
//! becomes of it.

mod beside;
mod fleet;
mod hosts;
mod ini;
mod inventory;
mod left;
mod yaml;

use super::Imported;
use crate::diagnostic::{Diagnostic, Findings, Place};
use crate::load::{Disk, Files};
use crate::tree::{self, shown};
use inventory::Inventory;
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

/// What every file begins with that ansible-vault encrypted.
const VAULT: &str = "$ANSIBLE_VAULT;";

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File {
        /// Whether it may be run.
        executable: bool,
    },
    /// A directory with these entries.
    Directory(Vec<String>),
    /// Nothing, or nothing that can be read like a file.
    Nothing,
}

/// Files that can be looked for.
pub trait Places: Files {
    /// What the path leads to.
    fn find(&self, path: &str) -> Found;
}

impl Places for Disk {
    fn find(&self, path: &str) -> Found {
        let Ok(meta) = std::fs::metadata(path) else { return Found::Nothing };
        // A pipe is what the answer of a dynamic inventory comes from.
        if meta.is_file() || meta.file_type().is_fifo() {
            let executable = meta.is_file() && meta.permissions().mode() & 0o111 != 0;
            return Found::File { executable };
        }
        let Ok(entries) = std::fs::read_dir(path) else { return Found::Nothing };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        Found::Directory(names)
    }
}

/// Files in memory: a directory is what stands before a `/`.
impl Places for BTreeMap<String, Vec<u8>> {
    fn find(&self, path: &str) -> Found {
        if self.contains_key(path) {
            return Found::File { executable: false };
        }
        let below = |name: &String| {
            let rest = name.strip_prefix(path)?.strip_prefix('/')?;
            rest.split('/').next().map(str::to_owned)
        };
        let mut names: Vec<String> = self.keys().filter_map(below).collect();
        names.dedup();
        if names.is_empty() { Found::Nothing } else { Found::Directory(names) }
    }
}

/// Writes a configuration for the hosts of an inventory; `load` accepts it as it is.
///
/// # Errors
/// What is wrong with the inventory, each at its place. The lines themselves are never shown: any
/// of them may hold a secret.
pub fn from_inventory(path: &str, files: &dyn Places) -> Result<Imported, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    let draft = read(path, files, &mut findings);
    match draft {
        Some(draft) if !findings.failed() => Ok(draft.write()),
        _ => {
            findings.conceal_from(0);
            Err(findings.finish())
        }
    }
}

fn read(path: &str, files: &dyn Places, findings: &mut Findings) -> Option<super::draft::Draft> {
    let source = findings.add_file(path);
    let bytes = content(path, source, files, findings)?;
    let mut inventory = Inventory::default();
    if is_yaml(path, &bytes) {
        yaml::inventory(&bytes, source, &mut inventory, findings)?;
    } else {
        ini::inventory(text(&bytes, source, findings)?, source, &mut inventory, findings)?;
    }
    let ranks = inventory.ranked(findings)?;
    let encrypted = beside::read(path, files, &mut inventory, findings);
    let mut draft = fleet::draft(&inventory, &ranks, path);
    if draft.groups.is_empty() {
        let hint = "a host stands below `[GROUP]`, or in YAML below `hosts:` of a group";
        findings.error_hint(first(source), "the inventory has no host", hint);
    }
    draft.not_read.extend(left::behind(&inventory, &encrypted));
    Some(draft)
}

fn first(source: usize) -> Place {
    Place { source, line: 1, column: 1, ..Place::default() }
}

/// How the answer of a dynamic inventory is given to zdu without a file that holds its secrets.
fn made_static(path: &str) -> String {
    let path = shown(path);
    format!(
        "zdu runs nothing of one; give it the answer: \
         `ansible-inventory -i {path} --list --yaml | zdu init --from ansible /dev/stdin`"
    )
}

/// The content of an inventory that can be read without running or decrypting anything.
fn content(
    path: &str,
    source: usize,
    files: &dyn Places,
    findings: &mut Findings,
) -> Option<Vec<u8>> {
    let place = first(source);
    let mut refuse = |message: String, hint: String| {
        findings.error_hint(place, message, hint);
        None
    };
    let name = shown(path);
    let executable = match files.find(path) {
        Found::File { executable } => executable,
        Found::Directory(entries) => {
            let usual = |entry: &&String| entry.starts_with("hosts") || entry.starts_with("inven");
            let inside = entries.iter().find(usual).map_or("hosts", String::as_str);
            let hint = format!("name the file in it: `{}/{}`", name.trim_end_matches('/'), inside);
            return refuse(format!("`{name}` is a directory"), hint);
        }
        Found::Nothing => {
            let hint = match path.contains(',') {
                true => "a list of hosts is no file: write them below each other in one",
                false => "give the path of an INI or YAML inventory",
            };
            return refuse(format!("there is no file `{name}`"), hint.to_owned());
        }
    };
    let bytes = match files.read(path) {
        Ok(bytes) => bytes,
        Err(reason) => {
            let hint = "check that this user may read it".to_owned();
            return refuse(format!("`{name}` cannot be read: {reason}"), hint);
        }
    };
    if bytes.starts_with(b"#!") {
        return refuse("this is a program: a dynamic inventory".to_owned(), made_static(path));
    }
    if executable {
        let hint = format!("is it static? then `chmod -x {name}`; else: {}", made_static(path));
        return refuse("the file is executable: Ansible would run it".to_owned(), hint);
    }
    if bytes.starts_with(VAULT.as_bytes()) {
        let hint = "`ansible-vault view` prints it; give a copy without its secrets".to_owned();
        return refuse("the inventory is encrypted by ansible-vault".to_owned(), hint);
    }
    if extension(path) == Some("toml") {
        return refuse("a TOML inventory is not read".to_owned(), made_static(path));
    }
    Some(bytes)
}

fn text<'a>(bytes: &'a [u8], source: usize, findings: &mut Findings) -> Option<&'a str> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    if text.is_none() {
        let hint = "an inventory is UTF-8 text; is this the right file?";
        findings.error_hint(first(source), "the file is no text", hint);
    }
    text.map(|text| text.strip_prefix('\u{FEFF}').unwrap_or(text))
}

fn extension(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map(|(_, extension)| extension)
}

/// By its name, or, where that says nothing, by its first line: `key:` is no line of an INI file.
fn is_yaml(path: &str, bytes: &[u8]) -> bool {
    match extension(path) {
        Some("yaml" | "yml" | "json") => return true,
        Some("ini" | "cfg") => return false,
        Some(_) | None => {}
    }
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.find(|line| !line.starts_with(['#', ';'])).unwrap_or_default();
    let key = line.split_once('#').map_or(line, |(key, _)| key).trim_end();
    line == "---" || line.starts_with('{') || (key.ends_with(':') && !key.contains(['=', '[']))
}

/// Whether a YAML text has something in it.
fn is_empty(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::trim).all(|line| {
        line.is_empty() || line.starts_with('#') || matches!(line, "---" | "..." | "{}")
    })
}

/// A YAML text as a tree; `None` with its reason in `findings`.
fn parsed(bytes: &[u8], source: usize, findings: &mut Findings) -> Option<tree::Tree> {
    tree::read(bytes, source, findings)
}
