//! `cargo xtask fuzz`: libFuzzer on the readers of foreign bytes, for a moment or for a night.
//!
//! `cargo xtask test` tries the same targets without libFuzzer (`tests/foreign`): building its
//! programs takes minutes and a tool that not everybody has.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::say;

/// Longer than the slowest input may take under the sanitizer, seconds.
const INPUT_LIMIT: &str = "-timeout=20";
/// What one target may hold, mebibytes.
const MEMORY_LIMIT: &str = "-rss_limit_mb=2048";

/// What is asked: for how long each target, and which one alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    seconds: u32,
    target: Option<&'a str>,
}

/// `[--seconds N] [TARGET]`.
pub(crate) fn asked<'a>(words: &[&'a str]) -> Option<Asked<'a>> {
    let mut asked = Asked { seconds: 5, target: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == "--seconds" {
            asked.seconds = words.next()?.parse().ok().filter(|seconds| *seconds > 0)?;
        } else if word.starts_with('-') || asked.target.replace(word).is_some() {
            return None;
        }
    }
    Some(asked)
}

/// Runs each target; all of them, also when one fails.
pub(crate) fn run(root: &Path, asked: &Asked<'_>) -> ExitCode {
    match all(root, asked) {
        Ok(failed) if failed.is_empty() => ExitCode::SUCCESS,
        Ok(failed) => {
            say::error(&format!("fuzz: something did not hold in {}", failed.join(", ")));
            ExitCode::FAILURE
        }
        Err(cause) => {
            say::error(&format!("fuzz: failed to {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn all(root: &Path, asked: &Asked<'_>) -> Result<Vec<String>, String> {
    let root = root.canonicalize().map_err(|cause| format!("find {}: {cause}", root.display()))?;
    let there = cargo(&root).args(["fuzz", "--version"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return Err("find cargo-fuzz: cargo install cargo-fuzz --locked".to_owned());
    }
    let known = targets(&root)?;
    let wanted: Vec<String> = match asked.target {
        None => known,
        Some(name) => known.into_iter().filter(|known| known == name).collect(),
    };
    if wanted.is_empty() {
        return Err("find the target: each has a directory in tests/foreign/seeds".to_owned());
    }
    let mut failed = Vec::new();
    for target in wanted {
        say::line(&format!("== {target}: {} s", asked.seconds));
        if !held(&root, &target, asked.seconds)? {
            failed.push(target);
        }
    }
    Ok(failed)
}

/// The targets are known by their seeds.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let seeds = root.join("tests/foreign/seeds");
    let because = |cause: std::io::Error| format!("read {}: {cause}", seeds.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&seeds).map_err(because)? {
        names.extend(entry.map_err(because)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// What is found on the way and what breaks is kept below `target`, beside the seeds of nobody.
fn held(root: &Path, target: &str, seconds: u32) -> Result<bool, String> {
    let found = root.join("target/fuzz-found").join(target);
    let broken = root.join("target/fuzz-broken").join(target);
    for directory in [&found, &broken] {
        std::fs::create_dir_all(directory)
            .map_err(|cause| format!("make {}: {cause}", directory.display()))?;
    }
    let mut command = cargo(root);
    command.args(["fuzz", "run", "--target-dir"]).arg(root.join("target/fuzz")).arg(target);
    // libFuzzer adds what it finds to the first directory alone.
    command.arg(&found).arg(root.join("tests/foreign/seeds").join(target)).arg("--");
    command.arg(format!("-artifact_prefix={}/", broken.display()));
    command.arg(format!("-max_total_time={seconds}")).args([INPUT_LIMIT, MEMORY_LIMIT]);
    command.arg("-print_final_stats=1");
    // The sanitizer's flags are not stable; the compiler is the one everything is built with.
    command.env("RUSTC_BOOTSTRAP", "1");
    let status = command.status().map_err(|cause| format!("start cargo fuzz: {cause}"))?;
    Ok(status.success())
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_and_a_target_can_be_asked_for_and_nothing_else() {
        let of = |seconds, target| Some(Asked { seconds, target });
        assert_eq!(asked(&[]), of(5, None));
        assert_eq!(asked(&["--seconds", "60", "journal"]), of(60, Some("journal")));
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["a", "b"], &["--second"]] {
            assert_eq!(asked(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_target_is_found_by_its_seeds() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask has a parent");
        assert!(targets(root).expect("readable").contains(&"journal".to_owned()));
    }
}
