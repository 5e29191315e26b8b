//! What changed from one plan to the next, in words.

use crate::wording::{act, count, goes_back, list, rollback_class};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{Debug, Display};
use zdu_model::fleet::Node;
use zdu_model::ids::{NodeName, StageName, StepKey, StepNo};
use zdu_model::plan::{Plan, PlannedStep, Subject, Target};
use zdu_model::policy::{CertifyPolicy, DrainExpiry, Policy, WaveSize};
use zdu_model::procedure::RollbackClass;

/// What changed from `old` to `new`, one sentence each; empty when nothing an operator would
/// call a change did. Numbers of steps are no change.
#[must_use]
pub fn diff(old: &Plan, new: &Plan) -> Vec<String> {
    let mut said = Vec::new();
    let (from, to) = (&old.release, &new.release);
    changed(&mut said, "the fleet", &old.fleet.name.as_str(), &new.fleet.name.as_str());
    changed(&mut said, "the procedure", &old.procedure.as_str(), &new.procedure.as_str());
    if old.procedure_digest != new.procedure_digest {
        let (old, new) = (old.procedure_digest.short(), new.procedure_digest.short());
        said.push(format!("the text of the procedure changed: {old} to {new}"));
    }
    changed(&mut said, "release.from", &from.from, &to.from);
    changed(&mut said, "release.to", &from.to, &to.to);
    nodes(old, new, &mut said);
    policy(&old.policy, &new.policy, &mut said);
    if old.rules != new.rules {
        said.push("the failure rules changed".into());
    }
    stages(old, new, &mut said);
    steps(old, new, &mut said);
    said
}

fn changed<T: PartialEq + Debug>(said: &mut Vec<String>, what: &str, old: &T, new: &T) {
    changed_in(|value| format!("{value:?}"), said, what, old, new);
}

/// The same for what people write in other words than the program keeps it in.
fn changed_in<T: PartialEq, W: Display>(
    words: impl Fn(&T) -> W,
    said: &mut Vec<String>,
    what: &str,
    old: &T,
    new: &T,
) {
    if old != new {
        said.push(format!("{what} changed from {} to {}", words(old), words(new)));
    }
}

fn nodes(old: &Plan, new: &Plan, said: &mut Vec<String>) {
    let of = |plan: &'_ Plan| -> BTreeMap<NodeName, (String, Node)> {
        let groups = plan.fleet.groups.iter();
        let pairs = groups.flat_map(|group| group.nodes.iter().map(move |node| (group, node)));
        pairs.map(|(g, n)| (n.name.clone(), (g.name.to_string(), n.clone()))).collect()
    };
    let (before, after) = (of(old), of(new));
    let gone: Vec<_> = before.keys().filter(|name| !after.contains_key(*name)).collect();
    let come: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    if !gone.is_empty() {
        said.push(format!("{} removed: {}", count(gone.len(), "node"), list(&gone)));
    }
    if !come.is_empty() {
        said.push(format!("{} added: {}", count(come.len(), "node"), list(&come)));
    }
    for (name, (group, node)) in &before {
        if let Some((new_group, new_node)) = after.get(name) {
            changed(said, &format!("the group of {name}"), group, new_group);
            if node != new_node {
                said.push(format!("the declaration of node {name} changed"));
            }
        }
    }
    for group in &old.fleet.groups {
        if let Some(now) = new.fleet.groups.iter().find(|now| now.name == group.name) {
            let what = format!("min_available of {}", group.name);
            changed(said, &what, &group.min_available, &now.min_available);
        }
    }
    if old.fleet.balancers != new.fleet.balancers {
        said.push("the balancers changed".into());
    }
    if old.fleet.front != new.fleet.front {
        said.push("the fronts changed".into());
    }
}

fn policy(old: &Policy, new: &Policy, said: &mut Vec<String>) {
    // Complete, so that a new limit cannot be forgotten here.
    let Policy {
        wave,
        concurrency,
        soak,
        drain_deadline,
        on_drain_deadline,
        certify,
        ready_deadline,
        serving_deadline,
        capacity_deadline,
        hold_deadline,
        reconnect_deadline,
        failures_allowed,
        on_failure: _, // part of the plan's rules
        cross_point_of_no_return,
        accept_no_undo,
        secrets,
    } = old;
    changed_in(|sizes| waves(sizes), said, "policy.wave", wave, &new.wave);
    changed(said, "policy.concurrency", concurrency, &new.concurrency);
    for (name, old, new) in [
        ("soak", soak, &new.soak),
        ("drain_deadline", drain_deadline, &new.drain_deadline),
        ("ready_deadline", ready_deadline, &new.ready_deadline),
        ("serving_deadline", serving_deadline, &new.serving_deadline),
        ("capacity_deadline", capacity_deadline, &new.capacity_deadline),
        ("hold_deadline", hold_deadline, &new.hold_deadline),
        ("reconnect_deadline", reconnect_deadline, &new.reconnect_deadline),
    ] {
        changed_in(ToString::to_string, said, &format!("policy.{name}"), old, new);
    }
    let now = &new.on_drain_deadline;
    changed_in(|drain| expiry(*drain), said, "policy.on_drain_deadline", on_drain_deadline, now);
    changed_in(|certify| sampling(*certify), said, "policy.certify", certify, &new.certify);
    changed(said, "policy.failures_allowed", failures_allowed, &new.failures_allowed);
    let cross = &new.cross_point_of_no_return;
    changed(said, "policy.cross_point_of_no_return", cross_point_of_no_return, cross);
    changed(said, "policy.accept_no_undo", accept_no_undo, &new.accept_no_undo);
    if *secrets != new.secrets {
        said.push("the sources of secrets changed".into());
    }
}

fn stages(old: &Plan, new: &Plan, said: &mut Vec<String>) {
    let names = |plan: &Plan| -> Vec<String> {
        plan.stages.iter().map(|stage| stage.name.to_string()).collect()
    };
    changed(said, "the order of stages", &names(old), &names(new));
    for stage in &old.stages {
        let Some(now) = new.stages.iter().find(|now| now.name == stage.name) else {
            continue;
        };
        let shape = |stage: &zdu_model::plan::PlannedStage| -> Vec<(u32, Vec<Subject>)> {
            let waves = stage.waves.iter();
            waves
                .map(|w| (w.parallel, w.lanes.iter().map(|lane| lane.subject.clone()).collect()))
                .collect()
        };
        let what = format!("when stage {} is put back", stage.name);
        changed_in(|when| goes_back(*when), said, &what, &stage.goes_back, &now.goes_back);
        if shape(stage) != shape(now) {
            said.push(format!("the waves of stage {} changed", stage.name));
        }
    }
}

/// What makes a step the same step in two plans: its stage, the wave of a gate, its subject, its
/// key, and the step it undoes.
type Identity = (StageName, Option<usize>, Subject, StepKey, Option<StepKey>);

fn identities(plan: &Plan) -> BTreeMap<Identity, &PlannedStep> {
    let mut all = BTreeMap::new();
    // A plan from a file that the lint has not judged may name steps it does not have; they are
    // no step of either plan.
    let step_of = |no: StepNo| usize::try_from(no.0).ok().and_then(|at| plan.steps.get(at));
    let mut note = |stage: &StageName, wave: Option<usize>, no: StepNo| {
        let Some(step) = step_of(no) else { return };
        let identity = |of: &PlannedStep, undoes: Option<&StepKey>| {
            (stage.clone(), wave, of.subject.clone(), of.key.clone(), undoes.cloned())
        };
        all.insert(identity(step, None), step);
        for back in step.undo.iter().filter_map(|back| step_of(*back)) {
            all.insert(identity(back, Some(&step.key)), back);
        }
    };
    for stage in &plan.stages {
        for (index, wave) in stage.waves.iter().enumerate() {
            for no in wave.lanes.iter().flat_map(|lane| &lane.steps) {
                note(&stage.name, None, *no);
            }
            for no in &wave.gate {
                note(&stage.name, Some(index), *no);
            }
        }
    }
    all
}

fn steps(old: &Plan, new: &Plan, said: &mut Vec<String>) {
    let (before, after) = (identities(old), identities(new));
    // Folded over nodes: one sentence for the same change on many.
    let mut folded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut say = |verb: String, (stage, _, subject, key, undoes): &Identity| {
        let undo = undoes.as_ref().map(|of| format!(" (undo of {of})")).unwrap_or_default();
        let text = format!("stage {stage}: {key}{undo} {verb}");
        let on = folded.entry(text).or_default();
        on.extend(subject.node().map(ToString::to_string));
    };
    for (identity, step) in &before {
        match after.get(identity) {
            None => say("removed".into(), identity),
            Some(now) => {
                for change in step_changes(old, step, new, now) {
                    say(change, identity);
                }
            }
        }
    }
    for identity in after.keys().filter(|identity| !before.contains_key(*identity)) {
        say("added".into(), identity);
    }
    for (text, on) in folded {
        let on: Vec<String> = on.into_iter().collect();
        let on = if on.is_empty() { String::new() } else { format!(" on {}", list(&on)) };
        said.push(format!("{text}{on}"));
    }
}

fn step_changes(old: &Plan, step: &PlannedStep, new: &Plan, now: &PlannedStep) -> Vec<String> {
    // Complete, so that a new field cannot be forgotten here.
    let PlannedStep {
        no: _,
        key: _,
        phase,
        subject: _,
        target,
        work,
        contract,
        deadline,
        takes: _, // changes no decision
        attempts,
        needs_drain,
        unknown,
        capture,
        undo: _, // compared as steps of their own
        rollback,
        point_of_no_return,
    } = step;
    let mut changes = Vec::new();
    if *work != now.work {
        let (was, is) = (act(work, &old.fleet), act(&now.work, &new.fleet));
        changes.push(format!("does `{is}` in place of `{was}`"));
    }
    changed_in(ToString::to_string, &mut changes, "phase", phase, &now.phase);
    changed_in(place, &mut changes, "place", target, &now.target);
    changed_in(ToString::to_string, &mut changes, "deadline", deadline, &now.deadline);
    changed(&mut changes, "attempts", attempts, &now.attempts);
    changed(&mut changes, "needs_drain", needs_drain, &now.needs_drain);
    let class = |class: &RollbackClass| rollback_class(*class);
    changed_in(class, &mut changes, "rollback", rollback, &now.rollback);
    changed(&mut changes, "point_of_no_return", point_of_no_return, &now.point_of_no_return);
    if (contract, unknown, capture) != (&now.contract, &now.unknown, &now.capture) {
        changes.push("outcome, unknown or capture changed".into());
    }
    changes
}

fn place(target: &Target) -> String {
    match target {
        Target::Controller => "the controller".into(),
        Target::Node(node) => node.to_string(),
    }
}

// The words of `zdu.yaml` and of procedures.

fn waves(sizes: &[WaveSize]) -> String {
    let size = |size: &WaveSize| match size {
        WaveSize::Count(count) => count.to_string(),
        WaveSize::Percent(percent) => format!("{percent}%"),
    };
    format!("[{}]", sizes.iter().map(size).collect::<Vec<_>>().join(", "))
}

fn expiry(expiry: DrainExpiry) -> &'static str {
    match expiry {
        DrainExpiry::Fail => "fail",
        DrainExpiry::Proceed => "proceed",
        DrainExpiry::Kill => "kill",
    }
}

fn sampling(CertifyPolicy { samples, interval }: CertifyPolicy) -> String {
    format!("{samples} samples {interval} apart")
}
