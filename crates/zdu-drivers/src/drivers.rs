//! Taking effects and sending answers.

use crate::access::Access;
use crate::answer::{Answer, Progress};
use crate::balancer::keeper::KeeperEvent;
use crate::capture::Captures;
use crate::command::{self, Mode, node_of};
use crate::exec::Supervisor;
use crate::fronts::Fronts;
use crate::mandate::Mandate;
use crate::output::OutputSink;
use crate::probe;
use crate::pulse::Pulse;
use crate::settled::{Settled, Since};
use crate::traffic::{Ahead, Kept, Traffic};
use crate::transfer;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use zdu_model::effect::Effect;
use zdu_model::ids::{Attempt, BalancerName, Epoch, InstanceName, NodeName, RolloutId, StepNo};
use zdu_model::plan::{Plan, PlannedStep, Probe, Unknown, Work};
use zdu_model::report::{End, InstanceReading, Report};
use zdu_model::time::Millis;

/// What drivers need to know.
pub struct Setup {
    /// The plan whose steps effects name.
    pub plan: Arc<Plan>,
    /// The rollout, as nodes' records are named.
    pub rollout: RolloutId,
    /// The epoch nodes are told.
    pub epoch: Epoch,
    /// The ways out.
    pub access: Arc<Access>,
    /// Where captured values are kept (0700).
    pub captures: PathBuf,
    /// Where local ends of forwarded sockets lie; a short path, 0700.
    pub sockets: PathBuf,
    /// The directory for records on nodes; `$HOME/.zdu` when absent.
    pub node_base: Option<String>,
    /// Takes the output of commands.
    pub sink: Arc<dyn OutputSink>,
    /// Takes answers. Never dropped: an answer that cannot be sent means that we are being ended.
    pub answers: mpsc::Sender<Answer>,
    /// Takes progress; what does not fit is dropped.
    pub progress: mpsc::Sender<Progress>,
    /// Notices when the process stood still.
    pub pulse: Pulse,
    /// The fronts that are watched.
    pub fronts: Fronts,
}

pub(crate) struct Inner {
    pub(crate) plan: Arc<Plan>,
    pub(crate) rollout: RolloutId,
    pub(crate) epoch: Epoch,
    pub(crate) access: Arc<Access>,
    pub(crate) captures: Captures,
    pub(crate) node_base: Option<String>,
    pub(crate) sink: Arc<dyn OutputSink>,
    traffic: Traffic,
    fronts: Fronts,
    answers: mpsc::Sender<Answer>,
    progress: mpsc::Sender<Progress>,
    running: Mutex<BTreeMap<(StepNo, Attempt), AbortHandle>>,
    settled: Settled,
}

impl Inner {
    /// Secret values an earlier controller captured are masked here too.
    fn mask_captured(&self) {
        for step in &self.plan.steps {
            for capture in step.capture.iter().filter(|capture| capture.secret) {
                if let Ok(value) = self.captures.read(&step.subject, &capture.name) {
                    self.access.mask_also(&value);
                }
            }
        }
    }

    /// The supervisor of this rollout's records on nodes; why there is none otherwise.
    pub(crate) fn supervisor(&self) -> Result<Supervisor, String> {
        Supervisor::new(self.node_base.as_deref()).map_err(|error| error.to_string())
    }

    /// What a drained node may be brought ahead of its first step; none where nothing is run on it.
    fn ahead(&self, node: &NodeName) -> Option<Ahead> {
        let mut steps = self.plan.steps.iter();
        let runs =
            |step: &PlannedStep| matches!(step.work, Work::Run(_)) && node_of(step) == Some(node);
        steps.any(runs).then_some(())?;
        let (supervisor, fleet) = (self.supervisor().ok()?, self.plan.fleet.name.to_string());
        Some(Ahead { supervisor, fleet, epoch: self.epoch.0 })
    }

    /// Where the open places of a step's texts get their values from.
    pub(crate) fn values<'a>(&'a self, step: &'a PlannedStep) -> probe::Values<'a> {
        probe::Values { captures: &self.captures, subject: &step.subject }
    }

    pub(crate) fn progress(&self, step: StepNo, on: &str) {
        // Droppable by design: the next one says it again.
        let _dropped = self.progress.try_send(Progress { step, on: on.to_owned() });
    }
}

/// Answers effects, each in a task of its own.
pub struct Drivers {
    inner: Arc<Inner>,
    mandate: Mandate,
    kept: tokio::task::JoinHandle<()>,
}

/// Events of the keepers on their way; they come at most some per second.
const KEPT_MAX: usize = 64;

impl Drivers {
    /// Drivers for one rollout. Needs a tokio runtime; contacts nothing yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let Setup {
            plan,
            rollout,
            epoch,
            access,
            captures,
            sockets,
            node_base,
            sink,
            answers,
            progress,
            pulse,
            fronts,
        } = setup;
        let (kept, events) = mpsc::channel(KEPT_MAX);
        let mandate = Mandate::default();
        let traffic =
            Traffic::new(Arc::clone(&plan), Arc::clone(&access), &sockets, &kept, &mandate);
        let inner = Arc::new(Inner {
            plan,
            rollout,
            epoch,
            access,
            captures: Captures::new(captures),
            node_base,
            sink,
            traffic,
            fronts,
            answers,
            progress,
            running: Mutex::new(BTreeMap::new()),
            settled: Settled::new(pulse),
        });
        inner.mask_captured();
        let kept = tokio::spawn(tell_kept(Arc::clone(&inner), events));
        Self { inner, mandate, kept }
    }

    /// Whether a front is watched.
    #[must_use]
    pub fn watches_fronts(&self) -> bool {
        self.inner.fronts.are_watched()
    }

    /// Asks fronts for so long still, then no more; answers under way may take so long behind that.
    /// What was seen came as answers when this is through, so somebody has to take them meanwhile.
    pub fn leave_fronts(
        &self,
        still: Duration,
        deadline: Duration,
    ) -> impl Future<Output = ()> + use<> {
        let inner = Arc::clone(&self.inner);
        async move {
            tokio::time::sleep(still).await;
            inner.fronts.end(deadline).await;
        }
    }

    /// Acts on balancers may be begun for so long from now: what is left of the lease. Without it
    /// nothing is taken out, returned or held out.
    pub fn may_act_for(&self, span: Duration) {
        self.inner.settled.grant(&self.mandate, span);
    }

    /// What a guard of an earlier controller saw, read from the journal, so that an undrain can
    /// mirror it; and whether the node was taken out since and not returned, so that no later
    /// guard takes our own drain for what was there.
    pub fn remember(&self, node: &NodeName, readings: &[InstanceReading], out: bool) {
        self.inner.traffic.remember(node, readings);
        if out {
            self.inner.traffic.stands_out(node);
        }
    }

    /// The loop has taken an answer and decides with it: what is released from now on follows from
    /// it.
    pub fn heard(&self, answer: &Answer) {
        self.inner.settled.was_heard(answer);
    }

    /// How long the process stood still, or was without the right to act, since this was last
    /// asked, if it did. To be asked, and heard, before whatever is decided next.
    #[must_use]
    pub fn stood_still(&self) -> Option<Millis> {
        self.inner.settled.stood_still()
    }

    /// Begins to answer an effect. The answer comes through the channel of the setup.
    pub fn start(&self, effect: Effect) {
        let inner = Arc::clone(&self.inner);
        match effect {
            Effect::Run { step, attempt } => self.spawn(step, attempt, Mode::Run),
            Effect::Recover { step, attempt } => self.spawn(step, attempt, Mode::Recover),
            Effect::Observe { step, attempt } => {
                let task = tokio::spawn(async move {
                    let report = observe(&inner, step).await;
                    inner.answer(step, attempt, report).await;
                });
                self.track(step, attempt, task.abort_handle());
            }
            Effect::Cancel { step, attempt } => {
                let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(task) = running.get(&(step, attempt)) {
                    task.abort();
                }
                drop(running);
                tokio::spawn(async move {
                    let report = Report::bare(End::NotMet("cancelled".into()));
                    inner.answer(step, attempt, report).await;
                });
            }
            Effect::KeepOut { node } => {
                tokio::spawn(async move { inner.traffic.keep_out(&node).await });
            }
        }
    }

    fn spawn(&self, step: StepNo, attempt: Attempt, mode: Mode) {
        let inner = Arc::clone(&self.inner);
        let node = inner.plan.step(step).subject.node();
        let since = inner.settled.since_heard(node);
        let task = tokio::spawn(async move {
            inner.sink.begin(step, attempt);
            let released = Released { attempt, mode, since };
            let report = work(&inner, step, released).await;
            inner.sink.end(step, attempt, &report);
            inner.answer(step, attempt, report).await;
        });
        self.track(step, attempt, task.abort_handle());
    }

    fn track(&self, step: StepNo, attempt: Attempt, task: AbortHandle) {
        self.inner.fronts.step(&self.inner.plan, step, true);
        let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert((step, attempt), task);
    }

    /// Stops: tasks are dropped where they are (what runs on nodes runs on), keepers end.
    pub async fn close(self) {
        let tasks = {
            let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *running)
        };
        for task in tasks.into_values() {
            task.abort();
        }
        self.kept.abort();
        let _ended = self.kept.await;
        if let Some(inner) = Arc::into_inner(self.inner) {
            inner.traffic.stop().await;
        }
    }

    /// Destroys captured values: the rollout no longer can need them.
    pub fn destroy_captures(&self) {
        self.inner.captures.destroy();
    }
}

impl Inner {
    async fn answer(&self, step: StepNo, attempt: Attempt, report: Report) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&(step, attempt));
        self.fronts.step(&self.plan, step, false);
        // Nobody listens any more only while the process is being ended.
        let _sent = self.answers.send(Answer::Report { step, attempt, report }).await;
    }
}

/// An effect as it was released.
pub(crate) struct Released {
    pub(crate) attempt: Attempt,
    pub(crate) mode: Mode,
    pub(crate) since: Since,
}

impl Released {
    /// Whether the step may still begin.
    pub(crate) fn may_begin(&self, step: &PlannedStep) -> bool {
        step.may_begin(self.since.watched(), self.since.holds())
    }
}

async fn work(inner: &Arc<Inner>, no: StepNo, released: Released) -> Report {
    let plan = Arc::clone(&inner.plan);
    let step = plan.step(no);
    let deadline = Duration::from_millis(step.deadline.0);
    let waiting = |on: &str| inner.progress(no, on);
    let node = step.subject.node();
    let may_begin = || released.may_begin(step);
    let traffic = &inner.traffic;
    match (&step.work, node) {
        (Work::Guard { group }, Some(node)) => {
            match inner.plan.fleet.groups.iter().find(|known| known.name == *group) {
                Some(group) => traffic.guard(group, node).await,
                None => Report::bare(End::Refused(format!("no group {group}"))),
            }
        }
        (Work::Drain, Some(node)) => traffic.drain(node, deadline, (&may_begin, &waiting)).await,
        (Work::Certify, Some(node)) => {
            traffic.certify(node, deadline, &waiting, inner.ahead(node)).await
        }
        (Work::Undrain, Some(node)) => {
            traffic.undrain(node, deadline, (&may_begin, &waiting)).await
        }
        (Work::Serving, Some(node)) => traffic.serving(node, deadline, &waiting).await,
        (Work::Ready(probes), _) => ready(inner, step, probes, deadline).await,
        (Work::Wait(probe), _) => ready(inner, step, std::slice::from_ref(probe), deadline).await,
        (Work::Run(run), _) => command::run(inner, step, run, &released).await,
        (Work::Http(_), _) if released.mode == Mode::Recover => {
            Report::bare(End::Lost("the controller ended before the answer came".into()))
        }
        (Work::Http(call), _) => transfer::send(inner, step, call, &released).await,
        (Work::Upload { from, to, mode }, _) => {
            transfer::put(inner, step, (from, to, *mode), &released).await
        }
        (Work::Backup { path, to }, _) => transfer::save(inner, step, (path, to), &released).await,
        (Work::Soak(_) | Work::Manual { .. }, _) => {
            Report::bare(End::Refused("the engine does this itself".into()))
        }
        (
            Work::Guard { .. } | Work::Drain | Work::Certify | Work::Undrain | Work::Serving,
            None,
        ) => Report::bare(End::Refused("this act needs a node".into())),
    }
}

/// Every probe must hold, one after another, within one deadline.
async fn ready(
    inner: &Arc<Inner>,
    step: &PlannedStep,
    probes: &[Probe],
    deadline: Duration,
) -> Report {
    let until = tokio::time::Instant::now() + deadline;
    for probe in probes {
        let waiting = |on: &str| inner.progress(step.no, on);
        let held =
            probe::hold(&inner.access, inner.values(step), node_of(step), probe, until, &waiting);
        if let Err(why) = held.await {
            return Report::bare(End::NotMet(why));
        }
    }
    Report::bare(End::Done)
}

/// Did it happen? `Done`, `Never`, or `Lost` when neither probe holds.
async fn observe(inner: &Arc<Inner>, no: StepNo) -> Report {
    let step = inner.plan.step(no);
    let Unknown::Observe { done, not_done } = &step.unknown else {
        return Report::bare(End::Lost("the step has no probe to observe it by".into()));
    };
    let node = node_of(step);
    let until =
        tokio::time::Instant::now() + Duration::from_millis(inner.plan.policy.reconnect_deadline.0);
    loop {
        let why = match probe::ask(&inner.access, inner.values(step), node, done).await {
            Ok(_) => return Report::bare(End::Done),
            Err(why) => why,
        };
        if let Some(not_done) = not_done
            && probe::ask(&inner.access, inner.values(step), node, not_done).await.is_ok()
        {
            return Report::bare(End::Never);
        }
        inner.progress(no, &why);
        if tokio::time::Instant::now() >= until {
            return Report::bare(End::Lost(format!("neither probe holds: {why}")));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn tell_kept(inner: Arc<Inner>, mut events: mpsc::Receiver<Kept>) {
    while let Some((balancer, event)) = events.recv().await {
        let Some(answer) = translate(&inner, &balancer, event) else { continue };
        // Counted before it is queued: a loop that is busy with its disk takes nothing in for a
        // while, and nothing may begin meanwhile by what it does not know.
        inner.settled.was_told(&answer);
        if inner.answers.send(answer).await.is_err() {
            return;
        }
    }
}

fn translate(inner: &Inner, balancer: &BalancerName, event: KeeperEvent) -> Option<Answer> {
    let named = |instance: String| InstanceName::new(instance).ok();
    match event {
        KeeperEvent::Drift { instance, member, seen, pid_before, pid_after, reasserted } => {
            let (node, member) = inner.traffic.owner(balancer, &member)?;
            let pid = |pid: Option<u32>| pid.map_or_else(|| "?".into(), |pid| pid.to_string());
            let mut text = seen.detail;
            if pid_before != pid_after {
                text = format!("{text}, process {} became {}", pid(pid_before), pid(pid_after));
            }
            if let Err(error) = &reasserted {
                text = format!("{text}; {error}");
            }
            let (instance, reasserted) = (named(instance)?, reasserted.is_ok());
            Some(Answer::Drift { node, instance, member, seen: text, reasserted })
        }
        KeeperEvent::MemberUnreadable { instance, member, error } => {
            let (node, member) = inner.traffic.owner(balancer, &member)?;
            let (instance, seen) = (named(instance)?, error.to_string());
            Some(Answer::Drift { node, instance, member, seen, reasserted: false })
        }
        KeeperEvent::InstanceDown { instance, error } => {
            let (instance, reason) = (named(instance)?, error.to_string());
            Some(Answer::InstanceChanged { instance, up: false, reason })
        }
        KeeperEvent::InstanceUp { instance, pid_before, pid_after } => {
            let reason = match pid_before == pid_after {
                true => "the same process answers again",
                false => "another process answers",
            };
            let (instance, reason) = (named(instance)?, reason.into());
            Some(Answer::InstanceChanged { instance, up: true, reason })
        }
    }
}
