//! Inventories that can be read: what becomes of groups, hosts and variables.

use crate::place::{Place, SECRET, answer, keeps};
use std::io::Write as _;
use std::process::Stdio;
use zdu_config::Config;
use zdu_model::fleet::Reach;

const INI: &str = "\
# The shop. Secrets: hunter2-planted
bastion ansible_connection=local

[web]
web[01:05:2].example.com ansible_password=hunter2-planted
db-[a:b]:2222 ansible_host=10.0.0.9 # hunter2-planted

[shop:children]
web
cache

[web:vars]
ansible_user = \"deploy\"
http_port = 80

[cache]
[2001:db8::7]:22 ansible_user=redis ansible_become_pass='hunter2 planted'

[all:vars]
ansible_ssh_private_key_file=~/.ssh/id_shop
";

const YAML: &str = "\
all:
  vars: { ansible_ssh_private_key_file: ~/.ssh/id_shop }
  hosts:
    bastion: { ansible_connection: local }
  children:
    web:
      vars: { ansible_user: deploy, http_port: 80 }
      hosts:
        web[01:05:2].example.com: { ansible_password: hunter2-planted }
        db-[a:b]:2222: { ansible_host: 10.0.0.9 }
    shop:
      children:
        web:
        cache:
          hosts:
            2001:db8::7: { ansible_port: 22, ansible_user: redis, ansible_become_pass: hunter2 }
";

/// `group/node address user@:port identity` of each node.
fn nodes(config: &Config) -> Vec<String> {
    let of_group = config.fleet.groups.iter().flat_map(|group| {
        group.nodes.iter().map(|node| {
            let reached = match &node.reach {
                Reach::Local => "local".to_owned(),
                Reach::Ssh { host: _, port, user, identity, config: _ } => {
                    let port = port.map_or("-".to_owned(), |port| port.to_string());
                    let (user, identity) = (user.as_deref(), identity.as_deref());
                    format!("{}@:{port} {}", user.unwrap_or("-"), identity.unwrap_or("-"))
                }
            };
            format!("{}/{} {} {reached}", group.name, node.name, node.address)
        })
    });
    of_group.collect()
}

#[test]
fn an_inventory_becomes_groups_of_nodes_with_how_each_is_reached_in_both_forms() {
    let wanted = [
        "web/web01.example.com web01.example.com deploy@:- ~/.ssh/id_shop",
        "web/web03.example.com web03.example.com deploy@:- ~/.ssh/id_shop",
        "web/web05.example.com web05.example.com deploy@:- ~/.ssh/id_shop",
        "web/db-a 10.0.0.9 deploy@:2222 ~/.ssh/id_shop",
        "web/db-b 10.0.0.9 deploy@:2222 ~/.ssh/id_shop",
        "cache/2001-db8--7 2001:db8::7 redis@:22 ~/.ssh/id_shop",
        "ungrouped/bastion bastion local",
    ];
    let place = Place::with(&[("hosts", INI), ("hosts.yml", YAML)]);
    let (told, text, config) = place.import("ansible", "hosts");
    assert_eq!(nodes(&config), wanted, "{text}");
    let least: Vec<u32> = config.fleet.groups.iter().map(|group| group.min_available).collect();
    assert_eq!(least, [4, 0, 0]);
    assert_eq!(
        text.matches("identity:").count(),
        1,
        "what all have in common is said once: {text}"
    );
    let told = told.says("not read: shop: groups of groups");
    let told =
        told.says("ansible_password (host web01.example.com, host web03.example.com and 1 more)");
    let told = told.says("ansible_become_pass (host 2001:db8::7)");
    let told = told.says("not read: variables of playbooks: http_port");
    let _told = told.says("not read: ansible.cfg").says("decide: the members of web01");
    let (_, from_yaml, config) = place.import("ansible", "hosts.yml");
    assert_eq!(nodes(&config), wanted, "{from_yaml}");
    let without_owner = |text: &str| text.replace("hosts.yml", "hosts");
    assert_eq!(without_owner(&from_yaml), text);
}

#[test]
fn the_variables_that_win_are_those_that_win_in_ansible() {
    // Values found by `ansible-inventory --list` of ansible-core.
    let ini = "\
[all:vars]
ansible_user=of_all
ansible_port=1
[b:vars]
ansible_port=3
[a]
h1
h2 ansible_user=of_host
h3 ansible_user=of_host
[a:vars]
ansible_host=of_a
[b]
h1
h3
[z]
h3
[z:vars]
ansible_port=4
ansible_group_priority=0
[top:children]
a
[top:vars]
ansible_user=of_top
ansible_host=of_top
ansible_port=2
";
    let place = Place::with(&[
        ("inv/hosts", ini),
        ("inv/group_vars/all/main.yml", "ansible_user: of_file_of_all\nx: &x { y: 1 }\n"),
        ("inv/group_vars/all/.hidden.yml", "ansible_port: 9\n"),
        ("inv/group_vars/all/deep/more", "ansible_ssh_private_key_file: /k\n"),
        ("inv/group_vars/b.yml", "---\n# nothing\n"),
        ("inv/group_vars/b.yaml", "ansible_user: second_name\n"),
        ("inv/host_vars/h2.yml", "{ ansible_host: h2.file, ansible_user: of_file }"),
        ("inv/host_vars/h1/v.json", "{ \"ansible_host\": \"h1.file\" }"),
    ]);
    let (_, text, config) = place.import("ansible", "inv/hosts");
    let wanted = [
        // `b` and `z` are as deep as `top`: it wins by its name, and over `z` by the priority.
        "a/h1 h1.file of_file_of_all@:2 /k",
        "a/h2 h2.file of_file@:2 /k",
        "a/h3 of_a of_host@:2 /k",
    ];
    assert_eq!(nodes(&config), wanted, "{text}");
}

#[test]
fn the_answer_of_a_dynamic_inventory_is_read_from_a_pipe() {
    let place = Place::new();
    let words = ["init", "--from", "ansible", "/dev/stdin", "--output", "-"];
    let mut command = place.command(&words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary was built");
    child.stdin.take().expect("piped").write_all(YAML.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && text.contains("web05.example.com:"), "{text}");
    keeps(&text);
    keeps(&String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_host_of_several_groups_becomes_one_node_and_its_other_groups_are_told() {
    let ini = "h1\n[web]\nh2\nh1\n[dc1]\nh1\n[dc2]\nh2\nh3\n";
    let place = Place::with(&[("hosts", ini)]);
    let (told, text, config) = place.import("ansible", "hosts");
    let wanted = ["web/h2 h2 -@:- -", "web/h1 h1 -@:- -", "dc2/h3 h3 -@:- -"];
    let mut seen = nodes(&config);
    seen.sort();
    let mut wanted = wanted.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(seen, wanted, "{text}");
    assert!(text.contains("# Also in dc1 of the inventory."), "{text}");
    let told = told.says("the first was taken: h1 (web, dc1), h2 (web, dc2)");
    let _told = told.says("decide: which groups this upgrade is about");
}

#[test]
fn variables_of_a_group_may_stand_before_its_hosts() {
    let place = Place::with(&[("hosts", "[web:vars]\nansible_user=x\n[web]\nh1\n")]);
    let (_, _, config) = place.import("ansible", "hosts");
    assert_eq!(nodes(&config), ["web/h1 h1 x@:- -"]);
}

#[test]
fn what_cannot_be_evaluated_or_reached_is_marked_in_the_file_and_told() {
    let yaml = "\
web:
  hosts:
    h1: { ansible_host: '{{ prefix }}.hunter2-planted' }
    h2:
      ansible_user: !vault |
        $ANSIBLE_VAULT;1.1;AES256
        hunter2-planted
    h3: { ansible_connection: community.docker.docker, ansible_user: x }
    h4: { ansible_port: 'hunter2-planted', ansible_host: [hunter2-planted] }
    h5:
      ansible_ssh_private_key_file: |
        -----BEGIN OPENSSH PRIVATE KEY-----
        hunter2-planted
";
    let place = Place::with(&[("h.yml", yaml)]);
    let (told, text, config) = place.import("ansible", "h.yml");
    assert_eq!(nodes(&config)[2], "web/h3 h3 x@:- -");
    for (node, why) in [
        ("h1", "ansible_host is a template, which zdu does not evaluate"),
        ("h2", "ansible_user is encrypted by ansible-vault"),
        ("h3", "ansible_connection is not one by ssh, and zdu reaches nodes by nothing else"),
        ("h4", "ansible_port is nothing that zdu could use"),
        ("h4", "ansible_host is nothing that zdu could use"),
        ("h5", "ansible_ssh_private_key_file is nothing that zdu could use"),
    ] {
        assert!(told.err.contains(&format!("decide: {node}: {why}")), "{}", told.err);
        assert!(text.contains(&format!("# change: {why}.")), "{text}");
    }
    let _told = told.says("not read: ansible_user (host h2): encrypted by ansible-vault");
}

#[test]
fn secrets_are_told_by_name_and_their_values_by_nobody() {
    let vault = format!("$ANSIBLE_VAULT;1.1;AES256\n{SECRET}\n");
    let place = Place::with(&[
        ("hosts", "[web]\nh1 ansible_password=hunter2-planted ansible_ssh_pass='hunter2 x'\n"),
        ("group_vars/web.yml", "db_password: !vault |\n  $ANSIBLE_VAULT;1.2;AES256;x\n  hunter2\n"),
        ("group_vars/all/vault.yml", &vault),
        ("group_vars/all/plain.yml", "api_token: hunter2-planted\nansible_become: true\nn: 1\n"),
        ("host_vars/h1", "ansible_ssh_common_args: -o ProxyCommand='sshpass -p hunter2'\n"),
    ]);
    let (told, text, _) = place.import("ansible", "hosts");
    for told_by_name in [
        "ansible_password (host h1), ansible_ssh_pass (host h1), api_token (group all): zdu never",
        "db_password (group web): encrypted by ansible-vault",
        "group_vars/all/vault.yml: encrypted by ansible-vault",
        "ansible_ssh_common_args (host h1): what they say to ssh belongs into ~/.ssh/config",
        "ansible_become (group all): a step of a procedure says by `run.user`",
        "variables of playbooks: n",
    ] {
        assert!(told.err.contains(told_by_name), "{told_by_name}\n{}", told.err);
    }
    assert!(text.contains("# Not read: db_password (group web): encrypted"), "{text}");
    let json = place.zdu(&["init", "--force", "--json", "--from", "ansible", "hosts"]).ends(0);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["written"], "zdu.yaml");
    assert!(json["not_read"].as_array().is_some_and(|told| told.len() >= 6), "{json}");
    assert!(json["decide"].as_array().is_some_and(|told| !told.is_empty()), "{json}");
}

#[test]
fn a_file_that_is_there_is_replaced_only_where_somebody_says_so() {
    let place = Place::with(&[("hosts", "h1\n"), ("zdu.yaml", "mine: 1\n")]);
    let _refused = place.zdu(&["init", "--from", "ansible", "hosts"]).ends(64).says("--force");
    assert_eq!(place.read("zdu.yaml"), "mine: 1\n");
    // Nothing is read before: the inventory is not looked at.
    let _refused = place.zdu(&["init", "--from", "ansible", "none"]).ends(64).says("--force");
    let other = ["init", "--from", "ansible", "hosts", "--output", "other.yaml"];
    let _written = place.zdu(&other).ends(0).says("zdu check --config other.yaml");
    let _usable = place.zdu(&["check", "--config", "other.yaml"]).ends(0);
    let printed = place.zdu(&["init", "--from", "ansible", "hosts", "-o", "-"]).ends(0);
    assert_eq!(printed.out, place.read("other.yaml"));
    let _forced = place.import("ansible", "hosts");
}

#[test]
fn options_that_are_not_for_a_source_are_refused() {
    let place = Place::with(&[("hosts", "h1\n")]);
    for words in [
        &["init", "--from", "ansible"][..],
        &["init", "hosts"],
        &["init", "--from", "axway", "hosts"],
        &["init", "--from", "ansible", "hosts", "--anm", "x"],
        &["init", "--from", "ansible", "hosts", "--user", "x", "--password-source", "env:X"],
        &["init", "--from", "ansible", "hosts", "--ca-file", "x"],
        &["init", "--from", "ansible", "hosts", "--scheme", "http"],
    ] {
        let _refused = answer(&mut place.command(words)).ends(64).gives_nothing();
    }
    assert!(!place.path("zdu.yaml").exists());
}
