//! stub
use std::path::Path;
use std::process::ExitCode;
pub(crate) fn run(_: &Path, _: Option<&Path>) -> ExitCode {
    ExitCode::SUCCESS
}
