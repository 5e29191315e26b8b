//! What the views say at an end agrees with the world: nodes told as upgraded serve the new release
//! and those told as put back the old one, in traffic as they were found; nodes that need a person
//! are named with a next command; sessions told as cut or left were cut or left.

use super::Checker;
use crate::fault::What;
use crate::layout::Place;
use crate::seen::{Scene, Seen};
use crate::world::Standing;
use crate::world::node::Mark;
use std::collections::BTreeSet;
use zdu_model::event::{Event, Request};
use zdu_model::ids::{Epoch, InstanceName, NodeName, StepNo};
use zdu_model::plan::{PlannedStep, Subject, Work};
use zdu_model::report::End;
use zdu_model::verdict::Verdict;
use zdu_view::cell::PhaseCell;
use zdu_view::live::counts;
use zdu_view::next::next_commands;
use zdu_view::node::{NodeState, NodeView, Unwound};
use zdu_view::step::{StepState, StepView};
use zdu_view::table::{status_name, summary_table};

/// Compares at each end.
#[derive(Default)]
pub(super) struct Report {
    /// Instances something else happened to. Entries there may be as others left them.
    troubled: BTreeSet<InstanceName>,
    /// The newest epoch.
    newest: Epoch,
    /// Steps a person said happened. Whether they did is the person's word.
    vouched: BTreeSet<StepNo>,
}

impl Checker for Report {
    fn name(&self) -> &'static str {
        "report"
    }

    fn saw(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> Option<String> {
        match seen {
            Seen::Trouble(What::Balancer(instance, _)) => {
                self.troubled.insert(instance.clone());
                None
            }
            Seen::Durable(records) => {
                for record in *records {
                    if let Event::Requested { request: Request::Approve(step), .. } = &record.event
                        && !matches!(scene.layout.plan.step(*step).work, Work::Manual { .. })
                    {
                        self.vouched.insert(*step);
                    }
                }
                None
            }
            Seen::Started { epoch, .. } => {
                self.newest = *epoch;
                None
            }
            // A controller that was replaced and does not know it yet is another hand.
            Seen::Landed { slot, epoch, .. } if *epoch < self.newest => {
                let place = &scene.layout.slots[*slot];
                self.troubled.insert(scene.layout.instances[place.instance].clone());
                None
            }
            Seen::Verdict(verdict) => self.ended(scene, verdict),
            Seen::Over => sessions(scene),
            Seen::Gone { .. }
            | Seen::Released { .. }
            | Seen::Read { .. }
            | Seen::Began { .. }
            | Seen::Ended { .. }
            | Seen::Landed { .. }
            | Seen::Traffic
            | Seen::Trouble(_)
            | Seen::Rests { .. }
            | Seen::Asked { .. } => None,
        }
    }
}

impl Report {
    fn ended(&self, scene: &Scene<'_>, verdict: &Verdict) -> Option<String> {
        let view = scene.view;
        if view.verdict() != Some(verdict) {
            return Some(format!("it ends as {verdict:?} and the view says {:?}", view.verdict()));
        }
        let table = summary_table(view);
        if !table.contains(&status_name(Some(verdict))) {
            return Some(format!("the table does not say {}", status_name(Some(verdict))));
        }
        let next = next_commands(view);
        if let Some(why) = unnamed(scene, verdict, &next) {
            return Some(why);
        }
        let told = counts(view);
        let own = steps_of_nodes(scene);
        let all: Vec<Told<'_>> = view
            .nodes()
            .filter_map(|node| {
                let place = *scene.layout.places.get(&node.name)?;
                Some(Told { place, node, steps: &own[place] })
            })
            .collect();
        let upgraded = all.iter().filter(|told| told.is_upgraded(scene)).count();
        if told.done != upgraded {
            return Some(format!("{} nodes are counted as done, {upgraded} are", told.done));
        }
        let kept = kept_stages(scene);
        all.iter().find_map(|told| self.node(scene, told, kept))
    }

    fn node(&self, scene: &Scene<'_>, told: &Told<'_>, kept: Option<usize>) -> Option<String> {
        let Told { place, node, steps } = *told;
        let (name, state) = (&node.name, node.state());
        if steps.iter().any(|(planned, step)| self.is_exempt(planned, step)) {
            return None;
        }
        let upgraded = told.is_upgraded(scene);
        let standing = match state {
            NodeState::RolledBack => Standing::Old,
            NodeState::Serving if upgraded => Standing::New,
            NodeState::Serving
            | NodeState::Stuck
            | NodeState::Draining
            | NodeState::Drained
            | NodeState::Out
            | NodeState::Returning => return None,
        };
        let stages = scene.layout.disrupting[place].keys();
        // What a crossed point of no return keeps is not put back with the rest of the node.
        let mut stages = stages.filter(|stage| upgraded || kept.is_none_or(|kept| **stage > kept));
        if !stages.all(|stage| scene.world.stands(place, *stage, standing)) {
            return Some(format!("{name} is told as {} and does not stand so", state.word()));
        }
        if let Some(phase) = told.wrong_cell(scene).filter(|_| upgraded) {
            return Some(format!("{phase} of {name} is told as passed and is not done"));
        }
        self.traffic(scene, place)
            .map(|entry| format!("{name} is told as {}: {entry}", state.word()))
    }

    /// An end whose word is not the world's: a rule went on without it, a person vouched for it, or
    /// its contract calls success what changed nothing.
    fn is_exempt(&self, planned: &PlannedStep, step: &StepView) -> bool {
        let plain = step.last_end().is_none_or(|end| match &end.report.end {
            End::Exited(code) => *code == 0 || !end.class.passes(),
            End::Signaled(_)
            | End::Http(_)
            | End::Done
            | End::NotMet(_)
            | End::Waiting(_)
            | End::TimedOut
            | End::Unreachable(_)
            | End::Never
            | End::Lost(_)
            | End::EpochRefused { .. }
            | End::Refused(_) => true,
        });
        step.went_on || !plain || self.vouched.contains(&planned.no)
    }

    /// An entry that is not as it was found, on an instance nothing else happened to.
    fn traffic(&self, scene: &Scene<'_>, node: Place) -> Option<String> {
        scene.layout.slots_of_node[node].iter().find_map(|slot| {
            let (place, state) = (&scene.layout.slots[*slot], &scene.world.slots[*slot]);
            let instance = &scene.layout.instances[place.instance];
            let as_found = (state.held, state.weight) == state.found;
            (!as_found && !self.troubled.contains(instance)).then(|| {
                format!(
                    "{} on {instance} was {:?} and is {:?}",
                    place.member, state.found, state.held
                )
            })
        })
    }
}

/// The last stage in which a point of no return was begun.
fn kept_stages(scene: &Scene<'_>) -> Option<usize> {
    let crossed = scene
        .view
        .steps()
        .filter(|(planned, step)| planned.point_of_no_return && step.may_have_begun());
    crossed.map(|(planned, _)| scene.layout.step(planned.no).stage).max()
}

/// A step as it is planned and told.
type ToldStep<'a> = (&'a PlannedStep, &'a StepView);

/// What the view tells of a node.
struct Told<'a> {
    place: Place,
    node: &'a NodeView,
    steps: &'a [ToldStep<'a>],
}

/// The steps of each node, by its place.
fn steps_of_nodes<'a>(scene: &Scene<'a>) -> Vec<Vec<ToldStep<'a>>> {
    let mut own = vec![Vec::new(); scene.layout.nodes.len()];
    for told in scene.view.steps() {
        if let Some(node) = scene.layout.step(told.0.no).node {
            own[node].push(told);
        }
    }
    own
}

impl Told<'_> {
    /// Whether the view tells of it that it was upgraded: all of it passed and nothing went back.
    fn is_upgraded(&self, scene: &Scene<'_>) -> bool {
        let mut own = self.steps.iter().filter(|(planned, _)| !scene.view.is_undo(planned.no));
        self.node.state() == NodeState::Serving
            && self.node.unwound == Unwound::No
            && own.all(|(_, step)| step.passed())
    }

    /// A phase the table tells as passed although its work is not done on the node.
    fn wrong_cell(&self, scene: &Scene<'_>) -> Option<String> {
        let subject = Subject::Node(self.node.name.clone());
        let phases = scene.view.phases();
        let passed = phases.into_iter().filter(|phase| {
            matches!(scene.view.cell(&subject, phase), PhaseCell::Passed { exit } if exit == "0")
        });
        let mut wrong = passed.filter(|phase| {
            let mut own = self.steps.iter().filter(|(planned, step)| {
                planned.phase == **phase
                    && !scene.view.is_undo(planned.no)
                    && scene.layout.step(planned.no).changes
                    && matches!(step.state, StepState::Ended { .. })
            });
            own.any(|(planned, _)| scene.world.mark_of(self.place, planned.no) != Mark::Done)
        });
        wrong.next().map(ToString::to_string)
    }
}

/// A node that needs a person and that no next command names.
fn unnamed(scene: &Scene<'_>, verdict: &Verdict, next: &[String]) -> Option<String> {
    let stuck: BTreeSet<&NodeName> = match verdict {
        Verdict::Stuck { nodes } => nodes.iter().collect(),
        Verdict::Succeeded
        | Verdict::Failed { .. }
        | Verdict::RolledBack
        | Verdict::Aborted
        | Verdict::Held => BTreeSet::new(),
    };
    // From the records, so that a view that does not know is found out.
    let mut failed: BTreeSet<&NodeName> = BTreeSet::new();
    for record in scene.journal {
        if let Event::NodeStuck { node: Some(node), .. } = &record.event {
            failed.insert(node);
        }
        if let Event::StepStarted { step, .. } = &record.event
            && let Some(node) = scene.layout.plan.step(*step).subject.node()
        {
            failed.remove(node);
        }
    }
    let said = next.join("\n");
    let needs = matches!(verdict, Verdict::Stuck { .. } | Verdict::Failed { .. } | Verdict::Held);
    if needs && !next.iter().any(|line| line.starts_with("zdu ")) {
        return Some(format!("it ends as {verdict:?} and no command is next"));
    }
    let mut missing = stuck.union(&failed).filter(|node| !said.contains(node.as_str()));
    missing.next().map(|node| format!("{node} needs a person and no next step names it"))
}

/// Sessions the views tell of against those that were cut and left.
fn sessions(scene: &Scene<'_>) -> Option<String> {
    scene.view.nodes().find_map(|node| {
        let world = &scene.world.nodes[*scene.layout.places.get(&node.name)?];
        let sum = |of: fn(&zdu_view::node::Certificate) -> u64| {
            node.certificates.iter().map(of).sum::<u64>()
        };
        let told = (sum(|c| c.evidence.cut), sum(|c| c.evidence.left));
        // A certificate that a killed controller had is in no record, so fewer may be told.
        let more = told.0 > world.cut || told.1 > world.left;
        more.then(|| {
            let (name, was) = (&node.name, (world.cut, world.left));
            format!("{name}: {told:?} sessions are told as cut and left, {was:?} were")
        })
    })
}
