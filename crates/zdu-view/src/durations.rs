//! How long the steps of earlier rollouts took, by what the procedure calls them.

use crate::fold::RolloutView;
use std::collections::BTreeMap;
use zdu_model::ids::StepKey;
use zdu_model::time::Millis;

/// How long attempts that passed took, by step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations(BTreeMap<StepKey, Vec<Millis>>);

impl Durations {
    /// Adds a rollout. Only what passed counts: a failure ends early, or at its deadline.
    pub fn add(&mut self, view: &RolloutView) {
        for (planned, step) in view.steps() {
            for attempt in &step.attempts {
                let passed = attempt.end.as_ref().is_some_and(|end| end.class.passes());
                if let (true, Some(took)) = (passed, attempt.took()) {
                    self.0.entry(planned.key.clone()).or_default().push(took);
                }
            }
        }
    }

    /// The median of a step and how many attempts it stands on.
    #[must_use]
    pub fn median(&self, key: &StepKey) -> Option<(Millis, usize)> {
        let mut all = self.0.get(key)?.clone();
        all.sort_unstable();
        Some((*all.get(all.len() / 2)?, all.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Story;

    #[test]
    fn the_median_is_of_attempts_that_passed() {
        let mut story = Story::begin(&["a", "b", "c"]);
        story.pass_until(None);
        let mut durations = Durations::default();
        durations.add(&story.view());
        let key = StepKey::new("sysupgrade_upgrade").expect("a name");
        let (median, of) = durations.median(&key).expect("it ran");
        assert_eq!(of, 3);
        assert!(median > Millis(0));
        assert_eq!(durations.median(&StepKey::new("nothing").expect("a name")), None);
    }

    #[test]
    fn a_step_that_failed_says_nothing_about_how_long_it_takes() {
        let mut story = Story::begin(&["a"]);
        let bad = story.no("sysupgrade_upgrade", "a");
        story.pass_until(Some(bad));
        story.fail(bad, 100);
        let mut durations = Durations::default();
        durations.add(&story.view());
        assert_eq!(durations.median(&StepKey::new("sysupgrade_upgrade").expect("a name")), None);
    }
}
