use proptest::prelude::*;

use super::*;

/// Read on HAProxy 2.6.12 (rows shortened to the columns a test needs, plus one past the `-`).
const STAT: &str = "# pxname,svname,qcur,scur,status,weight,lastchg,tracked,type,check_status,\
check_desc,addr,srv_icur,used_conn_cur,throttle,-,ssl_sess,\n\
b,h1,2,1,UP,1,9,,2,* L7OK,\"Layer7, \"\"ok\"\"\n\n\",127.0.0.1:80,3,1,,-,0,\n\
b,h2,0,0,no check,50,9,,2,,,127.0.0.1:81,0,0,,-,0,\n\
b,BACKEND,0,0,UP,52,9,,1,,,,,,,-,0,\n\n";

const STATE: &str = "1\n# be_id be_name srv_id srv_name srv_op_state srv_admin_state srv_uweight \
srv_iweight srv_check_result\n3 b 1 h1 2 8 1 4 3\n3 b 2 h2 2 0 50 50 1\n\n";

const INFO: &str = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 7601\nUptime: 0d 0h00m06s\n\
Uptime_sec: 6\nStart_time_sec: 1795229814\n\n";

fn all() -> String {
    format!("{INFO}\n{STATE}{STAT}")
}

/// What the driver does with the replies to `show info;<one change>;show servers state;show stat`.
fn read(bytes: &[u8]) -> Result<(Info, Vec<ServerView>), ReplyError> {
    let mut replies = Replies::new(bytes)?;
    let info = replies.take_info()?;
    change(replies.take("change")?)?;
    let state = servers_state(replies.take("state")?)?;
    let stat = stat(replies.take("stat")?)?;
    Ok((info, servers(&stat, &state, "b")?))
}

#[test]
fn four_replies_on_one_stream_are_cut_apart_and_joined_by_name() {
    let (info, views) = read(all().as_bytes()).unwrap();
    assert_eq!((info.pid, info.uptime_s), (7601, 6));
    assert_eq!(info.started_unix_s, Some(1_795_229_814));
    let [h1, h2] = views.as_slice() else { panic!("{views:?}") };
    assert_eq!((h1.scur, h1.qcur, h1.uweight, h1.iweight), (1, 2, 1, 4));
    assert!(h1.admin.forced_drain() && !h1.admin.forced_maint());
    assert!(h1.checking && h1.check_passed());
    assert_eq!(h1.check_status.as_deref(), Some("L7OK"));
    assert_eq!((h1.idle_connections, h1.used_conn_cur), (Some(3), Some(1)));
    assert_eq!(h2.status, Status::NoCheck);
    assert!(h2.check_status.is_none() && !h2.check_passed());
}

#[test]
fn every_sentence_haproxy_refuses_with_has_its_kind_and_keeps_its_text() {
    type Is = fn(&ReplyError) -> bool;
    let cases: [(&str, Is); 12] = [
        ("No such server.", |e| matches!(e, ReplyError::NoSuchServer { .. })),
        ("No such backend.", |e| matches!(e, ReplyError::NoSuchBackend { .. })),
        ("No such proxy.", |e| matches!(e, ReplyError::NoSuchBackend { .. })),
        ("Can't find backend.", |e| matches!(e, ReplyError::NoSuchBackend { .. })),
        ("Permission denied", |e| matches!(e, ReplyError::PermissionDenied { .. })),
        ("Unknown command, but maybe one of the following", |e| {
            matches!(e, ReplyError::UnknownCommand { .. })
        }),
        ("Require 'backend/server'.", |e| matches!(e, ReplyError::BadServerPath { .. })),
        ("Absolute weight can only be between 0 and 256 inclusive.", |e| {
            matches!(e, ReplyError::BadWeight { .. })
        }),
        ("Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.", |e| {
            matches!(e, ReplyError::BadWeight { .. })
        }),
        ("Require <weight> or <weight%>.", |e| matches!(e, ReplyError::BadWeight { .. })),
        ("'set server <srv> state' expects 'ready', 'drain' and 'maint'.", |e| {
            matches!(e, ReplyError::BadState { .. })
        }),
        ("Something of a later version.", |e| matches!(e, ReplyError::Refused { .. })),
    ];
    for (text, is) in cases {
        let error = change(&format!("{text}\n")).unwrap_err();
        assert!(is(&error), "{text}: {error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(change("\n"), Ok(()));
}

#[test]
fn every_status_string_is_read_and_written_back_the_same() {
    let known = [
        "UP",
        "UP 1/3",
        "DOWN",
        "DOWN 1/2",
        "DOWN (agent)",
        "DRAIN",
        "DRAIN 1/3",
        "DRAIN (agent)",
        "NOLB",
        "NOLB 1/3",
        "MAINT",
        "MAINT (via b/s)",
        "MAINT (resolution)",
        "no check",
    ];
    for text in known {
        let status = Status::parse(text);
        assert!(!matches!(status, Status::Unknown(_)), "{text}");
        assert_eq!(status.to_string(), text);
    }
    for text in ["", "UP1/2", "UP 1/", "UP -1/2", "OPEN", "DOWN  1/2"] {
        assert_eq!(Status::parse(text), Status::Unknown(text.to_owned()));
    }
}

#[test]
fn a_reply_cut_anywhere_is_an_error_and_never_a_shorter_truth() {
    let whole = all();
    for (at, _) in whole.char_indices() {
        let cut = whole.get(..at).unwrap();
        assert!(read(cut.as_bytes()).is_err(), "cut at {at}");
    }
}

#[test]
fn what_is_not_haproxy_is_named_with_what_it_said() {
    for text in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "", "Nope\n\n"] {
        let error = Replies::new(text.as_bytes()).unwrap().take_info().unwrap_err();
        assert_eq!(error, ReplyError::NotHaproxy { excerpt: text.to_owned() });
    }
    assert!(Replies::new(b"\xff\xfe").is_err());
}

#[test]
fn a_missing_column_is_named() {
    let error = stat("# pxname,svname,type\nb,h1,2\n")
        .and_then(|stat| servers(&stat, &servers_state(STATE.trim_end())?, "b"))
        .unwrap_err();
    assert!(matches!(&error, ReplyError::Column { column, .. } if column == "status"), "{error:?}");
}

proptest! {
    #[test]
    fn no_bytes_can_panic_the_parsers(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(read(&bytes));
        let text = String::from_utf8_lossy(&bytes);
        drop((info(&text), stat(&text), servers_state(&text), change(&text)));
    }

    #[test]
    fn no_damage_to_a_good_reply_can_panic_the_parsers(
        at in 0_usize..900, bytes in proptest::collection::vec(any::<u8>(), 0..6), cut in 0_usize..9
    ) {
        let mut damaged = all().into_bytes();
        let at = at.min(damaged.len());
        let end = (at + cut).min(damaged.len());
        damaged.splice(at..end, bytes);
        drop(read(&damaged));
    }
}
