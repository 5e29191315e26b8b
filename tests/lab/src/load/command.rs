//! The program `zdu-lab-load`: clients, the ways to stop, the report on stdout.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout};

use super::client::{Answer, Connection, Lost};
use super::report::{Failure, FailureKind, Hold, LoadReport};
use super::spec::{Habit, LoadSpec};
use crate::LabError;

/// What is said on stderr once every habit had its first success.
pub(super) const FLOWS: &str = "load flows";

/// A server that refuses at once would be asked as fast as the processor allows.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// `zdu-lab-load SPEC`, where SPEC is a [`LoadSpec`] as JSON. Ends with 0 whatever it saw: the
/// report on stdout tells.
pub fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    let made = parse(args.next()).and_then(|spec| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(LabError::because("start the runtime"))?;
        let report = runtime.block_on(run(spec))?;
        let text = serde_json::to_string(&report).map_err(LabError::because("write JSON"))?;
        writeln!(std::io::stdout(), "{text}").map_err(LabError::because("print the report"))
    });
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            // Nothing is left to do when stderr is closed.
            let _ = writeln!(std::io::stderr(), "zdu-lab-load: failed to {cause}");
            ExitCode::FAILURE
        }
    }
}

fn parse(spec: Option<String>) -> Result<LoadSpec, LabError> {
    let spec = spec.ok_or_else(|| LabError::new("find a load spec (JSON) as first argument"))?;
    let spec: LoadSpec =
        serde_json::from_str(&spec).map_err(LabError::because("read the load spec"))?;
    if spec.targets.is_empty() || spec.rate == 0 {
        return Err(LabError::new("make load without a target or with rate 0"));
    }
    Ok(spec)
}

struct Load {
    spec: LoadSpec,
    started: Instant,
    report: Mutex<LoadReport>,
    stop: watch::Receiver<bool>,
}

async fn run(spec: LoadSpec) -> Result<LoadReport, LabError> {
    let (stop, stopped) = watch::channel(false);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let report = LoadReport::new(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let load = Arc::new(Load {
        spec,
        started: Instant::now(),
        report: Mutex::new(report),
        stop: stopped,
    });
    let mut clients = tokio::task::JoinSet::new();
    for habit in Habit::ALL {
        for number in 0..load.spec.clients(habit) {
            let target = load.spec.targets[number % load.spec.targets.len()];
            clients.spawn(client(load.clone(), habit, target));
        }
    }
    tokio::spawn(say_when_it_flows(load.clone()));
    let term = signal(SignalKind::terminate()).map_err(LabError::because("listen for TERM"))?;
    until_stop(&load.spec, term).await;
    stop.send_replace(true);
    while clients.join_next().await.is_some() {}
    let at_ms = load.now_ms();
    let mut report = load.report().clone();
    report.finish(at_ms);
    Ok(report)
}

async fn until_stop(spec: &LoadSpec, mut term: tokio::signal::unix::Signal) {
    let stdin_ends = async {
        if !spec.until_stdin_ends {
            return std::future::pending().await;
        }
        let (ended, end) = oneshot::channel();
        std::thread::spawn(move || {
            // An error ends it as well: nobody is there to end it otherwise.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            ended.send(())
        });
        let _ = end.await;
    };
    let stop_file = async {
        match &spec.stop_file {
            Some(path) => {
                while !Path::new(path).exists() {
                    sleep(Duration::from_millis(20)).await;
                }
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = sleep(Duration::from_millis(spec.duration_ms)) => {}
        _ = term.recv() => {}
        () = stdin_ends => {}
        () = stop_file => {}
    }
}

/// Whoever started the load may wait for this line before doing harm.
async fn say_when_it_flows(load: Arc<Load>) {
    let quick = [Habit::Close, Habit::Keepalive, Habit::Slow];
    let wanted = quick
        .into_iter()
        .filter(|habit| load.spec.clients(*habit) > 0);
    let wanted: Vec<Habit> = wanted.collect();
    while !wanted
        .iter()
        .all(|habit| load.report().habit(*habit).ok > 0)
    {
        sleep(Duration::from_millis(5)).await;
    }
    let _ = writeln!(std::io::stderr(), "{FLOWS}");
}

async fn client(load: Arc<Load>, habit: Habit, target: SocketAddr) {
    match habit {
        Habit::Close | Habit::Keepalive => {
            let pace = Duration::from_secs(1) / load.spec.rate;
            let path = load.spec.path.clone();
            repeat(&load, habit, target, &path, pace, 0).await;
        }
        Habit::Slow => {
            let slow_ms = load.spec.slow_ms;
            let path = format!("/slow?ms={slow_ms}");
            repeat(
                &load,
                habit,
                target,
                &path,
                Duration::from_millis(1),
                slow_ms,
            )
            .await;
        }
        Habit::Hold => hold(&load, target).await,
    }
}

async fn repeat(
    load: &Load,
    habit: Habit,
    target: SocketAddr,
    path: &str,
    pace: Duration,
    extra_ms: u64,
) {
    let mut ticks = tokio::time::interval(pace);
    // After a long answer: go on at the pace, without a burst to catch up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = load.stop.clone();
    let mut kept = None;
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        if load
            .request(habit, target, path, &mut kept, extra_ms)
            .await
            .is_none()
        {
            sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}

/// One quick request, then one long one on the same connection.
async fn hold(load: &Load, target: SocketAddr) {
    let mut kept = None;
    let Some(first) = load
        .request(Habit::Hold, target, &load.spec.path, &mut kept, 0)
        .await
    else {
        return;
    };
    let (began_ms, hold_ms) = (load.now_ms(), load.spec.hold_ms);
    let path = format!("/slow?ms={hold_ms}");
    let answer = load
        .request(Habit::Hold, target, &path, &mut kept, hold_ms)
        .await;
    let after_ms = load.now_ms() - began_ms;
    load.report().holds.push(Hold {
        completed: answer.is_some(),
        pinned_host: first.host,
        host: answer.map(|answer| answer.host).unwrap_or_default(),
        after_ms,
    });
}

impl Load {
    fn report(&self) -> MutexGuard<'_, LoadReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// One request, counted; `None` when it was lost. Never repeated.
    async fn request(
        &self,
        habit: Habit,
        target: SocketAddr,
        path: &str,
        kept: &mut Option<Connection>,
        extra_ms: u64,
    ) -> Option<Answer> {
        let began_ms = self.now_ms();
        let limit = Duration::from_millis(self.spec.timeout_ms + extra_ms);
        let mut connected = kept.is_some();
        let exchange = exchange(target, path, habit == Habit::Close, kept, &mut connected);
        let ended = timeout(limit, exchange).await;
        let at_ms = self.now_ms();
        let (kind, status, detail) = match ended {
            Ok(Ok(answer)) if answer.status == 200 => {
                let mut report = self.report();
                let Answer {
                    status: _,
                    host,
                    version,
                    last,
                } = &answer;
                report.success(at_ms, at_ms - began_ms, habit, host, version);
                if *last && habit != Habit::Close {
                    report.told_to_close(habit);
                }
                return Some(answer);
            }
            Ok(Ok(answer)) => (FailureKind::Status, Some(answer.status), answer.host),
            Ok(Err(Lost { kind, detail })) => (kind, None, detail),
            Err(_) if connected => (FailureKind::Timeout, None, String::new()),
            Err(_) => (FailureKind::ConnectTimeout, None, String::new()),
        };
        let target = target.to_string();
        let after_ms = at_ms - began_ms;
        self.report().failure(Failure {
            at_ms,
            after_ms,
            habit,
            kind,
            status,
            target,
            detail,
        });
        None
    }
}

/// The connection stays in `kept` only after a complete answer that lets it live.
async fn exchange(
    target: SocketAddr,
    path: &str,
    close: bool,
    kept: &mut Option<Connection>,
    connected: &mut bool,
) -> Result<Answer, Lost> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(target).await?,
    };
    *connected = true;
    let answer = connection.get(path, close).await?;
    if !answer.last {
        *kept = Some(connection);
    }
    Ok(answer)
}
