//! The last line of a rehearsal: the exit code, and what it is for.

use zdu_model::verdict::exit;
use zdu_sim::rehearse::{Ending, Mark, Played, Rehearsal};

/// What is said of a node that stays sick.
pub(super) const REPAIRED_BY_NO_PLAN: &str =
    "no plan can repair a node: it stays out of traffic, which is right";

/// How many kinds of failures are named.
const NAMED_MAX: usize = 6;

/// The verdict on all that was played.
pub(crate) fn of_all(found: &Rehearsal) -> String {
    if found.found_something() { found_text(&reasons(found)) } else { nothing(found) }
}

/// The verdict on one failure.
pub(crate) fn of_one(ending: &Ending) -> String {
    let mut reasons: Vec<String> = Vec::new();
    if ending.is_stuck() {
        let endless = ending.mark() == Mark::Endless;
        reasons.push(if endless { "it never ends" } else { "it leaves a node stuck" }.into());
    }
    if ending.cut > 0 {
        reasons.push("it cuts sessions".into());
    }
    if !ending.defects.is_empty() {
        reasons.push("it breaks a law".into());
    }
    if ending.counts() {
        found_text(&reasons)
    } else if ending.only_sick {
        format!("exit code {}: {REPAIRED_BY_NO_PLAN}", exit::SUCCESS)
    } else {
        format!("exit code {}: it leaves no node stuck and cuts no session", exit::SUCCESS)
    }
}

fn found_text(reasons: &[String]) -> String {
    format!("exit code {} REHEARSAL_FOUND: {}", exit::REHEARSAL_FOUND, reasons.join("; "))
}

fn nothing(found: &Rehearsal) -> String {
    let text = format!(
        "exit code {}: nothing that was played leaves a node stuck, cuts a session or cannot be \
         resumed",
        exit::SUCCESS
    );
    let sick = |played: &&Played| played.ending.only_sick;
    let sick: Vec<&Played> = found.failures.iter().chain(&found.pairs).filter(sick).collect();
    if sick.is_empty() {
        return text;
    }
    format!("{text}, but for {}: {REPAIRED_BY_NO_PLAN}", kinds(&sick))
}

/// Everything that counts, the gravest first.
fn reasons(found: &Rehearsal) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let quiet = &found.quiet;
    if quiet.mark() != Mark::Done || quiet.counts() {
        all.push(format!("undisturbed it ends with exit code {}", quiet.exit));
    }
    let defects = found.defects().len();
    if defects > 0 {
        all.push(format!("{defects} defects of zdu"));
    }
    all.extend(those(found, "a node stuck", "leave", Ending::is_stuck));
    all.extend(those(found, "sessions", "cut", |ending| ending.cut > 0));
    let killed = found.kills.others.iter().filter(|killed| killed.ending.counts()).count();
    if killed > 0 {
        all.push(format!("{killed} kills of the controller leave a node stuck or cut sessions"));
    }
    let others = found.resumes.others.len();
    if others > 0 {
        let all_new = "repaired and resumed, do not end with every node new";
        all.push(format!("{others} failures, {all_new}"));
    }
    all
}

/// How many single failures and pairs do that, and which.
fn those(found: &Rehearsal, what: &str, does: &str, is: fn(&Ending) -> bool) -> Option<String> {
    let of = |list: &'_ [Played]| list.iter().filter(|one| is(&one.ending)).count();
    let (singles, pairs) = (of(&found.failures), of(&found.pairs));
    let all = found.failures.iter().chain(&found.pairs).filter(|one| is(&one.ending));
    let all: Vec<&Played> = all.collect();
    let counted = |count: usize, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {one}s")),
    };
    let parts = [counted(singles, "single failure"), counted(pairs, "pair")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let does = if singles + pairs == 1 { format!("{does}s") } else { does.to_owned() };
    (!all.is_empty()).then(|| format!("{} {does} {what} ({})", parts.join(" and "), kinds(&all)))
}

/// Steps and what goes wrong at them, of a pair the second, each once.
fn kinds(played: &[&Played]) -> String {
    let mut all: Vec<String> = Vec::new();
    for mishap in played.iter().filter_map(|one| one.mishaps.last()) {
        let kind = mishap.at_step();
        if !all.contains(&kind) {
            all.push(kind);
        }
    }
    let more = all.len().saturating_sub(NAMED_MAX);
    all.truncate(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", all.join(", "))
}
