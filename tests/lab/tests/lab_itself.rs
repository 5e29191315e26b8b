//! The lab proves itself: each fault it can make is seen, and nothing of it stays.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zdu_lab::haproxy::{Haproxy, HaproxyConfig, ServerState};
use zdu_lab::load::{FailureKind, Habit, LoadReport, LoadSpec};
use zdu_lab::{Host, HostSpec, Lab, available, leftovers, program, sweep};

const GATEWAYS: [&str; 3] = ["node-a", "node-b", "node-c"];
const SSH: Duration = Duration::from_secs(10);

/// A machine without namespaces cannot run these tests; it has to say so.
macro_rules! need_lab {
    () => {
        if let Err(reason) = available() {
            eprintln!("SKIPPED, THE LAB IS NOT AVAILABLE: {reason}");
            return;
        }
    };
}

#[test]
fn hosts_answer_over_ssh_by_their_own_keys_and_keep_their_files_apart() {
    need_lab!();
    let lab = hosts("ssh", &["node-a", "node-b"]);
    for name in ["node-a", "node-b"] {
        let seen = ssh(
            &lab,
            name,
            &format!("hostname; echo {name} > /root/mine; id -un"),
        );
        assert_eq!(seen, format!("{name}\nroot\n"));
    }
    assert_eq!(ssh(&lab, "node-a", "cat /root/mine"), "node-a\n");
    let direct = lab
        .host("node-b")
        .sh("cat /root/mine; id -un")
        .expect("node-b is on");
    assert_eq!(String::from_utf8_lossy(&direct.stdout), "node-b\nroot\n");

    // The wrong host behind a known address is refused: keys are checked.
    let known = std::fs::read_to_string(lab.known_hosts()).expect("known_hosts is there");
    let swapped = known.replace("node-a,10.77.0.11", "node-x,10.77.0.99");
    let swapped = swapped.replace("node-b,10.77.0.12", "node-b,10.77.0.12,node-a,10.77.0.11");
    std::fs::write(lab.known_hosts(), swapped).expect("known_hosts can be written");
    let refused = lab.ssh("node-a", "true", SSH).expect("ssh ends");
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(255), "{complaint}");
    assert!(
        complaint.contains("Host key verification failed"),
        "{complaint}"
    );
}

#[test]
fn a_reboot_gives_a_new_boot_id_keeps_files_and_starts_services_again() {
    need_lab!();
    let lab = Lab::up("reboot", &[app("node-a")]).expect("the lab comes up");
    let node = lab.host("node-a");
    ssh(
        &lab,
        "node-a",
        "echo kept > /root/kept; echo lost > /run/lost",
    );
    let before = ssh(&lab, "node-a", "cat /proc/sys/kernel/random/boot_id");
    assert_eq!(before.trim(), node.boot_id().expect("the host is on"));
    let pid = node.service("status", "app").expect("svc answers");
    assert!(pid.starts_with("running "), "{pid}");

    node.reboot().expect("the host comes back");

    let after = ssh(&lab, "node-a", "cat /proc/sys/kernel/random/boot_id");
    assert_ne!(before, after);
    assert_ne!(
        after.trim(),
        machine_boot_id(),
        "the machine's own boot id shows"
    );
    assert_eq!(
        ssh(&lab, "node-a", "cat /root/kept; ls /run/lost 2>&1 | wc -l"),
        "kept\n1\n"
    );
    await_health(&lab, node);
    let zombies = "grep -l '^State:.Z' /proc/[0-9]*/status; true";
    assert_eq!(ssh(&lab, "node-a", zombies), "", "PID 1 takes in orphans");
}

#[test]
fn a_cut_is_silent_a_partition_is_partial_and_heal_brings_the_host_back() {
    need_lab!();
    let lab = hosts("cut", &["node-a", "node-b"]);
    let node = lab.host("node-a");
    let connect = ["ssh", "-o", "ConnectTimeout=1"];
    let try_ssh = |from: Option<&Host>| {
        let mut command = match from {
            None => lab.command(connect[0]),
            Some(host) => host.command("bash").expect("the host is on"),
        };
        match from {
            None => command.args(&connect[1..]).args(["node-a", "true"]),
            Some(_) => command.args(["-c", "timeout 1 bash -c '</dev/tcp/node-a/22'"]),
        };
        let began = Instant::now();
        let ended = command
            .stdin(Stdio::null())
            .output()
            .expect("the client starts");
        (ended.status.success(), began.elapsed())
    };
    assert!(try_ssh(None).0);

    node.cut().expect("nft works");
    let (reached, waited) = try_ssh(None);
    assert!(
        !reached && waited >= Duration::from_millis(900),
        "not silent: {waited:?}"
    );
    node.heal().expect("nft works");
    assert!(try_ssh(None).0);

    node.cut_from(&[lab.control_address()]).expect("nft works");
    assert!(!try_ssh(None).0, "the controller still reaches it");
    assert!(
        try_ssh(Some(lab.host("node-b"))).0,
        "its neighbour does not reach it"
    );
    node.heal().expect("nft works");

    node.link_down().expect("ip works");
    assert!(!try_ssh(None).0);
    node.link_up().expect("ip works");
    assert!(try_ssh(None).0);
}

#[test]
fn an_sshd_restart_ends_open_sessions_but_not_what_they_started() {
    need_lab!();
    let lab = hosts("sshd", &["node-a"]);
    let mut session = lab.command("ssh");
    session.args([
        "node-a",
        "echo begun > /root/begun; sleep 1; echo ran on > /root/result",
    ]);
    let began = Instant::now();
    let mut session = session
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ssh");
    await_file(lab.host("node-a"), "/root/begun", "begun\n");
    lab.host("node-a").restart_sshd().expect("sshd comes back");
    let status = session.wait().expect("ssh ends");
    assert_eq!(status.code(), Some(255));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "the session ended by itself"
    );
    assert_eq!(ssh(&lab, "node-a", "echo back"), "back\n");
    await_file(lab.host("node-a"), "/root/result", "ran on\n");
}

#[test]
fn a_reload_forgets_a_drain_unless_the_state_file_was_written() {
    need_lab!();
    let lab = hosts("reload", &["node-a", "lb-a"]);
    let config = HaproxyConfig::for_app(&[lab.host("node-a")]);
    let haproxy = lab.haproxy("lb-a", &config).expect("HAProxy starts");
    let found = haproxy.servers_state().expect("HAProxy answers");
    assert_eq!(
        found["app/node-a"],
        ServerState {
            admin: 0,
            weight: 1
        }
    );

    haproxy
        .set_state("app/node-a", "drain")
        .expect("HAProxy drains");
    let drained = haproxy.servers_state().expect("HAProxy answers");
    assert_eq!(drained["app/node-a"].admin, 8);
    haproxy.reload(true).expect("HAProxy reloads");
    assert_eq!(haproxy.servers_state().expect("HAProxy answers"), drained);
    haproxy.reload(false).expect("HAProxy reloads");
    assert_eq!(
        haproxy.servers_state().expect("HAProxy answers"),
        found,
        "left as found"
    );
    // Right after one another: a signal to a master that is not ready yet would be lost.
    for with_state_file in [true, false, true] {
        haproxy.reload(with_state_file).expect("HAProxy reloads");
    }

    assert!(
        haproxy.set_state("app/node-x", "drain").is_err(),
        "an unknown server is an error"
    );
    haproxy.stop().expect("HAProxy stops");
    assert!(haproxy.ask("show info").is_err());
    haproxy.start().expect("HAProxy starts again");
}

#[test]
fn a_drained_restart_loses_nothing_and_an_undrained_one_is_seen_to_lose() {
    need_lab!();
    let began = Instant::now();
    let mut specs: Vec<HostSpec> = GATEWAYS.iter().map(|name| app(name)).collect();
    specs.extend(["lb-a", "lb-b"].map(HostSpec::new));
    let lab = Lab::up("load", &specs).expect("the lab comes up");
    let gateways = GATEWAYS.map(|name| lab.host(name));
    let config = HaproxyConfig::for_app(&gateways);
    let start = |host| lab.haproxy(host, &config).expect("HAProxy starts");
    let balancers = ["lb-a", "lb-b"].map(start);
    await_up(&balancers);
    eprintln!("3 hosts and 2 HAProxy hosts up in {:?}", began.elapsed());

    let drained = roll(&lab, &balancers, Drain::Yes);
    eprintln!("drained: {drained}");
    assert_eq!(drained.failed, 0, "{drained}");
    for habit in [Habit::Close, Habit::Keepalive, Habit::Slow] {
        assert!(
            drained.habit(habit).ok > 0,
            "{habit:?} did nothing: {drained}"
        );
    }
    assert_eq!(drained.hosts.len(), 3, "{drained}");
    let versions: Vec<&String> = drained.versions.keys().collect();
    assert_eq!(versions, ["1", "2"], "{drained}");
    let held = drained.holds.iter().all(|hold| hold.completed);
    assert!(held && !drained.holds.is_empty(), "{:?}", drained.holds);

    let undrained = roll(&lab, &balancers, Drain::No);
    eprintln!("not drained: {undrained}");
    assert!(undrained.failed > 0, "{undrained}");
    assert_eq!(undrained.failures.len() as u64, undrained.failed);
}

#[test]
fn a_kept_connection_closed_without_a_word_is_a_lost_request() {
    need_lab!();
    let lab = Lab::up("reused", &[app("node-a")]).expect("the lab comes up");
    let node = lab.host("node-a");
    await_health(&lab, node);
    let target = SocketAddr::from((node.address(), 8080));
    // Slow to come back to its connection: the application has closed it meanwhile.
    let spec = LoadSpec {
        close: 0,
        keepalive: 2,
        slow: 0,
        rate: 2,
        duration_ms: 1_600,
        ..LoadSpec::on(&[target])
    };
    let load = lab.load(&spec).expect("load flows");
    node.service("restart", "app").expect("the app restarts");
    let report = load.finish().expect("the client reports");
    assert_eq!(
        report.kinds.get(&FailureKind::ReusedClosed),
        Some(&2),
        "{report}"
    );

    // Whereas an application that has a request to answer says that it closes.
    let spec = LoadSpec {
        close: 0,
        keepalive: 0,
        slow: 2,
        ..LoadSpec::on(&[target])
    };
    let load = lab.load(&spec).expect("load flows");
    node.service("stop", "app").expect("the app stops");
    let report = load.stop().expect("the client reports");
    assert!(report.habit(Habit::Slow).told_to_close >= 2, "{report}");
    assert_eq!(
        report.kinds.get(&FailureKind::ReusedClosed),
        None,
        "{report}"
    );
}

#[test]
fn two_labs_stand_side_by_side_and_each_leaves_nothing_behind() {
    need_lab!();
    let first = hosts("twin", &["node-a"]);
    let second = hosts("twin", &["node-a"]);
    ssh(&first, "node-a", "echo first > /root/which");
    ssh(&second, "node-a", "echo second > /root/which");
    assert_eq!(ssh(&first, "node-a", "cat /root/which"), "first\n");
    let names = [first.name().to_owned(), second.name().to_owned()];
    assert_ne!(names[0], names[1]);
    for name in &names {
        assert!(
            leftovers(name)
                .iter()
                .any(|line| line.starts_with("process")),
            "blind"
        );
        assert!(
            leftovers(name)
                .iter()
                .any(|line| line.starts_with("namespace")),
            "blind"
        );
    }
    drop(first);
    assert_eq!(leftovers(&names[0]), Vec::<String>::new());
    assert_eq!(ssh(&second, "node-a", "cat /root/which"), "second\n");

    // A client that still runs goes with its lab, and so does a lab that a panic unwinds.
    let mut client = second
        .command("sleep")
        .arg("60")
        .spawn()
        .expect("sleep starts");
    let panicked = std::thread::spawn(move || {
        let _second = second;
        panic!("on purpose: the lab has to go away in a panic as well");
    });
    assert!(panicked.join().is_err());
    assert_eq!(
        client.wait().expect("sleep ends").code(),
        None,
        "killed, not ended"
    );
    assert_eq!(leftovers(&names[1]), Vec::<String>::new());
}

#[test]
fn the_lab_of_a_killed_process_is_swept_away() {
    need_lab!();
    const INNER: &str = "ZDU_LAB_INNER";
    if std::env::var_os(INNER).is_some() {
        let lab = hosts("killed", &["node-a"]);
        std::fs::write(std::env::var(INNER).expect("set above"), lab.name()).expect("written");
        std::thread::sleep(Duration::from_secs(30));
        return;
    }
    let note = std::env::temp_dir().join(format!("zdu-lab-note-{}", std::process::id()));
    let _ = std::fs::remove_file(&note);
    let mut maker = Command::new(std::env::current_exe().expect("this test has a path"))
        .args([
            "--exact",
            "the_lab_of_a_killed_process_is_swept_away",
            "--nocapture",
        ])
        .env(INNER, &note)
        .spawn()
        .expect("the inner test starts");
    let until = Instant::now() + Duration::from_secs(20);
    let name = loop {
        let name = std::fs::read_to_string(&note).unwrap_or_default();
        if !name.is_empty() || Instant::now() > until {
            break name;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    maker.kill().expect("the inner test runs");
    maker.wait().expect("the inner test was killed");
    std::fs::remove_file(&note).expect("the inner test wrote its note");
    assert!(!leftovers(&name).is_empty(), "nothing to sweep: {name:?}");
    // Another test's lab may have swept it first: what counts is that it is gone.
    sweep().expect("dead labs can be removed");
    assert_eq!(leftovers(&name), Vec::<String>::new());
}

#[derive(Clone, Copy, PartialEq)]
enum Drain {
    Yes,
    No,
}

/// Kills and upgrades the application on each host in turn while load flows over both balancers.
fn roll(lab: &Lab, balancers: &[Haproxy<'_>], drain: Drain) -> LoadReport {
    let fronts: Vec<SocketAddr> = balancers.iter().map(|haproxy| haproxy.front(80)).collect();
    let spec = LoadSpec {
        slow: 4,
        hold: 2,
        hold_ms: 700,
        ..LoadSpec::on(&fronts)
    };
    let load = lab.load(&spec).expect("load flows");
    let before = balancers
        .iter()
        .map(|haproxy| haproxy.servers_state().expect("state"));
    let before: Vec<_> = before.collect();
    for host in GATEWAYS.map(|name| lab.host(name)) {
        let server = format!("app/{}", host.name());
        if drain == Drain::Yes {
            for haproxy in balancers {
                haproxy.set_state(&server, "drain").expect("HAProxy drains");
            }
            for haproxy in balancers {
                let empty =
                    |stat: &zdu_lab::haproxy::Stat| stat.number("scur") + stat.number("qcur") == 0;
                haproxy
                    .await_stat(&server, SSH, empty)
                    .expect("requests end");
            }
        }
        host.service("kill", "app").expect("the app dies");
        host.write("/opt/zdu-lab/release/version", "2\n")
            .expect("the host is on");
        host.service("start", "app").expect("the app starts");
        await_health(lab, host);
        if drain == Drain::Yes {
            for haproxy in balancers {
                haproxy
                    .set_state(&server, "ready")
                    .expect("HAProxy readies");
            }
        }
        await_up(balancers);
    }
    let report = load.stop().expect("the client reports");
    let after = balancers
        .iter()
        .map(|haproxy| haproxy.servers_state().expect("state"));
    assert_eq!(
        after.collect::<Vec<_>>(),
        before,
        "the balancers are not left as found"
    );
    report
}

fn app(name: &str) -> HostSpec {
    HostSpec::app(name, "1\n").expect("zdu-lab-app was built")
}

fn hosts(prefix: &str, names: &[&str]) -> Lab {
    assert!(
        program("zdu-lab-app").is_ok(),
        "cargo builds the programs before this test"
    );
    let specs: Vec<HostSpec> = names.iter().map(|name| HostSpec::new(name)).collect();
    Lab::up(prefix, &specs).expect("the lab comes up")
}

fn ssh(lab: &Lab, host: &str, script: &str) -> String {
    let ended = lab.ssh(host, script, SSH).expect("ssh ends");
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{script} on {host}: {complaint}");
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

fn machine_boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux");
    id.trim().to_owned()
}

fn await_health(lab: &Lab, host: &Host) {
    let at = SocketAddr::from((host.address(), 8080));
    let healthy = || matches!(lab.http_get(at, "/health"), Ok((200, _)));
    await_true(&format!("{} is healthy", host.name()), healthy);
}

fn await_file(host: &Host, path: &str, wanted: &str) {
    let there = || host.read(path).is_ok_and(|text| text == wanted);
    await_true(&format!("{path} says {wanted}"), there);
}

fn await_up(balancers: &[Haproxy<'_>]) {
    for haproxy in balancers {
        for name in GATEWAYS {
            let server = format!("app/{name}");
            let up = |stat: &zdu_lab::haproxy::Stat| {
                stat.is_up() && stat.column("check_status") == "L7OK"
            };
            haproxy
                .await_stat(&server, SSH, up)
                .expect("servers come up");
        }
    }
}

fn await_true(what: &str, mut truth: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !truth() {
        assert!(Instant::now() < until, "not in 10 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
