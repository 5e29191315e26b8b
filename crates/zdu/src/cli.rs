//! What can be typed: one args struct for each command. The doc comments are the help text.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Upgrades fleets behind load balancers without losing a request, and proves it.
#[derive(Debug, Parser)]
#[command(name = "zdu", version, max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_required = true)]
#[command(after_help = crate::failure::exit_code_help())]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Where rollouts are kept [default: $ZDU_STATE_DIR, else $XDG_STATE_HOME/zdu, else
    /// ~/.local/state/zdu]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Answer on standard output as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour; colour never carries meaning alone
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a first zdu.yaml, empty or from what another tool knows
    Init(InitArgs),
    /// Check a configuration without connecting to anything
    Check(CheckArgs),
    /// Connect to everything, change nothing, say whether the fleet is fit
    Preflight(PreflightArgs),
    /// Show what a rollout would do, in which order, with which commands
    Plan(PlanArgs),
    /// Play the plan in a simulator, with everything that can go wrong
    Rehearse(RehearseArgs),
    /// Upgrade the fleet
    Run(RunArgs),
    /// Show all rollouts, or where one stands and on what it waits
    Status(StatusArgs),
    /// Show what happened in a rollout, or a node's log
    Log(LogArgs),
    /// Write the report of a rollout
    Report(ReportArgs),
    /// Check that a journal is whole, unaltered and bound to its plan
    Verify(VerifyArgs),
    /// Let a rollout stand still: nodes in flight are finished, no other is begun
    Hold(RequestArgs),
    /// Let a rollout that stands still, or whose controller is gone, go on
    Resume(RequestArgs),
    /// Put the nodes in flight back and end the rollout
    Abort(RequestArgs),
    /// Put every node back to the old release and end the rollout
    Rollback(RequestArgs),
    /// Confirm a step that waits for a person
    Approve(ApproveArgs),
    /// Print the JSON Schema of zdu.yaml, or of a procedure
    Schema(SchemaArgs),
    /// List the built-in procedures, or print one
    Procedures(ProceduresArgs),
    /// Run a whole rollout on this machine, with nothing to install
    Demo(DemoArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
}

/// The configuration of a command.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "zdu.yaml")]
    pub config: PathBuf,
}

/// Arguments of `zdu init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Read the fleet from what another tool knows; nothing is changed there
    #[arg(long, value_name = "TOOL")]
    pub from: Option<ImportSource>,
    /// What to read: with haproxy its runtime socket, a path or HOST:PORT; with ansible an
    /// inventory
    #[arg(value_name = "SOURCE", requires = "from")]
    #[arg(conflicts_with_all = ["anm", "user", "password_source", "scheme", "ca_file"])]
    #[arg(required_if_eq_any([("from", "haproxy"), ("from", "ansible")]))]
    pub source: Option<String>,
    /// With axway: the Admin Node Manager to ask for the topology [default port: 8090]
    #[arg(long, value_name = "HOST[:PORT]", requires = "from")]
    #[arg(required_if_eq("from", "axway"))]
    pub anm: Option<String>,
    /// The user to ask as
    #[arg(long, value_name = "NAME", requires = "anm", requires = "password_source")]
    pub user: Option<String>,
    /// Where the user's password is: env:NAME, file:PATH or command:PROGRAM ARGS..
    #[arg(long, value_name = "SOURCE", requires = "user")]
    pub password_source: Option<String>,
    /// How to ask
    #[arg(long, default_value = "https", requires = "anm")]
    pub scheme: Scheme,
    /// The certificate authority of the Admin Node Manager, as PEM
    #[arg(long, value_name = "FILE", requires = "anm")]
    pub ca_file: Option<PathBuf>,
    /// Where to write it; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "zdu.yaml")]
    pub output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// Tools a configuration can be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportSource {
    /// The topology of an Axway domain.
    Axway,
    /// The hosts of an Ansible inventory.
    Ansible,
    /// The backends and servers of a running HAProxy.
    Haproxy,
}

/// How an HTTP request travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scheme {
    /// TLS.
    Https,
    /// In clear.
    Http,
}

/// Arguments of `zdu check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Arguments of `zdu preflight`.
#[derive(Debug, Clone, Args)]
pub struct PreflightArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Arguments of `zdu plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Also write the plan to this file, for `zdu run --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Plan without connecting to anything
    #[arg(long)]
    pub offline: bool,
    /// Show only what differs from this plan
    #[arg(long, value_name = "OLD_PLAN")]
    pub diff: Option<PathBuf>,
}

/// Arguments of `zdu rehearse`.
#[derive(Debug, Clone, Args)]
pub struct RehearseArgs {
    /// The configuration [default: zdu.yaml, and where there is none the built-in reference]
    #[arg(short, long, value_name = "FILE", conflicts_with = "plan")]
    pub config: Option<PathBuf>,
    /// Rehearse exactly this plan
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Play one failure and show its story, such as node-b:APPLY=fail(3) or *:drain=reload; the
    /// next one comes in the rollout that those before it make
    #[arg(long, value_name = "NODE:STEP=FAULT")]
    pub fault: Vec<String>,
    /// How many pairs of failures to play
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub pairs: usize,
    /// Where all randomness comes from: the same seed plays the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Let everything fail on every node, also on those that others stand for
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `zdu run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The configuration [default: zdu.yaml]; with --plan: the plan must still fit it
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Run exactly this plan, as it was reviewed
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Begin without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Allow a release that was rolled back before
    #[arg(long, value_name = "REASON")]
    pub clear_refused: Option<String>,
    /// Take the lease although another controller holds it
    #[arg(long, value_name = "REASON")]
    pub take_over: Option<String>,
    /// Where steps keep their records on the nodes
    #[arg(long, value_name = "DIR")]
    pub node_dir: Option<PathBuf>,
    /// Leave the steps' records on the nodes when the rollout ends
    #[arg(long)]
    pub keep_records: bool,
}

/// Which rollout a command is about.
#[derive(Debug, Clone, Args)]
pub struct RolloutArg {
    /// The rollout: its id, the beginning of it, or `last`; may be left out when there is only one
    #[arg(value_name = "ID")]
    pub id: Option<String>,
}

/// Arguments of `zdu status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The rollout: its id, the beginning of it, or `last`; without it all are listed
    #[arg(value_name = "ID")]
    pub id: Option<String>,
}

/// Arguments of `zdu log`.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// The rollout.
    #[command(flatten)]
    pub rollout: RolloutArg,
    /// Show this node's log: every command and what it said
    #[arg(long, value_name = "NODE", conflicts_with = "json")]
    pub node: Option<String>,
}

/// Arguments of `zdu report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The rollout.
    #[command(flatten)]
    pub rollout: RolloutArg,
    /// Its form [default: md, or json with --json]
    #[arg(long, value_name = "FORM")]
    pub format: Option<ReportFormat>,
    /// Write it to this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Markdown.
    Md,
    /// JSON.
    Json,
}

/// Arguments of `zdu verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The rollout.
    #[command(flatten)]
    pub rollout: RolloutArg,
    /// Check this journal, wherever it comes from
    #[arg(long, value_name = "FILE", conflicts_with = "id")]
    pub journal: Option<PathBuf>,
    /// The plan it must be bound to [default: the one beside the journal]
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
}

/// Arguments of `zdu hold`, `resume`, `abort` and `rollback`.
#[derive(Debug, Clone, Args)]
pub struct RequestArgs {
    /// The rollout.
    #[command(flatten)]
    pub rollout: RolloutArg,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Take the lease although another controller holds it
    #[arg(long, value_name = "REASON")]
    pub take_over: Option<String>,
}

/// Arguments of `zdu approve`.
#[derive(Debug, Clone, Args)]
#[command(override_usage = "zdu approve [OPTIONS] [ID] <STEP>")]
pub struct ApproveArgs {
    /// The rollout (may be left out when there is only one) and the number of the step
    #[arg(value_names = ["ID", "STEP"], num_args = 1..=2, required = true)]
    pub words: Vec<String>,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

impl ApproveArgs {
    /// The rollout, as it was given.
    #[must_use]
    pub fn rollout(&self) -> RolloutArg {
        let id = (self.words.len() > 1).then(|| self.words.first().cloned()).flatten();
        RolloutArg { id }
    }

    /// The step, as it was given.
    #[must_use]
    pub fn step(&self) -> &str {
        self.words.last().map_or("", String::as_str)
    }
}

/// Arguments of `zdu schema`.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// The schema of a procedure instead of zdu.yaml's
    #[arg(long)]
    pub procedure: bool,
}

/// Arguments of `zdu procedures`.
#[derive(Debug, Clone, Args)]
pub struct ProceduresArgs {
    /// Print this one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Arguments of `zdu demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Let this phase fail on node-a, node-b or node-c: EXPORT, UPGRADE, PRE-APPLY, APPLY or
    /// POST-APPLY. It fails each time until the file `planted-failure` in DIR is removed
    #[arg(long, value_name = "NODE:PHASE")]
    pub fail: Option<String>,
    /// Where everything of the demo lies: its zdu.yaml and secrets, the state directory with
    /// journal, report and logs, and the stand-in gateways; it must be empty or not there
    /// [default: a new one in $XDG_STATE_HOME/zdu/demo, else ~/.local/state/zdu/demo]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// When the rollout has ended, keep gateways, balancer and traffic running until Enter, the
    /// end of standard input or Ctrl-C, so that the commands it names can be tried from another
    /// shell; the stand-in gateways then stay in DIR. Without it all of them end with the rollout,
    /// and what there is to read stays in DIR
    #[arg(long)]
    pub keep: bool,
}

/// Arguments of `zdu completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}
