//! `zdu verify`: is a journal whole, unaltered, bound to its plan, and a possible history of it?

use crate::cli::VerifyArgs;
use crate::context::{Context, offset};
use crate::failure::Failure;
use crate::rollouts;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zdu_conductor::Rollout;
use zdu_conductor::chain::Torn;
use zdu_conductor::journal;
use zdu_conductor::plan_file::read_plan;
use zdu_conductor::storage::Why;
use zdu_conductor::verify::{VerifyReport, verify};
use zdu_model::plan::Plan;
use zdu_model::verdict::exit;
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
    tell(&report, plan.is_some(), context);
    Ok(exit::SUCCESS)
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
