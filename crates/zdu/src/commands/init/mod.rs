//! `zdu init`: a first configuration, from nothing or from what another tool knows.

mod axway;
mod haproxy;

use crate::cli::{ImportSource, InitArgs};
use crate::context::Context;
use crate::failure::Failure;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;
use zdu_config::Disk;
use zdu_config::import::{self, Imported};
use zdu_model::verdict::exit;

/// Writes the configuration.
pub(crate) fn run(args: &InitArgs, context: &Context) -> Result<u8, Failure> {
    let Imported { text, found, not_read, decide } = imported(args, context)?;
    let printer = &context.printer;
    let told = [("found", &found), ("not read", &not_read), ("decide", &decide)];
    let tell = || {
        for (word, texts) in told {
            texts.iter().for_each(|text| printer.note(&format!("{word}: {text}")));
        }
    };
    if args.output == Path::new("-") {
        printer.data(&text);
        tell();
        return Ok(exit::SUCCESS);
    }
    write(args, &text)?;
    let file = args.output.display();
    if printer.wants_json() {
        printer.json(&json!({
            "written": file.to_string(), "found": found, "not_read": not_read, "decide": decide,
        }));
    }
    tell();
    printer.note(&format!("wrote {file}: change what is marked in it, then"));
    printer.note(&format!("next: zdu check --config {file}"));
    Ok(exit::SUCCESS)
}

/// The configuration, from nothing or from what another tool knows.
fn imported(args: &InitArgs, context: &Context) -> Result<Imported, Failure> {
    let Some(source) = args.from else {
        let text = import::scaffold().to_owned();
        return Ok(Imported { text, ..Imported::default() });
    };
    // Asked before anybody is: a file that would not be written is no reason to connect.
    refuse_existing(args)?;
    // The command line has it where the tool needs it.
    let named = args.source.as_deref().unwrap_or_default();
    Ok(match source {
        ImportSource::Axway => import::axway::from_topology(&axway::topology(args, context)?)?,
        ImportSource::Ansible => import::ansible::from_inventory(named, &Disk)?,
        ImportSource::Haproxy => haproxy::imported(named)?,
    })
}

fn refuse_existing(args: &InitArgs) -> Result<(), Failure> {
    if args.force || args.output == Path::new("-") || !args.output.exists() {
        return Ok(());
    }
    Err(exists(&args.output))
}

fn exists(path: &Path) -> Failure {
    Failure::new(exit::USAGE, format!("write {}: it is there already", path.display()))
        .hint("choose another name with `--output FILE`, or replace it with `--force`")
}

fn write(args: &InitArgs, text: &str) -> Result<(), Failure> {
    let path = &args.output;
    let mut options = OpenOptions::new();
    options.write(true);
    // Without `--force` the system itself refuses a file that somebody else made meanwhile.
    if args.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return exists(path);
        }
        Failure::fatal(format!("write {}", path.display()), &error)
            .hint("choose a file this user may write: `--output FILE`")
    })
}
