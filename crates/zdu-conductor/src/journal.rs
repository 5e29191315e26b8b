//! A journal in a file: one line and one `fdatasync` for each append.
//!
//! **After a failed write or sync** the file is cut back to its last good length, when that still
//! works, and the journal refuses everything until it is opened anew. A failed `fsync` is never
//! tried again on the same handle: the kernel reports it once and may already have dropped the
//! pages or marked them clean, so a second call that succeeds proves nothing about them.

use crate::chain::{Chain, scan};
use crate::directory::{at, create_dir, sync_dir};
use crate::storage::{AppendError, History, ReadError, Repaired};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use zdu_model::event::Record;

/// The few operations a journal needs of a file, so that a test can make each of them fail.
pub trait JournalFile: Send {
    /// Everything in it.
    ///
    /// # Errors
    /// As the system says.
    fn read(&mut self) -> io::Result<Vec<u8>>;

    /// Writes some of the bytes at the end and says how many.
    ///
    /// # Errors
    /// As the system says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts it to this many bytes.
    ///
    /// # Errors
    /// As the system says.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;

    /// How many bytes it has now.
    ///
    /// # Errors
    /// As the system says, and when the file is no longer in any directory.
    fn len(&mut self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// As [`Self::len`].
    fn is_empty(&mut self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file of the operating system.
#[derive(Debug)]
pub struct OsFile(File);

impl OsFile {
    /// Opens the file for appending; creates it, 0600, and makes its name durable.
    ///
    /// # Errors
    /// As the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let dir = path.parent().unwrap_or(Path::new("."));
        create_dir(dir).map_err(io::Error::other)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(path)?;
        // Also when it was there already: who created it may have died before this line.
        sync_dir(dir).map_err(io::Error::other)?;
        Ok(Self(file))
    }
}

impl JournalFile for OsFile {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.rewind()?;
        self.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn len(&mut self) -> io::Result<u64> {
        let data = self.0.metadata()?;
        if data.nlink() == 0 {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the journal was removed while it was in use",
            ));
        }
        Ok(data.len())
    }
}

/// A journal that is open for appending.
pub struct Journal {
    file: Box<dyn JournalFile>,
    chain: Chain,
    bytes: u64,
    poisoned: Option<String>,
}

impl Journal {
    /// Reads and checks the whole file, and removes what a cut write left at its end. Nobody else
    /// may be appending meanwhile.
    ///
    /// # Errors
    /// [`ReadError`]; then the file is as it was.
    pub fn open(mut file: Box<dyn JournalFile>) -> Result<(Self, History), ReadError> {
        let unavailable = |e: io::Error| ReadError::Unavailable { source: e.into() };
        let bytes = file.read().map_err(unavailable)?;
        let scan = scan(&bytes)?;
        let mut repaired = None;
        if let Some(torn) = scan.torn {
            file.truncate(scan.good_bytes).map_err(unavailable)?;
            file.sync().map_err(unavailable)?;
            repaired = Some(Repaired { bytes: torn.bytes, why: torn.why });
        }
        let journal = Self { file, chain: scan.chain, bytes: scan.good_bytes, poisoned: None };
        let records = scan.records;
        Ok((journal, History { records, repaired }))
    }

    /// Where it ends.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Appends one line and makes it durable.
    ///
    /// # Errors
    /// [`AppendError::Refused`] before anything is written; [`AppendError::Unwritable`] when the
    /// file failed, after which every call is [`AppendError::Poisoned`].
    pub fn append(&mut self, records: &[Record]) -> Result<(), AppendError> {
        let expected = self.chain.last();
        if let Some(why) = &self.poisoned {
            return Err(AppendError::Poisoned { why: why.clone() });
        }
        let (line, next) =
            self.chain.encode(records).map_err(|why| AppendError::Refused { expected, why })?;
        if let Err(source) = self.write_line(&line) {
            self.poisoned = Some(source.to_string());
            return Err(AppendError::Unwritable { expected, source: source.into() });
        }
        self.chain = next;
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let found = self.file.len()?;
        if found != self.bytes {
            // Not ours to cut: somebody else wrote here.
            return Err(io::Error::other(format!(
                "the journal has {found} bytes where {} were written",
                self.bytes
            )));
        }
        let done = write_all(self.file.as_mut(), line).and_then(|()| self.file.sync());
        if done.is_err() {
            // The journal is readable without this: a rest of the line is cut at the next open,
            // and a whole line that was not confirmed is as good as one that was.
            let _cut = self.file.truncate(self.bytes);
        }
        done
    }
}

/// Writes until everything is written; a short write is followed by another.
fn write_all(file: &mut dyn JournalFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads a journal without changing anything, also while a controller writes it: then the last
/// line may look torn.
///
/// # Errors
/// [`ReadError`].
pub fn read_only(path: &Path) -> Result<crate::chain::Scan, ReadError> {
    let bytes = std::fs::read(path)
        .map_err(|e| ReadError::Unavailable { source: at("read", path)(e).into() })?;
    scan(&bytes)
}
