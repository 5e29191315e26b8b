//! What reads bytes of nodes and balancers, without nodes and balancers: the fuzz targets live in
//! another crate and need it. No interface; nothing else uses it.

use crate::balancer::MemberName;
use crate::balancer::haproxy::files::{self, FileText};
use crate::balancer::haproxy::listing::{self, Listing};
use crate::balancer::haproxy::reply::ReplyError;
use crate::balancer::haproxy::running::{self, Running};
use crate::balancer::haproxy::{View, read_changes, read_members};
use crate::balancer::member::Observation;
use crate::exec::channel::{self, Reply};
use crate::exec::supervisor::{self, Poll, StepKey, StepState, SupervisorError};

/// The replies to a line of `changes` changes of `backend` and a view of it.
///
/// # Errors
/// [`ReplyError`].
pub fn haproxy_changes(bytes: &[u8], backend: &str, changes: usize) -> Result<View, ReplyError> {
    read_changes(bytes, backend, changes)
}

/// The replies to a line that asks for `backends`, as readings of `members`.
///
/// # Errors
/// [`ReplyError`] when the line as a whole was not answered.
pub fn haproxy_members(
    bytes: &[u8],
    backends: &[&str],
    members: &[MemberName],
) -> Result<Observation, ReplyError> {
    read_members(bytes, backends, members)
}

/// The replies to a line that asks for every server.
///
/// # Errors
/// [`ReplyError`].
pub fn haproxy_listing(bytes: &[u8]) -> Result<Listing, ReplyError> {
    listing::read(bytes)
}

/// The replies to a line that asks by what requests can be lost.
///
/// # Errors
/// [`ReplyError`].
pub fn haproxy_running(bytes: &[u8]) -> Result<Running, ReplyError> {
    running::read(bytes)
}

/// What a host showed of these files.
///
/// # Errors
/// A sentence that names the first file that is not there as a whole.
pub fn haproxy_files(paths: &[String], stdout: &[u8]) -> Result<Vec<FileText>, String> {
    files::read(paths, stdout)
}

/// A stream of a channel, read in these pieces up to the mark of `word`: status and bytes.
#[must_use]
pub fn channel_reply(word: &str, pieces: &[&[u8]]) -> Option<(i32, Vec<u8>)> {
    channel::framed(word, pieces)
}

/// What the supervisor says of a step, output behind it.
///
/// # Errors
/// [`SupervisorError::Node`].
pub fn supervisor_poll(stdout: &[u8], mark: &str) -> Result<Poll, SupervisorError> {
    supervisor::read_poll(&reply(stdout), mark)
}

/// What the supervisor says of all its records, each with the file name it goes by.
///
/// # Errors
/// [`SupervisorError::Node`]; [`SupervisorError::Spec`] for a record that has no file name.
pub fn supervisor_list(
    stdout: &[u8],
) -> Result<Vec<(StepKey, StepState, String)>, SupervisorError> {
    let entries = supervisor::read_list(&reply(stdout))?.into_iter();
    let named = entries.map(|(key, state)| {
        let path = key.path()?;
        Ok((key, state, path))
    });
    named.collect()
}

fn reply(stdout: &[u8]) -> Reply {
    Reply { exit: 0, stdout: stdout.to_vec(), stderr: Vec::new() }
}
