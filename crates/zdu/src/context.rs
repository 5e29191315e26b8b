//! What every command is given, and the facts about this process.

use crate::cli::Global;
use crate::failure::Failure;
use crate::printer::Printer;
use jiff::tz::Offset;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use zdu_conductor::directory::StateDir;
use zdu_conductor::storage::Owner;
use zdu_drivers::exec::{quote, quote_all};
use zdu_model::time::Timestamp;
use zdu_model::verdict::exit;
use zdu_view::call::Call;

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where to say things.
    pub printer: Printer,
    /// Where rollouts are kept.
    pub state: StateDir,
    path: PathBuf,
    named: bool,
    call: Call,
}

impl Context {
    /// From the options of every command. Nothing is created.
    ///
    /// # Errors
    /// When no place for the state directory can be found.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let path = match &global.state_dir {
            Some(path) => path.clone(),
            None => default_state_dir().ok_or_else(|| {
                Failure::new(exit::USAGE, "find the state directory: HOME is not set")
                    .hint("say where rollouts are kept: `--state-dir DIR` or ZDU_STATE_DIR")
            })?,
        };
        // Relative paths are made absolute once: later a process may stand somewhere else.
        let path = std::path::absolute(&path).unwrap_or(path);
        // What the next shell would not know by itself.
        let given = global.state_dir.is_some().then(|| quote_all(["--state-dir", &shown(&path)]));
        let call = Call::new(program(), given.unwrap_or_default());
        let named = global.state_dir.is_some();
        let (printer, state) = (Printer::new(global), StateDir::new(path.clone()));
        Ok(Self { printer, state, path, named, call })
    }

    /// How zdu is called from the user's shell, for every command that is printed.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The same, with commands printed for another call.
    #[must_use]
    pub fn called(self, call: Call) -> Self {
        Self { call, ..self }
    }

    /// The state directory.
    #[must_use]
    pub fn state_path(&self) -> &Path {
        &self.path
    }

    /// Whether the command line names the state directory.
    #[must_use]
    pub fn names_state_dir(&self) -> bool {
        self.named
    }

    /// The same, with data left out where it is JSON: for a part of an answer that is one document.
    #[must_use]
    pub fn as_a_part(self) -> Self {
        let printer =
            if self.printer.wants_json() { self.printer.without_data() } else { self.printer };
        Self { printer, ..self }
    }

    /// Creates the state directory, 0700, when it is not there.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create_state_dir(&self) -> Result<(), Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        made.map_err(|source| {
            Failure::new(exit::JOURNAL_UNWRITABLE, format!("create {}", self.path.display()))
                .cause(&source)
                .hint("choose a directory this user may write to: `--state-dir DIR`")
        })
    }

    /// Now, by this machine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Who this process is: user, host and process id.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner { user: user(), host: host(), pid: std::process::id() }
    }

    /// Who asks, for the journal: user and host.
    #[must_use]
    pub fn by(&self) -> String {
        format!("{}@{}", user(), host())
    }
}

/// The offset times are shown in: this machine's, as it is now.
#[must_use]
pub fn offset() -> Offset {
    jiff::Zoned::now().offset()
}

fn default_state_dir() -> Option<PathBuf> {
    let named = std::env::var_os("ZDU_STATE_DIR").filter(|path| !path.is_empty());
    if let Some(path) = named {
        return Some(PathBuf::from(path));
    }
    // The XDG rules: a relative path in the variable is to be ignored.
    let xdg = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || {
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|p| p.is_absolute())?;
        Some(home.join(".local/state"))
    };
    Some(xdg.or_else(home)?.join("zdu"))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The word a shell starts this program by: its name where the search path leads to it, else its
/// path. `zdupgrade` answers for nothing afterwards; `zdu` beside it does.
fn program() -> String {
    let plain = "zdu".to_owned();
    let Ok(mut this) = std::env::current_exe() else { return plain };
    if this.file_name().is_some_and(|name| name == "zdupgrade") {
        this.set_file_name(&plain);
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let Some(name) = this.file_name() else { return plain };
    let mut candidates = std::env::split_paths(&search).map(|directory| directory.join(name));
    let found = candidates.find(|path| path.is_file()).and_then(|path| path.canonicalize().ok());
    match this.canonicalize() {
        Ok(real) if found.as_ref() == Some(&real) => quote(&name.to_string_lossy()),
        Ok(real) => quote(&shown(&real)),
        Err(_) => plain,
    }
}

fn user() -> String {
    let named = ["LOGNAME", "USER"].into_iter().filter_map(|name| std::env::var(name).ok());
    let uid = || format!("uid-{}", rustix::process::getuid().as_raw());
    named.into_iter().find(|name| !name.is_empty()).unwrap_or_else(uid)
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
