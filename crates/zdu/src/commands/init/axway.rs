//! The topology of an Axway domain, asked of its Admin Node Manager.

use crate::cli::{InitArgs, Scheme};
use crate::context::Context;
use crate::failure::Failure;
use crate::prepare;
use std::collections::BTreeMap;
use std::time::Duration;
use zdu_drivers::capture::Captures;
use zdu_drivers::probe::{self, Values};
use zdu_model::fleet::Fleet;
use zdu_model::ids::{FleetName, SecretName};
use zdu_model::plan::{HttpCall, Subject};
use zdu_model::policy::SecretSource;
use zdu_model::verdict::exit;

/// The management port of an Admin Node Manager.
const ANM_PORT: &str = "8090";
/// How long an Admin Node Manager may take. It answers from memory; what takes longer hangs.
const ANM_TIMEOUT: Duration = Duration::from_secs(20);

/// Asks the Admin Node Manager for the topology of its domain.
pub(super) fn topology(args: &InitArgs, context: &Context) -> Result<String, Failure> {
    let host = with_port(args.anm.as_deref().unwrap_or_default())?;
    let scheme = match args.scheme {
        Scheme::Https => "https",
        Scheme::Http => "http",
    };
    let password = SecretName::new("password")?;
    let mut sources = BTreeMap::new();
    if let Some(source) = &args.password_source {
        sources.insert(password.clone(), secret_source(source)?);
        if args.scheme == Scheme::Http {
            context.printer.warn(&format!("the password travels to {host} in clear"));
        }
    }
    let nobody = Fleet {
        name: FleetName::new("import")?,
        groups: Vec::new(),
        balancers: BTreeMap::new(),
        hosts: BTreeMap::new(),
        front: Vec::new(),
    };
    let access = prepare::access(&nobody, &sources, &BTreeMap::new())?;
    let call = HttpCall {
        method: "GET".into(),
        url: format!("{scheme}://{host}/api/topology"),
        basic: args.user.clone().map(|user| (user, password)),
        ca_file: args.ca_file.as_ref().map(|path| path.to_string_lossy().into_owned()),
        ..HttpCall::default()
    };
    let captures = Captures::new(std::path::PathBuf::new());
    let values = Values { captures: &captures, subject: &Subject::Fleet };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::fatal("start the async runtime", &error))?;
    let answered = runtime.block_on(probe::http(&access, values, &call, ANM_TIMEOUT));
    let what = || format!("get {}", call.url);
    let unavailable = |why: &str| {
        let failure = Failure::new(exit::UNAVAILABLE, what());
        Failure { causes: vec![why.to_owned()], ..failure }
    };
    let answered = answered.map_err(|why| {
        unavailable(&why)
            .hint("does an Admin Node Manager answer there, with this scheme and port?")
            .hint("a certificate of the domain's own authority needs `--ca-file FILE`")
    })?;
    match answered.status {
        Some(200) => Ok(answered.text),
        Some(status @ (401 | 403)) => Err(unavailable(&format!("it answered {status}"))
            .hint("give a user and where the password is: `--user admin --password-source env:X`")),
        status => {
            let status = status.map_or("without a status".to_owned(), |code| code.to_string());
            Err(unavailable(&format!("it answered {status}"))
                .hint("is it an Admin Node Manager? other Node Managers have no topology"))
        }
    }
}

/// `HOST` or `HOST:PORT` as an authority of a URL.
fn with_port(given: &str) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if given.is_empty() || !given.chars().all(plain) {
        let what = format!("use {given:?} as an Admin Node Manager: it is no HOST or HOST:PORT");
        return Err(Failure::new(exit::USAGE, what)
            .hint("the scheme is given by `--scheme`, the user by `--user`"));
    }
    let colons = given.matches(':').count();
    Ok(match (given.starts_with('['), colons) {
        (false, 0) => format!("{given}:{ANM_PORT}"),
        (false, 1) => given.to_owned(),
        (true, _) if given.contains("]:") => given.to_owned(),
        (true, _) => format!("{given}:{ANM_PORT}"),
        (false, _) => format!("[{given}]:{ANM_PORT}"),
    })
}

/// Where a password is. The value itself is never an argument: other users can see those.
fn secret_source(given: &str) -> Result<SecretSource, Failure> {
    match given.split_once(':') {
        Some(("env", name)) if !name.is_empty() => Ok(SecretSource::Env(name.to_owned())),
        Some(("file", path)) if !path.is_empty() => Ok(SecretSource::File(path.to_owned())),
        Some(("command", words)) if !words.trim().is_empty() => {
            Ok(SecretSource::Command(words.split_whitespace().map(str::to_owned).collect()))
        }
        // The text is not repeated: it may be the password.
        _ => Err(Failure::new(exit::USAGE, "use --password-source: it names no source")
            .hint("say where it is: `env:NAME`, `file:PATH` or `command:PROGRAM ARGUMENTS`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_node_manager_without_a_port_has_the_management_port() {
        let port = |given| with_port(given).map_err(|failure| failure.exit);
        assert_eq!(port("gw-a").as_deref(), Ok("gw-a:8090"));
        assert_eq!(port("gw-a:9090").as_deref(), Ok("gw-a:9090"));
        assert_eq!(port("fe80::1").as_deref(), Ok("[fe80::1]:8090"));
        assert_eq!(port("[fe80::1]:1").as_deref(), Ok("[fe80::1]:1"));
        for bad in ["", "https://gw-a", "admin:pw@gw-a", "gw a"] {
            assert_eq!(port(bad), Err(exit::USAGE), "{bad:?}");
        }
    }

    #[test]
    fn a_password_given_in_place_of_its_source_is_refused_and_not_repeated() {
        let failure = secret_source("hunter2").expect_err("no source");
        assert_eq!(failure.exit, exit::USAGE);
        assert!(!failure.sentence().contains("hunter2"));
    }
}
