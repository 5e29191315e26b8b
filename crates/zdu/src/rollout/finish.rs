//! What is left to do when a rollout ended: tidy the nodes, remember a bad release, tell people.

use crate::context::Context;
use crate::failure::Failure;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use zdu_conductor::directory::RolloutDir;
use zdu_conductor::refused::{Refusal, RefusedReleases, why_refused};
use zdu_conductor::verify::verify;
use zdu_drivers::Access;
use zdu_drivers::exec::Supervisor;
use zdu_model::ids::{NodeName, RolloutId};
use zdu_model::plan::{Plan, Target, Work};
use zdu_model::time::Timestamp;
use zdu_model::verdict::Verdict;
use zdu_view::fold::RolloutView;
use zdu_view::front;
use zdu_view::markdown::markdown;
use zdu_view::next::next_commands;
use zdu_view::report::report;
use zdu_view::table::summary_table;

/// How long one node may take to remove our records; the rest is left to the next rollout.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(15);

/// Removes our records from every node that can be reached. The newest epoch stays: it is what
/// makes a node refuse an older controller.
pub(super) async fn remove_records(
    plan: &Plan,
    access: &Arc<Access>,
    base: Option<&str>,
    rollout: &RolloutId,
) {
    let mut targets: Vec<Option<NodeName>> = Vec::new();
    for step in plan.steps.iter().filter(|step| matches!(step.work, Work::Run(_))) {
        let target = match &step.target {
            Target::Controller => None,
            Target::Node(node) => Some(node.clone()),
        };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut tasks = JoinSet::new();
    for target in targets {
        let Ok(supervisor) = Supervisor::new(base) else { return };
        let (access, rollout) = (Arc::clone(access), rollout.to_string());
        tasks.spawn(async move {
            let clean = async {
                let mut channel = access.channel(target.as_ref()).await?;
                supervisor.clean(&mut channel, &rollout).await
            };
            // What cannot be removed now (a node that is down) is harmless: 0600 and small.
            let _cleaned = tokio::time::timeout(CLEAN_TIMEOUT, clean).await;
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Law 12: a release that was rolled back is refused until someone clears it.
pub(super) fn remember_refused(
    context: &Context,
    view: &RolloutView,
    verdict: &Verdict,
    at: Timestamp,
) -> Result<(), Failure> {
    let Some(reason) = why_refused(verdict) else { return Ok(()) };
    let plan = view.plan();
    let Some(rollout) = view.rollout() else { return Ok(()) };
    let refused = RefusedReleases::new(context.state.fleet(&plan.fleet.name));
    let release = plan.release.to.clone();
    refused.refuse(Refusal { release, rollout: rollout.clone(), reason, at })?;
    Ok(())
}

/// Writes the report beside the journal, prints the table on stdout and what to do next on stderr.
pub(super) fn tell(
    context: &Context,
    view: &RolloutView,
    directory: &RolloutDir,
    logs: &Path,
    now: Timestamp,
) -> Result<(), Failure> {
    let head = verify(&directory.journal(), None).ok().map(|verified| verified.head);
    let told = report(view, now, head.as_ref());
    let json = serde_json::to_string_pretty(&told)
        .map_err(|error| Failure::fatal("write the report", &error))?;
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        let mode = |file: std::fs::File| {
            use std::os::unix::fs::PermissionsExt as _;
            file.set_permissions(std::fs::Permissions::from_mode(0o600))
        };
        std::fs::File::create(&path).and_then(mode)?;
        std::fs::write(&path, text)
    };
    for (name, text) in [("report.json", &json), ("report.md", &markdown(&told))] {
        if let Err(error) = write(name, text) {
            context.printer.say(&format!("{name} cannot be written: {error}"));
        }
    }
    if context.printer.wants_json() {
        context.printer.line(&json);
    } else {
        context.printer.data(&summary_table(view));
        for line in front::summary(view) {
            context.printer.line(&line);
        }
    }
    context.printer.say(&format!("journal  {}", directory.journal().display()));
    context.printer.say(&format!("report   {}", directory.path().join("report.md").display()));
    context.printer.say(&format!("logs     {}", logs.display()));
    for command in next_commands(view) {
        context.printer.say(&format!("next: {command}"));
    }
    Ok(())
}
