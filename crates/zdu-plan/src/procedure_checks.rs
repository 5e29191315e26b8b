//! What is wrong with the procedure and the policy, whatever the fleet.

use crate::build::OWN_KEYS;
use crate::input::Input;
use crate::refusal::{Refusal, Refusals};
use crate::warning::Warning;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use zdu_model::ids::PhaseName;
use zdu_model::policy::{FailureRule, WaveSize};
use zdu_model::procedure::{Deadline, GoesBack, Over, Phase, Site, Stage, Step};
use zdu_model::time::Millis;
use zdu_model::verdict::exit;

/// Refuses what cannot be planned for any fleet.
pub(crate) fn check(input: &Input, refusals: &mut Refusals) {
    let procedure = &input.procedure;
    exit_codes(input, refusals);
    phase(input, &procedure.rollback_phase, "procedure.rollback_phase", refusals);
    rules(input, &procedure.on_failure, "procedure", refusals);
    rules(input, &input.policy.on_failure, "policy", refusals);
    let mut ids = BTreeSet::new();
    let rolls = procedure.stages.iter().position(|stage| stage.over == Over::Rolling);
    for (number, stage) in procedure.stages.iter().enumerate() {
        stage_phases(input, stage, refusals);
        if stage.parallel == Some(0) {
            let at = format!("procedure.stages.{}.parallel", stage.name);
            refusals.push(Refusal::Limit { at, why: "must be at least 1" });
        }
        // What is undone newest first cannot leave what came behind it.
        let late = rolls.is_some_and(|rolls| rolls < number);
        if stage.goes_back == GoesBack::WithRollout && (stage.over != Over::Nodes || late) {
            let at = format!("procedure.stages.{}.goes_back", stage.name);
            let why = "must be with_node: only what a stage over nodes prepares, before any rolls, \
                       can stay with one";
            refusals.push(Refusal::Limit { at, why });
        }
        for step in &stage.steps {
            for one in core::iter::once(step).chain(&step.undo) {
                let reserved = OWN_KEYS.contains(&one.id.as_str());
                if reserved || !ids.insert(&one.id) {
                    refusals.push(Refusal::BadStepName { step: one.id.clone(), reserved });
                }
                one_step(input, stage, one, refusals);
            }
            undo(step, refusals);
        }
    }
    for accepted in &input.policy.accept_no_undo {
        if !ids.iter().any(|id| id.as_str() == accepted) {
            refusals.push(Refusal::AcceptsNothing(accepted.clone()));
        }
    }
    limits(input, refusals);
}

/// A configuration refuses more; these two would make a failure look like another, or like none.
fn exit_codes(input: &Input, refusals: &mut Refusals) {
    let mut known = BTreeSet::new();
    for Phase { name, exit } in &input.procedure.phases {
        let at = format!("procedure.phases.{name}.exit");
        if *exit == exit::SUCCESS {
            let why = "must not be 0: a rollout that failed would end as one that succeeded";
            refusals.push(Refusal::Limit { at, why });
        } else if !known.insert(*exit) {
            let why = "must be a code that no other phase has";
            refusals.push(Refusal::Limit { at, why });
        }
    }
}

fn one_step(input: &Input, stage: &Stage, step: &Step, refusals: &mut Refusals) {
    let at = format!("procedure.stages.{}.steps.{}", stage.name, step.id);
    phase(input, &step.phase, &format!("{at}.phase"), refusals);
    if step.disruptive && stage.over != Over::Rolling {
        let (stage, step) = (stage.name.clone(), step.id.clone());
        refusals.push(Refusal::DisruptiveOutsideRolling { stage, step });
    }
    if stage.over == Over::Once && step.on == Site::Node {
        let (stage, step) = (stage.name.clone(), step.id.clone());
        refusals.push(Refusal::NoNodeInOnce { stage, step });
    }
    // One that variables give is looked at where it is rendered.
    if step.deadline == Deadline::Span(Millis(0)) {
        let at = format!("{at}.deadline");
        refusals.push(Refusal::Limit { at, why: "must be longer than nothing" });
    }
    if step.attempts == 0 {
        let at = format!("{at}.attempts");
        refusals.push(Refusal::Limit { at, why: "must be at least 1" });
    }
}

fn undo(step: &Step, refusals: &mut Refusals) {
    for back in &step.undo {
        if back.point_of_no_return || !back.undo.is_empty() {
            refusals.push(Refusal::UndoNotFinal {
                step: step.id.clone(),
                undo: back.id.clone(),
                point_of_no_return: back.point_of_no_return,
            });
        }
    }
}

fn stage_phases(input: &Input, stage: &Stage, refusals: &mut Refusals) {
    let named = [("drain_phase", &stage.drain_phase), ("return_phase", &stage.return_phase)];
    for (field, name) in named {
        if let Some(name) = name {
            phase(input, name, &format!("procedure.stages.{}.{field}", stage.name), refusals);
        }
    }
}

fn rules(input: &Input, rules: &[FailureRule], of: &str, refusals: &mut Refusals) {
    for (index, rule) in rules.iter().enumerate() {
        let stages = &input.procedure.stages;
        if rule.stage.as_ref().is_some_and(|name| stages.iter().all(|one| one.name != *name)) {
            let at = format!("{of}.on_failure[{index}].stage");
            refusals.push(Refusal::Limit { at, why: "names no stage of the procedure" });
        }
        if let Some(name) = &rule.phase {
            phase(input, name, &format!("{of}.on_failure[{index}].phase"), refusals);
        }
    }
}

fn phase(input: &Input, name: &PhaseName, at: &str, refusals: &mut Refusals) {
    if !input.procedure.phases.iter().any(|phase| phase.name == *name) {
        let (at, phase) = (at.to_string(), name.clone());
        refusals.push(Refusal::UnknownPhase { at, phase });
    }
}

fn limits(input: &Input, refusals: &mut Refusals) {
    let policy = &input.policy;
    let mut refuse = |at: String, why| refusals.push(Refusal::Limit { at, why });
    if policy.wave.is_empty() {
        refuse("policy.wave".into(), "names no size");
    }
    for (index, size) in policy.wave.iter().enumerate() {
        let good = match size {
            WaveSize::Count(count) => *count > 0,
            WaveSize::Percent(share) => (1..=100).contains(share),
        };
        if !good {
            refuse(format!("policy.wave[{index}]"), "must be at least 1, and at most 100%");
        }
    }
    if policy.concurrency == 0 {
        refuse("policy.concurrency".into(), "must be at least 1");
    }
    // Law 13: a wait of no length would be no wait at all, and every drain would fail.
    for (name, span) in [
        ("drain_deadline", policy.drain_deadline),
        ("ready_deadline", policy.ready_deadline),
        ("serving_deadline", policy.serving_deadline),
        ("capacity_deadline", policy.capacity_deadline),
    ] {
        if span.0 == 0 {
            refuse(format!("policy.{name}"), "must be longer than nothing");
        }
    }
    for (index, front) in input.fleet.front.iter().enumerate() {
        if front.timeout.0 == 0 {
            refuse(format!("front[{index}].timeout"), "must be longer than nothing");
        }
    }
}

/// What a reader must know of the procedure.
pub(crate) fn warnings(input: &Input) -> Vec<Warning> {
    let rolling = input.procedure.stages.iter().filter(|stage| stage.over == Over::Rolling);
    let mut warnings = Vec::new();
    for stage in rolling {
        for (old, probes) in [(false, &stage.ready), (true, &stage.ready_old)] {
            if probes.is_empty() {
                warnings.push(Warning::NoReadiness { stage: stage.name.clone(), old });
            }
        }
    }
    warnings
}
