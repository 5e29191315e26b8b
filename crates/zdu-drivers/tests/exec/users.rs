//! Steps of another user: a login without root, over a real `sshd`, with `sudo` to somebody else
//! and to root. The users and their entry in `/etc/sudoers.d` are made for the test and removed
//! after.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use zdu_drivers::exec::{
    Channel, Exit, Limits, Node, Pool, Spec, StepEnd, StepFate, Supervisor, Target, run_step,
};

use crate::LONG;
use crate::sshd::Sshd;
use crate::steps::{appeared, begin, command_lines, goes, shell, within};

/// A login that is not root and may do everything by `sudo`, and somebody else.
struct Users {
    login: String,
    other: String,
    rule: PathBuf,
    /// Belongs to the login.
    directory: TempDir,
    sshd: Sshd,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Users {
    /// None, and loudly so, where they cannot be made. `pty`: sudo's setting of that name.
    fn make(pty: bool) -> Option<Self> {
        let skipped = |why: &str| {
            // Past the harness, which swallows the output of a test that passes.
            let _told = writeln!(std::io::stderr(), "SKIPPED, STEPS BY SUDO: {why}");
            None
        };
        if !rustix::process::geteuid().is_root() {
            return skipped("only root can make users");
        }
        let there = |program: &str| Path::new(program).exists();
        for program in ["/usr/bin/sudo", "/usr/sbin/useradd", "/usr/sbin/userdel"] {
            if !there(program) {
                return skipped(&format!("{program} is not installed"));
            }
        }
        let Some(sshd) = Sshd::start() else {
            return skipped("sshd is not installed");
        };
        let own = format!("{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let [login, other] = ["l", "o"].map(|kind| format!("zdut-{kind}-{own}"));
        let directory = tempfile::tempdir().expect("a directory");
        // Not yet made when it fails: dropping removes what is there.
        let rule = PathBuf::from(format!("/etc/sudoers.d/zdut-{own}"));
        let users = Self { login, other, rule, directory, sshd };
        for name in [&users.login, &users.other] {
            // `*`: no password fits, but the account is not locked.
            let words = ["--no-create-home", "--shell", "/bin/sh", "--password", "*", "--home-dir"];
            succeed(Process::new("useradd").args(words).arg(users.directory.path()).arg(name));
        }
        // A command with a terminal of its own would be in another session, where no signal to the
        // step's group reaches it. A step has no terminal to begin with; systems differ in the
        // setting, so both are tried.
        let pty = if pty { "use_pty" } else { "!use_pty" };
        let login = &users.login;
        let text = format!("Defaults:{login} {pty}\n{login} ALL=(ALL) NOPASSWD: ALL\n");
        std::fs::write(&users.rule, text).expect("writes");
        std::fs::set_permissions(&users.rule, std::fs::Permissions::from_mode(0o440))
            .expect("sets");
        chown(users.directory.path(), Some(number(&users.login)), None).expect("gives it away");
        for open in [users.directory.path(), users.sshd.directory.path()] {
            let mode = std::fs::Permissions::from_mode(0o711);
            std::fs::set_permissions(open, mode).expect("sets");
        }
        Some(users)
    }

    fn node(&self) -> Node {
        let mut target = self.sshd.target();
        if let Target::Ssh { user, .. } = &mut target {
            *user = Some(self.login.clone());
        }
        Node { pool: Arc::new(Pool::new(LONG)), name: "n".to_owned(), target }
    }

    fn base(&self) -> PathBuf {
        self.directory.path().join("base")
    }

    fn supervisor(&self) -> Supervisor {
        Supervisor::new(self.base().to_str()).expect("an absolute path")
    }

    /// A directory everyone may write into.
    fn open(&self) -> PathBuf {
        let open = self.directory.path().join("open");
        std::fs::create_dir_all(&open).expect("a directory");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).expect("sets");
        open
    }

    fn step(&self, name: &str, user: &str, script: &str) -> Spec {
        Spec { user: Some(user.to_owned()), ..shell(&format!("{user}-{name}"), script) }
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.rule);
        // userdel refuses while a session of the user's ends; those of the test are its own.
        self.sshd.cut_connections();
        for name in [&self.login, &self.other] {
            let _gone = Process::new("userdel").args(["--force", name]).output();
        }
    }
}

fn succeed(command: &mut Process) {
    let ended = command.output().expect("starts");
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

fn number(user: &str) -> u32 {
    let ended = Process::new("id").args(["-u", user]).output().expect("starts");
    String::from_utf8_lossy(&ended.stdout).trim().parse().expect("a number")
}

async fn run(node: &Node, supervisor: &Supervisor, step: &Spec, limits: Limits) -> StepEnd {
    run_step(&|| true, node, supervisor, step, limits, &mut |_| {}).await.expect("runs")
}

#[tokio::test]
async fn by_sudo_a_step_ends_with_its_exact_status_and_output_as_the_other_user_and_as_root() {
    for pty in [false, true] {
        let Some(users) = Users::make(pty) else { return };
        ends(&users).await;
    }
}

async fn ends(users: &Users) {
    let (node, supervisor) = (users.node(), users.supervisor());
    for user in [users.other.as_str(), "root"] {
        let cases = [
            ("exit 0", Exit::Exited(0)),
            ("exit 5", Exit::Exited(5)),
            ("exit 130", Exit::Exited(130)),
            ("exit 137", Exit::Exited(137)),
            ("kill -TERM $$", Exit::Signaled(15)),
            ("kill -INT $$", Exit::Signaled(2)),
            ("kill -QUIT $$", Exit::Signaled(3)),
            ("kill -PIPE $$", Exit::Signaled(13)),
            ("kill -KILL $$", Exit::Signaled(9)),
        ];
        for (number, (script, exit)) in cases.into_iter().enumerate() {
            let script = format!("ulimit -c 0; id -un; echo err >&2; {script}");
            let step = users.step(&number.to_string(), user, &script);
            let end = run(&node, &supervisor, &step, within(LONG)).await;
            assert_eq!(end.fate, StepFate::Ended(exit), "{user}: {script}");
            let said = (String::from_utf8_lossy(&end.stdout), String::from_utf8_lossy(&end.stderr));
            assert_eq!(said, (format!("{user}\n").into(), "err\n".into()), "{script}");
        }
    }
}

#[tokio::test]
async fn by_sudo_a_step_is_ended_with_its_children_at_its_deadline_also_when_it_ignores_term() {
    for pty in [false, true] {
        let Some(users) = Users::make(pty) else { return };
        is_ended(&users).await;
    }
}

async fn is_ended(users: &Users) {
    let (node, supervisor, open) = (users.node(), users.supervisor(), users.open());
    for user in [users.other.as_str(), "root"] {
        for (name, trap, signal) in [("soft", "", 15), ("hard", "trap '' TERM;", 9)] {
            let ready = open.join(format!("{user}-{name}"));
            let script = format!(
                "{trap} sleep 120 & echo $!; : >{}; while :; do wait; sleep 120; done",
                ready.display()
            );
            let step = users.step(name, user, &script);
            begin(&node, &supervisor, &step, &ready).await;
            // TERM is enough for the soft one, however long the machine takes to deliver it.
            let grace = if trap.is_empty() { LONG } else { Duration::from_millis(300) };
            let limits = Limits { deadline: Duration::from_millis(300), grace };
            let end = run(&node, &supervisor, &step, limits).await;
            let child = String::from_utf8_lossy(&end.stdout).trim().to_owned();
            assert_eq!(end.fate, StepFate::TimedOut(Some(Exit::Signaled(signal))), "{user} {name}");
            goes(&child).await;
        }
    }
}

#[tokio::test]
async fn by_sudo_a_secret_reaches_standard_input_and_nothing_else_and_the_records_go() {
    for pty in [false, true] {
        let Some(users) = Users::make(pty) else { return };
        keeps_a_secret(&users).await;
    }
}

async fn keeps_a_secret(users: &Users) {
    let (node, supervisor, open) = (users.node(), users.supervisor(), users.open());
    let secret = "s3cr3t-by-sudo-51a7";
    for user in [users.other.as_str(), "root"] {
        let (ready, gate) = (open.join(format!("{user}-ready")), open.join(format!("{user}-gate")));
        let script = format!(
            "read -r word; echo ${{#word}}; : >{}; while [ ! -e {} ]; do sleep 0.02; done",
            ready.display(),
            gate.display()
        );
        let mut step = users.step("secret", user, &script);
        step.stdin = format!("{secret}\n").into_bytes();
        let look = async {
            appeared(&ready).await;
            for line in command_lines() {
                assert!(!line.contains(secret), "{line}");
            }
            std::fs::write(&gate, "").expect("writes");
        };
        let (end, ()) = tokio::join!(run(&node, &supervisor, &step, within(LONG)), look);
        assert_eq!(String::from_utf8_lossy(&end.stdout), "19\n", "{end:?}");
        let mut left = vec![users.base()];
        let mut files = 0;
        while let Some(path) = left.pop() {
            let mode = path.metadata().expect("metadata").permissions().mode() & 0o7777;
            if path.is_dir() {
                assert_eq!(mode, 0o700, "{}", path.display());
                let inner = path.read_dir().expect("a directory");
                left.extend(inner.map(|entry| entry.expect("entry").path()));
                continue;
            }
            files += 1;
            assert_eq!(mode, 0o600, "{}", path.display());
            let text = std::fs::read(&path).expect("a file");
            assert!(!String::from_utf8_lossy(&text).contains(secret), "{}", path.display());
        }
        assert!(files > 0, "there are records");
    }
    let mut channel: Channel = Channel::open(&node.target, LONG).await.expect("opens");
    assert_eq!(supervisor.clean(&mut channel, "r1").await, Ok(None));
    assert!(!users.base().join("r").exists() && !users.base().join("lib").exists());
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let text = std::fs::read(entry.path()).unwrap_or_default();
        let holds = String::from_utf8_lossy(&text).contains(secret);
        assert!(!holds, "{}", entry.path().display());
    }
}
