//! What load to make.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How a client treats its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Habit {
    /// A new connection for each request.
    Close,
    /// One connection for as many requests as the server allows.
    Keepalive,
    /// Kept connection, requests to `/slow`, one after the other.
    Slow,
    /// Kept connection: one quick request, then a single long one; shows whether a drain that was
    /// called finished cut it.
    Hold,
}

impl Habit {
    /// Every habit, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Close, Self::Keepalive, Self::Slow, Self::Hold];
}

/// Load to make, whole. Clients take the targets in turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadSpec {
    /// Where to send requests, for instance both balancers.
    pub targets: Vec<SocketAddr>,
    /// Path of the quick requests.
    pub path: String,
    /// Clients with [`Habit::Close`].
    pub close: usize,
    /// Clients with [`Habit::Keepalive`].
    pub keepalive: usize,
    /// Clients with [`Habit::Slow`].
    pub slow: usize,
    /// Clients with [`Habit::Hold`].
    pub hold: usize,
    /// Duration of a request of [`Habit::Slow`].
    pub slow_ms: u64,
    /// Duration of the long request of [`Habit::Hold`].
    pub hold_ms: u64,
    /// Requests per second of one client with [`Habit::Close`] or [`Habit::Keepalive`]; a client
    /// never has two requests at once, so a slow server gets less.
    pub rate: u32,
    /// How long a request may take, `slow_ms` and `hold_ms` not included.
    pub timeout_ms: u64,
    /// When to stop by itself; a request that runs then is waited for.
    pub duration_ms: u64,
    /// Stop when this file exists.
    pub stop_file: Option<String>,
    /// Stop when stdin ends: the client then never outlives the one who started it.
    pub until_stdin_ends: bool,
}

impl Default for LoadSpec {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            path: "/".to_owned(),
            close: 4,
            keepalive: 4,
            slow: 2,
            hold: 0,
            slow_ms: 300,
            hold_ms: 2_000,
            rate: 50,
            timeout_ms: 10_000,
            duration_ms: 120_000,
            stop_file: None,
            until_stdin_ends: false,
        }
    }
}

impl LoadSpec {
    /// The default clients on these targets.
    #[must_use]
    pub fn on(targets: &[SocketAddr]) -> Self {
        Self {
            targets: targets.to_vec(),
            ..Self::default()
        }
    }

    /// How many clients have a habit.
    #[must_use]
    pub fn clients(&self, habit: Habit) -> usize {
        match habit {
            Habit::Close => self.close,
            Habit::Keepalive => self.keepalive,
            Habit::Slow => self.slow,
            Habit::Hold => self.hold,
        }
    }
}
