//! What a person's request does to the state: holds, aborts, and the reopening of what ended.

use crate::state::{Course, LaneCourse, Rollout, StepStatus};
use zdu_model::event::{HoldCause, Inquiry, Request, UnwindScope};
use zdu_model::ids::StepNo;
use zdu_model::time::Timestamp;

impl Rollout {
    pub(crate) fn requested(&mut self, at: Timestamp, request: &Request) {
        match request {
            Request::Hold => {
                if self.hold.is_none() {
                    self.hold = Some((HoldCause::Person, at));
                }
            }
            Request::Resume => self.reopen(),
            Request::Abort => {
                self.ended = None;
                self.quiet(UnwindScope::InFlight, "aborted");
            }
            Request::Rollback => {
                self.ended = None;
                self.quiet(UnwindScope::Rollout, "rollback was asked for");
            }
            Request::Approve(step) => {
                self.approvals.insert(*step);
                if matches!(self.hold, Some((HoldCause::Unknown(held), _)) if held == *step) {
                    // The person's answer comes as the step's ending, with the next event.
                    self.hold = None;
                    let how = Inquiry::Observe;
                    self.state_mut(*step).status = StepStatus::Unknown { since: at, how };
                    self.active.insert(*step);
                }
                if matches!(self.hold, Some((HoldCause::PointOfNoReturn(held), _)) if held == *step)
                {
                    self.hold = None;
                }
            }
        }
    }

    /// A person's `resume`: what failed is fresh again, what was put back begins anew. A
    /// compensation that is not complete is completed first, and nothing else.
    fn reopen(&mut self) {
        self.hold = None;
        self.ended = None;
        self.stuck.clear();
        self.stuck_fleet = false;
        for unwind in &mut self.unwinds {
            unwind.stuck = false;
            unwind.busy = None;
        }
        self.freshen_steps();
        if self.unwinds.is_empty() {
            self.course = Course::Forward;
            self.failed_nodes.clear();
            self.rolled_back.clear();
            self.first_failure = None;
            self.freshen_lanes();
        }
        self.reset_cursor();
    }

    fn freshen_steps(&mut self) {
        self.attention.clear();
        for at in 0..self.steps.len() {
            let step = StepNo(u32::try_from(at).unwrap_or(u32::MAX));
            let idle = !self.active.contains(&step);
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
                (state.tries, state.agains) = (0, 0);
            }
        }
    }

    fn freshen_lanes(&mut self) {
        for stage in 0..self.waves.len() {
            for wave in 0..self.waves[stage].len() {
                let mut fresh = false;
                for lane in 0..self.waves[stage][wave].lanes.len() {
                    let course = self.waves[stage][wave].lanes[lane].course;
                    let again = match course {
                        LaneCourse::Failed => LaneCourse::Going,
                        LaneCourse::Unwound => LaneCourse::Waiting,
                        LaneCourse::Waiting
                        | LaneCourse::Going
                        | LaneCourse::Done
                        | LaneCourse::Unwinding => course,
                    };
                    if again != LaneCourse::Unwinding && again != LaneCourse::Done {
                        self.release_lane(stage, wave, lane);
                        fresh = true;
                    }
                    self.set_lane((stage, wave, lane), again);
                }
                if fresh {
                    self.waves[stage][wave].gate_next = 0;
                }
            }
        }
    }

    /// A lane is free for its next step unless that step still runs.
    fn release_lane(&mut self, stage: usize, wave: usize, lane: usize) {
        let busy = self.waves[stage][wave].lanes[lane].busy;
        let runs = busy.is_some_and(|step| self.active.contains(&step));
        if !runs {
            self.waves[stage][wave].lanes[lane].busy = None;
        }
    }
}
