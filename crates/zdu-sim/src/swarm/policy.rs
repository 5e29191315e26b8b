//! Random limits and failure rules.

use crate::dice::Dice;
use std::collections::BTreeMap;
use zdu_model::contract::Class;
use zdu_model::policy::{CertifyPolicy, DrainExpiry, FailureAction, FailureRule, Policy, WaveSize};
use zdu_model::procedure::Procedure;
use zdu_model::time::Millis;

pub(super) fn random(dice: &mut Dice, procedure: &Procedure) -> Policy {
    let waves = [
        vec![WaveSize::Count(1)],
        vec![WaveSize::Count(1), WaveSize::Percent(100)],
        vec![WaveSize::Percent(25)],
        vec![WaveSize::Count(1), WaveSize::Percent(34), WaveSize::Percent(100)],
    ];
    let hold = *dice.pick(&[Millis::from_secs(10), Millis::from_secs(600)]);
    Policy {
        wave: dice.pick(&waves).clone(),
        concurrency: u32::try_from(dice.between(1, 4)).unwrap_or(1),
        soak: *dice.pick(&[Millis(0), Millis(500), Millis::from_secs(20)]),
        drain_deadline: *dice.pick(&[Millis::from_secs(4), Millis::from_secs(60)]),
        on_drain_deadline: *dice.pick(&[
            DrainExpiry::Fail,
            DrainExpiry::Fail,
            DrainExpiry::Proceed,
            DrainExpiry::Kill,
        ]),
        certify: CertifyPolicy { samples: 3, interval: Millis(20) },
        ready_deadline: Millis::from_secs(30),
        serving_deadline: Millis::from_secs(30),
        capacity_deadline: *dice.pick(&[Millis::from_secs(60), Millis::from_secs(600)]),
        hold_deadline: hold,
        reconnect_deadline: *dice.pick(&[Millis::from_secs(5), Millis::from_secs(30)]),
        failures_allowed: u32::try_from(dice.below(3)).unwrap_or(0),
        on_failure: rules(dice, procedure),
        cross_point_of_no_return: dice.chance(50),
        accept_no_undo: vec!["no-undo".into()],
        secrets: BTreeMap::new(),
    }
}

/// The operator's rules: none, or one for some of the phases.
fn rules(dice: &mut Dice, procedure: &Procedure) -> Vec<FailureRule> {
    let mut rules = Vec::new();
    for phase in &procedure.phases {
        if dice.chance(60) {
            continue;
        }
        let action = *dice.pick(&[
            FailureAction::RollbackNode,
            FailureAction::RollbackNode,
            FailureAction::RollbackWave,
            FailureAction::RollbackRollout,
            FailureAction::Hold,
            FailureAction::Stop,
            FailureAction::GoOn,
            FailureAction::Retry { max: 2, pause: Millis(700) },
        ]);
        let class = match dice.below(5) {
            0 => vec![Class::Unknown],
            1 => vec![Class::Failed, Class::TimedOut],
            _ => Vec::new(),
        };
        let exit = if dice.chance(10) { vec![3] } else { Vec::new() };
        let failed_nodes = dice.chance(10).then_some(2);
        let phase = Some(phase.name.clone());
        rules.push(FailureRule {
            stage: None,
            phase,
            exit,
            class,
            output: None,
            failed_nodes,
            action,
        });
    }
    rules
}
