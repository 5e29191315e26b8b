use super::super::scripted::{Scripted, before as in_traffic};
use super::*;

/// Lets the paused clock run until something is so; a day of it is a failure.
async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(86_400), wait).await.expect("it came to be so");
}

fn granted() -> Mandate {
    let mandate = Mandate::default();
    mandate.grant(Duration::from_secs(3_600));
    mandate
}

#[tokio::test(start_paused = true)]
async fn a_keeper_whose_mandate_ran_out_changes_nothing_until_it_is_granted_again() {
    let scripted = Scripted::drained();
    scripted.reading.lock().unwrap().hold = Hold::Ready;
    scripted.gate.add_permits(10);
    let instance: Arc<dyn BalancerInstance> = Arc::<Scripted>::clone(&scripted);
    let mandate = Mandate::default();
    let (keeper, _reports) = Keeper::start(vec![instance], POLL, &mandate);
    assert!(keeper.hold(&in_traffic()).await);
    tokio::time::sleep(POLL * 50).await;
    assert_eq!(*scripted.changes.lock().unwrap(), (0, 0));
    mandate.grant(Duration::from_secs(3_600));
    until(|| scripted.changes.lock().unwrap().1 > 0).await;
    keeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn release_waits_for_the_assertion_under_way_and_none_begins_after_it() {
    let scripted = Scripted::drained();
    scripted.reading.lock().unwrap().hold = Hold::Ready;
    let instance: Arc<dyn BalancerInstance> = Arc::<Scripted>::clone(&scripted);
    let (keeper, mut reports) = Keeper::start(vec![instance], POLL, &granted());
    assert!(keeper.hold(&in_traffic()).await);
    until(|| scripted.changes.lock().unwrap().0 > 0).await;
    // The balancer has begun to drain again and does not answer: release has to wait.
    let held = tokio::time::timeout(POLL * 10, keeper.release(&in_traffic())).await;
    assert!(held.is_err());
    scripted.gate.add_permits(1);
    assert!(keeper.release(&in_traffic()).await);
    assert_eq!(*scripted.changes.lock().unwrap(), (1, 1));
    scripted.gate.add_permits(10);
    tokio::time::sleep(POLL * 10).await;
    assert_eq!(*scripted.changes.lock().unwrap(), (1, 1));
    let report = reports.recv().await.unwrap();
    assert!(matches!(report.event, KeeperEvent::Drift { reasserted: Ok(()), .. }));
    keeper.stop().await;
    assert!(reports.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_keeper_nobody_listens_to_goes_on_holding_and_counts_what_was_lost() {
    let scripted = Scripted::drained();
    scripted.reading.lock().unwrap().hold = Hold::Ready;
    scripted.gate.add_permits(10_000);
    let instance: Arc<dyn BalancerInstance> = Arc::<Scripted>::clone(&scripted);
    let (keeper, mut reports) = Keeper::start(vec![instance], POLL, &granted());
    assert!(keeper.hold(&in_traffic()).await);
    let many = u32::try_from(REPORTS).unwrap() + 10;
    until(|| scripted.changes.lock().unwrap().1 >= many).await;
    for _ in 0..REPORTS {
        assert_eq!(reports.recv().await.unwrap().lost_before, 0);
    }
    assert!(reports.recv().await.unwrap().lost_before >= 10);
    keeper.stop().await;
}
