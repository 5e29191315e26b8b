//! Requests of operators as files, from any process to the controller that runs, or that comes.
//!
//! A request is looked at with [`Requests::pending`], given to the conductor as an input, and
//! removed with [`Requests::done`] when the turn has made it durable. A controller that dies in
//! between sees it again: asking twice to hold is harmless, a request that is lost is not.

use crate::directory::{FileError, Lock, RolloutDir, at, create_dir, names, read, replace};
use crate::files::parse;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use zdu_model::event::Request;
use zdu_model::time::Timestamp;

/// The format of a request's file.
const REQUEST_FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct RequestFile {
    v: u32,
    request: Request,
    by: String,
    reason: String,
    at: Timestamp,
}

/// A request nobody has dealt with yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number: later ones are higher.
    pub number: u64,
    /// What is asked for.
    pub request: Request,
    /// Who asks.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// When it was asked.
    pub at: Timestamp,
}

/// What waits in the directory.
#[derive(Debug, Default)]
pub struct Inbox {
    /// The requests, oldest first.
    pub pending: Vec<Pending>,
    /// Files that could not be understood. They stay, and do not stop the others.
    pub unreadable: Vec<FileError>,
}

/// The requests of one rollout.
#[derive(Debug, Clone)]
pub struct Requests(PathBuf);

impl Requests {
    /// Those of this rollout.
    #[must_use]
    pub fn new(rollout: &RolloutDir) -> Self {
        Self(rollout.requests())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.0.join(format!("{number:020}.json"))
    }

    fn numbers(&self) -> Result<Vec<u64>, FileError> {
        let number = |name: String| name.strip_suffix(".json")?.parse().ok();
        Ok(names(&self.0)?.into_iter().filter_map(number).collect())
    }

    /// Leaves a request behind those that wait, and gives its number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn submit(
        &self,
        request: Request,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64, FileError> {
        create_dir(&self.0)?;
        let _lock = Lock::take(&self.0.join("lock"))?;
        let number = self.numbers()?.last().map_or(1, |last| last + 1);
        let file = RequestFile {
            v: REQUEST_FORMAT,
            request,
            by: by.to_owned(),
            reason: reason.to_owned(),
            at: now,
        };
        let path = self.path(number);
        let bytes =
            serde_json::to_vec(&file).map_err(|e| at("write", &path)(io::Error::other(e)))?;
        replace(&path, &bytes)?;
        Ok(number)
    }

    /// What waits, oldest first.
    ///
    /// # Errors
    /// When the directory cannot be read; one that is not there holds nothing.
    pub fn pending(&self) -> Result<Inbox, FileError> {
        let mut inbox = Inbox::default();
        for number in self.numbers()? {
            let path = self.path(number);
            let file = read(&path).and_then(|bytes| {
                let parse = |bytes: Vec<u8>| parse::<RequestFile>(&path, &bytes, REQUEST_FORMAT);
                bytes.map(parse).transpose()
            });
            match file {
                Ok(None) => {}
                Ok(Some(file)) => inbox.pending.push(Pending {
                    number,
                    request: file.request,
                    by: file.by,
                    reason: file.reason,
                    at: file.at,
                }),
                Err(error) => inbox.unreadable.push(error),
            }
        }
        Ok(inbox)
    }

    /// Removes a request that is durable in the journal.
    ///
    /// # Errors
    /// When it cannot be removed; one that is gone is fine.
    pub fn done(&self, number: u64) -> Result<(), FileError> {
        let path = self.path(number);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at("remove", &path)(e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
