//! What `apply` demands, and the two ways a wrong `--anm_host` goes wrong.

use std::fs;
use std::path::Path;

use zdu_doubles::axway::{Layout, SecretSeen, sha256_hex};

use crate::fleet::{Fleet, NODES, run};

#[test]
fn apply_needs_an_upgrade_on_this_node() {
    let fleet = Fleet::running();
    fleet.export("Node-A", &["--anm_host", "Node-A"]).succeeded();
    fleet.apply("Node-A", "Node-A", &[]).failed(100, "You must run sysupgrade upgrade");
}

#[test]
fn apply_refuses_while_an_old_process_of_this_node_runs() {
    let fleet = Fleet::running().prepared();
    let text = "Node Manager of version 7.5.3 is running on this host";
    fleet.apply("Node-A", "Node-A", &[]).failed(100, text);
    run(&Layout::new(&fleet.old_dir("Node-A")).nodemanager(), &["-k"], "").succeeded();
    let text = "API Gateway 'Gateway 0' of version 7.5.3 is running on this host";
    fleet.apply("Node-A", "Node-A", &[]).failed(100, text);
    fleet.stop(&fleet.old_dir("Node-A"), "Node-A");
    fleet.apply("Node-A", "Node-A", &[]).succeeded();
}

#[test]
fn a_certificate_cannot_be_signed_without_the_new_first_admin_node_manager() {
    const KEY: &str = "None of the available Admin Node Managers have the domain private key.";
    let fleet = Fleet::running().prepared();
    fleet.stop(&fleet.old_dir("Node-B"), "Node-B");
    let text = "ERROR: Failed to sign CSR for host Node-B: Node-A is running version 7.5.3.";
    fleet.apply("Node-B", "Node-A", &[]).failed(100, text).failed(100, KEY);
    fleet.stop(&fleet.old_dir("Node-A"), "Node-A");
    let text = "ERROR: Failed to sign CSR for host Node-B: Node-A is not running.";
    fleet.apply("Node-B", "Node-A", &[]).failed(100, text).failed(100, KEY);
}

#[test]
fn an_admin_node_manager_that_is_not_the_first_cannot_sign() {
    let fleet = Fleet::running().prepared().applied(&["Node-A", "Node-C"]);
    fleet.stop(&fleet.old_dir("Node-B"), "Node-B");
    let text = "Failed to sign CSR for host Node-B: Node-C does not hold it";
    fleet.apply("Node-B", "Node-C", &[]).failed(100, text);
    fleet.apply("Node-B", "Node-A", &[]).succeeded();
    assert_eq!(fleet.hosts_seen_by("Node-C"), NODES);
}

#[test]
fn different_anm_hosts_succeed_and_make_two_domains_and_a_forced_apply_joins_them() {
    let fleet = Fleet::running().prepared().applied(&["Node-A", "Node-B"]);
    fleet.stop(&fleet.old_dir("Node-C"), "Node-C");
    fleet.apply("Node-C", "Node-C", &[]).succeeded();
    assert_eq!(fleet.status("Node-C"), "Current status: system upgrade complete\n");
    assert_eq!(fleet.hosts_seen_by("Node-A"), ["Node-A", "Node-B"]);
    assert_eq!(fleet.hosts_seen_by("Node-C"), ["Node-C"]);
    assert!(fleet.new_layout("Node-C").domain_key().exists());

    fleet.stop(&fleet.new_dir("Node-C"), "Node-C");
    fleet.apply("Node-C", "Node-A", &["--force"]).succeeded();
    assert_eq!(fleet.hosts_seen_by("Node-A"), NODES);
    assert_eq!(fleet.hosts_seen_by("Node-C"), NODES);
    assert!(!fleet.new_layout("Node-C").domain_key().exists());
}

#[test]
fn nodes_that_apply_at_once_are_both_in_the_domain() {
    let fleet = Fleet::running().prepared().applied(&["Node-A"]);
    for node in ["Node-B", "Node-C"] {
        fleet.stop(&fleet.old_dir(node), node);
    }
    std::thread::scope(|scope| {
        let at_once =
            ["Node-B", "Node-C"].map(|node| scope.spawn(|| fleet.apply(node, "Node-A", &[])));
        for apply in at_once {
            apply.join().expect("no panic").succeeded();
        }
    });
    assert_eq!(fleet.hosts_seen_by("Node-A"), NODES);
}

#[test]
fn apply_wants_an_anm_host_that_was_an_admin_node_manager() {
    let fleet = Fleet::running().prepared();
    fleet.stop(&fleet.old_dir("Node-B"), "Node-B");
    fleet.apply("Node-B", "Node-B", &[]).failed(100, "is not running an Admin Node Manager");
    fleet.sysupgrade("Node-B", &["apply"], "").failed(100, "You must specify --anm_host.");
}

fn with_secrets() -> Fleet {
    Fleet::with(|spec| {
        spec.secrets.domain_passphrase = Some(sha256_hex("dragon-1"));
        if spec.version == "7.7" {
            spec.secrets.username = Some(sha256_hex("root-2"));
            spec.secrets.password = Some(sha256_hex("hunter-3"));
        }
    })
}

/// Exports and upgrades Node-A with the administrator on stdin, and stops its old processes.
fn ready_to_apply() -> Fleet {
    let fleet = with_secrets();
    let old = fleet.old_dir("Node-A").join("apigateway");
    let old = old.to_str().expect("UTF-8");
    let words = ["export", "--old_install_dir", old, "--anm_host", "Node-A"];
    fleet.sysupgrade("Node-A", &words, "root-2\nhunter-3\n").succeeded();
    fleet.upgrade("Node-A", &[]).succeeded();
    fleet.stop(&fleet.old_dir("Node-A"), "Node-A");
    fleet
}

const APPLY: [&str; 3] = ["apply", "--anm_host", "Node-A"];

#[test]
fn apply_asks_for_passphrase_username_and_password_in_that_order() {
    let fleet = ready_to_apply();
    let ran = fleet.sysupgrade("Node-A", &APPLY, "dragon-1\nroot-2\nhunter-3\n").succeeded();
    assert_eq!(ran.stderr, "Enter domain passphrase: \nEnter username: \nEnter password: \n");
    let last = fleet.invocations(&fleet.new_dir("Node-A")).pop().expect("an invocation");
    let seen =
        |name: &str, value: &str| SecretSeen { name: name.to_owned(), sha256: sha256_hex(value) };
    assert_eq!(
        last.secrets,
        [
            seen("domain_passphrase", "dragon-1"),
            seen("username", "root-2"),
            seen("password", "hunter-3")
        ]
    );
}

#[test]
fn apply_fails_when_stdin_ends_before_every_secret_was_given() {
    let fleet = ready_to_apply();
    for (stdin, text) in [
        ("", "No domain passphrase was given."),
        ("dragon-1\n", "No username was given."),
        ("dragon-1\nroot-2\n", "No password was given."),
    ] {
        fleet.sysupgrade("Node-A", &APPLY, stdin).failed(100, text);
    }
}

#[test]
fn apply_refuses_wrong_secrets_from_stdin_and_from_argv() {
    let fleet = ready_to_apply();
    let text = "The domain passphrase is incorrect.";
    fleet.sysupgrade("Node-A", &APPLY, "dragon-2\nroot-2\nhunter-3\n").failed(100, text);
    let wrong = [&APPLY[..], &["--password", "hunter-4"]].concat();
    let text = "The password is incorrect.";
    fleet.sysupgrade("Node-A", &wrong, "dragon-1\nroot-2\n").failed(100, text);
    let right = ["--domain_passphrase", "dragon-1", "--username=root-2", "--password", "hunter-3"];
    fleet.sysupgrade("Node-A", &[&APPLY[..], &right].concat(), "").succeeded();
}

#[test]
fn secrets_from_stdin_are_in_no_file_and_no_output() {
    let fleet = ready_to_apply();
    let ran = fleet.sysupgrade("Node-A", &APPLY, "dragon-1\nroot-2\nhunter-3\n").succeeded();
    let mut everything = format!("{}{}", ran.stdout, ran.stderr);
    read_all(fleet.root(), &mut everything);
    assert!(everything.contains(&sha256_hex("hunter-3")), "the search reads the record");
    for secret in ["dragon-1", "root-2", "hunter-3"] {
        assert!(!everything.contains(secret), "{secret} was written");
    }
}

fn read_all(dir: &Path, into: &mut String) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            into.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap_or_default()));
        }
    }
}

#[test]
fn a_finished_apply_is_refused_without_force() {
    let fleet = Fleet::running().prepared().applied(&["Node-A"]);
    fleet.apply("Node-A", "Node-A", &[]).failed(100, "sysupgrade apply is already complete");
}

#[test]
fn a_port_taken_by_a_stranger_fails_apply_with_the_bind_error() {
    let fleet = Fleet::running().prepared();
    fleet.stop(&fleet.old_dir("Node-A"), "Node-A");
    let port = fleet.node("Node-A").instances[0].traffic_port;
    let stranger = std::net::TcpListener::bind((fleet.address.as_str(), port)).expect("free");
    let text = "API Gateway 'Gateway 0' of group 'Gateway Group' did not start: ERROR: cannot bind";
    // The stranger accepts nothing: the look at the port waits for its limit and finds nobody.
    fleet.apply("Node-A", "Node-A", &[]).failed(100, text).failed(100, "Address already in use");
    drop(stranger);
    assert!(fleet.status("Node-A").starts_with("Current status: export and upgrade complete\n"));
}

#[test]
fn import_kps_comes_after_apply() {
    let fleet = Fleet::running().prepared();
    let words = ["import-kps", "--anm_host", "Node-A"];
    fleet.sysupgrade("Node-A", &words, "").failed(100, "You must run sysupgrade apply");
    let fleet = fleet.applied(&["Node-A"]);
    fleet.sysupgrade("Node-A", &words, "").succeeded();
    fleet.stop(&fleet.new_dir("Node-A"), "Node-A");
    let text = "Admin Node Manager on Node-A is not running.";
    fleet.sysupgrade("Node-A", &words, "").failed(100, text);
}
