//! A balancer instance for tests that need a state no real balancer can be brought to on demand.

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::member::{BalancerInstance, MemberReading, MemberState, Observation};
use super::{Before, BoxFuture, Cut, Hold, Identity, InstanceError, MemberName, Undone};

/// Answers what it is told to; a change waits for a permit of `gate`.
pub(crate) struct Scripted {
    pub(super) reading: Mutex<MemberReading>,
    pub(super) pid: Mutex<u32>,
    pub(crate) gate: Semaphore,
    /// Changes begun and ended.
    pub(crate) changes: Mutex<(u32, u32)>,
    /// Returns that were asked for; each is refused.
    pub(crate) returns: Mutex<u32>,
    /// Whether it does not answer readings.
    pub(crate) silent: Mutex<bool>,
    /// How a drain is answered, when not with success.
    pub(crate) refusal: Mutex<Option<InstanceError>>,
}

impl Scripted {
    /// Drained, no sessions, no pool, pid 1, and no permit to change anything.
    pub(crate) fn drained() -> Arc<Self> {
        Arc::new(Self {
            reading: Mutex::new(MemberReading {
                member: member(),
                state: MemberState::Draining,
                hold: Hold::Drain,
                sessions: Some(0),
                queued: Some(0),
                idle: Some(0),
                checking: false,
                check_passed: None,
                weight: None,
                detail: String::new(),
            }),
            pid: Mutex::new(1),
            gate: Semaphore::new(0),
            changes: Mutex::new((0, 0)),
            returns: Mutex::new(0),
            silent: Mutex::new(false),
            refusal: Mutex::new(None),
        })
    }

    /// The drain is gone, as after a reload.
    pub(crate) fn forgets(&self) {
        self.reading.lock().unwrap().hold = Hold::Ready;
    }
}

/// The only member there is.
pub(super) fn member() -> MemberName {
    MemberName::new("b", "n1")
}

/// It was in traffic, on the only instance there is.
pub(crate) fn before() -> Before {
    Before {
        instance: "scripted".to_owned(),
        member: member(),
        hold: Hold::Ready,
        weight: None,
        identity: None,
        findings: Vec::new(),
    }
}

fn unsupported<T: Send + 'static>() -> BoxFuture<'static, Result<T, InstanceError>> {
    Box::pin(async { Err(InstanceError::Name("not scripted".to_owned())) })
}

impl BalancerInstance for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn observe<'a>(
        &'a self,
        members: &'a [MemberName],
    ) -> BoxFuture<'a, Result<Observation, InstanceError>> {
        Box::pin(async move {
            if *self.silent.lock().unwrap() {
                return Err(InstanceError::Name("it is silent".to_owned()));
            }
            let identity = Identity {
                pid: *self.pid.lock().unwrap(),
                started_unix_s: 0,
                version: String::new(),
            };
            let reading = self.reading.lock().unwrap().clone();
            let members = members.iter().map(|member| (member.clone(), Ok(reading.clone())));
            Ok(Observation { identity: Some(identity), members: members.collect() })
        })
    }

    fn look<'a>(&'a self, _: &'a MemberName) -> BoxFuture<'a, Result<Before, InstanceError>> {
        unsupported()
    }

    fn hold<'a>(&'a self, _: &'a MemberName, _: Hold) -> BoxFuture<'a, Result<(), InstanceError>> {
        Box::pin(async move {
            self.changes.lock().unwrap().0 += 1;
            self.gate.acquire().await.unwrap().forget();
            self.changes.lock().unwrap().1 += 1;
            self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
        })
    }

    fn undrain<'a>(&'a self, _: &'a Before) -> BoxFuture<'a, Result<Undone, InstanceError>> {
        *self.returns.lock().unwrap() += 1;
        Box::pin(async {
            // As long as a poll of a keeper may come in between.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            Err(InstanceError::Name("not scripted".to_owned()))
        })
    }

    fn kill_sessions<'a>(&'a self, _: &'a MemberName) -> BoxFuture<'a, Result<Cut, InstanceError>> {
        unsupported()
    }
}
