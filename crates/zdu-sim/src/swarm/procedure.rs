//! Random procedures: one to three stages, of all three ways of going over a fleet.

use crate::dice::Dice;
use std::collections::BTreeMap;
use zdu_model::contract::{AgainLimit, Class, Contract, Rule};
use zdu_model::ids::{CaptureName, PhaseName, ProcedureName, RoleName, StageName, StepKey};
use zdu_model::policy::{FailureAction, FailureRule};
use zdu_model::procedure::{
    Action, AskTemplate, Capture, CaptureFrom, Deadline, GoesBack, HttpTemplate, Over, Phase,
    ProbeTemplate, Procedure, RoleDecl, RollbackClass, RunTemplate, Site, Stage, Step, UnknownRule,
    WantTemplate,
};
use zdu_model::text::Template;
use zdu_model::time::Millis;

const PHASES: [(&str, u8); 4] =
    [("UPGRADE", 71), ("PRE-APPLY", 72), ("APPLY", 73), ("POST-APPLY", 74)];

fn phase(name: &str) -> PhaseName {
    PhaseName::new(name).expect("a name")
}

pub(super) fn random(dice: &mut Dice) -> Procedure {
    let mut phases: Vec<Phase> =
        PHASES.iter().map(|(name, exit)| Phase { name: phase(name), exit: *exit }).collect();
    phases.push(Phase { name: phase("ROLLBACK"), exit: 75 });
    let mut stages = Vec::new();
    if dice.chance(30) {
        stages.push(plain_stage(dice, "prepare", Over::Nodes));
    }
    if dice.chance(20) {
        stages.push(plain_stage(dice, "expand", Over::Once));
    }
    stages.push(rolling_stage(dice, "roll", true));
    if dice.chance(15) {
        stages.push(rolling_stage(dice, "again", false));
    }
    if dice.chance(20) {
        stages.push(plain_stage(dice, "finish", Over::Once));
    }
    let name = ProcedureName::new("swarm").expect("a name");
    Procedure {
        name,
        summary: String::new(),
        source: String::new(),
        phases,
        rollback_phase: phase("ROLLBACK"),
        vars: BTreeMap::new(),
        secrets: BTreeMap::new(),
        roles: roles(),
        preflight: Vec::new(),
        stages,
        on_failure: PHASES.iter().map(|(name, _)| default_rule(dice, name)).collect(),
    }
}

fn roles() -> BTreeMap<RoleName, RoleDecl> {
    let role = |name: &str| RoleName::new(name).expect("a name");
    let declared = RoleDecl { help: String::new(), lookup: None, among: None, exactly: None };
    BTreeMap::from([(role("leader"), declared.clone()), (role("follower"), declared)])
}

fn default_rule(dice: &mut Dice, name: &str) -> FailureRule {
    let action = *dice.pick(&[
        FailureAction::RollbackNode,
        FailureAction::RollbackNode,
        FailureAction::Stop,
        FailureAction::Hold,
    ]);
    let class = Vec::new();
    let phase = Some(phase(name));
    FailureRule {
        stage: None,
        phase,
        exit: Vec::new(),
        class,
        output: None,
        failed_nodes: None,
        action,
    }
}

fn stage(name: &str, over: Over, steps: Vec<Step>) -> Stage {
    Stage {
        name: StageName::new(name).expect("a name"),
        over,
        only: Vec::new(),
        first: Vec::new(),
        last: Vec::new(),
        parallel: None,
        goes_back: GoesBack::WithNode,
        drain_phase: None,
        return_phase: None,
        ready: Vec::new(),
        ready_old: Vec::new(),
        steps,
    }
}

fn plain_stage(dice: &mut Dice, name: &str, over: Over) -> Stage {
    let count = dice.between(1, 2);
    let steps = (0..count).map(|at| {
        let mut step = random_step(dice, &format!("{name}-{at}"), "UPGRADE");
        step.disruptive = false;
        if over == Over::Once {
            step.on = Site::Controller;
        }
        for back in &mut step.undo {
            back.disruptive = false;
            back.on = step.on.clone();
        }
        step
    });
    let steps = steps.collect();
    let mut stage = stage(name, over, steps);
    stage.parallel = dice.chance(30).then_some(1);
    if over == Over::Nodes && dice.chance(40) {
        stage.goes_back = GoesBack::WithRollout;
    }
    stage
}

fn rolling_stage(dice: &mut Dice, name: &str, first: bool) -> Stage {
    let mut steps = Vec::new();
    let stop = random_step(dice, &format!("{name}-stop"), "PRE-APPLY");
    steps.push(stop);
    for at in 0..dice.between(1, 2) {
        steps.push(random_step(dice, &format!("{name}-apply-{at}"), "APPLY"));
    }
    if dice.chance(30) {
        steps.push(wait_step(&format!("{name}-wait")));
    }
    if first && dice.chance(10) {
        let mut last = random_step(dice, &format!("{name}-commit"), "POST-APPLY");
        (last.point_of_no_return, last.undo) = (true, Vec::new());
        steps.push(last);
    }
    if dice.chance(10) {
        let mut bare = random_step(dice, "no-undo", "APPLY");
        bare.undo = Vec::new();
        bare.rollback = RollbackClass::None;
        // Named in the policy, which can name it once.
        if first {
            steps.push(bare);
        }
    }
    let mut stage = stage(name, Over::Rolling, steps);
    stage.drain_phase = Some(phase("PRE-APPLY"));
    stage.return_phase = Some(phase("POST-APPLY"));
    stage.ready = vec![probe()];
    stage.ready_old = vec![probe()];
    stage.parallel = dice.chance(40).then(|| u32::try_from(dice.between(1, 3)).unwrap_or(1));
    if dice.chance(40) {
        stage.first = vec![RoleName::new("leader").expect("a name")];
    }
    stage
}

fn probe() -> ProbeTemplate {
    ProbeTemplate {
        ask: AskTemplate::Tcp(Template("node:1".into())),
        want: WantTemplate::default(),
        times: 1,
        every: Millis(500),
    }
}

fn run() -> RunTemplate {
    RunTemplate { argv: vec![Template("work".into())], ..RunTemplate::default() }
}

fn random_step(dice: &mut Dice, id: &str, in_phase: &str) -> Step {
    let mut step = bare_step(id, in_phase, random_action(dice));
    step.attempts = u32::try_from(1 + dice.below(2)).unwrap_or(1);
    step.unknown = match dice.below(3) {
        0 => UnknownRule::Hold,
        1 => UnknownRule::Rerun,
        _ => UnknownRule::Observe {
            done: Box::new(probe()),
            not_done: dice.chance(70).then(|| Box::new(probe())),
        },
    };
    if dice.chance(20) {
        let again = Rule {
            exit: vec![9],
            status: Vec::new(),
            output: None,
            json: None,
            class: Class::Again,
        };
        step.outcome.rules.push(again);
        step.outcome.again = AgainLimit { pause: Millis(300), max: 3 };
    }
    if dice.chance(10) && matches!(step.action, Action::Run(_)) {
        let name = CaptureName::new(format!("of-{id}")).expect("a name");
        let secret = dice.chance(70);
        step.capture = vec![Capture { name, from: CaptureFrom::Output, secret }];
    }
    for at in 0..dice.between(1, 2) {
        let mut back = bare_step(&format!("{id}-back-{at}"), in_phase, Action::Run(run()));
        back.attempts = u32::try_from(1 + dice.below(2)).unwrap_or(1);
        if dice.chance(50) {
            back.unknown = UnknownRule::Rerun;
        }
        step.undo.push(back);
    }
    step
}

fn random_action(dice: &mut Dice) -> Action {
    let path = |text: &str| Template(text.into());
    match dice.below(20) {
        0 => Action::Upload { from: path("a"), to: path("b"), mode: "0644".into() },
        1 => Action::Backup { path: path("a"), to: path("b") },
        2 => Action::Manual { instruction: path("do it") },
        3 => Action::Http(HttpTemplate {
            method: "POST".into(),
            url: path("http://node/"),
            ..HttpTemplate::default()
        }),
        _ => Action::Run(run()),
    }
}

fn wait_step(id: &str) -> Step {
    let mut step = bare_step(id, "POST-APPLY", Action::Wait(probe()));
    step.disruptive = false;
    step
}

fn bare_step(id: &str, in_phase: &str, action: Action) -> Step {
    Step {
        id: StepKey::new(id).expect("a name"),
        phase: phase(in_phase),
        when: None,
        on: Site::Node,
        action,
        outcome: Contract::default(),
        deadline: Deadline::Span(Millis::from_secs(60)),
        takes: None,
        attempts: 1,
        disruptive: true,
        unknown: UnknownRule::Hold,
        capture: Vec::new(),
        undo: Vec::new(),
        rollback: RollbackClass::Instant,
        point_of_no_return: false,
    }
}
