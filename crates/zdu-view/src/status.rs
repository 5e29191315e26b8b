//! The answer to `zdu status`: where a rollout stands, who drives it, on what it waits.

use crate::describe;
use crate::fold::RolloutView;
use crate::live::{Counts, counts, counts_text, stage_text};
use crate::moment::{moment, span};
use crate::next::next_commands;
use crate::query::Progress;
use crate::table::{status_name, summary_table};
use crate::trouble::{self, Trouble};
use crate::waiting::Waiting;
use jiff::tz::Offset;
use serde::Serialize;
use std::collections::BTreeMap;
use zdu_model::plan::Subject;
use zdu_model::time::Timestamp;
use zdu_model::verdict::Verdict;

/// The lease as its store told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// Who holds it: user, host and process id.
    pub owner: String,
    /// Its epoch.
    pub epoch: u64,
    /// Until when, unless it is renewed.
    pub until: Timestamp,
    /// Whether the process that holds it is certainly gone.
    pub gone: bool,
    /// Who ended it by force and waits until its holder can no longer act on balancers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<String>,
}

/// What `zdu status --json` prints. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The version of this format.
    pub schema: u32,
    /// The rollout.
    pub rollout: Option<String>,
    /// The return status of the summary table, `RUNNING` or `HELD`.
    pub status: String,
    /// The exit code, when it ended.
    pub exit: Option<u8>,
    /// Whether it stands still for a person.
    pub held: bool,
    /// The lease, when somebody has it.
    pub lease: Option<Lease>,
    /// Whether a controller drives it now.
    pub driven: bool,
    /// Stage and wave in words.
    pub at: String,
    /// Forward steps that passed.
    pub steps_passed: usize,
    /// All forward steps.
    pub steps: usize,
    /// The nodes, counted.
    pub counts: Counts,
    /// How long it took so far, in milliseconds.
    pub took_ms: u64,
    /// On what it waits. Deadlines are those that a controller counts: none where nobody drives it.
    pub waiting: Vec<Waiting>,
    /// What went wrong and still stands.
    pub why: Vec<Trouble>,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
    /// What a person must do next.
    pub next: Vec<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// Its state in one word.
    pub state: String,
    /// The step it is at.
    pub step: Option<String>,
    /// The cells of the summary table, in the order of the phases.
    pub phases: Vec<(String, String)>,
    /// How often it was seen in traffic while it had to be out.
    pub drifts: usize,
    /// Drain certificates it had.
    pub certificates: usize,
    /// The release it last said it runs.
    pub version: Option<String>,
}

/// The status as of `now`.
#[must_use]
pub fn status(view: &RolloutView, lease: Option<&Lease>, now: Timestamp) -> Status {
    let Progress { passed, steps, .. } = view.progress();
    let held = view.open_holds().next().is_some();
    let running = view.verdict().is_none();
    let drives = |lease: &Lease| now < lease.until && !lease.gone && lease.taken_by.is_none();
    let driven = running && lease.is_some_and(drives);
    let mut waiting = view.waiting();
    let mut next = next_commands(view);
    if !driven {
        // Nobody counts.
        waiting.iter_mut().for_each(|wait| wait.until = None);
        if running && !next.iter().any(|line| view.call().begins(line)) {
            next.push(view.command("resume", ""));
        }
    }
    Status {
        schema: 1,
        rollout: view.rollout().map(ToString::to_string),
        status: if held && running { "HELD".into() } else { status_name(view.verdict()) },
        exit: view.verdict().map(|verdict| verdict.exit_code()),
        held,
        lease: lease.cloned(),
        driven,
        at: stage_text(view),
        steps_passed: passed,
        steps,
        counts: counts(view),
        took_ms: view.duration(now).0,
        waiting,
        why: view.troubles(),
        nodes: nodes(view),
        next,
    }
}

fn nodes(view: &RolloutView) -> Vec<NodeStatus> {
    let phases = view.phases();
    let active: BTreeMap<_, _> = view.active().map(|(p, _)| (&p.subject, &p.key)).collect();
    let one = |node: &crate::node::NodeView| {
        let subject = Subject::Node(node.name.clone());
        let current = active.get(&subject);
        let cell = |phase: &&zdu_model::ids::PhaseName| {
            (phase.to_string(), view.cell(&subject, phase).text())
        };
        NodeStatus {
            node: node.name.to_string(),
            state: node.state().word().into(),
            step: current.map(ToString::to_string),
            phases: phases.iter().map(cell).collect(),
            drifts: node.drifts.len(),
            certificates: node.certificates.len(),
            version: node.version.clone(),
        }
    };
    view.nodes().map(one).collect()
}

/// The status as text, ending with a newline.
#[must_use]
pub fn status_text(
    view: &RolloutView,
    lease: Option<&Lease>,
    now: Timestamp,
    offset: Offset,
) -> String {
    let Status { status, counts, waiting, why, next, driven, at, steps_passed, steps, .. } =
        status(view, lease, now);
    let release = &view.plan().release;
    let mut lines = vec![
        format!(
            "rollout {}: {} {} -> {} on fleet {}",
            view.id_text(),
            view.plan().procedure,
            release.from,
            release.to,
            view.plan().fleet.name
        ),
        format!("status:   {status}"),
        format!("driven:   {}", lease_text(view, lease, driven, offset)),
        format!("at:       {at}, {steps_passed} of {steps} steps, {}", span(view.duration(now))),
        format!("nodes:    {}", counts_text(&counts, "nodes")),
    ];
    for wait in &waiting {
        lines.push(format!("waits on: {}", wait_text(wait, now, offset)));
    }
    lines.extend(why.iter().flat_map(|trouble| trouble::lines(trouble, &next)));
    for line in &next {
        lines.push(format!("next:     {line}"));
    }
    let text: Vec<String> = lines.iter().map(|line| crate::lines::printable(line)).collect();
    format!("{}\n{}", text.join("\n"), summary_table(view))
}

fn lease_text(view: &RolloutView, lease: Option<&Lease>, driven: bool, offset: Offset) -> String {
    let resume = view.command("resume", "");
    match lease {
        Some(lease) if driven => {
            let until = moment(lease.until, offset);
            format!("by {}, epoch {}, lease until {until}", lease.owner, lease.epoch)
        }
        _ if view.verdict() == Some(&Verdict::Held) => {
            format!("by nobody: its controller has left; `{resume}` goes on")
        }
        _ if matches!(view.verdict(), Some(Verdict::Stuck { .. })) => {
            let resume = view.command("resume", "--reason TEXT");
            format!("by nobody: its controller has left; `{resume}` goes on after the repair")
        }
        _ if view.verdict().is_some() => "by nobody: it has ended".into(),
        Some(Lease { taken_by: Some(by), owner, until, .. }) => {
            let until = moment(*until, offset);
            format!(
                "by nobody until {until}: {by} took the lease from {owner}, which may act on \
                 balancers until then, and goes on behind it"
            )
        }
        Some(lease) if lease.gone => {
            format!("by nobody: its controller {} is gone (killed?); {resume}", lease.owner)
        }
        Some(lease) => {
            let until = moment(lease.until, offset);
            format!("by nobody: the lease of {} ended at {until}; {resume}", lease.owner)
        }
        None => format!("by nobody; {resume}"),
    }
}

/// A wait in one line: who, on what, since when and until when.
#[must_use]
pub fn wait_text(wait: &Waiting, now: Timestamp, offset: Offset) -> String {
    let Waiting { subject, step: _, on, since, until, command } = wait;
    let who = describe::subject(subject);
    let elapsed = span(now.since(*since));
    let until = until.map_or_else(String::new, |until| {
        let left =
            if until > now { format!("{} left", span(until.since(now))) } else { "passed".into() };
        format!(", until {} ({left})", moment(until, offset))
    });
    let command = command.as_ref().map_or_else(String::new, |c| format!("; {c}"));
    format!("{on} [{who}, for {elapsed}{until}]{command}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{START, Story};
    use zdu_model::event::{Event, HoldCause};
    use zdu_model::time::Millis;

    fn held() -> Story {
        let mut story = Story::begin(&["node-a"]);
        let step = story.no("sysupgrade_export", "node-a");
        story.fail(step, 7);
        story.tell(Event::HoldStarted { cause: HoldCause::Rule(step) });
        story
    }

    #[test]
    fn a_held_rollout_without_a_controller_says_so_and_names_the_command() {
        let lease = Lease {
            owner: "ada@ops:100".into(),
            epoch: 1,
            until: START.after(Millis::from_secs(10)),
            gone: false,
            taken_by: None,
        };
        let now = START.after(Millis::from_secs(70));
        let text = status_text(&held().view(), Some(&lease), now, Offset::UTC);
        let head: Vec<&str> = text.lines().take(10).collect();
        let why = "a failure rule holds because of sysupgrade_export on node-a";
        // Nobody counts how long the hold may last.
        let waits = format!("waits on: a person: {why} [node-a, for 1m6s]; zdu resume r1");
        let next = format!("next:     zdu resume r1  # {why}");
        let expected = [
            "rollout r1: axway-apigateway 7.5.3 -> 7.7 on fleet prod",
            "status:   HELD",
            "driven:   by nobody: the lease of ada@ops:100 ended at 2026-01-31T09:00:10Z; \
             zdu resume r1",
            "at:       stage 1/2 prepare  wave 1/1, 0 of 10 steps, 1m10s",
            "nodes:    1 node: 1 failed",
            &waits,
            "why:      sysupgrade_export on node-a: exit code 7",
            "          | ERROR: a localhost Cassandra server has been specified.",
            "          zdu log r1 --node node-a  # the whole output",
            &next,
        ];
        assert_eq!(head, expected);
    }

    fn driven_by(gone: bool) -> Lease {
        let until = START.after(Millis::from_secs(3600));
        Lease { owner: "ada@ops pid 100".into(), epoch: 1, until, gone, taken_by: None }
    }

    #[test]
    fn who_waits_for_an_ousted_controller_is_named_with_until_when() {
        let mut story = Story::begin(&["node-a"]);
        story.start(story.no("sysupgrade_export", "node-a"), 1);
        let ousted = Lease { taken_by: Some("bob@ops pid 7".into()), ..driven_by(false) };
        let text = told(&story, Some(&ousted));
        let waits = "driven:   by nobody until 2026-01-31T10:00:00Z: bob@ops pid 7 took the lease \
                     from ada@ops pid 100, which may act on balancers until then";
        assert!(text.contains(waits), "{text}");
    }

    fn told(story: &Story, lease: Option<&Lease>) -> String {
        status_text(&story.view(), lease, story.now, Offset::UTC)
    }

    #[test]
    fn a_controller_that_is_gone_drives_nothing_though_its_lease_lasts() {
        let mut story = Story::begin(&["node-a"]);
        story.start(story.no("sysupgrade_export", "node-a"), 1);
        let text = told(&story, Some(&driven_by(false)));
        assert!(text.contains("driven:   by ada@ops pid 100, epoch 1, lease until"), "{text}");
        assert!(text.contains(" left)") && !text.contains("next: "), "{text}");
        let text = told(&story, Some(&driven_by(true)));
        let gone = "driven:   by nobody: its controller ada@ops pid 100 is gone (killed?); zdu \
                    resume r1\n";
        assert!(text.contains(gone) && text.contains("next:     zdu resume r1\n"), "{text}");
        assert!(!text.contains(" left)"), "{text}");
        assert!(!status(&story.view(), Some(&driven_by(true)), story.now).driven);
    }

    #[test]
    fn a_held_or_stuck_rollout_whose_controller_has_left_can_go_on_and_counts_nothing_down() {
        let mut story = held();
        let text = told(&story, Some(&driven_by(false)));
        assert!(text.contains(" left)"), "a controller still waits: {text}");
        story.tell(Event::RolloutEnded { verdict: Verdict::Held });
        let text = told(&story, None);
        let left = "driven:   by nobody: its controller has left; `zdu resume r1` goes on\n";
        assert!(text.contains(left) && !text.contains(" left)"), "{text}");
        let mut story = held();
        story.tell(Event::RolloutEnded { verdict: Verdict::Stuck { nodes: vec![] } });
        let text = told(&story, None);
        let left = "its controller has left; `zdu resume r1 --reason TEXT` goes on after";
        assert!(text.contains(left) && !text.contains(" left)"), "{text}");
        let mut story = held();
        story.tell(Event::RolloutEnded { verdict: Verdict::RolledBack });
        assert!(told(&story, None).contains("driven:   by nobody: it has ended\n"));
    }

    #[test]
    fn the_json_of_a_status_has_a_version_and_its_waits() {
        let json = serde_json::to_value(status(&held().view(), None, START)).expect("plain data");
        assert_eq!(json["schema"], 1);
        assert_eq!(json["status"], "HELD");
        assert_eq!(json["waiting"][0]["subject"]["node"], "node-a");
        assert_eq!(json["nodes"][0]["phases"][0][1], "FAILED (7)");
    }
}
