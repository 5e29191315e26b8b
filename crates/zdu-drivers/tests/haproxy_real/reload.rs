//! Reloads, restarts and the node's own sockets.

use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use zdu_drivers::balancer::keeper::{Keeper, KeeperEvent, POLL, Report};

use zdu_drivers::mandate::Mandate;

use super::*;

fn granted() -> Mandate {
    let mandate = Mandate::default();
    mandate.grant(Duration::from_secs(3_600));
    mandate
}

async fn next(reports: &mut mpsc::Receiver<Report>) -> KeeperEvent {
    let report = tokio::time::timeout(PATIENCE, reports.recv()).await;
    report.expect("a report in time").expect("the keeper runs").event
}

#[tokio::test]
async fn a_reload_that_forgets_the_drain_is_drained_again_within_a_second_and_reported() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    let b = Balancer::start("b", &one, &two).await;
    let instances = vec![a.shared(), b.shared()];
    let befores = all_ok(drain_all(&instances, &[n1("b")]).await);
    let (keeper, mut reports) = Keeper::start(instances.clone(), POLL, &granted());
    for before in &befores {
        assert!(keeper.hold(before).await);
    }
    // Two polls long nothing is reported about a drain that holds.
    assert!(tokio::time::timeout(POLL * 2, reports.recv()).await.is_err());
    let pid = a.instance().identity().await.unwrap().pid;
    a.reload().await;
    let report = tokio::time::timeout(Duration::from_secs(1), reports.recv()).await;
    let event = report.expect("drift within a second").unwrap().event;
    let KeeperEvent::Drift { instance, seen, pid_before, pid_after, reasserted, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!((instance.as_str(), reasserted), ("a", Ok(())));
    assert_eq!(pid_before, Some(pid));
    assert!(pid_after.is_some() && pid_after != pid_before, "{pid_after:?}");
    assert_eq!(seen.hold, Hold::Ready);
    assert!(a.instance().observe("b", "n1").await.unwrap().1.admin.forced_drain());

    // Another hand, same process.
    b.by_hand("set server b/n1 state ready");
    let event = next(&mut reports).await;
    let KeeperEvent::Drift { pid_before, pid_after, reasserted: Ok(()), .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(pid_before, pid_after);

    for before in &befores {
        assert!(keeper.release(before).await);
    }
    all_ok(undrain_all(&instances, &befores).await);
    assert!(tokio::time::timeout(POLL * 3, reports.recv()).await.is_err());
    let serving = wait_serving(&instances, &befores, SERVE, &mut |_| {}).await;
    assert!(matches!(serving, Serving::All(_)), "{serving:?}");
    keeper.stop().await;
}

#[tokio::test]
async fn a_request_in_the_old_worker_of_a_reload_is_found_by_the_nodes_sockets_alone() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    let request = hold_one_on_n1(&a).await;
    a.reload().await;
    let instances = [a.shared()];
    let members = [n1("b")];
    all_ok(drain_all(&instances, &members).await);
    // The instance alone would certify: it does not know of the request.
    let blind =
        Evidence { entries: &[Entry { instances: &instances, members: &members }], sockets: None };
    assert!(matches!(certify(blind, QUICK, &mut |_| {}).await, Certification::Drained(_)));
    let rule = strict();
    let seeing = Evidence {
        entries: &[Entry { instances: &instances, members: &members }],
        sockets: Some((&one, &rule)),
    };
    let certification = certify(seeing, QUICK, &mut |_| {}).await;
    let Certification::NotDrained(missed) = certification else { panic!("{certification:?}") };
    let unexplained =
        missed.last.left.iter().any(|left| matches!(left, Left::UnexplainedSockets(1)));
    assert!(unexplained, "{:?}", missed.last);
    one.release();
    let certification = certify(seeing, PATIENT, &mut |_| {}).await;
    assert!(matches!(certification, Certification::Drained(_)), "{certification:?}");
    assert!(request.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn idle_pooled_connections_are_drained_and_a_client_that_goes_round_the_balancer_is_not() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    for _ in 0..4 {
        get(a.front, "/").await.unwrap();
    }
    let (_, view) = a.instance().observe("b", "n1").await.unwrap();
    assert_eq!((view.scur, view.idle_connections > Some(0)), (0, true), "{view:?}");
    let instances = [a.shared()];
    let members = [n1("b")];
    all_ok(drain_all(&instances, &members).await);
    let rule = strict();
    let evidence = Evidence {
        entries: &[Entry { instances: &instances, members: &members }],
        sockets: Some((&one, &rule)),
    };
    let certification = certify(evidence, PATIENT, &mut |_| {}).await;
    let Certification::Drained(certificate) = certification else { panic!("{certification:?}") };
    let sockets = certificate.samples.last().unwrap().sockets.clone().unwrap().unwrap();
    assert!(sockets.from_balancers > 0, "{sockets:?}");

    let direct = TcpSocket::new_v4().unwrap();
    let stranger = IpAddr::from([127, 0, 0, 2]);
    direct.bind(SocketAddr::new(stranger, 0)).unwrap();
    let _direct = direct.connect(one.address).await.unwrap();
    let certification = certify(evidence, QUICK, &mut |_| {}).await;
    let Certification::NotDrained(missed) = certification else { panic!("{certification:?}") };
    let foreign = Left::Foreign([(stranger, 1)].into());
    assert!(missed.last.left.contains(&foreign), "{:?}", missed.last.left);
}

#[tokio::test]
async fn an_instance_that_stops_and_starts_is_reported_once_each_way_and_drained_again() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let mut a = Balancer::start("a", &one, &two).await;
    let instances = vec![a.shared()];
    let befores = all_ok(drain_all(&instances, &[n1("b")]).await);
    let (keeper, mut reports) =
        Keeper::start(instances.clone(), Duration::from_millis(50), &granted());
    assert!(keeper.hold(befores.first().unwrap()).await);
    // A reading before the stop, so that the keeper knows the old process.
    assert!(tokio::time::timeout(Duration::from_millis(200), reports.recv()).await.is_err());
    a.stop();
    let down = next(&mut reports).await;
    let KeeperEvent::InstanceDown { error, .. } = &down else { panic!("{down:?}") };
    assert!(matches!(error, InstanceError::Unreachable { .. }), "{error:?}");
    // An instance that is down gives no certificate.
    let members = [n1("b")];
    let evidence =
        Evidence { entries: &[Entry { instances: &instances, members: &members }], sockets: None };
    let certification = certify(evidence, QUICK, &mut |_| {}).await;
    let Certification::NotDrained(missed) = certification else { panic!("{certification:?}") };
    assert!(matches!(missed.last.left.as_slice(), [Left::Unreadable(..)]), "{missed:?}");

    let old = befores.first().unwrap().identity.clone().unwrap().pid;
    a.run_unsettled();
    let up = next(&mut reports).await;
    let KeeperEvent::InstanceUp { pid_before, pid_after, .. } = up else { panic!("{up:?}") };
    assert_eq!((pid_before, pid_before != pid_after), (Some(old), true));
    let drift = next(&mut reports).await;
    assert!(matches!(drift, KeeperEvent::Drift { reasserted: Ok(()), .. }), "{drift:?}");
    assert!(a.instance().observe("b", "n1").await.unwrap().1.admin.forced_drain());
    keeper.stop().await;
}
