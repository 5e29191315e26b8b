//! Less of a fleet, a procedure and a policy.

use zdu_model::ids::NodeName;
use zdu_model::policy::WaveSize;
use zdu_model::procedure::{Stage, Step, UnknownRule};
use zdu_model::time::Millis;
use zdu_plan::Input;

/// The input without its nth part; the inner value is none when that part cannot be left out, the
/// outer one when there are no more parts.
pub(super) fn without(input: &Input, nth: usize) -> Option<Option<Input>> {
    let mut part = nth;
    for (count, leave_out) in parts(input) {
        if part < count {
            let mut less = input.clone();
            let left_out = leave_out(&mut less, part);
            return Some(left_out.then_some(less));
        }
        part -= count;
    }
    None
}

/// Leaves out one part; answers whether anything changed.
type LeaveOut = fn(&mut Input, usize) -> bool;

/// Kinds of parts, the largest first, with how many there are of each.
fn parts(input: &Input) -> [(usize, LeaveOut); 9] {
    let balancers = &input.fleet.balancers;
    let instances: usize = balancers.values().map(|balancer| balancer.instances.len()).sum();
    let steps: usize = input.procedure.stages.iter().map(|stage| stage.steps.len()).sum();
    [
        (input.procedure.stages.len(), stage),
        (input.fleet.groups.len(), group),
        (balancers.len(), balancer),
        (input.fleet.nodes().count(), node),
        (instances, instance),
        (steps, step),
        (input.policy.on_failure.len(), rule),
        (SIMPLER.len(), simpler),
        (steps, plainer_step),
    ]
}

fn stage(input: &mut Input, at: usize) -> bool {
    input.procedure.stages.remove(at);
    true
}

fn group(input: &mut Input, at: usize) -> bool {
    input.fleet.groups.remove(at);
    true
}

fn balancer(input: &mut Input, at: usize) -> bool {
    let Some(name) = input.fleet.balancers.keys().nth(at).cloned() else { return false };
    input.fleet.balancers.remove(&name);
    for node in input.fleet.groups.iter_mut().flat_map(|group| &mut group.nodes) {
        node.members.retain(|member| member.balancer != name);
    }
    true
}

fn node(input: &mut Input, at: usize) -> bool {
    let Some(name) = input.fleet.nodes().nth(at).map(|node| node.name.clone()) else {
        return false;
    };
    let is_not = |other: &NodeName| *other != name;
    for group in &mut input.fleet.groups {
        let before = group.nodes.len();
        group.nodes.retain(|node| is_not(&node.name));
        if group.nodes.len() < before {
            group.min_available = group.min_available.saturating_sub(1);
        }
    }
    input.fleet.groups.retain(|group| !group.nodes.is_empty());
    true
}

fn instance(input: &mut Input, at: usize) -> bool {
    let mut left = at;
    for balancer in input.fleet.balancers.values_mut() {
        let count = balancer.instances.len();
        if left < count {
            // A balancer without instances is another part.
            if count > 1 {
                balancer.instances.remove(left);
            }
            return count > 1;
        }
        left -= count;
    }
    false
}

/// The nth step of all stages.
fn stage_of(input: &mut Input, at: usize) -> Option<(&mut Stage, usize)> {
    let mut left = at;
    for stage in &mut input.procedure.stages {
        if left < stage.steps.len() {
            return Some((stage, left));
        }
        left -= stage.steps.len();
    }
    None
}

fn step(input: &mut Input, at: usize) -> bool {
    let Some((stage, at)) = stage_of(input, at) else { return false };
    let several = stage.steps.len() > 1;
    if several {
        stage.steps.remove(at);
    }
    several
}

fn rule(input: &mut Input, at: usize) -> bool {
    input.policy.on_failure.remove(at);
    true
}

const SIMPLER: [fn(&mut Input); 7] = [
    |input| input.policy.soak = Millis(0),
    |input| input.policy.wave = vec![WaveSize::Count(1)],
    |input| input.policy.concurrency = 1,
    |input| input.policy.failures_allowed = 0,
    |input| input.fleet.front.clear(),
    |input| input.procedure.stages.iter_mut().for_each(|stage| stage.parallel = None),
    |input| input.procedure.stages.iter_mut().for_each(|stage| stage.first.clear()),
];

fn simpler(input: &mut Input, at: usize) -> bool {
    let before = input.clone();
    SIMPLER[at](input);
    *input != before
}

fn plainer_step(input: &mut Input, at: usize) -> bool {
    let before = input.clone();
    let Some((stage, at)) = stage_of(input, at) else { return false };
    plain(&mut stage.steps[at]);
    *input != before
}

/// One attempt, nothing captured, one undo, unknown holds.
fn plain(step: &mut Step) {
    step.attempts = 1;
    step.capture.clear();
    step.outcome.rules.clear();
    step.unknown = UnknownRule::Hold;
    step.undo.truncate(1);
    for back in &mut step.undo {
        back.attempts = 1;
        back.unknown = UnknownRule::Hold;
    }
}
