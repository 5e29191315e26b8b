//! Reading a rollout back from its directory, for the commands that only look.

use crate::context::Context;
use crate::failure::Failure;
use std::sync::Arc;
use zdu_conductor::chain::Torn;
use zdu_conductor::directory::RolloutDir;
use zdu_conductor::files::read_lease;
use zdu_conductor::journal;
use zdu_conductor::plan_file::read_plan;
use zdu_model::event::Record;
use zdu_model::ids::{Digest, RolloutId};
use zdu_view::fold::RolloutView;
use zdu_view::status::Lease;

/// A rollout as its directory tells it.
#[derive(Debug)]
pub struct Kept {
    /// Its id.
    pub id: RolloutId,
    /// Where it is kept.
    pub directory: RolloutDir,
    /// The digest of its plan.
    pub plan: Digest,
    /// The records of its journal.
    pub records: Vec<Record>,
    /// The digest of the journal's last line; absent before the first.
    pub head: Option<Digest>,
    /// What a cut write left at the journal's end.
    pub torn: Option<Torn>,
    /// Every record folded in.
    pub view: RolloutView,
    /// The lease, when a controller has it for this rollout.
    pub lease: Option<Lease>,
}

/// Reads a rollout back, without changing anything.
///
/// # Errors
/// When its plan or journal cannot be read or is not what was written.
pub fn read(context: &Context, id: &RolloutId) -> Result<Kept, Failure> {
    let directory = context.state.rollout(id);
    let (plan, digest) = read_plan(&directory.plan())?;
    // Between the plan and the first record a controller may have died, or be busy.
    let path = directory.journal();
    let scan = match path.exists() {
        true => Some(journal::read_only(&path)?),
        false => None,
    };
    let lease = lease_of(context, id, &plan.fleet.name);
    let mut view = RolloutView::new(Arc::new(plan));
    let (records, head, torn) = match scan {
        Some(scan) => (scan.records, scan.chain.head().cloned(), scan.torn),
        None => (Vec::new(), None, None),
    };
    for record in &records {
        view.apply(record);
    }
    Ok(Kept { id: id.clone(), directory, plan: digest, records, head, torn, view, lease })
}

/// The lease, when it is this rollout's. One that cannot be read is said and treated as absent:
/// the journal answers what was asked.
fn lease_of(context: &Context, id: &RolloutId, fleet: &zdu_model::ids::FleetName) -> Option<Lease> {
    let state = match read_lease(&context.state.fleet(fleet)) {
        Ok(state) => state,
        Err(error) => {
            context.printer.warn(&format!("{error}: who drives the rollout is not known"));
            return None;
        }
    };
    let held = state.held.filter(|held| held.rollout == *id)?;
    Some(Lease { owner: held.owner.to_string(), epoch: held.epoch.0, until: held.expires })
}
