use super::*;
use std::sync::atomic::{AtomicU64, Ordering};
use zdu_model::ids::InstanceName;
use zdu_model::time::Timestamp;

fn settled() -> (Settled, Arc<AtomicU64>) {
    let clock = Arc::new(AtomicU64::new(0));
    let shared = Arc::clone(&clock);
    let now = move || [Timestamp(shared.load(Ordering::SeqCst)); 2];
    (Settled::new(Pulse::start(Millis(1_000), now).unwrap()), clock)
}

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn instance_changed() -> Answer {
    let instance = InstanceName::new("lb-1").unwrap();
    Answer::InstanceChanged { instance, up: false, reason: "refused".into() }
}

#[test]
fn news_the_loop_has_not_heard_when_it_decides_unsettles_what_it_decides() {
    let (settled, _) = settled();
    settled.was_told(&instance_changed());
    let since = settled.since_heard(Some(&node("a")));
    assert!(!since.holds(), "it was told before the release and not heard");
    settled.was_heard(&instance_changed());
    assert!(settled.since_heard(Some(&node("a"))).holds());
    assert!(!since.holds(), "what was decided without it stays so");
}

#[test]
fn a_drift_of_one_node_unsettles_no_other() {
    let (settled, _) = settled();
    let (a, b) = (node("a"), node("b"));
    let (of_a, of_b) = (settled.since_heard(Some(&a)), settled.since_heard(Some(&b)));
    settled.news().told(About::Node(&a));
    assert!(!of_a.holds());
    assert!(of_b.holds());
}

#[test]
fn a_stillness_between_the_last_hearing_and_the_release_unsettles_it() {
    let (settled, clock) = settled();
    assert_eq!(settled.stood_still(), None);
    clock.store(30_000, Ordering::SeqCst);
    // As a slow disk or a stopped process right before the release.
    let since = settled.since_heard(Some(&node("a")));
    assert!(!since.watched());
    assert!(!since.holds());
    assert_eq!(settled.stood_still(), Some(Millis(30_000)), "and the loop still hears of it");
    assert!(settled.since_heard(Some(&node("a"))).holds());
}

#[test]
fn a_mandate_that_ran_out_before_it_was_granted_anew_counts_as_stillness() {
    let (settled, _) = settled();
    let mandate = Mandate::default();
    settled.grant(&mandate, Duration::from_secs(3600));
    assert_eq!(settled.stood_still(), None, "the first one follows on nothing");
    let since = settled.since_heard(None);
    settled.grant(&mandate, Duration::ZERO);
    assert!(since.watched());
    settled.grant(&mandate, Duration::from_secs(3600));
    assert!(!since.watched());
    assert!(settled.stood_still().is_some());
}
