//! `zdu log`: what happened, from the journal; or one node's log, as it was written.

use crate::cli::LogArgs;
use crate::context::{Context, offset};
use crate::failure::Failure;
use crate::rollouts::{self, Kept};
use std::io::ErrorKind;
use std::sync::Arc;
use zdu_model::ids::NodeName;
use zdu_model::verdict::exit;
use zdu_view::fold::RolloutView;
use zdu_view::lines::Lines;

/// Prints the log.
pub(crate) fn run(args: &LogArgs, context: &Context) -> Result<u8, Failure> {
    let LogArgs { rollout, node } = args;
    let id = rollouts::find(context, rollout)?;
    let kept = rollouts::read(context, &id)?;
    if let Some(node) = node {
        return node_log(node, &kept, context);
    }
    if context.printer.wants_json() {
        for record in &kept.records {
            context.printer.json_line(record);
        }
    } else {
        // Folded anew: a line tells what was known when it happened, not what came later.
        let plan = Arc::new(kept.view.plan().clone());
        let mut view = RolloutView::new(plan).called(context.call().clone());
        let lines = Lines { offset: offset(), palette: context.printer.out_palette() };
        for record in &kept.records {
            view.apply(record);
            for line in lines.of(&view, record) {
                context.printer.line(&line);
            }
        }
    }
    if let Some(torn) = &kept.torn {
        let said = format!("the journal's line {} {} and is not shown", torn.line, torn.why);
        context.printer.warn(&said);
    }
    Ok(exit::SUCCESS)
}

fn node_log(name: &str, kept: &Kept, context: &Context) -> Result<u8, Failure> {
    let node = NodeName::new(name)?;
    let fleet = &kept.view.plan().fleet;
    // Steps that are about no node have a log beside those of the nodes.
    let is_fleet = name == FLEET_LOG;
    if !is_fleet && fleet.node(&node).is_none() {
        let mut names: Vec<&str> = fleet.nodes().map(|node| node.name.as_str()).collect();
        names.push(FLEET_LOG);
        let what = format!("find the node {name:?}: rollout {} does not have it", kept.id);
        let hint = format!("logs: {}", names.join(", "));
        return Err(Failure::new(exit::NO_INPUT, what).hint(hint));
    }
    let path = kept.directory.path().join("logs").join(format!("{node}.log"));
    match std::fs::read(&path) {
        Ok(bytes) => {
            context.printer.raw(&String::from_utf8_lossy(&bytes));
            Ok(exit::SUCCESS)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let what = format!("read the log of {node}: no command was run there yet");
            let hint =
                format!("`{}` says where the rollout stands", kept.view.command("status", ""));
            Err(Failure::new(exit::NO_INPUT, what).hint(hint))
        }
        Err(error) => Err(Failure::fatal(format!("read {}", path.display()), &error)),
    }
}

/// The log of steps that are about no node.
const FLEET_LOG: &str = "fleet";
