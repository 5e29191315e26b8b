//! `nodemanager` and `startinstance`: start, stop, test and list the processes of this host.

use super::console::Console;
use super::domain::Membership;
use super::failure::{self, Phase};
use super::process::{Service, own_services};
use super::spec::{InstallSpec, sha256_hex};

/// What one of the two tools was asked to do with its service.
#[derive(Clone, Copy)]
enum Action {
    Start,
    Stop,
    Test,
}

impl Action {
    fn from_switch(word: &str) -> Option<Self> {
        match word {
            "-d" => Some(Self::Start),
            "-k" => Some(Self::Stop),
            "-s" => Some(Self::Test),
            _ => None,
        }
    }
}

/// `nodemanager -d|-k|-s`.
pub(crate) fn nodemanager(spec: &InstallSpec, words: &[String], console: &mut Console) -> i32 {
    let action = match words {
        [word] => Action::from_switch(word),
        _ => None,
    };
    let Some(action) = action else {
        console.error("usage: nodemanager -d | -k | -s");
        return 1;
    };
    let phases = (Phase::NodeManagerStart, Phase::NodeManagerStop);
    act(spec, &Service::NodeManager, action, phases, console)
}

/// `startinstance -n NAME -g GROUP -d|-k|-s [-P]`, and without arguments the list.
pub(crate) fn startinstance(spec: &InstallSpec, words: &[String], console: &mut Console) -> i32 {
    if words.is_empty() {
        return list(spec, console);
    }
    let (mut name, mut group, mut action, mut prompt) = (None, None, None, false);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-n" => name = rest.next().cloned(),
            "-g" => group = rest.next().cloned(),
            "-P" => prompt = true,
            other if action.is_none() => action = Action::from_switch(other),
            _ => action = None,
        }
    }
    let (Some(name), Some(group), Some(action)) = (name, group, action) else {
        console.error("usage: startinstance [-n NAME -g GROUP -d | -k | -s [-P]]");
        return 1;
    };
    let service = Service::Instance { name, group };
    if matches!(action, Action::Start) && !passphrase_fits(spec, prompt, console) {
        return 1;
    }
    act(spec, &service, action, (Phase::InstanceStart, Phase::InstanceStop), console)
}

fn list(spec: &InstallSpec, console: &mut Console) -> i32 {
    if created(spec) {
        for instance in &spec.own_node().instances {
            console
                .say(&format!("startinstance -n \"{}\" -g \"{}\"", instance.name, instance.group));
        }
    }
    0
}

/// Asks for the entity-store passphrase where one is configured or `-P` wants it.
fn passphrase_fits(spec: &InstallSpec, prompt: bool, console: &mut Console) -> bool {
    let wanted = spec.secrets.instance_passphrase.as_ref();
    if wanted.is_none() && !prompt {
        return true;
    }
    let Some(given) = console.ask_secret("instance_passphrase", "Enter passphrase") else {
        console.error("No passphrase was given.");
        return false;
    };
    let fits = wanted.is_none_or(|digest| *digest == sha256_hex(&given));
    if !fits {
        console.error("The passphrase is incorrect.");
    }
    fits
}

/// True when this host has processes of this installation: it belongs to a domain.
fn created(spec: &InstallSpec) -> bool {
    Membership::load(spec).is_some_and(|domain| domain.members.contains(&spec.node))
}

fn act(
    spec: &InstallSpec,
    service: &Service,
    action: Action,
    (starting, stopping): (Phase, Phase),
    console: &mut Console,
) -> i32 {
    if !created(spec) || !own_services(spec).contains(service) {
        console.error(&format!("{} has not been created on this host.", service.title()));
        return 1;
    }
    match action {
        Action::Start => failure::under(spec, starting, console, |console| {
            ended(service.start(spec).map(|()| "is running"), service, console)
        }),
        Action::Stop => failure::under(spec, stopping, console, |console| {
            let stopped = service.stop(spec);
            let text = stopped.map(|ran| if ran { "has stopped" } else { "was not running" });
            ended(text, service, console)
        }),
        Action::Test => {
            let runs = service.running(spec).is_some();
            let text = if runs { "is running" } else { "is not running" };
            console.say(&format!("{} {text}", service.title()));
            i32::from(!runs)
        }
    }
}

fn ended(result: Result<&str, String>, service: &Service, console: &mut Console) -> i32 {
    match result {
        Ok(text) => {
            console.say(&format!("{} {text}", service.title()));
            0
        }
        Err(text) => {
            console.error(&text);
            1
        }
    }
}
