//! The command line of the Axway source document: `zdupgrade --old_install_dir DIR
//! --new_install_dir DIR [--config FILE]`, its summary table, its exit codes and its `logs`
//! directory. Everything it does is a rollout of `zdu`, and `zdu status`, `zdu report` and
//! `zdu verify` answer for it.

use crate::cli::Global;
use crate::commands::misread;
use crate::commands::preflight;
use crate::context::{Context, offset};
use crate::epochs;
use crate::failure::Failure;
use crate::prepare::{self, prepared};
use crate::printer::Printer;
use crate::rollout::{self, Ended, Ways};
use crate::rollouts;
use clap::Parser;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zdu_config::{Config, Disk, load};
use zdu_model::fleet::Node;
use zdu_model::ids::VarName;
use zdu_model::verdict::exit;
use zdu_view::moment::moment;
use zdu_view::table::summary_table;

/// Minimal downtime upgrade of Axway API Gateway
#[derive(Debug, Parser)]
#[command(name = "zdupgrade", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Args {
    /// The location of the old API Gateway installation, the same on every node
    #[arg(long = "old_install_dir", value_name = "DIR")]
    old_install_dir: String,
    /// The location of the new API Gateway installation, the same on every node
    #[arg(long = "new_install_dir", value_name = "DIR")]
    new_install_dir: String,
    /// The topology to upgrade, as zdu.yaml [default: the three-node reference configuration]
    #[arg(long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Return status codes:
    0  SUCCESS
   70  EXPORT_FAILED
   71  UPGRADE_FAILED
   72  PRE_APPLY_FAILED
   73  APPLY_FAILED
   74  POST_APPLY_FAILED
   75  ROLLBACK_FAILED
   80  FATAL_ERROR

The logs are written to `logs` in the current directory: `logs/zdu-<timestamp>.log` for the upgrade,
`logs/<node>/zdu-<timestamp>.log` for each node. Everything else about the upgrade is answered by
`zdu status`, `zdu log`, `zdu report` and `zdu verify`.";

/// Answers the command line and gives the exit code.
#[must_use]
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        // The document has no code for a wrong command line.
        Err(error) => return ExitCode::from(documented(misread(&error))),
    };
    let code = answer(&args).unwrap_or_else(|failure| {
        failure.report(&Printer::early());
        failure.exit
    });
    ExitCode::from(documented(code))
}

/// The exit codes of the document; what it does not know is its `FATAL_ERROR`.
fn documented(code: u8) -> u8 {
    match code {
        exit::SUCCESS
        | exit::EXPORT_FAILED
        | exit::UPGRADE_FAILED
        | exit::PRE_APPLY_FAILED
        | exit::APPLY_FAILED
        | exit::POST_APPLY_FAILED
        | exit::ROLLBACK_FAILED => code,
        _ => exit::FATAL_ERROR,
    }
}

fn answer(args: &Args) -> Result<u8, Failure> {
    let context = Context::new(&Global::default())?;
    let logs = Logs::new(&context)?;
    logs.say(&context, "zdupgrade begins");
    let ended = configured(args).and_then(|config| upgrade(&context, config));
    match ended {
        Ok(ended) => {
            logs.keep(&context, &ended)?;
            Ok(ended.exit)
        }
        Err(failure) => {
            logs.say(&context, &format!("zdupgrade failed: {}", failure.sentence()));
            Err(failure)
        }
    }
}

/// The configuration, with the two directories of the command line over its own.
fn configured(args: &Args) -> Result<Config, Failure> {
    let mut config = match &args.config {
        Some(path) => load(&path.to_string_lossy(), &Disk)?,
        None => prepare::reference()?,
    };
    let given =
        [("old_install_dir", &args.old_install_dir), ("new_install_dir", &args.new_install_dir)];
    for (name, directory) in given {
        let name = VarName::new(name)?;
        if !config.procedure.vars.contains_key(&name) {
            let what = format!("use procedure {}: it has no {name}", config.procedure.name);
            return Err(Failure::new(exit::CONFIG, what)
                .hint("zdupgrade runs `procedure: axway-apigateway`; others run with `zdu run`"));
        }
        let directory = directory.trim_end_matches('/');
        // A node's own value comes before everybody's, and would come before the command line.
        let own = |node: &&Node| node.vars.get(name.as_str()).is_some_and(|own| own != directory);
        if let Some(node) = config.fleet.nodes().find(own) {
            let own = &node.vars[name.as_str()];
            let what = format!("use --{name} {directory}: node {} says {own}", node.name);
            return Err(Failure::new(exit::CONFIG, what).hint(
                "take it out of the node's `vars`, or run nodes that differ with `zdu run`",
            ));
        }
        config.vars.insert(name, directory.to_owned());
    }
    Ok(config)
}

/// Runs the upgrade to its end, as `zdu run` would.
fn upgrade(context: &Context, config: Config) -> Result<Ended, Failure> {
    context.create_state_dir()?;
    let mut prepared = prepared(config);
    preflight::see(&mut prepared, &context.printer)?;
    let (plan, access) = (prepared.plan()?.plan, prepared.access()?);
    epochs::admit(context, &plan.fleet, &access, &Ways::default())?;
    rollout::start(context, plan, access, &Ways::default())
}

/// The `logs` directory of the document, in the current directory.
struct Logs {
    directory: PathBuf,
    /// `zdu-<timestamp>.log`; the same name for the upgrade's log and each node's.
    name: String,
}

impl Logs {
    fn new(context: &Context) -> Result<Self, Failure> {
        let directory = PathBuf::from("logs");
        make(&directory)?;
        let stamp: String = moment(context.now(), offset())
            .chars()
            .take("2026-01-31T09:00:00".len())
            .map(|c| if c == ':' { '-' } else { c })
            .collect();
        Ok(Self { directory, name: format!("zdu-{stamp}.log") })
    }

    fn main(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// A line of the upgrade's own log.
    fn say(&self, context: &Context, text: &str) {
        let line = format!("{} {text}\n", moment(context.now(), offset()));
        self.append(context, &self.main(), line.as_bytes());
    }

    /// A log that cannot be written must not stop an upgrade: the journal is the record.
    fn append(&self, context: &Context, path: &Path, bytes: &[u8]) {
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        if let Err(error) = opened.and_then(|mut file| file.write_all(bytes)) {
            context.printer.warn(&format!("{} cannot be written: {error}", path.display()));
        }
    }

    /// Copies what the rollout logged, and says the summary table here and there.
    fn keep(&self, context: &Context, ended: &Ended) -> Result<(), Failure> {
        let kept = rollouts::read(context, &ended.rollout)?;
        let from = kept.directory.path().join("logs");
        for node in kept.view.plan().fleet.nodes() {
            if let Ok(bytes) = std::fs::read(from.join(format!("{}.log", node.name))) {
                let to = self.directory.join(node.name.as_str());
                make(&to)?;
                self.append(context, &to.join(&self.name), &bytes);
            }
        }
        if let Ok(bytes) = std::fs::read(from.join("rollout.log")) {
            self.append(context, &self.main(), &bytes);
        }
        let table = summary_table(&kept.view);
        let mut last = String::new();
        let _infallible = writeln!(last, "rollout {}\n{table}", ended.rollout);
        self.append(context, &self.main(), last.as_bytes());
        context.printer.note(&format!("logs: {}", self.main().display()));
        let report = context.call().command(&format!("report {}", ended.rollout));
        context.printer.note(&format!("more: {report}"));
        Ok(())
    }
}

fn make(path: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| {
        Failure::fatal(format!("create {}", path.display()), &error)
            .hint("stand in a directory this user may write to: `logs` is made there")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_codes_of_the_document_leave_the_process() {
        for code in [0, 70, 71, 72, 73, 74, 75, 80] {
            assert_eq!(documented(code), code);
        }
        for code in [exit::HELD, exit::USAGE, exit::CONFIG, exit::PLAN_REFUSED] {
            assert_eq!(documented(code), exit::FATAL_ERROR);
        }
    }

    #[test]
    fn the_directories_of_the_command_line_stand_over_the_reference_configuration() {
        let words = ["zdupgrade", "--old_install_dir", "/opt/old/", "--new_install_dir", "/n e w"];
        let config = configured(&Args::parse_from(words)).expect("the reference");
        let var = |name| config.vars[&VarName::new(name).expect("a name")].clone();
        assert_eq!(
            (var("old_install_dir").as_str(), var("new_install_dir").as_str()),
            ("/opt/old", "/n e w")
        );
    }

    #[test]
    fn a_node_that_names_another_directory_than_the_command_line_is_told_and_not_upgraded_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("zdu.yaml");
        let own = "vars: { old_install_dir: /srv/old, instance: Instance-B,";
        let text = zdu_config::reference_config().replace("vars: { instance: Instance-B,", own);
        assert!(text.contains(own));
        std::fs::write(&path, text).expect("written");
        let config = path.to_string_lossy().into_owned();
        let with = |old| {
            let new = "--new_install_dir=/opt/new";
            let words = ["zdupgrade", "--old_install_dir", old, new, "--config", &config];
            configured(&Args::parse_from(words))
        };
        let told = with("/opt/old").expect_err("they differ").sentence();
        assert_eq!(told, "use --old_install_dir /opt/old: node node-b says /srv/old");
        assert!(with("/srv/old").is_ok(), "they agree");
    }

    #[test]
    fn options_are_case_sensitive() {
        let words = ["zdupgrade", "--OLD_install_dir", "/a", "--new_install_dir", "/b"];
        assert!(Args::try_parse_from(words).is_err());
    }
}
