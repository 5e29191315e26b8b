//! Starting, stopping and testing processes, what an instance answers, and that nothing outlives
//! its test.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use zdu_doubles::axway::{Launcher, Layout, sha256_hex, start_old, stop_everything};

use crate::fleet::{Fleet, launcher, receive, run, send, spawn};

const INSTANCE: [&str; 4] = ["-n", "Gateway 0", "-g", "Gateway Group"];

fn instance<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&INSTANCE[..], more].concat()
}

/// Waits for something that a process does by itself.
#[track_caller]
fn eventually(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !happened() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_start_returns_when_the_process_serves_and_a_stop_when_it_is_gone() {
    let fleet = Fleet::laid_out(|spec| {
        spec.delays.start_ms = 60;
        spec.delays.stop_ms = 60;
    });
    let layout = Layout::new(&fleet.old_dir("Node-A"));
    let port = fleet.node("Node-A").instances[0].traffic_port;
    for (tool, words, port) in [
        (layout.nodemanager(), vec![], fleet.node("Node-A").management_port),
        (layout.startinstance(), INSTANCE.to_vec(), port),
    ] {
        let with = |switch| run(&tool, &[&words[..], &[switch]].concat(), "");
        let listens = || TcpStream::connect((fleet.address.as_str(), port)).is_ok();
        with("-s").failed(1, "");
        with("-k").succeeded();
        with("-d").succeeded();
        assert!(listens());
        with("-s").succeeded();
        with("-d").failed(1, "Address already in use");
        with("-s").succeeded();
        with("-k").succeeded();
        assert!(!listens());
        with("-s").failed(1, "");
    }
}

#[test]
fn the_new_version_cannot_start_while_the_old_one_has_the_port() {
    let fleet = Fleet::running().prepared().applied(&["Node-A"]);
    fleet.stop(&fleet.new_dir("Node-A"), "Node-A");
    start_old(&fleet.old_dir("Node-A")).expect("the old one starts");
    let new = fleet.new_layout("Node-A");
    run(&new.startinstance(), &instance(&["-s"]), "").failed(1, "");
    let text = "did not start: ERROR: cannot bind";
    run(&new.startinstance(), &instance(&["-d"]), "").failed(1, text);
    run(&new.nodemanager(), &["-d"], "").failed(1, text);
    assert_eq!(fleet.traffic("Node-A", "/version").expect("an answer").body, "7.5.3");
}

#[test]
fn nothing_exists_to_be_started_before_apply() {
    let fleet = Fleet::laid_out(|_| {});
    let new = fleet.new_layout("Node-A");
    run(&new.nodemanager(), &["-d"], "").failed(1, "has not been created on this host");
    run(&new.startinstance(), &instance(&["-d"]), "").failed(1, "has not been created");
    assert_eq!(run(&new.startinstance(), &[], "").succeeded().stdout, "");
    let old = Layout::new(&fleet.old_dir("Node-A"));
    let stranger = ["-n", "Gateway 1", "-g", "Gateway Group", "-d"];
    run(&old.startinstance(), &stranger, "").failed(1, "has not been created on this host");
}

#[test]
fn without_arguments_startinstance_lists_the_local_instances() {
    let fleet = Fleet::laid_out(|_| {});
    let ran = run(&Layout::new(&fleet.old_dir("Node-C")).startinstance(), &[], "").succeeded();
    assert_eq!(ran.stdout, "startinstance -n \"Gateway 2\" -g \"GatewayManager Group\"\n");
}

#[test]
fn a_configured_passphrase_is_asked_for_and_checked() {
    let fleet = Fleet::laid_out(|spec| {
        spec.secrets.instance_passphrase = Some(sha256_hex("open sesame"));
    });
    let tool = Layout::new(&fleet.old_dir("Node-A")).startinstance();
    run(&tool, &instance(&["-d"]), "").failed(1, "No passphrase was given.");
    run(&tool, &instance(&["-d"]), "sesame\n").failed(1, "The passphrase is incorrect.");
    run(&tool, &instance(&["-d"]), "open sesame\n").succeeded();
    run(&tool, &instance(&["-s"]), "").succeeded();
}

#[test]
fn an_instance_says_who_it_is() {
    let fleet = Fleet::running();
    let root = fleet.traffic("Node-B", "/").expect("an answer");
    assert_eq!(root.json()["node"], "Node-B");
    assert!(root.head.contains("x-host: node-b"), "{root:?}");
    assert!(root.head.contains("x-version: 7.5.3"), "{root:?}");
    assert_eq!(fleet.traffic("Node-B", "/healthchecklb").expect("an answer").status, 200);
    assert_eq!(fleet.traffic("Node-B", "/nothing").expect("an answer").status, 404);
}

#[test]
fn a_stop_lets_the_running_request_finish_and_closes_its_connection() {
    let fleet = Fleet::running();
    let port = fleet.node("Node-A").instances[0].traffic_port;
    let connect = || TcpStream::connect((fleet.address.as_str(), port));
    let mut busy = connect().expect("it listens");
    // One answered request first: the connection is accepted and kept alive.
    send(&mut busy, "/", "").expect("sent");
    let first = receive(&mut busy).expect("an answer");
    assert!(!first.head.contains("connection: close"), "{first:?}");
    send(&mut busy, "/slow?ms=2000", "").expect("sent");
    eventually("the request runs", || {
        fleet.traffic("Node-A", "/double/gauge").is_some_and(|gauge| gauge.json()["running"] == 1)
    });
    let tool = Layout::new(&fleet.old_dir("Node-A")).startinstance();
    let stop = spawn(&tool, &instance(&["-k"]));
    eventually("the listener closes", || connect().is_err());
    let answer = receive(&mut busy).expect("the running request is answered");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close"), "{answer:?}");
    assert!(stop.wait_with_output().expect("ends").status.success());
}

#[test]
fn a_stopping_instance_first_tells_the_balancer_to_go_elsewhere() {
    let fleet = Fleet::with(|spec| spec.delays.health_lb_ms = 2_000);
    let tool = Layout::new(&fleet.old_dir("Node-A")).startinstance();
    let stop = spawn(&tool, &instance(&["-k"]));
    let status = |path| fleet.traffic("Node-A", path).map(|answer| answer.status);
    eventually("503 on /healthchecklb", || status("/healthchecklb") == Some(503));
    assert_eq!(status("/healthcheck"), Some(200));
    assert_eq!(status("/"), Some(200), "it still serves");
    assert!(stop.wait_with_output().expect("ends").status.success());
    assert_eq!(status("/"), None);
}

#[test]
fn processes_end_when_their_installation_disappears() {
    let fleet = Fleet::running();
    fs::remove_dir_all(fleet.old_dir("Node-A")).expect("removed");
    eventually("the instance ends", || fleet.traffic("Node-A", "/").is_none());
    assert!(fleet.traffic("Node-B", "/").is_some());
    let port = fleet.node("Node-A").management_port;
    eventually("the manager ends", || TcpStream::connect((fleet.address.as_str(), port)).is_err());
    assert!(!fleet.old_dir("Node-A").exists(), "nothing made the directory again");
}

#[test]
fn processes_end_when_their_life_is_over() {
    let fleet = Fleet::with(|spec| spec.life_ms_max = 1_500);
    eventually("the instance ends", || fleet.traffic("Node-A", "/").is_none());
}

/// Ends the stranger also when the test fails.
struct Stranger(Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn teardown_ends_every_process_of_the_fleet_and_no_stranger() {
    let fleet = Fleet::running();
    let mut stranger =
        Stranger(Command::new("sleep").arg("60").spawn().expect("a process of another kind"));
    let forged = format!("{{\"pid\": {}, \"start_ticks\": 1}}", stranger.0.id());
    fs::write(fleet.old_dir("Node-A").join("double-run/forged.pid"), forged).expect("written");
    assert_eq!(stop_everything(fleet.root()).expect("readable"), 6);
    for node in ["Node-A", "Node-B", "Node-C"] {
        assert!(fleet.traffic(node, "/").is_none());
    }
    assert!(stranger.0.try_wait().expect("a child").is_none(), "the stranger lives");
    assert_eq!(stop_everything(fleet.root()).expect("readable"), 0);
    assert_eq!(stop_everything(&fleet.root().join("nothing")).expect("no error"), 0);
}

#[test]
fn every_invocation_is_recorded_with_its_arguments_unchanged() {
    let fleet = Fleet::laid_out(|_| {});
    let words = ["-n", "a 'b' \"c\" $d\n*", "-g", "", "-s"];
    run(&Layout::new(&fleet.old_dir("Node-A")).startinstance(), &words, "").failed(1, "");
    let seen = fleet.invocations(&fleet.old_dir("Node-A"));
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].tool.as_str(), seen[0].exit), ("startinstance", Some(1)));
    assert_eq!(seen[0].argv, words);
}

#[test]
fn leading_words_of_the_launcher_come_before_the_tool_also_when_it_starts_itself() {
    // `env` stands for a program whose hidden command is reached through leading words.
    let fleet = Fleet::with(|spec| {
        let leading = vec![
            "LEADING=a 'word'".to_owned(),
            spec.launcher.program.to_str().expect("UTF-8").to_owned(),
        ];
        spec.launcher = Launcher { program: "/usr/bin/env".into(), leading };
    });
    assert!(fleet.traffic("Node-C", "/").is_some());
}

#[test]
fn a_script_can_lay_out_an_installation_and_stop_everything() {
    let fleet = Fleet::laid_out(|_| {});
    let json = fleet.root().join("spec.json");
    fs::rename(Layout::new(&fleet.old_dir("Node-A")).spec_file(), &json).expect("there was one");
    fs::remove_dir_all(fleet.old_dir("Node-A")).expect("removed");
    let program = launcher().program;
    let json = json.to_str().expect("UTF-8").to_owned();
    run(&program, &["lay-out", &json], "").succeeded();
    start_old(&fleet.old_dir("Node-A")).expect("it starts");
    run(&program, &["stop-everything", fleet.root().to_str().expect("UTF-8")], "").succeeded();
    assert!(fleet.traffic("Node-A", "/").is_none());
    run(&program, &["lay-out", "/nowhere.json"], "").failed(100, "failed to read /nowhere.json");
    run(&program, &["nothing", "/nowhere"], "").failed(100, "no installation in /nowhere");
}
