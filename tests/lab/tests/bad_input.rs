//! Bad input of every kind: a clear error with a place and a hint, and nothing changed anywhere.

use std::fs;
use std::time::{Duration, Instant};

use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected, flipped};
use zdu_lab::rig::{Case, NODES, Ran, Rig, RigSpec, Side, await_some, tell, tell_load};
use zdu_model::verdict::exit;

const SOON: Duration = Duration::from_secs(90);

/// One change of a good `zdu.yaml`, the exit code, and what must be said: the place of a text in
/// the changed file, its last one, and words.
struct Bad {
    name: &'static str,
    from: &'static str,
    to: &'static str,
    exit: u8,
    at: Option<&'static str>,
    said: &'static [&'static str],
}

const BAD: [Bad; 10] = [
    Bad {
        name: "an unknown key",
        from: "min_available: 2",
        to: "min_availabel: 2",
        exit: exit::CONFIG,
        at: Some("min_availabel"),
        said: &["min_availabel", "hint", "did you mean `min_available`"],
    },
    Bad {
        name: "a wrong type",
        from: "min_available: 2",
        to: "min_available: two",
        exit: exit::CONFIG,
        at: Some("two"),
        said: &["min_available", "a whole number", "hint", "min_available: 1"],
    },
    Bad {
        name: "one host for all nodes",
        from: "  ssh: {",
        to: "  ssh: { host: somewhere,",
        exit: exit::CONFIG,
        at: Some("somewhere"),
        said: &["fleet.ssh.host", "hint", "give it to the node"],
    },
    Bad {
        name: "a node twice",
        from: "        node-b:\n",
        to: "        node-a:\n",
        exit: exit::CONFIG,
        at: Some("node-a:"),
        said: &["node-a"],
    },
    Bad {
        name: "a missing variable",
        from: "  new_install_dir",
        to: "  #new_install_dir",
        exit: exit::CONFIG,
        at: Some("old_install_dir"),
        said: &["new_install_dir", "hint"],
    },
    Bad {
        name: "an unknown procedure",
        from: "procedure: axway-apigateway",
        to: "procedure: axway-apigatewya",
        exit: exit::CONFIG,
        at: Some("axway-apigatewya"),
        said: &["axway-apigatewya", "`axway-apigateway`"],
    },
    Bad {
        name: "a member the balancer does not have",
        from: "edge/gateway/node-b",
        to: "edge/gateway/node-x",
        exit: exit::UNAVAILABLE,
        at: None,
        said: &["gateway/node-x", "hint"],
    },
    Bad {
        name: "a budget that can never be met",
        from: "min_available: 2",
        to: "min_available: 3",
        exit: exit::PLAN_REFUSED,
        at: None,
        said: &["min_available", "hint"],
    },
    Bad {
        name: "another release than the one that runs",
        from: "from: \"7.5.3\"",
        to: "from: \"7.5.2\"",
        exit: exit::UNAVAILABLE,
        at: None,
        said: &["7.5.2", "hint"],
    },
    Bad {
        name: "a secret whose file is missing",
        from: "anm_password\"",
        to: "anm_passwort\"",
        exit: exit::CONFIG,
        at: None,
        said: &["anm_passwort", "hint", "declared at", "zdu.yaml:"],
    },
];

#[test]
fn a_wrong_configuration_is_refused_with_its_place_and_a_hint_and_nothing_changes() {
    need_lab!();
    let rig = Rig::up("wrong", RigSpec::default()).expect("the rig comes up");
    let before = rig.snapshot().expect("hosts answer");
    let mut wrong = Vec::new();
    for bad in BAD {
        let case = rig.case("wrong").expect("files can be written");
        case.reconfigure(bad.from, bad.to).expect("the text is there");
        let began = Instant::now();
        let ran = case.run().expect("zdu ends");
        tell(format_args!("{}: exit {}, {:.1?}", bad.name, ran.code, began.elapsed()));
        wrong.extend(judged(bad.name, &ran, bad.exit, bad.said));
        let place = bad.at.map(|text| place(&case.yaml().expect("it was written"), text));
        for place in place.into_iter().filter(|place| !ran.stderr.contains(place)) {
            wrong.push(format!("{}: no {place:?} in {}", bad.name, ran.stderr));
        }
    }
    assert_eq!(rig.snapshot().expect("hosts answer"), before, "something was changed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_inconsistent_group_is_refused_by_preflight_with_the_instances_that_differ() {
    need_lab!();
    let rig = Rig::up("differs", RigSpec::default()).expect("the rig comes up");
    let case = rig.case("differs").expect("files can be written");
    case.zdu_on_config(&["preflight"]).expect("zdu ends").ended(0);
    // The Admin Node Manager learns of it when it starts.
    rig.edit_install("node-a", Side::Old, |spec| {
        spec.topology.nodes[1].instances[0].deployment = Some("another".to_owned());
    })
    .expect("it is changed");
    rig.restart_manager("node-a", Side::Old).expect("it restarts");
    let before = rig.snapshot().expect("hosts answer");
    let ran = case.run().expect("zdu ends").ended(exit::UNAVAILABLE);
    for word in ["within group-2", "instance-2 has another", "instance-1 and instance-3 have"] {
        assert!(ran.stderr.contains(word), "no {word:?} in {}", ran.stderr);
    }
    assert_eq!(rig.snapshot().expect("hosts answer"), before, "something was changed");
}

/// The last place of a text in `zdu.yaml` as diagnostics name it.
fn place(yaml: &str, text: &str) -> String {
    let before = &yaml[..yaml.rfind(text).expect("the change put it there")];
    let line = before.lines().count();
    let column = before.lines().last().map_or(0, |line| line.chars().count()) + 1;
    format!("zdu.yaml:{line}:{column}")
}

fn judged(name: &str, ran: &Ran, exit: u8, said: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    if ran.code != i32::from(exit) {
        wrong.push(format!("{name}: exit {}, wanted {exit}; {}", ran.code, ran.said()));
    }
    for word in said.iter().filter(|word| !ran.stderr.contains(**word)) {
        wrong.push(format!("{name}: no {word:?} in {}", ran.stderr));
    }
    wrong
}

#[test]
fn an_unreachable_node_and_a_changed_host_key_are_refused_before_anything_changes() {
    need_lab!();
    let rig = Rig::up("unreachable", RigSpec::default()).expect("the rig comes up");
    let before = rig.snapshot().expect("hosts answer");
    let case = rig.case("unreachable").expect("files can be written");

    rig.lab().host("node-c").cut().expect("nft works");
    let cut = case.run().expect("zdu ends");
    rig.lab().host("node-c").heal().expect("nft works");
    let known = fs::read_to_string(rig.lab().known_hosts()).expect("it is there");
    let lines: Vec<&str> = known.lines().collect();
    let key = |at: usize| lines[at].split_once(' ').expect("names and a key").1;
    let swapped = known.replace(key(1), key(2));
    assert_ne!(swapped, known);
    fs::write(rig.lab().known_hosts(), swapped).expect("it can be written");
    let changed = case.run().expect("zdu ends");
    fs::write(rig.lab().known_hosts(), known).expect("it can be written");

    let mut wrong = judged("an unreachable node", &cut, exit::UNAVAILABLE, &["node-c", "hint"]);
    let words = ["node-b", "ost key", "hint"];
    wrong.extend(judged("a changed host key", &changed, exit::UNAVAILABLE, &words));
    rig.await_members_up().expect("the cut is over");
    assert_eq!(rig.snapshot().expect("hosts answer"), before, "something was changed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_plan_that_was_altered_or_no_longer_fits_is_refused() {
    need_lab!();
    let rig = Rig::up("altered", RigSpec::default()).expect("the rig comes up");
    let before = rig.snapshot().expect("hosts answer");
    let case = rig.case("altered").expect("files can be written");
    let path = case.directory().join("plan.json");
    let plan = path.to_str().expect("a lab's path is text");
    case.zdu_on_config(&["plan", "--out", plan]).expect("zdu ends").ended(0);
    let config = case.config();
    let words = ["run", "--yes", "--plan", plan, "--config"];
    let words = [&words[..], &[config.to_str().expect("a lab's path is text")]].concat();

    let whole = fs::read_to_string(&path).expect("it was written");
    fs::write(&path, whole.replacen("Axway-7.7", "Axway-6.6", 1)).expect("it can be written");
    let altered = case.zdu(&words).expect("zdu ends");
    fs::write(&path, whole.replacen("\"format\": 1", "\"format\": 99", 1)).expect("written");
    let newer = case.zdu(&words).expect("zdu ends");
    fs::write(&path, &whole).expect("it can be written");
    case.reconfigure(
        "roles: [anm]\n          members: [edge/gateway/node-c]",
        "members: [edge/gateway/node-c]",
    )
    .expect("it is there");
    let other = case.zdu(&words).expect("zdu ends");

    let mut wrong = judged("an altered plan", &altered, exit::DATA, &["plan.json", "hint"]);
    wrong.extend(judged("a newer plan", &newer, exit::DATA, &["plan.json", "hint"]));
    wrong.extend(judged("another fleet", &other, exit::DATA, &["plan.json", "hint"]));
    assert_eq!(rig.snapshot().expect("hosts answer"), before, "something was changed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_journal_is_repaired_refused_or_left_alone_as_its_damage_says() {
    need_lab!();
    let rig = Rig::up("journal", RigSpec::default().with_apply_ms(1_500)).expect("the rig");
    let found = rig.servers_state().expect("both balancers answer");
    let case = rig.case("journal").expect("files can be written");
    let load = rig.load(|spec| spec.slow_ms = 1_000).expect("load flows");
    let running = case.start_run().expect("zdu starts");
    case.await_step("node-b", "drain", SOON).expect("the drain begins");

    // A second controller while the first lives.
    let second = case.zdu_on_config(&["run", "--yes"]).expect("zdu ends");
    let mut wrong = judged("a second controller", &second, exit::LEASE_HELD, &["hint"]);
    running.kill().expect("it can be killed");

    let id = "last";
    let journal = case.rollout_dir().expect("it ran").join("journal.jsonl");
    let whole = fs::read(&journal).expect("it was written");
    let resume = |case: &Case<'_>| case.zdu(&["resume", id, "--reason", "a test"]).expect("ends");
    fs::write(&journal, flipped(&whole, whole.len() / 2)).expect("it can be written");
    wrong.extend(judged("an altered record", &resume(&case), exit::DATA, &["journal", "hint"]));
    let newer = String::from_utf8_lossy(&whole).replacen("{\"v\":1,", "{\"v\":2,", 1);
    fs::write(&journal, newer).expect("it can be written");
    wrong.extend(judged("a newer journal", &resume(&case), exit::DATA, &["format 2", "hint"]));
    fs::write(&journal, &whole[..whole.len() - 10]).expect("it can be written");
    let resumed = case.resume("the tail was cut").expect("zdu ends").ended(0);
    let load = load.stop().expect("the load ends");
    assert!(resumed.stderr.contains("cut"), "the repair was not told: {}", resumed.stderr);
    assert_eq!(load.failed, 0, "{load}");
    checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_full_disk_stops_a_rollout_safely_and_room_lets_it_go_on() {
    need_lab!();
    let rig = Rig::up("full", RigSpec::default().with_apply_ms(2_000)).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    let case = rig.case("full").expect("files can be written");
    // A small file system in the mount namespace of a host: it goes away with the host.
    let host = rig.lab().host("lb-a");
    let made = host.sh("mkdir -p /run/small && \
                        mount -t tmpfs -o size=2m,mode=700 small /run/small");
    assert!(made.expect("the host is on").status.success());
    let small = host.path("/run/small").expect("the host is on");
    std::os::unix::fs::symlink(&small, case.state()).expect("the case has no state yet");
    let began = Instant::now();
    let load = rig.load(|spec| spec.slow_ms = 1_000).expect("load flows");
    let running = case.start_run().expect("zdu starts");
    case.await_step("node-a", "apply", SOON).expect("apply begins");
    fill(&small.join("filler"));

    let stopped = running.wait(SOON).expect("zdu ends");
    let mut wrong =
        judged("a full disk", &stopped, exit::JOURNAL_UNWRITABLE, &["No space left", "hint"]);
    let count = rig.releases().iter().filter(|release| *release != "-").count();
    assert!(count >= 2, "{:?}", rig.releases());
    fs::remove_file(small.join("filler")).expect("it is there");
    case.resume("there is room again").expect("zdu ends").ended(0);
    let load = load.stop().expect("the load ends");
    tell_load("full disk", began, &load);
    assert_eq!(load.failed, 0, "{load}");
    assert_eq!(rig.releases(), ["7.7"; 3]);
    for node in NODES {
        let count = rig.count(node, Side::New, "sysupgrade", "apply");
        assert_eq!(count.expect("it is recorded"), 1, "apply on {node}");
    }
    checks::after(&case, Expected { exit: 0, found: &found, left_out: &[] });
    wrong.retain(|text| !text.is_empty());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Writes until nothing more fits, also not a byte.
fn fill(path: &std::path::Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).expect("there is room for a name");
    for size in [65_536, 4_096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    await_some("a full disk", Duration::from_secs(1), || {
        fs::write(path.with_extension("more"), [0; 4096]).is_err().then_some(())
    })
    .expect("nothing more fits");
}
