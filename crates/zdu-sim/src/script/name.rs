//! A step by names.

use std::fmt;
use zdu_model::ids::{NodeName, StepKey, StepNo};
use zdu_model::plan::{Plan, PlannedStep, Subject};

/// A step as people name it: `node-a apply`, `node-a drain/undrain` for the undrain that undoes the
/// drain, `fleet soak#2` for the second of that name in the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepName {
    /// The node it is about; absent for the fleet.
    pub node: Option<NodeName>,
    /// The step it undoes.
    pub undoes: Option<StepKey>,
    /// Its key.
    pub key: StepKey,
    /// Which of that name, in the order of the plan; from 1.
    pub which: usize,
}

/// The word for what is about no node.
pub(super) const FLEET: &str = "fleet";

impl StepName {
    /// The name of a step.
    ///
    /// # Panics
    /// When the plan has no such step.
    #[must_use]
    pub fn of(plan: &Plan, no: StepNo) -> Self {
        let step = plan.step(no);
        let undoes = undone(plan, no).map(|undone| undone.key.clone());
        let node = step.subject.node().cloned();
        let mut name = Self { node, undoes, key: step.key.clone(), which: 1 };
        let before = name.all(plan).into_iter().take_while(|same| *same != no);
        name.which = before.count() + 1;
        name
    }

    /// The number of the step in this plan.
    ///
    /// # Errors
    /// What the plan has in its place.
    pub fn find(&self, plan: &Plan) -> Result<StepNo, String> {
        let all = self.all(plan);
        let found = self.which.checked_sub(1).and_then(|at| all.get(at)).copied();
        found.ok_or_else(|| match all.len() {
            0 => format!("there is no step {self}{}", self.near(plan)),
            many => format!("there are only {many} steps {}", Self { which: 1, ..self.clone() }),
        })
    }

    fn all(&self, plan: &Plan) -> Vec<StepNo> {
        let same = |step: &&PlannedStep| {
            step.key == self.key
                && step.subject.node() == self.node.as_ref()
                && undone(plan, step.no).map(|undone| &undone.key) == self.undoes.as_ref()
        };
        plan.steps.iter().filter(same).map(|step| step.no).collect()
    }

    /// What the node has instead.
    fn near(&self, plan: &Plan) -> String {
        let subject = self.node.clone().map_or(Subject::Fleet, Subject::Node);
        let of_subject = plan.steps.iter().filter(|step| step.subject == subject);
        let keys: Vec<String> = of_subject.map(|step| Self::of(plan, step.no).path()).collect();
        match keys.is_empty() {
            true => "; nothing is done there".into(),
            false => format!("; there are {}", keys.join(", ")),
        }
    }

    /// The name without the node.
    pub(crate) fn path(&self) -> String {
        let Self { node: _, undoes, key, which } = self;
        let undoes = undoes.as_ref().map_or_else(String::new, |undone| format!("{undone}/"));
        let which = if *which > 1 { format!("#{which}") } else { String::new() };
        format!("{undoes}{key}{which}")
    }

    /// The name of what it is about.
    pub(crate) fn subject(&self) -> &str {
        self.node.as_ref().map_or(FLEET, NodeName::as_str)
    }
}

fn undone(plan: &Plan, no: StepNo) -> Option<&PlannedStep> {
    plan.steps.iter().find(|step| step.undo.contains(&no))
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject(), self.path())
    }
}
