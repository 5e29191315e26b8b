//! From the command line to the file that answers it.

mod abort;
mod approve;
mod check;
mod completions;
mod demo;
mod hold;
mod init;
mod log;
mod plan;
pub(crate) mod preflight;
mod procedures;
mod rehearse;
mod report;
mod request;
mod resume;
mod rollback;
mod run;
mod schema;
mod status;
mod verify;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::failure::Failure;
use crate::printer::Printer;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser as _};
use std::ffi::OsString;
use std::process::ExitCode;
use zdu_model::verdict::exit;

/// The first word of a stand-in tool of the demo.
pub(crate) const DOUBLE: &str = "double";

/// Answers a command line and gives the exit code.
#[must_use]
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    // A stand-in tool of the demo takes over the process: it must come before anything that starts
    // a thread. It is no command for people, and clap would name it among them.
    if let [_, first, args @ ..] = words.as_slice()
        && first == DOUBLE
    {
        let code = zdu_doubles::main(args.to_vec());
        return ExitCode::from(u8::try_from(code).unwrap_or(exit::FATAL_ERROR));
    }
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(misread(&only_near(error))),
    };
    let printer = Printer::new(&cli.global);
    let answer = Context::new(&cli.global).and_then(|context| dispatch(&cli.command, &context));
    ExitCode::from(answer.unwrap_or_else(|failure| {
        failure.report(&printer);
        failure.exit
    }))
}

/// The error without commands that nobody can have meant: clap finds `rollback` in `frob`.
fn only_near(mut error: clap::Error) -> clap::Error {
    let kind = ContextKind::SuggestedSubcommand;
    let given = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(given)) => given.clone(),
        Some(_) | None => return error,
    };
    let commands = Cli::command();
    let known = commands.get_subcommands().map(clap::Command::get_name);
    match zdu_config::nearest(&given, known) {
        Some(near) => error.insert(kind, ContextValue::Strings(vec![near.to_owned()])),
        None => error.remove(kind),
    };
    error
}

/// Says what is wrong with the command line, or the help that was asked for.
pub(crate) fn misread(error: &clap::Error) -> u8 {
    let printer = Printer::early();
    let text = error.render();
    if error.use_stderr() {
        // Where a suggestion was left out, its empty line stays behind.
        printer.say(text.to_string().replace("\n\n\n", "\n\n").trim_end());
        return exit::USAGE;
    }
    printer.data(&text.to_string());
    exit::SUCCESS
}

fn dispatch(command: &Command, context: &Context) -> Result<u8, Failure> {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Preflight(args) => preflight::run(args, context),
        Command::Plan(args) => plan::run(args, context),
        Command::Rehearse(args) => rehearse::run(args, context),
        Command::Run(args) => run::run(args, context),
        Command::Status(args) => status::run(args, context),
        Command::Log(args) => log::run(args, context),
        Command::Report(args) => report::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Hold(args) => hold::run(args, context),
        Command::Resume(args) => resume::run(args, context),
        Command::Abort(args) => abort::run(args, context),
        Command::Rollback(args) => rollback::run(args, context),
        Command::Approve(args) => approve::run(args, context),
        Command::Schema(args) => schema::run(args, context),
        Command::Procedures(args) => procedures::run(args, context),
        Command::Demo(args) => demo::run(args, context),
        Command::Completions(args) => completions::run(args, context),
    }
}
