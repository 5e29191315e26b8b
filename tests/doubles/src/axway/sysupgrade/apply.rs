//! `apply`: creates this node in the new domain and starts it. On the node `--anm_host` names, the
//! domain itself is created.

use hyper::Method;
use serde_json::json;

use super::{Done, Options, Stage, anm_host, answering, secret};
use crate::axway::client;
use crate::axway::console::Console;
use crate::axway::domain::{self, Membership};
use crate::axway::install::with_causes;
use crate::axway::process::own_services;
use crate::axway::spec::{InstallSpec, NodeSpec};

const WITH_VALUE: &[&str] = &[
    "--anm_host",
    "--domain_passphrase",
    "--username",
    "--password",
    "--sign_alg",
    "--subj_alt_name",
    "--domain_name",
    "--tracelevel",
];

pub(super) fn run(spec: &InstallSpec, words: &[String], console: &mut Console) -> Done {
    let options = Options::parse(words, WITH_VALUE, &["--skip_db_upgrade", "--force"])?;
    let anm = anm_host(spec, &options)?;
    if !Stage::Upgrade.is_complete(spec) {
        return Err(
            "You must run sysupgrade upgrade without errors before sysupgrade apply.".to_owned()
        );
    }
    let secrets = &spec.secrets;
    for (name, digest) in [
        ("domain_passphrase", &secrets.domain_passphrase),
        ("username", &secrets.username),
        ("password", &secrets.password),
    ] {
        secret(&options, name, digest.as_ref(), true, console)?;
    }
    if Stage::Apply.is_complete(spec) && !options.has("--force") {
        // Before anything is looked at: `begin` would say the same, but only after the stops.
        return Stage::Apply.begin(spec, &options);
    }
    let creates = anm.name == spec.node;
    if creates && options.has("--force") && domain::holds_key(spec) {
        stop_own(spec)?;
    }
    client::block_on(this_host_is_stopped(spec)).map_err(|error| error.to_string())??;
    if !creates {
        client::block_on(can_sign(spec, anm)).map_err(|error| error.to_string())??;
    }
    Stage::Apply.begin(spec, &options)?;
    let membership = if creates {
        domain::forget(spec).map_err(|e| with_causes(&e))?;
        domain::write_key(spec).map_err(|e| with_causes(&e))?;
        Membership::created_by(spec)
    } else {
        client::block_on(register(spec, anm)).map_err(|error| error.to_string())??
    };
    membership.save(spec).map_err(|e| with_causes(&e))?;
    for service in own_services(spec) {
        service.start(spec)?;
        console.say(&format!("Created and started {}.", service.title()));
    }
    Stage::Apply.complete(
        spec,
        &json!({"anm_host": anm.host, "domain": membership.domain, "version": spec.version}),
    )?;
    console.say(&format!("This host belongs to the domain of {} now.", anm.host));
    Ok(())
}

fn stop_own(spec: &InstallSpec) -> Done {
    for service in own_services(spec).iter().rev() {
        service.stop(spec)?;
    }
    Ok(())
}

/// Nothing of the old or the new installation may run on this host. Other hosts may still run the
/// old one: its domain and the new one do not talk to each other.
async fn this_host_is_stopped(spec: &InstallSpec) -> Done {
    let own = spec.own_node();
    let mut ports = vec![("Node Manager".to_owned(), own.management_port)];
    for instance in &own.instances {
        ports.push((format!("API Gateway '{}'", instance.name), instance.traffic_port));
    }
    for (title, port) in ports {
        if let Some(state) = answering(own, port).await {
            return Err(format!(
                "{title} of version {} is running on this host. \
                 Stop it before running sysupgrade apply.",
                state.version
            ));
        }
    }
    Ok(())
}

fn cannot_sign(spec: &InstallSpec, why: &str) -> String {
    format!(
        "Failed to sign CSR for host {}: {why}. \
         None of the available Admin Node Managers have the domain private key.",
        spec.own_node().host
    )
}

/// The Admin Node Manager at `--anm_host` must run, be the new release and hold the domain key.
async fn can_sign(spec: &InstallSpec, anm: &NodeSpec) -> Done {
    let Some(state) = answering(anm, anm.management_port).await else {
        return Err(cannot_sign(spec, &format!("{} is not running", anm.host)));
    };
    if state.version != spec.version {
        let why = format!("{} is running version {}", anm.host, state.version);
        return Err(cannot_sign(spec, &why));
    }
    if !state.holds_key {
        return Err(cannot_sign(spec, &format!("{} does not hold it", anm.host)));
    }
    Ok(())
}

async fn register(spec: &InstallSpec, anm: &NodeSpec) -> Result<Membership, String> {
    let path = format!("/double/register/{}", spec.node);
    let answer = client::ask(Method::POST, &anm.address, anm.management_port, &path).await;
    match answer {
        Some((200, body)) => serde_json::from_slice(&body)
            .map_err(|error| format!("{} answered what nobody understands: {error}", anm.host)),
        Some((status, _)) => Err(cannot_sign(spec, &format!("{} refused with {status}", anm.host))),
        None => Err(cannot_sign(spec, &format!("{} stopped answering", anm.host))),
    }
}
