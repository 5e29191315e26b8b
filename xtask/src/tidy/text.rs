//! Rules about any text: width, notes to oneself, and what belongs to one machine only.

use std::collections::BTreeSet;

use super::Finding;
use super::blank::{blank, lines_in_strings};
use super::manifest;
use super::tree::TextFile;

const WIDTH_MAX: usize = 100;

/// Written in halves, so that this file does not find itself.
const NOTES_TO_ONESELF: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Directories that exist on somebody's machine.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Beginnings of the parts of a host name by which package registries are known.
const REGISTRY_WORDS: [&str; 6] = ["registry", "artifactory", "nexus", "crates", "pypi", "npmjs"];
/// Last parts by which a dotted word is told to be a host name and no path of an expression.
const HOST_ENDINGS: [&str; 8] = ["io", "com", "org", "net", "dev", "local", "internal", "corp"];

/// The rules about one file.
pub(crate) fn check(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_code = file.has_extension("rs") || file.has_extension("sh") || file.path == ".ci/run";
    // The lock file is written by cargo; `manifest::sources` looks at it.
    let is_lock = manifest::is_lock(file);
    let rows = golden_rows(file);
    for (number, line) in file.lines() {
        let mut found = |text: String| findings.push(Finding::new(&file.path, number, text));
        let width = line.chars().count();
        if is_code && width > WIDTH_MAX && !rows.contains(&number) {
            found(format!("{width} columns, at most {WIDTH_MAX}: break the line"));
        }
        for note in NOTES_TO_ONESELF {
            if has_word(line, note) {
                found(format!("`{note}`: do it now, or write down as a fact what is missing"));
            }
        }
        if let Some(path) = machine_path(line).filter(|path| !own_in_lab(&file.path, path)) {
            found(format!("`{path}` is a path of one machine: use a relative or temporary one"));
        }
        if let Some(host) = registry_host(line).filter(|_| !is_lock) {
            found(format!(
                "`{host}` names a registry's host: leave registries to cargo's own set-up"
            ));
        }
    }
    findings
}

/// Lines of tests that are wholly a row or a rule of a table in a string literal. A table that a
/// test expects is checked by looking at its columns, which a broken line would hide.
fn golden_rows(file: &TextFile) -> BTreeSet<usize> {
    if !file.has_extension("rs") || !file.lines().any(|(_, line)| is_wide_row(line)) {
        return BTreeSet::new();
    }
    let (in_tests, in_strings) = (test_lines(file), lines_in_strings(&file.text));
    file.lines()
        .filter(|(number, line)| {
            is_wide_row(line) && in_tests.contains(number) && in_strings.contains(number)
        })
        .map(|(number, _)| number)
        .collect()
}

/// `| a | b |` or `+---+---+`, too wide for a line of code.
fn is_wide_row(line: &str) -> bool {
    let row = line.trim();
    let ends_with = |c: char| row.starts_with(c) && row.ends_with(c);
    let is_rule = ends_with('+') && row.chars().all(|c| matches!(c, '+' | '-'));
    line.chars().count() > WIDTH_MAX && (ends_with('|') || is_rule)
}

/// All lines of a file of tests; of another file those of its test module, which rustfmt closes
/// with a brace at the beginning of a line.
fn test_lines(file: &TextFile) -> BTreeSet<usize> {
    let code = blank(&file.text);
    if file.path.split('/').any(|part| matches!(part, "tests" | "tests.rs")) {
        return (1..=code.lines().count()).collect();
    }
    let (mut inside, mut marked) = (false, false);
    let mut lines = BTreeSet::new();
    for (index, line) in code.lines().enumerate() {
        inside |= marked && line.contains("mod ") && line.trim_end().ends_with('{');
        marked = line.trim_end() == "#[cfg(test)]";
        if inside {
            lines.insert(index + 1);
        }
        inside &= !line.starts_with('}');
    }
    lines
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// A machine's path at its beginning: `a/work/` and `{pid}/root/` are parts of other paths.
fn machine_path(line: &str) -> Option<&'static str> {
    MACHINE_PATHS.into_iter().find(|path| {
        line.match_indices(path).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| is_word(c) || matches!(c, '.' | '-' | '}' | '~' | '*'))
        })
    })
}

/// Each host of the lab has a private home of root, which its tests may name.
fn own_in_lab(file: &str, path: &str) -> bool {
    file.starts_with("tests/lab/") && path == MACHINE_PATHS[1]
}

fn registry_host(line: &str) -> Option<&str> {
    let in_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    line.split(|c| !in_host(c)).map(|word| word.trim_matches('.')).find(|word| {
        let parts: Vec<&str> = word.split('.').collect();
        let (Some(ending), true) = (parts.last(), parts.len() > 1) else { return false };
        HOST_ENDINGS.contains(ending)
            && parts.iter().any(|part| REGISTRY_WORDS.iter().any(|word| part.starts_with(word)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::file;
    use super::*;

    fn texts(path: &str, text: &str) -> Vec<String> {
        check(&file(path, text)).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_line_of_101_columns_of_code_is_too_wide() {
        assert_eq!(texts("a.rs", &"ä".repeat(100)), Vec::<String>::new());
        let found = texts("a.rs", &format!("\n{}", "ä".repeat(101)));
        assert_eq!(found, ["a.rs:2: 101 columns, at most 100: break the line"]);
        assert_eq!(texts("a.md", &"a".repeat(200)), Vec::<String>::new(), "tables are wide");
    }

    #[test]
    fn a_row_of_a_table_that_a_test_expects_may_be_wide() {
        let (row, rule) = (format!("| {} |", "a".repeat(100)), format!("+{}+", "-".repeat(100)));
        let literal = format!("const T: &str = \"\\\n    {rule}\n    {row}\n    {rule}\n\";\n");
        let in_module = format!("#[cfg(test)]\nmod tests {{\n{literal}}}\n");
        let found = |path: &str, text: &str| texts(path, text).len();
        assert_eq!(found("tests/a.rs", &literal), 0);
        assert_eq!(found("crates/a/src/a/tests.rs", &literal), 0);
        assert_eq!(found("crates/a/src/a.rs", &in_module), 0);
        assert_eq!(found("crates/a/src/a.rs", &literal), 3, "no test");
        assert_eq!(found("crates/a/src/a.rs", &format!("{in_module}{literal}")), 3, "behind tests");
        assert_eq!(found("tests/a.sh", &literal), 3, "no Rust");
        assert_eq!(found("tests/a.rs", &format!("/*\n{row}\n{rule}\n*/")), 2, "no string");
        let sentence = literal.replace("| a", "a").replace("+-", "-");
        assert_eq!(found("tests/a.rs", &sentence), 3, "no row");
    }

    #[test]
    fn notes_to_oneself_are_found_as_words() {
        for note in NOTES_TO_ONESELF {
            let found = texts("a.md", &format!("see {note}: later"));
            assert!(found[0].starts_with("a.md:1: `"), "{note}: {found:?}");
            assert_eq!(texts("a.sh", &format!("mktemp a.{note}{note}")), Vec::<String>::new());
        }
    }

    #[test]
    fn a_path_of_one_machine_is_found_where_it_begins() {
        for path in MACHINE_PATHS {
            let found = texts("a.rs", &format!("read(\"{path}x\")"));
            assert!(found[0].contains("path of one machine"), "{path}: {found:?}");
            assert_eq!(texts("a.rs", &format!("{{pid}}{path}x ..{path}")), Vec::<String>::new());
        }
        let in_lab = |path| texts("tests/lab/tests/a.rs", path).len();
        assert_eq!(MACHINE_PATHS.map(in_lab), [1, 0, 1], "a lab's host has a home of root");
    }

    #[test]
    fn a_host_of_a_registry_is_found_and_an_expression_is_not() {
        let host = concat!("registry", ".example", ".com");
        let found = texts("a.toml", &format!("index = \"https://{host}/index\""));
        assert!(found[0].contains(host), "{found:?}");
        assert_eq!(texts("a.rs", "self.registry.insert(x)"), Vec::<String>::new());
        assert_eq!(texts("Cargo.lock", &format!("source = \"{host}\"")), Vec::<String>::new());
    }
}
