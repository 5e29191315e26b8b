//! The fronts of a rollout, asked all the time, and the steps that were under way meanwhile.

use crate::access::Access;
use crate::answer::Answer;
use crate::front::{Clock, Delta, Prober, ProberError, ProberSetup};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use zdu_model::ids::StepNo;
use zdu_model::plan::Plan;

/// Spans on their way; each front has some in a second at most.
const DELTAS_MAX: usize = 64;

/// Watches fronts, where the plan has one that is to be watched. Dropping it ends that.
#[derive(Default)]
pub struct Fronts {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    prober: Option<Prober>,
    /// Steps under way that change something.
    changing: BTreeSet<StepNo>,
    /// Hands on what was seen; ends with the prober.
    told: Option<tokio::task::JoinHandle<()>>,
}

impl Fronts {
    /// Begins to ask. Needs a tokio runtime. To be called before anything is begun: what users see
    /// then is what the rest is compared with.
    ///
    /// # Errors
    /// [`ProberError`]; nothing is watched then.
    pub fn begin(
        plan: &Plan,
        access: &Arc<Access>,
        answers: &mpsc::Sender<Answer>,
    ) -> Result<Self, ProberError> {
        let fronts: Vec<_> = (0..).zip(plan.fleet.front.iter().cloned()).collect();
        if fronts.iter().all(|(_, front)| front.watch.is_none()) {
            return Ok(Self::default());
        }
        let (deltas, seen) = mpsc::channel(DELTAS_MAX);
        let masked = Arc::clone(access);
        let prober = Prober::start(
            fronts,
            ProberSetup {
                clock: Clock::system(),
                drain_deadline: plan.policy.drain_deadline,
                mask: Arc::new(move |text: &str| masked.redactor().mask(text)),
                tls: None,
                deltas,
            },
        )?;
        let told = Some(tokio::spawn(tell(seen, answers.clone())));
        let inner = Inner { prober: Some(prober), changing: BTreeSet::new(), told };
        Ok(Self { inner: Mutex::new(inner) })
    }

    /// A step is under way, or no longer.
    pub(crate) fn step(&self, plan: &Plan, no: StepNo, under_way: bool) {
        if !plan.step(no).work.changes() {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let changed =
            if under_way { inner.changing.insert(no) } else { inner.changing.remove(&no) };
        if let (true, Some(prober)) = (changed, &inner.prober) {
            let steps: Vec<StepNo> = inner.changing.iter().copied().collect();
            prober.steps(&steps);
        }
    }

    /// Whether a front is watched.
    #[must_use]
    pub fn are_watched(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).prober.is_some()
    }

    /// Asks nothing more; what is under way may take so long. Everything seen was handed on when
    /// this is through.
    pub(crate) async fn end(&self, deadline: Duration) {
        let (prober, told) = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            (inner.prober.take(), inner.told.take())
        };
        if let Some(prober) = prober {
            prober.close(deadline).await;
        }
        if let Some(told) = told {
            // A task that panicked told what it told.
            let _ended = told.await;
        }
    }
}

async fn tell(mut seen: mpsc::Receiver<Delta>, answers: mpsc::Sender<Answer>) {
    while let Some((front, seen)) = seen.recv().await {
        // Nobody listens any more only while the process is being ended.
        if answers.send(Answer::FrontSeen { front, seen: Box::new(seen) }).await.is_err() {
            return;
        }
    }
}
