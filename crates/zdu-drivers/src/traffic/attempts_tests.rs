use super::*;
use crate::balancer::haproxy::reply::ReplyError;
use crate::balancer::keeper::{KeeperEvent, POLL};
use crate::balancer::scripted::{Scripted, before};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

fn granted() -> Mandate {
    let mandate = Mandate::default();
    mandate.grant(Duration::from_secs(3_600));
    mandate
}

/// One way of one node, allowed once: to begin, and then no longer.
async fn withdrawn(scripted: &Arc<Scripted>, way: Way, keepers: Option<Keeper>) -> Report {
    let asked = AtomicU32::new(0);
    set(scripted, way, keepers, &|| asked.fetch_add(1, Ordering::Relaxed) == 0).await
}

async fn set(
    scripted: &Arc<Scripted>,
    way: Way,
    keepers: Option<Keeper>,
    may: &(dyn Fn() -> bool + Send + Sync),
) -> Report {
    let name = BalancerName::new("edge").unwrap();
    let instances: Instances = vec![Arc::<Scripted>::clone(scripted)];
    let balancers = BTreeMap::from([(name.clone(), instances)]);
    let befores = BTreeMap::from([(name.clone(), vec![before()])]);
    let keepers = keepers.map(|keeper| (name, keeper)).into_iter().collect();
    let mandate = granted();
    let everywhere = Everywhere { balancers: &balancers, keepers: &keepers, mandate: &mandate };
    let report = everywhere.set(way, &befores, Duration::from_secs(60), (may, &|_| {})).await;
    for keeper in keepers.into_values() {
        // Whatever it holds now it holds for the rest of the test.
        std::mem::forget(keeper);
    }
    report
}

#[tokio::test(start_paused = true)]
async fn a_return_that_no_instance_took_leaves_the_node_held_out() {
    let scripted = Scripted::drained();
    scripted.gate.add_permits(10);
    let instance: Arc<dyn BalancerInstance> = Arc::<Scripted>::clone(&scripted);
    let (keeper, _reports) = Keeper::start(vec![instance], POLL, &granted());
    assert!(keeper.hold(&before()).await);
    let report = withdrawn(&scripted, Way::Back, Some(keeper)).await;
    assert_eq!(report.end, End::Never);
    assert_eq!(scripted.changes.lock().unwrap().0, 0);
    scripted.forgets();
    tokio::time::sleep(POLL * 3).await;
    assert!(scripted.changes.lock().unwrap().0 > 0, "nobody put the drain back");
}

#[tokio::test(start_paused = true)]
async fn a_drain_whose_reply_was_lost_is_not_said_never_to_have_begun() {
    let lost = InstanceError::TimedOut { endpoint: "lb-a".to_owned(), after_ms: 2_000 };
    let refused = InstanceError::Unreachable { endpoint: "lb-a".to_owned(), detail: String::new() };
    // The process that carried it out went away without a word.
    let excerpt = String::new();
    let gone = InstanceError::Reply(ReplyError::NotHaproxy { excerpt });
    let unread = InstanceError::Unread(Box::new(lost.clone()));
    let mut ends = Vec::new();
    for error in [lost, gone, refused, unread] {
        let scripted = Scripted::drained();
        scripted.gate.add_permits(10);
        *scripted.refusal.lock().unwrap() = Some(error);
        ends.push(withdrawn(&scripted, Way::Out, None).await.end);
    }
    let never: Vec<bool> = ends.iter().map(|end| *end == End::Never).collect();
    assert_eq!(never, [false, false, true, true], "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_return_that_waited_for_the_keeper_is_not_asked_for_once_it_may_not_begin() {
    let scripted = Scripted::drained();
    let instance: Arc<dyn BalancerInstance> = Arc::<Scripted>::clone(&scripted);
    let (keeper, _reports) = Keeper::start(vec![instance], POLL, &granted());
    assert!(keeper.hold(&before()).await);
    // A reload forgets the drain, and putting it back hangs in the balancer.
    scripted.forgets();
    tokio::time::sleep(POLL * 3).await;
    assert_eq!(*scripted.changes.lock().unwrap(), (1, 0));
    let still = AtomicBool::new(false);
    let may = || !still.load(Ordering::Relaxed);
    let asked = set(&scripted, Way::Back, Some(keeper), &may);
    let later = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        still.store(true, Ordering::Relaxed);
        scripted.gate.add_permits(100);
    };
    let (report, ()) = tokio::join!(asked, later);
    assert_eq!((report.end, *scripted.returns.lock().unwrap()), (End::Never, 0));
}

#[tokio::test(start_paused = true)]
async fn a_silent_instance_is_told_once_while_no_return_is_taken() {
    let scripted = Scripted::drained();
    *scripted.silent.lock().unwrap() = true;
    let instance: Arc<dyn BalancerInstance> = Arc::<Scripted>::clone(&scripted);
    let (keeper, mut reports) = Keeper::start(vec![instance], POLL, &granted());
    assert!(keeper.hold(&before()).await);
    let report = set(&scripted, Way::Back, Some(keeper), &|| true).await;
    assert!(matches!(report.end, End::NotMet(_)), "{report:?}");
    assert!(*scripted.returns.lock().unwrap() > 5, "it is asked again");
    let mut told = 0;
    while let Ok(report) = reports.try_recv() {
        told += u32::from(matches!(report.event, KeeperEvent::InstanceDown { .. }));
    }
    assert_eq!(told, 1);
}
