//! A stand-in for Axway API Gateway: the old release running a domain, the new one beside it.
//!
//! # What it stands for
//! * The directory layout and command lines of `nodemanager`, `startinstance` and `sysupgrade`.
//! * The documented preconditions: what must run, what must be stopped, which phase comes first,
//!   what `--force` on which node invalidates elsewhere.
//! * The documented failures: a localhost Cassandra on a multi-node upgrade, a wrong `--anm_host`
//!   (`Failed to sign CSR`), different `--anm_host` values (two domains, everything "succeeds"), an
//!   export while a remote Node Manager is down ("group inconsistent"), missing licences.
//! * The health endpoints of an instance and the parts of the management API an orchestrator reads.
//!
//! # What it does not stand for
//! * TLS between Node Managers: the management port speaks HTTPS to others where [`Tls`] is given,
//!   else plain HTTP, and the topology says `"scheme": "http"` either way.
//! * Cassandra, KPS, OAuth and metrics databases, policies, `.fed` files, Analytics, RBAC.
//! * The product's timing: delays are configured, tens of milliseconds unless told otherwise.
//! * `POST /api/management/start|stop`, and the body shape of `serviceversion`, of which only the
//!   meaning is public (`{"result": VERSION}`). The shape of `deployments` is that of public
//!   output, without the properties nobody here reads.
//!
//! # Choices where the documents are silent
//! * Starting what already runs fails (exit 1, the port is taken); stopping what does not run
//!   succeeds.
//! * Every failure of `sysupgrade`, a usage error too, exits with 100.
//! * `export` and `import-kps` prompt for credentials only where the installation was configured
//!   with digests to check them against; `apply` always prompts for what is absent.
//! * `clean` keeps the licences, so that the node can be upgraded again.
//! * A finished phase is refused without `--force`.
//! * A stop answers every request whose head has arrived; a connection that is idle, or has sent
//!   only a part of a head, is closed.
//!
//! # Where to plant a failure for each phase of a rollout
//! `EXPORT`, `UPGRADE`, `APPLY`: the phase of that name in the new installation. `PRE-APPLY`:
//! [`Phase::InstanceStop`] or [`Phase::NodeManagerStop`] in the old one. `POST-APPLY`:
//! [`Phase::Health`] in the new one. `ROLLBACK`: [`Phase::NodeManagerStart`] in the old one,
//! planted after it was started.

mod arguments;
mod client;
mod console;
mod domain;
mod failure;
mod install;
mod instance;
mod invocations;
mod layout;
mod node_manager;
mod process;
mod server;
mod service_tools;
mod spec;
mod sysupgrade;
mod tls;

pub use failure::{Failure, Fault, Phase, Times, clear_failures, plan_failure};
pub use install::{DoubleError, install, start_commands, start_old};
pub use invocations::{Invocation, SecretSeen, invocations};
pub use layout::Layout;
pub use process::stop_everything;
pub use spec::{
    Delays, InstallSpec, InstanceSpec, Launcher, NodeSpec, SecretDigests, Topology, sha256_hex,
};
pub use tls::Tls;

use std::ffi::OsString;
use std::path::PathBuf;

use console::Console;

/// Dispatches `TOOL INSTALL_DIR ARGS..`, the words a wrapper script bakes in, and the two words for
/// scripts: `lay-out SPEC.json` and `stop-everything DIR`.
pub(crate) fn run_tool(args: Vec<OsString>) -> i32 {
    let mut words = args.into_iter();
    let tool = words.next().unwrap_or_default().to_string_lossy().into_owned();
    let dir = PathBuf::from(words.next().unwrap_or_default());
    let rest: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let mut console = Console::plain();
    match tool.as_str() {
        "lay-out" => return ended(lay_out(&dir), &mut console),
        "stop-everything" => return ended(stop_everything(&dir).map(drop), &mut console),
        _ => {}
    }
    let spec = match spec::load(&dir) {
        Ok(spec) => spec,
        Err(error) => {
            console.error(&format!("{tool}: no installation in {}: {error}", dir.display()));
            return 100;
        }
    };
    if tool == "serve" {
        return server::serve(spec, &rest);
    }
    let run: fn(&InstallSpec, &[String], &mut Console) -> i32 = match tool.as_str() {
        "nodemanager" => service_tools::nodemanager,
        "startinstance" => service_tools::startinstance,
        "sysupgrade" => sysupgrade::run,
        _ => {
            console.error(&format!("unknown tool {tool}"));
            return 100;
        }
    };
    let record = invocations::Recorder::begin(&spec, &tool, &rest);
    console.record_secrets_with(record.clone());
    let mark = process::PidFile::of_tool(&spec, &tool);
    let code = run(&spec, &rest, &mut console);
    drop(mark);
    record.end(code);
    code
}

/// `lay-out SPEC.json`: what [`install`] does, for scripts.
fn lay_out(path: &std::path::Path) -> Result<(), DoubleError> {
    let text = std::fs::read_to_string(path).map_err(DoubleError::io("read", path))?;
    let spec: InstallSpec = serde_json::from_str(&text).map_err(DoubleError::json(path))?;
    install(&spec).map(drop)
}

fn ended(result: Result<(), DoubleError>, console: &mut Console) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            console.error(&format!("failed to {}", install::with_causes(&error)));
            100
        }
    }
}
