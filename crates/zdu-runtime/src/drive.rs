//! The loop.

use crate::clock::Clock;
use std::pin::pin;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use zdu_conductor::requests::Requests;
use zdu_conductor::storage::{AppendError, LeaseError, Storage};
use zdu_conductor::turn::{Conductor, Turn, TurnError};
use zdu_conductor::{Heard, Illegal, Input, Rollout, WakeReason};
use zdu_drivers::{Answer, Drivers, Progress};
use zdu_model::event::{Record, Request};
use zdu_model::time::Timestamp;
use zdu_model::verdict::Verdict;

/// How often requests of other processes are looked for.
const REQUEST_POLL: Duration = Duration::from_millis(200);
/// How long fronts are asked behind the end.
const LOOK_ON: Duration = Duration::from_secs(2);
/// How long answers of fronts may take that were under way then.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Told what happens, as it happens.
pub trait Watch {
    /// Records that are durable now.
    fn records(&mut self, records: &[Record]);
    /// What a step waits on.
    fn progress(&mut self, progress: &Progress);
    /// Something a person should read that is no event: a request that was refused, a signal.
    fn say(&mut self, text: &str);
    /// Time passed; for views that count seconds.
    fn tick(&mut self, now: Timestamp);
}

/// What the loop drives.
pub struct Rig<S> {
    /// The conductor, opened.
    pub conductor: Conductor<Rollout, S>,
    /// What opening it brought.
    pub first: Turn<WakeReason>,
    /// The drivers.
    pub drivers: Drivers,
    /// Their answers.
    pub answers: mpsc::Receiver<Answer>,
    /// Their progress.
    pub progress: mpsc::Receiver<Progress>,
    /// Requests of other processes.
    pub requests: Requests,
    /// The clock.
    pub clock: Clock,
    /// A request to begin with: a `resume`, `abort` or `rollback` that opened this controller.
    pub opening: Option<(Request, String, String)>,
    /// Who a signal's request is said to come from.
    pub by: String,
}

/// How the loop ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driven {
    /// The rollout ended, or stands still until a person resumes it.
    Ended(Verdict),
    /// Left at once on the third signal; everything can be resumed.
    Interrupted,
}

/// Why the loop could not go on. Nothing was released after the cause.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The journal cannot be written.
    #[error("the journal cannot be written; nothing more was begun")]
    Journal(#[source] AppendError),
    /// Another controller took the lease, or it could not be kept.
    #[error("this controller no longer holds the lease; nothing more was begun")]
    Lease(#[source] LeaseError),
    /// A node has seen a newer controller.
    #[error("a node has seen epoch {seen}, newer than ours; nothing more was begun")]
    Fenced {
        /// The newest epoch seen.
        seen: u64,
    },
    /// A defect of zdu.
    #[error("zdu could not go on")]
    Defect(#[source] TurnError<Illegal>),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
}

impl From<TurnError<Illegal>> for RuntimeError {
    fn from(error: TurnError<Illegal>) -> Self {
        match error {
            TurnError::Append(AppendError::Lost(lost)) => Self::Lease(LeaseError::Lost(lost)),
            TurnError::Append(error) => Self::Journal(error),
            TurnError::Lease(error) => Self::Lease(error),
            TurnError::Illegal { .. } | TurnError::Rounds { .. } | TurnError::Stopped => {
                Self::Defect(error)
            }
        }
    }
}

/// Drives the rollout until it ends, is held, or must be left.
///
/// # Errors
/// [`RuntimeError`] when the controller cannot do its own job; failures of the world are events.
pub async fn drive<S: Storage>(rig: Rig<S>, watch: &mut dyn Watch) -> Result<Driven, RuntimeError> {
    let Rig { conductor, first, drivers, answers, progress, requests, clock, opening, by } = rig;
    let signals = Signals::new().map_err(RuntimeError::Signals)?;
    let mut run = Run { conductor, drivers, requests, clock, by, wake: None, interrupts: 0, watch };
    let driven = run.go(first, answers, progress, signals, opening).await;
    let Run { conductor, drivers, .. } = run;
    if matches!(driven, Ok(Driven::Ended(Verdict::Succeeded | Verdict::RolledBack))) {
        drivers.destroy_captures();
    }
    drivers.close().await;
    // A lease that cannot be given back expires by itself.
    let _released = conductor.close();
    driven
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

struct Run<'w, S> {
    conductor: Conductor<Rollout, S>,
    drivers: Drivers,
    requests: Requests,
    clock: Clock,
    by: String,
    wake: Option<Timestamp>,
    interrupts: u32,
    watch: &'w mut dyn Watch,
}

impl<S: Storage> Run<'_, S> {
    async fn go(
        &mut self,
        first: Turn<WakeReason>,
        mut answers: mpsc::Receiver<Answer>,
        mut progress: mpsc::Receiver<Progress>,
        mut signals: Signals,
        opening: Option<(Request, String, String)>,
    ) -> Result<Driven, RuntimeError> {
        self.carry_out(first);
        if let Some((request, by, reason)) = opening {
            self.ask(request, by, reason)?;
        }
        let mut poll = tokio::time::interval(REQUEST_POLL);
        loop {
            if let Some(verdict) = self.conductor.machine().verdict() {
                let verdict = verdict.clone();
                self.look_on(&verdict, &mut answers).await?;
                return Ok(Driven::Ended(verdict));
            }
            let wake = self.until_wake();
            let renew = self.clock.until(self.conductor.lease().renew_due());
            tokio::select! {
                biased;
                () = signals.next() => {
                    if !self.interrupted()? {
                        return Ok(Driven::Interrupted);
                    }
                }
                Some(answer) = answers.recv() => {
                    self.notice_stillness()?;
                    self.drivers.heard(&answer);
                    self.hear_now(input_of(answer))?;
                }
                () = tokio::time::sleep(renew) => {
                    self.conductor.renew(self.clock.now())?;
                    self.grant();
                }
                () = tokio::time::sleep_until(wake) => self.hear(Input::Advance)?,
                Some(progress) = progress.recv() => self.watch.progress(&progress),
                _ = poll.tick() => {
                    self.notice_stillness()?;
                    self.take_requests()?;
                    self.watch.tick(self.clock.now());
                }
            }
        }
    }

    /// Users are there behind the end too: fronts are asked on for a moment, and what was seen up
    /// to the end is written down. Nothing else is heard any more.
    async fn look_on(
        &mut self,
        verdict: &Verdict,
        answers: &mut mpsc::Receiver<Answer>,
    ) -> Result<(), RuntimeError> {
        if !self.drivers.watches_fronts() {
            return Ok(());
        }
        // A rollout that is held goes on.
        let still = if *verdict == Verdict::Held { Duration::ZERO } else { LOOK_ON };
        let mut leaving = pin!(self.drivers.leave_fronts(still, LAST_ANSWERS));
        loop {
            let renew = self.clock.until(self.conductor.lease().renew_due());
            let answer = tokio::select! {
                biased;
                Some(answer) = answers.recv() => answer,
                () = tokio::time::sleep(renew) => {
                    self.conductor.renew(self.clock.now())?;
                    continue;
                }
                () = &mut leaving => break,
            };
            self.seen_behind_the_end(answer)?;
        }
        while let Ok(answer) = answers.try_recv() {
            self.seen_behind_the_end(answer)?;
        }
        Ok(())
    }

    fn seen_behind_the_end(&mut self, answer: Answer) -> Result<(), RuntimeError> {
        match answer {
            Answer::FrontSeen { .. } => self.hear_now(input_of(answer)),
            Answer::Report { .. } | Answer::Drift { .. } | Answer::InstanceChanged { .. } => Ok(()),
        }
    }

    fn until_wake(&self) -> Instant {
        // Without a wake nothing but an input moves the rollout; a far deadline stands for never.
        let far = Duration::from_secs(3600);
        Instant::now() + self.wake.map_or(far, |at| self.clock.until(at))
    }

    /// Balancers know no epochs: drivers act on them only as long as the lease lasts.
    fn grant(&self) {
        self.drivers.may_act_for(self.clock.until(self.conductor.lease().expires));
    }

    fn carry_out(&mut self, turn: Turn<WakeReason>) {
        self.grant();
        self.wake = turn.wake.map(|wake| wake.at);
        for released in turn.effects {
            self.drivers.start(released.into_effect());
        }
        self.watch.records(&turn.records);
    }

    /// What was read before the process stood still does not count for what is heard after it.
    fn hear(&mut self, input: Input) -> Result<(), RuntimeError> {
        self.notice_stillness()?;
        self.hear_now(input)
    }

    fn notice_stillness(&mut self) -> Result<(), RuntimeError> {
        match self.drivers.stood_still() {
            Some(span) => self.hear_now(Input::StoodStill { span }),
            None => Ok(()),
        }
    }

    fn hear_now(&mut self, input: Input) -> Result<(), RuntimeError> {
        match self.conductor.hear(self.clock.now(), input)? {
            Heard::Turn(turn) => self.carry_out(turn),
            Heard::Refused(refusal) => {
                self.watch.say(&format!("the request is refused: {refusal}"));
            }
            Heard::Fenced { seen } => return Err(RuntimeError::Fenced { seen }),
        }
        Ok(())
    }

    /// First: hold. Second: abort. Third: leave at once. False means leave.
    fn interrupted(&mut self) -> Result<bool, RuntimeError> {
        self.interrupts += 1;
        let (request, text) = match self.interrupts {
            1 => (Request::Hold, "holding: nodes in flight are finished; again to abort"),
            2 => (Request::Abort, "aborting: nodes in flight are put back; again to leave at once"),
            _ => return Ok(false),
        };
        self.watch.say(text);
        self.ask(request, self.by.clone(), "signal".into())?;
        Ok(true)
    }

    fn ask(&mut self, request: Request, by: String, reason: String) -> Result<(), RuntimeError> {
        self.hear(Input::Request { request, by, reason })
    }

    fn take_requests(&mut self) -> Result<(), RuntimeError> {
        let inbox = match self.requests.pending() {
            Ok(inbox) => inbox,
            Err(error) => {
                self.watch.say(&format!("requests cannot be read: {error}"));
                return Ok(());
            }
        };
        for pending in inbox.pending {
            self.ask(pending.request, pending.by, pending.reason)?;
            // Durable in the journal now; if it cannot be removed it is refused the next time.
            if let Err(error) = self.requests.done(pending.number) {
                self.watch.say(&format!("a request cannot be removed: {error}"));
            }
        }
        Ok(())
    }
}

fn input_of(answer: Answer) -> Input {
    match answer {
        Answer::Report { step, attempt, report } => Input::Report { step, attempt, report },
        Answer::Drift { node, instance, member, seen, reasserted } => {
            Input::Drift { node, instance, member, seen, reasserted }
        }
        Answer::FrontSeen { front, seen } => Input::FrontSeen { front, seen },
        Answer::InstanceChanged { instance, up, reason } => {
            Input::InstanceChanged { instance, up, reason }
        }
    }
}
