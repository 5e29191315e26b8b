//! The prober as a whole, against a small server.

use super::server::{Play, Server, answer};
use super::*;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use zdu_model::front::{FailureKind, Long};

const SECOND: Duration = Duration::from_secs(1);
const PATIENT: Duration = Duration::from_secs(30);

fn front(http: String, rate: u32, keep: u32) -> Front {
    let want = Want { contains: Some("well".into()), ..Want::default() };
    let watch = Watch { rate, keep, long: None, want, version: None };
    Front { http, timeout: Millis(5_000), watch: Some(watch) }
}

fn setup(clock: Clock, room: usize) -> (ProberSetup, mpsc::Receiver<Delta>) {
    let (deltas, taken) = mpsc::channel(room);
    let drain_deadline = Millis(2_000);
    let mask: Mask = Arc::new(str::to_owned);
    (ProberSetup { clock, drain_deadline, mask, tls: None, deltas }, taken)
}

/// All deltas until the prober has ended, each behind the one before.
async fn rest(taken: &mut mpsc::Receiver<Delta>) -> Vec<FrontSeen> {
    let mut all = Vec::new();
    while let Some((no, seen)) = taken.recv().await {
        assert_eq!(no, 7);
        all.push(seen);
    }
    joined(&all);
    all
}

/// Sums of each way: sent, ok, failed, unsent, reopened.
fn sums(all: &[FrontSeen], way: Way) -> [u64; 5] {
    let mut sums = [0; 5];
    for seen in all.iter().flat_map(|seen| &seen.ways).filter(|seen| seen.way == way) {
        assert_eq!(seen.sent, seen.ok + seen.failed, "{seen:?}");
        assert_eq!(seen.ok, seen.times.iter().map(|(_, count)| count).sum::<u64>(), "{seen:?}");
        let here = [seen.sent, seen.ok, seen.failed, seen.unsent, seen.reopened];
        sums.iter_mut().zip(here).for_each(|(sum, here)| *sum += here);
    }
    sums
}

fn joined(all: &[FrontSeen]) {
    for two in all.windows(2) {
        if let [before, after] = two {
            assert_eq!(before.until, after.since);
            assert!(after.until > after.since);
        }
    }
}

fn requests(all: &[FrontSeen], way: Way) -> u64 {
    let [sent, _, _, unsent, _] = sums(all, way);
    sent + unsent
}

#[tokio::test]
async fn every_request_is_counted_once_and_the_server_saw_each_that_was_sent() {
    let server = Server::start(|_| Play::Say(answer(200, "all is well")));
    let (setup, mut taken) = setup(Clock::system(), 64);
    let prober = Prober::start(vec![(7, front(server.url(), 200, 4))], setup).unwrap();
    tokio::time::sleep(3 * SECOND).await;
    prober.close(PATIENT).await;
    let all = rest(&mut taken).await;
    let [fresh, kept] = [Way::New, Way::Keep].map(|way| sums(&all, way));
    assert_eq!((fresh[2], kept[2]), (0, 0), "{all:?}");
    assert_eq!(server.count(), fresh[0] + kept[0]);
    let span = all.last().unwrap().until.since(all.first().unwrap().since).0;
    for way in [Way::New, Way::Keep] {
        // One is due at the begin; the end of the span is rounded to a millisecond.
        let due = requests(&all, way);
        assert!(due.abs_diff(span * 200 / 1_000) <= 2, "{due} in {span} ms");
    }
    // Kept connections are opened anew each half second, a quarter of the drain's deadline.
    let opened = server.connections.load(Ordering::SeqCst) - fresh[0];
    assert!(opened > 4 && opened < kept[0], "{opened} kept connections");
}

#[tokio::test]
async fn nothing_is_sent_twice_when_the_server_closes_kept_connections_at_random() {
    let seed = Mutex::new(1_u64);
    let server = Server::start(move |_| {
        let mut seed = seed.lock().unwrap();
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (*seed >> 33) % 8 {
            0 => Play::SayAndClose(String::new()),
            1 => Play::SayAndClose(answer(200, "all is well")),
            2 => Play::SayAndClose(answer(200, "all is well").replace("well", "we")),
            _ => Play::Say(answer(200, "all is well")),
        }
    });
    let (setup, mut taken) = setup(Clock::system(), 64);
    let prober = Prober::start(vec![(7, front(server.url(), 200, 8))], setup).unwrap();
    tokio::time::sleep(2 * SECOND).await;
    prober.close(PATIENT).await;
    let all = rest(&mut taken).await;
    let [fresh, kept] = [Way::New, Way::Keep].map(|way| sums(&all, way));
    let unseen = all.iter().flat_map(|seen| &seen.failures);
    let raced: u64 =
        unseen.filter(|run| run.kind == FailureKind::ClosedKept).map(|run| run.count).sum();
    // A request that met the end of its connection was written, and may not have been read.
    let sent = fresh[0] + kept[0];
    let seen = server.count();
    assert!(seen <= sent && seen + raced >= sent, "{seen} seen of {sent}, {raced} may be unseen");
    assert!(kept[2] > 0 && kept[4] > 0 && fresh[2] > 0, "{fresh:?} {kept:?}");
}

#[tokio::test]
async fn a_stillness_is_counted_as_not_sent_and_is_no_burst_and_no_gap() {
    let shift = Arc::new(AtomicU64::new(0));
    let (system, read) = (Clock::system(), Arc::clone(&shift));
    let clock = Clock::of(move || {
        let ahead = Duration::from_secs(read.load(Ordering::SeqCst));
        [system.now() + ahead, Duration::from_secs(1_700_000_000) + system.now() + ahead]
    });
    let mut server = Server::start(|_| Play::Say(answer(200, "all is well")));
    let (setup, mut taken) = setup(clock, 64);
    let prober = Prober::start(vec![(7, front(server.url(), 100, 0))], setup).unwrap();
    server.came.recv().await.unwrap();
    let before = server.count();
    shift.store(60, Ordering::SeqCst);
    for _ in 0..20 {
        server.came.recv().await.unwrap();
    }
    prober.close(PATIENT).await;
    let all = rest(&mut taken).await;
    let [sent, ok, _, unsent, _] = sums(&all, Way::New);
    assert!(unsent >= 5_990, "{unsent}");
    assert_eq!((sent, ok), (server.count(), sent));
    assert!(sent - before < 1_000, "{sent} in a burst");
    let gaps = all.iter().flat_map(|seen| &seen.ways).map(|way| way.longest_gap);
    assert!(gaps.max().unwrap() < Millis(30_000), "{all:?}");
}

#[tokio::test]
async fn a_failure_is_told_soon_with_its_steps_and_a_full_queue_loses_none() {
    let server = Server::start(|_| Play::Say(answer(503, "no")));
    let (setup, mut taken) = setup(Clock::system(), 1);
    let prober = Prober::start(vec![(7, front(server.url(), 50, 0))], setup).unwrap();
    prober.steps(&[StepNo(3), StepNo(9)]);
    // Nobody takes anything in: the queue of one stays full.
    tokio::time::sleep(3 * SECOND).await;
    let closed = tokio::spawn(prober.close(PATIENT));
    let all = rest(&mut taken).await;
    closed.await.unwrap();
    let [sent, ok, failed, ..] = sums(&all, Way::New);
    assert_eq!((ok, failed), (0, server.count()));
    let runs: Vec<_> = all.iter().flat_map(|seen| &seen.failures).collect();
    assert_eq!(runs.iter().map(|run| run.count).sum::<u64>(), sent);
    let steps: BTreeSet<_> = runs.iter().map(|run| run.steps.clone()).collect();
    assert!(steps.contains(&vec![StepNo(3), StepNo(9)]), "{steps:?}");
    assert!(runs.iter().all(|run| (run.kind, run.status) == (FailureKind::Status, Some(503))));
}

#[tokio::test]
async fn a_front_that_hangs_takes_no_more_than_its_share_and_what_hangs_is_told_when_it_ends() {
    let server = Server::start(|_| Play::Nothing);
    let (setup, mut taken) = setup(Clock::system(), 64);
    let mut front = front(server.url(), 100, 2);
    front.timeout = Millis(300);
    let prober = Prober::start(vec![(7, front)], setup).unwrap();
    let (_, seen) = tokio::time::timeout(PATIENT, taken.recv()).await.unwrap().unwrap();
    prober.close(PATIENT).await;
    assert!(
        seen.until.since(seen.since) < Millis(5_000),
        "a first failure does not wait: {seen:?}"
    );
    let told: BTreeSet<_> = seen.failures.iter().map(|run| (run.way, run.kind)).collect();
    let hung = [Way::New, Way::Keep].map(|way| (way, FailureKind::TimedOut));
    assert_eq!(told, BTreeSet::from(hung));
    let kept = seen.ways.iter().find(|seen| seen.way == Way::Keep).unwrap();
    assert!(kept.unsent > kept.sent, "both kept connections are busy: {kept:?}");
    let fresh = seen.ways.iter().find(|seen| seen.way == Way::New).unwrap();
    assert!(fresh.longest_gap >= Millis(200), "{fresh:?}");
}

#[tokio::test]
async fn one_long_request_follows_the_other_and_delays_nothing_that_is_told() {
    let server = Server::start(|asked| match asked.head.contains("/long") {
        true => Play::Nothing,
        false => Play::Say(answer(200, "all is well")),
    });
    let (setup, mut taken) = setup(Clock::system(), 64);
    let mut front = front(server.url(), 20, 0);
    let http = format!("http://{}/long", server.address);
    let long = Long { http, pause: Millis(10), timeout: Millis(60_000) };
    front.watch.as_mut().unwrap().long = Some(long);
    let prober = Prober::start(vec![(7, front)], setup).unwrap();
    tokio::time::sleep(SECOND / 2).await;
    prober.steps(&[StepNo(1)]);
    let (_, seen) = tokio::time::timeout(PATIENT, taken.recv()).await.unwrap().unwrap();
    assert!(sums(std::slice::from_ref(&seen), Way::New)[1] > 0, "{seen:?}");
    assert_eq!(sums(std::slice::from_ref(&seen), Way::Long), [0; 5]);
    drop(prober);
    assert!(taken.recv().await.is_none(), "dropping it ends the thread");
}

#[test]
fn what_may_be_under_way_is_bounded_by_rate_and_timeout_and_descriptors() {
    let front = |rate, timeout| Front { timeout: Millis(timeout), ..front("-".into(), rate, 16) };
    let limit = |front: Front, share| limit(&front, front.watch.as_ref().unwrap(), share);
    assert_eq!(limit(front(10, 1_000), 10_000), 10 + 1 + 16);
    assert_eq!(limit(front(100, 10_000), 10_000), 256);
    assert_eq!(limit(front(100, 10_000), 64), 64);
}

#[tokio::test]
async fn what_is_no_url_to_ask_is_refused_before_anything_is_asked() {
    for url in ["ftp://a/", "nothing", "http://"] {
        let (setup, _taken) = setup(Clock::system(), 1);
        let made = Prober::start(vec![(7, front(url.into(), 1, 0))], setup);
        assert!(matches!(made, Err(ProberError::Url { .. })), "{url}");
    }
}
