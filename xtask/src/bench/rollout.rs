//! The one place that knows how `zdu` is called and what it is given.
//!
//! The files are those of `docs/decisions/0002-procedure-format.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use zdu_lab::Lab;

/// The host HAProxy runs on.
pub(super) const BALANCER: &str = "lb";
/// Where the step of [`Work::Drained`] writes when it began: nanoseconds since 1970, one line.
pub(super) const STARTED: &str = "/var/lib/zdu-bench-started";

/// What the rollout does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// This many steps that do nothing on each node, at most `parallel` nodes at once.
    Noop { steps: usize, parallel: usize },
    /// One step on each node, out of traffic; it writes down when it began.
    Drained,
}

/// A rollout that was written down and can be run any number of times.
#[derive(Debug)]
pub(super) struct Rollout {
    zdu: PathBuf,
    config: PathBuf,
    state: PathBuf,
}

impl Rollout {
    /// Writes the configuration into the lab's directory.
    pub(super) fn write(lab: &Lab, zdu: &Path, work: Work) -> Result<Self, String> {
        let directory = lab.directory().join("bench");
        let config = directory.join("zdu.yaml");
        let written = fs::create_dir_all(&directory)
            .and_then(|()| fs::write(&config, fleet(lab, work)))
            .and_then(|()| fs::write(directory.join("bench.yaml"), procedure(work)));
        written.map_err(|cause| format!("write {}: {cause}", config.display()))?;
        Ok(Self { zdu: zdu.to_path_buf(), config, state: directory.join("state") })
    }

    /// The command of a new rollout, in the control namespace. All of them share a state directory:
    /// the nodes have seen its epochs, and refuse one that knows of none.
    pub(super) fn command(&self, lab: &Lab) -> Command {
        let mut command = lab.command(&self.zdu);
        command.arg("run").arg("--config").arg(&self.config);
        command.arg("--state-dir").arg(&self.state).arg("--yes");
        command
    }
}

fn nodes(lab: &Lab) -> Vec<(&str, String)> {
    let hosts = lab.hosts().filter(|host| host.name() != BALANCER);
    hosts.map(|host| (host.name(), host.address().to_string())).collect()
}

fn fleet(lab: &Lab, work: Work) -> String {
    let mut out = String::new();
    let ssh = lab.ssh_config();
    let mut line = |text: String| writeln!(out, "{text}").expect("a string takes every line");
    line(format!("fleet:\n  name: bench\n  ssh: {{ user: root, config: \"{}\" }}", ssh.display()));
    if matches!(work, Work::Drained) {
        let address = lab.host(BALANCER).address();
        let socket = zdu_lab::haproxy::ADMIN_SOCKET;
        line(format!("  hosts: {{ {BALANCER}: {{ address: {address} }} }}"));
        line(format!(
            "  balancers:\n    edge:\n      driver: haproxy\n      \
             instances: [ {{ socket: \"unix:{socket}\", via: {BALANCER} }} ]"
        ));
    }
    line("  groups:\n    app:\n      min_available: 1\n      nodes:".to_owned());
    for (name, address) in nodes(lab) {
        let member = match work {
            Work::Noop { .. } => String::new(),
            Work::Drained => format!(", members: [ edge/app/{name} ], service_ports: [ 8080 ]"),
        };
        line(format!("        {name}: {{ address: {address}{member} }}"));
    }
    line("procedure: ./bench.yaml\nrelease: { from: \"1\", to: \"2\" }".to_owned());
    let accepted = step_ids(work).join(", ");
    line(format!("policy:\n  wave: [ 1 ]\n  soak: 0s\n  accept_no_undo: [ {accepted} ]"));
    out
}

fn procedure(work: Work) -> String {
    let mut out = "name: bench\n\
        summary: does next to nothing, so that what is left is the time zdu itself needs\n\
        source: none\n\
        phases: [ { name: APPLY, exit: 73 }, { name: ROLLBACK, exit: 75 } ]\n\
        rollback_phase: ROLLBACK\n\
        stages:\n"
        .to_owned();
    let (head, action) = match work {
        Work::Noop { steps: _, parallel } => (
            format!("  - name: noop\n    over: nodes\n    parallel: {parallel}\n"),
            "run: { argv: [ \"true\" ] }".to_owned(),
        ),
        Work::Drained => {
            let ready = "[ { http: { url: \"http://{{ node.address }}:8080/health\" } } ]";
            (
                format!(
                    "  - name: drained\n    over: rolling\n    parallel: 1\n    \
                     drain_phase: APPLY\n    return_phase: APPLY\n    \
                     ready: {ready}\n    ready_old: {ready}\n"
                ),
                format!("shell: \"date +%s%N >> {STARTED}\""),
            )
        }
    };
    out.push_str(&head);
    out.push_str("    steps:\n");
    for id in step_ids(work) {
        let step = format!("      - {{ id: {id}, phase: APPLY, {action}, unknown: rerun }}\n");
        out.push_str(&step);
    }
    out
}

fn step_ids(work: Work) -> Vec<String> {
    match work {
        Work::Noop { steps, parallel: _ } => {
            (1..=steps).map(|number| format!("noop-{number:02}")).collect()
        }
        Work::Drained => vec!["begin".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procedure_has_a_step_for_each_that_is_asked_for() {
        let text = procedure(Work::Noop { steps: 30, parallel: 1 });
        assert_eq!(text.matches("- { id: noop-").count(), 30);
        assert!(text.contains("id: noop-30,") && text.contains("    parallel: 1\n"), "{text}");
        let text = procedure(Work::Drained);
        assert!(text.contains("over: rolling") && text.contains(STARTED), "{text}");
    }
}
