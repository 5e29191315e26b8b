//! Plans from files, made offline: those of the built-in procedures as the examples of the
//! repository make them, those of scenarios, and plans that are written down whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zdu_config::{Config, Disk, Files, Templates, load};
use zdu_model::ids::Digest;
use zdu_model::plan::Plan;
use zdu_plan::{Input, Observed, plan};

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
    let mut input = input(&config);
    input.assume_roles();
    let planned = plan(&input, &Templates::new(&config.procedure));
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
        tool: "simulated".into(),
        observed: Observed::default(),
    }
}
