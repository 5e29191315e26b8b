//! `upgrade`: converts what was exported; offline, the old installation may keep running.

use serde_json::json;

use super::{Done, Options, Stage, new_is_stopped};
use crate::axway::console::Console;
use crate::axway::spec::InstallSpec;

/// The port of the new release's Cassandra client.
const CASSANDRA_PORT: &str = "9042";

pub(super) fn run(spec: &InstallSpec, words: &[String], console: &mut Console) -> Done {
    let options = Options::parse(
        words,
        &["--cass_host", "--cass_port", "--cass_username", "--cass_password", "--tracelevel"],
        &["--no_cassandra", "--force"],
    )?;
    let host = options.value("--cass_host");
    let port = options.value("--cass_port").unwrap_or(CASSANDRA_PORT);
    if host.is_some() && options.has("--no_cassandra") {
        return Err("--cass_host and --no_cassandra exclude each other".to_owned());
    }
    if !Stage::Export.is_complete(spec) {
        return Err("You must run sysupgrade export before sysupgrade upgrade.".to_owned());
    }
    if let Some(host) = host
        && spec.topology.nodes.len() > 1
        && is_this_machine(host)
    {
        // Both lines word for word as the source document shows them.
        return Err(format!(
            "This is a multi-node upgrade and a localhost Cassandra server: {host}:{port} has been \
             specified.\nYou must use a network accessible address. Run sysupgrade upgrade -h for \
             details."
        ));
    }
    new_is_stopped(spec, "upgrade")?;
    Stage::Upgrade.begin(spec, &options)?;
    licenses_are_present(spec, console)?;
    Stage::Upgrade.complete(spec, &json!({"cass_host": host, "cass_port": port}))?;
    console.say(&format!("Upgraded the exported configuration to {}.", spec.version));
    Ok(())
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.starts_with("127.") || host == "::1"
}

/// A missing gateway licence is an error, a missing API Manager licence a warning.
fn licenses_are_present(spec: &InstallSpec, console: &mut Console) -> Done {
    let licenses = spec.layout().licenses();
    if !licenses.join("gateway.lic").exists() {
        return Err(format!("No valid API Gateway license was found in {}.", licenses.display()));
    }
    let api_manager = spec.own_node().instances.iter().any(|instance| instance.api_manager);
    if api_manager && !licenses.join("api-manager.lic").exists() {
        console.warn(&format!("No valid API Manager license was found in {}.", licenses.display()));
    }
    Ok(())
}
