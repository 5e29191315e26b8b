//! Making an instance's connection: directly, or to a socket that lives on another host.

use crate::access::Access;
use crate::balancer::haproxy::running::Running;
use crate::balancer::haproxy::{Endpoint, Instance as Haproxy};
use crate::balancer::hook::{Commands, Hook, Ran, Runner};
use crate::balancer::member::{BalancerInstance, Observation};
use crate::balancer::{Before, BoxFuture, Cut, Hold, InstanceError, MemberName, Undone};
use crate::exec::{StreamForward, Target, quote_all};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use zdu_model::fleet::{Balancer, BalancerDriver, Instance, Socket};

/// How long one line of runtime commands may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a user's own balancer command may take.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// The driver for one instance. Nothing is contacted yet.
pub(crate) fn connect(
    balancer: &Balancer,
    instance: &Instance,
    access: &Arc<Access>,
    directory: &Path,
) -> Arc<dyn BalancerInstance> {
    let name = instance.name.to_string();
    if let BalancerDriver::Hook { enable, disable, state } = &balancer.driver {
        let (enable, disable, state) = (enable.clone(), disable.clone(), state.clone());
        let runner = Arc::new(Shell { access: Arc::clone(access) });
        let commands = Commands { enable, disable, state };
        return Arc::new(Hook::new(name, commands, runner, HOOK_TIMEOUT));
    }
    match (&instance.socket, &instance.via) {
        (Some(Socket::Tcp(address)), _) => {
            Arc::new(Haproxy::new(name, Endpoint::Tcp(address.clone()), COMMAND_TIMEOUT))
        }
        (Some(Socket::Unix(path)), Some(via)) if access.target(Some(via)) != Target::Local => {
            Arc::new(Forwarded {
                name,
                target: access.target(Some(via)),
                remote: path.clone(),
                directory: directory.to_owned(),
                forward: Mutex::new(None),
            })
        }
        (Some(Socket::Unix(path)), _) => {
            Arc::new(Haproxy::new(name, Endpoint::Unix(path.into()), COMMAND_TIMEOUT))
        }
        (None, _) => Arc::new(Haproxy::new(name, Endpoint::Unix(PathBuf::new()), COMMAND_TIMEOUT)),
    }
}

/// HAProxy's unix socket on another host, reached through a forward that is opened when it is first
/// needed and again when it was lost.
struct Forwarded {
    name: String,
    target: Target,
    remote: String,
    directory: PathBuf,
    forward: Mutex<Option<StreamForward>>,
}

/// How long a forward may take to stand.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

impl Forwarded {
    async fn inner(&self) -> Result<Haproxy, InstanceError> {
        let mut slot = self.forward.lock().await;
        let failed = |detail: String| InstanceError::Unreachable {
            endpoint: format!("unix:{} through ssh", self.remote),
            detail,
        };
        let alive = slot.as_mut().map(StreamForward::is_alive);
        match (slot.as_mut(), alive) {
            (None, _) => {
                let opened = StreamForward::open(
                    &self.target,
                    &self.remote,
                    &self.directory,
                    FORWARD_TIMEOUT,
                );
                *slot = Some(opened.await.map_err(|error| failed(error.to_string()))?);
            }
            (Some(forward), Some(false)) => {
                forward.restart().await.map_err(|error| failed(error.to_string()))?;
            }
            (Some(_), _) => {}
        }
        match slot.as_ref() {
            Some(forward) => {
                let endpoint = Endpoint::Unix(forward.path());
                Ok(Haproxy::new(self.name.clone(), endpoint, COMMAND_TIMEOUT))
            }
            None => Err(failed("no forward".into())),
        }
    }

    /// An error with what ssh said last: "connection closed" alone hides "Permission denied".
    async fn explain<T>(&self, result: Result<T, InstanceError>) -> Result<T, InstanceError> {
        let Err(error) = result else { return result };
        let slot = self.forward.lock().await;
        let Some(line) = slot.as_ref().and_then(|forward| forward.last_lines().pop()) else {
            return Err(error);
        };
        Err(self.explained(error, &line))
    }

    /// The kind stays: what was sent over a connection that broke may have been carried out.
    fn explained(&self, error: InstanceError, line: &str) -> InstanceError {
        let endpoint = format!("unix:{} through ssh", self.remote);
        match error {
            InstanceError::Connection { endpoint: _, detail } => {
                InstanceError::Connection { endpoint, detail: format!("{detail} ({line})") }
            }
            InstanceError::Unreachable { endpoint: _, detail } => {
                InstanceError::Unreachable { endpoint, detail: format!("{detail} ({line})") }
            }
            InstanceError::Unread(error) => {
                InstanceError::Unread(Box::new(self.explained(*error, line)))
            }
            InstanceError::TimedOut { .. }
            | InstanceError::Reply(_)
            | InstanceError::Hook(_)
            | InstanceError::Name(_)
            | InstanceError::NotTaken { .. } => error,
        }
    }
}

impl BalancerInstance for Forwarded {
    fn name(&self) -> &str {
        &self.name
    }

    fn observe<'a>(
        &'a self,
        members: &'a [MemberName],
    ) -> BoxFuture<'a, Result<Observation, InstanceError>> {
        Box::pin(async move {
            let inner = self.inner().await?;
            let result = BalancerInstance::observe(&inner, members).await;
            self.explain(result).await
        })
    }

    fn look<'a>(&'a self, member: &'a MemberName) -> BoxFuture<'a, Result<Before, InstanceError>> {
        Box::pin(async move {
            let inner = self.inner().await?;
            let result = BalancerInstance::look(&inner, member).await;
            self.explain(result).await
        })
    }

    fn hold<'a>(
        &'a self,
        member: &'a MemberName,
        wanted: Hold,
    ) -> BoxFuture<'a, Result<(), InstanceError>> {
        Box::pin(async move {
            let inner = self.inner().await?;
            let result = BalancerInstance::hold(&inner, member, wanted).await;
            self.explain(result).await
        })
    }

    fn undrain<'a>(&'a self, before: &'a Before) -> BoxFuture<'a, Result<Undone, InstanceError>> {
        Box::pin(async move {
            let inner = self.inner().await?;
            let result = BalancerInstance::undrain(&inner, before).await;
            self.explain(result).await
        })
    }

    fn kill_sessions<'a>(
        &'a self,
        member: &'a MemberName,
    ) -> BoxFuture<'a, Result<Cut, InstanceError>> {
        Box::pin(async move {
            let inner = self.inner().await?;
            let result = BalancerInstance::kill_sessions(&inner, member).await;
            self.explain(result).await
        })
    }

    fn running(&self) -> BoxFuture<'_, Option<Result<Running, InstanceError>>> {
        Box::pin(async move {
            let result = match self.inner().await {
                Ok(inner) => inner.running().await,
                Err(error) => Err(error),
            };
            Some(self.explain(result).await)
        })
    }
}

/// Runs a hook's commands on the controller.
struct Shell {
    access: Arc<Access>,
}

impl Runner for Shell {
    fn run<'a>(
        &'a self,
        argv: &'a [String],
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Ran, String>> {
        Box::pin(async move {
            let channel = self.access.channel(None).await;
            let mut channel = channel.map_err(|error| error.to_string())?;
            let script = format!("(exec {})", quote_all(argv));
            let reply = channel.run(&script, None, deadline).await;
            let reply = reply.map_err(|error| error.to_string())?;
            Ok(Ran { exit: reply.exit, stdout: reply.stdout, stderr: reply.stderr })
        })
    }
}
