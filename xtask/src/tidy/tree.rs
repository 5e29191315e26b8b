//! The files of the repository, and what they may be called.

use std::fs;
use std::path::Path;

use super::Finding;

/// What is built, recorded or kept there is not ours to check.
const NOT_OURS: [&str; 7] =
    ["target", ".git", "logs", ".zdu", "fuzz/target", "fuzz/corpus", "fuzz/artifacts"];

/// Names that say where code ended up and not what it is.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "manager", "misc"];

/// A text file. Other files are not read.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == extension)
    }

    /// Lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Every text file below `root`, sorted by path.
///
/// # Errors
/// A fragment that fits "failed to ..": a directory or file cannot be read.
pub(crate) fn read(root: &Path) -> Result<Vec<TextFile>, String> {
    let mut files = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let path = root.join(&directory);
        let entries = fs::read_dir(&path).map_err(because(&path))?;
        for entry in entries {
            let entry = entry.map_err(because(&path))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let relative = format!("{directory}{name}");
            if NOT_OURS.contains(&relative.as_str()) {
                continue;
            }
            let kind = entry.file_type().map_err(because(&entry.path()))?;
            if kind.is_dir() {
                directories.push(format!("{relative}/"));
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).map_err(because(&entry.path()))?;
                // Not text, so no rule speaks of it.
                let Ok(text) = String::from_utf8(bytes) else { continue };
                files.push(TextFile { path: relative, text });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn because(path: &Path) -> impl FnOnce(std::io::Error) -> String {
    move |cause| format!("read {}: {cause}", path.display())
}

/// Refuses names without meaning, of files and of directories above them.
pub(crate) fn name(file: &TextFile) -> Option<Finding> {
    let part = file.path.split('/').find(|part| {
        let stem = part.split('.').next().unwrap_or(part);
        EMPTY_NAMES.contains(&stem)
    })?;
    let text = format!("`{part}` says nothing: name it after the one thing it is about");
    Some(Finding::new(&file.path, 1, text))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_or_directory_without_a_meaning_is_refused() {
        for path in ["src/utils.rs", "src/helpers/quote.rs", "common", "tests/manager.rs"] {
            assert!(name(&file(path, "")).is_some(), "{path} was taken");
        }
        // A word of the domain that ends in one of them.
        assert_eq!(name(&file("src/node_manager.rs", "")), None);
    }

    #[test]
    fn built_files_and_bytes_that_are_no_text_are_not_read() {
        let root = tempfile::tempdir().expect("a directory can be made");
        for (path, bytes) in [
            ("target/a.rs", &b"a"[..]),
            ("fuzz/target/a.rs", b"a"),
            ("src/b.rs", b"b"),
            ("src/c", b"\xff"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(path, bytes).expect("written");
        }
        let paths: Vec<String> =
            read(root.path()).expect("read").into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["src/b.rs"]);
    }
}
