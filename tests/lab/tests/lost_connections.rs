//! Connections and hosts that go away while a long step runs on a node.
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks at some events only")]

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{Case, Rig, RigSpec, Side, await_some, tell, tell_load};
use zdu_model::event::{Event, Inquiry, Record, ScheduleCause};

const APPLY_MS: u64 = 4_000;
/// Preflight, export and upgrade come before any apply; the second node's after the first's.
const SOON: Duration = Duration::from_secs(90);

#[test]
fn a_step_outlives_a_silent_network_and_a_restarted_sshd_and_runs_once() {
    need_lab!();
    let rig = Rig::up("cutoff", RigSpec::default().with_apply_ms(APPLY_MS)).expect("the rig");
    let found = rig.servers_state().expect("both balancers answer");
    let case = rig.case("cutoff").expect("files can be written");
    let began = Instant::now();
    let load = rig.load(|spec| spec.slow_ms = 1_000).expect("load flows");
    let running = case.start_run().expect("zdu starts");

    await_apply(&rig, "node-a");
    rig.lab().host("node-a").cut().expect("nft works");
    // Long enough for the controller to see it: its keep-alive gives up after seconds.
    sleep(Duration::from_secs(6));
    rig.lab().host("node-a").heal().expect("nft works");
    await_apply(&rig, "node-b");
    rig.lab().host("node-b").restart_sshd().expect("sshd comes back");

    let ran = running.wait(Duration::from_secs(240)).expect("zdu ends");
    let load = load.stop().expect("the load ends");
    tell_load("cut and restarted sshd", began, &load);
    let ran = ran.ended(0);
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    assert_eq!(rig.releases(), ["7.7"; 3]);
    for node in ["node-a", "node-b"] {
        let count = rig.count(node, Side::New, "sysupgrade", "apply").expect("it is recorded");
        assert_eq!(count, 1, "apply on {node}");
        let said = rig.upgrade_log(node, "apply").expect("the tool left a log");
        let log = node_log(&case, node);
        for line in said.lines() {
            assert_eq!(log.matches(line).count(), 1, "{line:?} of {node} in {log}");
        }
    }
    checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
}

#[test]
fn the_output_of_a_step_that_went_on_without_a_connection_is_whole() {
    need_lab!();
    let rig = Rig::up("output", RigSpec::default()).expect("the rig comes up");
    let case = rig.case("output").expect("files can be written");
    let procedure = r#"
name: numbered
summary: prints many lines for some seconds and ends with 7
phases: [{ name: WORK, exit: 71 }, { name: UNDO, exit: 75 }]
rollback_phase: UNDO
roles: { anm: { help: has the Admin Node Manager } }
stages:
  - name: work
    over: nodes
    only: [anm]
    steps:
      - id: count
        phase: WORK
        rollback: none
        run:
          shell: |
            echo once >>/root/ran
            i=0
            while [ $i -lt 4000 ]; do
              i=$((i + 1)); echo "line $i of the output"; echo "complaint $i" >&2
              [ $((i % 500)) -ne 0 ] || sleep 0.5
            done
            exit 7
        deadline: 1m
        unknown: hold
        outcome: [{ exit: [7], as: warned }]
"#;
    case.use_procedure(procedure, &[], &[]).expect("files can be written");
    case.reconfigure("  soak: 200ms\n", "  soak: 200ms\n  accept_no_undo: [count]\n")
        .expect("the policy is there");
    let running = case.start_run().expect("zdu starts");
    let node = rig.lab().host("node-a");
    await_some("the step begin", SOON, || node.read("/root/ran").ok()).expect("it begins");
    node.cut().expect("nft works");
    sleep(Duration::from_secs(7));
    node.heal().expect("nft works");

    running.wait(SOON).expect("zdu ends").ended(0);
    for name in ["node-a", "node-c"] {
        assert_eq!(rig.lab().host(name).read("/root/ran").expect("it ran"), "once\n");
        let log = node_log(&case, name);
        for number in 1..=4000 {
            for line in [format!("line {number} of the output\n"), format!("complaint {number}\n")]
            {
                assert_eq!(log.matches(line.as_str()).count(), 1, "{line:?} in the log of {name}");
            }
        }
    }
    let warned = |record: &Record| match &record.event {
        Event::StepEnded { report, .. } => report.end == zdu_model::report::End::Exited(7),
        _ => false,
    };
    assert_eq!(case.records().expect("they can be read").iter().filter(|r| warned(r)).count(), 2);
    tell("two nodes printed 8000 lines each, one of them across a cut of 7 s: whole");
}

#[test]
fn a_reboot_during_apply_is_unknown_then_observed_and_run_again() {
    need_lab!();
    let rig = Rig::up("rebooted", RigSpec::default().with_apply_ms(APPLY_MS)).expect("the rig");
    let found = rig.servers_state().expect("both balancers answer");
    let case = rig.case("rebooted").expect("files can be written");
    let began = Instant::now();
    let load = rig.load(|spec| spec.slow_ms = 1_000).expect("load flows");
    let running = case.start_run().expect("zdu starts");
    await_apply(&rig, "node-b");

    rig.lab().host("node-b").reboot().expect("the host comes back");

    let ran = running.wait(Duration::from_secs(240)).expect("zdu ends");
    let load = load.stop().expect("the load ends");
    tell_load("reboot during apply", began, &load);
    let ran = ran.ended(0);
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    assert_eq!(rig.releases(), ["7.7"; 3]);
    let calls = rig.invocations("node-b", Side::New).expect("they are recorded");
    let applied = calls.iter().filter(|call| call.argv.first().is_some_and(|a| a == "apply"));
    let exits: Vec<Option<i32>> = applied.map(|call| call.exit).collect();
    assert_eq!(exits, [None, Some(0)], "the first was cut by the reboot");
    let records = checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
    let plan = case.plan().expect("it is kept");
    let apply = plan.steps.iter().find(|step| {
        step.key.as_str() == "apply" && step.subject.node().is_some_and(|n| n.as_str() == "node-b")
    });
    let apply = apply.expect("the plan has it").no;
    let told: Vec<&str> = records.iter().filter_map(|r| told(&r.event, apply)).collect();
    let expected = ["started", "unknown", "not begun", "started", "ended"];
    let story: Vec<&str> = expected.into_iter().filter(|word| told.contains(word)).collect();
    assert_eq!(story, expected, "{told:?}");
}

fn told(event: &Event, of: zdu_model::ids::StepNo) -> Option<&'static str> {
    match event {
        Event::StepStarted { step, .. } if *step == of => Some("started"),
        Event::StepUnknown { step, how: Inquiry::Observe, .. } if *step == of => Some("unknown"),
        Event::StepScheduled { step, cause: ScheduleCause::NeverBegan, .. } if *step == of => {
            Some("not begun")
        }
        Event::StepEnded { step, .. } if *step == of => Some("ended"),
        _ => None,
    }
}

fn await_apply(rig: &Rig, node: &str) {
    await_some(&format!("apply of {node} begin"), SOON, || {
        rig.count(node, Side::New, "sysupgrade", "apply").ok().filter(|count| *count > 0)
    })
    .expect("apply begins");
}

/// The log of a node, wherever in `logs/` it lies.
fn node_log(case: &Case<'_>, node: &str) -> String {
    let logs = case.rollout_dir().expect("it ran").join("logs");
    let mut text = String::new();
    collect(&logs, node, &mut text);
    assert!(!text.is_empty(), "no log of {node} in {}", logs.display());
    text
}

fn collect(directory: &Path, node: &str, text: &mut String) {
    for entry in fs::read_dir(directory).expect("it can be listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, node, text);
        } else if path.to_string_lossy().contains(&format!("{node}.")) {
            text.push_str(&fs::read_to_string(&path).expect("it is text"));
        }
    }
}
