//! How zdu is called where it is read: commands that are printed must work as they stand.

/// The program and the options every command needs, such as the state directory. They come from
/// whoever prints: the journal does not know in which shell it will be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    program: String,
    options: String,
    instead: Option<String>,
}

impl Default for Call {
    fn default() -> Self {
        Self::new("zdu", "")
    }
}

impl Call {
    /// From shell words: the program, and the options that stand behind each command's own words.
    #[must_use]
    pub fn new(program: impl Into<String>, options: impl Into<String>) -> Self {
        Self { program: program.into(), options: options.into(), instead: None }
    }

    /// Where nothing can be asked of a rollout that has ended, because its fleet ends too: the line
    /// that stands for the commands that would.
    #[must_use]
    pub fn once_ended(self, instead: impl Into<String>) -> Self {
        Self { instead: Some(instead.into()), ..self }
    }

    /// The line that stands for the commands that ask, once the rollout has ended.
    #[must_use]
    pub fn instead(&self) -> Option<&str> {
        self.instead.as_deref()
    }

    /// A command that works as it is printed.
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        let Self { program, options, instead: _ } = self;
        let gap = if options.is_empty() { "" } else { " " };
        format!("{program} {words}{gap}{options}")
    }

    /// Whether a line of what to do next is a command of ours, and not a sentence.
    #[must_use]
    pub fn begins(&self, line: &str) -> bool {
        line.strip_prefix(&self.program).is_some_and(|rest| rest.starts_with(' '))
    }

    /// Whether a line is a command that asks for something, and does not only read.
    #[must_use]
    pub fn asks(&self, line: &str) -> bool {
        let verb = line.strip_prefix(&self.program).and_then(|rest| rest.split_whitespace().next());
        self.begins(line)
            && verb.is_some_and(|verb| ["resume", "rollback", "abort", "approve"].contains(&verb))
    }
}
