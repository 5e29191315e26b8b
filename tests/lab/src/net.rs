//! Namespaces, the bridge, cables and silent loss: thin wrappers over `ip` and `nft`.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::LabError;
use crate::process::succeed;

/// Every lab has the same subnet: its bridge stands in a namespace of its own.
pub(crate) const CONTROL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Address of the host with this index, counted from 0.
pub(crate) fn host_address(index: usize) -> Ipv4Addr {
    let last = u8::try_from(index + 11).expect("the lab refuses more hosts than addresses");
    Ipv4Addr::new(10, 77, 0, last)
}

/// A host's cable. `port` names its end at the bridge; it exists in the control namespace only,
/// so it needs to be unique only there.
#[derive(Debug, Clone)]
pub(crate) struct Cable {
    pub(crate) control: String,
    pub(crate) port: String,
    pub(crate) namespace: String,
    pub(crate) address: Ipv4Addr,
}

/// A command that runs inside a network namespace.
pub(crate) fn within(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

fn ip(args: &str) -> Result<String, LabError> {
    let mut command = Command::new("ip");
    command.args(args.split_whitespace());
    succeed(command, "")
}

/// One `ip` process for several changes inside a namespace; the first failure ends it.
fn ip_batch(namespace: &str, lines: &str) -> Result<(), LabError> {
    let mut command = Command::new("ip");
    command.args(["-n", namespace, "-batch", "-"]);
    succeed(command, lines).map(drop)
}

/// Makes a network namespace.
pub(crate) fn add_namespace(namespace: &str) -> Result<(), LabError> {
    ip(&format!("netns add {namespace}")).map(drop)
}

/// Removes a network namespace; its links go with it.
pub(crate) fn delete_namespace(namespace: &str) -> Result<(), LabError> {
    ip(&format!("netns del {namespace}")).map(drop)
}

/// Names of all network namespaces of the machine. An unreadable list is an empty one: there is
/// no `/run/netns` before the first namespace was made.
pub(crate) fn namespaces() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Processes whose network namespace this is, as `ip netns pids` finds them.
pub(crate) fn namespace_pids(namespace: &str) -> Vec<u32> {
    let found = ip(&format!("netns pids {namespace}")).unwrap_or_default();
    found
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The bridge of a lab. Without spanning tree and forward delay a host is reachable at once.
pub(crate) fn add_bridge(control: &str) -> Result<(), LabError> {
    ip_batch(
        control,
        &format!(
            "link set lo up\n\
             link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n\
             addr add {CONTROL}/24 dev br0\n\
             link set br0 up\n"
        ),
    )
}

/// Plugs a host in. The hardware address follows from the address, so that neighbours find the
/// host again after it was made anew.
pub(crate) fn plug(cable: &Cable) -> Result<(), LabError> {
    let Cable {
        control,
        port,
        namespace,
        address,
    } = cable;
    let last = address.octets()[3];
    ip(&format!(
        "link add {port} netns {control} type veth \
         peer name eth0 address 02:00:0a:4d:00:{last:02x} netns {namespace}"
    ))?;
    ip_batch(control, &format!("link set {port} master br0 up\n"))?;
    ip_batch(
        namespace,
        &format!("link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\n"),
    )
}

/// Takes the cable away for good: from this moment nothing the host sends arrives anywhere.
pub(crate) fn unplug(cable: &Cable) -> Result<(), LabError> {
    let Cable {
        control,
        port,
        namespace: _,
        address: _,
    } = cable;
    ip_batch(control, &format!("link del {port}\n"))
}

/// Sets the bridge's end of the cable up or down; the host still sees its own end.
pub(crate) fn set_link(cable: &Cable, up: bool) -> Result<(), LabError> {
    let Cable {
        control,
        port,
        namespace: _,
        address: _,
    } = cable;
    ip_batch(
        control,
        &format!("link set {port} {}\n", if up { "up" } else { "down" }),
    )
}

/// Loses packets silently in both directions, inside the host's namespace: all of them, or only
/// those from and to `peers` when there are any. Loopback stays. Replaces an earlier loss.
pub(crate) fn lose(namespace: &str, peers: &[Ipv4Addr]) -> Result<(), LabError> {
    let (inward, outward) = if peers.is_empty() {
        (
            "iifname != \"lo\" drop".to_owned(),
            "oifname != \"lo\" drop".to_owned(),
        )
    } else {
        let list = peers
            .iter()
            .map(Ipv4Addr::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        (
            format!("ip saddr {{ {list} }} drop"),
            format!("ip daddr {{ {list} }} drop"),
        )
    };
    let mut nft = within(namespace, "nft");
    nft.args(["-f", "-"]);
    let rules = format!(
        "add table ip zdu_lab_cut\n\
         delete table ip zdu_lab_cut\n\
         table ip zdu_lab_cut {{\n\
           chain inward {{ type filter hook input priority -300; {inward}; }}\n\
           chain outward {{ type filter hook output priority -300; {outward}; }}\n\
         }}\n"
    );
    succeed(nft, &rules).map(drop)
}

/// Ends the loss of [`lose`]; fine when there was none.
pub(crate) fn heal(namespace: &str) -> Result<(), LabError> {
    let mut nft = within(namespace, "nft");
    nft.args(["-f", "-"]);
    succeed(
        nft,
        "add table ip zdu_lab_cut\ndelete table ip zdu_lab_cut\n",
    )
    .map(drop)
}
