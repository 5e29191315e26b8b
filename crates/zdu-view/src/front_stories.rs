//! What people read about the fronts of a rollout.

use crate::front::FrontReport;
use crate::lines::{Lines, Palette};
use crate::markdown::markdown;
use crate::report::report;
use crate::sample::Story;
use jiff::tz::Offset;
use zdu_model::event::Event;
use zdu_model::fleet::Front;
use zdu_model::front::{
    FailureKind, FailureRun, FrontSeen, VersionSeen, Watch, Way, WaySeen, bucket,
};
use zdu_model::ids::StepNo;
use zdu_model::plan::Want;
use zdu_model::time::{Millis, Timestamp};

fn watched() -> Story {
    let mut story = Story::begin(&["node-a"]);
    let mut plan = (*story.plan).clone();
    let watch = Watch { rate: 50, keep: 0, long: None, want: Want::default(), version: None };
    plan.fleet.front = vec![Front {
        http: "https://shop.example/".into(),
        timeout: Millis::from_secs(2),
        watch: Some(watch),
    }];
    story.plan = plan.into();
    story
}

/// A span in which every request was answered in so many milliseconds.
fn span(since: Timestamp, until: Timestamp, sent: u64, millis: u64) -> FrontSeen {
    let way = WaySeen {
        way: Way::New,
        sent,
        ok: sent,
        failed: 0,
        unsent: 0,
        late: 0,
        reopened: 0,
        longest_gap: Millis(millis + 20),
        gap_began: Some(since),
        first_ok: Some(since),
        last_ok: Some(until),
        times: vec![(bucket(millis * 1_000), sent)],
    };
    FrontSeen {
        since,
        until,
        ways: vec![way],
        failures: vec![],
        more_failures: 0,
        versions: vec![],
        went_back: 0,
    }
}

fn tell(story: &mut Story, seen: FrontSeen) {
    story.tell(Event::FrontSeen { front: 0, seen: Box::new(seen) });
}

fn seen(story: &Story) -> FrontReport {
    report(&story.view(), story.now, None).fronts.remove(0)
}

fn failing(mut seen: FrontSeen, count: u64, step: StepNo) -> FrontSeen {
    (seen.ways[0].ok, seen.ways[0].failed) = (seen.ways[0].sent - count, count);
    seen.failures = vec![FailureRun {
        first: seen.since,
        last: seen.until,
        count,
        way: Way::New,
        kind: FailureKind::Status,
        status: Some(503),
        steps: vec![step],
    }];
    seen
}

#[test]
fn what_users_saw_is_summed_and_split_at_the_first_and_the_last_change() {
    let mut story = watched();
    let begun = story.now;
    let before = span(begun, begun.after(Millis(900)), 10, 4);
    tell(&mut story, before);
    let export = story.no("sysupgrade_export", "node-a");
    story.start(export, 1);
    story.now = story.now.after(Millis::from_secs(3));
    let between = span(begun.after(Millis(900)), story.now, 20, 8);
    tell(&mut story, between);
    story.pass(export);
    for (sent, millis) in [(30, 2), (40, 1)] {
        let last = story.now;
        story.now = last.after(Millis(500));
        let (since, until) = (last.after(Millis(10)), story.now);
        tell(&mut story, span(since, until, sent, millis));
    }
    let told = seen(&story);
    let way = &told.ways[0];
    assert_eq!((way.sent, way.failed, way.longest_gap_ms), (100, 0, 28));
    let p50 = |latency: Option<crate::front::Latency>| latency.map(|latency| latency.p50_ms);
    assert_eq!([way.before, way.during, way.after].map(p50), [Some(5), Some(9), Some(2)]);

    // It was not the last change: what was behind it was in between.
    story.pass(story.no("sysupgrade_upgrade", "node-a"));
    assert_eq!(seen(&story).ways[0].after, None);
    assert_eq!(seen(&story).ways[0].sent, 100);
}

#[test]
fn time_that_nobody_watched_is_named_and_so_is_what_could_not_be_seen() {
    let mut story = watched();
    let begun = story.now;
    tell(&mut story, span(begun, begun.after(Millis(900)), 10, 4));
    let back = begun.after(Millis(5_000));
    let mut late = span(back, back.after(Millis(900)), 10, 4);
    late.ways[0].unsent = 3;
    tell(&mut story, late);
    let told = seen(&story);
    assert_eq!(told.holes, ["2026-01-31T09:00:02.900Z to 2026-01-31T09:00:07.000Z (4.100s)"]);
    assert_eq!(
        told.unseen,
        "At 50 requests a second an interruption of less than 20ms may have come between two of \
         them, and nothing is known of kept connections or requests that take long; 3 requests \
         were due and could not be sent; of the holes nothing is known."
    );
}

#[test]
fn failures_that_are_alike_are_one_line_with_the_steps_under_way() {
    let mut story = watched();
    let export = story.no("sysupgrade_export", "node-a");
    story.start(export, 1);
    let begun = story.now;
    let later = begun.after(Millis(900));
    tell(&mut story, failing(span(begun, later, 10, 4), 2, export));
    tell(&mut story, failing(span(later, later.after(Millis(900)), 10, 4), 3, export));
    assert_eq!(
        seen(&story).failures,
        ["2026-01-31T09:00:03.000Z to 2026-01-31T09:00:04.800Z, 5 requests (new): status 503, \
          under way: sysupgrade_export on node-a"]
    );
    let page = markdown(&report(&story.view(), story.now, None));
    let row = "| new | 20 | 5 | 0 | 0 | 24ms | - | 5 / 5 ms | - |";
    assert!(page.lines().any(|line| line == row), "{page}");
}

#[test]
fn a_front_has_a_line_when_it_fails_and_none_while_it_shows_what_it_should() {
    let mut story = watched();
    let begun = story.now;
    let export = story.no("sysupgrade_export", "node-a");
    tell(&mut story, span(begun, begun.after(Millis(900)), 10, 4));
    tell(&mut story, failing(span(begun, begun.after(Millis(900)), 10, 4), 2, export));
    let lines = Lines { offset: Offset::UTC, palette: Palette::Plain };
    let of = |back: usize| {
        let record = &story.records[story.records.len() - back];
        lines.of(&story.view(), record).join("\n")
    };
    assert_eq!(of(2), "");
    assert!(
        of(1).ends_with(
            "https://shop.example/: 2 of 10 requests failed; the first: status during \
             sysupgrade_export on node-a"
        ),
        "{}",
        of(1)
    );
}

#[test]
fn releases_that_answered_are_told_with_how_often_one_came_back() {
    let mut story = watched();
    let begun = story.now;
    for back in 0..2 {
        let mut seen = span(begun, begun.after(Millis(900)), 10, 4);
        let version = |text: &str| VersionSeen {
            text: text.into(),
            first: begun,
            last: begun.after(Millis(900)),
            count: 5,
        };
        seen.versions = vec![version("7.5.3"), version("7.7")];
        seen.went_back = back;
        tell(&mut story, seen);
    }
    let told = seen(&story);
    assert_eq!(told.went_back, 1);
    assert_eq!(told.versions.len(), 2);
    assert!(told.versions[0].starts_with("7.5.3: 10 answers"), "{:?}", told.versions);
}
