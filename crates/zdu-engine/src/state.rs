//! What is known about a rollout: the fold of its events.

use crate::places::{At, Home, Places};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use zdu_model::contract::Class;
use zdu_model::event::{HoldCause, Inquiry, ScheduleCause, UnwindScope};
use zdu_model::ids::{Attempt, Epoch, GroupName, NodeName, PhaseName, StepNo};
use zdu_model::plan::{Lane, Plan, PlannedStep, Wave, Work};
use zdu_model::time::Timestamp;
use zdu_model::verdict::Verdict;

/// A rollout: its plan and what its events came to.
///
/// Two rollouts that evolved the same records are equal; that is how "replay is live" is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    pub(crate) plan: Arc<Plan>,
    pub(crate) places: Arc<Places>,
    pub(crate) started: bool,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) steps: Vec<StepState>,
    pub(crate) waves: Vec<Vec<WaveState>>,
    /// The first wave that is not complete; past the last stage when all are.
    pub(crate) cursor: (usize, usize),
    /// Lanes of the current wave that are under way and have no active step.
    pub(crate) ripe: BTreeSet<usize>,
    /// Lanes of later waves that are under way: after a person's `resume` an earlier wave can have
    /// work again while a node of a later one is still out. They come home first.
    pub(crate) ahead: BTreeSet<At>,
    /// Lanes of the current wave that have not begun.
    pub(crate) waiting: BTreeSet<usize>,
    /// Steps that run, are unknown or are scheduled.
    pub(crate) active: BTreeSet<StepNo>,
    /// Steps whose ending did not pass and about which nothing was decided yet.
    pub(crate) attention: BTreeSet<StepNo>,
    pub(crate) unwinds: Vec<UnwindState>,
    pub(crate) course: Course,
    /// What a person is waited for, oldest first. Each is answered by itself, or all by `resume`.
    pub(crate) holds: Vec<(HoldCause, Timestamp)>,
    pub(crate) ended: Option<Verdict>,
    pub(crate) approvals: BTreeSet<StepNo>,
    /// Nodes out of traffic by our doing: from the begin of `drain` to the begin of `undrain`.
    pub(crate) out: BTreeSet<NodeName>,
    /// Those of them that are so only since a drain began that may turn out never to have.
    pub(crate) leaving: BTreeSet<NodeName>,
    /// Those of them whose drain passed: only they are held out without another look.
    pub(crate) drained: BTreeSet<NodeName>,
    /// Those whose undrain has begun, as long as it may turn out that it never did.
    pub(crate) returning: BTreeSet<NodeName>,
    /// The guard that let each node out last, and whether what it read still stands for now.
    pub(crate) guarded: BTreeMap<NodeName, (StepNo, bool)>,
    /// Nodes that hold a drain certificate, and the step that gave it last.
    pub(crate) certified: BTreeMap<NodeName, bool>,
    pub(crate) certify_step: BTreeMap<NodeName, StepNo>,
    /// Nodes whose readiness was proved since anything disruptive last began on them: by which
    /// step, and whether the proof still stands for now.
    pub(crate) proved: BTreeMap<NodeName, (StepNo, bool)>,
    /// The node of each group that stands between its guard and the end of its drain.
    pub(crate) entering: BTreeMap<GroupName, NodeName>,
    pub(crate) failed_nodes: BTreeSet<NodeName>,
    pub(crate) rolled_back: BTreeSet<NodeName>,
    pub(crate) stuck: BTreeSet<NodeName>,
    /// Whether a compensation of the fleet itself is stuck.
    pub(crate) stuck_fleet: bool,
    pub(crate) first_failure: Option<PhaseName>,
}

/// Where the rollout as a whole is heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// Through the plan.
    Forward,
    /// Lanes in flight go to their end, no other begins, then the rollout ends.
    Finishing,
    /// Running steps end, nothing begins, then the scope is put back.
    Quieting {
        /// What will be put back.
        scope: UnwindScope,
        /// Whether a person asked, rather than a rule.
        asked: bool,
    },
    /// The scope is being put back, or was.
    Unwinding {
        /// What is put back.
        scope: UnwindScope,
        /// Whether a person asked, rather than a rule.
        asked: bool,
    },
}

/// What is known about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepState {
    pub(crate) status: StepStatus,
    /// The last attempt begun; grows for ever, so a record on a node is never met twice.
    pub(crate) attempt: Attempt,
    /// Attempts that ended without passing since the step was last fresh.
    pub(crate) tries: u32,
    pub(crate) agains: u32,
    /// Attempts that never began since the step was last fresh.
    pub(crate) nevers: u32,
    /// How often the controller stood still while it was read, since it last passed or was fresh.
    pub(crate) interrupted: u32,
    pub(crate) inquiries: u32,
    /// Whether the node's record was asked and did not know.
    pub(crate) lost: bool,
    /// Whether the step's own probes were asked and did not know.
    pub(crate) observed: bool,
    /// The exit code and the last lines of the last ending, for the rules.
    pub(crate) exit: Option<i32>,
    pub(crate) tail: Option<String>,
    /// Whether it was begun and not undone since.
    pub(crate) begun: bool,
    /// Whether an attempt before the last was begun and not undone since.
    pub(crate) begun_before: bool,
    /// It reads balancers, and one of them changed since its attempt began: whatever it answers
    /// may be from before that.
    pub(crate) overtaken: bool,
}

impl StepState {
    /// Nothing that was tried before counts any longer.
    pub(crate) fn freshen(&mut self) {
        (self.tries, self.agains, self.nevers, self.interrupted) = (0, 0, 0, 0);
    }
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// Will be begun again.
    Scheduled {
        /// Not before.
        at: Timestamp,
        /// Why.
        cause: ScheduleCause,
    },
    /// Begun; its end is awaited.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// Begun; nobody knows its end and it is being found out.
    Unknown {
        /// Since when.
        since: Timestamp,
        /// How.
        how: Inquiry,
    },
    /// Ended.
    Ended(Class),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaveState {
    pub(crate) lanes: Vec<LaneState>,
    pub(crate) gate_next: usize,
    /// Lanes that are neither waiting nor settled.
    pub(crate) in_flight: u32,
    pub(crate) settled: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LaneState {
    pub(crate) course: LaneCourse,
    /// The index of the next forward step.
    pub(crate) next: usize,
    /// The step of this lane that is active now.
    pub(crate) busy: Option<StepNo>,
}

/// Where a lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LaneCourse {
    /// Not begun.
    Waiting,
    /// Under way.
    Going,
    /// Every step passed.
    Done,
    /// A step did not pass and the lane was given up; what it changed is still there.
    Failed,
    /// Being put back.
    Unwinding,
    /// Put back.
    Unwound,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnwindState {
    pub(crate) scope: UnwindScope,
    pub(crate) steps: Vec<StepNo>,
    pub(crate) next: usize,
    pub(crate) busy: Option<StepNo>,
    pub(crate) stuck: bool,
}

impl Rollout {
    /// A rollout of this plan about which nothing is known yet.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let places = Arc::new(Places::of(&plan));
        let waves: Vec<Vec<WaveState>> = plan
            .stages
            .iter()
            .map(|stage| stage.waves.iter().map(WaveState::of).collect())
            .collect();
        let fresh = StepState {
            status: StepStatus::Pending,
            attempt: 0,
            tries: 0,
            agains: 0,
            nevers: 0,
            interrupted: 0,
            inquiries: 0,
            lost: false,
            observed: false,
            exit: None,
            tail: None,
            begun: false,
            begun_before: false,
            overtaken: false,
        };
        let mut rollout = Self {
            steps: vec![fresh; plan.steps.len()],
            plan,
            places,
            started: false,
            epoch: None,
            waves,
            cursor: (0, 0),
            ripe: BTreeSet::new(),
            ahead: BTreeSet::new(),
            waiting: BTreeSet::new(),
            active: BTreeSet::new(),
            attention: BTreeSet::new(),
            unwinds: Vec::new(),
            course: Course::Forward,
            holds: Vec::new(),
            ended: None,
            approvals: BTreeSet::new(),
            out: BTreeSet::new(),
            leaving: BTreeSet::new(),
            drained: BTreeSet::new(),
            returning: BTreeSet::new(),
            guarded: BTreeMap::new(),
            certified: BTreeMap::new(),
            certify_step: BTreeMap::new(),
            proved: BTreeMap::new(),
            entering: BTreeMap::new(),
            failed_nodes: BTreeSet::new(),
            rolled_back: BTreeSet::new(),
            stuck: BTreeSet::new(),
            stuck_fleet: false,
            first_failure: None,
        };
        rollout.reset_cursor();
        rollout
    }

    /// The plan it runs.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// How it ended; none while it has not.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.ended.as_ref()
    }

    /// Where it is heading.
    #[must_use]
    pub fn course(&self) -> &Course {
        &self.course
    }

    /// Why nothing new is begun, when a person is waited for; the newest reason of several.
    #[must_use]
    pub fn hold(&self) -> Option<&HoldCause> {
        self.holds.last().map(|(cause, _)| cause)
    }

    /// Nodes out of traffic by our doing.
    #[must_use]
    pub fn nodes_out(&self) -> &BTreeSet<NodeName> {
        &self.out
    }

    /// Steps that run, are being found out or are scheduled, in the order of the plan.
    pub fn active_steps(&self) -> impl Iterator<Item = StepNo> {
        self.active.iter().copied()
    }

    /// Where a step is, and its last attempt.
    #[must_use]
    pub fn step_status(&self, step: StepNo) -> (StepStatus, Attempt) {
        let state = self.state(step);
        (state.status, state.attempt)
    }

    pub(crate) fn state(&self, step: StepNo) -> &StepState {
        &self.steps[index(step)]
    }

    pub(crate) fn state_mut(&mut self, step: StepNo) -> &mut StepState {
        &mut self.steps[index(step)]
    }

    pub(crate) fn home(&self, step: StepNo) -> Home {
        self.places.homes[index(step)]
    }

    pub(crate) fn lane(&self, stage: usize, wave: usize, lane: usize) -> &Lane {
        &self.plan.stages[stage].waves[wave].lanes[lane]
    }

    pub(crate) fn lane_state(&self, at: At) -> &LaneState {
        &self.waves[at.0][at.1].lanes[at.2]
    }

    pub(crate) fn current_wave(&self) -> Option<(&Wave, &WaveState)> {
        let (stage, wave) = self.cursor;
        let planned = self.plan.stages.get(stage)?.waves.get(wave)?;
        Some((planned, &self.waves[stage][wave]))
    }

    /// Whether a step is running or being found out: something a person would call "going on".
    pub(crate) fn is_quiet(&self) -> bool {
        self.active.iter().all(|step| match self.state(*step).status {
            StepStatus::Running { .. } | StepStatus::Unknown { .. } => false,
            StepStatus::Pending | StepStatus::Scheduled { .. } | StepStatus::Ended(_) => true,
        })
    }

    /// A step that was to be begun again waits for whoever begins it next.
    pub(crate) fn unschedule(&mut self, step: StepNo) {
        if matches!(self.state(step).status, StepStatus::Scheduled { .. }) {
            self.state_mut(step).status = StepStatus::Pending;
            self.active.remove(&step);
        }
    }

    /// Recomputes the cursor and what may be begun. Pure bookkeeping over the lanes.
    pub(crate) fn settle(&mut self) {
        let cursor = self.first_incomplete(self.cursor);
        if self.cursor != cursor {
            self.cursor = cursor;
            let waves = &self.waves;
            // No lane of a later wave begins by itself, so none is to be added.
            self.ahead.retain(|at| {
                (at.0, at.1) > cursor && waves[at.0][at.1].lanes[at.2].course == LaneCourse::Going
            });
            debug_assert_eq!(self.ahead, self.lanes_ahead(), "every lane ahead is known");
            self.list_current();
        }
    }

    /// Starts looking from the first wave again, after lanes were made fresh.
    pub(crate) fn reset_cursor(&mut self) {
        self.cursor = self.first_incomplete((0, 0));
        self.list_lanes();
    }

    /// The first wave from there on that is not complete.
    fn first_incomplete(&self, (mut stage, mut wave): (usize, usize)) -> (usize, usize) {
        while let Some(states) = self.waves.get(stage) {
            match states.get(wave) {
                None => (stage, wave) = (stage + 1, 0),
                Some(state) if self.is_complete(stage, wave, state) => wave += 1,
                Some(_) => break,
            }
        }
        (stage, wave)
    }

    fn is_complete(&self, stage: usize, wave: usize, state: &WaveState) -> bool {
        let gate = self.plan.stages[stage].waves[wave].gate.len();
        state.settled == state.lanes.len() && state.gate_next == gate
    }

    pub(crate) fn list_lanes(&mut self) {
        self.ahead = self.lanes_ahead();
        self.list_current();
    }

    fn list_current(&mut self) {
        self.ripe.clear();
        self.waiting.clear();
        let (stage, wave) = self.cursor;
        let Some(state) = self.waves.get(stage).and_then(|waves| waves.get(wave)) else {
            return;
        };
        for (at, lane) in state.lanes.iter().enumerate() {
            if lane.course == LaneCourse::Waiting {
                self.waiting.insert(at);
            } else if lane.course == LaneCourse::Going && lane.busy.is_none() {
                self.ripe.insert(at);
            }
        }
    }

    fn lanes_ahead(&self) -> BTreeSet<At> {
        let mut ahead = BTreeSet::new();
        for (stage, waves) in self.waves.iter().enumerate() {
            for (wave, state) in waves.iter().enumerate() {
                let later = (stage, wave) > self.cursor;
                let lanes = state.lanes.iter().enumerate().filter(|_| later);
                let going = lanes.filter(|(_, lane)| lane.course == LaneCourse::Going);
                ahead.extend(going.map(|(lane, _)| (stage, wave, lane)));
            }
        }
        ahead
    }

    /// The lanes of later waves that are still under way.
    pub(crate) fn going_ahead(&self) -> impl Iterator<Item = (At, &LaneState)> {
        let states = self.ahead.iter().map(|at| (*at, &self.waves[at.0][at.1].lanes[at.2]));
        states.filter(|(_, lane)| lane.course == LaneCourse::Going)
    }

    /// Whether a person is waited for with this cause.
    pub(crate) fn is_held_for(&self, cause: &HoldCause) -> bool {
        self.holds.iter().any(|(held, _)| held == cause)
    }

    /// Moves a lane to a course and keeps the wave's counts.
    pub(crate) fn set_lane(&mut self, at: At, course: LaneCourse) {
        let wave = &mut self.waves[at.0][at.1];
        let old = core::mem::replace(&mut wave.lanes[at.2].course, course);
        wave.settled =
            wave.settled + usize::from(course.is_settled()) - usize::from(old.is_settled());
        wave.in_flight =
            wave.in_flight + u32::from(course.is_flying()) - u32::from(old.is_flying());
    }
}

/// A driver of rollouts may wrap one; this is how it still tells what is known.
impl AsRef<Rollout> for Rollout {
    fn as_ref(&self) -> &Rollout {
        self
    }
}

impl LaneCourse {
    fn is_settled(self) -> bool {
        match self {
            Self::Done | Self::Unwound => true,
            Self::Waiting | Self::Going | Self::Failed | Self::Unwinding => false,
        }
    }

    fn is_flying(self) -> bool {
        match self {
            Self::Going | Self::Unwinding => true,
            Self::Waiting | Self::Done | Self::Failed | Self::Unwound => false,
        }
    }
}

impl WaveState {
    fn of(wave: &Wave) -> Self {
        let fresh = LaneState { course: LaneCourse::Waiting, next: 0, busy: None };
        Self { lanes: vec![fresh; wave.lanes.len()], gate_next: 0, in_flight: 0, settled: 0 }
    }
}

/// Whether the engine does the work itself, by waiting.
pub(crate) fn is_engines_own(step: &PlannedStep) -> bool {
    matches!(step.work, Work::Soak(_) | Work::Manual { .. })
}

pub(crate) fn index(step: StepNo) -> usize {
    usize::try_from(step.0).unwrap_or(usize::MAX)
}
