//! Two controllers around one lease, a journal and a node, in every order of their acts up to a
//! depth: law 7. The lease's rules are the production ones; the controllers, the journal's check
//! and the node's rule are as small as they can be and still disagree. A balancer has no rule: it
//! takes what comes, so what is asked there is that nobody acts on it while another one may.
//!
//! Of the journal and of what a node did only the newest epoch is kept, and whether an older one
//! ever came behind it: that is all the laws ask, and it keeps the states few.

use stateright::{Checker, Model, Property};
use std::hash::{Hash, Hasher};
use zdu_conductor::lease::LeaseState;
use zdu_conductor::storage::{Claim, Lease, LeaseError, Owner};
use zdu_model::ids::{Epoch, RolloutId};
use zdu_model::time::{Millis, Timestamp};

const CONTROLLERS: usize = 2;
/// The most epochs: enough for each controller to lose the lease to the other twice.
const EPOCHS_MAX: u64 = 4;
const TTL: Millis = Millis(2);
/// The clock stops there; leases taken late never expire by themselves then, and force is left.
const NOW_MAX: u64 = 4;

/// What one controller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Controller {
    /// It is not there: never started, crashed, or stopped because its lease was lost.
    Gone,
    /// It believes that it holds the lease with this epoch, and acts on balancers before `until`.
    Drives { epoch: u64, paused: bool, until: u64 },
}

/// Epochs in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Epochs {
    newest: u64,
    last: u64,
    /// An older one came behind a newer one.
    went_back: bool,
    /// There is more than one.
    several: bool,
}

impl Epochs {
    fn push(&mut self, epoch: u64) {
        self.went_back |= epoch < self.newest;
        self.several |= self.newest > 0 && epoch != self.newest;
        self.newest = self.newest.max(epoch);
        self.last = epoch;
    }
}

#[derive(Debug, Clone)]
struct State {
    lease: LeaseState,
    controllers: [Controller; CONTROLLERS],
    now: u64,
    /// The epochs of the durable records.
    journal: Epochs,
    /// The epochs under which the node took commands.
    commands: Epochs,
    /// A controller that was refused went on.
    went_on: bool,
}

impl State {
    /// Whether this controller acts on balancers, or will when it wakes.
    fn may_act(&self, who: usize) -> bool {
        match self.controllers[who] {
            Controller::Gone => false,
            Controller::Drives { until, .. } => self.now < until,
        }
    }

    /// Under which epoch this controller drives, as far as it does.
    fn epoch(&self, who: usize) -> Option<u64> {
        match self.controllers[who] {
            Controller::Gone => None,
            Controller::Drives { epoch, .. } => Some(epoch),
        }
    }

    /// What makes two states the same. The lease is compared by what its rules look at.
    fn key(&self) -> impl Hash + PartialEq + use<'_> {
        let held = self.lease.held.as_ref();
        let held = held.map(|lease| (lease.epoch.0, lease.owner.pid, lease.expires.0));
        let ousted = self.lease.ousted.as_ref();
        let ousted = ousted.map(|one| (one.takeover.epoch.0, one.until.0));
        let lease = (self.lease.epoch.0, held, self.lease.seen, ousted);
        (lease, self.controllers, self.now, self.journal, self.commands, self.went_on)
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Take(usize),
    Force(usize),
    Renew(usize),
    Release(usize),
    Append(usize),
    Command(usize),
    Pause(usize),
    Wake(usize),
    Crash(usize),
    /// Time passes; a lease may expire by it.
    Tick,
}

/// Who is broken on purpose, so that the properties are seen to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// The journal takes whatever comes.
    Journal,
    /// The node forgets which epochs it has seen.
    Node,
    /// Whoever uses force takes the other one to be gone.
    Force,
}

struct Controllers(Broken);

fn claim(who: usize, now: u64, force: bool) -> Claim {
    let pid = u32::try_from(who).expect("two of them");
    let owner = Owner { user: "op".into(), host: "a".into(), pid };
    let force = force.then(|| "a person said so".to_owned());
    Claim { force, ..Claim::new(owner, Timestamp(now), TTL) }
}

fn rollout() -> RolloutId {
    RolloutId::new("r1").expect("a name")
}

impl Controllers {
    /// Force alone gives nobody the lease, and changes it all the same.
    fn take(&self, state: &mut State, who: usize, force: bool) -> Option<()> {
        let newest = Epoch(state.journal.newest);
        let holder = state.lease.held.as_ref();
        let gone = holder.filter(|held| {
            let other = usize::try_from(held.owner.pid).expect("two of them");
            state.controllers[other] == Controller::Gone || (force && self.0 == Broken::Force)
        });
        let claim = Claim { gone: gone.map(|held| held.epoch), ..claim(who, state.now, force) };
        match state.lease.take(&claim, &rollout(), newest) {
            Ok(Lease { epoch, expires, .. }) => {
                let (epoch, until) = (epoch.0, expires.0);
                state.controllers[who] = Controller::Drives { epoch, paused: false, until };
                Some(())
            }
            Err(LeaseError::Ousted { .. }) if force => Some(()),
            Err(_) => None,
        }
    }

    /// The lease as this controller has it.
    fn lease(state: &State, who: usize, epoch: u64) -> Lease {
        let claim = claim(who, state.now, false);
        Lease {
            epoch: Epoch(epoch),
            owner: claim.owner,
            rollout: rollout(),
            taken_at: claim.now,
            renewed_at: claim.now,
            expires: claim.now.after(TTL),
            ttl: TTL,
            takeover: None,
            outrun: None,
        }
    }

    /// A record; who is told that the lease is lost stops.
    fn append(&self, state: &mut State, who: usize, epoch: u64) {
        let refused = state.lease.check(Epoch(epoch)).is_err();
        if refused && self.0 != Broken::Journal {
            state.controllers[who] = Controller::Gone;
        } else {
            state.journal.push(epoch);
            state.went_on |= refused;
        }
    }

    /// The node's rule: an epoch older than the newest seen is refused, and who is refused stops.
    fn command(&self, state: &mut State, who: usize, epoch: u64) {
        if epoch < state.commands.newest && self.0 != Broken::Node {
            state.lease.note(Epoch(state.commands.newest));
            state.controllers[who] = Controller::Gone;
            return;
        }
        state.commands.push(epoch);
    }

    fn act(&self, state: &mut State, act: Act) -> Option<()> {
        match act {
            Act::Take(who) => return self.take(state, who, false),
            Act::Force(who) => return self.take(state, who, true),
            Act::Tick => {
                state.now += 1;
                return Some(());
            }
            Act::Crash(who) => state.controllers[who] = Controller::Gone,
            Act::Pause(who) | Act::Wake(who) => {
                let Controller::Drives { epoch, until, .. } = state.controllers[who] else {
                    return None;
                };
                let paused = matches!(act, Act::Pause(_));
                state.controllers[who] = Controller::Drives { epoch, paused, until };
            }
            Act::Append(who) => self.append(state, who, state.epoch(who)?),
            Act::Command(who) => self.command(state, who, state.epoch(who)?),
            Act::Renew(who) => {
                let epoch = state.epoch(who)?;
                let ours = Self::lease(state, who, epoch);
                let renewed = state.lease.renew(&ours, Timestamp(state.now));
                state.controllers[who] = renewed.map_or(Controller::Gone, |lease| {
                    Controller::Drives { epoch, paused: false, until: lease.expires.0 }
                });
            }
            Act::Release(who) => {
                // Whoever lost it has nothing to give back, and is at its end all the same.
                let ours = Self::lease(state, who, state.epoch(who)?);
                let _given = state.lease.release(&ours);
                state.controllers[who] = Controller::Gone;
            }
        }
        Some(())
    }
}

impl Model for Controllers {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            lease: LeaseState::default(),
            controllers: [Controller::Gone; CONTROLLERS],
            now: 0,
            journal: Epochs::default(),
            commands: Epochs::default(),
            went_on: false,
        }]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        if state.now < NOW_MAX {
            acts.push(Act::Tick);
        }
        for (who, controller) in state.controllers.iter().enumerate() {
            match controller {
                Controller::Gone if state.lease.epoch.0 < EPOCHS_MAX => {
                    acts.extend([Act::Take(who), Act::Force(who)]);
                }
                Controller::Gone => {}
                Controller::Drives { paused: true, .. } => {
                    acts.extend([Act::Wake(who), Act::Crash(who)]);
                }
                Controller::Drives { .. } => {
                    acts.extend([Act::Renew(who), Act::Release(who), Act::Pause(who)]);
                    acts.push(Act::Crash(who));
                    acts.extend([Act::Append(who), Act::Command(who)]);
                }
            }
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        self.act(&mut next, act).map(|()| next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nobody appends after a newer controller has", |_, state: &State| {
                !state.journal.went_back
            }),
            Property::always(
                "the node takes nothing old after something newer",
                |_, state: &State| !state.commands.went_back,
            ),
            Property::always("who has lost the lease and is told stops", |_, state: &State| {
                !state.went_on
            }),
            Property::always("no two controllers act on balancers", |_, state: &State| {
                !(0..CONTROLLERS).all(|who| state.may_act(who))
            }),
            Property::always("no two controllers hold the same epoch", |_, state: &State| {
                state.epoch(0).is_none() || state.epoch(0) != state.epoch(1)
            }),
            Property::always(
                "what a node has seen of this store outruns nobody",
                |_, state: &State| state.lease.seen <= Some(state.lease.epoch),
            ),
            Property::always("somebody can always take over", |all: &Self, state: &State| {
                let mut after = state.clone();
                let newest = state.lease.epoch.0;
                let ousted = all.take(&mut after, 0, true).is_some();
                // At most as long as a lease lasts, then without force.
                after.now += TTL.0;
                let waits = after.lease.held.is_none();
                let taken = ousted && (!waits || all.take(&mut after, 0, false).is_some());
                taken && after.lease.epoch.0 > newest.max(state.commands.newest)
            }),
            // That something happens at all in this model.
            Property::sometimes("both controllers append", |_, state: &State| {
                state.journal.several
            }),
            Property::sometimes(
                "a controller that lost its lease commands a node",
                |_, state: &State| {
                    let old = state.lease.held.as_ref().map_or(0, |lease| lease.epoch.0);
                    (1..old).contains(&state.commands.last)
                },
            ),
        ]
    }
}

fn broken_properties(broken: Broken) -> Vec<&'static str> {
    let checker = Controllers(broken).checker().spawn_bfs().join();
    let mut found: Vec<_> = checker.discoveries().into_keys().collect();
    found.retain(|name| !name.starts_with("both") && !name.starts_with("a controller that lost"));
    found.sort_unstable();
    found
}

#[test]
fn two_controllers_never_act_against_each_other_in_any_order() {
    let checker = Controllers(Broken::Nothing).checker().spawn_bfs().join();
    println!("{} states, {} of them unique", checker.state_count(), checker.unique_state_count());
    assert!(checker.is_done(), "every state is explored");
    checker.assert_properties();
}

#[test]
fn a_journal_that_takes_whatever_comes_is_found_out() {
    let found = broken_properties(Broken::Journal);
    let expected =
        ["nobody appends after a newer controller has", "who has lost the lease and is told stops"];
    assert_eq!(found, expected);
}

#[test]
fn force_that_does_not_wait_for_who_may_still_act_is_found_out() {
    assert_eq!(broken_properties(Broken::Force), ["no two controllers act on balancers"]);
}

#[test]
fn a_node_that_forgets_epochs_is_found_out() {
    let found = broken_properties(Broken::Node);
    assert_eq!(found, ["the node takes nothing old after something newer"]);
}
