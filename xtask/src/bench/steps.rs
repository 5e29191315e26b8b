//! Steps that do nothing: by zdu, journaled and supervised, and by plain ssh.

use std::path::Path;
use std::process::Command;

use zdu_lab::{HostSpec, Lab};

use super::rollout::{Rollout, Work};
use super::{RUNS, ansible, figures, node_names, text, timed};
use crate::say;

const STEPS_PER_NODE: usize = 30;

/// 90 steps on three nodes, one after another, against a shell loop over kept connections.
pub(super) fn one_after_another(zdu: &Path) -> Result<(), String> {
    let names = node_names(3);
    let lab = up(&names)?;
    let rollout = Rollout::write(&lab, zdu, Work::Noop { steps: STEPS_PER_NODE, parallel: 1 })?;
    let log = lab.directory().join("bench.log");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // In turns, so that a machine that becomes slower does so for both.
    for _ in 0..RUNS {
        ours.push(timed::seconds(rollout.command(&lab), &log)?);
        theirs.push(timed::seconds(kept_loop(&lab, &names), &log)?);
        timed::seconds(close_kept(&lab, &names), &log)?;
    }
    let title = format!("{} no-op steps on 3 nodes, one after another", 3 * STEPS_PER_NODE);
    say::line(&figures::ratio(&title, &ours, ("ssh ControlMaster loop", &theirs)));
    beside_ansible(&lab, &names, &ours, &log)
}

/// Once, not in turns: it is an order of magnitude away.
fn beside_ansible(lab: &Lab, names: &[String], ours: &[f64], log: &Path) -> Result<(), String> {
    if !ansible::is_installed() {
        say::line("    ansible-playbook is not installed");
        return Ok(());
    }
    let took = timed::seconds(ansible::playbook(lab, names, STEPS_PER_NODE)?, log)?;
    let title = "the same steps by Ansible: command tasks, serial 1, pipelining";
    say::line(&figures::ratio(title, ours, ("ansible-playbook, once", &[took])));
    Ok(())
}

/// One step on each of 50 nodes at once without a connection to begin with, against `xargs`; and
/// the memory this takes.
pub(super) fn cold_and_memory(zdu: &Path) -> Result<(), String> {
    let names = node_names(50);
    let lab = up(&names)?;
    let rollout = Rollout::write(&lab, zdu, Work::Noop { steps: 1, parallel: 50 })?;
    let log = lab.directory().join("bench.log");
    let (mut ours, mut theirs, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(timed::seconds(rollout.command(&lab), &log)?);
        theirs.push(timed::seconds(all_at_once(&lab, &names), &log)?);
    }
    let name = zdu.file_name().and_then(|name| name.to_str()).unwrap_or("zdu");
    // Apart, so that looking at the process does not slow down what was timed above.
    for _ in 0..RUNS {
        peaks.push(timed::peak_kib(rollout.command(&lab), name, &log)? / 1024.0);
    }
    let title = "1 no-op step on each of 50 nodes, cold";
    say::line(&figures::ratio(title, &ours, ("xargs -P 50 ssh", &theirs)));
    say::line(&format!(
        "peak memory of the controller at 50 nodes (VmHWM, its ssh children not in it): {}",
        figures::with_raw(&peaks, "MiB")
    ));
    Ok(())
}

fn up(names: &[String]) -> Result<Lab, String> {
    let specs: Vec<HostSpec> = names.iter().map(|name| HostSpec::new(name)).collect();
    Lab::up("bench", &specs).map_err(text)
}

/// In the order of zdu: all steps of one node, then the next node.
fn kept_loop(lab: &Lab, names: &[String]) -> Command {
    let script = format!(
        "for n in {}; do i=0; while [ $i -lt {STEPS_PER_NODE} ]; do \
         ssh -o ControlMaster=auto -o ControlPersist=60 -o ControlPath={} $n true || exit 1; \
         i=$((i + 1)); done; done",
        names.join(" "),
        control_path(lab)
    );
    shell(lab, &script)
}

/// Ends the kept connections, so that the next run begins without any.
fn close_kept(lab: &Lab, names: &[String]) -> Command {
    let path = control_path(lab);
    let names = names.join(" ");
    shell(
        lab,
        &format!("for n in {names}; do ssh -O exit -o ControlPath={path} $n || exit 1; done"),
    )
}

fn control_path(lab: &Lab) -> String {
    lab.directory().join("kept-%n").display().to_string()
}

fn all_at_once(lab: &Lab, names: &[String]) -> Command {
    let names = names.join(" ");
    shell(lab, &format!("printf '%s\\n' {names} | xargs -P 50 -I '{{}}' ssh '{{}}' true"))
}

fn shell(lab: &Lab, script: &str) -> Command {
    let mut command = lab.command("sh");
    command.args(["-c", script]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The half of the bench that needs no zdu. Skips where there can be no lab.
    #[test]
    fn plain_ssh_reaches_every_node_both_ways() {
        if let Err(reason) = zdu_lab::available() {
            say::error(&format!("SKIPPED: {reason}"));
            return;
        }
        let names = node_names(2);
        let lab = up(&names).expect("a lab comes up");
        let log = lab.directory().join("bench.log");
        for command in
            [kept_loop(&lab, &names), close_kept(&lab, &names), all_at_once(&lab, &names)]
        {
            timed::seconds(command, &log).expect("every ssh ends with success");
        }
        let absent = node_names(3);
        timed::seconds(all_at_once(&lab, &absent), &log).expect_err("a node is not there");
    }
}
