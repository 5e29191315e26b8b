//! The laid-out fleet, alone and under the balancer and the traffic.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use zdu_drivers::balancer::Hold;
use zdu_drivers::balancer::MemberName;
use zdu_drivers::balancer::haproxy::{Endpoint, Instance};

use super::*;
use crate::demo::balancer::{Balancer, BalancerSpec};
use crate::demo::directory::tests::Scratch;
use crate::demo::traffic::Traffic;

/// Upper bound of every wait; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// The stand-ins' own program: a test program cannot be started again as one.
fn launcher() -> Launcher {
    static BUILT: Once = Once::new();
    let test_program = std::env::current_exe().unwrap();
    let program = test_program.parent().unwrap().parent().unwrap().join("zdu-double");
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "zdu-doubles", "--bin", "zdu-double"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    });
    Launcher { program, leading: Vec::new() }
}

fn up() -> (Scratch, DemoFleet) {
    let scratch = Scratch::new();
    let fleet = lay_out(&scratch.0, &launcher()).unwrap();
    (scratch, fleet)
}

/// Runs a tool of an installation; its exit code.
fn run(install: &Path, tool: &str, words: &[&str], stdin: &str) -> i32 {
    let tool = install.join("apigateway").join(tool);
    let mut child = Command::new(tool)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    child.wait().unwrap().code().unwrap()
}

const SYSUPGRADE: &str = "upgrade/bin/sysupgrade";
const STARTINSTANCE: &str = "posix/bin/startinstance";

impl DemoFleet {
    fn secret(&self, index: usize) -> String {
        fs::read_to_string(&self.secrets[index].1).unwrap() + "\n"
    }

    /// The phases before `apply` on every node, as the procedure runs them.
    fn prepare(&self) {
        let anm = self.nodes[0].address.to_string();
        for node in &self.nodes {
            let old = node.old_dir.join("apigateway");
            let old = old.to_str().unwrap();
            let words =
                ["export", "--old_install_dir", old, "--anm_host", &anm, "--username", USERNAME];
            assert_eq!(run(&node.new_dir, SYSUPGRADE, &words, &self.secret(0)), 0);
        }
        for node in &self.nodes {
            assert_eq!(run(&node.new_dir, SYSUPGRADE, &["upgrade", "--no_cassandra"], ""), 0);
        }
    }

    /// Stops the old processes of a node and applies the new ones.
    fn apply(&self, node: &DemoNode) -> i32 {
        let words = ["-n", &node.instance, "-g", &node.group, "-k"];
        assert_eq!(run(&node.old_dir, STARTINSTANCE, &words, ""), 0);
        assert_eq!(run(&node.old_dir, "posix/bin/nodemanager", &["-k"], ""), 0);
        let anm = self.nodes[0].address.to_string();
        let answers = self.secret(1) + &self.secret(0);
        run(
            &node.new_dir,
            SYSUPGRADE,
            &["apply", "--anm_host", &anm, "--username", USERNAME],
            &answers,
        )
    }
}

#[test]
fn the_fleet_is_up_at_once_and_teardown_ends_what_it_started() {
    drop(launcher());
    let begun = Instant::now();
    let (scratch, fleet) = up();
    let took = begun.elapsed();
    eprintln!("laid out and started in {took:?}");
    assert!(took < PATIENCE);
    let addresses: Vec<_> = fleet.nodes().iter().map(DemoNode::traffic).collect();
    for address in &addresses {
        std::net::TcpStream::connect(address).unwrap();
    }
    // A Node Manager and an instance on each of three nodes.
    assert_eq!(fleet.tear_down().unwrap(), 6);
    for address in &addresses {
        assert!(std::net::TcpStream::connect(address).is_err());
    }
    drop(scratch);
}

#[test]
fn secrets_are_for_their_owner_and_the_configuration_names_only_their_files() {
    let (scratch, fleet) = up();
    let front = "127.0.0.1:8080".parse().unwrap();
    let text = fleet.configuration(front, &scratch.0.join("s \"1\".sock"));
    for (index, (name, path)) in fleet.secrets.iter().enumerate() {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!text.contains(fleet.secret(index).trim()));
        assert!(text.contains(&format!("  {name}: \"file:{}\"\n", path.display())), "{text}");
    }
    assert_eq!(text.matches("local: true").count(), 3);
    assert_eq!(text.matches("members: [edge/gateway/node-").count(), 3);
    assert!(text.contains("socket: \"unix:") && text.contains("s \\\"1\\\".sock\""), "{text}");
    drop(fleet);
}

#[test]
fn a_planted_failure_strikes_in_its_phase_on_its_node_only() {
    let (_scratch, fleet) = up();
    fleet.plant(&"node-b:APPLY".parse().unwrap()).unwrap();
    fleet.prepare();
    assert_eq!(fleet.apply(&fleet.nodes[0]), 0);
    assert_eq!(fleet.apply(&fleet.nodes[1]), 100);
    assert_eq!(fleet.apply(&fleet.nodes[2]), 0);
    for (phase, exit) in [("EXPORT", 100), ("UPGRADE", 100)] {
        fleet.plant(&format!("node-c:{phase}").parse().unwrap()).unwrap();
        let word = phase.to_lowercase();
        assert_eq!(run(&fleet.nodes[2].new_dir, SYSUPGRADE, &[&word], ""), exit, "{phase}");
    }
    fleet.plant(&"node-c:pre-apply".parse().unwrap()).unwrap();
    let node = &fleet.nodes[2];
    let words = ["-n", &node.instance, "-g", &node.group, "-k"];
    assert_eq!(run(&node.old_dir, STARTINSTANCE, &words, ""), 1);
    let nobody = fleet.plant(&"node-x:APPLY".parse().unwrap()).unwrap_err();
    assert!(matches!(nobody, FleetError::NoSuchNode(_)));
    assert!("node-a:REST".parse::<FailAt>().is_err() && "APPLY".parse::<FailAt>().is_err());
}

#[test]
fn a_planted_failure_is_gone_once_its_cause_is_removed() {
    let (_scratch, fleet) = up();
    let cause = fleet.plant(&"node-b:EXPORT".parse().unwrap()).unwrap();
    let export = || run(&fleet.nodes[1].new_dir, SYSUPGRADE, &["export"], "");
    assert_eq!([export(), export()], [100, 100]);
    fs::remove_file(&cause).unwrap();
    // It exports and upgrades every node.
    fleet.prepare();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_by_hand_behind_the_balancer_loses_no_request() {
    let (scratch, fleet) = tokio::task::spawn_blocking(up).await.unwrap();
    let balancer = Balancer::start(BalancerSpec {
        backend: BACKEND.to_owned(),
        servers: fleet.servers(),
        check_path: CHECK_PATH.to_owned(),
        front: "127.0.0.1:0".parse().unwrap(),
        socket: scratch.0.join("balancer.sock"),
        api: None,
    })
    .await
    .unwrap();
    balancer.all_serve(PATIENCE).await.unwrap();
    let traffic = Traffic::start(balancer.front());
    let instance = Instance::new("edge", Endpoint::Unix(balancer.socket().to_owned()), PATIENCE);
    let fleet = std::sync::Arc::new(fleet);
    let shared = std::sync::Arc::clone(&fleet);
    tokio::task::spawn_blocking(move || shared.prepare()).await.unwrap();
    for index in 0..NODES.len() {
        let member = MemberName::new(BACKEND, fleet.nodes[index].name.clone());
        instance.hold(&member, Hold::Drain).await.unwrap();
        let drained = async {
            while instance.observe(BACKEND, &member.server).await.unwrap().1.scur > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, drained).await.expect("drained");
        let shared = std::sync::Arc::clone(&fleet);
        let apply = move || shared.apply(&shared.nodes[index]);
        assert_eq!(tokio::task::spawn_blocking(apply).await.unwrap(), 0);
        instance.hold(&member, Hold::Ready).await.unwrap();
        balancer.all_serve(PATIENCE).await.unwrap();
    }
    // Some answers of the last node on its new release.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let report = traffic.stop().await;
    eprintln!("{report}");
    assert_eq!(report.failures, []);
    let served: Vec<_> =
        report.served.iter().map(|one| (one.host.as_str(), one.version.as_str())).collect();
    let wanted = NODES.iter().flat_map(|node| [(node.0, "7.5.3"), (node.0, "7.7")]);
    assert_eq!(served, wanted.collect::<Vec<_>>());
}
