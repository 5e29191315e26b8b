use super::*;
use crate::balancer::keeper::POLL;
use crate::balancer::scripted::{Scripted, before};
use std::sync::atomic::{AtomicU32, Ordering};

fn granted() -> Mandate {
    let mandate = Mandate::default();
    mandate.grant(Duration::from_secs(3_600));
    mandate
}

/// One way of one node, begun and then no longer allowed to begin.
async fn withdrawn(scripted: &Arc<Scripted>, way: Way, keepers: Option<Keeper>) -> Report {
    let name = BalancerName::new("edge").unwrap();
    let instances: Instances = vec![Arc::<Scripted>::clone(scripted)];
    let balancers = BTreeMap::from([(name.clone(), instances)]);
    let befores = BTreeMap::from([(name.clone(), vec![before()])]);
    let keepers = keepers.map(|keeper| (name, keeper)).into_iter().collect();
    let mandate = granted();
    let asked = AtomicU32::new(0);
    let once = || asked.fetch_add(1, Ordering::Relaxed) == 0;
    let everywhere = Everywhere { balancers: &balancers, keepers: &keepers, mandate: &mandate };
    let report = everywhere.set(way, &befores, Duration::from_secs(60), (&once, &|_| {})).await;
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
    let mut ends = Vec::new();
    for error in [lost, refused] {
        let scripted = Scripted::drained();
        scripted.gate.add_permits(10);
        *scripted.refusal.lock().unwrap() = Some(error);
        ends.push(withdrawn(&scripted, Way::Out, None).await.end);
    }
    assert!(matches!(ends[..], [End::Unreachable(_), End::Never]), "{ends:?}");
}
