//! `zdu run` upgrades three gateways behind two balancers under load, again and again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use zdu_lab::load::Habit;
use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{Case, NODES, Rig, RigSpec, Side, tell_load};
use zdu_model::event::Event;
use zdu_model::time::Timestamp;

#[test]
fn five_rollouts_in_a_row_lose_no_request_and_leave_both_balancers_as_they_were() {
    need_lab!();
    let rig = Rig::up("five", RigSpec::default()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    for round in 1..=5 {
        if round > 1 {
            rig.relay().expect("the fleet is laid out anew");
        }
        let case = rig.case("round").expect("files can be written");
        let began = Instant::now();
        let load = rig.load(|spec| spec.slow_ms = 3_000).expect("load flows");
        let ran = case.run().expect("zdu ends");
        let load = load.stop().expect("the load ends");
        tell_load(&format!("rollout {round}"), began, &load);
        let ran = ran.ended(0);
        assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
        assert!(load.habit(Habit::Slow).ok > 0, "no slow request was made: {load}");
        assert_eq!(rig.releases(), ["7.7"; 3]);
        assert_eq!(ran.stdout.matches("PASSED (0)").count(), 15, "{}", ran.stdout);
        checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
        every_tool_ran_once(&case);
        users_saw_nothing(&case);
    }
}

/// What zdu says itself about the front, which it asked five times a second in two ways.
fn users_saw_nothing(case: &Case<'_>) {
    let path = case.rollout_dir().expect("it ran").join("report.json");
    let text = std::fs::read_to_string(path).expect("a report is written");
    let report: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let front = &report["fronts"][0];
    for way in front["ways"].as_array().expect("ways") {
        assert_eq!((&way["failed"], way["sent"].as_u64() > Some(50)), (&0.into(), true), "{way}");
        assert!(way["before"].is_object() && way["during"].is_object(), "{way}");
    }
    assert_eq!(front["ways"].as_array().map(Vec::len), Some(2), "{front}");
    assert_eq!(front["holes"], serde_json::json!([]), "{front}");
    let (mut last, mut until) = (Timestamp(0), Timestamp(0));
    for record in case.records().expect("a journal") {
        if let Event::FrontSeen { seen, .. } = &record.event {
            until = until.max(seen.until);
        } else if matches!(record.event, Event::StepEnded { .. }) {
            last = record.at;
        }
    }
    assert!(until > last, "watched until {until:?}, the last step ended at {last:?}");
}

#[test]
fn a_reviewed_plan_runs_as_it_is_with_install_directories_full_of_blanks_and_quotes() {
    need_lab!();
    let rig = Rig::up("odd", RigSpec::odd_directories()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    let case = rig.case("reviewed").expect("files can be written");
    let before = rig.snapshot().expect("hosts answer");
    case.zdu_on_config(&["check"]).expect("zdu ends").ended(0);
    case.zdu_on_config(&["preflight"]).expect("zdu ends").ended(0);
    let plan = case.directory().join("plan.json");
    let plan = plan.to_str().expect("a lab's path is text");
    case.zdu_on_config(&["plan", "--out", plan]).expect("zdu ends").ended(0);
    assert_eq!(rig.snapshot().expect("hosts answer"), before, "looking changed something");

    let began = Instant::now();
    let load = rig.load(|spec| spec.slow_ms = 1_000).expect("load flows");
    let words = ["run", "--plan", plan, "--yes", "--node-dir", "/var/tmp/zdu records"];
    let ran = case.start(&words).expect("zdu starts").wait(Duration::from_secs(240));
    let load = load.stop().expect("the load ends");
    tell_load("odd directories", began, &load);
    let ran = ran.expect("zdu ends").ended(0);
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    assert_eq!(rig.releases(), ["7.7"; 3]);
    checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
    every_tool_ran_once(&case);
    let reviewed = std::fs::read(plan).expect("it was written");
    let ran = std::fs::read(case.rollout_dir().expect("it ran").join("plan.json"));
    assert_eq!(ran.expect("it is kept"), reviewed, "another plan ran");
}

#[test]
fn a_domain_over_https_is_upgraded_though_its_authority_is_made_by_the_first_apply() {
    need_lab!();
    let rig = Rig::up("https", RigSpec::default().with_https()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    let manager = SocketAddr::from((rig.lab().host("node-a").address(), 8090));
    let plain = rig.lab().http_get(manager, "/api/topology").expect("it answers");
    assert_eq!(plain, (400, "this port speaks HTTPS".to_owned()));
    let case = rig.case("https").expect("files can be written");
    let began = Instant::now();
    let load = rig.load(|_| {}).expect("load flows");
    let ran = case.run().expect("zdu ends");
    let load = load.stop().expect("the load ends");
    tell_load("https", began, &load);
    let ran = ran.ended(0);
    assert_eq!(load.failed, 0, "{load}\n{}", ran.stderr);
    assert_eq!(rig.releases(), ["7.7"; 3]);
    checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });

    // Each node's lane trusted what the first node has, and nothing a file could have told before.
    let new = rig.authority(Side::New).expect("it speaks HTTPS").trim_end();
    assert_ne!(Some(new), rig.authority(Side::Old).map(str::trim_end));
    let captured: Vec<String> = case
        .records()
        .expect("they can be read")
        .into_iter()
        .filter_map(|record| {
            let Event::StepEnded { report, .. } = record.event else { return None };
            Some(report.captured)
        })
        .flatten()
        .filter_map(|captured| captured.value)
        .collect();
    assert_eq!(captured, [new; 3]);
}

#[test]
fn a_new_domain_that_shows_another_authority_is_not_believed_and_the_node_goes_back() {
    need_lab!();
    let rig = Rig::up("impostor", RigSpec::default().with_https()).expect("the rig comes up");
    let case = rig.case("impostor").expect("files can be written");
    case.reconfigure("ready_deadline: 12s", "ready_deadline: 3s").expect("it is there");
    rig.edit_install("node-a", Side::New, |spec| {
        let tls = spec.tls.as_mut().expect("it speaks HTTPS");
        tls.authority = rig.authority(Side::Old).expect("it speaks HTTPS").to_owned();
    })
    .expect("it is changed");
    let ran = case.run().expect("zdu ends").ended(74);
    assert!(ran.said().contains("certificate"), "{}", ran.said());
    assert_eq!(rig.releases(), ["7.5.3"; 3]);
}

fn every_tool_ran_once(case: &Case<'_>) {
    let count = |node: &str, side, tool: &str, word: &str| {
        case.rig().count(node, side, tool, word).expect("invocations can be read")
    };
    for node in NODES {
        for command in ["export", "upgrade", "apply"] {
            assert_eq!(count(node, Side::New, "sysupgrade", command), 1, "{command} on {node}");
        }
        assert_eq!(count(node, Side::Old, "startinstance", "-k"), 1, "stop on {node}");
        assert_eq!(count(node, Side::Old, "nodemanager", "-k"), 1, "stop on {node}");
    }
}
