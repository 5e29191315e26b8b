//! Many endings as few lines: rows of a matrix in which nodes that behave alike are one, and the
//! ways in which a rollout ends with what leads there.

use super::Trouble;
use super::found::{Ending, Mark, Played, Rehearsal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::ids::{NodeName, PhaseName, StepKey};
use zdu_view::table::status_name;

/// What one trouble at one step comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// The end.
    pub mark: Mark,
    /// Whether sessions were cut or left behind.
    pub cut: bool,
    /// Whether a law was broken.
    pub defect: bool,
}

impl Cell {
    fn of(ending: &Ending) -> Self {
        Self { mark: ending.mark(), cut: ending.cut > 0, defect: !ending.defects.is_empty() }
    }
}

/// A row of the matrix: a step, on all nodes where the same troubles come to the same ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The phase of the step.
    pub phase: PhaseName,
    /// The step.
    pub key: StepKey,
    /// The nodes; empty for the fleet.
    pub nodes: Vec<NodeName>,
    /// What each trouble comes to.
    pub cells: BTreeMap<Trouble, Cell>,
}

/// The matrix of the single failures.
#[must_use]
pub fn rows(failures: &[Played]) -> Vec<Row> {
    // The step as the plan first has it, then the node.
    let mut keys: Vec<&StepKey> = Vec::new();
    let mut by_step: BTreeMap<(usize, u32), Row> = BTreeMap::new();
    for Played { mishaps, ending } in failures {
        let Some(mishap) = mishaps.first() else { continue };
        let at = keys.iter().position(|key| **key == mishap.key).unwrap_or_else(|| {
            keys.push(&mishap.key);
            keys.len() - 1
        });
        let row = by_step.entry((at, mishap.step.0)).or_insert_with(|| Row {
            phase: mishap.phase.clone(),
            key: mishap.key.clone(),
            nodes: mishap.node.iter().cloned().collect(),
            cells: BTreeMap::new(),
        });
        row.cells.insert(mishap.trouble, Cell::of(ending));
    }
    let mut rows: Vec<Row> = Vec::new();
    for row in by_step.into_values() {
        let alike = |known: &&mut Row| {
            known.key == row.key && known.cells == row.cells && known.phase == row.phase
        };
        match rows.iter_mut().find(alike) {
            None => rows.push(row),
            Some(known) => {
                let new = row.nodes.into_iter().filter(|node| !known.nodes.contains(node));
                let new: Vec<NodeName> = new.collect();
                known.nodes.extend(new);
            }
        }
    }
    rows
}

/// One way in which a rollout ends, with everything that leads there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// The end.
    pub mark: Mark,
    /// Its name, as the summary table has it.
    pub status: String,
    /// The exit code.
    pub exit: u8,
    /// How many plays end so.
    pub count: usize,
    /// Steps and what goes wrong at them; of a pair the second.
    pub by: Vec<(StepKey, Vec<Trouble>)>,
    /// The fewest and the most nodes that are on the new release then.
    pub new: (usize, usize),
    /// Nodes on the old release that keep what no step undoes, in one of them.
    pub kept: BTreeSet<NodeName>,
    /// Nodes that are between two releases in one of them.
    pub between: BTreeSet<NodeName>,
    /// Nodes that are out of traffic in one of them.
    pub out: BTreeSet<NodeName>,
    /// How many of them are stuck for no other reason than a sick node.
    pub only_sick: usize,
    /// What zdu says to do next: what has to be repaired in one of them, and each kind of command
    /// that is named in any of them.
    pub next: Vec<Next>,
    /// What a person is waited for, each once.
    pub waits_for: Vec<String>,
}

/// What zdu says to do next behind an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The line, as one of them has it.
    pub line: String,
    /// How many of them have a line of its kind.
    pub count: usize,
}

/// What makes lines about what to do next be of one kind: the verb of a command. Sentences are
/// about what happened there, and each is of its own.
fn kind(line: &str) -> &str {
    let verb = line.strip_prefix("zdu ").and_then(|words| words.split(' ').next());
    verb.unwrap_or(line)
}

impl Ends {
    /// A command is counted where it is offered: what one end offers, such as a rollback, is no
    /// offer of another.
    fn offered(&mut self, lines: &[String]) {
        let mut kinds = BTreeSet::new();
        for line in lines {
            let (first, new) = (self.count == 1, kinds.insert(kind(line)));
            match self.next.iter_mut().find(|next| kind(&next.line) == kind(line)) {
                Some(next) if new => next.count += 1,
                None if first || line.starts_with("zdu ") => {
                    self.next.push(Next { line: line.clone(), count: 1 });
                }
                Some(_) | None => {}
            }
        }
    }
}

/// The ways in which these end, the best first.
#[must_use]
pub fn ends(played: &[Played]) -> Vec<Ends> {
    let mut all: BTreeMap<Mark, Ends> = BTreeMap::new();
    for Played { mishaps, ending } in played {
        let ends = all.entry(ending.mark()).or_insert_with(|| Ends {
            mark: ending.mark(),
            status: status_name(ending.verdict.as_ref()),
            exit: ending.exit,
            count: 0,
            by: Vec::new(),
            new: (usize::MAX, 0),
            kept: BTreeSet::new(),
            between: BTreeSet::new(),
            out: BTreeSet::new(),
            only_sick: 0,
            next: Vec::new(),
            waits_for: Vec::new(),
        });
        ends.count += 1;
        ends.only_sick += usize::from(ending.only_sick);
        ends.offered(&ending.next);
        let rest = &ending.rest;
        ends.new = (ends.new.0.min(rest.new), ends.new.1.max(rest.new));
        ends.kept.extend(rest.kept.iter().cloned());
        ends.between.extend(rest.between.iter().cloned());
        ends.out.extend(rest.out.iter().cloned());
        let waits = ending.waits_for.iter().filter(|why| !ends.waits_for.contains(why));
        let waits: Vec<String> = waits.cloned().collect();
        ends.waits_for.extend(waits);
        if let Some(mishap) = mishaps.last() {
            let at = ends.by.iter().position(|(key, _)| *key == mishap.key);
            let at = at.unwrap_or_else(|| {
                ends.by.push((mishap.key.clone(), Vec::new()));
                ends.by.len() - 1
            });
            let troubles = &mut ends.by[at].1;
            if !troubles.contains(&mishap.trouble) {
                troubles.push(mishap.trouble);
                troubles.sort_unstable();
            }
        }
    }
    all.into_values().collect()
}

impl Rehearsal {
    /// Everything that broke a law, with what was played, to be reported.
    #[must_use]
    pub fn defects(&self) -> Vec<String> {
        let said = |with: &str, ending: &Ending| -> Vec<String> {
            let broken = ending.defects.iter();
            broken.map(|defect| format!("{}: {} ({with})", defect.law, defect.what)).collect()
        };
        let mut all = said("nothing went wrong", &self.quiet);
        for Played { mishaps, ending } in self.failures.iter().chain(&self.pairs) {
            let with: Vec<String> =
                mishaps.iter().map(|mishap| format!("--fault {mishap}")).collect();
            all.extend(said(&with.join(" "), ending));
        }
        for killed in &self.kills.others {
            all.extend(said(&format!("killed behind record {}", killed.record), &killed.ending));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fleet_of, rehearsed};
    use super::*;

    #[test]
    fn nodes_that_behave_alike_are_one_row() {
        let rehearsal = rehearsed(&fleet_of(&[3]), 0);
        let rows = rows(&rehearsal.failures);
        let change = rows.iter().filter(|row| row.key.as_str() == "change");
        let nodes: Vec<usize> = change.map(|row| row.nodes.len()).collect();
        assert_eq!(nodes, [3], "{rows:?}");
        let cells: usize = rows.iter().map(|row| row.cells.len() * row.nodes.len().max(1)).sum();
        assert_eq!(cells, rehearsal.failures.len(), "no cell is lost in the matrix");
    }

    #[test]
    fn a_command_that_only_some_ends_offer_is_counted() {
        let mut played = rehearsed(&fleet_of(&[2]), 0).failures;
        played.retain(|one| matches!(one.ending.mark(), Mark::Failed(73)));
        let all = ends(&played);
        let offered = |all: &[Ends], verb: &str| {
            let of_it = all[0].next.iter().find(|next| kind(&next.line) == verb);
            of_it.map(|next| next.count)
        };
        let count = all[0].count;
        assert_eq!(
            (offered(&all, "resume"), offered(&all, "rollback")),
            (Some(count), Some(count))
        );
        // Behind a point of no return nothing is put back.
        played[0].ending.next.retain(|line| kind(line) != "rollback");
        assert_eq!(offered(&ends(&played), "rollback"), Some(count - 1));
        for one in &mut played {
            one.ending.next.retain(|line| kind(line) != "rollback");
        }
        let none = ends(&played);
        assert_eq!((offered(&none, "resume"), offered(&none, "rollback")), (Some(count), None));
    }

    #[test]
    fn ends_count_every_play_once() {
        let rehearsal = rehearsed(&fleet_of(&[2]), 0);
        let ends = ends(&rehearsal.failures);
        assert_eq!(ends.iter().map(|end| end.count).sum::<usize>(), rehearsal.failures.len());
        assert!(ends.windows(2).all(|two| two[0].mark < two[1].mark), "the best first");
    }
}
