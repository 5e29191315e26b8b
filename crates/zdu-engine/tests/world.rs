//! A scripted world for the engine: answers every effect by a function, keeps every record, and
//! checks after each turn that replay gives the live state.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by the test files beside it")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use zdu_engine::{Input, Rollout};
use zdu_model::contract::{AgainLimit, Contract};
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Record, Request};
use zdu_model::fleet::{Fleet, Group, Member, Node, Reach};
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::policy::*;
use zdu_model::procedure::{GoesBack, Over, Phase, RollbackClass};
use zdu_model::report::*;
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

pub fn node(name: &str) -> NodeName {
    NodeName::new(name).expect("a name")
}

pub fn phase(name: &str) -> PhaseName {
    PhaseName::new(name).expect("a name")
}

pub fn policy() -> Policy {
    Policy {
        wave: vec![WaveSize::Count(1), WaveSize::Percent(100)],
        concurrency: 1,
        soak: Millis(1000),
        drain_deadline: Millis(60_000),
        on_drain_deadline: DrainExpiry::Fail,
        certify: CertifyPolicy { samples: 3, interval: Millis(20) },
        ready_deadline: Millis(60_000),
        serving_deadline: Millis(60_000),
        capacity_deadline: Millis(60_000),
        hold_deadline: Millis(3_600_000),
        reconnect_deadline: Millis(10_000),
        failures_allowed: 0,
        on_failure: vec![],
        cross_point_of_no_return: false,
        accept_no_undo: vec![],
        secrets: BTreeMap::new(),
    }
}

pub fn rule(phase_name: &str, action: FailureAction) -> FailureRule {
    FailureRule {
        stage: None,
        phase: Some(phase(phase_name)),
        exit: vec![],
        class: vec![],
        output: None,
        failed_nodes: None,
        action,
    }
}

/// Builds plans step by step.
pub struct Builder {
    pub plan: Plan,
}

impl Builder {
    pub fn new(nodes: &[&str], min_available: u32) -> Self {
        let group = Group {
            name: GroupName::new("gateway").expect("a name"),
            min_available,
            nodes: nodes
                .iter()
                .map(|name| Node {
                    name: node(name),
                    address: (*name).into(),
                    reach: Reach::Local,
                    zone: None,
                    roles: BTreeSet::new(),
                    members: vec![member(name)],
                    service_ports: vec![],
                    vars: BTreeMap::new(),
                })
                .collect(),
        };
        let phases = [("UPGRADE", 71), ("PRE-APPLY", 72), ("APPLY", 73), ("POST-APPLY", 74)];
        let mut phases: Vec<_> =
            phases.iter().map(|(name, exit)| Phase { name: phase(name), exit: *exit }).collect();
        phases.push(Phase { name: phase("ROLLBACK"), exit: 75 });
        let plan = Plan {
            format: PLAN_FORMAT,
            tool: "test".into(),
            fleet: Fleet {
                name: FleetName::new("fleet").expect("a name"),
                groups: vec![group],
                balancers: BTreeMap::new(),
                hosts: BTreeMap::new(),
                front: vec![],
            },
            procedure: ProcedureName::new("test").expect("a name"),
            procedure_digest: Digest(String::new()),
            release: Release { from: "1".into(), to: "2".into() },
            policy: policy(),
            phases,
            rollback_phase: phase("ROLLBACK"),
            stages: vec![],
            steps: vec![],
            rules: vec![
                rule("UPGRADE", FailureAction::Stop),
                rule("PRE-APPLY", FailureAction::RollbackNode),
                rule("APPLY", FailureAction::RollbackNode),
                rule("POST-APPLY", FailureAction::RollbackNode),
            ],
        };
        Self { plan }
    }

    pub fn step(&mut self, subject: &Subject, key: &str, in_phase: &str, work: Work) -> StepNo {
        let no = StepNo(u32::try_from(self.plan.steps.len()).expect("small"));
        let target = match subject {
            Subject::Node(node) => Target::Node(node.clone()),
            Subject::Fleet => Target::Controller,
        };
        self.plan.steps.push(PlannedStep {
            no,
            key: StepKey::new(key).expect("a name"),
            phase: phase(in_phase),
            subject: subject.clone(),
            target,
            work,
            contract: Contract { rules: vec![], again: AgainLimit { pause: Millis(2000), max: 5 } },
            deadline: Millis(30_000),
            takes: None,
            attempts: 1,
            needs_drain: false,
            unknown: Unknown::Hold,
            capture: vec![],
            undo: vec![],
            rollback: RollbackClass::Instant,
            point_of_no_return: false,
        });
        no
    }

    pub fn get(&mut self, no: StepNo) -> &mut PlannedStep {
        &mut self.plan.steps[no.0 as usize]
    }

    /// One wave over all nodes with one step in phase UPGRADE.
    pub fn nodes_stage(&mut self) {
        let nodes: Vec<_> = self.plan.fleet.nodes().map(|node| node.name.clone()).collect();
        let mut lanes = vec![];
        for node in nodes {
            let subject = Subject::Node(node);
            let step = self.step(&subject, "upgrade", "UPGRADE", run());
            let undo = self.step(&subject, "clean", "ROLLBACK", run());
            self.get(step).undo = vec![undo];
            lanes.push(Lane { subject, steps: vec![step] });
        }
        let parallel = 100;
        let waves = vec![Wave { lanes, parallel, gate: vec![] }];
        self.stage("upgrade", Over::Nodes, waves);
    }

    /// A stage that belongs to no node, with steps that can be undone.
    pub fn fleet_stage(&mut self, keys: &[&str]) {
        let mut steps = vec![];
        for key in keys {
            let step = self.step(&Subject::Fleet, key, "APPLY", run());
            let undo = self.step(&Subject::Fleet, &format!("undo-{key}"), "ROLLBACK", run());
            self.get(step).undo = vec![undo];
            steps.push(step);
        }
        let lanes = vec![Lane { subject: Subject::Fleet, steps }];
        self.stage("fleet", Over::Once, vec![Wave { lanes, parallel: 1, gate: vec![] }]);
    }

    /// The step with this key on this node.
    pub fn find(&mut self, key: &str, on: &str) -> &mut PlannedStep {
        let here = |step: &&mut PlannedStep| {
            step.key.as_str() == key && step.subject.node().is_none_or(|n| n.as_str() == on)
        };
        self.plan.steps.iter_mut().find(here).expect("the plan has it")
    }

    /// A rolling stage with a wave per entry.
    pub fn rolling_stage(&mut self, waves: &[&[&str]], parallel: u32) {
        let mut planned = vec![];
        for names in waves {
            let lanes = names.iter().map(|name| self.rolling_lane(name)).collect();
            let soak = Work::Soak(Millis(1000));
            let gate = vec![self.step(&Subject::Fleet, "soak", "POST-APPLY", soak)];
            planned.push(Wave { lanes, parallel, gate });
        }
        self.stage("apply", Over::Rolling, planned);
    }

    fn stage(&mut self, name: &str, over: Over, waves: Vec<Wave>) {
        let name = StageName::new(name).expect("a name");
        self.plan.stages.push(PlannedStage { name, over, goes_back: GoesBack::WithNode, waves });
    }

    fn rolling_lane(&mut self, name: &str) -> Lane {
        let on = Subject::Node(node(name));
        let group = GroupName::new("gateway").expect("a name");
        let guard = |b: &mut Self, phase| {
            let step = b.step(&on, "guard", phase, Work::Guard { group: group.clone() });
            b.get(step).contract.again.max = 10;
            step
        };
        let mut add = |key: &str, phase: &str, work: Work, undo: &[(&str, Work)]| {
            let step = self.step(&on, key, phase, work);
            for (key, work) in undo {
                let undo = self.step(&on, key, "ROLLBACK", work.clone());
                self.get(step).undo.push(undo);
            }
            step
        };
        let ready = || Work::Ready(vec![]);
        let back = [("ready", ready()), ("undrain", Work::Undrain), ("serving", Work::Serving)];
        let out = [("drain", Work::Drain), ("certify", Work::Certify)];
        let drain = add("drain", "PRE-APPLY", Work::Drain, &back);
        let certify = add("certify", "PRE-APPLY", Work::Certify, &[]);
        let stop = add("stop-old", "PRE-APPLY", run(), &[("start-old", run())]);
        let apply = add("apply", "APPLY", run(), &[("stop-new", run())]);
        let ready = add("ready", "POST-APPLY", ready(), &[]);
        let undrain = add("undrain", "POST-APPLY", Work::Undrain, &out);
        let serving = add("serving", "POST-APPLY", Work::Serving, &[]);
        let first = guard(self, "PRE-APPLY");
        let again = guard(self, "ROLLBACK");
        self.get(undrain).undo.insert(0, again);
        for step in [stop, apply] {
            self.get(step).needs_drain = true;
        }
        Lane {
            subject: on,
            steps: vec![first, drain, certify, stop, apply, ready, undrain, serving],
        }
    }
}

pub fn member(name: &str) -> Member {
    member_of("edge", name)
}

pub fn member_of(balancer: &str, name: &str) -> Member {
    Member {
        balancer: BalancerName::new(balancer).expect("a name"),
        backend: "app".into(),
        server: name.into(),
    }
}

pub fn run() -> Work {
    Work::Run(Run {
        argv: vec![],
        shell: false,
        cwd: None,
        env: BTreeMap::new(),
        stdin: None,
        user: None,
    })
}

type Answer = Box<dyn FnMut(&PlannedStep, &Effect) -> Option<Report>>;

/// The world and the controller in one.
pub struct World {
    pub rollout: Rollout,
    pub records: Vec<Record>,
    pub now: Timestamp,
    pub epoch: Epoch,
    pub serving: BTreeMap<NodeName, MemberState>,
    pub answer: Answer,
    /// Keys with their node, in the order they were begun.
    pub log: Vec<String>,
    pub queue: VecDeque<Effect>,
    pub least_serving: usize,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let serving =
            plan.fleet.nodes().map(|node| (node.name.clone(), MemberState::Serving)).collect();
        let mut world = Self {
            rollout: Rollout::new(Arc::new(plan)),
            records: vec![],
            now: Timestamp(1_000_000),
            epoch: Epoch(1),
            serving,
            answer: Box::new(|_, _| None),
            log: vec![],
            queue: VecDeque::new(),
            least_serving: usize::MAX,
        };
        let plan = world.rollout.plan().clone();
        world.record(vec![Event::RolloutStarted {
            rollout: RolloutId::new("r1").expect("a name"),
            plan: Digest("d".into()),
            fleet: plan.fleet.name.clone(),
            procedure: plan.procedure.clone(),
            release: plan.release.clone(),
            by: "test".into(),
        }]);
        world.recover();
        world
    }

    pub fn answering(
        mut self,
        answer: impl FnMut(&PlannedStep, &Effect) -> Option<Report> + 'static,
    ) -> Self {
        self.answer = Box::new(answer);
        self
    }

    pub fn recover(&mut self) {
        let (epoch, owner) = (self.epoch, "test".into());
        self.record(vec![Event::ControllerStarted { epoch, owner }]);
        self.input(&Input::Recovered);
    }

    /// A controller dies: its effects and its memory are gone, the records are all there is.
    pub fn crash(&mut self) {
        self.queue.clear();
        self.epoch = Epoch(self.epoch.0 + 1);
        self.rollout = self.replay();
        self.recover();
    }

    pub fn replay(&self) -> Rollout {
        let mut rollout = Rollout::new(self.rollout.plan().clone());
        for record in &self.records {
            rollout.evolve(record).expect("a record of ours is legal");
        }
        rollout
    }

    pub fn request(&mut self, request: Request) {
        self.input(&Input::Request { request, by: "person".into(), reason: String::new() });
    }

    pub fn input(&mut self, input: &Input) {
        let decision = self.rollout.decide(self.now, input);
        self.record(decision.events);
        self.queue.extend(decision.effects);
        assert_eq!(self.replay(), self.rollout, "replay is not live");
    }

    fn record(&mut self, events: Vec<Event>) {
        for event in events {
            let seq = Seq(self.records.len() as u64 + 1);
            let record = Record { seq, at: self.now, epoch: self.epoch, event };
            self.rollout.evolve(&record).expect("our own event is legal");
            self.records.push(record);
        }
    }

    /// One turn; false when nothing is left to do but wait for a wake that does not exist.
    pub fn turn(&mut self) -> bool {
        let before = self.records.len();
        self.input(&Input::Advance);
        if self.records.len() > before {
            return true;
        }
        if let Some(effect) = self.queue.pop_front() {
            self.play(&effect);
            return true;
        }
        match self.rollout.decide(self.now, &Input::Advance).wake {
            Some(wake) => {
                self.now = Timestamp(wake.at.0.max(self.now.0 + 1));
                true
            }
            None => false,
        }
    }

    pub fn run(&mut self) -> Verdict {
        for _ in 0..5000 {
            if let Some(verdict) = self.rollout.verdict() {
                return verdict.clone();
            }
            if !self.turn() {
                break;
            }
        }
        panic!("no verdict; log: {:?}", self.log);
    }

    /// Does what the effect asks, and says so.
    pub fn play(&mut self, effect: &Effect) {
        let (Effect::Run { step, attempt }
        | Effect::Recover { step, attempt }
        | Effect::Observe { step, attempt }) = effect
        else {
            return;
        };
        let plan = self.rollout.plan().clone();
        let planned = plan.step(*step);
        if matches!(effect, Effect::Run { .. }) {
            let on = planned.subject.node().map_or("fleet".into(), ToString::to_string);
            self.log.push(format!("{}@{on}", planned.key));
        }
        let report = (self.answer)(planned, effect).unwrap_or_else(|| self.default(planned));
        let least = self.serving.values().filter(|s| **s == MemberState::Serving).count();
        self.least_serving = self.least_serving.min(least);
        self.now = self.now.after(Millis(10));
        self.input(&Input::Report { step: *step, attempt: *attempt, report });
    }

    fn default(&mut self, planned: &PlannedStep) -> Report {
        let on = planned.subject.node().cloned();
        match (&planned.work, on) {
            (Work::Guard { .. }, _) => self.reading(),
            (Work::Drain, Some(node)) => {
                self.serving.insert(node, MemberState::Draining);
                Report::bare(End::Done)
            }
            (Work::Undrain, Some(node)) => {
                self.serving.insert(node, MemberState::Serving);
                Report::bare(End::Done)
            }
            (Work::Run(_), _) => Report::bare(End::Exited(0)),
            _ => Report::bare(End::Done),
        }
    }

    fn reading(&self) -> Report {
        let members = self
            .serving
            .iter()
            .map(|(node, state)| MemberReading {
                node: node.clone(),
                member: member(node.as_str()),
                state: *state,
                held: Held::Ready,
                sessions: Some(0),
                queued: Some(0),
                weight: Some((1, 1)),
                detail: format!("{state:?}"),
            })
            .collect();
        let instance = InstanceName::new("lb-a").expect("a name");
        let balancer = BalancerName::new("edge").expect("a name");
        let reading = InstanceReading { balancer, instance, error: None, members };
        Report::with(End::Done, Evidence::Balancers(vec![reading]))
    }

    pub fn has(&self, want: impl Fn(&Event) -> bool) -> bool {
        self.records.iter().any(|record| want(&record.event))
    }
}
