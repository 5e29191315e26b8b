//! What HAProxy says about one server, typed.

use std::fmt;

/// The status column of `show stat`, as HAProxy's `stats-proxy.c` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// `UP`: checks pass, settled.
    Up,
    /// `UP n/m`: up, but on the way down, or just out of maintenance with a stale check result.
    UpUnsettled(u32, u32),
    /// `DOWN`.
    Down,
    /// `DOWN n/m`: down, some checks passed.
    DownRising(u32, u32),
    /// `DOWN (agent)`.
    DownByAgent,
    /// `DRAIN`.
    Drain,
    /// `DRAIN n/m`.
    DrainUnsettled(u32, u32),
    /// `DRAIN (agent)`.
    DrainByAgent,
    /// `NOLB`: soft-stopped by its own 404 (`http-check disable-on-404`).
    NoLb,
    /// `NOLB n/m`.
    NoLbUnsettled(u32, u32),
    /// `MAINT`.
    Maint,
    /// `MAINT (via b/s)`: inherited from the server it tracks.
    MaintVia(String),
    /// `MAINT (resolution)`: its name does not resolve.
    MaintResolution,
    /// `no check`: no health check is configured, HAProxy takes it for up.
    NoCheck,
    /// A status this driver does not know, in its own words.
    Unknown(String),
}

impl Status {
    /// Reads a status cell; anything not known is kept as text.
    #[must_use]
    pub fn parse(cell: &str) -> Self {
        let fraction = |word: &str| -> Option<(u32, u32)> {
            let (done, of) = cell.strip_prefix(word)?.strip_prefix(' ')?.split_once('/')?;
            Some((done.parse().ok()?, of.parse().ok()?))
        };
        match cell {
            "UP" => return Self::Up,
            "DOWN" => return Self::Down,
            "DOWN (agent)" => return Self::DownByAgent,
            "DRAIN" => return Self::Drain,
            "DRAIN (agent)" => return Self::DrainByAgent,
            "NOLB" => return Self::NoLb,
            "MAINT" => return Self::Maint,
            "MAINT (resolution)" => return Self::MaintResolution,
            "no check" => return Self::NoCheck,
            _ => {}
        }
        if let Some(via) = cell.strip_prefix("MAINT (via ").and_then(|rest| rest.strip_suffix(')'))
        {
            return Self::MaintVia(via.to_owned());
        }
        if let Some((done, of)) = fraction("UP") {
            return Self::UpUnsettled(done, of);
        }
        if let Some((done, of)) = fraction("DOWN") {
            return Self::DownRising(done, of);
        }
        if let Some((done, of)) = fraction("DRAIN") {
            return Self::DrainUnsettled(done, of);
        }
        if let Some((done, of)) = fraction("NOLB") {
            return Self::NoLbUnsettled(done, of);
        }
        Self::Unknown(cell.to_owned())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => out.write_str("UP"),
            Self::UpUnsettled(done, of) => write!(out, "UP {done}/{of}"),
            Self::Down => out.write_str("DOWN"),
            Self::DownRising(done, of) => write!(out, "DOWN {done}/{of}"),
            Self::DownByAgent => out.write_str("DOWN (agent)"),
            Self::Drain => out.write_str("DRAIN"),
            Self::DrainUnsettled(done, of) => write!(out, "DRAIN {done}/{of}"),
            Self::DrainByAgent => out.write_str("DRAIN (agent)"),
            Self::NoLb => out.write_str("NOLB"),
            Self::NoLbUnsettled(done, of) => write!(out, "NOLB {done}/{of}"),
            Self::Maint => out.write_str("MAINT"),
            Self::MaintVia(via) => write!(out, "MAINT (via {via})"),
            Self::MaintResolution => out.write_str("MAINT (resolution)"),
            Self::NoCheck => out.write_str("no check"),
            Self::Unknown(text) => out.write_str(text),
        }
    }
}

/// `srv_admin_state`: who took the server out, as a bit set.
///
/// 0x01 forced maintenance, 0x02 inherited maintenance, 0x08 forced drain, 0x10 inherited drain,
/// 0x20 and 0x40 maintenance by name resolution. 0x04 only remembers that the configuration says
/// `disabled`: such a server starts with 0x05, and after `state ready` it is `UP` with 0x04
/// (measured on HAProxy 2.6.12), so that bit takes nobody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AdminBits(pub u32);

impl AdminBits {
    const FORCED_MAINT: u32 = 0x01;
    const FORCED_DRAIN: u32 = 0x08;
    const ANY_MAINT: u32 = 0x01 | 0x02 | 0x20 | 0x40;
    const ANY_DRAIN: u32 = 0x08 | 0x10;

    /// Drained by a command on this server: what `state ready` would clear.
    #[must_use]
    pub fn forced_drain(self) -> bool {
        self.0 & Self::FORCED_DRAIN != 0
    }

    /// In maintenance by a command on this server, or since the start by `disabled`.
    #[must_use]
    pub fn forced_maint(self) -> bool {
        self.0 & Self::FORCED_MAINT != 0
    }

    /// Drained for any reason, also through the server it tracks.
    #[must_use]
    pub fn drained(self) -> bool {
        self.0 & Self::ANY_DRAIN != 0
    }

    /// In maintenance for any reason.
    #[must_use]
    pub fn maint(self) -> bool {
        self.0 & Self::ANY_MAINT != 0
    }

    /// Nothing set that takes the server out.
    #[must_use]
    pub fn ready(self) -> bool {
        !self.maint() && !self.drained()
    }
}

/// `srv_check_result`: the health check's last result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// 0: nothing known yet.
    Unknown,
    /// 1: no check is configured.
    Neutral,
    /// 2: failed.
    Failed,
    /// 3: passed.
    Passed,
    /// 4: passed on condition (404 with `disable-on-404`).
    Conditional,
    /// A number of a newer version.
    Other(u32),
}

impl CheckResult {
    /// Reads the number.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Unknown,
            1 => Self::Neutral,
            2 => Self::Failed,
            3 => Self::Passed,
            4 => Self::Conditional,
            other => Self::Other(other),
        }
    }
}

/// One server of one backend as one HAProxy process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView {
    /// Backend name.
    pub backend: String,
    /// Server name.
    pub server: String,
    /// Status of `show stat`. A stopped drained server reads `DOWN` here; ask [`AdminBits`].
    pub status: Status,
    /// Who took it out, if anyone.
    pub admin: AdminBits,
    /// `srv_op_state`: 0 stopped, 1 starting, 2 running, 3 stopping.
    pub op_state: u32,
    /// Live sessions on the server, in this process only (an old worker's are not in it).
    pub scur: u64,
    /// Requests queued for this server.
    pub qcur: u64,
    /// Effective weight in `show stat`.
    pub weight: u32,
    /// Weight set by commands; 0 is "drained by weight".
    pub uweight: u32,
    /// Weight in the configuration file.
    pub iweight: u32,
    /// Last check's result code without the `* ` mark, absent where no check ran.
    pub check_status: Option<String>,
    /// A check is under way: one connection more on the node that is no request.
    pub checking: bool,
    /// Last check's verdict.
    pub check_result: CheckResult,
    /// The server whose check this one follows (`track`).
    pub tracked: Option<String>,
    /// `address:port`.
    pub addr: Option<String>,
    /// Pooled idle connections to the server (`srv_icur`), where this version says so.
    pub idle_connections: Option<u64>,
    /// Connections in use, where this version says so.
    pub used_conn_cur: Option<u64>,
    /// Seconds since the last change of status.
    pub lastchg_s: Option<u64>,
    /// Slow start under way, for example `35%`.
    pub throttle: Option<String>,
}

impl ServerView {
    /// Whether the last health check passed: `srv_check_result` 3 or 4 with an OK code.
    #[must_use]
    pub fn check_passed(&self) -> bool {
        let code = self.check_status.as_deref();
        matches!(self.check_result, CheckResult::Passed | CheckResult::Conditional)
            && matches!(code, Some("L4OK" | "L6OK" | "L7OK" | "L7OKC"))
    }
}
