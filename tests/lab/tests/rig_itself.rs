//! The rig proves itself: an upgrade by hand over ssh works and loses nothing, and what the checks
//! rely on (versions, states, invocations, planted failures) is what it says.

use std::time::{Duration, Instant};

use zdu_doubles::axway::Phase;
use zdu_lab::haproxy::Stat;
use zdu_lab::need_lab;
use zdu_lab::rig::{NODES, Rig, RigSpec, Side, WEIGHT_BY_HAND, tell_load};

const STEP: Duration = Duration::from_secs(30);

#[test]
fn an_upgrade_by_hand_over_ssh_with_odd_paths_loses_no_request_and_leaves_weights() {
    need_lab!();
    let rig = Rig::up("byhand", RigSpec::odd_directories()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    assert_eq!(found[0]["gateway/node-a"].weight, 100);
    assert_eq!(found[1]["gateway/node-a"].weight, WEIGHT_BY_HAND);
    let began = Instant::now();
    let load = rig.load(|spec| spec.slow_ms = 1000).expect("load flows");
    let anm = rig.lab().host("node-a").address();
    let (old, new) = (quote(&rig.spec().old_dir), quote(&rig.spec().new_dir));
    let secret = quote(&rig.spec().password);
    let phrase = quote(&rig.spec().passphrase);
    let upgrade = format!("{new}/apigateway/upgrade/bin/sysupgrade");
    for node in NODES {
        let words = format!("--old_install_dir {old}/apigateway --anm_host {anm} --username admin");
        ssh(&rig, node, &format!("printf '%s\\n' {secret} | {upgrade} export {words}"));
    }
    for node in NODES {
        ssh(&rig, node, &format!("{upgrade} upgrade --no_cassandra"));
    }
    for node in NODES {
        let server = format!("gateway/{node}");
        for balancer in rig.balancers() {
            balancer.set_state(&server, "drain").expect("HAProxy drains");
        }
        for balancer in rig.balancers() {
            let quiet = |stat: &Stat| stat.number("scur") + stat.number("qcur") == 0;
            balancer.await_stat(&server, STEP, quiet).expect("the last request ends");
        }
        let bin = format!("{old}/apigateway/posix/bin");
        let instance = r#"-n "Instance 'One'" -g 'Gateway "Group"'"#;
        ssh(&rig, node, &format!("{bin}/startinstance {instance} -k && {bin}/nodemanager -k"));
        let stdin = format!("printf '%s\\n%s\\n' {phrase} {secret}");
        ssh(&rig, node, &format!("{stdin} | {upgrade} apply --anm_host {anm} --username admin"));
        assert_eq!(rig.serving(node).as_deref(), Some("7.7"));
        for balancer in rig.balancers() {
            balancer.set_state(&server, "ready").expect("HAProxy takes it back");
            balancer.await_stat(&server, STEP, Stat::is_up).expect("it is up");
        }
    }
    let load = load.stop().expect("the load ends");
    tell_load("upgrade by hand", began, &load);
    assert_eq!(load.failed, 0, "{load}");
    assert_eq!(rig.servers_state().expect("both balancers answer"), found);
    for node in NODES {
        assert_eq!(rig.count(node, Side::New, "sysupgrade", "apply").expect("it is recorded"), 1);
    }
    assert!(rig.upgrade_log("node-b", "apply").expect("it is there").contains("belongs to"));
    let before = rig.snapshot().expect("hosts answer");

    rig.relay().expect("the fleet is laid out anew");

    assert_eq!(rig.releases(), ["7.5.3"; 3]);
    assert_eq!(rig.servers_state().expect("both balancers answer"), found);
    assert_ne!(rig.snapshot().expect("hosts answer"), before, "a snapshot sees another release");
}

#[test]
fn a_failure_planted_from_outside_strikes_the_next_tool() {
    need_lab!();
    let rig = Rig::up("plant", RigSpec::default()).expect("the rig comes up");
    rig.plant("node-b", Side::Old, Phase::InstanceStop).expect("it is planted");
    let stop = "/root/Axway-7.5.3/apigateway/posix/bin/startinstance \
                -n \"Instance 'One'\" -g 'Gateway \"Group\"' -k";
    let ended = rig.lab().ssh("node-b", stop, STEP).expect("ssh ends");
    assert_eq!(ended.status.code(), Some(100));
    rig.unplant("node-b").expect("it is taken back");
    ssh(&rig, "node-b", stop);
    assert_eq!(rig.releases(), ["7.5.3", "-", "7.5.3"]);
}

fn ssh(rig: &Rig, node: &str, script: &str) {
    let ended = rig.lab().ssh(node, script, STEP).expect("ssh ends");
    assert!(ended.status.success(), "{script} on {node}: {ended:?}");
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
