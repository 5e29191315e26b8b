//! Asks fronts all the time and counts what came of it, on a thread of its own, so that a loop that
//! waits for its disk delays no request.
//!
//! Open loop: a request is due whether or not the one before was answered (`schedule`). Each is
//! sent once and counted once (`count`); nothing is repeated but what was never written
//! (`ask`). What this machine could not send is counted as that and never as a failure. Nothing
//! is judged here: what it means for a rollout is for the engine to say.

mod ask;
mod clock;
mod count;
mod gap;
mod handing;
mod kept;
mod releases;
mod schedule;
mod watching;
mod wire;

pub use clock::Clock;

use crate::access::tls_config;
use ask::{Link, Question};
use kept::Kept;
use rustix::process::{Resource, getrlimit};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use schedule::{Schedule, Turns};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_rustls::TlsConnector;
use watching::{Line, Means, Watching, When};
use wire::Place;
use zdu_model::fleet::Front;
use zdu_model::front::{FrontSeen, Watch, Way};
use zdu_model::ids::StepNo;
use zdu_model::plan::Want;
use zdu_model::time::Millis;

/// The most requests of one front under way, however slow it is.
const UNDER_WAY_MAX: u64 = 256;

/// All fronts together take this part of the descriptors: keepers and channels live by the rest.
const DESCRIPTORS_PART: u64 = 4;

/// How many connections of a front may wait for the server to close them.
const LINGERING_MAX: usize = 32;

/// The oldest a kept connection becomes; see also [`ProberSetup::drain_deadline`].
const KEPT_AGE_MAX: Duration = Duration::from_secs(30);

/// A span of one front: which, and what was seen.
pub type Delta = (u32, FrontSeen);

/// Masks what a server said.
pub type Mask = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What a prober needs to know.
pub struct ProberSetup {
    /// Where times come from.
    pub clock: Clock,
    /// How long a drain may take: a kept connection is closed after a quarter of it at most, or our
    /// own would keep a drain from ending.
    pub drain_deadline: Millis,
    /// Masks what a server names as its release, before it is told.
    pub mask: Mask,
    /// How a front is trusted; where absent, by the authorities of the system, as everything here
    /// trusts.
    pub tls: Option<Arc<ClientConfig>>,
    /// Takes what was seen. While it is full counts grow and nothing is lost.
    pub deltas: mpsc::Sender<Delta>,
}

/// Why fronts cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProberError {
    /// A URL is none that can be asked.
    #[error("front {url} cannot be asked: {why}")]
    Url {
        /// The URL.
        url: String,
        /// Why not.
        why: String,
    },
    /// There are no authorities to trust.
    #[error("fronts cannot be trusted: {0}")]
    Tls(String),
    /// No thread can be started.
    #[error("a thread for fronts cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// What the prober's thread is told.
#[derive(Debug, Clone)]
struct Orders {
    steps: Arc<[StepNo]>,
    /// Stop, and wait so long for what is under way.
    stop: Option<Duration>,
}

/// Asks fronts until it is closed or dropped.
pub struct Prober {
    orders: watch::Sender<Orders>,
    ended: oneshot::Receiver<()>,
}

impl Prober {
    /// Begins to ask each of these fronts that is to be asked all the time, and hands over what was
    /// seen with its number: when the set of steps under way becomes empty or not, soon after a
    /// failure, and from time to time.
    ///
    /// # Errors
    /// [`ProberError`]; nothing was asked then.
    pub fn start(fronts: Vec<(u32, Front)>, setup: ProberSetup) -> Result<Self, ProberError> {
        let asked = fronts.iter().filter(|(_, front)| front.watch.is_some()).count();
        let share = share_of_descriptors(asked);
        let begin = setup.clock.now();
        let mut watched = Vec::new();
        for (no, front) in &fronts {
            if let Some(watch) = &front.watch {
                let means = means(*no, front, watch, &setup, share, begin)?;
                watched.push(Watching::new(means, begin));
            }
        }
        let (orders, obeyed) = watch::channel(Orders { steps: Arc::from([]), stop: None });
        let (done, ended) = oneshot::channel();
        // Names are looked up by blocking calls, one at a time for each front.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(8)
            .build()?;
        let work = move || {
            runtime.block_on(async {
                let mut all = tokio::task::JoinSet::new();
                for one in watched {
                    all.spawn(one.run(obeyed.clone()));
                }
                drop(obeyed);
                // One that panicked was printed; the others go on.
                while all.join_next().await.is_some() {}
            });
            // A resolver that hangs must not hold anything up.
            runtime.shutdown_background();
            drop(done);
        };
        std::thread::Builder::new().name("front".into()).spawn(work)?;
        Ok(Self { orders, ended })
    }

    /// The steps under way that change something, all of them, whenever they change. Failures of
    /// requests that are due from now on are tagged with them.
    pub fn steps(&self, steps: &[StepNo]) {
        self.orders.send_if_modified(|orders| {
            let changed = *orders.steps != *steps;
            if changed {
                orders.steps = Arc::from(steps);
            }
            changed
        });
    }

    /// Asks nothing more, waits so long at most for what is under way, and hands over what is left.
    /// Requests that have not ended by then are in no span. Returns when the thread has ended, a
    /// second later than the deadline at most where nobody takes the last delta.
    pub async fn close(self, deadline: Duration) {
        self.orders.send_modify(|orders| orders.stop = Some(deadline));
        // The thread says it by dropping its end.
        let _ended = self.ended.await;
    }
}

/// How many requests and kept connections a front may have open by the descriptors of this process.
fn share_of_descriptors(fronts: usize) -> u64 {
    let all = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let fronts = u64::try_from(fronts.max(1)).unwrap_or(u64::MAX);
    (all / DESCRIPTORS_PART / fronts).max(1)
}

/// The most requests under way. One way at its rate never has more than that many within its
/// timeout; the others are bounded by what they are.
fn limit(front: &Front, watch: &Watch, share: u64) -> usize {
    let rated = u64::from(watch.rate).saturating_mul(front.timeout.0).div_ceil(1_000) + 1;
    let others = u64::from(watch.keep) + u64::from(watch.long.is_some());
    let most = rated.saturating_add(others).min(UNDER_WAY_MAX).min(share);
    usize::try_from(most).unwrap_or(1).max(1)
}

fn means(
    no: u32,
    front: &Front,
    watch: &Watch,
    setup: &ProberSetup,
    share: u64,
    begin: Duration,
) -> Result<Means, ProberError> {
    let limit = limit(front, watch, share);
    let timeout = Duration::from_millis(front.timeout.0);
    let fresh = Arc::new(question(&front.http, timeout, watch, setup)?);
    let rated =
        |way, question| Line { way, when: When::Rate(Schedule::new(begin, watch.rate)), question };
    let mut lines = vec![rated(Way::New, Arc::clone(&fresh))];
    let keep = usize::try_from(watch.keep).unwrap_or(limit).min(limit);
    if keep > 0 {
        let kept = Question { once: false, ..(*fresh).clone() };
        lines.push(rated(Way::Keep, Arc::new(kept)));
    }
    if let Some(long) = &watch.long {
        let timeout = Duration::from_millis(long.timeout.0);
        let asked = question(&long.http, timeout, watch, setup)?;
        // What the answers of the front hold says nothing about this one, which may be gigabytes.
        let want = Want { status: watch.want.status.clone(), ..Want::default() };
        let asked = Question { want, version: None, any_body: true, ..asked };
        let when = When::Turns(Turns::new(begin, Duration::from_millis(long.pause.0)));
        lines.push(Line { way: Way::Long, when, question: Arc::new(asked) });
    }
    let age_max = KEPT_AGE_MAX.min(Duration::from_millis(setup.drain_deadline.0 / 4));
    let (clock, deltas) = (setup.clock.clone(), setup.deltas.clone());
    Ok(Means { no, lines, limit, kept: Kept::<Link>::new(keep, age_max), clock, deltas })
}

/// What is asked of one URL, over a connection for each request.
fn question(
    url: &str,
    timeout: Duration,
    watch: &Watch,
    setup: &ProberSetup,
) -> Result<Question, ProberError> {
    let bad = |why: &dyn ToString| ProberError::Url { url: url.into(), why: why.to_string() };
    let parsed = reqwest::Url::parse(url).map_err(|error| bad(&error))?;
    let named = parsed.host_str().ok_or_else(|| bad(&"it names no host"))?;
    let port = parsed.port_or_known_default().ok_or_else(|| bad(&"it has no port"))?;
    let host = named.trim_start_matches('[').trim_end_matches(']');
    let tls = match parsed.scheme() {
        "http" => None,
        "https" => {
            let own = setup.tls.as_ref().map(|config| Ok(Arc::clone(config)));
            let config = own.unwrap_or_else(tls_config).map_err(ProberError::Tls)?;
            let name = ServerName::try_from(host.to_owned()).map_err(|error| bad(&error))?;
            Some((TlsConnector::from(config), name))
        }
        other => return Err(bad(&format!("nobody speaks {other} here"))),
    };
    let header = parsed.port().map_or_else(|| named.to_owned(), |port| format!("{named}:{port}"));
    let query = parsed.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{}{query}", parsed.path());
    Ok(Question {
        place: Arc::new(Place::new(host, port, tls)),
        path: path.parse().map_err(|error| bad(&error))?,
        host: header.parse().map_err(|error| bad(&error))?,
        timeout,
        want: watch.want.clone(),
        version: watch.version.clone(),
        mask: Arc::clone(&setup.mask),
        once: true,
        any_body: false,
        lingering: Arc::new(Semaphore::new(LINGERING_MAX)),
    })
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
