//! Scripts: a seed that breaks a law becomes one, and one is played and told.

use std::path::Path;
use std::process::ExitCode;

use zdu_sim::script::{Script, parse};
use zdu_sim::shrink::shrink;
use zdu_sim::swarm;
use zdu_sim::{Outcome, Violation, run, run_told, run_traced};
use zdu_swarm::{plan_of, root};

use crate::play::Order;
use crate::say;

/// Where small runs are written, relative to the repository.
const DIRECTORY: &str = "target/shrunk";

/// Makes the run of a seed small and prints the script of what is left.
pub(crate) fn small(order: &Order) -> ExitCode {
    shrunk(order).unwrap_or_else(|why| {
        say::error(&format!("sim: {why}"));
        ExitCode::FAILURE
    })
}

fn shrunk(order: &Order) -> Result<ExitCode, String> {
    let plans = order.plans()?;
    let drawn = swarm::drawn(&order.range(&plans), order.first);
    let Some(checker) = broken(&drawn.setup) else {
        say::line(&format!("seed {} breaks no law", order.first));
        return Ok(ExitCode::SUCCESS);
    };
    let small = shrink(drawn, &checker);
    let name = format!("seed-{}", order.first);
    let given = plans.iter().find(|(_, plan)| **plan == *small.setup.plan);
    let directory = root().join(DIRECTORY);
    std::fs::create_dir_all(&directory).map_err(|e| e.to_string())?;
    let fleet = match given {
        Some((path, _)) => path.clone(),
        None => {
            // Beside the script, and named from the repository like every fleet of a script.
            let path = format!("{DIRECTORY}/{name}.plan.json");
            let plan = serde_json::to_string_pretty(&*small.setup.plan);
            let plan = plan.map_err(|e| e.to_string())?;
            std::fs::write(root().join(&path), plan).map_err(|e| e.to_string())?;
            path
        }
    };
    let mut script = Script::of(&small.setup, &fleet);
    script.about = vec![format!("Breaks {checker}: seed {}, made small.", order.first)];
    let text = script.to_string();
    let path = format!("{DIRECTORY}/{name}.scenario");
    std::fs::write(root().join(&path), &text).map_err(|e| e.to_string())?;
    say::line(text.trim_end());
    let steps = small.setup.plan.steps.len();
    say::line(&format!("{path}: {steps} steps in the plan, found in {} runs", small.plays));
    Ok(ExitCode::FAILURE)
}

/// The first law a run breaks.
fn broken(setup: &zdu_sim::Setup) -> Option<String> {
    match std::panic::catch_unwind(|| run(setup)) {
        Err(_) => Some("panics".to_owned()),
        Ok(outcome) => outcome.violations.first().map(|broken| broken.checker.to_owned()),
    }
}

/// Plays a script and tells what happened; `whole` tells everything.
pub(crate) fn told(path: &str, whole: bool) -> ExitCode {
    match play(Path::new(path), whole) {
        Ok(outcome) if outcome.violations.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            say::error(&format!("sim: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn play(path: &Path, whole: bool) -> Result<Outcome, String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let script = parse(&name, &text).map_err(|error| error.to_string())?;
    let plan = plan_of(&root().join(&script.fleet))?;
    let setup = script.setup(&plan).map_err(|misfit| misfit.at(&name, &text))?;
    let outcome = if whole { run_traced(&setup) } else { run_told(&setup) };
    outcome.lines.iter().for_each(|line| say::line(line));
    for Violation { checker, what, at: _ } in &outcome.violations {
        say::line(&format!("BROKEN {checker}: {what}"));
    }
    Ok(outcome)
}
