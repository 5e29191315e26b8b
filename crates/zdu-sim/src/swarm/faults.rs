//! Random faults around a plan, in densities from none to many.

use crate::dice::Dice;
use crate::fault::{
    Ask, BalancerTrouble, ControllerTrouble, DiskTrouble, Fault, NodeTrouble, What, When,
    Work as Wrong,
};
use crate::run::Setup;
use std::sync::Arc;
use zdu_model::event::Request;
use zdu_model::ids::{InstanceName, NodeName, StepNo};
use zdu_model::plan::{Plan, Work};
use zdu_model::report::Held;
use zdu_model::time::Millis;

pub(super) fn around(plan: Arc<Plan>, seed: u64) -> Setup {
    let mut dice = Dice::of(seed, "faults", 0);
    let many = match dice.below(10) {
        0 | 1 => 0,
        2..=5 => 1,
        6..=8 => dice.between(2, 4),
        _ => dice.between(5, 12),
    };
    let mut faults: Vec<Fault> = (0..many).map(|_| random(&mut dice, &plan)).collect();
    if dice.chance(8) {
        faults.extend(pushed(&mut dice, &plan));
    }
    let oddly_found = if dice.chance(20) { 30 } else { 0 };
    let afterwards = (0..dice.below(5)).map(|_| later(&mut dice)).collect();
    Setup { faults, oddly_found, afterwards, ..Setup::quiet(plan, seed) }
}

fn later(dice: &mut Dice) -> Ask {
    match dice.below(10) {
        0..=4 => Ask::For(Request::Resume),
        5 | 6 => Ask::ApproveWhatIsAsked,
        7 | 8 => Ask::For(Request::Rollback),
        _ => Ask::For(Request::Abort),
    }
}

/// A new configuration reaches every instance as guards look: for a moment the nodes that are out
/// are in traffic.
fn pushed(dice: &mut Dice, plan: &Plan) -> Vec<Fault> {
    let names = instances(plan);
    let guards = plan.steps.iter().filter(|step| matches!(step.work, Work::Guard { .. }));
    let guards = guards.filter(|_| dice.chance(50)).map(|step| step.no);
    let whens = guards.flat_map(|step| (1..=3).map(move |nth| When::Step { step, nth }));
    let each = whens.flat_map(|when| {
        let forgets = BalancerTrouble::Reload { keeps: false };
        let of = |name: &&InstanceName| What::Balancer((*name).clone(), forgets.clone());
        names.iter().map(of).map(|what| Fault { when: when.clone(), what }).collect::<Vec<_>>()
    });
    each.collect()
}

fn random(dice: &mut Dice, plan: &Plan) -> Fault {
    let steps = plan.steps.len() as u64;
    let step = StepNo(u32::try_from(dice.below(steps)).unwrap_or(0));
    let nth = u32::try_from(1 + dice.below(10) / 8).unwrap_or(1);
    let at_step = When::Step { step, nth };
    let records = steps * 2 + 4;
    match dice.below(100) {
        0..40 => Fault { when: at_step, what: What::Work(wrong(dice)) },
        40..55 => {
            let what = node_trouble(dice, plan);
            Fault { when: sometime(dice, at_step), what }
        }
        55..70 => {
            let what = balancer_trouble(dice, plan);
            Fault { when: sometime(dice, at_step), what }
        }
        70..78 => {
            let again = dice.span(10, 60_000);
            let what = What::Controller(ControllerTrouble::Killed(again));
            let record = When::Record(1 + dice.below(records));
            let when = if dice.chance(50) { record } else { sometime(dice, at_step) };
            Fault { when, what }
        }
        78..82 => {
            let span = dice.span(1_000, 90_000);
            let what = What::Controller(ControllerTrouble::Paused(span));
            Fault { when: sometime(dice, at_step), what }
        }
        82..85 => {
            let what = What::Controller(ControllerTrouble::Second);
            Fault { when: sometime(dice, at_step), what }
        }
        85..90 => disk(dice, records, at_step),
        _ => Fault { when: sometime(dice, at_step), what: What::Person(ask(dice)) },
    }
}

fn sometime(dice: &mut Dice, at_step: When) -> When {
    if dice.chance(60) { at_step } else { When::At(dice.span(0, 90_000)) }
}

fn wrong(dice: &mut Dice) -> Wrong {
    match dice.below(10) {
        0..=3 => Wrong::Fails(*dice.pick(&[1, 3, 9, 100])),
        4 | 5 => Wrong::Half(*dice.pick(&[1, 9])),
        6 => Wrong::Hangs,
        7 => Wrong::Slow(u32::try_from(dice.between(2, 20)).unwrap_or(2)),
        8 => Wrong::Silent,
        _ => Wrong::Unproved,
    }
}

fn some_node(dice: &mut Dice, plan: &Plan) -> NodeName {
    let nodes: Vec<&NodeName> = plan.fleet.nodes().map(|node| &node.name).collect();
    (*dice.pick(&nodes)).clone()
}

fn node_trouble(dice: &mut Dice, plan: &Plan) -> What {
    let node = some_node(dice, plan);
    let trouble = *dice.pick(&[
        NodeTrouble::Reboots,
        NodeTrouble::Sick,
        NodeTrouble::Cut,
        NodeTrouble::Cut,
        NodeTrouble::Lingers,
    ]);
    What::Node(node, trouble, dice.span(200, 90_000))
}

fn instances(plan: &Plan) -> Vec<&InstanceName> {
    let all = plan.fleet.balancers.values().flat_map(|balancer| &balancer.instances);
    all.map(|instance| &instance.name).collect()
}

fn balancer_trouble(dice: &mut Dice, plan: &Plan) -> What {
    let all = instances(plan);
    if all.is_empty() {
        return node_trouble(dice, plan);
    }
    let instance = (*dice.pick(&all)).clone();
    // Most are over soon; some last as long as a person who has to be called.
    let longest = *dice.pick(&[40_000, 40_000, 500_000]);
    let trouble = match dice.below(11) {
        0..=3 => BalancerTrouble::Reload { keeps: dice.chance(30) },
        4 | 5 => BalancerTrouble::Stopped(dice.span(200, longest)),
        6 | 7 => BalancerTrouble::Refuses(dice.span(200, longest)),
        8 => BalancerTrouble::LosesReply,
        _ => {
            let held = *dice.pick(&[Held::Ready, Held::Drain, Held::Maint]);
            BalancerTrouble::OtherHand(some_node(dice, plan), held)
        }
    };
    What::Balancer(instance, trouble)
}

fn disk(dice: &mut Dice, records: u64, at_step: When) -> Fault {
    let record = When::Record(1 + dice.below(records));
    match dice.below(3) {
        0 => {
            let what = What::Disk(DiskTrouble::Full(Millis(dice.between(100, 60_000))));
            Fault { when: sometime(dice, at_step), what }
        }
        1 => Fault { when: sometime(dice, at_step), what: What::Disk(DiskTrouble::SyncFails) },
        _ => Fault { when: record, what: What::Disk(DiskTrouble::Torn) },
    }
}

fn ask(dice: &mut Dice) -> Ask {
    let request = match dice.below(6) {
        0 | 1 => Request::Hold,
        2 => Request::Resume,
        3 => Request::Abort,
        4 => Request::Rollback,
        _ => return Ask::ApproveWhatIsAsked,
    };
    Ask::For(request)
}
