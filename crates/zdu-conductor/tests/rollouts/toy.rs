//! A machine with the shape of the engine and nothing else, and a world that counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zdu_conductor::directory::StateDir;
use zdu_conductor::files::FileStorage;
use zdu_conductor::storage::{Claim, Owner, Storage};
use zdu_conductor::turn::TurnError;
use zdu_conductor::turn::{Conductor, Decision, Machine, OpenError, Opened, Released, Wake};
use zdu_model::contract::Class;
use zdu_model::effect::Effect;
use zdu_model::event::{Event, Inquiry, Record, ScheduleCause};
use zdu_model::ids::{Attempt, Digest, FleetName, ProcedureName, RolloutId, StepNo};
use zdu_model::plan::Release;
use zdu_model::report::{End, Report};
use zdu_model::time::{Millis, Timestamp};
use zdu_model::verdict::Verdict;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Waiting,
    Running(Attempt),
    Unknown(Attempt),
    Again(Attempt),
    Done,
}

/// Runs its steps one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toy {
    pub(crate) steps: Vec<Step>,
    pub(crate) ended: bool,
    /// Never comes to rest.
    pub(crate) restless: bool,
}

#[derive(Debug)]
pub(crate) enum Input {
    Advance,
    Recovered,
    Report(StepNo, Attempt, End),
}

#[derive(Debug, thiserror::Error)]
#[error("the toy cannot take {0}")]
pub(crate) struct Illegal(String);

impl Toy {
    pub(crate) fn new(steps: usize) -> Self {
        Self { steps: vec![Step::Waiting; steps], ended: false, restless: false }
    }

    fn advance_from(&self) -> (Vec<Event>, Vec<Effect>) {
        let numbered = (0..).map(StepNo).zip(&self.steps);
        for (step, state) in numbered {
            let attempt = match state {
                Step::Done => continue,
                Step::Running(_) | Step::Unknown(_) => return (vec![], vec![]),
                Step::Waiting => 1,
                Step::Again(before) => before + 1,
            };
            return (
                vec![Event::StepStarted { step, attempt }],
                vec![Effect::Run { step, attempt }],
            );
        }
        let verdict = Verdict::Succeeded;
        match self.ended {
            true => (vec![], vec![]),
            false => (vec![Event::RolloutEnded { verdict }], vec![]),
        }
    }

    fn recover(&self) -> (Vec<Event>, Vec<Effect>) {
        let (mut events, mut effects) = (vec![], vec![]);
        for (step, state) in (0..).map(StepNo).zip(&self.steps) {
            let (Step::Running(attempt) | Step::Unknown(attempt)) = *state else {
                continue;
            };
            if *state == Step::Running(attempt) {
                events.push(Event::StepUnknown {
                    step,
                    attempt,
                    cause: "the controller was restarted".into(),
                    how: Inquiry::Recover,
                });
            }
            effects.push(Effect::Recover { step, attempt });
        }
        (events, effects)
    }

    fn reported(step: StepNo, attempt: Attempt, end: &End, now: Timestamp) -> Vec<Event> {
        let mut events = vec![Event::StepEnded {
            step,
            attempt,
            class: if *end == End::Done { Class::Succeeded } else { Class::Failed },
            report: Report::bare(end.clone()),
        }];
        if *end != End::Done {
            events.push(Event::StepScheduled { step, at: now, cause: ScheduleCause::NeverBegan });
        }
        events
    }
}

impl Machine for Toy {
    type Input = Input;
    type Reason = &'static str;
    type Illegal = Illegal;

    fn decide(&self, now: Timestamp, input: &Input) -> Decision<&'static str> {
        let (events, effects) = match input {
            Input::Advance if self.restless => {
                (vec![Event::StepStarted { step: StepNo(0), attempt: 1 }], vec![])
            }
            Input::Advance => self.advance_from(),
            Input::Recovered => self.recover(),
            Input::Report(step, attempt, end) => {
                (Self::reported(*step, *attempt, end, now), vec![])
            }
        };
        let at = now.after(Millis(100));
        let wake = (!self.ended).then_some(Wake { at, reason: "deadline" });
        Decision { events, effects, wake }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever the toy does not know is illegal")]
    fn evolve(&mut self, record: &Record) -> Result<(), Illegal> {
        let illegal = || Illegal(format!("{record:?}"));
        if self.restless {
            return Ok(());
        }
        let index = |step: StepNo| usize::try_from(step.0).expect("small");
        match &record.event {
            Event::RolloutStarted { .. } | Event::ControllerStarted { .. } => {}
            Event::RolloutEnded { .. } => self.ended = true,
            Event::StepStarted { step, attempt } => {
                let state = self.steps.get_mut(index(*step)).ok_or_else(illegal)?;
                let fits = match state {
                    Step::Waiting => *attempt == 1,
                    Step::Again(before) => *attempt == *before + 1,
                    Step::Running(_) | Step::Unknown(_) | Step::Done => false,
                };
                if !fits {
                    return Err(illegal());
                }
                *state = Step::Running(*attempt);
            }
            Event::StepUnknown { step, attempt, .. } => {
                self.steps[index(*step)] = Step::Unknown(*attempt);
            }
            Event::StepEnded { step, attempt, class, .. } => {
                let state = &mut self.steps[index(*step)];
                if !matches!(state, Step::Running(a) | Step::Unknown(a) if a == attempt) {
                    return Err(illegal());
                }
                *state = match class {
                    Class::Succeeded => Step::Done,
                    _ => Step::Again(*attempt),
                };
            }
            Event::StepScheduled { .. } => {}
            _ => return Err(illegal()),
        }
        Ok(())
    }

    fn advance() -> Input {
        Input::Advance
    }

    fn recovered() -> Input {
        Input::Recovered
    }
}

/// The world: how often each step was really done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct World(pub(crate) BTreeMap<StepNo, u32>);

impl World {
    pub(crate) fn answer(&mut self, released: Released) -> Input {
        match released.into_effect() {
            Effect::Run { step, attempt } => {
                *self.0.entry(step).or_default() += 1;
                Input::Report(step, attempt, End::Done)
            }
            Effect::Recover { step, attempt } if self.0.contains_key(&step) => {
                Input::Report(step, attempt, End::Done)
            }
            Effect::Recover { step, attempt } => Input::Report(step, attempt, End::Never),
            effect @ (Effect::Observe { .. } | Effect::Cancel { .. } | Effect::KeepOut { .. }) => {
                panic!("the toy never asks for {effect:?}")
            }
        }
    }
}

/// Carries out what is released until nothing is, or a turn fails. Bounded by the toy's steps.
pub(crate) fn drive<S: Storage>(
    conductor: &mut Conductor<Toy, S>,
    first: Vec<Released>,
    world: &mut World,
) -> Result<(), TurnError<Illegal>> {
    let mut queue: Vec<Released> = first;
    while let Some(released) = queue.pop() {
        let input = world.answer(released);
        queue.extend(conductor.turn(Timestamp(20), input)?.effects);
    }
    Ok(())
}

pub(crate) fn claim(pid: u32, now: u64, force: Option<&str>) -> Claim {
    let owner = Owner { user: "op".into(), host: "a".into(), pid };
    let force = force.map(str::to_owned);
    Claim { force, ..Claim::new(owner, Timestamp(now), Millis(3_000)) }
}

pub(crate) fn plan() -> Digest {
    Digest("ab".repeat(32))
}

pub(crate) fn rollout() -> RolloutId {
    RolloutId::new("r1").expect("valid")
}

pub(crate) fn fleet() -> FleetName {
    FleetName::new("edge").expect("valid")
}

pub(crate) fn started() -> Event {
    Event::RolloutStarted {
        rollout: rollout(),
        plan: plan(),
        fleet: fleet(),
        procedure: ProcedureName::new("toy").expect("valid"),
        release: Release { from: "1".into(), to: "2".into() },
        by: "op \"quoted\" {\"v\":1".into(),
    }
}

type Open<S> = Result<Opened<Toy, S>, OpenError<Illegal>>;

pub(crate) fn open_new<S: Storage>(steps: usize, storage: S) -> Open<S> {
    Conductor::open_new(Toy::new(steps), storage, &claim(1, 10, None), started())
}

/// Resumes as another process, long after the lease of the first expired.
pub(crate) fn resume<S: Storage>(steps: usize, storage: S) -> Open<S> {
    Conductor::resume(Toy::new(steps), storage, &claim(2, 9_000, None), &plan())
}

/// A state directory in memory where the system has one, since these tests sync thousands of times.
pub(crate) fn state() -> (tempfile::TempDir, StateDir, PathBuf) {
    let memory = Path::new("/dev/shm");
    let dir = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let dir = dir.expect("a temporary directory");
    let state = StateDir::new(dir.path());
    let journal = state.rollout(&rollout()).journal();
    (dir, state, journal)
}

pub(crate) const STEPS: usize = 3;

pub(crate) fn storage(state: &StateDir) -> FileStorage {
    FileStorage::new(state, &fleet(), &rollout())
}

pub(crate) fn finish<S: Storage>(opened: Opened<Toy, S>, world: &mut World) -> Toy {
    let Opened { mut conductor, turn, .. } = opened;
    drive(&mut conductor, turn.effects, world).expect("nothing fails");
    let machine = conductor.machine().clone();
    conductor.close().expect("ours");
    machine
}

/// The bytes of a whole rollout's journal, the machine's end and the world's.
pub(crate) fn uncut() -> (Vec<u8>, Toy, World) {
    let (_dir, state, path) = state();
    let mut world = World::default();
    let opened = open_new(STEPS, storage(&state)).expect("new");
    let machine = finish(opened, &mut world);
    assert!(machine.ended);
    (std::fs::read(path).expect("written"), machine, world)
}
