//! The ways in which one step goes wrong, in words of operators, and which of them make sense for
//! which work.

use serde::{Deserialize, Serialize};
use zdu_model::plan::{Plan, PlannedStep, Target, Work};

/// A way in which something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The work fails each time and has changed nothing.
    Fail,
    /// The work fails each time and has done half of it.
    Half,
    /// The work never ends by itself.
    Hang,
    /// The work is done, and its end is never known.
    Lost,
    /// The node reboots meanwhile.
    Reboot,
    /// The node cannot be reached for longer than the reconnect deadline, while it works on.
    Cut,
    /// A node that should serve does not.
    Sick,
    /// Sessions on the node never end.
    Sessions,
    /// A balancer instance is stopped.
    Stopped,
    /// A balancer instance is reloaded and forgets what was set by command.
    Reload,
    /// Nobody does the manual step.
    Nobody,
}

impl Trouble {
    /// All of them, in the order of columns.
    pub const ALL: [Self; 11] = [
        Self::Fail,
        Self::Half,
        Self::Hang,
        Self::Lost,
        Self::Reboot,
        Self::Cut,
        Self::Sick,
        Self::Sessions,
        Self::Stopped,
        Self::Reload,
        Self::Nobody,
    ];

    /// Its word, which is also how it is asked for.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Half => "half",
            Self::Hang => "hang",
            Self::Lost => "lost",
            Self::Reboot => "reboot",
            Self::Cut => "cut",
            Self::Sick => "sick",
            Self::Sessions => "busy",
            Self::Stopped => "lbstop",
            Self::Reload => "reload",
            Self::Nobody => "nobody",
        }
    }

    /// What it is, as a fragment of a legend.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Fail => "fails every time, nothing changed",
            Self::Half => "fails every time, half of it done",
            Self::Hang => "never ends by itself",
            Self::Lost => "is done, and nobody hears of it",
            Self::Reboot => "the node reboots meanwhile",
            Self::Cut => "the node is cut off, longer than reconnect_deadline",
            Self::Sick => "a node that should serve does not, for good",
            Self::Sessions => "sessions on the node never end",
            Self::Stopped => "a balancer instance is down for 5 minutes",
            Self::Reload => "a balancer instance reloads and forgets the drain",
            Self::Nobody => "nobody does this manual step",
        }
    }

    /// By its word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| trouble.word() == word)
    }

    /// Those that make sense for a step.
    #[must_use]
    pub fn of(plan: &Plan, step: &PlannedStep) -> Vec<Self> {
        let on_node = matches!(step.target, Target::Node(_));
        let all: &[Self] = match &step.work {
            Work::Run(_) if on_node => {
                &[Self::Fail, Self::Half, Self::Hang, Self::Lost, Self::Reboot, Self::Cut]
            }
            Work::Run(_) => &[Self::Fail, Self::Half, Self::Hang, Self::Lost],
            Work::Http(_) => &[Self::Fail, Self::Half, Self::Lost],
            Work::Upload { .. } | Work::Backup { .. } if on_node => {
                &[Self::Fail, Self::Half, Self::Reboot, Self::Cut]
            }
            Work::Upload { .. } | Work::Backup { .. } => &[Self::Fail, Self::Half],
            Work::Guard { .. } if neighbour(plan, step).is_some() => &[Self::Sick, Self::Stopped],
            Work::Guard { .. } => &[Self::Stopped],
            Work::Drain => &[Self::Sessions, Self::Stopped, Self::Reload],
            Work::Certify => &[Self::Reboot, Self::Cut, Self::Stopped, Self::Reload],
            Work::Ready(_) => &[Self::Fail, Self::Reboot],
            Work::Undrain => &[Self::Stopped, Self::Reload],
            Work::Serving => &[Self::Sick, Self::Stopped, Self::Reload],
            Work::Soak(_) => &[],
            Work::Wait(_) => &[Self::Fail],
            Work::Manual { .. } => &[Self::Nobody],
        };
        all.to_vec()
    }
}

/// Another node of the group that stands in a balancer.
pub(super) fn neighbour<'p>(
    plan: &'p Plan,
    step: &PlannedStep,
) -> Option<&'p zdu_model::ids::NodeName> {
    let own = step.subject.node()?;
    let group = plan.fleet.groups.iter();
    let mut group = group.filter(|group| group.nodes.iter().any(|node| node.name == *own));
    let others = group.next()?.nodes.iter().filter(|node| node.name != *own);
    others.filter(|node| !node.members.is_empty()).map(|node| &node.name).next_back()
}
