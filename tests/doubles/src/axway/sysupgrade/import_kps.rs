//! `import-kps`: the repair for missing KPS data. The stand-in has no KPS; it checks that it comes
//! after `apply` and that the Admin Node Manager runs the new release.

use super::{Done, Options, Stage, administrator, anm_host, answering};
use crate::axway::client;
use crate::axway::console::Console;
use crate::axway::spec::InstallSpec;

pub(super) fn run(spec: &InstallSpec, words: &[String], console: &mut Console) -> Done {
    let options =
        Options::parse(words, &["--anm_host", "--username", "--password", "--tracelevel"], &[])?;
    let anm = anm_host(spec, &options)?;
    administrator(spec, &options, console)?;
    if !Stage::Apply.is_complete(spec) {
        return Err("You must run sysupgrade apply before sysupgrade import-kps.".to_owned());
    }
    let manager = client::block_on(answering(anm, anm.management_port));
    let manager = manager.map_err(|error| error.to_string())?;
    if manager.is_none_or(|state| state.version != spec.version) {
        return Err(format!("Admin Node Manager on {} is not running.", anm.host));
    }
    console.say("Imported the KPS data.");
    Ok(())
}
