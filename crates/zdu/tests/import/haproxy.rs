//! What becomes of backends and servers, without a HAProxy.

use zdu_config::Config;
use zdu_config::import::haproxy::{Answer, Server, from_answer};
use zdu_config::import::{ImportError, Imported};

/// `BACKEND/SERVER ADDRESS PORT`, each in a word; `-` is absent.
fn asked(servers: &[&str]) -> Answer {
    let servers = servers.iter().map(|text| {
        let words: Vec<&str> = text.split(' ').collect();
        let [name, address, port] = words[..] else { panic!("{text}") };
        let (backend, name) = name.split_once('/').expect("BACKEND/SERVER");
        Server {
            backend: backend.to_owned(),
            name: name.to_owned(),
            address: (address != "-").then(|| address.to_owned()),
            port: port.parse().ok(),
            ..Server::default()
        }
    });
    Answer {
        socket: "unix:/run/haproxy/admin.sock".to_owned(),
        version: "2.6.12".to_owned(),
        level: Some("admin".to_owned()),
        servers: servers.collect(),
    }
}

/// The configuration, as `zdu check` has it: loaded, and planned with roles that are looked up.
#[track_caller]
fn usable(imported: &Imported) -> Config {
    let files = std::collections::BTreeMap::from([(
        "zdu.yaml".to_owned(),
        imported.text.clone().into_bytes(),
    )]);
    let load = || zdu_config::load("zdu.yaml", &files);
    let config = load().unwrap_or_else(|found| panic!("{found:?}\n{}", imported.text));
    let mut prepared = zdu::prepare::prepared(config);
    drop(prepared.input.assume_roles());
    let planned = prepared.plan();
    assert!(planned.is_ok(), "{:?}\n{}", planned.err(), imported.text);
    load().expect("as before")
}

fn nodes(config: &Config) -> Vec<String> {
    let of_group = config.fleet.groups.iter().flat_map(|group| {
        group.nodes.iter().map(|node| {
            let members: Vec<String> = node.members.iter().map(ToString::to_string).collect();
            format!(
                "{}/{} {} {:?} {}",
                group.name,
                node.name,
                node.address,
                node.service_ports,
                members.join(" ")
            )
        })
    });
    of_group.collect()
}

fn imported(servers: &[&str]) -> (Imported, Vec<String>) {
    let imported = from_answer(&asked(servers)).expect("servers with addresses");
    let nodes = nodes(&usable(&imported));
    (imported, nodes)
}

#[test]
fn a_machine_in_several_backends_is_one_node_with_all_its_members() {
    let (told, nodes) = imported(&[
        "api/a 10.0.0.1 80",
        "api/b 10.0.0.2 80",
        "admin/a 10.0.0.1 90",
        "files/x 10.0.0.2 80",
        "files/a 10.0.0.9 80",
    ]);
    let wanted = [
        "api/a 10.0.0.1 [80, 90] edge/api/a edge/admin/a",
        "api/b 10.0.0.2 [80] edge/api/b edge/files/x",
        "files/files-a 10.0.0.9 [80] edge/files/a",
    ];
    assert_eq!(nodes, wanted, "{}", told.text);
    let about: Vec<&String> = told.decide.iter().filter(|text| text.contains("backend")).collect();
    assert_eq!(about.len(), 2, "{:?}", told.decide);
    assert!(about[0].contains("backend admin needs a group of its own: all of its servers"));
    assert!(about[1].contains("backend files needs a group of its own: some of its servers"));
    assert!(told.text.contains("# change: whether backend files needs a group"), "{}", told.text);
}

#[test]
fn servers_of_one_backend_with_one_address_are_nodes_told_apart_by_their_ports() {
    let (told, nodes) =
        imported(&["api/a 127.0.0.1 8001", "api/b 127.0.0.1 8002", "admin/a 127.0.0.1 8002"]);
    let wanted =
        ["api/a 127.0.0.1 [8001] edge/api/a", "api/b 127.0.0.1 [8002] edge/api/b edge/admin/a"];
    assert_eq!(nodes, wanted, "{}", told.text);
    assert!(told.text.contains("told apart by the port"), "{}", told.text);
    assert!(told.decide.iter().any(|text| text.contains("the balancer's own machine")), "{told:?}");
}

#[test]
fn servers_without_an_address_are_named_and_alone_are_refused() {
    let (told, nodes) = imported(&["api/a ::1 -", "api/sock - -", "api/b\u{1b}[2J 10.0.0.2 80"]);
    assert_eq!(nodes, ["api/a ::1 [] edge/api/a"], "{}", told.text);
    assert!(told.not_read[0].starts_with("api/sock, api/b\\u{1b}[2J: no IP address"), "{told:?}");
    assert!(!told.text.contains('\u{1b}'), "{}", told.text);
    assert_eq!(from_answer(&asked(&["api/sock - -"])), Err(ImportError::NoServer(1)));
}

#[test]
fn a_host_name_is_the_address_where_it_stands_for_one_machine() {
    let mut answer = asked(&["api/a 10.0.0.1 80", "api/b 10.0.0.2 80", "api/c 10.0.0.3 80"]);
    for (server, host) in answer.servers.iter_mut().zip(["a.example", "pool", "pool"]) {
        server.host = Some(host.to_owned());
    }
    let told = from_answer(&answer).expect("servers");
    let addresses: Vec<String> =
        usable(&told).fleet.nodes().map(|node| node.address.clone()).collect();
    assert_eq!(addresses, ["a.example", "10.0.0.2", "10.0.0.3"]);
}

#[test]
fn what_is_not_as_usual_is_told_and_stands_beside_the_node() {
    let mut answer = asked(&["api/a 10.0.0.1 80"]);
    answer.level = Some("operator".to_owned());
    answer.version = "2.6\nfleet: evil".to_owned();
    answer.servers[0].unusual = vec!["drained by a command".to_owned()];
    let told = from_answer(&answer).expect("a server");
    let config = usable(&told);
    assert_eq!(config.fleet.groups[0].min_available, 0);
    assert!(told.found[0].contains("the socket has level operator"), "{told:?}");
    assert_eq!(told.found[1], "api/a is drained by a command");
    for comment in ["# change: the socket has level operator", "# api/a is drained by a command."] {
        assert!(told.text.contains(comment), "{}", told.text);
    }
    assert!(told.text.starts_with("# Made from HAProxy 2.6\\nfleet: evil at unix:/run"));
}
