//! A directory of its own, the built binary in it, and what it answered.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use zdu_config::Config;

/// What inventories are planted with. No output may hold it, in no form.
pub(crate) const SECRET: &str = "hunter2-planted";

/// A directory to stand in.
pub(crate) struct Place {
    root: TempDir,
}

/// What a command answered.
#[must_use]
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a directory") }
    }

    /// With these files in it.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        for (name, text) in files {
            let path = place.path(name);
            std::fs::create_dir_all(path.parent().expect("below the place")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("it was written")
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zdu"));
        command
            .args(words)
            .env_clear()
            .env("HOME", self.root.path())
            .current_dir(self.root.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn zdu(&self, words: &[&str]) -> Answer {
        answer(&mut self.command(words))
    }

    /// Imports into `zdu.yaml` and has it checked: the answer, the text and what it means.
    #[track_caller]
    pub(crate) fn import(&self, tool: &str, source: &str) -> (Answer, String, Config) {
        let told = self.zdu(&["init", "--force", "--from", tool, source]).ends(0);
        let told = told.gives_nothing().says("next: zdu check --config zdu.yaml");
        let text = self.read("zdu.yaml");
        keeps(&text);
        let _usable = self.zdu(&["check"]).ends(0).gives("usable");
        let path = self.path("zdu.yaml");
        let config = zdu_config::load(&path.to_string_lossy(), &zdu_config::Disk);
        (told, text, config.expect("checked"))
    }
}

/// Runs a command. Whatever it says, no planted secret is in it.
#[track_caller]
pub(crate) fn answer(command: &mut Command) -> Answer {
    let output = command.output().expect("the binary was built");
    let answer = Answer {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    };
    keeps(&answer.out);
    keeps(&answer.err);
    answer
}

/// Nothing planted is in the text, not even a part of it.
#[track_caller]
pub(crate) fn keeps(text: &str) {
    for part in [SECRET, "hunter2", "planted"] {
        assert!(!text.contains(part), "{part:?} is in:\n{text}");
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn ends(self, code: u8) -> Self {
        assert_eq!(self.code, i32::from(code), "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not on stderr:\n{}", self.err);
        self
    }

    #[track_caller]
    pub(crate) fn gives(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text:?} is not on stdout:\n{}", self.out);
        self
    }

    #[track_caller]
    pub(crate) fn gives_nothing(self) -> Self {
        assert_eq!(self.out, "");
        self
    }
}
