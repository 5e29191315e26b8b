//! What in an HAProxy's configuration loses requests, or leaves a drain or a return unproved.
//! Pure: from what the process says and what its files say to sentences for an operator.
//!
//! Only proxies count through which the fleet's members are reached: the members' backends, and the
//! frontends that lead to them. Nothing here stops a rollout. Figures stand only where one was
//! measured; all of them on HAProxy 2.6.12, in a lab of ours.

use super::config_file::{ConfigFile, Known, Place, Proxy, Route, Switch};
use super::files::FileText;
use super::running::{Running, Server};
use super::view::Status;
use crate::balancer::MemberName;
use std::collections::{BTreeMap, BTreeSet};
use zdu_model::time::Millis;

mod words;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The configuration could not be looked at.
    NotRead,
    /// A file was changed since the process began.
    ChangedSince,
    /// A reload closes idle connections of clients.
    IdleClose,
    /// A check that proves a port and no application.
    PortCheck,
    /// No check at all.
    NoCheck,
    /// An agent that can change a server's state or weight.
    Agent,
    /// Connections to members that the members close.
    KeptToMember,
    /// A reload forgets a drain.
    StateForgotten,
    /// A request to a dead member is not given to another one.
    NoRedispatch,
    /// Clients stay with their server.
    Persistence,
    /// Nothing ends a connection.
    TcpMode,
    /// A member that returns carries less for a while.
    SlowStart,
}

impl Rule {
    /// Every rule: the manual has a row for each.
    pub const ALL: [Self; 12] = [
        Self::NotRead,
        Self::ChangedSince,
        Self::IdleClose,
        Self::PortCheck,
        Self::NoCheck,
        Self::Agent,
        Self::KeptToMember,
        Self::StateForgotten,
        Self::NoRedispatch,
        Self::Persistence,
        Self::TcpMode,
        Self::SlowStart,
    ];
}

/// One thing that costs requests, or a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weakness {
    /// What was looked at.
    pub rule: Rule,
    /// The frontend or backend.
    pub proxy: Option<String>,
    /// Where it is said, or the proxy that does not say it.
    pub place: Option<Place>,
    /// What should be true, as a sentence.
    pub what: &'static str,
    /// Why it is not, with what that was seen to cost.
    pub why: String,
    /// What to write instead.
    pub hint: &'static str,
}

impl Weakness {
    /// Nothing could be looked at, and why.
    #[must_use]
    pub fn not_read(why: String) -> Self {
        Self { why, ..bare(Rule::NotRead, None, None) }
    }
}

/// What is known of one process's configuration files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Their text.
    Files(Vec<FileText>),
    /// Why there is none, as the end of a sentence.
    Not(String),
}

/// Everything found about the `members` of one process. `soak` is what passes between the return of
/// a wave and the next one.
#[must_use]
pub fn weaknesses(
    members: &[MemberName],
    soak: Millis,
    running: &Running,
    read: &Read,
) -> Vec<Weakness> {
    let mut backs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for member in members {
        backs.entry(&member.backend).or_default().insert(&member.server);
    }
    let mut found = Vec::new();
    let config = match read {
        Read::Not(why) => {
            found.push(Weakness::not_read(why.clone()));
            None
        }
        Read::Files(files) => {
            found.extend(changed_since(files, running));
            Some(super::config_file::parse(files.iter().map(|f| (f.path.as_str(), &*f.bytes))))
        }
    };
    let mut known = Vec::new();
    for (name, servers) in &backs {
        // A member that the process does not have is told elsewhere.
        let Some(seen) = running.backs.get(*name) else { continue };
        let place = config.as_ref().and_then(|config| config.back(name));
        let back = Back { name, servers, seen, running, place: place.map(|proxy| &proxy.at) };
        back.running(&mut found);
        match (&config, place) {
            (Some(config), Some(proxy)) => {
                back.written(config, proxy, soak, &mut found);
                known.push(*name);
            }
            (Some(_), None) => {
                let why = format!("the files that the process names have no backend {name}");
                found.push(Weakness { why, ..bare(Rule::NotRead, Some(name), None) });
            }
            (None, _) => back.without_file(&mut found),
        }
    }
    if let Some(config) = &config {
        found.extend(fronts(config, running, &known));
    }
    found
}

fn bare(rule: Rule, proxy: Option<&str>, place: Option<&Place>) -> Weakness {
    let (what, hint) = words::of(rule);
    let (proxy, place) = (proxy.map(str::to_owned), place.cloned());
    Weakness { rule, proxy, place, what, why: String::new(), hint }
}

/// A file that was changed behind the start says what the next process will do.
fn changed_since(files: &[FileText], running: &Running) -> Option<Weakness> {
    let started = running.started_unix_s?;
    // Both times are whole seconds: within the same one nobody knows.
    let newer = |file: &&FileText| file.changed_unix_s.is_some_and(|changed| changed > started);
    let file = files.iter().find(newer)?;
    let why = format!(
        "{} was changed after the process began: what is said of it here may not run yet",
        file.path
    );
    Some(Weakness { why, ..bare(Rule::ChangedSince, None, None) })
}

/// One backend with the fleet's members in it.
struct Back<'a> {
    name: &'a str,
    servers: &'a BTreeSet<&'a str>,
    seen: &'a super::running::Back,
    running: &'a Running,
    /// Its line, where its file is known.
    place: Option<&'a Place>,
}

impl Back<'_> {
    fn tell(&self, found: &mut Vec<Weakness>, rule: Rule, place: Option<&Place>, why: String) {
        found.push(Weakness { why, ..bare(rule, Some(self.name), place.or(self.place)) });
    }

    fn server(&self, name: &str) -> Option<&Server> {
        self.running.servers.get(&(self.name.to_owned(), name.to_owned()))
    }

    /// The members of which something holds, shortened; none where it holds of none.
    fn those(&self, holds: impl Fn(&Server) -> bool) -> Option<String> {
        let holds = |name: &&str| self.server(name).is_some_and(&holds);
        listed(self.servers.iter().copied().filter(holds))
    }

    /// The server whose check says whether this one lives: itself, or the one it follows.
    fn checked<'s>(&'s self, server: &'s Server) -> &'s Server {
        let mut server = server;
        // HAProxy refuses a circle; a foreign text may have one.
        for _ in 0..8 {
            let followed = server.tracked.as_deref().and_then(|path| path.split_once('/'));
            let path = followed.map(|(back, name)| (back.to_owned(), name.to_owned()));
            let Some(next) = path.and_then(|path| self.running.servers.get(&path)) else { break };
            server = next;
        }
        server
    }

    /// What the process itself shows.
    fn running(&self, found: &mut Vec<Weakness>) {
        if let Some(those) = self.those(|server| server.status == Status::NoCheck) {
            let why = format!("{those} has no check: HAProxy takes it for up whatever it does");
            self.tell(found, Rule::NoCheck, None, why);
        }
        let port_alone = |server: &Server| {
            matches!(self.checked(server).check.as_deref(), Some("L4OK" | "L6OK"))
        };
        if let Some(those) = self.those(port_alone) {
            self.tell(found, Rule::PortCheck, None, words::port_check(&those));
        }
        if let Some(those) = self.those(|server| server.agent) {
            self.tell(found, Rule::Agent, None, words::agent(&those));
        }
        let closes = |server: &Server| server.aborted > 0 && server.reused > 0;
        if let Some(those) = self.those(closes) {
            let servers = self.servers.iter().filter_map(|name| self.server(name));
            let ended = servers.filter(|s| closes(s)).map(|s| s.aborted).sum();
            self.tell(found, Rule::KeptToMember, None, words::kept_to_member(&those, ended));
        }
        if self.seen.http == Some(false) {
            self.tell(found, Rule::TcpMode, None, words::tcp_mode(self.name));
        }
        if let Some(cookie) = &self.seen.cookie
            && let Some(those) = self.those(|server| server.cookie)
        {
            let why = words::persistence(&format!("by the cookie {cookie}"), &those);
            self.tell(found, Rule::Persistence, None, why);
        }
    }

    /// What its files say.
    fn written(&self, config: &ConfigFile, proxy: &Proxy, soak: Millis, found: &mut Vec<Weakness>) {
        let of = |name: &str| format!("backend {name}");
        if let Some(why) = state_forgotten(config, proxy, &of(self.name)) {
            self.tell(found, Rule::StateForgotten, None, why);
        }
        let redispatch = config.switch(proxy, Switch::Redispatch);
        let never = config.never_retries(proxy);
        if redispatch == Known::No {
            self.tell(
                found,
                Rule::NoRedispatch,
                None,
                words::no_redispatch(self.name, "no `option redispatch`"),
            );
        } else if never == Known::Yes {
            self.tell(
                found,
                Rule::NoRedispatch,
                None,
                words::no_redispatch(self.name, "`retries 0`"),
            );
        } else if redispatch == Known::Perhaps || never == Known::Perhaps {
            let why = words::perhaps(&of(self.name), "`option redispatch`");
            self.tell(found, Rule::NoRedispatch, None, why);
        }
        if let Some(place) = config.stick(proxy) {
            let those = listed(self.servers.iter().copied()).unwrap_or_default();
            let why = words::persistence("by a stick table", &those);
            self.tell(found, Rule::Persistence, Some(place), why);
        }
        let slow = self.servers.iter().filter_map(|server| {
            let (span, place) = config.slow_start(proxy, server)?;
            (span > soak).then_some((span, place, *server))
        });
        let slow: Vec<_> = slow.collect();
        if let Some((span, place, _)) = slow.iter().max_by_key(|(span, ..)| *span) {
            let those = listed(slow.iter().map(|(_, _, server)| *server)).unwrap_or_default();
            let why = words::slow_start(&those, *span, soak);
            self.tell(found, Rule::SlowStart, Some(place), why);
        }
    }

    /// What the process alone leaves open: whether its table makes clients stay.
    fn without_file(&self, found: &mut Vec<Weakness>) {
        if self.running.tables.contains(self.name) {
            let those = listed(self.servers.iter().copied()).unwrap_or_default();
            let way = "by a stick table, if a `stick` statement uses it";
            self.tell(found, Rule::Persistence, None, words::persistence(way, &those));
        }
    }
}

fn state_forgotten(config: &ConfigFile, proxy: &Proxy, of: &str) -> Option<String> {
    let load = "`load-server-state-from-file`";
    match config.loads_state(proxy) {
        Known::No => Some(words::state_forgotten(&format!("{of} has no {load}"))),
        Known::Perhaps => Some(words::perhaps(of, load)),
        Known::Yes => {
            // A file of the backend's own has a name of its own by default.
            let nowhere =
                config.loads_global_state(proxy) == Known::Yes && config.state_file() == Known::No;
            nowhere.then(|| words::state_forgotten("`global` has no `server-state-file`"))
        }
    }
}

/// The frontends that lead to the members, and close idle connections of clients at a reload.
fn fronts(config: &ConfigFile, running: &Running, backs: &[&str]) -> Vec<Weakness> {
    // The option came with 2.4, which began to close them at once (configuration manual).
    if running.release().is_some_and(|release| release < (2, 4)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let runs = |proxy: &&Proxy| running.fronts.contains(&proxy.name);
    for proxy in config.fronts().filter(runs) {
        let certain = match (config.switch(proxy, Switch::IdleClose), config.http(proxy)) {
            (Known::Yes, _) | (_, Known::No) => continue,
            (Known::No, Known::Yes) => true,
            (Known::No | Known::Perhaps, Known::Yes | Known::Perhaps) => false,
        };
        let routes = backs.iter().filter_map(|back| Some((*back, config.route(proxy, back)?)));
        let mut routes: Vec<_> = routes.collect();
        // One that leads there for certain says more than one that may.
        routes.sort_by_key(|(_, route)| *route != Route::Named);
        let Some((back, route)) = routes.first() else { continue };
        let name = proxy.name.as_str();
        let why = match (certain, route) {
            (true, Route::Named) => words::idle_close(name),
            (true, Route::Perhaps(place)) => words::idle_close_perhaps(name, back, place),
            (false, _) => {
                words::perhaps(&format!("frontend {name}"), "`option idle-close-on-response`")
            }
        };
        found.push(Weakness { why, ..bare(Rule::IdleClose, Some(name), Some(&proxy.at)) });
    }
    found
}

/// Names for a sentence: three, and how many more there are.
fn listed<'n>(names: impl Iterator<Item = &'n str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    let (shown, rest) = names.split_at(names.len().min(3));
    match (shown, rest.len()) {
        ([], _) => None,
        (shown, 0) => Some(shown.join(", ")),
        (shown, more) => Some(format!("{} and {more} more", shown.join(", "))),
    }
}

#[cfg(test)]
mod tests;
