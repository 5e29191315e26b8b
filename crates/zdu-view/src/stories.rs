//! Stories of whole rollouts against the fold, and the laws every view must keep.

use crate::cell::PhaseCell;
use crate::describe;
use crate::fold::RolloutView;
use crate::lines::{Lines, Palette};
use crate::live::{Room, live};
use crate::markdown::markdown;
use crate::next::next_commands;
use crate::node::NodeState;
use crate::report::report;
use crate::sample::{START, Story, member, name};
use crate::status::status_text;
use crate::step::StepState;
use jiff::tz::Offset;
use std::sync::Arc;
use zdu_model::contract::Class;
use zdu_model::event::{Event, HoldCause, Inquiry, Record, Request, ScheduleCause, UnwindScope};
use zdu_model::ids::{Digest, Epoch, Seq, StepNo};
use zdu_model::plan::Subject;
use zdu_model::policy::FailureAction;
use zdu_model::procedure::GoesBack;
use zdu_model::report::{End, Evidence, Report};
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

fn ask(story: &mut Story, request: Request) {
    story.tell(Event::Requested { request, by: "ada".into(), reason: "ticket 7".into() });
}

fn hold(story: &mut Story, cause: HoldCause) {
    story.tell(Event::HoldStarted { cause });
}

/// Apply fails on the first of two nodes; it is put back, or the putting back fails too.
fn rolled_back(stuck: bool) -> Story {
    let mut story = Story::begin(&["node-a", "node-b"]);
    let apply = story.no("sysupgrade_apply", "node-a");
    story.pass_until(Some(apply));
    story.fail(apply, 3);
    story.tell(Event::FailureDecided { step: apply, rule: 0, action: FailureAction::RollbackNode });
    let undo = story.plan.step(apply).undo.clone();
    let scope = UnwindScope::Node(name("node-a"));
    story.tell(Event::UnwindStarted {
        scope: scope.clone(),
        steps: undo.clone(),
        cause: "apply failed".into(),
    });
    if stuck {
        story.fail(undo[0], 9);
        story.tell(Event::NodeStuck {
            node: Some(name("node-a")),
            step: undo[0],
            reason: "exit code 9".into(),
        });
        story.tell(Event::RolloutEnded { verdict: Verdict::Stuck { nodes: vec![name("node-a")] } });
        return story;
    }
    for step in undo {
        story.pass(step);
    }
    story.tell(Event::UnwindEnded { scope });
    story.tell(Event::RolloutEnded {
        verdict: Verdict::Failed {
            phase: name("APPLY"),
            exit: 73,
            rolled_back: vec![name("node-a")],
        },
    });
    story
}

/// A story with a hold, a retry, an unknown outcome, a drift and an approval in it.
fn eventful() -> Story {
    let mut story = Story::begin(&["node-a", "node-b"]);
    let export = story.no("sysupgrade_export", "node-a");
    story.fail(export, 1);
    story.tell(Event::StepScheduled {
        step: export,
        at: story.now.after(Millis::from_secs(30)),
        cause: ScheduleCause::Retry,
    });
    story.start(export, 2);
    story.end(export, 2, Class::Succeeded, Report::bare(End::Exited(0)));
    let upgrade = story.no("sysupgrade_upgrade", "node-a");
    story.start(upgrade, 1);
    story.tell(Event::ControllerStarted { epoch: Epoch(2), owner: "bob@ops:200".into() });
    story.tell(Event::StepUnknown {
        step: upgrade,
        attempt: 1,
        cause: "the controller was restarted".into(),
        how: Inquiry::Recover,
    });
    story.end(upgrade, 1, Class::Unknown, Report::bare(End::Lost("reboot".into())));
    hold(&mut story, HoldCause::Unknown(upgrade));
    ask(&mut story, Request::Approve(upgrade));
    story.end(upgrade, 1, Class::Succeeded, Report::bare(End::Done));
    for key in ["guard", "drain", "certify"] {
        let step = story.no(key, "node-a");
        story.pass(step);
    }
    story.tell(Event::Drifted {
        node: name("node-a"),
        instance: name("lb-a"),
        member: member("node-a"),
        seen: "UP | reloaded".into(),
        reasserted: true,
    });
    story.tell(Event::InstanceChanged {
        instance: name("lb-a"),
        up: true,
        reason: "reloaded".into(),
    });
    ask(&mut story, Request::Hold);
    hold(&mut story, HoldCause::Person);
    ask(&mut story, Request::Resume);
    story
}

fn state(view: &RolloutView, node: &str) -> NodeState {
    view.node(&name(node)).expect("in the fleet").state()
}

fn cell(view: &RolloutView, node: &str, phase: &str) -> PhaseCell {
    view.cell(&Subject::Node(name(node)), &name(phase))
}

#[test]
fn a_node_walks_from_serving_to_serving() {
    let mut story = Story::begin(&["node-a"]);
    let mut seen = vec![state(&story.view(), "node-a")];
    let keys = ["guard", "drain", "certify", "sysupgrade_apply", "ready", "undrain", "serving"];
    for key in keys {
        let step = story.no(key, "node-a");
        story.start(step, 1);
        seen.push(state(&story.view(), "node-a"));
        story.end(step, 1, Class::Succeeded, Report::bare(End::Done));
        seen.push(state(&story.view(), "node-a"));
    }
    seen.dedup();
    use NodeState::{Drained, Draining, Out, Returning, Serving};
    assert_eq!(seen, [Serving, Draining, Drained, Out, Returning, Serving]);
}

#[test]
fn a_node_that_was_put_back_shows_what_failed_and_that_the_rollback_passed() {
    let view = rolled_back(false).view();
    assert_eq!(state(&view, "node-a"), NodeState::RolledBack);
    assert_eq!(cell(&view, "node-a", "APPLY").text(), "FAILED (3)");
    assert_eq!(cell(&view, "node-a", "ROLLBACK").text(), "PASSED (0)");
    assert_eq!(cell(&view, "node-b", "ROLLBACK").text(), "*");
    let next = next_commands(&view);
    assert_eq!(
        next,
        [
            "zdu log r1 --node node-a  # the whole output of sysupgrade_apply on node-a: exit code \
             3",
            "zdu resume r1 --reason TEXT  # after the cause is repaired",
            "zdu rollback r1 --reason TEXT  # to put everything back",
        ]
    );
}

#[test]
fn a_node_that_begins_again_after_it_was_put_back_shows_nothing_of_the_round_before() {
    let mut story = rolled_back(false);
    ask(&mut story, Request::Resume);
    story.start(story.no("guard", "node-a"), 2);
    let view = story.view();
    assert_eq!(cell(&view, "node-a", "APPLY").text(), "*");
    assert_eq!(cell(&view, "node-a", "ROLLBACK").text(), "PASSED (0)");
}

#[test]
fn an_end_that_leaves_a_node_out_of_traffic_names_it() {
    let mut story = Story::begin(&["node-a", "node-b"]);
    let apply = story.no("sysupgrade_apply", "node-a");
    story.pass_until(Some(apply));
    story.fail(apply, 3);
    let (phase, rolled_back) = (name("APPLY"), vec![]);
    story.tell(Event::RolloutEnded { verdict: Verdict::Failed { phase, exit: 73, rolled_back } });
    let next = next_commands(&story.view());
    let named = "node-a was left as it was; it is out of edge/gateway/node-a";
    assert_eq!(next.first().map(String::as_str), Some(named));
}

#[test]
fn a_stuck_node_is_named_with_the_members_it_is_out_of() {
    let view = rolled_back(true).view();
    assert_eq!(state(&view, "node-a"), NodeState::Stuck);
    assert_eq!(cell(&view, "node-a", "ROLLBACK").text(), "FAILED (9)");
    let next = next_commands(&view);
    assert_eq!(
        next,
        [
            "zdu log r1 --node node-a  # the whole output of start_old on node-a: exit code 9",
            "repair node-a: start_old did not undo (exit code 9); it is out of edge/gateway/node-a",
            "zdu resume r1 --reason TEXT  # after the repair; undoes what is left",
        ]
    );
}

#[test]
fn a_stuck_node_that_a_person_resumes_is_no_longer_stuck_when_its_undo_begins() {
    let mut story = rolled_back(true);
    ask(&mut story, Request::Resume);
    let view = story.view();
    assert_eq!(view.verdict(), None, "a resume reopens the rollout");
    assert_eq!(view.waiting()[0].on, "a person to repair what could not be put back: exit code 9");
    let undo = story.no("start_old", "node-a");
    story.start(undo, 2);
    assert_eq!(state(&story.view(), "node-a"), NodeState::Out);
}

#[test]
fn a_node_that_begins_anew_shows_what_it_kept_and_not_what_was_undone() {
    let mut story = rolled_back(false);
    let mut plan = (*story.plan).clone();
    plan.stages[0].goes_back = GoesBack::WithRollout;
    story.plan = plan.into();
    ask(&mut story, Request::Resume);
    story.start(story.no("guard", "node-a"), 2);
    let view = story.view();
    assert!(matches!(cell(&view, "node-a", "UPGRADE"), PhaseCell::Passed { .. }));
    assert_eq!(cell(&view, "node-a", "APPLY"), PhaseCell::NotRun);
}

#[test]
fn a_drift_cancels_the_certificate_and_the_node_counts_as_draining_again() {
    let view = eventful().view();
    let node = view.node(&name("node-a")).expect("in the fleet");
    assert_eq!(node.state(), NodeState::Draining);
    assert_eq!(node.drifts.len(), 1);
    assert_eq!(node.certificates.len(), 1);
    assert!(node.certificates[0].lost.is_some());
}

#[test]
fn an_unknown_outcome_is_kept_with_how_it_was_resolved() {
    let view = eventful().view();
    let unknown = &view.history().unknowns[0];
    // The node's record did not tell; the person who approved did.
    assert_eq!(unknown.resolved.map(|(_, class)| class), Some(Class::Succeeded));
    let upgrade = view.step(unknown.step).expect("in the plan");
    assert!(upgrade.passed());
    assert_eq!(upgrade.attempts.len(), 1);
}

#[test]
fn a_wait_says_on_what_since_when_and_until_when() {
    let mut story = Story::begin(&["node-a"]);
    let guard = story.no("guard", "node-a");
    story.pass_until(Some(guard));
    story.start(guard, 1);
    let begun = Timestamp(story.now.0 - 1_000);
    let wait = story.view().waiting().remove(0);
    assert_eq!(wait.subject, Subject::Node(name("node-a")));
    let on = "group gateway to have capacity for one member less, on every instance";
    assert_eq!((wait.on.as_str(), wait.since), (on, begun));
    assert_eq!(wait.until, Some(begun.after(Millis::from_secs(600))));

    let why = End::Waiting("edge/lb-b: 1 of 2 serve".into());
    story.end(guard, 1, Class::Again, Report::bare(why));
    let due = story.now.after(Millis::from_secs(2));
    story.tell(Event::StepScheduled { step: guard, at: due, cause: ScheduleCause::Again });
    let waiting = story.view().waiting();
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        waiting[0].on,
        "the next attempt at guard (its contract asks for another run): edge/lb-b: 1 of 2 serve"
    );
    assert_eq!(waiting[0].until, Some(due));
}

#[test]
fn a_hold_waits_for_a_person_with_the_command_that_ends_it() {
    let mut story = Story::begin(&["node-a"]);
    let step = story.no("sysupgrade_apply", "node-a");
    hold(&mut story, HoldCause::PointOfNoReturn(step));
    let wait = story.view().waiting().remove(0);
    assert_eq!(wait.command.as_deref(), Some("zdu approve r1 5"));
    ask(&mut story, Request::Approve(step));
    let wait = story.view().waiting().remove(0);
    assert_eq!(wait.on, "the controller's next turn");
    story.tell(Event::RolloutEnded { verdict: Verdict::Held });
    let wait = story.view().waiting().remove(0);
    assert_eq!(wait.command.as_deref(), Some("zdu resume r1"));
    assert_eq!(next_commands(&story.view()), ["zdu resume r1"]);
}

#[test]
fn going_on_by_rule_shows_a_warning_in_place_of_a_failure() {
    let mut story = Story::begin(&["node-a"]);
    let step = story.no("sysupgrade_export", "node-a");
    story.fail(step, 5);
    assert_eq!(cell(&story.view(), "node-a", "EXPORT").text(), "FAILED (5)");
    story.tell(Event::FailureDecided { step, rule: 0, action: FailureAction::GoOn });
    assert_eq!(cell(&story.view(), "node-a", "EXPORT").text(), "WARNED (5)");
}

#[test]
fn a_phase_cut_short_by_the_end_of_the_rollout_is_partial() {
    let mut story = Story::begin(&["node-a"]);
    let guard = story.no("guard", "node-a");
    story.pass(guard);
    assert_eq!(cell(&story.view(), "node-a", "PRE-APPLY").text(), "RUNNING");
    story.tell(Event::RolloutEnded { verdict: Verdict::Aborted });
    assert_eq!(cell(&story.view(), "node-a", "PRE-APPLY").text(), "PARTIAL");
}

#[test]
fn a_record_of_a_newer_zdu_is_skipped_and_counted() {
    let mut view = Story::begin(&["node-a"]).view();
    let newer = r#"{"seq":3,"at":1,"epoch":1,"event":{"teleported":{"node":"node-a"}}}"#;
    assert!(!view.apply_json(newer));
    assert_eq!(view.skipped(), 1);
    let known = r#"{"seq":4,"at":1,"epoch":1,"event":{"step_started":{"step":0,"attempt":1}}}"#;
    assert!(view.apply_json(known));
    let started = StepState::Running { since: Timestamp(1) };
    assert_eq!(view.step(StepNo(0)).map(|step| step.state), Some(started));
}

#[test]
fn the_json_report_holds_the_evidence_and_who_asked_for_what() {
    let story = eventful();
    let head = Digest("cd".repeat(32));
    let report = report(&story.view(), story.now, Some(&head));
    let json = serde_json::to_value(&report).expect("plain data");
    assert_eq!(json["schema"], 1);
    assert_eq!(json["journal"]["digest"], head.0.as_str());
    assert_eq!(json["rollout"]["started"], "2026-01-31T09:00:00.000Z");
    let certificate = &json["nodes"][0]["certificates"][0];
    assert_eq!(certificate["samples"][0]["member"], "edge/gateway/node-a");
    assert_eq!(certificate["node_connections"], 0);
    assert_eq!(json["nodes"][0]["drifts"][0]["reasserted"], true);
    assert_eq!(json["unknowns"][0]["step"], "sysupgrade_upgrade on node-a");
    assert_eq!(json["retries"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["waited"]["paused_ms"], 30_000);
    assert_eq!(json["requests"][2]["request"], "resume");
    assert_eq!(json["requests"][2]["by"], "ada");
    assert_eq!(json["holds"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["controllers"][1]["what"], "bob@ops:200, epoch 2");
}

#[test]
fn the_markdown_report_tells_the_same_and_no_word_of_a_node_becomes_markup() {
    let story = eventful();
    let page = markdown(&report(&story.view(), story.now, None));
    let expected = [
        "# Rollout r1: RUNNING\n",
        "| Releases | 7.5.3 -> 7.7 |\n",
        "## Node node-a (draining)\n",
        "drain certificate after 3s: 3 quiet samples, 0 connections on the node, 0 sessions cut, \
         0 left; cancelled by a drift at 2026-01-31T09:00:20.000Z\n",
        "  - edge/lb-a: edge/gateway/node-a MAINT, 0 sessions, 0 queued\n",
        "edge/gateway/node-a on lb-a was UP \\| reloaded; put back at once\n",
        "    ERROR: a localhost Cassandra server has been specified.\n",
        "## Outcomes nobody knew\n",
        "ada: resume: ticket 7\n",
        "## Slowest steps\n",
    ];
    for part in expected {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
    assert!(!page.contains("## Rollbacks"), "a section without facts was written");
}

/// Draws everything a view can draw, so that a panic anywhere shows.
fn draw(view: &RolloutView, record: &Record) {
    let lines = Lines { offset: Offset::UTC, palette: Palette::Plain };
    assert!(!lines.of(view, record).is_empty());
    assert!(!describe::event(view.plan(), &record.event).is_empty());
    let room = Room { width: 80, lines: 6 };
    assert!(live(view, record.at, room).len() <= room.lines);
    assert!(!status_text(view, None, record.at, Offset::UTC).is_empty());
    assert!(!markdown(&report(view, record.at, None)).is_empty());
}

fn check(story: &Story) {
    let mut view = RolloutView::new(Arc::clone(&story.plan));
    assert!(view.waiting().is_empty(), "nothing has begun");
    for record in &story.records {
        view.apply(record);
        draw(&view, record);
        let over = match view.verdict() {
            None | Some(Verdict::Held) => false,
            Some(_) => true,
        };
        let waiting = view.waiting();
        assert_eq!(waiting.is_empty(), over, "after {record:?}: {waiting:?}");
        assert!(waiting.iter().all(|wait| !wait.on.is_empty()));
    }
}

#[test]
fn every_prefix_of_a_story_can_be_drawn_and_says_on_what_it_waits() {
    let mut success = Story::begin(&["node-a", "node-b"]);
    success.pass_until(None);
    success.tell(Event::RolloutEnded { verdict: Verdict::Succeeded });
    for story in [success, rolled_back(false), rolled_back(true), eventful()] {
        check(&story);
    }
}

/// Numbers that repeat for a seed (Knuth's linear congruential generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// A step, sometimes one the plan does not have.
    fn step(&mut self) -> StepNo {
        StepNo(u32::try_from(self.roll(30)).expect("small"))
    }

    fn end(&mut self) -> End {
        match self.roll(12) {
            0 => End::Exited(1),
            1 => End::Signaled(9),
            2 => End::Http(503),
            3 => End::NotMet("no".into()),
            4 => End::Waiting("not yet".into()),
            5 => End::TimedOut,
            6 => End::Unreachable("no route".into()),
            7 => End::Never,
            8 => End::Lost("reboot".into()),
            9 => End::EpochRefused { seen: 9 },
            10 => End::Refused("no file".into()),
            _ => End::Done,
        }
    }

    fn class(&mut self) -> Class {
        match self.roll(7) {
            0 => Class::Succeeded,
            1 => Class::Warned,
            2 => Class::Again,
            3 => Class::Failed,
            4 => Class::TimedOut,
            5 => Class::Unknown,
            _ => Class::NotRun,
        }
    }

    fn event(&mut self) -> Event {
        let step = self.step();
        let attempt = u32::try_from(self.roll(3)).expect("small");
        let node = if self.roll(4) == 0 { "nowhere" } else { "node-a" };
        let steps = vec![step, self.step()];
        let cause = HoldCause::Rule(step);
        match self.roll(13) {
            0..=2 => Event::StepStarted { step, attempt },
            3 | 4 => Event::StepEnded {
                step,
                attempt,
                class: self.class(),
                report: Report::with(self.end(), Evidence::Version("7.7".into())),
            },
            5 => Event::StepUnknown { step, attempt, cause: "cut".into(), how: Inquiry::Observe },
            6 => Event::StepScheduled {
                step,
                at: Timestamp(self.roll(u64::MAX)),
                cause: ScheduleCause::Recertify,
            },
            7 => Event::NodeStuck {
                node: (self.roll(2) == 0).then(|| name(node)),
                step,
                reason: "no".into(),
            },
            8 => Event::UnwindStarted {
                scope: UnwindScope::Node(name(node)),
                steps,
                cause: "no".into(),
            },
            9 => Event::UnwindEnded { scope: UnwindScope::Node(name(node)) },
            10 => Event::HoldStarted { cause },
            11 => Event::Requested {
                request: Request::Resume,
                by: "ada".into(),
                reason: String::new(),
            },
            _ => Event::FailureDecided { step, rule: 99, action: FailureAction::GoOn },
        }
    }
}

#[test]
fn any_records_in_any_order_can_be_folded_and_drawn() {
    for seed in 0..30 {
        let mut dice = Dice(seed);
        let mut story = Story::begin(&["node-a", "node-b"]);
        for _ in 0..60 {
            let event = dice.event();
            story.tell(event);
        }
        // Out of order in time, too: a clock may go back between two controllers.
        let at = Timestamp(dice.roll(START.0));
        story.records.push(Record { seq: Seq(1), at, epoch: Epoch(0), event: dice.event() });
        check(&story);
    }
}
