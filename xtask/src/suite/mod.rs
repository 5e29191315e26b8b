//! Everything a change has to pass, in the order in which it is cheapest to fail.

mod count;
mod programs;
mod step;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::{say, tidy};
use count::Counts;
use step::{Step, Verdict};

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    Whole,
    /// Without the end-to-end tests of the lab.
    Quick,
}

/// A whole run from an empty target directory takes about half of this on two cores. What takes
/// longer hangs, and is better ended with a sentence than by whoever started it.
const RUN_LIMIT: Duration = Duration::from_secs(30 * 60);

/// `cargo xtask test`: stops at the first step that fails; the last line is the sum of all tests.
pub(crate) fn run(root: &Path, extent: Extent) -> ExitCode {
    let deadline = Instant::now() + RUN_LIMIT;
    let mut counts = Counts::default();
    programs::install(&mut counts);
    for step in steps(extent) {
        let title = step.title();
        say::line(&format!("\n== {title}"));
        let begun = Instant::now();
        let verdict = match step {
            Step::Tidy => tidied(root),
            Step::Cargo { args, env } => step::cargo(root, &args, &env, deadline, &mut counts),
        };
        let took = begun.elapsed().as_secs_f32();
        match verdict {
            Verdict::Passed => say::line(&format!("== {title}: passed in {took:.1} s")),
            Verdict::Failed(why) => {
                say::line(&format!("== {title}: FAILED after {took:.1} s: {why}"));
                counts.failed_step();
                break;
            }
        }
    }
    say::line("");
    for line in counts.skips() {
        say::line(&line);
    }
    say::line(&counts.sum());
    if counts.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// tidy runs inside this process, so it needs no build of its own.
fn tidied(root: &Path) -> Verdict {
    match tidy::run(root) {
        code if code == ExitCode::SUCCESS => Verdict::Passed,
        _ => Verdict::Failed("the findings stand above".to_owned()),
    }
}

fn steps(extent: Extent) -> Vec<Step> {
    let cargo = |line: &str| Step::Cargo {
        args: line.split(' ').map(str::to_owned).collect(),
        env: Vec::new(),
    };
    // Without `--no-fail-fast` the first test program that fails would hide the others' sums.
    // `--show-output` lets the reason of a test that skipped itself through.
    let tests = match extent {
        Extent::Whole => "test --workspace --no-fail-fast -- --show-output",
        Extent::Quick => "test --workspace --exclude zdu-lab --no-fail-fast -- --show-output",
    };
    vec![
        cargo("fmt --all --check"),
        Step::Tidy,
        cargo("clippy --workspace --all-targets -- -D warnings"),
        Step::Cargo {
            args: ["doc", "--workspace", "--no-deps"].map(str::to_owned).to_vec(),
            env: vec![("RUSTDOCFLAGS", "-D warnings")],
        },
        // The end-to-end tests start the binaries by their paths.
        cargo("build --workspace --bins"),
        cargo(tests),
        // Optimised, and nothing but what it needs: ten times the rollouts in the same time.
        cargo("run --quiet --release --package zdu-swarm -- --seconds 60"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_leaves_out_the_lab_and_nothing_else() {
        let titles = |extent| -> Vec<String> { steps(extent).iter().map(Step::title).collect() };
        let (whole, quick) = (titles(Extent::Whole), titles(Extent::Quick));
        let without: Vec<String> =
            quick.iter().map(|title| title.replace(" --exclude zdu-lab", "")).collect();
        assert_eq!(whole, without);
        assert_ne!(whole, quick);
    }
}
