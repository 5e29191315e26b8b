//! One server as the balancer keeps it, and the choice among several. No socket, no task.
//!
//! Health and status follow HAProxy 2.6: health counts from 0 to `RISE + FALL - 1`, a server is up
//! from `RISE` on, and one that comes out of maintenance is up at `RISE` with its last, stale
//! result (`UP 1/2`) until a check says otherwise. Only the start differs: a server begins down and
//! serves after its first `RISE` passed checks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

/// Passed checks in a row that bring a server up.
pub(super) const RISE: u32 = 2;
/// Failed checks in a row that take it down.
pub(super) const FALL: u32 = 2;
const HEALTH_MAX: u32 = RISE + FALL - 1;

/// What an operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admin {
    Ready,
    Drain,
    Maint,
}

/// How the last check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// None has ended yet.
    Initial,
    /// No connection.
    NotConnected,
    /// No whole status line in time.
    TimedOut,
    /// An answer that is no HTTP.
    BadAnswer,
    /// This HTTP status.
    Answered(u16),
}

impl Check {
    pub(super) fn passed(self) -> bool {
        matches!(self, Self::Answered(200..=399))
    }

    /// Name in `show stat`, number in `show servers state` (both read on 2.6.12).
    pub(super) fn names(self) -> (&'static str, u32) {
        match self {
            Self::Initial => ("INI", 1),
            Self::NotConnected => ("L4CON", 8),
            Self::TimedOut => ("L7TOUT", 12),
            Self::BadAnswer => ("L7RSP", 13),
            Self::Answered(200..=399) => ("L7OK", 15),
            Self::Answered(_) => ("L7STS", 17),
        }
    }
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) admin: Admin,
    pub(super) health: u32,
    pub(super) check: Check,
    /// A check holds a connection right now.
    pub(super) checking: bool,
    /// Weight by command.
    pub(super) weight: u32,
    /// Weight at the start, to which percentages refer.
    pub(super) initial_weight: u32,
    /// Running requests, and what ends each by force.
    pub(super) sessions: BTreeMap<u64, Arc<Notify>>,
    pub(super) sessions_max: usize,
    pub(super) sessions_total: u64,
    /// Requests that went to another server because this one refused the connection.
    pub(super) redispatched: u64,
    /// When it last went up, went down or was commanded.
    pub(super) changed: Instant,
    /// Smooth weighted round robin: the highest of those that serve is next.
    credit: i64,
}

impl Server {
    pub(super) fn new(name: &str, address: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            address,
            admin: Admin::Ready,
            health: 0,
            check: Check::Initial,
            checking: false,
            weight: 1,
            initial_weight: 1,
            sessions: BTreeMap::new(),
            sessions_max: 0,
            sessions_total: 0,
            redispatched: 0,
            changed: Instant::now(),
            credit: 0,
        }
    }

    pub(super) fn up(&self) -> bool {
        self.admin != Admin::Maint && self.health >= RISE
    }

    pub(super) fn serves(&self) -> bool {
        self.admin == Admin::Ready && self.up() && self.weight > 0
    }

    /// Takes a check's result; true when the server went up or down by it.
    pub(super) fn checked(&mut self, check: Check) -> bool {
        self.checking = false;
        if self.admin == Admin::Maint {
            return false;
        }
        let was_up = self.up();
        self.check = check;
        self.health = match (check.passed(), was_up) {
            (true, true) => HEALTH_MAX,
            (true, false) if self.health + 1 >= RISE => HEALTH_MAX,
            (true, false) => self.health + 1,
            (false, true) if self.health > RISE => self.health - 1,
            (false, _) => 0,
        };
        let flipped = was_up != self.up();
        if flipped {
            self.changed = Instant::now();
        }
        flipped
    }

    /// Takes an operator's command. HAProxy keeps drain and maintenance exclusive.
    pub(super) fn set_admin(&mut self, wanted: Admin) {
        match (self.admin, wanted) {
            (Admin::Maint, Admin::Ready | Admin::Drain) => self.health = RISE,
            (Admin::Ready | Admin::Drain, Admin::Maint) => self.health = 0,
            (Admin::Maint, Admin::Maint)
            | (Admin::Ready | Admin::Drain, Admin::Ready | Admin::Drain) => {}
        }
        if self.admin != wanted {
            self.changed = Instant::now();
        }
        self.admin = wanted;
    }

    /// The status cell of `show stat`.
    pub(super) fn status(&self) -> String {
        if self.admin == Admin::Maint {
            return "MAINT".to_owned();
        }
        if !self.up() {
            return match self.health {
                0 => "DOWN".to_owned(),
                passed => format!("DOWN {passed}/{RISE}"),
            };
        }
        let word = if self.admin == Admin::Drain { "DRAIN" } else { "UP" };
        match self.health {
            HEALTH_MAX.. => word.to_owned(),
            health => format!("{word} {}/{FALL}", health - RISE + 1),
        }
    }

    /// `srv_admin_state`.
    pub(super) fn admin_bits(&self) -> u32 {
        match self.admin {
            Admin::Ready => 0,
            Admin::Maint => 0x01,
            Admin::Drain => 0x08,
        }
    }
}

/// The index of the server whose turn it is among those that serve and are not in `refused`.
pub(super) fn next(servers: &mut [Server], refused: &[usize]) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(i64, usize)> = None;
    for (index, server) in servers.iter_mut().enumerate() {
        if !server.serves() || refused.contains(&index) {
            continue;
        }
        total += i64::from(server.weight);
        server.credit += i64::from(server.weight);
        if best.is_none_or(|(credit, _)| server.credit > credit) {
            best = Some((server.credit, index));
        }
    }
    let (_, index) = best?;
    servers.get_mut(index)?.credit -= total;
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server::new("node-a", SocketAddr::from(([127, 0, 0, 1], 1)))
    }

    const PASS: Check = Check::Answered(200);
    const FAIL: Check = Check::Answered(503);

    #[test]
    fn a_server_rises_and_falls_in_the_words_of_haproxy() {
        let mut server = server();
        let mut seen = vec![server.status()];
        for check in [PASS, PASS, FAIL, PASS, FAIL, FAIL, PASS, FAIL, PASS, PASS] {
            server.checked(check);
            seen.push(server.status());
        }
        let wanted = [
            "DOWN", "DOWN 1/2", "UP", "UP 1/2", "UP", "UP 1/2", "DOWN", "DOWN 1/2", "DOWN",
            "DOWN 1/2", "UP",
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn after_a_drain_only_a_passed_check_brings_a_restarted_server_back() {
        let mut server = server();
        server.checked(PASS);
        server.checked(PASS);
        server.set_admin(Admin::Drain);
        assert_eq!(server.status(), "DRAIN");
        server.checked(Check::NotConnected);
        assert_eq!(server.status(), "DRAIN 1/2");
        server.checked(Check::NotConnected);
        assert_eq!(server.status(), "DOWN");
        server.set_admin(Admin::Ready);
        assert!(!server.serves());
        server.checked(PASS);
        assert!(!server.serves());
        server.checked(PASS);
        assert!(server.serves());
    }

    #[test]
    fn maintenance_ignores_checks_and_ends_with_a_stale_result() {
        let mut server = server();
        server.checked(PASS);
        server.checked(PASS);
        server.set_admin(Admin::Maint);
        server.checked(FAIL);
        assert_eq!((server.status().as_str(), server.check), ("MAINT", PASS));
        server.set_admin(Admin::Ready);
        assert_eq!(server.status(), "UP 1/2");
        assert!(server.serves());
    }

    #[test]
    fn requests_go_round_by_weight_and_past_those_that_refused() {
        let mut servers = [server(), server(), server()];
        for (server, weight) in servers.iter_mut().zip([1, 2, 0]) {
            server.checked(PASS);
            server.checked(PASS);
            server.weight = weight;
        }
        let turns: Vec<_> = (0..6).map(|_| next(&mut servers, &[])).collect();
        assert_eq!(turns, [1, 0, 1, 1, 0, 1].map(Some));
        assert_eq!(next(&mut servers, &[1]), Some(0));
        assert_eq!(next(&mut servers, &[0, 1]), None);
    }
}
