//! How long a drained node stands idle: from the end of its last request to the beginning of the
//! next step. That time is bought with proof, and it is the price of every node of a rollout.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zdu_lab::haproxy::HaproxyConfig;
use zdu_lab::{Host, HostSpec, Lab, LabError};

use super::rollout::{BALANCER, Rollout, STARTED, Work};
use super::{RUNS, figures, node_names, text, timed};
use crate::say;

/// Times [`RUNS`]: 25 drains.
const NODES: usize = 5;
/// Enough that every node always has a request when its drain begins.
const CLIENTS: usize = 16;
const REQUEST: &[u8] = b"GET /slow?ms=100 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

/// A complete answer: which node gave it, and when its last byte arrived.
#[derive(Debug)]
struct Answer {
    node: String,
    end_ns: u128,
}

#[derive(Debug, Default)]
struct Seen {
    answers: Vec<Answer>,
    lost: usize,
}

/// Rolls over five nodes behind HAProxy under load, five times.
pub(super) fn idle_after_last_request(zdu: &Path) -> Result<(), String> {
    let names = node_names(NODES);
    let lab = up(&names)?;
    let nodes: Vec<&Host> = names.iter().map(|name| lab.host(name)).collect();
    let front = lab.haproxy(BALANCER, &HaproxyConfig::for_app(&nodes)).map_err(text)?.front(80);
    let rollout = Rollout::write(&lab, zdu, Work::Drained)?;
    let log = lab.directory().join("bench.log");
    let (mut idle_ms, mut lost, mut asked) = (Vec::new(), 0, 0);
    for _ in 0..RUNS {
        for node in &nodes {
            node.remove(STARTED).map_err(text)?;
        }
        let command = rollout.command(&lab);
        let (ran, seen) = under_load(&lab, front, || timed::seconds(command, &log))?;
        ran?;
        for node in &nodes {
            idle_ms.push(idle(node, &seen.answers)?);
        }
        lost += seen.lost;
        asked += seen.answers.len() + seen.lost;
    }
    say::line(&format!(
        "from the last request's end to the next step's beginning, {} drains: \
         p50 {:.1} ms, p99 {:.1} ms\n    {}\n    requests lost: {lost} of {asked}",
        idle_ms.len(),
        figures::percentile(&idle_ms, 50),
        figures::percentile(&idle_ms, 99),
        figures::with_raw(&idle_ms, "ms")
    ));
    Ok(())
}

fn up(names: &[String]) -> Result<Lab, String> {
    let apps: Result<Vec<HostSpec>, LabError> =
        names.iter().map(|name| HostSpec::app(name, "1")).collect();
    let mut specs = apps.map_err(text)?;
    specs.push(HostSpec::new(BALANCER));
    Lab::up("bench", &specs).map_err(text)
}

/// One machine, one clock: the client's and the node's times can be compared. The client sees the
/// end a little after the node did, so the result is a little too small, by a hop through HAProxy.
fn idle(node: &Host, answers: &[Answer]) -> Result<f64, String> {
    let written = node.read(STARTED).map_err(text)?;
    let first = written.lines().next().and_then(|line| line.parse::<u128>().ok());
    let begun_ns = first.ok_or_else(|| format!("read when the step began on {}", node.name()))?;
    let own = answers.iter().filter(|answer| answer.node == node.name());
    let last = own.map(|answer| answer.end_ns).filter(|end_ns| *end_ns <= begun_ns).max();
    let last = last.ok_or_else(|| format!("find a request on {} before its step", node.name()))?;
    Ok(Duration::from_nanos_u128(begun_ns - last).as_secs_f64() * 1000.0)
}

/// Runs `work` while clients in the control namespace ask `front`.
fn under_load<T>(
    lab: &Lab,
    front: SocketAddr,
    work: impl FnOnce() -> T,
) -> Result<(T, Seen), String> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Threads belong to the namespace of the thread that started them.
        let clients = scope.spawn(|| lab.in_control(|| all_clients(front, &stop)));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let seen = clients.join().map_err(|_| "run the clients: one panicked".to_owned())?;
        Ok((done, seen.map_err(text)?))
    })
}

fn all_clients(front: SocketAddr, stop: &AtomicBool) -> Seen {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| client(front, stop))).collect();
        let seen = clients.into_iter().map(|client| client.join().expect("a client never panics"));
        seen.fold(Seen::default(), |mut all, one| {
            all.answers.extend(one.answers);
            all.lost += one.lost;
            all
        })
    })
}

fn client(front: SocketAddr, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        match ask(front).ok().and_then(|answer| node_of(&answer)) {
            Some(node) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                seen.answers.push(Answer { node, end_ns: now.as_nanos() });
            }
            None => seen.lost += 1,
        }
    }
    seen
}

fn ask(front: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&front, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(REQUEST)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The node in a complete answer with status 200; the application ends its body with a newline.
fn node_of(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    (head.starts_with("HTTP/1.1 200") && body.ends_with('\n')).then_some(())?;
    let name = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-host").then(|| value.trim().to_owned())
    };
    head.lines().find_map(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_answer_names_its_node() {
        let whole = "HTTP/1.1 200 OK\r\nx-host: node-01\r\n\r\nnode-01 1\n";
        assert_eq!(node_of(whole).as_deref(), Some("node-01"));
        assert_eq!(node_of(&whole[..whole.len() - 1]), None, "it was cut");
        assert_eq!(node_of(&whole.replace("200", "503")), None);
    }

    /// The half of the bench that needs no zdu: a drain by hand, a step by hand.
    #[test]
    fn a_drain_by_hand_is_measured_from_its_last_request() {
        if let Err(reason) = zdu_lab::available() {
            say::error(&format!("SKIPPED: {reason}"));
            return;
        }
        let names = node_names(2);
        let Ok(lab) = up(&names) else {
            say::error("SKIPPED: zdu-lab-app was not built: cargo build --package zdu-lab --bins");
            return;
        };
        let nodes: Vec<&Host> = names.iter().map(|name| lab.host(name)).collect();
        let haproxy = lab.haproxy(BALANCER, &HaproxyConfig::for_app(&nodes)).expect("it starts");
        let (drained, seen) = under_load(&lab, haproxy.front(80), || {
            let limit = Duration::from_secs(10);
            haproxy.await_stat("app/node-01", limit, |stat| stat.number("scur") > 0)?;
            haproxy.set_state("app/node-01", "drain")?;
            haproxy.await_stat("app/node-01", limit, |stat| stat.number("scur") == 0)?;
            nodes[0].sh(&format!("date +%s%N >> {STARTED}"))
        })
        .expect("the clients run");
        assert!(drained.expect("it drains").status.success());
        assert_eq!(seen.lost, 0);
        let idle_ms = idle(nodes[0], &seen.answers).expect("both ends were seen");
        assert!(idle_ms < 5_000.0, "{idle_ms} ms");
    }
}
