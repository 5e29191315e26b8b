//! Checks a journal without changing it.
//!
//! A changed byte is found by the CRC of its line, a changed, removed or inserted line by the
//! chain, another plan by the chain's beginning. What no check of the file alone can find is
//! somebody who rewrites all of it, or removes lines from its end: both give a journal that is
//! right in itself. Against that there is [`VerifyReport::head`]. It is printed in the report of
//! the rollout, and an auditor who kept that compares.

use crate::chain::{Torn, is_followed, scan};
use crate::directory::at;
use crate::storage::{ReadError, Why};
use std::path::Path;
use zdu_model::ids::{Digest, Epoch};
use zdu_model::time::Timestamp;

/// What a journal was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many records it has.
    pub records: u64,
    /// How many lines, which is how many appends.
    pub lines: u64,
    /// When the first record was decided.
    pub first: Timestamp,
    /// When the last record was decided.
    pub last: Timestamp,
    /// The newest epoch.
    pub epoch: Epoch,
    /// The plan it is bound to.
    pub plan: Digest,
    /// The digest of the last line. Compare it with one kept elsewhere.
    pub head: Digest,
    /// What a cut write left at the end. It is no part of what was checked.
    pub torn: Option<Torn>,
}

/// Why a journal is not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read or is not what was written.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It holds no whole record.
    #[error("verify: the journal holds no record")]
    Empty,
}

/// Checks CRC, chain, numbers, epochs and the binding to the plan.
///
/// # Errors
/// [`VerifyError`].
pub fn verify(path: &Path, plan: Option<&Digest>) -> Result<VerifyReport, VerifyError> {
    verify_bytes(&bytes_of(path)?, plan)
}

/// The same for bytes that came another way.
///
/// # Errors
/// [`VerifyError`].
pub fn verify_bytes(bytes: &[u8], plan: Option<&Digest>) -> Result<VerifyReport, VerifyError> {
    let scan = scan(bytes)?;
    let (Some(first), Some(last)) = (scan.records.first(), scan.records.last()) else {
        return Err(VerifyError::Empty);
    };
    let (Some(head), Some(bound)) = (scan.chain.head(), scan.chain.plan()) else {
        return Err(VerifyError::Empty);
    };
    if let Some(plan) = plan
        && plan != bound
    {
        let why = Why::Plan { expected: plan.short().to_owned(), found: bound.short().to_owned() };
        return Err(ReadError::Altered { line: 1, why }.into());
    }
    Ok(VerifyReport {
        records: scan.records.len() as u64,
        lines: scan.chain.lines(),
        first: first.at,
        last: last.at,
        epoch: scan.chain.epoch(),
        plan: bound.clone(),
        head: head.clone(),
        torn: scan.torn,
    })
}

/// Whether a journal that was verified holds the line with this digest: a report keeps that of the
/// line the journal ended with then. Whoever removes it, or its last byte alone, leaves a journal
/// that is right in itself.
///
/// # Errors
/// [`VerifyError::Read`] when the journal cannot be read.
pub fn holds_line(
    path: &Path,
    verified: &VerifyReport,
    digest: &Digest,
) -> Result<bool, VerifyError> {
    Ok(verified.head == *digest || is_followed(&bytes_of(path)?, digest))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, ReadError> {
    let unavailable = |error| ReadError::Unavailable { source: at("read", path)(error).into() };
    std::fs::read(path).map_err(unavailable)
}
