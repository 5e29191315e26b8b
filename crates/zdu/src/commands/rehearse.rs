//! `zdu rehearse`: the plan in a simulator, with everything that can go wrong.

use crate::cli::RehearseArgs;
use crate::context::Context;
use crate::excerpt;
use crate::failure::Failure;
use crate::prepare;
use crate::rehearsal::{pool, story, text, verdict};
use crate::rollouts;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use zdu_conductor::plan_file::read_plan;
use zdu_config::{builtin_procedures, parse_procedure};
use zdu_model::ids::{NodeName, StepKey};
use zdu_model::plan::Plan;
use zdu_model::time::Millis;
use zdu_model::verdict::exit;
use zdu_plan::Assumed;
use zdu_sim::rehearse::{Ground, Hint, Order, asked, ends, rehearse, rows};
use zdu_view::durations::Durations;

/// Answers the command.
///
/// # Errors
/// When no plan can be made, or what is asked for is not in it.
pub(crate) fn run(args: &RehearseArgs, context: &Context) -> Result<u8, Failure> {
    let RehearseArgs { config, plan, fault, pairs, seed, all } = args;
    let (plan, assumed) = match plan {
        Some(path) => (reviewed(path)?, Vec::new()),
        None => planned(config.as_deref(), context)?,
    };
    let plan = Arc::new(plan);
    let measured = measured(&plan, context);
    let order = Order { seed: *seed, pairs: *pairs, all: *all, measured };
    if !fault.is_empty() {
        return one(&plan, &order, fault, context);
    }
    let mut found = rehearse(&plan, &order, &mut |part, plays, play| {
        pool::play(context.printer, part, plays, play)
    });
    if found.changes_procedure {
        found.hints.extend(own_copy(&plan));
    }
    let verdict = verdict::of_all(&found);
    let code = if found.found_something() { exit::REHEARSAL_FOUND } else { exit::SUCCESS };
    if context.printer.wants_json() {
        context.printer.json(&json!({
            "exit": code, "verdict": verdict, "assumed": assumed, "rehearsal": found,
            "rows": rows(&found.failures),
            "ends": { "failures": ends(&found.failures), "pairs": ends(&found.pairs) },
            "defects": found.defects(),
        }));
    } else {
        let assumed: Vec<String> = assumed.iter().map(sentence).collect();
        context.printer.data(&text::whole(&found, &assumed, &verdict));
    }
    Ok(code)
}

/// How somebody whose procedure is built in comes to one that can be changed.
fn own_copy(plan: &Plan) -> Option<Hint> {
    let is_it = |(name, text): &&(&str, &str)| {
        let known = parse_procedure(text, &format!("builtin:{name}")).ok();
        known.is_some_and(|known| prepare::digest_of(&known) == plan.procedure_digest)
    };
    let (name, _) = builtin_procedures().iter().find(is_it)?;
    let text = format!(
        "the procedure is built in: to change it, `zdu procedures {name} > {name}.yaml` writes it, \
         and `procedure: {name}.yaml` in zdu.yaml uses what was written"
    );
    Some(Hint { counts: false, text })
}

fn sentence(assumed: &Assumed) -> String {
    let Assumed { role, nodes } = assumed;
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    format!("{role} on {}", names.join(", "))
}

/// One failure, or some behind each other, with its story.
fn one(
    plan: &Arc<Plan>,
    order: &Order,
    faults: &[String],
    context: &Context,
) -> Result<u8, Failure> {
    let ground = Ground::new(Arc::clone(plan), order);
    let texts: Vec<&str> = faults.iter().map(String::as_str).collect();
    let play = asked(&ground, &texts).map_err(|why| {
        let what = format!("rehearse {}: {why}", texts.join(" "));
        Failure::new(exit::USAGE, what).hint(why.hint())
    })?;
    let told = ground.story(&play);
    if context.printer.wants_json() {
        context.printer.json(&json!({ "ending": told.ending, "records": told.records }));
    } else {
        let lines = story::lines(plan, &play, &told, context.printer.out_palette());
        lines.iter().for_each(|line| context.printer.line(line));
    }
    Ok(if told.ending.counts() { exit::REHEARSAL_FOUND } else { exit::SUCCESS })
}

/// Exactly the plan that was reviewed.
fn reviewed(path: &Path) -> Result<Plan, Failure> {
    let (plan, _digest) = read_plan(path)?;
    prepare::judge(&plan, path)?;
    Ok(plan)
}

/// A plan made without asking anybody.
fn planned(config: Option<&Path>, context: &Context) -> Result<(Plan, Vec<Assumed>), Failure> {
    let usual = Path::new("zdu.yaml");
    let mut prepared = match config {
        Some(path) => prepare::load(&path.display().to_string())?,
        None if usual.exists() => prepare::load(&usual.display().to_string())?,
        None => {
            context.printer.note("there is no zdu.yaml here: the built-in reference is rehearsed");
            prepare::prepared(prepare::reference()?)
        }
    };
    excerpt::warn(&prepared.config.warnings, &context.printer);
    let assumed = prepared.input.assume_roles();
    Ok((prepared.plan()?.plan, assumed))
}

/// How long the steps took in earlier rollouts of the procedure that are kept here.
fn measured(plan: &Plan, context: &Context) -> BTreeMap<StepKey, (Millis, usize)> {
    let mut durations = Durations::default();
    // What cannot be read is no reason not to rehearse; `zdu status` complains about it.
    for id in context.state.rollouts().unwrap_or_default() {
        if let Ok(kept) = rollouts::read(context, &id)
            && kept.view.plan().procedure == plan.procedure
        {
            durations.add(&kept.view);
        }
    }
    let keys: BTreeSet<&StepKey> = plan.steps.iter().map(|step| &step.key).collect();
    let known = keys.into_iter().filter_map(|key| Some((key.clone(), durations.median(key)?)));
    known.collect()
}
