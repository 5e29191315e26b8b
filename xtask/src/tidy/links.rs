//! Links of the documents to files of the repository.

use std::path::{Component, Path, PathBuf};

use super::Finding;
use super::tree::TextFile;

/// Every link to a file leads to one. Links to the web are not followed: a test must not depend
/// on it.
pub(crate) fn check(file: &TextFile, root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(line) {
            let path = target.split('#').next().unwrap_or(&target);
            if path.is_empty() || path.contains(':') {
                continue;
            }
            if !within(&file.path, path).is_some_and(|path| root.join(path).exists()) {
                let text = format!("link to `{path}`, which does not exist: mend the path");
                findings.push(Finding::new(&file.path, number, text));
            }
        }
    }
    findings
}

/// Targets of `[text](target)` and of `[name]: target`; inline code has none.
fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let definition =
        prose.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    let all = inline.chain(definition);
    all.filter_map(|target| target.split_whitespace().next()).map(str::to_owned).collect()
}

/// The target relative to the root; `None` when it leads out of the repository.
fn within(file: &str, target: &str) -> Option<PathBuf> {
    let mut path = Path::new(file).parent()?.to_path_buf();
    for component in Path::new(target).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => path.push(part),
            Component::ParentDir if path.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::file;
    use super::*;

    #[test]
    fn a_link_to_a_missing_file_is_found_with_its_line() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let lines = |text: &str| -> Vec<usize> {
            check(&file("src/a.md", text), root).iter().map(|finding| finding.line).collect()
        };
        assert_eq!(lines("a\n[x](main.rs) [y](gone.rs#z)\n[w]: also-gone"), [2, 3]);
        assert_eq!(lines("[x](../Cargo.toml) [y](https://a.example/b) [z](#part)"), [0; 0]);
        assert_eq!(lines("[x](../../../etc/passwd) [y](/etc/passwd)"), [1, 1]);
        assert_eq!(lines("```\n[x](gone)\n```\n`[y](gone)`"), [0; 0]);
    }
}
