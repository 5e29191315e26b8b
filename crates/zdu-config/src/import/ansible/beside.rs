//! `group_vars` and `host_vars` beside an inventory, found as Ansible finds them.

use super::inventory::{Inventory, Vars};
use super::{Found, Places, VAULT, yaml};
use crate::diagnostic::{Findings, Place};
use crate::tree::shown;

/// What the name of a file of variables may end with, in the order in which they are tried.
const ENDINGS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// How deep directories of variables lie in each other at most; links may make a circle.
const DEPTH_MAX: usize = 8;

struct Beside<'a> {
    files: &'a dyn Places,
    findings: &'a mut Findings,
    encrypted: Vec<String>,
}

/// Reads the variables of every group and host; gives the files that are encrypted.
pub(super) fn read(
    path: &str,
    files: &dyn Places,
    inventory: &mut Inventory,
    findings: &mut Findings,
) -> Vec<String> {
    let parent = path.rsplit_once('/').map_or(String::new(), |(parent, _)| format!("{parent}/"));
    let mut beside = Beside { files, findings, encrypted: Vec::new() };
    let directory = format!("{parent}group_vars");
    if let Found::Directory(entries) = files.find(&directory) {
        for (name, group) in &mut inventory.groups {
            group.beside = beside.of(&directory, &entries, name);
        }
    }
    let directory = format!("{parent}host_vars");
    if let Found::Directory(entries) = files.find(&directory) {
        for host in &mut inventory.hosts {
            host.beside = beside.of(&directory, &entries, &host.name);
        }
    }
    beside.encrypted
}

impl Beside<'_> {
    /// Of the first name that is there, the variables.
    fn of(&mut self, directory: &str, entries: &[String], name: &str) -> Vars {
        let mut vars = Vars::new();
        for ending in ENDINGS {
            let wanted = format!("{name}{ending}");
            if !entries.contains(&wanted) {
                continue;
            }
            let path = format!("{directory}/{wanted}");
            match self.files.find(&path) {
                Found::File { .. } => self.file(&path, &mut vars),
                Found::Directory(entries) => self.directory(&path, &entries, 1, &mut vars),
                Found::Nothing => {}
            }
            break;
        }
        vars
    }

    fn directory(&mut self, directory: &str, entries: &[String], depth: usize, vars: &mut Vars) {
        for entry in entries {
            if entry.starts_with('.') || entry.ends_with('~') {
                continue;
            }
            let ending = entry.rfind('.').map_or("", |at| &entry[at..]);
            let path = format!("{directory}/{entry}");
            match self.files.find(&path) {
                Found::Directory(inner) if ending.is_empty() && depth < DEPTH_MAX => {
                    self.directory(&path, &inner, depth + 1, vars);
                }
                Found::File { .. } if ENDINGS.contains(&ending) => self.file(&path, vars),
                Found::File { .. } | Found::Directory(_) | Found::Nothing => {}
            }
        }
    }

    fn file(&mut self, path: &str, vars: &mut Vars) {
        match self.files.read(path) {
            Ok(bytes) if bytes.starts_with(VAULT.as_bytes()) => {
                self.encrypted.push(path.to_owned());
            }
            Ok(bytes) => {
                let source = self.findings.add_file(path);
                vars.extend(yaml::file(&bytes, source, self.findings));
            }
            Err(reason) => {
                let source = self.findings.add_file(path);
                let place = Place { source, line: 1, column: 1, ..Place::default() };
                let message = format!("`{}` cannot be read: {reason}", shown(path));
                self.findings.error_hint(place, message, "check that this user may read it");
            }
        }
    }
}
