//! `zdu.yaml` and what it names, up to the plan that is made of it.

use std::collections::BTreeMap;

use zdu_config::import::axway;
use zdu_config::{Config, NodeScope, Templates, load};
use zdu_model::ids::Digest;
use zdu_model::plan::Release;
use zdu_model::text::{Template, Text};
use zdu_plan::{Input, Observed, Render, RenderError, Scope, lint, plan};

const MAIN: &str = "zdu.yaml";
/// Begins a line that names the file whose text follows.
const NEXT_FILE: &str = "=== ";

/// The first file is `zdu.yaml`; lines such as `=== p.yaml` begin others.
pub fn configuration(bytes: &[u8]) -> bool {
    let files = files(bytes);
    drop(axway::from_topology(&String::from_utf8_lossy(bytes)));
    match load(MAIN, &files) {
        Ok(config) => {
            planned(&config);
            true
        }
        Err(found) => {
            assert!(!found.is_empty(), "a refusal without a reason");
            for finding in found {
                assert!(finding.line >= 1 && finding.column >= 1, "{finding}");
                assert!(finding.span.start <= finding.span.end, "{finding}");
                let length = files.get(&finding.file).map(Vec::len);
                assert!(length.is_none_or(|length| finding.span.end <= length), "{finding}");
            }
            false
        }
    }
}

fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([(MAIN.to_owned(), Vec::new())]);
    let mut name = MAIN.to_owned();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(NEXT_FILE.as_bytes()) {
            Some(next) => String::from_utf8_lossy(next).trim().clone_into(&mut name),
            None => files.entry(name.clone()).or_default().extend_from_slice(line),
        }
    }
    files
}

/// What loads is planned or refused with reasons, and a plan of ours is clean.
fn planned(config: &Config) {
    let vars = config.vars.iter().map(|(name, value)| (name.to_string(), value.clone()));
    let input = Input {
        fleet: config.fleet.clone(),
        procedure: config.procedure.clone(),
        procedure_digest: Digest("0".repeat(64)),
        policy: config.policy.clone(),
        release: config.release.clone(),
        vars: vars.collect(),
        front_rates: config.front_rates.clone(),
        tool: "fuzzed".into(),
        observed: Observed::default(),
    };
    match plan(&input, &Renderer(Templates::new(&config.procedure))) {
        Ok(planned) => assert_eq!(lint(&planned.plan), vec![]),
        Err(refusals) => assert!(!refusals.0.is_empty(), "a refusal without a reason"),
    }
}

struct Renderer(Templates);

impl Render for Renderer {
    fn text(&self, template: &Template, scope: &Scope) -> Result<Text, RenderError> {
        self.0.text(template, &seen(scope)).map_err(|error| refused(template, &error))
    }

    fn condition(&self, template: &Template, scope: &Scope) -> Result<bool, RenderError> {
        self.0.condition(template, &seen(scope)).map_err(|error| refused(template, &error))
    }
}

fn refused(template: &Template, error: &zdu_config::TemplateError) -> RenderError {
    RenderError { template: template.0.clone(), why: error.to_string() }
}

fn seen(scope: &Scope) -> zdu_config::Scope {
    let node = |node: &zdu_plan::NodeScope| NodeScope {
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
