//! Where a demo lies: a new directory of the user's own.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest path of a unix socket in bytes: `sun_path` holds 108 with the closing zero.
const SOCKET_PATH_MAX: usize = 107;

/// Makes the directory of one demo, for its owner only: `given`, or a new one below the user's
/// state directory (`$XDG_STATE_HOME`, `~/.local/state`, or the system's temporary directory).
///
/// # Errors
/// When `given` exists and is not empty, or the file system refuses.
pub(crate) fn make(given: Option<&Path>) -> io::Result<PathBuf> {
    let dir = match given {
        Some(dir) => std::path::absolute(dir)?,
        None => state_home().join("zdu/demo").join(unique_name()),
    };
    // The tools of the stand-ins are started with these paths as words of scripts.
    if dir.to_str().is_none() {
        return Err(io::Error::other(format!("{} is not UTF-8", dir.display())));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    if fs::read_dir(&dir)?.next().is_some() {
        let text = format!("{} is not empty: a demo needs a directory of its own", dir.display());
        return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, text));
    }
    Ok(dir)
}

/// A path for the balancer's socket: in `dir`, or in a new temporary directory where that path
/// would be too long for a socket.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn socket_path(dir: &Path) -> io::Result<PathBuf> {
    let inside = dir.join("balancer.sock");
    if inside.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok(inside);
    }
    let short = std::env::temp_dir().join(format!("zdu-demo-{}", unique_name()));
    DirBuilder::new().mode(0o700).create(&short)?;
    Ok(short.join("balancer.sock"))
}

fn state_home() -> PathBuf {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).and_then(absolute);
    from("XDG_STATE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
}

/// Sorts by time; the process id tells two demos of one moment apart.
fn unique_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", now.as_millis(), std::process::id())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory for one test, gone with all it holds when dropped.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let next = NEXT.fetch_add(1, Ordering::SeqCst);
            let dir = std::env::temp_dir().join(format!("zdu-demo-test-{}-{next}", unique_name()));
            fs::create_dir(&dir).expect("a new directory");
            Self(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_directory_that_holds_something_is_refused() {
        let scratch = Scratch::new();
        let dir = scratch.0.join("a/b");
        assert_eq!(make(Some(&dir)).unwrap(), dir);
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(dir.join("file"), "").unwrap();
        let refused = make(Some(&dir)).unwrap_err();
        assert!(refused.to_string().contains("is not empty"), "{refused}");
    }

    #[test]
    fn a_socket_whose_path_would_be_too_long_lies_elsewhere() {
        assert_eq!(socket_path(Path::new("/d")).unwrap(), Path::new("/d/balancer.sock"));
        let long = Path::new("/").join("x".repeat(100));
        let elsewhere = socket_path(&long).unwrap();
        assert!(elsewhere.as_os_str().len() <= SOCKET_PATH_MAX, "{}", elsewhere.display());
        fs::remove_dir(elsewhere.parent().unwrap()).unwrap();
    }
}
