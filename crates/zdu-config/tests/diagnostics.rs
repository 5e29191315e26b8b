//! Every kind of mistake in `zdu.yaml`, and what a person reads about it.

use std::collections::BTreeMap;
use zdu_config::load;

const PROCEDURE: &str = "\
name: simple
summary: restarts
phases: [ { name: APPLY, exit: 73 }, { name: ROLLBACK, exit: 75 } ]
rollback_phase: ROLLBACK
vars: { dir: { help: where it lives }, port: { help: port, default: \"80\" },
  wait: { type: span, help: how long, default: 5s } }
secrets: { anm_password: the password }
roles: { anm: { help: managers } }
stages:
  - name: apply
    over: rolling
    drain_phase: APPLY
    return_phase: APPLY
    steps: [ { id: restart, phase: APPLY, run: { argv: [restart, \"{{ vars.dir }}\"] } } ]
";

const GOOD: &str = "\
fleet:
  balancers:
    edge: { driver: haproxy, instances: [ { socket: unix:/run/h.sock, via: lb-a } ] }
  groups:
    web:
      min_available: 1
      nodes:
        a: { address: 10.0.0.1, members: [ edge/web/a ] }
        b: { address: 10.0.0.2, members: [ edge/web/b ] }
procedure: ./simple.yaml
release: { from: 7.9, to: 7.10 }
vars: { dir: /opt }
secrets: { anm_password: env:PW }
";

fn files(main: &[u8], more: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::from([
        ("zdu.yaml".to_owned(), main.to_vec()),
        ("simple.yaml".to_owned(), PROCEDURE.as_bytes().to_vec()),
    ]);
    for (name, text) in more {
        all.insert((*name).to_owned(), text.as_bytes().to_vec());
    }
    all
}

fn found(main: &[u8], more: &[(&str, &str)]) -> String {
    let list = match load("zdu.yaml", &files(main, more)) {
        Ok(config) => config.warnings,
        Err(list) => list,
    };
    let lines: Vec<String> = list.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The good configuration with one part replaced.
#[track_caller]
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from:?} is not in the good text");
    found(GOOD.replacen(from, to, 1).as_bytes(), &[])
}

#[test]
fn a_good_configuration_loads_and_keeps_order_and_numbers_as_written() {
    let config = load("zdu.yaml", &files(GOOD.as_bytes(), &[])).expect("it is good");
    assert_eq!(config.release.to, "7.10");
    assert_eq!(config.fleet.name.as_str(), "zdu");
    let names: Vec<_> = config.fleet.nodes().map(|n| n.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(config.fleet.hosts.keys().any(|host| host.as_str() == "lb-a"));
    assert!(config.warnings.is_empty());
    let places: Vec<_> = config.secret_places.values().map(String::as_str).collect();
    assert_eq!(places, ["zdu.yaml:13:26"]);
    assert_eq!(config.procedure_source, "simple.yaml");
}

#[test]
fn instances_without_a_name_get_their_balancers_where_another_one_has_it() {
    let more = "via: lb-a } ] }\n    inner: { driver: haproxy, instances: \
                [ { socket: unix:/run/i.sock, via: lb-a }, { socket: tcp:x:1 } ] }\n    \
                third: { driver: haproxy, \
                instances: [ { socket: tcp:x:3 }, { socket: tcp:x:2 } ] }\n";
    let text = GOOD.replacen("via: lb-a } ] }\n", more, 1);
    let config = load("zdu.yaml", &files(text.as_bytes(), &[])).expect("it is good");
    let names: Vec<_> = config
        .fleet
        .balancers
        .values()
        .flat_map(|balancer| &balancer.instances)
        .map(|instance| instance.name.as_str())
        .collect();
    assert_eq!(names, ["lb-a", "inner-lb-a", "2", "1", "third-2"]);
}

#[test]
fn json_is_accepted_as_yaml() {
    let json = r#"{"fleet":{"groups":{"web":{"min_available":0,"nodes":{"a":{"address":"x"}}}}},
"procedure":"./simple.yaml","release":{"from":"1","to":"2"},"vars":{"dir":"/opt"},
"secrets":{"anm_password":"env:PW"}}"#;
    assert_eq!(found(json.as_bytes(), &[]), "");
}

#[test]
fn a_place_that_may_hold_a_secret_is_marked_and_never_quoted() {
    let plain = "anm_password: hunter2";
    let written = [
        format!("secrets: {{ {plain} }}"),
        "secrets: { anm_password: [hunter2] }".to_owned(),
        "secrets: hunter2".to_owned(),
        format!("secrets: {{ anm_password: env:PW, {plain} }}"),
        format!("secrets: {{ anm_password: env:PW }}\npolicy: {{}}\nvars: {{ {plain} }}"),
        "secrets: { anm_password: env:PW, other: hunter2 }".to_owned(),
    ];
    for secrets in written {
        let text = GOOD.replace("secrets: { anm_password: env:PW }", &secrets);
        let text =
            text.replacen("vars: { dir: /opt }\n", "", usize::from(secrets.contains("vars")));
        let list = load("zdu.yaml", &files(text.as_bytes(), &[])).expect_err("it is wrong");
        assert!(list.iter().all(|d| !d.to_string().contains("hunter2")), "{list:?}");
        let line = |d: &zdu_config::Diagnostic| {
            let line = usize::try_from(d.line).expect("a line") - 1;
            text.lines().nth(line).is_some_and(|line| line.contains("hunter2"))
        };
        let shown: Vec<_> = list.iter().filter(|d| line(d) && !d.conceal).collect();
        assert!(shown.is_empty(), "{shown:?}");
    }
}

/// The good configuration with `include: [b.yaml]` before it.
fn including(name: &str, text: &str) -> String {
    let main = format!("include: [b.yaml]\n{GOOD}");
    found(main.as_bytes(), &[(name, text)])
}

/// Tests of one mistake each: what is found, and all that is said about it.
macro_rules! mistakes {
    ($($name:ident: $found:expr => $said:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!($found, $said);
        }
    )*};
}

mistakes! {
    an_unknown_key_names_the_near_one: with("min_available", "min_availabel") => "\
zdu.yaml:6:7: unknown key `min_availabel` in `groups.web`\n\
hint: did you mean `min_available`?";
    a_number_that_is_none: with("min_available: 1", "min_available: one") => "\
zdu.yaml:6:22: `web.min_available` must be a whole number\n\
hint: write it like `min_available: 1`";
    a_host_for_the_whole_fleet: with("fleet:\n", "fleet:\n  ssh: { host: x }\n") => "\
zdu.yaml:2:16: `fleet.ssh.host` would be one host for all nodes\n\
hint: give it to the node: `ssh: { host: ... }`; without it a node's address is used";
    a_list_where_a_map_belongs: with("vars: { dir: /opt }", "vars: [dir]") => "\
zdu.yaml:12:7: `vars` must be a map, not a list\n\
hint: write it like `vars: { KEY: VALUE }`";
    a_word_that_is_neither_true_nor_false: with("address: 10.0.0.1", "local: yes") => "\
zdu.yaml:8:21: `a.local` must be true or false\n\
hint: write it like `local: true`";
    a_single_value_where_a_list_belongs: with("[ edge/web/a ]", "edge/web/a") => "\
zdu.yaml:8:42: `a.members` must be a list, not a single value\n\
hint: put it in brackets: `[ ... ]`";
    a_node_in_two_groups: with(
        "procedure:",
        "    api: { min_available: 0, nodes: { a: {} } }\nprocedure:"
    ) => "\
zdu.yaml:10:39: the node `a` is declared twice\n\
hint: the first is at zdu.yaml:8:9; a node stands in exactly one group";
    a_key_given_twice: with("release:", "procedure: x\nrelease:") => "\
zdu.yaml:11:1: the key `procedure` is given twice\n\
hint: the first is at zdu.yaml:10:1";
    a_missing_variable_tells_what_it_is_for: with("vars: { dir: /opt }", "") => "\
zdu.yaml:1:1: the variable `dir` is missing in `vars`\n\
hint: dir: where it lives";
    a_variable_nobody_knows: with("dir: /opt", "dir: /opt, prt: 1") => "\
zdu.yaml:12:20: the procedure `simple` has no variable `prt`\n\
hint: did you mean `port`?";
    a_variable_that_must_be_a_span_and_is_a_number: with("dir: /opt", "dir: /opt, wait: 30") => "\
zdu.yaml:12:26: `30` is not a span of time\n\
hint: a unit is missing: `30s`, `30ms` or `30m`?";
    a_span_of_one_node_that_is_none: with("address: 10.0.0.1", "vars: { wait: soon }") => "\
zdu.yaml:8:28: `soon` is not a span of time\n\
hint: write it like `250ms`, `30s`, `5m`, `1h` or `1m30s`";
    a_secret_among_the_variables: with("dir: /opt", "dir: /opt, anm_password: hunter2") => "\
zdu.yaml:12:20: `anm_password` is a secret, not a variable\n\
hint: put it under `secrets`, as `env:NAME`, `file:PATH` or `command:PROGRAM`";
    a_procedure_that_is_not_built_in: with("./simple.yaml", "axway-apigatway") => "\
zdu.yaml:10:12: there is no built-in procedure `axway-apigatway`\n\
hint: did you mean `axway-apigateway`?\n\
hint: your own is named by its path: `./axway-apigatway.yaml`";
    a_procedure_file_that_is_not_there: with("./simple.yaml", "./simpel.yaml") => "\
zdu.yaml:10:12: the procedure `simpel.yaml` cannot be read: no such file";
    a_member_in_another_form: with("edge/web/a", "edge-web-a") => "\
zdu.yaml:8:44: `edge-web-a` is not a member\n\
hint: write `BALANCER/BACKEND/SERVER`, such as `edge/gateway/node-a`";
    a_member_with_a_blank: with("edge/web/a", "edge/web/a b") => "\
zdu.yaml:8:44: `a b` in a member is not a backend or server name\n\
hint: letters, digits, `-`, `_`, `.` and `:` are allowed";
    a_member_of_an_unknown_balancer: with("edge/web/a", "egde/web/a") => "\
zdu.yaml:8:44: there is no balancer `egde`\n\
hint: did you mean `edge`?";
    a_member_two_nodes_share: with("edge/web/b", "edge/web/a") => "\
zdu.yaml:9:44: the member `edge/web/a` is given twice\n\
hint: it already belongs to `a`, at zdu.yaml:8:44";
    two_balancers_with_an_instance_of_one_given_name: with(
        "via: lb-a } ] }\n",
        "via: lb-a } ] }\n    inner: { driver: haproxy, \
         instances: [ { name: lb-a, socket: tcp:x:1 } ] }\n"
    ) => "\
zdu.yaml:4:52: another balancer has an instance `lb-a` too\n\
hint: it is one of `edge`, at zdu.yaml:3:43: what is told of an instance names no balancer";
    an_instance_given_twice_under_two_names: with(
        "via: lb-a } ] }",
        "via: lb-a }, { name: lb-b, socket: unix:/run/h.sock, via: lb-a } ] }"
    ) => "\
zdu.yaml:3:84: two instances have one socket: one of them would never be drained\n\
hint: the first is at zdu.yaml:3:43; is the `via` a copy?";
    an_instance_of_two_balancers: with(
        "via: lb-a } ] }\n",
        "via: lb-a } ] }\n    inner: { driver: haproxy, \
         instances: [ { name: x, socket: unix:/run/h.sock, via: lb-a } ] }\n"
    ) => "\
zdu.yaml:4:44: two instances have one socket: one of them would never be drained\n\
hint: the first is at zdu.yaml:3:43; is the `via` a copy?";
    two_hosts_that_are_one_with_one_socket: with(
        "  balancers:\n    edge: { driver: haproxy, instances: [ {",
        "  hosts: { lb-a: { address: x }, lb-b: { address: x } }\n  balancers:\n    \
         edge: { driver: haproxy, instances: [ { socket: unix:/run/h.sock, via: lb-b }, {"
    ) => "\
zdu.yaml:4:84: two instances have one socket: one of them would never be drained\n\
hint: the first is at zdu.yaml:4:43; is the `via` a copy?";
    a_tcp_socket_given_twice: with(
        "{ socket: unix:/run/h.sock, via: lb-a }",
        "{ socket: tcp:x:1 }, { socket: tcp:x:1 }"
    ) => "\
zdu.yaml:3:64: two instances have one socket: one of them would never be drained\n\
hint: the first is at zdu.yaml:3:43; is the `socket` a copy?";
    two_instances_that_one_host_names: with(
        "via: lb-a } ] }",
        "via: lb-a }, { socket: unix:/run/i.sock, via: lb-a } ] }"
    ) => "\
zdu.yaml:3:84: there are two instances `lb-a`\n\
hint: the first is at zdu.yaml:3:43; is the `via` a copy? if one host has both, give each a `name` \
of its own";
    a_budget_that_can_never_be_met: with("min_available: 1", "min_available: 3") => "\
zdu.yaml:6:22: min_available is 3 and the group has 2 nodes\n\
hint: a budget that can never be met; how many must serve while one is out?";
    a_budget_that_lets_no_node_leave_is_a_warning: with(
        "min_available: 1",
        "min_available: 2"
    ) => "\
zdu.yaml:6:22: warning: min_available is 2 of 2: no node may ever leave\n\
hint: a rolling stage needs one to spare: at most 1";
    a_role_the_procedure_does_not_know: with("address: 10.0.0.1", "roles: [amn]") => "\
zdu.yaml:8:22: the procedure `simple` knows no role `amn`\n\
hint: did you mean `anm`?";
    a_rule_with_an_unknown_phase: with(
        "vars:",
        "policy: { on_failure: [ { phase: APLY, do: hold } ] }\nvars:"
    ) => "\
zdu.yaml:12:34: there is no phase `APLY`\n\
hint: did you mean `APPLY`?";
    a_rule_with_an_unknown_action: with(
        "vars:",
        "policy: { on_failure: [ { do: rollback } ] }\nvars:"
    ) => "\
zdu.yaml:12:31: `on_failure.do` cannot be `rollback`\n\
hint: one of: retry, rollback_node, rollback_wave, rollback_rollout, hold, go_on, stop";
    bad_spans_and_sizes_are_all_reported: with(
        "vars:",
        "policy: { soak: 30, drain_deadline: soon, wave: [0, \"200%\"] }\nvars:"
    ) => "\
zdu.yaml:12:17: `30` is not a span of time\n\
hint: a unit is missing: `30s`, `30ms` or `30m`?\n\
zdu.yaml:12:37: `soon` is not a span of time\n\
hint: write it like `250ms`, `30s`, `5m`, `1h` or `1m30s`\n\
zdu.yaml:12:50: `0` is not a wave size\n\
hint: a number of nodes from 1 (`2`) or a share from 1 to 100 percent (`\"25%\"`)\n\
zdu.yaml:12:53: `200%` is not a wave size\n\
hint: a number of nodes from 1 (`2`) or a share from 1 to 100 percent (`\"25%\"`)";
    a_name_that_looks_like_an_option: with("a: {", "-a b: {") => "\
zdu.yaml:8:9: `-a b` is not a valid name: it must begin with a letter, a digit or an underscore";
    a_secret_in_plain_text_is_not_repeated: with("env:PW", "hunter2") => "\
zdu.yaml:13:26: the secret `anm_password` must not stand in the file\n\
hint: say where it comes from: `env:NAME`, `file:PATH` or `command:PROGRAM ARGUMENTS`";
    a_secret_in_plain_text_in_a_list_is_not_repeated: with("env:PW", "[hunter2]") => "\
zdu.yaml:13:26: `secrets.anm_password` must be text, not a list\n\
hint: write it like `anm_password: TEXT`";
    a_missing_secret: with("secrets: { anm_password: env:PW }", "") => "\
zdu.yaml:1:1: the secret `anm_password` is missing in `secrets`\n\
hint: the password: `anm_password: \"env:ANM_PASSWORD\"`";
    a_tab_in_the_indentation: with("  groups:", "\tgroups:") => "\
zdu.yaml:4:1: a tab is used for indentation\n\
hint: YAML wants spaces; two for each level";
    a_nul_byte: with("web", "we\0b") => "\
zdu.yaml:5:7: the file contains a NUL byte\n\
hint: is this the right file? YAML is plain text";
    an_empty_file: found(b"# nothing\n", &[]) => "\
zdu.yaml:1:1: the file is empty\n\
hint: `zdu init` writes a first one";
    a_file_that_is_not_utf8: found(b"a: 1\nb: \xff", &[]) => "\
zdu.yaml:2:4: the file is not UTF-8 text\n\
hint: save it as UTF-8";
    brackets_that_do_not_match: with("[ edge/web/a ]", "[ edge/web/a") => "\
zdu.yaml:8:42: this is not YAML: mismatched bracket '[' closed by '}'";
    a_socket_without_its_kind: with("unix:/run/h.sock", "/run/h.sock") => "\
zdu.yaml:3:53: `/run/h.sock` is not a socket\n\
hint: write `unix:/path/to/socket` or `tcp:host:port`";
    an_unknown_driver: with("haproxy", "nginx") => "\
zdu.yaml:3:21: `edge.driver` cannot be `nginx`\n\
hint: one of: haproxy, hook";
    missing_keys_are_all_reported_with_their_meaning: found(b"release: { from: 1 }", &[]) => "\
zdu.yaml:1:1: `fleet` is missing in the document\n\
hint: `fleet`: The nodes, how they are reached and the balancers before them\n\
zdu.yaml:1:1: `procedure` is missing in the document\n\
hint: `procedure`: A built-in procedure by name, or the path of your own\n\
zdu.yaml:1:10: `to` is missing in `release`\n\
hint: `to`: The release they shall run";
    a_second_document: with("vars:", "---\nvars:") => "\
zdu.yaml:12:1: there is a second document in the file\n\
hint: one file holds one document; use `include` for more files";
    files_that_include_each_other: including("b.yaml", "include: [zdu.yaml]") => "\
b.yaml:1:11: `zdu.yaml` includes itself\n\
hint: zdu.yaml -> b.yaml -> zdu.yaml";
    a_key_in_two_files_names_both_places: including("b.yaml", "vars: { dir: /x }") => "\
b.yaml:1:9: `vars.dir` is given twice\n\
hint: the other is at zdu.yaml:13:9";
    an_included_file_that_is_not_there: including("c.yaml", "{}") => "\
zdu.yaml:1:11: `b.yaml` cannot be read: no such file";
}
