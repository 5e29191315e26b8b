//! A node's entry on one balancer instance, with HAProxy's semantics as they were measured:
//!
//! * `drain` and weight 0 stop new sessions and let those in progress end; weight 0 still says UP;
//! * `maint` to `ready` serves at once, on the old check result (`UP 1/2`), before any check;
//! * a server that was drained while its service restarted comes back only after its checks;
//! * a reload forgets what was set by command and leaves sessions to an old worker, which no
//!   counter of the new process shows.

use zdu_model::report::{Held, MemberState};
use zdu_model::time::Timestamp;

/// What the checks of an instance know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// Passed often enough.
    Up,
    /// Counted as up without a check since it left maintenance.
    Stale,
    /// Failed; checks that passed since.
    Down(u8),
    /// Up; checks that failed in a row.
    Failing(u8),
}

/// Checks that must pass in a row before a server is up again, and fail before it is down:
/// HAProxy's defaults (`rise 2`, `fall 3`).
pub(crate) const RISE: u8 = 2;
pub(crate) const FALL: u8 = 3;

/// An entry.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// How it is held by command.
    pub(crate) held: Held,
    /// The weight in force.
    pub(crate) weight: u32,
    /// The configured weight.
    pub(crate) configured: u32,
    /// What the checks say.
    pub(crate) health: Health,
    /// When each session in progress ends, as this process counts them.
    pub(crate) sessions: Vec<Timestamp>,
    /// The same for those an old worker still carries.
    pub(crate) old_worker: Vec<Timestamp>,
    /// Whether a check is planned.
    pub(crate) check_planned: bool,
    /// How it was held and weighed before anybody touched it.
    pub(crate) found: (Held, u32),
}

impl Slot {
    pub(crate) fn new(held: Held, weight: u32, configured: u32) -> Self {
        Self {
            held,
            weight,
            configured,
            health: Health::Up,
            sessions: Vec::new(),
            old_worker: Vec::new(),
            check_planned: false,
            found: (held, weight),
        }
    }

    /// Whether new sessions go to it.
    #[must_use]
    pub(crate) fn takes_traffic(&self) -> bool {
        self.held == Held::Ready && self.weight > 0 && self.counts_as_up()
    }

    fn counts_as_up(&self) -> bool {
        match self.health {
            Health::Up | Health::Stale | Health::Failing(_) => true,
            Health::Down(_) => false,
        }
    }

    /// Whether it is out of new traffic by command.
    #[must_use]
    pub(crate) fn is_out(&self) -> bool {
        match self.held {
            Held::Drain | Held::Maint => true,
            Held::Ready => false,
        }
    }

    /// What an instance says of it.
    #[must_use]
    pub(crate) fn state(&self) -> MemberState {
        match (self.held, self.health) {
            (Held::Maint, _) => MemberState::Maintenance,
            (_, Health::Down(_)) => MemberState::Down,
            (Held::Drain, _) => MemberState::Draining,
            (Held::Ready, Health::Stale) => MemberState::Down,
            (Held::Ready, _) if self.weight == 0 => MemberState::ZeroWeight,
            (Held::Ready, _) => MemberState::Serving,
        }
    }

    /// Its own words.
    #[must_use]
    pub(crate) fn detail(&self) -> &'static str {
        match (self.held, self.health) {
            (Held::Maint, _) => "MAINT",
            (_, Health::Down(0)) => "DOWN",
            (_, Health::Down(_)) => "DOWN 1/2",
            (Held::Drain, _) => "DRAIN",
            (Held::Ready, Health::Stale) => "UP 1/2",
            (Held::Ready, Health::Failing(_)) => "UP 1/3",
            (Held::Ready, Health::Up) => "UP",
        }
    }

    /// Sets how it is held; a server that leaves maintenance keeps the check result it had.
    pub(crate) fn hold(&mut self, held: Held) {
        if self.held == Held::Maint && held != Held::Maint {
            self.health = Health::Stale;
        }
        self.held = held;
    }

    /// Takes one check's result. Answers whether another is needed soon.
    pub(crate) fn checked(&mut self, passed: bool) -> bool {
        self.health = match (self.health, passed) {
            (Health::Up | Health::Stale | Health::Failing(_), true) => Health::Up,
            (Health::Up, false) => Health::Failing(1),
            (Health::Failing(failed), false) if failed + 1 < FALL => Health::Failing(failed + 1),
            (Health::Stale | Health::Failing(_), false) | (Health::Down(_), false) => {
                Health::Down(0)
            }
            (Health::Down(passes), true) if passes + 1 < RISE => Health::Down(passes + 1),
            (Health::Down(_), true) => Health::Up,
        };
        !matches!((self.health, passed), (Health::Up, true) | (Health::Down(0), false))
    }

    /// Sessions in progress, in this process.
    pub(crate) fn live(&self, now: Timestamp) -> u64 {
        self.sessions.iter().filter(|ends| **ends > now).count() as u64
    }

    /// Sessions in progress in an old worker.
    pub(crate) fn hidden(&self, now: Timestamp) -> u64 {
        self.old_worker.iter().filter(|ends| **ends > now).count() as u64
    }

    /// When the next session in progress ends.
    pub(crate) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.sessions.iter().chain(&self.old_worker).filter(|ends| **ends > now).min().copied()
    }

    /// A reload: what was set by command is forgotten unless a state file keeps it, and sessions
    /// stay with the old worker.
    pub(crate) fn reload(&mut self, keeps: bool) {
        self.old_worker.append(&mut self.sessions);
        if !keeps {
            self.held = Held::Ready;
            self.weight = self.configured;
            self.health = Health::Up;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_to_ready_serves_before_any_check() {
        let mut slot = Slot::new(Held::Maint, 100, 100);
        slot.hold(Held::Ready);
        assert_eq!((slot.takes_traffic(), slot.detail()), (true, "UP 1/2"));
        assert!(!slot.checked(false), "down is settled");
        assert!(!slot.takes_traffic());
    }

    #[test]
    fn a_drained_server_whose_service_restarted_serves_only_after_its_checks() {
        let mut slot = Slot::new(Held::Ready, 100, 100);
        slot.hold(Held::Drain);
        while slot.checked(false) {}
        slot.hold(Held::Ready);
        assert_eq!((slot.takes_traffic(), slot.detail()), (false, "DOWN"));
        assert!(slot.checked(true));
        assert!(!slot.takes_traffic());
        assert!(!slot.checked(true));
        assert!(slot.takes_traffic());
    }

    #[test]
    fn weight_zero_says_up_and_takes_nothing() {
        let slot = Slot::new(Held::Ready, 0, 100);
        assert_eq!((slot.takes_traffic(), slot.detail()), (false, "UP"));
        assert_eq!(slot.state(), MemberState::ZeroWeight);
    }

    #[test]
    fn a_reload_forgets_a_drain_and_hides_its_sessions() {
        let mut slot = Slot::new(Held::Ready, 100, 100);
        slot.hold(Held::Drain);
        slot.sessions.push(Timestamp(50));
        slot.reload(false);
        assert!(slot.takes_traffic());
        assert_eq!((slot.live(Timestamp(10)), slot.hidden(Timestamp(10))), (0, 1));
    }
}
