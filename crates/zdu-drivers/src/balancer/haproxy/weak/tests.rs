use super::*;
use crate::balancer::haproxy::running;

const SOAK: Millis = Millis(60_000);

/// Two good servers of backend `api` behind frontend `front`.
fn process() -> Running {
    let server = |name: &str| {
        let seen = Server {
            status: Status::Up,
            check: Some("L7OK".to_owned()),
            tracked: None,
            agent: false,
            cookie: false,
            aborted: 0,
            reused: 10,
        };
        (("api".to_owned(), name.to_owned()), seen)
    };
    Running {
        version: "2.6.12".to_owned(),
        started_unix_s: Some(1000),
        files: Ok(vec!["/h.cfg".to_owned()]),
        fronts: ["front", "side"].map(str::to_owned).into(),
        backs: [("api".to_owned(), running::Back { http: Some(true), cookie: None })].into(),
        servers: ["n1", "n2"].map(server).into(),
        tables: BTreeSet::new(),
    }
}

const GLOBAL: &str = "global\n  server-state-file /var/lib/haproxy/state\n";
const DEFAULTS: &str = "defaults\n  mode http\n  option redispatch\n  \
    option idle-close-on-response\n  load-server-state-from-file global\n";
const PROXIES: &str = "frontend front\n  default_backend api\n\
    backend api\n  option httpchk\n  server n1 10.0.0.1:80 check\n  server n2 10.0.0.2:80 check\n";

fn file(text: &str) -> Read {
    let bytes = text.as_bytes().to_vec();
    Read::Files(vec![FileText { path: "/h.cfg".to_owned(), bytes, changed_unix_s: Some(1000) }])
}

/// What is found about both servers: rule, proxy, line, why.
fn found(running: &Running, read: &Read) -> Vec<(Rule, Option<String>, Option<u32>, String)> {
    let members = ["n1", "n2"].map(|name| MemberName::new("api", name));
    let all = weaknesses(&members, SOAK, running, read);
    all.into_iter().map(|w| (w.rule, w.proxy, w.place.map(|place| place.line), w.why)).collect()
}

fn rules(running: &Running, read: &Read) -> Vec<Rule> {
    found(running, read).into_iter().map(|(rule, ..)| rule).collect()
}

fn good() -> String {
    format!("{GLOBAL}{DEFAULTS}{PROXIES}")
}

#[test]
fn a_configuration_that_loses_nothing_has_nothing_said_about_it() {
    assert_eq!(found(&process(), &file(&good())), []);
}

#[test]
fn each_missing_statement_is_named_with_its_proxy_and_line() {
    let without = |text: &str| {
        let changed = good().replace(&format!("  {text}\n"), "\n");
        assert_ne!(changed, good());
        let mut found = found(&process(), &file(&changed));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        let (rule, proxy, line, why) = found.remove(0);
        (rule, proxy.expect("a proxy"), line.expect("a line"), why)
    };
    let (rule, proxy, line, why) = without("option idle-close-on-response");
    assert_eq!((rule, &*proxy, line), (Rule::IdleClose, "front", 8));
    assert!(why.contains("20 requests lost in 6 reloads"), "{why}");
    let (rule, proxy, line, why) = without("option redispatch");
    assert_eq!((rule, &*proxy, line), (Rule::NoRedispatch, "api", 10));
    assert!(why.starts_with("backend api has no `option redispatch`"), "{why}");
    let (rule, proxy, line, why) = without("load-server-state-from-file global");
    assert_eq!((rule, &*proxy, line), (Rule::StateForgotten, "api", 10));
    assert!(why.starts_with("backend api has no `load-server-state-from-file`"), "{why}");
    let (rule, _, _, why) = without("server-state-file /var/lib/haproxy/state");
    assert_eq!(rule, Rule::StateForgotten);
    assert!(why.starts_with("`global` has no `server-state-file`"), "{why}");
}

#[test]
fn retries_of_none_undo_a_redispatch() {
    let text = good().replace("backend api\n", "backend api\n  retries 0\n");
    assert_eq!(rules(&process(), &file(&text)), [Rule::NoRedispatch]);
}

#[test]
fn what_the_process_shows_needs_no_file() {
    let seen = |change: fn(&mut Running)| {
        let mut running = process();
        change(&mut running);
        let told = found(&running, &Read::Not("it is reached by TCP alone".to_owned()));
        let (first, rest) = told.split_first().expect("one at least");
        assert_eq!((first.0, first.3.as_str()), (Rule::NotRead, "it is reached by TCP alone"));
        rest.iter().map(|(rule, _, _, why)| (*rule, why.clone())).collect::<Vec<_>>()
    };
    fn n1(running: &mut Running) -> &mut Server {
        running.servers.get_mut(&("api".to_owned(), "n1".to_owned())).expect("it is there")
    }
    assert_eq!(seen(|_| {}), []);
    let one = |found: Vec<(Rule, String)>, rule: Rule, words: &str| {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == rule && found[0].1.contains(words), "{found:?}");
    };
    let port = seen(|running| n1(running).check = Some("L4OK".to_owned()));
    one(port, Rule::PortCheck, "the check of n1 ends when the port is open");
    let none = seen(|running| {
        n1(running).status = Status::NoCheck;
        n1(running).check = None;
    });
    one(none, Rule::NoCheck, "n1 has no check");
    one(seen(|running| n1(running).agent = true), Rule::Agent, "the agent of n1");
    let closing = seen(|running| n1(running).aborted = 7);
    one(closing, Rule::KeptToMember, "n1 ended 7 transfers");
    let closing_unused = seen(|running| (n1(running).aborted, n1(running).reused) = (7, 0));
    assert_eq!(closing_unused, []);
    let tcp = seen(|running| {
        running.backs.insert("api".to_owned(), running::Back { http: Some(false), cookie: None });
    });
    one(tcp, Rule::TcpMode, "backend api is in `mode tcp`");
    let table = seen(|running| running.tables = ["api".to_owned()].into());
    one(table, Rule::Persistence, "if a `stick` statement uses it");
}

#[test]
fn a_cookie_counts_where_servers_have_a_value_of_it() {
    let mut running = process();
    let cookie = Some("SRV".to_owned());
    running.backs.insert("api".to_owned(), running::Back { http: Some(true), cookie });
    assert_eq!(found(&running, &file(&good())), []);
    for server in running.servers.values_mut() {
        server.cookie = true;
    }
    let told = found(&running, &file(&good()));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].0, told[0].2), (Rule::Persistence, Some(10)));
    assert!(told[0].3.starts_with("clients of n1, n2 stay with their server by the cookie SRV"));
}

#[test]
fn a_server_that_follows_another_is_as_good_as_the_check_it_follows() {
    let mut running = process();
    let follows = Server {
        check: None,
        tracked: Some("other/n1".to_owned()),
        ..running.servers[&("api".to_owned(), "n1".to_owned())].clone()
    };
    let leads = Server { check: Some("L4OK".to_owned()), tracked: None, ..follows.clone() };
    running.servers.insert(("api".to_owned(), "n1".to_owned()), follows);
    running.servers.insert(("other".to_owned(), "n1".to_owned()), leads);
    assert_eq!(rules(&running, &file(&good())), [Rule::PortCheck]);
}

#[test]
fn sticking_and_a_slow_start_longer_than_the_soak_are_named_where_they_stand() {
    let text = good().replace("  option httpchk\n", "  option httpchk\n  stick on src\n");
    let told = found(&process(), &file(&text));
    assert_eq!((told.len(), told[0].0, told[0].2), (1, Rule::Persistence, Some(12)));
    let text = good().replace("n2 10.0.0.2:80 check", "n2 10.0.0.2:80 check slowstart 2m");
    let told = found(&process(), &file(&text));
    assert_eq!((told.len(), told[0].0, told[0].2), (1, Rule::SlowStart, Some(13)));
    assert!(
        told[0].3.starts_with(
            "n2 returns with `slowstart` 2m and the next node goes after a soak of 1m"
        )
    );
    let text = good().replace("n2 10.0.0.2:80 check", "n2 10.0.0.2:80 check slowstart 1m");
    assert_eq!(found(&process(), &file(&text)), []);
}

#[test]
fn only_frontends_that_lead_to_members_count_and_a_way_by_expression_is_told_as_one() {
    let no = "  no option idle-close-on-response\n";
    let with = |front: &str| found(&process(), &file(&format!("{}{front}", good())));
    assert_eq!(with(&format!("frontend side\n{no}  default_backend web\n")), []);
    assert_eq!(with(&format!("frontend gone\n{no}  default_backend api\n")), []);
    assert_eq!(with(&format!("frontend side\n{no}  mode tcp\n  default_backend api\n")), []);
    let named = with(&format!("frontend side\n{no}  use_backend api if {{ path /a }}\n"));
    assert_eq!((named.len(), named[0].0), (1, Rule::IdleClose));
    assert!(named[0].3.contains("measured"));
    let by_expression = with(&format!("frontend side\n{no}  use_backend %[path]\n"));
    assert_eq!(by_expression.len(), 1);
    let why = &by_expression[0].3;
    assert!(why.contains("chooses its backend at run time (/h.cfg:16)"), "{why}");
    assert!(!why.contains("measured"), "{why}");
    let condition = "  option idle-close-on-response\n.endif\n";
    let perhaps = with(&format!("frontend side\n{no}  default_backend api\n.if 1\n{condition}"));
    assert!(perhaps[0].3.contains("depends on a `.if` block"), "{perhaps:?}");
    let mode = "  mode tcp\n.if 1\n  mode http\n.endif\n  default_backend api\n";
    let perhaps = with(&format!("frontend side\n{no}{mode}"));
    assert!(perhaps[0].3.contains("depends on a `.if` block"), "{perhaps:?}");
    let old = Running { version: "2.2.9".to_owned(), ..process() };
    let text = good().replace("  option idle-close-on-response\n", "");
    assert_eq!(found(&old, &file(&text)), []);
}

#[test]
fn a_file_that_is_not_what_runs_is_told_and_not_judged() {
    let files = "frontend front\n  default_backend web\nbackend web\n";
    let told = found(&process(), &file(&format!("{GLOBAL}{DEFAULTS}{files}")));
    assert_eq!((told.len(), told[0].0), (1, Rule::NotRead));
    assert_eq!(told[0].3, "the files that the process names have no backend api");
    let bytes = good().into_bytes();
    let newer = |changed_unix_s| {
        let path = "/h.cfg".to_owned();
        Read::Files(vec![FileText { path, bytes: bytes.clone(), changed_unix_s }])
    };
    assert_eq!(rules(&process(), &newer(Some(1001))), [Rule::ChangedSince]);
    assert_eq!(rules(&process(), &newer(None)), []);
}

#[test]
fn many_members_are_named_by_three() {
    let names = ["a", "b", "c", "d", "e"];
    assert_eq!(listed(names.into_iter()).as_deref(), Some("a, b, c and 2 more"));
    assert_eq!(listed(names.into_iter().take(3)).as_deref(), Some("a, b, c"));
}
