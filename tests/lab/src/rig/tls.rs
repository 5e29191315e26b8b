//! The authorities of the two domains and what their Node Managers show, made by `openssl`.

use std::fs;
use std::path::Path;
use std::process::Command;

use zdu_doubles::axway::Tls;

use super::{NODES, Side};
use crate::process::succeed;
use crate::{Lab, LabError};

/// The authority an operator can have before a rollout, in the lab's directory.
pub(super) const OLD_AUTHORITY: &str = "old-ca.pem";

/// Both domains.
#[derive(Debug)]
pub(super) struct Domains {
    old: Tls,
    new: Tls,
}

impl Domains {
    pub(super) fn make(lab: &Lab) -> Result<Self, LabError> {
        Ok(Self { old: domain(lab, "old")?, new: domain(lab, "new")? })
    }

    pub(super) fn of(&self, side: Side) -> &Tls {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }
}

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// An authority, and one certificate of it for the addresses of all nodes.
fn domain(lab: &Lab, name: &str) -> Result<Tls, LabError> {
    let directory = lab.directory();
    let file = |what: &str| format!("{name}-{what}");
    let addresses = NODES.map(|node| format!("IP:{}", lab.host(node).address()));
    let names = format!("subjectAltName={}\n", addresses.join(","));
    fs::write(directory.join(file("names")), names).map_err(LabError::because("write names"))?;

    let (ca, ca_key) = (file("ca.pem"), file("ca.key"));
    let subject = format!("/CN=the {name} domain");
    let mut words = vec!["req", "-x509", "-days", "2", "-subj", &subject];
    words.extend(["-keyout", &ca_key, "-out", &ca].iter().chain(&KEY));
    openssl(directory, &words)?;
    let (request, key) = (file("leaf.csr"), file("leaf.key"));
    let mut words = vec!["req", "-subj", "/CN=nodemanager", "-keyout", &key, "-out", &request];
    words.extend(KEY);
    openssl(directory, &words)?;
    let (leaf, names) = (file("leaf.pem"), file("names"));
    let words = ["x509", "-req", "-days", "2", "-in", &request, "-CA", &ca, "-CAkey", &ca_key];
    openssl(
        directory,
        &[&words[..], &["-CAcreateserial", "-extfile", &names, "-out", &leaf]].concat(),
    )?;

    let read = |name: &str| {
        fs::read_to_string(directory.join(name)).map_err(LabError::because(format!("read {name}")))
    };
    Ok(Tls { authority: read(&ca)?, certificate: read(&leaf)?, key: read(&key)? })
}

fn openssl(directory: &Path, words: &[&str]) -> Result<(), LabError> {
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(words);
    succeed(command, "").map(drop)
}
