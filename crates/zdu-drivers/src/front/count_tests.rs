use super::*;
use FailureKind::{Refused, TimedOut};
use Way::{Keep, Long, New};
use zdu_model::front::VERSIONS_MAX;

const PERIOD: Duration = Duration::from_millis(20);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn tell(moment: Duration) -> Timestamp {
    Timestamp(1_000_000 + u64::try_from(moment.as_millis()).unwrap())
}

fn at(ms: u64) -> Timestamp {
    Timestamp(1_000_000 + ms)
}

fn counter() -> Counter {
    Counter::new(ms(0), &[(New, PERIOD), (Keep, PERIOD), (Long, PERIOD)])
}

fn ended(way: Way, due: u64, end: u64, came: Came) -> Outcome {
    Outcome {
        way,
        due: ms(due),
        sent: ms(due),
        end: ms(end),
        steps: Arc::from([]),
        reopened: false,
        version: None,
        came,
    }
}

fn ok(way: Way, due: u64, end: u64) -> Outcome {
    ended(way, due, end, Came::Ok)
}

fn failed(way: Way, due: u64, kind: FailureKind) -> Outcome {
    ended(way, due, due + 1, Came::Failed(kind, None))
}

fn take(counter: &mut Counter, until: u64) -> FrontSeen {
    counter.take(ms(until), &tell)
}

fn way(seen: &FrontSeen, way: Way) -> &WaySeen {
    seen.ways.iter().find(|seen| seen.way == way).unwrap()
}

fn runs(seen: &FrontSeen) -> Vec<(u64, u64, u64, Way, FailureKind)> {
    let back = |moment: Timestamp| moment.0 - 1_000_000;
    let run = |run: &FailureRun| (back(run.first), back(run.last), run.count, run.way, run.kind);
    seen.failures.iter().map(run).collect()
}

#[test]
fn a_request_under_way_holds_the_end_of_the_span_and_all_behind_it_are_of_the_next() {
    let mut counter = counter();
    for due in [0, 20, 40] {
        counter.begun(New, ms(due));
    }
    counter.ended(ok(New, 0, 5));
    counter.ended(ok(New, 40, 45));
    assert_eq!(counter.settled(ms(50), ms(60)), ms(20));
    let seen = take(&mut counter, 20);
    assert_eq!((seen.since, seen.until, way(&seen, New).sent), (at(0), at(20), 1));
    counter.ended(failed(New, 20, TimedOut));
    assert_eq!(counter.settled(ms(59), ms(60)), ms(59));
    assert_eq!(counter.settled(ms(90), ms(60)), ms(60), "what is due and not sent yet");
    let seen = take(&mut counter, 60);
    assert_eq!((seen.since, seen.until), (at(20), at(60)));
    assert_eq!((way(&seen, New).ok, way(&seen, New).failed), (1, 1));
}

#[test]
fn a_long_request_is_of_the_span_it_ends_in_and_holds_none() {
    let mut counter = counter();
    counter.begun(Long, ms(0));
    assert_eq!(counter.settled(ms(5_000), ms(5_010)), ms(5_000));
    assert_eq!(way(&take(&mut counter, 5_000), Long).sent, 0);
    counter.ended(failed(New, 5_500, Refused));
    assert!(counter.settle(ms(5_600)));
    counter.ended(failed(Long, 0, TimedOut));
    let seen = take(&mut counter, 6_000);
    assert_eq!(runs(&seen), [(0, 0, 1, Long, TimedOut), (5_500, 5_500, 1, New, Refused)]);
}

#[test]
fn failures_alike_one_after_another_are_one_run_in_the_order_they_were_due() {
    let mut counter = counter();
    // They end in another order.
    for due in [60, 20, 40, 100] {
        counter.ended(failed(New, due, Refused));
        counter.ended(failed(Keep, due + 1, Refused));
    }
    counter.ended(ok(New, 80, 81));
    counter.ended(failed(New, 120, TimedOut));
    let status = Came::Failed(FailureKind::Status, Some(503));
    counter.ended(ended(New, 140, 141, status));
    counter.ended(ended(New, 160, 161, Came::Failed(FailureKind::Status, Some(502))));
    let steps = Arc::from([StepNo(4)]);
    counter.ended(Outcome {
        steps,
        ..ended(New, 180, 181, Came::Failed(FailureKind::Status, Some(502)))
    });
    let seen = take(&mut counter, 200);
    let status = FailureKind::Status;
    let wanted = [
        (20, 60, 3, New, Refused),
        (21, 101, 4, Keep, Refused),
        (100, 100, 1, New, Refused),
        (120, 120, 1, New, TimedOut),
        (140, 140, 1, New, status),
        (160, 160, 1, New, status),
        (180, 180, 1, New, status),
    ];
    assert_eq!(runs(&seen), wanted);
    assert_eq!(seen.failures.last().unwrap().steps, [StepNo(4)]);
    counter.ended(failed(New, 220, Refused));
    assert_eq!(runs(&take(&mut counter, 300)), [(220, 220, 1, New, Refused)], "a span has its own");
}

#[test]
fn runs_are_bounded_and_what_is_beyond_is_counted() {
    let mut counter = counter();
    for n in 0..60 {
        counter.ended(failed(New, n * 40, Refused));
        counter.ended(ok(New, n * 40 + 20, n * 40 + 21));
    }
    let seen = take(&mut counter, 60 * 40);
    assert_eq!((seen.failures.len(), seen.more_failures), (RUNS_MAX, 10));
    assert_eq!(way(&seen, New).failed, 60);
    let seen = take(&mut counter, 60 * 40 + 1);
    assert_eq!((seen.failures.len(), seen.more_failures), (0, 0));
}

#[test]
fn each_way_is_told_with_its_times_also_where_nothing_happened() {
    let mut counter = counter();
    counter.ended(ok(New, 0, 20));
    counter.ended(ok(New, 20, 40));
    let slow = Outcome { sent: ms(40 + 31), reopened: true, ..ok(New, 40, 540) };
    counter.ended(slow);
    counter.ended(Outcome { sent: ms(60 + 30), ..ok(New, 60, 91) });
    let seen = take(&mut counter, 600);
    let told = way(&seen, New);
    assert_eq!((told.sent, told.ok, told.late, told.reopened), (4, 4, 1, 1));
    let times = [(bucket(20_000), 2), (bucket(31_000), 1), (bucket(500_000), 1)];
    assert_eq!(told.times, times);
    assert_eq!((told.first_ok, told.last_ok), (Some(at(20)), Some(at(540))));
    assert_eq!((told.longest_gap, told.gap_began), (Millis(449), Some(at(91))));
    let silent = way(&seen, Keep);
    assert_eq!((silent.sent, silent.first_ok, silent.longest_gap), (0, None, Millis(600)));
}

#[test]
fn a_silence_of_this_machine_is_no_gap_and_one_of_the_front_is() {
    let unsent = |due, end, count, why| ended(New, due, end, Came::Unsent(count, why));
    let gap = |outcomes: &[Outcome], until| {
        let mut counter = counter();
        counter.ended(ok(New, 0, 1));
        outcomes.iter().for_each(|outcome| counter.ended(outcome.clone()));
        let seen = take(&mut counter, until);
        (way(&seen, New).unsent, way(&seen, New).longest_gap.0)
    };
    let still = [unsent(20, 10_020, 500, Why::Machine), ok(New, 10_020, 10_021)];
    assert_eq!(gap(&still, 10_022), (500, 20));
    let each = |why| (1..=10).map(move |n| unsent(n * 20, n * 20, 1, why));
    let no_port: Vec<_> = each(Why::Machine).chain([ok(New, 220, 221)]).collect();
    assert_eq!(gap(&no_port, 222), (10, 20));
    let hangs: Vec<_> = each(Why::Full).chain([ok(New, 220, 221)]).collect();
    assert_eq!(gap(&hangs, 222), (10, 220));
    // Now and then late by a period, in front of a front that is down.
    let down = (1..=10).map(|n| match n % 2 {
        0 => failed(New, n * 20, Refused),
        _ => unsent(n * 20, n * 20, 1, Why::Machine),
    });
    let down: Vec<_> = down.collect();
    assert_eq!(gap(&down, 221), (5, 220));
}

#[test]
fn a_release_that_comes_back_is_counted_also_over_the_border_of_a_span() {
    let mut counter = counter();
    let say = |counter: &mut Counter, due: u64, text: &str| {
        counter.ended(Outcome { version: Some(text.into()), ..ok(New, due, due + 1) });
    };
    for (due, text) in [(0, "1"), (20, "1"), (60, "1"), (40, "2"), (80, "2")] {
        say(&mut counter, due, text);
    }
    let seen = take(&mut counter, 100);
    assert_eq!(seen.went_back, 2, "1 1 2 1 2");
    let told: Vec<_> = seen.versions.iter().map(|v| (v.text.as_str(), v.count)).collect();
    assert_eq!(told, [("1", 3), ("2", 2)]);
    assert_eq!((seen.versions[0].first, seen.versions[0].last), (at(1), at(61)));
    say(&mut counter, 100, "1");
    say(&mut counter, 120, "3");
    let seen = take(&mut counter, 140);
    assert_eq!(seen.went_back, 1);
    let told: Vec<_> = seen.versions.iter().map(|v| (v.text.as_str(), v.count)).collect();
    assert_eq!(told, [("1", 1), ("3", 1)]);
}

#[test]
fn releases_are_bounded_and_further_ones_are_counted_with_the_last() {
    let mut counter = counter();
    for n in 0..40 {
        let version = Some(format!("r{n}"));
        counter.ended(Outcome { version, ..ok(New, n * 20, n * 20 + 1) });
    }
    let seen = take(&mut counter, 1_000);
    assert_eq!((seen.versions.len(), seen.went_back), (VERSIONS_MAX, 0));
    assert_eq!(seen.versions.last().map(|last| (last.text.as_str(), last.count)), Some(("r31", 9)));
}
