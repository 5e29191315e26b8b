//! Connections a node's kernel still holds, read from `/proc/net/tcp` and `/proc/net/tcp6`: one
//! side of a drain certificate, with no tool needed on the node.

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
    established_in(channel, TABLES, ports, deadline).await
}

async fn established_in(
    channel: &mut Channel,
    tables: [&str; 2],
    ports: &[u16],
    deadline: Duration,
) -> Result<BTreeMap<u16, Connections>, SocketsError> {
    let [four, six] = tables.map(quote);
    // A node without IPv6 has no tcp6; one without tcp has no /proc for us at all. In the C locale
    // a character is a byte, which is many times faster.
    let script = format!(
        "six={six}; [ -r \"$six\" ] || six=\n\
         LC_ALL=C exec sed '{WITHOUT_OTHER_STATES}' {four} ${{six:+\"$six\"}}"
    );
    let reply = channel.run(&script, None, deadline).await?;
    if reply.exit != 0 {
        let lines = tail(&reply.stderr);
        return Err(SocketsError::Node { exit: reply.exit, lines });
    }
    count_established(&String::from_utf8_lossy(&reply.stdout), ports)
}

/// Counts in the text of one or both tables.
///
/// # Errors
/// [`SocketsError::Line`] when a line cannot be understood.
pub fn count_established(
    tables: &str,
    ports: &[u16],
) -> Result<BTreeMap<u16, Connections>, SocketsError> {
    let mut counts: BTreeMap<u16, Connections> =
        ports.iter().map(|port| (*port, Connections::default())).collect();
    for line in tables.lines() {
        // Each table begins with its own header.
        if line.trim_start().starts_with("sl") || line.trim().is_empty() {
            continue;
        }
        let parsed = parse_line(line);
        let (port, remote, state) =
            parsed.ok_or_else(|| SocketsError::Line { line: line.to_owned() })?;
        if state == ESTABLISHED
            && let Some(connections) = counts.get_mut(&port)
        {
            connections.count += 1;
            *connections.remotes.entry(remote).or_default() += 1;
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
mod tests {
    use super::*;
    use std::fmt::Write as _;

    const TCP: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0B004D0A:1F90 0100007F:D2A4 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0B004D0A:1F90 0C004D0A:D2A5 06 00000000:00000000 00:00000000 00000000     0        0 3 1
   3: 0B004D0A:0016 0C004D0A:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4 1
  sl  local_address                         remote_address                        st tx_queue
   0: 0000000000000000FFFF00000B004D0A:1F90 0000000000000000FFFF00000100007F:D2A6 01 0:0 0:0 0
   1: B80D0120000000000000000001000000:1F90 B80D0120000000000000000002000000:D2A6 01 0:0 0:0 0
";

    #[test]
    fn only_established_connections_to_the_local_port_count() {
        let counts = count_established(TCP, &[8080, 443]).expect("a table of the kernel");
        let gateway = &counts[&8080];
        assert_eq!(gateway.count, 3);
        let remotes: Vec<(String, usize)> =
            gateway.remotes.iter().map(|(address, count)| (address.to_string(), *count)).collect();
        assert_eq!(remotes, [("127.0.0.1".to_owned(), 2), ("2001:db8::2".to_owned(), 1)]);
        assert_eq!(counts[&443], Connections::default());
    }

    #[test]
    fn a_line_that_cannot_be_read_is_an_error_and_not_a_zero() {
        let cut = TCP.replace("0100007F:D2A4", "0100007F");
        assert!(matches!(count_established(&cut, &[8080]), Err(SocketsError::Line { .. })));
    }

    /// A table as of a node that was busy: 60,000 sockets in TIME_WAIT, more than a reply carries,
    /// and these lines somewhere among them.
    fn busy(lines: &[&str]) -> String {
        let mut text = TCP.lines().next().expect("a header").to_owned() + "\n";
        for at in 0..60_000 {
            if at == 31_000 {
                lines.iter().for_each(|line| text.extend([line, "\n"]));
            }
            let (remote, port) = (0x0A00_0000 + at / 20_000, 0x2000 + at % 20_000);
            let line = format!(
                "{at:>5}: 0B004D0A:1F90 {remote:08X}:{port:04X} 06 00000000:00000000 \
                 03:00000B5C 00000000     0        0 0 3 0000000000000000"
            );
            // The kernel pads to this width.
            writeln!(text, "{line:<149}").expect("room");
        }
        text
    }

    async fn of_busy(shell: &[&str], lines: &[&str]) -> Result<Connections, SocketsError> {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
        let (table, absent) = (at("the kernel's tcp"), at("tcp6"));
        std::fs::write(&table, busy(lines)).expect("written");
        let long = Duration::from_secs(30);
        let mut channel = Channel::open_shell(shell, long).await.expect("a shell");
        let whole = channel.run(&format!("cat {}", quote(&table)), None, long).await;
        assert!(matches!(whole, Err(ChannelError::TooLong { .. })), "no busy node");
        let counts = established_in(&mut channel, [&table, &absent], &[8080], long).await?;
        Ok(counts[&8080].clone())
    }

    #[tokio::test]
    async fn a_node_with_60_000_sockets_in_time_wait_is_read_all_the_same() {
        let busybox = std::process::Command::new("busybox").arg("true").output().is_ok();
        let shells = [&["/bin/sh"][..], &["busybox", "sh"]].into_iter();
        for shell in shells.take(if busybox { 2 } else { 1 }) {
            let lines: Vec<&str> = TCP.lines().skip(1).take(4).collect();
            let counts = of_busy(shell, &lines).await.expect("read");
            assert_eq!(counts.count, 1, "{shell:?}");
            // What is no line of the kernel is not taken for one that may be left out.
            let cut = lines[2].replace("0C004D0A:D2A5", "0C004D0A");
            let told = of_busy(shell, &[&cut]).await;
            assert!(matches!(told, Err(SocketsError::Line { .. })), "{shell:?}: {told:?}");
        }
    }

    #[tokio::test]
    async fn a_table_that_is_not_there_is_an_error() {
        let long = Duration::from_secs(30);
        let mut channel = Channel::open_shell(&["/bin/sh"], long).await.expect("a shell");
        let tables = ["/proc/net/no table", "/proc/net/tcp6"];
        let told = established_in(&mut channel, tables, &[8080], long).await;
        assert!(matches!(told, Err(SocketsError::Node { .. })), "{told:?}");
    }
}
