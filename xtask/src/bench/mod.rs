//! What zdu costs over plain ssh, measured in a lab on this machine: four numbers, each beside
//! what it was made from. Ratios travel between machines, seconds do not.

mod ansible;
mod drains;
mod figures;
mod rollout;
mod steps;
mod timed;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::say;

/// Odd, so that the median is one of the measured values.
const RUNS: usize = 5;

/// `cargo xtask bench`. `zdu` is a binary to measure; without one a release build is made.
pub(crate) fn run(root: &Path, zdu: Option<&Path>) -> ExitCode {
    match measure(root, zdu) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            say::error(&format!("bench: failed to {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(root: &Path, zdu: Option<&Path>) -> Result<(), String> {
    zdu_lab::available().map_err(|reason| format!("have a lab: {reason}"))?;
    // The lab looks for its own programs beside this one.
    cargo(root, &["build", "--package", "zdu-lab", "--bins"])?;
    let zdu = match zdu {
        Some(path) => path.to_path_buf(),
        None => release_build(root)?,
    };
    let zdu = zdu.canonicalize().map_err(|cause| format!("find {}: {cause}", zdu.display()))?;
    say::line(&format!("each line: median of {RUNS}, in brackets all of them as measured"));
    // One that fails says nothing about the others, and each takes its minute.
    let parts: [Part<'_>; 4] = [
        Box::new(|| steps::one_after_another(&zdu)),
        Box::new(|| steps::cold_and_memory(&zdu)),
        Box::new(|| drains::idle_after_last_request(&zdu)),
        Box::new(|| cargo(root, &["run", "-q", "--release", "-p", "zdu-swarm", "--", "speed"])),
    ];
    let failed = parts.iter().filter_map(|part| part().err());
    match failed.inspect(|cause| say::error(&format!("bench: failed to {cause}"))).count() {
        0 => Ok(()),
        count => Err(format!("measure {count} of {} parts", parts.len())),
    }
}

/// What is measured by itself.
type Part<'a> = Box<dyn Fn() -> Result<(), String> + 'a>;

fn release_build(root: &Path) -> Result<PathBuf, String> {
    cargo(root, &["build", "--release", "--package", "zdu", "--bin", "zdu"])?;
    let own = std::env::current_exe().map_err(|cause| format!("find this program: {cause}"))?;
    // target/debug/xtask, beside which cargo puts target/release.
    let target = own.ancestors().nth(2).ok_or("find the target directory")?;
    Ok(target.join("release/zdu"))
}

fn cargo(root: &Path, args: &[&str]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let shown = format!("run cargo {}", args.join(" "));
    let status = Command::new(cargo).args(args).current_dir(root).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(cause) => Err(format!("{shown}: {cause}")),
    }
}

/// Names of the nodes of every lab of the bench.
fn node_names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("node-{number:02}")).collect()
}

fn text(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}
