//! What a refusal says to people: the sentence, the hint and the place. Each function is a table
//! with one row for each reason; a row that needs a choice or several lines is a function below.

use crate::refusal::{CaptureFault, Refusal, Refusals};
use alloc::format;
use alloc::string::String;
use core::fmt;
use zdu_model::ids::{
    BalancerName, CaptureName, GroupName, NodeName, RoleName, StageName, StepKey,
};

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{refusal}\n  hint: {}", refusal.hint())?;
        }
        Ok(())
    }
}

impl core::error::Error for Refusals {}
impl core::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyFleet => f.write_str("the fleet has no node"),
            Self::DuplicateNode(node) => write!(f, "two nodes are called {node}"),
            Self::CapacityNeverMet { group, size, min_available, stage } => {
                capacity_never_met(f, (group, *size), *min_available, stage)
            }
            Self::SharedMember { member, one, other } => shared_member(f, member, one, other),
            Self::NoBalancer { nodes, balancer, declared } => {
                no_balancer(f, nodes, balancer, *declared)
            }
            Self::NobodyDrains { nodes, group, min_available, step } => {
                nobody_drains(f, nodes, (group, *min_available), step)
            }
            Self::NoUndo { stage, step } => no_undo(f, stage, step),
            Self::AcceptsNothing(step) => {
                write!(f, "accept_no_undo names {step}, which is no step of the procedure")
            }
            Self::DisruptiveOutsideRolling { stage, step } => outside_rolling(f, stage, step),
            Self::DisruptiveElsewhere { stage, step, role } => elsewhere(f, stage, step, role),
            Self::SecretExposed { at, secret } => {
                write!(f, "{at} holds the secret {secret} where others can read it")
            }
            Self::UndeclaredSecret { at, secret } => {
                write!(f, "{at} uses the secret {secret}, which the procedure does not declare")
            }
            Self::OpenPlace { at, capture } => {
                write!(f, "{at} uses the captured value {capture}, but must be known in the plan")
            }
            Self::Capture { at, capture, fault } => captured(f, at, capture, *fault),
            Self::MissingVariable { name, help } => {
                write!(f, "the variable {name} has no value ({help})")
            }
            Self::Render { at, nodes, template, why } => render(f, at, nodes, (template, why)),
            Self::OtherRelease { nodes, runs, from, to: _ } => {
                let (who, run) = (crate::wording::nodes(nodes), verb(nodes, "runs", "run"));
                write!(f, "{who} {run} {runs}, not {from}")
            }
            Self::RefusedRelease { release, reason } => {
                write!(f, "release {release} was rolled back and is refused: {reason}")
            }
            Self::RoleNotLookedUp { role, among } => not_looked_up(f, role, among),
            Self::RoleWithoutBearer { role, at } => {
                write!(f, "{at} needs the role {role}, which no node has")
            }
            Self::RoleCount { role, exactly, bearers } => role_count(f, role, *exactly, bearers),
            Self::UnknownLookup { node, role } => unknown_lookup(f, node, role),
            Self::UndoNotFinal { step, undo, point_of_no_return } => {
                undo_not_final(f, step, undo, *point_of_no_return)
            }
            Self::StageWithoutNodes { stage, only } => stage_without_nodes(f, stage, only),
            Self::NoNodeInOnce { stage, step } => no_node_in_once(f, stage, step),
            Self::NothingToDo => f.write_str("nothing is left to do: the plan would have no step"),
            Self::BadStepName { step, reserved } => bad_step_name(f, step, *reserved),
            Self::UnknownPhase { at, phase } => {
                write!(f, "{at} names the phase {phase}, which the procedure does not declare")
            }
            Self::BadMode { at, mode } => {
                write!(f, "{at} is {mode:?}, which are no permission bits")
            }
            Self::Limit { at, why } => write!(f, "{at} {why}"),
            Self::TooManySteps { max } => write!(f, "the plan needs more than {max} steps"),
        }
    }
}

fn verb<'a>(nodes: &[NodeName], of_one: &'a str, of_many: &'a str) -> &'a str {
    if nodes.len() == 1 { of_one } else { of_many }
}

fn capacity_never_met(
    f: &mut fmt::Formatter<'_>,
    (group, size): (&GroupName, u32),
    min_available: u32,
    stage: &StageName,
) -> fmt::Result {
    write!(
        f,
        "stage {stage} takes nodes of group {group} out of traffic, but {min_available} \
         of its {size} must serve at every moment: no node can ever leave"
    )
}

fn shared_member(
    f: &mut fmt::Formatter<'_>,
    member: &str,
    one: &NodeName,
    other: &NodeName,
) -> fmt::Result {
    if one == other {
        return write!(f, "node {one} names the member {member} twice");
    }
    write!(
        f,
        "the nodes {one} and {other} share the member {member}: draining one takes the \
         other out of traffic too"
    )
}

fn no_balancer(
    f: &mut fmt::Formatter<'_>,
    nodes: &[NodeName],
    balancer: &BalancerName,
    declared: bool,
) -> fmt::Result {
    let lacks = if declared { "has no instance" } else { "is not declared" };
    let (who, have) = (crate::wording::nodes(nodes), verb(nodes, "has a member", "have members"));
    write!(f, "{who} {have} in balancer {balancer}, which {lacks}")
}

fn nobody_drains(
    f: &mut fmt::Formatter<'_>,
    nodes: &[NodeName],
    (group, min_available): (&GroupName, u32),
    step: &StepKey,
) -> fmt::Result {
    let (who, stand) = (crate::wording::nodes(nodes), verb(nodes, "stands", "stand"));
    let them = verb(nodes, "it", "them");
    write!(
        f,
        "step {step} disturbs {who}, which {stand} in no balancer, while {min_available} of group \
         {group} must serve: nobody can drain {them} or count {them}"
    )
}

fn no_undo(f: &mut fmt::Formatter<'_>, stage: &StageName, step: &StepKey) -> fmt::Result {
    write!(
        f,
        "no undo behind the disruptive step {step} of stage {stage} without the \
         operator's word"
    )
}

fn outside_rolling(f: &mut fmt::Formatter<'_>, stage: &StageName, step: &StepKey) -> fmt::Result {
    write!(f, "step {step} is disruptive, but stage {stage} is not rolling: its nodes serve")
}

fn elsewhere(
    f: &mut fmt::Formatter<'_>,
    stage: &StageName,
    step: &StepKey,
    role: &RoleName,
) -> fmt::Result {
    write!(
        f,
        "step {step} of stage {stage} is disruptive and runs on the node with role \
         {role}, which is not the node that was drained"
    )
}

fn captured(
    f: &mut fmt::Formatter<'_>,
    at: &str,
    capture: &CaptureName,
    fault: CaptureFault,
) -> fmt::Result {
    let why = match fault {
        CaptureFault::Never => "which no step makes",
        CaptureFault::Before => "before a step that makes it has run there",
        CaptureFault::Several => "which several other nodes make",
    };
    write!(f, "{at} uses the captured value {capture}, {why}")
}

fn render(
    f: &mut fmt::Formatter<'_>,
    at: &str,
    nodes: &[NodeName],
    (template, why): (&str, &str),
) -> fmt::Result {
    write!(f, "{at} cannot be rendered")?;
    match nodes {
        [] => {}
        [one] => write!(f, " for {one}")?,
        [one, rest @ ..] => write!(f, " for {one} and {} more", rest.len())?,
    }
    write!(f, ": {why} in {template:?}")
}

fn not_looked_up(f: &mut fmt::Formatter<'_>, role: &RoleName, among: &[NodeName]) -> fmt::Result {
    let which = match among {
        [] => "node".into(),
        nodes => format!("of {}", crate::wording::list(nodes)),
    };
    write!(f, "nobody knows yet which {which} has the role {role}, and it orders the plan")
}

fn role_count(
    f: &mut fmt::Formatter<'_>,
    role: &RoleName,
    exactly: u32,
    bearers: &[NodeName],
) -> fmt::Result {
    write!(f, "exactly {exactly} must have the role {role}, but {} do", bearers.len())?;
    if !bearers.is_empty() {
        write!(f, ": {}", crate::wording::list(bearers))?;
    }
    Ok(())
}

fn unknown_lookup(f: &mut fmt::Formatter<'_>, node: &NodeName, role: &RoleName) -> fmt::Result {
    write!(
        f,
        "preflight found the role {role} on node {node}, but the procedure looks up no \
         such role, or the fleet has no such node"
    )
}

fn undo_not_final(
    f: &mut fmt::Formatter<'_>,
    step: &StepKey,
    undo: &StepKey,
    point_of_no_return: bool,
) -> fmt::Result {
    if point_of_no_return {
        return write!(
            f,
            "step {undo}, which undoes {step}, is marked as a point of no return: the way \
             back would end there"
        );
    }
    write!(f, "step {undo}, which undoes {step}, has an undo of its own")
}

fn stage_without_nodes(
    f: &mut fmt::Formatter<'_>,
    stage: &StageName,
    only: &[RoleName],
) -> fmt::Result {
    let only = crate::wording::list(only);
    write!(f, "stage {stage} goes over no node: none has the role {only}")
}

fn no_node_in_once(f: &mut fmt::Formatter<'_>, stage: &StageName, step: &StepKey) -> fmt::Result {
    write!(f, "step {step} runs on the node, but stage {stage} goes over the fleet once")
}

fn bad_step_name(f: &mut fmt::Formatter<'_>, step: &StepKey, reserved: bool) -> fmt::Result {
    if reserved {
        return write!(f, "a step is called {step}, which is the name of a step zdu adds itself");
    }
    write!(f, "two steps are called {step}")
}

impl Refusal {
    /// What to do about it, as one sentence.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::EmptyFleet => "declare nodes under fleet.groups".into(),
            Self::DuplicateNode(_) => "give each node a name of its own".into(),
            Self::CapacityNeverMet { size, .. } => capacity_hint(*size),
            Self::SharedMember { .. } => "give each node a server entry of its own".into(),
            Self::NoBalancer { .. } => {
                "declare it, with its instances, under fleet.balancers".into()
            }
            Self::NobodyDrains { .. } => {
                "give each node its members, or set min_available of its group to 0 to accept \
                 the interruption"
                    .into()
            }
            Self::NoUndo { step, .. } => {
                format!("give the step an undo, or accept it with policy.accept_no_undo: [{step}]")
            }
            Self::AcceptsNothing(_) => "mend the name, or take it out".into(),
            Self::DisruptiveOutsideRolling { .. } => {
                "move the step to a stage with over: rolling, or drop disruptive if it disturbs \
                 no traffic"
                    .into()
            }
            Self::DisruptiveElsewhere { .. } => "run it with on: node".into(),
            Self::SecretExposed { .. } => {
                "give it by stdin, an HTTP header or body, or basic".into()
            }
            Self::UndeclaredSecret { secret, .. } => {
                format!("declare it under secrets: {{ {secret}: \"what it is for\" }}")
            }
            Self::OpenPlace { .. } => {
                "use it in argv, env, cwd, stdin, an HTTP header or body".into()
            }
            Self::Capture { fault, .. } => capture_hint(*fault).into(),
            Self::MissingVariable { name, .. } => format!("set vars.{name}"),
            Self::Render { .. } => {
                "mend the template, or set the variable it names under vars".into()
            }
            Self::OtherRelease { runs, to, .. } => other_release_hint(runs, to).into(),
            Self::RefusedRelease { release, .. } => {
                format!("find out why, then clear {release} with a reason")
            }
            Self::RoleNotLookedUp { .. } => "run preflight, or declare the role on its node".into(),
            Self::RoleWithoutBearer { .. } => "declare the role on a node".into(),
            Self::RoleCount { .. } => {
                "declare the role on the right nodes, and run preflight".into()
            }
            Self::UnknownLookup { .. } => {
                "run preflight again with this fleet and this procedure".into()
            }
            Self::UndoNotFinal { point_of_no_return, .. } => undo_hint(*point_of_no_return).into(),
            Self::StageWithoutNodes { .. } => {
                "declare the role on a node, or take the stage out of the procedure".into()
            }
            Self::NoNodeInOnce { .. } => {
                "say on: controller, or on: { role: ... }, or go over nodes".into()
            }
            Self::NothingToDo => "look at the `when` conditions of the steps".into(),
            Self::BadStepName { .. } => "rename the step".into(),
            Self::UnknownPhase { .. } => "add it to phases, or use one of them".into(),
            Self::BadMode { .. } => "write them in octal, such as \"0644\"".into(),
            Self::Limit { .. } => "mend the value".into(),
            Self::TooManySteps { .. } => "plan a part of the fleet".into(),
        }
    }

    /// The place in `zdu.yaml` or in the procedure, where one place can be named.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        match self {
            Self::EmptyFleet => Some("fleet.groups".into()),
            Self::CapacityNeverMet { group, .. } => {
                Some(format!("fleet.groups.{group}.min_available"))
            }
            Self::NobodyDrains { nodes, group, .. } => Some(match nodes.as_slice() {
                [node] => format!("fleet.groups.{group}.nodes.{node}.members"),
                _ => format!("fleet.groups.{group}.nodes"),
            }),
            Self::NoBalancer { balancer, .. } => Some(format!("fleet.balancers.{balancer}")),
            Self::NoUndo { stage, step }
            | Self::DisruptiveOutsideRolling { stage, step }
            | Self::DisruptiveElsewhere { stage, step, .. }
            | Self::NoNodeInOnce { stage, step } => {
                Some(format!("procedure.stages.{stage}.steps.{step}"))
            }
            Self::AcceptsNothing(_) => Some("policy.accept_no_undo".into()),
            Self::SecretExposed { at, .. }
            | Self::UndeclaredSecret { at, .. }
            | Self::OpenPlace { at, .. }
            | Self::Capture { at, .. }
            | Self::Render { at, .. }
            | Self::RoleWithoutBearer { at, .. }
            | Self::UnknownPhase { at, .. }
            | Self::BadMode { at, .. }
            | Self::Limit { at, .. } => Some(at.clone()),
            Self::MissingVariable { name, .. } => Some(format!("vars.{name}")),
            Self::OtherRelease { .. } => Some("release.from".into()),
            Self::RefusedRelease { .. } => Some("release.to".into()),
            Self::RoleNotLookedUp { role, .. } | Self::RoleCount { role, .. } => {
                Some(format!("procedure.roles.{role}"))
            }
            Self::StageWithoutNodes { stage, .. } => Some(format!("procedure.stages.{stage}.only")),
            Self::DuplicateNode(_)
            | Self::SharedMember { .. }
            | Self::UnknownLookup { .. }
            | Self::UndoNotFinal { .. }
            | Self::NothingToDo
            | Self::BadStepName { .. }
            | Self::TooManySteps { .. } => None,
        }
    }
}

fn capacity_hint(size: u32) -> String {
    let most = size.saturating_sub(1);
    format!("add a node to the group, or lower min_available to {most} or less")
}

fn capture_hint(fault: CaptureFault) -> &'static str {
    match fault {
        CaptureFault::Never => "give a step before it capture: [ { name: ... } ]",
        CaptureFault::Before => "capture it in an earlier step of the node, or in an earlier stage",
        CaptureFault::Several => "capture it once, in a stage with over: once",
    }
}

fn other_release_hint(runs: &str, to: &str) -> &'static str {
    if runs == to {
        return "it already runs the new release: resume the rollout that did it, or take the \
                node out of the fleet file";
    }
    "mend release.from, or bring the node there first"
}

fn undo_hint(point_of_no_return: bool) -> &'static str {
    if point_of_no_return {
        "an undo may be no point of no return"
    } else {
        "put it as a further entry of the undo list"
    }
}
