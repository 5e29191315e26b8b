//! What users see: how a front is asked, and what was seen of it.
//!
//! Counts are of a span of time and never totals: sums are made where they are needed, and what two
//! spans leave out between them is a hole that nobody can say anything about.

use crate::ids::StepNo;
use crate::plan::Want;
use crate::time::{Millis, Timestamp};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How a front is asked all the time, open loop: request *n* of a way is due at `begin + n / rate`,
/// however long others take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Requests a second, of each way but the long one.
    pub rate: u32,
    /// How many kept connections are asked over in turn; 0: that way is not asked.
    pub keep: u32,
    /// A request that takes long, asked beside the others.
    pub long: Option<Long>,
    /// What an answer must be like.
    pub want: Want,
    /// Where an answer says which release gave it; absent: nowhere.
    pub version: Option<VersionAt>,
}

/// A request that takes long; one follows the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Long {
    /// Its URL.
    pub http: String,
    /// From the end of one to the next.
    pub pause: Millis,
    /// How long an answer may take.
    pub timeout: Millis,
}

/// Where an answer says which release gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionAt {
    /// A JSON pointer into the body.
    Pointer(String),
    /// The name of a header.
    Header(String),
}

/// A way of connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A connection for each request.
    New,
    /// A connection that had answered before.
    Keep,
    /// Requests that take long, a connection for each.
    Long,
}

/// What was seen of one front in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontSeen {
    /// Requests that were due from here on are counted,
    pub since: Timestamp,
    /// up to here; none of them is under way any more. Long ones alone are counted in the span they
    /// end in, or nothing could be told while one is under way.
    pub until: Timestamp,
    /// Each way that is asked.
    pub ways: Vec<WaySeen>,
    /// Requests that failed, in order of the first of a run; at most [`RUNS_MAX`].
    pub failures: Vec<FailureRun>,
    /// How many requests failed beyond those of `failures`.
    pub more_failures: u64,
    /// The releases that answered, in the order they were first seen; at most [`VERSIONS_MAX`].
    pub versions: Vec<VersionSeen>,
    /// How many times an answer came from a release that is not that of the answer before it and
    /// had been seen earlier.
    pub went_back: u64,
}

/// The most runs of failures in one span.
pub const RUNS_MAX: usize = 50;

/// The most releases told apart in one span; further ones are counted with the last.
pub const VERSIONS_MAX: usize = 32;

/// What was seen in one way of connecting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaySeen {
    /// The way.
    pub way: Way,
    /// Requests sent. Each has succeeded or failed.
    pub sent: u64,
    /// Answers that were as wanted.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were due and not sent: this machine was late, or had no means to.
    pub unsent: u64,
    /// Requests sent later than due by more than 10 ms and a period.
    pub late: u64,
    /// Kept connections found closed before anything was written: asked on a new one, as every
    /// client does.
    pub reopened: u64,
    /// The longest time between two answers as wanted, by when they came, the end of the span
    /// included, less the time in which this machine asked nobody. One that goes on over a border
    /// is counted from where it began, which may lie before `since`: the longest of all spans is
    /// the longest there was.
    pub longest_gap: Millis,
    /// When that began.
    pub gap_began: Option<Timestamp>,
    /// The first answer as wanted,
    pub first_ok: Option<Timestamp>,
    /// and the last.
    pub last_ok: Option<Timestamp>,
    /// Answers as wanted by how long they took from when they were due, as [`bucket`] has it, in
    /// order.
    pub times: Vec<(u16, u64)>,
}

/// Failures one after another that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureRun {
    /// When the first was due.
    pub first: Timestamp,
    /// When the last was due.
    pub last: Timestamp,
    /// How many.
    pub count: u64,
    /// In which way of connecting.
    pub way: Way,
    /// What happened.
    pub kind: FailureKind,
    /// The status, where one was answered.
    pub status: Option<u16>,
    /// The steps under way when they were due.
    pub steps: Vec<StepNo>,
}

/// What happened to a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The connection was refused.
    Refused,
    /// There was no connection for another reason: no answer, no name, no trust.
    NotConnected,
    /// A new connection was closed before anything was answered.
    ClosedNew,
    /// A kept connection was closed before anything was answered, with the request written.
    ClosedKept,
    /// The answer ended in the middle.
    Cut,
    /// No answer in time.
    TimedOut,
    /// What was answered is no HTTP.
    NoHttp,
    /// A status that is not wanted.
    Status,
    /// A body that is not wanted.
    Body,
}

/// A release as answers name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionSeen {
    /// What was answered, masked and at most 64 characters.
    pub text: String,
    /// When it was first seen,
    pub first: Timestamp,
    /// and last.
    pub last: Timestamp,
    /// In how many answers.
    pub count: u64,
}

/// A power of two is told apart in this many bits: times are off by 1/16 at most.
const BITS: u32 = 4;

/// Which bucket a time of so many microseconds falls in. Up to 31 each has its own.
#[must_use]
pub fn bucket(micros: u64) -> u16 {
    let shift = micros.checked_ilog2().unwrap_or_default().saturating_sub(BITS);
    // Below 16 nothing is shifted; from there on the first bit is always set.
    let all = (u64::from(shift) << BITS) + (micros >> shift);
    u16::try_from(all).unwrap_or(u16::MAX)
}

/// The longest time of a bucket, microseconds.
#[must_use]
pub fn longest_of(bucket: u16) -> u64 {
    let shift = (u32::from(bucket) >> BITS).saturating_sub(1);
    let first = u64::from(bucket) - (u64::from(shift) << BITS) + 1;
    // The last bucket ends where numbers do.
    first.checked_mul(1_u64.checked_shl(shift).unwrap_or(u64::MAX)).map_or(u64::MAX, |n| n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_in_one_bucket_and_buckets_are_in_order_and_narrow() {
        let mut before = 0;
        for micros in (0..10_000).chain((10_000..100_000_000).step_by(9_973)).chain([u64::MAX]) {
            let here = bucket(micros);
            assert!(here >= before, "{micros}");
            assert!(longest_of(here) >= micros, "{micros} in {here}");
            assert!(here == 0 || longest_of(here - 1) < micros, "{micros} in {here}");
            let wide = longest_of(here) - micros;
            assert!(wide <= micros >> BITS, "{micros} in {here}: {wide} wide");
            before = here;
        }
    }
}
