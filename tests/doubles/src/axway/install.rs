//! Laying out an installation and starting the old one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::domain::Membership;
use super::layout::Layout;
use super::spec::{self, InstallSpec};

/// Why the stand-in could not do its own job. What the documented product refuses is no error but
/// an exit code and a text of the tool.
#[derive(Debug, thiserror::Error)]
pub enum DoubleError {
    /// The file system refused.
    #[error("{verb} {path}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the stand-in is not what it wrote.
    #[error("understand {path}")]
    Json {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The caller's spec contradicts itself.
    #[error("accept the installation: {0}")]
    Spec(String),
    /// A tool the caller asked to run did not succeed.
    #[error("run {argv:?}: exit {exit:?}: {stderr}")]
    Tool {
        /// The command.
        argv: Vec<String>,
        /// Its exit code; absent when a signal ended it.
        exit: Option<i32>,
        /// Its standard error.
        stderr: String,
    },
}

impl DoubleError {
    pub(crate) fn io(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { verb, path, source }
    }

    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Json { path, source }
    }
}

/// An error with its causes, as one line for a tool's output.
pub(crate) fn with_causes(error: &DoubleError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

/// Lays out one installation. The directory may exist; files of the layout are replaced.
///
/// # Errors
/// When the spec contradicts itself (unknown node, relative or non-UTF-8 directory) or the file
/// system refuses.
pub fn install(spec: &InstallSpec) -> Result<Layout, DoubleError> {
    check(spec)?;
    let layout = spec.layout();
    for dir in [
        layout.licenses(),
        layout.groups(),
        layout.apigateway().join("system/conf"),
        layout.apigateway().join("ext/lib"),
        layout.apigateway().join("upgrade/lib"),
        layout.run(),
        layout.process_logs(),
        layout.spent(),
    ] {
        fs::create_dir_all(&dir).map_err(DoubleError::io("create", &dir))?;
    }
    spec::save(spec)?;
    for (tool, path) in [
        ("nodemanager", layout.nodemanager()),
        ("startinstance", layout.startinstance()),
        ("sysupgrade", layout.sysupgrade()),
    ] {
        write_wrapper(spec, tool, &path)?;
    }
    write_licenses(spec, &layout)?;
    if spec.existing_domain {
        Membership::existing(spec).save(spec)?;
        if spec.topology.admins().first().is_some_and(|first| first.name == spec.node) {
            super::domain::write_key(spec)?;
        }
    }
    Ok(layout)
}

fn check(spec: &InstallSpec) -> Result<(), DoubleError> {
    if spec.topology.node(&spec.node).is_none() {
        return Err(DoubleError::Spec(format!("node {} is not in its topology", spec.node)));
    }
    if spec.topology.admins().is_empty() {
        return Err(DoubleError::Spec("the topology has no Admin Node Manager".to_owned()));
    }
    for path in [&spec.dir, &spec.launcher.program] {
        if !path.is_absolute() || path.to_str().is_none() {
            return Err(DoubleError::Spec(format!("{} is not absolute UTF-8", path.display())));
        }
    }
    Ok(())
}

fn write_wrapper(spec: &InstallSpec, tool: &str, path: &Path) -> Result<(), DoubleError> {
    let mut words = vec![spec.launcher.program.to_string_lossy().into_owned()];
    words.extend(spec.launcher.leading.iter().cloned());
    words.push(tool.to_owned());
    words.push(spec.dir.to_string_lossy().into_owned());
    let quoted: Vec<String> = words.iter().map(|word| sh_quote(word)).collect();
    let script = format!("#!/bin/sh\nexec {} \"$@\"\n", quoted.join(" "));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(DoubleError::io("create", parent))?;
    }
    fs::write(path, script).map_err(DoubleError::io("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(DoubleError::io("make executable", path))
}

/// One POSIX shell word: single quotes keep every other character literal.
fn sh_quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn write_licenses(spec: &InstallSpec, layout: &Layout) -> Result<(), DoubleError> {
    let mut names = vec!["gateway.lic"];
    if spec.own_node().instances.iter().any(|instance| instance.api_manager) {
        names.push("api-manager.lic");
    }
    for name in names {
        let path = layout.licenses().join(name);
        fs::write(&path, "stand-in\n").map_err(DoubleError::io("write", &path))?;
    }
    Ok(())
}

/// The commands that start everything of an installation on its node, in order, as argv vectors; a
/// caller with hosts of its own (network namespaces) wraps them.
///
/// # Errors
/// When the directory holds no installation.
pub fn start_commands(dir: &Path) -> Result<Vec<Vec<String>>, DoubleError> {
    let spec = spec::load(dir)?;
    let layout = spec.layout();
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut commands = vec![vec![text(layout.nodemanager()), "-d".to_owned()]];
    for instance in &spec.own_node().instances {
        let (name, group) = (instance.name.clone(), instance.group.clone());
        let words = ["-n", &name, "-g", &group, "-d"].map(str::to_owned);
        commands.push([vec![text(layout.startinstance())], words.to_vec()].concat());
    }
    Ok(commands)
}

/// Starts the Node Manager and the instances of an installation through its own tools, on this
/// host. Returns when all of them run. An installation with an instance passphrase cannot be
/// started this way, as nobody answers its prompt.
///
/// # Errors
/// When the directory holds no installation or a tool does not succeed.
pub fn start_old(dir: &Path) -> Result<(), DoubleError> {
    for argv in start_commands(dir)? {
        let (program, words) = argv.split_first().expect("a command starts with its program");
        let output = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .map_err(DoubleError::io("run", Path::new(program)))?;
        if !output.status.success() {
            return Err(DoubleError::Tool {
                exit: output.status.code(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
                argv,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::sh_quote;

    #[test]
    fn a_quote_inside_a_word_ends_and_reopens_the_quoting() {
        assert_eq!(sh_quote("a 'b\" $c"), r#"'a '\''b" $c'"#);
    }
}
