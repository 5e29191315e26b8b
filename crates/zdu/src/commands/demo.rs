//! `zdu demo`: a whole rollout of the reference configuration on this machine, under traffic.
//!
//! The gateways are stand-ins of the vendor's product and the balancer is a small one of our own
//! that speaks HAProxy's runtime commands; everything between them is what `zdu run` is.

use crate::cli::{DemoArgs, Global};
use crate::commands::{DOUBLE, preflight};
use crate::context::Context;
use crate::demo::balancer::{Balancer, BalancerSpec};
use crate::demo::directory;
use crate::demo::fleet::{BACKEND, CHECK_PATH, DemoFleet, FailAt, lay_out};
use crate::demo::traffic::{Traffic, TrafficReport};
use crate::failure::Failure;
use crate::prepare;
use crate::rollout::{self, Ended, Ways};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use zdu_conductor::directory::RolloutDir;
use zdu_doubles::axway::Launcher;
use zdu_drivers::exec::quote_all;
use zdu_model::verdict::exit;

/// How long the balancer may take to see all gateways healthy before the demo begins.
const SERVING_DEADLINE: Duration = Duration::from_secs(10);

/// Answers the command.
///
/// # Errors
/// When the demo could not be set up, or zdu could not do its own job.
pub(crate) fn run(args: &DemoArgs, context: &Context) -> Result<u8, Failure> {
    let DemoArgs { fail, dir, keep } = args;
    if context.names_state_dir() {
        return Err(Failure::new(exit::USAGE, "demo: `--state-dir` is not for a demo")
            .hint("`--dir DIR` says where all of it lies; its state directory is then DIR/state"));
    }
    let fail = fail.as_deref().map(str::parse::<FailAt>).transpose().map_err(|why| {
        Failure::new(exit::USAGE, format!("demo: {why}")).hint("such as `--fail node-b:APPLY`")
    })?;
    let made = directory::make(dir.as_deref());
    let dir = made.map_err(|error| {
        if error.kind() == std::io::ErrorKind::DirectoryNotEmpty {
            let hint = "name a new directory, or none: `--dir` is not needed";
            return Failure::of(exit::USAGE, &error).hint(hint);
        }
        Failure::fatal("make the demo's directory", &error)
    })?;
    let launcher = Launcher::this_program(&[DOUBLE])
        .map_err(|error| Failure::fatal("find this program", &error))?;
    let fleet = lay_out(&dir, &launcher).map_err(|error| Failure::fatal("lay out", &error))?;
    let planted = fail.as_ref().map(|fail| fleet.plant(fail)).transpose();
    let cause = planted.map_err(|error| Failure::of(exit::USAGE, &error))?;
    let stage = Stage::set(&dir, &fleet)?;
    let inner = inner(context, &dir, args)?;
    let ended = stage.play(&inner, &dir, &fleet);
    if *keep && ended.is_ok() {
        cause.iter().for_each(|cause| context.printer.say(&lifting(cause)));
        context.printer.say(
            "gateways, balancer and traffic go on for commands from another shell; Enter ends them",
        );
        stage.stay();
    }
    let traffic = stage.strike();
    let torn_down = fleet.tear_down();
    torn_down.map_err(|error| Failure::fatal("end the demo's processes", &error))?;
    if !*keep {
        remove_installations(&dir);
    }
    let traffic = traffic?;
    let ended = ended?;
    // A lost request is the one thing the demo must never hide, behind no end of a rollout.
    let lost = traffic.failed > 0;
    let lost = lost.then(|| Failure::new(exit::FATAL_ERROR, "demo: requests were lost"));
    let answer = Answer { rollout: &inner.state.rollout(&ended.rollout), traffic: &traffic };
    answer.tell(context, &dir, lost.as_ref())?;
    match lost {
        Some(lost) => {
            // Its JSON stands in the answer.
            lost.report(&context.printer.without_data());
            Ok(lost.exit)
        }
        None => Ok(ended.exit),
    }
}

/// How the cause of a planted failure is repaired, so that a resume can go on.
fn lifting(cause: &Path) -> String {
    let remove = quote_all(["rm", &cause.display().to_string()]);
    format!("the failure was planted; this repairs its cause: {remove}")
}

/// As the rollout sees the command line: a state directory of the demo's own. What would be asked
/// of the rollout after its end finds no fleet any more, unless it is kept running.
fn inner(context: &Context, dir: &Path, args: &DemoArgs) -> Result<Context, Failure> {
    let global = Global {
        state_dir: Some(dir.join("state")),
        json: context.printer.wants_json(),
        color: context.printer.colour_choice(),
        quiet: context.printer.is_quiet(),
    };
    let inner = Context::new(&global)?.as_a_part();
    if args.keep {
        return Ok(inner);
    }
    let fail = args.fail.iter().flat_map(|fail| ["--fail", fail]);
    let again = context.call().command(&quote_all(["demo", "--keep"].into_iter().chain(fail)));
    let instead = format!("{again}  # the same, with a fleet that runs on for resume and rollback");
    let call = inner.call().clone().once_ended(instead);
    Ok(inner.called(call))
}

/// The balancer and the clients, on a runtime of their own beside the rollout's.
struct Stage {
    runtime: tokio::runtime::Runtime,
    balancer: Balancer,
    traffic: Traffic,
    socket: PathBuf,
}

impl Stage {
    fn set(dir: &Path, fleet: &DemoFleet) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failure::fatal("start the async runtime", &error))?;
        let socket = directory::socket_path(dir)
            .map_err(|error| Failure::fatal("place the balancer's socket", &error))?;
        let spec = BalancerSpec {
            backend: BACKEND.into(),
            servers: fleet.servers(),
            check_path: CHECK_PATH.into(),
            front: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            socket: socket.clone(),
            api: None,
        };
        let balancer = runtime.block_on(Balancer::start(spec));
        let balancer = balancer.map_err(|error| Failure::fatal("start the balancer", &error))?;
        let serving = runtime.block_on(balancer.all_serve(SERVING_DEADLINE));
        if let Err(missing) = serving {
            let what = format!("demo: {} do not answer their health check", missing.join(", "));
            return Err(Failure::new(exit::FATAL_ERROR, what));
        }
        let traffic = runtime.block_on(async { Traffic::start(balancer.front()) });
        Ok(Self { runtime, balancer, traffic, socket })
    }

    fn play(&self, inner: &Context, dir: &Path, fleet: &DemoFleet) -> Result<Ended, Failure> {
        let config = dir.join("zdu.yaml");
        let text = fleet.configuration(self.balancer.front(), &self.socket);
        std::fs::write(&config, text)
            .map_err(|error| Failure::fatal("write the demo's zdu.yaml", &error))?;
        inner.create_state_dir()?;
        let mut prepared = prepare::load(&config.display().to_string())?;
        preflight::see(&mut prepared, &inner.printer)?;
        let plan = prepared.plan()?.plan;
        let records = dir.join("records").display().to_string();
        let ways = Ways { node_base: Some(records), ..Ways::default() };
        rollout::start(inner, plan, prepared.access()?, &ways)
    }

    /// Lets everything run on until a person has seen enough.
    fn stay(&self) {
        // The loop of the rollout took these signals over, and nothing gives them back.
        self.runtime.block_on(async {
            let enter = || std::io::stdin().read_line(&mut String::new());
            let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
            tokio::select! {
                _ = tokio::task::spawn_blocking(enter) => {}
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        });
    }

    /// Ends the clients and the balancer, in this order.
    fn strike(self) -> Result<TrafficReport, Failure> {
        let Self { runtime, balancer, traffic, socket } = self;
        let report = runtime.block_on(traffic.stop());
        drop(balancer);
        runtime.shutdown_background();
        let _removed = std::fs::remove_file(&socket);
        Ok(report)
    }
}

/// What a person may want to read stays: configuration, journal, report, logs.
fn remove_installations(dir: &Path) {
    for name in ["node-a", "node-b", "node-c", "records"] {
        let _removed = std::fs::remove_dir_all(dir.join(name));
    }
}

/// What a demo answers: of its rollout, and of the requests meanwhile.
struct Answer<'a> {
    rollout: &'a RolloutDir,
    traffic: &'a TrafficReport,
}

impl Answer<'_> {
    /// As JSON it is one document; else the rollout has told its table already.
    fn tell(&self, context: &Context, dir: &Path, lost: Option<&Failure>) -> Result<(), Failure> {
        let Self { rollout, traffic } = self;
        if context.printer.wants_json() {
            let path = rollout.path().join("report.json");
            let read = std::fs::read(&path);
            let read = read.and_then(|bytes| Ok(serde_json::from_slice::<Value>(&bytes)?));
            let report =
                read.map_err(|error| Failure::fatal("read the report of the demo", &error))?;
            let mut answer = json!({ "report": report, "traffic": traffic });
            if let Some(lost) = lost {
                answer["error"] = lost.to_json();
            }
            context.printer.json(&answer);
        } else {
            context.printer.line(&traffic.to_string());
        }
        context.printer.note(&format!("everything of this demo is in {}", dir.display()));
        Ok(())
    }
}
