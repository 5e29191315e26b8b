//! What a person's request does to the state: holds, aborts, and the reopening of what ended.

use crate::places::At;
use crate::state::{Course, LaneCourse, Rollout, StepStatus};
use zdu_model::contract::Class;
use zdu_model::event::{HoldCause, Inquiry, Request, UnwindScope};
use zdu_model::ids::StepNo;
use zdu_model::plan::Work;
use zdu_model::time::Timestamp;
use zdu_model::verdict::Verdict;

impl Rollout {
    pub(crate) fn requested(&mut self, at: Timestamp, request: &Request) {
        match request {
            Request::Hold => {
                if !self.is_held_for(&HoldCause::Person) {
                    self.holds.push((HoldCause::Person, at));
                }
            }
            Request::Resume => self.reopen(),
            Request::Abort => {
                self.reopen_to_go_back();
                self.quiet(UnwindScope::InFlight, true);
            }
            Request::Rollback => {
                self.reopen_to_go_back();
                self.quiet(UnwindScope::Rollout, true);
            }
            Request::Approve(step) => {
                self.approvals.insert(*step);
                if self.is_held_for(&HoldCause::Unknown(*step)) {
                    // The person's answer comes as the step's ending, with the next event.
                    let how = Inquiry::Observe;
                    self.state_mut(*step).status = StepStatus::Unknown { since: at, how };
                    self.active.insert(*step);
                }
                // Only what was asked about this step is answered.
                let (unknown, point) =
                    (HoldCause::Unknown(*step), HoldCause::PointOfNoReturn(*step));
                self.holds.retain(|(held, _)| *held != unknown && *held != point);
            }
        }
    }

    fn reopen_to_go_back(&mut self) {
        self.ended = None;
        self.stuck.clear();
        self.stuck_fleet = false;
    }

    /// A person's `resume`. After a hold what was held is fresh again, and nothing else. After an
    /// end what was put back begins anew too. A compensation that is not complete is completed
    /// first, and nothing else.
    fn reopen(&mut self) {
        let anew = self.ended.as_ref().is_some_and(|verdict| *verdict != Verdict::Held);
        self.holds.clear();
        self.reopen_to_go_back();
        for unwind in &mut self.unwinds {
            unwind.stuck = false;
        }
        self.freshen_steps();
        for at in 0..self.unwinds.len() {
            let unwind = &self.unwinds[at];
            let next = unwind.steps.get(unwind.next).copied();
            let waits = next.filter(|step| self.may_still_run(*step));
            let runs = unwind.busy.filter(|step| self.active.contains(step));
            self.unwinds[at].busy = runs.or(waits);
        }
        if matches!(self.course, Course::Quieting { .. }) {
            return;
        }
        if anew && self.unwinds.is_empty() {
            self.course = Course::Forward;
            self.failed_nodes.clear();
            self.rolled_back.clear();
            self.approvals.clear();
            self.first_failure = None;
            self.freshen_lanes(true);
            self.reset_cursor();
            return;
        }
        if !anew {
            self.freshen_lanes(false);
        }
        // A node that is being put back has lanes in earlier waves; those do not come again, so
        // the rollout stays at the wave it is at.
        self.list_lanes();
    }

    /// A step that was begun, whose node could not be asked, and that is no mere reading.
    pub(crate) fn may_still_run(&self, step: StepNo) -> bool {
        let state = self.state(step);
        state.status == StepStatus::Ended(Class::Unknown)
            && state.begun
            && !state.lost
            && !self.plan.step(step).work.is_level_triggered()
    }

    fn freshen_steps(&mut self) {
        self.attention.clear();
        for at in 0..self.steps.len() {
            let step = StepNo(u32::try_from(at).unwrap_or(u32::MAX));
            let idle = !self.active.contains(&step);
            if self.may_still_run(step) {
                continue;
            }
            let state = &mut self.steps[at];
            let stale = match state.status {
                StepStatus::Ended(class) => !class.passes(),
                StepStatus::Scheduled { .. } => idle,
                StepStatus::Pending | StepStatus::Running { .. } | StepStatus::Unknown { .. } => {
                    false
                }
            };
            if stale {
                state.status = StepStatus::Pending;
                state.freshen();
            }
        }
    }

    fn freshen_lanes(&mut self, anew: bool) {
        for stage in 0..self.waves.len() {
            for wave in 0..self.waves[stage].len() {
                let mut fresh = false;
                for lane in 0..self.waves[stage][wave].lanes.len() {
                    fresh |= self.freshen_lane((stage, wave, lane), anew);
                }
                if fresh {
                    self.freshen_gate(stage, wave);
                }
            }
        }
    }

    /// Whether the lane has something to do again.
    fn freshen_lane(&mut self, at: At, anew: bool) -> bool {
        let course = self.waves[at.0][at.1].lanes[at.2].course;
        let again = match course {
            LaneCourse::Failed => LaneCourse::Going,
            LaneCourse::Unwound if anew => LaneCourse::Waiting,
            LaneCourse::Unwound
            | LaneCourse::Waiting
            | LaneCourse::Going
            | LaneCourse::Done
            | LaneCourse::Unwinding => course,
        };
        let fresh = matches!(again, LaneCourse::Going | LaneCourse::Waiting);
        if fresh {
            self.release_lane(at.0, at.1, at.2);
        }
        let early = anew && again == LaneCourse::Going && self.is_at_its_guard(at);
        self.set_lane(at, if early { LaneCourse::Waiting } else { again });
        fresh
    }

    /// A lane that is at its guard has changed nothing: its node stands in traffic and waits for
    /// its wave like any other. One that is out, because its drain failed, does not.
    fn is_at_its_guard(&self, at: At) -> bool {
        let (lane, state) = (self.lane(at.0, at.1, at.2), &self.waves[at.0][at.1].lanes[at.2]);
        let guards = |step: &StepNo| matches!(self.plan.step(*step).work, Work::Guard { .. });
        let serves = lane.subject.node().is_some_and(|node| !self.out.contains(node));
        let first = lane.steps.first().is_some_and(guards);
        first && serves && state.next == 0 && state.busy.is_none()
    }

    /// A wave that goes on is watched again behind its last lane.
    fn freshen_gate(&mut self, stage: usize, wave: usize) {
        self.waves[stage][wave].gate_next = 0;
        let plan = self.plan.clone();
        for step in &plan.stages[stage].waves[wave].gate {
            if !self.active.contains(step) {
                self.state_mut(*step).status = StepStatus::Pending;
            }
        }
    }

    /// A lane is free for its next step unless that step still runs, or may. A drain that did not
    /// pass is begun again with its guard: what the guard read is from another time.
    fn release_lane(&mut self, stage: usize, wave: usize, lane: usize) {
        let plan = self.plan.clone();
        let steps = &plan.stages[stage].waves[wave].lanes[lane].steps;
        let next = self.waves[stage][wave].lanes[lane].next;
        let busy = self.waves[stage][wave].lanes[lane].busy;
        let here = steps.get(next).copied();
        let runs = busy.filter(|step| self.active.contains(step));
        let waits = here.filter(|step| self.active.contains(step) || self.may_still_run(*step));
        if let Some(busy) = runs.or(waits) {
            self.waves[stage][wave].lanes[lane].busy = Some(busy);
            return;
        }
        self.waves[stage][wave].lanes[lane].busy = None;
        let drains = here.is_some_and(|step| matches!(plan.step(step).work, Work::Drain));
        let guard = next.checked_sub(1).and_then(|before| steps.get(before)).copied();
        if let (true, Some(guard)) = (drains, guard)
            && matches!(plan.step(guard).work, Work::Guard { .. })
        {
            self.waves[stage][wave].lanes[lane].next = next - 1;
            self.state_mut(guard).status = StepStatus::Pending;
            if let Some(node) = plan.step(guard).subject.node() {
                self.entering.retain(|_, holder| holder != node);
            }
        }
    }
}
