//! What a person must do next: commands, and what to repair before them.

use crate::describe;
use crate::fold::RolloutView;
use crate::node::NodeView;
use zdu_model::event::HoldCause;
use zdu_model::ids::StepNo;
use zdu_model::plan::Work;
use zdu_model::verdict::Verdict;

/// The next steps, each a command with the reason behind `#`, or a sentence where no command
/// helps. Empty while nothing is asked of a person.
#[must_use]
pub fn next_commands(view: &RolloutView) -> Vec<String> {
    let id = view.id_text();
    let mut list = repairs(view);
    list.extend(left_out(view));
    match view.verdict() {
        None | Some(Verdict::Held) => {
            list.extend(for_holds(view));
            list.extend(for_manual_steps(view));
            if !has_command(&list) && view.verdict() == Some(&Verdict::Held) {
                list.push(format!("zdu resume {id}"));
            }
        }
        Some(Verdict::Succeeded) => {}
        Some(Verdict::Failed { .. }) => {
            list.extend(first_failure(view));
            list.push(format!("zdu resume {id} --reason TEXT  # after the cause is repaired"));
            list.push(format!("zdu rollback {id} --reason TEXT  # to put everything back"));
        }
        Some(Verdict::RolledBack | Verdict::Aborted) => {
            list.push(format!("zdu report {id}  # why, before a new plan is made"));
        }
        Some(Verdict::Stuck { .. }) => {}
    }
    let stuck = matches!(view.verdict(), Some(Verdict::Stuck { .. }));
    if stuck || (!list.is_empty() && !has_command(&list)) {
        list.push(format!(
            "zdu resume {id} --reason TEXT  # after the repair; undoes what is left"
        ));
    }
    list
}

/// Law 4: a rollout that has ended names every node it leaves out of traffic.
fn left_out(view: &RolloutView) -> Vec<String> {
    if view.ended().is_none() {
        return Vec::new();
    }
    let out = view.nodes().filter(|node| node.stuck.is_none());
    let out = out.filter(|node| node.traffic != crate::node::Traffic::Serving);
    let said = out.map(|node| {
        let where_from = out_of(node);
        format!("{} was left as it was{where_from}", node.name)
    });
    said.collect()
}

fn has_command(list: &[String]) -> bool {
    list.iter().any(|line| line.starts_with("zdu "))
}

/// Stuck nodes, with the entries in balancers they are out of.
fn repairs(view: &RolloutView) -> Vec<String> {
    let of_nodes = view.nodes().filter_map(|node| {
        let stuck = node.stuck.as_ref()?;
        let step = view.planned(stuck.step).map_or("?", |step| step.key.as_str());
        let out = out_of(node);
        Some(format!("repair {}: {step} did not undo ({}){out}", node.name, stuck.reason))
    });
    let of_fleet = view.history().stuck.iter().map(|stuck| {
        let step = describe::step(view.plan(), stuck.step);
        format!("repair what {step} did not undo ({})", stuck.reason)
    });
    of_nodes.chain(of_fleet).collect()
}

/// The members a node is out of, as an appendix to a sentence; empty when it serves.
fn out_of(node: &NodeView) -> String {
    use crate::node::Traffic;
    let members: Vec<String> = node.members.iter().map(ToString::to_string).collect();
    match node.traffic {
        Traffic::Serving => "; it is in traffic".into(),
        _ if members.is_empty() => "; it has no member in a balancer".into(),
        Traffic::Draining | Traffic::Drained | Traffic::Out | Traffic::Returning => {
            format!("; it is out of {}", members.join(", "))
        }
    }
}

fn for_holds(view: &RolloutView) -> Vec<String> {
    let id = view.id_text();
    let approve = |no: StepNo, why: String| format!("zdu approve {id} {no}  # {why}");
    let holds = view.open_holds().map(|hold| {
        let why = describe::hold(view.plan(), &hold.cause);
        match &hold.cause {
            HoldCause::Person | HoldCause::Rule(_) => format!("zdu resume {id}  # {why}"),
            HoldCause::Unknown(no) => format!("{}: look at the node first", approve(*no, why)),
            HoldCause::PointOfNoReturn(no) => approve(*no, why),
        }
    });
    holds.collect()
}

/// A manual step that waits without a hold of its own.
fn for_manual_steps(view: &RolloutView) -> Vec<String> {
    let held: Vec<StepNo> = view.open_holds().filter_map(|hold| hold.step()).collect();
    let active = view.active().filter(|(planned, _)| !held.contains(&planned.no));
    let asks = active.filter_map(|(planned, _)| {
        let Work::Manual { instruction } = &planned.work else {
            return None;
        };
        let id = view.id_text();
        Some(format!("zdu approve {id} {}  # after: {instruction}", planned.no))
    });
    asks.collect()
}

/// The first step that failed and where its whole output is.
fn first_failure(view: &RolloutView) -> Option<String> {
    let bad = view.steps().find(|(planned, step)| {
        let failed = step.last_end().is_some_and(|end| !end.class.passes());
        !view.is_undo(planned.no) && failed && !step.went_on
    });
    let (planned, step) = bad?;
    let end = describe::end(&step.last_end()?.report.end);
    let name = describe::step(view.plan(), planned.no);
    let node = planned.subject.node();
    let log = node.map_or_else(String::new, |node| {
        format!("  # the whole output: zdu log {} --node {node}", view.id_text())
    });
    Some(format!("look at {name}: {end}{log}"))
}
