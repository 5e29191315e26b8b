//! The backends and servers of a running HAProxy, asked over its runtime API. Nothing is changed.

use crate::failure::Failure;
use std::path::Path;
use std::time::Duration;
use zdu_config::import::Imported;
use zdu_config::import::haproxy::{Answer, Server, from_answer};
use zdu_drivers::balancer::haproxy::listing::{Listed, Listing};
use zdu_drivers::balancer::haproxy::reply::ReplyError;
use zdu_drivers::balancer::haproxy::{Endpoint, Instance};
use zdu_drivers::balancer::{Finding, InstanceError};
use zdu_model::verdict::exit;

/// How long HAProxy may take. It answers from memory; what takes longer is something else.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What HAProxy knows, as a configuration.
pub(super) fn imported(named: &str) -> Result<Imported, Failure> {
    let endpoint = endpoint(named)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::fatal("start the async runtime", &error))?;
    let listing = runtime.block_on(Instance::new("import", endpoint.clone(), TIMEOUT).list());
    let listing = listing.map_err(|error| unanswered(&endpoint, &error))?;
    Ok(from_answer(&answer(&endpoint, listing))?)
}

/// A socket as a person names it: as in zdu.yaml, as a path, or as HOST:PORT.
fn endpoint(named: &str) -> Result<Endpoint, Failure> {
    let refused = |why: &str| {
        let what = format!("use {named:?} as a socket of HAProxy: {why}");
        Failure::new(exit::USAGE, what)
            .hint("give the path of a unix socket, or HOST:PORT of a TCP socket")
    };
    let unix = |path: &str| match std::path::absolute(path) {
        Ok(path) if path.to_str().is_some() => Ok(Endpoint::Unix(path)),
        Ok(_) | Err(_) => Err(refused("it is no path")),
    };
    let tcp = |address: &str| match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(Endpoint::Tcp(address.to_owned()))
        }
        Some(_) | None => Err(refused("it is no HOST:PORT")),
    };
    if let Some(path) = named.strip_prefix("unix:") {
        return unix(path);
    }
    if let Some(address) = named.strip_prefix("tcp:") {
        return tcp(address);
    }
    if named.contains("://") {
        return Err(refused("it is a URL, and the statistics page is no runtime socket"));
    }
    let path = named.contains('/') || !named.contains(':') || Path::new(named).exists();
    if path && !named.is_empty() { unix(named) } else { tcp(named) }
}

fn unanswered(endpoint: &Endpoint, error: &InstanceError) -> Failure {
    let failure = Failure::new(exit::UNAVAILABLE, format!("ask HAProxy at {endpoint}"));
    let failure = Failure { causes: vec![error.to_string()], ..failure };
    let listen = "its configuration names it: `stats socket PATH mode 660 level admin`";
    let other = "a port that serves traffic or the statistics page is no runtime socket";
    match error {
        InstanceError::Unreachable { detail, .. } if detail.contains("Permission denied") => {
            failure
                .hint(
                    "this user may not open the socket: `stats socket` gives it a mode and a group",
                )
                .hint("join that group, or run this once with `sudo`; a rollout needs it too")
        }
        InstanceError::Unreachable { .. } => failure.hint("does HAProxy run?").hint(listen),
        InstanceError::TimedOut { .. } => failure.hint("does HAProxy listen there?").hint(other),
        InstanceError::Reply(ReplyError::PermissionDenied { .. }) => failure.hint(listen),
        InstanceError::Reply(ReplyError::NotHaproxy { .. }) | InstanceError::Connection { .. } => {
            failure.hint(other).hint(listen)
        }
        InstanceError::Reply(
            ReplyError::NoSuchServer { .. }
            | ReplyError::NoSuchBackend { .. }
            | ReplyError::UnknownCommand { .. }
            | ReplyError::BadServerPath { .. }
            | ReplyError::BadWeight { .. }
            | ReplyError::BadState { .. }
            | ReplyError::Refused { .. }
            | ReplyError::Truncated { .. }
            | ReplyError::Column { .. },
        ) => failure.hint("HAProxy 1.8 and later can be read"),
        InstanceError::Unread(error) => unanswered(endpoint, error),
        InstanceError::Hook(_) | InstanceError::Name(_) | InstanceError::NotTaken { .. } => failure,
    }
}

fn answer(endpoint: &Endpoint, listing: Listing) -> Answer {
    let Listing { identity, level, servers } = listing;
    Answer {
        socket: endpoint.to_string(),
        version: identity.version,
        level,
        servers: servers.into_iter().map(server).collect(),
    }
}

fn server(listed: Listed) -> Server {
    let unusual = unusual(&listed);
    let Listed { view, address, host, port, backup: _, findings: _ } = listed;
    Server { backend: view.backend, name: view.server, address, host, port, unusual }
}

/// In what a server is not as usual, each fitting "it is ..".
fn unusual(listed: &Listed) -> Vec<String> {
    let Listed { view, backup, findings, .. } = listed;
    let words = findings.iter().map(|finding| match finding {
        Finding::AlreadyDrained => "drained by a command".to_owned(),
        Finding::AlreadyInMaintenance => "in maintenance".to_owned(),
        Finding::ZeroWeight => "at weight 0, so somebody drained it by weight".to_owned(),
        Finding::OutByInheritance(_) => {
            format!("out because of the server it tracks or its name: {}", view.status)
        }
        Finding::NotServing(status) => format!("not serving: {status}"),
    });
    let mut all: Vec<String> = words.collect();
    if view.uweight != view.iweight && view.uweight != 0 {
        all.push(format!(
            "at weight {} by a command; its configuration says {}",
            view.uweight, view.iweight
        ));
    }
    if *backup {
        all.push("a backup, which serves only when all others are down".to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_a_path_or_a_host_and_a_port_and_nothing_else() {
        let read = |named| endpoint(named).map(|e| e.to_string()).map_err(|failure| failure.exit);
        assert_eq!(read("/run/h.sock").as_deref(), Ok("unix:/run/h.sock"));
        assert_eq!(read("unix:/run/h.sock").as_deref(), Ok("unix:/run/h.sock"));
        assert_eq!(read("lb-a:9999").as_deref(), Ok("tcp:lb-a:9999"));
        assert_eq!(read("tcp:[::1]:9999").as_deref(), Ok("tcp:[::1]:9999"));
        for bad in ["", "lb-a:http", ":1", "tcp:/x", "http://lb-a:80/stats"] {
            assert_eq!(read(bad), Err(exit::USAGE), "{bad:?}");
        }
        // zdu.yaml wants whole paths.
        let whole = read("./h.sock").expect("a path");
        assert!(whole.starts_with("unix:/") && whole.ends_with("/h.sock"), "{whole}");
    }
}
