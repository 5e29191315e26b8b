//! The invalidation matrix: which phase run again on which node makes which others stale.

use zdu_doubles::axway::start_old;

use crate::fleet::{Fleet, NODES};

const AT_A_FORCED: [&str; 3] = ["--anm_host", "Node-A", "--force"];
const STALE: &str = "Current status: export and upgrade complete\nNext step: sysupgrade apply\n";
const COMPLETE: &str = "Current status: system upgrade complete\n";

fn upgraded() -> Fleet {
    Fleet::running().prepared().applied(&NODES)
}

/// Stops the new processes of these nodes and applies them again.
fn apply_again(fleet: &Fleet, nodes: &[&str]) {
    for node in nodes {
        fleet.stop(&fleet.new_dir(node), node);
        fleet.apply(node, "Node-A", &["--force"]).succeeded();
    }
}

#[test]
fn upgrade_again_on_the_first_node_makes_every_other_apply_stale() {
    let fleet = upgraded();
    let text = "Node Manager of the new installation is running on this host";
    fleet.upgrade("Node-A", &["--force"]).failed(100, text);
    fleet.stop(&fleet.new_dir("Node-A"), "Node-A");
    fleet.upgrade("Node-A", &["--force"]).succeeded();
    assert!(!fleet.new_layout("Node-A").domain_key().exists());
    assert_eq!(fleet.status("Node-A"), STALE);
    assert_eq!(fleet.status("Node-B"), COMPLETE, "nobody there to contradict it");

    fleet.apply("Node-A", "Node-A", &[]).succeeded();
    for node in ["Node-B", "Node-C"] {
        assert_eq!(fleet.status(node), STALE);
    }
    assert_eq!(fleet.hosts_seen_by("Node-A"), ["Node-A"]);
    apply_again(&fleet, &["Node-B", "Node-C"]);
    for node in ["Node-A", "Node-C"] {
        assert_eq!(fleet.hosts_seen_by(node), NODES);
    }
    assert_eq!(fleet.status("Node-B"), COMPLETE);
}

#[test]
fn upgrade_again_on_another_node_makes_only_its_own_apply_stale() {
    let fleet = upgraded();
    fleet.stop(&fleet.new_dir("Node-B"), "Node-B");
    fleet.upgrade("Node-B", &["--force"]).succeeded();
    assert_eq!(fleet.status("Node-B"), STALE);
    assert_eq!(fleet.status("Node-C"), COMPLETE);
    fleet.apply("Node-B", "Node-A", &[]).succeeded();
    assert_eq!(fleet.hosts_seen_by("Node-A"), NODES);
}

#[test]
fn apply_again_on_the_first_node_makes_every_other_apply_stale_and_leaves_it_running() {
    let fleet = upgraded();
    fleet.apply("Node-A", "Node-A", &["--force"]).succeeded();
    assert_eq!(fleet.hosts_seen_by("Node-A"), ["Node-A"]);
    assert_eq!(fleet.status("Node-C"), STALE);
    apply_again(&fleet, &["Node-B", "Node-C"]);
    assert_eq!(fleet.hosts_seen_by("Node-C"), NODES);
}

#[test]
fn apply_again_on_another_node_needs_its_processes_stopped_and_registers_it_once() {
    let fleet = upgraded();
    let text = "Node Manager of version 7.7 is running on this host";
    fleet.apply("Node-B", "Node-A", &["--force"]).failed(100, text);
    apply_again(&fleet, &["Node-B"]);
    assert_eq!(fleet.hosts_seen_by("Node-A"), NODES);
    assert_eq!(fleet.status("Node-C"), COMPLETE);
}

#[test]
fn export_again_on_the_first_node_needs_the_old_domain_and_drops_the_new_one() {
    let fleet = upgraded();
    for node in NODES {
        fleet.stop(&fleet.new_dir(node), node);
    }
    fleet.export("Node-A", &AT_A_FORCED).failed(100, "is not running");
    for node in NODES {
        start_old(&fleet.old_dir(node)).expect("the old one starts");
    }
    fleet.export("Node-A", &AT_A_FORCED).succeeded();
    assert!(!fleet.new_layout("Node-A").domain_key().exists());
    assert!(fleet.status("Node-A").starts_with("Current status: export complete\n"));
    fleet.upgrade("Node-A", &[]).succeeded();
    for node in NODES {
        fleet.stop(&fleet.old_dir(node), node);
    }
    fleet.apply("Node-A", "Node-A", &[]).succeeded();
    assert_eq!(fleet.status("Node-B"), STALE);
}

#[test]
fn clean_resets_the_new_installation_and_keeps_what_it_moved() {
    let fleet = upgraded();
    let text = "Node Manager of the new installation is running on this host";
    fleet.sysupgrade("Node-A", &["clean"], "").failed(100, text);
    fleet.stop(&fleet.new_dir("Node-A"), "Node-A");
    fleet.sysupgrade("Node-A", &["clean"], "").succeeded();
    let layout = fleet.new_layout("Node-A");
    assert!(!layout.topology_file().exists());
    assert!(!layout.domain_key().exists());
    assert!(layout.upgrade_backup().join("1/out/logs/apply.log").exists());
    assert!(layout.upgrade_backup().join("1/conf/licenses/gateway.lic").exists());
    assert!(fleet.status("Node-A").starts_with("Current status: not started\n"));
}

#[test]
fn a_cleaned_node_can_be_upgraded_again() {
    let fleet = Fleet::running().prepared();
    fleet.sysupgrade("Node-B", &["clean"], "").succeeded();
    fleet.export("Node-B", &["--anm_host", "Node-A"]).succeeded();
    fleet.upgrade("Node-B", &[]).succeeded();
    assert_eq!(fleet.applied(&NODES).hosts_seen_by("Node-A"), NODES);
}
