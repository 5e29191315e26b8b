//! The lease's rules, without any store: who may take it, what a renewal finds.
//!
//! **What is assumed of clocks.** `expires` is written by the holder's clock and read by the
//! taker's. Nothing that must be safe depends on their agreeing: two controllers are told apart by
//! epochs, which the journal's append and every node check. A clock that runs ahead, or jumps
//! forward, lets another take the lease early: the old holder finds the newer epoch at its next
//! append and stops. A clock that jumps back makes a dead holder's lease last longer by the jump:
//! a person can take it by force. The holder itself renews at once when it sees its clock go back.
//!
//! **What force does.** Nodes refuse an older epoch, balancers know none: a controller acts on them
//! until its lease, as it last renewed it, runs out. So force ends the lease at once, which the
//! holder finds at its next append or renewal, and the next one is given out a whole span later:
//! the holder cannot renew any more and could then no longer act even if it never looked. Who uses
//! force waits by its own clock, whatever the holder's says; another claimant whose clock is ahead
//! could be early by that much. Where the holder's process has certainly ended nobody waits, and
//! nobody needs force.
//!
//! **What nodes know and this store does not.** A node that refuses an epoch says which newer one
//! it has seen. Somebody gave that out from elsewhere: another controller with another store, or
//! this store before it was lost. The number is kept, and until a person says by force that nobody
//! else drives the fleet nobody takes the lease: the nodes would refuse him too. Then the next
//! epoch is above everything seen, and whoever still lives elsewhere is the older one.

use crate::storage::{Claim, Lease, LeaseError, Lost, Outrun, Owner, Takeover};
use serde::{Deserialize, Serialize};
use zdu_model::ids::{Epoch, RolloutId};
use zdu_model::time::Timestamp;

/// The newest epoch nodes can compare: their shells count in 64 bits with a sign. One that has seen
/// this cannot be outrun by anybody.
const EPOCH_MAX: Epoch = Epoch(i64::MAX.unsigned_abs());

/// The lease of a fleet as it is kept, also when nobody holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeaseState {
    /// The newest epoch ever given out.
    pub epoch: Epoch,
    /// Who holds it.
    pub held: Option<Lease>,
    /// The newest epoch a node refused ours for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Epoch>,
    /// Who lost it by force and may still act on balancers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ousted: Option<Ousted>,
}

/// A holder whose lease was ended by force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ousted {
    /// What the next lease says of it.
    pub takeover: Takeover,
    /// The rollout it drove.
    pub rollout: RolloutId,
    /// Who used force.
    pub by: Owner,
    /// Until when it may act on balancers, by that one's clock; nobody else does before.
    pub until: Timestamp,
}

/// Who drives a fleet, or did until it was ousted and may act on balancers still.
#[derive(Debug, Clone, Copy)]
pub struct Driver<'s> {
    /// Who.
    pub owner: &'s Owner,
    /// Under which epoch.
    pub epoch: Epoch,
    /// Which rollout.
    pub rollout: &'s RolloutId,
    /// Until when it may act, unless it renews its lease.
    pub until: Timestamp,
    /// Who ousted it, if somebody did.
    pub ousted_by: Option<&'s Owner>,
}

impl LeaseState {
    /// Who acts, or may: the holder, and where there is none who was ousted last.
    #[must_use]
    pub fn driver(&self) -> Option<Driver<'_>> {
        let held = self.held.as_ref().map(|held| Driver {
            owner: &held.owner,
            epoch: held.epoch,
            rollout: &held.rollout,
            until: held.expires,
            ousted_by: None,
        });
        let ousted = self.ousted.as_ref().map(|ousted| Driver {
            owner: &ousted.takeover.from,
            epoch: ousted.takeover.epoch,
            rollout: &ousted.rollout,
            until: ousted.until,
            ousted_by: Some(&ousted.by),
        });
        held.or(ousted)
    }

    /// Gives the lease to the claimant, when the rules allow. Force against a holder that may live
    /// ends that one's lease and gives none yet: [`LeaseError::Ousted`] is then what changed.
    ///
    /// # Errors
    /// [`LeaseError::Held`], [`LeaseError::Ousted`], [`LeaseError::Outrun`],
    /// [`LeaseError::NoReason`].
    pub fn take(
        &mut self,
        claim: &Claim,
        rollout: &RolloutId,
        journal_epoch: Epoch,
    ) -> Result<Lease, LeaseError> {
        let forced = claim.force.as_deref().map(str::trim);
        if forced == Some("") {
            return Err(LeaseError::NoReason);
        }
        // The journal is asked too: somebody may have removed the lease, and an epoch the nodes
        // have already seen must never be given out again.
        let ours = self.epoch.max(journal_epoch);
        let seen = self.seen.filter(|seen| *seen > ours);
        if let Some(seen) = seen
            && (forced.is_none() || seen >= EPOCH_MAX)
        {
            return Err(LeaseError::Outrun { ours, seen });
        }
        let takeover = match &self.held {
            Some(held) => Some(takeover_from(held, claim, forced)?),
            None => None,
        };
        if let Some(takeover) = takeover.as_ref().filter(|takeover| takeover.forced.is_some())
            && let Some(Lease { rollout, .. }) = self.held.take()
        {
            let (by, until) = (claim.owner.clone(), claim.now.after(claim.ttl));
            self.ousted = Some(Ousted { takeover: takeover.clone(), rollout, by, until });
        }
        if let Some(ousted) = &self.ousted
            && let Some(until) = still_acts(ousted, claim)
        {
            let Takeover { from, epoch, .. } = ousted.takeover.clone();
            return Err(LeaseError::Ousted { owner: from, epoch, until });
        }
        let takeover = self.ousted.take().map(|ousted| ousted.takeover).or(takeover);
        self.epoch = Epoch(ours.max(seen.unwrap_or_default()).0.saturating_add(1));
        let lease = Lease {
            epoch: self.epoch,
            owner: claim.owner.clone(),
            rollout: rollout.clone(),
            taken_at: claim.now,
            renewed_at: claim.now,
            expires: claim.now.after(claim.ttl),
            ttl: claim.ttl,
            takeover,
            outrun: seen.zip(forced).map(|(seen, reason)| Outrun { seen, reason: reason.into() }),
        };
        self.held = Some(lease.clone());
        Ok(lease)
    }

    /// Keeps in mind which epoch a node was seen to have.
    pub fn note(&mut self, seen: Epoch) {
        self.seen = self.seen.max(Some(seen));
    }

    /// Extends the lease. One that expired and that nobody took is still the holder's.
    ///
    /// # Errors
    /// [`Lost`] when another epoch is there, or none.
    pub fn renew(&mut self, lease: &Lease, now: Timestamp) -> Result<Lease, Lost> {
        self.check(lease.epoch)?;
        let renewed = Lease { renewed_at: now, expires: now.after(lease.ttl), ..lease.clone() };
        self.held = Some(renewed.clone());
        Ok(renewed)
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// [`Lost`] when it is not ours to give back.
    pub fn release(&mut self, lease: &Lease) -> Result<(), Lost> {
        self.check(lease.epoch)?;
        self.held = None;
        Ok(())
    }

    /// Whether this epoch holds the lease.
    ///
    /// # Errors
    /// [`Lost`] when it does not.
    pub fn check(&self, ours: Epoch) -> Result<(), Lost> {
        match &self.held {
            Some(held) if held.epoch == ours => Ok(()),
            held => Err(Lost {
                ours,
                newest: self.epoch,
                by: held.as_ref().map(|lease| lease.owner.clone()),
            }),
        }
    }
}

/// Until when who was ousted may act. A span from now is always enough; a later end was said by a
/// clock that has gone back since.
fn still_acts(ousted: &Ousted, claim: &Claim) -> Option<Timestamp> {
    let gone = claim.gone == Some(ousted.takeover.epoch);
    let until = ousted.until.min(claim.now.after(claim.ttl));
    (!gone && claim.now < until).then_some(until)
}

/// What is said of the holder when the lease is taken from it now.
fn takeover_from(
    held: &Lease,
    claim: &Claim,
    forced: Option<&str>,
) -> Result<Takeover, LeaseError> {
    let over = claim.now >= held.expires || claim.gone == Some(held.epoch);
    // Force is meant for somebody: who came after that one is not ousted by it.
    let forced = forced.filter(|_| claim.against.is_none_or(|epoch| epoch == held.epoch));
    if !over && forced.is_none() {
        return Err(LeaseError::Held {
            owner: held.owner.clone(),
            rollout: held.rollout.clone(),
            since: held.taken_at,
            expires: held.expires,
        });
    }
    let (from, epoch) = (held.owner.clone(), held.epoch);
    Ok(Takeover { from, epoch, forced: forced.filter(|_| !over).map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zdu_model::time::Millis;

    fn claim(pid: u32, now: u64, force: Option<&str>) -> Claim {
        let owner = Owner { user: "op".into(), host: "a".into(), pid };
        let force = force.map(str::to_owned);
        Claim { force, ..Claim::new(owner, Timestamp(now), Millis(30)) }
    }

    fn rollout() -> RolloutId {
        RolloutId::new("r1").expect("valid")
    }

    fn take(state: &mut LeaseState, claim: &Claim) -> Result<Lease, LeaseError> {
        state.take(claim, &rollout(), Epoch(0))
    }

    #[test]
    fn a_second_controller_is_told_who_holds_the_lease() {
        let mut state = LeaseState::default();
        take(&mut state, &claim(1, 100, None)).expect("free");
        let refused = take(&mut state, &claim(2, 129, None)).expect_err("held");
        let LeaseError::Held { owner, since, expires, .. } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((owner.pid, since.0, expires.0), (1, 100, 130));
    }

    #[test]
    fn an_expired_lease_is_taken_and_the_old_holder_finds_out() {
        let mut state = LeaseState::default();
        let old = take(&mut state, &claim(1, 100, None)).expect("free");
        let new = take(&mut state, &claim(2, 130, None)).expect("expired");
        assert_eq!(new.epoch, Epoch(2));
        let takeover = new.takeover.expect("from the first");
        assert_eq!((takeover.epoch, takeover.forced), (Epoch(1), None));
        let lost = state.renew(&old, Timestamp(131)).expect_err("lost");
        assert_eq!((lost.ours, lost.newest), (Epoch(1), Epoch(2)));
        state.release(&old).expect_err("not ours to give back");
    }

    fn ousted(state: &mut LeaseState, claim: &Claim) -> (u32, u64) {
        let error = take(state, claim).expect_err("somebody may still act");
        let LeaseError::Ousted { owner, until, .. } = error else { panic!("{error:?}") };
        (owner.pid, until.0)
    }

    #[test]
    fn force_needs_a_reason_and_leaves_it_behind() {
        let mut state = LeaseState::default();
        take(&mut state, &claim(1, 100, None)).expect("free");
        let before = state.clone();
        let refused = take(&mut state, &claim(2, 101, Some(" "))).expect_err("no reason");
        assert!(matches!(refused, LeaseError::NoReason));
        assert_eq!(state, before, "nobody was ousted");
        assert_eq!(ousted(&mut state, &claim(2, 101, Some("host a burned"))), (1, 131));
        let new = take(&mut state, &claim(2, 131, None)).expect("its time has run out");
        let takeover = new.takeover.expect("from the first");
        assert_eq!((takeover.epoch, takeover.from.pid), (Epoch(1), 1));
        assert_eq!(takeover.forced.as_deref(), Some("host a burned"));
    }

    #[test]
    fn who_was_ousted_finds_out_at_once_and_nobody_drives_until_it_cannot_act() {
        let mut state = LeaseState::default();
        let old = take(&mut state, &claim(1, 100, None)).expect("free");
        ousted(&mut state, &claim(2, 101, Some("host a burned")));
        state.renew(&old, Timestamp(102)).expect_err("lost");
        state.check(old.epoch).expect_err("lost");
        state.release(&old).expect_err("not ours to give back");
        // Nobody is quicker, by force neither: the one who waits least is not the one who may.
        assert_eq!(ousted(&mut state, &claim(3, 103, None)), (1, 131));
        assert_eq!(ousted(&mut state, &claim(1, 130, Some("mine"))), (1, 131));
        let new = take(&mut state, &claim(3, 131, None)).expect("its time has run out");
        assert_eq!((new.epoch, state.ousted.as_ref()), (Epoch(2), None));
    }

    #[test]
    fn nobody_waits_for_a_process_that_has_ended_and_nobody_needs_force() {
        let mut state = LeaseState::default();
        take(&mut state, &claim(1, 100, None)).expect("free");
        let of = |epoch, force| Claim { gone: Some(Epoch(epoch)), ..claim(2, 101, force) };
        let other = take(&mut state.clone(), &of(7, None)).expect_err("another has ended");
        assert!(matches!(other, LeaseError::Held { .. }), "{other:?}");
        for force in [None, Some("host a burned")] {
            let new = take(&mut state.clone(), &of(1, force)).expect("it has ended");
            assert_eq!(new.takeover.map(|takeover| takeover.forced), Some(None));
        }
        // Also when that is seen only behind the force.
        ousted(&mut state, &claim(2, 101, Some("host a burned")));
        let new = take(&mut state, &of(1, None)).expect("it has ended");
        let forced = new.takeover.and_then(|takeover| takeover.forced);
        assert_eq!(forced.as_deref(), Some("host a burned"));
    }

    #[test]
    fn force_ousts_only_whom_it_is_meant_for() {
        let mut state = LeaseState::default();
        take(&mut state, &claim(1, 100, None)).expect("free");
        let meant = Claim { against: Some(Epoch(1)), ..claim(2, 101, Some("host a burned")) };
        assert_eq!(ousted(&mut state, &meant), (1, 131));
        take(&mut state, &claim(3, 131, None)).expect("its time has run out");
        let again = Claim { now: Timestamp(132), ..meant };
        let refused = take(&mut state, &again).expect_err("another one drives");
        assert!(matches!(refused, LeaseError::Held { .. }), "{refused:?}");
    }

    #[test]
    fn a_clock_that_went_back_makes_nobody_wait_for_longer_than_a_lease_lasts() {
        let mut state = LeaseState::default();
        take(&mut state, &claim(1, 100_000, None)).expect("free");
        assert_eq!(ousted(&mut state, &claim(2, 100_001, Some("host a burned"))), (1, 100_031));
        assert_eq!(ousted(&mut state, &claim(2, 500, None)), (1, 530));
        assert_eq!(ousted(&mut state, &claim(3, 100_030, None)), (1, 100_031), "nobody is earlier");
        // Who has waited for so long knows without a clock.
        let waited = Claim { gone: Some(Epoch(1)), ..claim(2, 530, None) };
        take(&mut state, &waited).expect("its time has run out");
    }

    #[test]
    fn a_released_lease_remembers_its_epoch() {
        let mut state = LeaseState::default();
        let first = take(&mut state, &claim(1, 100, None)).expect("free");
        state.release(&first).expect("ours");
        let second = take(&mut state, &claim(1, 101, None)).expect("free again");
        assert_eq!((second.epoch, second.takeover), (Epoch(2), None));
    }

    #[test]
    fn an_epoch_the_journal_has_seen_is_never_given_out_again() {
        let mut state = LeaseState::default();
        let lease = state.take(&claim(1, 0, None), &rollout(), Epoch(7)).expect("free");
        assert_eq!(lease.epoch, Epoch(8));
    }

    #[test]
    fn an_epoch_a_node_has_seen_is_outrun_at_once_and_only_by_force() {
        let mut state = LeaseState::default();
        take(&mut state, &claim(1, 100, None)).expect("free");
        state.note(Epoch(40));
        state.note(Epoch(7));
        // Also where the holder's lease has expired, and where it was given back.
        for held in [state.held.clone(), None] {
            let mut state = LeaseState { held, ..state.clone() };
            let before = state.clone();
            let refused = take(&mut state, &claim(2, 130, None)).expect_err("not by itself");
            let LeaseError::Outrun { ours, seen } = refused else { panic!("{refused:?}") };
            assert_eq!((ours, seen), (Epoch(1), Epoch(40)));
            take(&mut state, &claim(2, 130, Some(" "))).expect_err("no reason");
            assert_eq!(state, before, "nothing was taken");
            let lease = take(&mut state, &claim(2, 130, Some("lost disk"))).expect("forced");
            let outrun = Outrun { seen: Epoch(40), reason: "lost disk".into() };
            assert_eq!((lease.epoch, lease.outrun.as_ref()), (Epoch(41), Some(&outrun)));
            state.release(&lease).expect("ours");
            let next = take(&mut state, &claim(2, 131, None)).expect("nobody is newer now");
            assert_eq!((next.epoch, next.outrun), (Epoch(42), None));
        }
    }

    #[test]
    fn an_epoch_that_cannot_be_outrun_is_never_given_out_twice() {
        let mut state = LeaseState::default();
        state.note(Epoch(u64::MAX));
        let refused = take(&mut state, &claim(1, 0, Some("lost disk"))).expect_err("no room");
        assert!(matches!(refused, LeaseError::Outrun { .. }), "{refused:?}");
    }

    #[test]
    fn an_epoch_the_journal_knows_of_is_nothing_to_outrun() {
        let mut state = LeaseState::default();
        state.note(Epoch(7));
        let lease = state.take(&claim(1, 0, None), &rollout(), Epoch(7)).expect("free");
        assert_eq!((lease.epoch, lease.outrun), (Epoch(8), None));
    }

    #[test]
    fn a_clock_that_went_back_makes_a_renewal_due() {
        let mut state = LeaseState::default();
        let lease = take(&mut state, &claim(1, 100, None)).expect("free");
        assert!(!lease.is_renewal_due(Timestamp(105)));
        assert!(lease.is_renewal_due(Timestamp(110)));
        assert!(lease.is_renewal_due(Timestamp(40)));
        let lease = state.renew(&lease, Timestamp(40)).expect("ours");
        assert_eq!(lease.expires, Timestamp(70));
    }

    proptest! {
        #[test]
        fn epochs_only_grow_and_at_most_one_epoch_may_act(
            acts in prop::collection::vec((0u32..4, 0usize..4, 0u64..200), 1..60)
        ) {
            let mut state = LeaseState::default();
            let mut leases: [Option<Lease>; 4] = [None, None, None, None];
            let mut newest = Epoch(0);
            for (act, who, now) in acts {
                let pid = u32::try_from(who).expect("small");
                match (act, leases[who].clone()) {
                    (0, _) | (_, None) => {
                        if let Ok(lease) = take(&mut state, &claim(pid, now, None)) {
                            prop_assert!(lease.epoch > newest);
                            newest = lease.epoch;
                            leases[who] = Some(lease);
                        }
                    }
                    (1, _) => {
                        let force = claim(pid, now, Some("why"));
                        let taken = take(&mut state, &force);
                        // Either it had the lease at once, or somebody was ousted and is gone.
                        let gone = state.driver().map(|driver| driver.epoch);
                        let later = Claim { gone, ..force };
                        let lease = taken.or_else(|_| take(&mut state, &later)).expect("gone");
                        prop_assert!(lease.epoch > newest);
                        newest = lease.epoch;
                        leases[who] = Some(lease);
                    }
                    (2, Some(lease)) => {
                        if let Ok(lease) = state.renew(&lease, Timestamp(now)) {
                            leases[who] = Some(lease);
                        }
                    }
                    (_, Some(lease)) => {
                        let _gone = state.release(&lease);
                    }
                }
                let able = leases.iter().flatten().filter(|l| state.check(l.epoch).is_ok());
                prop_assert!(able.count() <= 1);
            }
        }
    }
}
