//! What a plan's reader must know although the plan is allowed.

use crate::wording::list;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;
use zdu_model::ids::{GroupName, InstanceName, NodeName, RoleName, StageName, StepKey};

/// What a plan's reader must know although the plan is allowed. Display gives the sentence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// A stage asks nothing before nodes return.
    NoReadiness {
        /// The stage.
        stage: StageName,
        /// Whether it is the readiness of the old release, after a rollback.
        old: bool,
    },
    /// The group has nobody left while its nodes are out.
    ServesNothing {
        /// The group.
        group: GroupName,
        /// The nodes that can be out at once.
        nodes: Vec<NodeName>,
    },
    /// A wave is wider than the group's room; its lanes wait for each other.
    WiderThanRoom {
        /// The stage.
        stage: StageName,
        /// The wave, from 1.
        wave: u32,
        /// The group.
        group: GroupName,
        /// How many of its nodes the wave would take out at once.
        wide: u32,
        /// How many may be out.
        room: u32,
    },
    /// Nodes are changed without being drained, because they stand in no balancer.
    NotDrained {
        /// The stage.
        stage: StageName,
        /// The nodes.
        nodes: Vec<NodeName>,
    },
    /// An HTTPS answer is believed from anyone.
    Insecure {
        /// The steps.
        step: StepKey,
    },
    /// Nobody asks where users come in.
    NoFront,
    /// Nodes of the stage on which no step is to be done.
    NothingToDo {
        /// The stage.
        stage: StageName,
        /// The nodes; empty when the stage as a whole is left out.
        nodes: Vec<NodeName>,
    },
    /// The drain certificate of these nodes has no evidence from the node's own sockets.
    NoServicePorts {
        /// The nodes.
        nodes: Vec<NodeName>,
    },
    /// Right now the guard would wait.
    NoRoomNow {
        /// The group.
        group: GroupName,
        /// The instance that was read.
        instance: InstanceName,
        /// How many nodes serve there.
        serving: u32,
        /// How many must.
        min_available: u32,
    },
    /// An instance could not be read at preflight.
    Unread {
        /// The instance.
        instance: InstanceName,
        /// Why.
        why: String,
    },
    /// A role that is looked up, on the only node that may have it, which nobody asked.
    RoleAssumed {
        /// The role.
        role: RoleName,
        /// The node.
        nodes: Vec<NodeName>,
    },
    /// A variable that the procedure does not know.
    UnknownVariable(String),
    /// A disruptive step whose missing undo the operator accepted.
    NoUndoAccepted(StepKey),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReadiness { stage, old: false } => {
                write!(f, "stage {stage}: no readiness is proved before a node returns")
            }
            Self::NoReadiness { stage, old: true } => {
                write!(f, "stage {stage}: no readiness is proved before a rolled-back node returns")
            }
            Self::ServesNothing { group, nodes } => {
                let verb = if nodes.len() == 1 { "is" } else { "are" };
                let nodes = list(nodes);
                write!(f, "while {nodes} {verb} out, group {group} serves nothing of its own")
            }
            Self::WiderThanRoom { stage, wave, group, wide, room } => write!(
                f,
                "stage {stage}, wave {wave}: {wide} nodes of group {group} at once, but only \
                 {room} may be out; the others wait"
            ),
            Self::NotDrained { stage, nodes } => write!(
                f,
                "stage {stage} changes {} without a drain: no balancer knows them",
                list(nodes)
            ),
            Self::Insecure { step } => write!(f, "step {step} accepts any certificate"),
            Self::NoFront => f.write_str("no front is declared: nobody asks where users come in"),
            Self::NothingToDo { stage, nodes } if nodes.is_empty() => {
                write!(f, "stage {stage} is left out: no condition of its steps holds")
            }
            Self::NothingToDo { stage, nodes } => {
                write!(f, "stage {stage} does nothing on {}: no condition holds", list(nodes))
            }
            Self::NoServicePorts { nodes } => write!(
                f,
                "no service_ports for {}: the balancers alone say that it is drained",
                list(nodes)
            ),
            Self::NoRoomNow { group, instance, serving, min_available } => write!(
                f,
                "now {serving} of group {group} serve on {instance} and {min_available} must: \
                 the guard would wait"
            ),
            Self::Unread { instance, why } => {
                write!(f, "the instance {instance} could not be read: {why}")
            }
            Self::RoleAssumed { role, nodes } => write!(
                f,
                "the role {role} is taken to lie with {}, the only node that may have it: nobody \
                 was asked",
                list(nodes)
            ),
            Self::UnknownVariable(name) => {
                write!(f, "the variable {name} is set, but the procedure does not declare it")
            }
            Self::NoUndoAccepted(step) => {
                write!(f, "step {step} is disruptive and has no undo, as the policy accepts")
            }
        }
    }
}
