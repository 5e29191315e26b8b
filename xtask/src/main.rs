//! Developer commands: `cargo xtask tidy | test | sim | crash | fuzz | bench`.
//!
//! Start reading at [`tidy::check`] for the rules of the repository, at [`suite::run`] for what a
//! change has to pass, at [`bench::run`] for the numbers.

mod bench;
mod fuzz;
mod say;
mod suite;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND
  tidy               the rules no compiler checks: crate edges, sizes, names, links
  test [--quick]     everything a change has to pass; --quick leaves out the end-to-end tests
  sim [--seeds N] [--seed S] [--seconds T] [--nodes N] [--fleet PATH] [--trace]
                     random rollouts, or random troubles of one zdu.yaml, against every law;
                     --trace shows the run of --seed S
  sim --shrink --seed S [--fleet PATH]
                     makes a run that breaks a law small and prints it as a scenario
  sim --script PATH [--trace]
                     plays a scenario and tells what happens
  crash [--seeds N] [--seed S] [--seconds T] [--nodes N]
                     cuts rollouts at every record, resumes them, and compares the ends
  fuzz [--seconds N] [TARGET]
                     libFuzzer on what reads foreign bytes, N seconds (5) for each target
  bench [--zdu PATH] zdu against plain ssh, in a lab; without PATH a release build is made
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tidy"] => tidy::run(&root()),
        ["test"] => suite::run(&root(), suite::Extent::Whole),
        ["test", "--quick"] => suite::run(&root(), suite::Extent::Quick),
        ["sim", rest @ ..] => swarm(rest),
        ["crash", ..] => swarm(&words),
        ["fuzz", rest @ ..] => {
            fuzz::asked(rest).map_or_else(usage, |asked| fuzz::run(&root(), &asked))
        }
        ["bench"] => bench::run(&root(), None),
        ["bench", "--zdu", path] => bench::run(&root(), Some(Path::new(path))),
        [] | [..] => usage(),
    }
}

fn usage() -> ExitCode {
    say::error(USAGE.trim_end());
    ExitCode::from(64)
}

/// Builds the swarm optimised, alone, and hands the words to it.
fn swarm(words: &[&str]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.args(["run", "--quiet", "--release", "--package", "zdu-swarm", "--"]);
    match command.args(words).current_dir(root()).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(cause) => {
            say::error(&format!("sim: cargo cannot be started: {cause}"));
            ExitCode::FAILURE
        }
    }
}

/// The repository: cargo tells the manifest's directory to what it runs; without cargo it is the
/// current directory.
fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let parent = manifest.and_then(|own| own.parent().map(Path::to_path_buf));
    parent.unwrap_or_else(|| PathBuf::from("."))
}
