//! What one process says of what it balances, as far as requests can be lost by it. Pure.

use super::command::{CONFIG_FILES, Command};
use super::reply::{self, Replies, ReplyError, Table};
use super::view::Status;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked, in one line.
pub(super) const QUESTION: [Command; 4] =
    [Command::ShowInfo, Command::ShowStat(None), Command::ShowTables, Command::ShowConfigFiles];

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Version text.
    pub version: String,
    /// When it started by its host's clock, seconds since 1970, where this version says so.
    pub started_unix_s: Option<u64>,
    /// Paths of its configuration files, in the order it read them; or its own sentence.
    pub files: Result<Vec<String>, String>,
    /// The proxies that take connections.
    pub fronts: BTreeSet<String>,
    /// Backends by name.
    pub backs: BTreeMap<String, Back>,
    /// Servers by backend and name.
    pub servers: BTreeMap<(String, String), Server>,
    /// The proxies that have a stick table.
    pub tables: BTreeSet<String>,
}

/// One backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Back {
    /// Whether it looks at requests; none where the socket does not say.
    pub http: Option<bool>,
    /// The cookie by which clients stay with their server.
    pub cookie: Option<String>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its status.
    pub status: Status,
    /// The last check's result code (`L4OK`, `L7OK`, ..), without the mark of a check under way.
    pub check: Option<String>,
    /// `backend/server` whose check it follows.
    pub tracked: Option<String>,
    /// An agent is asked about it.
    pub agent: bool,
    /// It has a value of its backend's cookie.
    pub cookie: bool,
    /// Transfers that it ended itself, since the process started (`srv_abrt`).
    pub aborted: u64,
    /// Requests that went over a connection used before, since the process started (`reuse`).
    pub reused: u64,
}

impl Running {
    /// Major and minor number of the version; none where its text begins otherwise.
    #[must_use]
    pub fn release(&self) -> Option<(u32, u32)> {
        let mut numbers = self.version.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

/// Reads the replies to [`QUESTION`].
pub(crate) fn read(bytes: &[u8]) -> Result<Running, ReplyError> {
    let mut replies = Replies::new(bytes)?;
    let info = replies.take_info()?;
    let stat = reply::stat(replies.take("show stat")?)?;
    let tables = tables(replies.take("show table")?);
    let files = files(replies.take("show env")?);
    let mut running = Running {
        version: info.version,
        started_unix_s: info.started_unix_s,
        files,
        fronts: BTreeSet::new(),
        backs: BTreeMap::new(),
        servers: BTreeMap::new(),
        tables,
    };
    for row in stat.rows() {
        let name = stat.text(row, "pxname")?.to_owned();
        match stat.text(row, "type")?.trim() {
            "0" => {
                running.fronts.insert(name);
            }
            "1" => {
                running.backs.insert(name, back(&stat, row));
            }
            "2" => {
                let path = (name, stat.text(row, "svname")?.to_owned());
                running.servers.insert(path, server(&stat, row)?);
            }
            // A listener of a frontend.
            _ => {}
        }
    }
    Ok(running)
}

fn back(stat: &Table, row: &[String]) -> Back {
    let http = stat.filled(row, "mode").map(|mode| mode == "http");
    Back { http, cookie: stat.filled(row, "cookie") }
}

fn server(stat: &Table, row: &[String]) -> Result<Server, ReplyError> {
    let check = stat.filled(row, "check_status");
    Ok(Server {
        status: Status::parse(stat.text(row, "status")?),
        check: check.map(|code| code.trim_start_matches("* ").to_owned()),
        tracked: stat.filled(row, "tracked"),
        agent: stat.filled(row, "agent_status").is_some(),
        cookie: stat.filled(row, "cookie").is_some(),
        aborted: stat.maybe(row, "srv_abrt").unwrap_or(0),
        reused: stat.maybe(row, "reuse").unwrap_or(0),
    })
}

/// The names in `# table: NAME, type: ip, size:1024, used:0`.
fn tables(reply: &str) -> BTreeSet<String> {
    let named = reply.lines().filter_map(|line| line.strip_prefix("# table: "));
    named.filter_map(|rest| rest.split(',').next()).map(str::to_owned).collect()
}

fn files(reply: &str) -> Result<Vec<String>, String> {
    let line = reply.lines().next().unwrap_or_default().trim();
    let value = line.strip_prefix(CONFIG_FILES).and_then(|rest| rest.strip_prefix('='));
    let paths = value.map(|value| value.split(';').filter(|path| !path.is_empty()));
    let paths: Vec<String> = paths.into_iter().flatten().map(str::to_owned).collect();
    if paths.is_empty() { Err(reply::excerpt(line)) } else { Ok(paths) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read on HAProxy 2.6.12, rows shortened to the columns that are asked for.
    const REPLIES: &str = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 7\nUptime_sec: 2\n\
        Start_time_sec: 1795848835\n\n\
        # pxname,svname,srv_abrt,status,tracked,type,check_status,agent_status,cookie,mode,\
        reuse,-,\n\
        front,FRONTEND,,OPEN,,0,,,,http,,-,\n\
        api,n1,997,UP,,2,* L4OK,,a,http,996,-,\n\
        api,n2,0,no check,,2,,L4CON,,http,0,-,\n\
        api,n3,0,UP,c/n1,2,,,x,http,0,-,\n\
        api,BACKEND,997,UP,,1,,,SRV,http,996,-,\n\n\
        # table: api, type: ip, size:1024, used:0\n\n\
        HAPROXY_CFGFILES=/etc/haproxy/a.cfg;/etc/haproxy/d/b.cfg\n\n";

    #[test]
    fn what_requests_can_be_lost_by_is_read_from_one_line_of_commands() {
        let running = read(REPLIES.as_bytes()).unwrap();
        assert_eq!(running.release(), Some((2, 6)));
        assert_eq!(running.started_unix_s, Some(1_795_848_835));
        let files = ["/etc/haproxy/a.cfg", "/etc/haproxy/d/b.cfg"].map(str::to_owned);
        assert_eq!(running.files, Ok(files.to_vec()));
        assert_eq!(running.fronts, BTreeSet::from(["front".to_owned()]));
        assert_eq!(running.tables, BTreeSet::from(["api".to_owned()]));
        let back = Back { http: Some(true), cookie: Some("SRV".to_owned()) };
        assert_eq!(running.backs, BTreeMap::from([("api".to_owned(), back)]));
        let seen: Vec<_> = running
            .servers
            .values()
            .map(|s| {
                (s.check.as_deref(), s.tracked.as_deref(), s.agent, s.cookie, s.aborted, s.reused)
            })
            .collect();
        let wanted = [
            (Some("L4OK"), None, false, true, 997, 996),
            (None, None, true, false, 0, 0),
            (None, Some("c/n1"), false, true, 0, 0),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn a_process_that_does_not_say_where_its_configuration_lies_is_quoted() {
        let variable = "HAPROXY_CFGFILES=/etc/haproxy/a.cfg;/etc/haproxy/d/b.cfg";
        for (reply, said) in [
            ("Variable not found", "Variable not found"),
            ("Permission denied", "Permission denied"),
            ("Unknown command: 'show env'\nmore", "Unknown command: 'show env'"),
            ("HAPROXY_CFGFILES=;", "HAPROXY_CFGFILES=;"),
        ] {
            let running = read(REPLIES.replace(variable, reply).as_bytes()).unwrap();
            assert_eq!(running.files, Err(said.to_owned()));
        }
        for cut in (0..REPLIES.len()).step_by(7) {
            assert!(read(&REPLIES.as_bytes()[..cut]).is_err(), "{cut}");
        }
    }
}
