//! What is known about one node: its place in traffic, its evidence, and what went against it.

use zdu_model::contract::Class;
use zdu_model::fleet::Member;
use zdu_model::ids::{GroupName, InstanceName, NodeName, StepNo};
use zdu_model::plan::{PlannedStep, Work};
use zdu_model::report::{DrainEvidence, Evidence, InstanceReading, Report};
use zdu_model::time::Timestamp;

/// One node as the records tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: NodeName,
    /// The group it stands in.
    pub group: GroupName,
    /// Its entries in balancers.
    pub members: Vec<Member>,
    /// Its place in traffic.
    pub traffic: Traffic,
    /// Whether it was put back.
    pub unwound: Unwound,
    /// The compensation that failed, when one did.
    pub stuck: Option<Stuck>,
    /// Members seen in traffic while the node had to be out.
    pub drifts: Vec<Drift>,
    /// Drain certificates, oldest first.
    pub certificates: Vec<Certificate>,
    /// What the balancers showed last, and when.
    pub reading: Option<(Timestamp, Vec<InstanceReading>)>,
    /// The release the node last said it runs.
    pub version: Option<String>,
}

/// A node's place in traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Nothing of ours keeps it out.
    Serving,
    /// It is being taken out, or its certificate was lost.
    Draining,
    /// It is out and has a drain certificate.
    Drained,
    /// It is out and a step that needs that was begun.
    Out,
    /// It is proving that it is ready, or being put into traffic again.
    Returning,
}

/// Whether a node was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwound {
    /// No compensation was begun.
    No,
    /// Compensation is under way.
    Running,
    /// It was put back.
    Done,
}

/// The one word a view shows for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// A compensation failed; a person must act.
    Stuck,
    /// Being taken out of traffic.
    Draining,
    /// Out of traffic with a certificate.
    Drained,
    /// Out of traffic, with work begun on it.
    Out,
    /// On its way into traffic.
    Returning,
    /// Put back to what it was, and serving.
    RolledBack,
    /// In traffic.
    Serving,
}

impl NodeState {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Out => "out",
            Self::Returning => "returning",
            Self::RolledBack => "rolled back",
            Self::Serving => "serving",
        }
    }
}

/// A compensation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// When.
    pub at: Timestamp,
    /// The compensation.
    pub step: StepNo,
    /// Why.
    pub reason: String,
}

/// A member that was in traffic while it had to be out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// When it was seen.
    pub at: Timestamp,
    /// On which instance.
    pub instance: InstanceName,
    /// Which member.
    pub member: Member,
    /// What was seen, in the product's words.
    pub seen: String,
    /// Whether the drain was put back at once.
    pub reasserted: bool,
}

/// A drain certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// When it was had.
    pub at: Timestamp,
    /// The step that had it.
    pub step: StepNo,
    /// The evidence.
    pub evidence: DrainEvidence,
    /// When a drift cancelled it.
    pub lost: Option<Timestamp>,
}

impl NodeView {
    pub(crate) fn new(name: NodeName, group: GroupName, members: Vec<Member>) -> Self {
        Self {
            name,
            group,
            members,
            traffic: Traffic::Serving,
            unwound: Unwound::No,
            stuck: None,
            drifts: Vec::new(),
            certificates: Vec::new(),
            reading: None,
            version: None,
        }
    }

    /// The one word for it: stuck before everything, rolled back only when it also serves.
    #[must_use]
    pub fn state(&self) -> NodeState {
        if self.stuck.is_some() {
            return NodeState::Stuck;
        }
        match (self.traffic, self.unwound) {
            (Traffic::Serving, Unwound::Done) => NodeState::RolledBack,
            (Traffic::Serving, Unwound::No | Unwound::Running) => NodeState::Serving,
            (Traffic::Draining, _) => NodeState::Draining,
            (Traffic::Drained, _) => NodeState::Drained,
            (Traffic::Out, _) => NodeState::Out,
            (Traffic::Returning, _) => NodeState::Returning,
        }
    }

    pub(crate) fn step_started(&mut self, step: &PlannedStep, is_undo: bool) {
        if self.stuck.as_ref().is_some_and(|stuck| stuck.step == step.no) {
            self.stuck = None;
        }
        if !is_undo {
            self.unwound = Unwound::No;
        }
        self.traffic = match &step.work {
            Work::Guard { .. } => self.traffic,
            Work::Drain | Work::Certify => Traffic::Draining,
            // A step of this kind on a node that never left traffic does not take it out.
            Work::Ready(_) | Work::Undrain | Work::Serving => match self.traffic {
                Traffic::Serving => Traffic::Serving,
                Traffic::Draining | Traffic::Drained | Traffic::Out | Traffic::Returning => {
                    Traffic::Returning
                }
            },
            Work::Soak(_)
            | Work::Run(_)
            | Work::Http(_)
            | Work::Upload { .. }
            | Work::Backup { .. }
            | Work::Wait(_)
            | Work::Manual { .. } => {
                if step.needs_drain {
                    Traffic::Out
                } else {
                    self.traffic
                }
            }
        };
    }

    pub(crate) fn step_ended(&mut self, step: &PlannedStep, at: Timestamp, ending: Ending<'_>) {
        let Ending { class, report } = ending;
        match &step.work {
            Work::Certify if class.passes() => self.traffic = Traffic::Drained,
            Work::Serving if class.passes() => self.traffic = Traffic::Serving,
            Work::Guard { .. }
            | Work::Drain
            | Work::Certify
            | Work::Ready(_)
            | Work::Undrain
            | Work::Serving
            | Work::Soak(_)
            | Work::Run(_)
            | Work::Http(_)
            | Work::Upload { .. }
            | Work::Backup { .. }
            | Work::Wait(_)
            | Work::Manual { .. } => {}
        }
        match &report.evidence {
            Evidence::None | Evidence::File(_) => {}
            Evidence::Balancers(instances) => self.reading = Some((at, instances.clone())),
            Evidence::Version(version) => self.version = Some(version.clone()),
            Evidence::Drain(evidence) => {
                self.reading = Some((at, evidence.instances.clone()));
                if class.passes() {
                    self.certificates.push(Certificate {
                        at,
                        step: step.no,
                        evidence: evidence.clone(),
                        lost: None,
                    });
                }
            }
        }
    }

    /// A drift cancels the certificate: the lane certifies again before the next step that needs
    /// it (`docs/decisions/0001-events-and-plan.md`, "Keeping out").
    pub(crate) fn drifted(&mut self, drift: Drift) {
        if let Some(certificate) = self.certificates.last_mut() {
            certificate.lost.get_or_insert(drift.at);
        }
        self.traffic = match self.traffic {
            Traffic::Drained | Traffic::Out => Traffic::Draining,
            Traffic::Serving | Traffic::Draining | Traffic::Returning => self.traffic,
        };
        self.drifts.push(drift);
    }
}

/// An ending as a node sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending<'a> {
    pub(crate) class: Class,
    pub(crate) report: &'a Report,
}
