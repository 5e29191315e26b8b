//! Programs the end-to-end tests run against, from Debian.

use std::path::Path;
use std::process::Command;

use super::count::Counts;
use crate::say;

/// A program that shows that its package is there, and the package.
const NEEDED: [(&str, &str); 9] = [
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("haproxy", "haproxy"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("socat", "socat"),
    ("openssl", "openssl"),
    ("sudo", "sudo"),
    ("busybox", "busybox-static"),
];

/// Where Debian puts programs, whatever the caller's `PATH` is.
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Installs what is missing when it may, and says so; what is still missing then is counted as
/// skipped, with its name.
pub(super) fn install(counts: &mut Counts) {
    let missing = missing(&DIRECTORIES);
    if missing.is_empty() {
        return;
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    let refused = if !rustix::process::geteuid().is_root() {
        Some("only root can install it".to_owned())
    } else {
        say::line(&format!("installing with apt-get: {}", packages.join(" ")));
        // The lists may be older than the packages, or not there at all.
        apt_get(&["update"]).err().or_else(|| {
            let mut args = vec!["install", "--yes", "--no-install-recommends"];
            args.extend(&packages);
            apt_get(&args).err()
        })
    };
    for (program, package) in self::missing(&DIRECTORIES) {
        let why = refused.as_deref().unwrap_or("apt-get did not bring it");
        let what = format!("program {program} (package {package}) is missing: {why}");
        say::error(&format!("SKIPPED: {what}"));
        counts.missing(&what);
    }
}

fn missing(directories: &[&str]) -> Vec<(&'static str, &'static str)> {
    let absent = |(program, _): &(&str, &str)| {
        !directories.iter().any(|directory| Path::new(directory).join(program).exists())
    };
    NEEDED.into_iter().filter(absent).collect()
}

fn apt_get(args: &[&str]) -> Result<(), String> {
    let status =
        Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get {} ended with {status}", args[0])),
        Err(cause) => Err(format!("apt-get cannot be started: {cause}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_missing_where_no_directory_has_it() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().to_str().expect("it is text");
        assert_eq!(missing(&[path]).len(), NEEDED.len());
        std::fs::write(directory.path().join("nft"), "").expect("written");
        assert!(!missing(&[path]).contains(&("nft", "nftables")));
    }
}
