//! One front, asked in each of its ways until the prober ends.

use super::ask::{Failed, Link, Question, Told, ask};
use super::clock::{Clock, Wall};
use super::count::{Came, Counter, Outcome, Why};
use super::handing::Handing;
use super::kept::Kept;
use super::schedule::{Due, Schedule, Turns};
use super::{Delta, Orders};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use zdu_model::front::Way;
use zdu_model::ids::StepNo;

/// The last delta waits for a full queue at least so long.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// When requests of one way are due.
pub(super) enum When {
    /// So many a second.
    Rate(Schedule),
    /// One after the other.
    Turns(Turns),
}

/// One way of connecting.
pub(super) struct Line {
    pub(super) way: Way,
    pub(super) when: When,
    pub(super) question: Arc<Question>,
}

impl Line {
    /// What lateness and silences of this machine are measured by.
    fn period(&self) -> Duration {
        match &self.when {
            When::Rate(schedule) => schedule.period(),
            When::Turns(_) => Turns::PERIOD,
        }
    }

    fn next_at(&self) -> Option<Duration> {
        match &self.when {
            When::Rate(schedule) => Some(schedule.next_at()),
            When::Turns(turns) => turns.next_at(),
        }
    }

    fn take(&mut self, now: Duration) -> Option<Due> {
        match &mut self.when {
            When::Rate(schedule) => schedule.take(now),
            When::Turns(turns) => turns.take(now),
        }
    }

    fn ended(&mut self, at: Duration) {
        match &mut self.when {
            When::Rate(_) => {}
            When::Turns(turns) => turns.ended(at),
        }
    }
}

/// What a front is asked with.
pub(super) struct Means {
    pub(super) no: u32,
    pub(super) lines: Vec<Line>,
    /// The most requests under way.
    pub(super) limit: usize,
    pub(super) kept: Kept<Link>,
    pub(super) clock: Clock,
    pub(super) deltas: mpsc::Sender<Delta>,
}

/// A request that ended.
struct Ended {
    way: Way,
    due: Duration,
    sent: Duration,
    end: Duration,
    steps: Arc<[StepNo]>,
    /// Its place among the kept connections, and when the connection it took was opened.
    place: Option<(usize, Option<Duration>)>,
    told: Told,
}

pub(super) struct Watching {
    means: Means,
    counter: Counter,
    handing: Handing,
    wall: Wall,
    steps: Arc<[StepNo]>,
    tasks: JoinSet<Ended>,
}

impl Watching {
    pub(super) fn new(means: Means, begin: Duration) -> Self {
        let ways: Vec<_> = means.lines.iter().map(|line| (line.way, line.period())).collect();
        Self {
            counter: Counter::new(begin, &ways),
            handing: Handing::new(begin),
            wall: Wall::new(&means.clock),
            steps: Arc::from([]),
            tasks: JoinSet::new(),
            means,
        }
    }

    /// Asks until it is told to stop; without a last delta when the prober is gone.
    pub(super) async fn run(mut self, mut orders: watch::Receiver<Orders>) {
        loop {
            let now = self.means.clock.now();
            let stop = self.obey(&orders.borrow_and_update(), now);
            if let Some(span) = stop {
                return self.stop(span).await;
            }
            self.ask_due(now);
            self.hand_over(now);
            let wake = self.wake().saturating_sub(now);
            tokio::select! {
                biased;
                told = orders.changed() => if told.is_err() { return },
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                () = tokio::time::sleep(wake) => {}
            }
        }
    }

    fn obey(&mut self, orders: &Orders, now: Duration) -> Option<Duration> {
        if self.steps != orders.steps {
            self.steps = Arc::clone(&orders.steps);
        }
        self.handing.busy(now, !self.steps.is_empty());
        orders.stop
    }

    fn wake(&self) -> Duration {
        let next = self.means.lines.iter().filter_map(Line::next_at).min();
        next.map_or(self.handing.due(), |next| next.min(self.handing.due()))
    }

    fn ask_due(&mut self, now: Duration) {
        for connection in self.means.kept.old(now) {
            connection.close();
        }
        for at in 0..self.means.lines.len() {
            while let Some(due) = self.means.lines.get_mut(at).and_then(|line| line.take(now)) {
                self.take(at, due);
            }
        }
    }

    fn take(&mut self, line: usize, due: Due) {
        let Some(line) = self.means.lines.get_mut(line) else { return };
        let way = line.way;
        match due {
            Due::Missed { first, count, span } => {
                let unsent = self.unsent(way, first, count, Why::Machine);
                self.counter.ended(Outcome { end: first + span, ..unsent });
            }
            Due::Ask(due) if self.tasks.len() >= self.means.limit => {
                line.ended(self.means.clock.now());
                self.counter.ended(self.unsent(way, due, 1, Why::Full));
            }
            Due::Ask(due) => {
                let question = Arc::clone(&line.question);
                self.send(way, due, question);
            }
        }
    }

    fn unsent(&self, way: Way, due: Duration, count: u64, why: Why) -> Outcome {
        Outcome {
            way,
            due,
            sent: due,
            end: due,
            steps: Arc::clone(&self.steps),
            reopened: false,
            version: None,
            came: Came::Unsent(count, why),
        }
    }

    fn send(&mut self, way: Way, due: Duration, question: Arc<Question>) {
        let (mut place, mut link) = (None, None);
        if way == Way::Keep {
            let Some((at, held)) = self.means.kept.take() else {
                return self.counter.ended(self.unsent(way, due, 1, Why::Full));
            };
            let (connection, opened) = held.unzip();
            (place, link) = (Some((at, opened)), connection);
        }
        self.counter.begun(way, due);
        let (clock, steps) = (self.means.clock.clone(), Arc::clone(&self.steps));
        self.tasks.spawn(async move {
            let sent = clock.now();
            let told = ask(&question, link).await;
            Ended { way, due, sent, end: clock.now(), steps, place, told }
        });
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            // A defect of ours. Nobody hears from this front any more, which the engine notices;
            // counted on, a request without an end would keep all behind it from being told.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_aborted) => return,
        };
        let Ended { way, due, sent, end, steps, place, told } = ended;
        if let Some((at, opened)) = place {
            let opened = opened.filter(|_| !told.reopened).unwrap_or(sent);
            self.means.kept.put(at, told.link.map(|link| (link, opened)));
        }
        if let Some(line) = self.means.lines.iter_mut().find(|line| line.way == way) {
            line.ended(end);
        }
        let came = match told.failed {
            None => Came::Ok,
            Some(Failed::Machine) => Came::Unsent(1, Why::Machine),
            Some(Failed::Front(kind, status)) => Came::Failed(kind, status),
        };
        let (reopened, version) = (told.reopened, told.version);
        self.counter.ended(Outcome { way, due, sent, end, steps, reopened, version, came });
    }

    /// Up to where all that was due has ended.
    fn settled(&self, now: Duration) -> Duration {
        let rated = self.means.lines.iter().filter(|line| line.way != Way::Long);
        let next = rated.filter_map(Line::next_at).min().unwrap_or(now);
        self.counter.settled(now, next)
    }

    fn hand_over(&mut self, now: Duration) {
        let until = self.settled(now);
        if self.counter.settle(until) {
            self.handing.failed(now);
        }
        if now < self.handing.due() {
            return;
        }
        // A full queue loses nothing: it is counted on in the same delta.
        match self.means.deltas.clone().try_reserve() {
            Ok(permit) if self.counter.has_span(until) => {
                permit.send((self.means.no, self.counter.take(until, &|at| self.wall.tell(at))));
                self.wall.renew();
                self.handing.handed(now);
            }
            Ok(_) | Err(_) => self.handing.put_off(now),
        }
    }

    /// Waits for what is under way and hands over the last delta. What does not end in time lies
    /// behind the end of that, with all that was due later: a hole.
    async fn stop(mut self, span: Duration) {
        let deadline = tokio::time::Instant::now() + span;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.tasks.join_next()).await
        {
            self.ended(ended);
        }
        let until = self.settled(self.means.clock.now());
        if !self.counter.has_span(until) {
            return;
        }
        let last = self.counter.take(until, &|at| self.wall.tell(at));
        let wait = deadline.max(tokio::time::Instant::now() + LAST_WAIT);
        let send = self.means.deltas.send((self.means.no, last));
        // Nobody takes it any more only while the process is being ended.
        let _sent = tokio::time::timeout_at(wait, send).await;
    }
}
