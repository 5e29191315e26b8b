//! Local channels.

use std::time::Duration;

use zdu_drivers::exec::{Channel, ChannelError, Pool, Target};

use crate::{LONG, shells};

#[tokio::test]
async fn every_byte_of_both_streams_and_the_status_come_back_from_every_shell() {
    for shell in shells() {
        let mut channel = Channel::open_shell(&shell, LONG).await.expect("opens");
        let script = "printf 'a\\000b\\377'; printf 'e\\n\\n' >&2; exit 137";
        let reply = channel.run(script, None, LONG).await.expect("runs");
        assert_eq!((reply.exit, &reply.stdout[..]), (137, &b"a\0b\xff"[..]), "{shell:?}");
        assert_eq!(reply.stderr, b"e\n\n", "{shell:?}");
        let data: Vec<u8> = (0..3_000_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let reply = channel.run("cat; cat /dev/null\n", Some(&data), LONG).await.expect("runs");
        assert!(reply.exit == 0 && reply.stdout == data, "{shell:?}");
        // Input the script leaves unread is not taken for a request.
        let reply = channel.run("exit 3", Some(&data), LONG).await.expect("runs");
        assert_eq!(reply.exit, 3, "{shell:?}");
        let reply = channel.run("a='x\ny'\nprintf %s \"$a\"; ", None, LONG).await.expect("runs");
        assert_eq!(reply.stdout, b"x\ny", "{shell:?}");
        let reply = channel.run("fi fi", None, LONG).await.expect("a syntax error is a reply");
        assert!(reply.exit != 0 && !reply.stderr.is_empty(), "{shell:?}");
        let reply = channel.run("cat", None, LONG).await.expect("runs");
        assert_eq!((reply.exit, reply.stdout.len()), (0, 0), "no input is an empty one: {shell:?}");
        channel.close().await;
    }
}

#[tokio::test]
async fn a_reply_that_is_too_long_leaves_the_channel_usable() {
    let mut channel = Channel::open(&Target::Local, LONG).await.expect("opens");
    let error = channel.run("head -c 30000000 /dev/zero", None, LONG).await;
    assert!(matches!(error, Err(ChannelError::TooLong { .. })));
    assert_eq!(channel.run("echo x", None, LONG).await.expect("runs").stdout, b"x\n");
}

#[tokio::test]
async fn after_a_deadline_or_a_dropped_request_the_channel_refuses_and_the_pool_reopens() {
    let pool = Pool::new(LONG);
    for abandon in [true, false] {
        let mut lease = pool.channel("a", &Target::Local).await.expect("opens");
        let first = lease.process_id();
        let short = Duration::from_millis(50);
        if abandon {
            let dropped = tokio::time::timeout(short, lease.run("sleep 20", None, LONG)).await;
            assert!(dropped.is_err());
        } else {
            let late = lease.run("sleep 20", None, short).await;
            assert_eq!(late, Err(ChannelError::Deadline { deadline: short }));
        }
        assert_eq!(lease.run(":", None, LONG).await, Err(ChannelError::Abandoned));
        drop(lease);
        let mut lease = pool.channel("a", &Target::Local).await.expect("reopens");
        assert_ne!(lease.process_id(), first);
        assert_eq!(lease.run("exit 4", None, LONG).await.expect("runs").exit, 4);
    }
    pool.close_all().await;
}

#[tokio::test]
async fn a_shell_that_dies_during_a_request_is_a_loss_with_its_last_words() {
    let mut channel = Channel::open(&Target::Local, LONG).await.expect("opens");
    let error = channel.run("echo farewell >&2; kill -9 $$; sleep 5", None, LONG).await;
    let Err(ChannelError::Lost { stderr }) = error else { panic!("{error:?}") };
    assert_eq!(stderr, ["farewell"]);
    assert!(!channel.is_usable());
}

#[tokio::test]
async fn noise_of_login_scripts_before_the_shell_is_skipped() {
    let noisy = "echo welcome; printf '\\n0000 0\\nno newline'; echo warning >&2; exec /bin/sh";
    let mut channel = Channel::open_shell(&["/bin/sh", "-c", noisy], LONG).await.expect("opens");
    let reply = channel.run("echo x; echo y >&2", None, LONG).await.expect("runs");
    assert_eq!((&reply.stdout[..], &reply.stderr[..]), (&b"x\n"[..], &b"y\n"[..]));
}

#[tokio::test]
async fn a_program_that_is_no_shell_cannot_be_connected_to() {
    let error = Channel::open_shell(&["false"], LONG).await.expect_err("no shell");
    assert!(error.to_string().contains("no usable shell"), "{error}");
}
