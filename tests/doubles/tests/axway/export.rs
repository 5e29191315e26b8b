//! What `export` demands: the whole old domain running, the right `--anm_host`.

use zdu_doubles::axway::{Layout, sha256_hex};

use crate::fleet::{Fleet, run};

const AT_A: [&str; 2] = ["--anm_host", "Node-A"];

#[test]
fn export_fails_while_an_instance_of_another_node_is_down() {
    let fleet = Fleet::running();
    let words = ["-n", "Gateway 1", "-g", "Gateway Group", "-k"];
    run(&Layout::new(&fleet.old_dir("Node-B")).startinstance(), &words, "").succeeded();
    let ran = fleet.export("Node-A", &AT_A);
    ran.failed(100, "ERROR: API Gateway 'Gateway 1' on Node-B is not running.");
}

#[test]
fn export_fails_while_the_local_node_manager_is_down() {
    let fleet = Fleet::running();
    run(&Layout::new(&fleet.old_dir("Node-A")).nodemanager(), &["-k"], "").succeeded();
    fleet.export("Node-A", &AT_A).failed(100, "ERROR: Node Manager on Node-A is not running.");
}

#[test]
fn export_calls_a_group_inconsistent_while_a_remote_node_manager_is_down() {
    let fleet = Fleet::running();
    run(&Layout::new(&fleet.old_dir("Node-B")).nodemanager(), &["-k"], "").succeeded();
    let text = "ERROR: Group 'Gateway Group' is inconsistent: Node Manager on Node-B";
    fleet.export("Node-A", &AT_A).failed(100, text);
    run(&Layout::new(&fleet.old_dir("Node-B")).nodemanager(), &["-d"], "").succeeded();
    fleet.export("Node-A", &AT_A).succeeded();
}

#[test]
fn export_fails_when_instances_of_a_group_have_different_deployments() {
    let fleet = Fleet::with(|spec| {
        spec.topology.nodes[1].instances[0].deployment = Some("another archive".to_owned());
    });
    let text = "'Gateway 0' and 'Gateway 1' have different deployments";
    fleet.export("Node-C", &AT_A).failed(100, text);
}

#[test]
fn export_fails_on_a_node_left_behind_by_an_early_apply_elsewhere() {
    let fleet = Fleet::running();
    fleet.export("Node-A", &AT_A).succeeded();
    fleet.upgrade("Node-A", &[]).succeeded();
    fleet.stop(&fleet.old_dir("Node-A"), "Node-A");
    fleet.apply("Node-A", "Node-A", &[]).succeeded();
    fleet.export("Node-B", &AT_A).failed(100, "Node Manager on Node-A is not running");
}

#[test]
fn two_admin_node_managers_make_anm_host_required() {
    let fleet = Fleet::running();
    fleet.export("Node-A", &[]).failed(100, "You must specify --anm_host.");
}

#[test]
fn one_admin_node_manager_makes_anm_host_optional() {
    let fleet = Fleet::with(|spec| spec.topology.nodes[2].admin = false);
    fleet.export("Node-C", &[]).succeeded();
}

#[test]
fn anm_host_must_be_the_exact_name_of_a_host_with_an_admin_node_manager() {
    let fleet = Fleet::running();
    for (host, text) in [
        ("node-a", "is not the name of a host in the topology"),
        (fleet.address.as_str(), "is not the name of a host in the topology"),
        ("Node-B", "is not running an Admin Node Manager"),
    ] {
        fleet.export("Node-A", &["--anm_host", host]).failed(100, text);
    }
}

#[test]
fn the_old_install_dir_is_required_and_must_be_the_old_installation_of_this_node() {
    let fleet = Fleet::running();
    fleet.sysupgrade("Node-A", &["export"], "").failed(100, "--old_install_dir is required");
    for (dir, text) in [
        (fleet.root().to_owned(), "is not an API Gateway installation"),
        (fleet.old_dir("Node-A"), "is not an API Gateway installation"),
        (fleet.new_dir("Node-A").join("apigateway"), "is not the old installation of this host"),
        (fleet.old_dir("Node-B").join("apigateway"), "is not the old installation of this host"),
    ] {
        let dir = dir.to_str().expect("UTF-8").to_owned();
        let words = ["export", "--old_install_dir", &dir, "--anm_host", "Node-A"];
        fleet.sysupgrade("Node-A", &words, "").failed(100, text);
    }
}

#[test]
fn a_finished_export_is_refused_without_force() {
    let fleet = Fleet::running();
    fleet.export("Node-B", &AT_A).succeeded();
    fleet.export("Node-B", &AT_A).failed(100, "sysupgrade export is already complete");
    fleet.export("Node-B", &["--anm_host", "Node-A", "--force"]).succeeded();
}

#[test]
fn export_checks_the_administrator_where_digests_are_configured() {
    let fleet = Fleet::with(|spec| {
        spec.secrets.username = Some(sha256_hex("admin"));
        spec.secrets.password = Some(sha256_hex("right"));
    });
    let given = |password| ["--anm_host", "Node-A", "--username", "admin", "--password", password];
    fleet.export("Node-A", &given("wrong")).failed(100, "The password is incorrect.");
    fleet.export("Node-A", &AT_A).failed(100, "No username was given.");
    fleet.export("Node-A", &given("right")).succeeded();
}
