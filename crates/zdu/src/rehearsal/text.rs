//! A rehearsal as people read it.

use super::matrix::matrix;
use super::verdict::REPAIRED_BY_NO_PLAN;
use super::wrap::{hanging, wrapped};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use zdu_model::ids::NodeName;
use zdu_sim::rehearse::{
    Ending, Ends, Forecast, Hint, Known, Mark, Next, Play, Played, Rehearsal, Rest, Resumes, Room,
    StepTime, ends,
};
use zdu_view::moment::span;
use zdu_view::table::status_name;

/// How many bad pairs are named; the first are those about undo steps.
const PAIRS_SHOWN: usize = 8;

/// All of it.
pub(crate) fn whole(found: &Rehearsal, assumed: &[String], verdict: &str) -> String {
    let mut said = heading(found, assumed);
    said.push_str(&undisturbed(found));
    said.push_str("\nsingle failures\n");
    said.push_str(&matrix(&found.failures));
    said.push_str("\nwhere single failures end\n");
    ends(&found.failures).iter().for_each(|end| said.push_str(&group(end, found.nodes)));
    said.push_str(&resumes(found));
    said.push_str(&kills(found));
    said.push_str(&pairs(found));
    let defects = found.defects();
    for defect in &defects {
        let text = format!("{defect}; seed {}: please report it with the plan", found.seed);
        said.push_str(&wrapped("DEFECT of zdu: ", &text));
    }
    if !found.hints.is_empty() {
        said.push('\n');
    }
    for Hint { counts, text } in &found.hints {
        let heading = if *counts { "hint (to end with 0): " } else { "hint: " };
        said.push_str(&hanging(heading, "      ", text));
    }
    said.push('\n');
    said.push_str(&hanging("verdict: ", "      ", verdict));
    said
}

fn heading(found: &Rehearsal, assumed: &[String]) -> String {
    let Rehearsal { fleet, procedure, release, nodes, seed, .. } = found;
    let mut said = format!(
        "rehearsal of {procedure} {} -> {} on fleet {fleet}: {nodes} nodes, seed {seed}\n",
        release.from, release.to
    );
    let mut asked = "nothing was contacted; every balancer entry is taken to serve".to_owned();
    if !assumed.is_empty() {
        let _ = write!(asked, "; assumed: {}", assumed.join("; "));
    }
    said.push_str(&wrapped("  ", &asked));
    let played = format!(
        "played: the undisturbed rollout, {} single failures, {} kills of the controller, {} pairs",
        found.failures.len(),
        found.kills.played,
        found.pairs.len()
    );
    said.push_str(&wrapped("  ", &played));
    let left = &found.left_out;
    if (left.nodes, left.kills) != (0, 0) {
        let text = format!(
            "left out: {} failures on {} nodes that others stand for, {} kills; `--all` plays them",
            left.failures, left.nodes, left.kills
        );
        said.push_str(&wrapped("  ", &text));
    }
    said
}

fn undisturbed(found: &Rehearsal) -> String {
    let quiet = &found.quiet;
    let name = end_name(&status_name(quiet.verdict.as_ref()), quiet.mark());
    let mut said = "\nundisturbed\n".to_owned();
    let ends = format!("exit code {} {name}; {}", quiet.exit, fleet(&quiet.rest));
    said.push_str(&wrapped("  ends     ", &ends));
    said.push_str(&takes(&found.forecast));
    found.rooms.iter().for_each(|room| said.push_str(&serving(room)));
    let without = found.no_undo.iter().map(|step| {
        let disturbs = if step.disruptive { ", disturbs its node" } else { "" };
        format!("{} ({} in the plan{disturbs})", step.key, step.count)
    });
    let without: Vec<String> = without.collect();
    said.push_str(&wrapped(
        "  undo     ",
        &match without.is_empty() {
            true => "every step that changes something is undone by another".to_owned(),
            false => format!("missing: {}", without.join(", ")),
        },
    ));
    let points = found.points.iter().map(|point| {
        let on = point.node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
        let asks = if point.asks { "a person is asked" } else { "crossed without asking" };
        format!("step {} {}{on} ({asks})", point.step, point.key)
    });
    let points: Vec<String> = points.collect();
    said.push_str(&wrapped(
        "  return   ",
        &match points.is_empty() {
            true if found.no_undo.is_empty() => {
                "no point of no return: everything can be put back at any time".to_owned()
            }
            true => "no point of no return, but what is not undone stays".to_owned(),
            false => format!("nothing is put back up to: {}", points.join("; ")),
        },
    ));
    said
}

fn takes(forecast: &Forecast) -> String {
    let Forecast { at_least, at_most, steps } = forecast;
    let of = |which: fn(&Known) -> bool| {
        let those = steps.iter().filter(move |step| which(&step.known));
        let said: Vec<String> = those.map(|step| format!("{} {}", step.key, runs(step))).collect();
        said.join(", ")
    };
    let declared = of(|known| *known == Known::Declared);
    let measured = of(|known| matches!(known, Known::Measured { .. }));
    let unknown = of(|known| *known == Known::No);
    let (least, most) = (span(*at_least), span(*at_most));
    let time = match unknown.is_empty() {
        true if at_least == at_most => format!("about {least}"),
        true => format!("about {least}, {most} at most"),
        false => format!("about {least} if what is not known took no time, {most} at most"),
    };
    let mut said = wrapped("  takes    ", &time);
    for (from, list) in [
        ("not known, counted from nothing to the deadline: ", unknown),
        ("measured in earlier rollouts: ", measured),
        ("declared: ", declared),
    ] {
        if !list.is_empty() {
            said.push_str(&wrapped("           ", &format!("{from}{list}")));
        }
    }
    said
}

/// The time of a step, and how often it may come.
fn runs(step: &StepTime) -> String {
    let StepTime { time, runs, .. } = step;
    if *runs > 1 { format!("{time} up to {runs} times") } else { time.to_string() }
}

fn serving(room: &Room) -> String {
    let Room { group, nodes, min_available, most_out, least_serving } = room;
    let text = match nodes {
        0 => format!("group {group}: no node stands in a balancer"),
        _ => format!(
            "group {group}: at most {most_out} of {nodes} out at once, at least {least_serving} \
             serve (min_available {min_available})"
        ),
    };
    wrapped("  serving  ", &text)
}

/// One way in which rollouts end.
fn group(end: &Ends, nodes: usize) -> String {
    let Ends { mark, status, exit, count, by, .. } = end;
    let name = end_name(status, *mark);
    let plural = if *count == 1 { "" } else { "s" };
    let mut said = wrapped("  ", &format!("exit code {exit}: {count} failure{plural}, {name}"));
    let by = by.iter().map(|(key, troubles)| {
        let words: Vec<&str> = troubles.iter().map(|trouble| trouble.word()).collect();
        format!("{key} {}", words.join(" "))
    });
    let by: Vec<String> = by.collect();
    said.push_str(&wrapped("      by     ", &by.join("; ")));
    said.push_str(&wrapped("      fleet  ", &fleets(end, nodes)));
    if let Some((first, more)) = end.waits_for.split_first() {
        let more = match more.len() {
            0 => String::new(),
            more => format!(" (and {more} like it)"),
        };
        said.push_str(&wrapped("      person ", &format!("{first}{more}")));
    }
    if end.only_sick > 0 {
        said.push_str(&wrapped("      sick   ", &sick(end.only_sick, *count)));
    }
    let next = commands(&end.next, *count);
    if !next.is_empty() {
        said.push_str(&wrapped("      next   ", &next.join(" | ")));
    }
    said
}

/// Where the fleets stand that end so.
fn fleets(end: &Ends, nodes: usize) -> String {
    let range = match &end.new {
        (fewest, most) if fewest == most => format!("{most}"),
        (fewest, most) => format!("{fewest} to {most}"),
    };
    let mut fleet = format!("{range} of {nodes} nodes new");
    if !end.kept.is_empty() {
        fleet.push_str(&named("put back but for what no step undoes", &end.kept));
    }
    fleet.push_str(&named("between two releases", &end.between));
    fleet.push_str(&named("out of traffic", &end.out));
    fleet
}

/// What is said where nothing but a sick node leaves something stuck.
fn sick(only_sick: usize, count: usize) -> String {
    let some = if only_sick == count { String::new() } else { format!("{only_sick} of {count}: ") };
    format!("{some}{REPAIRED_BY_NO_PLAN}, so it does not count")
}

/// What to do next. What to look at is another thing for each failure; the commands are the same,
/// or are offered in some.
fn commands(next: &[Next], count: usize) -> Vec<String> {
    let looks = |line: &str| line.starts_with("look at ") || line.starts_with("zdu log ");
    let said =
        next.iter().filter(|next| !looks(&next.line)).map(|Next { line, count: in_some }| {
            let command = line.split_once("  #").map_or(line.as_str(), |(command, _)| command);
            let all = *in_some == count || !line.starts_with("zdu ");
            if all { command.to_owned() } else { format!("{command} (in {in_some} of {count})") }
        });
    said.collect()
}

fn named(what: &str, nodes: &BTreeSet<NodeName>) -> String {
    if nodes.is_empty() {
        return format!(", none {what}");
    }
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    format!(", {what} in some: {}", names.join(" "))
}

fn resumes(found: &Rehearsal) -> String {
    let Resumes { played, others } = &found.resumes;
    if *played == 0 {
        return String::new();
    }
    let done = played - others.len();
    let text = format!("{played} failures that ended the rollout: {done} end with every node new");
    let mut said = format!("\nrepaired and resumed\n{}", wrapped("  ", &text));
    for Played { mishaps, ending } in others {
        let faults: Vec<String> = mishaps.iter().map(ToString::to_string).collect();
        said.push_str(&wrapped("  ", &format!("{}: {}", faults.join(", "), short(ending))));
    }
    said
}

fn kills(found: &Rehearsal) -> String {
    let kills = &found.kills;
    let text = format!(
        "behind {} of {} records, and started again: {} end where the undisturbed rollout ends",
        kills.played, kills.records, kills.same
    );
    let mut said = format!("\nthe controller killed\n{}", wrapped("  ", &text));
    for killed in &kills.others {
        let text = format!("behind record {}: {}", killed.record, short(&killed.ending));
        said.push_str(&wrapped("  ", &text));
    }
    said
}

/// Pairs: how many end how, and those that nobody would want.
fn pairs(found: &Rehearsal) -> String {
    if found.pairs.is_empty() {
        return String::new();
    }
    let all = ends(&found.pairs);
    let counts: Vec<String> = all
        .iter()
        .map(|end| format!("{} {}", end.count, end_name(&end.status, end.mark)))
        .collect();
    let mut said = format!("\npairs of failures\n{}", wrapped("  ", &counts.join("; ")));
    if let Some(Ends { only_sick, count, .. }) = all.iter().find(|end| end.only_sick > 0) {
        said.push_str(&wrapped("  sick   ", &sick(*only_sick, *count)));
    }
    let bad: Vec<&Played> = found.pairs.iter().filter(|pair| pair.ending.counts()).collect();
    for Played { mishaps, ending } in bad.iter().take(PAIRS_SHOWN) {
        let both: Vec<String> = mishaps.iter().map(|one| format!("--fault {one}")).collect();
        let text = format!("{}: {}; {}", both.join(" "), ending.exit, fleet(&ending.rest));
        said.push_str(&wrapped("  ", &text));
    }
    if let Some(more) = bad.len().checked_sub(PAIRS_SHOWN).filter(|more| *more > 0) {
        said.push_str(&wrapped("  ", &format!("and {more} more: `--json` has all")));
    }
    said
}

fn short(ending: &Ending) -> String {
    let name = end_name(&status_name(ending.verdict.as_ref()), ending.mark());
    format!("exit code {} {name}; {}", ending.exit, fleet(&ending.rest))
}

/// An end by the name people know, with what it means where that is no phase's.
pub(super) fn end_name(status: &str, mark: Mark) -> String {
    match mark {
        Mark::Done | Mark::Failed(_) | Mark::RolledBack | Mark::Aborted => status.to_owned(),
        Mark::Held => format!("{status}: a person is needed"),
        Mark::Stuck => format!("{status}: an undo failed, a person must repair"),
        Mark::Endless => "it never came to an end".to_owned(),
    }
}

/// Where the fleet stands.
pub(super) fn fleet(rest: &Rest) -> String {
    let Rest { old, new, kept, between, out } = rest;
    let names = |nodes: &[NodeName]| -> String {
        let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
        names.join(", ")
    };
    let mut said = format!("{new} new, {old} old");
    if !kept.is_empty() {
        let _ = write!(said, " (but for what no step undoes: {})", names(kept));
    }
    if !between.is_empty() {
        let _ = write!(said, ", between two releases: {}", names(between));
    }
    if out.is_empty() {
        said.push_str(", none out of traffic");
    } else {
        let _ = write!(said, ", out of traffic: {}", names(out));
    }
    said
}

/// What is played.
pub(super) fn with(play: &Play) -> String {
    match play {
        Play::Quiet => "nothing goes wrong".into(),
        Play::Kill { record } => format!("the controller is killed behind record {record}"),
        Play::Mishaps(mishaps) | Play::Resumed(mishaps) => {
            let told: Vec<String> = mishaps.iter().map(ToString::to_string).collect();
            let after =
                if matches!(play, Play::Resumed(_)) { ", repaired, then resumed" } else { "" };
            told.join(", then ") + after
        }
    }
}
