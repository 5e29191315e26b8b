//! The balancer drivers against a real HAProxy on loopback.

#[path = "haproxy_real/reload.rs"]
mod reload;
#[cfg(test)]
mod rig;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rig::{Balancer, Node, PATIENCE, get, haproxy_is_there, hold_one_on_n1};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use zdu_drivers::balancer::certify::{
    AfterDeadline, Certification, CertifyRule, Entry, Evidence, Left, SocketRule, Unexplained,
    certify, fail, kill_sessions, proceed_and_count,
};
use zdu_drivers::balancer::haproxy::reply::ReplyError;
use zdu_drivers::balancer::haproxy::{Endpoint, Instance};
use zdu_drivers::balancer::member::{
    BalancerInstance, MemberState, PerMember, drain_all, hold_all, look_all, read_group,
    undrain_all,
};
use zdu_drivers::balancer::serve::{ServeGap, ServeRule, Served, Serving, wait_serving};
use zdu_drivers::balancer::{Before, Finding, Hold, InstanceError, MemberName};

const QUICK: CertifyRule = CertifyRule {
    consecutive: 3,
    interval: Duration::from_millis(20),
    deadline: Duration::from_millis(600),
};
const PATIENT: CertifyRule =
    CertifyRule { consecutive: 3, interval: Duration::from_millis(20), deadline: PATIENCE };
const SERVE: ServeRule = ServeRule { interval: Duration::from_millis(20), deadline: PATIENCE };

fn n1(backend: &str) -> MemberName {
    MemberName::new(backend, "n1")
}

fn strict() -> SocketRule {
    SocketRule {
        balancers: BTreeSet::from([IpAddr::from([127, 0, 0, 1])]),
        exempt: BTreeSet::new(),
        unexplained: Unexplained::Refuse,
    }
}

fn all_ok<T>(results: Vec<PerMember<T>>) -> Vec<T> {
    results.into_iter().map(|one| one.result.expect("the instance did as asked")).collect()
}

async fn nodes() -> (Node, Node) {
    (Node::start("n1").await, Node::start("n2").await)
}

#[tokio::test]
async fn a_drain_on_two_instances_waits_for_the_running_request_and_is_undone_to_what_was() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    let b = Balancer::start("b", &one, &two).await;
    // A weight set at run time is what is to come back, not the one of the file.
    assert_eq!(a.by_hand("set weight b/n1 4"), "\n");
    let request = hold_one_on_n1(&a).await;
    let instances = [a.shared(), b.shared()];
    let members = [n1("b")];

    let befores = all_ok(look_all(&instances, &members).await);
    let weights: Vec<_> =
        befores.iter().map(|before| before.weight.map(|weight| weight.current)).collect();
    assert_eq!(weights, [Some(4), Some(10)]);
    assert!(befores.iter().all(|before| before.findings.is_empty()), "{befores:?}");
    let text = serde_json::to_string(&befores).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Before>>(&text).unwrap(), befores);
    all_ok(hold_all(&instances, &befores).await);

    let rule = strict();
    let evidence = Evidence {
        entries: &[Entry { instances: &instances, members: &members }],
        sockets: Some((&one, &rule)),
    };
    let mut seen_running = 0;
    let certification = certify(evidence, PATIENT, &mut |sample| {
        let running = sample.left.iter().any(
            |left| matches!(left, Left::Sessions { instance, sessions: 1, .. } if instance == "a"),
        );
        if running {
            seen_running += 1;
            one.release();
        }
    })
    .await;
    let Certification::Drained(certificate) = certification else { panic!("{certification:?}") };
    assert!(seen_running >= 1);
    assert_eq!(certificate.samples.len(), 3);
    assert!(certificate.with_node_sockets);
    let reply = request.await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("n1"), "{reply}");
    for _ in 0..6 {
        assert!(get(a.front, "/").await.unwrap().ends_with("n2"));
    }

    let undone = all_ok(undrain_all(&instances, &befores).await);
    assert!(undone.iter().all(|undone| undone.state_set == Some(Hold::Ready)), "{undone:?}");
    assert!(undone.iter().all(|undone| undone.weight_set.is_none()), "{undone:?}");
    let serving = wait_serving(&instances, &befores, SERVE, &mut |_| {}).await;
    let Serving::All(served) = serving else { panic!("{serving:?}") };
    assert!(served.iter().all(|(_, _, kind)| *kind == Served::Checked), "{served:?}");
    let (_, view) = a.instance().observe("b", "n1").await.unwrap();
    assert_eq!((view.uweight, view.iweight, view.admin.ready()), (4, 10, true));
}

#[tokio::test]
async fn a_request_that_outlives_the_deadline_is_named_counted_and_cut_as_the_policy_says() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    let request = hold_one_on_n1(&a).await;
    let instances = [a.shared()];
    let members = [n1("b")];
    all_ok(drain_all(&instances, &members).await);
    let evidence =
        Evidence { entries: &[Entry { instances: &instances, members: &members }], sockets: None };
    let Certification::NotDrained(missed) = certify(evidence, QUICK, &mut |_| {}).await else {
        panic!("a request is running")
    };
    let wanted =
        Left::Sessions { instance: "a".to_owned(), member: n1("b"), sessions: 1, queued: 0 };
    assert_eq!(missed.last.left, [wanted]);
    assert!(matches!(fail((*missed).clone()), AfterDeadline::Failed(_)));
    let proceeded = proceed_and_count(*missed);
    let counted = matches!(
        proceeded,
        AfterDeadline::Proceeded { sessions: 1, queued: 0, sockets: 0, left: _ }
    );
    assert!(counted, "{proceeded:?}");

    let outcome = kill_sessions(evidence, PATIENT, &mut |_| {}).await;
    let AfterDeadline::Cut { cuts, after } = outcome else { panic!("{outcome:?}") };
    let sessions: Vec<_> = cuts.into_iter().map(|cut| cut.unwrap().sessions).collect();
    assert_eq!(sessions, [1]);
    assert!(matches!(after, Certification::Drained(_)), "{after:?}");
    assert!(!request.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_member_drained_by_weight_before_us_is_reported_and_left_so() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    a.by_hand("set weight b/n1 0");
    let instances = [a.shared()];
    let members = [n1("b")];
    let readings = read_group(&instances, &members).await;
    let observation = readings.first().unwrap().result.clone().unwrap();
    let reading = observation.members.first().unwrap().1.clone().unwrap();
    assert_eq!((reading.state, reading.serving()), (MemberState::ZeroWeight, false));
    assert!(reading.detail.starts_with("UP "), "{}", reading.detail);

    let befores = all_ok(drain_all(&instances, &members).await);
    assert_eq!(befores.first().unwrap().findings, [Finding::ZeroWeight]);
    all_ok(undrain_all(&instances, &befores).await);
    let serving = wait_serving(&instances, &befores, SERVE, &mut |_| {}).await;
    let left = Serving::All(vec![("a".to_owned(), n1("b"), Served::LeftAsFound)]);
    assert_eq!(serving, left);
    let (_, view) = a.instance().observe("b", "n1").await.unwrap();
    assert_eq!((view.uweight, view.admin.ready()), (0, true));
}

#[tokio::test]
async fn maintenance_and_drain_from_before_us_stay_while_out_and_after() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    for (state, hold, finding) in [
        ("maint", Hold::Maint, Finding::AlreadyInMaintenance),
        ("drain", Hold::Drain, Finding::AlreadyDrained),
    ] {
        a.by_hand(&format!("set server b/n1 state {state}"));
        let instances = [a.shared()];
        let befores = all_ok(drain_all(&instances, &[n1("b")]).await);
        let before = befores.first().unwrap();
        assert_eq!((before.hold, before.findings.as_slice()), (hold, [finding].as_slice()));
        let (_, out) = a.instance().observe("b", "n1").await.unwrap();
        // `DRAIN 1/2` while the first check after maintenance is awaited.
        assert!(out.status.to_string().starts_with(&state.to_uppercase()), "{out:?}");
        // Another hand brings it back meanwhile; the undo goes to what was found.
        a.by_hand("set server b/n1 state ready");
        let undone = all_ok(undrain_all(&instances, &befores).await);
        assert_eq!(undone.first().unwrap().state_set, Some(hold));
        let serving = wait_serving(&instances, &befores, SERVE, &mut |_| {}).await;
        let left = Serving::All(vec![("a".to_owned(), n1("b"), Served::LeftAsFound)]);
        assert_eq!(serving, left);
    }
}

#[tokio::test]
async fn a_weight_changed_while_out_is_restored_also_under_a_static_algorithm() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    let instances = [a.shared()];
    let befores = all_ok(drain_all(&instances, &[n1("static")]).await);
    assert_eq!(a.by_hand("set weight static/n1 0%"), "\n");
    let undone = all_ok(undrain_all(&instances, &befores).await);
    assert_eq!(undone.first().unwrap().weight_set, Some((0, 10)));
    let serving = wait_serving(&instances, &befores, SERVE, &mut |_| {}).await;
    assert!(matches!(serving, Serving::All(_)), "{serving:?}");
}

#[tokio::test]
async fn a_member_serves_only_when_exactly_up_and_one_without_a_check_says_so() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    let instances = [a.shared()];
    let befores = all_ok(drain_all(&instances, &[n1("b"), n1("bare")]).await);
    one.healthy.store(false, Ordering::SeqCst);
    let instance = a.instance();
    let down = async {
        // A drained server whose checks fail reads DOWN, not DRAIN; the bits still say drained.
        loop {
            let (_, view) = instance.observe("b", "n1").await.unwrap();
            if view.status.to_string() == "DOWN" {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let view = tokio::time::timeout(PATIENCE, down).await.unwrap();
    assert!(view.admin.forced_drain());
    all_ok(undrain_all(&instances, &befores).await);
    let mut reasons = Vec::new();
    let serving = wait_serving(&instances, &befores, SERVE, &mut |waiting| {
        reasons.extend_from_slice(waiting);
        one.healthy.store(true, Ordering::SeqCst);
    })
    .await;
    let served = vec![
        ("a".to_owned(), n1("b"), Served::Checked),
        ("a".to_owned(), n1("bare"), Served::Unchecked),
    ];
    assert_eq!(serving, Serving::All(served));
    let first = reasons.first().unwrap();
    assert!(matches!(first.gap, ServeGap::NotUp(MemberState::Down, _)), "{first:?}");
    assert_eq!(instance.observe("b", "n1").await.unwrap().1.status.to_string(), "UP");
}

#[tokio::test]
async fn a_member_just_out_of_maintenance_is_up_on_a_stale_check_and_does_not_count_as_serving() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    one.release();
    let a = Balancer::start("a", &one, &two).await;
    let instances = [a.shared()];
    a.by_hand("set server held/n1 state ready");
    // The checks of this backend are answered only while the node releases them.
    let settled = async {
        while a.instance().observe("held", "n1").await.unwrap().1.status.to_string() != "UP" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap();
    let befores = all_ok(look_all(&instances, &[n1("held")]).await);
    a.by_hand("set server held/n1 state maint");
    one.hold_again();
    a.by_hand("set server held/n1 state ready");
    let brief = ServeRule { interval: SERVE.interval, deadline: Duration::from_millis(300) };
    let serving = wait_serving(&instances, &befores, brief, &mut |_| {}).await;
    let Serving::NotYet(waiting) = serving else { panic!("{serving:?}") };
    let gap = &waiting.first().unwrap().gap;
    let ServeGap::NotUp(MemberState::Unsettled, detail) = gap else { panic!("{gap:?}") };
    assert!(detail.starts_with("UP 1/2"), "{detail}");
    one.release();
    let serving = wait_serving(&instances, &befores, SERVE, &mut |_| {}).await;
    assert!(matches!(serving, Serving::All(_)), "{serving:?}");
}

#[tokio::test]
async fn refusals_are_typed_and_unix_and_tcp_endpoints_answer_the_same() {
    if !haproxy_is_there() {
        return;
    }
    let (one, two) = nodes().await;
    let a = Balancer::start("a", &one, &two).await;
    let limit = Duration::from_secs(5);
    let user = Instance::new("user", Endpoint::Unix(a.socket("user.sock")), limit);
    let error = user.drain("b", "n1").await.unwrap_err();
    let InstanceError::Reply(ReplyError::PermissionDenied { text }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(text, "Permission denied");
    // What it may do still works: looking.
    assert_eq!(user.look("b", "n1").await.unwrap().hold, Hold::Ready);

    let tcp = Instance::new("tcp", Endpoint::Tcp(a.api.to_string()), limit);
    let before = tcp.drain("b", "n1").await.unwrap();
    assert_eq!(before.hold, Hold::Ready);
    let unix = a.instance();
    assert!(unix.observe("b", "n1").await.unwrap().1.admin.forced_drain());
    assert!(unix.identity().await.unwrap().same_process(&tcp.identity().await.unwrap()));
    tcp.undrain(&before).await.unwrap();
    assert!(unix.observe("b", "n1").await.unwrap().1.admin.ready());

    let missing = unix.drain("b", "n9").await.unwrap_err();
    assert!(
        matches!(missing, InstanceError::Reply(ReplyError::NoSuchServer { .. })),
        "{missing:?}"
    );
    let missing = unix.drain("zz", "n1").await.unwrap_err();
    assert!(
        matches!(missing, InstanceError::Reply(ReplyError::NoSuchBackend { .. })),
        "{missing:?}"
    );
    let bad = unix.drain("b", "n1;shutdown sessions server b/n2").await.unwrap_err();
    assert!(matches!(bad, InstanceError::Reply(_) | InstanceError::Name(_)), "{bad:?}");
    // In a group one missing member does not hide the other.
    let members = [n1("b"), n1("zz")];
    let observation = BalancerInstance::observe(&unix, &members).await.unwrap();
    let fine: Vec<_> = observation.members.iter().map(|(_, answer)| answer.is_ok()).collect();
    assert_eq!(fine, [true, false]);
}

#[tokio::test]
async fn an_endpoint_that_is_no_haproxy_is_an_error_within_the_deadline() {
    let node = Node::start("n1").await;
    let banner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ask = |address: SocketAddr| {
        let limit = Duration::from_millis(300);
        let instance = Instance::new("x", Endpoint::Tcp(address.to_string()), limit);
        async move { instance.drain("b", "n1").await.unwrap_err() }
    };
    let greeter = banner.local_addr().unwrap();
    let greeting = tokio::spawn(async move {
        let (mut stream, _) = banner.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        stream
    });
    let error = ask(greeter).await;
    let InstanceError::Reply(ReplyError::NotHaproxy { excerpt }) = error else {
        panic!("{error:?}")
    };
    assert!(excerpt.starts_with("SSH-2.0"));
    drop(greeting.await);
    for address in [silent.local_addr().unwrap(), node.address] {
        let error = ask(address).await;
        assert!(matches!(error, InstanceError::TimedOut { after_ms: 300, .. }), "{error:?}");
    }
    drop(silent);
    let gone = Instance::new("x", Endpoint::Unix("/nonexistent/x.sock".into()), PATIENCE);
    let error = gone.identity().await.unwrap_err();
    assert!(matches!(error, InstanceError::Unreachable { .. }), "{error:?}");
    let shared: Arc<dyn BalancerInstance> = Arc::new(gone);
    let readings = read_group(&[shared], &[n1("b")]).await;
    assert!(readings.first().unwrap().result.is_err());
}
