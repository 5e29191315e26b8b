//! Everything that one process balances to: what a configuration can be made of.

use super::command::Command;
use super::reply::{self, Replies, ReplyError, Table};
use super::view::ServerView;
use super::{findings, identity};
use crate::balancer::{Finding, Identity};

/// What is asked, in one line.
pub(super) const QUESTION: [Command; 4] = [
    Command::ShowInfo,
    Command::ShowLevel,
    Command::ShowServersState(None),
    Command::ShowStat(None),
];

/// All servers as one process sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The process that answered.
    pub identity: Identity,
    /// The level of the socket (`user`, `operator`, `admin`); absent where this version does not
    /// know the question.
    pub level: Option<String>,
    /// The servers, in the order of `show stat`.
    pub servers: Vec<Listed>,
}

/// One server of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What is known of every server.
    pub view: ServerView,
    /// Its IP address; absent for a unix socket and for a name that does not resolve.
    pub address: Option<String>,
    /// The host name of its configuration, where it has one.
    pub host: Option<String>,
    /// Its port; absent where it is the client's.
    pub port: Option<u16>,
    /// Serves only when all others are down.
    pub backup: bool,
    /// What an operator should know of its state.
    pub findings: Vec<Finding>,
}

/// Reads the replies to [`QUESTION`].
pub(crate) fn read(bytes: &[u8]) -> Result<Listing, ReplyError> {
    let mut replies = Replies::new(bytes)?;
    let info = replies.take_info()?;
    let level = replies.take("show cli level")?.trim();
    let known = ["user", "operator", "admin"].contains(&level);
    let state = reply::servers_state(replies.take("show servers state")?)?;
    let stat = reply::stat(replies.take("show stat")?)?;
    let servers =
        reply::joined(&stat, &state, None, |row, state_row| listed(&stat, row, &state, state_row))?;
    Ok(Listing { identity: identity(info), level: known.then(|| level.to_owned()), servers })
}

fn listed(
    stat: &Table,
    row: &[String],
    state: &Table,
    state_row: &[String],
) -> Result<Listed, ReplyError> {
    let view = reply::view(stat, row, state, state_row)?;
    let filled = |name| state.filled(state_row, name).filter(|cell| cell != "-");
    // The address is a column of every version; the others came later.
    let address = state.text(state_row, "srv_addr")?;
    let address = address.parse::<std::net::IpAddr>().ok().filter(|ip| !ip.is_unspecified());
    let port = state.maybe(state_row, "srv_port").and_then(|port| u16::try_from(port).ok());
    Ok(Listed {
        findings: findings(&view),
        view,
        address: address.map(|ip| ip.to_string()),
        host: filled("srv_fqdn"),
        port: port.filter(|port| *port != 0),
        backup: stat.maybe(row, "bck") == Some(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read on HAProxy 2.6.12, rows shortened to the columns that are asked for.
    const REPLIES: &str = "Name: HAProxy\nVersion: 2.6.12\nPid: 7\nUptime_sec: 6\n\n\
        admin\n\n\
        1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
        srv_iweight srv_check_result srv_fqdn srv_port\n\
        3 api 1 n1 127.0.0.2 2 0 4 10 1 - 8080\n\
        3 api 2 n2 ::1 0 8 10 10 2 web.example 8080\n\
        4 admin 1 n1 127.0.0.2 2 0 1 1 1 - 0\n\
        4 admin 2 u - 2 0 1 1 1 - 0\n\n\
        # pxname,svname,qcur,scur,status,weight,bck,type,check_status,-,\n\
        front,FRONTEND,,0,OPEN,,,0,,-,\n\
        api,n1,0,0,no check,4,0,2,,-,\n\
        api,n2,0,0,DRAIN,10,0,2,,-,\n\
        api,BACKEND,0,0,UP,10,0,1,,-,\n\
        admin,n1,0,0,no check,1,1,2,,-,\n\
        admin,u,0,0,MAINT,1,0,2,,-,\n\n";

    #[test]
    fn every_server_of_every_backend_is_listed_with_where_it_is_and_how() {
        let listing = read(REPLIES.as_bytes()).unwrap();
        assert_eq!((listing.identity.pid, listing.level.as_deref()), (7, Some("admin")));
        let seen: Vec<_> = listing
            .servers
            .iter()
            .map(|s| (s.view.server.as_str(), s.address.as_deref(), s.host.as_deref(), s.port))
            .collect();
        let wanted = [
            ("n1", Some("127.0.0.2"), None, Some(8080)),
            ("n2", Some("::1"), Some("web.example"), Some(8080)),
            ("n1", Some("127.0.0.2"), None, None),
            ("u", None, None, None),
        ];
        assert_eq!(seen, wanted);
        let backends: Vec<&str> = listing.servers.iter().map(|s| s.view.backend.as_str()).collect();
        assert_eq!(backends, ["api", "api", "admin", "admin"]);
        assert_eq!(listing.servers[1].findings, [Finding::AlreadyDrained]);
        assert_eq!((listing.servers[0].view.uweight, listing.servers[0].view.iweight), (4, 10));
        assert!(listing.servers[2].backup && !listing.servers[0].backup);
    }

    #[test]
    fn a_version_that_knows_no_level_tells_none_and_half_a_listing_is_refused() {
        let old = REPLIES.replace("admin\n\n1\n", "Unknown command. Please enter one\n\n1\n");
        assert_eq!(read(old.as_bytes()).unwrap().level, None);
        for cut in (0..REPLIES.len()).step_by(7) {
            assert!(read(&REPLIES.as_bytes()[..cut]).is_err(), "{cut}");
        }
        let without = REPLIES.replace("srv_addr", "srv_else");
        assert!(matches!(read(without.as_bytes()), Err(ReplyError::Column { .. })));
    }
}
