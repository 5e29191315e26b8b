//! Why no plan can be made. All reasons are collected before anything is said, so that an
//! operator mends the files once.

use alloc::string::String;
use alloc::vec::Vec;
use zdu_model::ids::{
    BalancerName, CaptureName, GroupName, NodeName, PhaseName, RoleName, SecretName, StageName,
    StepKey, VarName,
};

/// One reason why no plan can be made. [`core::fmt::Display`] gives the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The fleet has no node.
    EmptyFleet,
    /// Two nodes have the same name.
    DuplicateNode(NodeName),
    /// No node is left when this one of the group is out.
    CapacityNeverMet {
        /// The group.
        group: GroupName,
        /// Its nodes that stand in a balancer.
        size: u32,
        /// How many must serve.
        min_available: u32,
        /// The stage that takes them out.
        stage: StageName,
    },
    /// A member belongs to two nodes, so draining one takes the other out.
    SharedMember {
        /// `balancer/backend/server`.
        member: String,
        /// The node that has it first.
        one: NodeName,
        /// The other, or the same again.
        other: NodeName,
    },
    /// Members name a balancer the fleet does not declare, or one without instances.
    NoBalancer {
        /// The nodes with such a member.
        nodes: Vec<NodeName>,
        /// The balancer.
        balancer: BalancerName,
        /// Whether it is declared, but without instances.
        declared: bool,
    },
    /// Nodes are disturbed, must not be missed, and stand in no balancer.
    NobodyDrains {
        /// The nodes.
        nodes: Vec<NodeName>,
        /// Its group.
        group: GroupName,
        /// The group's minimum.
        min_available: u32,
        /// The first disruptive step.
        step: StepKey,
    },
    /// A disruptive step without undo.
    NoUndo {
        /// The stage.
        stage: StageName,
        /// The step.
        step: StepKey,
    },
    /// `accept_no_undo` names a step the procedure does not have.
    AcceptsNothing(String),
    /// A disruptive step in a stage that does not drain.
    DisruptiveOutsideRolling {
        /// The stage.
        stage: StageName,
        /// The step.
        step: StepKey,
    },
    /// A disruptive step of one node's lane runs on another, which nobody drained.
    DisruptiveElsewhere {
        /// The stage.
        stage: StageName,
        /// The step.
        step: StepKey,
        /// The role whose bearer it runs on.
        role: RoleName,
    },
    /// A secret where other people can read it.
    SecretExposed {
        /// The place.
        at: String,
        /// The secret, or the capture that is secret.
        secret: String,
    },
    /// A secret the procedure does not declare.
    UndeclaredSecret {
        /// The place.
        at: String,
        /// The secret.
        secret: SecretName,
    },
    /// An open place where the plan must hold the text itself.
    OpenPlace {
        /// The place.
        at: String,
        /// What would be put in.
        capture: CaptureName,
    },
    /// A captured value that cannot be there when it is needed.
    Capture {
        /// The place.
        at: String,
        /// The value.
        capture: CaptureName,
        /// What is wrong.
        fault: CaptureFault,
    },
    /// A variable without a value.
    MissingVariable {
        /// The variable.
        name: VarName,
        /// What it is for.
        help: String,
    },
    /// A template or condition that cannot be rendered.
    Render {
        /// The place.
        at: String,
        /// The nodes it fails for; empty for what is done once.
        nodes: Vec<NodeName>,
        /// The template.
        template: String,
        /// Why it failed for the first of them.
        why: String,
    },
    /// Nodes do not run the release the plan starts from.
    OtherRelease {
        /// The nodes.
        nodes: Vec<NodeName>,
        /// What they run.
        runs: String,
        /// `release.from`.
        from: String,
        /// `release.to`.
        to: String,
    },
    /// The release was rolled back before (law 12).
    RefusedRelease {
        /// The release.
        release: String,
        /// Why it was rolled back.
        reason: String,
    },
    /// A role that orders something is not known, because nobody looked.
    RoleNotLookedUp {
        /// The role.
        role: RoleName,
        /// The nodes that may have it.
        among: Vec<NodeName>,
    },
    /// A role that orders something has no bearer and nothing that would find one.
    RoleWithoutBearer {
        /// The role.
        role: RoleName,
        /// What needs it.
        at: String,
    },
    /// The wrong number of nodes has a role.
    RoleCount {
        /// The role.
        role: RoleName,
        /// How many must have it.
        exactly: u32,
        /// Who has it.
        bearers: Vec<NodeName>,
    },
    /// A lookup was answered that the procedure never asked.
    UnknownLookup {
        /// The node.
        node: NodeName,
        /// The role.
        role: RoleName,
    },
    /// A compensation that says of itself that it cannot be undone, or has an undo.
    UndoNotFinal {
        /// The step whose undo it is.
        step: StepKey,
        /// The compensation.
        undo: StepKey,
        /// Whether it is marked as a point of no return (else: it has an undo of its own).
        point_of_no_return: bool,
    },
    /// A stage goes over nodes and selects none.
    StageWithoutNodes {
        /// The stage.
        stage: StageName,
        /// The roles it wants.
        only: Vec<RoleName>,
    },
    /// A step of a `once` stage that runs on "the node".
    NoNodeInOnce {
        /// The stage.
        stage: StageName,
        /// The step.
        step: StepKey,
    },
    /// Nothing is left to do.
    NothingToDo,
    /// A step name that stands twice, or is one of zdu's own.
    BadStepName {
        /// The name.
        step: StepKey,
        /// Whether it is one of zdu's own.
        reserved: bool,
    },
    /// A phase the procedure does not declare.
    UnknownPhase {
        /// The place.
        at: String,
        /// The phase.
        phase: PhaseName,
    },
    /// Permission bits that are no octal number.
    BadMode {
        /// The place.
        at: String,
        /// The text.
        mode: String,
    },
    /// A limit that cannot be kept.
    Limit {
        /// The place.
        at: String,
        /// What is wrong, as a fragment that follows the place.
        why: &'static str,
    },
    /// More steps than a plan can number.
    TooManySteps {
        /// The most.
        max: u32,
    },
}

/// Why a captured value cannot be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureFault {
    /// No step makes it.
    Never,
    /// The step that makes it comes later, or is not planned for this node.
    Before,
    /// Several other nodes make it, so it has no one value here.
    Several,
}

/// All reasons why no plan can be made; never empty.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusals(pub Vec<Refusal>);

impl Refusals {
    /// Adds a reason once; one that holds for many nodes is one reason with many nodes.
    pub(crate) fn push(&mut self, mut new: Refusal) {
        let Some((new_nodes, _)) = new.cause() else {
            if !self.0.contains(&new) {
                self.0.push(new);
            }
            return;
        };
        let new_nodes = core::mem::take(new_nodes);
        for old in &mut self.0 {
            let same = old.cause().map(|(_, cause)| cause) == new.cause().map(|(_, cause)| cause);
            if let (true, Some((nodes, _))) = (same, old.cause()) {
                for node in new_nodes {
                    // They come in the order of the fleet, so a node that is there is the last.
                    if nodes.last() != Some(&node) {
                        nodes.push(node);
                    }
                }
                return;
            }
        }
        if let Some((nodes, _)) = new.cause() {
            *nodes = new_nodes;
        }
        self.0.push(new);
    }
}

impl Refusal {
    /// Of a reason that can hold for many nodes: those nodes, and what makes it the same one.
    fn cause(&mut self) -> Option<(&mut Vec<NodeName>, Cause<'_>)> {
        match self {
            Self::Render { at, nodes, .. } => Some((nodes, Cause::Render(at))),
            Self::NoBalancer { nodes, balancer, .. } => Some((nodes, Cause::Balancer(balancer))),
            Self::NobodyDrains { nodes, group, step, .. } => {
                Some((nodes, Cause::Drain(group, step)))
            }
            Self::OtherRelease { nodes, runs, .. } => Some((nodes, Cause::Runs(runs))),
            Self::EmptyFleet
            | Self::DuplicateNode(_)
            | Self::CapacityNeverMet { .. }
            | Self::SharedMember { .. }
            | Self::NoUndo { .. }
            | Self::AcceptsNothing(_)
            | Self::DisruptiveOutsideRolling { .. }
            | Self::DisruptiveElsewhere { .. }
            | Self::SecretExposed { .. }
            | Self::UndeclaredSecret { .. }
            | Self::OpenPlace { .. }
            | Self::Capture { .. }
            | Self::MissingVariable { .. }
            | Self::RefusedRelease { .. }
            | Self::RoleNotLookedUp { .. }
            | Self::RoleWithoutBearer { .. }
            | Self::RoleCount { .. }
            | Self::UnknownLookup { .. }
            | Self::UndoNotFinal { .. }
            | Self::StageWithoutNodes { .. }
            | Self::NoNodeInOnce { .. }
            | Self::NothingToDo
            | Self::BadStepName { .. }
            | Self::UnknownPhase { .. }
            | Self::BadMode { .. }
            | Self::Limit { .. }
            | Self::TooManySteps { .. } => None,
        }
    }
}

/// What makes a reason the same for another node.
#[derive(PartialEq)]
enum Cause<'a> {
    Render(&'a String),
    Balancer(&'a BalancerName),
    Drain(&'a GroupName, &'a StepKey),
    Runs(&'a String),
}
