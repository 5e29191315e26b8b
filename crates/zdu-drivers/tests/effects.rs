//! Ways the drivers can break a law, through their public entry, on this machine alone.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use zdu_drivers::output::OutputSink;
use zdu_drivers::secret::Secrets;
use zdu_drivers::{Access, Answer, Drivers, Pulse, Setup};
use zdu_model::contract::Contract;
use zdu_model::effect::Effect;
use zdu_model::fleet::*;
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::policy::*;
use zdu_model::procedure::{Capture, CaptureFrom, RollbackClass};
use zdu_model::report::{End, Report};
use zdu_model::text::{Piece, Text};
use zdu_model::time::{Millis, Timestamp};

#[derive(Default)]
struct Kept(Mutex<Vec<String>>);
impl OutputSink for Kept {
    fn begin(&self, _: StepNo, _: Attempt) {}
    fn line(&self, _: StepNo, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
    fn end(&self, _: StepNo, _: Attempt, _: &Report) {}
}

fn step(no: u32, key: &str, work: Work) -> PlannedStep {
    let node = NodeName::new("a").unwrap();
    PlannedStep {
        no: StepNo(no),
        key: StepKey::new(key).unwrap(),
        phase: PhaseName::new("APPLY").unwrap(),
        subject: Subject::Node(node.clone()),
        target: Target::Node(node),
        work,
        contract: Contract::default(),
        deadline: Millis(600),
        takes: None,
        attempts: 1,
        needs_drain: false,
        unknown: Unknown::Hold,
        capture: vec![],
        undo: vec![],
        rollback: RollbackClass::Instant,
        point_of_no_return: false,
    }
}

fn run(argv: Vec<Text>) -> Run {
    Run { argv, shell: true, cwd: None, env: BTreeMap::new(), stdin: None, user: None }
}

fn plan(hook: &Path, steps: Vec<PlannedStep>) -> Plan {
    let edge = BalancerName::new("edge").unwrap();
    let argv = |what: &str| vec!["/bin/sh".into(), hook.display().to_string(), what.into()];
    let driver = BalancerDriver::Hook {
        enable: argv("enable"),
        disable: argv("disable"),
        state: argv("state"),
    };
    let name = InstanceName::new("lb-a").unwrap();
    let instances = vec![Instance { name, socket: None, via: None }];
    let node = Node {
        name: NodeName::new("a").unwrap(),
        address: "127.0.0.1".into(),
        reach: Reach::Local,
        zone: None,
        roles: BTreeSet::new(),
        members: vec![Member { balancer: edge.clone(), backend: "app".into(), server: "a".into() }],
        service_ports: vec![],
        vars: BTreeMap::new(),
    };
    let group = Group { name: GroupName::new("g").unwrap(), min_available: 0, nodes: vec![node] };
    Plan {
        format: PLAN_FORMAT,
        tool: "test".into(),
        fleet: Fleet {
            name: FleetName::new("fleet").unwrap(),
            groups: vec![group],
            balancers: BTreeMap::from([(edge, Balancer { driver, instances })]),
            hosts: BTreeMap::new(),
            front: vec![],
        },
        procedure: ProcedureName::new("test").unwrap(),
        procedure_digest: Digest(String::new()),
        release: Release { from: "1".into(), to: "2".into() },
        policy: Policy {
            wave: vec![],
            concurrency: 1,
            soak: Millis(0),
            drain_deadline: Millis(1000),
            on_drain_deadline: DrainExpiry::Fail,
            certify: CertifyPolicy { samples: 1, interval: Millis(20) },
            ready_deadline: Millis(1000),
            serving_deadline: Millis(1000),
            capacity_deadline: Millis(1000),
            hold_deadline: Millis(1000),
            reconnect_deadline: Millis(1000),
            failures_allowed: 0,
            on_failure: vec![],
            cross_point_of_no_return: false,
            accept_no_undo: vec![],
            secrets: BTreeMap::new(),
        },
        phases: vec![],
        rollback_phase: PhaseName::new("ROLLBACK").unwrap(),
        stages: vec![],
        steps,
        rules: vec![],
    }
}

struct Rig {
    drivers: Drivers,
    answers: mpsc::Receiver<Answer>,
    sink: Arc<Kept>,
    /// What the clock of its pulse says, in ms.
    moment: Arc<AtomicU64>,
    _sockets: tempfile::TempDir,
}

impl Rig {
    fn new(plan: Plan, home: &Path) -> Self {
        let plan = Arc::new(plan);
        let access = Arc::new(Access::new(&plan.fleet, Secrets::default()));
        let (answers_in, answers) = mpsc::channel(64);
        let (progress, _) = mpsc::channel(64);
        let sockets = tempfile::tempdir().unwrap();
        let sink = Arc::new(Kept::default());
        let moment = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&moment);
        let now = move || [Timestamp(clock.load(Ordering::SeqCst)); 2];
        let pulse = Pulse::start(Millis(1_000), now).unwrap();
        let drivers = Drivers::new(Setup {
            plan,
            rollout: RolloutId::new("r1").unwrap(),
            epoch: Epoch(1),
            access,
            captures: home.join("captures"),
            sockets: sockets.path().to_owned(),
            node_base: Some(home.join("base").display().to_string()),
            sink: sink.clone(),
            answers: answers_in,
            progress,
            pulse,
            fronts: zdu_drivers::Fronts::default(),
        });
        drivers.may_act_for(std::time::Duration::from_secs(3_600));
        Self { drivers, answers, sink, moment, _sockets: sockets }
    }

    async fn ask(&mut self, no: u32, attempt: Attempt) -> Report {
        self.drivers.start(Effect::Run { step: StepNo(no), attempt });
        self.answer(no).await
    }

    async fn answer(&mut self, no: u32) -> Report {
        loop {
            let answer = self.answers.recv().await.unwrap();
            if let Answer::Report { step, report, .. } = answer
                && step == StepNo(no)
            {
                return report;
            }
        }
    }
}

/// A balancer in a file: `on` or `out`. `enable` fails while `broken` is there.
fn hook(home: &Path) -> std::path::PathBuf {
    let path = home.join("hook.sh");
    let text = format!(
        "cd {} || exit 9\ncase $1 in\nenable) [ ! -e broken ] && echo on >state ;;\n\
         disable) echo out >state ;;\n\
         state) if [ \"$(cat state)\" = on ]; then echo state=serving sessions=0 queued=0; \
         else echo state=draining sessions=0 queued=0; fi ;;\nesac\n",
        home.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::write(home.join("state"), "on\n").unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_before_a_compensation_does_not_make_our_own_drain_the_state_to_go_back_to() {
    let home = tempfile::tempdir().unwrap();
    let group = GroupName::new("g").unwrap();
    let steps = vec![
        step(0, "guard", Work::Guard { group }),
        step(1, "drain", Work::Drain),
        step(2, "undrain", Work::Undrain),
        step(3, "serving", Work::Serving),
    ];
    let mut rig = Rig::new(plan(&hook(home.path()), steps), home.path());
    assert_eq!(rig.ask(0, 1).await.end, End::Done);
    assert_eq!(rig.ask(1, 1).await.end, End::Done);
    // The undrain fails; the rule rolls the node back, and the undo of `undrain` begins with a
    // guard, then drains, and at its end undrains.
    std::fs::write(home.path().join("broken"), "").unwrap();
    let failed = rig.ask(2, 1).await.end;
    assert!(matches!(failed, End::NotMet(_)), "{failed:?}");
    std::fs::remove_file(home.path().join("broken")).unwrap();
    assert_eq!(rig.ask(0, 2).await.end, End::Done);
    assert_eq!(rig.ask(1, 2).await.end, End::Done);
    let undrained = rig.ask(2, 2).await.end;
    let serving = rig.ask(3, 1).await.end;
    let state = std::fs::read_to_string(home.path().join("state")).unwrap();
    rig.drivers.close().await;
    assert_eq!(state.trim(), "on", "undrain said {undrained:?}, serving said {serving:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_secret_is_in_no_report_and_no_log() {
    let home = tempfile::tempdir().unwrap();
    let mut login = step(0, "login", Work::Run(run(vec![Text::literal("echo tok-planted-7391")])));
    login.deadline = Millis(20_000);
    let name = CaptureName::new("token").unwrap();
    login.capture = vec![Capture { name, from: CaptureFrom::Output, secret: true }];
    let mut rig = Rig::new(plan(&hook(home.path()), vec![login]), home.path());
    let report = rig.ask(0, 1).await;
    let logged = rig.sink.0.lock().unwrap().join("\n");
    rig.drivers.close().await;
    let journaled = serde_json::to_string(&report).unwrap();
    assert!(
        !journaled.contains("planted") && !logged.contains("planted"),
        "journal: {journaled}\nlog: {logged}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_secret_is_masked_after_a_resume_too() {
    let home = tempfile::tempdir().unwrap();
    let name = CaptureName::new("token").unwrap();
    let mut login =
        step(0, "login", Work::Run(run(vec![Text::literal("echo tok-planted-7391 >&3")])));
    login.work = Work::Run(run(vec![Text::literal("echo tok-planted-7391")]));
    login.deadline = Millis(20_000);
    login.capture = vec![Capture { name: name.clone(), from: CaptureFrom::Output, secret: true }];
    // A later step is given the value on stdin, and its program says what it was given.
    let mut later = run(vec![Text::literal("read line; echo \"bad token $line\"; exit 1")]);
    later.stdin = Some(Text(vec![Piece::Capture(name), Piece::Literal("\n".into())]));
    let mut use_it = step(1, "use", Work::Run(later));
    use_it.deadline = Millis(20_000);
    let steps = vec![login, use_it];
    let hook = hook(home.path());
    let mut first = Rig::new(plan(&hook, steps.clone()), home.path());
    let _report = first.ask(0, 1).await;
    first.drivers.close().await;
    let mut resumed = Rig::new(plan(&hook, steps), home.path());
    let report = resumed.ask(1, 1).await;
    let logged = resumed.sink.0.lock().unwrap().join("\n");
    resumed.drivers.close().await;
    let journaled = serde_json::to_string(&report).unwrap();
    assert!(
        !journaled.contains("planted") && !logged.contains("planted"),
        "journal: {journaled}\nlog: {logged}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_from_a_controller_that_was_replaced_is_refused_by_the_node() {
    let home = tempfile::tempdir().unwrap();
    let [from, to, saved] = ["from", "to", "saved"].map(|name| home.path().join(name));
    std::fs::write(&from, "new").unwrap();
    std::fs::write(&to, "old").unwrap();
    let text = |path: &Path| path.display().to_string();
    let put = Work::Upload { from: text(&from), to: text(&to), mode: 0o600 };
    let save = Work::Backup { path: text(&to), to: text(&saved) };
    let timed = |step: PlannedStep| PlannedStep { deadline: Millis(20_000), ..step };
    let steps = vec![timed(step(0, "put", put)), timed(step(1, "save", save))];
    let mut rig = Rig::new(plan(&hook(home.path()), steps), home.path());
    assert_eq!(rig.ask(0, 1).await.end, End::Done);
    std::fs::write(&to, "of the other").unwrap();
    // Another controller took over and was on the node.
    std::fs::write(home.path().join("base/epoch/fleet.2"), "").unwrap();
    for no in [0, 1] {
        assert_eq!(rig.ask(no, 2).await.end, End::EpochRefused { seen: 2 });
    }
    rig.drivers.close().await;
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "of the other");
    assert!(!saved.exists());
}

/// On one thread, so that the process stands still before the released task has its turn.
#[tokio::test]
async fn what_was_released_before_the_process_stood_still_does_not_begin_on_a_drained_node() {
    let home = tempfile::tempdir().unwrap();
    let ran = home.path().join("ran");
    let touch = || {
        let line = format!("echo x >>'{}'", ran.display());
        Work::Run(run(vec![Text::literal(&line)]))
    };
    let file = home.path().join("file");
    std::fs::write(&file, "old").unwrap();
    let (path, to) = (file.display().to_string(), format!("{}.old", file.display()));
    let drained = |no, key, work| PlannedStep {
        needs_drain: true,
        deadline: Millis(20_000),
        ..step(no, key, work)
    };
    let free = PlannedStep { deadline: Millis(20_000), ..step(2, "free", touch()) };
    let backup = Work::Backup { path, to: to.clone() };
    let late = drained(3, "late", touch());
    let steps = vec![drained(0, "stop", touch()), drained(1, "save", backup), free, late];
    let mut rig = Rig::new(plan(&hook(home.path()), steps), home.path());
    let released = |no| Effect::Run { step: StepNo(no), attempt: 1 };
    for no in [0, 1, 2] {
        rig.drivers.start(released(no));
    }
    rig.moment.store(60_000, Ordering::SeqCst);
    // Decided before, and handed over only now: a disk can be slow in between.
    rig.drivers.start(Effect::Run { step: StepNo(3), attempt: 1 });
    let mut ends = Vec::new();
    while ends.len() < 4 {
        if let Answer::Report { step, report, .. } = rig.answers.recv().await.unwrap() {
            ends.push((step.0, report.end));
        }
    }
    ends.sort_by_key(|(no, _)| *no);
    let withdrawn = [(0, End::Never), (1, End::Never), (2, End::Exited(0)), (3, End::Never)];
    assert_eq!(ends, withdrawn);
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "x\n");
    assert!(!Path::new(&to).exists());
    assert_eq!(rig.drivers.stood_still(), Some(Millis(60_000)));
    // Asked again, behind a new certificate, it begins.
    assert_eq!(rig.ask(0, 2).await.end, End::Exited(0));
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "x\nx\n");
    rig.drivers.close().await;
}
