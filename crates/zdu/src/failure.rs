//! The one place that maps what went wrong to an exit code, a message and hints.
//!
//! The libraries say what failed; which number a script sees, and what a person could do next,
//! is said here and nowhere else.

use crate::excerpt;
use crate::printer::Printer;
use serde_json::error::Category;
use serde_json::json;
use std::error::Error;
use std::fmt::Display;
use std::path::Path;
use zdu_conductor::directory::FileError;
use zdu_conductor::plan_file::PlanFileError;
use zdu_conductor::refused::ClearError;
use zdu_conductor::storage::{AppendError, LeaseError, Lost, ReadError};
use zdu_conductor::turn::{OpenError, TurnError};
use zdu_conductor::verify::VerifyError;
use zdu_config::import::ImportError;
use zdu_config::{Diagnostic, Severity};
use zdu_model::ids::BadName;
use zdu_model::verdict::exit;
use zdu_plan::Refusals;
use zdu_runtime::RuntimeError;
use zdu_view::lines::Tone;

/// Every exit code and what it means, as `zdu --help` lists them.
pub const EXIT_CODES: &[(u8, &str)] = &[
    (exit::SUCCESS, "all is well"),
    (exit::HELD, "the rollout stands still and waits for a person: zdu resume"),
    (exit::ABORTED, "a person aborted the rollout"),
    (exit::LEASE_HELD, "another controller holds the lease"),
    (exit::LEASE_LOST, "a newer controller is known: the lease was lost, or nodes refuse this one"),
    (exit::JOURNAL_UNWRITABLE, "the journal cannot be written; nothing more was begun"),
    (exit::PLAN_REFUSED, "the plan is refused because it cannot be safe"),
    (exit::ROLLED_BACK, "the whole rollout was rolled back"),
    (exit::INTERRUPTED, "left at once on the third Ctrl-C; the rollout can be resumed"),
    (exit::REHEARSAL_FOUND, "the rehearsal found what leaves a node stuck or loses requests"),
    (exit::USAGE, "the command line is wrong"),
    (exit::DATA, "data is damaged or altered: a journal, a plan file"),
    (exit::NO_INPUT, "something that was named is not there"),
    (exit::UNAVAILABLE, "the fleet is not fit, or somebody who was asked did not answer"),
    (exit::EXPORT_FAILED, "EXPORT_FAILED"),
    (exit::UPGRADE_FAILED, "UPGRADE_FAILED"),
    (exit::PRE_APPLY_FAILED, "PRE_APPLY_FAILED"),
    (exit::APPLY_FAILED, "APPLY_FAILED"),
    (exit::POST_APPLY_FAILED, "POST_APPLY_FAILED"),
    (exit::ROLLBACK_FAILED, "ROLLBACK_FAILED: a node is stuck and needs a person"),
    (exit::CONFIG, "the configuration is wrong"),
    (exit::FATAL_ERROR, "FATAL_ERROR: zdu could not do its own job"),
];

/// The exit codes as the end of a help text.
#[must_use]
pub fn exit_code_help() -> String {
    let rows = EXIT_CODES.iter().map(|(code, meaning)| format!("  {code:>3}  {meaning}"));
    let rows: Vec<String> = rows.collect();
    format!(
        "Exit codes:\n{}\n\nA procedure may declare other codes for phases of its own.",
        rows.join("\n")
    )
}

/// Why a command did not do what it was asked.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The process exit code.
    pub exit: u8,
    /// What failed: a lower-case fragment that fits "error: ...". Empty: everything was said.
    pub what: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What a person could do, most likely first.
    pub hints: Vec<String>,
    /// Findings in texts of the operator.
    pub diagnostics: Vec<Diagnostic>,
}

impl Failure {
    /// A failure without a cause or a hint.
    pub fn new(exit: u8, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { exit, what, causes: Vec::new(), hints: Vec::new(), diagnostics: Vec::new() }
    }

    /// A failure of which everything was already said.
    pub fn said(exit: u8) -> Self {
        Self::new(exit, "")
    }

    /// From an error and everything below it.
    pub fn of(exit: u8, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(exit, error.to_string());
        failure.causes = chain(error.source());
        failure
    }

    /// zdu could not do its own job, and why.
    pub fn fatal(what: impl Into<String>, why: &dyn Display) -> Self {
        Self { causes: vec![why.to_string()], ..Self::new(exit::FATAL_ERROR, what) }
    }

    /// With a cause, and everything below it.
    pub fn cause(mut self, error: &(dyn Error + 'static)) -> Self {
        self.causes.extend(chain(Some(error)));
        self
    }

    /// With one more hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What failed and why, in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let all: Vec<&str> =
            std::iter::once(&self.what).chain(&self.causes).map(String::as_str).collect();
        all.join(": ")
    }

    /// Says it on standard error; with `--json` also as the answer on standard output.
    pub fn report(&self, printer: &Printer) {
        let Self { exit: _, what, causes, hints, diagnostics } = self;
        for diagnostic in diagnostics {
            printer.say(&excerpt::render(diagnostic, printer.err_palette()));
        }
        if !what.is_empty() {
            let word = printer.err_palette().paint(Tone::Bad, "error:");
            printer.say(&format!("{word} {what}"));
        }
        for cause in causes {
            printer.say(&format!("  because: {cause}"));
        }
        for hint in hints {
            printer.say(&format!("hint: {hint}"));
        }
        if printer.wants_json() && !(what.is_empty() && diagnostics.is_empty()) {
            printer.json_line(&json!({ "error": self.to_json() }));
        }
    }

    /// The failure as data.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let Self { exit, what, causes, hints, diagnostics } = self;
        let diagnostics: Vec<_> = diagnostics.iter().map(diagnostic_json).collect();
        json!({
            "exit": exit, "what": what, "causes": causes, "hints": hints,
            "diagnostics": diagnostics,
        })
    }
}

/// A finding as data.
#[must_use]
pub fn diagnostic_json(diagnostic: &Diagnostic) -> serde_json::Value {
    let Diagnostic { file, line, column, span: _, message, hint, severity, conceal: _ } =
        diagnostic;
    let severity = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "file": file, "line": line, "column": column, "severity": severity,
        "message": message, "hint": hint,
    })
}

/// An error and everything below it. Layers that only pass a message on are said once.
fn chain(error: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    let mut next = error;
    while let Some(error) = next {
        let text = words(error);
        if said.last() != Some(&text) {
            said.push(text);
        }
        next = error.source();
    }
    said
}

/// What one error says. The system's words for a file that is not there are told as such.
fn words(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) if io.kind() == std::io::ErrorKind::NotFound && io.get_ref().is_none() => {
            "there is no such file".to_owned()
        }
        Some(_) | None => error.to_string(),
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        let plural = if errors == 1 { "" } else { "s" };
        let file = diagnostics.first().map_or("-", |d| d.file.as_str());
        let what = format!("use {file}: {errors} error{plural}");
        // Not wrong, but not there.
        let missing = !file.starts_with("builtin:") && !Path::new(file).exists();
        let exit = if missing { exit::NO_INPUT } else { exit::CONFIG };
        Self { diagnostics, ..Self::new(exit, what) }
    }
}

impl From<Refusals> for Failure {
    fn from(refusals: Refusals) -> Self {
        let count = refusals.0.len();
        let plural = if count == 1 { "" } else { "s" };
        let what = format!("make a plan: {count} reason{plural} against it");
        let mut failure = Self::new(exit::PLAN_REFUSED, what);
        for refusal in &refusals.0 {
            failure.causes.push(refusal.to_string());
            let hint = refusal.hint();
            if !failure.hints.contains(&hint) {
                failure.hints.push(hint);
            }
        }
        failure
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let missing = error.source.kind() == std::io::ErrorKind::NotFound;
        let (exit, hint) = match (missing, error.act) {
            (true, _) => (exit::NO_INPUT, "check that the path is right"),
            (false, "read") => (exit::FATAL_ERROR, "check that this user may read it"),
            (false, _) => (
                exit::JOURNAL_UNWRITABLE,
                "check free space and that this user may write there; nothing more was begun",
            ),
        };
        Self::of(exit, &error).hint(hint)
    }
}

impl From<PlanFileError> for Failure {
    fn from(error: PlanFileError) -> Self {
        let hint = error.hint();
        match error {
            PlanFileError::File(error) => error.into(),
            PlanFileError::NotAPlan { ref path, ref source } => {
                let mut failure = Self::new(exit::DATA, error.to_string()).hint(hint);
                failure.causes.push(no_plan(source));
                if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
                    failure = failure.hint("a configuration is given by `--config FILE`");
                }
                failure
            }
            PlanFileError::Newer { .. }
            | PlanFileError::Older { .. }
            | PlanFileError::Altered { .. } => Self::of(exit::DATA, &error).hint(hint),
        }
    }
}

/// Why a file is no plan.
fn no_plan(why: &serde_json::Error) -> String {
    let (line, column) = (why.line(), why.column());
    match why.classify() {
        Category::Syntax => format!(
            "a plan is JSON as `zdu plan --out` writes it, and at line {line}, column {column} \
             this is no JSON"
        ),
        Category::Eof => format!("it ends in the middle, at line {line}, column {column}"),
        Category::Data | Category::Io => why.to_string(),
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Altered { .. } => Self::of(exit::DATA, &error)
                .hint("keep the file as evidence; nothing after that line can be believed")
                .hint("look at the nodes before anything is started again"),
            ReadError::Newer { .. } => Self::of(exit::DATA, &error)
                .hint("use the version of zdu that wrote it; this one only reads what it knows"),
            ReadError::Unavailable { source } => {
                let failure = Self::of(exit::NO_INPUT, &error);
                match source.downcast_ref::<FileError>() {
                    Some(file) if file.source.kind() != std::io::ErrorKind::NotFound => {
                        Self { exit: exit::FATAL_ERROR, ..failure }
                            .hint("check that this user may read it")
                    }
                    Some(_) | None => failure.hint("check that the path is right"),
                }
            }
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Read(error) => error.into(),
            VerifyError::Empty => Self::of(exit::DATA, &VerifyError::Empty)
                .hint("the rollout was cut before its first record: nothing was begun"),
        }
    }
}

impl From<Lost> for Failure {
    fn from(error: Lost) -> Self {
        Self::of(exit::LEASE_LOST, &error)
            .hint("the other controller goes on with the rollout: `zdu status`")
    }
}

impl From<LeaseError> for Failure {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Held { .. } => Self::of(exit::LEASE_HELD, &error)
                .hint("it can be asked to stop: `zdu hold` or `zdu abort`")
                .hint("when it is gone for good: `--take-over REASON`"),
            LeaseError::Ousted { .. } => {
                Self::of(exit::LEASE_HELD, &error).hint("run it again then; the lease is free")
            }
            LeaseError::Outrun { .. } => outrun(Self::of(exit::LEASE_LOST, &error)),
            LeaseError::Lost(lost) => lost.into(),
            LeaseError::NoReason => Self::of(exit::USAGE, &error)
                .hint("say why: `--take-over \"host lb-1 burned down\"`"),
            LeaseError::Unavailable { .. } => Self::of(exit::JOURNAL_UNWRITABLE, &error)
                .hint("check the state directory: `--state-dir DIR` or ZDU_STATE_DIR"),
        }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Lost(lost) => lost.into(),
            AppendError::Conflict { .. } => Self::of(exit::LEASE_LOST, &error)
                .hint("another controller wrote to the journal: `zdu status`"),
            AppendError::Unwritable { .. } | AppendError::Poisoned { .. } => {
                Self::of(exit::JOURNAL_UNWRITABLE, &error)
                    .hint("nothing more was begun; free space or repair the disk, then go on")
                    .hint("`zdu resume`")
            }
            AppendError::Unreadable(error) => (*error).into(),
            AppendError::Refused { .. } => defect(&error),
        }
    }
}

impl<I: Error + 'static> From<TurnError<I>> for Failure {
    fn from(error: TurnError<I>) -> Self {
        match error {
            TurnError::Append(error) => error.into(),
            TurnError::Lease(error) => error.into(),
            TurnError::Illegal { .. } | TurnError::Rounds { .. } | TurnError::Stopped => {
                defect(&error)
            }
        }
    }
}

impl<I: Error + 'static> From<OpenError<I>> for Failure {
    fn from(error: OpenError<I>) -> Self {
        match error {
            OpenError::Lease(error) => error.into(),
            OpenError::Read(error) => error.into(),
            OpenError::Turn(error) => error.into(),
            OpenError::Empty => Self::of(exit::NO_INPUT, &error).hint("start it anew: `zdu run`"),
            OpenError::Illegal { .. } => Self::of(exit::DATA, &error)
                .hint("the journal does not fit its plan or this version of zdu: `zdu verify`"),
            OpenError::Exists { .. } | OpenError::FirstEvent => defect(&error),
        }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Journal(error) => error.into(),
            RuntimeError::Lease(error) => error.into(),
            RuntimeError::Fenced { .. } => outrun(Self::of(exit::LEASE_LOST, &error)),
            RuntimeError::Defect(_) => defect(&error),
            RuntimeError::Signals(_) => Self::of(exit::FATAL_ERROR, &error),
        }
    }
}

impl From<ClearError> for Failure {
    fn from(error: ClearError) -> Self {
        match error {
            ClearError::File(error) => error.into(),
            ClearError::NoReason { .. } => Self::of(exit::USAGE, &error)
                .hint("say what was repaired: `--clear-refused \"build 812 has the fix\"`"),
            ClearError::NotRefused { .. } => {
                Self::of(exit::USAGE, &error).hint("leave out `--clear-refused`")
            }
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let failure = Self::of(exit::DATA, &error);
        match error {
            ImportError::NotJson(_) | ImportError::Missing(_) | ImportError::NoInstance => {
                failure.hint("does an Admin Node Manager answer there? it must serve /api/topology")
            }
            ImportError::NoServer(_) => failure
                .hint("is it the socket of the process that balances, and not of its master?")
                .hint("a server without an IP address cannot be a node: write zdu.yaml by hand"),
        }
    }
}

impl From<BadName> for Failure {
    fn from(error: BadName) -> Self {
        Self::new(exit::USAGE, error.to_string())
    }
}

/// What may be the case where nodes have seen a newer epoch than ours, which nobody here can know,
/// and what to do for each.
fn outrun(failure: Failure) -> Failure {
    OUTRUN.iter().fold(failure, |failure, hint| failure.hint(*hint))
}

/// See [`outrun`].
pub(crate) const OUTRUN: [&str; 3] = [
    "if another controller drives this fleet, it goes on: `zdu status` where it runs",
    "if the fleet was driven from another state directory, use that one: `--state-dir DIR`",
    "if that directory was lost and nobody else drives the fleet: `zdu run --take-over REASON`, or \
     `zdu resume ID --take-over REASON`",
];

/// What must never happen.
fn defect(error: &(dyn Error + 'static)) -> Failure {
    Failure::of(exit::FATAL_ERROR, error)
        .hint("this is a defect of zdu; keep the journal and report it, `zdu verify` names it")
}
