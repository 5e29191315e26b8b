//! What happens to a rollout from outside: people, crashes, balancers, drivers that answer late.

use crate::world::member;
use crate::{Proc, Sim};
use zdu_engine::{Input, StepStatus};
use zdu_model::effect::Effect;
use zdu_model::event::*;
use zdu_model::ids::*;
use zdu_model::plan::*;
use zdu_model::report::{End, Report};
use zdu_model::time::Millis;

impl Sim {
    pub(crate) fn request(&mut self, request: Request) {
        if self.rollout.refuses(&request).is_none() {
            if request == Request::Resume {
                self.since_resume = true;
            }
            self.input(&Input::Request { request, by: "p".into(), reason: String::new() });
        }
    }

    pub(crate) fn noise(&mut self) {
        match self.rng.below(400) {
            0..4 => self.request(Request::Hold),
            4..12 => self.request(Request::Resume),
            12..14 => self.request(Request::Abort),
            14..16 => self.request(Request::Rollback),
            16..28 => self.approve(),
            28..34 => self.crash(),
            34..38 => self.drift(),
            38..40 => {
                let instance = InstanceName::new("lb-a").expect("a name");
                let up = self.rng.chance(50);
                self.input(&Input::InstanceChanged { instance, up, reason: String::new() });
                self.withdraw(true, |_| true);
            }
            56..60 => {
                self.input(&Input::StoodStill { span: Millis::from_secs(30) });
                self.withdraw(false, |_| true);
            }
            40..44 => self.another_hand(),
            44..54 => self.late_answer(),
            54..56 => {
                // Two in a row, in any order.
                self.any_request();
                self.any_request();
            }
            _ => {}
        }
    }

    pub(crate) fn any_request(&mut self) {
        match self.rng.below(5) {
            0 => self.request(Request::Hold),
            1 => self.request(Request::Resume),
            2 => self.request(Request::Abort),
            3 => self.request(Request::Rollback),
            _ => self.approve(),
        }
    }

    /// A person answers what is asked, or approves something at random. Who says that a step
    /// happened has looked: it does not run any more.
    pub(crate) fn approve(&mut self) {
        let asked = self.rollout.hold().cloned();
        let manual = self.plan.steps.iter().find(|step| {
            matches!(step.work, Work::Manual { .. })
                && matches!(self.rollout.step_status(step.no).0, StepStatus::Running { .. })
        });
        let any = StepNo(self.rng.below(self.plan.steps.len() as u64) as u32);
        let step = match (asked, manual) {
            (_, Some(manual)) if self.rng.chance(50) => manual.no,
            (Some(HoldCause::Unknown(step) | HoldCause::PointOfNoReturn(step)), _) => step,
            _ => any,
        };
        if self.rollout.refuses(&Request::Approve(step)).is_none() {
            let procs = self.procs.iter_mut().filter(|((no, _), _)| *no == step);
            procs.for_each(|(_, p)| *p = Proc::Ended(0));
        }
        self.request(Request::Approve(step));
    }

    fn drift(&mut self) {
        let Some(on) = self.rollout.nodes_out().iter().next().cloned() else { return };
        let instance = InstanceName::new("lb-a").expect("a name");
        let member = member(on.as_str());
        let (seen, reasserted) = ("UP".into(), true);
        self.input(&Input::Drift { node: on.clone(), instance, member, seen, reasserted });
        self.withdraw(true, |step| step.subject.node() == Some(&on));
    }

    /// What has not begun and may not begin any longer is withdrawn by its driver.
    fn withdraw(&mut self, watched: bool, about: impl Fn(&PlannedStep) -> bool) {
        let plan = self.plan.clone();
        let gone = |effect: &Effect| match effect {
            Effect::Run { step, .. } => {
                let step = plan.step(*step);
                about(step) && !step.may_begin(watched, false)
            }
            _ => false,
        };
        let withdrawn: Vec<Effect> = self.queue.iter().filter(|e| gone(e)).cloned().collect();
        self.queue.retain(|effect| !withdrawn.contains(effect));
        for effect in withdrawn {
            let Effect::Run { step, attempt } = effect else { continue };
            let report = Report::bare(End::Never);
            self.input(&Input::Report { step, attempt, report });
        }
    }

    /// Somebody else takes a node down, or it comes back.
    fn another_hand(&mut self) {
        let nodes: Vec<NodeName> = self.plan.fleet.nodes().map(|n| n.name.clone()).collect();
        let on = nodes[self.rng.below(nodes.len() as u64) as usize].clone();
        if !self.down.remove(&on) {
            self.down.insert(on);
            self.down_at = self.records.len() + 1;
        }
    }

    fn late_answer(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let at = self.rng.below(self.late.len() as u64) as usize;
        let (step, attempt, report) = self.late.swap_remove(at);
        self.input(&Input::Report { step, attempt, report });
    }

    /// The first effects a dead controller did not release are gone, and so are late answers.
    pub(crate) fn forget_effects(&mut self) {
        self.queue.clear();
        self.late.clear();
    }

    /// A driver ends what it was told to cancel; its own report comes.
    pub(crate) fn cancelled(&mut self, effect: &Effect) {
        if let Effect::Cancel { step, attempt } = *effect {
            let (run, recover) = (Effect::Run { step, attempt }, Effect::Recover { step, attempt });
            self.queue.retain(|e| *e != run && *e != recover);
            let end = End::NotMet("cancelled".into());
            let report = Report::bare(end);
            self.input(&Input::Report { step, attempt, report });
        }
    }
}
