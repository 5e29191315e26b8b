//! The report as text for people: no colour, about a hundred columns, and said once where the
//! same is done on many nodes.

use crate::report::{PlanReport, PointReport, StageReport, StepReport, WaveReport};
use crate::wording::{count, list, rollback_class};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use zdu_model::ids::{NodeName, StepKey};
use zdu_model::procedure::{GoesBack, Over, RollbackClass};

/// Renders a report. Commands stand on lines of their own and are never broken, so that they can
/// be read and copied as they are; everything else stays within about a hundred columns.
#[must_use]
pub fn render_text(report: &PlanReport) -> String {
    let mut lines = head(report);
    for (index, stage) in report.stages.iter().enumerate() {
        lines.push(String::new());
        let (at, of) = (index + 1, report.stages.len());
        let (name, over) = (&stage.name, over(stage));
        let back = match stage.goes_back {
            GoesBack::WithNode => "",
            GoesBack::WithRollout => ", put back only with the whole rollout",
        };
        let steps = count(stage.steps, "step");
        lines.push(format!("stage {at} of {of}: {name} ({over}, {steps}{back})"));
        waves(stage, &mut lines);
    }
    lines.push(String::new());
    if report.warnings.is_empty() {
        lines.push("no warnings".into());
    }
    for warning in &report.warnings {
        lines.push(format!("warning: {warning}"));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn head(report: &PlanReport) -> Vec<String> {
    let PlanReport {
        fleet,
        procedure,
        procedure_digest,
        release,
        nodes,
        forward,
        undo,
        point_of_no_return,
        without_undo,
        stages: _,
        warnings: _,
    } = report;
    let mut lines = Vec::new();
    lines.push(format!("fleet {fleet}: {} to {} with {procedure}", release.from, release.to));
    let (nodes, forward) = (count(*nodes, "node"), count(*forward, "step"));
    let digest = procedure_digest.short();
    lines.push(format!("{nodes}, {forward} forward, {undo} to undo, procedure {digest}"));
    lines.push(match point_of_no_return {
        None if without_undo.is_empty() => "can be rolled back from every step".into(),
        None => "no point of no return".into(),
        Some(PointReport { stage, step, no }) => {
            format!(
                "can be rolled back up to step {no}, {step} of stage {stage}: no return behind it"
            )
        }
    });
    if !without_undo.is_empty() {
        lines.push(format!("a rollback leaves what these did: {}", list(without_undo)));
    }
    lines
}

fn over(stage: &StageReport) -> String {
    match stage.over {
        Over::Once => "once".into(),
        Over::Nodes => count(stage.nodes, "node"),
        Over::Rolling => {
            format!(
                "rolling, {} in {}",
                count(stage.nodes, "node"),
                count(stage.waves.len(), "wave")
            )
        }
    }
}

/// A step as far as it can be told once for two waves: everything but its nodes and numbers.
fn shape(step: &StepReport) -> (&StepKey, &str, &[(StepKey, String)]) {
    (&step.key, step.act.as_str(), step.undo.as_slice())
}

/// The steps of a wave that differ from those of one that was told, when both have the same steps
/// and waits at all.
fn others<'a>(wave: &'a WaveReport, told: &WaveReport) -> Option<Vec<&'a StepReport>> {
    let keys = |wave: &'a WaveReport| wave.steps.iter().map(|step| &step.key);
    let told_keys = told.steps.iter().map(|step| &step.key);
    if wave.waits != told.waits || !keys(wave).eq(told_keys) {
        return None;
    }
    let pairs = wave.steps.iter().zip(&told.steps);
    Some(pairs.filter(|(now, then)| shape(now) != shape(then)).map(|(now, _)| now).collect())
}

fn waves(stage: &StageReport, lines: &mut Vec<String>) {
    let mut told: Option<(usize, &WaveReport)> = None;
    for (index, wave) in stage.waves.iter().enumerate() {
        if stage.over == Over::Rolling {
            let number = index + 1;
            let parallel = match wave.nodes.len() {
                0 | 1 => String::new(),
                _ => format!(", {} at a time", wave.parallel),
            };
            lines.push(format!("  wave {number}: {}{parallel}", list(&wave.nodes)));
        } else if !wave.nodes.is_empty() {
            lines.push(format!("  {}, {} at a time", list(&wave.nodes), wave.parallel));
        }
        drained(wave, lines);
        if let Some((number, before)) = told
            && let Some(others) = others(wave, before)
        {
            for step in &others {
                step_lines(step, wave, lines);
            }
            let what = if others.is_empty() { "steps and waits" } else { "otherwise" };
            lines.push(format!("    {what} as in wave {number}"));
            continue;
        }
        told = Some((index + 1, wave));
        for step in &wave.steps {
            step_lines(step, wave, lines);
        }
        for wait in &wave.waits {
            lines.push(format!("    waits for {wait}"));
        }
    }
}

fn drained(wave: &WaveReport, lines: &mut Vec<String>) {
    let mut by_instances: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for drain in &wave.drained {
        by_instances.entry(list(&drain.instances)).or_default().push(&drain.member);
    }
    for (instances, members) in by_instances {
        lines.push(format!("    drains {} on {instances}", list(&members)));
    }
}

fn step_lines(step: &StepReport, wave: &WaveReport, lines: &mut Vec<String>) {
    let StepReport {
        key,
        phase,
        nodes,
        numbers: _,
        act,
        deadline: _,
        attempts,
        needs_drain,
        rollback,
        undo,
        point_of_no_return,
        own,
    } = step;
    let (key, phase) = (key.to_string(), phase.to_string());
    let on = on(nodes, wave);
    if *own {
        lines.push(format!("    {phase:<12} {key:<10} {act}{on}"));
        return;
    }
    let mut marks = Vec::new();
    if *point_of_no_return {
        marks.push("NO RETURN".to_string());
    }
    if *needs_drain {
        marks.push("drained".into());
    }
    if *attempts > 1 {
        marks.push(format!("up to {attempts} attempts"));
    }
    marks.push(class(*rollback, undo.is_empty()));
    lines.push(format!("    {phase:<12} {key} [{}]{on}", marks.join(", ")));
    lines.push(format!("      {}", hanging(act)));
    for (name, act) in undo {
        lines.push(format!("      undo {name}: {}", hanging(act)));
    }
}

/// A script of several lines hangs below its step, or its own lines would read as the plan's.
fn hanging(act: &str) -> String {
    act.trim_end().replace('\n', "\n        ")
}

/// Says the nodes only where they are not all of the wave.
fn on(nodes: &[NodeName], wave: &WaveReport) -> String {
    if nodes.is_empty() || nodes.len() == wave.nodes.len() {
        return String::new();
    }
    format!(" on {}", list(nodes))
}

fn class(rollback: RollbackClass, no_undo: bool) -> String {
    match (rollback, no_undo) {
        (RollbackClass::None, _) => "cannot be undone".into(),
        (_, true) => "nothing to undo".into(),
        (undo, false) => format!("undo: {}", rollback_class(undo)),
    }
}
