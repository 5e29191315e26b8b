//! From a file's name to a configuration: reading, including, checking, converting.

use crate::check::check;
use crate::decode::decode;
use crate::diagnostic::{Diagnostic, Findings, Place, suggest};
use crate::raw;
use crate::tree::{Key, Kind, Tree, read, shown};
use crate::values::{Written, name, secret_source};
use crate::{fleet, policy, procedure, raw_procedure};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use zdu_model::fleet::Fleet;
use zdu_model::ids::{PhaseName, SecretName, VarName};
use zdu_model::plan::Release;
use zdu_model::policy::{Policy, SecretSource};
use zdu_model::procedure::Procedure;

/// What stands before the name of a text that comes with zdu, so that it is not taken for a file.
const BUILTIN: &str = "builtin:";

/// The files a configuration may name. A trait, so that nothing here touches a disk by itself.
pub trait Files {
    /// The content of the file at `path`.
    ///
    /// # Errors
    /// Why it cannot be read, as a fragment such as "no such file".
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
}

/// Files in memory, by path.
impl Files for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                "no such file".to_owned()
            } else {
                error.to_string()
            }
        })
    }
}

/// A configuration, checked and with every default filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The fleet.
    pub fleet: Fleet,
    /// The procedure.
    pub procedure: Procedure,
    /// Where the procedure was read: a path, or `builtin:NAME`.
    pub procedure_source: String,
    /// From which release to which.
    pub release: Release,
    /// Values of the procedure's variables that the operator gave.
    pub vars: BTreeMap<VarName, String>,
    /// Where the secrets come from; the same as in `policy`.
    pub secrets: BTreeMap<SecretName, SecretSource>,
    /// Where each secret was declared, as diagnostics name a place.
    pub secret_places: BTreeMap<SecretName, String>,
    /// The operator's limits.
    pub policy: Policy,
    /// What a person should read although the configuration can be used.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the configuration at `path` and everything it names.
///
/// # Errors
/// Everything that was found wrong, in the order of the text; warnings are among it.
pub fn load(path: &str, files: &dyn Files) -> Result<Config, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    let config = load_into(path, files, &mut findings);
    let failed = findings.failed();
    let found = findings.finish();
    match config {
        Some(config) if !failed => Ok(Config { warnings: found, ..config }),
        _ => Err(found),
    }
}

/// Reads a procedure from its text.
///
/// # Errors
/// Everything that was found wrong.
pub fn parse_procedure(text: &str, file: &str) -> Result<Procedure, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    let procedure = procedure_into(text.as_bytes(), file, &mut findings);
    match procedure {
        Some(procedure) if !findings.failed() => Ok(procedure),
        _ => Err(findings.finish()),
    }
}

/// The JSON Schema of `zdu.yaml`.
#[must_use]
pub fn schema() -> Value {
    schemars::schema_for!(raw::Document).to_value()
}

/// The JSON Schema of a procedure.
#[must_use]
pub fn procedure_schema() -> Value {
    schemars::schema_for!(raw_procedure::Procedure).to_value()
}

fn load_into(path: &str, files: &dyn Files, findings: &mut Findings) -> Option<Config> {
    let mut stack = Vec::new();
    let tree = included(path, files, &mut stack, Place::default(), findings)?;
    let raw: raw::Document = typed(&tree, &schema(), findings)?;
    let (procedure_source, procedure) = find_procedure(path, &raw, files, findings);
    let procedure = procedure.as_ref();
    let fleet = fleet::convert(&raw, stem(path), procedure, findings);
    let secrets = secrets(&raw, procedure, tree.place, findings);
    let places = secrets.iter().map(|(name, (_, place))| (name.clone(), findings.at(*place)));
    let secret_places = places.collect();
    let secrets: BTreeMap<_, _> =
        secrets.into_iter().map(|(name, (source, _))| (name, source)).collect();
    let phases: Option<Vec<PhaseName>> =
        procedure.map(|p| p.phases.iter().map(|phase| phase.name.clone()).collect());
    let policy = policy::convert(&raw.policy, secrets.clone(), phases.as_deref(), findings);
    if let Some(procedure) = procedure {
        fleet::check_vars(&raw, procedure, tree.place, findings);
    }
    let var = |(key, at): &(_, crate::decode::At<raw::Word>)| {
        let key = name(key, |t| VarName::new(t), findings)?;
        Some((key, at.value.written().to_owned()))
    };
    let vars = raw.vars.into_iter().filter_map(var).collect();
    let raw::Release { from, to } = raw.release;
    Some(Config {
        fleet: fleet?,
        procedure: procedure?.clone(),
        procedure_source,
        release: Release { from: from.0, to: to.0 },
        vars,
        secrets,
        secret_places,
        policy,
        warnings: Vec::new(),
    })
}

/// A tree as a raw type, once it fits the schema.
fn typed<T: DeserializeOwned>(tree: &Tree, schema: &Value, findings: &mut Findings) -> Option<T> {
    let before = findings.failed();
    check(tree, schema, findings);
    if findings.failed() && !before {
        return None;
    }
    match decode(tree) {
        Ok(raw) => Some(raw),
        Err(failure) => {
            let place = failure.place.unwrap_or(tree.place);
            findings.error(place, failure.message);
            None
        }
    }
}

fn procedure_into(bytes: &[u8], file: &str, findings: &mut Findings) -> Option<Procedure> {
    let source = findings.add_file(file);
    let tree = read(bytes, source, findings)?;
    let raw: raw_procedure::Procedure = typed(&tree, &procedure_schema(), findings)?;
    procedure::convert(&raw, findings)
}

fn find_procedure(
    path: &str,
    raw: &raw::Document,
    files: &dyn Files,
    findings: &mut Findings,
) -> (String, Option<Procedure>) {
    let wanted = raw.procedure.value.as_str();
    let place = raw.procedure.place;
    let is_path =
        wanted.contains('/') || [".yaml", ".yml", ".json"].iter().any(|end| wanted.ends_with(end));
    if is_path {
        let file = beside(path, wanted);
        let procedure = match files.read(&file) {
            Ok(bytes) => procedure_into(&bytes, &file, findings),
            Err(reason) => {
                let message = format!("the procedure `{}` cannot be read: {reason}", shown(&file));
                findings.error(place, message);
                None
            }
        };
        return (file, procedure);
    }
    let file = format!("{BUILTIN}{wanted}");
    let builtin = crate::builtin_procedures();
    match builtin.iter().find(|(name, _)| *name == wanted) {
        Some((_, text)) => {
            let procedure = procedure_into(text.as_bytes(), &file, findings);
            (file, procedure)
        }
        None => {
            let message = format!("there is no built-in procedure `{}`", shown(wanted));
            let known = builtin.iter().map(|(name, _)| *name);
            let hint = suggest(wanted, known, "built in");
            let hint = format!("{hint}\nhint: your own is named by its path: `./{wanted}.yaml`");
            findings.error_hint(place, message, hint);
            (file, None)
        }
    }
}

fn secrets(
    raw: &raw::Document,
    procedure: Option<&Procedure>,
    place: Place,
    findings: &mut Findings,
) -> BTreeMap<SecretName, (SecretSource, Place)> {
    let mut all = BTreeMap::new();
    for (key, at) in &raw.secrets {
        let found = name(key, |t| SecretName::new(t), findings);
        let source = secret_source(&key.value, at, findings);
        if let (Some(procedure), Some(name)) = (procedure, &found)
            && !procedure.secrets.contains_key(name)
        {
            let message = format!("the procedure `{}` has no secret `{name}`", procedure.name);
            let known = procedure.secrets.keys().map(SecretName::as_str);
            findings.error_hint(key.place, message, suggest(name.as_str(), known, "secrets"));
        }
        if let (Some(name), Some(source)) = (found, source) {
            all.insert(name, (source, at.place));
        }
    }
    let given = |name: &SecretName| raw.secrets.0.iter().any(|(key, _)| key.value == name.as_str());
    for (name, why) in procedure.into_iter().flat_map(|procedure| &procedure.secrets) {
        if !given(name) {
            let place = raw.secrets.0.first().map_or(place, |(key, _)| key.place);
            let message = format!("the secret `{name}` is missing in `secrets`");
            let upper = name.as_str().to_uppercase().replace(['-', '.'], "_");
            let hint = format!("{why}: `{name}: \"env:{upper}\"`");
            findings.error_hint(place, message, hint);
        }
    }
    all
}

fn stem(path: &str) -> &str {
    let file = path.strip_prefix(BUILTIN).or_else(|| path.rsplit('/').next()).unwrap_or(path);
    file.split_once('.').map_or(file, |(stem, _)| stem)
}

/// A path relative to the file that names it, with `.` and `..` taken out.
fn beside(file: &str, named: &str) -> String {
    let joined = match file.rsplit_once('/') {
        Some((dir, _)) if !named.starts_with('/') => format!("{dir}/{named}"),
        _ => named.to_owned(),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match (part, parts.last()) {
            (".", _) => {}
            ("..", Some(last)) if !matches!(*last, ".." | "") => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Most files of one configuration, each counted as often as it is included: a few files that
/// include each other twice would otherwise be read without end.
const FILES_MAX: usize = 256;

/// Reads a file and merges what it includes into it.
fn included(
    path: &str,
    files: &dyn Files,
    stack: &mut Vec<String>,
    from: Place,
    findings: &mut Findings,
) -> Option<Tree> {
    if stack.iter().any(|open| open == path) {
        let message = format!("`{}` includes itself", shown(path));
        let hint = format!("{} -> {path}", stack.join(" -> "));
        findings.error_hint(from, message, hint);
        return None;
    }
    if findings.files.len() >= FILES_MAX {
        let message = format!("`{}` is one file more than {FILES_MAX}", shown(path));
        findings.error_hint(from, message, "include each file once, from the first one");
        return None;
    }
    let bytes = match files.read(path) {
        Ok(bytes) => bytes,
        Err(reason) => {
            if stack.is_empty() {
                findings.add_file(path);
            }
            let message = format!("`{}` cannot be read: {reason}", shown(path));
            let hint = "`zdu init` writes a first configuration";
            match stack.is_empty() {
                true => findings.error_hint(from, message, hint),
                false => findings.error(from, message),
            }
            return None;
        }
    };
    let source = findings.add_file(path);
    let mut tree = read(&bytes, source, findings)?;
    stack.push(path.to_owned());
    for (named, place) in includes(&tree) {
        let file = beside(path, &named);
        if let Some(other) = included(&file, files, stack, place, findings) {
            let mut keys = Vec::new();
            merge(&mut tree, other, &mut keys, findings);
        }
        if findings.files.len() >= FILES_MAX && findings.failed() {
            break;
        }
    }
    stack.pop();
    Some(tree)
}

/// The files a document includes; a list of a wrong kind is reported with the other keys.
fn includes(tree: &Tree) -> Vec<(String, Place)> {
    let Kind::Map(entries) = &tree.kind else {
        return Vec::new();
    };
    let list = entries.iter().find(|(key, _)| key.text == "include");
    let Some(Kind::List(items)) = list.map(|(_, tree)| &tree.kind) else {
        return Vec::new();
    };
    let file = |item: &Tree| match &item.kind {
        Kind::Scalar { text, .. } => Some((text.clone(), item.place)),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    };
    items.iter().filter_map(file).collect()
}

fn merge(tree: &mut Tree, other: Tree, keys: &mut Vec<String>, findings: &mut Findings) {
    let (place, other_place) = (tree.place, other.place);
    let (Kind::Map(entries), Kind::Map(more)) = (&mut tree.kind, other.kind) else {
        twice(place, other_place, keys, findings);
        return;
    };
    for (key, value) in more {
        if keys.is_empty() && key.text == "include" {
            continue;
        }
        match entries.iter_mut().find(|(known, _)| known.text == key.text) {
            None => entries.push((key, value)),
            Some((first, known)) => {
                keys.push(key.text.clone());
                let both_maps = matches!((&known.kind, &value.kind), (Kind::Map(_), Kind::Map(_)));
                if both_maps {
                    merge(known, value, keys, findings);
                } else {
                    let Key { place, .. } = *first;
                    twice(place, key.place, keys, findings);
                }
                keys.pop();
            }
        }
    }
}

fn twice(first: Place, second: Place, keys: &[String], findings: &mut Findings) {
    let message = match keys {
        [] => "an included file must be a map".to_owned(),
        keys => format!("`{}` is given twice", shown(&keys.join("."))),
    };
    let hint = format!("the other is at {}", findings.at(first));
    // The same line may hold a secret's value; the hint says enough without it.
    findings.error_concealed(second, message, hint);
}
