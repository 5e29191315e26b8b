//! Which rollout is meant, and reading one back from its directory.

use crate::cli::RolloutArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::rollout;
use std::sync::Arc;
use zdu_conductor::chain::Torn;
use zdu_conductor::directory::RolloutDir;
use zdu_conductor::files::read_lease;
use zdu_conductor::journal;
use zdu_conductor::plan_file::read_plan;
use zdu_model::event::Record;
use zdu_model::ids::{Digest, RolloutId};
use zdu_model::time::Timestamp;
use zdu_model::verdict::exit;
use zdu_view::fold::RolloutView;
use zdu_view::status::Lease;

/// How many rollouts a hint names; an operator's machine may have kept hundreds.
const NAMED_MAX: usize = 10;

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

impl Kept {
    /// When it was started; zero before the first record.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.records.first().map_or(Timestamp(0), |record| record.at)
    }
}

/// The rollout that is meant: an id, the beginning of one, `last`, or the only one there is.
///
/// # Errors
/// When none is meant, or more than one; the hint names those there are.
pub fn find(context: &Context, given: &RolloutArg) -> Result<RolloutId, Failure> {
    let known = context.state.rollouts()?;
    let Some(given) = given.id.as_deref() else {
        return match known.as_slice() {
            [] => Err(none(context)),
            [only] => Ok(only.clone()),
            [..] => {
                let what = format!("choose a rollout: there are {}", known.len());
                Err(Failure::new(exit::USAGE, what).hint(listed(&known)))
            }
        };
    };
    if known.is_empty() {
        return Err(none(context));
    }
    if given == "last" {
        let newest = known.iter().max_by_key(|id| (started(context, id), (*id).clone()));
        return newest.cloned().ok_or_else(|| none(context));
    }
    if let Some(exact) = known.iter().find(|id| id.as_str() == given) {
        return Ok(exact.clone());
    }
    let fits: Vec<RolloutId> =
        known.iter().filter(|id| id.as_str().starts_with(given)).cloned().collect();
    match fits.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            let what = format!("find the rollout {given:?}: there is none");
            Err(Failure::new(exit::NO_INPUT, what).hint(listed(&known)))
        }
        [..] => {
            let what = format!("find the rollout {given:?}: {} begin so", fits.len());
            Err(Failure::new(exit::USAGE, what).hint(listed(&fits)))
        }
    }
}

fn none(context: &Context) -> Failure {
    let path = context.state_path().display();
    Failure::new(exit::NO_INPUT, format!("find a rollout: there is none in {path}"))
        .hint("`zdu run` starts one; rollouts kept elsewhere are named by `--state-dir DIR`")
}

fn listed(ids: &[RolloutId]) -> String {
    let names: Vec<&str> = ids.iter().rev().take(NAMED_MAX).map(RolloutId::as_str).collect();
    let more = match ids.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more: `zdu status`"),
    };
    format!("rollouts: {}{more}", names.join(", "))
}

/// When a rollout was started; one that cannot be read is older than every other.
fn started(context: &Context, id: &RolloutId) -> Timestamp {
    let scan = journal::read_only(&context.state.rollout(id).journal()).ok();
    let first = scan.as_ref().and_then(|scan| scan.records.first());
    first.map_or(Timestamp(0), |record| record.at)
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
    let mut view = RolloutView::new(Arc::new(plan)).called(context.call().clone());
    let (records, head, torn) = match scan {
        Some(scan) => (scan.records, scan.chain.head().cloned(), scan.torn),
        None => (Vec::new(), None, None),
    };
    // Made behind the first record and before anything else is done.
    if records.is_empty() && directory.path().join("captures").exists() {
        let what = format!("read the journal of {id}: it holds no record, and there were some");
        return Err(Failure::new(exit::DATA, what)
            .hint("put it back from a copy; it was emptied or removed")
            .hint(
                "what steps did stands in `logs` beside it, and on the nodes until they are tidied",
            ));
    }
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
    let driver = state.driver().filter(|driver| driver.rollout == id)?;
    // Who was ousted and can no longer act has left nothing to tell.
    let over = driver.ousted_by.is_some() && driver.until <= context.now();
    (!over).then(|| Lease {
        owner: driver.owner.to_string(),
        epoch: driver.epoch.0,
        until: driver.until,
        gone: rollout::is_gone(context, id, driver.owner),
        taken_by: driver.ousted_by.map(ToString::to_string),
    })
}
