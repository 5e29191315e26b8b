//! What `upgrade` demands: an export, a Cassandra that every node can reach, licences.

use std::fs;

use crate::fleet::Fleet;

fn exported() -> Fleet {
    let fleet = Fleet::running();
    fleet.export("Node-C", &["--anm_host", "Node-A"]).succeeded();
    fleet
}

#[test]
fn upgrade_needs_an_export() {
    let fleet = Fleet::running();
    fleet.upgrade("Node-C", &[]).failed(100, "You must run sysupgrade export");
}

#[test]
fn a_localhost_cassandra_on_a_multi_node_upgrade_fails_with_the_two_documented_lines() {
    let fleet = exported();
    let words = ["upgrade", "--cass_host", "localhost", "--cass_port", "9160"];
    let ran = fleet.sysupgrade("Node-C", &words, "");
    assert_eq!(ran.exit, 100);
    let documented = "ERROR: This is a multi-node upgrade and a localhost Cassandra server: \
                      localhost:9160 has been specified.\n\
                      You must use a network accessible address. Run sysupgrade upgrade -h for \
                      details.\n";
    assert_eq!(ran.stderr, documented);
    let log = fleet.new_layout("Node-C").upgrade_logs().join("upgrade.log");
    assert_eq!(fs::read_to_string(log).expect("a log"), documented);
    assert!(fleet.status("Node-C").starts_with("Current status: export complete\n"));
}

#[test]
fn a_loopback_address_is_a_localhost_too_and_a_network_address_is_not() {
    let fleet = exported();
    let with = |host| fleet.sysupgrade("Node-C", &["upgrade", "--cass_host", host], "");
    with("127.0.1.1").failed(100, "a localhost Cassandra server: 127.0.1.1:9042");
    with("10.0.0.9").succeeded();
}

#[test]
fn a_single_node_topology_may_use_a_localhost_cassandra() {
    let fleet = Fleet::with(|spec| spec.topology.nodes.truncate(1));
    fleet.export("Node-A", &[]).succeeded();
    fleet.sysupgrade("Node-A", &["upgrade", "--cass_host", "localhost"], "").succeeded();
}

#[test]
fn a_missing_gateway_license_is_an_error_and_the_phase_can_be_run_again() {
    let fleet = exported();
    let license = fleet.new_layout("Node-C").licenses().join("gateway.lic");
    fs::remove_file(&license).expect("there was one");
    fleet.upgrade("Node-C", &[]).failed(100, "ERROR: No valid API Gateway license");
    assert!(fleet.status("Node-C").starts_with("Current status: export complete\n"));
    fs::write(&license, "again").expect("written");
    fleet.upgrade("Node-C", &[]).succeeded();
}

#[test]
fn a_missing_api_manager_license_is_a_warning() {
    let fleet = exported();
    let license = fleet.new_layout("Node-C").licenses().join("api-manager.lic");
    fs::remove_file(license).expect("there was one");
    let ran = fleet.upgrade("Node-C", &[]).succeeded();
    assert!(ran.stderr.contains("WARN: No valid API Manager license"), "{ran:?}");
}

#[test]
fn a_finished_upgrade_is_refused_without_force() {
    let fleet = exported();
    fleet.upgrade("Node-C", &[]).succeeded();
    fleet.upgrade("Node-C", &[]).failed(100, "sysupgrade upgrade is already complete");
    fleet.upgrade("Node-C", &["--force"]).succeeded();
}

#[test]
fn unknown_and_contradicting_options_are_refused_without_repeating_a_value() {
    let fleet = exported();
    let ran = fleet.upgrade("Node-C", &["--passwort=geheim"]);
    let ran = ran.failed(100, "unrecognized arguments: --passwort");
    assert!(!ran.stderr.contains("geheim"), "{ran:?}");
    fleet.upgrade("Node-C", &["--cass_host", "h"]).failed(100, "exclude each other");
}
