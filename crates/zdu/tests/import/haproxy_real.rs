//! A real HAProxy asked over its sockets, and what is none.

use crate::place::{Place, answer};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Upper bound of every wait; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// HAProxy in the foreground, gone when dropped.
struct Haproxy {
    place: Place,
    port: u16,
    child: Child,
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // Only this process; that it is gone already is no failure.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Haproxy {
    /// With three servers nobody listens for; `None` where it is not installed.
    fn start() -> Option<Self> {
        if Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_err() {
            skipped("there is no `haproxy` in PATH");
            return None;
        }
        let place = Place::new();
        // Free a moment ago, and nobody else asks for ports on this address.
        let (port, traffic) = (free_port(), free_port());
        let config = format!(
            "global\n\
             \x20 stats socket unix@admin.sock mode 600 level admin\n\
             \x20 stats socket unix@user.sock mode 600 level user\n\
             \x20 stats socket ipv4@127.0.0.1:{port} level admin\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n\
             \x20 timeout server 5s\n\
             frontend front\n  bind 127.0.0.1:{traffic}\n  default_backend api\n\
             backend api\n\
             \x20 server n1 127.0.0.2:8080 weight 10\n\
             \x20 server n2 127.0.0.3:8080 weight 10\n\
             \x20 server n3 127.0.0.4:8080 weight 10 disabled\n\
             backend admin\n  server n1 127.0.0.2:8090\n"
        );
        std::fs::write(place.path("h.cfg"), config).expect("written");
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f", "h.cfg"]).current_dir(place.path("."));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("haproxy starts");
        let haproxy = Self { place, port, child };
        let begin = Instant::now();
        while UnixStream::connect(haproxy.place.path("admin.sock")).is_err() {
            assert!(begin.elapsed() < PATIENCE, "haproxy does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(haproxy)
    }

    fn by_hand(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(self.place.path("admin.sock")).expect("it listens");
        stream.write_all(format!("{line}\n").as_bytes()).expect("sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("answered");
        reply
    }
}

fn skipped(why: &str) {
    let _told = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

#[test]
fn a_running_haproxy_becomes_a_configuration_by_a_path_and_by_a_port() {
    let Some(haproxy) = Haproxy::start() else { return };
    assert_eq!(haproxy.by_hand("set weight api/n1 4;set server api/n2 state drain"), "\n\n");
    let (told, text, config) = haproxy.place.import("haproxy", "admin.sock");
    let seen: Vec<String> = config
        .fleet
        .nodes()
        .map(|node| format!("{} {} {:?}", node.name, node.address, node.service_ports))
        .collect();
    let wanted = ["n1 127.0.0.2 [8080, 8090]", "n2 127.0.0.3 [8080]", "n3 127.0.0.4 [8080]"];
    assert_eq!(seen, wanted, "{text}");
    let members: Vec<String> =
        config.fleet.nodes().flat_map(|node| &node.members).map(ToString::to_string).collect();
    assert_eq!(members, ["edge/api/n1", "edge/admin/n1", "edge/api/n2", "edge/api/n3"]);
    let least: Vec<u32> = config.fleet.groups.iter().map(|group| group.min_available).collect();
    assert_eq!(least, [2]);
    let states = [
        "api/n1 is at weight 4 by a command; its configuration says 10",
        "api/n2 is drained by a command",
        "api/n3 is in maintenance",
    ];
    for state in states {
        assert!(told.err.contains(&format!("found: {state}\n")), "{}", told.err);
        assert!(text.contains(&format!("# {state}.\n")), "{text}");
    }
    let told = told.says("decide: the other instances of balancer `edge`");
    assert!(!told.err.contains("level"), "{}", told.err);
    // What the file names is what was asked, and can be asked from anywhere.
    let socket = haproxy.place.path("admin.sock");
    assert!(text.contains(&format!("socket: \"unix:{}\"", socket.display())), "{text}");

    let port = format!("127.0.0.1:{}", haproxy.port);
    let (_, by_port, _) = haproxy.place.import("haproxy", &port);
    let other = text.replace(&format!("unix:{}", socket.display()), &format!("tcp:{port}"));
    assert_eq!(by_port, other);
    // An import changes nothing.
    assert!(haproxy.by_hand("get weight api/n1").starts_with("4 (initial 10)"));
}

#[test]
fn a_socket_that_may_only_read_is_taken_and_told() {
    let Some(haproxy) = Haproxy::start() else { return };
    let (told, text, _) = haproxy.place.import("haproxy", "user.sock");
    let _told = told.says("found: the socket has level user: it can be read, and a drain needs");
    assert!(text.contains("# change: the socket has level user"), "{text}");
}

#[test]
fn a_socket_that_this_user_may_not_open_is_told_with_what_to_do() {
    let Some(haproxy) = Haproxy::start() else { return };
    let place = &haproxy.place;
    let socket = place.path("admin.sock");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).expect("set");
    let mut command =
        place.command(&["init", "--output", "-", "--from", "haproxy", "./admin.sock"]);
    if UnixStream::connect(&socket).is_ok() {
        // Root may open everything; somebody else may not, and must get here first.
        std::fs::set_permissions(place.path("."), std::fs::Permissions::from_mode(0o755))
            .expect("set");
        command.uid(65_534).gid(65_534);
        if let Err(error) = command.stdout(Stdio::null()).stderr(Stdio::null()).status() {
            skipped(&format!("another user cannot run the binary: {error}"));
            return;
        }
    }
    let told = answer(command.stdout(Stdio::piped()).stderr(Stdio::piped())).ends(69);
    let told = told.gives_nothing().says("Permission denied");
    let _told = told.says("hint: this user may not open the socket");
}

/// Answers everyone with `text`, or with nothing and an open connection.
fn serve(text: Option<&'static str>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    // Ends with the test's process.
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            match text {
                Some(text) => drop(stream.write_all(text.as_bytes())),
                None => silent.push(stream),
            }
        }
    });
    address
}

#[test]
fn what_is_no_haproxy_is_told_with_what_it_said_and_what_to_do() {
    let place = Place::new();
    let ask = |source: &str| place.zdu(&["init", "--from", "haproxy", source]).gives_nothing();
    let http = serve(Some("HTTP/1.1 400 Bad Request\r\n\r\n\u{1b}[2J"));
    let told = ask(&http).ends(69).says("not an HAProxy runtime API: it answered \"HTTP/1.1 400");
    let told = told.says("hint: a port that serves traffic or the statistics page is no runtime");
    assert!(!told.err.contains('\u{1b}'), "{}", told.err);
    let told = ask(&serve(None)).ends(69).says("did not answer within 5000 ms");
    let _told = told.says("hint: does HAProxy listen there?");
    let told = ask(&format!("127.0.0.1:{}", free_port())).ends(69).says("cannot be reached");
    let _told =
        told.says("hint: does HAProxy run?").says("`stats socket PATH mode 660 level admin`");
    let told = ask("/nowhere/admin.sock").ends(69).says("unix:/nowhere/admin.sock cannot be");
    let _told = told.says("hint: does HAProxy run?");
    let denied = ask(&serve(Some("Permission denied\n\n"))).ends(69);
    let _told = denied.says("permission denied by the socket");
    let empty = "Name: HAProxy\nVersion: 2\nPid: 7\nUptime_sec: 6\n\nadmin\n\n1\n# be_id be_name \
                 srv_name srv_addr\n\n# pxname,svname,type,-,\n\n";
    let told = ask(&serve(Some(empty))).ends(65).says("no server of this HAProxy has an address");
    let _told = told.says("hint: is it the socket of the process that balances");
    let _url = ask("http://127.0.0.1:80/stats").ends(64).says("the statistics page is no runtime");
    let _port = ask("127.0.0.1:http").ends(64).says("it is no HOST:PORT");
    assert!(!place.path("zdu.yaml").exists());
}
