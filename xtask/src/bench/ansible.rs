//! The same steps through Ansible, where it is installed: what most operators would use otherwise.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use zdu_lab::Lab;

const PROGRAM: &str = "ansible-playbook";

/// Whether there is one in `PATH`.
pub(super) fn is_installed() -> bool {
    let mut command = Command::new(PROGRAM);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A play with as many tasks that do nothing, one node after another, with what makes Ansible
/// fast: kept connections, pipelining, no gathering of facts.
pub(super) fn playbook(lab: &Lab, nodes: &[String], steps: usize) -> Result<Command, String> {
    let directory = lab.directory().join("ansible");
    let inventory = directory.join("inventory");
    let play = directory.join("play.yaml");
    let written = fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&inventory, nodes.join("\n") + "\n"))
        .and_then(|()| fs::write(&play, play_text(steps)));
    written.map_err(|cause| format!("write {}: {cause}", play.display()))?;
    let mut command = lab.command(PROGRAM);
    command.arg("--inventory").arg(&inventory).arg(&play);
    // The lab's `PATH` does not lead to an Ansible of this user's own.
    command.env("PATH", path(&command));
    let ssh = format!("-F {} -o ControlMaster=auto -o ControlPersist=60", path_text(lab));
    command.env("ANSIBLE_SSH_ARGS", ssh).env("ANSIBLE_SSH_CONTROL_PATH_DIR", &directory);
    command.env("ANSIBLE_PIPELINING", "1").env("ANSIBLE_HOME", &directory);
    command.env("ANSIBLE_PYTHON_INTERPRETER", "/usr/bin/python3").env("ANSIBLE_NOCOLOR", "1");
    Ok(command)
}

fn path_text(lab: &Lab) -> String {
    lab.ssh_config().display().to_string()
}

/// The lab's `PATH` with this process's behind it.
fn path(command: &Command) -> std::ffi::OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let lab = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value);
    let mut path = lab.unwrap_or_default().to_owned();
    path.push(":");
    path.push(own);
    path
}

fn play_text(steps: usize) -> String {
    let mut text = "- hosts: all\n  serial: 1\n  strategy: linear\n  gather_facts: false\n  \
                    remote_user: root\n  tasks:\n"
        .to_owned();
    for step in 1..=steps {
        writeln!(text, "    - name: noop-{step:02}\n      ansible.builtin.command: \"true\"")
            .expect("a string takes every line");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_play_has_a_task_for_each_step_and_goes_node_by_node() {
        let text = play_text(30);
        assert_eq!(text.matches("ansible.builtin.command").count(), 30);
        assert!(text.contains("serial: 1\n") && text.contains("noop-30\n"), "{text}");
    }
}
