//! Which crate may import what: the one place where it is written, compared with the manifests.
//!
//! An edge that is missing here is a decision: add it only for a reason the compiler can see, and
//! change the table in the same commit. Dev-dependencies are free (a test may drive anything), and
//! those between our own crates are printed, so that nobody has to look for them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::tree::TextFile;
use super::{Finding, Tidied};

/// What a crate may import from outside.
#[derive(Debug, Clone, Copy)]
enum Outside {
    /// Nothing but these.
    Only(&'static [&'static str]),
    /// Anything but these.
    Not(&'static [&'static str]),
}

use Outside::{Not, Only};

struct Row {
    name: &'static str,
    /// Crates of ours it may import.
    ours: &'static [&'static str],
    outside: Outside,
    no_std: bool,
    /// What it must never know, for the message.
    never: &'static str,
}

/// The async runtime and everything that opens a socket.
const NETWORK: [&str; 7] =
    ["tokio", "reqwest", "rustls", "hyper", "hyper-util", "http-body-util", "rustix"];

const TABLE: [Row; 10] = [
    Row {
        name: "zdu-model",
        ours: &[],
        outside: Only(&["serde"]),
        no_std: true,
        never: "std, any crate of ours: the nouns are shared by everything, also by the simulator",
    },
    Row {
        name: "zdu-config",
        ours: &["zdu-model"],
        outside: Not(&["tokio", "reqwest", "rustls", "hyper", "hyper-util", "rustix", "jiff"]),
        no_std: false,
        never: "clock, network: what a file says depends on the file alone",
    },
    Row {
        name: "zdu-plan",
        ours: &["zdu-model"],
        // The report is data, which `zdu plan --json` prints; serde brings no input or output.
        outside: Only(&["serde"]),
        no_std: true,
        never: "std, engine, input and output: the same facts give the same plan",
    },
    Row {
        name: "zdu-engine",
        ours: &["zdu-model"],
        outside: Only(&[]),
        no_std: true,
        never: "std, plan, journal, async, clock, randomness: replay gives the live state",
    },
    Row {
        name: "zdu-conductor",
        ours: &["zdu-model", "zdu-engine"],
        outside: Not(&NETWORK),
        no_std: false,
        never: "drivers, tokio, views: the simulator drives the same conductor",
    },
    Row {
        name: "zdu-drivers",
        ours: &["zdu-model"],
        outside: Not(&["clap", "clap_complete", "miette", "indicatif"]),
        no_std: false,
        never: "engine, conductor, plan, views: a driver answers and decides nothing",
    },
    Row {
        name: "zdu-runtime",
        ours: &["zdu-model", "zdu-conductor", "zdu-drivers"],
        outside: Not(&["clap", "clap_complete", "miette", "indicatif"]),
        no_std: false,
        never: "plan, views, clap: the loop carries and does not decide or draw",
    },
    Row {
        name: "zdu-sim",
        // The view, because the last checker compares what a report says with what the world shows.
        ours: &["zdu-model", "zdu-plan", "zdu-engine", "zdu-conductor", "zdu-view"],
        outside: Not(&NETWORK),
        no_std: false,
        never: "drivers, runtime, tokio, real time: a seed gives the same run",
    },
    Row {
        name: "zdu-view",
        ours: &["zdu-model"],
        outside: Not(&NETWORK),
        no_std: false,
        never: "engine, journal, sockets: live, resumed and replayed rollouts look the same",
    },
    Row {
        name: "zdu",
        ours: &[
            "zdu-model",
            "zdu-config",
            "zdu-plan",
            "zdu-engine",
            "zdu-conductor",
            "zdu-drivers",
            "zdu-runtime",
            "zdu-sim",
            "zdu-view",
            "zdu-doubles",
        ],
        outside: Not(&[]),
        no_std: false,
        never: "a decision about a node",
    },
];

/// A package of the workspace as cargo sees it.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    name: String,
    /// Relative to the root: `crates/zdu-model`.
    directory: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Clone)]
struct Dependency {
    name: String,
    dev: bool,
}

/// Asks cargo for the packages; no network is needed and no dependency is resolved.
///
/// # Errors
/// A fragment that fits "failed to ..".
pub(crate) fn read(root: &Path) -> Result<Vec<Package>, String> {
    let root = root.canonicalize().map_err(|cause| format!("find {}: {cause}", root.display()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(&root)
        .output()
        .map_err(|cause| format!("start cargo metadata: {cause}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("ask cargo metadata: {}", said.trim()));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|cause| format!("read cargo metadata: {cause}"))?;
    let packages = metadata["packages"].as_array().ok_or("find packages in cargo metadata")?;
    packages.iter().map(|package| read_package(package, &root)).collect()
}

fn read_package(package: &Value, root: &Path) -> Result<Package, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let read = || {
        let manifest = text(&package["manifest_path"])?;
        let directory = Path::new(&manifest).parent()?.strip_prefix(root).ok()?;
        let dependencies = package["dependencies"].as_array()?.iter().map(|dependency| {
            let dev = dependency["kind"].as_str() == Some("dev");
            Some(Dependency { name: text(&dependency["name"])?, dev })
        });
        Some(Package {
            name: text(&package["name"])?,
            directory: directory.to_str()?.to_owned(),
            dependencies: dependencies.collect::<Option<_>>()?,
        })
    };
    read().ok_or_else(|| "understand a package of cargo metadata".to_owned())
}

/// Compares packages with the table. `files` has the manifests and the crates' first files.
pub(crate) fn check(packages: &[Package], files: &[TextFile]) -> Tidied {
    let ours: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut tidied = Tidied::default();
    for package in packages {
        let Package { name, directory, dependencies } = package;
        let manifest = format!("{directory}/Cargo.toml");
        let row = TABLE.iter().find(|row| row.name == name);
        if directory.starts_with("crates/") && row.is_none() {
            let text = format!("crate `{name}` is not in the table of crates: add its row there");
            tidied.findings.push(Finding::new(&manifest, 1, text));
        }
        for Dependency { name: other, dev } in dependencies {
            if *dev && ours.contains(&other.as_str()) {
                tidied.notes.push(format!("tests of {name} import {other}"));
            }
            if *dev {
                continue;
            }
            let refused = match row {
                Some(row) => refusal(row, other, ours.contains(&other.as_str())),
                None => outsider(directory, other),
            };
            if let Some(text) = refused {
                let line = line_of(files, &manifest, other);
                tidied.findings.push(Finding::new(&manifest, line, text));
            }
        }
        if row.is_some_and(|row| row.no_std) {
            tidied.findings.extend(no_std(&format!("{directory}/src/lib.rs"), files));
        }
    }
    tidied
}

fn refusal(row: &Row, other: &str, is_ours: bool) -> Option<String> {
    let Row { name, ours, outside, no_std: _, never } = row;
    let allowed = match outside {
        _ if is_ours => ours.contains(&other),
        Only(these) => these.contains(&other),
        Not(these) => !these.contains(&other),
    };
    let text = format!(
        "`{name}` may not import `{other}` (never: {never}): \
         move what needs it to a crate that may"
    );
    (!allowed).then_some(text)
}

/// Packages beside the crates: only the binary and the tests may know the doubles.
fn outsider(directory: &str, other: &str) -> Option<String> {
    let may = other != "zdu-doubles" || directory.starts_with("tests/");
    let text = "`zdu-doubles` is for the binary's demo and for tests: go by `zdu` or `zdu-lab`";
    (!may).then(|| text.to_owned())
}

fn line_of(files: &[TextFile], manifest: &str, dependency: &str) -> usize {
    let file = files.iter().find(|file| file.path == manifest);
    let line = file.and_then(|file| {
        file.lines().find(|(_, line)| {
            let rest = line.trim_start().strip_prefix(dependency);
            rest.is_some_and(|rest| rest.starts_with([' ', '=', '.']))
        })
    });
    line.map_or(1, |(number, _)| number)
}

fn no_std(lib: &str, files: &[TextFile]) -> Option<Finding> {
    let file = files.iter().find(|file| file.path == lib);
    let has = file.is_some_and(|file| file.lines().any(|(_, line)| line == "#![no_std]"));
    let text = "`#![no_std]` is missing: it keeps clock, files and randomness out; add the line";
    (!has).then(|| Finding::new(lib, 1, text))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::file;
    use super::*;

    fn package(directory: &str, names: &[&str], dev: bool) -> Package {
        let name = directory.rsplit('/').next().expect("split gives one").to_owned();
        let dependencies =
            names.iter().map(|name| Dependency { name: (*name).to_owned(), dev }).collect();
        Package { name, directory: directory.to_owned(), dependencies }
    }

    fn findings(packages: &[Package]) -> Vec<String> {
        let libs = ["crates/zdu-model/src/lib.rs", "crates/zdu-engine/src/lib.rs"];
        let mut files: Vec<TextFile> = libs.iter().map(|lib| file(lib, "#![no_std]\n")).collect();
        files.push(file("crates/zdu-engine/Cargo.toml", "[dependencies]\ntokio = \"1\"\n"));
        check(packages, &files).findings.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_found() {
        let model = package("crates/zdu-model", &[], false);
        for (from, to) in [
            ("crates/zdu-model", "zdu-model"),
            ("crates/zdu-runtime", "zdu-plan"),
            ("crates/zdu-view", "zdu-engine"),
            ("crates/zdu-conductor", "zdu-drivers"),
            ("crates/zdu-drivers", "zdu-doubles"),
            ("xtask", "zdu-doubles"),
        ] {
            let found = findings(&[package(from, &[to], false), package(to, &[], false)]);
            assert!(found.iter().any(|text| text.contains(to)), "{from} -> {to}: {found:?}");
        }
        let engine = package("crates/zdu-engine", &["zdu-model"], false);
        assert_eq!(findings(&[model, engine]), Vec::<String>::new());
    }

    #[test]
    fn a_crate_from_outside_that_is_forbidden_is_found_with_its_line() {
        let found = findings(&[package("crates/zdu-engine", &["tokio"], false)]);
        assert!(
            found[0].starts_with("crates/zdu-engine/Cargo.toml:2: `zdu-engine` may not import")
        );
        for (from, to) in [
            ("crates/zdu-model", "serde_json"),
            ("crates/zdu-conductor", "tokio"),
            ("crates/zdu-runtime", "clap"),
            ("crates/zdu-config", "jiff"),
        ] {
            assert_eq!(findings(&[package(from, &[to], false)]).len(), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn imports_of_tests_are_free_and_listed() {
        let packages = [
            package("crates/zdu-engine", &["zdu-lab", "tokio"], true),
            package("tests/zdu-lab", &["zdu-doubles"], false),
        ];
        let libs = [file("crates/zdu-engine/src/lib.rs", "#![no_std]\n")];
        let Tidied { findings, notes } = check(&packages, &libs);
        assert_eq!((findings, notes), (vec![], vec!["tests of zdu-engine import zdu-lab".into()]));
    }

    #[test]
    fn a_crate_without_a_row_and_one_with_std_are_found() {
        assert!(findings(&[package("crates/zdu-new", &[], false)])[0].contains("table of crates"));
        let found = findings(&[package("crates/zdu-plan", &[], false)]);
        assert!(found[0].starts_with("crates/zdu-plan/src/lib.rs:1: `#![no_std]`"), "{found:?}");
    }
}
