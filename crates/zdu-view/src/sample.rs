//! A small plan in the shape of the Axway procedure and a way to tell stories about it.

use std::collections::BTreeMap;
use std::sync::Arc;
use zdu_model::contract::{Class, Contract};
use zdu_model::event::{Event, Record};
use zdu_model::fleet::{Fleet, Group, Member, Node, Reach};
use zdu_model::ids::{Attempt, BadName, Digest, Epoch, NodeName, Seq, StepNo};
use zdu_model::plan::{
    Lane, PLAN_FORMAT, Plan, PlannedStage, PlannedStep, Release, Run, Subject, Target, Unknown,
    Wave, Work,
};
use zdu_model::policy::{CertifyPolicy, DrainExpiry, FailureAction, FailureRule, Policy};
use zdu_model::procedure::{GoesBack, Over, Phase, RollbackClass};
use zdu_model::report::{
    DrainEvidence, End, Evidence, Held, InstanceReading, MemberReading, MemberState, Report,
};
use zdu_model::text::Text;
use zdu_model::time::{Millis, Timestamp};

/// 2026-01-31T09:00:00Z.
pub(crate) const START: Timestamp = Timestamp(1_769_850_000_000);

/// A name of whichever kind is wanted.
pub(crate) fn name<N: TryFrom<String, Error = BadName>>(text: &str) -> N {
    N::try_from(text.to_owned()).expect("a valid name")
}

fn node(text: &str) -> Node {
    Node {
        name: name(text),
        address: "10.0.0.1".into(),
        reach: Reach::Local,
        zone: None,
        roles: std::collections::BTreeSet::new(),
        members: vec![member(text)],
        service_ports: vec![8080],
        vars: BTreeMap::new(),
    }
}

pub(crate) fn member(node: &str) -> Member {
    Member { balancer: name("edge"), backend: "gateway".into(), server: node.into() }
}

fn policy() -> Policy {
    Policy {
        wave: vec![],
        concurrency: 1,
        soak: Millis::from_secs(120),
        drain_deadline: Millis::from_secs(300),
        on_drain_deadline: DrainExpiry::Fail,
        certify: CertifyPolicy { samples: 3, interval: Millis::from_secs(1) },
        ready_deadline: Millis::from_secs(300),
        serving_deadline: Millis::from_secs(60),
        capacity_deadline: Millis::from_secs(600),
        hold_deadline: Millis::from_secs(86_400),
        reconnect_deadline: Millis::from_secs(120),
        failures_allowed: 0,
        on_failure: vec![],
        cross_point_of_no_return: false,
        accept_no_undo: vec![],
        secrets: BTreeMap::new(),
    }
}

pub(crate) fn run(argv: &[&str]) -> Work {
    Work::Run(Run {
        argv: argv.iter().map(|arg| Text::literal(*arg)).collect(),
        shell: false,
        cwd: Some(Text::literal("/opt/Axway-7.5.3/apigateway/upgrade/bin")),
        env: BTreeMap::new(),
        stdin: None,
        user: None,
    })
}

/// Steps being numbered.
struct Steps(Vec<PlannedStep>);

impl Steps {
    fn add(&mut self, key: &str, phase: &str, subject: &Subject, work: Work) -> StepNo {
        let no = StepNo(u32::try_from(self.0.len()).expect("few steps"));
        let needs_drain = phase == "APPLY";
        self.0.push(PlannedStep {
            no,
            key: name(key),
            phase: name(phase),
            subject: subject.clone(),
            target: Target::Controller,
            work,
            contract: Contract::default(),
            deadline: Millis::from_secs(600),
            takes: None,
            attempts: 1,
            needs_drain,
            unknown: Unknown::Hold,
            capture: vec![],
            undo: vec![],
            rollback: RollbackClass::Instant,
            point_of_no_return: false,
        });
        no
    }
}

/// Export and upgrade everywhere, then apply node by node, each drained meanwhile.
pub(crate) fn plan(nodes: &[&str]) -> Arc<Plan> {
    let mut steps = Steps(vec![]);
    let mut lanes = vec![];
    let mut waves = vec![];
    for node in nodes {
        let subject = Subject::Node(name(node));
        let sysupgrade = "/opt/Axway-7.5.3/apigateway/upgrade/bin/sysupgrade";
        let export = run(&[sysupgrade, "export"]);
        let upgrade = [sysupgrade, "upgrade", "--cass_host", "localhost", "--cass_port", "9160"];
        let list = vec![
            steps.add("sysupgrade_export", "EXPORT", &subject, export),
            steps.add("sysupgrade_upgrade", "UPGRADE", &subject, run(&upgrade)),
        ];
        lanes.push(Lane { subject, steps: list });
    }
    for node in nodes {
        let subject = Subject::Node(name(node));
        let mut add = |key: &str, phase: &str, work: Work| steps.add(key, phase, &subject, work);
        let guard = Work::Guard { group: name("gateway") };
        let list = vec![
            add("guard", "PRE-APPLY", guard),
            add("drain", "PRE-APPLY", Work::Drain),
            add("certify", "PRE-APPLY", Work::Certify),
            add("sysupgrade_apply", "APPLY", run(&["sysupgrade", "apply"])),
            add("ready", "POST-APPLY", Work::Ready(vec![])),
            add("undrain", "POST-APPLY", Work::Undrain),
            add("serving", "POST-APPLY", Work::Serving),
        ];
        let undo = vec![
            add("start_old", "ROLLBACK", run(&["start", "old"])),
            add("undrain_back", "ROLLBACK", Work::Undrain),
            add("serving_back", "ROLLBACK", Work::Serving),
        ];
        let soak = Work::Soak(Millis::from_secs(120));
        let gate = vec![steps.add("soak", "POST-APPLY", &Subject::Fleet, soak)];
        let apply = usize::try_from(list[3].0).expect("few steps");
        steps.0[apply].undo = undo;
        waves.push(Wave { lanes: vec![Lane { subject, steps: list }], parallel: 1, gate });
    }
    let parallel = u32::try_from(nodes.len()).expect("few nodes");
    let first = Wave { lanes, parallel, gate: vec![] };
    let stages =
        vec![stage("prepare", Over::Nodes, vec![first]), stage("apply", Over::Rolling, waves)];
    Arc::new(whole(nodes, stages, steps.0))
}

fn stage(text: &str, over: Over, waves: Vec<Wave>) -> PlannedStage {
    PlannedStage { name: name(text), over, goes_back: GoesBack::WithNode, waves }
}

fn whole(nodes: &[&str], stages: Vec<PlannedStage>, steps: Vec<PlannedStep>) -> Plan {
    let phases = [
        ("EXPORT", 70),
        ("UPGRADE", 71),
        ("PRE-APPLY", 72),
        ("APPLY", 73),
        ("POST-APPLY", 74),
        ("ROLLBACK", 75),
    ];
    let phase = |(text, exit): (&str, u8)| Phase { name: name(text), exit };
    Plan {
        format: PLAN_FORMAT,
        tool: "0.1.0".into(),
        fleet: Fleet {
            name: name("prod"),
            groups: vec![Group {
                name: name("gateway"),
                min_available: 1,
                nodes: nodes.iter().map(|text| node(text)).collect(),
            }],
            balancers: BTreeMap::new(),
            hosts: BTreeMap::new(),
            front: vec![],
        },
        procedure: name("axway-apigateway"),
        procedure_digest: Digest("0".repeat(64)),
        release: Release { from: "7.5.3".into(), to: "7.7".into() },
        policy: policy(),
        phases: phases.into_iter().map(phase).collect(),
        rollback_phase: name("ROLLBACK"),
        stages,
        steps,
        rules: vec![FailureRule {
            phase: None,
            exit: vec![],
            class: vec![],
            output: None,
            stage: None,
            failed_nodes: None,
            action: FailureAction::Stop,
        }],
    }
}

/// Records being told, one second apart.
pub(crate) struct Story {
    pub(crate) plan: Arc<Plan>,
    pub(crate) records: Vec<Record>,
    pub(crate) now: Timestamp,
}

impl Story {
    /// A rollout that was started and that a controller drives.
    pub(crate) fn begin(nodes: &[&str]) -> Self {
        let mut story = Self { plan: plan(nodes), records: vec![], now: START };
        story.tell(Event::RolloutStarted {
            rollout: name("r1"),
            plan: Digest("ab".repeat(32)),
            fleet: name("prod"),
            procedure: name("axway-apigateway"),
            release: story.plan.release.clone(),
            by: "ada".into(),
        });
        story.tell(Event::ControllerStarted { epoch: Epoch(1), owner: "ada@ops:100".into() });
        story
    }

    pub(crate) fn tell(&mut self, event: Event) {
        let seq = Seq(u64::try_from(self.records.len()).expect("few records") + 1);
        self.records.push(Record { seq, at: self.now, epoch: Epoch(1), event });
        self.now = self.now.after(Millis::from_secs(1));
    }

    pub(crate) fn no(&self, key: &str, node: &str) -> StepNo {
        let is = |step: &&PlannedStep| {
            let of = step.subject.node().map_or("", NodeName::as_str);
            step.key.as_str() == key && of == node
        };
        self.plan.steps.iter().find(is).expect("in the plan").no
    }

    pub(crate) fn start(&mut self, step: StepNo, attempt: Attempt) {
        self.tell(Event::StepStarted { step, attempt });
    }

    pub(crate) fn end(&mut self, step: StepNo, attempt: Attempt, class: Class, report: Report) {
        self.tell(Event::StepEnded { step, attempt, class, report });
    }

    pub(crate) fn pass(&mut self, step: StepNo) {
        self.start(step, 1);
        let work = &self.plan.step(step).work;
        let report = if matches!(work, Work::Certify) {
            Report::with(End::Done, certificate(&self.plan, step))
        } else if matches!(work, Work::Run(_)) {
            Report::bare(End::Exited(0))
        } else {
            Report::bare(End::Done)
        };
        self.end(step, 1, Class::Succeeded, report);
    }

    pub(crate) fn fail(&mut self, step: StepNo, code: i32) {
        self.start(step, 1);
        let mut report = Report::bare(End::Exited(code));
        report.tail = vec!["ERROR: a localhost Cassandra server has been specified.".into()];
        self.end(step, 1, Class::Failed, report);
    }

    /// Every forward step of the plan up to but without `until`.
    pub(crate) fn pass_until(&mut self, until: Option<StepNo>) {
        for step in forward(&self.plan) {
            if Some(step) == until {
                return;
            }
            self.pass(step);
        }
    }

    pub(crate) fn view(&self) -> crate::fold::RolloutView {
        let mut view = crate::fold::RolloutView::new(Arc::clone(&self.plan));
        for record in &self.records {
            view.apply(record);
        }
        view
    }
}

fn forward(plan: &Plan) -> Vec<StepNo> {
    let waves = plan.stages.iter().flat_map(|stage| &stage.waves);
    waves
        .flat_map(|wave| {
            let lanes = wave.lanes.iter().flat_map(|lane| lane.steps.iter().copied());
            lanes.chain(wave.gate.iter().copied())
        })
        .collect()
}

fn certificate(plan: &Plan, step: StepNo) -> Evidence {
    let node = plan.step(step).subject.node().expect("a node is certified");
    Evidence::Drain(DrainEvidence {
        instances: vec![InstanceReading {
            balancer: name("edge"),
            instance: name("lb-a"),
            error: None,
            members: vec![MemberReading {
                node: node.clone(),
                member: member(node.as_str()),
                state: MemberState::Maintenance,
                held: Held::Maint,
                sessions: Some(0),
                queued: Some(0),
                weight: Some((0, 1)),
                detail: "MAINT".into(),
            }],
        }],
        node_connections: Some(0),
        quiet_samples: 3,
        took: Millis::from_secs(3),
        cut: 0,
        left: 0,
    })
}
