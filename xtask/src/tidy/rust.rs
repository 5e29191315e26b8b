//! Sizes of functions and files, and attributes that hide something.

use super::Finding;
use super::blank::blank;
use super::tree::TextFile;

/// A function that fits a screen can be checked by looking at it.
const FUNCTION_LINES_MAX: usize = 70;
/// A file that is longer cannot be read in one sitting, and holds a second idea.
const FILE_LINES_MAX: usize = 600;

/// The rules about one Rust file, tests included.
pub(crate) fn check(file: &TextFile) -> Vec<Finding> {
    let code = blank(&file.text);
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        let text = format!("{lines} lines, at most {FILE_LINES_MAX}: move the second idea out");
        findings.push(Finding::new(&file.path, FILE_LINES_MAX + 1, text));
    }
    for Function { name, line, lines } in functions(&code) {
        if lines > FUNCTION_LINES_MAX {
            let text = format!(
                "`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: \
                 keep the branches here and move what they do out"
            );
            findings.push(Finding::new(&file.path, line, text));
        }
    }
    findings.extend(attributes(&file.path, &code));
    findings
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    /// Where `fn` stands.
    line: usize,
    /// From `fn` to the closing brace.
    lines: usize,
}

/// Every function with a body, nested ones too. A pointer type (`fn(`) has no name and none.
fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '#') {
            continue;
        }
        let rest = &code[at + 3..];
        let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
        let name: String = rest.trim_start().chars().take_while(is_word).collect();
        let Some(length) = body_end(rest).filter(|_| !name.is_empty()) else { continue };
        let line = line_of(code, at);
        found.push(Function { name, line, lines: line_of(rest, length) });
    }
    found
}

/// Where the body ends in what follows `fn`; `None` for a declaration without one.
fn body_end(rest: &str) -> Option<usize> {
    // A `;` or `{` inside brackets belongs to a type: `[u8; 4]`.
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 => return Some(at),
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Tests that do not run, and silenced lints whose reason nobody wrote down.
fn attributes(path: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let squeezed: Vec<(usize, char)> =
        code.char_indices().filter(|(_, c)| !c.is_whitespace()).collect();
    for start in 0..squeezed.len() {
        let (at, c) = squeezed[start];
        if c != '#' {
            continue;
        }
        let text: String = attribute(&squeezed[start..]);
        let inner = text.trim_start_matches(['#', '!']).trim_matches(['[', ']']);
        let line = line_of(code, at);
        if inner == "ignore" || inner.starts_with("ignore=") {
            let text = "an ignored test: make it run, or delete it and say in the commit why";
            findings.push(Finding::new(path, line, text));
        }
        let silences = inner.starts_with("allow(")
            || inner.starts_with("expect(")
            || (inner.starts_with("cfg_attr(")
                && (inner.contains(",allow(") || inner.contains(",expect(")));
        if silences && !inner.contains("reason=") {
            let text = "a silenced lint without a reason: \
                        mend the code, or write `#[expect(lint, reason = \"why\")]`";
            findings.push(Finding::new(path, line, text));
        }
    }
    findings
}

/// The attribute that begins with this `#`, without white space; empty when none does.
fn attribute(from: &[(usize, char)]) -> String {
    let text: String = from.iter().map(|(_, c)| *c).take(400).collect();
    if !(text.starts_with("#[") || text.starts_with("#![")) {
        return String::new();
    }
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 1 => return text[..=at].to_owned(),
            ']' => depth -= 1,
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::file;
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        check(&file("a.rs", source)).iter().map(Finding::to_string).collect()
    }

    fn function_of(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_of_71_lines_is_too_long_and_one_of_70_is_not() {
        assert_eq!(texts(&function_of(70)), Vec::<String>::new());
        let found = texts(&format!("\n{}", function_of(71)));
        assert!(found[0].starts_with("a.rs:2: `long` has 71 lines, at most 70"), "{found:?}");
    }

    #[test]
    fn functions_are_found_by_their_bodies() {
        let source = "trait T { fn none(a: [u8; 4]); }\ntype P = fn(u8);\n\
                      impl T { pub(crate) async fn some<'a>(x: [u8; 4]) -> u8\nwhere A: B {\n\
                      if a { '}'; }\n fn inner() {} }\n}";
        let names: Vec<(String, usize)> =
            functions(&blank(source)).into_iter().map(|f| (f.name, f.lines)).collect();
        assert_eq!(names, [("some".to_owned(), 4), ("inner".to_owned(), 1)]);
    }

    #[test]
    fn a_file_of_601_lines_is_too_long() {
        assert_eq!(texts(&"// a\n".repeat(600)), Vec::<String>::new());
        let found = texts(&"// a\n".repeat(601));
        assert!(found[0].starts_with("a.rs:601: 601 lines, at most 600"), "{found:?}");
    }

    #[test]
    fn an_ignored_test_is_found_and_text_about_one_is_not() {
        assert!(texts("\n#[ignore]\nfn a() {}")[0].starts_with("a.rs:2: an ignored test"));
        assert!(texts("#[ignore = \"slow\"]\nfn a() {}")[0].contains("an ignored test"));
        assert_eq!(texts("// no #[ignore] here\n"), Vec::<String>::new());
    }

    #[test]
    fn a_silenced_lint_needs_a_reason() {
        for attribute in ["allow(dead_code)", "expect(dead_code)", "cfg_attr(x, allow(y))"] {
            let found = texts(&format!("#[{attribute}]\nfn a() {{}}"));
            assert!(found[0].starts_with("a.rs:1: a silenced lint"), "{attribute}: {found:?}");
        }
        assert_eq!(texts("#![allow(\n dead_code,\n reason = \"a\"\n)]"), Vec::<String>::new());
        assert_eq!(texts("fn a() { b.allow(c); }"), Vec::<String>::new());
    }
}
