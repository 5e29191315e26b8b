//! Phases and their exit codes: by each of them a script tells one thing.

use crate::diagnostic::Place;
use crate::procedure::Converter;
use crate::raw_procedure as raw;
use crate::values::name;
use zdu_model::ids::PhaseName;
use zdu_model::procedure::Phase;
use zdu_model::verdict::exit;

/// From here on shells and `ssh` say what became of a program: it could not be run, or a signal
/// ended it.
const OF_SHELLS: u8 = 126;

impl Converter<'_> {
    pub(super) fn phases(&mut self, raw: &raw::Procedure) -> Vec<Phase> {
        let mut all: Vec<(Phase, Place)> = Vec::new();
        for written in &raw.phases {
            let raw::Phase { name: at, exit } = written;
            let Some(found) = name(at, |t| PhaseName::new(t), self.scan.findings) else {
                continue;
            };
            if all.iter().any(|(phase, _)| phase.name == found) {
                let message = format!("the phase `{found}` is declared twice");
                self.scan.findings.error(at.place, message);
                continue;
            }
            let undoes = at.value == raw.rollback_phase.value;
            if let Some(meaning) = meaning(exit.value, undoes) {
                let message =
                    format!("the phase `{found}` has the exit code {}: {meaning}", exit.value);
                self.scan.findings.error_hint(exit.place, message, free(raw));
            } else if let Some((first, place)) =
                all.iter().find(|(phase, _)| phase.exit == exit.value)
            {
                let message = format!(
                    "the phases `{}` and `{found}` have one exit code, {}",
                    first.name, exit.value
                );
                let place = self.scan.findings.at(*place);
                let hint = format!("the first is at {place}; {}", free(raw));
                self.scan.findings.error_hint(exit.place, message, hint);
            }
            all.push((Phase { name: found, exit: exit.value }, exit.place));
        }
        self.phases = all.iter().map(|(phase, _)| phase.name.clone()).collect();
        all.into_iter().map(|(phase, _)| phase).collect()
    }
}

/// What zdu itself, or what called it, says by this code; `undoes` is whether it is that of the
/// phase undo steps are shown in.
fn meaning(code: u8, undoes: bool) -> Option<&'static str> {
    Some(match code {
        exit::SUCCESS => "with it zdu says that all is well",
        exit::HELD => "with it zdu says that the rollout is held",
        exit::ABORTED => "with it zdu says that a person aborted the rollout",
        exit::LEASE_HELD => "with it zdu says that another controller holds the lease",
        exit::LEASE_LOST => "with it zdu says that it lost the lease",
        exit::JOURNAL_UNWRITABLE => "with it zdu says that the journal cannot be written",
        exit::PLAN_REFUSED => "with it zdu says that a plan or a release is refused",
        exit::ROLLED_BACK => "with it zdu says that everything was put back",
        exit::INTERRUPTED => "with it zdu says that it left at once",
        exit::REHEARSAL_FOUND => "with it zdu says that a rehearsal found something",
        exit::USAGE => "with it zdu says that the command line is wrong",
        exit::DATA => "with it zdu says that a journal or a plan file is damaged",
        exit::NO_INPUT => "with it zdu says that something that was named is not there",
        exit::UNAVAILABLE => "with it zdu says that the fleet is not fit",
        exit::ROLLBACK_FAILED if !undoes => "with it zdu says that an undo failed",
        exit::CONFIG => "with it zdu says that the configuration is wrong",
        exit::FATAL_ERROR => "with it zdu says that it could not do its own job",
        OF_SHELLS..=u8::MAX => "with it shells and `ssh` say what became of a program",
        _ => return None,
    })
}

/// The first code that no phase has and that means nothing else.
fn free(raw: &raw::Procedure) -> String {
    let mut codes = exit::EXPORT_FAILED..OF_SHELLS;
    let used = |code: u8| raw.phases.iter().any(|phase| phase.exit.value == code);
    match codes.find(|code| meaning(*code, false).is_none() && !used(*code)) {
        Some(code) => format!("{code} is free"),
        None => "no code is free: there are too many phases".to_owned(),
    }
}
