//! Receivers that answer badly, slowly, without end, or not at all.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;

use super::super::{Fault, Phase, Settings};
use super::*;

fn short() -> Settings {
    Settings { deadline: SHORT, ..settings() }
}

/// A failure at the deadline, and not much later.
#[track_caller]
fn assert_late(failure: &Failure, phase: Phase, status: Option<u16>) {
    assert_eq!(failure.fault, Fault::TimedOut(phase), "{failure:?}");
    assert_eq!(failure.status.map(|status| status.as_u16()), status);
    assert!(failure.took >= SHORT && failure.took < PATIENCE, "{failure:?}");
}

#[tokio::test]
async fn an_answer_has_what_was_promised_of_it() {
    let receiver = Receiver::once(|stream, request| {
        write(stream, "HTTP/1.1 429 Too Many Requests\r\nretry-after: 120\r\nset-cookie: a=b\r\n");
        write(stream, "content-type: text/plain\r\ncontent-length: 4\r\n\r\nsoon");
        request
    });
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [("host", "inside"), ("content-length", "0"), ("transfer-encoding", "chunked"), ("te", "x")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let client = client(settings(), &Names::default());
    let url = Url::parse(&receiver.url()).unwrap();
    let answer = client.post(&url, headers, Bytes::from_static(b"{\"a\":1}")).await.unwrap();
    assert_eq!((answer.status, &answer.body[..], answer.cut), (StatusCode::TOO_MANY_REQUESTS, &b"soon"[..], false));
    assert_eq!(answer.headers[header::RETRY_AFTER], "120");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain");
    assert_eq!(answer.headers.len(), 2);
    assert_eq!(answer.address, Some(receiver.address));
    assert!(answer.first_byte <= answer.took);
    let place = format!("\r\nhost: {}\r\n", receiver.address);
    let request = receiver.outcome().await;
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    for part in ["webhook-id: msg_1\r\n", "user-agent: mainstay/", "content-length: 7\r\n", &place] {
        assert!(request.contains(part), "{part} in {request}");
    }
    for part in ["transfer-encoding", "te: x", "referer", "cookie", "accept-encoding"] {
        assert!(!request.contains(part), "{part} in {request}");
    }
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_left_at_the_deadline() {
    for host in ["127.0.0.2", "slow.example"] {
        let receiver = Receiver::once(|stream, _| sees_the_end(stream));
        let url = format!("http://{host}:{}/", receiver.address.port());
        let failure = post(&client(short(), &Names::new([&[OUTSIDE]])), &url).await.unwrap_err();
        assert_late(&failure, Phase::Answer, None);
        assert!(receiver.outcome().await, "the connection is closed");
    }
}

/// What is left of the request keeps the connection past the deadline; that nothing of it is taken ends it soon after.
#[tokio::test]
async fn a_receiver_that_does_not_read_is_left_at_the_deadline() {
    let receiver = Receiver::listen(|listener| {
        let mut stream = accept(&listener);
        stream.read_exact(&mut [0; 64]).unwrap();
        // An interim answer is what shows, by not being taken any more, that the connection is gone.
        drip(&mut stream, "", "HTTP/1.1 103 Early Hints\r\n\r\n");
    });
    let (client, url) = (client(short(), &Names::default()), Url::parse(&receiver.url()).unwrap());
    let body = Bytes::from(vec![b'x'; 64 * 1024 * 1024]);
    let failure = client.post(&url, HeaderMap::new(), body).await.unwrap_err();
    assert_late(&failure, Phase::Answer, None);
    receiver.outcome().await;
}

#[tokio::test]
async fn a_head_that_trickles_is_left_at_the_deadline() {
    let receiver = Receiver::once(|stream, _| drip(stream, "HTTP/1.1 200 OK\r\n", "x: y\r\n"));
    let failure = post(&client(short(), &Names::default()), &receiver.url()).await.unwrap_err();
    assert_late(&failure, Phase::Answer, None);
    receiver.outcome().await;
}

#[tokio::test]
async fn interim_answers_without_end_are_left_at_the_deadline() {
    let receiver = Receiver::once(|stream, _| drip(stream, "", "HTTP/1.1 103 Early Hints\r\n\r\n"));
    let failure = post(&client(short(), &Names::default()), &receiver.url()).await.unwrap_err();
    assert_late(&failure, Phase::Answer, None);
    receiver.outcome().await;
}

#[tokio::test]
async fn the_deadline_covers_a_body_that_trickles() {
    for head in ["transfer-encoding: chunked", "content-length: 1000000"] {
        let piece = if head.contains("chunked") { "1\r\nx\r\n" } else { "x" };
        let receiver =
            Receiver::once(move |stream, _| drip(stream, &format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"), piece));
        let failure = post(&client(short(), &Names::default()), &receiver.url()).await.unwrap_err();
        assert_late(&failure, Phase::Body, Some(200));
        receiver.outcome().await;
    }
}

/// Sends one piece after the other until the other side is gone. The pause is the pace of the receiver.
fn drip(stream: &mut TcpStream, head: &str, piece: &str) {
    write(stream, head);
    while stream.write_all(piece.as_bytes()).is_ok() {
        thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn of_an_endless_body_the_beginning_is_read() {
    const WHOLE: usize = 100_000_000;
    for head in [format!("content-length: {WHOLE}"), "connection: close".to_owned()] {
        let receiver = Receiver::once(move |stream, _| {
            write(stream, &format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
            let (piece, mut written) = ([b'x'; 65_536], 0);
            while written < WHOLE {
                match stream.write(&piece) {
                    Ok(count) => written += count,
                    Err(_) => break,
                }
            }
            written
        });
        let answer = post(&client(settings(), &Names::default()), &receiver.url()).await.unwrap();
        assert!(answer.cut);
        assert_eq!(answer.body.len(), 64 * 1024);
        // What the kernel holds in between is written too.
        let written = receiver.outcome().await;
        assert!(written < WHOLE / 5, "{written} bytes were taken");
    }
}

#[tokio::test]
async fn a_body_that_just_fits_is_whole_and_its_connection_is_used_again() {
    let receiver = Receiver::listen(|listener| {
        let mut stream = accept(&listener);
        for length in [10, 0, 10, 11] {
            read_request(&mut stream);
            write(&mut stream, &format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length)));
        }
        sees_the_end(&mut stream)
    });
    let client = client(Settings { max_body_bytes: 10, ..settings() }, &Names::default());
    for (length, cut) in [(10, false), (0, false), (10, false), (10, true)] {
        let answer = post(&client, &receiver.url()).await.unwrap();
        assert_eq!((answer.body.len(), answer.cut), (length, cut));
    }
    drop(client);
    assert!(receiver.outcome().await);
}

#[tokio::test]
async fn a_connection_with_a_cut_body_is_not_used_again() {
    let receiver = Receiver::listen(|listener| {
        for _ in 0..2 {
            let mut stream = accept(&listener);
            read_request(&mut stream);
            write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n12345678901");
            assert!(sees_the_end(&mut stream));
        }
    });
    let client = client(Settings { max_body_bytes: 10, ..settings() }, &Names::default());
    for _ in 0..2 {
        assert!(post(&client, &receiver.url()).await.unwrap().cut);
    }
    receiver.outcome().await;
}

#[tokio::test]
async fn a_packed_body_is_not_unpacked() {
    let receiver = Receiver::once(|stream, _| {
        write(stream, "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc");
    });
    let answer = post(&client(settings(), &Names::default()), &receiver.url()).await.unwrap();
    assert_eq!(answer.body, "abc");
}

#[tokio::test]
async fn an_end_in_the_middle_is_a_lost_connection() {
    for (text, status) in [
        ("", None),
        ("HTTP/1.1 200", None),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", Some(StatusCode::OK)),
        ("HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", Some(StatusCode::INTERNAL_SERVER_ERROR)),
    ] {
        let receiver = Receiver::once(move |stream, _| {
            write(stream, text);
            // Only this half ends: the other one is still listened to.
            stream.shutdown(Shutdown::Write).unwrap();
            sees_the_end(stream)
        });
        let failure = post(&client(settings(), &Names::default()), &receiver.url()).await.unwrap_err();
        assert_eq!((failure.fault, failure.status), (Fault::ConnectionLost, status), "{text:?}: {failure:?}");
        assert!(receiver.outcome().await);
    }
}

#[tokio::test]
async fn what_is_not_http_is_told_apart() {
    for text in ["SSH-2.0-OpenSSH_9.9\r\n\r\n", "\u{0}\u{0}\u{0}\u{0}", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
    {
        let receiver = Receiver::once(move |stream, _| {
            write(stream, text);
            sees_the_end(stream)
        });
        let failure = post(&client(settings(), &Names::default()), &receiver.url()).await.unwrap_err();
        assert_eq!(failure.fault, Fault::NotHttp, "{text:?}: {failure:?}");
        receiver.outcome().await;
    }
}

#[tokio::test]
async fn a_head_without_end_is_bounded() {
    let receiver = Receiver::once(|stream, _| {
        write(stream, "HTTP/1.1 200 OK\r\nx: ");
        let (piece, mut written) = ([b'x'; 65_536], 0);
        while let Ok(count) = stream.write(&piece) {
            written += count;
        }
        written
    });
    let failure = post(&client(settings(), &Names::default()), &receiver.url()).await.unwrap_err();
    assert_eq!(failure.fault, Fault::NotHttp, "{failure:?}");
    assert!(receiver.outcome().await < 20_000_000);
}

#[tokio::test]
async fn a_closed_port_is_a_failed_connection() {
    let closed = TcpListener::bind((OUTSIDE, 0)).unwrap().local_addr().unwrap();
    let failure = post(&client(settings(), &Names::default()), &format!("http://{closed}/secret")).await.unwrap_err();
    assert_eq!((failure.fault, failure.status), (Fault::ConnectFailed, None), "{failure:?}");
    assert!(!failure.inside.contains("secret"), "{failure:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_goes_there() {
    let inside = Canary::on((INSIDE, 0));
    let outside = Canary::on((OUTSIDE, 0));
    for target in [inside.address(), outside.address()] {
        for status in [301, 302, 303, 307, 308] {
            let receiver = Receiver::once(move |stream, _| {
                write(
                    stream,
                    &format!("HTTP/1.1 {status} Go\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n"),
                );
            });
            let answer = post(&client(settings(), &Names::default()), &receiver.url()).await.unwrap();
            assert_eq!(answer.status.as_u16(), status);
            assert_eq!(answer.headers[header::LOCATION], format!("http://{target}/"));
            receiver.outcome().await;
        }
    }
    inside.is_untouched();
    outside.is_untouched();
}

#[tokio::test]
async fn an_exchange_that_is_given_up_closes_its_connection() {
    let (arrived, arrival) = oneshot::channel();
    let receiver = Receiver::once(move |stream, _| {
        arrived.send(()).unwrap();
        stream.read(&mut [0; 1]).unwrap_or(0) == 0
    });
    let (client, url) = (client(settings(), &Names::default()), receiver.url());
    tokio::select! {
        outcome = post(&client, &url) => panic!("{outcome:?}"),
        arrived = arrival => arrived.unwrap(),
    }
    assert!(receiver.outcome().await);
}
