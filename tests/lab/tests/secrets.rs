//! No planted secret shows anywhere: not in plain, not encoded, not in a process list.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zdu_doubles::axway::Phase;
use zdu_lab::need_lab;
use zdu_lab::rig::checks::{self, Expected};
use zdu_lab::rig::{Case, NODES, Rig, RigSpec, Side, tell};
use zdu_lab::watch::command_lines_during;

/// What a step prints that leaks its secret in every form it knows, and then fails.
const LEAK: &str = r#"
name: leak
summary: prints its secrets in several forms, fails with them in the error
phases: [{ name: WORK, exit: 71 }, { name: UNDO, exit: 75 }]
rollback_phase: UNDO
roles: { anm: { help: has the Admin Node Manager } }
secrets:
  anm_password: the first
  domain_passphrase: the second
stages:
  - name: work
    over: nodes
    only: [anm]
    steps:
      - id: leak
        phase: WORK
        rollback: none
        unknown: hold
        run:
          shell: |
            IFS= read -r one; IFS= read -r two
            for value in "$one" "$two"; do
              printf 'plain %s\n' "$value"
              printf '%s' "$value" | base64 -w0; echo
              printf 'admin:%s' "$value" | base64 -w0; echo
              printf 'again %s' "$value" >&2
            done
            cat /root/in-urls
            # Programs that end at once, to be seen among the command lines of the machine.
            for n in 0 1 2 3 4 5 6 7 8 9; do
              for m in 0 1 2 3; do /bin/true "canary-$n$m-ends"; done
            done
            exit 3
          stdin: "{{ secret('anm_password') }}\n{{ secret('domain_passphrase') }}\n"
        deadline: 1m
on_failure:
  - { phase: WORK, do: stop }
"#;

#[test]
fn planted_secrets_are_in_no_journal_log_report_output_error_or_process_list() {
    need_lab!();
    let rig = Rig::up("secrets", RigSpec::default()).expect("the rig comes up");
    let found = rig.servers_state().expect("both balancers answer");
    let needles = forms(&[&rig.spec().password, &rig.spec().passphrase]);

    // A shell does not encode for URLs by itself: the node has the encoded forms.
    let in_urls: String = [&rig.spec().password, &rig.spec().passphrase]
        .into_iter()
        .flat_map(|value| [url(value, true), url(value, false)])
        .map(|form| format!("url {form}\n"))
        .collect();
    for node in NODES {
        rig.lab().host(node).write("/root/in-urls", &in_urls).expect("it can be written");
    }

    let (seen, ()) = command_lines_during(|| {
        let case = rig.case("leak").expect("files can be written");
        case.use_procedure(LEAK, &[], &["anm_password", "domain_passphrase"]).expect("written");
        case.reconfigure("  soak: 200ms\n", "  soak: 200ms\n  accept_no_undo: [leak]\n")
            .expect("the policy is there");
        case.run().expect("zdu ends").ended(71);
        let log = case.zdu(&["log", "--node", "node-a"]).expect("zdu ends");
        for word in ["plain ", "url "] {
            assert!(log.stdout.contains(word), "the step did not print: {}", log.stdout);
        }
        nowhere(&case, &needles);

        // The built-in procedure, with a failure that ends in a rollback.
        rig.plant("node-b", Side::New, Phase::Apply).expect("it is planted");
        let case = rig.case("upgrade").expect("files can be written");
        let ran = case.run().expect("zdu ends").ended(73);
        checks::after(&case, Expected { exit: 73, found: &found, left_out: &[] });
        assert!(!ran.stdout.is_empty());
        nowhere(&case, &needles);

        // A wrong secret: the error of the tool and the preflight's request carry it.
        rig.relay().expect("the fleet is laid out anew");
        let case = rig.case("wrong").expect("files can be written");
        let wrong = "wr0ng ü&='\"pass";
        fs::write(case.directory().join("domain_passphrase"), wrong).expect("written");
        case.run().expect("zdu ends").ended(73);
        nowhere(&case, &forms(&[wrong, &rig.spec().password]));
    });
    assert!(seen.len() > 50, "only {} command lines were seen", seen.len());
    let canaries = seen.iter().filter(|line| line.contains("/bin/true canary-")).count();
    assert!(canaries > 20, "{canaries} of 40 programs that ended at once on a node were seen");
    assert_eq!(leak(&seen, &needles), None, "in a command line");

    // The same eyes on a leak: programs that have a secret as a word, for as long as they take.
    let spec = rig.spec();
    for word in [spec.password.clone(), STANDARD.encode(format!("user:{}", spec.passphrase))] {
        let (seen, ()) = command_lines_during(|| {
            for _ in 0..20 {
                let ended = std::process::Command::new("true").arg(&word).status();
                assert!(ended.expect("it starts").success());
            }
        });
        assert!(leak(&seen, &needles).is_some(), "a planted leak was not found");
    }
    tell(format_args!(
        "{} command lines ({canaries} of 40 canaries) and all files without {} forms",
        seen.len(),
        needles.len()
    ));
}

/// The first command line that holds a secret.
fn leak<'a>(seen: &'a BTreeSet<String>, needles: &BTreeSet<String>) -> Option<&'a str> {
    let found = seen.iter().find(|line| needles.iter().any(|needle| line.contains(needle)));
    found.map(String::as_str)
}

/// A secret as it may show: plain, in a JSON or YAML string, in base64 of itself, of a basic
/// authentication and inside of any longer text, in URLs.
fn forms(values: &[&str]) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    for value in values {
        let json = serde_json::Value::from(*value).to_string();
        forms.insert((*value).to_owned());
        forms.insert(json.trim_matches('"').to_owned());
        for text in [(*value).to_owned(), format!("admin:{value}"), format!("{value}\n")] {
            forms.insert(STANDARD.encode(&text));
            forms.insert(STANDARD.encode(&text).trim_end_matches('=').to_owned());
            forms.insert(URL_SAFE_NO_PAD.encode(&text));
        }
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            for (lead, begin) in [(0, 0), (1, 2), (2, 3)] {
                let text = [&"x".repeat(lead), *value].concat();
                let inside = engine.encode(&text)[begin..text.len() * 8 / 6].to_owned();
                forms.insert(inside);
            }
        }
        forms.insert(url(value, true));
        forms.insert(url(value, false));
    }
    forms
}

fn hex(byte: u8, upper: bool) -> String {
    if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") }
}

fn url(text: &str, upper: bool) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let letter = |byte: u8| {
        if safe(byte) { char::from(byte).to_string() } else { hex(byte, upper) }
    };
    text.bytes().map(letter).collect()
}

/// Looks through everything a case left: its files, what every command says, records on nodes.
fn nowhere(case: &Case<'_>, needles: &BTreeSet<String>) {
    let id = case.rollout().expect("it ran");
    let mut texts = Vec::new();
    for words in [
        vec!["status", &id],
        vec!["status", "--json", &id],
        vec!["log", &id],
        vec!["log", "--json", &id],
        vec!["log", "--node", "node-a", &id],
        vec!["report", &id, "--format", "json"],
        vec!["report", &id, "--format", "md"],
        vec!["verify", &id],
    ] {
        let ran = case.zdu(&words).expect("zdu ends");
        texts.push((format!("zdu {}", words.join(" ")), ran.said().into_bytes()));
    }
    let plan = case.zdu_on_config(&["plan", "--offline"]).expect("zdu ends");
    texts.push(("zdu plan".to_owned(), plan.said().into_bytes()));
    files(case.directory(), &mut texts);
    for node in NODES {
        let base = case.rig().lab().host(node).path("/root/.zdu").expect("the host is on");
        if base.exists() {
            files(&base, &mut texts);
        }
    }
    for (place, text) in texts {
        let text = String::from_utf8_lossy(&text);
        let found = needles.iter().find(|needle| text.contains(needle.as_str()));
        assert_eq!(found, None, "in {place}: {text}");
    }
}

fn files(directory: &Path, texts: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).expect("it can be listed").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        // The two files the secrets come from.
        if name == "anm_password" || name == "domain_passphrase" {
            continue;
        }
        if path.is_dir() {
            files(&path, texts);
        } else if path.is_file() {
            texts.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
}
