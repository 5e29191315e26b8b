//! Whatever the bytes are, loading ends with a configuration or a list of findings with places.

use proptest::prelude::*;
use std::collections::BTreeMap;
use zdu_config::import::{ansible, axway};
use zdu_config::{load, parse_procedure, reference_config};

fn check(bytes: &[u8]) {
    let mut files = BTreeMap::from([("z.yaml".to_owned(), bytes.to_vec())]);
    files.insert("p.yaml".to_owned(), bytes.to_vec());
    if let Err(found) = load("z.yaml", &files) {
        assert!(!found.is_empty());
        for finding in found {
            assert!(finding.line >= 1 && finding.column >= 1, "{finding}");
            assert!(finding.span.end <= bytes.len() || finding.file != "z.yaml", "{finding}");
        }
    }
    // Only that they end matters; what they say has tests of its own.
    let text = String::from_utf8_lossy(bytes);
    drop(parse_procedure(&text, "p.yaml"));
    drop(axway::from_topology(&text));
    for name in ["z.yaml", "z.ini"] {
        let files = BTreeMap::from([(name.to_owned(), bytes.to_vec())]);
        drop(ansible::from_inventory(name, &files));
    }
}

/// Words and signs of the formats in any order.
fn yamlish() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "fleet",
        "groups",
        "nodes",
        "policy",
        "include",
        "[z.yaml]",
        "secrets",
        "vars",
        "wave",
        ": ",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "\"",
        "'",
        "&a ",
        "*a",
        "|",
        ">",
        "#",
        "\t",
        "1",
        "25%",
        "env:X",
        "~",
        "null",
        "{{ vars.x }}",
        "---\n",
        "\u{E000}",
        "ä",
        "\r\n",
        "? ",
        "!t ",
        "<<: *a",
        "procedure: p.yaml",
        "\\",
        "%",
        "\u{FEFF}",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

/// So many cases, and no file of failures beside the sources.
fn rounds(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(rounds(300))]

    #[test]
    fn loading_any_bytes_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn loading_anything_like_yaml_ends(text in yamlish()) {
        check(text.as_bytes());
    }
}

proptest! {
    // Fewer: each case reads the whole reference procedure.
    #![proptest_config(rounds(60))]

    #[test]
    fn loading_the_reference_with_a_part_replaced_ends(
        at in 0usize..2000,
        len in 0usize..40,
        text in yamlish(),
    ) {
        let mut bytes = reference_config().as_bytes().to_vec();
        let at = at.min(bytes.len());
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, text.bytes());
        check(&bytes);
    }
}

#[test]
fn aliases_that_multiply_end_with_an_error() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let last = n - 1;
        let aliases = vec![format!("*a{last}"); 8].join(", ");
        text.extend([format!("a{n}: &a{n} [{aliases}]\n")]);
    }
    let files = BTreeMap::from([("z.yaml".to_owned(), text.into_bytes())]);
    let found = load("z.yaml", &files).expect_err("too large");
    assert!(found[0].message.contains("too large"), "{}", found[0]);
}

#[test]
fn includes_that_multiply_end_with_an_error() {
    let file = |n: usize| {
        let next = format!("f{}.yaml", n + 1);
        (format!("f{n}.yaml"), format!("include: [{next}, {next}]\n").into_bytes())
    };
    let mut files: BTreeMap<_, _> = (0..40).map(file).collect();
    files.insert("f40.yaml".to_owned(), b"vars: {}\n".to_vec());
    let found = load("f0.yaml", &files).expect_err("too many");
    assert!(found.iter().any(|f| f.message.contains("more than 256")), "{}", found[0]);
    assert!(found.len() < 10, "one sentence says it: {}", found.len());
}

#[test]
fn deep_nesting_ends_with_an_error() {
    for open in ["[", "{a: ", "- "] {
        let files = BTreeMap::from([("z.yaml".to_owned(), open.repeat(100_000).into_bytes())]);
        assert!(load("z.yaml", &files).is_err());
    }
}
