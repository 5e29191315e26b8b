//! Running one supervised step to its end, over however many connections that takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::channel::ChannelError;
use super::pool::{Lease, Pool};
use super::spec::Spec;
use super::supervisor::{Exit, LostReason, Poll, Range, StepState, Supervisor, SupervisorError};
use super::target::Target;

/// One wait on the node. Others need the node's only channel too (socket counts during a drain),
/// so it is short; new output and the end cut it shorter.
const NODE_WAIT: Duration = Duration::from_millis(250);
/// How much later than the deadline a connection that does not answer is given up.
const SLACK: Duration = Duration::from_millis(500);
/// Most bytes of one stream in one reply; two of them stay below the channel's limit.
const CHUNK: usize = 1024 * 1024;
/// First and longest pause before another connection. A node that reboots is back after tens of
/// seconds, a lost switch after less.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// A node as steps see it: its name and target, and the pool its channel comes from.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where channels come from.
    pub pool: Arc<Pool>,
    /// The pool's name for the target.
    pub name: String,
    /// Where the channel goes.
    pub target: Target,
}

impl Node {
    /// The node's channel, see [`Pool::channel`].
    ///
    /// # Errors
    /// [`ChannelError::Connect`].
    pub async fn channel(&self) -> Result<Lease, ChannelError> {
        self.pool.channel(&self.name, &self.target).await
    }
}

/// One of the two streams of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What [`run_step`] tells while the step runs.
#[derive(Debug)]
pub enum StepNews<'news> {
    /// The node has a record of the step: from now on it runs whether or not we live.
    Attached,
    /// More output. Each byte of a stream is told exactly once, in order.
    Output {
        /// Which stream.
        stream: Stream,
        /// The bytes.
        bytes: &'news [u8],
    },
    /// The connection is gone, noticed in a request or before the next; the next attempt follows
    /// after a pause.
    Reconnecting {
        /// Counted from 1, from 1 again after a success.
        attempt: u32,
        /// What happened.
        error: &'news ChannelError,
    },
}

/// How long a step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the call until the step must have ended.
    pub deadline: Duration,
    /// Between TERM and KILL at the deadline.
    pub grace: Duration,
}

/// What became of the step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepFate {
    /// It ended by itself.
    Ended(Exit),
    /// It did not end in time and was killed; the exit when the node has recorded one.
    TimedOut(Option<Exit>),
    /// It began, and how it ended cannot be known.
    Lost {
        /// Which way it was lost.
        reason: LostReason,
        /// The command itself still runs, unwatched.
        alive: bool,
    },
    /// The node has seen a newer epoch; nothing was run.
    RefusedEpoch {
        /// The newest epoch seen.
        seen: u64,
    },
    /// No connection until the deadline, or one that cannot come without a person.
    Unreachable {
        /// Whether the step began, as far as known.
        begun: Begun,
        /// The last error: the way to the node, or what the node said in place of an answer.
        error: Box<SupervisorError>,
    },
    /// It may no longer begin, and it has not and will not.
    Withdrawn,
    /// The record was there and is gone: someone has cleaned it away while the step was watched.
    Vanished,
}

/// Whether a step began on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Begun {
    /// Certainly not by this call.
    No,
    /// A request to start was sent and never answered.
    Unknown,
    /// Yes: it may still run there, or have ended.
    Yes,
}

/// The end of a step and its whole output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEnd {
    /// What became of it.
    pub fate: StepFate,
    /// Standard output, up to the limit of the spec.
    pub stdout: Vec<u8>,
    /// Standard error, up to the limit of the spec.
    pub stderr: Vec<u8>,
    /// A stream was longer than the limit; the record on the node has the rest.
    pub truncated: bool,
}

/// Starts the step, or finds it started, and follows it to its end or the deadline. Lost
/// connections are made anew until the deadline, and output goes on where it was. At the deadline
/// the step is killed. Dropping the future leaves the step running on the node; a later call with
/// the same spec attaches to it.
///
/// `may_begin` is asked when the node can be reached, before each request to start: a step that
/// may no longer begin is withdrawn, and where an earlier request may have begun it, the node
/// decides whether it has.
///
/// # Errors
/// [`SupervisorError::Spec`] or [`SupervisorError::Node`]: the step cannot be run on this node.
pub async fn run_step(
    may_begin: &(dyn Fn() -> bool + Sync),
    node: &Node,
    supervisor: &Supervisor,
    spec: &Spec,
    limits: Limits,
    on_news: &mut (dyn FnMut(StepNews<'_>) + Send),
) -> Result<StepEnd, SupervisorError> {
    let until = Instant::now() + limits.deadline;
    let mut run = Run::new(may_begin, node, supervisor, spec, on_news);
    // Requests end before the deadline by themselves; the slack spares a healthy connection from
    // being torn down in the middle of the last one.
    let fate = match timeout_at(until + SLACK, run.follow(until)).await {
        Ok(Ok(fate)) => fate,
        Ok(Err(error)) => Some(run.unanswered(error)?),
        Err(_) => None,
    };
    let fate = match fate {
        Some(fate) => fate,
        None => match run.time_out(limits.grace).await {
            Ok(fate) => fate,
            Err(error) => run.unanswered(error)?,
        },
    };
    Ok(run.end(fate))
}

struct Run<'run> {
    may_begin: &'run (dyn Fn() -> bool + Sync),
    node: &'run Node,
    supervisor: &'run Supervisor,
    spec: &'run Spec,
    on_news: &'run mut (dyn FnMut(StepNews<'_>) + Send),
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    begun: Begun,
    failures: u32,
    last_error: Option<ChannelError>,
}

impl<'run> Run<'run> {
    fn new(
        may_begin: &'run (dyn Fn() -> bool + Sync),
        node: &'run Node,
        supervisor: &'run Supervisor,
        spec: &'run Spec,
        on_news: &'run mut (dyn FnMut(StepNews<'_>) + Send),
    ) -> Self {
        let (stdout, stderr) = (Vec::new(), Vec::new());
        let (begun, failures, last_error) = (Begun::No, 0, None);
        Self {
            may_begin,
            node,
            supervisor,
            spec,
            on_news,
            stdout,
            stderr,
            begun,
            failures,
            last_error,
        }
    }

    /// A node that cannot answer about a step that has begun, or may have, says nothing about how
    /// it ended (law 6). One that could not begin it is for the caller.
    fn unanswered(&self, error: SupervisorError) -> Result<StepFate, SupervisorError> {
        match self.begun {
            Begun::No => Err(error),
            Begun::Unknown | Begun::Yes => Ok(self.unreachable(error)),
        }
    }

    fn unreachable(&self, error: impl Into<SupervisorError>) -> StepFate {
        StepFate::Unreachable { begun: self.begun, error: Box::new(error.into()) }
    }

    /// Until the step has a fate. None when the deadline came first.
    async fn follow(&mut self, until: Instant) -> Result<Option<StepFate>, SupervisorError> {
        loop {
            let wait = until.saturating_duration_since(Instant::now()).min(NODE_WAIT);
            match self.look(wait).await {
                Ok(None) => return Ok(Some(StepFate::Withdrawn)),
                Ok(Some(poll)) => {
                    self.failures = 0;
                    self.last_error = None;
                    let caught_up = self.take(&poll);
                    if let Some(fate) = self.fate(poll.state)
                        && caught_up
                    {
                        return Ok(Some(fate));
                    }
                }
                Err(SupervisorError::Channel(error)) => {
                    if let Some(fate) = self.reconnect(error).await {
                        return Ok(Some(fate));
                    }
                }
                // A node that cannot answer about a step that runs says nothing about the step.
                Err(SupervisorError::Node { .. }) if self.begun == Begun::Yes => {
                    if let Some(fate) = self.reconnect(ChannelError::Abandoned).await {
                        return Ok(Some(fate));
                    }
                }
                Err(error) => return Err(error),
            }
            if Instant::now() + Duration::from_millis(1) >= until {
                return Ok(None);
            }
        }
    }

    /// One request: start while nobody has answered that, else poll from where the output is. None
    /// when it has not begun and may not.
    async fn look(&mut self, wait: Duration) -> Result<Option<Poll>, SupervisorError> {
        let node = self.node;
        let mut channel = node.pool.channel_or_loss(&node.name, &node.target).await?;
        if self.begun == Begun::Yes {
            return self.poll(&mut channel, wait).await.map(Some);
        }
        if !(self.may_begin)() {
            return match self.begun {
                Begun::No => Ok(None),
                Begun::Unknown | Begun::Yes => self.withdraw(&mut channel, wait).await,
            };
        }
        // From here on the request may reach the node even if this future is dropped.
        let before = std::mem::replace(&mut self.begun, Begun::Unknown);
        let maximum = self.range(0).maximum;
        let started = self.supervisor.start(&mut channel, self.spec, wait, maximum).await;
        match &started {
            Ok(Poll { state: StepState::RefusedEpoch { .. }, .. }) => self.begun = before,
            Ok(_) => {
                self.begun = Begun::Yes;
                (self.on_news)(StepNews::Attached);
            }
            Err(SupervisorError::Channel(error)) if error.was_not_run() => self.begun = before,
            // What refused this request says nothing about one that was sent before.
            Err(SupervisorError::Node { .. } | SupervisorError::Spec(_)) => self.begun = before,
            Err(SupervisorError::Channel(_)) => {}
        }
        started.map(Some)
    }

    /// A request to start was sent and not answered, and may no longer begin the step: if it has
    /// not, it never will.
    async fn withdraw(
        &mut self,
        channel: &mut Lease,
        wait: Duration,
    ) -> Result<Option<Poll>, SupervisorError> {
        if self.supervisor.withdraw(channel, &self.spec.key()).await? {
            return Ok(None);
        }
        self.begun = Begun::Yes;
        (self.on_news)(StepNews::Attached);
        self.poll(channel, wait).await.map(Some)
    }

    /// Asks for what came since the last time.
    async fn poll(&mut self, channel: &mut Lease, wait: Duration) -> Result<Poll, SupervisorError> {
        let key = self.spec.key();
        let (out, err) = (self.range(self.stdout.len()), self.range(self.stderr.len()));
        self.supervisor.poll(channel, &key, out, err, wait).await
    }

    /// One byte more than the limit tells whether there is more.
    fn range(&self, offset: usize) -> Range {
        let limit = self.spec.output_limit.saturating_add(1);
        Range { offset, maximum: limit.saturating_sub(offset).min(CHUNK) }
    }

    /// Takes the output of a poll. False when more of it may wait on the node right now.
    fn take(&mut self, poll: &Poll) -> bool {
        let Poll { state: _, stdout, stderr } = poll;
        let mut caught_up = true;
        for (stream, bytes) in [(Stream::Out, stdout), (Stream::Err, stderr)] {
            let limit = self.spec.output_limit;
            let held = match stream {
                Stream::Out => &mut self.stdout,
                Stream::Err => &mut self.stderr,
            };
            let told = bytes.len().min(limit.saturating_sub(held.len()));
            if told > 0 {
                (self.on_news)(StepNews::Output { stream, bytes: &bytes[..told] });
            }
            held.extend_from_slice(bytes);
            caught_up &= bytes.len() < CHUNK || held.len() > limit;
        }
        caught_up
    }

    fn fate(&self, state: StepState) -> Option<StepFate> {
        match state {
            StepState::Running => None,
            StepState::Ended(exit) => Some(StepFate::Ended(exit)),
            StepState::Never => Some(StepFate::Vanished),
            StepState::Lost { reason, alive } => Some(StepFate::Lost { reason, alive }),
            StepState::RefusedEpoch { seen } => Some(StepFate::RefusedEpoch { seen }),
        }
    }

    /// Tells the failure and pauses; a fate when another connection cannot help.
    async fn reconnect(&mut self, error: ChannelError) -> Option<StepFate> {
        self.failures = self.failures.saturating_add(1);
        (self.on_news)(StepNews::Reconnecting { attempt: self.failures, error: &error });
        if let ChannelError::Connect { failure, .. } = &error
            && !failure.may_pass()
        {
            return Some(self.unreachable(error));
        }
        // The first loss of a connection that worked is mended at once.
        let pause = match self.failures {
            1 => Duration::ZERO,
            count => FIRST_PAUSE.saturating_mul(1 << (count - 2).min(6)).min(LONGEST_PAUSE),
        };
        self.last_error = Some(error);
        sleep(pause).await;
        None
    }

    /// After the deadline: kill, then fetch what is left of the output.
    async fn time_out(&mut self, grace: Duration) -> Result<StepFate, SupervisorError> {
        if self.begun == Begun::No {
            let error = self.last_error.take().unwrap_or(ChannelError::Abandoned);
            return Ok(self.unreachable(error));
        }
        let until = Instant::now() + grace + Duration::from_secs(10);
        // A connection lost just now must not leave the step running: killing twice does no harm.
        let killed = timeout_at(until, async {
            loop {
                match self.kill_and_collect(grace).await {
                    Err(SupervisorError::Channel(error)) => {
                        if let Some(fate) = self.reconnect(error).await {
                            return Ok(fate);
                        }
                    }
                    ended => return ended,
                }
            }
        });
        if let Ok(ended) = killed.await {
            return ended;
        }
        let deadline = grace + Duration::from_secs(10);
        let error = self.last_error.take().unwrap_or(ChannelError::Deadline { deadline });
        Ok(self.unreachable(error))
    }

    async fn kill_and_collect(&mut self, grace: Duration) -> Result<StepFate, SupervisorError> {
        let mut channel = self.node.channel().await?;
        let killed = self.supervisor.kill(&mut channel, self.spec, grace).await?;
        if killed == StepState::Never {
            return self.never_at_the_deadline(&mut channel).await;
        }
        self.begun = Begun::Yes;
        loop {
            let poll = self.poll(&mut channel, Duration::ZERO).await?;
            if self.take(&poll) {
                break;
            }
        }
        Ok(match killed {
            StepState::Ended(exit) => StepFate::TimedOut(Some(exit)),
            StepState::Running | StepState::Never => StepFate::TimedOut(None),
            StepState::Lost { reason, alive } => StepFate::Lost { reason, alive },
            StepState::RefusedEpoch { seen } => StepFate::RefusedEpoch { seen },
        })
    }

    /// The node has no record at the deadline. Of a step that began it is gone; one whose request
    /// to start may still be on its way is made sure never to begin.
    async fn never_at_the_deadline(
        &mut self,
        channel: &mut Lease,
    ) -> Result<StepFate, SupervisorError> {
        if self.begun == Begun::Yes {
            return Ok(StepFate::Vanished);
        }
        if !self.supervisor.withdraw(channel, &self.spec.key()).await? {
            // It has come in this very moment; who asks again finds it.
            return Ok(self.unreachable(ChannelError::Abandoned));
        }
        self.begun = Begun::No;
        let error = self.last_error.take().unwrap_or(ChannelError::Abandoned);
        Ok(self.unreachable(error))
    }

    fn end(mut self, fate: StepFate) -> StepEnd {
        let limit = self.spec.output_limit;
        let truncated = self.stdout.len() > limit || self.stderr.len() > limit;
        self.stdout.truncate(limit);
        self.stderr.truncate(limit);
        StepEnd { fate, stdout: self.stdout, stderr: self.stderr, truncated }
    }
}
