//! Loopback addresses and ports nobody uses.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::time::{SystemTime, UNIX_EPOCH};

/// Services of people's machines lie below.
const PORT_MIN: u16 = 10_000;
/// How many sets of addresses and ports are tried.
const ATTEMPTS: u32 = 100;

/// Free addresses and ports, held until dropped.
pub(super) struct Ports {
    /// Address and traffic port per node.
    pub(super) nodes: Vec<(Ipv4Addr, u16)>,
    /// One port that is free on every node's address.
    pub(super) management: u16,
    _held: Vec<TcpListener>,
}

impl Ports {
    /// Picks an address for each of `count` nodes.
    ///
    /// # Errors
    /// What the system said to the last attempt.
    pub(super) fn pick(count: usize) -> io::Result<Self> {
        let mut last = io::Error::other("no attempt was made");
        let mut seed = seed();
        for _ in 0..ATTEMPTS {
            // Knuth's constants; what counts is that two demos begin at different places.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            match Self::at(seed >> 32, count) {
                Ok(ports) => return Ok(ports),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn at(number: u64, count: usize) -> io::Result<Self> {
        let below = |limit: u64| u8::try_from(number / limit % 250).unwrap_or(0);
        // Not 127.0.x.x, where the machine's own services are.
        let address = |node: u8| Ipv4Addr::new(127, 2 + below(1), 2 + below(250), node);
        let span = u64::from(outgoing_from().saturating_sub(PORT_MIN)).max(1000);
        let mut port = PORT_MIN + u16::try_from(number % span).unwrap_or(0);
        let management = port;
        let mut ports = Self { nodes: Vec::new(), management, _held: Vec::new() };
        for node in (1..).take(count) {
            port = port.checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
            let address: Ipv4Addr = address(node);
            for port in [management, port] {
                ports._held.push(TcpListener::bind(SocketAddrV4::new(address, port))?);
            }
            ports.nodes.push((address, port));
        }
        Ok(ports)
    }
}

fn seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ (u64::from(std::process::id()) << 32)
}

/// The first port the kernel takes for outgoing connections; Linux's default where it does not say.
fn outgoing_from() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let first = text.ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
    first.unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn addresses_and_ports_are_apart_and_below_those_of_outgoing_connections() {
        let (one, two) = (Ports::pick(3).unwrap(), Ports::pick(3).unwrap());
        for ports in [&one, &two] {
            let addresses: BTreeSet<_> = ports.nodes.iter().map(|(address, _)| address).collect();
            let mut numbers: BTreeSet<_> = ports.nodes.iter().map(|(_, port)| *port).collect();
            numbers.insert(ports.management);
            assert_eq!((addresses.len(), numbers.len()), (3, 4));
            let range = PORT_MIN..outgoing_from().max(PORT_MIN + 1004);
            assert!(numbers.iter().all(|port| range.contains(port)), "{numbers:?}");
        }
        assert!(one.nodes.iter().all(|at| !two.nodes.contains(at)));
    }
}
