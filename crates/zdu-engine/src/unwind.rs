//! Putting things back: which compensations, in which order.

use crate::places::{At, Home};
use crate::standing::had_again;
use crate::state::{Course, LaneCourse, Rollout, StepStatus, UnwindState};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use zdu_model::contract::Class;
use zdu_model::event::{Event, UnwindScope};
use zdu_model::ids::{NodeName, StepNo};
use zdu_model::plan::Subject;
use zdu_model::procedure::{GoesBack, Over};

/// What nodes keep that are put back without the whole rollout.
#[derive(Default)]
struct Kept<'p> {
    /// Nodes that have begun something behind what prepares them: that stays with them. One that is
    /// still being prepared gives all of it back, because what undoes a part may undo another.
    prepared: BTreeSet<&'p NodeName>,
    /// Nodes that have rolled, with the last stage in which they did, and of which only what comes
    /// behind is in flight. One that serves the new release while the last stage looks at it is not
    /// put back because a person stops the looking.
    finished: BTreeMap<&'p NodeName, usize>,
}

impl Rollout {
    /// The compensations of a scope, newest first: stages and waves backwards, in each wave the
    /// lanes in flight before those that had ended (their nodes are out, and capacity for the
    /// others is had only when they are back), each lane's begun steps backwards.
    pub(crate) fn unwind_steps(&self, scope: &UnwindScope) -> Vec<StepNo> {
        let mut list = Vec::new();
        let crossed = self.last_point_of_no_return();
        for at in self.lanes_of(scope) {
            let lane = self.lane(at.0, at.1, at.2);
            for step in lane.steps.iter().rev() {
                if self.state(*step).begun && !self.is_behind(crossed, *step) {
                    list.extend(self.left_to_undo(at, &self.plan.step(*step).undo));
                }
            }
        }
        list
    }

    /// What is left of a step's compensations. A reading is of the moment it was made for: it is
    /// had again as long as what goes by it is left.
    fn left_to_undo(&self, at: At, undo: &[StepNo]) -> Vec<StepNo> {
        let mut left = Vec::new();
        for (index, step) in undo.iter().enumerate() {
            let goes_by_it = undo.get(index + 1).filter(|next| !self.is_undone(at, **next));
            let reads = had_again(&self.plan.step(*step).work).is_some();
            if !self.is_undone(at, *step) || (reads && goes_by_it.is_some()) {
                left.push(*step);
            }
        }
        left
    }

    /// A compensation that already passed in an unwind that a wider one replaces.
    fn is_undone(&self, at: At, undo: StepNo) -> bool {
        let unwinding = self.waves[at.0][at.1].lanes[at.2].course == LaneCourse::Unwinding;
        let passed = matches!(self.state(undo).status, StepStatus::Ended(class) if class.passes());
        unwinding && passed
    }

    /// The lanes a scope puts back, in the order they are put back.
    pub(crate) fn lanes_of(&self, scope: &UnwindScope) -> Vec<At> {
        let (nodes, kept) = (self.nodes_of(scope), self.kept(scope));
        let crossed = self.last_point_of_no_return();
        let mut lanes = Vec::new();
        for at in self.lanes_under(scope).into_iter().rev() {
            let course = self.lane_state(at).course;
            let begun = !matches!(course, LaneCourse::Waiting | LaneCourse::Unwound);
            let meant = self.in_scope(scope, &nodes, at) && !self.is_kept(&kept, at);
            if begun && meant && !self.is_cut(crossed, at) {
                lanes.push((course == LaneCourse::Done, at));
            }
        }
        lanes.sort_by_key(|(done, at)| (Reverse((at.0, at.1)), *done));
        lanes.into_iter().map(|(_, at)| at).collect()
    }

    /// The lanes a scope can be about, in the order of the plan: of a node only its own, so that a
    /// large fleet in which many nodes fail is not gone through for each of them.
    fn lanes_under(&self, scope: &UnwindScope) -> Vec<At> {
        if let UnwindScope::Node(node) = scope {
            return self.places.own(&Subject::Node(node.clone())).lanes.clone();
        }
        let stages = self.waves.iter().enumerate();
        let waves = stages.flat_map(|(stage, waves)| {
            waves.iter().enumerate().map(move |(wave, state)| (stage, wave, state))
        });
        let lanes = waves
            .flat_map(|(stage, wave, state)| (0..state.lanes.len()).map(move |l| (stage, wave, l)));
        lanes.collect()
    }

    /// What nodes keep in this scope, in one pass over the lanes of the plan.
    fn kept(&self, scope: &UnwindScope) -> Kept<'_> {
        let mut kept = Kept::default();
        if *scope == UnwindScope::Rollout {
            return kept;
        }
        let rolls = |stage: usize| self.plan.stages[stage].over == Over::Rolling;
        let (mut rolled, mut flying) = (BTreeMap::new(), BTreeMap::new());
        for (stage, node, course) in self.lanes_of_nodes(scope) {
            let begun = !matches!(course, LaneCourse::Waiting | LaneCourse::Unwound);
            if begun && !self.prepares(stage) {
                kept.prepared.insert(node);
            }
            if course == LaneCourse::Done && rolls(stage) {
                rolled.insert(node, stage);
            }
            if flies(course, LaneCourse::Going) {
                flying.entry(node).or_insert(stage);
            }
        }
        if *scope == UnwindScope::InFlight {
            let behind = |node: &NodeName, rolled: usize| {
                flying.get(node).is_some_and(|flying| *flying > rolled && !rolls(*flying))
            };
            kept.finished = rolled.into_iter().filter(|(node, at)| behind(node, *at)).collect();
        }
        kept
    }

    fn is_kept(&self, kept: &Kept<'_>, at: At) -> bool {
        self.lane(at.0, at.1, at.2).subject.node().is_some_and(|node| {
            kept.finished.get(node).is_some_and(|rolled| at.0 <= *rolled)
                || (self.prepares(at.0) && kept.prepared.contains(node))
        })
    }

    fn prepares(&self, stage: usize) -> bool {
        self.plan.stages[stage].goes_back == GoesBack::WithRollout
    }

    /// Every lane of a scope that is a node's, in the order of the plan: its stage, its node, how
    /// far it is.
    fn lanes_of_nodes(
        &self,
        scope: &UnwindScope,
    ) -> impl Iterator<Item = (usize, &NodeName, LaneCourse)> {
        let lanes = self.lanes_under(scope).into_iter();
        lanes.filter_map(|at| {
            let node = self.lane(at.0, at.1, at.2).subject.node()?;
            Some((at.0, node, self.lane_state(at).course))
        })
    }

    /// A node goes back with all its lanes, but for what is kept; of the fleet's own lanes only
    /// the one that is meant.
    fn in_scope(&self, scope: &UnwindScope, nodes: &Option<BTreeSet<NodeName>>, at: At) -> bool {
        let course = self.waves[at.0][at.1].lanes[at.2].course;
        match (nodes, &self.lane(at.0, at.1, at.2).subject) {
            (None, _) => true,
            (Some(nodes), Subject::Node(node)) => nodes.contains(node),
            (Some(_), Subject::Fleet) => match scope {
                UnwindScope::Wave => self.cursor == (at.0, at.1) && flies(course, LaneCourse::Done),
                UnwindScope::InFlight => flies(course, LaneCourse::Going),
                UnwindScope::Node(_) | UnwindScope::Rollout => false,
            },
        }
    }

    /// The nodes of a scope; none means everything.
    fn nodes_of(&self, scope: &UnwindScope) -> Option<BTreeSet<NodeName>> {
        let of_wave = || {
            let (planned, state) = self.current_wave()?;
            let lanes = planned.lanes.iter().zip(&state.lanes);
            let begun = lanes.filter(|(_, state)| flies(state.course, LaneCourse::Done));
            Some(begun.filter_map(|(lane, _)| lane.subject.node().cloned()).collect())
        };
        match scope {
            UnwindScope::Node(node) => Some(BTreeSet::from([node.clone()])),
            UnwindScope::Wave => {
                let mut nodes: BTreeSet<NodeName> = of_wave().unwrap_or_default();
                nodes.extend(self.nodes_ahead());
                Some(nodes)
            }
            UnwindScope::InFlight => Some(self.nodes_in_flight()),
            UnwindScope::Rollout => None,
        }
    }

    /// Nodes of later waves that were still under way when they failed.
    fn nodes_ahead(&self) -> impl Iterator<Item = NodeName> {
        let began = self
            .ahead
            .iter()
            .filter(|at| flies(self.waves[at.0][at.1].lanes[at.2].course, LaneCourse::Going));
        began.filter_map(|at| self.lane(at.0, at.1, at.2).subject.node().cloned())
    }

    fn nodes_in_flight(&self) -> BTreeSet<NodeName> {
        let lanes = self.lanes_of_nodes(&UnwindScope::InFlight);
        let flying = lanes.filter(|(_, _, course)| flies(*course, LaneCourse::Going));
        flying.map(|(_, node, _)| node.clone()).collect()
    }

    /// Whether a point of no return stands in the middle of what was begun in this lane or after
    /// it: then undoing the rest would leave the node between two releases.
    fn is_cut(&self, crossed: Option<StepNo>, at: At) -> bool {
        let lane = self.lane(at.0, at.1, at.2);
        let mut begun = lane.steps.iter().filter(|step| self.state(**step).begun);
        begun.any(|step| self.is_behind(crossed, *step))
    }

    /// Whether a node has begun something that a point of no return keeps.
    pub(crate) fn cannot_go_back(&self, node: &NodeName) -> bool {
        let crossed = self.last_point_of_no_return();
        let own = self.places.own(&Subject::Node(node.clone())).steps.iter();
        crossed.is_some()
            && own
                .filter(|step| self.state(**step).begun)
                .any(|step| self.home(*step) != Home::Undo && self.is_behind(crossed, *step))
    }

    /// The lanes that are being put back under this scope.
    pub(crate) fn unwinding_lanes(&self, scope: &UnwindScope) -> Vec<At> {
        let mut lanes = self.lanes_under(scope);
        lanes.retain(|at| self.lane_state(*at).course == LaneCourse::Unwinding);
        lanes
    }

    /// Whether the last point of no return that was begun forbids undoing this step: it stands at
    /// or before it in the order of the plan.
    fn is_behind(&self, crossed: Option<StepNo>, step: StepNo) -> bool {
        crossed.is_some_and(|point| self.rank(step) <= self.rank(point))
    }

    /// The last point of no return that was begun. Asked once for many steps: it is looked for
    /// among all of them.
    pub(crate) fn last_point_of_no_return(&self) -> Option<StepNo> {
        let points = self.places.points.iter().copied();
        points.filter(|step| self.state(*step).begun).max_by_key(|step| self.rank(*step))
    }

    fn rank(&self, step: StepNo) -> (usize, usize, usize, usize) {
        match self.home(step) {
            Home::Lane { stage, wave, lane, index } => (stage, wave, lane, index),
            Home::Gate { stage, wave } => (stage, wave, usize::MAX, 0),
            Home::Undo => (usize::MAX, 0, 0, 0),
        }
    }

    /// Begins what a quiet `Quieting` course promised.
    pub(crate) fn begin_unwind(&self) -> Option<Event> {
        let Course::Quieting { scope, asked } = &self.course else {
            return None;
        };
        let cause = match (asked, scope) {
            (false, _) => "a rule said so",
            (true, UnwindScope::InFlight) => "aborted",
            (true, UnwindScope::Node(_) | UnwindScope::Wave | UnwindScope::Rollout) => {
                "rollback was asked for"
            }
        };
        self.is_quiet().then(|| self.unwind_event(scope.clone(), cause.into()))
    }

    pub(crate) fn unwind_event(&self, scope: UnwindScope, cause: String) -> Event {
        let steps = self.unwind_steps(&scope);
        Event::UnwindStarted { scope, steps, cause }
    }
}

/// What the events of putting back come to.
impl Rollout {
    pub(crate) fn unwind_started(
        &mut self,
        scope: &UnwindScope,
        steps: &[StepNo],
    ) -> Result<(), String> {
        steps.iter().try_for_each(|step| self.known(*step))?;
        let whole = !matches!(scope, UnwindScope::Node(_));
        if whole {
            let asked = self.course_was_asked();
            self.unwinds.clear();
            self.course = Course::Unwinding { scope: scope.clone(), asked };
        }
        for at in self.lanes_of(scope) {
            let lane = self.plan.stages[at.0].waves[at.1].lanes[at.2].subject.clone();
            self.entering.retain(|_, holder| Some(&*holder) != lane.node());
            self.waves[at.0][at.1].lanes[at.2].busy = None;
            self.set_lane(at, LaneCourse::Unwinding);
            if (at.0, at.1) == self.cursor {
                self.ripe.remove(&at.2);
            }
        }
        let unjudged: BTreeSet<StepNo> =
            steps.iter().copied().filter(|step| self.is_unjudged(*step)).collect();
        self.drop_scheduled(scope);
        for step in steps.iter().filter(|step| !unjudged.contains(step)) {
            let open = self.may_still_run(*step);
            let state = self.state_mut(*step);
            if !open {
                // What it did in an earlier round was undone by what came behind it.
                (state.status, state.begun) = (StepStatus::Pending, false);
            }
            state.freshen();
        }
        self.attention.extend(unjudged);
        let unwind = UnwindState {
            scope: scope.clone(),
            steps: steps.to_vec(),
            next: 0,
            busy: None,
            stuck: false,
        };
        self.unwinds.push(unwind);
        self.wait_for_next();
        Ok(())
    }

    /// Law 6: a compensation that was lost while a wider unwind was about to begin. Nobody has
    /// judged that yet: it is found out, or a person must act, when its turn comes.
    fn is_unjudged(&self, step: StepNo) -> bool {
        let state = self.state(step);
        let unknown = state.status == StepStatus::Ended(Class::Unknown) && state.lost;
        let reads = self.plan.step(step).work.is_level_triggered();
        self.home(step) == Home::Undo && unknown && !reads && self.attention.contains(&step)
    }

    /// Whether it is not yet its turn in an unwind.
    pub(crate) fn is_judged_later(&self, step: StepNo) -> bool {
        let next = |unwind: &UnwindState| unwind.steps.get(unwind.next) == Some(&step);
        self.is_unjudged(step) && !self.unwinds.iter().any(next)
    }

    fn course_was_asked(&self) -> bool {
        matches!(&self.course, Course::Quieting { asked: true, .. })
    }

    fn drop_scheduled(&mut self, scope: &UnwindScope) {
        let plan = self.plan.clone();
        let in_scope = |step: &StepNo| match scope {
            UnwindScope::Node(node) => plan.step(*step).subject.node() == Some(node),
            UnwindScope::Wave | UnwindScope::Rollout | UnwindScope::InFlight => true,
        };
        let dropped: Vec<StepNo> = self.active.iter().copied().filter(in_scope).collect();
        dropped.into_iter().for_each(|step| self.unschedule(step));
        self.attention.retain(|step| !in_scope(step));
    }

    pub(crate) fn unwind_ended(&mut self, scope: &UnwindScope) -> Result<(), String> {
        let Some(at) = self.unwinds.iter().position(|unwind| unwind.scope == *scope) else {
            return Err("no such unwind is under way".into());
        };
        self.unwinds.remove(at);
        // What it keeps is begun still, so forgetting a lane does not move it.
        let crossed = self.last_point_of_no_return();
        for at in self.unwinding_lanes(scope) {
            self.forget_lane(crossed, at);
        }
        if let UnwindScope::Node(node) = scope {
            self.leave_out(&node.clone());
        }
        Ok(())
    }

    /// A node that was put back is not begun in later waves or stages: what they build on is gone.
    fn leave_out(&mut self, node: &NodeName) {
        for at in self.lanes_under(&UnwindScope::Node(node.clone())) {
            if self.lane_state(at).course == LaneCourse::Waiting {
                self.set_lane(at, LaneCourse::Unwound);
                if (at.0, at.1) == self.cursor {
                    self.waiting.remove(&at.2);
                }
            }
        }
    }

    /// A lane that was put back is as if it had never begun.
    fn forget_lane(&mut self, crossed: Option<StepNo>, at: At) {
        let plan = self.plan.clone();
        let lane = &plan.stages[at.0].waves[at.1].lanes[at.2];
        for step in &lane.steps {
            self.attention.remove(step);
            let kept = self.state(*step).begun && self.is_behind(crossed, *step);
            let state = self.state_mut(*step);
            if !kept {
                state.begun = false;
                state.status = StepStatus::Pending;
                state.freshen();
            }
        }
        if let Some(node) = lane.subject.node() {
            self.rolled_back.insert(node.clone());
            self.stuck.remove(node);
        } else {
            self.stuck_fleet = false;
        }
        self.waves[at.0][at.1].lanes[at.2].next = 0;
        self.set_lane(at, LaneCourse::Unwound);
    }

    pub(crate) fn node_stuck(
        &mut self,
        node: Option<&NodeName>,
        step: StepNo,
    ) -> Result<(), String> {
        self.known(step)?;
        self.attention.remove(&step);
        match node {
            Some(node) => {
                self.stuck.insert(node.clone());
                // Nothing of it is under way: other nodes are let in and read what it left behind.
                self.entering.retain(|_, holder| holder != node);
            }
            None => self.stuck_fleet = true,
        }
        let Some(unwind) = self.unwind_with(step) else {
            return Err(alloc::format!("step {step} is not being compensated"));
        };
        unwind.busy = None;
        unwind.stuck = true;
        // What waited for this step waits for a person now, and not for its schedule.
        let next = unwind.steps.get(unwind.next).copied();
        next.into_iter().chain([step]).for_each(|waits| self.unschedule(waits));
        if matches!(self.course, Course::Forward) {
            self.course = Course::Finishing;
        }
        Ok(())
    }
}

/// Whether a lane has begun and is not settled, or is at `also`.
fn flies(course: LaneCourse, also: LaneCourse) -> bool {
    match course {
        LaneCourse::Going | LaneCourse::Failed | LaneCourse::Unwinding => true,
        LaneCourse::Done | LaneCourse::Waiting | LaneCourse::Unwound => course == also,
    }
}
