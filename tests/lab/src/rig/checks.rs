//! What must be true after every rollout, whatever it went through.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use zdu_conductor::chain::scan;
use zdu_conductor::verify::verify_bytes;
use zdu_engine::Rollout;
use zdu_model::event::{Event, Record};
use zdu_model::ids::NodeName;
use zdu_model::plan::{Plan, Work};
use zdu_model::report::Evidence;
use zdu_model::verdict::{Verdict, exit};

use super::{BALANCERS, Case, NODES, States};
use crate::process::succeed;
use crate::{LabError, program};

/// How a rollout is expected to have ended.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Exit code of the verdict.
    pub exit: u8,
    /// Servers of both balancers before it.
    pub found: &'a States,
    /// Nodes that may be out of traffic now; every other member is as it was found.
    pub left_out: &'a [&'a str],
}

/// Checks everything that must hold after a rollout and returns its records.
///
/// # Panics
/// When something does not hold: with all that does not.
#[track_caller]
pub fn after(case: &Case<'_>, expected: Expected<'_>) -> Vec<Record> {
    let mut wrong = Vec::new();
    let records = match look(case, expected, &mut wrong) {
        Ok(records) => records,
        Err(cause) => {
            wrong.push(format!("failed to {cause}"));
            Vec::new()
        }
    };
    assert!(wrong.is_empty(), "after the rollout:\n- {}", wrong.join("\n- "));
    records
}

fn look(
    case: &Case<'_>,
    expected: Expected<'_>,
    wrong: &mut Vec<String>,
) -> Result<Vec<Record>, LabError> {
    let plan = case.plan()?;
    let records = case.records()?;
    if records != case.records_now() {
        wrong.push("`zdu log --json` prints other records than the journal holds".to_owned());
    }
    let verdict = replayed(&plan, &records, wrong);
    let status = case.status()?;
    let said = status["exit"].as_u64();
    if said != Some(u64::from(expected.exit)) {
        wrong.push(format!("status says exit {said:?}, wanted {}: {status}", expected.exit));
    }
    if verdict.as_ref().map(|verdict| u64::from(verdict.exit_code())) != said {
        wrong.push(format!("replay ends with {verdict:?}, live with exit {said:?}"));
    }
    certificates(&plan, &records, wrong);
    members(case, expected, wrong)?;
    verifies(case, wrong)?;
    if [exit::SUCCESS, exit::ROLLED_BACK].contains(&expected.exit) {
        node_records_are_gone(case, wrong)?;
    }
    Ok(records)
}

/// Law 9: the fold of the journal is the live state.
fn replayed(plan: &Plan, records: &[Record], wrong: &mut Vec<String>) -> Option<Verdict> {
    let mut rollout = Rollout::new(Arc::new(plan.clone()));
    for record in records {
        if let Err(illegal) = rollout.evolve(record) {
            wrong.push(format!("replay refuses record {}: {illegal}", record.seq.0));
        }
    }
    rollout.verdict().cloned()
}

/// Law 2: whatever needs a drained node begins under a certificate of that node that nothing has
/// taken away since.
fn certificates(plan: &Plan, records: &[Record], wrong: &mut Vec<String>) {
    let mut certified: BTreeMap<&NodeName, bool> = BTreeMap::new();
    for Record { seq, event, .. } in records {
        if let Event::Drifted { node, .. } = event {
            certified.insert(node, false);
        }
        let (Event::StepStarted { step, .. } | Event::StepEnded { step, .. }) = event else {
            continue;
        };
        let planned = plan.step(*step);
        let Some(node) = planned.subject.node() else {
            continue;
        };
        match event {
            Event::StepEnded { class, report, .. } if planned.work == Work::Certify => {
                certified.insert(node, class.passes());
                if let (true, Evidence::Drain(evidence)) = (class.passes(), &report.evidence)
                    && evidence.instances.len() != BALANCERS.len()
                {
                    wrong.push(format!("certificate {} lacks an instance: {evidence:?}", seq.0));
                }
            }
            Event::StepStarted { .. } if planned.work == Work::Undrain => {
                certified.insert(node, false);
            }
            Event::StepStarted { .. } if planned.needs_drain => {
                if certified.get(node) != Some(&true) {
                    wrong.push(format!(
                        "record {}: {} of {node} began without a drain certificate",
                        seq.0, planned.key
                    ));
                }
            }
            _ => {}
        }
    }
}

/// Law 4: every member is as it was found, except those the test expects to be out.
fn members(
    case: &Case<'_>,
    expected: Expected<'_>,
    wrong: &mut Vec<String>,
) -> Result<(), LabError> {
    let Expected { found, left_out, .. } = expected;
    let now = case.rig().servers_state()?;
    for ((balancer, before), after) in BALANCERS.iter().zip(found).zip(&now) {
        for (server, was) in before {
            let out = left_out.iter().any(|node| server.ends_with(&format!("/{node}")));
            let is = after.get(server);
            if out && is.is_some_and(|is| is.admin == 0 && is.weight > 0) {
                wrong.push(format!("{server} on {balancer} takes traffic and should not"));
            }
            if !out && is != Some(was) {
                wrong.push(format!("{server} on {balancer} was {was:?} and is {is:?}"));
            }
        }
    }
    Ok(())
}

/// `zdu verify` takes the journal, and refuses it with one byte changed; so does the library for
/// many bytes.
fn verifies(case: &Case<'_>, wrong: &mut Vec<String>) -> Result<(), LabError> {
    let id = case.rollout()?;
    let verified = case.zdu(&["verify", &id])?;
    if verified.code != 0 {
        wrong.push(format!("verify refuses the journal: {verified:?}"));
    }
    let path = case.rollout_dir()?.join("journal.jsonl");
    let whole = fs::read(&path).map_err(LabError::because("read the journal"))?;
    let whole_records = scan(&whole).map(|scan| scan.records.len()).unwrap_or(0);
    // A prime, so that every column of a line has its turn over several journals.
    for at in (0..whole.len()).step_by(997) {
        let changed = flipped(&whole, at);
        // A change in the last line cannot be told from a cut write; it then is no record.
        let taken = verify_bytes(&changed, None)
            .is_ok_and(|report| report.torn.is_none() || report.records >= whole_records as u64);
        if taken {
            wrong.push(format!("the journal with byte {at} changed is taken as whole"));
        }
    }
    let copy = case.directory().join("altered");
    copy_tree(&case.state(), &copy)?;
    let altered = copy.join("rollouts").join(&id).join("journal.jsonl");
    fs::write(&altered, flipped(&whole, whole.len() / 3))
        .map_err(LabError::because("alter a copy of the journal"))?;
    let mut command = case.rig().lab().command(program("zdu")?);
    command.arg("--state-dir").arg(&copy).args(["verify", &id]);
    let refused = crate::process::output(command, "", std::time::Duration::from_secs(30))?;
    if refused.status.code() != Some(i32::from(exit::DATA)) {
        let said = String::from_utf8_lossy(&refused.stderr);
        wrong.push(format!("verify of an altered journal: {:?}, {said}", refused.status));
    }
    fs::remove_dir_all(&copy).map_err(LabError::because("remove the copy"))
}

/// The bytes with one bit changed, which keeps a letter a letter and a line a line.
#[must_use]
pub fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    if let Some(byte) = changed.get_mut(at) {
        *byte ^= 1;
    }
    changed
}

/// Copies a directory with everything in it.
///
/// # Errors
/// When `cp` fails.
pub fn copy_tree(from: &Path, to: &Path) -> Result<(), LabError> {
    let mut command = std::process::Command::new("cp");
    command.arg("-a").arg("--").arg(from).arg(to);
    succeed(command, "").map(drop)
}

/// Nothing of a finished rollout stays on a node but what later ones use again.
fn node_records_are_gone(case: &Case<'_>, wrong: &mut Vec<String>) -> Result<(), LabError> {
    let id = case.rollout()?;
    for node in NODES {
        let listed = case
            .rig()
            .lab()
            .host(node)
            .sh(&format!("[ -d /root/.zdu ] || exit 0; find /root/.zdu -path '*/r.{id}*'"))?;
        let left = String::from_utf8_lossy(&listed.stdout).into_owned();
        if !left.is_empty() {
            wrong.push(format!("{node} still has {}", left.lines().collect::<Vec<_>>().join(" ")));
        }
    }
    Ok(())
}
