//! A controller: the production conductor and engine, with the loop around them that the runtime
//! has, on virtual time. It can be killed, paused and replaced at any moment.

use crate::dice::Dice;
use crate::fault::Ask;
use crate::hands::Hands;
use crate::plant::{Plant, Watched};
use crate::run::{Happening, Run};
use crate::seen::Seen;
use crate::store::Store;
use zdu_conductor::chain::sha256;
use zdu_conductor::storage::{AppendError, Claim, LeaseError, Owner, ReadError};
use zdu_conductor::turn::{Conductor, OpenError, Opened, Turn, TurnError};
use zdu_conductor::{
    Heard, Illegal, Input, Rollout, STILLNESS, WakeReason, readings_before_drains,
};
use zdu_model::event::{Event, HoldCause, Request};
use zdu_model::ids::{Digest, Epoch, RolloutId, StepNo};
use zdu_model::news::{About, News};
use zdu_model::plan::Work;
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

/// How long the lease lasts without renewal, as the program has it.
const LEASE_TTL: Millis = Millis::from_secs(30);

/// How long a person takes to look at a rollout that ended and to do something about it.
const PERSON: u64 = 120_000;

/// A controller process.
pub(crate) struct Process {
    pub(crate) alive: bool,
    pub(crate) paused_until: Timestamp,
    /// Counted as its drivers count it.
    pub(crate) news: News,
    /// Since when it stands still, or stood still and has not noticed it yet.
    pub(crate) still_since: Option<Timestamp>,
    /// The longest time before that in which it stood still and has not noticed it.
    pub(crate) still_before: Millis,
    pub(crate) epoch: Epoch,
    pub(crate) hands: Hands,
    /// Answers on their way to its loop.
    pub(crate) answers_due: u64,
    conductor: Option<Conductor<Watched, Store>>,
    /// What a person who stands by is about to approve.
    approving: Option<StepNo>,
    wakes: u64,
    wake_due: bool,
}

fn about(input: &Input) -> Option<About<'_>> {
    match input {
        Input::Drift { node, .. } => Some(About::Node(node)),
        Input::InstanceChanged { .. } => Some(About::Instances),
        Input::Recovered
        | Input::Advance
        | Input::Report { .. }
        | Input::Request { .. }
        | Input::FrontSeen { .. }
        | Input::StoodStill { .. } => None,
    }
}

/// The one rollout of a run.
pub(crate) fn rollout_id() -> RolloutId {
    RolloutId::new("simulated").expect("a name")
}

impl Run {
    /// The digest journals are bound to; any stands for the plan's own here.
    fn plan_digest() -> Digest {
        sha256(b"the plan of the run")
    }

    /// A controller starts: a new rollout, or the one that is there.
    pub(crate) fn start(&mut self, ask: Option<Ask>, force: bool) {
        let now = self.agenda.now();
        let number = self.processes.len();
        let lives = |pid: u32| {
            let process = usize::try_from(pid).ok().and_then(|number| self.processes.get(number));
            process.is_some_and(|process| process.alive)
        };
        let gone = self.disk.lease().held.filter(|held| !lives(held.owner.pid));
        let gone = gone.map(|held| held.epoch);
        let pid = u32::try_from(number).unwrap_or(u32::MAX);
        let owner = Owner { user: "op".into(), host: "a".into(), pid };
        let force = force.then(|| "a person said so".to_owned());
        let claim = Claim { force, gone, ..Claim::new(owner, now, LEASE_TTL) };
        match self.open(&claim) {
            Ok(opened) => self.opened(opened, ask),
            Err(error) => self.not_opened(error, ask),
        }
    }

    fn open(&self, claim: &Claim) -> Result<Opened<Watched, Store>, OpenError<Illegal>> {
        let store = Store::new(rollout_id(), self.disk.clone(), self.plant);
        let rollout = Rollout::new(self.layout.plan.clone());
        let machine = Watched { rollout, plant: self.plant };
        // What is durable decides: an append that died may have left the first line, or not.
        if self.disk.bytes().contains(&b'\n') {
            return Conductor::resume(machine, store, claim, &Self::plan_digest());
        }
        let plan = &self.layout.plan;
        let started = Event::RolloutStarted {
            rollout: rollout_id(),
            plan: Self::plan_digest(),
            fleet: plan.fleet.name.clone(),
            procedure: plan.procedure.clone(),
            release: plan.release.clone(),
            by: "op".into(),
        };
        Conductor::open_new(machine, store, claim, started)
    }

    fn opened(&mut self, opened: Opened<Watched, Store>, ask: Option<Ask>) {
        let Opened { conductor, history, repaired: _, turn } = opened;
        let (number, epoch) = (self.processes.len(), conductor.lease().epoch);
        let dice = Dice::of(self.dice.below(u64::MAX), "hands", number as u64);
        self.processes.push(Process {
            alive: true,
            paused_until: Timestamp(0),
            news: News::default(),
            still_since: None,
            still_before: Millis(0),
            epoch,
            hands: Hands::new(dice),
            answers_due: 0,
            conductor: Some(conductor),
            approving: None,
            wakes: 0,
            wake_due: false,
        });
        self.tell(&Seen::Started { process: number, epoch });
        let plan = self.layout.plan.clone();
        for (node, mirror) in readings_before_drains(&plan, &history) {
            if let Some(place) = self.layout.places.get(&node).copied() {
                self.remember(number, place, &mirror.readings);
                if mirror.out {
                    self.processes[number].hands.held.insert(place);
                }
            }
        }
        self.tell_durable();
        self.plan_renewal(number);
        self.carry_out(number, turn);
        if let Some(ask) = ask {
            self.resumes(&ask);
            self.person(number, &ask);
        }
        self.settle(number);
    }

    fn not_opened(&mut self, error: OpenError<Illegal>, ask: Option<Ask>) {
        let died = self.disk.take_death();
        self.tell_durable();
        match error {
            OpenError::Illegal { .. }
            | OpenError::Turn(TurnError::Illegal { .. } | TurnError::Rounds { .. })
            | OpenError::FirstEvent
            | OpenError::Read(ReadError::Altered { .. } | ReadError::Newer { .. }) => {
                let chain = chain(&error);
                self.violate("replay", format!("a journal of ours cannot be opened: {chain}"));
            }
            OpenError::Lease(LeaseError::Ousted { until, .. }) => {
                let wait = until.since(self.agenda.now()).max(Millis(1));
                self.start_soon(wait, ask, false);
            }
            OpenError::Lease(LeaseError::Held { .. }) if !self.anybody_comes() => {}
            OpenError::Lease(_) | OpenError::Empty | OpenError::Exists { .. } => {
                // Whoever holds the lease drives the rollout; should it die, this one goes on.
                if !self.processes.iter().any(|process| process.alive) {
                    self.start_soon(LEASE_TTL, ask, false);
                }
            }
            // A disk that does not answer is tried again later, and says so until then.
            OpenError::Read(ReadError::Unavailable { .. })
            | OpenError::Turn(TurnError::Append(_) | TurnError::Lease(_) | TurnError::Stopped) => {
                let revived = died.then(|| self.revived_after().unwrap_or(Millis(1_000)));
                self.start_soon(revived.unwrap_or(Millis(20_000)), ask, false);
            }
        }
    }

    /// When somebody starts the controller again that died while it wrote the last record, or a
    /// line which holds a later one.
    fn revived_after(&mut self) -> Option<Millis> {
        let last = self.journal.last().map_or(0, |last| last.seq.0);
        let due = *self.revived.range(..=last + 1).next_back()?.0;
        self.revived.remove(&due)
    }

    fn anybody_comes(&self) -> bool {
        self.processes.iter().all(|process| !process.alive)
    }

    /// Something reaches the loop.
    pub(crate) fn heard(&mut self, process: usize, input: Input) {
        self.processes[process].answers_due = self.processes[process].answers_due.saturating_sub(1);
        self.hear(process, input);
        self.settle(process);
    }

    pub(crate) fn wake(&mut self, process: usize, number: u64) {
        if self.processes[process].wakes == number {
            self.processes[process].wake_due = false;
            self.hear(process, Input::Advance);
            self.settle(process);
        }
    }

    /// As in the runtime, a loop that stood still hears of that before anything else.
    fn hear(&mut self, process: usize, input: Input) {
        let unnoticed = self.unnoticed(process);
        let state = &mut self.processes[process];
        (state.still_since, state.still_before) = (None, Millis(0));
        if let Some(span) = unnoticed {
            self.hear_now(process, Input::StoodStill { span });
        }
        self.hear_now(process, input);
    }

    /// How long a process stood still without its loop having noticed it, if that counts.
    fn unnoticed(&self, process: usize) -> Option<Millis> {
        let state = &self.processes[process];
        let span = state.paused_until.since(state.still_since?).max(state.still_before);
        let told = self.plant != Some(Plant::StillnessIsNotTold);
        (told && span >= STILLNESS).then_some(span)
    }

    /// How often a process stood still, whether or not its loop has noticed.
    pub(crate) fn gaps(&self, process: usize) -> u64 {
        self.processes[process].news.gaps() + u64::from(self.unnoticed(process).is_some())
    }

    /// The loop of a process is told, and will hear of it.
    pub(crate) fn news_told(&mut self, process: usize, input: &Input) {
        if let Some(about) = about(input) {
            self.processes[process].news.told(about);
        }
    }

    fn news_heard(&mut self, process: usize, input: &Input) {
        let news = &mut self.processes[process].news;
        if let Some(about) = about(input) {
            news.heard(about);
        }
        if matches!(input, Input::StoodStill { .. }) {
            news.heard_gaps(news.gaps() + 1);
        }
    }

    fn hear_now(&mut self, process: usize, input: Input) {
        self.news_heard(process, &input);
        let now = self.agenda.now();
        let Some(conductor) = self.processes[process].conductor.as_mut() else { return };
        let heard = conductor.hear(now, input);
        self.tell_durable();
        match heard {
            Ok(Heard::Turn(turn)) => self.carry_out(process, turn),
            Ok(Heard::Refused(_)) => {}
            Ok(Heard::Fenced { .. }) => self.stop(process, "a node has seen a newer controller"),
            Err(error) => self.broken(process, &error),
        }
    }

    fn carry_out(&mut self, process: usize, turn: Turn<WakeReason>) {
        self.processes[process].wakes += 1;
        let number = self.processes[process].wakes;
        self.processes[process].wake_due = turn.wake.is_some();
        if let Some(wake) = turn.wake {
            self.agenda.at(wake.at, Happening::Wake { process, number });
        }
        for released in turn.effects {
            let effect = released.into_effect();
            self.tell(&Seen::Released { process, effect: &effect });
            self.take_effect(process, effect);
        }
    }

    fn broken(&mut self, process: usize, error: &TurnError<Illegal>) {
        if self.disk.take_death() {
            self.counts.crashes += 1;
            self.gone(process, "killed while it wrote");
            let pause = self.revived_after().unwrap_or(Millis(3_000));
            let unheard = self.take_unheard();
            self.start_soon(pause, unheard, false);
            return;
        }
        match error {
            TurnError::Illegal { .. } | TurnError::Rounds { .. } => {
                let text = format!("the engine refuses what it decided: {}", chain(error));
                self.violate("replay", text);
                self.gone(process, "a defect");
            }
            TurnError::Append(AppendError::Lost(_)) | TurnError::Lease(_) => {
                self.stop(process, "the lease is lost");
            }
            TurnError::Append(_) | TurnError::Stopped => {
                self.gone(process, "the journal cannot be written");
                self.start_soon(Millis(20_000), None, false);
            }
        }
    }

    /// A controller that must not go on; somebody looks after a while whether anybody does.
    fn stop(&mut self, process: usize, why: &'static str) {
        self.gone(process, why);
        self.start_soon(Millis(40_000), None, false);
    }

    /// Killed from outside.
    pub(crate) fn kill(&mut self, process: usize, again_after: Millis) {
        self.counts.crashes += 1;
        self.gone(process, "killed");
        self.start_soon(again_after, None, false);
    }

    fn gone(&mut self, process: usize, why: &'static str) {
        self.processes[process].alive = false;
        self.processes[process].conductor = None;
        self.processes[process].hands.tasks.clear();
        self.tell(&Seen::Gone { process, why });
    }

    fn plan_renewal(&mut self, process: usize) {
        if let Some(conductor) = &self.processes[process].conductor {
            let due = conductor.lease().renew_due();
            self.agenda.at(due, Happening::Renew { process });
        }
    }

    pub(crate) fn renew(&mut self, process: usize) {
        let now = self.agenda.now();
        let Some(conductor) = self.processes[process].conductor.as_mut() else { return };
        match conductor.renew(now) {
            Ok(()) => self.plan_renewal(process),
            Err(_) => self.stop(process, "the lease is lost"),
        }
    }

    /// The controller rests: it waits for something, or the rollout has come to an end.
    fn settle(&mut self, process: usize) {
        let Some(conductor) = self.processes[process].conductor.take() else { return };
        let rollout = conductor.machine().as_ref();
        let state = &self.processes[process];
        let moves = state.wake_due || state.answers_due > 0 || !state.hands.tasks.is_empty();
        self.tell(&Seen::Rests { rollout, moves });
        match rollout.verdict().cloned() {
            None => {
                self.stand_by(process, conductor.machine().as_ref());
                self.processes[process].conductor = Some(conductor);
            }
            Some(verdict) => {
                self.tell(&Seen::Verdict(&verdict));
                // A lease that cannot be given back expires by itself.
                let _released = conductor.close();
                self.gone(process, "the rollout has ended");
                self.ended(verdict);
            }
        }
    }

    fn ended(&mut self, verdict: Verdict) {
        self.ended_at = self.agenda.now();
        self.remember_refused(&verdict);
        let well = matches!(verdict, Verdict::Succeeded | Verdict::RolledBack);
        self.verdict = Some(verdict);
        if well {
            return;
        }
        if let Some(ask) = self.afterwards.next() {
            let pause = self.dice.span(1, PERSON);
            self.start_soon(pause, Some(ask), false);
        }
    }

    /// A person asks a controller that lives.
    fn person(&mut self, process: usize, ask: &Ask) {
        let Some(conductor) = &self.processes[process].conductor else { return };
        let request = match ask {
            Ask::For(request) => Some(request.clone()),
            Ask::ApproveWhatIsAsked => self.what_is_asked(conductor.machine().as_ref()),
        };
        // With nothing to approve a person says: go on.
        let request = request.unwrap_or(Request::Resume);
        let (by, reason) = ("a person".into(), "because".into());
        self.asking = Some((ask.clone(), self.journal.len()));
        self.hear(process, Input::Request { request, by, reason });
        self.asking = None;
    }

    /// What a person has just asked for and the controller died over, unless it is durable: it is
    /// asked again, as the program reads a request again that it has not journaled.
    fn take_unheard(&mut self) -> Option<Ask> {
        let (ask, known) = self.asking.take()?;
        let since = self.journal.get(known..).unwrap_or_default();
        let heard = since.iter().any(|record| matches!(record.event, Event::Requested { .. }));
        (!heard).then_some(ask)
    }

    /// A person asks, and the loop goes on.
    pub(crate) fn ask_driving(&mut self, process: usize, ask: &Ask) {
        self.person(process, ask);
        self.settle(process);
    }

    fn what_is_asked(&self, rollout: &Rollout) -> Option<Request> {
        if let Some(HoldCause::PointOfNoReturn(step) | HoldCause::Unknown(step)) = rollout.hold() {
            return Some(Request::Approve(*step));
        }
        self.manual_steps(rollout).next().map(Request::Approve)
    }

    /// The manual steps that wait for a person.
    fn manual_steps<'r>(&'r self, rollout: &'r Rollout) -> impl Iterator<Item = StepNo> + 'r {
        rollout.active_steps().filter(|step| {
            let (status, _) = rollout.step_status(*step);
            matches!(self.layout.plan.step(*step).work, Work::Manual { .. })
                && matches!(status, zdu_engine::StepStatus::Running { .. })
        })
    }

    /// A person who stands by sees what the plan asks a person for. An unknown outcome or a rule
    /// that holds is not such a thing: there somebody has to look first.
    fn stand_by(&mut self, process: usize, rollout: &Rollout) {
        let Some(pause) = self.standing_by else { return };
        let asked = match rollout.hold() {
            Some(HoldCause::PointOfNoReturn(step)) => Some(*step),
            Some(HoldCause::Person | HoldCause::Rule(_) | HoldCause::Unknown(_)) | None => {
                self.manual_steps(rollout).find(|step| !self.unattended.contains(step))
            }
        };
        if let (Some(step), None) = (asked, self.processes[process].approving) {
            self.processes[process].approving = Some(step);
            let at = self.agenda.now().after(pause);
            self.agenda.at(at, Happening::Approve { process, step });
        }
    }

    /// A person who stands by approves.
    pub(crate) fn approve(&mut self, process: usize, step: StepNo) {
        self.processes[process].approving = None;
        let (by, reason) = ("a person".into(), "stands by".into());
        let request = Request::Approve(step);
        self.hear(process, Input::Request { request, by, reason });
        self.settle(process);
    }

    /// Whether the lease, as this controller last renewed it, has not run out: its hands act on
    /// balancers only until then.
    pub(crate) fn may_act(&self, process: usize) -> bool {
        let now = self.agenda.now();
        let conductor = self.processes[process].conductor.as_ref();
        conductor.is_some_and(|conductor| now < conductor.lease().expires)
    }

    /// The controller that drives the rollout, as far as one does.
    pub(crate) fn driving(&self) -> Option<usize> {
        let mut alive = self.processes.iter().enumerate().rev().filter(|(_, p)| p.alive);
        alive.next().map(|(number, _)| number)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
