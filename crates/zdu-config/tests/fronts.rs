//! How a front is declared that is watched.

use std::collections::BTreeMap;
use zdu_config::load;
use zdu_model::front::{VersionAt, Watch};
use zdu_model::time::Millis;

const PROCEDURE: &str = "\
name: simple
summary: restarts
phases: [ { name: APPLY, exit: 73 }, { name: ROLLBACK, exit: 75 } ]
rollback_phase: ROLLBACK
stages: [ { name: look, over: nodes, steps: [ { id: look, phase: APPLY, run: { argv: [ls] } } ] } ]
";

/// What is read of a front that is declared so, or what is said about it.
fn read(front: &str) -> Result<Option<Watch>, String> {
    let text = format!(
        "fleet: {{ groups: {{ web: {{ min_available: 0, nodes: {{ a: {{ address: h }} }} }} }} }}\n\
         procedure: ./simple.yaml\nrelease: {{ from: 1, to: 2 }}\nfront:\n  - {front}\n"
    );
    let files = BTreeMap::from([
        ("zdu.yaml".to_owned(), text.into_bytes()),
        ("simple.yaml".to_owned(), PROCEDURE.as_bytes().to_vec()),
    ]);
    match load("zdu.yaml", &files) {
        Ok(config) => Ok(config.fleet.front[0].watch.clone()),
        Err(found) => {
            let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
            Err(lines.join("\n"))
        }
    }
}

#[test]
fn a_front_without_a_rate_is_not_watched_and_one_with_it_keeps_sixteen_connections() {
    assert_eq!(read("{ http: 'http://x/' }"), Ok(None));
    let watch = read("{ http: 'http://x/', rate: 50 }").expect("it is good").expect("a rate");
    assert_eq!((watch.rate, watch.keep, watch.long, watch.version), (50, 16, None, None));
}

#[test]
fn what_is_asked_and_wanted_is_read_as_it_stands() {
    let text = "{ http: 'http://x/', rate: 5, keep: 0, want: { status: [200], matches: 'o+k' }, \
                version: { pointer: /v }, long: { http: 'http://x/long', pause: 2s } }";
    let watch = read(text).expect("it is good").expect("a rate");
    assert_eq!(watch.keep, 0);
    assert_eq!((watch.want.status, watch.want.matches), (vec![200], Some("o+k".into())));
    assert_eq!(watch.version, Some(VersionAt::Pointer("/v".into())));
    let long = watch.long.expect("it is declared");
    assert_eq!((long.pause, long.timeout), (Millis::from_secs(2), Millis::from_secs(60)));
}

#[test]
fn what_cannot_be_is_told_where_it_stands() {
    for (front, said) in [
        (
            "{ http: 'http://x/', keep: 2 }",
            "zdu.yaml:5:32: `keep` is of a front that is watched, and this one has no `rate`\n\
             hint: give a `rate`, such as 50 requests a second",
        ),
        (
            "{ http: 'http://x/', rate: 0 }",
            "zdu.yaml:5:32: a rate of 0 requests a second\n\
             hint: 1 to 1000; what is more is a load test",
        ),
        (
            "{ http: 'http://x/', rate: 1, keep: 999 }",
            "zdu.yaml:5:41: 999 kept connections\nhint: at most 256",
        ),
        (
            "{ http: 'http://x/', rate: 1, want: { matches: '(' } }",
            "zdu.yaml:5:52: this is not a regular expression: unclosed group",
        ),
        (
            "{ http: 'http://x/', rate: 1, version: { pointer: v, header: V } }",
            "zdu.yaml:5:44: a version is either at a `pointer` or in a `header`\n\
             hint: give one of them",
        ),
        (
            "{ http: 'http://x/', rate: 1, version: { pointer: a.b } }",
            "zdu.yaml:5:55: `a.b` is not a JSON pointer\nhint: write `/a/b`",
        ),
        (
            "{ http: 'http://x/', rate: 1, long: { http: x } }",
            "zdu.yaml:5:49: `x` is not a URL\n\
             hint: it must begin with `http://` or `https://`",
        ),
    ] {
        assert_eq!(read(front).expect_err("it cannot be"), said, "{front}");
    }
}
