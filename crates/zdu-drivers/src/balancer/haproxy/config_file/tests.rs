use super::*;

fn read(text: &str) -> ConfigFile {
    parse([("a.cfg", text.as_bytes())])
}

fn front<'c>(config: &'c ConfigFile, name: &str) -> &'c Proxy {
    config.fronts().find(|proxy| proxy.name == name).expect("it is there")
}

fn idle(config: &ConfigFile, name: &str) -> Known {
    config.switch(front(config, name), Switch::IdleClose)
}

#[test]
fn a_proxy_takes_the_latest_defaults_and_each_defaults_begins_anew() {
    let config = read(
        "defaults\n mode http\n option idle-close-on-response\n\
         frontend a # comment\n  bind :80\n\
         frontend b\n  no option idle-close-on-response\n\
         defaults\n  mode http\n\
         frontend c\n\
         frontend d\n  option \"idle-close\"-on-response\n",
    );
    let seen = ["a", "b", "c", "d"].map(|name| idle(&config, name));
    assert_eq!(seen, [Known::Yes, Known::No, Known::No, Known::Yes]);
    assert_eq!(front(&config, "c").at.to_string(), "a.cfg:10");
}

#[test]
fn named_defaults_are_taken_by_name_also_over_several_levels() {
    let config = read(
        "defaults base\n  mode http\n  option redispatch\n\
         defaults tcp from base\n  mode tcp\n\
         defaults from tcp\n\
         backend a from base\nbackend b from tcp\nbackend c\n\
         defaults other\nbackend d from other\n",
    );
    let of = |name: &str| {
        let back = config.back(name).expect("it is there");
        (config.http(back), config.switch(back, Switch::Redispatch))
    };
    assert_eq!(of("a"), (Known::Yes, Known::Yes));
    assert_eq!(of("b"), (Known::No, Known::Yes));
    assert_eq!(of("c"), (Known::No, Known::Yes));
    assert_eq!(of("d"), (Known::No, Known::No));
}

#[test]
fn files_are_read_in_order_and_defaults_hold_for_those_behind() {
    let files: [(&str, &[u8]); 2] = [
        ("/a", b"defaults\n  option idle-close-on-response\nfrontend f\n"),
        ("/b", b"  no option idle-close-on-response\nfrontend g\n"),
    ];
    let config = parse(files);
    // A section does not go on in the next file.
    assert_eq!((idle(&config, "f"), idle(&config, "g")), (Known::Yes, Known::Yes));
    assert_eq!(front(&config, "g").at.to_string(), "/b:2");
}

#[test]
fn what_stands_in_a_condition_or_depends_on_a_variable_is_not_known() {
    let config = read(
        "frontend a\n .if defined(X)\n  option idle-close-on-response\n .endif\n\
         frontend b\n  option idle-close-on-response\n\
         .if 1\n  option idle-close-on-response\n.endif\n\
         frontend c\n  option \"$CLOSE\"\n\
         .if 0\ndefaults\n.endif\nfrontend d\n\
         .endif\nfrontend e\n  option idle-close-on-response\n",
    );
    let seen = ["a", "b", "c", "d", "e"].map(|name| idle(&config, name));
    let perhaps = Known::Perhaps;
    assert_eq!(seen, [perhaps, Known::Yes, perhaps, perhaps, Known::Yes]);
}

#[test]
fn routes_are_certain_by_name_and_perhaps_by_an_expression() {
    let config = read(
        "defaults\n  default_backend x\n\
         frontend a\n\
         frontend b\n  default_backend y\n\
         frontend c\n  default_backend y\n  use_backend x if { path /x }\n\
         frontend d\n  use_backend %[req.hdr(host)]\n  default_backend y\n\
         frontend e\n  default_backend \"${TO}\"\n\
         frontend f\n  default_backend y\n  .if 1\n  default_backend x\n  .endif\n\
         listen x\n  default_backend y\n",
    );
    let to_x = |name: &str| config.route(front(&config, name), "x");
    let perhaps = |line| Some(Route::Perhaps(Place { file: "a.cfg".into(), line }));
    assert_eq!((to_x("a"), to_x("b")), (Some(Route::Named), None));
    assert_eq!((to_x("c"), to_x("x")), (Some(Route::Named), Some(Route::Named)));
    assert_eq!((to_x("d"), to_x("e"), to_x("f")), (perhaps(10), perhaps(13), perhaps(17)));
    assert_eq!(config.route(front(&config, "f"), "y"), Some(Route::Named));
}

#[test]
fn a_state_file_needs_a_name_and_somebody_who_loads_it() {
    let config = read(
        "global\n  server-state-file /var/lib/haproxy/state\n\
         defaults\n  load-server-state-from-file global\nbackend a\n\
         backend b\n  load-server-state-from-file none\n\
         backend c\n  load-server-state-from-file local\n",
    );
    let of = |name: &str| {
        let back = config.back(name).expect("it is there");
        (config.loads_state(back), config.loads_global_state(back))
    };
    assert_eq!(config.state_file(), Known::Yes);
    assert_eq!(of("a"), (Known::Yes, Known::Yes));
    assert_eq!(of("b"), (Known::No, Known::No));
    assert_eq!(of("c"), (Known::Yes, Known::No));
    assert_eq!(read("defaults\n server-state-file x\n").state_file(), Known::No);
    let perhaps = "global\n.if 1\nserver-state-file x\n.endif\n";
    assert_eq!(read(perhaps).state_file(), Known::Perhaps);
}

#[test]
fn a_slow_start_is_that_of_the_server_or_of_what_stands_before_it() {
    let config = read(
        "defaults\n  default-server slowstart 10s\n\
         backend a\n  server n1 10.0.0.1:80 check\n\
         \x20 default-server inter 1s slowstart 2m\n\
         \x20 server n2 10.0.0.2:80 check\n  server n3 10.0.0.3:80 slowstart 1500 check\n\
         \x20 server n4 10.0.0.4:80 slowstart 0\n  server-template w 2-3 host:80\n\
         \x20 server-template v 2 host:80\n",
    );
    let back = config.back("a").expect("it is there");
    let of = |name: &str| config.slow_start(back, name).map(|(span, at)| (span.0, at.line));
    let two_minutes = Some((120_000, 5));
    assert_eq!((of("n1"), of("n2"), of("n3")), (Some((10_000, 2)), two_minutes, Some((1500, 7))));
    assert_eq!((of("n4"), of("none")), (None, None));
    assert_eq!((of("w1"), of("w2"), of("w4")), (None, two_minutes, None));
    assert_eq!((of("v1"), of("v2"), of("v3")), (two_minutes, two_minutes, None));
}

#[test]
fn sticking_and_retries_are_seen_where_they_are_said() {
    let config = read(
        "backend a\n  stick-table type ip size 1k\n  stick on src\n\
         backend b\n  stick-table type ip size 1k\n  retries 0\n\
         backend c\n  retries 3\n.if 1\n  stick on src\n.endif\n",
    );
    let back = |name: &str| config.back(name).expect("it is there");
    assert_eq!(config.stick(back("a")).map(|place| place.line), Some(3));
    assert_eq!((config.stick(back("b")), config.stick(back("c"))), (None, None));
    let never = ["a", "b", "c"].map(|name| config.never_retries(back(name)));
    assert_eq!(never, [Known::No, Known::Yes, Known::No]);
}

#[test]
fn other_sections_say_nothing_and_no_word_of_an_unknown_line_is_kept() {
    let config = read(
        "frontend a\n  stats auth admin:hunter2\n  http-request set-header X hunter2\n\
         userlist hunter2\n  user joe insecure-password hunter2\n  option idle-close-on-response\n\
         backend b\n  server n1 10.0.0.1:80 check ssl crt /hunter2 sni str(hunter2)\n\
         \x20 option httpchk GET / HTTP/1.1\\r\\nAuthorization:\\ hunter2\n\
         \x20 cookie hunter2 insert\n",
    );
    assert_eq!(idle(&config, "a"), Known::No);
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[test]
fn a_chain_of_defaults_without_measure_is_not_followed_and_nothing_is_claimed_of_it() {
    let begin = "defaults d0\n  option idle-close-on-response\n".to_owned();
    let chain = (1..200).map(|at| format!("defaults d{at} from d{}\n", at - 1));
    let text: String = [begin].into_iter().chain(chain).collect();
    assert_eq!(idle(&read(&format!("{text}frontend a\n")), "a"), Known::Perhaps);
}
