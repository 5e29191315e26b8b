//! Inventories that cannot be read: what is wrong, where, and what to do.

use crate::place::{Place, answer};
use std::os::unix::fs::PermissionsExt;

/// What is said of one file.
#[track_caller]
fn refused(name: &str, text: &str, told: &[&str]) {
    let place = Place::with(&[(name, text)]);
    let mut said = place.zdu(&["init", "--from", "ansible", name]).ends(78).gives_nothing();
    for text in told {
        said = said.says(text);
    }
    assert!(!place.path("zdu.yaml").exists());
    let _json = place.zdu(&["init", "--json", "--from", "ansible", name]).ends(78);
}

#[test]
fn a_mistake_is_told_by_file_line_and_column_and_its_line_is_never_shown() {
    for (name, text, told) in [
        ("i", "[web]\n  h1 a=1 hunter2 x=planted\n", "i:2:10: error: this is no `NAME=VALUE`"),
        ("i", "[web]\nh1 p='hunter2 planted\n", "i:2:6: error: a quote is not closed"),
        ("i", "[web\nh1\n", "i:1:1: error: the section has no `]`"),
        (
            "i",
            "[web:hosts]\nh1 p=hunter2\n",
            "i:1:1: error: there are no sections of the kind `hosts`",
        ),
        ("i", "[web] hunter2\n", "i:1:1: error: something stands behind the section"),
        ("i", "[a b]\n", "i:1:1: error: the section names no group"),
        ("i", "[web:vars]\na=1\n", "i:1:1: error: there is no group `web` for these variables"),
        ("i", "[web]\n[web:vars]\nhunter2-planted\n", "i:3:1: error: this is no `NAME=VALUE`"),
        ("i", "[web]\n[web:vars]\nhunter2 planted=1\n", "i:3:1: error: this is no `NAME=VALUE`"),
        ("i", "[web]\np=hunter2\n", "i:2:1: error: a variable stands where a host is expected"),
        ("i", "[web:children]\n\n db\n", "i:3:2: error: there is no group `db`"),
        ("i", "[a:children]\nhunter2 planted\n", "i:2:1: error: this is no name of a group"),
        ("i", "[a:children]\nb\n[b:children]\na\n", "error: the group `a` stands in itself"),
        ("i", "[web]\nweb[05:01] p=hunter2\n", "i:2:1: error: the range ends before it begins"),
        ("i", "[web]\nweb[1:20001]\n", "i:2:1: error: the range has more than 20000 hosts"),
        ("i", "[web]\nhunter2!planted\n", "i:2:1: error: this is no host name"),
        ("i", "# nothing\n", "i:1:1: error: the inventory has no host"),
        ("y.yml", "web:\n  host: { h1: hunter2 }\n", "y.yml:2:3: error: a group has no `host`"),
        (
            "y.yml",
            "web:\n  hosts: [hunter2]\n",
            "y.yml:2:10: error: the hosts of a group must be a map",
        ),
        (
            "y.yml",
            "web:\n  hosts:\n    h1: hunter2\n",
            "y.yml:3:9: error: the variables of a host must",
        ),
        ("y.yml", "web: { vars: { p: hunter2-planted }\n", "error: this is not YAML"),
        (
            "y.yml",
            "web:\n  hosts:\n    h1: { p: 1, p: hunter2 }\n",
            "y.yml:3:17: error: the key `p`",
        ),
        ("y.yml", "- hosts: hunter2\n", "y.yml:1:1: error: the file is a list"),
        ("y.yml", "hunter2-planted\n", "y.yml:1:1: error: the file is a single value"),
        (
            "y.yml",
            "web: hunter2\n",
            "y.yml:1:6: error: a group must be a map, and this is a single",
        ),
        ("y.yml", "web:\n  children: { a: { children: { web: } } }\n", "stands in itself"),
    ] {
        refused(name, text, &[told]);
    }
}

#[test]
fn a_mistake_in_a_file_of_variables_is_told_with_that_file() {
    for (name, text, told) in [
        ("group_vars/all.yml", "p: 'hunter2\n", "group_vars/all.yml:"),
        (
            "host_vars/h1.yml",
            "- hunter2\n",
            "host_vars/h1.yml:1:1: error: a file of variables must",
        ),
    ] {
        let place = Place::with(&[("hosts", "h1\n"), (name, text)]);
        let _told = place.zdu(&["init", "--from", "ansible", "hosts"]).ends(78).says(told);
    }
}

#[test]
fn what_is_no_static_inventory_is_refused_with_what_to_do_next() {
    let next = |file: &str| {
        let answer = format!("ansible-inventory -i {file} --list --yaml");
        format!("`{answer} | zdu init --from ansible /dev/stdin`")
    };
    let script = "#!/usr/bin/env python3\nprint('hunter2-planted')\n";
    refused("dyn.py", script, &["this is a program: a dynamic inventory", &next("dyn.py")]);
    let plugin = "plugin: amazon.aws.aws_ec2\naws_secret_key: hunter2-planted\n";
    let told = "aws.yml:1:1: error: the file configures the inventory plugin `amazon.aws.aws_ec2`";
    refused("aws.yml", plugin, &[told, &next("aws.yml")]);
    refused("h.toml", "[web.hosts]\n", &["a TOML inventory is not read", &next("h.toml")]);
    let vault = "$ANSIBLE_VAULT;1.1;AES256\nhunter2\n";
    refused("v.yml", vault, &["encrypted by ansible-vault", "ansible-vault view"]);
    let list = "{ \"_meta\": { \"hostvars\": { \"h1\": { \"p\": \"hunter2\" } } } }";
    refused(
        "l.json",
        list,
        &["l.json:1:3: error: this is the answer of a dynamic", "--list --yaml`"],
    );
    refused("e.yml", "# nothing\n---\n", &["e.yml:1:1: error: the inventory has no host"]);
    refused("n.ini", "h1\0", &["the file is no text"]);

    let place = Place::with(&[("run/hosts", "h1\n"), ("run/x", "h1\n")]);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path("run/hosts"), mode).expect("set");
    let told = place.zdu(&["init", "--from", "ansible", "run/hosts"]).ends(78);
    let told = told.says("the file is executable").says("`chmod -x run/hosts`");
    let _told = told.says(&next("run/hosts"));
    let told = place.zdu(&["init", "--from", "ansible", "run"]).ends(78);
    let _told = told.says("`run` is a directory").says("name the file in it: `run/hosts`");
    let told = place.zdu(&["init", "--from", "ansible", "nowhere"]).ends(66);
    let _told = told.says("there is no file `nowhere`").says("INI or YAML inventory");
    let told = place.zdu(&["init", "--from", "ansible", "h1,h2"]).ends(66);
    let _told = told.says("a list of hosts is no file");
    assert!(!place.path("zdu.yaml").exists());
    let _scaffold = answer(&mut place.command(&["init"])).ends(0);
}
