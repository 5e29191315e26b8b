//! `clean`: factory reset of the new installation on this node.

use std::fs;
use std::path::Path;

use super::{Done, Options, new_is_stopped};
use crate::axway::console::Console;
use crate::axway::domain;
use crate::axway::install::with_causes;
use crate::axway::spec::InstallSpec;

/// How many resets of one installation are kept apart.
const BACKUPS_MAX: usize = 1_000;

pub(super) fn run(spec: &InstallSpec, words: &[String], console: &mut Console) -> Done {
    Options::parse(words, &["--tracelevel"], &[])?;
    new_is_stopped(spec, "clean")?;
    let layout = spec.layout();
    let backup = (1..=BACKUPS_MAX)
        .map(|number| layout.upgrade_backup().join(number.to_string()))
        .find(|path| !path.exists())
        .ok_or_else(|| format!("{} is full", layout.upgrade_backup().display()))?;
    let root = layout.apigateway();
    for (part, name) in [
        (root.join("conf"), "conf"),
        (root.join("system/conf"), "system/conf"),
        (root.join("ext/lib"), "ext/lib"),
        (layout.out(), "out"),
    ] {
        if part.exists() {
            move_to(&part, &backup.join(name)).map_err(|error| error.to_string())?;
        }
    }
    for dir in [layout.licenses(), root.join("system/conf"), root.join("ext/lib")] {
        fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    }
    keep_licenses(&backup.join("conf/licenses"), &layout.licenses())
        .map_err(|error| error.to_string())?;
    domain::forget(spec).map_err(|e| with_causes(&e))?;
    console.say(&format!("Reset. The former files are in {}.", backup.display()));
    Ok(())
}

fn move_to(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(from, to)
}

fn keep_licenses(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
