//! A controller that is stopped, as by a laptop that sleeps: nothing it read before counts after.

use std::thread::sleep;
use std::time::{Duration, Instant};

use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{Rig, RigSpec, tell, tell_load};
use zdu_model::event::Event;
use zdu_model::plan::{Plan, Work};

const SOON: Duration = Duration::from_secs(90);

/// A little longer than the stillness that counts; the lease outlives it.
const SLEEP: Duration = Duration::from_secs(3);

#[test]
fn a_reload_while_the_controller_was_stopped_is_seen_before_anything_is_changed_on_the_node() {
    need_lab!();
    let rig = Rig::up("asleep", RigSpec::default()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    let case = rig.case("asleep").expect("files can be written");
    let began = Instant::now();
    // Requests of several seconds, so that the certificate of a drain is waited for.
    let load = rig.load(|spec| spec.slow_ms = 3_000).expect("load flows");
    let running = case.start_run().expect("zdu starts");
    case.await_step("node-b", "certify", SOON).expect("the certificate is waited for");
    running.put_to_sleep().expect("it is stopped");
    // The old instance still serves on the drained node: nobody is harmed by the reload.
    let [first, _] = rig.balancers();
    first.reload(false).expect("HAProxy reloads");
    sleep(SLEEP);
    running.wake().expect("it goes on");

    let ran = running.wait(Duration::from_secs(240)).expect("zdu ends").ended(0);
    let load = load.stop().expect("the load ends");
    tell_load("the controller stopped over a reload", began, &load);
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    let records = checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
    let events: Vec<Event> = records.into_iter().map(|record| record.event).collect();
    let plan = case.plan().expect("the plan is there");
    let still = events.iter().position(|event| matches!(event, Event::ControllerStoodStill { .. }));
    let still = still.expect("it noticed that it stood still");
    tell(format_args!("noted: {:?}", events[still]));
    assert!(events.iter().any(|event| matches!(event, Event::Drifted { .. })), "{events:?}");
    let next = events[still..].iter().find_map(|event| begun_on(&plan, event, "node-b"));
    assert_eq!(next, Some(Work::Certify), "{events:?}");
}

fn begun_on(plan: &Plan, event: &Event, node: &str) -> Option<Work> {
    let Event::StepStarted { step, .. } = event else { return None };
    let planned = plan.step(*step);
    let here = planned.subject.node().is_some_and(|on| on.as_str() == node);
    here.then(|| planned.work.clone())
}
