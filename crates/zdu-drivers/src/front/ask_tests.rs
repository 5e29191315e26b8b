use super::super::server::{Play, Server, answer};
use super::*;
use FailureKind::{Body, ClosedKept, ClosedNew, Cut, NoHttp, NotConnected, Refused, TimedOut};
use std::net::SocketAddr;

/// Long enough that nothing which is answered at all meets it.
const PATIENT: Duration = Duration::from_secs(20);

fn of(address: SocketAddr) -> Question {
    Question {
        place: Arc::new(Place::new(&address.ip().to_string(), address.port(), None)),
        path: "/health?of=all".parse().unwrap(),
        host: "front.example".parse().unwrap(),
        timeout: PATIENT,
        want: Want { contains: Some("well".into()), ..Want::default() },
        version: Some(VersionAt::Header("x-release".into())),
        mask: Arc::new(|text| text.replace("r1", "********")),
        once: true,
        any_body: false,
        lingering: Arc::new(Semaphore::new(4)),
    }
}

async fn came(play: Play) -> Option<Failed> {
    let server = Server::start(move |_| play.clone());
    ask(&of(server.address), None).await.failed
}

fn front(kind: FailureKind) -> Option<Failed> {
    Some(Failed::Front(kind, None))
}

fn within_answer(kind: FailureKind) -> Option<Failed> {
    Some(Failed::Front(kind, Some(200)))
}

#[tokio::test]
async fn an_answer_as_wanted_is_none_that_failed_and_its_release_is_masked() {
    let mut server = Server::start(|asked| {
        assert!(asked.head.starts_with("GET /health?of=all HTTP/1.1\r\n"), "{}", asked.head);
        assert!(asked.head.contains("host: front.example\r\n"), "{}", asked.head);
        assert!(asked.head.contains("connection: close\r\n"), "{}", asked.head);
        Play::Say(answer(200, "all is well"))
    });
    let told = ask(&of(server.address), None).await;
    assert_eq!((told.failed, told.version.as_deref()), (None, Some("********")));
    assert!(told.link.is_none() && !told.reopened);
    server.came.recv().await.unwrap();
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn kinds_of_failure_are_told_by_how_far_it_got() {
    let said = |text: &str| Play::SayAndClose(text.into());
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(came(said("")).await, front(ClosedNew));
    assert_eq!(came(said(head)).await, front(Cut));
    assert_eq!(came(said(&format!("{head}\r\nall is we"))).await, within_answer(Cut));
    assert_eq!(came(said(&format!("{chunked}8\r\nall"))).await, within_answer(Cut));
    assert_eq!(came(said(&format!("{chunked}zz\r\nall"))).await, within_answer(NoHttp));
    assert_eq!(came(said("SSH-2.0-OpenSSH_9.2\r\n")).await, front(NoHttp));
    assert_eq!(came(said(&answer(200, "all is lost"))).await, within_answer(Body));
    let unavailable = Some(Failed::Front(FailureKind::Status, Some(503)));
    assert_eq!(came(said(&answer(503, "all is well"))).await, unavailable);
    assert_eq!(came(said("HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\nal")).await, unavailable);
    let moved = "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 4\r\n\r\nwell";
    assert_eq!(came(said(moved)).await, None, "a redirect is an answer, and not followed");
}

#[tokio::test]
async fn a_body_without_end_is_not_read_for_ever_and_may_be_where_it_is_not_looked_at() {
    let much = format!("all is well {}", "x".repeat(2 * BODY_BYTES_MAX));
    let server = Server::start(move |_| Play::Say(answer(200, &much)));
    assert_eq!(ask(&of(server.address), None).await.failed, within_answer(Body));
    let long = Question { any_body: true, ..of(server.address) };
    assert_eq!(ask(&long, None).await.failed, None);
}

#[tokio::test]
async fn what_does_not_come_in_time_is_told_by_what_was_waited_for() {
    let short = |address| Question { timeout: Duration::from_millis(100), ..of(address) };
    let server = Server::start(|_| Play::Nothing);
    assert_eq!(ask(&short(server.address), None).await.failed, front(TimedOut));
    let server = Server::start(|_| Play::Say(answer(200, "all is well").replace("11", "12")));
    let kept = Question { once: false, ..short(server.address) };
    assert_eq!(ask(&kept, None).await.failed, within_answer(TimedOut));
    // A queue of one that is full: the third connection is not answered.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(open) =
        timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        held.push(open.unwrap());
        assert!(held.len() < 100, "the queue is never full");
    }
    assert_eq!(ask(&short(address), None).await.failed, front(NotConnected));
}

#[tokio::test]
async fn nobody_there_is_refused_and_no_name_is_not_connected() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(ask(&of(address), None).await.failed, front(Refused));
    let place = Arc::new(Place::new("no-such-name.invalid", 80, None));
    let nowhere = Question { place, ..of(address) };
    assert_eq!(ask(&nowhere, None).await.failed, front(NotConnected));
}

/// Asks once and returns the kept connection.
async fn kept(question: &Question) -> Link {
    let told = ask(question, None).await;
    assert_eq!(told.failed, None);
    told.link.expect("it is kept")
}

#[tokio::test]
async fn a_kept_connection_is_asked_over_again() {
    let server = Server::start(|_| Play::Say(answer(200, "all is well")));
    let question = Question { once: false, ..of(server.address) };
    let mut link = kept(&question).await;
    for _ in 0..5 {
        let told = ask(&question, Some(link)).await;
        assert_eq!((told.failed, told.reopened), (None, false));
        link = told.link.expect("it is kept");
    }
    assert_eq!(
        (server.count(), server.connections.load(std::sync::atomic::Ordering::SeqCst)),
        (6, 1)
    );
}

#[tokio::test]
async fn a_kept_connection_found_closed_is_reopened_and_the_request_is_sent_once() {
    let then = Arc::new(tokio::sync::Notify::new());
    let close = Arc::clone(&then);
    let well = answer(200, "all is well");
    let server = Server::start(move |_| Play::SayAndCloseThen(well.clone(), Arc::clone(&close)));
    let question = Question { once: false, ..of(server.address) };
    let link = kept(&question).await;
    then.notify_one();
    let closed = async {
        while !link.sender.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENT, closed).await.expect("it is seen that the server closed");
    let told = ask(&question, Some(link)).await;
    assert_eq!((told.failed, told.reopened), (None, true));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_kept_connection_closed_with_the_request_written_is_a_failure_and_not_asked_again() {
    let server = Server::start(|asked| match asked.request {
        0 => Play::Say(answer(200, "all is well")),
        _ => Play::SayAndClose(String::new()),
    });
    let question = Question { once: false, ..of(server.address) };
    let link = kept(&question).await;
    let told = ask(&question, Some(link)).await;
    assert_eq!((told.failed, told.reopened), (front(ClosedKept), false));
    assert!(told.link.is_none());
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn an_answer_that_came_while_we_stood_still_is_an_answer() {
    // Enough to be read in several turns, and so little that the system takes it in for us.
    let body = format!("{} all is well", "x".repeat(40_000));
    let mut server = Server::start(move |_| Play::Say(answer(200, &body)));
    let question = Question { timeout: Duration::from_millis(400), ..of(server.address) };
    let asked = tokio::spawn(async move { ask(&question, None).await.failed });
    server.came.recv().await.unwrap();
    // The whole runtime, as a process that is stopped.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(asked.await.unwrap(), None);
}

#[tokio::test]
async fn a_release_is_found_where_it_is_named_and_cut_behind_the_mask() {
    let body =
        format!("{{\"all\":\"well\",\"about\":{{\"release\":\"{}\"}}}}", "secret".repeat(20));
    let server = Server::start(move |_| Play::Say(answer(200, &body)));
    let pointer = |at: &str| Some(VersionAt::Pointer(at.into()));
    let mask: Mask = Arc::new(|text| text.replace("secret", "12345678"));
    let there = Question { version: pointer("/about/release"), mask, ..of(server.address) };
    assert_eq!(ask(&there, None).await.version, Some("12345678".repeat(8)));
    let elsewhere = Question { version: pointer("/release"), ..of(server.address) };
    assert_eq!(ask(&elsewhere, None).await.version, None);
}
