//! What a person must do next: commands, and what to repair before them.

use crate::describe;
use crate::fold::RolloutView;
use crate::node::{NodeView, Traffic};
use crate::trouble::Trouble;
use zdu_model::event::HoldCause;
use zdu_model::ids::StepNo;
use zdu_model::plan::Work;
use zdu_model::verdict::Verdict;

/// The next steps, each a command with the reason behind `#`, or a sentence where no command
/// helps. Empty while nothing is asked of a person.
#[must_use]
pub fn next_commands(view: &RolloutView) -> Vec<String> {
    let mut list = Vec::new();
    if matches!(view.verdict(), Some(Verdict::Stuck { .. })) {
        list.extend(outputs(view, &view.stuck_steps()));
    }
    list.extend(repairs(view));
    list.extend(left_out(view));
    match view.verdict() {
        None | Some(Verdict::Held) => {
            list.extend(for_holds(view));
            list.extend(for_manual_steps(view));
            if !has_command(view, &list) && view.verdict() == Some(&Verdict::Held) {
                list.push(view.command("resume", ""));
            }
        }
        Some(Verdict::Succeeded) => {}
        Some(Verdict::Failed { .. }) => {
            list.extend(outputs(view, &view.failed_steps()));
            let resume = view.command("resume", "--reason TEXT");
            list.push(format!("{resume}  # after the cause is repaired"));
            list.push(rollback(view));
        }
        Some(Verdict::Aborted) => {
            list.push(format!("{}  # to go on", view.command("resume", "")));
            list.push(rollback(view));
        }
        Some(Verdict::RolledBack) => {
            let report = view.command("report", "");
            list.push(format!("{report}  # why, before a new plan is made"));
        }
        Some(Verdict::Stuck { .. }) => {}
    }
    let stuck = matches!(view.verdict(), Some(Verdict::Stuck { .. }));
    if stuck || (!list.is_empty() && !has_command(view, &list)) {
        let resume = view.command("resume", "--reason TEXT");
        list.push(format!("{resume}  # after the repair; undoes what is left"));
    }
    if let (Some(_), Some(instead)) = (view.ended(), view.call().instead()) {
        let all = list.len();
        list.retain(|line| !view.call().asks(line));
        if list.len() < all {
            list.push(instead.to_owned());
        }
    }
    list
}

/// How everything is put back, or why that is refused.
fn rollback(view: &RolloutView) -> String {
    match view.crossed() {
        Some(step) => {
            let (no, name) = (step.no, describe::step(view.plan(), step.no));
            format!("cannot be put back: step {no} {name} is a point of no return")
        }
        None => {
            let rollback = view.command("rollback", "--reason TEXT");
            format!("{rollback}  # to put everything back")
        }
    }
}

/// Things in groups, in the order in which each group was first met.
pub(crate) fn grouped<K: PartialEq, T>(all: impl Iterator<Item = (K, T)>) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for (key, thing) in all {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, things)) => things.push(thing),
            None => groups.push((key, vec![thing])),
        }
    }
    groups
}

fn names(nodes: &[&NodeView]) -> String {
    describe::list(nodes.iter().map(|node| node.name.as_str()))
}

/// Law 4: a rollout that has ended names every node it leaves out of traffic.
fn left_out(view: &RolloutView) -> Vec<String> {
    if view.ended().is_none() {
        return Vec::new();
    }
    let out = view.nodes().filter(|node| node.stuck.is_none());
    let out = out.filter(|node| node.traffic != Traffic::Serving);
    let groups = grouped(out.map(|node| (node.members.is_empty(), node)));
    let said = groups.into_iter().map(|(_, nodes)| match nodes.as_slice() {
        [node] => format!("{} was left as it was{}", node.name, out_of(&[*node])),
        nodes => format!("{} were left as they were{}", names(nodes), out_of(nodes)),
    });
    said.collect()
}

fn has_command(view: &RolloutView, list: &[String]) -> bool {
    list.iter().any(|line| view.call().begins(line))
}

/// Stuck nodes, with the entries in balancers they are out of: one line for those that are stuck
/// alike.
fn repairs(view: &RolloutView) -> Vec<String> {
    let stuck = view.stuck_nodes().filter_map(|node| {
        let stuck = node.stuck.as_ref()?;
        let step = view.planned(stuck.step);
        let kind = step.map(|step| (step.key.as_str(), view.is_undo(stuck.step)));
        Some(((kind, stuck.reason.as_str()), (stuck.step, node)))
    });
    let of_nodes = grouped(stuck).into_iter().map(|((_, reason), stuck)| {
        let step = stuck.first().map_or(StepNo(u32::MAX), |(step, _)| *step);
        let nodes: Vec<&NodeView> = stuck.into_iter().map(|(_, node)| node).collect();
        let what = describe::stuck(view.plan(), step, nodes.len() > 1);
        format!("repair {}: {what} ({reason}){}", names(&nodes), out_of(&nodes))
    });
    let of_fleet = view.history().stuck.iter().map(|stuck| {
        let step = describe::step(view.plan(), stuck.step);
        format!("repair what {step} did not undo ({})", stuck.reason)
    });
    of_nodes.chain(of_fleet).collect()
}

/// The members nodes are out of, as an appendix to a sentence about them.
fn out_of(nodes: &[&NodeView]) -> String {
    let place = |node: &&NodeView| match node.traffic {
        Traffic::Serving => Place::In,
        _ if node.members.is_empty() => Place::Nowhere,
        Traffic::Draining | Traffic::Drained | Traffic::Out | Traffic::Returning => Place::Out,
    };
    let groups = grouped(nodes.iter().map(|node| (place(node), *node)));
    let alike = groups.len() == 1;
    let said = groups.into_iter().map(|(place, nodes)| {
        let (who, is, has) = match nodes.as_slice() {
            [node] if alike => {
                ("it".to_owned(), "is", if node.members.is_empty() { "has" } else { "" })
            }
            [node] => (node.name.to_string(), "is", "has"),
            _ if alike => ("they".to_owned(), "are", "have"),
            nodes => (names(nodes), "are", "have"),
        };
        match place {
            Place::In => format!("; {who} {is} in traffic"),
            Place::Nowhere => format!("; {who} {has} no member in a balancer"),
            Place::Out => {
                let members: Vec<String> =
                    nodes.iter().flat_map(|node| &node.members).map(ToString::to_string).collect();
                format!("; {who} {is} out of {}", members.join(", "))
            }
        }
    });
    said.collect()
}

/// Where a node stands, as far as it decides what is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    In,
    Out,
    Nowhere,
}

fn for_holds(view: &RolloutView) -> Vec<String> {
    let approve =
        |no: StepNo, why: String| format!("{}  # {why}", view.command("approve", &no.to_string()));
    // One resume ends all of these holds.
    let by_rule: Vec<StepNo> = view
        .open_holds()
        .filter_map(|hold| if let HoldCause::Rule(no) = hold.cause { Some(no) } else { None })
        .collect();
    let holds = view.open_holds().filter_map(|hold| {
        let why = describe::hold(view.plan(), &hold.cause);
        match &hold.cause {
            HoldCause::Person => Some(format!("{}  # {why}", view.command("resume", ""))),
            HoldCause::Rule(no) if by_rule.first() != Some(no) => None,
            HoldCause::Rule(_) => {
                let steps = describe::steps(view.plan(), &by_rule);
                let resume = view.command("resume", "");
                Some(format!("{resume}  # a failure rule holds because of {steps}"))
            }
            HoldCause::Unknown(no) => {
                Some(format!("{}: look at the node first", approve(*no, why)))
            }
            HoldCause::PointOfNoReturn(no) => Some(approve(*no, why)),
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
        let approve = view.command("approve", &planned.no.to_string());
        Some(format!("{approve}  # after: {instruction}"))
    });
    asks.collect()
}

/// The whole output of these steps: one line for those that ended alike.
fn outputs(view: &RolloutView, numbers: &[StepNo]) -> Vec<String> {
    let lines = view.told(numbers).into_iter().map(|trouble| {
        let Trouble { step: _, nodes, name, end, attempts: _, tail: _, log } = trouble;
        let Some(log) = log else { return format!("look at {name}: {end}") };
        let others = describe::list(nodes.iter().skip(1).map(String::as_str));
        let others = if others.is_empty() { others } else { format!("; likewise of {others}") };
        format!("{log}  # the whole output of {name}: {end}{others}")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Story, name};
    use std::sync::Arc;
    use zdu_model::event::Event;

    /// Three nodes that could not be exported, two of them alike.
    fn failed() -> Story {
        let mut story = Story::begin(&["node-a", "node-b", "node-c"]);
        for (node, exit) in [("node-a", 3), ("node-b", 9), ("node-c", 3)] {
            let export = story.no("sysupgrade_export", node);
            story.fail(export, exit);
        }
        story
    }

    #[test]
    fn nodes_that_failed_alike_are_one_line_and_others_have_their_own() {
        let mut story = failed();
        let (phase, rolled_back) = (name("EXPORT"), vec![]);
        story.tell(Event::RolloutEnded {
            verdict: Verdict::Failed { phase, exit: 70, rolled_back },
        });
        assert_eq!(
            next_commands(&story.view()),
            [
                "zdu log r1 --node node-a  # the whole output of sysupgrade_export on node-a and \
                 node-c: exit code 3; likewise of node-c",
                "zdu log r1 --node node-b  # the whole output of sysupgrade_export on node-b: exit \
                 code 9",
                "zdu resume r1 --reason TEXT  # after the cause is repaired",
                "zdu rollback r1 --reason TEXT  # to put everything back",
            ]
        );
    }

    #[test]
    fn what_is_behind_a_point_of_no_return_is_not_offered_to_be_put_back() {
        let mut story = failed();
        let plan = Arc::make_mut(&mut story.plan);
        plan.steps[0].point_of_no_return = true;
        let (phase, rolled_back) = (name("EXPORT"), vec![]);
        for verdict in [Verdict::Failed { phase, exit: 70, rolled_back }, Verdict::Aborted] {
            story.tell(Event::RolloutEnded { verdict });
            let next = next_commands(&story.view());
            let why = "cannot be put back: step 0 sysupgrade_export on node-a is a point of no \
                       return";
            assert_eq!(next.last().map(String::as_str), Some(why));
            assert!(!next.iter().any(|line| line.contains("zdu rollback")), "{next:?}");
            assert!(next.iter().any(|line| line.starts_with("zdu resume r1")), "{next:?}");
        }
    }

    #[test]
    fn what_was_aborted_can_go_on_or_be_put_back() {
        let mut story = Story::begin(&["node-a", "node-b"]);
        story.pass_until(Some(story.no("guard", "node-b")));
        story.tell(Event::RolloutEnded { verdict: Verdict::Aborted });
        assert_eq!(
            next_commands(&story.view()),
            [
                "zdu resume r1  # to go on",
                "zdu rollback r1 --reason TEXT  # to put everything back"
            ]
        );
    }

    #[test]
    fn holds_by_rule_are_one_resume_that_names_every_node() {
        let mut story = failed();
        for node in ["node-a", "node-b", "node-c"] {
            let cause = HoldCause::Rule(story.no("sysupgrade_export", node));
            story.tell(Event::HoldStarted { cause });
        }
        let said = "zdu resume r1  # a failure rule holds because of sysupgrade_export on node-a, \
                    node-b and node-c";
        assert_eq!(next_commands(&story.view()), [said]);
    }

    #[test]
    fn nodes_that_are_stuck_alike_are_one_line_with_all_they_are_out_of() {
        let mut story = Story::begin(&["node-a", "node-b"]);
        for node in ["node-a", "node-b"] {
            for key in ["guard", "drain", "certify"] {
                let step = story.no(key, node);
                story.pass(step);
            }
            let (step, reason) = (story.no("start_old", node), "exit code 9".to_owned());
            story.tell(Event::NodeStuck { node: Some(name(node)), step, reason });
        }
        let next = next_commands(&story.view());
        assert_eq!(
            next.first().map(String::as_str),
            Some(
                "repair node-a and node-b: start_old did not undo (exit code 9); they are out of \
                 edge/gateway/node-a, edge/gateway/node-b"
            )
        );
        assert_eq!(next.iter().filter(|line| line.starts_with("repair")).count(), 1);
    }
}
