//! Random plans, faults, drift, requests and crashes against the engine; the laws are checked from
//! outside, on a model of the world, after every turn. A seed names a whole run.
#![allow(
    missing_docs,
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_in_result,
    clippy::format_push_string,
    reason = "a test looks at some events"
)]

mod chaos;
mod world;

use chaos::{Rng, Spec, plan};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use zdu_engine::{Input, Rollout};
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::*;
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::report::*;
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Proc {
    Running(u32),
    Ended(i32),
    Killed,
}

struct Sim {
    rng: Rng,
    rollout: Rollout,
    plan: Arc<Plan>,
    source: BTreeMap<StepNo, StepNo>,
    records: Vec<Record>,
    now: Timestamp,
    epoch: u64,
    queue: VecDeque<Effect>,
    drained: BTreeMap<(NodeName, &'static str), bool>,
    procs: BTreeMap<(StepNo, Attempt), Proc>,
    /// Answers that come later, or twice.
    late: Vec<(StepNo, Attempt, Report)>,
    /// Nodes another hand has taken down, and at which record it last did.
    down: BTreeSet<NodeName>,
    down_at: usize,
    /// At which record a node's guard read last.
    read_at: BTreeMap<NodeName, usize>,
    /// Lanes that had begun when a person said hold, while it stands.
    held: Option<BTreeSet<StepNo>>,
    begun_seq: BTreeMap<StepNo, u64>,
    /// What stood there before the last attempt of a step began.
    begun_before: BTreeMap<StepNo, Option<u64>>,
    certified: BTreeMap<NodeName, bool>,
    ready_since: BTreeSet<NodeName>,
    since_resume: bool,
    calm: bool,
    bad: BTreeMap<String, String>,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed.wrapping_mul(7919) + 13);
        let Spec { builder, source } = plan(&mut rng);
        let plan = Arc::new(builder.plan);
        let mut sim = Self {
            rng,
            rollout: Rollout::new(plan.clone()),
            plan: plan.clone(),
            source,
            records: vec![],
            now: Timestamp(1_000_000),
            epoch: 1,
            queue: VecDeque::new(),
            drained: BTreeMap::new(),
            procs: BTreeMap::new(),
            late: vec![],
            down: BTreeSet::new(),
            down_at: 0,
            read_at: BTreeMap::new(),
            held: None,
            begun_seq: BTreeMap::new(),
            begun_before: BTreeMap::new(),
            certified: BTreeMap::new(),
            ready_since: BTreeSet::new(),
            since_resume: false,
            calm: false,
            bad: BTreeMap::new(),
        };
        sim.record(vec![Event::RolloutStarted {
            rollout: RolloutId::new("r1").expect("a name"),
            plan: Digest("d".into()),
            fleet: plan.fleet.name.clone(),
            procedure: plan.procedure.clone(),
            release: plan.release.clone(),
            by: "test".into(),
        }]);
        sim.recover();
        sim
    }

    fn violate(&mut self, law: &str, detail: String) {
        self.bad.entry(law.into()).or_insert(detail);
    }

    fn recover(&mut self) {
        let epoch = Epoch(self.epoch);
        self.record(vec![Event::ControllerStarted { epoch, owner: "t".into() }]);
        self.input(&Input::Recovered);
    }

    fn crash(&mut self) {
        self.forget_effects();
        self.epoch += 1;
        let mut fresh = Rollout::new(self.plan.clone());
        for record in &self.records {
            fresh.evolve(record).expect("legal");
        }
        if fresh != self.rollout {
            self.violate("9 replay is not live", String::new());
        }
        self.rollout = fresh;
        self.recover();
    }

    fn input(&mut self, input: &Input) -> bool {
        let decision = self.rollout.decide(self.now, input);
        let any = !decision.is_nothing();
        self.record(decision.events);
        self.queue.extend(decision.effects);
        any
    }

    fn name(&self, step: StepNo) -> String {
        let p = self.plan.step(step);
        format!("{}@{}#{}", p.key, p.subject.node().map_or("fleet", |n| n.as_str()), step.0)
    }

    fn record(&mut self, events: Vec<Event>) {
        for event in events {
            let seq = Seq(self.records.len() as u64 + 1);
            self.watch(seq.0, &event);
            let record = Record { seq, at: self.now, epoch: Epoch(self.epoch), event };
            self.rollout.evolve(&record).unwrap_or_else(|e| panic!("own event is illegal: {e}"));
            self.records.push(record);
        }
    }

    fn watch(&mut self, seq: u64, event: &Event) {
        let plan = self.plan.clone();
        match event {
            Event::StepStarted { step, attempt: _ } => {
                let p = plan.step(*step);
                self.check_begin(*step);
                let before = self.begun_seq.insert(*step, seq);
                self.begun_before.insert(*step, before);
                let Some(on) = p.subject.node().cloned() else { return };
                let stands = !plan.fleet.node(&on).expect("known").members.is_empty();
                if stands && p.needs_drain && self.certified.get(&on) != Some(&true) {
                    self.violate("2 needs_drain without a certificate", self.name(*step));
                }
                match p.work {
                    Work::Run(_) => {
                        self.ready_since.remove(&on);
                    }
                    Work::Drain => {
                        self.certified.insert(on, false);
                    }
                    Work::Undrain => {
                        self.certified.remove(&on);
                        if !self.ready_since.contains(&on) {
                            self.violate(
                                "3 undrain without readiness since the last run",
                                self.name(*step),
                            );
                        }
                    }
                    _ => {}
                }
            }
            Event::StepEnded { step, class, .. } => {
                let p = plan.step(*step);
                if *class == Class::NotRun {
                    // As if it had not been asked for.
                    let before = self.begun_before.get(step).copied().flatten();
                    self.begun_seq.remove(step);
                    self.begun_seq.extend(before.map(|seq| (*step, seq)));
                }
                if let (true, Some(on)) = (class.passes(), p.subject.node().cloned()) {
                    match p.work {
                        Work::Certify => {
                            self.certified.insert(on, true);
                        }
                        Work::Ready(_) => {
                            self.ready_since.insert(on);
                        }
                        _ => {}
                    }
                }
            }
            Event::Drifted { node, .. } => {
                if let Some(c) = self.certified.get_mut(node) {
                    *c = false;
                }
            }
            Event::InstanceChanged { .. } | Event::ControllerStoodStill { .. } => {
                self.certified.values_mut().for_each(|c| *c = false)
            }
            Event::UnwindStarted { steps, .. } => self.check_unwind(steps),
            Event::Requested { request, .. } => self.heed(request),
            Event::RolloutEnded { verdict } => self.check_end(&verdict.clone()),
            _ => {}
        }
    }

    fn turn(&mut self) -> bool {
        for p in self.procs.values_mut() {
            if let Proc::Running(left) = p {
                *p = if *left == 0 { Proc::Ended(0) } else { Proc::Running(*left - 1) };
            }
        }
        let mut rounds = 0;
        while self.input(&Input::Advance) {
            rounds += 1;
            if rounds > 900 {
                self.violate("no rest within a turn", String::new());
                return false;
            }
        }
        if self.rollout.verdict().is_some() {
            return true;
        }
        let wake = self.rollout.decide(self.now, &Input::Advance).wake;
        if let Some(wake) = wake
            && wake.at <= self.now
        {
            let what = format!("{:?}", wake.reason);
            let short = what.split('(').next().unwrap_or_default().to_owned();
            let course = format!("{:?}", self.rollout.course());
            let course = course.split([' ', '{']).next().unwrap_or_default().to_owned();
            self.violate(&format!("hot loop: wake in the past, {short}, {course}"), what);
        }
        if !self.calm {
            self.noise();
        }
        if !self.queue.is_empty() {
            let at = self.rng.below(self.queue.len() as u64) as usize;
            let effect = self.queue.remove(at).expect("there");
            self.cancelled(&effect);
            let _none = self.play(&effect);
            self.now = self.now.after(Millis(10));
            return true;
        }
        match self.rollout.decide(self.now, &Input::Advance).wake {
            Some(wake) => {
                self.now = Timestamp(wake.at.0.max(self.now.0 + 1));
                true
            }
            None if self.rollout.verdict().is_none() && !self.input(&Input::Advance) => {
                let course = format!("{:?}", self.rollout.course());
                let course = course.split([' ', '{']).next().unwrap_or_default().to_owned();
                let law = format!("13 hang: no verdict, no wake, nothing runs ({course})");
                self.violate(&law, String::new());
                false
            }
            None => true,
        }
    }

    fn until_verdict(&mut self) -> bool {
        for _ in 0..3000 {
            if self.rollout.verdict().is_some() {
                return true;
            }
            if !self.turn() {
                return false;
            }
        }
        self.violate(
            "13 no verdict within 3000 turns",
            format!("{:?} {:?}", self.rollout.course(), self.rollout.hold()),
        );
        false
    }

    fn whole(&mut self) {
        for round in 0..5 {
            if !self.until_verdict() {
                return;
            }
            // The last rounds are free of faults: whatever happened, a person can bring it home.
            self.calm = round >= 3;
            let request = if self.rng.chance(70) { Request::Resume } else { Request::Rollback };
            if self.rng.chance(30) {
                self.crash();
            }
            if self.held_point() {
                self.approve();
            }
            if !self.calm && self.rng.chance(30) {
                self.any_request();
            }
            if self.rollout.refuses(&request).is_some() {
                self.request(if request == Request::Resume {
                    Request::Rollback
                } else {
                    Request::Resume
                });
            } else {
                self.request(request);
            }
        }
    }

    fn held_point(&self) -> bool {
        matches!(self.rollout.hold(), Some(HoldCause::PointOfNoReturn(_)))
    }
}

fn one(seed: u64) -> (BTreeMap<String, String>, usize, String) {
    let mut sim = Sim::new(seed);
    let panic = catch_unwind(AssertUnwindSafe(|| sim.whole())).err();
    if let Some(panic) = panic {
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        let generic: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        let generic = ["a", "b", "c", "d", "e", "f"]
            .iter()
            .fold(generic, |t, n| t.replace(&format!("node {n} "), "node N "));
        sim.violate(&format!("panic: {generic}"), text);
    }
    (sim.bad.clone(), sim.records.len(), sim.trace())
}

#[test]
fn no_seed_breaks_a_law() {
    std::panic::set_hook(Box::new(|_| {}));
    let only: Option<u64> = std::env::var("SEED").ok().and_then(|s| s.parse().ok());
    if let Some(seed) = only {
        let (bad, _, trace) = one(seed);
        println!("{bad:#?}\n{trace}");
        return;
    }
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2000);
    let mut found: BTreeMap<String, (u64, usize, usize, String)> = BTreeMap::new();
    for seed in 0..seeds {
        let (bad, len, _) = one(seed);
        for (law, detail) in bad {
            let entry = found.entry(law).or_insert((seed, len, 0, detail.clone()));
            entry.2 += 1;
            if len < entry.1 {
                (entry.0, entry.1, entry.3) = (seed, len, detail);
            }
        }
    }
    let text: Vec<String> = found
        .iter()
        .map(|(law, (seed, len, n, detail))| {
            format!("{law}: {n} seeds, smallest {seed} ({len} records): {detail}")
        })
        .collect();
    println!("{}", text.join("\n"));
    assert!(
        found.is_empty(),
        "{} kinds of violation in {seeds} seeds\n{}",
        found.len(),
        text.join("\n")
    );
}
