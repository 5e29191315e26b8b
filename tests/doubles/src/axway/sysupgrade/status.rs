//! `status`: how far this node is, and which command is next.

use super::{Done, Options, Stage};
use crate::axway::client;
use crate::axway::console::Console;
use crate::axway::domain::Membership;
use crate::axway::node_manager::membership_at_holder;
use crate::axway::spec::InstallSpec;

pub(super) fn run(spec: &InstallSpec, words: &[String], console: &mut Console) -> Done {
    Options::parse(words, &["--tracelevel"], &[])?;
    let stale = Stage::Apply.is_complete(spec)
        && client::block_on(domain_is_gone(spec)).map_err(|error| error.to_string())?;
    let done = |stage: Stage| stage.is_complete(spec);
    let (current, next) = if done(Stage::Apply) && !stale {
        ("system upgrade complete", None)
    } else if done(Stage::Upgrade) {
        ("export and upgrade complete", Some(Stage::Apply))
    } else if done(Stage::Export) {
        ("export complete", Some(Stage::Upgrade))
    } else {
        ("not started", Some(Stage::Export))
    };
    console.say(&format!("Current status: {current}"));
    if let Some(next) = next {
        console.say(&format!("Next step: sysupgrade {}", next.name()));
    }
    if stale {
        console.warn("This host is not part of the domain of its Admin Node Manager any more.");
    }
    Ok(())
}

/// True when the Admin Node Manager this node joined is there and its domain is another one, or no
/// longer lists this node. One that does not answer proves nothing.
async fn domain_is_gone(spec: &InstallSpec) -> bool {
    let Some(own) = Membership::load(spec) else {
        return true;
    };
    if own.holder == spec.node {
        return false;
    }
    match membership_at_holder(spec, &own).await {
        None => false,
        Some(Err(())) => true,
        Some(Ok(now)) => !now.members.contains(&spec.node),
    }
}
