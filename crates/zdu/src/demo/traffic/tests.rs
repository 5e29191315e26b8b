//! Clients against servers that misbehave in one way each.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// What a server does with one connection.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers for ever.
    Well,
    /// Answers once, then closes without a word.
    ClosesIdle,
    /// Reads a request and closes.
    SaysNothing,
    /// Announces more than it sends.
    Cuts,
    /// Answers 503.
    Refuses,
}

async fn serve(manner: Manner) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            open.spawn(async move { drop(converse(&mut stream, manner).await) });
        }
    });
    (address, task)
}

async fn converse(stream: &mut TcpStream, manner: Manner) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let (status, length, goes_on) = match manner {
            Manner::Well => ("200 OK", 2, true),
            Manner::ClosesIdle => ("200 OK", 2, false),
            Manner::SaysNothing => return Ok(()),
            Manner::Cuts => ("200 OK", 9, false),
            Manner::Refuses => ("503 Sorry", 2, true),
        };
        let text = format!(
            "HTTP/1.1 {status}\r\nx-host: node-a\r\nx-version: 7.7\r\n\
             content-length: {length}\r\n\r\nok"
        );
        stream.write_all(text.as_bytes()).await?;
        if !goes_on {
            return Ok(());
        }
    }
}

async fn outcomes(kind: ClientKind, addr: SocketAddr) -> Vec<Option<FailureKind>> {
    let recorder = Arc::new(Recorder::new());
    let mut client = Client { kind, addr, recorder, kept: None };
    let mut seen = Vec::new();
    for _ in 0..4 {
        let failure = client.ask().await.err();
        if let Some(kept) = &mut client.kept
            && failure.is_none()
            && kept.sender.is_ready()
        {
            // On a closing server, until the close has arrived: the connection is idle meanwhile.
            drop(tokio::time::timeout(Duration::from_millis(100), &mut kept.driver).await);
        }
        seen.push(failure);
    }
    seen
}

#[tokio::test]
async fn every_way_to_lose_a_request_is_a_failure_of_its_kind() {
    let (well, _task) = serve(Manner::Well).await;
    assert_eq!(outcomes(ClientKind::Kept, well).await, [None, None, None, None]);
    assert_eq!(outcomes(ClientKind::Single, well).await, [None, None, None, None]);

    let (closes, _task) = serve(Manner::ClosesIdle).await;
    let idle = Some(FailureKind::ClosedIdle);
    assert_eq!(outcomes(ClientKind::Kept, closes).await, [None, idle.clone(), None, idle]);
    assert_eq!(outcomes(ClientKind::Single, closes).await, [None, None, None, None]);

    let (silent, _task) = serve(Manner::SaysNothing).await;
    for seen in outcomes(ClientKind::Single, silent).await {
        assert!(matches!(seen, Some(FailureKind::NoAnswer(_))), "{seen:?}");
    }
    let (cuts, _task) = serve(Manner::Cuts).await;
    for seen in outcomes(ClientKind::Kept, cuts).await {
        assert!(matches!(seen, Some(FailureKind::CutAnswer(_))), "{seen:?}");
    }
    let (refuses, _task) = serve(Manner::Refuses).await;
    for seen in outcomes(ClientKind::Kept, refuses).await {
        assert_eq!(seen, Some(FailureKind::Status(503)));
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for seen in outcomes(ClientKind::Single, nobody).await {
        assert!(matches!(seen, Some(FailureKind::NotConnected(_))), "{seen:?}");
    }
}

#[tokio::test]
async fn traffic_goes_on_at_its_rate_until_it_is_stopped() {
    let (well, _task) = serve(Manner::Well).await;
    let traffic = Traffic::start(well);
    // The rate itself is what is measured, so time has to pass.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (answered, failed) = traffic.so_far();
    let report = traffic.stop().await;
    // Upper bounds only: a busy machine makes it slower.
    assert!((20..=230).contains(&answered), "{answered}");
    assert_eq!((failed, report.failed), (0, 0), "{report}");
    assert_eq!(report.clients.len(), 3);
    assert_eq!(report.served.len(), 1);
}
