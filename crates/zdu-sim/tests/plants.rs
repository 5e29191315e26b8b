//! Every checker is seen to fail: for each way to break a law on purpose some random rollout breaks
//! it, the checker for that law says so, and the same rollout without that is clean.

use zdu_model::event::Request;
use zdu_model::plan::{Plan, Work as Act};
use zdu_model::time::Millis;
use zdu_sim::fault::{
    Ask, BalancerTrouble, ControllerTrouble, Fault, NodeTrouble, What, When, Work,
};
use zdu_sim::swarm::{Range, setup};
use zdu_sim::{Plant, Violation, run};

/// Seeds that are tried for one plant; each is caught far earlier.
const SEEDS: u64 = 4_000;

/// Few nodes, because the tests are not optimised and most defects need few.
const NODES: u64 = 6;

/// Plays seeds until the checker catches the plant; the row of the table that says where.
fn caught(plant: Plant, checker: &str) -> String {
    caught_with(plant, checker, |_, _| Vec::new())
}

/// The same with faults that are rare by themselves, from a moment that differs from seed to seed.
fn caught_with(plant: Plant, checker: &str, faults: fn(u64, &Plan) -> Vec<Fault>) -> String {
    let range = Range { nodes_max: Some(NODES), ..Range::default() };
    for seed in 1..=SEEDS {
        let mut clean = setup(&range, seed);
        clean.faults.extend(faults(seed * 1_777 % 60_000, &clean.plan));
        let mut planted = clean.clone();
        planted.plant = Some(plant);
        let outcome = run(&planted);
        let found = outcome.violations.iter().find(|broken| broken.checker == checker);
        let Some(Violation { what, at, .. }) = found else { continue };
        let began = outcome.journal.first().map_or(at.0, |record| record.at.0);
        let others: Vec<_> = outcome.violations.iter().map(|broken| broken.checker).collect();
        let without = run(&clean);
        assert_eq!(without.violations, [], "seed {seed} breaks a law without the plant");
        let (plant, moment) = (format!("{plant:?}"), at.0.saturating_sub(began));
        return format!(
            "{plant:<22} {checker:<12} seed {seed:<5} at {moment:>8} ms: {what} (of {others:?})"
        );
    }
    panic!("{SEEDS} seeds with {plant:?} and {checker} never says so");
}

fn at(moment: u64, what: What) -> Fault {
    Fault { when: When::At(Millis(moment)), what }
}

/// No node can be reached while a controller stands still and is replaced; it wakes when they can.
fn replaced_while_it_connects(from: u64, plan: &Plan) -> Vec<Fault> {
    let cut = |name: &zdu_model::ids::NodeName| {
        at(from, What::Node(name.clone(), NodeTrouble::Cut, Millis(3_000)))
    };
    let mut faults: Vec<_> = plan.fleet.nodes().map(|node| cut(&node.name)).collect();
    faults.extend(ousted_as_it_sleeps(from + 2_500, plan));
    faults
}

/// A controller that stands still is ousted, and wakes when another one drives.
fn ousted_as_it_sleeps(from: u64, _: &Plan) -> Vec<Fault> {
    let paused = ControllerTrouble::Paused(Millis(40_000));
    let second = ControllerTrouble::Second;
    vec![at(from, What::Controller(paused)), at(from + 100, What::Controller(second))]
}

/// A controller that lives is ousted, and every instance is reloaded again and again: what was held
/// out is held out anew by whoever holds it.
fn ousted_over_reloads(from: u64, plan: &Plan) -> Vec<Fault> {
    let second = at(from, What::Controller(ControllerTrouble::Second));
    let times = (from..from + 10_000).step_by(500);
    times.flat_map(|from| reloads(from, plan)).chain([second]).collect()
}

/// Every instance is reloaded again and again, and the controller sleeps from the begin of whatever
/// a drained node is needed for.
fn sleeps_over_reloads(from: u64, plan: &Plan) -> Vec<Fault> {
    let times = (from..from + 300_000).step_by(10_000);
    let drained = plan.steps.iter().filter(|step| step.needs_drain);
    let paused = What::Controller(ControllerTrouble::Paused(Millis(15_000)));
    let sleep = |step| Fault { when: When::Step { step, nth: 1 }, what: paused.clone() };
    times.flat_map(|from| reloads(from, plan)).chain(drained.map(|step| sleep(step.no))).collect()
}

/// The controller sleeps from the begin of whatever is done to the balancers, and the nodes are
/// found sick again and again, for a while.
fn sleeps_as_nodes_fall_sick(from: u64, plan: &Plan) -> Vec<Fault> {
    let acts = plan.steps.iter().filter(|step| matches!(step.work, Act::Drain | Act::Undrain));
    let paused = What::Controller(ControllerTrouble::Paused(Millis(15_000)));
    let sleep = |step| Fault { when: When::Step { step, nth: 1 }, what: paused.clone() };
    let times = (from..from + 300_000).step_by(10_000);
    let sick = |from| {
        let nodes = plan.fleet.nodes().map(|node| node.name.clone());
        nodes.map(move |node| at(from, What::Node(node, NodeTrouble::KnownSick, Millis(4_000))))
    };
    times.flat_map(sick).chain(acts.map(|step| sleep(step.no))).collect()
}

/// Every instance is reloaded and keeps nothing of what was set by command.
fn reloads(from: u64, plan: &Plan) -> Vec<Fault> {
    let instances = plan.fleet.balancers.values().flat_map(|balancer| &balancer.instances);
    let reload = BalancerTrouble::Reload { keeps: false };
    instances.map(|one| at(from, What::Balancer(one.name.clone(), reload.clone()))).collect()
}

/// A person wants everything back, and no compensation passes.
fn nothing_goes_back(from: u64, plan: &Plan) -> Vec<Fault> {
    let undo = plan.undo_steps().into_iter();
    let mut faults: Vec<_> = undo
        .flat_map(|step| (1..=4).map(move |nth| When::Step { step, nth }))
        .map(|when| Fault { when, what: What::Work(Work::Fails(1)) })
        .collect();
    faults.push(at(from, What::Person(Ask::For(Request::Rollback))));
    faults
}

/// Every instance loses the reply to the first change, and the controller stands still every few
/// seconds.
fn replies_are_lost(from: u64, plan: &Plan) -> Vec<Fault> {
    let instances = plan.fleet.balancers.values().flat_map(|balancer| &balancer.instances);
    let loses = instances
        .map(|instance| at(0, What::Balancer(instance.name.clone(), BalancerTrouble::LosesReply)));
    let paused = What::Controller(ControllerTrouble::Paused(Millis(1_200)));
    let times = (from..from + 120_000).step_by(3_000);
    loses.chain(times.map(|moment| at(moment, paused.clone()))).collect()
}

#[test]
fn an_invented_capacity_lets_a_group_fall_below_its_least() {
    println!("{}", caught(Plant::CapacityIsInvented, "capacity"));
}

#[test]
fn an_invented_certificate_begins_work_on_a_node_in_traffic() {
    println!("{}", caught(Plant::CertificateIsInvented, "certificate"));
}

#[test]
fn a_drain_on_one_instance_only_is_no_drain() {
    println!("{}", caught(Plant::OneInstanceIsEnough, "certificate"));
}

#[test]
fn a_node_that_is_said_to_serve_by_nobody_is_seen() {
    println!("{}", caught(Plant::ServingIsInvented, "limits"));
}

#[test]
fn an_invented_readiness_returns_a_node_that_does_not_answer() {
    println!("{}", caught(Plant::ReadinessIsInvented, "readiness"));
}

#[test]
fn a_weight_that_is_not_put_back_is_seen() {
    println!("{}", caught(Plant::UndrainForgetsWeight, "restored"));
}

#[test]
fn a_member_found_in_maintenance_is_not_made_ready() {
    println!("{}", caught(Plant::UndrainMakesReady, "restored"));
}

#[test]
fn an_effect_without_a_durable_reason_is_seen_as_it_is_released() {
    println!("{}", caught(Plant::ReceiptBeforeDisk, "write_ahead"));
}

#[test]
fn an_unknown_outcome_is_not_called_a_failure() {
    println!("{}", caught(Plant::UnknownIsFailure, "unknown"));
}

#[test]
fn a_recovery_that_begins_the_step_anew_runs_it_twice() {
    println!("{}", caught(Plant::RecoveryRepeats, "unknown"));
}

#[test]
fn a_controller_that_lost_its_lease_and_goes_on_is_seen() {
    println!("{}", caught_with(Plant::OldControllerWrites, "fencing", ousted_as_it_sleeps));
}

#[test]
fn a_balancer_takes_acts_of_who_was_ousted_unless_it_is_waited_for() {
    println!("{}", caught_with(Plant::ForceDoesNotWait, "fencing", ousted_over_reloads));
}

#[test]
fn a_node_that_forgets_epochs_obeys_an_old_controller() {
    println!("{}", caught_with(Plant::NodesForgetEpochs, "fencing", replaced_while_it_connects));
}

#[test]
fn compensations_in_the_order_of_the_steps_are_seen() {
    println!("{}", caught(Plant::UnwindsForward, "order"));
}

#[test]
fn an_unwind_that_forgets_a_compensation_is_caught() {
    println!("{}", caught(Plant::UnwindForgets, "order"));
}

#[test]
fn a_point_of_no_return_crossed_without_a_word_is_seen() {
    println!("{}", caught(Plant::CrossesWithoutAsking, "order"));
}

#[test]
fn a_live_state_that_is_not_the_replayed_one_is_seen() {
    println!("{}", caught(Plant::StateForgets, "replay"));
}

#[test]
fn a_captured_secret_in_the_journal_is_found() {
    println!("{}", caught(Plant::CaptureLeaks, "secrets"));
}

#[test]
fn a_node_that_falls_back_by_itself_is_seen() {
    println!("{}", caught(Plant::NodeFallsBack, "monotonic"));
}

#[test]
fn a_release_that_was_rolled_back_and_begins_again_is_seen() {
    println!("{}", caught(Plant::RefusalsAreForgotten, "refused"));
}

#[test]
fn a_rollout_that_nobody_wakes_is_seen() {
    println!("{}", caught(Plant::NobodyWakes, "waits"));
}

#[test]
fn a_view_that_does_not_say_on_what_it_waits_is_seen() {
    println!("{}", caught(Plant::ViewSaysNothing, "waits"));
}

#[test]
fn an_act_that_landed_unheard_and_is_said_never_to_have_begun_is_seen() {
    println!("{}", caught_with(Plant::LostReplyIsNever, "never", replies_are_lost));
}

#[test]
fn a_stuck_step_that_is_tried_again_without_a_person_is_seen() {
    println!("{}", caught_with(Plant::StuckIsTriedAgain, "bounds", nothing_goes_back));
}

#[test]
fn a_drain_that_nobody_holds_lets_users_reach_a_node_taken_apart() {
    println!("{}", caught_with(Plant::KeeperSleeps, "lost", reloads));
}

#[test]
fn a_controller_that_is_not_told_that_it_slept_goes_by_old_certificates() {
    println!("{}", caught_with(Plant::StillnessIsNotTold, "certificate", sleeps_over_reloads));
}

#[test]
fn a_controller_that_is_not_told_that_it_slept_drains_by_what_it_read_before() {
    println!("{}", caught_with(Plant::StillnessIsNotTold, "capacity", sleeps_as_nodes_fall_sick));
}

#[test]
fn a_controller_that_is_not_told_that_it_slept_returns_nodes_by_old_proofs() {
    println!("{}", caught_with(Plant::StillnessIsNotTold, "readiness", sleeps_as_nodes_fall_sick));
}

#[test]
fn a_view_that_does_not_hear_of_stuck_nodes_is_seen() {
    println!("{}", caught_with(Plant::ViewIsDeaf, "report", nothing_goes_back));
}
