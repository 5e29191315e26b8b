//! The documents say what the program does: their examples are loaded, their command lines parsed,
//! their names looked up where they are defined.
//!
//! Three marks behind a fence's language tell what a block is: `yaml config` (a whole zdu.yaml),
//! `yaml procedure=NAME` (a whole procedure, which the configurations may name), `yaml fragment`
//! (sections of a zdu.yaml, which replace those of a small one). Symbols of the code are written
//! `path/to/file.rs::name`.

use clap::CommandFactory as _;
use clap::Parser as _;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use zdu::cli::Cli;
use zdu_drivers::balancer::haproxy::weak::Rule;

const DOCUMENTS: [&str; 12] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs/manual.md",
    "docs/manual/importing.md",
    "docs/manual/configuration.md",
    "docs/manual/procedures.md",
    "docs/manual/rehearse.md",
    "docs/manual/running.md",
    "docs/manual/haproxy.md",
    "docs/manual/night.md",
    "docs/manual/nodes.md",
];

/// What fragments are put into.
const SMALL: &str = "\
fleet:
  groups:
    web:
      min_available: 0
      nodes:
        node-a: { local: true }
procedure: axway-apigateway
release: { from: \"1\", to: \"2\" }
vars: { old_install_dir: /old, new_install_dir: /new, instance: I, group: G }
secrets: { anm_password: \"env:A\", domain_passphrase: \"env:B\" }
policy: {}
";

struct Block {
    file: &'static str,
    line: usize,
    info: String,
    text: String,
}

impl Block {
    fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(file: &str) -> String {
    let read = std::fs::read_to_string(root().join(file));
    read.unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The text outside of fenced blocks, line by line, and the blocks.
fn split(file: &'static str) -> (Vec<(usize, String)>, Vec<Block>) {
    let (mut prose, mut blocks) = (Vec::new(), Vec::new());
    let mut open: Option<Block> = None;
    for (at, line) in document(file).lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block { file, line: at + 1, info: info.into(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, None) => prose.push((at + 1, line.to_owned())),
        }
    }
    assert!(open.is_none(), "{file}: a fence is not closed");
    (prose, blocks)
}

fn blocks() -> Vec<Block> {
    DOCUMENTS.into_iter().flat_map(|file| split(file).1).collect()
}

/// What stands between backticks in the prose, with its place.
fn inline_code() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in DOCUMENTS {
        for (line, text) in split(file).0 {
            let codes = text.split('`').skip(1).step_by(2);
            found.extend(codes.map(|code| (format!("{file}:{line}"), code.to_owned())));
        }
    }
    found
}

/// The procedures of the documents, as files a configuration can name.
fn procedures() -> BTreeMap<String, Vec<u8>> {
    let all = blocks();
    let named = all.iter().filter_map(|block| {
        let name = block.info.strip_prefix("yaml procedure=")?;
        Some((name.to_owned(), block.text.clone().into_bytes()))
    });
    named.collect()
}

fn load(text: &str, place: &str) -> zdu_config::Config {
    let mut files = procedures();
    files.insert("zdu.yaml".into(), text.as_bytes().to_vec());
    zdu_config::load("zdu.yaml", &files).unwrap_or_else(|findings| {
        let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("{place}:\n{}\n{text}", said.join("\n"))
    })
}

/// Top-level sections of a YAML text by their keys.
fn sections(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut key = String::new();
    for line in text.lines() {
        let begins = line.starts_with(|c: char| c.is_ascii_alphabetic());
        if let (true, Some((name, _))) = (begins, line.split_once(':')) {
            key = name.to_owned();
        }
        found.entry(key.clone()).or_default().extend([line, "\n"]);
    }
    found
}

fn with_fragment(fragment: &str) -> String {
    let mut whole = sections(SMALL);
    whole.extend(sections(fragment));
    whole.into_values().collect()
}

#[test]
fn every_whole_configuration_in_the_documents_loads() {
    let all = blocks();
    let configs: Vec<_> = all.iter().filter(|block| block.info == "yaml config").collect();
    assert!(configs.len() >= 2, "the documents show {} whole configurations", configs.len());
    for block in configs {
        load(&block.text, &block.place());
    }
}

#[test]
fn every_whole_configuration_in_the_documents_can_be_planned() {
    for block in blocks().iter().filter(|block| block.info == "yaml config") {
        let mut prepared = zdu::prepare::prepared(load(&block.text, &block.place()));
        // What a preflight would find: the first node that is asked has the role.
        let roles = prepared.input.procedure.roles.clone();
        for (role, declared) in roles.iter().filter(|(_, role)| role.lookup.is_some()) {
            let asked =
                |roles: &BTreeSet<_>| declared.among.as_ref().is_none_or(|r| roles.contains(r));
            let node = prepared.input.fleet.nodes().find(|node| asked(&node.roles));
            let node = node.expect("a node is asked").name.clone();
            prepared.input.observed.roles.entry(node).or_default().insert(role.clone());
        }
        prepared.input.observed.consulted = true;
        let planned = prepared.plan();
        let planned = planned.unwrap_or_else(|why| panic!("{}: {why:?}", block.place()));
        assert!(zdu_plan::lint(&planned.plan).is_empty(), "{}", block.place());
    }
}

/// Offline one thing is not known of the README's fleet, and it is said once.
#[test]
fn what_only_a_preflight_knows_is_one_reason_against_a_plan() {
    let readme = blocks().into_iter().find(|block| block.info == "yaml config").expect("a config");
    assert_eq!(readme.file, "README.md");
    let files = BTreeMap::from([("zdu.yaml".to_owned(), readme.text.into_bytes())]);
    let prepared = zdu::prepare::prepared(zdu_config::load("zdu.yaml", &files).expect("loads"));
    let refused = prepared.plan().expect_err("a role has to be looked up");
    let why =
        "nobody knows yet which of node-a, node-c has the role first_anm, and it orders the plan";
    assert_eq!(refused.causes, [why]);
}

#[test]
fn every_fragment_of_a_configuration_loads_in_a_small_one() {
    for block in blocks().iter().filter(|block| block.info == "yaml fragment") {
        load(&with_fragment(&block.text), &block.place());
    }
}

#[test]
fn every_procedure_in_the_documents_is_accepted() {
    let all = procedures();
    assert!(!all.is_empty());
    for (name, text) in all {
        let text = String::from_utf8(text).expect("a document is UTF-8");
        if let Err(findings) = zdu_config::parse_procedure(&text, &name) {
            let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
            panic!("{}", said.join("\n"));
        }
    }
}

#[test]
fn every_yaml_block_says_what_it_is() {
    let known = |info: &str| {
        !info.starts_with("yaml")
            || matches!(info, "yaml config" | "yaml fragment")
            || info.starts_with("yaml procedure=")
    };
    for block in blocks() {
        assert!(known(&block.info), "{}: `{}`", block.place(), block.info);
    }
}

/// Words of a command line; double quotes hold a word together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    let mut found: Vec<String> = Vec::new();
    for (at, part) in parts {
        match at % 2 {
            0 => found.extend(part.split_whitespace().map(str::to_owned)),
            _ => found.push(part.to_owned()),
        }
    }
    found
}

fn accepts(line: &str) -> Result<(), String> {
    match Cli::try_parse_from(words(line)) {
        Ok(_) => Ok(()),
        Err(error) if error.exit_code() == 0 => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_command_line_shown_is_accepted() {
    let mut seen = 0;
    for block in blocks().iter().filter(|block| matches!(&*block.info, "console" | "sh")) {
        for line in block.text.lines() {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            let line = line.split("  #").next().unwrap_or(line);
            let line = line.split(" > ").next().unwrap_or(line);
            if line.starts_with("zdu ") {
                accepts(line).unwrap_or_else(|why| panic!("{}: {line}: {why}", block.place()));
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "only {seen} command lines were found");
}

#[test]
fn every_command_named_in_the_text_exists() {
    let cli = Cli::command();
    let known: BTreeSet<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
    for (place, code) in inline_code() {
        let named = words(&code);
        match named.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["zdu", name] if !name.starts_with('-') => {
                assert!(known.contains(name), "{place}: there is no `{code}`");
            }
            ["zdu", _, ..] => accepts(&code).unwrap_or_else(|why| panic!("{place}: {code}: {why}")),
            [..] => {}
        }
    }
}

#[test]
fn every_command_is_in_the_manual() {
    let code = inline_code().into_iter();
    let manual = code.filter(|(place, _)| place.starts_with("docs/manual/"));
    let manual: Vec<String> = manual.map(|(_, code)| code).collect();
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("zdu {}", command.get_name());
        let told = manual.iter().any(|code| *code == name || code.starts_with(&format!("{name} ")));
        assert!(told, "the manual does not name `{name}`");
    }
}

/// The exit codes by name, from where they are defined.
fn exit_codes() -> BTreeMap<String, u8> {
    let code = document("crates/zdu-model/src/verdict.rs");
    let lines = code.lines().filter_map(|line| line.trim().strip_prefix("pub const "));
    let parsed = lines.map(|line| {
        let (name, rest) = line.split_once(": u8 = ").expect("an exit code is a u8");
        let number = rest.trim_end_matches(';').parse().expect("an exit code is a number");
        (name.to_owned(), number)
    });
    parsed.collect()
}

#[test]
fn the_table_of_exit_codes_is_that_of_the_code() {
    let mut told = BTreeMap::new();
    for (_, line) in split("docs/manual/night.md").0 {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", number, name, _, _, ""] = cells.as_slice()
            && let Ok(number) = number.parse::<u8>()
        {
            told.insert(name.trim_matches('`').to_owned(), number);
        }
    }
    assert_eq!(told, exit_codes());
}

#[test]
fn every_exit_code_named_in_the_text_exists() {
    let known: BTreeSet<u8> = exit_codes().into_values().collect();
    for file in DOCUMENTS {
        for (line, text) in split(file).0 {
            for said in ["exit code ", "exit ", "exits ", "exits with "] {
                for (at, _) in text.match_indices(said) {
                    let rest = text.get(at + said.len()..).unwrap_or_default();
                    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    if let Ok(code) = digits.parse::<u8>() {
                        assert!(known.contains(&code), "{file}:{line}: {code} is no exit code");
                    }
                }
            }
        }
    }
}

#[test]
fn every_relative_link_leads_somewhere() {
    for file in DOCUMENTS {
        let path = root().join(file);
        let folder = path.parent().expect("a document lies in a directory");
        for (line, text) in split(file).0 {
            for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split('#').next().unwrap_or(link);
                let elsewhere = target.is_empty() || target.contains("://");
                assert!(elsewhere || folder.join(target).exists(), "{file}:{line}: {link}");
            }
        }
    }
}

#[test]
fn every_file_and_symbol_named_exists() {
    let folders = ["crates/", "docs/", "examples/", "procedures/", "tests/", "xtask/"];
    let mut seen = 0;
    for (place, code) in inline_code() {
        let (path, symbol) = code.split_once("::").unwrap_or((&code, ""));
        let names_a_file = folders.iter().any(|folder| path.starts_with(folder));
        if !names_a_file || path.contains(['*', ' ', '{']) {
            continue;
        }
        seen += 1;
        assert!(root().join(path).exists(), "{place}: there is no {path}");
        if symbol.is_empty() {
            continue;
        }
        let text = document(path);
        let kinds = ["fn", "struct", "enum", "trait", "const", "type", "mod", "#"];
        let defined = kinds.iter().any(|kind| {
            text.match_indices(&format!("{kind} {symbol}")).any(|(at, found)| {
                let next = text[at + found.len()..].chars().next();
                !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        });
        let defined = defined || text.contains(&format!("{symbol}() ")); // a shell function
        assert!(defined, "{place}: {path} defines no `{symbol}`");
    }
    assert!(seen > 40, "only {seen} files are named");
}

/// Every key of a schema as a path, `NAME` for the entries of a map.
fn keys(schema: &Value, at: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(name) = at["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        keys(schema, &schema["$defs"][name], path, found);
    }
    for (key, below) in at["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        keys(schema, below, &path, found);
        found.insert(path);
    }
    if at["additionalProperties"].is_object() {
        keys(schema, &at["additionalProperties"], &format!("{path}.NAME"), found);
    }
    if at["items"].is_object() {
        keys(schema, &at["items"], &format!("{path}[]"), found);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        for below in at[choice].as_array().into_iter().flatten() {
            keys(schema, below, path, found);
        }
    }
}

/// The keys of one definition, without those of the definitions it names. A step's undo is a step,
/// so the keys of a procedure are told by the part they belong to.
fn own_keys(at: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    let names = at["properties"].as_object().into_iter().flatten().map(|(key, _)| key);
    found.extend(names.map(|key| format!("{prefix}{key}")));
    for below in at["oneOf"].as_array().into_iter().flatten() {
        own_keys(below, prefix, found);
    }
}

/// Rows of tables whose first cell is code: that code and the other cells.
fn rows(file: &'static str) -> Vec<(String, Vec<String>)> {
    let lines = split(file).0.into_iter();
    let cells = lines.filter_map(|(_, line)| {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
        let key = cells.first()?.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some((key, cells))
    });
    cells.collect()
}

fn compare_keys(file: &'static str, known: &BTreeSet<String>) {
    let told: BTreeSet<String> = rows(file).into_iter().map(|(key, _)| key).collect();
    let missing: Vec<_> = known.difference(&told).collect();
    let unknown: Vec<_> = told.difference(known).collect();
    assert!(missing.is_empty(), "{file} does not tell of {missing:#?}");
    assert!(unknown.is_empty(), "{file} tells of keys that are not there: {unknown:#?}");
}

#[test]
fn every_key_of_a_configuration_is_in_the_manual_and_no_other() {
    let schema = zdu_config::schema();
    let mut known = BTreeSet::new();
    keys(&schema, &schema, "", &mut known);
    compare_keys("docs/manual/configuration.md", &known);
}

#[test]
fn every_key_of_a_procedure_is_in_the_manual_and_no_other() {
    let schema = zdu_config::procedure_schema();
    let mut known = BTreeSet::new();
    own_keys(&schema, "", &mut known);
    for (name, definition) in schema["$defs"].as_object().expect("a procedure has parts") {
        own_keys(definition, &format!("{}.", name.to_lowercase()), &mut known);
    }
    compare_keys("docs/manual/procedures.md", &known);
}

#[test]
fn every_rule_about_a_balancers_configuration_is_in_the_manual_and_no_other() {
    let name = |rule| serde_json::to_value(rule).expect("a rule is a word");
    let known = Rule::ALL.map(|rule| name(rule).as_str().expect("a word").to_owned());
    compare_keys("docs/manual/haproxy.md", &known.into());
}

#[test]
fn the_defaults_told_of_the_policy_are_those_of_the_code() {
    let default = load(SMALL, "the small configuration").policy;
    let mut seen = 0;
    for (key, cells) in rows("docs/manual/configuration.md") {
        let value = cells[1].trim_matches('`');
        let name = key.strip_prefix("policy.").filter(|name| !name.contains("[]"));
        let Some(name) = name.filter(|_| value != "-") else { continue };
        let text = match name.split_once('.') {
            Some((outer, inner)) => format!("policy: {{ {outer}: {{ {inner}: {value} }} }}\n"),
            None => format!("policy: {{ {name}: {value} }}\n"),
        };
        assert_eq!(load(&with_fragment(&text), &key).policy, default, "{key}: {value}");
        seen += 1;
    }
    assert!(seen >= 12, "only {seen} defaults were compared");
}
