//! The small live view as text: the binary draws these lines, whatever the terminal is.
//!
//! A bar has one mark per phase: `#` passed, `w` passed with a warning, `>` running, `~` will be
//! tried again, `-` begun and not ended, `!` failed, `?` unknown, `.` not run.

use crate::describe;
use crate::fold::RolloutView;
use crate::lines::printable;
use crate::moment::span;
use crate::node::{NodeState, NodeView, Unwound};
use crate::step::StepView;
use crate::waiting::Waiting;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::ids::StepNo;
use zdu_model::plan::Subject;
use zdu_model::procedure::Over;
use zdu_model::time::Timestamp;

/// The room there is.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Columns.
    pub width: usize,
    /// The most lines.
    pub lines: usize,
}

/// How many nodes stand where. Every node counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// All nodes.
    pub nodes: usize,
    /// Every forward step of theirs passed.
    pub done: usize,
    /// A step of theirs runs or will be begun again, or they are out of traffic.
    pub under_way: usize,
    /// They run the new release and serve with it; later stages have more for them to do.
    pub upgraded: usize,
    /// Nothing of theirs runs and they were not upgraded yet.
    pub to_go: usize,
    /// A step of theirs failed, or nobody knows, and they were not put back.
    pub failed: usize,
    /// They were put back.
    pub rolled_back: usize,
    /// A compensation of theirs failed.
    pub stuck: usize,
}

/// Which of the counts a node is in; the order is the order of a person's interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Stuck,
    Failed,
    UnderWay,
    RolledBack,
    ToGo,
    Upgraded,
    Done,
}

/// Counts the nodes.
#[must_use]
pub fn counts(view: &RolloutView) -> Counts {
    tally(places(view).values())
}

fn tally<'a>(places: impl Iterator<Item = &'a Place>) -> Counts {
    let mut counts = Counts::default();
    for place in places {
        counts.nodes += 1;
        match place {
            Place::Stuck => counts.stuck += 1,
            Place::Failed => counts.failed += 1,
            Place::UnderWay => counts.under_way += 1,
            Place::RolledBack => counts.rolled_back += 1,
            Place::ToGo => counts.to_go += 1,
            Place::Upgraded => counts.upgraded += 1,
            Place::Done => counts.done += 1,
        }
    }
    counts
}

fn places(view: &RolloutView) -> BTreeMap<&str, Place> {
    let mut open: BTreeMap<&str, bool> = BTreeMap::new();
    for (planned, step) in view.steps().filter(|(planned, _)| !view.is_undo(planned.no)) {
        if let Subject::Node(node) = &planned.subject {
            *open.entry(node.as_str()).or_default() |= !step.passed();
        }
    }
    let rolled = rolled(view);
    // One pass over what is active: a stage may have thousands of lanes under way.
    let active: BTreeSet<&Subject> = view.active().map(|(planned, _)| &planned.subject).collect();
    let place = |node: &NodeView| {
        let subject = Subject::Node(node.name.clone());
        let active = active.contains(&subject);
        match node.state() {
            NodeState::Stuck => Place::Stuck,
            NodeState::RolledBack => Place::RolledBack,
            _ if view.failed(&subject) => Place::Failed,
            NodeState::Draining | NodeState::Drained | NodeState::Out | NodeState::Returning => {
                Place::UnderWay
            }
            NodeState::Serving if active => Place::UnderWay,
            // In traffic, and half put back.
            NodeState::Serving if node.unwound == Unwound::Running => Place::UnderWay,
            NodeState::Serving if open.get(node.name.as_str()) != Some(&true) => Place::Done,
            NodeState::Serving if rolled.get(node.name.as_str()) == Some(&true) => Place::Upgraded,
            NodeState::Serving => Place::ToGo,
        }
    };
    view.nodes().map(|node| (node.name.as_str(), place(node))).collect()
}

/// For each node that rolling stages change, whether everything of them passed there: their steps
/// are what makes it another release.
fn rolled(view: &RolloutView) -> BTreeMap<&str, bool> {
    let mut rolled: BTreeMap<&str, bool> = BTreeMap::new();
    let stages = view.plan().stages.iter().filter(|stage| stage.over == Over::Rolling);
    for lane in stages.flat_map(|stage| &stage.waves).flat_map(|wave| &wave.lanes) {
        let Subject::Node(node) = &lane.subject else { continue };
        let mut steps = lane.steps.iter().map(|no| view.step(*no));
        let passed = steps.all(|step| step.is_some_and(StepView::passed));
        *rolled.entry(node.as_str()).or_insert(true) &= passed;
    }
    rolled
}

/// At most `room.lines` lines, none wider than `room.width` characters.
#[must_use]
pub fn live(view: &RolloutView, now: Timestamp, room: Room) -> Vec<String> {
    let places = places(view);
    let waiting = view.waiting();
    let mut top = vec![heading(view, now), count_line(&tally(places.values()), view)];
    top.extend(apart(view, &waiting, now));
    let mut nodes: Vec<&NodeView> = view.nodes().collect();
    let left = room.lines.saturating_sub(top.len());
    let mut rest = None;
    if nodes.len() > left {
        // Those a person wants to see first; a stable sort keeps the fleet's order within.
        nodes.sort_by_key(|node| places.get(node.name.as_str()).copied());
        let hidden = nodes.split_off(left.saturating_sub(1).min(nodes.len()));
        let counts = tally(hidden.iter().filter_map(|node| places.get(node.name.as_str())));
        rest = Some(format!("and {}", counts_text(&counts, "more")));
    }
    let name_width = nodes.iter().map(|node| node.name.as_str().len()).max().unwrap_or(0).min(24);
    let lines = nodes.iter().map(|node| node_line(view, node, name_width, now));
    top.extend(lines);
    top.extend(rest);
    top.truncate(room.lines);
    top.iter().map(|line| fit(&printable(line), room.width)).collect()
}

fn heading(view: &RolloutView, now: Timestamp) -> String {
    let plan = view.plan();
    let release = &plan.release;
    let at = stage_text(view);
    let took = span(view.duration(now));
    format!("{} {} -> {}  {at}  {took}", plan.procedure, release.from, release.to)
}

/// Stage and wave, or the verdict.
pub(crate) fn stage_text(view: &RolloutView) -> String {
    if let Some(verdict) = view.verdict() {
        return describe::verdict(verdict);
    }
    let progress = view.progress();
    let stages = &view.plan().stages;
    match stages.get(progress.stage) {
        None => "every stage complete".into(),
        Some(stage) => format!(
            "stage {}/{} {}  wave {}/{}",
            progress.stage + 1,
            stages.len(),
            stage.name,
            progress.wave + 1,
            stage.waves.len()
        ),
    }
}

fn count_line(counts: &Counts, view: &RolloutView) -> String {
    let progress = view.progress();
    let text = counts_text(counts, "nodes");
    format!("{text}  steps {}/{}", progress.passed, progress.steps)
}

/// Counts as a phrase; what is zero is left out.
pub(crate) fn counts_text(counts: &Counts, noun: &str) -> String {
    let Counts { nodes, done, under_way, upgraded, to_go, failed, rolled_back, stuck } = *counts;
    let parts = [
        (stuck, "stuck"),
        (failed, "failed"),
        (under_way, "under way"),
        (rolled_back, "rolled back"),
        (to_go, "to go"),
        (upgraded, "upgraded"),
        (done, "done"),
    ];
    let said = parts.iter().filter(|(count, _)| *count > 0);
    let said: Vec<String> = said.map(|(count, word)| format!("{count} {word}")).collect();
    let noun = if nodes == 1 && noun == "nodes" { "node" } else { noun };
    format!("{nodes} {noun}: {}", said.join(", "))
}

/// Waits that belong to no node's line: holds, repairs, gates, the controller's turn.
fn apart(view: &RolloutView, waiting: &[Waiting], now: Timestamp) -> Vec<String> {
    let own_line = |wait: &&Waiting| {
        let held = view.open_holds().any(|hold| hold.step() == wait.step && wait.command.is_some());
        wait.subject == Subject::Fleet || held
    };
    let lines = waiting.iter().filter(own_line).map(|wait| {
        let command = wait.command.as_ref().map_or_else(String::new, |c| format!(": {c}"));
        format!("waits {} on {}{command}", times(wait, now), wait.on)
    });
    lines.collect()
}

/// Elapsed time and, where there is one, the whole time a wait may take.
fn times(wait: &Waiting, now: Timestamp) -> String {
    let elapsed = span(now.since(wait.since));
    match wait.until {
        None => elapsed,
        Some(until) => format!("{elapsed}/{}", span(until.since(wait.since))),
    }
}

fn node_line(view: &RolloutView, node: &NodeView, name_width: usize, now: Timestamp) -> String {
    let subject = Subject::Node(node.name.clone());
    let phases = view.phases();
    let bar: String = phases.iter().map(|phase| view.cell(&subject, phase).mark()).collect();
    let state = node.state().word();
    let mut line = format!("{:<name_width$} [{bar}] {state:<11}", node.name.as_str());
    let wait = view.active().find(|(planned, _)| planned.subject == subject);
    let wait = wait.and_then(|(planned, step)| {
        let phase = view.shown_phase(planned);
        let wait = view.at_step(planned, step)?;
        let times = times(&wait, now);
        let tries = attempt_text(view, planned.no);
        Some(format!(" {phase} {}{tries} {times}  waits on {}", planned.key, wait.on))
    });
    match (wait, &node.stuck) {
        (Some(wait), _) => line.push_str(&wait),
        (None, Some(stuck)) => {
            line.push(' ');
            line.push_str(&stuck.reason);
        }
        (None, None) => {}
    }
    line.trim_end().to_owned()
}

fn attempt_text(view: &RolloutView, no: StepNo) -> String {
    let attempt = view.step(no).map_or(0, |step| step.attempt());
    if attempt > 1 {
        return format!(" (attempt {attempt})");
    }
    String::new()
}

/// The line, cut to the width with three dots to say so.
fn fit(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(3)).collect();
    let dots = "...".chars().take(width);
    kept.trim_end().chars().chain(dots).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Story, name};
    use zdu_model::event::{Event, UnwindScope};
    use zdu_model::plan::{Lane, PlannedStage, Wave};
    use zdu_model::procedure::GoesBack;
    use zdu_model::time::Millis;

    const ROOM: Room = Room { width: 100, lines: 10 };

    #[test]
    fn a_node_under_way_shows_its_step_its_deadline_and_what_it_waits_on() {
        let mut story = Story::begin(&["node-a", "node-b"]);
        let apply = story.no("sysupgrade_apply", "node-a");
        story.pass_until(Some(apply));
        story.start(apply, 1);
        let now = story.now.after(Millis::from_secs(89));
        let expected = [
            "axway-apigateway 7.5.3 -> 7.7  stage 2/2 apply  wave 1/2  1m46s",
            "2 nodes: 1 under way, 1 to go  steps 7/20",
            "node-a [###>..] out         APPLY sysupgrade_apply 1m30s/10m  waits on the command of \
             syst",
            "node-b [##....] serving",
        ];
        let lines = live(&story.view(), now, ROOM);
        assert_eq!(lines[0], expected[0]);
        assert_eq!(lines[1], expected[1]);
        assert!(lines[2].starts_with(&expected[2][..70]), "{}", lines[2]);
        assert_eq!(lines[3], expected[3]);
    }

    #[test]
    fn a_screen_too_small_for_the_fleet_shows_the_nodes_under_way_and_counts_the_rest() {
        let names: Vec<String> = (0..50).map(|i| format!("node-{i:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut story = Story::begin(&names);
        let step = story.no("sysupgrade_export", "node-42");
        story.start(step, 1);
        let lines = live(&story.view(), story.now, Room { width: 60, lines: 5 });
        assert_eq!(lines.len(), 5);
        assert!(lines[2].starts_with("node-42 [>"), "{}", lines[2]);
        assert!(lines[2].ends_with("..."), "{}", lines[2]);
        assert_eq!(lines[4], "and 48 more: 48 to go");
    }

    #[test]
    fn an_unwind_that_gets_stuck_counts_no_node_as_done_that_went_back() {
        let mut story = Story::begin(&["node-a", "node-b", "node-c"]);
        story.pass_until(Some(story.plan.stages[1].waves[2].gate[0]));
        let undo = |node: &str| story.plan.step(story.no("sysupgrade_apply", node)).undo.clone();
        let (a, b, c) = (undo("node-a"), undo("node-b"), undo("node-c"));
        let steps = [c.clone(), b.clone(), a].concat();
        let cause = "asked".into();
        story.tell(Event::UnwindStarted { scope: UnwindScope::Rollout, steps, cause });
        for step in c {
            story.pass(step);
        }
        let state = |story: &Story, node| story.view().node(&name(node)).expect("there").state();
        assert_eq!(state(&story, "node-c"), NodeState::RolledBack, "before the others are");
        story.fail(b[0], 9);
        let (node, reason) = (Some(name("node-b")), "exit code 9".into());
        story.tell(Event::NodeStuck { node, step: b[0], reason });
        let told = counts(&story.view());
        assert_eq!((told.done, told.rolled_back, told.stuck, told.under_way), (0, 1, 1, 1));
    }

    /// The plan with a stage behind the rolling one that looks at every node.
    fn with_a_last_look(story: &mut Story, nodes: &[&str]) {
        let mut plan = (*story.plan).clone();
        let lanes = nodes.iter().map(|node| {
            let mut step = plan.step(story.no("sysupgrade_export", node)).clone();
            step.no = StepNo(u32::try_from(plan.steps.len()).expect("few steps"));
            step.key = name("verify");
            let lane = Lane { subject: step.subject.clone(), steps: vec![step.no] };
            plan.steps.push(step);
            lane
        });
        let wave = Wave { lanes: lanes.collect(), parallel: 1, gate: vec![] };
        let stage = PlannedStage {
            name: name("verify"),
            over: Over::Nodes,
            goes_back: GoesBack::WithNode,
            waves: vec![wave],
        };
        plan.stages.push(stage);
        story.plan = plan.into();
    }

    #[test]
    fn a_node_that_serves_the_new_release_is_not_to_go_although_a_later_stage_looks_at_it() {
        let nodes = ["node-a", "node-b", "node-c"];
        let mut story = Story::begin(&nodes);
        with_a_last_look(&mut story, &nodes);
        story.pass_until(Some(story.no("guard", "node-b")));
        let told = counts(&story.view());
        assert_eq!((told.upgraded, told.to_go, told.done), (1, 2, 0));
        assert_eq!(counts_text(&told, "nodes"), "3 nodes: 2 to go, 1 upgraded");
        story.pass_until(Some(story.no("verify", "node-b")));
        let told = counts(&story.view());
        assert_eq!((told.upgraded, told.to_go, told.done), (2, 0, 1));
    }

    #[test]
    fn no_room_is_too_small() {
        let story = Story::begin(&["node-a"]);
        for lines in 0..4 {
            for width in 0..6 {
                let room = Room { width, lines };
                let text = live(&story.view(), story.now, room);
                assert!(text.len() <= lines);
                assert!(text.iter().all(|line| line.chars().count() <= width));
            }
        }
    }
}
