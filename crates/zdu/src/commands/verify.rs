//! `zdu verify`: is a journal whole, unaltered, bound to its plan, and a possible history of it?

use crate::cli::VerifyArgs;
use crate::context::{Context, offset};
use crate::failure::Failure;
use crate::rollouts;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zdu_conductor::Rollout;
use zdu_conductor::chain::Torn;
use zdu_conductor::journal;
use zdu_conductor::plan_file::read_plan;
use zdu_conductor::storage::Why;
use zdu_conductor::verify::{VerifyReport, holds_line, verify};
use zdu_model::ids::Digest;
use zdu_model::plan::Plan;
use zdu_model::verdict::exit;
use zdu_plan::{Finding, LintRule, lint};
use zdu_view::moment::moment;

/// Checks the journal. What is wrong with it is the failure.
pub(crate) fn run(args: &VerifyArgs, context: &Context) -> Result<u8, Failure> {
    let (journal, plan) = files(args, context)?;
    let plan = match &plan {
        Some(path) => Some(read_plan(path)?),
        None => None,
    };
    let report = verify(&journal, plan.as_ref().map(|(_, digest)| digest))?;
    if let Some((plan, _)) = &plan {
        replay(&journal, plan)?;
    }
    if let Some(torn) = &report.torn
        && !is_cut(torn)
    {
        return Err(damaged(torn));
    }
    holds_what_was_reported(&journal, &report)?;
    tell(&report, plan.is_some(), context);
    Ok(exit::SUCCESS)
}

/// The report that stands beside the journal, where one does, knows a line of it.
fn holds_what_was_reported(journal: &Path, verified: &VerifyReport) -> Result<(), Failure> {
    let kept = std::fs::read(journal.with_file_name("report.json"));
    let kept = kept.ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(digest) = kept.as_ref().and_then(|kept| kept["journal"]["digest"].as_str()) else {
        return Ok(());
    };
    if holds_line(journal, verified, &Digest(digest.into()))? {
        return Ok(());
    }
    let what =
        format!("verify the journal: it does not hold the line {digest}, with which it ended");
    let hint = "that stands in report.json beside it: lines were removed from the journal's end, \
                or its last byte, or the report is of another rollout";
    Err(Failure::new(exit::DATA, what).hint(hint))
}

/// The journal, and the plan it must be bound to when one is known.
fn files(args: &VerifyArgs, context: &Context) -> Result<(PathBuf, Option<PathBuf>), Failure> {
    let VerifyArgs { rollout, journal, plan } = args;
    let (journal, beside) = match journal {
        Some(journal) => (journal.clone(), journal.with_file_name("plan.json")),
        None => {
            let directory = context.state.rollout(&rollouts::find(context, rollout)?);
            (directory.journal(), directory.plan())
        }
    };
    let plan = plan.clone().or_else(|| beside.exists().then_some(beside));
    Ok((journal, plan))
}

/// Every record must be possible after those before it: a forged record that is right in itself
/// may still be one that no controller could have written.
fn replay(journal: &Path, plan: &Plan) -> Result<(), Failure> {
    hangs_together(plan)?;
    let mut rollout = Rollout::new(Arc::new(plan.clone()));
    for record in &journal::read_only(journal)?.records {
        rollout.evolve(record).map_err(|illegal| {
            let what = format!("replay record {} of the journal", record.seq.0);
            Failure::new(exit::DATA, what)
                .cause(&illegal)
                .hint("no controller of this version writes such a record: keep the file")
        })?;
    }
    Ok(())
}

/// Nothing can be replayed against a plan that names steps it does not have. The rest of the lint
/// is no question here: an older build may have made the plan, and its journal is evidence still.
fn hangs_together(plan: &Plan) -> Result<(), Failure> {
    let broken = |finding: &Finding| matches!(finding.rule, LintRule::Numbers | LintRule::OnePlace);
    match lint(plan).into_iter().find(broken) {
        None => Ok(()),
        Some(finding) => {
            let failure = Failure::new(exit::DATA, format!("replay against the plan: {finding}"));
            Err(failure.hint("no version of zdu makes such a plan: keep the file"))
        }
    }
}

/// A write that a crash cut, or that is under way right now, has no end. A last line that has its
/// end and is wrong was damaged or altered.
fn is_cut(torn: &Torn) -> bool {
    matches!(torn.why, Why::Cut)
}

fn damaged(torn: &Torn) -> Failure {
    let what = format!("verify the journal: its last line, {}, {}", torn.line, torn.why);
    Failure::new(exit::DATA, what)
        .hint("a power cut can leave this, and so can an alteration: compare the head digest")
}

fn tell(report: &VerifyReport, bound: bool, context: &Context) {
    let VerifyReport { records, lines, first, last, epoch, plan, head, torn } = report;
    let printer = &context.printer;
    if printer.wants_json() {
        let torn = torn.as_ref().map(
            |torn| json!({ "line": torn.line, "bytes": torn.bytes, "why": torn.why.to_string() }),
        );
        printer.json(&json!({
            "records": records, "lines": lines, "first": first, "last": last, "epoch": epoch,
            "plan": plan, "head": head, "torn": torn, "plan_checked": bound,
        }));
        return;
    }
    let (from, to) = (moment(*first, offset()), moment(*last, offset()));
    printer.line(&format!("records  {records} in {lines} appends, {from} to {to}"));
    printer.line(&format!("epoch    {}", epoch.0));
    printer.line(&format!("plan     {plan}"));
    printer.line(&format!("head     {head}"));
    if bound {
        printer.note("whole and unaltered; bound to its plan, and replayed against it");
    } else {
        printer.note("whole and unaltered; not compared with a plan: `--plan FILE`");
    }
    if let Some(torn) = torn {
        let said = format!(
            "{} bytes behind it are no part of it: line {} {}",
            torn.bytes, torn.line, torn.why
        );
        printer.warn(&said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(step: u32) -> Plan {
        let fleet =
            json!({ "name": "edge", "groups": [], "balancers": {}, "hosts": {}, "front": [] });
        let plan = json!({
            "format": 1, "tool": "0.1.0", "procedure": "toy", "procedure_digest": "ab",
            "fleet": fleet, "release": { "from": "1", "to": "2" },
            "policy": {
                "wave": [{ "count": 1 }], "concurrency": 1, "soak": 0, "drain_deadline": 1,
                "on_drain_deadline": "fail", "certify": { "samples": 1, "interval": 1 },
                "ready_deadline": 1, "serving_deadline": 1, "capacity_deadline": 1,
                "hold_deadline": 1, "reconnect_deadline": 1, "failures_allowed": 0,
                "on_failure": [], "cross_point_of_no_return": false, "accept_no_undo": [],
                "secrets": {}
            },
            "phases": [], "rollback_phase": "ROLLBACK",
            "stages": [{
                "name": "once", "over": "once",
                "waves": [{
                    "lanes": [{ "subject": "fleet", "steps": [step] }], "parallel": 1, "gate": []
                }]
            }],
            "steps": [{
                "no": 0, "key": "tell", "phase": "APPLY", "subject": "fleet",
                "target": "controller", "work": { "manual": { "instruction": "tell them" } },
                "contract": { "rules": [], "again": { "pause": 0, "max": 0 } }, "deadline": 1,
                "attempts": 1, "needs_drain": false, "unknown": "hold", "capture": [],
                "undo": [], "rollback": "instant", "point_of_no_return": false
            }],
            "rules": []
        });
        serde_json::from_value(plan).expect("a plan")
    }

    #[test]
    fn a_plan_that_names_steps_it_does_not_have_is_refused_and_not_replayed() {
        // No rule always fits: what only a plan that shall be run must keep is not asked.
        hangs_together(&plan(0)).expect("its numbers are right");
        let refused = hangs_together(&plan(7)).expect_err("there is no step 7");
        assert_eq!(refused.exit, exit::DATA);
    }
}
