//! The lint finds what a hand, or a damaged file, could do to a plan.

use crate::fixture::*;
use zdu_model::contract::Class;
use zdu_model::ids::{CaptureName, SecretName, StepNo};
use zdu_model::plan::{Ask, Plan, Probe, Run, Subject, Target, Unknown, Want, Work};
use zdu_model::policy::FailureRule;
use zdu_model::procedure::{Capture, CaptureFrom, GoesBack, Over};
use zdu_model::text::{Piece, Text};
use zdu_model::time::Millis;
use zdu_plan::{LintRule, lint};

fn found(change: impl FnOnce(&mut Plan)) -> Vec<LintRule> {
    let mut plan = planned(&input()).plan;
    change(&mut plan);
    let mut rules: Vec<LintRule> = lint(&plan).into_iter().map(|finding| finding.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

/// The sentence is among those the changed plan is judged with.
#[track_caller]
fn says(change: impl FnOnce(&mut Plan), sentence: &str) {
    let mut plan = planned(&input()).plan;
    change(&mut plan);
    let said: Vec<String> = lint(&plan).iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|line| line == sentence), "{sentence:?} is not in {said:#?}");
}

fn lane(plan: &mut Plan) -> &mut Vec<StepNo> {
    &mut plan.stages[0].waves[0].lanes[0].steps
}

#[test]
fn a_number_that_is_not_its_index_is_found() {
    assert_eq!(found(|plan| plan.steps[3].no = StepNo(4)), [LintRule::Numbers, LintRule::OnePlace]);
}

#[test]
fn a_step_that_stands_twice_or_nowhere_is_found() {
    assert!(found(|plan| lane(plan).push(StepNo(7))).contains(&LintRule::OnePlace));
    assert_eq!(found(|plan| plan.stages[0].waves[0].gate.truncate(1)), [LintRule::OnePlace]);
    assert_eq!(found(|plan| plan.stages[0].waves[0].gate.push(StepNo(9999))), [LintRule::OnePlace]);
}

#[test]
fn a_step_that_undoes_itself_is_found() {
    assert!(found(|plan| plan.steps[7].undo.push(StepNo(7))).contains(&LintRule::Undo));
}

#[test]
fn a_disruptive_step_before_its_certificate_is_found() {
    assert!(found(|plan| lane(plan).swap(2, 3)).contains(&LintRule::Drain));
}

#[test]
fn a_disruptive_step_without_undo_is_found() {
    let rules = found(|plan| plan.steps[6].undo.clear());
    assert!(rules.contains(&LintRule::Undo), "{rules:?}");
}

#[test]
fn a_drain_without_its_way_back_is_found() {
    assert!(found(|plan| plan.steps[1].undo.clear()).contains(&LintRule::Drain));
    assert_eq!(found(|plan| plan.steps[1].undo.swap(0, 1)), [LintRule::Drain]);
}

#[test]
fn an_undrain_before_readiness_is_found() {
    assert!(found(|plan| lane(plan).swap(4, 5)).contains(&LintRule::Return));
}

#[test]
fn a_change_after_readiness_is_found() {
    assert!(found(|plan| lane(plan).swap(3, 4)).contains(&LintRule::Return));
}

#[test]
fn a_node_that_never_returns_is_found() {
    assert!(found(|plan| lane(plan).truncate(4)).contains(&LintRule::Return));
}

#[test]
fn a_node_that_stands_in_two_waves_is_found() {
    let rules = found(|plan| {
        let lane = plan.stages[0].waves[0].lanes[0].clone();
        plan.stages[0].waves[1].lanes.push(lane);
    });
    assert_eq!(rules, [LintRule::OnePlace, LintRule::Waves]);
}

#[test]
fn a_step_of_another_subject_is_found() {
    let rules = found(|plan| plan.steps[6].subject = Subject::Node(name("node-b")));
    assert_eq!(rules, [LintRule::Subjects]);
    let rules = found(|plan| plan.steps[7].subject = Subject::Fleet);
    assert_eq!(rules, [LintRule::Subjects]);
}

#[test]
fn a_secret_in_argv_is_found() {
    let rules = found(|plan| {
        let secret = Text(vec![Piece::Secret(SecretName::new("key").expect("valid"))]);
        command(&mut plan.steps[6].work).expect("a command").argv.push(secret);
    });
    assert_eq!(rules, [LintRule::Secrets]);
}

#[test]
fn a_wait_without_a_deadline_is_found() {
    assert_eq!(found(|plan| plan.steps[0].deadline = Millis(0)), [LintRule::Limits]);
}

#[test]
fn a_newer_format_and_a_missing_last_rule_are_found() {
    assert_eq!(found(|plan| plan.format += 1), [LintRule::Format]);
    assert_eq!(found(|plan| plan.rules.clear()), [LintRule::Rules]);
}

#[test]
fn a_last_rule_that_asks_for_anything_does_not_always_fit() {
    let conditions: [fn(&mut FailureRule); 5] = [
        |rule| rule.phase = Some(phase("APPLY")),
        |rule| rule.exit = vec![1],
        |rule| rule.class = vec![Class::Failed],
        |rule| rule.output = Some("no".into()),
        |rule| rule.failed_nodes = Some(1),
    ];
    for condition in conditions {
        let rules = found(|plan| condition(plan.rules.last_mut().expect("a rule")));
        assert_eq!(rules, [LintRule::Rules]);
    }
}

#[test]
fn names_that_stand_for_nothing_are_found() {
    let nowhere = "step 6: no phase is called NOWHERE (Subjects)";
    says(|plan| plan.steps[6].phase = phase("NOWHERE"), nowhere);
    let ghost = "step 6: no node is called ghost (Subjects)";
    says(|plan| plan.steps[6].target = Target::Node(name("ghost")), ghost);
}

#[test]
fn a_step_without_an_attempt_is_found_and_a_soak_may_be_over_at_once() {
    let none = "step 6: it has no attempt or no time (Limits)";
    says(|plan| plan.steps[6].attempts = 0, none);
    assert_eq!(found(|plan| plan.steps[14].deadline = Millis(0)), []);
}

#[test]
fn a_compensation_that_is_a_point_of_no_return_is_found() {
    let end = "step 7: a compensation must be the end of the way (Undo)";
    says(|plan| plan.steps[7].point_of_no_return = true, end);
}

#[test]
fn only_what_prepares_nodes_is_kept_by_them() {
    let keeps = "stage apply prepares nothing that a node could keep (Waves)";
    says(|plan| plan.stages[0].goes_back = GoesBack::WithRollout, keeps);
}

#[test]
fn waves_have_lanes_and_a_width_the_policy_allows() {
    let bad = "a wave of stage apply has no lane, or a bad width (Waves)";
    says(|plan| plan.stages[0].waves[0].parallel = 0, bad);
    says(|plan| plan.stages[0].waves[0].parallel = 2, bad);
    says(|plan| plan.stages[0].waves[0].lanes.clear(), bad);
    says(|plan| plan.stages[0].waves.clear(), "stage apply has 0 waves (Waves)");
    says(|plan| plan.stages[0].over = Over::Nodes, "stage apply has 3 waves (Waves)");
}

#[test]
fn a_gate_only_watches_asks_and_is_about_the_fleet() {
    let fleet = "step 14: a gate is about the fleet (Subjects)";
    says(|plan| plan.steps[14].subject = Subject::Node(name("node-a")), fleet);
    let watches = "step 14: a gate only watches and asks (Waves)";
    says(|plan| plan.steps[14].needs_drain = true, watches);
    says(|plan| plan.steps[14].work = Work::Drain, watches);
}

#[test]
fn lanes_are_about_what_their_stage_goes_over() {
    let node = "a lane of stage apply is about Node(NodeName(\"node-a\")) (Subjects)";
    says(|plan| plan.stages[0].over = Over::Once, node);
    let fleet = "a lane of stage apply is about Fleet (Subjects)";
    says(|plan| plan.stages[0].waves[0].lanes[0].subject = Subject::Fleet, fleet);
    let empty = "the lane is empty or leaves its node out (Return)";
    says(|plan| lane(plan).clear(), empty);
}

#[test]
fn only_a_rolling_stage_drains() {
    let guarded = "step 0: only a rolling stage drains (Drain)";
    says(|plan| plan.stages[0].over = Over::Nodes, guarded);
    let disruptive = "step 6: only a rolling stage drains (Drain)";
    says(
        |plan| {
            plan.stages[0].over = Over::Nodes;
            *lane(plan) = vec![StepNo(6)];
        },
        disruptive,
    );
}

#[test]
fn a_node_in_a_balancer_that_is_not_drained_is_found() {
    let bare = |plan: &mut Plan| *lane(plan) = vec![StepNo(8)];
    says(bare, "step 8: its node stands in a balancer and is not drained (Drain)");
    let rules = found(|plan| {
        bare(plan);
        plan.fleet.groups[0].nodes[0].members.clear();
    });
    assert_eq!(rules, [LintRule::OnePlace], "outside every balancer nothing is to be drained");
}

#[test]
fn every_act_of_a_lane_comes_once_and_in_its_order() {
    let twice = |at: usize| move |plan: &mut Plan| lane(plan).insert(at, StepNo([0, 1, 5][at - 1]));
    says(twice(1), "step 0: a second guard (Drain)");
    says(twice(2), "step 1: a drain without a guard before it (Drain)");
    says(twice(3), "step 5: a certificate without a drain before it (Drain)");
    let swapped = |a, b| move |plan: &mut Plan| lane(plan).swap(a, b);
    says(swapped(0, 1), "step 1: a drain without a guard before it (Drain)");
    says(swapped(1, 2), "step 5: a certificate without a drain before it (Drain)");
    says(swapped(4, 5), "step 9: an undrain without readiness before it (Return)");
    says(swapped(5, 6), "step 13: serving without an undrain before it (Return)");
    let again = |no| move |plan: &mut Plan| lane(plan).push(StepNo(no));
    says(again(9), "step 9: an undrain without readiness before it (Return)");
    says(again(13), "step 13: serving without an undrain before it (Return)");
    says(again(14), "step 14: a soak stands behind a wave, not in a lane (Waves)");
    says(again(6), "step 6: it needs a drain certificate and its node has none (Drain)");
    let late = |plan: &mut Plan| {
        plan.steps[6].needs_drain = false;
        lane(plan).push(StepNo(6));
    };
    says(late, "step 6: a change after the node has returned (Return)");
}

#[test]
fn an_undrain_without_certificate_is_found() {
    let uncertified = |plan: &mut Plan| {
        lane(plan).remove(2);
    };
    says(uncertified, "step 9: an undrain without readiness before it (Return)");
    says(uncertified, "step 6: it needs a drain certificate and its node has none (Drain)");
}

#[test]
fn acts_of_ours_are_undone_in_the_one_way_they_can_be() {
    says(|plan| plan.steps[9].undo.clear(), "step 9: it is undone by [] (Drain)");
    let guard = "step 0: it is undone by [other] (Drain)";
    says(|plan| plan.steps[0].undo = vec![StepNo(7)], guard);
    let certify = "step 5: it is undone by [soak] (Drain)";
    says(|plan| plan.steps[5].undo = vec![StepNo(14)], certify);
}

#[test]
fn a_disruptive_step_without_undo_may_have_somebodys_word() {
    let bare = |plan: &mut Plan| {
        plan.steps[6].undo.clear();
        let at = plan.stages[0].waves[0].lanes[0].steps.clone();
        assert_eq!(at[3], StepNo(6));
    };
    let undo = |change: fn(&mut Plan)| {
        let rules = found(|plan| {
            bare(plan);
            change(plan);
        });
        rules.contains(&LintRule::Undo)
    };
    assert!(undo(|plan| plan.policy.accept_no_undo = vec!["other".into()]));
    assert!(!undo(|plan| plan.policy.accept_no_undo = vec!["switch".into()]));
    assert!(!undo(|plan| plan.steps[6].point_of_no_return = true));
}

fn secret() -> Text {
    Text(vec![Piece::Secret(SecretName::new("key").expect("valid"))])
}

fn shows_secret() -> Run {
    let (argv, env) = (vec![secret()], Default::default());
    Run { argv, shell: false, cwd: None, env, stdin: None, user: None }
}

fn probe_that_shows() -> Probe {
    let every = Millis::from_secs(1);
    Probe { ask: Ask::Run(shows_secret()), want: Want::default(), times: 1, every }
}

#[test]
fn a_secret_in_the_environment_the_directory_or_a_probe_is_found() {
    let exposed = "step 6: the secret key stands where others can read it (Secrets)";
    says(
        |plan| {
            let run = command(&mut plan.steps[6].work).expect("a command");
            run.env.insert("KEY".into(), secret());
        },
        exposed,
    );
    says(|plan| command(&mut plan.steps[6].work).expect("one").cwd = Some(secret()), exposed);
    says(|plan| plan.steps[6].work = Work::Wait(probe_that_shows()), exposed);
    says(|plan| plan.steps[6].work = Work::Ready(vec![probe_that_shows()]), exposed);
    let observe = |done, not_done| Unknown::Observe { done, not_done };
    let plain = || Probe { ask: Ask::Tcp("a:80".into()), ..probe_that_shows() };
    let shows = || Box::new(probe_that_shows());
    says(|plan| plan.steps[6].unknown = observe(shows(), None), exposed);
    says(|plan| plan.steps[6].unknown = observe(Box::new(plain()), Some(shows())), exposed);
}

#[test]
fn a_captured_secret_is_found_where_others_can_read_it() {
    let id = || CaptureName::new("token").expect("valid");
    let make = |secret| Capture { name: id(), from: CaptureFrom::Output, secret };
    let uses = |plan: &mut Plan| {
        let run = command(&mut plan.steps[6].work).expect("a command");
        run.argv.push(Text(vec![Piece::Capture(id())]));
    };
    says(
        |plan| {
            plan.steps[6].capture = vec![make(true)];
            uses(plan);
        },
        "step 6: the secret value token stands where others can read it (Secrets)",
    );
    let rules = found(|plan| {
        plan.steps[6].capture = vec![make(false)];
        uses(plan);
    });
    assert_eq!(rules, []);
}
