//! What the plan and the policy bound: how many lanes of a wave change at once, how long a wave is
//! watched, how many nodes may fail before no other begins; and law 3's last half, that a node
//! counts as serving by what every instance shows.

use super::Checker;
use super::order::{Rank, ranks};
use crate::fault::{BalancerTrouble, What};
use crate::seen::{Scene, Seen};
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::event::{Event, Record, Request, UnwindScope};
use zdu_model::fleet::Member;
use zdu_model::ids::{InstanceName, NodeName, StepNo};
use zdu_model::plan::Work;
use zdu_model::report::{Evidence, MemberState};
use zdu_model::time::Timestamp;

/// Watches the journal.
#[derive(Default)]
pub(super) struct Limits {
    /// Where each forward step stands; filled once.
    ranks: BTreeMap<StepNo, Rank>,
    /// Steps that are under way, by stage and wave and in it by lane.
    under_way: BTreeMap<(usize, usize), BTreeMap<usize, BTreeSet<StepNo>>>,
    /// When each soak was begun.
    soaks: BTreeMap<StepNo, Timestamp>,
    /// Lanes that have begun since a person last resumed.
    begun: BTreeSet<Lane>,
    /// Nodes that were put back by themselves since then.
    failed: BTreeSet<NodeName>,
    /// Nodes another hand took out or in: what they are to be again is for `restored` to say.
    touched: BTreeSet<NodeName>,
    /// Where each node served when its guard looked before it was taken out.
    served: BTreeMap<NodeName, BTreeSet<(InstanceName, Member)>>,
    /// Nodes whose drain was begun, and that were not seen back. What a guard reads of them is what
    /// our own drain, or a reload that forgot what another hand had set, has made of them.
    out: BTreeSet<NodeName>,
}

/// Stage, wave, lane.
type Lane = (usize, usize, usize);

impl Checker for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        if let Seen::Trouble(What::Balancer(_, BalancerTrouble::OtherHand(node, _))) = seen {
            self.touched.insert(node.clone());
        }
        let Seen::Durable(records) = seen else { return None };
        if self.ranks.is_empty() {
            self.ranks = ranks(scene);
        }
        records.iter().find_map(|record| self.durable(scene, record))
    }
}

impl Limits {
    fn durable(&mut self, scene: &Scene<'_>, record: &Record) -> Option<String> {
        if let Event::StepStarted { step, .. } = &record.event {
            self.soaks.insert(*step, record.at);
            let planned = scene.layout.plan.step(*step);
            if let (Work::Drain, Some(node)) = (&planned.work, planned.subject.node()) {
                self.out.insert(node.clone());
            }
            return self.begins(scene, *step);
        }
        if let Event::StepEnded { step, class, report, .. } = &record.event {
            self.no_longer_under_way(*step);
            return if class.passes() {
                self.passes(scene, record.at, *step, &report.evidence)
            } else {
                None
            };
        }
        if let Event::UnwindStarted { scope: UnwindScope::Node(node), .. } = &record.event {
            self.failed.insert(node.clone());
        }
        let resumed = matches!(&record.event, Event::Requested { request: Request::Resume, .. });
        if resumed {
            self.failed.clear();
        }
        None
    }

    /// The lane of a forward step; a gate has none.
    fn lane(&self, step: StepNo) -> Option<Lane> {
        let (stage, wave, lane, _) = *self.ranks.get(&step)?;
        (lane != usize::MAX).then_some((stage, wave, lane))
    }

    fn begins(&mut self, scene: &Scene<'_>, step: StepNo) -> Option<String> {
        let lane = self.lane(step)?;
        let plan = &scene.layout.plan;
        let anew = self.begun.insert(lane);
        let allowed = usize::try_from(plan.policy.failures_allowed).unwrap_or(usize::MAX);
        if anew && self.failed.len() > allowed {
            let failed = self.failed.len();
            return Some(format!("step {step} begins a node, and {failed} were put back"));
        }
        let here = self.under_way.entry((lane.0, lane.1)).or_default();
        here.entry(lane.2).or_default().insert(step);
        let wide = here.len();
        let parallel = plan.stages[lane.0].waves[lane.1].parallel;
        let most = usize::try_from(parallel).unwrap_or(usize::MAX);
        (wide > most)
            .then(|| format!("step {step} begins beside {} others, at most {most}", wide - 1))
    }

    fn no_longer_under_way(&mut self, step: StepNo) {
        let Some((stage, wave, lane)) = self.lane(step) else { return };
        let Some(here) = self.under_way.get_mut(&(stage, wave)) else { return };
        if let Some(steps) = here.get_mut(&lane) {
            steps.remove(&step);
            if steps.is_empty() {
                here.remove(&lane);
            }
        }
    }

    fn passes(
        &mut self,
        scene: &Scene<'_>,
        at: Timestamp,
        step: StepNo,
        evidence: &Evidence,
    ) -> Option<String> {
        let planned = scene.layout.plan.step(step);
        if let Work::Soak(span) = &planned.work {
            let begun = self.soaks.get(&step)?;
            let short = at.since(*begun) < *span;
            return short.then(|| format!("step {step} watched for {} only", at.since(*begun)));
        }
        let Evidence::Balancers(readings) = evidence else {
            let looks = matches!(planned.work, Work::Serving);
            return looks.then(|| format!("step {step} passed, and nobody looked"));
        };
        let node = planned.subject.node()?;
        let members = &scene.layout.declared(scene.layout.step(step).node?).members;
        let serves = readings.iter().flat_map(|reading| {
            let ours = reading.members.iter().filter(|read| members.contains(&read.member));
            let serving = ours.filter(|read| read.state == MemberState::Serving);
            serving.map(|read| (reading.instance.clone(), read.member.clone()))
        });
        let serves: BTreeSet<(InstanceName, Member)> = serves.collect();
        if matches!(planned.work, Work::Guard { .. }) && self.lane(step).is_some() {
            let before = self.served.entry(node.clone()).or_default();
            if self.out.contains(node) {
                before.retain(|one| serves.contains(one));
            } else {
                *before = serves;
            }
        } else if matches!(planned.work, Work::Serving) {
            self.out.remove(node);
            let before = self.served.get(node).filter(|_| !self.touched.contains(node))?;
            let (instance, member) = before.iter().find(|one| !serves.contains(*one))?;
            return Some(format!("step {step} passed, and {member} does not serve on {instance}"));
        }
        None
    }
}
