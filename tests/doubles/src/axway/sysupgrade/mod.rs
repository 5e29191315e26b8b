//! `sysupgrade`: the phases, their state in `upgrade/bin/out`, and the rules of running them again.

mod apply;
mod clean;
mod export;
mod import_kps;
mod status;
mod upgrade;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::arguments::Options;
use super::client;
use super::console::Console;
use super::domain;
use super::failure::{self, Phase};
use super::install::{DoubleError, with_causes};
use super::process::own_services;
use super::spec::{self, InstallSpec, NodeSpec, sha256_hex};

/// The exit code of every failure, as the source document shows it: `FAILED (100)`.
const FAILED: i32 = 100;

/// One finished thing or the text after `ERROR: ` that says why not.
type Done = Result<(), String>;

/// `sysupgrade COMMAND OPTIONS..`.
pub(crate) fn run(spec: &InstallSpec, words: &[String], console: &mut Console) -> i32 {
    let Some((command, words)) = words.split_first() else {
        console.error("usage: sysupgrade {export|upgrade|apply|status|clean|import-kps} [OPTIONS]");
        return FAILED;
    };
    let log = |name: &str| spec.layout().upgrade_logs().join(format!("{name}.log"));
    let delays = &spec.delays;
    match command.as_str() {
        "export" => {
            console.also_log_to(&log("export"));
            phase(spec, Phase::Export, delays.export_ms, words, console, export::run)
        }
        "upgrade" => {
            console.also_log_to(&log("upgrade"));
            phase(spec, Phase::Upgrade, delays.upgrade_ms, words, console, upgrade::run)
        }
        "apply" => {
            console.also_log_to(&log("apply"));
            phase(spec, Phase::Apply, delays.apply_ms, words, console, apply::run)
        }
        "import-kps" => {
            console.also_log_to(&log("import-kps"));
            phase(spec, Phase::ImportKps, 0, words, console, import_kps::run)
        }
        // These two leave no log: `status` changes nothing, `clean` moves the logs away.
        "clean" => phase(spec, Phase::Clean, 0, words, console, clean::run),
        "status" => ended(status::run(spec, words, console), console),
        _ => {
            console.error(&format!("unknown command {command}"));
            FAILED
        }
    }
}

fn phase(
    spec: &InstallSpec,
    phase: Phase,
    delay_ms: u64,
    words: &[String],
    console: &mut Console,
    work: fn(&InstallSpec, &[String], &mut Console) -> Done,
) -> i32 {
    failure::under(spec, phase, console, |console| {
        // What the real tool spends its time with.
        std::thread::sleep(Duration::from_millis(delay_ms));
        ended(work(spec, words, console), console)
    })
}

fn ended(done: Done, console: &mut Console) -> i32 {
    match done {
        Ok(()) => 0,
        Err(text) => {
            console.error(&text);
            FAILED
        }
    }
}

/// The three phases that leave state, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Export,
    Upgrade,
    Apply,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Export, Self::Upgrade, Self::Apply];

    fn name(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Upgrade => "upgrade",
            Self::Apply => "apply",
        }
    }

    fn dir(self, spec: &InstallSpec) -> PathBuf {
        spec.layout().out().join(self.name())
    }

    fn is_complete(self, spec: &InstallSpec) -> bool {
        self.dir(spec).join("complete.json").exists()
    }

    fn complete(self, spec: &InstallSpec, what: &Value) -> Done {
        spec::write_json(&self.dir(spec).join("complete.json"), what).map_err(|e| with_causes(&e))
    }

    /// Refuses a finished phase unless forced; forced, removes its output and that of every later
    /// one. On the first Admin Node Manager the topology and the domain key go too, which leaves
    /// every other node's `apply` without its domain.
    fn begin(self, spec: &InstallSpec, options: &Options) -> Done {
        if self.is_complete(spec) && !options.has("--force") {
            let name = self.name();
            return Err(format!(
                "sysupgrade {name} is already complete. \
                 Run sysupgrade {name} --force to run it again."
            ));
        }
        if options.has("--force") {
            for stage in Self::ALL.into_iter().filter(|stage| *stage >= self) {
                remove_dir(stage.dir(spec))?;
            }
            if domain::holds_key(spec) {
                domain::forget(spec).map_err(|e| with_causes(&e))?;
            }
        }
        fs::create_dir_all(self.dir(spec)).map_err(|error| error.to_string())
    }
}

fn remove_dir(dir: PathBuf) -> Done {
    if dir.exists() {
        fs::remove_dir_all(&dir)
            .map_err(DoubleError::io("remove", &dir))
            .map_err(|e| with_causes(&e))?;
    }
    Ok(())
}

/// The node `--anm_host` names: required when the topology has more than one Admin Node Manager,
/// and an exact host name of it.
fn anm_host<'a>(spec: &'a InstallSpec, options: &Options) -> Result<&'a NodeSpec, String> {
    let admins = spec.topology.admins();
    let Some(host) = options.value("--anm_host") else {
        return match admins.as_slice() {
            [only] => Ok(only),
            _ => Err("There is more than one Admin Node Manager in the topology. \
                      You must specify --anm_host."
                .to_owned()),
        };
    };
    let Some(node) = spec.topology.host(host) else {
        return Err(format!("--anm_host {host} is not the name of a host in the topology."));
    };
    if !node.admin {
        return Err(format!("--anm_host {host} is not running an Admin Node Manager."));
    }
    Ok(node)
}

/// One secret: from argv, or asked for when `ask`; compared with its digest where configured.
fn secret(
    options: &Options,
    name: &str,
    digest: Option<&String>,
    ask: bool,
    console: &mut Console,
) -> Done {
    let given = match options.value(&format!("--{name}")) {
        Some(value) => value.to_owned(),
        None if !ask => return Ok(()),
        None => console
            .ask_secret(name, &format!("Enter {}", name.replace('_', " ")))
            .ok_or_else(|| format!("No {} was given.", name.replace('_', " ")))?,
    };
    match digest {
        Some(digest) if *digest != sha256_hex(&given) => {
            Err(format!("The {} is incorrect.", name.replace('_', " ")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Name and password of the administrator, where the installation has digests to check them with.
fn administrator(spec: &InstallSpec, options: &Options, console: &mut Console) -> Done {
    for (name, digest) in
        [("username", &spec.secrets.username), ("password", &spec.secrets.password)]
    {
        secret(options, name, digest.as_ref(), digest.is_some(), console)?;
    }
    Ok(())
}

/// Refuses while a process of this (the new) installation runs on this host.
fn new_is_stopped(spec: &InstallSpec, command: &str) -> Done {
    for service in own_services(spec) {
        if service.running(spec).is_some() {
            return Err(format!(
                "{} of the new installation is running on this host. \
                 Stop it before running sysupgrade {command}.",
                service.title()
            ));
        }
    }
    Ok(())
}

/// What answers on a port of a node: the state of one of the stand-in's processes.
async fn answering(node: &NodeSpec, port: u16) -> Option<client::State> {
    client::state(&node.address, port).await.filter(|state| state.node == node.name)
}
