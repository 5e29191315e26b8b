//! What comes with zdu can be loaded, and means what it should.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zdu_config::import::{ImportError, Imported, axway, scaffold};
use zdu_config::{
    Config, Templates, builtin_procedures, load, parse_procedure, procedure_schema,
    reference_config, schema,
};
use zdu_model::procedure::{Action, Deadline, Over, Step, UnknownRule};
use zdu_model::render::{NodeScope, Scope};
use zdu_model::text::{Piece, Template};
use zdu_model::time::Millis;

#[track_caller]
fn loaded(text: &str) -> Config {
    let files = BTreeMap::from([("fleet.yaml".to_owned(), text.as_bytes().to_vec())]);
    match load("fleet.yaml", &files) {
        Ok(config) => config,
        Err(found) => {
            let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
            panic!("{}\n{text}", lines.join("\n"))
        }
    }
}

fn scope(config: &Config, node: &str) -> Scope {
    let text = |name: &dyn ToString| name.to_string();
    let nodes: Arc<[NodeScope]> = config
        .fleet
        .groups
        .iter()
        .flat_map(|group| group.nodes.iter().map(move |node| (group, node)))
        .map(|(group, node)| NodeScope {
            name: text(&node.name),
            address: node.address.clone(),
            zone: String::new(),
            group: text(&group.name),
            roles: node.roles.iter().map(|role| role.to_string()).collect(),
            vars: node.vars.clone(),
        })
        .collect();
    Scope {
        vars: config.vars.iter().map(|(k, v)| (k.to_string(), v.clone())).collect(),
        node: nodes.iter().find(|n| n.name == node).cloned(),
        nodes,
        release: config.release.clone(),
        fleet: config.fleet.name.to_string(),
    }
}

#[test]
fn the_reference_configuration_loads_without_a_warning() {
    let config = loaded(reference_config());
    assert_eq!(config.warnings, []);
    let names: Vec<_> = config.fleet.nodes().map(|n| n.name.to_string()).collect();
    assert_eq!(names, ["node-a", "node-b", "node-c"]);
    let instances = config.fleet.balancers.values().map(|b| b.instances.len());
    assert_eq!(instances.sum::<usize>(), 2);
}

#[test]
fn every_built_in_procedure_parses_and_bears_its_name() {
    for (name, text) in builtin_procedures() {
        let procedure = parse_procedure(text, name).expect(name);
        assert_eq!(procedure.name.as_str(), *name);
    }
}

#[test]
fn the_axway_undo_newest_first_is_stop_new_start_old_clean() {
    let config = loaded(reference_config());
    let stages = &config.procedure.stages;
    let over: Vec<Over> = stages.iter().map(|stage| stage.over).collect();
    assert_eq!(over, [Over::Nodes, Over::Nodes, Over::Rolling, Over::Nodes]);
    let steps: Vec<&Step> = stages.iter().flat_map(|stage| &stage.steps).collect();
    let undo = steps.iter().rev().flat_map(|step| &step.undo);
    let undo: Vec<&str> = undo.map(|step| step.id.as_str()).collect();
    let expected = [
        "stop-new-instance",
        "stop-new-nodemanager",
        "start-old-nodemanager",
        "start-old-instance",
        "clean",
        "clean-export",
    ];
    assert_eq!(undo, expected);
    let apply = steps.iter().find(|step| step.id.as_str() == "apply").expect("apply");
    assert!(apply.disruptive && matches!(apply.unknown, UnknownRule::Observe { .. }));
    assert!(!steps[0].disruptive);
}

#[test]
fn the_axway_times_bound_every_start_and_stop_and_are_never_below_the_former_bounds() {
    let config = loaded(reference_config());
    let templates = Templates::new(&config.procedure);
    let steps: Vec<&Step> = config.procedure.stages.iter().flat_map(|stage| &stage.steps).collect();
    let mut bounded = Vec::new();
    for step in steps.iter().copied().chain(steps.iter().flat_map(|step| &step.undo)) {
        let Deadline::Template(template) = &step.deadline else { continue };
        let span = |start: &str, stop: &str| {
            let mut scope = scope(&config, "node-b");
            scope.vars.insert("startup_time".into(), start.into());
            scope.vars.insert("shutdown_time".into(), stop.into());
            templates.text(template, &scope).expect("renders").to_string()
        };
        let default = templates.text(template, &scope(&config, "node-b")).expect("renders");
        let id = step.id.as_str();
        let (times, given) = if id.starts_with("start") {
            ("5m30s", span("10m", "1s"))
        } else {
            ("130s", span("1s", "10m"))
        };
        assert_eq!(Millis::parse(&default.to_string()), Millis::parse(times), "{id}");
        assert!(Millis::parse(&given) > Some(Millis::from_secs(600)), "{id}: {given}");
        bounded.push(id);
    }
    bounded.sort_unstable();
    let expected = [
        "start-old-instance",
        "start-old-nodemanager",
        "stop-new-instance",
        "stop-new-nodemanager",
        "stop-old-instance",
        "stop-old-nodemanager",
    ];
    assert_eq!(bounded, expected);
}

#[test]
fn every_text_of_the_axway_steps_renders_for_every_node() {
    let config = loaded(reference_config());
    let templates = Templates::new(&config.procedure);
    for node in ["node-a", "node-b", "node-c"] {
        let scope = scope(&config, node);
        let steps = config.procedure.stages.iter().flat_map(|stage| &stage.steps);
        for step in steps.clone().chain(steps.flat_map(|step| &step.undo)) {
            let Action::Run(run) = &step.action else {
                continue;
            };
            let texts = run.argv.iter().chain(run.env.values()).chain(&run.cwd).chain(&run.stdin);
            for template in texts {
                let text = templates.text(template, &scope).expect("it renders");
                let open: BTreeSet<_> = text.secrets().map(ToString::to_string).collect();
                assert!(open.is_empty() || Some(template) == run.stdin.as_ref(), "{text}");
            }
        }
    }
}

fn strings<'v>(value: &'v serde_json::Value, into: &mut Vec<&'v str>) {
    match value {
        serde_json::Value::String(text) => into.push(text),
        serde_json::Value::Array(all) => all.iter().for_each(|inner| strings(inner, into)),
        serde_json::Value::Object(all) => all.values().for_each(|inner| strings(inner, into)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

#[test]
fn every_template_of_the_axway_probes_and_steps_renders() {
    let config = loaded(reference_config());
    let templates = Templates::new(&config.procedure);
    let written = serde_json::to_value(&config.procedure).expect("plain data");
    let mut all = Vec::new();
    strings(&written, &mut all);
    let all = all.into_iter().filter(|text| text.contains("{{") || text.contains("{%"));
    let mut count = 0;
    for text in all {
        let rendered = templates.text(&Template(text.into()), &scope(&config, "node-b"));
        assert!(rendered.is_ok(), "{rendered:?}");
        count += 1;
    }
    assert!(count > 50, "{count}");
}

#[test]
fn the_axway_apply_asks_the_first_manager_and_gives_its_secrets_in_the_order_of_the_prompts() {
    let config = loaded(reference_config());
    let templates = Templates::new(&config.procedure);
    let mut scope = scope(&config, "node-b");
    let anm = Template("{{ vars.anm_host }}".into());
    let host = |scope: &Scope| templates.text(&anm, scope).expect("renders").to_string();
    assert_eq!(host(&scope), "10.0.0.1");
    let third = &mut Arc::make_mut(&mut scope.nodes)[2];
    third.roles.insert("first_anm".into());
    third.vars.insert("host_name".into(), "node-c.example".into());
    assert_eq!(host(&scope), "node-c.example");

    let steps = config.procedure.stages.iter().flat_map(|stage| &stage.steps);
    let apply = steps.clone().find(|step| step.id.as_str() == "apply").expect("apply");
    let Action::Run(run) = &apply.action else { panic!("apply is a command") };
    let stdin = run.stdin.as_ref().expect("secrets");
    let text = templates.text(stdin, &scope).expect("renders");
    let newline = |piece: &Piece| matches!(piece, Piece::Literal(text) if text == "\n");
    assert_eq!(text.to_string(), "<secret domain_passphrase>\n<secret anm_password>\n");
    assert!(newline(&text.0[1]) && newline(&text.0[3]));
}

#[test]
fn the_scaffold_loads() {
    loaded(scaffold());
}

const TOPOLOGY: &str = r#"{"result":{"id":"x","version":2,"productVersion":"7.5.3",
 "hosts":[{"id":"host-1","name":"gw a"},{"id":"host-2","name":"b.example"}],
 "groups":[{"id":"group-1","name":"Node Manager Group","services":[
   {"id":"nodemanager-1","name":"NM","type":"nodemanager","hostID":"host-1",
    "tags":{"internal_admin_nm":"true"}},
   {"id":"nodemanager-2","name":"NM2","type":"nodemanager","hostID":"host-2","tags":{}}]},
  {"id":"group-2","name":"Quick: \"Start\"","services":[
   {"id":"instance-1","name":"One","type":"gateway","hostID":"host-1"},
   {"id":"instance-2","name":"Two","type":"gateway","hostID":"host-2"}]},
  {"id":"group-3","name":"Other","services":[
   {"id":"instance-3","name":"Three","type":"gateway","hostID":"host-2"}]}]}}"#;

#[test]
fn a_topology_becomes_a_configuration_that_loads() {
    let Imported { text, decide, .. } = axway::from_topology(TOPOLOGY).expect("a topology");
    let config = loaded(&text);
    let nodes: Vec<_> = config.fleet.nodes().collect();
    assert_eq!(nodes.len(), 2, "{text}");
    assert_eq!(nodes[0].name.as_str(), "gw-a");
    assert_eq!(nodes[0].vars["group"], "Quick: \"Start\"");
    assert_eq!(nodes[0].roles.iter().map(|r| r.as_str()).collect::<Vec<_>>(), ["anm"]);
    assert!(nodes[1].roles.is_empty());
    assert_eq!(config.release.from, "7.5.3");
    assert!(text.contains("instance \"Three\" also runs on host \"b.example\""), "{text}");
    assert!(text.contains("members: [edge/Quick---Start-/gw-a]  # change"), "{text}");
    assert!(decide.iter().any(|text| text.starts_with("the members of gw-a, b.example")));
}

#[test]
fn what_is_no_topology_is_refused_with_the_reason() {
    assert!(matches!(axway::from_topology("{"), Err(ImportError::NotJson(_))));
    assert_eq!(axway::from_topology("{}"), Err(ImportError::Missing("hosts")));
    let empty = r#"{"hosts":[],"groups":[]}"#;
    assert_eq!(axway::from_topology(empty), Err(ImportError::NoInstance));
}

#[test]
fn the_schemas_know_the_keys_of_the_examples() {
    let config = schema();
    for pointer in
        ["/properties/fleet", "/$defs/Node/properties/members", "/$defs/Policy/properties/wave"]
    {
        assert!(config.pointer(pointer).is_some(), "{pointer} in {config:#}");
    }
    assert_eq!(config["additionalProperties"], false);
    let procedure = procedure_schema();
    assert!(procedure.pointer("/$defs/Step/properties/undo").is_some());
}
