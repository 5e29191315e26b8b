//! From what the view knows to the lists of a report.

use crate::describe;
use crate::fold::RolloutView;
use crate::history::{
    ControllerView, DecisionView, HoldView, InstanceView, RequestView, ScheduleView, StillView,
    UnknownView, UnwindView,
};
use crate::node::{Certificate, Drift, NodeView};
use crate::report::{
    AttemptReport, CertificateReport, DriftReport, HoldReport, NodeReport, RequestReport,
    RetryReport, RollbackReport, Said, SampleReport, SlowStep, UnknownReport, Waited,
};
use crate::step::{AttemptView, StepView};
use std::collections::BTreeMap;
use zdu_model::ids::NodeName;
use zdu_model::plan::{PlannedStep, Work};
use zdu_model::report::InstanceReading;
use zdu_model::time::Timestamp;

/// How many of the slowest steps are named: what a person reads at a glance.
const SLOWEST_MAX: usize = 10;

pub(crate) fn utc(at: Timestamp) -> String {
    crate::moment::moment_exact(at)
}

pub(crate) fn node(node: &NodeView, timeline: Vec<AttemptReport>) -> NodeReport {
    NodeReport {
        node: node.name.to_string(),
        group: node.group.to_string(),
        state: node.state().word().into(),
        version: node.version.clone(),
        stuck: node.stuck.as_ref().map(|stuck| stuck.reason.clone()),
        timeline,
        certificates: node.certificates.iter().map(certificate).collect(),
        drifts: node.drifts.iter().map(drift).collect(),
    }
}

/// Every attempt by the node it is about (absent: the fleet), in the order they were begun. One
/// pass for all nodes, because a plan for thousands of nodes has tens of thousands of steps.
pub(crate) fn timelines(view: &RolloutView) -> BTreeMap<Option<&NodeName>, Vec<AttemptReport>> {
    let mut attempts: Vec<(&PlannedStep, &AttemptView)> = view
        .steps()
        .flat_map(|(planned, step)| step.attempts.iter().map(move |attempt| (planned, attempt)))
        .collect();
    attempts.sort_by_key(|(planned, attempt)| (attempt.started, planned.no, attempt.attempt));
    let mut lines: BTreeMap<Option<&NodeName>, Vec<AttemptReport>> = BTreeMap::new();
    for (planned, attempt) in attempts {
        let line = lines.entry(planned.subject.node()).or_default();
        line.push(one(view, planned, attempt));
    }
    lines
}

fn one(view: &RolloutView, planned: &PlannedStep, attempt: &AttemptView) -> AttemptReport {
    let end = attempt.end.as_ref();
    let tail = end.filter(|end| !end.class.passes());
    AttemptReport {
        at: utc(attempt.started),
        took_ms: attempt.took().map(|took| took.0),
        phase: view.shown_phase(planned).to_string(),
        step: planned.no.0,
        key: planned.key.to_string(),
        attempt: attempt.attempt,
        class: end.map(|end| describe::class(end.class).into()),
        end: end.map(|end| describe::end(&end.report.end)),
        tail: tail.map_or_else(Vec::new, |end| end.report.tail.clone()),
    }
}

fn certificate(certificate: &Certificate) -> CertificateReport {
    let evidence = &certificate.evidence;
    CertificateReport {
        at: utc(certificate.at),
        took_ms: evidence.took.0,
        quiet_samples: evidence.quiet_samples,
        node_connections: evidence.node_connections,
        cut: evidence.cut,
        left: evidence.left,
        lost: certificate.lost.map(utc),
        samples: evidence.instances.iter().flat_map(samples).collect(),
    }
}

fn samples(reading: &InstanceReading) -> Vec<SampleReport> {
    let InstanceReading { balancer, instance, error, members } = reading;
    let instance = format!("{balancer}/{instance}");
    if error.is_some() || members.is_empty() {
        return vec![SampleReport {
            instance,
            error: error.clone(),
            member: None,
            sessions: None,
            queued: None,
            detail: String::new(),
        }];
    }
    let sample = |member: &zdu_model::report::MemberReading| SampleReport {
        instance: instance.clone(),
        error: None,
        member: Some(member.member.to_string()),
        sessions: member.sessions,
        queued: member.queued,
        detail: member.detail.clone(),
    };
    members.iter().map(sample).collect()
}

fn drift(drift: &Drift) -> DriftReport {
    let Drift { at, instance, member, seen, reasserted } = drift;
    DriftReport {
        at: utc(*at),
        instance: instance.to_string(),
        member: member.to_string(),
        seen: seen.clone(),
        reasserted: *reasserted,
    }
}

pub(crate) fn retry(view: &RolloutView, schedule: &ScheduleView) -> RetryReport {
    let ScheduleView { decided, step, at, cause } = schedule;
    RetryReport {
        at: utc(*decided),
        due: utc(*at),
        step: describe::step(view.plan(), *step),
        cause: describe::schedule(*cause).into(),
    }
}

pub(crate) fn unknown(view: &RolloutView, unknown: &UnknownView) -> UnknownReport {
    let UnknownView { at, step, attempt, cause, how, resolved } = unknown;
    UnknownReport {
        at: utc(*at),
        step: describe::step(view.plan(), *step),
        attempt: *attempt,
        cause: cause.clone(),
        how: describe::inquiry(view.plan(), *step, *how).into(),
        resolved: resolved.map(|(at, _)| utc(at)),
        class: resolved.map(|(_, class)| describe::class(class).into()),
    }
}

pub(crate) fn decision(view: &RolloutView, decision: &DecisionView) -> Said {
    let DecisionView { at, step, rule, action } = decision;
    let step = describe::step(view.plan(), *step);
    Said { at: utc(*at), what: format!("rule {rule} about {step}: {}", describe::action(*action)) }
}

pub(crate) fn hold(view: &RolloutView, hold: &HoldView, now: Timestamp) -> HoldReport {
    let HoldView { since, cause, ended } = hold;
    HoldReport {
        at: utc(*since),
        ended: ended.map(utc),
        took_ms: ended.unwrap_or(now).since(*since).0,
        cause: describe::hold(view.plan(), cause),
    }
}

pub(crate) fn request(view: &RolloutView, asked: &RequestView) -> RequestReport {
    let RequestView { at, request, by, reason } = asked;
    RequestReport {
        at: utc(*at),
        by: by.clone(),
        request: describe::request(view.plan(), request),
        reason: reason.clone(),
    }
}

pub(crate) fn rollback(view: &RolloutView, unwind: &UnwindView) -> RollbackReport {
    let UnwindView { started, scope, steps, cause, ended } = unwind;
    RollbackReport {
        at: utc(*started),
        ended: ended.map(utc),
        scope: describe::scope(scope),
        cause: cause.clone(),
        steps: steps.iter().map(|no| describe::step(view.plan(), *no)).collect(),
    }
}

pub(crate) fn instance(change: &InstanceView) -> Said {
    let InstanceView { at, instance, up, reason } = change;
    let what = if *up { "answers again" } else { "does not answer" };
    Said { at: utc(*at), what: format!("{instance} {what}: {reason}") }
}

pub(crate) fn stood_still(still: &StillView) -> Said {
    let StillView { at, span } = still;
    Said { at: utc(*at), what: describe::stood_still(*span) }
}

pub(crate) fn controller(controller: &ControllerView) -> Said {
    let ControllerView { at, epoch, owner } = controller;
    Said { at: utc(*at), what: format!("{owner}, epoch {}", epoch.0) }
}

fn took(step: &StepView) -> u64 {
    step.attempts.iter().filter_map(AttemptView::took).map(|took| took.0).sum()
}

pub(crate) fn waited(view: &RolloutView, now: Timestamp) -> Waited {
    let mut waited = Waited::default();
    for (planned, step) in view.steps() {
        match &planned.work {
            Work::Guard { .. } => waited.capacity_ms += took(step),
            Work::Drain | Work::Certify => waited.drained_ms += took(step),
            Work::Ready(_) | Work::Undrain | Work::Serving => waited.returned_ms += took(step),
            Work::Soak(_) => waited.soaked_ms += took(step),
            Work::Run(_)
            | Work::Http(_)
            | Work::Upload { .. }
            | Work::Backup { .. }
            | Work::Wait(_)
            | Work::Manual { .. } => {}
        }
    }
    let holds = view.history().holds.iter();
    waited.held_ms = holds.map(|hold| hold.ended.unwrap_or(now).since(hold.since).0).sum();
    let pauses = view.history().schedules.iter();
    waited.paused_ms = pauses.map(|pause| pause.at.since(pause.decided).0).sum();
    waited
}

pub(crate) fn slowest(view: &RolloutView) -> Vec<SlowStep> {
    let mut steps: Vec<(u64, &PlannedStep, &StepView)> =
        view.steps().map(|(planned, step)| (took(step), planned, step)).collect();
    steps.retain(|(took, ..)| *took > 0);
    // Longest first; equal ones in plan order.
    steps.sort_by_key(|(took, planned, _)| (std::cmp::Reverse(*took), planned.no));
    steps.truncate(SLOWEST_MAX);
    let slow = steps.into_iter().map(|(took_ms, planned, step)| SlowStep {
        step: describe::step(view.plan(), planned.no),
        took_ms,
        attempts: step.attempts.len(),
    });
    slow.collect()
}
