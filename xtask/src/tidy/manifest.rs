//! The workspace manifest says why each dependency is there; lock files say where from.

use super::Finding;
use super::tree::TextFile;

/// How cargo writes the public registry into a lock file.
const PUBLIC: &str =
    concat!("source = \"registry+https://github.com/rust-lang/", "crates", ".io-index\"");

/// Every line of `[workspace.dependencies]` from outside has a comment above it, or belongs to a
/// run of lines under one.
pub(crate) fn reasons(files: &[TextFile]) -> Vec<Finding> {
    let Some(file) = files.iter().find(|file| file.path == "Cargo.toml") else {
        return Vec::new();
    };
    let (mut inside, mut explained) = (false, false);
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
        }
        match line.chars().next() {
            None | Some('[') => explained = false,
            Some('#') => explained = line.trim_matches(['#', ' ']).len() > 1,
            Some(_) if inside && !explained && !line.contains("path = ") => {
                let name = line.split(['=', ' ']).next().unwrap_or(line);
                let text = format!("`{name}` has no reason: write a comment above what it is for");
                findings.push(Finding::new(&file.path, number, text));
            }
            Some(_) => {}
        }
    }
    findings
}

/// Every package of a lock file is ours or from the public registry.
pub(crate) fn sources(files: &[TextFile]) -> Vec<Finding> {
    let text = "a package from elsewhere than the public registry: lock it again from there";
    let in_file = |file: &'_ TextFile| -> Vec<Finding> {
        let foreign = |(_, line): &(usize, &str)| line.starts_with("source = ") && *line != PUBLIC;
        let foreign = file.lines().filter(foreign);
        foreign.map(|(number, _)| Finding::new(&file.path, number, text)).collect()
    };
    files.iter().filter(|file| is_lock(file)).flat_map(in_file).collect()
}

/// The lock files of the workspace and of the fuzz programs, which are one of their own.
pub(super) fn is_lock(file: &TextFile) -> bool {
    matches!(file.path.as_str(), "Cargo.lock" | "fuzz/Cargo.lock")
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::file;
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let text = "[workspace.dependencies]\nours = { path = \"a\" }\n\n# Why.\nb = \"1\"\n\
                    c = \"1\"\n\nd = \"1\"\n[profile.dev]\ndebug = 0\n";
        let found: Vec<String> =
            reasons(&[file("Cargo.toml", text)]).iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("Cargo.toml:8: `d` has no reason"), "{found:?}");
    }

    #[test]
    fn a_package_from_another_registry_is_found() {
        let text = format!("{PUBLIC}\nsource = \"registry+https://mirror.example/index\"\n");
        let found = sources(&[file("Cargo.lock", &text)]);
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2]);
        assert_eq!(sources(&[file("fuzz/Cargo.lock", &text)]).len(), 1);
    }
}
