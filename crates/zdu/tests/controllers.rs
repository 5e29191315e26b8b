//! One controller after another: one that was killed, and those whose state directory was lost or
//! is not the newest, where nodes remember who was there and only a person's word goes past them.
//! Whole rollouts of one local node by the built binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CONFIG: &str = "\
fleet:
  name: edge
  groups: { g: { min_available: 0, nodes: { node-a: { address: 127.0.0.1, local: true } } } }
release: { from: '1', to: '2' }
procedure: p.yaml
";

/// One step, which runs as long as there is a file that says so, and fails where there is another.
const PROCEDURE: &str = "\
name: p
summary: says hello
source: a test
phases: [ { name: EXPORT, exit: 70 }, { name: ROLLBACK, exit: 75 } ]
rollback_phase: ROLLBACK
stages:
  - name: only
    over: nodes
    steps:
      - id: hello
        phase: EXPORT
        run:
          shell: |
            while test -e \"$HOME/wait\"; do sleep 0.05; done
            test ! -e \"$HOME/broken\"
on_failure: [ { do: stop } ]
";

/// A home of a user on a machine that is the fleet's only node too.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        for (name, text) in [("zdu.yaml", CONFIG), ("p.yaml", PROCEDURE)] {
            std::fs::write(place.path(name), text).expect("written");
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, state: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zdu"));
        command.args(words).arg("--state-dir").arg(self.path(state)).current_dir(self.0.path());
        command.env_clear().env("HOME", self.0.path()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null());
        command
    }

    /// The exit code of a command and what it printed.
    fn zdu(&self, state: &str, words: &[&str]) -> (i32, String) {
        let output = self.command(state, words).output().expect("the binary was built");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().expect("ended"), String::from_utf8(said).expect("UTF-8"))
    }

    fn ends(&self, state: &str, words: &[&str], code: i32, says: &[&str]) {
        let (ended, said) = self.zdu(state, words);
        assert_eq!(ended, code, "{words:?}: {said}");
        for text in says {
            assert!(said.contains(text), "{text:?} is not in what {words:?} says: {said}");
        }
    }

    /// The newest epoch the node has seen.
    fn seen(&self) -> Option<u64> {
        let names = std::fs::read_dir(self.path(".zdu/epoch")).ok()?;
        let names = names.map(|entry| entry.expect("one").file_name());
        let epochs = names.filter_map(|name| name.to_str()?.strip_prefix("edge.")?.parse().ok());
        epochs.max()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("there") {
        let (from, name) = entry.map(|e| (e.path(), e.file_name())).expect("one");
        match from.is_dir() {
            true => copy(&from, &to.join(name)),
            false => drop(std::fs::copy(&from, to.join(name)).expect("copied")),
        }
    }
}

const WAYS_ON: [&str; 3] = ["`zdu status` where it runs", "--state-dir DIR", "--take-over REASON"];

#[test]
fn a_fleet_whose_state_directory_was_lost_is_upgraded_again_at_the_first_take_over() {
    let place = Place::new();
    for _ in 0..4 {
        place.ends("old", &["run", "--yes"], 0, &[]);
    }
    assert_eq!(place.seen(), Some(4));
    let why = "node-a: not so: no newer controller has been here: it has seen epoch 4";
    place.ends("new", &["preflight"], 69, &[why, WAYS_ON[0], WAYS_ON[1], WAYS_ON[2]]);
    assert!(!place.path("new").exists(), "preflight wrote something");
    // As often as it is tried, and nothing is left that would look like a rollout under way.
    for _ in 0..2 {
        let why = "a node has seen epoch 4, and this state directory knows none newer than 0";
        place.ends("new", &["run", "--yes"], 13, &[why, WAYS_ON[0], WAYS_ON[1], WAYS_ON[2]]);
        place.ends("new", &["status"], 0, &["there is no rollout"]);
    }
    place.ends("new", &["run", "--yes", "--take-over", "disk of ops-1 lost"], 0, &[]);
    assert_eq!(place.seen(), Some(5));
    place.ends("new", &["log", "last"], 0, &["by force over epoch 4", "disk of ops-1 lost"]);
    // It is the newest now: nobody's word is needed any more, and the old one is the older one.
    place.ends("new", &["run", "--yes"], 0, &[]);
    place.ends("old", &["run", "--yes"], 13, &["a node has seen epoch 6"]);
}

#[test]
fn a_resume_from_an_older_copy_of_the_state_directory_needs_a_persons_word_once() {
    let place = Place::new();
    std::fs::write(place.path("broken"), "").expect("written");
    place.ends("old", &["run", "--yes"], 70, &[]);
    copy(&place.path("old"), &place.path("copy"));
    std::fs::remove_file(place.path("broken")).expect("there");
    for _ in 0..3 {
        place.ends("old", &["run", "--yes"], 0, &[]);
    }
    // Nobody asks the nodes first: the node itself refuses the step, and then it is known.
    let resume = ["resume", "last", "--reason", "repaired"];
    let told = "a node has seen epoch 4, newer than ours; nothing more was begun";
    place.ends("copy", &resume, 13, &[told, WAYS_ON[0], WAYS_ON[1], WAYS_ON[2]]);
    let told = "a node has seen epoch 4, and this state directory knows none newer than 2";
    place.ends("copy", &resume, 13, &[told]);
    let forced = [&resume[..], &["--take-over", "ops-1 is gone"]].concat();
    place.ends("copy", &forced, 0, &[]);
    assert_eq!(place.seen(), Some(5));
}

/// A rollout whose only step runs until the file `wait` is gone, and its controller.
fn under_way(place: &Place) -> Child {
    std::fs::write(place.path("wait"), "").expect("written");
    let mut command = place.command("state", &["run", "--yes", "--quiet"]);
    let controller = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("begun");
    let until = Instant::now() + Duration::from_secs(30);
    while place.seen().is_none() {
        assert!(Instant::now() < until, "no step was begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    controller
}

#[test]
fn a_controller_that_lives_and_is_ousted_stops_and_the_new_one_waits_until_it_cannot_act() {
    let place = Place::new();
    let mut old = under_way(&place);
    let words = ["resume", "last", "--reason", "it hangs", "--take-over", "ops-1 hangs"];
    let new = place.command("state", &words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let new = new.expect("begun");
    // By itself, long before the other one begins: at the latest with its next renewal.
    assert_eq!(old.wait().expect("ended").code(), Some(13));
    let waits = ["driven:   by nobody until ", " took the lease from "];
    place.ends("state", &["status", "last"], 0, &waits);
    std::fs::remove_file(place.path("wait")).expect("there");
    // The same words again oust nobody but the one they were meant for: of two, one drives.
    let rival =
        place.command("state", &words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let rival = rival.expect("begun").wait_with_output().expect("ended");
    let output = new.wait_with_output().expect("ended");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    let codes = [output.status.code(), rival.status.code()];
    let told = String::from_utf8([rival.stdout, rival.stderr].concat()).expect("UTF-8");
    assert!(codes.contains(&Some(0)), "{codes:?} {said} {told}");
    // The other one was told that somebody drives, or that there is nothing left to do.
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 12 | 64..=66))), "{codes:?} {told}");
    assert!(said.contains(" lost the lease and may act on balancers for "), "{said}");
    place.ends("state", &["log", "last"], 0, &["by force from ", ": ops-1 hangs"]);
    assert_eq!(place.seen(), Some(2));
}

#[test]
fn the_status_of_a_rollout_whose_controller_was_killed_says_so_at_once_and_what_to_do() {
    let place = Place::new();
    let mut controller = under_way(&place);
    let lives = ["driven:   by ", "epoch 1, lease until", "waits on: the command of hello"];
    place.ends("state", &["status", "last"], 0, &lives);
    controller.kill().expect("killed");
    controller.wait().expect("gone");
    let gone = ["driven:   by nobody: its controller ", " is gone (killed?)", "next:     "];
    place.ends("state", &["status", "last"], 0, &gone);
    place.ends("state", &["status"], 0, &["RUNNING (driven by nobody)"]);
    let (_, said) = place.zdu("state", &["status", "last"]);
    let next = said.lines().find_map(|line| line.strip_prefix("next:     "));
    let (_, resume) = next.expect("a command").split_once(" resume ").expect("a resume");
    let id = resume.split(' ').next().expect("an id");
    std::fs::remove_file(place.path("wait")).expect("there");
    place.ends("state", &["resume", id], 0, &[]);
}

#[test]
fn who_is_asked_whether_to_begin_is_shown_what_the_plan_warns_of() {
    let place = Place::new();
    let rolling = "over: rolling\n    drain_phase: EXPORT\n    return_phase: EXPORT";
    std::fs::write(place.path("p.yaml"), PROCEDURE.replace("over: nodes", rolling))
        .expect("written");
    let config = format!("{CONFIG}policy: {{ accept_no_undo: [ hello ] }}\n");
    std::fs::write(place.path("zdu.yaml"), config).expect("written");
    let (code, said) = place.zdu("state", &["run"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("warning: ") && !said.contains("no warnings"), "{said}");
    assert_eq!(place.seen(), None, "nothing was begun");
}
