//! Where everything of one installation lies. No file is touched here.

use std::path::{Path, PathBuf};

/// The paths of one installation directory. The upper half is the product's, the lower half
/// (`double*`) the stand-in's own, outside of what `sysupgrade clean` moves away.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The layout of an installation directory, existing or not.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// `apigateway`, the product's own root.
    #[must_use]
    pub fn apigateway(&self) -> PathBuf {
        self.dir.join("apigateway")
    }

    /// The `nodemanager` script.
    #[must_use]
    pub fn nodemanager(&self) -> PathBuf {
        self.apigateway().join("posix/bin/nodemanager")
    }

    /// The `startinstance` script.
    #[must_use]
    pub fn startinstance(&self) -> PathBuf {
        self.apigateway().join("posix/bin/startinstance")
    }

    /// The `sysupgrade` script.
    #[must_use]
    pub fn sysupgrade(&self) -> PathBuf {
        self.apigateway().join("upgrade/bin/sysupgrade")
    }

    /// `upgrade/bin/out`: what the phases of `sysupgrade` leave behind.
    #[must_use]
    pub fn out(&self) -> PathBuf {
        self.apigateway().join("upgrade/bin/out")
    }

    /// `out/logs`: one log per phase with its output.
    #[must_use]
    pub fn upgrade_logs(&self) -> PathBuf {
        self.out().join("logs")
    }

    /// `conf/licenses`.
    #[must_use]
    pub fn licenses(&self) -> PathBuf {
        self.apigateway().join("conf/licenses")
    }

    /// `groups`: topology and instances; absent contents mean nothing was created yet.
    #[must_use]
    pub fn groups(&self) -> PathBuf {
        self.apigateway().join("groups")
    }

    /// `groups/topology.json`, the topology without the `result` wrapper.
    #[must_use]
    pub fn topology_file(&self) -> PathBuf {
        self.groups().join("topology.json")
    }

    /// The domain's private key: its existence makes this node the first Admin Node Manager.
    #[must_use]
    pub fn domain_key(&self) -> PathBuf {
        self.groups().join("certs/private/domain.p12")
    }

    /// The certificate of the domain's authority.
    #[must_use]
    pub fn domain_authority(&self) -> PathBuf {
        self.groups().join("certs/domaincert.pem")
    }

    /// `upgrade_backup`: where `clean` moves things.
    #[must_use]
    pub fn upgrade_backup(&self) -> PathBuf {
        self.apigateway().join("upgrade_backup")
    }

    /// Membership of this node in a domain, as the stand-in keeps it.
    pub(crate) fn domain_file(&self) -> PathBuf {
        self.groups().join("double-domain.json")
    }

    /// The `double.json` of this installation.
    #[must_use]
    pub fn spec_file(&self) -> PathBuf {
        self.dir.join("double.json")
    }

    /// The record of every tool invocation, JSON lines.
    #[must_use]
    pub fn invocations_file(&self) -> PathBuf {
        self.dir.join("double-invocations.jsonl")
    }

    /// Pid files of running processes.
    pub(crate) fn run(&self) -> PathBuf {
        self.dir.join("double-run")
    }

    /// Standard error of the detached processes.
    pub(crate) fn process_logs(&self) -> PathBuf {
        self.dir.join("double-logs")
    }

    /// Marks of one-shot failures that have happened.
    pub(crate) fn spent(&self) -> PathBuf {
        self.dir.join("double-spent")
    }
}
