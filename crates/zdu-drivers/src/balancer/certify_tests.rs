use std::sync::Arc;

use super::super::Hold;
use super::super::scripted::{Scripted, member};
use super::*;

const RULE: CertifyRule = CertifyRule {
    consecutive: 3,
    interval: Duration::from_millis(100),
    deadline: Duration::from_secs(5),
};

/// The same counts each time.
struct Fixed(Result<Vec<PeerCount>, String>);

impl NodeSockets for Fixed {
    fn sample(&self) -> BoxFuture<'_, Result<Vec<PeerCount>, String>> {
        Box::pin(async { self.0.clone() })
    }
}

fn peers(counts: &[(&str, u64)]) -> Fixed {
    let count = |(peer, established): &(&str, u64)| PeerCount {
        peer: peer.parse().unwrap(),
        established: *established,
    };
    Fixed(Ok(counts.iter().map(count).collect()))
}

fn rule(unexplained: Unexplained) -> SocketRule {
    let set = |text: &str| BTreeSet::from([text.parse().unwrap()]);
    SocketRule { balancers: set("10.0.0.1"), exempt: set("10.0.0.9"), unexplained }
}

async fn left_with(
    scripted: &Arc<Scripted>,
    sockets: &Fixed,
    unexplained: Unexplained,
) -> Vec<Left> {
    let instances: [Arc<dyn BalancerInstance>; 1] = [Arc::<Scripted>::clone(scripted)];
    let members = [member()];
    let rule = rule(unexplained);
    let entries = [Entry { instances: &instances, members: &members }];
    let evidence = Evidence { entries: &entries, sockets: Some((sockets, &rule)) };
    match certify(evidence, RULE, &mut |_| {}).await {
        Certification::Drained(_) => Vec::new(),
        Certification::NotDrained(missed) => missed.last.left,
    }
}

#[tokio::test(start_paused = true)]
async fn connections_from_balancers_are_idle_up_to_the_pools_and_the_checks_under_way() {
    let scripted = Scripted::drained();
    scripted.reading.lock().unwrap().idle = Some(2);
    scripted.reading.lock().unwrap().checking = true;
    let three = peers(&[("::ffff:10.0.0.1", 3), ("10.0.0.9", 7), ("10.0.0.5", 0)]);
    assert_eq!(left_with(&scripted, &three, Unexplained::Refuse).await, []);
    let four = peers(&[("10.0.0.1", 4)]);
    let refused = left_with(&scripted, &four, Unexplained::Refuse).await;
    assert_eq!(refused, [Left::UnexplainedSockets(1)]);
    assert_eq!(left_with(&scripted, &four, Unexplained::Accept).await, []);
    let broken = Fixed(Err("no ss".to_owned()));
    let refused = left_with(&scripted, &broken, Unexplained::Accept).await;
    assert_eq!(refused, [Left::SocketsUnreadable("no ss".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_balancer_without_counters_explains_no_connection_and_certifies_nothing_alone() {
    let scripted = Scripted::drained();
    scripted.reading.lock().unwrap().sessions = None;
    scripted.reading.lock().unwrap().idle = None;
    assert_eq!(left_with(&scripted, &peers(&[]), Unexplained::Refuse).await, []);
    let one = peers(&[("10.0.0.1", 1)]);
    let refused = left_with(&scripted, &one, Unexplained::Refuse).await;
    assert_eq!(refused, [Left::UnexplainedSockets(1)]);
    let instances: [Arc<dyn BalancerInstance>; 1] = [Arc::<Scripted>::clone(&scripted)];
    let entries = [Entry { instances: &instances, members: &[member()] }];
    let evidence = Evidence { entries: &entries, sockets: None };
    let certification = certify(evidence, RULE, &mut |_| {}).await;
    let Certification::NotDrained(missed) = certification else { panic!("{certification:?}") };
    assert_eq!(missed.last.left, [Left::Uncounted("scripted".to_owned(), member())]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_process_and_a_dirty_sample_restart_the_count() {
    let scripted = Scripted::drained();
    let instances: [Arc<dyn BalancerInstance>; 1] = [Arc::<Scripted>::clone(&scripted)];
    let members = [member()];
    let entries = [Entry { instances: &instances, members: &members }];
    let evidence = Evidence { entries: &entries, sockets: None };
    let mut counts = Vec::new();
    let certification = certify(evidence, RULE, &mut |sample| {
        counts.push(sample.clean_in_row);
        match counts.len() {
            2 => *scripted.pid.lock().unwrap() = 2,
            4 => scripted.reading.lock().unwrap().sessions = Some(1),
            5 => scripted.reading.lock().unwrap().sessions = Some(0),
            _ => {}
        }
    })
    .await;
    assert!(matches!(certification, Certification::Drained(_)));
    assert_eq!(counts, [1, 2, 1, 2, 0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_not_held_out_and_an_empty_look_give_no_certificate() {
    let scripted = Scripted::drained();
    scripted.reading.lock().unwrap().hold = Hold::Ready;
    let refused = left_with(&scripted, &peers(&[]), Unexplained::Refuse).await;
    assert_eq!(refused, [Left::NotHeldOut("scripted".to_owned(), member())]);
    let evidence = Evidence { entries: &[], sockets: None };
    let certification = certify(evidence, RULE, &mut |_| {}).await;
    let Certification::NotDrained(missed) = certification else { panic!("{certification:?}") };
    assert_eq!(missed.last.left, [Left::NothingLookedAt]);
}

#[tokio::test(start_paused = true)]
async fn looks_come_at_the_interval_and_more_rarely_the_longer_a_drain_takes() {
    let scripted = Scripted::drained();
    scripted.reading.lock().unwrap().sessions = Some(1);
    let instances: [Arc<dyn BalancerInstance>; 1] = [Arc::<Scripted>::clone(&scripted)];
    let members = [member()];
    let entries = [Entry { instances: &instances, members: &members }];
    let evidence = Evidence { entries: &entries, sockets: None };
    let rule = CertifyRule { interval: Duration::from_millis(10), ..RULE };
    let mut looks = Vec::new();
    let certification = certify(evidence, rule, &mut |sample| {
        looks.push(sample.at_ms);
        if sample.at_ms > 4_000 {
            scripted.reading.lock().unwrap().sessions = Some(0);
        }
    })
    .await;
    assert!(matches!(certification, Certification::Drained(_)));
    let pauses: Vec<u64> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[0], 10);
    assert!(pauses.iter().all(|pause| (10..=100).contains(pause)), "{pauses:?}");
    // The last look that was not clean, and the three that were.
    assert_eq!(pauses[pauses.len() - 3..], [100, 10, 10], "{pauses:?}");
}
