//! The lease's rules, without any store: who may take it, what a renewal finds.
//!
//! **What is assumed of clocks.** `expires` is written by the holder's clock and read by the
//! taker's. Nothing that must be safe depends on their agreeing: two controllers are told apart by
//! epochs, which the journal's append and every node check. A clock that runs ahead, or jumps
//! forward, lets another take the lease early: the old holder finds the newer epoch at its next
//! append and stops. A clock that jumps back makes a dead holder's lease last longer by the jump:
//! a person can take it by force. The holder itself renews at once when it sees its clock go back.
//!
//! **What nodes know and this store does not.** A node that refuses an epoch says which newer one
//! it has seen. Somebody gave that out from elsewhere: another controller with another store, or
//! this store before it was lost. The number is kept, and until a person says by force that nobody
//! else drives the fleet nobody takes the lease: the nodes would refuse him too. Then the next
//! epoch is above everything seen, and whoever still lives elsewhere is the older one.

use crate::storage::{Claim, Lease, LeaseError, Lost, Outrun, Takeover};
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
}

impl LeaseState {
    /// Gives the lease to the claimant, when the rules allow.
    ///
    /// # Errors
    /// [`LeaseError::Held`], [`LeaseError::Outrun`], [`LeaseError::NoReason`].
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
        let mut takeover = None;
        if let Some(held) = &self.held {
            let expired = claim.now >= held.expires;
            if !expired && forced.is_none() {
                return Err(LeaseError::Held {
                    owner: held.owner.clone(),
                    rollout: held.rollout.clone(),
                    since: held.taken_at,
                    expires: held.expires,
                });
            }
            takeover = Some(Takeover {
                from: held.owner.clone(),
                epoch: held.epoch,
                forced: forced.filter(|_| !expired).map(str::to_owned),
            });
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Owner;
    use proptest::prelude::*;
    use zdu_model::time::Millis;

    fn claim(pid: u32, now: u64, force: Option<&str>) -> Claim {
        Claim {
            owner: Owner { user: "op".into(), host: "a".into(), pid },
            now: Timestamp(now),
            ttl: Millis(30),
            force: force.map(str::to_owned),
        }
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

    #[test]
    fn force_needs_a_reason_and_leaves_it_behind() {
        let mut state = LeaseState::default();
        take(&mut state, &claim(1, 100, None)).expect("free");
        let refused = take(&mut state, &claim(2, 101, Some(" "))).expect_err("no reason");
        assert!(matches!(refused, LeaseError::NoReason));
        let new = take(&mut state, &claim(2, 101, Some("host a burned"))).expect("forced");
        assert_eq!(new.takeover.and_then(|t| t.forced).as_deref(), Some("host a burned"));
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
                        let lease = take(&mut state, &claim(pid, now, Some("why"))).expect("force");
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
