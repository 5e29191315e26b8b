//! What an import found out of a fleet, and the one writer that makes a `zdu.yaml` of it.

use super::{Imported, name_from, scalar};
use crate::tree::shown;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The widest line of a comment.
const WIDTH: usize = 100;

/// So many members or names are told; the others are counted.
pub(super) const TOLD_MAX: usize = 8;

/// The balancer of a fleet of whose balancers nothing is known.
const PLACEHOLDER: &str = "edge";

/// What is known of a fleet. What is absent is marked for a person to say.
#[derive(Default)]
pub(super) struct Draft {
    /// Where it comes from: "the topology of an Axway domain".
    pub(super) origin: String,
    /// How all nodes are reached.
    pub(super) ssh: Ssh,
    /// The one balancer that was asked.
    pub(super) balancer: Option<Asked>,
    pub(super) groups: Vec<Group>,
    /// The release the nodes run now.
    pub(super) from: Option<String>,
    pub(super) found: Vec<String>,
    pub(super) not_read: Vec<String>,
    /// Beside what the writer itself has to ask.
    pub(super) decide: Vec<String>,
}

/// A balancer by the one instance of it that answered.
pub(super) struct Asked {
    pub(super) name: String,
    /// As `zdu.yaml` has it.
    pub(super) socket: String,
    /// A comment that begins with `change`.
    pub(super) decide: Option<String>,
}

#[derive(Default, Clone, PartialEq, Eq)]
pub(super) struct Ssh {
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) identity: Option<String>,
}

#[derive(Default)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) nodes: Vec<Node>,
    /// Comments that begin with `change`.
    pub(super) decide: Vec<String>,
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) local: bool,
    /// Over that of all nodes.
    pub(super) ssh: Ssh,
    pub(super) roles: Vec<&'static str>,
    pub(super) members: Vec<String>,
    pub(super) service_ports: Vec<u16>,
    pub(super) vars: Vec<(&'static str, String)>,
    /// Comments for whoever reads the file.
    pub(super) remarks: Vec<String>,
    /// Comments that begin with `change`.
    pub(super) decide: Vec<String>,
}

/// Names already used: names must be unique, and a source has other ones.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name of its own, made from the text.
    pub(super) fn fresh(&mut self, text: &str) -> String {
        let base = name_from(text);
        let mut name = base.clone();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            let short: String = base.chars().take(56).collect();
            name = format!("{short}-{number}");
            number += 1;
        }
        name
    }

    /// Whether [`Self::fresh`] would give the text as it is.
    pub(super) fn is_free(&self, text: &str) -> bool {
        name_from(text) == text && !self.0.contains(text)
    }
}

/// Names for a sentence: the first ones, and how many more there are.
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(|name| shown(name.as_ref())).collect();
    beginning(&names, TOLD_MAX)
}

/// As [`listed`], of texts that are short and clean.
pub(super) fn beginning(texts: &[String], max: usize) -> String {
    let told = texts.get(..max).unwrap_or(texts).join(", ");
    match texts.len().saturating_sub(max) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// Lines of the result. Writing to a `String` cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        writeln!($out, $($text)*).expect("a String takes every text")
    };
}

impl Draft {
    /// The text, and what there is to say about it.
    pub(super) fn write(mut self) -> Imported {
        let mut out = String::new();
        let asked = self.questions();
        self.head(&mut out);
        line!(out, "fleet:");
        self.ways(&mut out);
        line!(out, "  groups:");
        for group in &self.groups {
            write_group(group, &mut out);
        }
        self.tail(&mut out);
        // Sentences hold words of a foreign tool, and go to a terminal.
        let clean = |texts: Vec<String>| texts.iter().map(|text| visible(text)).collect::<Vec<_>>();
        let decide = [self.decide, asked].concat();
        Imported {
            text: out,
            found: clean(self.found),
            not_read: clean(self.not_read),
            decide: clean(decide),
        }
    }

    fn head(&self, out: &mut String) {
        comment(out, 0, &format!("Made from {}.", self.origin));
        let marks = "Lines marked `change` hold what it does not tell; `zdu check` reads the \
                     file and names what is wrong.";
        comment(out, 0, marks);
        for text in &self.not_read {
            comment(out, 0, &format!("Not read: {text}."));
        }
    }

    /// How nodes and balancers are reached.
    fn ways(&self, out: &mut String) {
        let mark = match self.ssh.user {
            Some(_) => "",
            None => "  # change: `user: NAME`, where ~/.ssh/config has none",
        };
        line!(out, "  ssh: {}{mark}", flow(&self.ssh));
        line!(out, "  balancers:");
        match &self.balancer {
            Some(Asked { name, socket, decide }) => {
                line!(out, "    {}:", word(name));
                if let Some(text) = decide {
                    comment(out, 6, &format!("change: {text}."));
                }
                line!(out, "      driver: haproxy");
                line!(out, "      instances:  # change: this one was asked; give all of them");
                line!(out, "        - {{ socket: {} }}", scalar(socket));
            }
            None => {
                line!(
                    out,
                    "    {PLACEHOLDER}:  # change: the balancer before the nodes, every instance"
                );
                line!(out, "      driver: haproxy");
                let socket = scalar("unix:/run/haproxy/admin.sock");
                line!(out, "      instances: [{{ socket: {socket}, via: lb-a }}]");
            }
        }
    }

    fn tail(&self, out: &mut String) {
        let names_instances = self.nodes().any(|node| !node.vars.is_empty());
        line!(out, "");
        if names_instances {
            comment(
                out,
                0,
                "The first Admin Node Manager (the one with the key of the domain) is looked up.",
            );
            line!(out, "procedure: axway-apigateway");
        } else {
            line!(out, "procedure: axway-apigateway  # change: a built-in one, or a path");
        }
        let from = self.from.as_deref().unwrap_or("7.5.3");
        let mark = if self.from.is_some() { "`to`" } else { "both" };
        line!(out, "release: {{ from: {}, to: \"7.7\" }}  # change: {mark}", scalar(from));
        line!(out, "vars:{}", if names_instances { "" } else { "  # change: the procedure's" });
        line!(out, "  old_install_dir: /opt/Axway-old  # change");
        line!(out, "  new_install_dir: /opt/Axway-7.7  # change");
        line!(out, "  no_cassandra: \"true\"  # change: or `cass_host: HOST`, not localhost");
        if !names_instances {
            line!(out, "  instance: Instance  # change: `vars` of each node has its own");
            line!(out, "  group: Group  # change: as `instance`");
        }
        let mark = if names_instances { "" } else { "  # change: the procedure's; never a value" };
        line!(out, "secrets:{mark}");
        line!(out, "  anm_password: \"env:ANM_PASSWORD\"");
        line!(out, "  domain_passphrase: \"env:DOMAIN_PASSPHRASE\"");
        line!(out, "front: []  # change: [{{ http: \"https://api.example.com/healthcheck\" }}]");
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.groups.iter().flat_map(|group| &group.nodes)
    }

    /// What nobody told, in the order of the file. Also makes up what the procedure must have.
    fn questions(&mut self) -> Vec<String> {
        let names_instances = self.nodes().any(|node| !node.vars.is_empty());
        let mut all = Vec::new();
        if self.ssh.user.is_none() && self.nodes().any(|n| !n.local && n.ssh.user.is_none()) {
            all.push("the login user, where ~/.ssh/config has none (`fleet.ssh.user`)".to_owned());
        }
        all.push(match &self.balancer {
            Some(asked) => format!(
                "the other instances of balancer `{}`: a drain holds only when every one agrees",
                asked.name
            ),
            None => "the balancers, every instance of each".to_owned(),
        });
        let without = |has: fn(&Node) -> bool| {
            let names = self.nodes().filter(|node| !has(node)).map(|node| node.name.clone());
            names.collect::<Vec<_>>()
        };
        let members = without(|node| !node.members.is_empty());
        if !members.is_empty() {
            let guessed = "a guess of group and name stands there";
            all.push(format!("the members of {}: {guessed}", listed(&members)));
        }
        let ports = without(|node| !node.service_ports.is_empty());
        if !ports.is_empty() {
            all.push(format!("the traffic ports of {} (`service_ports`)", listed(&ports)));
        }
        let filled = self.groups.iter().filter(|group| !group.nodes.is_empty());
        let groups: Vec<&str> = filled.map(|group| group.name.as_str()).collect();
        all.push(format!(
            "how many must serve at every moment (`min_available`): {}",
            listed(&groups)
        ));
        if names_instances {
            all.push("the release to go to, the directories and the secrets".to_owned());
        } else {
            all.push("the procedure, its vars, roles and secrets, and the two releases".to_owned());
            // The procedure that stands in has a role that somebody must have.
            let first = self.groups.iter_mut().flat_map(|group| &mut group.nodes).next();
            if let Some(node) = first {
                node.roles.push("anm");
                node.decide.push("the roles of the procedure".to_owned());
            }
        }
        all.push("where users come in (`front`)".to_owned());
        all
    }
}

fn write_group(group: &Group, out: &mut String) {
    let Group { name, nodes, decide } = group;
    for text in decide {
        comment(out, 4, &format!("change: {text}."));
    }
    if nodes.is_empty() {
        return;
    }
    line!(out, "    {}:", word(name));
    // A single node cannot be replaced while it must serve.
    line!(out, "      min_available: {}  # change: so many serve at every moment", nodes.len() - 1);
    line!(out, "      nodes:");
    for node in nodes {
        write_node(name, node, out);
    }
}

fn write_node(group: &str, node: &Node, out: &mut String) {
    let Node { name, address, local, ssh, roles, members, service_ports, vars, remarks, decide } =
        node;
    line!(out, "        {}:", word(name));
    for text in remarks {
        comment(out, 10, text);
    }
    for text in decide {
        comment(out, 10, &format!("change: {text}."));
    }
    line!(out, "          address: {}", word(address));
    if *local {
        line!(out, "          local: true");
    }
    if *ssh != Ssh::default() {
        line!(out, "          ssh: {}", flow(ssh));
    }
    if !roles.is_empty() {
        line!(out, "          roles: [{}]", roles.join(", "));
    }
    let words: Vec<String> = members.iter().map(|member| word(member)).collect();
    if words.is_empty() {
        // Names are often the same here and there, and a wrong one is found by the preflight.
        let guess = word(&format!("{PLACEHOLDER}/{group}/{name}"));
        line!(out, "          members: [{guess}]  # change: BALANCER/BACKEND/SERVER");
    } else {
        line!(out, "          members: [{}]", words.join(", "));
    }
    let words: Vec<String> = service_ports.iter().map(u16::to_string).collect();
    let mark = if service_ports.is_empty() { "  # change: the traffic ports" } else { "" };
    line!(out, "          service_ports: [{}]{mark}", words.join(", "));
    if !vars.is_empty() {
        let words: Vec<String> =
            vars.iter().map(|(key, value)| format!("{key}: {}", scalar(value))).collect();
        line!(out, "          vars: {{ {} }}", words.join(", "));
    }
}

fn flow(ssh: &Ssh) -> String {
    let Ssh { user, port, identity } = ssh;
    let mut words = Vec::new();
    words.extend(user.as_ref().map(|user| format!("user: {}", word(user))));
    words.extend(port.map(|port| format!("port: {port}")));
    words.extend(identity.as_ref().map(|path| format!("identity: {}", scalar(path))));
    if words.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", words.join(", ")) }
}

/// A text as a YAML scalar: plain where every reader of YAML takes it for text.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let begins_plain = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let special = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let address = text.parse::<std::net::Ipv4Addr>().is_ok();
    let is_text = begins_plain && !special.contains(&text.to_ascii_lowercase().as_str());
    if text.chars().all(plain) && (is_text || address) { text.to_owned() } else { scalar(text) }
}

/// A comment, in lines of at most [`WIDTH`] columns. A text of a foreign tool stays in it: what
/// could end a line is written as an escape.
fn comment(out: &mut String, indent: usize, text: &str) {
    let text = visible(text);
    let mut open = String::new();
    for word in text.split(' ') {
        if !open.is_empty() && indent + 3 + open.chars().count() + word.chars().count() > WIDTH {
            line!(out, "{:indent$}# {open}", "");
            open.clear();
        }
        if !open.is_empty() {
            open.push(' ');
        }
        open.push_str(word);
    }
    line!(out, "{:indent$}# {open}", "");
}

/// A text in which every character is one that a line can hold.
fn visible(text: &str) -> String {
    let mut all = String::new();
    for c in text.chars() {
        // U+2028 and U+2029 end lines for some readers.
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}') {
            all.extend(c.escape_default());
        } else {
            all.push(c);
        }
    }
    all
}
