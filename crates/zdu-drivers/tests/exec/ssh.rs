//! Channels, steps and forwards over a real `sshd`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zdu_drivers::exec::{
    Channel, ChannelError, ConnectFailure, Exit, ForwardError, Limits, Node, Pool, StepFate,
    StepNews, StreamForward, Target, run_step,
};

use crate::LONG;
use crate::sshd::Sshd;
use crate::steps::{appeared, base, begin, is_gone, shell, within};

fn failure(opened: Result<Channel, ChannelError>) -> (ConnectFailure, Vec<String>) {
    match opened {
        Err(ChannelError::Connect { failure, stderr }) => (failure, stderr),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_channel_over_ssh_carries_bytes_both_ways() {
    let Some(sshd) = Sshd::start() else { return };
    let begin = Instant::now();
    let mut channel = Channel::open(&sshd.target(), LONG).await.expect("opens");
    println!("ssh channel open: {:?}", begin.elapsed());
    let data: Vec<u8> = (0..2_000_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let reply = channel.run("cat; printf e >&2; exit 5", Some(&data), LONG).await.expect("runs");
    assert_eq!((reply.exit, &reply.stderr[..]), (5, &b"e"[..]));
    assert!(reply.stdout == data);
    let mut times = Vec::new();
    for _ in 0..100 {
        let begin = Instant::now();
        channel.run("echo hello", None, LONG).await.expect("runs");
        times.push(begin.elapsed());
    }
    times.sort();
    println!("ssh command: median {:?}, 95th {:?}", times[50], times[95]);
    channel.close().await;
}

#[tokio::test]
async fn a_changed_or_unknown_host_key_is_refused_and_told_apart() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.change_known_key();
    let (changed, lines) = failure(Channel::open(&sshd.target(), LONG).await);
    assert_eq!(changed, ConnectFailure::HostKeyChanged, "{lines:?}");
    assert!(!changed.may_pass() && !lines.is_empty());
    sshd.forget_known_key();
    let (unknown, lines) = failure(Channel::open(&sshd.target(), LONG).await);
    assert_eq!(unknown, ConnectFailure::HostKeyUnknown, "{lines:?}");
}

#[tokio::test]
async fn a_wrong_key_and_a_closed_port_are_told_apart() {
    let Some(sshd) = Sshd::start() else { return };
    let mut target = sshd.target();
    if let Target::Ssh { identity, .. } = &mut target {
        *identity = Some(sshd.directory.path().join("host"));
    }
    let (denied, lines) = failure(Channel::open(&target, LONG).await);
    assert_eq!(denied, ConnectFailure::PermissionDenied, "{lines:?}");
    let target = sshd.target();
    drop(sshd);
    let (refused, lines) = failure(Channel::open(&target, LONG).await);
    assert_eq!(refused, ConnectFailure::Refused, "{lines:?}");
}

#[tokio::test]
async fn a_step_outlives_its_connection_and_its_output_is_whole() {
    let Some(sshd) = Sshd::start() else { return };
    let (directory, supervisor) = base();
    let count = directory.path().join("count");
    let gate = directory.path().join("gate");
    // Goes on only after the connection was cut: the test makes the gate.
    let script = format!(
        "echo x >>{}; echo one; \
         while [ ! -e {} ]; do sleep 0.02; done; echo two; echo err >&2; exit 9",
        count.display(),
        gate.display(),
    );
    let pool = Arc::new(Pool::new(LONG));
    let node = Node { pool, name: "n".to_owned(), target: sshd.target() };
    let mut told = Vec::new();
    let mut losses = 0;
    let mut news = |news: StepNews<'_>| match news {
        StepNews::Output { bytes, .. } => {
            told.extend_from_slice(bytes);
            if told == b"one\n" {
                assert!(sshd.cut_connections() > 0);
            }
        }
        StepNews::Reconnecting { error, .. } => {
            // Noticed by the request that follows the cut, or just before it.
            let lost = matches!(error, ChannelError::Lost { .. } | ChannelError::Gone { .. });
            assert!(lost, "{error:?}");
            losses += 1;
            std::fs::write(&gate, "").expect("writes");
        }
        StepNews::Attached => {}
    };
    let step = shell("cut", &script);
    let end =
        run_step(&|| true, &node, &supervisor, &step, within(LONG), &mut news).await.expect("runs");
    assert_eq!(end.fate, StepFate::Ended(Exit::Exited(9)));
    assert_eq!((&end.stdout[..], &end.stderr[..]), (&b"one\ntwo\n"[..], &b"err\n"[..]));
    assert_eq!((told.len(), losses), (12, 1));
    assert_eq!(std::fs::read_to_string(count).expect("it ran"), "x\n");
}

#[tokio::test]
async fn a_connection_that_died_between_two_requests_is_told_before_it_is_mended() {
    let Some(sshd) = Sshd::start() else { return };
    let (_directory, supervisor) = base();
    let pool = Arc::new(Pool::new(LONG));
    let node = Node { pool, name: "n".to_owned(), target: sshd.target() };
    let number = node.channel().await.expect("opens").process_id().expect("it runs");
    assert!(sshd.cut_connections() > 0);
    while !is_gone(&number.to_string()) {
        tokio::task::yield_now().await;
    }
    let mut told = Vec::new();
    let mut news = |news: StepNews<'_>| {
        if let StepNews::Reconnecting { attempt, error } = news {
            told.push((attempt, error.clone()));
        }
    };
    let step = shell("idle", "exit 3");
    let end =
        run_step(&|| true, &node, &supervisor, &step, within(LONG), &mut news).await.expect("runs");
    assert_eq!(end.fate, StepFate::Ended(Exit::Exited(3)));
    let [(1, ChannelError::Gone { stderr })] = told.as_slice() else { panic!("{told:?}") };
    assert!(stderr.iter().any(|line| line.contains("closed")), "{stderr:?}");
}

#[tokio::test]
async fn a_connection_lost_during_the_kill_does_not_leave_the_step_running() {
    let Some(sshd) = Sshd::start() else { return };
    let (directory, supervisor) = base();
    let at = |name: &str| directory.path().join(name);
    let script = format!(
        "trap ': >>{}' TERM; : >{ready}; while [ -e {ready} ]; do sleep 0.05; done",
        at("term").display(),
        ready = at("ready").display(),
    );
    let pool = Arc::new(Pool::new(LONG));
    let node = Node { pool, name: "n".to_owned(), target: sshd.target() };
    let step = shell("stubborn", &script);
    begin(&node, &supervisor, &step, &at("ready")).await;
    let limits = Limits { deadline: Duration::from_millis(100), grace: Duration::from_secs(2) };
    let mut losses = 0;
    let mut news = |news: StepNews<'_>| {
        losses += u32::from(matches!(news, StepNews::Reconnecting { .. }));
    };
    let cut = async {
        appeared(&at("term")).await;
        assert!(sshd.cut_connections() > 0);
    };
    let (end, ()) =
        tokio::join!(run_step(&|| true, &node, &supervisor, &step, limits, &mut news), cut);
    assert_eq!(end.expect("runs").fate, StepFate::TimedOut(Some(Exit::Signaled(9))));
    assert!(losses > 0);
}

#[tokio::test]
async fn a_remote_unix_socket_is_reached_and_a_dead_forward_is_noticed_and_restarted() {
    let Some(sshd) = Sshd::start() else { return };
    let remote = sshd.directory.path().join("admin.sock");
    let listener = UnixListener::bind(&remote).expect("binds");
    let server = std::thread::spawn(move || {
        let mut answered = 0;
        while answered < 2 {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = [0_u8; 5];
            // Opening a forward tries it with a connection that asks nothing.
            if stream.read_exact(&mut asked).is_ok() {
                stream.write_all(b"pong\n").expect("writes");
                answered += 1;
            }
        }
    });
    let parent = tempfile::tempdir().expect("a directory");
    let remote = remote.to_str().expect("text");
    let opened = StreamForward::open(&sshd.target(), remote, parent.path(), LONG).await;
    let mut forward = opened.expect("opens");
    ask(&forward);
    assert!(forward.is_alive());
    assert!(sshd.cut_connections() > 0);
    while forward.is_alive() {
        tokio::task::yield_now().await;
    }
    forward.restart().await.expect("restarts");
    ask(&forward);
    server.join().expect("no panic");
    let path = forward.path();
    drop(forward);
    assert!(!path.exists() && parent.path().read_dir().expect("reads").count() == 0);
    sshd.change_known_key();
    let refused = StreamForward::open(&sshd.target(), remote, parent.path(), LONG).await;
    let Err(ForwardError::Connect { failure, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(failure, ConnectFailure::HostKeyChanged);
}

#[tokio::test]
async fn an_account_that_may_forward_and_nothing_else_is_enough() {
    let refusals = [
        "MaxSessions 0",
        "ForceCommand /bin/false",
        "ForceCommand echo no; exit 3",
        "ForceCommand sleep 60",
    ];
    for lines in refusals {
        let Some(sshd) = Sshd::start_with(lines) else { return };
        let remote = sshd.directory.path().join("admin.sock");
        let listener = UnixListener::bind(&remote).expect("binds");
        let server = std::thread::spawn(move || {
            let mut asked = [0_u8; 5];
            loop {
                let (mut stream, _) = listener.accept().expect("a client");
                if stream.read_exact(&mut asked).is_ok() {
                    return stream.write_all(b"pong\n").expect("writes");
                }
            }
        });
        let parent = tempfile::tempdir().expect("a directory");
        let remote = remote.to_str().expect("text");
        let opened = StreamForward::open(&sshd.target(), remote, parent.path(), LONG).await;
        let mut forward = opened.expect(lines);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(forward.is_alive(), "{lines}");
        ask(&forward);
        server.join().expect("no panic");
    }
}

fn ask(forward: &StreamForward) {
    let mut stream = UnixStream::connect(forward.path()).expect("connects");
    stream.write_all(b"ping\n").expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("reads");
    assert_eq!(answer, "pong\n");
}
