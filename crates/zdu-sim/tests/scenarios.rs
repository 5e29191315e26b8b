//! The scripts in `scenarios/` are played, tell the story that is written beside them, and break
//! no law. `UPDATE_GOLDENS=1` writes the stories anew.

use std::path::{Path, PathBuf};
use zdu_sim::script::{Script, parse};
use zdu_sim::{Outcome, Setup, run, run_told};
use zdu_swarm::{plan_of, root};

/// A story is for a person to read.
const LINES_MAX: usize = 60;

fn scripts() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("scenarios")).expect("the scenarios are there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let mut scripts: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|ext| ext == "scenario")).collect();
    scripts.sort();
    scripts
}

fn setup(path: &Path) -> Setup {
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).expect("it can be read");
    let script: Script = parse(&name, &text).unwrap_or_else(|error| panic!("{error}"));
    let plan = plan_of(&root().join(&script.fleet)).unwrap_or_else(|why| panic!("{name}: {why}"));
    script.setup(&plan).unwrap_or_else(|misfit| panic!("{}", misfit.at(&name, &text)))
}

fn told(outcome: &Outcome) -> String {
    let mut lines = outcome.lines.clone();
    lines.extend(outcome.entries.iter().map(|entry| format!("left {entry}")));
    let verdict = outcome.verdict.as_ref();
    lines.push(match verdict {
        Some(verdict) => format!("exit code {} after {}", verdict.exit_code(), outcome.took),
        None => "no end".into(),
    });
    lines.push(String::new());
    lines.join("\n")
}

#[test]
fn every_scenario_tells_its_story_and_breaks_no_law() {
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let mut wrong = Vec::new();
    for path in scripts() {
        let setup = setup(&path);
        let outcome = run_told(&setup);
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        for broken in &outcome.violations {
            wrong.push(format!("{name} breaks {}: {}", broken.checker, broken.what));
        }
        if outcome.digest != run(&setup).digest {
            wrong.push(format!("{name} is another run each time"));
        }
        if outcome.lines.len() > LINES_MAX {
            wrong.push(format!("{name} tells {} lines", outcome.lines.len()));
        }
        let (golden, told) = (path.with_extension("out"), told(&outcome));
        if update {
            std::fs::write(&golden, &told).expect("it can be written");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if expected != told {
            wrong.push(format!("{name} tells another story:\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_list_of_scenarios_names_every_one_and_no_other() {
    let list = std::fs::read_to_string(root().join("scenarios/README.md")).expect("it is there");
    let words: Vec<&str> = list.split('`').collect();
    let names: Vec<String> = scripts()
        .iter()
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    for name in &names {
        assert!(words.contains(&name.as_str()), "{name} is not in the list");
    }
    let rows = list.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for row in rows {
        assert!(names.iter().any(|name| name == row), "{row} is in the list and not there");
    }
}
