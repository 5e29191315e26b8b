//! Putting a file on a target, and keeping a copy of one, each verified by its digest.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::channel::{Channel, ChannelError, Reply, random_word, tail};
use super::quote::quote;

/// Why a file was not put or copied. Nothing is at the destination that was not there before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The channel failed; the destination has the old or the new content, never a part.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The target refused: no space, no permission, no such directory.
    #[error("target could not do it (exit {exit}): {}", lines.join("; "))]
    Target {
        /// Exit status.
        exit: i32,
        /// What it said.
        lines: Vec<String>,
    },
    /// The bytes that arrived are not those that were sent.
    #[error("digest of {path} is {found}, expected {expected}")]
    Digest {
        /// The file.
        path: String,
        /// SHA-256 in hexadecimal.
        found: String,
        /// SHA-256 in hexadecimal.
        expected: String,
    },
    /// There is no such file to copy.
    #[error("{path} does not exist or is no regular file")]
    Absent {
        /// The file.
        path: String,
    },
    /// The file to copy is empty: a backup of it would only look like one.
    #[error("{path} is empty")]
    Empty {
        /// The file.
        path: String,
    },
    /// Not an absolute path.
    #[error("{path:?} is not an absolute path")]
    Path {
        /// The path.
        path: String,
    },
}

fn refused(reply: &Reply) -> TransferError {
    TransferError::Target { exit: reply.exit, lines: tail(&reply.stderr) }
}

/// The path as a shell word. Absolute, so it can be no option and no different file elsewhere.
fn absolute(path: &str) -> Result<String, TransferError> {
    if path.starts_with('/') && !path.ends_with('/') {
        return Ok(quote(path));
    }
    Err(TransferError::Path { path: path.to_owned() })
}

fn temporary(path: &str) -> Result<String, TransferError> {
    let lost = |error: std::io::Error| ChannelError::Lost { stderr: vec![error.to_string()] };
    Ok(quote(&format!("{path}.zdu-{}", random_word().map_err(lost)?)))
}

/// Puts `bytes` at `path` with permissions `mode` (like `0o640`): written beside it, verified,
/// synced where the target can, then renamed over it. Returns the SHA-256 in hexadecimal.
///
/// # Errors
/// See [`TransferError`].
pub async fn upload(
    channel: &mut Channel,
    bytes: &[u8],
    path: &str,
    mode: u32,
    deadline: Duration,
) -> Result<String, TransferError> {
    let (place, aside) = (absolute(path)?, temporary(path)?);
    let digest = Sha256::digest(bytes);
    let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let script = format!(
        "umask 077; set -C\n\
         trap 'rm -f \"$t\"' EXIT; t={aside}\n\
         cat >\"$t\" || exit 1\n\
         s=$(sha256sum <\"$t\") || exit 1\n\
         printf '%s' \"${{s%% *}}\"; [ \"${{s%% *}}\" = {expected} ] || exit 9\n\
         [ ! -d {place} ] || {{ echo 'is a directory' >&2; exit 1; }}\n\
         chmod {mode:04o} \"$t\" && {{ sync \"$t\" 2>/dev/null || :; }} && mv -f \"$t\" {place}",
        mode = mode & 0o7777,
    );
    let reply = channel.run(&script, Some(bytes), deadline).await?;
    let found = String::from_utf8_lossy(&reply.stdout).into_owned();
    match reply.exit {
        0 => Ok(expected),
        9 => Err(TransferError::Digest { path: path.to_owned(), found, expected }),
        _ => Err(refused(&reply)),
    }
}

/// Copies the file `path` of a target to `to` on the same target, with its owner and permissions
/// as far as the login may, and returns the copy's SHA-256 in hexadecimal and its size in bytes.
/// An empty file is refused unless `allow_empty`.
///
/// # Errors
/// See [`TransferError`].
pub async fn backup_file(
    channel: &mut Channel,
    path: &str,
    to: &str,
    allow_empty: bool,
    deadline: Duration,
) -> Result<(String, u64), TransferError> {
    let (source, place, aside) = (absolute(path)?, absolute(to)?, temporary(to)?);
    let script = format!(
        "umask 077; trap 'rm -f \"$t\"' EXIT; t={aside}\n\
         [ -f {source} ] || exit 7\n\
         [ -s {source} ] || {empty}\n\
         cp -p {source} \"$t\" || exit 1\n\
         a=$(sha256sum <{source}) && b=$(sha256sum <\"$t\") && n=$(wc -c <\"$t\") || exit 1\n\
         printf '%s %s %s' \"${{a%% *}}\" \"${{b%% *}}\" $n; [ \"$a\" = \"$b\" ] || exit 9\n\
         [ ! -d {place} ] || {{ echo 'is a directory' >&2; exit 1; }}\n\
         {{ sync \"$t\" 2>/dev/null || :; }} && mv -f \"$t\" {place}",
        empty = if allow_empty { ":" } else { "exit 8" },
    );
    let reply = channel.run(&script, None, deadline).await?;
    let text = String::from_utf8_lossy(&reply.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    match (reply.exit, words.as_slice()) {
        (0, [_, copy, size]) => {
            let size = size.parse().map_err(|_| refused(&reply))?;
            Ok(((*copy).to_owned(), size))
        }
        (7, _) => Err(TransferError::Absent { path: path.to_owned() }),
        (8, _) => Err(TransferError::Empty { path: path.to_owned() }),
        (9, [source, copy, _]) => Err(TransferError::Digest {
            path: to.to_owned(),
            found: (*copy).to_owned(),
            expected: (*source).to_owned(),
        }),
        _ => Err(refused(&reply)),
    }
}
