//! What is kept of a rollout: what ran, how it ended, the evidence, and what a person must do.
//!
//! The structs here are the JSON format, `schema: 1`. Moments are RFC 3339 in UTC with
//! milliseconds, spans are milliseconds, absent facts are `null`. Fields are only ever added;
//! a change of meaning gets a new schema number.

use crate::describe;
use crate::fold::RolloutView;
use crate::front::{self, FrontReport};
use crate::live::{Counts, counts};
use crate::next::next_commands;
use crate::report_lists as lists;
use crate::table::{status_name, summary_table};
use serde::Serialize;
use zdu_model::ids::Digest;
use zdu_model::time::Timestamp;

/// The report's format.
pub const SCHEMA: u32 = 1;

/// A rollout's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolloutReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What ran.
    pub rollout: Ran,
    /// How it ended.
    pub outcome: Outcome,
    /// The nodes, counted.
    pub counts: Counts,
    /// The summary table as text.
    pub summary: String,
    /// One entry per node.
    pub nodes: Vec<NodeReport>,
    /// Attempts at steps of no node: gates, fleet-wide steps.
    pub fleet: Vec<AttemptReport>,
    /// Steps that were begun again.
    pub retries: Vec<RetryReport>,
    /// Attempts whose end nobody knew.
    pub unknowns: Vec<UnknownReport>,
    /// What failure rules decided.
    pub decisions: Vec<Said>,
    /// Holds.
    pub holds: Vec<HoldReport>,
    /// What persons asked for.
    pub requests: Vec<RequestReport>,
    /// Compensations.
    pub rollbacks: Vec<RollbackReport>,
    /// Balancer instances that stopped or began to answer.
    pub instances: Vec<Said>,
    /// What users saw at each front that was watched.
    pub fronts: Vec<FrontReport>,
    /// When the controller stood still: what was out was not watched meanwhile.
    pub stood_still: Vec<Said>,
    /// The controllers that drove it.
    pub controllers: Vec<Said>,
    /// Where the time went.
    pub waited: Waited,
    /// The steps that took longest, longest first.
    pub slowest: Vec<SlowStep>,
    /// Where the journal stood.
    pub journal: JournalHead,
    /// What a person must do next.
    pub next: Vec<String>,
}

/// What ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// Its id.
    pub id: Option<String>,
    /// Digest of the plan.
    pub plan: Option<String>,
    /// The version of zdu that made the plan.
    pub tool: String,
    /// The fleet.
    pub fleet: String,
    /// The procedure.
    pub procedure: String,
    /// Digest of the procedure.
    pub procedure_digest: String,
    /// The release before.
    pub from: String,
    /// The release after.
    pub to: String,
    /// Who started it.
    pub by: Option<String>,
    /// When it was started.
    pub started: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// How long it took, or took so far.
    pub took_ms: u64,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The return status: `SUCCESS`, `UPGRADE_FAILED`, ...; `RUNNING` when it has not ended.
    pub status: String,
    /// The exit code, when it ended.
    pub exit: Option<u8>,
    /// The verdict as a sentence.
    pub verdict: String,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// Its name.
    pub node: String,
    /// Its group.
    pub group: String,
    /// Its state in one word.
    pub state: String,
    /// The release it last said it runs.
    pub version: Option<String>,
    /// Why it is stuck, when it is.
    pub stuck: Option<String>,
    /// Every attempt at its steps, in the order they were begun.
    pub timeline: Vec<AttemptReport>,
    /// Its drain certificates.
    pub certificates: Vec<CertificateReport>,
    /// Members seen in traffic while it had to be out.
    pub drifts: Vec<DriftReport>,
}

/// One attempt at a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptReport {
    /// When it was begun.
    pub at: String,
    /// How long it took, when it ended.
    pub took_ms: Option<u64>,
    /// The phase it is shown in.
    pub phase: String,
    /// The step's number in the plan.
    pub step: u32,
    /// The step's key.
    pub key: String,
    /// Which attempt.
    pub attempt: u32,
    /// What its ending is called.
    pub class: Option<String>,
    /// How it ended.
    pub end: Option<String>,
    /// The last lines of output of an attempt that did not pass.
    pub tail: Vec<String>,
}

/// A drain certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateReport {
    /// When it was had.
    pub at: String,
    /// How long it took.
    pub took_ms: u64,
    /// Consecutive samples in which everything was at zero.
    pub quiet_samples: u32,
    /// Established connections on the node's own ports; `null` when they could not be read.
    pub node_connections: Option<u64>,
    /// Sessions that were cut.
    pub cut: u64,
    /// Sessions that were left.
    pub left: u64,
    /// When a drift cancelled it.
    pub lost: Option<String>,
    /// The last sample of every member on every instance.
    pub samples: Vec<SampleReport>,
}

/// One member on one instance, or the instance that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleReport {
    /// The instance.
    pub instance: String,
    /// Why it could not be read.
    pub error: Option<String>,
    /// The member.
    pub member: Option<String>,
    /// Sessions in progress.
    pub sessions: Option<u64>,
    /// Requests waiting.
    pub queued: Option<u64>,
    /// The product's own words.
    pub detail: String,
}

/// A member in traffic while its node had to be out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DriftReport {
    /// When it was seen.
    pub at: String,
    /// On which instance.
    pub instance: String,
    /// Which member.
    pub member: String,
    /// What was seen.
    pub seen: String,
    /// Whether the drain was put back at once.
    pub reasserted: bool,
}

/// A step that was begun again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetryReport {
    /// When that was decided.
    pub at: String,
    /// Not before.
    pub due: String,
    /// The step, with its node.
    pub step: String,
    /// Why.
    pub cause: String,
}

/// An attempt whose end nobody knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownReport {
    /// When that was noticed.
    pub at: String,
    /// The step, with its node.
    pub step: String,
    /// Which attempt.
    pub attempt: u32,
    /// Why nobody knew.
    pub cause: String,
    /// How it was found out.
    pub how: String,
    /// When it was resolved.
    pub resolved: Option<String>,
    /// What it turned out to be.
    pub class: Option<String>,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldReport {
    /// Since when.
    pub at: String,
    /// Until when; `null` while it lasts.
    pub ended: Option<String>,
    /// How long.
    pub took_ms: u64,
    /// Why.
    pub cause: String,
}

/// What a person asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestReport {
    /// When.
    pub at: String,
    /// Who.
    pub by: String,
    /// What.
    pub request: String,
    /// Why; may be empty.
    pub reason: String,
}

/// A compensation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RollbackReport {
    /// When it began.
    pub at: String,
    /// When it was complete.
    pub ended: Option<String>,
    /// What was put back.
    pub scope: String,
    /// Why.
    pub cause: String,
    /// The steps, in the order they run.
    pub steps: Vec<String>,
}

/// A moment and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// When.
    pub at: String,
    /// What.
    pub what: String,
}

/// Where the time went. Lanes run side by side, so the sums can exceed the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Waited {
    /// Holds.
    pub held_ms: u64,
    /// Soaks.
    pub soaked_ms: u64,
    /// Guards, waiting for capacity.
    pub capacity_ms: u64,
    /// Drains and their certificates.
    pub drained_ms: u64,
    /// Readiness and being seen in traffic again.
    pub returned_ms: u64,
    /// Pauses before a step was begun again.
    pub paused_ms: u64,
}

/// A step among the slowest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlowStep {
    /// The step, with its node.
    pub step: String,
    /// All its attempts together.
    pub took_ms: u64,
    /// How many attempts.
    pub attempts: usize,
}

/// Where the journal stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalHead {
    /// The number of the last record the report covers.
    pub seq: u64,
    /// The digest of the chain at that record, as its keeper gave it.
    pub digest: Option<String>,
    /// Records this build could not read and left out.
    pub skipped: u64,
}

/// The report as of `now`; `head` is the journal's chain digest at the view's last record.
#[must_use]
pub fn report(view: &RolloutView, now: Timestamp, head: Option<&Digest>) -> RolloutReport {
    let history = view.history();
    let mut timelines = lists::timelines(view);
    let nodes = view.nodes().map(|node| {
        let timeline = timelines.remove(&Some(&node.name));
        lists::node(node, timeline.unwrap_or_default())
    });
    let nodes = nodes.collect();
    RolloutReport {
        schema: SCHEMA,
        rollout: ran(view, now),
        outcome: Outcome {
            status: status_name(view.verdict()),
            exit: view.verdict().map(|verdict| verdict.exit_code()),
            verdict: view.verdict().map_or_else(|| "has not ended".into(), describe::verdict),
        },
        counts: counts(view),
        summary: summary_table(view),
        nodes,
        fleet: timelines.remove(&None).unwrap_or_default(),
        retries: history.schedules.iter().map(|s| lists::retry(view, s)).collect(),
        unknowns: history.unknowns.iter().map(|u| lists::unknown(view, u)).collect(),
        decisions: history.decisions.iter().map(|d| lists::decision(view, d)).collect(),
        holds: history.holds.iter().map(|hold| lists::hold(view, hold, now)).collect(),
        requests: history.requests.iter().map(|r| lists::request(view, r)).collect(),
        rollbacks: history.unwinds.iter().map(|u| lists::rollback(view, u)).collect(),
        instances: history.instances.iter().map(lists::instance).collect(),
        fronts: front::reports(view),
        stood_still: history.stood_still.iter().map(lists::stood_still).collect(),
        controllers: history.controllers.iter().map(lists::controller).collect(),
        waited: lists::waited(view, now),
        slowest: lists::slowest(view),
        journal: JournalHead {
            seq: view.last().map_or(0, |(seq, _)| seq.0),
            digest: head.map(ToString::to_string),
            skipped: view.skipped(),
        },
        next: next_commands(view),
    }
}

fn ran(view: &RolloutView, now: Timestamp) -> Ran {
    let plan = view.plan();
    let opening = view.history().opening.as_ref();
    Ran {
        id: view.rollout().map(ToString::to_string),
        plan: opening.map(|opening| opening.plan.to_string()),
        tool: plan.tool.clone(),
        fleet: plan.fleet.name.to_string(),
        procedure: plan.procedure.to_string(),
        procedure_digest: plan.procedure_digest.to_string(),
        from: plan.release.from.clone(),
        to: plan.release.to.clone(),
        by: opening.map(|opening| opening.by.clone()),
        started: opening.map(|opening| lists::utc(opening.at)),
        ended: view.ended().map(|ending| lists::utc(ending.at)),
        took_ms: view.duration(now).0,
    }
}
