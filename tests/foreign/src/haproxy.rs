//! Replies of HAProxy's runtime API, or of whatever listens there.

use std::collections::BTreeMap;
use zdu_config::import::haproxy::{Answer, Server, from_answer};
use zdu_drivers::balancer::MemberName;
use zdu_drivers::balancer::haproxy::listing::Listing;
use zdu_drivers::balancer::haproxy::reply::{Replies, looks_like_info};
use zdu_drivers::foreign::{haproxy_changes, haproxy_listing, haproxy_members, haproxy_running};

const BACKEND: &str = "b";

/// A line of commands with none, one and two changes, one about two backends, and a listing.
pub fn haproxy(bytes: &[u8]) -> bool {
    let mut taken = false;
    for changes in 0..3 {
        let Ok(view) = haproxy_changes(bytes, BACKEND, changes) else { continue };
        taken = true;
        assert!(looks_like_info(bytes));
        assert!(view.servers.iter().all(|server| server.backend == BACKEND));
        let end = consumed(bytes, changes + 3);
        // The world goes on after a half reply as before; nothing may be concluded from one.
        for part in 0..16 {
            let cut = &bytes[..end * part / 16];
            assert!(haproxy_changes(cut, BACKEND, changes).is_err(), "a half reply was taken");
        }
        assert!(haproxy_changes(&bytes[..end - 1], BACKEND, changes).is_err(), "half an end mark");
        if changes == 0 {
            let names = view.servers.iter().map(|server| MemberName::new(BACKEND, &server.server));
            let members: Vec<MemberName> = names.collect();
            let seen = haproxy_members(bytes, &[BACKEND], &members).expect("the same replies");
            assert_eq!(seen.identity.map(|found| found.pid), Some(view.identity.pid));
            assert_eq!(seen.members.len(), members.len());
            assert!(seen.members.iter().all(|(_, reading)| reading.is_ok()));
        }
    }
    let members = [MemberName::new("a", "x"), MemberName::new(BACKEND, "h1")];
    if let Ok(seen) = haproxy_members(bytes, &["a", BACKEND], &members) {
        assert_eq!(seen.members.len(), members.len(), "one reading for each member, good or bad");
        taken = true;
    }
    if let Ok(listing) = haproxy_listing(bytes) {
        let end = consumed(bytes, 4);
        assert!(haproxy_listing(&bytes[..end - 1]).is_err(), "half a listing was taken");
        imported(listing);
        taken = true;
    }
    if haproxy_running(bytes).is_ok() {
        let end = consumed(bytes, 4);
        assert!(haproxy_running(&bytes[..end - 1]).is_err(), "half of it was taken");
        taken = true;
    }
    taken
}

/// What is made of any listing loads.
fn imported(listing: Listing) {
    let servers = listing.servers.into_iter().map(|server| Server {
        unusual: vec![server.view.status.to_string()],
        backend: server.view.backend,
        name: server.view.server,
        address: server.address,
        host: server.host,
        port: server.port,
    });
    let answer = Answer {
        socket: "unix:/s".to_owned(),
        version: listing.identity.version,
        level: listing.level,
        servers: servers.collect(),
    };
    let Ok(imported) = from_answer(&answer) else { return };
    let files = BTreeMap::from([("zdu.yaml".to_owned(), imported.text.into_bytes())]);
    let loaded = zdu_config::load("zdu.yaml", &files);
    assert!(loaded.is_ok(), "what was imported does not load: {:?}", loaded.err());
}

/// Where the last of so many replies ends.
fn consumed(bytes: &[u8], count: usize) -> usize {
    let mut replies = Replies::new(bytes).expect("it was read before");
    let taken = (0..count).map(|_| replies.take("a reply").expect("it was read before").len() + 1);
    taken.sum()
}
