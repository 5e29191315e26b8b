//! The `zdu.yaml` of a case, as an operator would write it.

use std::path::Path;

use super::gateways::{GROUP, INSTANCE, NODES, TRAFFIC};
use super::tls::OLD_AUTHORITY;
use super::{BALANCERS, Rig};

/// Deadlines that fit a lab: long enough for two busy processors, short enough for a test.
const POLICY: &str = "  wave: [1]
  soak: 200ms
  drain_deadline: 30s
  ready_deadline: 12s
  serving_deadline: 20s
  capacity_deadline: 60s
  reconnect_deadline: 40s
  hold_deadline: 2s
";

/// A value as YAML reads it unchanged: JSON's strings are double-quoted scalars of YAML.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A file for the built-in procedure. `secrets` is the directory the secrets' files lie in.
pub(super) fn axway(rig: &Rig, name: &str, secrets: &Path) -> String {
    let authority = rig.lab().directory().join(OLD_AUTHORITY);
    let authority = authority.to_string_lossy();
    let mut vars = vec![
        ("old_install_dir", rig.spec().old_dir.as_str()),
        ("new_install_dir", rig.spec().new_dir.as_str()),
        ("no_cassandra", "true"),
        ("management_scheme", if rig.spec().https { "https" } else { "http" }),
    ];
    if rig.spec().https {
        vars.push(("management_ca_file", &authority));
    }
    let wanted = ["anm_password", "domain_passphrase"];
    whole(rig, name, secrets, "axway-apigateway", &vars, &wanted)
}

/// The whole file.
pub(super) fn whole(
    rig: &Rig,
    name: &str,
    secrets: &Path,
    procedure: &str,
    vars: &[(&str, &str)],
    wanted: &[&str],
) -> String {
    let address = |host: &str| rig.lab().host(host).address();
    let ssh_config = quoted(&rig.lab().ssh_config().to_string_lossy());
    let [first, second] = BALANCERS;
    let mut text = format!(
        "fleet:
  name: {name}
  ssh: {{ config: {ssh_config} }}
  hosts:
    {first}: {{ address: {} }}
  balancers:
    edge:
      driver: haproxy
      instances:
        - {{ name: first, socket: \"unix:/run/haproxy/admin.sock\", via: {first} }}
        - {{ name: second, socket: \"tcp:{}:9999\" }}
  groups:
    gateway:
      min_available: 2
      nodes:
",
        address(first),
        address(second)
    );
    for node in NODES {
        let roles = if node == "node-b" { "" } else { "          roles: [anm]\n" };
        text.push_str(&format!(
            "        {node}:
          address: {}
{roles}          members: [edge/gateway/{node}]
          service_ports: [{TRAFFIC}]
          vars: {{ instance: {}, group: {} }}
",
            address(node),
            quoted(INSTANCE),
            quoted(GROUP)
        ));
    }
    let secret = |name: &&str| {
        let source = quoted(&format!("file:{}", secrets.join(name).display()));
        format!("  {name}: {source}\n")
    };
    let var = |(name, value): &(&str, &str)| format!("  {name}: {}\n", quoted(value));
    let section = |title: &str, lines: String| {
        if lines.is_empty() { lines } else { format!("{title}:\n{lines}") }
    };
    text.push_str(&format!(
        "procedure: {procedure}
release: {{ from: \"7.5.3\", to: \"7.7\" }}
{}{}front: [{{ http: \"http://{}/healthcheck\", rate: 5 }}]
policy:
{POLICY}",
        section("vars", vars.iter().map(var).collect()),
        section("secrets", wanted.iter().map(secret).collect()),
        address(first),
    ));
    text
}
