//! The whole procedure by hand.

use crate::fleet::{Fleet, NODES};

#[test]
fn a_manual_upgrade_of_three_nodes_ends_with_one_domain_at_the_new_version() {
    let fleet = Fleet::running();
    assert_eq!(fleet.hosts_seen_by("Node-C"), NODES);
    for node in NODES {
        assert_eq!(
            fleet.status(node),
            "Current status: not started\nNext step: sysupgrade export\n"
        );
        fleet.export(node, &["--anm_host", "Node-A"]).succeeded();
        assert_eq!(
            fleet.status(node),
            "Current status: export complete\nNext step: sysupgrade upgrade\n"
        );
    }
    for node in NODES {
        let cassandra = ["upgrade", "--cass_host", "10.0.0.9", "--cass_port", "9042"];
        fleet.sysupgrade(node, &cassandra, "").succeeded();
        assert_eq!(
            fleet.status(node),
            "Current status: export and upgrade complete\nNext step: sysupgrade apply\n"
        );
    }
    for (index, node) in NODES.iter().enumerate() {
        fleet.stop(&fleet.old_dir(node), node);
        for other in &NODES[index + 1..] {
            let answer = fleet.traffic(other, "/").expect("the others serve on");
            assert_eq!(answer.json()["version"], "7.5.3");
        }
        fleet.apply(node, "Node-A", &[]).succeeded();
        assert_eq!(fleet.status(node), "Current status: system upgrade complete\n");
        let answer = fleet.traffic(node, "/healthcheck").expect("apply started the instance");
        assert_eq!((answer.status, answer.body.as_str()), (200, "<status>ok</status>"));
    }
    assert!(fleet.new_layout("Node-A").domain_key().exists());
    assert!(!fleet.new_layout("Node-C").domain_key().exists());
    for node in ["Node-A", "Node-C"] {
        assert_eq!(fleet.hosts_seen_by(node), NODES, "seen by {node}");
        let document = fleet.management(node, "/api/topology").json();
        assert_eq!(document["result"]["productVersion"], "7.7");
    }
    let log = fleet.new_layout("Node-B").upgrade_logs().join("apply.log");
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.contains("This host belongs to the domain of Node-A now."), "{log}");
}

#[test]
fn a_rollback_stops_the_new_processes_and_starts_the_old_ones() {
    let fleet = Fleet::running().prepared().applied(&["Node-A"]);
    fleet.stop(&fleet.new_dir("Node-A"), "Node-A");
    zdu_doubles::axway::start_old(&fleet.old_dir("Node-A")).expect("the old one starts again");
    assert_eq!(fleet.traffic("Node-A", "/version").expect("an answer").body, "7.5.3");
    fleet.sysupgrade("Node-A", &["clean"], "").succeeded();
    assert!(fleet.status("Node-A").starts_with("Current status: not started"));
}
