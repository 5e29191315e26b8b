use super::*;
use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

/// No program.
const ABSENT: &str = "zdu-no-such-ss";

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

fn shells() -> impl Iterator<Item = &'static [&'static str]> {
    let busybox = std::process::Command::new("busybox").arg("true").output().is_ok();
    [&["/bin/sh"][..], &["busybox", "sh"]].into_iter().take(if busybox { 2 } else { 1 })
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
    let tables = [table.as_str(), &absent];
    let counts = established_by(ABSENT, &mut channel, tables, &[8080], long).await?;
    Ok(counts[&8080].clone())
}

#[tokio::test]
async fn a_node_with_60_000_sockets_in_time_wait_is_read_all_the_same() {
    for shell in shells() {
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
    for program in ["ss", "true", ABSENT] {
        let told = established_by(program, &mut channel, tables, &[8080], long).await;
        assert!(matches!(told, Err(SocketsError::Node { .. })), "{program}: {told:?}");
    }
}

/// What `ss` of iproute2 6.1 has printed for a gateway that listens on `[::]`.
const LIST: &str = "0      0                   [::1]:8080              [::1]:48030
0      0      [::ffff:127.0.0.1]:8080 [::ffff:127.0.0.1]:49736
0      0      [fe80::fc:ff:fe00:1]%eth0:8080  [fe80::2]:40012
0      36            10.77.0.11%eth0:443           10.77.0.12:50122
";

fn remotes(connections: &Connections) -> Vec<(String, usize)> {
    let text = |(address, count): (&IpAddr, &usize)| (address.to_string(), *count);
    connections.remotes.iter().map(text).collect()
}

fn listed(list: &str) -> Option<BTreeMap<u16, Connections>> {
    let counts = read_reply(&format!("{list}{LISTED}\n"), &[8080, 443, 9])?;
    Some(counts.expect("no table"))
}

#[test]
fn a_list_of_ss_counts_as_the_tables_do() {
    let counts = listed(LIST).expect("a list");
    let one = |address: &str| (address.to_owned(), 1);
    assert_eq!(remotes(&counts[&8080]), [one("127.0.0.1"), one("::1"), one("fe80::2")]);
    assert_eq!(remotes(&counts[&443]), [one("10.77.0.12")]);
    assert_eq!(counts[&9], Connections::default());
    let nothing = listed("").expect("nothing is open");
    assert_eq!(nothing.values().map(|port| port.count).collect::<Vec<_>>(), [0, 0, 0]);
}

#[test]
fn other_versions_of_ss_print_the_state_and_no_brackets() {
    let old = "ESTAB      0      0      ::ffff:10.77.0.11:8080     ::ffff:10.77.0.12:40012 \n\
               ESTAB      0      0      fe80::1%eth0:8080          fe80::2%eth0:40013\n\
               0      0      10.77.0.11:443   10.77.0.12:1  \n";
    let counts = listed(old).expect("a list");
    let one = |address: &str| (address.to_owned(), 1);
    assert_eq!(remotes(&counts[&8080]), [one("10.77.0.12"), one("fe80::2")]);
    assert_eq!(remotes(&counts[&443]), [one("10.77.0.12")]);
}

#[test]
fn a_list_with_anything_else_in_it_is_none() {
    let header = "Recv-Q Send-Q Local Address:Port  Peer Address:Port Process\n";
    let cut_line = &LIST[..LIST.len() - 9];
    let strange = [
        header,
        "\n",
        "0 0 10.0.0.1:8080\n10.0.0.2:1\n",
        "0 0 *:8080 10.0.0.2:1\n",
        "0 0 10.0.0.1:http-alt 10.0.0.2:1\n",
        "0 0 [10.0.0.1]:8080 10.0.0.2:1\n",
        "TIME-WAIT 0 0 10.0.0.1:8080 10.0.0.2:1\n",
        "0 0 10.0.0.1:8080 10.0.0.2:1 users:((\"gateway\",pid=1,fd=3))\n",
        "Cannot open netlink socket: Permission denied\n",
        cut_line,
    ];
    for text in strange {
        assert_eq!(listed(text), None, "{text:?}");
        assert_eq!(listed(&format!("{LIST}{text}")), None, "{text:?}");
    }
    assert!(read_reply(LIST, &[8080]).is_none(), "nothing says that this is all");
}

#[tokio::test]
async fn both_ways_count_the_same_sockets_of_this_machine() {
    let long = Duration::from_secs(30);
    let any = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
    let any = any.expect("listens");
    let four = TcpListener::bind("127.0.0.1:0").expect("listens");
    let ports = [&any, &four].map(|one| one.local_addr().expect("an address").port());
    let reach = |at: &str, port: u16| TcpStream::connect((at, port)).ok();
    // The third is an IPv4 peer of an IPv6 socket; no second on a machine without IPv6.
    let open = [reach("127.0.0.1", ports[1]), reach("::1", ports[0]), reach("127.0.0.1", ports[0])];
    let [four, six, mapped] = &open;
    assert!(four.is_some() && mapped.is_some());
    for shell in shells() {
        let mut channel = Channel::open_shell(shell, long).await.expect("a shell");
        let channel = &mut channel;
        let by_ss = established(channel, &ports, long).await.expect("by ss");
        let by_tables = established_by(ABSENT, channel, TABLES, &ports, long).await;
        assert_eq!(by_ss, by_tables.expect("by tables"), "{shell:?}");
        assert_eq!(by_ss[&ports[1]].count, 1);
        assert_eq!(by_ss[&ports[0]].count, if six.is_some() { 2 } else { 1 });
        assert!(remotes(&by_ss[&ports[0]]).contains(&("127.0.0.1".to_owned(), 1)));
    }
}

/// What is counted on port 8080 when the tables are [`TCP`], which has three connections to it, and
/// this script stands in place of `ss`.
async fn with_ss(shell: &[&str], script: &str) -> Result<Connections, SocketsError> {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    let (program, table, absent) = (at("ss"), at("tcp"), at("tcp6"));
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    std::fs::write(&table, TCP).expect("written");
    let long = Duration::from_secs(30);
    let mut channel = Channel::open_shell(shell, long).await.expect("a shell");
    let tables = [table.as_str(), &absent];
    let counts = established_by(&program, &mut channel, tables, &[8080], long).await?;
    Ok(counts[&8080].clone())
}

#[tokio::test]
async fn an_ss_that_fails_or_is_not_understood_leaves_the_word_to_the_tables() {
    let line = "0 0 10.0.0.1:8080 10.0.0.2:1";
    let scripts = [
        "echo 'ss: invalid option -- H' >&2; echo 'Usage: ss [ OPTIONS ]'; exit 255".to_owned(),
        "exit 1".to_owned(),
        format!("echo '{line}'; exit 1"),
        format!("printf '{line}'; exit 1"),
        format!("echo '{line}'; kill -9 $$"),
        format!("echo '{line}'; echo something else"),
        format!("printf '{line}'"),
        "echo 'Cannot open netlink socket: Permission denied' >&2".to_owned(),
    ];
    for shell in shells() {
        for script in &scripts {
            let counts = with_ss(shell, script).await.expect("by tables");
            assert_eq!(counts.count, 3, "{shell:?} {script}");
        }
        let counts = with_ss(shell, &format!("echo '{line}'")).await.expect("by ss");
        assert_eq!(counts.count, 1, "{shell:?}");
    }
}

#[tokio::test]
async fn what_ss_is_asked_does_not_depend_on_the_surroundings() {
    let long = Duration::from_secs(30);
    let mut channel = Channel::open_shell(&["/bin/sh"], long).await.expect("a shell");
    // With these it finds no socket, says nothing and ends well.
    let astray = "export PROC_ROOT=/nowhere PROC_NET_TCP=/dev/null TCPDIAG_FILE=/dev/null";
    channel.define("astray", astray, long).await.expect("defined");
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("an address").port();
    let _client = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    let counts = established(&mut channel, &[port], long).await.expect("read");
    assert_eq!(counts[&port].count, 1);
}
