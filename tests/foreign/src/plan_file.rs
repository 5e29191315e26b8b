//! The plan file: made by one process, reviewed by people, run by another process.

use std::path::Path;

use serde_json::Value;
use zdu_conductor::plan_file::{PlanFileError, parse_plan, plan_digest};
use zdu_model::plan::Plan;
use zdu_plan::{PlanReport, diff, lint, render_text};

/// The bytes as they are, and with the digest of what they hold: a change alone is nearly always
/// stopped by the digest, and whoever edits a plan by hand can compute one.
pub fn plan_file(bytes: &[u8]) -> bool {
    if let Ok((plan, digest)) = read(bytes) {
        assert_eq!(plan_digest(&plan), digest);
        judge(&plan);
    }
    let Ok(mut file) = serde_json::from_slice::<Value>(bytes) else { return false };
    let Some(plan) = file.get("plan").cloned() else { return false };
    let Ok(plan) = serde_json::from_value::<Plan>(plan) else { return false };
    let digest = plan_digest(&plan);
    let written = serde_json::json!({ "format": 1, "digest": digest.0, "plan": plan });
    let (back, found) = read(written.to_string().as_bytes()).expect("a plan that we wrote is read");
    assert_eq!((&back, found), (&plan, digest));
    file["digest"] = Value::from("0");
    assert!(read(file.to_string().as_bytes()).is_err(), "another digest is refused");
    judge(&plan);
    true
}

fn read(bytes: &[u8]) -> Result<(Plan, zdu_model::ids::Digest), PlanFileError> {
    let read = parse_plan(Path::new("plan.json"), bytes);
    if let Err(error) = &read {
        assert!(!error.to_string().is_empty() && !error.hint().is_empty());
    }
    read
}

/// Whatever a plan says, it can be judged and compared; a clean one can be told of.
fn judge(plan: &Plan) {
    assert!(diff(plan, plan).is_empty(), "a plan differs from itself");
    if lint(plan).is_empty() {
        for (index, step) in plan.steps.iter().enumerate() {
            assert_eq!(u64::try_from(index), Ok(u64::from(step.no.0)), "a step's number");
            step.undo.iter().for_each(|no| drop(plan.step(*no).clone()));
        }
        assert!(!render_text(&PlanReport::of(plan)).is_empty());
    }
}
