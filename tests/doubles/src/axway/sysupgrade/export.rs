//! `export`: reads the old configuration, while the whole old domain runs.

use std::path::Path;

use serde_json::json;

use super::{Done, Options, Stage, administrator, anm_host, answering, new_is_stopped};
use crate::axway::client;
use crate::axway::console::Console;
use crate::axway::domain;
use crate::axway::install::with_causes;
use crate::axway::spec::{self, InstallSpec};

pub(super) fn run(spec: &InstallSpec, words: &[String], console: &mut Console) -> Done {
    let options = Options::parse(
        words,
        &["--old_install_dir", "--anm_host", "--username", "--password", "--tracelevel"],
        &["--force"],
    )?;
    let Some(old_dir) = options.value("--old_install_dir") else {
        return Err("argument --old_install_dir is required".to_owned());
    };
    // The option names the `apigateway` directory inside the installation, as the vendor's own
    // sample commands do.
    let foreign = || format!("{old_dir} is not an API Gateway installation.");
    let product = Path::new(old_dir);
    let root = product.parent().filter(|_| product.file_name() == Some("apigateway".as_ref()));
    let old = spec::load(root.ok_or_else(foreign)?).map_err(|_| foreign())?;
    if old.node != spec.node || old.version == spec.version {
        return Err(format!("{old_dir} is not the old installation of this host."));
    }
    let anm = anm_host(&old, &options)?;
    administrator(spec, &options, console)?;
    new_is_stopped(spec, "export")?;
    client::block_on(whole_domain_runs(&old)).map_err(|error| error.to_string())??;
    groups_are_consistent(&old)?;
    Stage::Export.begin(spec, &options)?;
    let topology = domain::Membership::load(&old).map(|own| domain::document(&own, &old.topology));
    spec::write_json(&Stage::Export.dir(spec).join("topology.json"), &topology)
        .map_err(|e| with_causes(&e))?;
    Stage::Export.complete(
        spec,
        &json!({"old_install_dir": old_dir, "old_version": old.version, "anm_host": anm.host}),
    )?;
    console.say(&format!("Exported {} from {old_dir}.", old.version));
    Ok(())
}

/// Every Node Manager and instance of the old domain, asked itself. A remote Node Manager that is
/// down shows as an inconsistent group, which is how the product is known to report it.
async fn whole_domain_runs(old: &InstallSpec) -> Done {
    let what = "All Node Managers and API Gateways of the old installation must be running.";
    for node in &old.topology.nodes {
        let manager = answering(node, node.management_port).await;
        if manager.is_none_or(|state| state.version != old.version) {
            if node.name == old.node {
                return Err(format!("Node Manager on {} is not running. {what}", node.host));
            }
            let group = node.instances.first().map_or("Node Manager Group", |i| &i.group);
            return Err(format!(
                "Group '{group}' is inconsistent: Node Manager on {} is not running. {what}",
                node.host
            ));
        }
        for instance in &node.instances {
            let running = answering(node, instance.traffic_port).await;
            if running.is_none_or(|state| {
                state.version != old.version
                    || state.instance.as_deref() != Some(instance.name.as_str())
            }) {
                return Err(format!(
                    "API Gateway '{}' on {} is not running. {what}",
                    instance.name, node.host
                ));
            }
        }
    }
    Ok(())
}

/// Equal deployed archives within each group.
fn groups_are_consistent(old: &InstallSpec) -> Done {
    let instances: Vec<_> = old.topology.nodes.iter().flat_map(|node| &node.instances).collect();
    for instance in &instances {
        let differs = |other: &&&spec::InstanceSpec| {
            other.group == instance.group && other.deployment != instance.deployment
        };
        if let Some(other) = instances.iter().find(differs) {
            return Err(format!(
                "Group '{}' is inconsistent: '{}' and '{}' have different deployments.",
                instance.group, instance.name, other.name
            ));
        }
    }
    Ok(())
}
