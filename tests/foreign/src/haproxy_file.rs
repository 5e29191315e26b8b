//! HAProxy's configuration files, and what a host shows of them.

use crate::configuration::files;
use std::collections::{BTreeMap, BTreeSet};
use zdu_drivers::balancer::MemberName;
use zdu_drivers::balancer::haproxy::config_file::parse;
use zdu_drivers::balancer::haproxy::files::FileText;
use zdu_drivers::balancer::haproxy::running::{Back, Running};
use zdu_drivers::balancer::haproxy::weak::{Read, weaknesses};
use zdu_drivers::foreign::haproxy_files;
use zdu_model::time::Millis;

const FIRST: &str = "/h.cfg";
/// The backend with members, and the frontends that run.
const BACK: &str = "api";
const FRONTS: [&str; 2] = ["front", "side"];

/// The first file is `/h.cfg`; lines such as `=== /d/a.cfg` begin others. What is said of them is
/// said at places they have, whatever order they come in.
pub fn haproxy_file(bytes: &[u8]) -> bool {
    let files = files(bytes, FIRST);
    shown(&files);
    let text = |(path, bytes): (&String, &Vec<u8>)| FileText {
        path: path.clone(),
        bytes: bytes.clone(),
        changed_unix_s: None,
    };
    let read = Read::Files(files.iter().map(text).collect());
    let back = Back { http: Some(true), cookie: None };
    let running = Running {
        version: "2.6".to_owned(),
        started_unix_s: Some(1),
        files: Ok(files.keys().cloned().collect()),
        fronts: FRONTS.map(str::to_owned).into(),
        backs: BTreeMap::from([(BACK.to_owned(), back)]),
        servers: BTreeMap::new(),
        tables: BTreeSet::new(),
    };
    let members = ["n1", "n2"].map(|server| MemberName::new(BACK, server));
    for found in weaknesses(&members, Millis(0), &running, &read) {
        assert!(!found.why.is_empty() && !found.hint.is_empty(), "{found:?}");
        let Some(place) = &found.place else { continue };
        let text = files.get(&*place.file).expect("a file that was read");
        let lines = String::from_utf8_lossy(text).lines().count();
        let line = usize::try_from(place.line).expect("it is small");
        assert!((1..=lines).contains(&line), "{found:?}");
    }
    let config = parse(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    config.back(BACK).is_some()
}

/// Files that were shown whole come over as they are; half of what was shown does not.
fn shown(files: &BTreeMap<String, Vec<u8>>) {
    let paths: Vec<String> = files.keys().cloned().collect();
    let mut stdout = Vec::new();
    for text in files.values() {
        stdout.extend_from_slice(format!("file {} 7\n", text.len()).as_bytes());
        stdout.extend_from_slice(text);
    }
    let read = haproxy_files(&paths, &stdout).expect("it is whole");
    assert!(read.iter().map(|file| &file.bytes).eq(files.values()));
    assert!(haproxy_files(&paths, &stdout[..stdout.len() - 1]).is_err(), "half was taken");
    // What a host says is believed no more than the text.
    for text in files.values() {
        drop(haproxy_files(&paths, text));
    }
}
