//! What preflight says of the configuration of a real HAProxy.

use serde_json::Value;
use std::collections::BTreeSet;
use zdu_lab::haproxy::CONFIG;
use zdu_lab::need_lab;
use zdu_lab::rig::{Case, NODES, Ran, Rig, RigSpec};

/// Not a word that anything else prints.
const PASSWORD: &str = "correct-horse-battery";

/// A configuration that loses requests in every way one can have. The members are as in the rig.
fn weak(rig: &Rig) -> String {
    let server = |(name, more): (&str, &str)| {
        let address = rig.lab().host(name).address();
        format!("    server {name} {address}:8080 cookie {name} {more}\n")
    };
    let [a, b, c] = NODES;
    let servers = [(a, "check inter 200ms slowstart 90s"), (b, "check inter 200ms"), (c, "")];
    let servers: String = servers.map(server).concat();
    format!(
        "global
    stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners
    hard-stop-after 60s
userlist people
    user joe insecure-password {PASSWORD}
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
defaults good
    mode http
    option idle-close-on-response
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend front from good
    bind *:80
    no option \"idle-close-on-response\" # the last word
    default_backend gateway
frontend by_host from good
    bind *:81
    no option idle-close-on-response
    use_backend %[req.hdr(host)]
frontend elsewhere from good
    bind *:82
    no option idle-close-on-response
    http-request auth unless {{ http_auth(people) }}
    default_backend nothing
backend nothing from good
backend gateway from good
    cookie SRV insert indirect nocache
    stick-table type ip size 1k expire 10m
    stick on src
{servers}"
    )
}

/// `rule`, proxy, and the line's first words; none where it is about no line.
type Told = (String, Option<String>, Option<String>);

fn told(case: &Case<'_>, instance: &str, text: &str) -> (Ran, BTreeSet<Told>) {
    let ran = case.zdu_on_config(&["preflight", "--json"]).expect("zdu ends").ended(0);
    let findings: Vec<Value> = serde_json::from_str(&ran.stdout).expect("it is JSON");
    let of = |finding: &&Value| finding["place"]["instance"] == instance;
    let words = |finding: &Value| {
        assert!(finding["problem"].is_null(), "{finding}");
        assert!(finding["warning"].is_string() && finding["hint"].is_string(), "{finding}");
        assert_eq!(finding["subject"], format!("edge/{instance}"));
        let place = &finding["place"];
        let word = |name: &str| place[name].as_str().map(str::to_owned);
        let line = place["line"].as_u64().map(|line| {
            assert_eq!(place["file"], CONFIG);
            let at = usize::try_from(line).expect("it is small") - 1;
            let line = text.lines().nth(at).expect("the file has it").trim();
            line.split(' ').take(2).collect::<Vec<_>>().join(" ")
        });
        (word("rule").expect("a rule"), word("proxy"), line)
    };
    let found = findings.iter().filter(of).map(words).collect();
    (ran, found)
}

#[test]
fn preflight_names_what_in_a_real_haproxy_loses_requests_and_stops_nothing() {
    need_lab!();
    let rig = Rig::up("weak", RigSpec::default()).expect("the rig comes up");
    let case = rig.case("weak").expect("files can be written");
    let host = rig.lab().host("lb-a");
    let good = host.read(CONFIG).expect("it is there");

    // The rig's own has none, and what is reached by TCP alone is said not to be looked at.
    assert_eq!(told(&case, "first", &good).1, BTreeSet::new());
    let (_, unseen) = told(&case, "second", &good);
    assert_eq!(unseen, BTreeSet::from([("not_read".to_owned(), None, None)]));
    let plan = case.zdu_on_config(&["plan"]).expect("zdu ends").ended(0);
    assert!(!plan.stderr.contains("in the configuration of HAProxy"), "{}", plan.stderr);

    let text = weak(&rig);
    host.write(CONFIG, &text).expect("it can be written");
    let [balancer, _] = rig.balancers();
    // It is not run yet, and nothing of it shows in the process.
    let (_, before) = told(&case, "first", &text);
    assert!(before.contains(&("changed_since".to_owned(), None, None)), "{before:?}");
    assert!(!before.iter().any(|(rule, ..)| rule == "port_check"), "{before:?}");
    balancer.reload(false).expect("HAProxy takes it");
    for node in &NODES[..2] {
        let server = format!("gateway/{node}");
        let up = std::time::Duration::from_secs(20);
        balancer.await_stat(&server, up, |stat| stat.is_up()).expect("it comes up");
    }

    let (ran, found) = told(&case, "first", &text);
    let wanted = [
        ("idle_close", "front", "frontend front"),
        ("idle_close", "by_host", "frontend by_host"),
        ("port_check", "gateway", "backend gateway"),
        ("no_check", "gateway", "backend gateway"),
        ("state_forgotten", "gateway", "backend gateway"),
        ("no_redispatch", "gateway", "backend gateway"),
        ("persistence", "gateway", "backend gateway"),
        ("persistence", "gateway", "stick on"),
        ("slow_start", "gateway", "server node-a"),
    ];
    let wanted = wanted.map(|(rule, proxy, line)| {
        (rule.to_owned(), Some(proxy.to_owned()), Some(line.to_owned()))
    });
    assert_eq!(found, BTreeSet::from(wanted), "{}", ran.stdout);

    let plain = case.zdu_on_config(&["preflight"]).expect("zdu ends").ended(0);
    let line = plain.stdout.lines().find(|line| line.contains("node-c has no check"));
    let line = line.expect("it is told");
    assert!(line.starts_with("warn   edge/first: a member's return is seen"), "{line}");
    assert!(plain.stderr.contains("hint: `option httpchk` with a path"), "{}", plain.stderr);
    let plan = case.zdu_on_config(&["plan"]).expect("zdu ends").ended(0);
    assert!(plan.stderr.contains("9 things in the configuration of HAProxy"), "{}", plan.stderr);
    for said in [ran, plain, plan] {
        assert!(!said.said().contains(PASSWORD), "{}", said.said());
    }

    host.remove(CONFIG).expect("it is there");
    let (ran, gone) = told(&case, "first", &text);
    assert!(gone.contains(&("not_read".to_owned(), None, None)), "{gone:?}");
    assert!(ran.stdout.contains(&format!("{CONFIG} is not there")), "{}", ran.stdout);
    // What the process shows is told all the same.
    let rules: BTreeSet<&str> = gone.iter().map(|(rule, ..)| rule.as_str()).collect();
    assert_eq!(rules, BTreeSet::from(["not_read", "no_check", "persistence", "port_check"]));
}
