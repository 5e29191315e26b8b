//! Running a rollout: a new one from a plan, or one that exists, to its end or its hold.

mod alive;
mod finish;
mod logs;
mod screen;
mod settings;

use crate::context::Context;
use crate::failure::Failure;
use crate::{prepare, refused, rollouts};
use logs::Logs;
use screen::Screen;
use settings::Settings;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use zdu_conductor::directory::RolloutDir;
use zdu_conductor::files::{FileStorage, read_lease};
use zdu_conductor::journal;
use zdu_conductor::plan_file::{read_plan, write_plan};
use zdu_conductor::requests::Requests;
use zdu_conductor::storage::{Claim, Lease, LeaseError, Owner};
use zdu_conductor::turn::{Conductor, OpenError, Opened};
use zdu_conductor::{Prospect, Rollout, STILLNESS, readings_before_drains};
use zdu_drivers::capture::Captures;
use zdu_drivers::secret::Secrets;
use zdu_drivers::{Access, Answer, Drivers, Fronts, Pulse, Setup, clocks};
use zdu_model::event::{Event, Request};
use zdu_model::ids::{Epoch, FleetName, RolloutId};
use zdu_model::plan::Plan;
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::{Verdict, exit};
use zdu_runtime::{Clock, Driven, Rig, RuntimeError, drive};

/// How long the lease lasts without renewal. A controller that stands still for longer must not
/// come back; a dead one must not be waited for much longer than an operator needs to notice.
const LEASE_TTL: Millis = Millis::from_secs(30);

/// How long fronts are asked before a new rollout begins.
const LEAD: Duration = Duration::from_secs(2);
/// Answers and progress on their way to the loop. Answers wait when it is full; progress drops.
const ANSWERS_MAX: usize = 1024;
const PROGRESS_MAX: usize = 256;

/// How a rollout is driven.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// Take the lease although another controller holds it, for this reason.
    pub take_over: Option<String>,
    /// Begin although the release was rolled back before, for this reason.
    pub clear_refused: Option<String>,
    /// The directory for records on nodes; `$HOME/.zdu` when absent.
    pub node_base: Option<String>,
    /// Leave the records on the nodes.
    pub keep_records: bool,
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub rollout: RolloutId,
    /// The exit code its verdict has.
    pub exit: u8,
}

/// Runs a plan as a new rollout.
///
/// # Errors
/// When zdu cannot do its own job; how the rollout ended is data.
pub fn start(
    context: &Context,
    plan: Plan,
    access: Arc<Access>,
    ways: &Ways,
) -> Result<Ended, Failure> {
    let how = "when it is repaired: `zdu run --clear-refused \"what was repaired\"`";
    refused::admit(context, &plan, ways.clear_refused.as_deref(), how)?;
    let id = new_id(context)?;
    let directory = context.state.rollout(&id);
    make_directory(directory.path())?;
    write_plan(&directory.plan(), &plan)?;
    Settings { node_base: ways.node_base.clone() }.write(&directory)?;
    let session = Session { context, id: id.clone(), directory, ways: ways.clone() };
    let exit = block_on(session.run(Arc::new(plan), access, Opening::New))?;
    Ok(Ended { rollout: id, exit })
}

/// What a request to a rollout that nobody drives would come to. Nothing is changed.
///
/// # Errors
/// When its journal cannot be read.
pub fn foresee(
    context: &Context,
    plan: &Plan,
    id: &RolloutId,
    request: &Request,
) -> Result<Prospect, Failure> {
    let scan = journal::read_only(&context.state.rollout(id).journal())?;
    let known = scan.records.last().map_or(Timestamp(0), |record| record.at);
    let now = Clock::not_before(known).now();
    let claim = Claim::new(context.owner(), now, LEASE_TTL);
    let (plan, digest) = (Arc::new(plan.clone()), zdu_conductor::plan_file::plan_digest(plan));
    Ok(zdu_conductor::foresee(&plan, &digest, scan.records, &claim, (id, request))?)
}

/// Does again what follows the end of a rollout, and tells it: its controller may have died between
/// the two. None of it takes the lease, at the end of a drive neither.
///
/// # Errors
/// When it cannot be read, or what follows cannot be written.
pub fn complete(context: &Context, id: &RolloutId) -> Result<u8, Failure> {
    let kept = rollouts::read(context, id)?;
    let Some(verdict) = kept.view.verdict().cloned() else {
        let what = format!("complete {id}: it has not ended");
        return Err(Failure::new(exit::USAGE, what));
    };
    let Settings { node_base } = Settings::read(&kept.directory)?;
    if matches!(verdict, Verdict::Succeeded | Verdict::RolledBack) {
        Captures::new(kept.directory.path().join("captures")).destroy();
    }
    let plan = kept.view.plan();
    // To tidy up nobody has to know a secret.
    let access = Arc::new(Access::new(&plan.fleet, Secrets::default()));
    block_on(async {
        finish::remove_records(plan, &access, node_base.as_deref(), id).await;
        access.close().await;
        Ok(())
    })?;
    let ended = kept.view.last().map_or_else(|| context.now(), |(_, at)| at);
    finish::remember_refused(context, &kept.view, &verdict, ended)?;
    let logs = kept.directory.path().join("logs");
    finish::tell(context, &kept.view, &kept.directory, &logs, context.now())?;
    Ok(verdict.exit_code())
}

/// Goes on with a rollout that exists, with a request to begin with.
///
/// # Errors
/// When it cannot be read, another controller holds the lease, or zdu cannot do its own job.
pub fn reopen(
    context: &Context,
    id: RolloutId,
    request: Option<Request>,
    reason: &str,
    ways: &Ways,
) -> Result<u8, Failure> {
    let directory = context.state.rollout(&id);
    let (plan, _digest) = read_plan(&directory.plan())?;
    let Settings { node_base } = Settings::read(&directory)?;
    let ways = Ways { node_base, ..ways.clone() };
    let session = Session { context, id, directory, ways };
    let asked = request.map(|request| (request, context.by(), reason.to_owned()));
    let access = prepare::access(&plan.fleet, &plan.policy.secrets, &BTreeMap::new())?;
    block_on(session.run(Arc::new(plan), access, Opening::Existing(asked)))
}

/// Whether a controller drives the rollout now: its lease is held, not expired, and its process
/// is alive as far as this host can tell.
///
/// # Errors
/// When the lease cannot be read.
pub fn is_driven(context: &Context, plan: &Plan, id: &RolloutId) -> Result<bool, Failure> {
    let lease = read_lease(&context.state.fleet(&plan.fleet.name))?;
    let Some(held) = lease.held.filter(|held| held.rollout == *id) else { return Ok(false) };
    Ok(held.expires > context.now() && !alive::is_gone(&context.state.rollout(id), &held.owner))
}

/// Whether a controller of a rollout is certainly gone.
#[must_use]
pub fn is_gone(context: &Context, id: &RolloutId, owner: &Owner) -> bool {
    alive::is_gone(&context.state.rollout(id), owner)
}

/// Refuses when another controller holds the fleet's lease: asked before preflight, which would
/// otherwise find that controller's work and call it a problem of the fleet. The lease itself is
/// taken later and decides.
///
/// # Errors
/// The lease is held.
pub fn refuse_second(context: &Context, fleet: &FleetName, ways: &Ways) -> Result<(), Failure> {
    let Some(held) = read_lease(&context.state.fleet(fleet))?.held else { return Ok(()) };
    let directory = context.state.rollout(&held.rollout);
    let free = held.expires <= context.now() || alive::is_gone(&directory, &held.owner);
    if free || ways.take_over.is_some() {
        return Ok(());
    }
    let Lease { owner, rollout, taken_at: since, expires, .. } = held;
    Err(LeaseError::Held { owner, rollout, since, expires }.into())
}

/// Runs something that waits. One runtime serves the whole process, so that the channels preflight
/// opened are those the rollout uses; it is never dropped, because tasks that still wait on a dead
/// node must not keep us at the end.
///
/// # Errors
/// What it answers, or that no runtime could be started.
pub fn block_on<T>(waiting: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let build = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match RUNTIME.get_or_init(build) {
        Ok(runtime) => runtime.block_on(waiting),
        Err(error) => Err(Failure::fatal("start the async runtime", error)),
    }
}

enum Opening {
    New,
    Existing(Option<(Request, String, String)>),
}

struct Session<'c> {
    context: &'c Context,
    id: RolloutId,
    directory: RolloutDir,
    ways: Ways,
}

impl Session<'_> {
    async fn run(
        self,
        plan: Arc<Plan>,
        access: Arc<Access>,
        opening: Opening,
    ) -> Result<u8, Failure> {
        let logs = Arc::new(self.logs(&plan)?);
        let known = match &opening {
            Opening::New => Timestamp(0),
            Opening::Existing(_) => self.latest()?,
        };
        let clock = Clock::not_before(known);
        alive::mark(&self.directory);
        let (answers_in, answers) = mpsc::channel(ANSWERS_MAX);
        let fronts = self.watch_fronts(&plan, &access, (&answers_in, &opening)).await?;
        let opened = self.open(&plan, &clock, &opening).await?;
        let Opened { conductor, history, repaired, turn } = opened;
        let mut screen = Screen::new(self.context, plan.clone(), logs.clone());
        screen.replay(&history);
        if let Some(repaired) = &repaired {
            let text = format!(
                "the journal ended in {} bytes that were not whole ({}); they were cut off",
                repaired.bytes, repaired.why
            );
            self.context.printer.say(&text);
        }
        let (progress_in, progress) = mpsc::channel(PROGRESS_MAX);
        let sockets = ShortDir::new()?;
        let pulse = Pulse::start(STILLNESS, clocks).map_err(|error| {
            Failure::of(exit::FATAL_ERROR, &error)
                .hint("no thread can be started that notices when zdu is stopped; see `ulimit -u`")
        })?;
        let drivers = Drivers::new(Setup {
            plan: plan.clone(),
            rollout: self.id.clone(),
            epoch: conductor.lease().epoch,
            access: access.clone(),
            captures: self.captures()?,
            sockets: sockets.0.clone(),
            node_base: self.ways.node_base.clone(),
            sink: logs.clone(),
            answers: answers_in,
            progress: progress_in,
            pulse,
            fronts,
        });
        for (node, mirror) in readings_before_drains(&plan, &history) {
            drivers.remember(&node, &mirror.readings, mirror.out);
        }
        self.context.printer.say(&format!("rollout {}", self.id));
        let rig = Rig {
            conductor,
            first: turn,
            drivers,
            answers,
            progress,
            requests: Requests::new(&self.directory),
            clock,
            opening: match opening {
                Opening::New => None,
                Opening::Existing(asked) => asked,
            },
            by: self.context.by(),
        };
        let driven = drive(rig, &mut screen).await;
        screen.finish();
        let ended = self.end(driven, &screen, &access, clock.now(), logs.directory()).await;
        access.close().await;
        ended
    }

    /// What users see before anything is changed is what the rest is compared with, so a new
    /// rollout begins a moment behind this, and nobody's lease is held meanwhile.
    async fn watch_fronts(
        &self,
        plan: &Plan,
        access: &Arc<Access>,
        (answers, opening): (&mpsc::Sender<Answer>, &Opening),
    ) -> Result<Fronts, Failure> {
        let fronts = Fronts::begin(plan, access, answers).map_err(|error| {
            Failure::of(exit::FATAL_ERROR, &error)
                .hint("mend `front` in zdu.yaml and plan again, or take its `rate` out")
        })?;
        if fronts.are_watched() && matches!(opening, Opening::New) {
            tokio::time::sleep(LEAD).await;
        }
        Ok(fronts)
    }

    fn logs(&self, plan: &Arc<Plan>) -> Result<Logs, Failure> {
        let directory = self.directory.path().join("logs");
        Logs::new(plan.clone(), directory)
            .map_err(|error| Failure::fatal("make the directory for logs", &error))
    }

    fn captures(&self) -> Result<PathBuf, Failure> {
        let directory = self.directory.path().join("captures");
        make_directory(&directory)?;
        Ok(directory)
    }

    /// The latest moment the journal knows: time in it never goes back.
    fn latest(&self) -> Result<Timestamp, Failure> {
        let scan = journal::read_only(&self.directory.journal())?;
        Ok(scan.records.last().map_or(Timestamp(0), |record| record.at))
    }

    async fn open(
        &self,
        plan: &Arc<Plan>,
        clock: &Clock,
        opening: &Opening,
    ) -> Result<Opened<Rollout, FileStorage>, Failure> {
        let attempt = |claim: &Claim| {
            let storage = FileStorage::new(&self.context.state, &plan.fleet.name, &self.id);
            let machine = Rollout::new(plan.clone());
            match opening {
                Opening::New => Conductor::open_new(machine, storage, claim, self.started(plan)),
                Opening::Existing(_) => {
                    let digest = zdu_conductor::plan_file::plan_digest(plan);
                    Conductor::resume(machine, storage, claim, &digest)
                }
            }
        };
        let mut claim = self.claim(plan, clock.now())?;
        let (owner, epoch, until) = match attempt(&claim) {
            Err(OpenError::Lease(LeaseError::Ousted { owner, epoch, until })) => {
                (owner, epoch, until)
            }
            opened => return opened.map_err(Failure::from),
        };
        let wait = clock.until(until);
        self.context.printer.say(&format!(
            "{owner} lost the lease and may act on balancers for {} s more: waiting for that",
            wait.as_secs() + 1
        ));
        tokio::time::sleep(wait).await;
        // Whoever was quicker drives now: force was not meant for that one.
        (claim.now, claim.gone) = (clock.now(), Some(epoch));
        attempt(&claim).map_err(Failure::from)
    }

    /// Force is meant for who holds the lease now.
    fn claim(&self, plan: &Plan, now: Timestamp) -> Result<Claim, Failure> {
        let lease = read_lease(&self.context.state.fleet(&plan.fleet.name))?;
        let gone = lease.driver().filter(|driver| {
            alive::is_gone(&self.context.state.rollout(driver.rollout), driver.owner)
        });
        if let Some(driver) = gone.filter(|driver| driver.until > now) {
            let pid = driver.owner.pid;
            let text = format!("the lease is taken over: process {pid} of this host is gone");
            self.context.printer.say(&text);
        }
        Ok(Claim {
            force: self.ways.take_over.clone(),
            against: Some(lease.held.as_ref().map_or(Epoch(0), |held| held.epoch)),
            gone: gone.map(|driver| driver.epoch),
            ..Claim::new(self.context.owner(), now, LEASE_TTL)
        })
    }

    fn started(&self, plan: &Plan) -> Event {
        Event::RolloutStarted {
            rollout: self.id.clone(),
            plan: zdu_conductor::plan_file::plan_digest(plan),
            fleet: plan.fleet.name.clone(),
            procedure: plan.procedure.clone(),
            release: plan.release.clone(),
            by: self.context.by(),
        }
    }

    async fn end(
        &self,
        driven: Result<Driven, RuntimeError>,
        screen: &Screen,
        access: &Arc<Access>,
        now: Timestamp,
        logs: &Path,
    ) -> Result<u8, Failure> {
        let resume = self.context.call().command(&format!("resume {}", self.id));
        let hint = format!("`{resume}` goes on from here");
        match driven {
            Ok(Driven::Ended(verdict)) => {
                // A held rollout may still have to ask a node about a step nobody knows of.
                if !self.ways.keep_records && verdict != Verdict::Held {
                    let base = self.ways.node_base.as_deref();
                    finish::remove_records(screen.view().plan(), access, base, &self.id).await;
                }
                finish::remember_refused(self.context, screen.view(), &verdict, now)?;
                finish::tell(self.context, screen.view(), &self.directory, logs, now)?;
                Ok(verdict.exit_code())
            }
            Ok(Driven::Interrupted) => {
                Err(Failure::new(exit::INTERRUPTED, "left at once; steps on nodes run on")
                    .hint(&hint))
            }
            // Nothing goes on by itself where a node has seen a newer controller.
            Err(error @ RuntimeError::Fenced { .. }) => Err(error.into()),
            Err(error) => Err(Failure::from(error).hint(&hint)),
        }
    }
}

/// A directory with a short path for sockets, whose paths may have 107 bytes; removed when dropped.
struct ShortDir(PathBuf);

impl ShortDir {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("zdu-{}", random_word()?));
        make_directory(&path)?;
        Ok(Self(path))
    }
}

impl Drop for ShortDir {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

/// For preflight, which needs one too.
///
/// # Errors
/// When it cannot be made.
pub fn socket_directory() -> Result<impl AsRef<Path>, Failure> {
    ShortDir::new()
}

impl AsRef<Path> for ShortDir {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::fatal(format!("make the directory {}", path.display()), &error))
}

fn random_word() -> Result<String, Failure> {
    let mut bytes = [0; 4];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Failure::fatal("read /dev/urandom", &error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The day and a word, so that ids sort by age and are short to type.
fn new_id(context: &Context) -> Result<RolloutId, Failure> {
    let day = zdu_view::moment::moment(context.now(), crate::context::offset());
    let day = day.get(..10).unwrap_or("rollout").to_owned();
    let word = random_word()?;
    let id = format!("{day}-{}", word.get(..4).unwrap_or(&word));
    RolloutId::new(id).map_err(Failure::from)
}
