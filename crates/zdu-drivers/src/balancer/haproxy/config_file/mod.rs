//! HAProxy's configuration files, as far as they say what a rollout can lose requests by. Pure.
//!
//! [`parse()`] keeps statements it knows and no words of any other line: a configuration holds
//! passwords, and what is not kept cannot be printed. Nothing is evaluated: what stands in a `.if`
//! block or depends on an environment variable is [`Known::Perhaps`].
//!
//! The rules are those of HAProxy's configuration manual 2.6: quoting (2.2), variables (2.3),
//! conditional blocks (2.4), `defaults` and `from` (4). Files are read in the order the process
//! names them; a `defaults` section also holds for the files behind its own (seen on 2.6.12).

mod parse;
mod words;

pub use parse::parse;

use std::sync::Arc;
use zdu_model::time::Millis;

/// Longest chain of `defaults ... from ...` that is followed. What is longer is not looked through.
const CHAIN_MAX: usize = 32;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path as the process names it.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.file, self.line)
    }
}

/// Whether something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// That depends on a `.if` block or an environment variable.
    Perhaps,
}

/// An option that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// `option idle-close-on-response`.
    IdleClose,
    /// `option redispatch`.
    Redispatch,
}

/// What a proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `frontend`: takes connections.
    Front,
    /// `backend`: has servers.
    Back,
    /// `listen`: both.
    Both,
}

impl Side {
    /// Whether it takes connections.
    #[must_use]
    pub fn is_front(self) -> bool {
        match self {
            Self::Front | Self::Both => true,
            Self::Back => false,
        }
    }

    /// Whether it has servers.
    #[must_use]
    pub fn is_back(self) -> bool {
        match self {
            Self::Back | Self::Both => true,
            Self::Front => false,
        }
    }
}

/// What `load-server-state-from-file` takes the states from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Nothing,
    /// The file that `global` names.
    Global,
    /// A file of the backend's own.
    Local,
}

/// How a frontend comes to a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// By its name, always or under a condition.
    Named,
    /// Perhaps: the name is an expression or a variable, or stands in a `.if` block. Where.
    Perhaps(Place),
}

/// What one statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Says {
    Switch(Switch, bool),
    Http(bool),
    /// `default_backend` or, `always` being false, `use_backend`; the name, where it is one.
    Route {
        to: Option<String>,
        always: bool,
    },
    /// `stick on`, `match`, `store-request` or `store-response`.
    Stick,
    LoadState(Load),
    /// `server-state-file` of `global`.
    StateFile,
    Retries(u32),
    /// `default-server ... slowstart TIME`.
    SlowStart(Millis),
    /// `server` or `server-template`.
    Server(Server),
    /// A statement whose keyword depends on a variable.
    Unreadable,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    name: String,
    /// First and last number behind the name, for a template.
    numbers: Option<(u32, u32)>,
    slow_start: Option<Millis>,
}

impl Server {
    fn is(&self, name: &str) -> bool {
        match self.numbers {
            None => self.name == name,
            Some((first, last)) => {
                let number = name.strip_prefix(&self.name).and_then(|rest| rest.parse().ok());
                number.is_some_and(|number| (first..=last).contains(&number))
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    says: Says,
    at: Place,
    /// It stands in a `.if` block.
    perhaps: bool,
}

/// A `defaults` section.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Profile {
    name: Option<String>,
    from: Option<usize>,
    own: Vec<Statement>,
    perhaps: bool,
}

/// A `frontend`, `backend` or `listen` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its name.
    pub name: String,
    /// What it does.
    pub side: Side,
    /// The line that begins it.
    pub at: Place,
    from: Option<usize>,
    own: Vec<Statement>,
    perhaps: bool,
}

/// All files of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigFile {
    proxies: Vec<Proxy>,
    profiles: Vec<Profile>,
    global: Vec<Statement>,
}

impl ConfigFile {
    /// The proxies that take connections.
    pub fn fronts(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.iter().filter(|proxy| proxy.side.is_front())
    }

    /// The backend of this name.
    #[must_use]
    pub fn back(&self, name: &str) -> Option<&Proxy> {
        self.proxies.iter().find(|proxy| proxy.side.is_back() && proxy.name == name)
    }

    /// Whether the last word about an option is that it is on.
    #[must_use]
    pub fn switch(&self, proxy: &Proxy, wanted: Switch) -> Known {
        self.last(proxy, |says| {
            if let Says::Switch(switch, on) = says {
                (*switch == wanted).then_some(*on)
            } else {
                None
            }
        })
    }

    /// Whether it looks at requests; a proxy that does not say its mode looks at bytes.
    #[must_use]
    pub fn http(&self, proxy: &Proxy) -> Known {
        self.last(proxy, |says| if let Says::Http(http) = says { Some(*http) } else { None })
    }

    /// Whether a connection that fails is never tried again (`retries 0`).
    #[must_use]
    pub fn never_retries(&self, proxy: &Proxy) -> Known {
        self.last(proxy, |says| if let Says::Retries(n) = says { Some(*n == 0) } else { None })
    }

    /// Whether a start takes the servers' states from a file.
    #[must_use]
    pub fn loads_state(&self, proxy: &Proxy) -> Known {
        self.loads(proxy, |load| load != Load::Nothing)
    }

    /// Whether it takes them from the file that `global` names.
    #[must_use]
    pub fn loads_global_state(&self, proxy: &Proxy) -> Known {
        self.loads(proxy, |load| load == Load::Global)
    }

    fn loads(&self, proxy: &Proxy, wanted: impl Fn(Load) -> bool) -> Known {
        self.last(
            proxy,
            |says| {
                if let Says::LoadState(load) = says { Some(wanted(*load)) } else { None }
            },
        )
    }

    /// Whether `global` names a file for the servers' states.
    #[must_use]
    pub fn state_file(&self) -> Known {
        if self.global.iter().any(|s| s.says == Says::StateFile && !s.perhaps) {
            Known::Yes
        } else if self.global.iter().any(|s| matches!(s.says, Says::StateFile | Says::Unreadable)) {
            Known::Perhaps
        } else {
            Known::No
        }
    }

    /// The first statement that makes clients stay with their server by a table.
    #[must_use]
    pub fn stick<'c>(&self, proxy: &'c Proxy) -> Option<&'c Place> {
        let found = proxy.own.iter().find(|statement| statement.says == Says::Stick);
        found.filter(|statement| !statement.perhaps).map(|statement| &statement.at)
    }

    /// How long a server that returns has less than its share, and where that is said.
    #[must_use]
    pub fn slow_start(&self, proxy: &Proxy, server: &str) -> Option<(Millis, Place)> {
        let mut usual = None;
        for statement in self.chain(proxy) {
            if statement.perhaps {
                continue;
            }
            match &statement.says {
                Says::SlowStart(span) => usual = Some((*span, statement.at.clone())),
                Says::Server(found) if found.is(server) => {
                    let own = found.slow_start.map(|span| (span, statement.at.clone()));
                    return own.or(usual).filter(|(span, _)| span.0 > 0);
                }
                Says::Server(_)
                | Says::Switch(..)
                | Says::Http(_)
                | Says::Route { .. }
                | Says::Stick
                | Says::LoadState(_)
                | Says::StateFile
                | Says::Retries(_)
                | Says::Unreadable => {}
            }
        }
        None
    }

    /// Whether and how a proxy leads to the servers of `backend`.
    #[must_use]
    pub fn route(&self, proxy: &Proxy, backend: &str) -> Option<Route> {
        if proxy.side == Side::Both && proxy.name == backend {
            return Some(Route::Named);
        }
        let mut ways: Vec<(&Statement, Option<&str>)> = Vec::new();
        // The last word about the default; one that only may stand there replaces none.
        let mut default = None;
        for statement in self.chain(proxy) {
            let Says::Route { to, always } = &statement.says else { continue };
            let way = (statement, to.as_deref());
            if *always && !statement.perhaps {
                default = Some(way);
            } else {
                ways.push(way);
            }
        }
        ways.extend(default);
        let mut perhaps = None;
        for (statement, to) in ways {
            match to {
                Some(name) if name != backend => {}
                Some(_) if !statement.perhaps => return Some(Route::Named),
                Some(_) | None => perhaps = perhaps.or(Some(Route::Perhaps(statement.at.clone()))),
            }
        }
        perhaps
    }

    /// The last word about something that is off where nothing is said.
    fn last(&self, proxy: &Proxy, wanted: impl Fn(&Says) -> Option<bool>) -> Known {
        let mut known = if self.is_certain(proxy) { Known::No } else { Known::Perhaps };
        for statement in self.chain(proxy) {
            let Some(on) = wanted(&statement.says) else { continue };
            let said = if on { Known::Yes } else { Known::No };
            // In a `.if` block only what changes nothing is known.
            known = if statement.perhaps && said != known { Known::Perhaps } else { said };
        }
        known
    }

    /// Whether everything that is said of it is seen.
    fn is_certain(&self, proxy: &Proxy) -> bool {
        let profiles = self.profiles_of(proxy);
        let whole = profiles.len() < CHAIN_MAX && profiles.iter().all(|profile| !profile.perhaps);
        let readable = |statement: &Statement| statement.says != Says::Unreadable;
        whole && !proxy.perhaps && self.chain(proxy).all(readable)
    }

    /// What is said of a proxy, the first word first.
    fn chain<'c>(&'c self, proxy: &'c Proxy) -> impl Iterator<Item = &'c Statement> {
        let profiles = self.profiles_of(proxy).into_iter().rev();
        profiles.flat_map(|profile| &profile.own).chain(&proxy.own)
    }

    /// The `defaults` sections of a proxy, the nearest first.
    fn profiles_of(&self, proxy: &Proxy) -> Vec<&Profile> {
        let mut found = Vec::new();
        let mut next = proxy.from;
        while let Some(profile) = next.and_then(|at| self.profiles.get(at)) {
            found.push(profile);
            next = profile.from.filter(|_| found.len() < CHAIN_MAX);
        }
        found
    }
}

#[cfg(test)]
mod tests;
