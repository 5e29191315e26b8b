//! What a person's `resume` begins again, and where.
#![allow(missing_docs, clippy::wildcard_enum_match_arm, reason = "a test looks at some events")]

mod script;
mod world;

use script::{begun_after, failing, plan_of};
use world::{World, rule};
use zdu_model::event::Request;
use zdu_model::policy::FailureAction;
use zdu_model::report::End;
use zdu_model::verdict::Verdict;

#[test]
fn a_drain_that_did_not_pass_is_begun_again_behind_its_guard() {
    let mut b = plan_of(&["a"], &[&["a"]], 1, 0);
    b.plan.rules = vec![rule("PRE-APPLY", FailureAction::Stop)];
    let mut world = failing(World::new(b.plan), "drain", "a", 1, End::TimedOut);
    assert!(matches!(world.run(), Verdict::Failed { .. }));
    let before = world.records.len();
    world.request(Request::Resume);
    assert_eq!(world.run(), Verdict::Succeeded);
    let begun = begun_after(&world, before);
    assert_eq!(begun[..4], ["guard@a", "drain@a", "certify@a", "stop-old@a"]);
}
