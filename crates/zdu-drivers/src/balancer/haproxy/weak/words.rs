//! The sentences. A figure stands here only where it was measured on real programs: HAProxy 2.6.12,
//! nova under uwsgi.

use super::Rule;
use crate::balancer::haproxy::config_file::Place;
use zdu_model::time::Millis;

/// What should be true, and what to write where it is not.
pub(super) fn of(rule: Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::NotRead => (
            "its configuration can be looked at",
            "look by hand: `option idle-close-on-response` in frontends; `option redispatch`, \
             `load-server-state-from-file`, `stick` and `slowstart` in backends",
        ),
        Rule::ChangedSince => {
            ("its configuration is the one it runs", "reload it before the rollout, not within")
        }
        Rule::IdleClose => (
            "clients keep their connections over a reload",
            "`option idle-close-on-response` in the frontend or its `defaults`",
        ),
        Rule::PortCheck => (
            "a member is up only when its application answers",
            "`option httpchk` with a path the application itself answers, and \
             `http-check expect status 200`; it works in `mode tcp` too",
        ),
        Rule::NoCheck => (
            "a member's return is seen by its balancer",
            "`check` on each server or in `default-server`, with `option httpchk`",
        ),
        Rule::Agent => (
            "only zdu takes members out while it rolls",
            "let the agent say nothing but `up` and `down` during a rollout, or take `agent-check` \
             out",
        ),
        Rule::KeptToMember => (
            "members keep the connections that are kept to them",
            "`option http-server-close` in the backend, where its members close idle connections",
        ),
        Rule::StateForgotten => (
            "a drain outlives a reload",
            "`server-state-file` in `global`, `load-server-state-from-file global` in `defaults`, \
             and `show servers state` written to that file before each reload, which Debian's \
             unit does not do",
        ),
        Rule::NoRedispatch => (
            "a request that meets a dead member goes to another one",
            "`option redispatch` in `defaults`, with `retries` above 0",
        ),
        Rule::Persistence => (
            "a drain ends by itself",
            "take the persistence out for the rollout, or say in `policy.on_drain_deadline` what \
             becomes of the clients that stay",
        ),
        Rule::TcpMode => (
            "a drained member's connections end",
            "`mode http` where it carries HTTP; else `policy.on_drain_deadline: kill` ends and \
             counts them",
        ),
        Rule::SlowStart => (
            "a member carries its share again before the next one goes",
            "a `policy.soak` as long as `slowstart`, or a shorter `slowstart`",
        ),
    }
}

pub(super) fn idle_close(front: &str) -> String {
    format!(
        "frontend {front} has no `option idle-close-on-response`: at a reload the old process \
         closes idle connections under their clients (measured: 20 requests lost in 6 reloads \
         under 16 clients, none with the option)"
    )
}

pub(super) fn idle_close_perhaps(front: &str, back: &str, place: &Place) -> String {
    format!(
        "frontend {front} has no `option idle-close-on-response`, and chooses its backend at run \
         time ({place}): whether it leads to {back} cannot be told from here"
    )
}

pub(super) fn perhaps(of: &str, what: &str) -> String {
    format!(
        "whether {of} has {what} depends on a `.if` block or a variable: it cannot be told from \
         here"
    )
}

pub(super) fn port_check(those: &str) -> String {
    format!(
        "the check of {those} ends when the port is open (seen: uwsgi's port is open 7 to 15 s \
         before its application is ready, and stays open while every answer is a 500)"
    )
}

pub(super) fn agent(those: &str) -> String {
    format!(
        "the agent of {those} can set it ready, drained or to another weight: a drain is held \
         against it, and a return waits for the weight that was found"
    )
}

pub(super) fn kept_to_member(those: &str, ended: u64) -> String {
    format!(
        "{those} ended {ended} transfers itself, and connections to it are used again: so it is \
         with a server that closes idle ones (measured with uwsgi: 196 of about 10000 requests \
         lost with no upgrade under way)"
    )
}

pub(super) fn state_forgotten(lacks: &str) -> String {
    format!(
        "{lacks}: a reload puts a drained member into traffic, until zdu sees it and drains it \
         again"
    )
}

pub(super) fn no_redispatch(back: &str, has: &str) -> String {
    format!(
        "backend {back} has {has}: what is sent to a member that is gone fails until checks \
         notice (measured: 12 requests that only the option saved)"
    )
}

pub(super) fn persistence(way: &str, those: &str) -> String {
    format!(
        "clients of {those} stay with their server {way}, drained or not: the drain may end only \
         with `policy.drain_deadline`"
    )
}

pub(super) fn tcp_mode(back: &str) -> String {
    format!(
        "backend {back} is in `mode tcp`: in a drain nothing ends a connection but its two ends \
         or a cut, and no request is seen"
    )
}

pub(super) fn slow_start(those: &str, span: Millis, soak: Millis) -> String {
    format!(
        "{those} returns with `slowstart` {span} and the next node goes after a soak of {soak}: \
         what it cannot carry yet is carried by fewer"
    )
}
