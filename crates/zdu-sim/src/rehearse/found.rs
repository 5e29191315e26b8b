//! What a rehearsal found, as data.

use super::Trouble;
use super::forecast::Forecast;
use serde::{Deserialize, Serialize};
use std::fmt;
use zdu_model::ids::{FleetName, GroupName, NodeName, PhaseName, ProcedureName, StepKey, StepNo};
use zdu_model::plan::Release;
use zdu_model::time::Millis;
use zdu_model::verdict::Verdict;

/// What a rehearsal found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The fleet.
    pub fleet: FleetName,
    /// The procedure.
    pub procedure: ProcedureName,
    /// The releases.
    pub release: Release,
    /// How many nodes the fleet has.
    pub nodes: usize,
    /// The seed of every play.
    pub seed: u64,
    /// How long it takes.
    pub forecast: Forecast,
    /// How much of each group serves meanwhile.
    pub rooms: Vec<Room>,
    /// The end of the undisturbed rollout.
    pub quiet: Ending,
    /// Single failures.
    pub failures: Vec<Played>,
    /// The controller, killed behind each record.
    pub kills: Kills,
    /// Pairs of failures.
    pub pairs: Vec<Played>,
    /// Failures whose cause was repaired, and the rollout resumed.
    pub resumes: Resumes,
    /// Steps that change something and are not undone.
    pub no_undo: Vec<Unmade>,
    /// Points of no return, in order.
    pub points: Vec<Point>,
    /// What to change in plan, procedure or policy; first what mends what counts.
    pub hints: Vec<Hint>,
    /// Whether one of them asks for a change of the procedure.
    pub changes_procedure: bool,
    /// What was not played.
    pub left_out: LeftOut,
}

/// What to change in plan, procedure or policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Whether it mends what counts for the exit code; the others are advice.
    pub counts: bool,
    /// What to change, and why.
    pub text: String,
}

/// How much of a group serves in the undisturbed rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The group.
    pub group: GroupName,
    /// Its nodes that stand in a balancer.
    pub nodes: usize,
    /// What must serve.
    pub min_available: u32,
    /// The most that were out at once by our hand.
    pub most_out: usize,
    /// The fewest that served.
    pub least_serving: usize,
}

/// Where a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The verdict; none when no controller came to one.
    pub verdict: Option<Verdict>,
    /// The exit code of `zdu run`.
    pub exit: u8,
    /// From start to end.
    pub took: Millis,
    /// What it waits for, when it is held.
    pub waits_for: Option<String>,
    /// What zdu says to do next.
    pub next: Vec<String>,
    /// Where the fleet stands.
    pub rest: Rest,
    /// The steps that were begun to undo others.
    pub undid: Vec<StepNo>,
    /// Those of them that failed at it and leave something stuck.
    pub stuck: Vec<StepNo>,
    /// Whether it is stuck for no other reason than that a node is sick. No plan can repair a
    /// node: it is not ready and stays out of traffic, which is right (law 3).
    pub only_sick: bool,
    /// Sessions that were cut or left behind by the policy of the drain deadline.
    pub cut: u64,
    /// Laws that were broken: defects of zdu.
    pub defects: Vec<Defect>,
}

/// Where the fleet stands at an end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rest {
    /// Nodes on the old release.
    pub old: usize,
    /// Nodes on the new release.
    pub new: usize,
    /// Those of them on which something stays that disturbs a node and that no step undoes. What
    /// it leaves there is not played: who accepted that it has no undo said that it needs none.
    pub kept: Vec<NodeName>,
    /// Nodes between the two.
    pub between: Vec<NodeName>,
    /// Nodes that are held out of traffic, or that zdu has not seen back in it.
    pub out: Vec<NodeName>,
}

/// A law that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// What watches over it.
    pub law: String,
    /// What was seen.
    pub what: String,
}

/// An ending in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It succeeded.
    Done,
    /// It failed with this exit code, and what the rules said was done.
    Failed(u8),
    /// Everything was put back.
    RolledBack,
    /// A person aborted it.
    Aborted,
    /// It stands still and waits for a person.
    Held,
    /// A compensation failed.
    Stuck,
    /// It never came to an end.
    Endless,
}

impl Ending {
    /// In one word.
    #[must_use]
    pub fn mark(&self) -> Mark {
        match &self.verdict {
            Some(Verdict::Succeeded) => Mark::Done,
            Some(Verdict::Failed { exit, .. }) => Mark::Failed(*exit),
            Some(Verdict::RolledBack) => Mark::RolledBack,
            Some(Verdict::Aborted) => Mark::Aborted,
            Some(Verdict::Held) => Mark::Held,
            Some(Verdict::Stuck { .. }) => Mark::Stuck,
            None => Mark::Endless,
        }
    }

    /// Whether nobody would want it: stuck, without an end, sessions cut, or a defect.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.only_sick || self.counts()
    }

    /// Whether it counts for the exit code: what is bad and can be mended.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.is_stuck() || self.cut > 0 || !self.defects.is_empty()
    }

    /// Whether something stays stuck, or it never ends, for another reason than a sick node.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        matches!(self.mark(), Mark::Stuck | Mark::Endless) && !self.only_sick
    }
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mishap {
    /// At which step.
    pub step: StepNo,
    /// What it is called.
    pub key: StepKey,
    /// The phase it is shown in.
    pub phase: PhaseName,
    /// The node it is about; none for the fleet.
    pub node: Option<NodeName>,
    /// What goes wrong.
    pub trouble: Trouble,
    /// The exit code, where one was asked for.
    pub code: Option<i32>,
    /// When the step begins, from the start of the rollout.
    pub at: Millis,
    /// Whether it goes wrong each time, and not only the first.
    pub lasts: bool,
    /// Whether the step undoes another.
    pub undoes: bool,
}

impl Mishap {
    /// Its step by name. An act that undoes may be called like the one it undoes.
    #[must_use]
    pub fn place(&self) -> String {
        let phase = if self.undoes { format!("{}/", self.phase) } else { String::new() };
        format!("{phase}{}", self.key)
    }

    /// Its step and what goes wrong there, on whichever node.
    #[must_use]
    pub fn at_step(&self) -> String {
        format!("{} {}", self.place(), self.trouble.word())
    }
}

impl fmt::Display for Mishap {
    /// As `--fault` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.as_ref().map_or("fleet", NodeName::as_str);
        write!(f, "{node}:{}={}", self.place(), self.trouble.word())?;
        self.code.map_or(Ok(()), |code| write!(f, "({code})"))
    }
}

/// Something that was played, and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Played {
    /// What went wrong.
    pub mishaps: Vec<Mishap>,
    /// What it came to.
    pub ending: Ending,
}

/// The controller, killed behind each record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kills {
    /// How many records the undisturbed rollout has.
    pub records: u64,
    /// Behind how many it was killed.
    pub played: usize,
    /// How many ended where the undisturbed rollout ends.
    pub same: usize,
    /// The others.
    pub others: Vec<Killed>,
}

/// A kill that changed the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    /// Behind this record.
    pub record: u64,
    /// What it came to.
    pub ending: Ending,
}

/// Failures that ended the rollout, whose cause was repaired before a person resumed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumes {
    /// How many.
    pub played: usize,
    /// Those that did not end with every node new.
    pub others: Vec<Played>,
}

/// A step that changes something and is not undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmade {
    /// The step.
    pub key: StepKey,
    /// On how many nodes, or how often, it is in the plan.
    pub count: usize,
    /// Whether it disturbs traffic.
    pub disruptive: bool,
}

/// A point of no return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The step.
    pub step: StepNo,
    /// What it is called.
    pub key: StepKey,
    /// The node; none for the fleet.
    pub node: Option<NodeName>,
    /// Whether a person is asked before.
    pub asks: bool,
}

/// What was not played, because others stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeftOut {
    /// Nodes at whose steps nothing failed.
    pub nodes: usize,
    /// Single failures at them.
    pub failures: usize,
    /// Records behind which the controller was not killed.
    pub kills: u64,
}

impl Rehearsal {
    /// Everything that was played except the undisturbed rollout.
    pub fn endings(&self) -> impl Iterator<Item = &Ending> {
        let failures = self.failures.iter().chain(&self.pairs).chain(&self.resumes.others);
        let failures = failures.map(|played| &played.ending);
        failures.chain(self.kills.others.iter().map(|killed| &killed.ending))
    }

    /// Whether something ended as nobody would want it, and can be mended.
    #[must_use]
    pub fn found_something(&self) -> bool {
        let undisturbed = self.quiet.counts() || self.quiet.mark() != Mark::Done;
        undisturbed || !self.resumes.others.is_empty() || self.endings().any(Ending::counts)
    }
}
