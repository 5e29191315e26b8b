//! The planner, as a list of what it does.

use crate::build::Builder;
use crate::input::Input;
use crate::order::Roster;
use crate::refusal::{Refusal, Refusals};
use crate::report::PlanReport;
use crate::{capacity, fleet_checks, procedure_checks};
use alloc::vec::Vec;
use zdu_model::fleet::Fleet;
use zdu_model::plan::{PLAN_FORMAT, Plan, PlannedStage};
use zdu_model::policy::{FailureAction, FailureRule};
use zdu_model::render::Render;

/// A plan and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The report about it.
    pub report: PlanReport,
}

/// Makes the plan.
///
/// The same input and the same renderer give the same plan.
///
/// # Errors
/// [`Refusals`] with every reason that was found, never empty.
pub fn plan(input: &Input, render: &dyn Render) -> Result<Planned, Refusals> {
    let unasked = |refusal: &Refusal| matches!(refusal, Refusal::RoleNotLookedUp { .. });
    match plan_as_known(input, render) {
        Err(refusals) if refusals.0.iter().any(unasked) => Err(apart(input, render, refusals)),
        planned => planned,
    }
}

/// A role nobody looked for leaves steps without a node, captures without their step, and so on:
/// reasons that go with the first. What is still against the plan once somebody has the role has
/// another cause and stays.
fn apart(input: &Input, render: &dyn Render, refusals: Refusals) -> Refusals {
    let mut known = input.clone();
    if known.assume_roles().iter().any(|assumed| assumed.nodes.is_empty()) {
        return refusals;
    }
    let mut apart = Refusals::default();
    for refusal in refusals.0 {
        if let Refusal::RoleNotLookedUp { .. } = refusal {
            apart.push(refusal);
        }
    }
    if let Err(others) = plan_as_known(&known, render) {
        others.0.into_iter().for_each(|refusal| apart.push(refusal));
    }
    apart
}

fn plan_as_known(input: &Input, render: &dyn Render) -> Result<Planned, Refusals> {
    let roster = Roster::new(&input.fleet, &input.observed);
    let mut builder = Builder::new(input, render, &roster);
    fleet_checks::check(input, &roster, &mut builder.refusals);
    procedure_checks::check(input, &mut builder.refusals);
    fleet_checks::roles(input, &roster, &mut builder.refusals);
    capacity::check(input, &roster, &mut builder.refusals);

    let mut stages: Vec<PlannedStage> = Vec::new();
    for (index, stage) in input.procedure.stages.iter().enumerate() {
        stages.extend(builder.stage(index, stage));
    }
    if builder.steps.is_empty() && builder.refusals.0.is_empty() {
        builder.refusals.push(Refusal::NothingToDo);
    }
    if !builder.refusals.0.is_empty() {
        return Err(builder.refusals);
    }
    let Builder { steps, warnings, .. } = builder;
    let plan = Plan {
        format: PLAN_FORMAT,
        tool: input.tool.clone(),
        fleet: with_roles(&roster, &input.fleet),
        procedure: input.procedure.name.clone(),
        procedure_digest: input.procedure_digest.clone(),
        release: input.release.clone(),
        policy: input.policy.clone(),
        phases: input.procedure.phases.clone(),
        rollback_phase: input.procedure.rollback_phase.clone(),
        stages,
        steps,
        rules: rules(input),
    };
    debug_assert_eq!(crate::lint::lint(&plan), Vec::new(), "a plan of ours must pass the lint");
    let mut report = PlanReport::of(&plan);
    report.warnings.extend(warnings);
    report.warnings.extend(fleet_checks::warnings(input));
    report.warnings.extend(procedure_checks::warnings(input));
    report.warnings.extend(capacity::live(input));
    Ok(Planned { plan, report })
}

/// The fleet with the roles preflight found filled in.
fn with_roles(roster: &Roster<'_>, declared: &Fleet) -> Fleet {
    let mut fleet = declared.clone();
    let nodes = fleet.groups.iter_mut().flat_map(|group| group.nodes.iter_mut());
    for (node, place) in nodes.zip(&roster.places) {
        node.roles.clone_from(&place.roles);
    }
    fleet
}

/// The operator's rules, the procedure's, and last the one that always fits: where nobody said
/// what to do, a person decides, because every other action changes something by guess.
fn rules(input: &Input) -> Vec<FailureRule> {
    let mut rules = input.policy.on_failure.clone();
    rules.extend(input.procedure.on_failure.iter().cloned());
    rules.push(FailureRule {
        phase: None,
        exit: Vec::new(),
        class: Vec::new(),
        output: None,
        stage: None,
        failed_nodes: None,
        action: FailureAction::Hold,
    });
    rules
}
