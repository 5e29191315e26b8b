//! Balancers that are reloaded or stopped in the middle of a rollout.

use std::thread::sleep;
use std::time::{Duration, Instant};

use zdu_lab::haproxy::Haproxy;
use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{Rig, RigSpec, await_some, tell, tell_load};
use zdu_model::event::Event;

const SOON: Duration = Duration::from_secs(90);
/// `srv_admin_state` of a drained server.
const DRAIN: u32 = 8;

#[test]
fn a_reload_that_forgets_a_drain_is_seen_and_put_right_within_a_second() {
    need_lab!();
    let rig = Rig::up("reload", RigSpec::default().with_apply_ms(6_000)).expect("the rig");
    let found = rig.servers_state().expect("both balancers answer");
    let case = rig.case("reload").expect("files can be written");
    let began = Instant::now();
    let load = rig.load(|spec| spec.slow_ms = 1_000).expect("load flows");
    let running = case.start_run().expect("zdu starts");
    case.await_step("node-b", "apply", SOON).expect("apply begins");
    let [first, second] = rig.balancers();
    let admin = |haproxy: &Haproxy<'_>| {
        haproxy.servers_state().ok().map(|states| states["gateway/node-b"].admin)
    };
    assert_eq!(admin(&first), Some(DRAIN));

    second.reload(true).expect("HAProxy reloads");
    assert_eq!(admin(&second), Some(DRAIN), "the state file keeps the drain");
    first.reload(false).expect("HAProxy reloads");
    let forgot = Instant::now();
    await_some("node-b drained again", Duration::from_secs(5), || {
        admin(&first).filter(|admin| *admin == DRAIN)
    })
    .expect("the drain is put back");
    let took = forgot.elapsed();
    tell(format_args!("drained again {} ms after the reload", took.as_millis()));

    let ran = running.wait(Duration::from_secs(240)).expect("zdu ends");
    let load = load.stop().expect("the load ends");
    tell_load("reload with a node out", began, &load);
    let ran = ran.ended(0);
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    let records = checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
    let mut drifts = Vec::new();
    for record in records {
        if let Event::Drifted { node, instance, reasserted, .. } = record.event {
            drifts.push((node.to_string(), instance.to_string(), reasserted));
        }
    }
    assert_eq!(drifts, [("node-b".to_owned(), "first".to_owned(), true)]);
    let status = case.status().expect("it is told");
    assert_eq!(status["nodes"][1]["drifts"], 1, "{status}");
}

#[test]
fn a_rollout_waits_for_a_stopped_balancer_says_so_and_goes_on_when_it_is_back() {
    need_lab!();
    let rig = Rig::up("stopped", RigSpec::default()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    let [first, second] = rig.balancers();
    // Written once, so that the weight set by hand survives the stop.
    second.reload(true).expect("HAProxy reloads");
    let case = rig.case("stopped").expect("files can be written");
    case.reconfigure("soak: 200ms", "soak: 3s").expect("the policy is there");
    let began = Instant::now();
    let load = rig.load(|spec| (spec.targets, spec.slow_ms) = (vec![first.front(80)], 1_000));
    let load = load.expect("load flows");
    let running = case.start_run().expect("zdu starts");
    await_some("the first soak", SOON, || {
        let plan = case.plan().ok()?;
        let soaks = |event: &Event| {
            let Event::StepStarted { step, .. } = event else { return false };
            plan.step(*step).key.as_str() == "soak"
        };
        case.records_now().iter().any(|record| soaks(&record.event)).then_some(())
    })
    .expect("the first node is through");

    second.stop().expect("HAProxy stops");
    case.await_step("node-b", "guard", SOON).expect("the guard asks");
    let waiting = await_some("the reason in the status", Duration::from_secs(20), || {
        let waiting = case.status().ok()?["waiting"].to_string();
        (waiting.contains("node-b") && waiting.contains("second")).then_some(waiting)
    });
    sleep(Duration::from_secs(1));
    let drained = first.servers_state().expect("it answers")["gateway/node-b"].admin;
    assert_eq!(drained, 0, "node-b was drained although one balancer cannot be asked");
    second.start().expect("HAProxy starts");

    let ran = running.wait(Duration::from_secs(240)).expect("zdu ends");
    let load = load.stop().expect("the load ends");
    tell_load("one balancer stopped", began, &load);
    let ran = ran.ended(0);
    tell(format_args!("waited: {}", waiting.expect("the status names the instance")));
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
}
