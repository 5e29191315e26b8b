//! Supervised steps over local channels.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use zdu_drivers::exec::{
    Begun, Channel, Command, Exit, Limits, LostReason, Node, Poll, Pool, Range, Spec, StepEnd,
    StepFate, StepNews, StepState, Supervisor, Target, run_step,
};

use crate::{LONG, shells};

pub(crate) fn spec(step: &str, command: Command) -> Spec {
    Spec {
        fleet: "fleet".to_owned(),
        rollout: "r1".to_owned(),
        step: step.to_owned(),
        attempt: 1,
        epoch: 7,
        command,
        cwd: None,
        env: Vec::new(),
        stdin: Vec::new(),
        user: None,
        output_limit: 4 << 20,
    }
}

pub(crate) fn shell(step: &str, script: &str) -> Spec {
    spec(step, Command::Shell(script.to_owned()))
}

pub(crate) fn base() -> (TempDir, Supervisor) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("base dir");
    (directory, Supervisor::new(path.to_str()).expect("an absolute path"))
}

pub(crate) fn local() -> Node {
    Node { pool: Arc::new(Pool::new(LONG)), name: "n".to_owned(), target: Target::Local }
}

pub(crate) fn within(deadline: Duration) -> Limits {
    Limits { deadline, grace: Duration::from_millis(300) }
}

async fn run(node: &Node, supervisor: &Supervisor, spec: &Spec) -> StepEnd {
    let mut told = Vec::new();
    let mut news = |news: StepNews<'_>| {
        if let StepNews::Output { bytes, .. } = news {
            told.extend_from_slice(bytes);
        }
    };
    let end =
        run_step(&|| true, node, supervisor, spec, within(LONG), &mut news).await.expect("runs");
    assert_eq!(told.len(), end.stdout.len() + end.stderr.len());
    end
}

/// Starts it and waits on the node for its end.
async fn finish(supervisor: &Supervisor, channel: &mut Channel, spec: &Spec) -> Poll {
    supervisor.start(channel, spec, LONG, 1000).await.expect("starts")
}

/// Starts it over the node's channel, and returns when the step has made the file.
pub(crate) async fn begin(node: &Node, supervisor: &Supervisor, spec: &Spec, ready: &Path) {
    let mut channel = node.channel().await.expect("opens");
    let poll = supervisor.start(&mut channel, spec, Duration::ZERO, 10).await.expect("starts");
    assert_eq!(poll.state, StepState::Running);
    appeared(ready).await;
}

pub(crate) async fn appeared(path: &Path) {
    let until = Instant::now() + LONG;
    while !path.exists() {
        assert!(Instant::now() < until, "{} appears", path.display());
        tokio::task::yield_now().await;
    }
}

/// A killed process goes when the scheduler gets to it, which is after the signal was sent.
pub(crate) async fn goes(number: &str) {
    let until = Instant::now() + LONG;
    while !is_gone(number) {
        assert!(Instant::now() < until, "process {number} goes");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_step_ends_with_its_exact_status_and_whole_output_in_every_shell() {
    for sh in shells() {
        let (directory, supervisor) = base();
        let mut channel = Channel::open_shell(&sh, LONG).await.expect("opens");
        let cases = [
            ("exit 0", Exit::Exited(0)),
            // Several ticks after its output, which alone must not end the wait.
            ("sleep 0.3; exit 5", Exit::Exited(5)),
            ("exit 137", Exit::Exited(137)),
            ("kill -KILL $$", Exit::Signaled(9)),
            ("kill -INT $$", Exit::Signaled(2)),
            ("exit 130", Exit::Exited(130)),
            ("kill -PIPE $$", Exit::Signaled(13)),
            ("kill -QUIT $$", Exit::Signaled(3)),
            ("kill -TERM $$", Exit::Signaled(15)),
        ];
        for (number, (script, exit)) in cases.into_iter().enumerate() {
            let step = shell(
                &format!("s/{number}"),
                &format!("ulimit -c 0; echo out; echo err >&2; {script}"),
            );
            let poll = finish(&supervisor, &mut channel, &step).await;
            assert_eq!(poll.state, StepState::Ended(exit), "{sh:?} {script}");
            assert_eq!((&poll.stdout[..], &poll.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
        }
        let listed = supervisor.list(&mut channel).await.expect("lists");
        assert_eq!((listed.len(), listed[0].0.step.as_str()), (cases.len(), "s/0"));
        assert_eq!(supervisor.remove_base(&mut channel).await, Ok(false));
        assert_eq!(supervisor.clean(&mut channel, "r1").await, Ok(None));
        let left = std::fs::read_dir(directory.path().join("base dir")).expect("it is there");
        let mut left: Vec<_> = left.map(|entry| entry.expect("a name").file_name()).collect();
        left.sort();
        assert_eq!(left, ["epoch"]);
        let again = supervisor.start(&mut channel, &shell("again", "exit 4"), LONG, 9).await;
        assert_eq!(again.expect("starts").state, StepState::Ended(Exit::Exited(4)));
        assert_eq!(supervisor.clean(&mut channel, "r1").await, Ok(None));
        assert_eq!(supervisor.remove_base(&mut channel).await, Ok(true));
    }
}

/// As on a node where busybox is all there is.
#[tokio::test]
async fn without_util_linux_only_int_and_pipe_read_as_exits() {
    if !Path::new("/bin/busybox").exists() {
        return;
    }
    let (directory, supervisor) = base();
    let tools = directory.path().join("tools");
    std::fs::create_dir(&tools).expect("a directory");
    for tool in [
        "setsid", "mkfifo", "head", "tail", "mkdir", "mv", "rm", "cat", "chmod", "sleep", "wc",
        "sync", "kill", "id",
    ] {
        std::os::unix::fs::symlink("/bin/busybox", tools.join(tool)).expect("a link");
    }
    let mut channel = Channel::open_shell(
        &["env", &format!("PATH={}", tools.display()), "/bin/busybox", "sh"],
        LONG,
    )
    .await
    .expect("opens");
    let cases = [
        ("exit 137", Exit::Exited(137)),
        ("kill -KILL $$", Exit::Signaled(9)),
        ("kill -TERM $$", Exit::Signaled(15)),
        ("kill -PIPE $$", Exit::Exited(141)),
    ];
    for (number, (script, exit)) in cases.into_iter().enumerate() {
        let mut step = shell(&number.to_string(), &format!("cat; {script}"));
        step.stdin = b"in".to_vec();
        let poll = finish(&supervisor, &mut channel, &step).await;
        assert_eq!(
            (poll.state, &poll.stdout[..]),
            (StepState::Ended(exit), &b"in"[..]),
            "{script}"
        );
    }
}

#[tokio::test]
async fn arguments_directory_variables_and_umask_reach_the_command_as_given() {
    let (directory, supervisor) = base();
    let argv = ["printf", "%s|", "a b", "$HOME", "it's", "-x", "", "é\n"];
    let mut step = spec("argv", Command::Argv(argv.map(str::to_owned).to_vec()));
    step.cwd = directory.path().to_str().map(str::to_owned);
    let end = run(&local(), &supervisor, &step).await;
    assert_eq!(String::from_utf8_lossy(&end.stdout), "a b|$HOME|it's|-x||é\n|");
    let mut step = shell("env", "umask; pwd; printf %s \"$A\"; cat; echo $#");
    step.cwd = directory.path().to_str().map(str::to_owned);
    step.env = vec![("A".to_owned(), "x 'y'\n".to_owned())];
    step.stdin = b"typed\n".to_vec();
    let end = run(&local(), &supervisor, &step).await;
    let expected = format!("0022\n{}\nx 'y'\ntyped\n0\n", directory.path().display());
    assert_eq!(String::from_utf8_lossy(&end.stdout), expected);
    let mut step = shell("nowhere", "true");
    step.cwd = Some("/nowhere".to_owned());
    assert_eq!(run(&local(), &supervisor, &step).await.fate, StepFate::Ended(Exit::Exited(126)));
    let missing = spec("missing", Command::Argv(vec!["no-such-program".to_owned()]));
    let end = run(&local(), &supervisor, &missing).await;
    assert_eq!(end.fate, StepFate::Ended(Exit::Exited(127)));
    assert!(!end.stderr.is_empty());
}

#[tokio::test]
async fn two_base_directories_on_one_channel_stay_apart() {
    let ((_one, first), (_two, second)) = (base(), base());
    let node = local();
    let (a, b) = (shell("a", "echo a"), shell("b", "echo b"));
    assert_eq!(run(&node, &first, &a).await.stdout, b"a\n");
    assert_eq!(run(&node, &second, &b).await.stdout, b"b\n");
    let mut channel = node.channel().await.expect("opens");
    for (supervisor, name) in [(&first, "a"), (&second, "b")] {
        let listed = supervisor.list(&mut channel).await.expect("lists");
        assert_eq!(listed.iter().map(|(key, _)| key.step.as_str()).collect::<Vec<_>>(), [name]);
    }
}

#[tokio::test]
async fn concurrent_starts_of_one_record_run_it_once() {
    let (directory, supervisor) = base();
    let count = directory.path().join("count");
    let step =
        Arc::new(shell("once", &format!("echo x >>{}; sleep 0.2; echo done", count.display())));
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let (step, supervisor) = (Arc::clone(&step), supervisor.clone());
        tasks.push(tokio::spawn(async move { run(&local(), &supervisor, &step).await }));
    }
    for task in tasks {
        let end = task.await.expect("no panic");
        assert_eq!((end.fate, &end.stdout[..]), (StepFate::Ended(Exit::Exited(0)), &b"done\n"[..]));
    }
    assert_eq!(std::fs::read_to_string(count).expect("it ran"), "x\n");
}

#[tokio::test]
async fn an_older_epoch_is_refused_and_a_newer_one_is_kept() {
    let (directory, supervisor) = base();
    let node = local();
    assert_eq!(
        run(&node, &supervisor, &shell("a", ":")).await.fate,
        StepFate::Ended(Exit::Exited(0))
    );
    let ran = directory.path().join("ran");
    let mut channel = node.channel().await.expect("opens");
    let before = std::fs::read_dir(directory.path()).expect("there").count();
    assert_eq!(supervisor.newest(&mut channel, "new to it").await, Ok(None));
    assert_eq!(supervisor.newest(&mut channel, "fleet").await, Ok(Some(7)));
    assert_eq!(std::fs::read_dir(directory.path()).expect("there").count(), before);
    // Numbers, not texts: 10 is newer than 9.
    assert_eq!(supervisor.fence(&mut channel, "fleet", 9).await, Ok(None));
    assert_eq!(supervisor.fence(&mut channel, "fleet", 10).await, Ok(None));
    assert_eq!(supervisor.fence(&mut channel, "fleet", 9).await, Ok(Some(10)));
    assert_eq!(supervisor.fence(&mut channel, "other", 1).await, Ok(None));
    assert_eq!(supervisor.newest(&mut channel, "fleet").await, Ok(Some(10)));
    drop(channel);
    let old = shell("old", &format!("touch {}", ran.display()));
    assert_eq!(run(&node, &supervisor, &old).await.fate, StepFate::RefusedEpoch { seen: 10 });
    assert!(!ran.exists());
    let mut new = old.clone();
    new.epoch = 11;
    assert_eq!(run(&node, &supervisor, &new).await.fate, StepFate::Ended(Exit::Exited(0)));
    assert!(ran.exists());
}

/// Each epoch is a name in one directory, for all fleets.
#[tokio::test]
async fn epochs_of_fleets_stay_apart_and_only_the_newest_outlive_their_rollouts() {
    let (directory, supervisor) = base();
    let names = || -> Vec<String> {
        let names = std::fs::read_dir(directory.path().join("base dir/epoch")).expect("there");
        let mut names: Vec<_> = names
            .map(|entry| entry.expect("a name").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    };
    for shell in shells() {
        let mut channel = Channel::open_shell(&shell, LONG).await.expect("opens");
        let channel = &mut channel;
        for (fleet, epoch) in [("a", 9), ("a", 10), ("a.3", 4), ("a.3", 200), ("b", 1)] {
            assert_eq!(supervisor.fence(channel, fleet, epoch).await, Ok(None), "{shell:?}");
        }
        assert_eq!(supervisor.newest(channel, "a").await, Ok(Some(10)));
        assert_eq!(supervisor.newest(channel, "a.3").await, Ok(Some(200)));
        assert_eq!(supervisor.newest(channel, "a.").await, Ok(None));
        assert_eq!(names(), ["a.10", "a.3.200", "a.3.4", "a.9", "b.1"]);
        assert_eq!(supervisor.clean(channel, "no rollout").await, Ok(None));
        assert_eq!(names(), ["a.10", "a.3.200", "b.1"]);
        // As cut in the middle of it: what is left over is removed by the next.
        std::fs::write(directory.path().join("base dir/epoch/a.8"), "").expect("writes");
        assert_eq!(supervisor.newest(channel, "a").await, Ok(Some(10)));
        assert_eq!(supervisor.clean(channel, "no rollout").await, Ok(None));
        assert_eq!(names(), ["a.10", "a.3.200", "b.1"]);
        assert_eq!(supervisor.fence(channel, "a", 9).await, Ok(Some(10)));
        assert_eq!(supervisor.remove_base(channel).await, Ok(true));
        assert_eq!(supervisor.newest(channel, "a").await, Ok(None));
    }
}

#[tokio::test]
async fn of_many_controllers_at_once_the_newest_is_known_afterwards() {
    let (_directory, supervisor) = base();
    let mut all = tokio::task::JoinSet::new();
    for epoch in 1..=12 {
        let supervisor = supervisor.clone();
        all.spawn(async move {
            let mut channel = Channel::open(&Target::Local, LONG).await.expect("opens");
            let told = supervisor.fence(&mut channel, "fleet", epoch).await.expect("answers");
            // Whoever was refused was so by one that is newer.
            assert!(told.is_none_or(|seen| seen > epoch), "{epoch}: {told:?}");
        });
    }
    while let Some(done) = all.join_next().await {
        done.expect("a controller");
    }
    let mut channel = Channel::open(&Target::Local, LONG).await.expect("opens");
    // The first question on a channel, with which the functions come, and one behind it.
    for _ in 0..2 {
        assert_eq!(supervisor.newest(&mut channel, "fleet").await, Ok(Some(12)));
    }
    assert_eq!(supervisor.fence(&mut channel, "fleet", 11).await, Ok(Some(12)));
}

/// As busybox can be built.
#[tokio::test]
async fn a_node_whose_sleep_takes_whole_seconds_only_waits_all_the_same() {
    let (directory, supervisor) = base();
    let tools = directory.path().join("tools");
    std::fs::create_dir(&tools).expect("a directory");
    let sleep = "#!/bin/sh\ncase $1 in *.*) exit 1 ;; esac\nexec /bin/sleep \"$1\"\n";
    std::fs::write(tools.join("sleep"), sleep).expect("writes");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(tools.join("sleep"), executable).expect("a mode");
    let path = format!("PATH={}:/usr/bin:/bin", tools.display());
    let mut channel = Channel::open_shell(&["env", &path, "sh"], LONG).await.expect("opens");
    let go = directory.path().join("go");
    let script = format!("while [ ! -e {} ]; do /bin/sleep 0.02; done; exit 3", go.display());
    let step = shell("slow", &script);
    let begun = supervisor.start(&mut channel, &step, Duration::from_millis(300), 9).await;
    assert_eq!(begun.expect("begins").state, StepState::Running);
    std::fs::write(go, "").expect("writes");
    let poll = finish(&supervisor, &mut channel, &step).await;
    assert_eq!(poll.state, StepState::Ended(Exit::Exited(3)));
}

#[tokio::test]
async fn at_the_deadline_the_whole_group_is_killed_even_if_it_ignores_term() {
    let (directory, supervisor) = base();
    let ready = directory.path().join("ready");
    let script = format!(
        "trap '' TERM; (trap '' TERM; sleep 120) & echo $!; : >{}; sleep 120",
        ready.display()
    );
    let (node, step) = (local(), shell("stubborn", &script));
    begin(&node, &supervisor, &step, &ready).await;
    let limits = within(Duration::from_millis(400));
    let end =
        run_step(&|| true, &node, &supervisor, &step, limits, &mut |_| {}).await.expect("runs");
    assert_eq!(end.fate, StepFate::TimedOut(Some(Exit::Signaled(9))));
    // The background child was killed too.
    goes(String::from_utf8_lossy(&end.stdout).trim()).await;
}

#[tokio::test]
async fn a_step_that_was_withdrawn_is_begun_by_no_late_request() {
    let (directory, supervisor) = base();
    let ran = directory.path().join("ran");
    let step = shell("late", &format!(": >{}", ran.display()));
    let node = local();
    let mut channel = node.channel().await.expect("opens");
    assert!(supervisor.withdraw(&mut channel, &step.key()).await.expect("withdraws"));
    // As a request that was sent before and comes only now.
    let late = finish(&supervisor, &mut channel, &step).await;
    assert_eq!(late.state, StepState::Never);
    assert!(!ran.exists());
    // Whoever withdraws it again, or takes over before that was written down, is told the same.
    assert!(supervisor.withdraw(&mut channel, &step.key()).await.expect("withdraws"));
    let nothing = Range { offset: 0, maximum: 0 };
    let told = supervisor.poll(&mut channel, &step.key(), nothing, nothing, Duration::ZERO).await;
    assert_eq!(told.expect("answers").state, StepState::Never);
    let other = shell("begun", ":");
    finish(&supervisor, &mut channel, &other).await;
    assert!(!supervisor.withdraw(&mut channel, &other.key()).await.expect("answers"));
}

#[tokio::test]
async fn a_step_whose_node_cannot_even_kill_it_is_not_said_to_have_failed() {
    let (directory, supervisor) = base();
    let ready = directory.path().join("ready");
    let step = shell("held", &format!(": >{}; sleep 120", ready.display()));
    let node = local();
    // More than a shell can count to.
    let spoilt = directory.path().join("base dir/epoch/fleet.99999999999999999999");
    let mut spoil = |news: StepNews<'_>| {
        if matches!(news, StepNews::Attached) {
            std::fs::write(&spoilt, "").expect("writes");
        }
    };
    let limits = within(Duration::from_millis(400));
    let end = run_step(&|| true, &node, &supervisor, &step, limits, &mut spoil).await;
    std::fs::remove_file(&spoilt).expect("removes");
    let mut channel = node.channel().await.expect("opens");
    let killed = supervisor.kill(&mut channel, &step, Duration::ZERO).await.expect("kills");
    assert!(matches!(killed, StepState::Ended(_)), "{killed:?}");
    let fate = end.expect("has a fate").fate;
    assert!(matches!(fate, StepFate::Unreachable { begun: Begun::Yes, .. }), "{fate:?}");
}

#[tokio::test]
async fn a_step_of_another_user_runs_as_that_user_and_can_be_killed() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (_directory, supervisor) = base();
    let mut step = shell("who", "id -un; id -Gn; cat; echo $A");
    step.user = Some("nobody".to_owned());
    step.stdin = b"secret\n".to_vec();
    step.env = vec![("A".to_owned(), "b c".to_owned())];
    let end = run(&local(), &supervisor, &step).await;
    assert_eq!(String::from_utf8_lossy(&end.stdout), "nobody\nnogroup\nsecret\nb c\n", "{end:?}");
    let open = tempfile::tempdir().expect("a directory");
    let everyone = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(open.path(), everyone).expect("opens it to the user");
    let ready = open.path().join("ready");
    let mut step = shell("long", &format!("sleep 120 & echo $!; : >{}; wait", ready.display()));
    step.user = Some("nobody".to_owned());
    let node = local();
    begin(&node, &supervisor, &step, &ready).await;
    // TERM is enough, however long the machine takes to deliver it.
    let limits = Limits { deadline: Duration::from_millis(500), grace: LONG };
    let end =
        run_step(&|| true, &node, &supervisor, &step, limits, &mut |_| {}).await.expect("runs");
    assert_eq!(end.fate, StepFate::TimedOut(Some(Exit::Signaled(15))));
    goes(String::from_utf8_lossy(&end.stdout).trim()).await;
}

#[tokio::test]
async fn a_secret_on_standard_input_is_in_no_process_list_and_no_record() {
    let (directory, supervisor) = base();
    let secret = "s3cr3t-8c1f0e";
    let (ready, gate) = (directory.path().join("ready"), directory.path().join("gate"));
    // Holds the secret in its memory until the process list was looked at often enough.
    let script = format!(
        "read -r word; echo ${{#word}}; : >{}; while [ ! -e {} ]; do sleep 0.02; done",
        ready.display(),
        gate.display(),
    );
    let mut step = shell("secret", &script);
    step.stdin = format!("{secret}\n").into_bytes();
    assert!(!format!("{step:?}").contains(secret));
    let node = local();
    let task = tokio::spawn({
        let (supervisor, step) = (supervisor.clone(), step.clone());
        async move { run(&node, &supervisor, &step).await }
    });
    let mut samples = 0;
    while !task.is_finished() {
        for line in command_lines() {
            assert!(!line.contains(secret), "{line}");
        }
        samples += u32::from(ready.exists());
        if samples == 10 {
            std::fs::write(&gate, "").expect("writes");
        }
        tokio::task::yield_now().await;
    }
    assert!(samples >= 10);
    assert_eq!(task.await.expect("no panic").stdout, b"13\n");
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let text = std::fs::read(entry.path()).unwrap_or_default();
        let holds = String::from_utf8_lossy(&text).contains(secret);
        assert!(!holds, "{}", entry.path().display());
    }
    let root = directory.path().join("base dir");
    let mut left = vec![root];
    while let Some(path) = left.pop() {
        let mode = path.metadata().expect("metadata").permissions().mode() & 0o7777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            left.extend(path.read_dir().expect("a directory").map(|e| e.expect("entry").path()));
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
            let text = String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).into_owned();
            assert!(!text.contains(secret), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn records_without_an_end_say_which_way_they_were_lost() {
    let (directory, supervisor) = base();
    let mut channel = Channel::open(&Target::Local, LONG).await.expect("opens");
    let ready = directory.path().join("ready");
    let step = shell("lost", &format!(": >{}; exec sleep 120", ready.display()));
    let key = step.key();
    let nothing = Range { offset: 0, maximum: 0 };
    let now = Duration::ZERO;
    let never = supervisor.poll(&mut channel, &key, nothing, nothing, now).await.expect("polls");
    assert_eq!(never.state, StepState::Never);
    let started = supervisor.start(&mut channel, &step, now, 10).await;
    assert_eq!(started.expect("starts").state, StepState::Running);
    appeared(&ready).await;
    let record = directory.path().join("base dir/r.r1/lost.1");
    let waiter = std::fs::read_to_string(record.join("waiter")).expect("a waiter");
    kill_process(waiter.split(' ').next().expect("its number"));
    let lost = supervisor.poll(&mut channel, &key, nothing, nothing, LONG).await.expect("polls");
    let reason = LostReason::SupervisorGone;
    assert_eq!(lost.state, StepState::Lost { reason, alive: true });
    assert_eq!(supervisor.clean(&mut channel, "r1").await, Ok(Some("lost.1".to_owned())));
    let killed = supervisor.kill(&mut channel, &step, Duration::from_millis(200)).await;
    assert_eq!(killed, Ok(StepState::Lost { reason, alive: false }));
    std::fs::write(record.join("waiter"), "1 1 another-boot .\n").expect("writes");
    let lost = supervisor.poll(&mut channel, &key, nothing, nothing, LONG).await.expect("polls");
    assert_eq!(lost.state, StepState::Lost { reason: LostReason::Rebooted, alive: false });
    std::fs::remove_file(record.join("waiter")).expect("removes");
    std::fs::write(record.join("starter"), "# 1 1 another-boot .\n").expect("writes");
    let lost = supervisor.poll(&mut channel, &key, nothing, nothing, LONG).await.expect("polls");
    assert_eq!(lost.state, StepState::Lost { reason: LostReason::Unstarted, alive: false });
}

#[tokio::test]
async fn output_longer_than_the_limit_is_cut_and_said_to_be() {
    let (_directory, supervisor) = base();
    let mut step = shell("long", "head -c 3000000 /dev/zero");
    step.output_limit = 2_000_000;
    let end = run(&local(), &supervisor, &step).await;
    assert_eq!((end.stdout.len(), end.truncated), (2_000_000, true));
    let mut step = shell("exact", "head -c 3000000 /dev/zero; printf e >&2");
    step.output_limit = 3_000_000;
    let end = run(&local(), &supervisor, &step).await;
    assert_eq!((end.stdout.len(), end.stderr.len(), end.truncated), (3_000_000, 1, false));
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_known_not_to_have_begun() {
    let (_directory, supervisor) = base();
    let target = Target::Ssh {
        host: "-bad".to_owned(),
        port: None,
        user: None,
        identity: None,
        config: None,
        options: Vec::new(),
    };
    let node = Node { target, ..local() };
    let step = shell("a", ":");
    let end = run_step(&|| true, &node, &supervisor, &step, within(LONG), &mut |_| {})
        .await
        .expect("data");
    assert!(matches!(end.fate, StepFate::Unreachable { begun: Begun::No, .. }), "{end:?}");
}
pub(crate) fn command_lines() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path().join("cmdline")));
    paths
        .filter_map(|path| Some(String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned()))
        .collect()
}

/// The process does not run (a zombie does not).
pub(crate) fn is_gone(number: &str) -> bool {
    assert!(number.parse::<u32>().is_ok(), "{number:?} is a number");
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

pub(crate) fn kill_process(number: &str) {
    let number = number.trim().parse().expect("a number");
    let pid = rustix::process::Pid::from_raw(number).expect("not 0");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
    while !is_gone(&number.to_string()) {
        std::thread::yield_now();
    }
}
