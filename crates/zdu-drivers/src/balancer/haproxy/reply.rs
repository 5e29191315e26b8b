//! Runtime API replies: text in, typed values or typed errors out. Pure, and total over all bytes.
//!
//! HAProxy answers every command on the same stream: success of a change is an empty line, an error
//! is a sentence, a table ends with an empty line. There is no status code, and a client such as
//! socat exits 0 on every one of them, so the text is all there is to judge by. The sentences here
//! were read on HAProxy 2.6.12.

use std::collections::BTreeMap;

use super::view::{AdminBits, CheckResult, ServerView, Status};

/// Longest excerpt of a reply kept in an error, in characters.
const EXCERPT: usize = 160;

/// Why a reply is not the success that was asked for. `text` is HAProxy's own sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ReplyError {
    /// The backend has no server of that name.
    #[error("no such server: {text}")]
    NoSuchServer {
        /// HAProxy's sentence.
        text: String,
    },
    /// There is no backend of that name.
    #[error("no such backend: {text}")]
    NoSuchBackend {
        /// HAProxy's sentence.
        text: String,
    },
    /// The socket's level is below `admin`.
    #[error("permission denied by the socket (it needs `level admin`): {text}")]
    PermissionDenied {
        /// HAProxy's sentence.
        text: String,
    },
    /// This version does not know the command.
    #[error("command not known: {text}")]
    UnknownCommand {
        /// First line of HAProxy's sentence.
        text: String,
    },
    /// `backend/server` was expected.
    #[error("server path refused: {text}")]
    BadServerPath {
        /// HAProxy's sentence.
        text: String,
    },
    /// The weight was refused, by value or by a static algorithm.
    #[error("weight refused: {text}")]
    BadWeight {
        /// HAProxy's sentence.
        text: String,
    },
    /// The state was refused.
    #[error("state refused: {text}")]
    BadState {
        /// HAProxy's sentence.
        text: String,
    },
    /// Another refusal.
    #[error("refused: {text}")]
    Refused {
        /// HAProxy's sentence.
        text: String,
    },
    /// HAProxy's reply ended before its end mark, or a row is shorter than its header.
    #[error("reply cut short in {part}: {excerpt:?}")]
    Truncated {
        /// Which reply.
        part: String,
        /// The end of what came.
        excerpt: String,
    },
    /// What answered does not speak HAProxy's runtime API.
    #[error("not an HAProxy runtime API: it answered {excerpt:?}")]
    NotHaproxy {
        /// The beginning of what came.
        excerpt: String,
    },
    /// A table came without a column this driver needs.
    #[error("column {column} is missing or unreadable in {part}: {excerpt:?}")]
    Column {
        /// Which reply.
        part: String,
        /// Which column.
        column: String,
        /// The cell or the header.
        excerpt: String,
    },
}

impl ReplyError {
    /// Whether a process that answers so to one change has carried out none of those it was sent
    /// with.
    #[must_use]
    pub fn refuses_everything(&self) -> bool {
        match self {
            Self::NoSuchServer { .. }
            | Self::NoSuchBackend { .. }
            | Self::PermissionDenied { .. }
            | Self::UnknownCommand { .. }
            | Self::BadServerPath { .. } => true,
            // A connection that ended without a word is among them.
            Self::NotHaproxy { .. }
            | Self::BadWeight { .. }
            | Self::BadState { .. }
            | Self::Refused { .. }
            | Self::Truncated { .. }
            | Self::Column { .. } => false,
        }
    }
}

/// The beginning of `text`, short enough for an error.
#[must_use]
pub fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

fn tail(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(EXCERPT);
    text.chars().skip(skip).collect()
}

/// Classifies one reply to a change: `Ok` for the empty line, else a typed refusal.
pub fn change(reply: &str) -> Result<(), ReplyError> {
    let text = reply.trim();
    if text.is_empty() {
        return Ok(());
    }
    Err(refusal(text))
}

/// The typed form of one of HAProxy's sentences.
fn refusal(text: &str) -> ReplyError {
    let text = excerpt(text.lines().next().unwrap_or("").trim());
    if text.starts_with("No such server") {
        ReplyError::NoSuchServer { text }
    } else if text.starts_with("No such backend")
        || text.starts_with("No such proxy")
        || text.starts_with("Can't find backend")
    {
        ReplyError::NoSuchBackend { text }
    } else if text.starts_with("Permission denied") {
        ReplyError::PermissionDenied { text }
    } else if text.starts_with("Unknown command") {
        ReplyError::UnknownCommand { text }
    } else if text.starts_with("Require 'backend/server'") {
        ReplyError::BadServerPath { text }
    } else if text.contains("eight") {
        // "Absolute weight can only be ...", "Require <weight> or <weight%>.", "... static LB
        // algorithm and only accepts weights '0%' and '100%'."
        ReplyError::BadWeight { text }
    } else if text.contains("state>' expects") || text.contains("> state' expects") {
        ReplyError::BadState { text }
    } else {
        ReplyError::Refused { text }
    }
}

/// What `show info` says about the process that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Process id, in HAProxy's own pid namespace.
    pub pid: u32,
    /// Seconds since that process started.
    pub uptime_s: u64,
    /// When it started, seconds since 1970, where this version says so.
    pub started_unix_s: Option<u64>,
    /// Version text.
    pub version: String,
}

/// The replies to one line, cut apart.
///
/// Each reply ends with an empty line; an empty line inside a quoted CSV cell does not end one.
#[derive(Debug)]
pub struct Replies<'a> {
    rest: &'a str,
}

impl<'a> Replies<'a> {
    /// Starts at the first reply; only UTF-8 is taken, which every HAProxy table is.
    pub fn new(bytes: &'a [u8]) -> Result<Self, ReplyError> {
        match std::str::from_utf8(bytes) {
            Ok(rest) => Ok(Self { rest }),
            Err(_) => {
                Err(ReplyError::NotHaproxy { excerpt: excerpt(&String::from_utf8_lossy(bytes)) })
            }
        }
    }

    /// The next reply without its end mark; `part` names it in the error.
    pub fn take(&mut self, part: &str) -> Result<&'a str, ReplyError> {
        let mut quoted = false;
        let mut line_start = true;
        for (at, byte) in self.rest.bytes().enumerate() {
            if byte == b'"' {
                quoted = !quoted;
            }
            if byte == b'\n' && line_start && !quoted {
                // Byte positions of ASCII bytes are character boundaries.
                let (reply, rest) = self.rest.split_at(at);
                self.rest = rest.get(1..).unwrap_or("");
                return Ok(reply);
            }
            line_start = byte == b'\n';
        }
        Err(ReplyError::Truncated { part: part.to_owned(), excerpt: tail(self.rest) })
    }

    /// The `show info` that every line of this driver begins with: it names the process that
    /// executes the rest of the line, and tells HAProxy from anything else that listens there.
    pub fn take_info(&mut self) -> Result<Info, ReplyError> {
        let start = self.rest;
        if !looks_like_info(start.as_bytes()) {
            let text = start.trim();
            return Err(match refusal(text) {
                known @ (ReplyError::PermissionDenied { .. }
                | ReplyError::UnknownCommand { .. }) => known,
                ReplyError::NoSuchServer { .. }
                | ReplyError::NoSuchBackend { .. }
                | ReplyError::BadServerPath { .. }
                | ReplyError::BadWeight { .. }
                | ReplyError::BadState { .. }
                | ReplyError::Refused { .. }
                | ReplyError::Truncated { .. }
                | ReplyError::NotHaproxy { .. }
                | ReplyError::Column { .. } => ReplyError::NotHaproxy { excerpt: excerpt(start) },
            });
        }
        info(self.take("show info")?)
    }
}

/// Whether bytes can be the beginning of a `show info` reply; also true of too few bytes to tell,
/// except none at all.
#[must_use]
pub fn looks_like_info(bytes: &[u8]) -> bool {
    const START: &[u8] = b"Name: ";
    !bytes.is_empty() && bytes.iter().zip(START).all(|(seen, wanted)| seen == wanted)
}

/// Parses `show info`.
pub fn info(reply: &str) -> Result<Info, ReplyError> {
    let fields: BTreeMap<&str, &str> =
        reply.lines().filter_map(|line| line.split_once(": ")).collect();
    let number = |name: &str| -> Result<u64, ReplyError> {
        let cell = fields.get(name).copied().unwrap_or("");
        cell.trim().parse().map_err(|_| column("show info", name, cell))
    };
    let pid = number("Pid")?;
    Ok(Info {
        pid: u32::try_from(pid).map_err(|_| column("show info", "Pid", &pid.to_string()))?,
        uptime_s: number("Uptime_sec")?,
        started_unix_s: number("Start_time_sec").ok(),
        version: fields.get("Version").copied().unwrap_or("").trim().to_owned(),
    })
}

fn column(part: &str, name: &str, cell: &str) -> ReplyError {
    ReplyError::Column { part: part.to_owned(), column: name.to_owned(), excerpt: excerpt(cell) }
}

/// A table whose cells are found by column name. Rows and header borrow from nothing, because
/// quoted cells are rewritten.
#[derive(Debug)]
pub struct Table {
    part: &'static str,
    columns: BTreeMap<String, usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn cell<'t>(&self, row: &'t [String], name: &str) -> Option<&'t str> {
        let at = self.columns.get(name)?;
        row.get(*at).map(String::as_str)
    }

    pub(super) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    pub(super) fn text<'t>(&self, row: &'t [String], name: &str) -> Result<&'t str, ReplyError> {
        self.cell(row, name).ok_or_else(|| {
            column(self.part, name, &self.columns.keys().cloned().collect::<Vec<_>>().join(" "))
        })
    }

    fn number(&self, row: &[String], name: &str) -> Result<u64, ReplyError> {
        let cell = self.text(row, name)?;
        cell.trim().parse().map_err(|_| column(self.part, name, cell))
    }

    fn small(&self, row: &[String], name: &str) -> Result<u32, ReplyError> {
        let number = self.number(row, name)?;
        u32::try_from(number).map_err(|_| column(self.part, name, &number.to_string()))
    }

    pub(super) fn maybe(&self, row: &[String], name: &str) -> Option<u64> {
        self.cell(row, name)?.trim().parse().ok()
    }

    pub(super) fn filled(&self, row: &[String], name: &str) -> Option<String> {
        self.cell(row, name).map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned)
    }
}

/// Parses `show stat` (CSV, header `# pxname,...`; the static columns end at the column `-`).
pub fn stat(reply: &str) -> Result<Table, ReplyError> {
    let part = "show stat";
    let Some(body) = reply.strip_prefix("# ") else {
        return Err(table_refusal(part, reply));
    };
    let mut records = csv_records(body).into_iter();
    let header = records.next().unwrap_or_default();
    if header.first().map(String::as_str) != Some("pxname") {
        return Err(ReplyError::NotHaproxy { excerpt: excerpt(reply) });
    }
    let width = header.iter().position(|name| name == "-").unwrap_or(header.len());
    table(part, header.into_iter().take(width).collect(), records)
}

/// Parses `show servers state` (version line `1`, header `# be_id ...`, blank-separated rows).
pub fn servers_state(reply: &str) -> Result<Table, ReplyError> {
    let part = "show servers state";
    let mut lines = reply.lines();
    if lines.next().map(str::trim) != Some("1") {
        return Err(table_refusal(part, reply));
    }
    let Some(header) = lines.next().and_then(|line| line.strip_prefix("# ")) else {
        return Err(ReplyError::Truncated { part: part.to_owned(), excerpt: tail(reply) });
    };
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    table(part, words(header), lines.map(words))
}

fn table_refusal(part: &str, reply: &str) -> ReplyError {
    match refusal(reply.trim()) {
        // No sentence that is known: a table of a format that is not.
        ReplyError::Refused { text } => column(part, "header", &text),
        known @ (ReplyError::NoSuchServer { .. }
        | ReplyError::NoSuchBackend { .. }
        | ReplyError::PermissionDenied { .. }
        | ReplyError::UnknownCommand { .. }
        | ReplyError::BadServerPath { .. }
        | ReplyError::BadWeight { .. }
        | ReplyError::BadState { .. }
        | ReplyError::Truncated { .. }
        | ReplyError::NotHaproxy { .. }
        | ReplyError::Column { .. }) => known,
    }
}

fn table(
    part: &'static str,
    header: Vec<String>,
    records: impl Iterator<Item = Vec<String>>,
) -> Result<Table, ReplyError> {
    let width = header.len();
    let mut columns = BTreeMap::new();
    for (at, name) in header.into_iter().enumerate() {
        columns.entry(name).or_insert(at);
    }
    let mut rows = Vec::new();
    for row in records {
        if row.len() < width {
            return Err(ReplyError::Truncated {
                part: part.to_owned(),
                excerpt: tail(&row.join(" ")),
            });
        }
        rows.push(row);
    }
    Ok(Table { part, columns, rows })
}

/// Cuts CSV text into records: cells in `"` may hold commas, line ends and doubled quotes.
fn csv_records(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            other => cell.push(other),
        }
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records
}

/// Joins both tables to one view per server of `backend`, in the order of `show stat`.
pub fn servers(stat: &Table, state: &Table, backend: &str) -> Result<Vec<ServerView>, ReplyError> {
    joined(stat, state, Some(backend), |row, state_row| view(stat, row, state, state_row))
}

/// One thing per server of `backend`, or of all of them, made of its rows in both tables.
pub(super) fn joined<T>(
    stat: &Table,
    state: &Table,
    backend: Option<&str>,
    make: impl Fn(&[String], &[String]) -> Result<T, ReplyError>,
) -> Result<Vec<T>, ReplyError> {
    let mut states = BTreeMap::new();
    for row in &state.rows {
        let name = (state.cell(row, "be_name"), state.cell(row, "srv_name"));
        states.entry(name).or_insert(row);
    }
    let mut all = Vec::new();
    for row in &stat.rows {
        let (of, server) = (stat.text(row, "pxname")?, stat.text(row, "svname")?);
        // Type 2 is a server; the full table also has frontends, backends and listeners.
        if backend.is_some_and(|name| name != of) || stat.text(row, "type")?.trim() != "2" {
            continue;
        }
        let Some(state_row) = states.get(&(Some(of), Some(server))) else {
            return Err(ReplyError::Truncated {
                part: "show servers state".to_owned(),
                excerpt: format!("no row for {of}/{server}"),
            });
        };
        all.push(make(row, state_row)?);
    }
    Ok(all)
}

/// What both rows of a server say of it.
pub(super) fn view(
    stat: &Table,
    row: &[String],
    state: &Table,
    state_row: &[String],
) -> Result<ServerView, ReplyError> {
    // "* L7OK" is the last result with a check under way.
    let check = stat.filled(row, "check_status");
    let checking = check.as_deref().is_some_and(|text| text.starts_with("* "));
    Ok(ServerView {
        backend: stat.text(row, "pxname")?.to_owned(),
        server: stat.text(row, "svname")?.to_owned(),
        status: Status::parse(stat.text(row, "status")?),
        admin: AdminBits(state.small(state_row, "srv_admin_state")?),
        op_state: state.small(state_row, "srv_op_state")?,
        scur: stat.number(row, "scur")?,
        qcur: stat.number(row, "qcur")?,
        weight: stat.small(row, "weight")?,
        uweight: state.small(state_row, "srv_uweight")?,
        iweight: state.small(state_row, "srv_iweight")?,
        check_status: check.map(|text| text.trim_start_matches("* ").to_owned()),
        checking,
        check_result: CheckResult::from_number(state.small(state_row, "srv_check_result")?),
        tracked: stat.filled(row, "tracked"),
        addr: stat.filled(row, "addr"),
        idle_connections: stat.maybe(row, "srv_icur"),
        used_conn_cur: stat.maybe(row, "used_conn_cur"),
        lastchg_s: stat.maybe(row, "lastchg"),
        throttle: stat.filled(row, "throttle"),
    })
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
