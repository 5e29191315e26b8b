//! Files and sockets over a local channel.

use std::os::unix::fs::PermissionsExt as _;

use zdu_drivers::exec::{Channel, Target, TransferError, backup_file, established, upload};

use crate::{LONG, shells};

#[tokio::test]
async fn an_upload_is_whole_has_its_mode_and_leaves_nothing_beside_it() {
    for shell in shells() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a file's name");
        std::fs::write(&path, "old").expect("writes");
        let mut channel = Channel::open_shell(&shell, LONG).await.expect("opens");
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|i| u8::try_from(i % 253).unwrap()).collect();
        let place = path.to_str().expect("text");
        let digest = upload(&mut channel, &bytes, place, 0o751, LONG).await.expect("uploads");
        assert_eq!(digest.len(), 64);
        assert!(std::fs::read(&path).expect("a file") == bytes);
        assert_eq!(path.metadata().expect("metadata").permissions().mode() & 0o7777, 0o751);
        upload(&mut channel, b"", place, 0o600, LONG).await.expect("an empty file is a file");
        assert_eq!(path.metadata().expect("metadata").len(), 0);
        let nowhere = upload(&mut channel, b"x", "/nowhere/x", 0o600, LONG).await;
        assert!(matches!(nowhere, Err(TransferError::Target { .. })), "{nowhere:?}");
        assert_eq!(directory.path().read_dir().expect("reads").count(), 1);
    }
}

#[tokio::test]
async fn a_backup_is_verified_and_refuses_what_is_absent_or_empty() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    let mut channel = Channel::open(&Target::Local, LONG).await.expect("opens");
    std::fs::write(at("a"), "abc").expect("writes");
    std::fs::write(at("empty"), "").expect("writes");
    let kept = backup_file(&mut channel, &at("a"), &at("b"), false, LONG).await.expect("copies");
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(kept, (digest.to_owned(), 3));
    assert_eq!(std::fs::read(at("b")).expect("a copy"), b"abc");
    let absent = backup_file(&mut channel, &at("c"), &at("d"), true, LONG).await;
    assert!(matches!(absent, Err(TransferError::Absent { .. })), "{absent:?}");
    let empty = backup_file(&mut channel, &at("empty"), &at("d"), false, LONG).await;
    assert!(matches!(empty, Err(TransferError::Empty { .. })), "{empty:?}");
    let empty = backup_file(&mut channel, &at("empty"), &at("d"), true, LONG).await;
    assert_eq!(empty.expect("allowed").1, 0);
}

#[tokio::test]
async fn an_open_connection_is_counted_while_it_is_open() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let mut channel = Channel::open(&Target::Local, LONG).await.expect("opens");
    let before = established(&mut channel, &[port], LONG).await.expect("reads");
    assert_eq!(before[&port].count, 0);
    let _client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
    let during = established(&mut channel, &[port], LONG).await.expect("reads");
    assert_eq!(during[&port].count, 1);
    assert_eq!(
        during[&port].remotes.keys().map(ToString::to_string).collect::<Vec<_>>(),
        ["127.0.0.1"]
    );
}
