//! The world: what it answers to an effect, with faults.

use super::INSTANCES;
use crate::world::member_of;
use crate::{Proc, Sim};
use std::collections::BTreeSet;
use zdu_engine::Input;
use zdu_model::effect::Effect;
use zdu_model::fleet::Node;
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::report::*;
use zdu_model::time::Millis;

/// The instances a node stands on.
pub(crate) fn places(node: &Node) -> Vec<&'static str> {
    let of = |balancer: &str| node.members.iter().any(|m| m.balancer.as_str() == balancer);
    INSTANCES.iter().filter(|(b, _)| of(b)).map(|(_, instance)| *instance).collect()
}

impl Sim {
    fn serving(&self, group: &GroupName, instance: &'static str) -> usize {
        let group = self.plan.fleet.groups.iter().find(|g| g.name == *group).expect("known");
        let here = group.nodes.iter().filter(|n| places(n).contains(&instance));
        here.filter(|n| self.state_of(&n.name, instance) == MemberState::Serving).count()
    }

    fn state_of(&self, on: &NodeName, instance: &'static str) -> MemberState {
        if self.drained.get(&(on.clone(), instance)) == Some(&true) {
            MemberState::Draining
        } else if self.down.contains(on) {
            MemberState::Down
        } else {
            MemberState::Serving
        }
    }

    /// Takes a node out or puts it back on its instances, all of them or half.
    fn set(&mut self, on: &NodeName, out: bool, half: bool, step: StepNo) -> End {
        let places = places(self.plan.fleet.node(on).expect("known"));
        let many = if half { places.len().div_ceil(2) } else { places.len() };
        for instance in &places[..many] {
            let serves = self.state_of(on, instance) == MemberState::Serving;
            self.drained.insert((on.clone(), instance), out);
            if out && serves {
                self.check_capacity(on, instance, step);
            }
        }
        if half { End::NotMet("half".into()) } else { End::Done }
    }

    fn check_capacity(&mut self, on: &NodeName, instance: &'static str, step: StepNo) {
        // Another hand that acted since the guard read is not because of us.
        if self.read_at.get(on).is_none_or(|read| *read < self.down_at) {
            return;
        }
        let group = self.plan.fleet.group_of(on).expect("known").clone();
        let left = self.serving(&group.name, instance);
        if left < group.min_available as usize {
            let what = format!(
                "{} leaves {left} on {instance}, min {}",
                self.name(step),
                group.min_available
            );
            let law = if self.since_resume { "1 capacity (after a resume)" } else { "1 capacity" };
            self.violate(law, what);
        }
    }

    fn reading(&mut self, step: StepNo) -> Report {
        let on = self.plan.step(step).subject.node().expect("a node").clone();
        self.read_at.insert(on.clone(), self.records.len());
        let group = self.plan.fleet.group_of(&on).expect("known").clone();
        let seen: BTreeSet<_> = group.nodes.iter().flat_map(places).collect();
        let blind = !self.calm && self.rng.chance(3);
        let mut readings = vec![];
        for (balancer, instance) in INSTANCES.iter().filter(|(_, i)| seen.contains(i)) {
            let here = group.nodes.iter().filter(|n| places(n).contains(instance));
            readings.push(InstanceReading {
                balancer: BalancerName::new(*balancer).expect("a name"),
                instance: InstanceName::new(*instance).expect("a name"),
                error: blind.then(|| "refused".into()),
                members: here.map(|n| self.member_reading(n, balancer, instance)).collect(),
            });
        }
        Report::with(End::Done, Evidence::Balancers(readings))
    }

    fn member_reading(&self, n: &Node, balancer: &str, instance: &'static str) -> MemberReading {
        let state = self.state_of(&n.name, instance);
        let out = state == MemberState::Draining;
        MemberReading {
            node: n.name.clone(),
            member: member_of(balancer, n.name.as_str()),
            state,
            held: if out { Held::Drain } else { Held::Ready },
            sessions: Some(0),
            queued: Some(0),
            weight: Some((1, 1)),
            detail: String::new(),
        }
    }

    pub(crate) fn play(&mut self, effect: &Effect) -> Option<()> {
        let (Effect::Run { step, attempt }
        | Effect::Recover { step, attempt }
        | Effect::Observe { step, attempt }) = *effect
        else {
            return None;
        };
        let p = self.plan.step(step).clone();
        let calm = self.calm;
        let fault = if calm { 100 } else { self.rng.below(100) };
        let on = p.subject.node().cloned();
        let end = match (&p.work, effect) {
            (Work::Run(_), Effect::Run { .. }) => self.begin(step, attempt, fault)?,
            (Work::Run(_), Effect::Recover { .. }) => self.look_up((step, attempt), fault),
            (Work::Run(_), _) => self.observe((step, attempt), fault),
            (Work::Http(_), Effect::Run { .. }) if fault < 6 => End::Unreachable("net".into()),
            (Work::Http(_), Effect::Run { .. }) => End::Http(if fault < 12 { 500 } else { 200 }),
            (Work::Http(_), _) => End::Lost("no record".into()),
            _ if fault < 3 => End::TimedOut,
            _ if fault < 6 => End::Unreachable("net".into()),
            (Work::Guard { .. }, _) => {
                let report = self.reading(step);
                return self.report(step, attempt, report);
            }
            (Work::Drain, _) => self.set(&on.expect("a node"), true, fault < 10, step),
            (Work::Undrain, _) => self.set(&on.expect("a node"), false, fault < 10, step),
            _ if fault < 10 => End::NotMet("no".into()),
            _ if fault < 14 => End::Waiting("not yet".into()),
            _ => End::Done,
        };
        self.report(step, attempt, Report::bare(end))
    }

    fn look_up(&mut self, at: (StepNo, Attempt), fault: u64) -> End {
        match self.procs.get(&at).copied() {
            _ if fault < 10 => End::Unreachable("net".into()),
            None => End::Never,
            Some(Proc::Killed) => End::Lost("killed".into()),
            Some(Proc::Running(_)) if fault < 20 => {
                self.procs.insert(at, Proc::Killed);
                End::Lost("rebooted".into())
            }
            Some(Proc::Running(_)) => {
                self.procs.insert(at, Proc::Ended(0));
                End::Exited(0)
            }
            Some(Proc::Ended(code)) => End::Exited(code),
        }
    }

    fn observe(&self, at: (StepNo, Attempt), fault: u64) -> End {
        match self.procs.get(&at) {
            _ if fault < 10 => End::Unreachable("net".into()),
            Some(Proc::Ended(_)) => End::Done,
            None => End::Never,
            Some(Proc::Killed) if fault < 50 => End::Never,
            Some(Proc::Killed | Proc::Running(_)) => End::Lost("the probes do not tell".into()),
        }
    }

    /// A command begins on a node.
    fn begin(&mut self, step: StepNo, attempt: Attempt, fault: u64) -> Option<End> {
        let subject = self.plan.step(step).subject.clone();
        let running = self.procs.iter().filter(|(_, p)| matches!(p, Proc::Running(_)));
        let lives: Vec<(StepNo, Attempt)> = running.map(|(k, _)| *k).collect();
        for (other, nth) in lives {
            if self.plan.step(other).subject == subject {
                let kind = if other == step {
                    "a second attempt begins while the first runs"
                } else if self.source.get(&step) == Some(&other) {
                    "the undoing begins while the step runs"
                } else {
                    "another step begins while one runs on the node"
                };
                let resumed = if self.since_resume { " (after a resume)" } else { "" };
                self.violate(
                    &format!("6 {kind}{resumed}"),
                    format!("{} while {} attempt {nth}", self.name(step), self.name(other)),
                );
            }
        }
        if fault < 3 {
            return Some(End::Unreachable("never begun".into()));
        }
        if fault < 8 {
            let turns = 5 + self.rng.below(60) as u32;
            self.procs.insert((step, attempt), Proc::Running(turns));
            return Some(End::Unreachable("begun, then cut".into()));
        }
        let code = if fault < 16 { 1 } else { 0 };
        // Exit code 2 asks to be run again, by contract.
        let code = if fault == 18 || fault == 19 { 2 } else { code };
        self.procs.insert((step, attempt), Proc::Ended(code));
        if fault == 17 {
            return Some(End::TimedOut);
        }
        Some(End::Exited(code))
    }

    /// A driver says how it ended: at once, later, or never.
    fn report(&mut self, step: StepNo, attempt: Attempt, report: Report) -> Option<()> {
        let fault = if self.calm { 100 } else { self.rng.below(100) };
        if fault < 2 {
            self.late.push((step, attempt, report));
        } else if fault > 2 {
            if fault == 3 {
                self.late.push((step, attempt, report.clone()));
            }
            self.input(&Input::Report { step, attempt, report });
        }
        self.now = self.now.after(Millis(1));
        Some(())
    }
}
