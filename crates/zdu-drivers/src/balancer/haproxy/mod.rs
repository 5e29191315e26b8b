//! HAProxy by its runtime API, over a unix socket or TCP, one connection per line of commands.
//!
//! Read [`command`] and [`reply`] for the pure halves, [`weak`] for what preflight says of a
//! configuration; this file is the transport and the typed operations. A connection per line is how
//! the API works outside its interactive mode.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::member::{BalancerInstance, MemberReading, MemberState, Observation};
use super::{Before, BoxFuture, Cut, Finding, FoundWeight, Hold, Identity, InstanceError};
use super::{MemberName, Undone};
use command::{Command, ServerPath, TargetState, Weight};
use listing::Listing;
use reply::{Replies, ReplyError};
use running::Running;
use view::{ServerView, Status};

pub mod command;
pub mod config_file;
pub mod files;
pub mod listing;
pub mod reply;
pub mod running;
pub mod view;
pub mod weak;

/// Longest reply taken, bytes. A row of `show stat` is about 400 bytes, so this is some forty
/// thousand servers in one backend; a stream that never ends must not fill the memory.
const REPLY_LIMIT: u64 = 16 * 1024 * 1024;

/// Where a runtime API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A local unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Tcp(address) => write!(out, "tcp:{address}"),
        }
    }
}

/// One HAProxy process group behind one runtime API endpoint.
#[derive(Debug, Clone)]
pub struct Instance {
    name: String,
    endpoint: Endpoint,
    deadline: Duration,
}

/// One reading: the process, and servers as that process sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The process that answered.
    pub identity: Identity,
    /// Its servers.
    pub servers: Vec<ServerView>,
}

impl Instance {
    /// An instance; `deadline` holds for each line of commands, connecting included.
    #[must_use]
    pub fn new(name: impl Into<String>, endpoint: Endpoint, deadline: Duration) -> Self {
        Self { name: name.into(), endpoint, deadline }
    }

    /// The process behind the endpoint now; differs after a reload or restart.
    pub async fn identity(&self) -> Result<Identity, InstanceError> {
        let bytes = self.ask(&[Command::ShowInfo]).await?;
        let mut replies = Replies::new(&bytes).map_err(InstanceError::Reply)?;
        Ok(identity(replies.take_info().map_err(InstanceError::Reply)?))
    }

    /// All servers of a backend.
    pub async fn observe_all(&self, backend: &str) -> Result<View, InstanceError> {
        self.change_and_view(backend, &[]).await
    }

    /// Every server of every backend, with the state it is in.
    pub async fn list(&self) -> Result<Listing, InstanceError> {
        let bytes = self.ask(&listing::QUESTION).await?;
        listing::read(&bytes).map_err(InstanceError::Reply)
    }

    /// What it balances, as far as that says by what requests can be lost.
    pub async fn running(&self) -> Result<Running, InstanceError> {
        let bytes = self.ask(&running::QUESTION).await?;
        running::read(&bytes).map_err(InstanceError::Reply)
    }

    /// One server.
    pub async fn observe(
        &self,
        backend: &str,
        server: &str,
    ) -> Result<(Identity, ServerView), InstanceError> {
        one(self.observe_all(backend).await?, backend, server)
    }

    /// Reads how the server is, changing nothing.
    pub async fn look(&self, backend: &str, server: &str) -> Result<Before, InstanceError> {
        let (identity, view) = self.observe(backend, server).await?;
        Ok(Before {
            instance: self.name.clone(),
            member: MemberName::new(backend, server),
            hold: hold_of(&view),
            weight: Some(FoundWeight { current: view.uweight, initial: view.iweight }),
            identity: Some(identity),
            findings: findings(&view),
        })
    }

    /// [`Self::look`], then [`Self::hold`] as [`Before::hold_while_out`] says.
    pub async fn drain(&self, backend: &str, server: &str) -> Result<Before, InstanceError> {
        let before = self.look(backend, server).await?;
        self.hold(&before.member, before.hold_while_out()).await?;
        Ok(before)
    }

    /// Brings the server's forced state to `wanted` if it is not there, and reads it back in the
    /// same process. Sends nothing where nothing is to change.
    pub async fn hold(&self, member: &MemberName, wanted: Hold) -> Result<Identity, InstanceError> {
        let read = self.observe(&member.backend, &member.server).await;
        let (seen_by, view) = read.map_err(unread)?;
        if hold_of(&view) == wanted {
            return Ok(seen_by);
        }
        let change = Command::SetState(path(member)?, target(wanted));
        let after = self.change_and_view(&member.backend, &[change]).await?;
        let (identity, view) = one(after, &member.backend, &member.server)?;
        let seen = hold_of(&view);
        if seen == wanted {
            Ok(identity)
        } else {
            Err(InstanceError::NotTaken { member: member.clone(), wanted, seen })
        }
    }

    /// Goes back to what `before` says, writing only what differs from it now.
    pub async fn undrain(&self, before: &Before) -> Result<Undone, InstanceError> {
        let member = &before.member;
        let read = self.observe(&member.backend, &member.server).await;
        let (_, now) = read.map_err(unread)?;
        let mut changes = Vec::new();
        let mut undone = Undone {
            instance: self.name.clone(),
            member: member.clone(),
            state_set: None,
            weight_set: None,
            now: hold_of(&now),
        };
        // The weight first: a server must not come back at the wrong share, even for an instant.
        if let Some(found) = before.weight
            && found.current != now.uweight
        {
            let weight = Weight::to_reach(found.current, now.iweight);
            changes.push(Command::SetWeight(path(member)?, weight));
            undone.weight_set = Some((now.uweight, found.current));
        }
        if undone.now != before.hold {
            changes.push(Command::SetState(path(member)?, target(before.hold)));
            undone.state_set = Some(before.hold);
        }
        if changes.is_empty() {
            return Ok(undone);
        }
        let after = self.change_and_view(&member.backend, &changes).await?;
        let (_, view) = one(after, &member.backend, &member.server)?;
        undone.now = hold_of(&view);
        if undone.now != before.hold {
            let (wanted, seen) = (before.hold, undone.now);
            return Err(InstanceError::NotTaken { member: member.clone(), wanted, seen });
        }
        Ok(undone)
    }

    /// Cuts all live sessions of the server, after counting them in the same process.
    pub async fn kill_sessions(&self, member: &MemberName) -> Result<Cut, InstanceError> {
        let commands = [
            Command::ShowInfo,
            Command::ShowServersState(Some(member.backend.clone())),
            Command::ShowStat(Some(member.backend.clone())),
            Command::ShutdownSessions(path(member)?),
        ];
        let bytes = self.ask(&commands).await?;
        let mut replies = Replies::new(&bytes).map_err(InstanceError::Reply)?;
        let view = take_view(&mut replies, &member.backend).map_err(InstanceError::Reply)?;
        let (_, server) = one(view, &member.backend, &member.server)?;
        let done = replies.take("shutdown sessions").and_then(reply::change);
        done.map_err(InstanceError::Reply)?;
        Ok(Cut { instance: self.name.clone(), member: member.clone(), sessions: server.scur })
    }

    /// Changes, then a view, all by one process. The first refused change is the error.
    async fn change_and_view(
        &self,
        backend: &str,
        changes: &[Command],
    ) -> Result<View, InstanceError> {
        command::check_name(backend).map_err(|bad| InstanceError::Name(bad.to_string()))?;
        let mut commands = vec![Command::ShowInfo];
        commands.extend_from_slice(changes);
        commands.push(Command::ShowServersState(Some(backend.to_owned())));
        commands.push(Command::ShowStat(Some(backend.to_owned())));
        let bytes = self.ask(&commands).await?;
        read_changes(&bytes, backend, changes.len()).map_err(InstanceError::Reply)
    }

    /// Sends one line and reads to the end of the stream, within the deadline.
    async fn ask(&self, commands: &[Command]) -> Result<Vec<u8>, InstanceError> {
        let line = command::line(commands);
        let mut bytes = Vec::new();
        match tokio::time::timeout(self.deadline, self.exchange(&line, &mut bytes)).await {
            Ok(Ok(())) => Ok(bytes),
            Ok(Err(error)) => Err(error),
            // A banner of another protocol, which then waits for us, is no slow HAProxy.
            Err(_) if !bytes.is_empty() && !reply::looks_like_info(&bytes) => {
                let excerpt = reply::excerpt(&String::from_utf8_lossy(&bytes));
                Err(InstanceError::Reply(ReplyError::NotHaproxy { excerpt }))
            }
            Err(_) => Err(InstanceError::TimedOut {
                endpoint: self.endpoint.to_string(),
                after_ms: u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    async fn exchange(&self, line: &str, into: &mut Vec<u8>) -> Result<(), InstanceError> {
        let endpoint = self.endpoint.to_string();
        let unreachable = |error: std::io::Error| InstanceError::Unreachable {
            endpoint: endpoint.clone(),
            detail: error.to_string(),
        };
        let done = match &self.endpoint {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(unreachable)?;
                send_and_read(stream, line, into).await
            }
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(unreachable)?;
                send_and_read(stream, line, into).await
            }
        };
        done.map_err(|error| InstanceError::Connection { endpoint, detail: error.to_string() })
    }
}

async fn send_and_read(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    line: &str,
    into: &mut Vec<u8>,
) -> std::io::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    let read = stream.take(REPLY_LIMIT).read_to_end(into).await;
    match read {
        // A foreign server may reset after its answer; the answer says more than the reset.
        Err(error) if into.is_empty() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Reads the replies to `show info`, `changes` changes and a view.
pub(crate) fn read_changes(
    bytes: &[u8],
    backend: &str,
    changes: usize,
) -> Result<View, ReplyError> {
    let mut replies = Replies::new(bytes)?;
    let info = replies.take_info()?;
    for _ in 0..changes {
        reply::change(replies.take("a change")?)?;
    }
    let servers = take_servers(&mut replies, backend)?;
    Ok(View { identity: identity(info), servers })
}

fn take_view(replies: &mut Replies<'_>, backend: &str) -> Result<View, ReplyError> {
    let info = replies.take_info()?;
    let servers = take_servers(replies, backend)?;
    Ok(View { identity: identity(info), servers })
}

fn take_servers(replies: &mut Replies<'_>, backend: &str) -> Result<Vec<ServerView>, ReplyError> {
    let state = reply::servers_state(replies.take("show servers state")?)?;
    let stat = reply::stat(replies.take("show stat")?)?;
    reply::servers(&stat, &state, backend)
}

fn one(view: View, backend: &str, server: &str) -> Result<(Identity, ServerView), InstanceError> {
    let View { identity, servers } = view;
    match servers.into_iter().find(|view| view.server == server) {
        Some(view) => Ok((identity, view)),
        None => Err(InstanceError::Reply(ReplyError::NoSuchServer {
            text: format!("no row for {backend}/{server} in `show stat`"),
        })),
    }
}

fn identity(info: reply::Info) -> Identity {
    // Versions that do not print a start time print an uptime.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Identity {
        pid: info.pid,
        started_unix_s: info.started_unix_s.unwrap_or(now.saturating_sub(info.uptime_s)),
        version: info.version,
    }
}

fn path(member: &MemberName) -> Result<ServerPath, InstanceError> {
    ServerPath::new(&member.backend, &member.server)
        .map_err(|bad| InstanceError::Name(bad.to_string()))
}

fn target(hold: Hold) -> TargetState {
    match hold {
        Hold::Ready => TargetState::Ready,
        Hold::Drain => TargetState::Drain,
        Hold::Maint => TargetState::Maint,
    }
}

/// The forced state: HAProxy keeps forced drain and forced maintenance exclusive.
fn unread(error: InstanceError) -> InstanceError {
    InstanceError::Unread(Box::new(error))
}

fn hold_of(view: &ServerView) -> Hold {
    if view.admin.forced_maint() {
        Hold::Maint
    } else if view.admin.forced_drain() {
        Hold::Drain
    } else {
        Hold::Ready
    }
}

fn findings(view: &ServerView) -> Vec<Finding> {
    let mut found = Vec::new();
    match hold_of(view) {
        Hold::Maint => found.push(Finding::AlreadyInMaintenance),
        Hold::Drain => found.push(Finding::AlreadyDrained),
        Hold::Ready if !view.admin.ready() => found.push(Finding::OutByInheritance(view.admin.0)),
        Hold::Ready => match &view.status {
            Status::Up | Status::NoCheck => {}
            Status::UpUnsettled(..)
            | Status::Down
            | Status::DownRising(..)
            | Status::DownByAgent
            | Status::Drain
            | Status::DrainUnsettled(..)
            | Status::DrainByAgent
            | Status::NoLb
            | Status::NoLbUnsettled(..)
            | Status::Maint
            | Status::MaintVia(_)
            | Status::MaintResolution
            | Status::Unknown(_) => found.push(Finding::NotServing(view.status.to_string())),
        },
    }
    // Forced drain shows an effective weight of 0; the user weight is what a hand set.
    if view.uweight == 0 {
        found.push(Finding::ZeroWeight);
    }
    found
}

/// The driver-neutral form of a view.
fn reading(view: &ServerView) -> MemberReading {
    let state = state_of(view);
    MemberReading {
        member: MemberName::new(&view.backend, &view.server),
        state,
        hold: hold_of(view),
        sessions: Some(view.scur),
        queued: Some(view.qcur),
        idle: view.idle_connections,
        checking: view.checking,
        check_passed: match (&view.status, &view.check_status) {
            (Status::NoCheck, _) => None,
            // A tracking server has no check of its own: `UP` is its leader's verdict.
            (_, None) if view.tracked.is_some() => Some(state == MemberState::Serving),
            (_, _) => Some(view.check_passed()),
        },
        weight: Some(FoundWeight { current: view.uweight, initial: view.iweight }),
        detail: detail(view),
    }
}

fn state_of(view: &ServerView) -> MemberState {
    if view.admin.maint() {
        return MemberState::Out;
    }
    if view.admin.drained() {
        return MemberState::Draining;
    }
    match &view.status {
        Status::Up if view.uweight == 0 => MemberState::ZeroWeight,
        Status::NoCheck if view.uweight == 0 => MemberState::ZeroWeight,
        Status::Up => MemberState::Serving,
        Status::NoCheck => MemberState::Unchecked,
        Status::UpUnsettled(..) => MemberState::Unsettled,
        Status::Down | Status::DownRising(..) | Status::DownByAgent => MemberState::Down,
        Status::NoLb | Status::NoLbUnsettled(..) => MemberState::Stopping,
        // The agent, or a weight of 0 that the agent set, drains without an administrative bit.
        Status::Drain | Status::DrainUnsettled(..) | Status::DrainByAgent => MemberState::Draining,
        Status::Maint | Status::MaintVia(_) | Status::MaintResolution => MemberState::Out,
        Status::Unknown(_) => MemberState::Unknown,
    }
}

fn detail(view: &ServerView) -> String {
    let check = view.check_status.as_deref().unwrap_or("-");
    let mut text = format!(
        "{} check {check} admin {:#x} weight {}/{}",
        view.status, view.admin.0, view.uweight, view.iweight
    );
    if let Some(throttle) = &view.throttle {
        text.push_str(" slow start ");
        text.push_str(throttle);
    }
    text
}

impl BalancerInstance for Instance {
    fn name(&self) -> &str {
        &self.name
    }

    fn observe<'a>(
        &'a self,
        members: &'a [MemberName],
    ) -> BoxFuture<'a, Result<Observation, InstanceError>> {
        Box::pin(observe_members(self, members))
    }

    fn look<'a>(&'a self, member: &'a MemberName) -> BoxFuture<'a, Result<Before, InstanceError>> {
        Box::pin(Self::look(self, &member.backend, &member.server))
    }

    fn hold<'a>(
        &'a self,
        member: &'a MemberName,
        wanted: Hold,
    ) -> BoxFuture<'a, Result<(), InstanceError>> {
        Box::pin(async move { Self::hold(self, member, wanted).await.map(drop) })
    }

    fn undrain<'a>(&'a self, before: &'a Before) -> BoxFuture<'a, Result<Undone, InstanceError>> {
        Box::pin(Self::undrain(self, before))
    }

    fn kill_sessions<'a>(
        &'a self,
        member: &'a MemberName,
    ) -> BoxFuture<'a, Result<Cut, InstanceError>> {
        Box::pin(Self::kill_sessions(self, member))
    }

    fn running(&self) -> BoxFuture<'_, Option<Result<Running, InstanceError>>> {
        Box::pin(async move { Some(Self::running(self).await) })
    }
}

/// One line for all backends of the members, so that all readings are of one process.
async fn observe_members(
    instance: &Instance,
    members: &[MemberName],
) -> Result<Observation, InstanceError> {
    let mut backends: Vec<&str> = members.iter().map(|member| member.backend.as_str()).collect();
    backends.sort_unstable();
    backends.dedup();
    let mut commands = vec![Command::ShowInfo];
    for backend in &backends {
        command::check_name(backend).map_err(|bad| InstanceError::Name(bad.to_string()))?;
        commands.push(Command::ShowServersState(Some((*backend).to_owned())));
        commands.push(Command::ShowStat(Some((*backend).to_owned())));
    }
    let bytes = instance.ask(&commands).await?;
    read_members(&bytes, &backends, members).map_err(InstanceError::Reply)
}

/// Reads the replies to `show info` and, for each of the backends in this order, to a view.
pub(crate) fn read_members(
    bytes: &[u8],
    backends: &[&str],
    members: &[MemberName],
) -> Result<Observation, ReplyError> {
    let mut replies = Replies::new(bytes)?;
    let info = replies.take_info()?;
    let mut read = std::collections::BTreeMap::new();
    for backend in backends {
        let state = replies.take("show servers state")?;
        let stat = replies.take("show stat")?;
        // A backend that is gone is this member's trouble, not the instance's.
        let servers = reply::servers_state(state)
            .and_then(|state| reply::servers(&reply::stat(stat)?, &state, backend));
        read.insert(*backend, servers);
    }
    let readings = members.iter().map(|member| (member.clone(), member_of(&read, member)));
    Ok(Observation { identity: Some(identity(info)), members: readings.collect() })
}

fn member_of(
    read: &std::collections::BTreeMap<&str, Result<Vec<ServerView>, ReplyError>>,
    member: &MemberName,
) -> Result<MemberReading, InstanceError> {
    let missing = || ReplyError::NoSuchServer { text: format!("no row for {member}") };
    let servers = match read.get(member.backend.as_str()) {
        Some(Ok(servers)) => servers,
        Some(Err(error)) => return Err(InstanceError::Reply(error.clone())),
        None => return Err(InstanceError::Reply(missing())),
    };
    let server = servers.iter().find(|view| view.server == member.server);
    server.map(reading).ok_or_else(|| InstanceError::Reply(missing()))
}
