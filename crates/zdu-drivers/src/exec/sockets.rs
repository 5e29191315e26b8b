//! Connections a node's kernel still holds: one side of a drain certificate.
//!
//! Asked of `ss`, for which the kernel picks state and port itself. Where that is missing or cannot
//! be understood they are read from `/proc/net/tcp` and `/proc/net/tcp6`, which needs no tool on
//! the node, and costs it a walk over its whole hash table for each of the two.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::channel::{Channel, ChannelError, tail};
use super::quote::quote;

/// The kernel's number of the state ESTABLISHED (`include/net/tcp_states.h`).
const ESTABLISHED: &str = "01";

/// The tables of the kernel.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// A `sed` script that leaves out sockets in any other state. A node that was busy has tens of
/// thousands in TIME_WAIT, more than a reply carries. Whatever is not exactly as the kernel writes
/// it stays, so that it is an error here and not a zero.
const WITHOUT_OTHER_STATES: &str = "/^ *[0-9][0-9]*: [0-9A-F]*:[0-9A-F]* [0-9A-F]*:[0-9A-F]* \
                                    0[02-9A-F] /d";

/// Behind what `ss` has said, when it says that this is all.
const LISTED: &str = "zdu listed";
/// Between what `ss` has said and the tables, when it has failed.
const TABLES_FOLLOW: &str = "zdu tables";

/// Established connections to one local port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connections {
    /// How many.
    pub count: usize,
    /// From where, and how many from each. An IPv4 peer of an IPv6 socket counts as IPv4.
    pub remotes: BTreeMap<IpAddr, usize>,
}

/// Why the tables could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketsError {
    /// The channel failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The node has no such table.
    #[error("socket tables cannot be read (exit {exit}): {}", lines.join("; "))]
    Node {
        /// Exit status.
        exit: i32,
        /// What it said.
        lines: Vec<String>,
    },
    /// A line is not as the kernel writes it. Counting on would undercount.
    #[error("socket table has an unknown line: {line:?}")]
    Line {
        /// The line.
        line: String,
    },
}

/// The established connections of each of `ports` in the node's network namespace. Every port has
/// an entry, zero too.
///
/// # Errors
/// See [`SocketsError`].
pub async fn established(
    channel: &mut Channel,
    ports: &[u16],
    deadline: Duration,
) -> Result<BTreeMap<u16, Connections>, SocketsError> {
    established_by("ss", channel, TABLES, ports, deadline).await
}

/// As [`established`], with another program in place of `ss` and other files in place of the
/// kernel's.
async fn established_by(
    program: &str,
    channel: &mut Channel,
    tables: [&str; 2],
    ports: &[u16],
    deadline: Duration,
) -> Result<BTreeMap<u16, Connections>, SocketsError> {
    let from_tables = read_tables(tables);
    let script = format!("{}{from_tables}", ask_ss(program, tables[0], ports));
    match read_reply(&ask(channel, &script, deadline).await?, ports) {
        // Of an `ss` that we do not understand no word is taken.
        None => count_established(&ask(channel, &from_tables, deadline).await?, ports),
        Some(counts) => counts,
    }
}

async fn ask(
    channel: &mut Channel,
    script: &str,
    deadline: Duration,
) -> Result<String, SocketsError> {
    let reply = channel.run(script, None, deadline).await?;
    if reply.exit != 0 {
        let lines = tail(&reply.stderr);
        return Err(SocketsError::Node { exit: reply.exit, lines });
    }
    Ok(String::from_utf8_lossy(&reply.stdout).into_owned())
}

/// Ends the script with what `ss` lists, or goes on to the tables.
///
/// `ss` reads the tables itself where the kernel does not answer it, and says nothing and ends well
/// where it cannot read them either. So it is asked only where they can be read; and whatever it
/// says on standard error stands among the lines, where it is none.
fn ask_ss(program: &str, table: &str, ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(|port| format!("sport = :{port}")).collect();
    // The variables would make it read something else than this kernel. Not every login's PATH
    // leads to where a system's own tools are.
    format!(
        "unset TCPDIAG_FILE PROC_ROOT PROC_NET_TCP PROC_NET_TCP6\n\
         PATH=$PATH:/usr/sbin:/sbin\n\
         [ -r {} ] && {program} -Htn state established '( {} )' 2>&1 && echo '{LISTED}' && exit\n\
         printf '\\n{TABLES_FOLLOW}\\n'\n",
        quote(table),
        ports.join(" or ")
    )
}

fn read_tables(tables: [&str; 2]) -> String {
    let [four, six] = tables.map(quote);
    // A node without IPv6 has no tcp6; one without tcp has no /proc for us at all. In the C locale
    // a character is a byte, which is many times faster.
    format!(
        "six={six}; [ -r \"$six\" ] || six=\n\
         LC_ALL=C exec sed '{WITHOUT_OTHER_STATES}' {four} ${{six:+\"$six\"}}"
    )
}

/// Counts in what `ss` has listed, or else in the tables; never in both. None when it has said
/// something that is no list.
fn read_reply(
    text: &str,
    ports: &[u16],
) -> Option<Result<BTreeMap<u16, Connections>, SocketsError>> {
    if let Some((_, tables)) = text.split_once(&format!("\n{TABLES_FOLLOW}\n")) {
        return Some(count_established(tables, ports));
    }
    let list = text.strip_suffix('\n')?.strip_suffix(LISTED)?;
    // A last line without an end is one that was cut.
    (list.is_empty() || list.ends_with('\n')).then_some(())?;
    let mut counts = none_yet(ports);
    for line in list.lines() {
        let (port, remote) = parse_listed(line)?;
        count(&mut counts, port, remote);
    }
    Some(Ok(counts))
}

fn none_yet(ports: &[u16]) -> BTreeMap<u16, Connections> {
    ports.iter().map(|port| (*port, Connections::default())).collect()
}

fn count(counts: &mut BTreeMap<u16, Connections>, port: u16, remote: IpAddr) {
    if let Some(connections) = counts.get_mut(&port) {
        connections.count += 1;
        *connections.remotes.entry(remote).or_default() += 1;
    }
}

/// Local port and remote address of `Recv-Q Send-Q Local:Port Peer:Port`. Some versions leave out
/// the state when only one was asked for, some do not.
fn parse_listed(line: &str) -> Option<(u16, IpAddr)> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if words.first() == Some(&"ESTAB") {
        words.remove(0);
    }
    let [received, sent, local, peer] = words.as_slice() else { return None };
    let _queues: (u64, u64) = (received.parse().ok()?, sent.parse().ok()?);
    let (_, port) = parse_listed_address(local)?;
    let (remote, _) = parse_listed_address(peer)?;
    Some((port, remote))
}

/// `10.0.0.1:80`, `[2001:db8::1]:80`, and without the brackets, as old versions have it. The
/// interface stands behind either form of address: `[fe80::1]%eth0:80`, `fe80::1%eth0:80`.
fn parse_listed_address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let address = address.split_once('%').map_or(address, |(address, _)| address);
    let address: IpAddr = match address.strip_prefix('[') {
        Some(inner) => IpAddr::V6(inner.strip_suffix(']')?.parse().ok()?),
        None => address.parse().ok()?,
    };
    Some((address.to_canonical(), port.parse().ok()?))
}

/// Counts in the text of one or both tables.
///
/// # Errors
/// [`SocketsError::Line`] when a line cannot be understood.
pub fn count_established(
    tables: &str,
    ports: &[u16],
) -> Result<BTreeMap<u16, Connections>, SocketsError> {
    let mut counts = none_yet(ports);
    for line in tables.lines() {
        // Each table begins with its own header.
        if line.trim_start().starts_with("sl") || line.trim().is_empty() {
            continue;
        }
        let parsed = parse_line(line);
        let (port, remote, state) =
            parsed.ok_or_else(|| SocketsError::Line { line: line.to_owned() })?;
        if state == ESTABLISHED {
            count(&mut counts, port, remote);
        }
    }
    Ok(counts)
}

/// Local port, remote address and state of `sl local_address rem_address st …`.
fn parse_line(line: &str) -> Option<(u16, IpAddr, &str)> {
    let mut words = line.split_whitespace();
    let (_, local, remote, state) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (_, port) = local.split_once(':')?;
    let (address, _) = remote.split_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, parse_address(address)?, state))
}

/// The kernel prints each 32-bit word of the address as a number of the node's own byte order.
/// All machines we know of are little-endian here; a big-endian node would show reversed
/// addresses, with the counts still right.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_le_bytes());
    }
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    let sixteen = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(sixteen)).to_canonical())
}

#[cfg(test)]
#[path = "sockets_tests.rs"]
mod tests;
