//! Plans from files, made offline: those of the built-in procedures as the examples of the
//! repository make them, those of scenarios, and plans that are written down whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zdu_config::{Config, Disk, Files, Templates, load};
use zdu_model::ids::Digest;
use zdu_model::plan::{Plan, Release};
use zdu_model::text::{Template, Text};
use zdu_plan::{Input, NodeScope, Observed, Render, RenderError, Scope, plan};

/// Every example, planned offline.
///
/// # Errors
/// A sentence that names the file.
pub fn examples() -> Result<Vec<(String, Arc<Plan>)>, String> {
    let directory = root().join("examples");
    let entries = std::fs::read_dir(&directory).map_err(|e| e.to_string())?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let yaml = paths.iter().filter(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    let named = |path: &PathBuf| {
        let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        Ok((name, plan_of(path)?))
    };
    yaml.map(named).collect()
}

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The plan of a `zdu.yaml`, or one that is written down as JSON.
///
/// # Errors
/// A sentence that names the file.
pub fn plan_of(path: &Path) -> Result<Arc<Plan>, String> {
    if path.extension().is_some_and(|ext| ext == "json") {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
        return serde_json::from_str(&text).map(Arc::new).map_err(|error| named(&error));
    }
    planned(path).map(Arc::new)
}

/// The plan of the text of a `zdu.yaml` that names no other file.
///
/// # Errors
/// What is wrong with it.
pub fn plan_of_text(text: &str) -> Result<Plan, String> {
    let name = "zdu.yaml".to_owned();
    let files = BTreeMap::from([(name.clone(), text.as_bytes().to_vec())]);
    planned_from(&name, &files)
}

fn planned(path: &Path) -> Result<Plan, String> {
    planned_from(&path.display().to_string(), &Disk)
}

fn planned_from(name: &str, files: &dyn Files) -> Result<Plan, String> {
    let config = load(name, files).map_err(|found| format!("{name}: {found:?}"))?;
    let renderer = Renderer(Templates::new(&config.procedure));
    let planned = plan(&input(&config), &renderer);
    planned.map(|planned| planned.plan).map_err(|refusals| format!("{name}: {refusals:?}"))
}

fn input(config: &Config) -> Input {
    let vars = config.vars.iter().map(|(name, value)| (name.to_string(), value.clone()));
    Input {
        fleet: config.fleet.clone(),
        procedure: config.procedure.clone(),
        procedure_digest: Digest("0".repeat(64)),
        policy: config.policy.clone(),
        release: config.release.clone(),
        vars: vars.collect::<BTreeMap<_, _>>(),
        front_rates: config.front_rates.clone(),
        tool: "simulated".into(),
        observed: assumed(config),
    }
}

/// A role that is looked up when connected is assumed to lie with the first nodes it may lie with.
fn assumed(config: &Config) -> Observed {
    let mut observed = Observed { consulted: true, ..Observed::default() };
    for (role, declared) in &config.procedure.roles {
        let borne = config.fleet.nodes().any(|node| node.roles.contains(role));
        if declared.lookup.is_none() || borne {
            continue;
        }
        let among = |roles: &std::collections::BTreeSet<_>| {
            declared.among.as_ref().is_none_or(|among| roles.contains(among))
        };
        let bearers = config.fleet.nodes().filter(|node| among(&node.roles));
        let count = declared.exactly.map_or(1, |count| usize::try_from(count).unwrap_or(1));
        for node in bearers.take(count) {
            observed.roles.entry(node.name.clone()).or_default().insert(role.clone());
        }
    }
    observed
}

struct Renderer(Templates);

impl Render for Renderer {
    fn text(&self, template: &Template, scope: &Scope) -> Result<Text, RenderError> {
        let why = |error: zdu_config::TemplateError| refused(template, &error);
        self.0.text(template, &seen(scope)).map_err(why)
    }

    fn condition(&self, template: &Template, scope: &Scope) -> Result<bool, RenderError> {
        let why = |error: zdu_config::TemplateError| refused(template, &error);
        self.0.condition(template, &seen(scope)).map_err(why)
    }
}

fn refused(template: &Template, error: &zdu_config::TemplateError) -> RenderError {
    RenderError { template: template.0.clone(), why: error.to_string() }
}

fn seen(scope: &Scope) -> zdu_config::Scope {
    let node = |node: &NodeScope| zdu_config::NodeScope {
        name: node.name.clone(),
        address: node.address.clone(),
        zone: node.zone.clone(),
        group: node.group.clone(),
        roles: node.roles.iter().cloned().collect(),
        vars: node.vars.clone(),
    };
    let (from, to) = scope.release.clone();
    zdu_config::Scope {
        vars: scope.vars.clone(),
        node: scope.node.as_ref().map(node),
        nodes: scope.nodes.iter().map(node).collect(),
        release: Release { from, to },
        fleet: scope.fleet.clone(),
    }
}
